"""nbkit new, contract: a project, a stage, or a contract, for a table of one's own."""

import os
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from nbkit.cli.run import print_table, root_of
from nbkit.lifecycle import FRAME, INGEST

NO = 3
PATH = click.Path(path_type=Path)
DATA = "A file (csv, tsv, parquet, json, also packed), a URL, an SQL database, or Python's module:name."
DATA_OPTION = click.option("--data", default="", help=DATA)
PARAMS_OPTION = click.option("--params", "files", multiple=True, type=PATH, help="Take the data of this project.")


@click.command()
@click.argument("name", default="")
@click.option("--data", default="", help=DATA)
@click.option("--target", default="", help="The column to predict.")
@click.option("--time", default="", help="The column of the event's time; looked for if left out.")
@click.option("--table", default="", help="The table, if --data is a database that holds several.")
@click.option("--query", default="", help="The rows to take of a database: its own SQL, in place of --table.")
@click.option("--blank", is_flag=True, help="Look at no table: params to be filled in by hand.")
@click.option(
    "--stage", default="", help="Add a stage of your own, such as 06b_ensemble, to the project that is there."
)
@click.option("--out", default=".", type=PATH, help="The project's folder; this one by default.")
@click.option("--force", is_flag=True, help="Replace the params and the contract of that name.")
def new(
    name: str,
    data: str,
    target: str,
    time: str,
    table: str,
    query: str,
    blank: bool,  # noqa: FBT001
    stage: str,
    out: Path,
    force: bool,  # noqa: FBT001
) -> None:
    """Look at a table and propose a project NAME for it.

    It lays params, contract, notebooks, tests, environment, CI and a README. Each decision is said with its reason, and
    stands as a comment in the params file, for you to edit.
    """
    from nbkit.layout import check_free, check_name, install_filter, lay_project, lay_stage

    if stage:
        click.echo("\n".join(_show(path) for path in lay_stage(out, stage)))
        click.echo(f"\nNext: open notebooks/{stage}.ipynb, say what it finds out, then `nbkit check`.")
        return
    if not name:
        raise click.UsageError("name the project, such as: nbkit new churn --data churn.csv --target churned")
    check_name(name)
    if not blank and not (data.strip() and target):
        raise click.UsageError(
            "name the table with --data (a file, folder, URL, database or module:name) and the column to predict with "
            "--target; or start from nothing with --blank"
        )
    files = [f"params/{name}.yaml", f"params/{name}.contract.yaml"]
    check_free(out, [] if force else files[: 1 if blank else 2])
    part = {"table": table, "query": query}
    made, notes = _propose(name, "" if blank else data, out, target, time, part)
    written = lay_project(out, name, dict(zip(files, made, strict=False)))
    click.echo("".join(f"- {note}\n" for note in [*notes, install_filter(out)]))
    click.echo("\n".join(_show(path) for path in _fold(written)))
    params, terms = (shlex.quote(_show(out / file)) for file in files)
    if blank:
        click.echo(f"\nNext: fill in target, task and sources in {params}. Then\n")
        click.echo(f"  nbkit contract infer --params {params} --out {terms}")
    else:
        click.echo(
            f"\nNext: fill in what the comments of {params} ask for, and go through available_at in {terms}. Then\n"
        )
    click.echo(f"  nbkit contract confirm {terms} --by 'YOUR NAME'\n  nbkit run {params}")


def _propose(
    name: str, data: str, out: Path, target: str, time: str, part: dict[str, str]
) -> tuple[list[str], list[str]]:
    """Return the texts of params and contract, and each decision with its reason; without data those to fill in."""
    from nbkit.data import spell_contract, take_snapshot
    from nbkit.features import inspect_snapshot, propose_contract, propose_params
    from nbkit.features.propose import blank_params

    if not data:
        return [blank_params(name)], []
    location: Any = _relate(data, out)
    part = {key: value for key, value in part.items() if value}
    source = {"location": location, **part} if part else location
    snapshot = take_snapshot({"data": source}, root=out)
    found = inspect_snapshot(snapshot, target=target, time=time, name=Path(location).name)
    return [propose_params(found, name=name, data=source), spell_contract(propose_contract(found))], found.notes


@click.group()
def contract() -> None:
    """Propose a contract for a table, confirm it, or hold a table to one."""


