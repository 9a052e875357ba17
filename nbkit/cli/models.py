"""nbkit models, promote, reject, rollback, serve, registry: what is registered, what is in production, who said so."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from nbkit.cli.run import print_table
from nbkit.project import find_root
from nbkit.wording import describe, format_count, format_value

WHERE = click.option(
    "--registry", "place", default="registry",
    help="Folder (from the project's root), or the URL of a PostgreSQL database: postgresql://USER@HOST/DATABASE.",
)  # fmt: skip
NO = 3


def log_move(command: Any) -> Any:
    """Ask for whom and why the log is to note, and for the registry."""
    by = click.option("--by", required=True, help="Who decides.")
    return by(click.option("--why", required=True, help="The reason, for the log.")(WHERE(command)))


@click.command()
@click.argument("name", metavar="[NAME[@VERSION]]", default="")
@click.option("--history", is_flag=True, help="Show who moved what, when and why.")
@WHERE
def models(name: str, history: bool, place: str) -> None:  # noqa: FBT001
    """List registered models; with NAME its versions; with NAME@VERSION one version, its gates and its lineage."""
    registry = _open(place)
    wrong = registry.verify(files=False)
    if wrong:
        click.echo(f"nbkit: do not trust this list: {wrong[0]}; `nbkit registry verify` lists all", err=True)
    if history:
        _print_frame(registry.history(name.partition("@")[0] or None))
    elif "@" in name:
        _print_version(registry.get(name), registry.history(name.partition("@")[0]))
    else:
        table, events = registry.list(name or None), registry.history(name or None)
        approved = events[events["event"] == "promote"].groupby(["name", "number"])["by"].last()
        _print_frame(_gather_scores(table.join(approved.rename("approved_by"), on=["name", "number"])))
    if wrong:
        sys.exit(NO)


@click.command()
@click.argument("version", metavar="NAME@VERSION")
@click.argument("alias", default="production")
@log_move
def promote(version: str, alias: str, by: str, why: str, place: str) -> None:
    """Promote a version to production, past its gates; exit code 3 if they are closed.

    Any other ALIAS, such as shadow, is only a name that points to the version: it opens and passes nothing.
    """
    from nbkit.report.moves import promote

    click.echo(promote(find_root(), _open(place), version, alias, by=by, why=why, warn=_warn))


@click.command()
@click.argument("name")
@log_move
def rollback(name: str, by: str, why: str, place: str) -> None:
    """Put the version back that was in production before."""
    from nbkit.report.moves import roll_back

    click.echo(roll_back(find_root(), _open(place), name, by=by, why=why, warn=_warn))


@click.command()
@click.argument("version", metavar="NAME@VERSION")
@log_move
def reject(version: str, by: str, why: str, place: str) -> None:
    """Reject a version for good: it is not served and can never be promoted."""
    from nbkit.report.moves import reject

    click.echo(reject(find_root(), _open(place), version, by=by, why=why, warn=_warn))


@click.group()
def registry() -> None:
    """Check and sign what is kept in the registry."""


@registry.command()
@WHERE
def verify(place: str) -> None:
    """Compare versions, aliases, gates and files with the log; exit code 3 if anything is not as it was written.

    The log is a chain of hashes, and its end is noted beside the files. Who can write the database and the files can
    rewrite both, which is noticed only if the log is signed: see `nbkit registry sign`.
    """
    found = _open(place)
    findings, events = found.verify(), len(found.history())
    for sentence in findings:
        click.echo(sentence)
    if findings:
        click.echo(f"nbkit: {format_count(len(findings), 'finding')} in {format_count(events, 'event')}", err=True)
        sys.exit(NO)
    click.echo(f"All is as it was written: {format_count(events, 'event')}, {found.explain_signature()}.")


@registry.command()
@log_move
def sign(by: str, why: str, place: str) -> None:
    """Sign the log with the key in NBKIT_REGISTRY_KEY; from then on nothing is written or believed without it.

    Keep the key where those who can write the database cannot read it. Putting back an older copy of database and
    files together is not noticed with a key either: note the last event elsewhere if that matters.
    """
    click.echo(f"{format_count(_open(place).sign(by=by, why=why), 'event')} signed.")


@click.command()
@click.argument("version", metavar="NAME[@VERSION]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=8000, type=click.IntRange(0, 65535), show_default=True, help="0 takes a free one.")
@click.option("--log", type=click.Path(path_type=Path), help="Folder of the request log; none by default.")
@click.option("--no-token", is_flag=True, help="Listen beyond this machine though nobody has to authenticate.")
@click.option("--timeout", default=30.0, show_default=True, help="Seconds a client has to send a body, take an answer.")
@click.option("--connections", default=500, type=click.IntRange(1), show_default=True, help="How many at a time.")
@click.option("--use", multiple=True, help="A module that the version may need; by default those that params/ name.")
@click.option("--changed-use", is_flag=True, help="Serve though such a module has changed since it was registered.")
@click.option("--grace", default=10.0, show_default=True, help="Seconds from SIGTERM to the end, at most.")
@click.option("--until-stdin-closes", is_flag=True, hidden=True, help="Stop when the starting process is gone.")
@WHERE
def serve(
    version: str, *, place: str, host: str, port: int, log: Path | None, no_token: bool, timeout: float,
    connections: int, use: tuple[str, ...], changed_use: bool, grace: float, until_stdin_closes: bool,
) -> None:  # fmt: skip
    """Serve a registered version over HTTP until told to stop; NAME alone is the one in production.

    If NBKIT_SERVE_TOKEN is set, requests must carry it as `Authorization: Bearer TOKEN`, all but those of /health and
    /ready. Without it the service listens on this machine only.

    After SIGTERM /ready says 503 at once, answers end their connections, and running requests are finished.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # before OpenMP is loaded
    from nbkit.serve import command
    from nbkit.serve.access import check_exposure, read_token
    from nbkit.serve.server import Limits
    from nbkit.stages.preflight import list_used

    token = read_token()
    with command.listen(host, port) as listener:
        if not no_token:
            check_exposure(listener.getsockname()[0], token)
        known = use or list_used(find_root())
        predictor = command.find_predictor(_locate(place), version, known, changed_use=changed_use)
        linger = 0.0 if until_stdin_closes else min(1.0, grace / 4)
        limits = Limits(connections, body=timeout, answer=timeout, linger=linger, grace=grace)
        command.serve(predictor, listener, limits, token=token, log=log, until_stdin_closes=until_stdin_closes)


