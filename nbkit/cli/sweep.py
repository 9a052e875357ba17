"""nbkit sweep: many runs that differ in a few parameters, and one table over all."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from nbkit.cli.progress import MARKS
from nbkit.cli.run import JSON, SET, STORAGE, print_table, root_of
from nbkit.errors import BadParameter
from nbkit.project import find_root, read_manifest
from nbkit.threads import count_cores
from nbkit.wording import say_count


@click.command()
@click.argument("params", nargs=-1, type=click.Path(path_type=Path))
@SET
@click.option("--grid", multiple=True, metavar="KEY=VALUES", help="What varies: a,b,c or 1..10 or log(0.001..1).")
@click.option("--random", "count", default=0, metavar="N", help="Draw N points instead of taking every combination.")
@click.option("--seed", default=0, show_default=True, help="Seed of the draws.")
@click.option("--until", "last", default="", metavar="STAGE", help="End each point here; by default where scores are.")
@click.option("--metric", default="", help="Sort by this score; by default the one that chose the model.")
@click.option("--workers", default=0, metavar="N", help="Points at once; by default one a core.")
@click.option("--threads", default=0, metavar="N", help="Threads of each point; by default the cores shared out.")
@click.option("--cluster", default="", metavar="WHERE", help="Dask: local, tcp://HOST:PORT or MODULE:CALLABLE.")
@STORAGE
@click.option("--name", default="", help="Call the sweep this instead of <project>-sweep-<UTC time>.")
@click.option("--resume", "again", default="", metavar="NAME", help="Go on with a sweep: what has passed is kept.")
@click.option("--dry-run", is_flag=True, help="List the points; run nothing.")
@JSON
def sweep(
    params: tuple[Path, ...],
    settings: tuple[str, ...],
    grid: tuple[str, ...],
    count: int,
    seed: int,
    last: str,
    metric: str,
    workers: int,
    threads: int,
    cluster: str,
    storage: str,
    name: str,
    again: str,
    dry_run: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Run many points that differ in a few parameters, and say which is best and how sure that is.

    What all points share is run once. Points are compared on validation data; the test rows are not read. The exit code
    is 0 if every point passed, 1 if one failed.
    """
    if again:
        if params or grid or count or settings:
            raise BadParameter(
                "--resume NAME goes on with a sweep as it was asked for: give no PARAMS, --grid or --set"
            )
        resume_sweep(find_root(), again, workers=workers, cluster=cluster, as_json=as_json)
        return
    from nbkit.sweep import draw_points, list_points, plan_sweep, read_axis

    if not params or not grid:
        raise BadParameter("say what varies: nbkit sweep PARAMS --grid STAGE.KEY=a,b,c (or --resume NAME)")
    axes = [read_axis(text) for text in grid]
    points = draw_points(axes, count, seed) if count else list_points(axes)
    if threads < 0:
        raise BadParameter(f"--threads {threads}: at least 1")
    workers = _count_workers(workers, len(points))
    here = cluster in ("", "local")  # nobody knows yet what a cluster's workers have
    threads = threads or (max(1, count_cores() // workers) if here else 1)
    root = root_of(params)
    how = {"last": last, "metric": metric, "threads": threads, "storage": storage}
    planned = plan_sweep(root, params, points, settings, name=name, **how)
    if dry_run:
        _print_plan(planned, as_json=as_json)
        return
    _carry_out(planned, workers, cluster, resume=False, as_json=as_json)


def resume_sweep(root: Path, name: str, *, workers: int = 0, cluster: str = "", as_json: bool = False) -> None:
    """Go on with a sweep, and exit with its code."""
    from nbkit.sweep import read_sweep

    planned = read_sweep(root, name)
    _carry_out(planned, _count_workers(workers, len(planned.points)), cluster, resume=True, as_json=as_json)


def _count_workers(asked: int, points: int) -> int:
    if asked < 0:
        raise BadParameter(f"--workers {asked}: at least 1")
    return min(asked or count_cores(), points)


def _print_plan(planned: Any, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(planned.points, indent=1, ensure_ascii=False))
        return
    shared = f"up to {planned.shared} once for all, then " if planned.shared else ""
    own = planned.last if planned.first == planned.last else f"{planned.first} to {planned.last}"
    click.echo(f"{say_count(len(planned.points), 'point')}: {shared}{own} for each")
    rows = [{"point": number, **planned.say_point(number)} for number in range(1, len(planned.points) + 1)]
    print_table(rows, ["point", *planned.points[0]])


def _carry_out(planned: Any, workers: int, cluster: str, *, resume: bool, as_json: bool) -> None:
    from nbkit.sweep import execute_sweep, lend_executor, read_sweep

    with lend_executor(planned.root, workers, cluster) as execute, _watch(quiet_stdout=as_json) as tell:
        found = execute_sweep(planned, execute, tell, resume=resume)
        done = read_sweep(planned.root, found["sweep"])
        tell("report", {"page": _write_report(done.folder), "sweep": done, "best": found["best"]})
    if as_json:
        click.echo(json.dumps(found, indent=1, ensure_ascii=False))
    sys.exit(found["exit"])


def _write_report(folder: Path) -> Path | None:
    """Write the page of a sweep; one that cannot be made is said, and changes no exit code."""
    from nbkit.report import write_sweep_report

    try:
        page: Path = write_sweep_report(folder)
        return page
    except (Exception, KeyboardInterrupt) as error:  # the table is what counts
        why = "interrupted" if isinstance(error, KeyboardInterrupt) else error
        words = f"the report could not be written: {why}; `nbkit report {folder.name}` tries again"
        click.echo(f"nbkit: {words}", err=True)
        return None


@contextlib.contextmanager
def _watch(*, quiet_stdout: bool) -> Iterator[Callable[[str, dict[str, Any]], None]]:
    from rich.console import Console

    watch = SweepProgress(Console(stderr=quiet_stdout, highlight=False, markup=False, soft_wrap=True))
    heard = True

    def tell(event: str, facts: dict[str, Any]) -> None:
        nonlocal heard
        if heard:
            try:
                watch.tell(event, facts)
            except (OSError, SystemExit):  # `| head -1`, a closed terminal: nobody listens any more, the sweep goes on
                heard = False

    try:
        yield tell
    finally:
        watch.close()


class SweepProgress:
    """Prints a line for each point that ends, and while points run, a line that moves."""

    def __init__(self, console: Any) -> None:
        self.console = console
        self.status: Any = None
        self.begun = time.monotonic()
        self.shown = 0.0
        self.done = 0
        self.left: list[str] = []

    def tell(self, event: str, facts: dict[str, Any]) -> None:
        """Take note of one event."""
        getattr(self, f"_on_{event}")(**facts)

    def close(self) -> None:
        """Take the moving line away."""
        if self.status:
            self.status.stop()
            self.status = None

    def _on_sweep_start(self, sweep: Any) -> None:
        self.console.print(
            f"{sweep.project} → runs/{sweep.name}: {say_count(len(sweep.points), 'point')}", style="bold"
        )
        self.left = [sweep.name_point(0)] if sweep.shared else []

    def _on_shared_end(self, sweep: Any, name: str) -> None:
        self.close()
        manifest = read_manifest(sweep.root / "runs" / name)
        spent = sum(entry.get("seconds") or 0 for entry in manifest.get("stages", []))
        self._mark(manifest.get("status", "failed"), f"{'shared':<10} {spent:6.1f} s  {name}, up to {sweep.shared}")

    def _on_points_start(self, sweep: Any, left: list[str]) -> None:
        self.left, self.done = list(left), len(sweep.points) - len(left)
        if self.done:
            self.console.print(f"· {say_count(self.done, 'point')} passed before", style="dim")

    def _on_point_end(self, sweep: Any, name: str, row: dict[str, Any], best: dict[str, Any]) -> None:
        self.close()
        self.done += 1
        self.left = [each for each in self.left if each != name]
        values = sweep.say_point(row["point"])
        point = ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in values.items())
        score = f"{row['metric']} {row['value']:.4g}" if row.get("value") is not None else row["headline"]
        so_far = f" (best so far {best['value']:.4g})" if best and best["run"] != name else ""
        count = f"{self.done}/{len(sweep.points)}"
        self._mark(row["status"], f"{count:<10} {row['seconds']:6.1f} s  {point}: {score}{so_far}")

    def _mark(self, status: str, text: str) -> None:
        mark, colour = MARKS.get(status, ("?", "red"))
        self.console.print(f"{mark} ", style=colour, end="")
        self.console.print(text)

    def _on_step(self, sweep: Any) -> None:
        if not self.console.is_terminal or time.monotonic() - self.shown < 0.5:
            return
        self.shown = time.monotonic()
        if not self.status:
            self.status = self.console.status("", spinner="dots")
            self.status.start()
        working = [words for name in self.left if (words := _say_work(sweep.root / "runs" / name))][:8]
        waiting = len(self.left) - len(working)
        more = f", {waiting} waiting" if waiting else ""
        self.status.update(f"{'; '.join(working) or 'starting'}{more}  {time.monotonic() - self.begun:.0f} s")

    def _on_judge(self, sweep: Any) -> None:
        self.close()
        if self.console.is_terminal:
            self.status = self.console.status("comparing the points", spinner="dots")
            self.status.start()

    def _on_sweep_end(self, sweep: Any, found: dict[str, Any], table: Any) -> None:
        self.close()
        rows = [_round(row) | sweep.say_point(row["point"]) for row in found["rows"]]
        columns = ["point", *sweep.points[0], "value", "low", "high", "verdict", "status", "seconds", "problem"]
        self.console.print()
        print_table(rows, columns, stderr=self.console.stderr)
        self.console.print(f"\n{found['claim']}", style="bold")
        if found["exit"]:
            self.console.print(f"  nbkit sweep --resume {sweep.name}    # what has not passed runs again")

    def _on_report(self, page: Path | None, sweep: Any, best: str) -> None:
        from nbkit.report import say_again

        if again := say_again(sweep, best):
            self.console.print(f"  {again}    # every stage, as in {best}")
        if page:
            self.console.print(f"report: {os.path.relpath(page)}", style="bold")


def _say_work(folder: Path) -> str:
    """Say what a point is at; empty if it has not begun."""
    entries = read_manifest(folder).get("stages", [])
    at_work = [entry["stage"] for entry in entries if entry["status"] == "running"]
    return f"{folder.name.rpartition('-')[2]} {at_work[0]}" if at_work else ""


def _round(row: dict[str, Any]) -> dict[str, Any]:
    shown = {key: f"{row[key]:.4g}" for key in ("value", "low", "high") if row[key] is not None}
    shown["seconds"] = f"{row['seconds']:.1f}" if row["seconds"] else ""
    shown["problem"] = row["headline"] if row["status"] != "passed" else ""
    return {key: "" if value is None else value for key, value in row.items()} | shown


COMMANDS = (sweep,)
