"""A feature may only use what is known when the prediction is made."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from nbkit.errors import BadParameter, LeakedFeature
from nbkit.problem import LEAD
from nbkit.wording import suggest

if TYPE_CHECKING:
    from nbkit.contract import Contract

REMEDY = "Leave them out of the lists of 05_features in the params"
UNITS = {"min": "min", "m": "min", "h": "h", "d": "D", "w": "W", "s": "s"}


def read_lead(lead: str) -> pd.Timedelta:
    """Read how long before the event something happens.

    Parameters
    ----------
    lead
        Such as ``2h``, ``90min``, ``1d``; empty for none.

    Raises
    ------
    BadParameter
        If it cannot be read.

    Examples
    --------
    >>> read_lead("2h")
    Timedelta('0 days 02:00:00')
    """
    match = LEAD.fullmatch(lead.strip() or "0h")
    if not match:
        raise BadParameter(f"lead {lead!r} cannot be read; write it as 2h, 90min or 1d")
    return pd.Timedelta(float(match[1]), UNITS[match[2]])  # type: ignore[arg-type]


def usable_columns(contract: "Contract", *, lead: str = "") -> list[str]:
    """List the columns that are known in time.

    Parameters
    ----------
    contract
        Says when each column becomes known.
    lead
        How long before the event the prediction is made.
    """
    ahead = read_lead(lead)
    return [rule.name for rule in contract.columns if not _explain(rule.available_at, ahead)]


def refuse_leaks(columns: Sequence[str], contract: "Contract", *, lead: str = "", remedy: str = REMEDY) -> None:
    """Raise if a column is not known when the prediction is made.

    Parameters
    ----------
    columns
        What the features are made of.
    contract
        Says when each column becomes known.
    lead
        How long before the event the prediction is made.
    remedy
        How to leave them out.

    Raises
    ------
    LeakedFeature
        Names each such column, when it becomes known, and what to do.
    """
    ahead = read_lead(lead)
    moments = {rule.name: rule.available_at for rule in contract.columns}
    lines = []
    for column in dict.fromkeys(columns):
        if column not in moments:
            words = f"the contract does not say when it becomes known{suggest(column, moments, most=0)}"
            lines.append(f"{column}: {words}; add it with its available_at")
        elif reason := _explain(moments[column], ahead):
            lines.append(f"{column}: {reason}")
    if lines:
        when = f"{lead} before the event" if lead else "at the event"
        raise LeakedFeature(
            f"predictions are made {when}, and these are not known by then:\n  "
            + "\n  ".join(lines)
            + f"\n{remedy}, or correct available_at in the contract if it is wrong."
        )


def _explain(moment: str, ahead: pd.Timedelta) -> str:
    """Describe why a column known at ``moment`` comes too late; empty if it does not."""
    if moment == "target":
        return "it is the target"
    if moment == "after":
        return "known only after the event"
    if moment == "event":
        return "known only at the event" if ahead > pd.Timedelta(0) else ""
    if moment.startswith("-") and read_lead(moment[1:]) < ahead:
        return f"known only {moment[1:]} before the event"
    return ""
