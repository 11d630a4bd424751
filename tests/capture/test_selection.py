# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edge.capture.card import Card, read_cards
from edge.capture.devices import list_devices
from edge.capture.selection import inventory, resolve, setting
from edge.errors import DeviceError

if TYPE_CHECKING:
    from pathlib import Path

CARDS = """\
 0 [vc4hdmi        ]: vc4-hdmi - vc4-hdmi
                      vc4-hdmi
 1 [Device         ]: USB-Audio - USB PnP Sound Device
                      C-Media USB PnP Sound Device at usb-0000:01:00.0-1.2, full speed
 2 [sndrpigooglevoi]: RPi-simple - snd_rpi_googlevoicehat_soundcar
                      snd_rpi_googlevoicehat_soundcard
 3 [Device_1       ]: USB-Audio - USB PnP Sound Device
                      C-Media USB PnP Sound Device at usb-0000:01:00.0-1.3, full speed
"""

PCM = """\
00-00: MAI PCM i2s-hifi-0 : MAI PCM i2s-hifi-0 : playback 1
01-00: USB Audio : USB Audio : playback 1 : capture 1
02-00: Google voiceHAT SoundCard HiFi voicehat-hifi-0 : : playback 1 : capture 1
03-00: USB Audio : USB Audio : capture 1
03-01: USB Audio #1 : USB Audio #1 : capture 1
"""

USB = "sys/devices/platform/scb/usb1/1-1"


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    """Return a Raspberry Pi's /sys and /proc: HDMI, an I2S microphone, two alike on USB."""
    (tmp_path / "proc/asound").mkdir(parents=True)
    (tmp_path / "proc/asound/cards").write_text(CARDS)
    (tmp_path / "proc/asound/pcm").write_text(PCM)
    sound = tmp_path / "sys/class/sound"
    sound.mkdir(parents=True)
    for index, (card_id, port) in enumerate(
        [("vc4hdmi", ""), ("Device", "1-1.2"), ("sndrpigooglevoi", ""), ("Device_1", "1-1.3")]
    ):
        interface = tmp_path / (f"{USB}/{port}/{port}:1.0" if port else f"sys/devices/i2s{index}")
        card = interface / f"sound/card{index}"
        card.mkdir(parents=True)
        (card / "id").write_text(f"{card_id}\n")
        (card / "device").symlink_to(os.path.relpath(interface, card))
        (sound / f"card{index}").symlink_to(os.path.relpath(card, sound))
        if port:
            (interface.parent / "idVendor").write_text("0d8c\n")
            (interface.parent / "idProduct").write_text("0014\n")
    (tmp_path / USB / "idVendor").write_text("05e3\n")  # the hub between
    (tmp_path / USB / "1-1.3/serial").write_text("A7\n")
    return tmp_path


def test_a_card_is_the_same_on_another_port_and_under_another_number(pi: Path) -> None:
    _, plugged, _, twin = read_cards(pi)
    moved = replace(plugged, index=4, card_id="Device_2", usb_path="1-1.4")
    assert moved.identity == plugged.identity == "0d8c:0014 USB PnP Sound Device"
    assert twin.identity != plugged.identity, "it has a serial number"
    assert replace(plugged, usb_id="0d8c:0013").identity != plugged.identity


def test_cards_are_read_with_names_devices_and_usb(pi: Path) -> None:
    assert read_cards(pi) == [
        Card(0, "vc4hdmi", "vc4-hdmi", ()),
        Card(1, "Device", "USB PnP Sound Device", (0,), "0d8c:0014", "1-1.2"),
        Card(2, "sndrpigooglevoi", "snd_rpi_googlevoicehat_soundcar", (0,)),
        Card(3, "Device_1", "USB PnP Sound Device", (0, 1), "0d8c:0014:A7", "1-1.3"),
    ]


def test_a_machine_without_sound_has_no_cards(tmp_path: Path) -> None:
    assert read_cards(tmp_path) == []
    assert inventory([]) == "this machine has no microphone"


@pytest.mark.parametrize(
    ("device", "pcm"),
    [
        ("default", "default"),
        ("hw:1,0", "hw:1,0"),
        ("plughw:CARD=Device", "plughw:CARD=Device"),
        ("usb:0D8C:0014:A7", "hw:CARD=Device_1,DEV=0"),
        ("usb-path:1-1.2", "hw:CARD=Device,DEV=0"),
        ("usb-path:1-1.3", "hw:CARD=Device_1,DEV=0"),
        ("Device_1", "hw:CARD=Device_1,DEV=0"),
        ("googlevoicehat", "hw:CARD=sndrpigooglevoi,DEV=0"),
        ("GoogleVoice", "hw:CARD=sndrpigooglevoi,DEV=0"),
        ("edgemic", "edgemic"),
        ("USB", "USB"),
    ],
)
def test_each_way_to_name_a_microphone_finds_it(pi: Path, device: str, pcm: str) -> None:
    assert resolve(device, read_cards(pi), ["edgemic", "USB"]) == pcm


@pytest.mark.parametrize(
    "device", ["usb:dead:beef", "usb:0d8c", "usb:0d8c:0014:B9", "usb-path:1-1", "hdmi"]
)
def test_a_microphone_that_is_not_there_is_refused_with_those_that_are(
    pi: Path, device: str
) -> None:
    with pytest.raises(DeviceError, match="no microphone is called") as raised:
        resolve(device, read_cards(pi))
    assert "usb-path:1-1.2 (USB PnP Sound Device)" in raised.value.help
    assert "sndrpigooglevoi" in raised.value.help
    assert "hdmi" not in raised.value.help


@pytest.mark.parametrize("device", ["usb:0d8c:0014", "PnP"])
def test_a_name_that_means_two_is_refused_with_names_that_mean_one(pi: Path, device: str) -> None:
    with pytest.raises(DeviceError, match="means 2 microphones") as raised:
        resolve(device, read_cards(pi))
    assert raised.value.help == "say which: usb-path:1-1.2, usb-path:1-1.3"


def test_the_setting_of_each_card_selects_that_card(pi: Path) -> None:
    cards = [card for card in read_cards(pi) if card.capture_devices]
    assert [setting(card, cards) for card in cards] == [
        "usb-path:1-1.2",
        "sndrpigooglevoi",
        "usb:0d8c:0014:A7",
    ]
    for card in cards:
        assert resolve(setting(card, cards), cards) == card.pcm()


def test_the_list_has_each_capture_device_even_when_it_cannot_be_asked(pi: Path) -> None:
    """The kernel of this tree isn't ours, so that no device of it opens."""
    listed = [device for device in list_devices(pi) if device.card_index >= 0]
    assert [(device.card_index, device.pcm, device.setting) for device in listed] == [
        (1, "hw:CARD=Device,DEV=0", "usb-path:1-1.2"),
        (2, "hw:CARD=sndrpigooglevoi,DEV=0", "sndrpigooglevoi"),
        (3, "hw:CARD=Device_1,DEV=0", "usb:0d8c:0014:A7"),
        (3, "hw:CARD=Device_1,DEV=1", "hw:CARD=Device_1,DEV=1"),
    ]
    assert all("can't be opened" in device.offer for device in listed)
