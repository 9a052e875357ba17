"""nbkit prune: what may go, how much that is, and then its going."""

import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbkit.cli.models import open_registry
from nbkit.cli.run import print_table
from nbkit.project import find_root
from nbkit.record import iterate_runs
from nbkit.wording import format_count

if TYPE_CHECKING:
    from nbkit.pipeline.prune import Waste


@click.command()
@click.option("--keep", type=click.IntRange(0), default=5, show_default=True, help="Newest passed runs of each kind.")
@click.option("--yes", is_flag=True, help="Remove without asking.")
@click.option("--json", "as_json", is_flag=True, help="Print what may go as JSON; remove only with --yes.")
def prune(keep: int, yes: bool, as_json: bool) -> None:  # noqa: FBT001
    """Show what may go, and how much that frees; remove it if you agree.

    Runs that registered a version stay, and so do those at work and the newest of each kind: same project, same
    stages, same window.
    """
    from nbkit.pipeline.prune import find_waste, remove

    root = find_root()
    needed, unused = _ask_registries(root)
    waste = [*find_waste(root, keep=keep, needed=needed), *unused]
    if as_json:
        click.echo(json.dumps([asdict(each) for each in waste], indent=1, ensure_ascii=False, default=str))
    elif not waste:
        click.echo("Nothing may go.")
    else:
        _show(waste, root)
    if not waste or not (yes or (not as_json and sys.stdin.isatty() and click.confirm("Remove it?"))):
        return
    freed = remove(waste)
    click.echo(f"{_format_size(freed)} are free again.", err=as_json)


def _ask_registries(root: Path) -> tuple[set[str], "list[Waste]"]:
    """Return the runs that the registries of the project's runs refer to, and the files that no version holds."""
    from nbkit.pipeline.prune import Waste

    named = {
        str(values["registry"])
        for _, record in iterate_runs(root)
        for values in record.parameters.values()
        if "registry" in values
    }
    needed, unused = set(), []
    for place in sorted(named):
        if "://" not in place and not (root / place / "registry.db").is_file():
            continue  # it is gone, and with it all that it referred to
        registry = open_registry(place if "://" in place else str(root / place))
        needed |= registry.list_source_runs()
        why = "no version in the registry holds it"
        unused += [Waste(path, "blob", why, path.stat().st_size) for path in registry.find_unused_files()]
    return needed, unused


def _show(waste: "list[Waste]", root: Path) -> None:
    runs = [each for each in waste if each.kind == "run"]
    rows = [{"what": each.path.name, "size": _format_size(each.size), "why": each.why} for each in runs]
    counts, sizes = Counter(each.kind for each in waste), Counter[str]()
    for each in waste:
        sizes[each.kind] += each.size
    for kind in (kind for kind in counts if kind != "run"):
        why = next(each.why for each in waste if each.kind == kind)
        rows.append({"what": format_count(counts[kind], kind), "size": _format_size(sizes[kind]), "why": why})
    print_table(rows, ["what", "size", "why"])
    click.echo(f"In all {_format_size(sum(sizes.values()))}.")


def _format_size(size: int) -> str:
    """Write a number of bytes in one unit.

    Examples
    --------
    >>> _format_size(12), _format_size(12_345), _format_size(123_456_789)
    ('12 B', '12.3 kB', '123 MB')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} B"


COMMANDS: tuple[Any, ...] = (prune,)
