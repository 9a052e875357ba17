"""nbkit monitor (to come)."""

import click

COMMANDS: tuple[click.Command, ...] = ()
