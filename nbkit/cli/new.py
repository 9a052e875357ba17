"""nbkit new (to come)."""

import click

COMMANDS: tuple[click.Command, ...] = ()
