"""`kerasnets data`: subcommand -> function."""

import click

from kerasnets.commands import Commands

COMMANDS = {
    "check": ("kerasnets.data.check.command:check", "Say what is wrong with a data set, file by file."),
    "prepare": ("kerasnets.data.shards.command:prepare", "Write images as large files of TFRecords with checksums."),
}


@click.command(cls=Commands, table=COMMANDS)
def data() -> None:
    """Look after the images that models are trained on."""
