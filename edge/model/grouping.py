# SPDX-License-Identifier: MIT
"""Labels under one name: "dog" is bark, howl and growl, and as loud as the best of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.errors import ConfigError
from edge.model.description import group_trouble

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edge.model.registry import ModelInfo

AUDIOSET: Final = Path(__file__).with_name("audioset.toml")


def audioset_groups(labels: Sequence[str]) -> dict[str, list[str]]:
    """Return the shipped groups with what `labels` has of them; those of which it has nothing not.

    A group that is named as a label is left out: the label is there already.
    """
    import tomllib  # for describing a model, not for listening

    shipped = tomllib.loads(AUDIOSET.read_text(encoding="utf-8"))
    here = {name: [one for one in of if one in labels] for name, of in shipped.items()}
    return {name: of for name, of in here.items() if of and name not in labels}


def grouped(info: ModelInfo, groups: Mapping[str, Sequence[str]]) -> ModelInfo:
    """Return the description with other groups: new ones, some instead of its own, or without.

    Parameters
    ----------
    groups : labels by name; one of no label takes away the model's own of that name.

    Raises `ConfigError` for a name that is a label, or labels that the model lacks.
    """
    for name, members in groups.items():
        if members and (trouble := group_trouble(name, members, info.labels)):
            raise ConfigError(
                f"model.groups: {trouble}", f"the labels of {info.name} are in `edge model show`"
            )
    merged = {**info.groups, **{name: tuple(members) for name, members in groups.items()}}
    return replace(info, groups={name: of for name, of in merged.items() if of})


class Groups:
    """Adds the scores of groups to those of labels: of each the highest.

    The sounds of a group may be there together, and a model that can't tell bark from howl
    gives each half of it only where its labels exclude each other (softmax): the maximum is
    right for the one and cautious for the other.

    Parameters
    ----------
    info : whose `scored` the scores will be of.
    """

    def __init__(self, info: ModelInfo) -> None:
        place = {label: k for k, label in enumerate(info.labels)}
        members = [[place[one] for one in of] for of in info.groups.values()]
        self._members = np.array([k for of in members for k in of], np.intp)
        self._starts = np.cumsum([0, *map(len, members)])[:-1]

    def append(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (n_labels + n_groups,) float32 for (n_labels,); itself where there is no group."""
        if not self._starts.size:
            return values
        best = np.maximum.reduceat(values[self._members], self._starts)
        return np.concatenate((values, best))
