# SPDX-License-Identifier: MIT
"""The sound cards that the kernel knows: /sys/class/sound and /proc/asound, no ALSA call.

Everything is read below `root`, so that a test mounts a tree of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

USB_PATH: Final = re.compile(r"\d+-\d+(\.\d+)*")
"""Bus, then the chain of ports: the same socket has the same path at each boot."""


@dataclass(frozen=True, slots=True)
class Card:
    """One sound card as the kernel numbers it now.

    `usb_id` is "VID:PID" or "VID:PID:SERIAL", `usb_path` such as "1-1.2"; both empty
    for a card that isn't on USB. `capture_devices` are the numbers that can record.
    """

    index: int
    card_id: str
    name: str
    capture_devices: tuple[int, ...]
    usb_id: str = ""
    usb_path: str = ""

    @property
    def identity(self) -> str:
        """What stays of it on another port and under another number; "" of what it lacks.

        Not its id: one that comes back while its old number is still held gets another.
        """
        return f"{self.usb_id} {self.name}".strip()

    def pcm(self, device: int | None = None) -> str:
        """Return the ALSA name of a capture device, the first one by default."""
        if device is None:
            device = self.capture_devices[0] if self.capture_devices else 0
        return f"hw:CARD={self.card_id},DEV={device}"


def read_cards(root: Path = Path("/")) -> list[Card]:
    """Return all cards, also those that only play, by number; empty when there is none."""
    names = _card_names(root)
    capture = _capture_devices(root)
    found = []
    for entry in (root / "sys/class/sound").glob("card[0-9]*"):
        index = int(entry.name.removeprefix("card"))
        usb_id, usb_path = _usb(entry)
        card_id = _text(entry / "id") or str(index)
        found.append(
            Card(
                index=index,
                card_id=card_id,
                name=names.get(index, card_id),
                capture_devices=tuple(capture.get(index, ())),
                usb_id=usb_id,
                usb_path=usb_path,
            )
        )
    return sorted(found, key=lambda card: card.index)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # the card may go while it is being read
        return ""


def _card_names(root: Path) -> dict[int, str]:
    """` 1 [Device         ]: USB-Audio - USB PnP Sound Device` -> {1: "USB PnP Sound Device"}."""
    lines = re.findall(
        r"^\s*(\d+) \[[^\]]*\]: .*? - (.*)$", _text(root / "proc/asound/cards"), re.MULTILINE
    )
    return {int(index): name.strip() for index, name in lines}


def _capture_devices(root: Path) -> dict[int, list[int]]:
    """`01-00: USB Audio : USB Audio : playback 1 : capture 1` -> {1: [0]}."""
    found: dict[int, list[int]] = {}
    for line in _text(root / "proc/asound/pcm").splitlines():
        number = re.match(r"(\d+)-(\d+):", line)
        if number and re.search(r": capture \d+", line):
            found.setdefault(int(number[1]), []).append(int(number[2]))
    return found


def _usb(card: Path) -> tuple[str, str]:
    """Return the USB id and path of the device that the card's interface belongs to."""
    device = (card / "device").resolve()
    for place in (device, *device.parents):
        if USB_PATH.fullmatch(place.name) and (place / "idVendor").exists():
            parts = [_text(place / name) for name in ("idVendor", "idProduct", "serial")]
            return ":".join(part for part in parts if part), place.name
    return "", ""
