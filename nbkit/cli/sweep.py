"""nbkit sweep: many runs that differ in a few parameters, and one table over all."""

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from nbkit.cli.progress import MARKS
from nbkit.cli.run import JSON, SET, STORAGE, print_table, root_of
from nbkit.errors import BadParameter
from nbkit.threads import count_cores
from nbkit.wording import format_count, format_value


@click.command()
@click.argument("params", nargs=-1, required=True, type=click.Path(path_type=Path))
@SET
@click.option("--grid", multiple=True, metavar="KEY=VALUES", help="What varies: a,b,c or 1..10 or log(0.001..1).")
@click.option("--random", "count", default=0, metavar="N", help="Draw N points instead of taking every combination.")
@click.option("--seed", default=0, show_default=True, help="Seed of the draws.")
@click.option("--until", "last", default="", metavar="STAGE", help="End each point here; by default where scores are.")
@click.option("--metric", default="", help="Sort by this score; by default the one that chose the model.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Points at once; by default one a core.")
@click.option(
    "--threads", type=click.IntRange(1), metavar="N", help="Threads of each point; by default an equal share."
)
@click.option("--cluster", default="", metavar="WHERE", help="Dask: local, or tcp://HOST:PORT of a scheduler.")
@STORAGE
@click.option("--name", default="", help="Call the sweep this instead of <project>-sweep-<UTC time>.")
@click.option("--dry-run", is_flag=True, help="List the points; run nothing.")
@JSON
def sweep(
    params: tuple[Path, ...],
    settings: tuple[str, ...],
    grid: tuple[str, ...],
    count: int,
    seed: int,
    workers: int | None,
    threads: int | None,
    cluster: str,
    dry_run: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
    **how: str,
) -> None:
    """Run many points that differ in a few parameters, and say which is best and how sure that is.

    What points share is computed once. They are compared on validation data; the test rows are not read. To go on with
    a sweep that was interrupted, or in which a point failed, give the same command again. The exit code is 0 if every
    point passed, 1 if one failed.
    """
    from nbkit.sweep import Sweep, draw_points, execute_sweep, list_points, open_pool, plan_sweep, read_axis

    if not grid:
        raise BadParameter("say what varies: nbkit sweep PARAMS --grid STAGE.KEY=a,b,c")
    axes = [read_axis(text) for text in grid]
    points = draw_points(axes, count, seed) if count else list_points(axes)
    workers = min(workers or count_cores(), len(points))
    here = cluster in ("", "local")  # nobody knows yet what a cluster's workers have
    threads = threads or (max(1, count_cores() // workers) if here else 1)
    settings = (f"shared.threads={threads}", *settings)
    planned = plan_sweep(Sweep(root_of(params), params, tuple(points), settings, **how))
    if dry_run:
        _print_points(points, as_json=as_json)
        return
    with open_pool(workers, cluster) as pool:
        _print(f"{planned.project}: {format_count(len(points), 'point')} up to {planned.last}", err=as_json, bold=True)
        found = execute_sweep(planned, pool, lambda row: _describe_point(row, err=as_json))
    _conclude(planned.root.resolve() / "runs" / found["sweep"], found, as_json=as_json)
    sys.exit(found["exit"])


def _print_points(points: Any, *, as_json: bool) -> None:
    from nbkit.sweep.points import format_point

    if as_json:
        click.echo(json.dumps(points, indent=1, ensure_ascii=False))
    else:
        rows = [{"point": number, **format_point(point)} for number, point in enumerate(points, start=1)]
        print_table(rows, list(rows[0]))


def _print(text: str, *, err: bool, **style: Any) -> None:
    with contextlib.suppress(OSError):  # `| head -1`, a closed terminal: nobody listens, and the sweep goes on
        click.secho(text, err=err, **style)


def _describe_point(row: dict[str, Any], *, err: bool) -> None:
    params = ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in row["params"].items())
    score = f"{row['metric']} {format_value(row['value'])}" if row.get("value") is not None else row["headline"]
    mark, colour = MARKS.get(row["status"], ("?", "red"))
    _print(f"{mark} {row['point']:<4} {row['seconds']:6.1f} s  {params}: {score}", err=err, fg=colour)


def _conclude(folder: Path, found: dict[str, Any], *, as_json: bool) -> None:
    """Print the table and the claim, and write the page; one that cannot be made changes no exit code."""
    from nbkit.report import shorten, write_command, write_sweep_report

    columns = ["point", *found["rows"][0]["params"], "value", "low", "high", "verdict", "status", "seconds", "run"]
    rows = [{**row["params"], **shorten(row)} for row in found["rows"]]
    with contextlib.suppress(OSError, SystemExit):
        print_table(rows, columns, stderr=as_json)
    _print(f"\n{found['claim']}", err=as_json, bold=True)
    if found["exit"]:
        _print("  the same command runs what has not passed", err=as_json)
    if again := write_command(folder):
        _print(f"  {again}    # every stage, as in {found['best']}", err=as_json)
    try:
        _print(f"report: {os.path.relpath(write_sweep_report(folder))}", err=as_json, bold=True)
    except Exception as error:  # the table is what counts
        _print(f"the report could not be written: {error}; `nbkit report {folder.name}` tries again", err=True)
    if as_json:
        click.echo(json.dumps(found, indent=1, ensure_ascii=False))


COMMANDS = (sweep,)