COMMANDS = (models, promote, reject, rollback, serve, registry)


def _warn(words: str) -> None:
    click.echo(f"nbkit: {words}", err=True)


def _locate(place: str) -> str:
    return place if "://" in place else str(find_root() / place)


def _open(place: str) -> Any:
    return open_registry(_locate(place))


def open_registry(path: str) -> Any:
    """Open a registry that is there: a folder or a URL; none is made by looking."""
    from nbkit import Registry

    return Registry(path, create=False)


def _gather_scores(table: Any) -> Any:
    """Put the first scores of each version into one column: models of different tasks have different metrics."""
    names = list(table.columns[table.columns.get_loc("digest") + 1 : -1])
    told = [f"{describe(name).partition(' (')[0]} " for name in names]
    scores = [
        ", ".join([name + format_value(value) for name, value in zip(told, row, strict=True) if value == value][:3])
        for row in table[names].to_numpy()
    ]
    shown = table.drop(columns=[*names, "by"]).fillna({"approved_by": "nobody"})
    return shown.assign(scores=scores).rename(columns={"approved_by": "approved by"})


def _print_frame(frame: Any) -> None:
    if not len(frame):
        click.echo("Nothing is registered under that name.")
        return
    shown = frame.copy()
    for name, column in frame.items():
        if column.dtype.kind == "f":
            shown[name] = column.map(format_value)
        elif name == "detail" and len(frame) and isinstance(column.iloc[0], dict):
            told = [{key: len(each[key]) if key == "conditions" else each[key] for key in each} for each in column]
            shown[name] = [", ".join(f"{key} {str(value)[:24]}" for key, value in each.items()) for each in told]
        elif name in ("digest", "created", "time"):
            shown[name] = column.str[: {"digest": 12, "created": 16}.get(name, 19)]
    print_table(shown.to_dict("records"), list(shown.columns))


def _print_version(version: Any, history: Any) -> None:
    from nbkit.registry.events import describe_moves

    click.secho(f"{version.reference}: {version.state}, aliases {', '.join(version.aliases) or 'none'}", bold=True)
    click.echo(
        f"digest {version.digest}\nregistered {version.created} by {version.by}, run {version.lineage.get('run')}"
    )
    moves, rejected = describe_moves(version.reference, history.to_dict("records"))
    click.echo("; ".join(moves) or rejected or "nobody has approved it for production")
    _print_frame(version.scores.reset_index()[["metric", "value", "low", "high", "n"]].round(4))
    _print_frame(version.gates)
    _print_frame(version.files[["path", "kind", "bytes", "sha256"]])
