# SPDX-License-Identifier: MIT
"""`edge devices`."""

from __future__ import annotations

import click

from edge.errors import EXIT_DEVICE, EXIT_OK


@click.command()
def devices() -> int:
    """List sound cards with what they offer and the setting to paste."""
    from edge.capture.devices import list_devices

    found = list_devices()
    for device in found:
        click.echo(f"{device.name}  ({device.device})")
        click.echo(f"  rates     {', '.join(map(str, device.rates)) or 'unknown'} Hz")
        click.echo(f"  formats   {', '.join(device.formats) or 'unknown'}")
        click.echo(f"  channels  {', '.join(map(str, device.channels)) or 'unknown'}")
        click.echo(f"  setting   {device.setting}")
    if not found:
        click.echo("no sound card that captures; is it plugged in, is this user in group audio?")
        return EXIT_DEVICE
    return EXIT_OK
