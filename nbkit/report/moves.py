"""Moves of versions that a person decides, from the command line or at the desk: the same checks and the same words."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbkit.errors import BadParameter, GateClosed, NbkitError, UnknownVersion
from nbkit.extend import import_from
from nbkit.lifecycle import DEPLOY, REGISTER
from nbkit.wording import format_count, suggest

Warn = Callable[[str], object]


def promote(
    root: Path, registry: Any, reference: str, alias: str = "production", *, by: str, why: str, warn: Warn
) -> str:
    """Promote a version past its gates, and write the front pages again that tell of it.

    Parameters
    ----------
    root
        The project.
    registry
        A `nbkit.registry.Registry`.
    reference
        ``NAME@VERSION``.
    alias
        Any but ``production`` is only a name that points to the version.
    by, why
        Who and the reason, for the log.
    warn
        Called with what could not be done beside the move.

    Returns
    -------
    str
        What was done; the conditions that are open, a line each.

    Raises
    ------
    NbkitError
        As `nbkit.registry.Registry.promote`; also for a name without a version, and an alias that looks misspelt.
    """
    _need_version(registry, reference, "promote")
    found = registry.get(reference)
    _check_alias(alias, found)
    if alias != "production":
        moved = registry.set_alias(found.name, found.number, alias, by=by, why=why)
        return f"{moved.reference} is now {alias} ({moved.digest[:12]})"
    before = find_production(registry, found.name)
    import_from(root)
    conditions = _find_conditions(root, found, warn)
    moved = registry.promote(found.reference, alias, by=by, why=why, conditions=conditions)
    said = moved.note or f"{moved.reference} is now {alias} ({moved.digest[:12]})"
    if conditions and not moved.note:
        told = f"with {format_count(len(conditions), 'condition')} open, which the log has noted:"
        said += "\n" + "\n- ".join([told, *conditions])
    _refresh_fronts(root, warn, moved, before)
    return said


def roll_back(root: Path, registry: Any, name: str, *, by: str, why: str, warn: Warn) -> str:
    """Put the version back that was in production before; as `promote`."""
    before = find_production(registry, name)
    import_from(root)
    moved = registry.rollback(name, by=by, why=why)
    _refresh_fronts(root, warn, moved, before)
    return f"{moved.reference} is in production again ({moved.digest[:12]})"


def reject(root: Path, registry: Any, reference: str, *, by: str, why: str, warn: Warn) -> str:
    """Reject a version for good; as `promote`."""
    _need_version(registry, reference, "reject")
    moved = registry.reject(reference, by=by, why=why)
    _refresh_fronts(root, warn, moved)
    return f"{moved.reference} is rejected ({moved.digest[:12]})"


def _need_version(registry: Any, reference: str, what: str) -> None:
    """Refuse a name without a version: nobody decides on whatever happens to be the newest."""
    name, _, version = reference.partition("@")
    if name and not version:
        raise BadParameter(f"say which version of {name} to {what}; {registry.describe_versions(name)}")


def _find_conditions(root: Path, version: Any, warn: Warn) -> list[str]:
    """Return the conditions that the verdict on a version names; where its run is gone, that is said."""
    from nbkit.report import find_source, read_overview

    try:
        return list(read_overview(find_source(root, version)).conditions)
    except (NbkitError, OSError, ValueError) as error:
        warn(f"the conditions of {version.reference} are not known, and none is noted: {error}")
        return []


def find_production(registry: Any, name: str) -> Any:
    """Return the version that is in production, or None."""
    try:
        return registry.get(f"{name}@production")
    except UnknownVersion:
        return None


def _refresh_fronts(root: Path, warn: Warn, *versions: Any) -> None:
    """Write the front pages again of the runs that registered these versions; what cannot be is said."""
    try:
        from nbkit.report import refresh_versions

        refresh_versions(root, [version.digest for version in versions if version])
    except Exception as error:  # the move is made, and a page that fails does not undo it
        warn(f"a front page could not be written again: {error}; `nbkit report RUN` tries again")


def _check_alias(alias: str, version: Any) -> None:
    """Refuse an alias that looks like a misspelt one: it would set a name and pass by the gates that were meant."""
    from nbkit.registry.replay import STAGES

    if alias in ("candidate", "staging"):
        stage = {"candidate": REGISTER, "staging": DEPLOY}[alias]
        raise GateClosed(f"{alias} is not a name to be given: {stage} sets it where no gate forbids it")
    near = difflib.get_close_matches(alias, STAGES, 1, 0.75)
    if near and alias not in (*STAGES, *version.aliases):
        raise BadParameter(f"no alias {alias!r}{suggest(alias, STAGES)}")
