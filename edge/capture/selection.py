# SPDX-License-Identifier: MIT
"""Which microphone the settings mean: names that outlive a reboot to ALSA's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import DeviceAwayError, DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from edge.capture.card import Card


def resolve(device: str, cards: Sequence[Card], pcm_names: Collection[str] = ()) -> str:
    """Return the ALSA PCM name that `device` stands for.

    In this order: `usb:VID:PID[:SERIAL]`, `usb-path:1-1.2`, an ALSA name with a colon
    (`hw:1`, `plughw:CARD=Mic`), `default` or one of `pcm_names`, a card's id, a part of
    one card's name. What is none of these goes to ALSA as it is. Raises `DeviceError`
    for a USB device that isn't there and for a name that means several cards.
    """
    kind, _, value = device.partition(":")
    if kind == "usb":
        return _only(device, cards, lambda card: _same_usb(card.usb_id, value))
    if kind == "usb-path":
        return _only(device, cards, lambda card: card.usb_path == value)
    if ":" in device or device == "default" or device in pcm_names:
        return device
    by_id = [card for card in cards if card.card_id == device]
    if by_id:
        return by_id[0].pcm()
    if any(device.casefold() in card.name.casefold() for card in cards):
        return _only(device, cards, lambda card: device.casefold() in card.name.casefold())
    return device


def setting(card: Card, cards: Sequence[Card]) -> str:
    """Return the name for `card` that stays true longest: USB id, USB path, or card id."""
    if not card.usb_id:
        return card.card_id
    twins = [other for other in cards if _same_usb(other.usb_id, card.usb_id)]
    return f"usb:{card.usb_id}" if len(twins) == 1 else f"usb-path:{card.usb_path}"


def inventory(cards: Sequence[Card]) -> str:
    """Return one line that names every card that can record, for help texts."""
    found = [f"{setting(card, cards)} ({card.name})" for card in cards if card.capture_devices]
    return "this machine has " + ", ".join(found) if found else "this machine has no microphone"


def _same_usb(usb_id: str, wanted: str) -> bool:
    """Whether VID and PID agree, and the serial where one is asked for."""
    have, want = usb_id.split(":", 2), wanted.split(":", 2)
    return (
        [part.lower() for part in have[:2]] == [part.lower() for part in want[:2]]
        and have[2:3] == (want[2:3] or have[2:3])
        and len(want) > 1
    )


def _only(device: str, cards: Sequence[Card], fits: Callable[[Card], bool]) -> str:
    found = [card for card in cards if card.capture_devices and fits(card)]
    if len(found) == 1:
        return found[0].pcm()
    if not found:
        raise DeviceAwayError(
            f"no microphone is called {device!r}", f"{inventory(cards)}; see `edge devices`"
        )
    raise DeviceError(
        f"{device!r} means {len(found)} microphones",
        "say which: "
        + ", ".join(f"usb-path:{c.usb_path}" if c.usb_path else c.card_id for c in found),
    )
