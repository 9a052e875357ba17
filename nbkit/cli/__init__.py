"""The command line: reads arguments, calls, prints."""

import errno
import io
import sys

import click

from nbkit import __version__
from nbkit.cli import check, desk, diff, models, monitor, new, prune, run, show, sweep
from nbkit.errors import NbkitError, Refusal

FAILED, USAGE, NO, INTERRUPTED = 1, 2, 3, 130
GROUPS = {  # what one wants to do, in the order of a model's life
    "Begin a project": ("new", "contract", "check", "params"),
    "Work at the desk": ("lab", "refresh", "verify", "diff"),
    "Run it": ("run", "resume", "sweep"),
    "See what came of it": ("runs", "report", "compare", "lineage", "site", "prune"),
    "Decide about a model": ("models", "promote", "reject", "rollback", "registry"),
    "Use and watch it": ("serve", "monitor"),
}


class Commands(click.Group):
    """A group whose commands say what is wrong in one line and exit with its code, instead of a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; an error becomes a line on stderr, and a traceback only with ``--debug``."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a terminal or a log in Latin-1 has no arrows and ticks
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:
            if ctx.params.get("debug") or getattr(error, "errno", None) == errno.EPIPE:
                raise
            code, words = _explain(error)
        click.echo(f"nbkit: {words}", err=True)
        sys.exit(code)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Group the commands by what one wants to do, each with its whole first sentence."""
        left = dict(self.commands)
        groups = [(title, [name for name in names if name in left]) for title, names in GROUPS.items()]
        groups.append(("More", [name for name in left if name not in {each for _, names in groups for each in names}]))
        for title, names in groups:
            if names:
                with formatter.section(title):
                    formatter.write_dl([(name, left[name].get_short_help_str(limit=1000)) for name in names])


def _explain(error: BaseException) -> tuple[int, str]:
    """Return the exit code and the line for an error that a command ended with."""
    if isinstance(error, NbkitError):
        return (NO if isinstance(error, Refusal) else USAGE), str(error)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "interrupted from the keyboard"
    if isinstance(error, OSError):
        return FAILED, f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
    return FAILED, f"{type(error).__name__}: {error} (unexpected error: `nbkit --debug …` shows the traceback)"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="nbkit")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:  # noqa: FBT001
    """Carry a machine-learning model through its whole life, one notebook a stage.

    Exit codes: 0 all is well, 1 a stage failed, 2 the command or its params are wrong, 3 a gate, a contract or a
    monitor says no, 130 and 143 interrupted or terminated.
    """


for family in (new, run, sweep, check, desk, diff, show, monitor, models, prune):
    for command in family.COMMANDS:
        main.add_command(command)
