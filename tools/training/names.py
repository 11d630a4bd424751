# SPDX-License-Identifier: MIT
"""What other collections call the sounds of the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tools.training.recordings import COUNTER_EXAMPLES, FIELD_NAMES, LABELS, OTHER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# ESC-50's names (K. Piczak, 2015), where they differ from the field collection's.
ESC50: Final[Mapping[str, str]] = {
    "crying_baby": "baby_cry",
    "sneezing": "person_sneeze",
    "chirping_birds": "bird",
    "crow": "bird",
    "thunderstorm": "thunder",
    "clock_alarm": "alarm",
    "church_bells": "alarm",
    **dict.fromkeys(
        (
            *("pig", "water_drops", "pouring_water", "toilet_flush", "clapping", "breathing"),
            *("coughing", "laughing", "brushing_teeth", "drinking_sipping", "door_wood_knock"),
            *("mouse_click", "keyboard_typing", "door_wood_creaks", "can_opening"),
            *("washing_machine", "vacuum_cleaner", "hand_saw"),
        ),
        LABELS[OTHER],
    ),
}


def aliases(labels: Sequence[str]) -> dict[str, str]:
    """Return label by name, for each name that is none of these labels itself.

    The sounds of a label that is not among them are counter-examples to the others.
    """
    named = {
        **{label: label for label in LABELS},
        **ESC50,
        **FIELD_NAMES,
        **dict.fromkeys(COUNTER_EXAMPLES, LABELS[OTHER]),
    }
    found = {name: label if label in labels else LABELS[OTHER] for name, label in named.items()}
    return {name: label for name, label in found.items() if name not in labels}
