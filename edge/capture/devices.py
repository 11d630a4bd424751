# SPDX-License-Identifier: MIT
"""Which microphones there are, what each offers, and the setting that selects it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.capture.card import Card, read_cards
from edge.capture.selection import setting
from edge.errors import DeviceError


@dataclass(frozen=True, slots=True)
class CaptureDevice:
    """A microphone to choose.

    `card_index` is -1 for a device that only ALSA's configuration defines. `offer` says
    in one line which rates, channels and formats it has, or why that can't be asked
    now. `setting` is the value for `capture.device`.
    """

    card_index: int
    card_id: str
    name: str
    pcm: str
    usb_id: str
    usb_path: str
    rates_hz: tuple[int, ...]
    any_rate: bool
    formats: tuple[str, ...]
    channels: tuple[int, ...]
    offer: str
    setting: str


def list_devices(root: Path = Path("/")) -> list[CaptureDevice]:
    """Return the kernel's cards, then what the configuration defines; may be empty."""
    cards = read_cards(root)
    found = [
        _describe(card.pcm(device), _setting(card, device, cards), card)
        for card in cards
        for device in card.capture_devices
    ]
    return found + [_describe(name, name, None) for name in _configured(cards)]


def _setting(card: Card, device: int, cards: list[Card]) -> str:
    return setting(card, cards) if device == card.capture_devices[0] else card.pcm(device)


def _configured(cards: list[Card]) -> list[str]:
    """Names without a card in them: those with one repeat the list above, ten times over."""
    try:
        from edge.capture.alsa import pcm_names
    except ImportError:
        return []
    known = {card.card_id for card in cards}
    return [
        name
        for name in pcm_names()
        if name != "null" and not any(f"CARD={card_id}" in name for card_id in known)
    ]


def _describe(pcm: str, value: str, card: Card | None) -> CaptureDevice:
    rates: tuple[int, ...] = ()
    formats: tuple[str, ...] = ()
    channels: tuple[int, ...] = ()
    any_rate = False
    try:
        from edge.capture.alsa import probe

        offer = probe(pcm)
        rates, any_rate = offer.rates_hz, offer.any_rate
        formats, channels = offer.formats, offer.channels
        line = str(offer)
    except (DeviceError, ImportError) as error:
        line = str(error)
    return CaptureDevice(
        card_index=card.index if card else -1,
        card_id=card.card_id if card else "",
        name=card.name if card else pcm,
        pcm=pcm,
        usb_id=card.usb_id if card else "",
        usb_path=card.usb_path if card else "",
        rates_hz=rates,
        any_rate=any_rate,
        formats=formats,
        channels=channels,
        offer=line,
        setting=value,
    )
