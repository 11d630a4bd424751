# SPDX-License-Identifier: MIT
"""From a patch to scores: any log-Mel classifier in an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from edge.errors import ModelError
from edge.model.description import patch_shape
from edge.model.grouping import Groups, grouped
from edge.model.registry import ModelInfo, model_info
from edge.model.session import Session
from edge.types import Scores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edge.types import Patch

# A softmax in float32 may end a little above 1.
_TOLERANCE: Final = 1e-3


class Classifier(Protocol):
    """What turns patches into scores."""

    @property
    def info(self) -> ModelInfo:
        """The model's description."""

    def classify(self, patch: Patch) -> Scores:
        """Return one score of 0..1 per label, and behind them one per group."""


class OnnxClassifier:
    """A model file, open and tried once on noise and on silence.

    Not for two threads at a time. `bad_outputs` counts patches whose scores were not
    finite, far outside 0..1 or not one per label, or on which the model failed: those are
    given as 0, since one strange patch is no reason to stop listening.

    Parameters
    ----------
    model : a model file or its description.
    groups : of its labels, beside its own or instead of them; without labels: no such group.

    Raises `ModelError` as `read_model`, and if its first scores are already wrong;
    `ConfigError` for groups that do not fit.
    """

    def __init__(
        self, model: ModelInfo | Path, groups: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        path = model if isinstance(model, Path) else model.path
        session = Session(path)
        self._session = session
        self._info = grouped(model_info(session, path), groups or {})
        self._groups = Groups(self._info)
        if isinstance(model, ModelInfo) and model.sha256 != self._info.sha256:
            raise ModelError(f"{path} has changed since it was read", "read it again")
        self._shape = patch_shape(session.inputs[0], self._info)
        embedding = self._info.embedding_output
        self._outputs = [self._info.scores_output, *([embedding] if embedding else [])]
        self.bad_outputs = 0
        self._try()

    @property
    def info(self) -> ModelInfo:
        """The model's description."""
        return self._info

    def classify(self, patch: Patch) -> Scores:
        """Return the scores of a patch; their arrays are the receiver's own.

        `patch.frames` is (patch_frames, n_mels) float32 and only read. Takes about 1 ms
        (`tools/README.md`) and lets other threads run meanwhile.
        """
        frames = patch.frames.T if self._info.bands_first else patch.frames
        try:
            raw, *rest = self._session.run(self._outputs, frames.reshape(self._shape))
        except ModelError:
            raw, rest = np.full(len(self._info.labels), np.nan, np.float32), []
        values = _activate(raw.reshape(-1), self._info.activation)
        valid = values.size == len(self._info.labels) and _plausible(values)
        if not valid:
            self.bad_outputs += 1
            values = np.zeros(len(self._info.labels), np.float32)
        return Scores(
            sample_index=patch.sample_index,
            n_samples=patch.n_samples,
            values=self._groups.append(np.clip(values, 0.0, 1.0)),
            embedding=rest[0].reshape(-1) if rest else None,
            valid=valid,
        )

    def _try(self) -> None:
        """Refuse what shapes alone don't show; the first run is the slow one, too."""
        info = self._info
        noise = np.random.default_rng(11).standard_normal(self._shape, dtype=np.float32)
        for frames in (noise, np.zeros(self._shape, np.float32)):
            raw = self._session.run(self._outputs, frames)[0]
            if raw.size != len(info.labels):
                raise ModelError(
                    f"{info.path} gives {raw.size} scores but names {len(info.labels)} labels",
                    "describe it with `edge model describe`",
                )
            if not np.isfinite(raw).all():
                raise ModelError(
                    f"{info.path} gives scores that are no numbers (NaN or infinite)",
                    "see whether its front end is right, or its weights overflow",
                )
            if not _plausible(_activate(raw.reshape(-1), info.activation)):
                raise ModelError(
                    f"{info.path} gives scores outside 0..1",
                    "describe it with the activation that makes scores: sigmoid or softmax",
                )


def _activate(raw: NDArray[np.float32], activation: str) -> NDArray[np.float32]:
    match activation:
        case "sigmoid":
            # By tanh: exp of a large logit would overflow.
            return np.asarray(0.5 + 0.5 * np.tanh(0.5 * raw), np.float32)
        case "softmax":
            powers = np.exp(raw - raw.max(initial=-np.inf))
            return np.asarray(powers / powers.sum(), np.float32)
    return raw


def _plausible(values: NDArray[np.float32]) -> bool:
    # A NaN is in no range.
    return bool(np.all((values >= -_TOLERANCE) & (values <= 1.0 + _TOLERANCE)))
