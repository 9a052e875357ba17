"""Who approved the version that a run registered, what has become of it since, and whether it was rejected."""

from pathlib import Path
from typing import Any

from nbkit.errors import NbkitError
from nbkit.record import RunRecord
from nbkit.report.scraps import REGISTER, read_or


def read_approval(folder: Path, record: RunRecord) -> tuple[str, str]:
    """Say who has approved the version that a run registered, and who has rejected it.

    Parameters
    ----------
    folder, record
        Of the run.

    Returns
    -------
    tuple of str and str
        Who has promoted it, when and why, and what has become of that, or that nobody has; then who has rejected it,
        when and why, empty if nobody has.
    """
    reference = str(read_or(folder, REGISTER, "version", ""))
    if not reference:
        return "", ""
    place = str(record.parameters.get(REGISTER, {}).get("registry", "registry"))
    root = Path(record.root or folder.parent.parent)
    from nbkit.registry import Registry

    try:
        events = Registry(place if "://" in place else str(root / place), create=False).history(
            reference.partition("@")[0]
        )
    except (NbkitError, OSError, ValueError) as error:
        return f"Who approved it cannot be read: {error}", ""
    said, rejected = _tell_moves(reference, events.to_dict("records"))
    return "; ".join(said) or f"Nobody has approved {reference} for production{'' if rejected else ' yet'}.", rejected


def _tell_moves(reference: str, events: list[dict[Any, Any]]) -> tuple[list[str], str]:
    """Tell the last approval of a version with what came after it, and its rejection."""
    name, _, number = reference.partition("@")
    said: list[str] = []
    rejected, here = "", False
    for event in events:
        who = f"by {event['by']} on {str(event['time'])[:10]}"
        kind, mine = event["event"], str(event["number"]) == number
        if mine and kind == "promote":
            said = [f"{reference} was approved for production {who}: {event['why']}"]
        elif mine and kind == "rollback":
            said.append(f"brought back to production {who}: {event['why']}")
        elif mine and kind == "reject":
            rejected = f"{reference} was rejected {who}: {event['why']}"
            said += [f"rejected {who}: {event['why']}"] if said else []
        elif here and kind == "promote":
            said.append(f"replaced by {name}@{event['number']} {who}")
        elif here and kind == "rollback":
            said.append(f"rolled back {who}: {event['why']}")
        here = mine if kind in ("promote", "rollback") else here
    return said, rejected
