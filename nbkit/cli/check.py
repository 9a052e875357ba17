"""nbkit check: whether the notebooks fit together, and params and contract to them."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from nbkit.cli.run import SET, print_table, root_of
from nbkit.project import find_notebooks, find_root
from nbkit.wording import format_count

USAGE = 2


@click.command()
@click.argument("params", nargs=-1, type=click.Path(path_type=Path))
@SET
@click.option("--json", "as_json", is_flag=True, help="Print stages, edges and problems as JSON.")
def check(params: tuple[Path, ...], settings: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001
    """Check that the notebooks fit together, and PARAMS files to them, without running anything.

    Exit codes: 0 if a run could start, also with hints; 2 if not.
    """
    from nbkit.stages.check import check_notebooks

    root = root_of(params) if params else find_root()
    folder = find_notebooks(root)
    found = check_notebooks(folder, params, settings, root)
    if as_json:
        shown = {"stages": found.stage_rows(), "edges": found.rows(), "hands over": found.handovers()}
        shown["problems"] = [asdict(problem) for problem in found.problems]
        click.echo(json.dumps(shown, indent=1, ensure_ascii=False))
    else:
        if not folder.is_relative_to(root):
            click.echo(f"{root} has no notebooks of its own; those of nbkit, in {folder}:")
        for row in found.stage_rows():
            click.echo(_describe_row(row))
        if rows := found.handovers():
            click.echo("\nWhat a stage has to hand over for others to work:")
            print_table(rows, list(rows[0]))
        for each in found.problems:
            click.secho(f"{'✕' if each.level == 'error' else '■'} {each.level}: {each}", bold=each.level == "error")
        hints = len(found.problems) - found.errors
        names = ", ".join(map(str, params))
        fine = f"; a run with {names} could start" if names and not found.errors else ""
        click.echo(f"{format_count(found.errors, 'error')}, {format_count(hints, 'hint')}{fine}")
    sys.exit(USAGE if found.errors else 0)


def _describe_row(row: dict[str, Any]) -> str:
    sources = f"loads {row['loads']} from {', '.join(row['sources'])}" if row["sources"] else "loads nothing"
    own = "" if row["cadence"] == "run" else f"; runs by itself, once a {row['cadence']}"
    return f"{row['stage']:<14} {sources}; saves {len(row['saves'])}{own}"


COMMANDS = (check,)
