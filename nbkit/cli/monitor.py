"""nbkit monitor: the notebook 11, for one window or for each."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from nbkit.cli.models import open_registry
from nbkit.cli.run import JSON, PARAMS, SET, carry_out, print_table, root_of
from nbkit.lifecycle import MONITOR
from nbkit.wording import suggest

PARTS = ("train", "valid", "test")
NO, INTERRUPTED = 3, (130, 143)


@click.command()
@PARAMS
@SET
@click.option(
    "--window",
    "windows",
    multiple=True,
    metavar="NAME",
    help="A window, such as 2013-07; may be repeated; the first by default.",
)
@click.option("--all", "every", is_flag=True, help="Every window of the version's data, one run each.")
@click.option("--list", "only_list", is_flag=True, help="List the windows and stop.")
@JSON
def monitor(
    params: tuple[Path, ...],
    settings: tuple[str, ...],
    windows: tuple[str, ...],
    every: bool,  # noqa: FBT001
    only_list: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Look at a registered version on new rows and say what should be done.

    Each window is a run of its own. The exit code is 3 if any of them asks for retraining, 1 if one failed; it is 0 for
    ok, look and inconclusive (the rows could not have shown a loss): scripts read the decision with --json.
    """
    from nbkit.pipeline import Chosen, plan_run
    from nbkit.project import find_notebooks
    from nbkit.stages import read_stages, resolve_params
    from nbkit.stages.preflight import import_used

    root = root_of(params)
    resolved = resolve_params(params, settings, read_stages(find_notebooks(root)))
    given = resolved.values[MONITOR]
    # with a source of its own the rows come from there, and a window is only what they are called
    import_used(resolved.limits, [MONITOR], root, resolved.places)  # among them may be what reads the data
    known = [given["window"]] if given.get("source") else _list_windows(root, given)
    if only_list:
        click.echo("\n".join(known))
        return
    windows = tuple(known) if every else windows or ((given["window"],) if given["window"] else tuple(known[:1]))
    if not given.get("source"):
        _check_windows(windows, known)
    rows, codes = [], []
    for window in windows or ("",):
        named = (*settings, *([f"{MONITOR}.window={json.dumps(window)}"] if window else []))
        plan = plan_run(root, params, named, stages=Chosen(only=[MONITOR]), name=_name(root, params[0].stem, window))
        folder, code = carry_out(plan, quiet_stdout=as_json)
        if code in INTERRUPTED:
            sys.exit(code)
        row = _read_row(folder, window)
        rows.append(row)
        codes.append(NO if row["decision"] == "retrain" else code)
    if as_json:
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False, default=str))
    elif len(rows) > 1:
        print_table(rows, ["window", "decision", "headline"])
    sys.exit(1 if 1 in codes else max(codes))


COMMANDS = (monitor,)


def _name(root: Path, project: str, window: str) -> str:
    """Name a monitoring run after its window; the next free number where that was looked at before."""
    base = f"{project}-monitor-{window or 'first'}"
    taken = {folder.name for folder in (root / "runs").glob(f"{base}*")}
    return next(name for name in [base, *(f"{base}-{n}" for n in range(2, 10_000))] if name not in taken)


def _check_windows(windows: tuple[str, ...], known: list[str]) -> None:
    from nbkit.errors import BadParameter

    for name in windows:
        if name not in known and name not in PARTS:
            there = suggest(name, known) or "; there are none: set `production` or `test_until` in the split"
            raise BadParameter(f"no window {name!r}{there}")


def _list_windows(root: Path, given: dict[str, Any]) -> list[str]:
    from nbkit import data, registry

    place = given["registry"]
    models = open_registry(place if "://" in place else str(root / place))
    watched = registry.find_watched(models, given["name"], given["version"])
    found: list[str] = data.list_windows(watched.lineage["ingest"], models.load(watched, "problem"), root=root)
    return found


def _read_row(folder: Path, window: str) -> dict[str, Any]:
    from nbkit.errors import NbkitError
    from nbkit.scraps import read_value

    try:
        found = {name: read_value(folder, MONITOR, name) for name in ("decision", "headline")}
    except NbkitError:
        found = {"decision": "failed", "headline": ""}
    return {"window": window, "run": folder.name, **found}
