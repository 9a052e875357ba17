"""The command line: reads arguments, calls, prints."""

import sys

import click

from nbkit import __version__
from nbkit.cli import models, monitor, new, run, show
from nbkit.errors import NbkitError

USAGE = 2


class Commands(click.Group):
    """A group whose commands say what is wrong in one line and exit with 2, instead of a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; an error of ours becomes a line on stderr."""
        try:
            return super().invoke(ctx)
        except NbkitError as error:
            click.echo(f"nbkit: {error}", err=True)
            sys.exit(USAGE)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order of a model's life rather than of the alphabet."""
        return list(self.commands)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="nbkit")
def main() -> None:
    """Carry a machine-learning model through its whole life, one notebook a stage.

    Exit codes: 0 all is well, 1 a stage failed, 2 the command or its params are wrong, 3 a gate, a contract or a
    monitor says no, 130 and 143 interrupted or terminated.
    """


for family in (new, run, show, monitor, models):
    for command in family.COMMANDS:
        main.add_command(command)
