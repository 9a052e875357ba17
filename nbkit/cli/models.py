"""nbkit models (to come)."""

import click

COMMANDS: tuple[click.Command, ...] = ()
