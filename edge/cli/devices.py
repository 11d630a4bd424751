# SPDX-License-Identifier: MIT
"""`edge devices`."""

from __future__ import annotations

import click

from edge.cli.quiet import quiet_stderr
from edge.errors import EXIT_DEVICE, EXIT_OK


@click.command()
def devices() -> int:
    """List sound cards with what they offer and the setting to paste."""
    from edge.capture.devices import list_devices

    with quiet_stderr():  # each is asked, JACK's too
        found = list_devices()
    for device in found:
        click.echo(f"{device.name}  ({device.pcm})")
        click.echo(f"  offers    {device.offer}")
        click.echo(f'  setting   capture.device = "{device.setting}"')
    if not found:
        click.echo("no sound card that captures; is it plugged in, is this user in group audio?")
        return EXIT_DEVICE
    return EXIT_OK
