"""nbkit check, graph: whether the notebooks fit together, and how."""

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
FORMS = {".mmd": "mermaid", ".json": "json"}


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


@click.command()
@click.argument("name", metavar="[RUN]", default="")
@click.option("--format", "form", type=click.Choice([*FORMS.values()]), help="Mermaid by default, or as -o ends.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write it here instead of printing it.")
def graph(name: str, form: str | None, out: Path | None) -> None:
    """Write down which stage needs what of which; with a RUN, also how each stage went and how long it took.

    Mermaid text can be pasted into Markdown on GitHub, between ```mermaid and ```.
    """
    from nbkit.pipeline import find_run
    from nbkit.report.flow import read_project, read_run, render_flow

    root = find_root()
    flow = read_run(find_run(root, name)) if name else read_project(root)
    text = render_flow(*flow, form or FORMS.get(out.suffix if out else "", "mermaid"))
    if out is None:
        click.echo(text)
        return
    from nbkit.layout import write_files

    write_files({out: f"{text}\n".encode()})
    click.echo(out)


def _describe_row(row: dict[str, Any]) -> str:
    sources = f"loads {row['loads']} from {', '.join(row['sources'])}" if row["sources"] else "loads nothing"
    own = "" if row["cadence"] == "run" else f"; runs by itself, once a {row['cadence']}"
    return f"{row['stage']:<14} {sources}; saves {len(row['saves'])}{own}"


COMMANDS = (check, graph)
