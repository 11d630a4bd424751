# SPDX-License-Identifier: MIT
"""The figures of `health` for Prometheus: the only import of its client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily, StateSetMetricFamily

from edge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.core import Metric

_STATES: Final = {
    "microphone": ("ok", "zeros", "stuck", "dc", "stalled", "wrong_rate", "lost", "absent"),
    "shedding": ("none", "analysis", "patches", "levels"),
}


class _Figures:
    """A collector: asked for each scrape."""

    def __init__(self, newest: Callable[[], Mapping[str, Any]]) -> None:
        self._newest = newest

    def collect(self) -> Iterator[Metric]:
        for name, value in self._newest().items():
            if isinstance(value, int | float):
                yield GaugeMetricFamily(f"edge_{name}", f"{name} of health", value=float(value))
            elif name in _STATES:
                states = {state: state == value for state in _STATES[name]}
                yield StateSetMetricFamily(f"edge_{name}", f"{name} of health", value=states)


def expose(where: str, newest: Callable[[], Mapping[str, Any]]) -> None:
    """Answer scrapes at `where`, in threads of the client's own, while the process lives.

    Raises `ConfigError` where the address can't be taken.
    """
    address, _, port = where.rpartition(":")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(newest))
    try:
        start_http_server(int(port), address.strip("[]"), registry)
    except OSError as error:
        raise ConfigError(
            f"health.prometheus = {where} can't be taken: {error.strerror}",
            'choose another port, or "" for none',
        ) from error
