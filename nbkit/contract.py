"""The rules that a table must keep, and who stands by them; `nbkit.data` checks and infers them."""

import hashlib
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ColumnRule:
    """What one column must be like, and when its value becomes known.

    Parameters
    ----------
    name, type
        The column and one of integer, number, text, datetime, boolean.
    required
        Whether the column must be there.
    max_missing
        The largest share of missing values, 0 to 1.
    min, max
        The range, ends included: a number, or a date as text; None for no bound.
    categories
        The only values allowed; empty for any.
    unique
        Whether no value may come twice.
    description, unit
        For people.
    available_at
        ``known`` (long before the event), ``-2h`` (that long before it), ``event``, ``after``, or ``target``.
    personal
        Whether it tells something about a person: its single values are then withheld from pages.
    severity
        Of what is wrong with values. A missing column and a wrong type always block; a target that is absent or
        missing in every row does not, for labels may come late.
    """

    name: str
    type: str = "text"
    required: bool = True
    max_missing: float = 0.0
    min: Any = None
    max: Any = None
    categories: tuple[Any, ...] = ()
    unique: bool = False
    description: str = ""
    unit: str = ""
    available_at: str = "known"
    severity: str = "blocking"
    personal: bool = field(default=False, repr=False)


@dataclass(frozen=True)
class TableRule:
    """A condition on each row: a DuckDB SQL expression over the columns; where it is NULL it holds."""

    name: str
    expression: str
    severity: str = "blocking"
    description: str = ""


@dataclass(frozen=True)
class Confirmation:
    """Who has gone through a contract and stands by it.

    Parameters
    ----------
    by, on
        The person, and the date as YYYY-MM-DD.
    digest
        Of the terms that were confirmed (`digest_terms`); empty if the lines were written by hand.
    """

    by: str
    on: str
    digest: str = ""


@dataclass(frozen=True)
class Contract:
    """The rules for a table.

    Parameters
    ----------
    columns, rules
        For each column, and across columns.
    keys
        The columns that together identify a row.
    min_rows
        The least number of rows.
    others
        What to do with columns that have no rule: allow, warning, blocking.
    confirmed
        Who stands by it; None while it is only proposed.
    """

    columns: tuple[ColumnRule, ...]
    rules: tuple[TableRule, ...] = ()
    keys: tuple[str, ...] = ()
    min_rows: int = 1
    others: str = "warning"
    description: str = ""
    confirmed: Confirmation | None = None

    @property
    def personal(self) -> list[str]:
        """The names of the columns that tell something about a person."""
        return [rule.name for rule in self.columns if rule.personal]


def describe_column(contract: Contract | None, name: str) -> tuple[str, str]:
    """Return a column's description of the contract, or its name in words, and its unit."""
    rule = next((each for each in (contract.columns if contract else ()) if each.name == name), ColumnRule(str(name)))
    return rule.description.split(";")[0].strip() or rule.name.replace("_", " "), rule.unit


def digest_terms(contract: Contract) -> str:
    """Return a digest of all that a person confirms: columns, when they are known, which are personal, and rules."""
    terms = (contract.columns, contract.rules, contract.keys, contract.min_rows, contract.others)
    personal = repr(contract.personal) if contract.personal else ""  # without one the digest is that of before
    return hashlib.sha256(f"{terms!r}{personal}".encode()).hexdigest()[:16]


def doubt_contract(contract: Contract) -> str:
    """Describe why nobody stands by a contract; empty if somebody does.

    Examples
    --------
    >>> doubt_contract(Contract(()))
    'the contract is proposed, and nobody has confirmed when each column becomes known'
    >>> doubt_contract(Contract((), confirmed=Confirmation("Ann Lee", "2026-11-28")))
    ''
    """
    if contract.confirmed is None:
        return "the contract is proposed, and nobody has confirmed when each column becomes known"
    if contract.confirmed.digest not in ("", digest_terms(contract)):
        return f"the contract has changed since {contract.confirmed.by} confirmed it on {contract.confirmed.on}"
    return ""