@contract.command()
@DATA_OPTION
@PARAMS_OPTION
@click.option("--target", default="", help="The column to predict; that of --params by default.")
@click.option("--time", default="", help="The column of the event's time.")
@click.option("--out", default=None, type=PATH, help="Write here instead of to the terminal.")
@click.option("--force", is_flag=True, help="Replace the file that is there.")
def infer(data: str, files: tuple[Path, ...], target: str, time: str, out: Path | None, force: bool) -> None:  # noqa: FBT001
    """Propose a contract that a table keeps, with some slack, for a person to edit."""
    from nbkit.data import spell_contract
    from nbkit.features import inspect_snapshot, propose_contract
    from nbkit.layout import check_free, write_files

    snapshot, given = _take(data, files)
    target, time = target or given.get("target", ""), time or given.get("time", "")
    if not target:
        raise click.UsageError("name the column to predict with --target")
    if out:
        check_free(out.parent, [] if force else [out.name])
    found = inspect_snapshot(snapshot, target=target, time=time, name=data or files[0].name)
    text = spell_contract(propose_contract(found))
    if out:
        write_files({out: text.encode()})
    click.echo(_show(out) if out else text, nl=bool(out))


@contract.command()
@click.argument("terms", metavar="CONTRACT", type=PATH)
@DATA_OPTION
@PARAMS_OPTION
def check(terms: Path, data: str, files: tuple[Path, ...]) -> None:
    """Hold a table to a CONTRACT file; the exit code is 3 if a violation blocks."""
    from nbkit.data import check_contract, judge_violations, read_contract, summarize_violations

    agreed = read_contract(terms)
    snapshot, _ = _take(data, files)
    violations = check_contract(snapshot.table, agreed)
    click.echo(summarize_violations(violations, agreed, rows=len(snapshot.table)))
    if len(violations):
        print_table(violations.to_dict("records"), ["severity", "rule", "message"])
    sys.exit(NO if judge_violations(violations) == "blocked" else 0)


@contract.command()
@click.argument("terms", metavar="CONTRACT", type=PATH)
@click.option("--by", required=True, help="Who has gone through it and stands by it.")
def confirm(terms: Path, by: str) -> None:
    """Confirm a CONTRACT: a person stands by when each column becomes known.

    Until then it is only proposed, and no run that uses it is approved. Whoever changes it has to confirm it again.
    """
    import datetime as dt

    from nbkit.data import confirm_contract

    agreed = confirm_contract(terms, by, dt.datetime.now(dt.UTC).date().isoformat())
    late = [rule.name for rule in agreed.columns if rule.available_at not in ("known", "target")]
    words = f"{len(agreed.columns)} columns, {len(late)} not known from the start"
    click.echo(f"{_show(terms)}: confirmed by {by}; {words}")


COMMANDS = (new, contract)


def _take(data: str, files: tuple[Path, ...]) -> tuple[Any, dict[str, Any]]:
    """Take a snapshot of a location, or of what params say; with the params of 01_frame and 02_ingest in that case."""
    from nbkit.data import take_snapshot

    if bool(data) == bool(files):
        raise click.UsageError("name the table with --data, or the project with --params")
    if data:
        return take_snapshot({"data": data}), {}
    from nbkit.project import find_notebooks
    from nbkit.stages import read_stages, resolve_params
    from nbkit.stages.preflight import import_used

    root = root_of(files)
    resolved = resolve_params(files, (), read_stages(find_notebooks(root)))
    import_used(resolved.limits, [INGEST], root, resolved.places)  # among them may be what reads the data
    given = {**resolved.values[FRAME], **resolved.values[INGEST]}
    wanted = {key: given[key] for key in ("rows", "seed", "keys")}
    return take_snapshot(given["sources"], given["query"], root=root, **wanted), given


def _relate(data: str, folder: Path) -> str:
    """Return where a table lies as seen from a project: relative if inside, else absolute; no file, as it is."""
    from nbkit.data.readers import guess_kind

    if "://" in data or (not Path(data).exists() and guess_kind(data, Path()) == "python"):
        return data
    whole = Path(os.path.abspath(data))  # noqa: PTH100 - links stay what they are
    home = Path(os.path.abspath(folder))  # noqa: PTH100
    return whole.relative_to(home).as_posix() if whole.is_relative_to(home) else str(whole)


def _fold(paths: list[Path]) -> list[Path]:
    """List notebooks as their folder."""
    return list(dict.fromkeys(path.parent if path.suffix == ".ipynb" else path for path in paths))


def _show(path: Path) -> str:
    return os.path.relpath(path) if path.is_absolute() else str(path)
