"""nbkit run, resume, runs, compare."""

import contextlib
import importlib
import json
import os
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any

import click

from nbkit.project import find_notebooks, find_root
from nbkit.record import read_record, to_plain
from nbkit.wording import clip, format_score

TOLD = "decision, or what stopped it"
WIDTH = 100  # of a value that is told in a table
PARAMS = click.argument("params", nargs=-1, required=True, type=click.Path(path_type=Path))
SET = click.option("--set", "settings", multiple=True, metavar="STAGE.KEY=VALUE", help="Override one parameter.")
JOBS = click.option("--jobs", type=click.IntRange(1), default=1, help="Stages at work at the same time.  [default: 1]")
STORAGE = click.option(
    "--storage",
    default="",
    envvar="NBKIT_STORAGE",
    metavar="URL",
    help="Copy the run there, stage by stage, and take over from runs that are there: any fsspec URL, such as s3://…",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the run's record as JSON; progress goes to stderr.")


@click.command()
@PARAMS
@SET
@click.option("--from", "first", default="", metavar="STAGE", help="Begin here; take the rest from the latest run.")
@click.option("--until", "last", default="", metavar="STAGE", help="End here.")
@click.option("--only", multiple=True, metavar="STAGE", help="Only this stage (may be given more than once).")
@click.option("--force", is_flag=True, help="Run every stage, changed or not.")
@click.option("--no-cache", is_flag=True, help="Take nothing over from earlier runs, and leave nothing to take over.")
@JOBS
@STORAGE
@click.option("--name", default="", help="Call the run this instead of <project>-<UTC time>.")
@click.option("--dry-run", is_flag=True, help="Say what would run and why; run nothing.")
@JSON
def run(
    params: tuple[Path, ...],
    settings: tuple[str, ...],
    first: str,
    last: str,
    only: tuple[str, ...],
    force: bool,  # noqa: FBT001
    no_cache: bool,  # noqa: FBT001
    jobs: int,
    storage: str,
    name: str,
    dry_run: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Run the stages 01 to 10 with these PARAMS files; later files and --set override.

    What has not changed since any earlier run is taken over from it; --dry-run says what, and why. A stage is named as
    its notebook (06_train), by its number (06) or by its word (train).
    """
    if sys.stderr.isatty():  # before anything is imported
        click.secho("reading the params and the notebooks …", dim=True, err=True)
    root = root_of(params)
    everything = (force or no_cache or not (root / "runs").is_dir()) and not (first or last or only)
    with _warm_up(root) if everything and not dry_run else contextlib.nullcontext():
        from nbkit.pipeline import Chosen, check_plan, plan_run

        reuse = "never" if no_cache else "nothing" if force else "unchanged"
        chosen = Chosen(first, last, only)
        plan = plan_run(root, params, settings, stages=chosen, name=name, reuse=reuse, storage=storage)
        if dry_run:
            if odd := check_plan(plan):
                click.echo(f"nbkit: a run could start, but {odd}", err=True)
            _print_plan(plan, as_json=as_json)
            return
        _finish(plan, jobs, as_json=as_json)


@click.command()
@click.argument("name", metavar="[RUN]", default="")
@JOBS
@STORAGE
@JSON
def resume(name: str, jobs: int, storage: str, as_json: bool) -> None:  # noqa: FBT001
    """Go on with a RUN from where it stopped; the latest of stages 01 to 10 if none is named."""
    from nbkit.pipeline import plan_resume

    _finish(plan_resume(find_root(), name, storage), jobs, as_json=as_json)


@click.command()
@JSON
def runs(as_json: bool) -> None:  # noqa: FBT001
    """List the runs, newest first."""
    from nbkit.pipeline import list_runs
    from nbkit.report.scraps import read_front

    root = find_root()
    rows = list_runs(root)
    for row in rows:
        front = read_front(root / "runs" / row["run"])
        row |= {"verdict": str(front.get("verdict", "")), "decision": str(front.get("decision", ""))}
    if as_json:
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
    elif not rows:
        click.echo("No runs yet: `nbkit run PARAMS` makes one.")
    else:
        told = [{**row, TOLD: (row["status"] == "passed" and row["decision"]) or row["headline"]} for row in rows]
        print_table(told, ["run", "project", "status", "stages", "verdict", "started", "seconds", TOLD])


@click.command()
@click.argument("before", metavar="RUN")
@click.argument("after", metavar="RUN")
@click.option("--html", "as_html", is_flag=True, help="Write a page for people: verdicts, scores, figures, causes.")
@click.option("-o", "target", type=click.Path(path_type=Path), help="Where the page goes; by default compare.html.")
@JSON
def compare(before: str, after: str, as_html: bool, target: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """Describe what two runs differ in: scores first, then parameters, what they handed over, headlines, versions."""
    from nbkit.extend import import_from
    from nbkit.pipeline import compare_models, compare_runs, find_run

    root = find_root()
    if target and not as_html:
        raise click.UsageError("-o goes with --html")
    rows = compare_runs(root, before, after)
    import_from(root)
    scores, said = compare_models(find_run(root, before), find_run(root, after))
    if as_html:
        from nbkit.report import write_comparison

        click.echo(write_comparison(find_run(root, before), find_run(root, after), (rows, scores, said), target))
    elif as_json:
        paired = [{"what": "difference", "where": row["metric"], **row} for row in scores]
        click.echo(json.dumps([*paired, *rows], indent=1, ensure_ascii=False, default=str))
    elif not rows:
        click.echo("The two runs handed over the same, byte for byte, with the same parameters.")
    else:
        click.echo(said)
        if scores:
            print_table([format_score(row) for row in scores], ["metric", "before", "after", "difference", "verdict"])
        print_table(_condense(rows), ["what", "where", "before", "after"])


def _condense(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Shorten differences for a terminal: artifacts by stage, values cut before they differ; ``--json`` has all."""
    from nbkit.pipeline.compare import group_artifacts
    from nbkit.values import decode

    told = []
    for row in rows:
        if row["what"] != "artifact":
            values = [decode(row[key]) if row["what"] == "value" else row[key] for key in ("before", "after")]
            texts = [_tell(value) for value in values]
            start = len(os.path.commonprefix(texts)) - 30  # noqa: RUF071, of texts and not of paths
            skip = start if start > 0 and max(map(len, texts)) > WIDTH else 0
            texts = [clip("…" * (skip > 0) + text[skip:], WIDTH) for text in texts]
            told.append(row | dict(zip(("before", "after"), texts, strict=True)))
    return told + [
        {"what": "artifacts", "where": stage, "after": ", ".join(names)}
        for stage, names in group_artifacts(rows).items()
    ]


def _tell(value: Any) -> str:
    """Write a value for people: lists and settings without brackets and quotes, what is missing as a dash."""
    if isinstance(value, dict):
        value = [f"{name} {_tell(one)}" for name, one in value.items()]
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(map(_tell, value)) or "none"
    return "–" if value is None else str(value)


COMMANDS = (run, resume, runs, compare)


def root_of(params: tuple[Path, ...]) -> Path:
    """Return the project that the first params file belongs to: the folder above its ``params/``, else from here."""
    folder = params[0].resolve().parent
    return folder.parent if folder.name == "params" else find_root(folder if folder.is_dir() else ".")


def _warm_up(root: Path) -> Any:
    """Let a server import for the kernels while the run is planned."""
    from nbkit.kernels import use_server

    return use_server(sorted(find_notebooks(root).glob("[0-9][0-9]*_*.ipynb")))


def _finish(plan: Any, jobs: int, *, as_json: bool) -> None:
    if plan.nothing_to_do:
        folder, code = plan.folder, 0
        page = plan.folder / "report" / "index.html"
        report = f", report: {page}" if page.is_file() else ""
        click.echo(f"nothing to do: nothing has changed since {folder.name}{report}", err=as_json)
    else:
        folder, code = carry_out(plan, jobs, quiet_stdout=as_json)
    if as_json:
        click.echo(json.dumps(to_plain(read_record(folder)), indent=1, ensure_ascii=False))
    sys.exit(code)


def carry_out(plan: Any, jobs: int = 1, *, quiet_stdout: bool = False) -> tuple[Path, int]:
    """Execute a plan with progress, write its report, and return the run folder and the exit code."""
    from nbkit.cli.progress import watch_progress
    from nbkit.pipeline import execute_plan

    with watch_progress(quiet_stdout=quiet_stdout) as progress:
        progress.prepare = _prepare_report
        folder, record = execute_plan(plan, progress, jobs=jobs)
        page = write_report(folder)
        store_report(plan, folder)
        progress.on_report(page, record)
    return folder, int(record.exit or 0)


@cache
def _prepare_report() -> threading.Thread:
    """Import what the report needs while a stage runs."""

    def load() -> None:
        with contextlib.suppress(Exception):  # whoever writes the report will meet it
            importlib.import_module("nbkit.report.pages")

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    return thread


def store_report(plan: Any, folder: Path) -> None:
    """Copy the report to where the run is copied; what cannot be is said."""
    from nbkit.errors import StorageFailed
    from nbkit.pipeline import open_storage

    try:
        if storage := open_storage(plan.root, plan.storage):
            storage.push_report(folder)
    except StorageFailed as error:
        click.echo(f"nbkit: the report is not stored: {error}", err=True)


def write_report(folder: Path) -> Path | None:
    """Write a run's report; a report that cannot be made is said, and changes no exit code."""
    try:
        _prepare_report().join()  # two who import the same at once, and Ctrl-C, may leave a lock that nobody opens

        from nbkit import report

        page: Path | None = report.write_report(folder)
        report.refresh_fronts(folder)
        return page
    except (Exception, KeyboardInterrupt) as error:  # the run is what counts
        why = "interrupted" if isinstance(error, KeyboardInterrupt) else error
        words = f"the report of {folder.name} could not be written: {why}; `nbkit report {folder.name}` tries again"
        click.echo(f"nbkit: {words}", err=True)
        return None


def _print_plan(plan: Any, *, as_json: bool) -> None:
    values = plan.resolved.values
    rows = [
        {"stage": step.stage.name, "action": step.action, "why": step.why, "parameters": values[step.stage.name]}
        for step in plan.steps
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False, default=str))
    else:
        print_table(rows, ["stage", "action", "why"])


def print_table(rows: list[dict[str, Any]], columns: list[str], *, stderr: bool = False) -> None:
    """Print rows as a table that fits the terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in ("run", "stage", "status"))
    for row in rows:
        table.add_row(*(str(row.get(column, "")) for column in columns))
    width = None if sys.stdout.isatty() else 200
    Console(width=width, markup=False, highlight=False, stderr=stderr).print(table)
