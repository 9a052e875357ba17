"""Columns that tell something about a person: which look like it, and their single values withheld from pages."""

import re
from collections.abc import Iterable
from typing import Any

import pandas as pd

from nbkit.contract import Contract
from nbkit.wording import format_count

WITHHELD = "withheld"
KEYS = ("column", "columns", "feature", "name")  # of a table that is about columns: which of them a row is about
WORDS = "e?mail e_mail phone telephone mobile fax address street birth birthday birthdate dob born passport ssn"
WORDS += (
    " social_security national_id tax_id iban credit_card card_number licen[cs]e_plate surname forename username name"
)
NAMED = re.compile(rf"(^|_)({WORDS.replace(' ', '|')})(_|$)")
OTHERWISE = re.compile(r"(product|company|airline|file|brand|model|station|host|country|city|species|event)_name")
HOLDS = re.compile(r"[^@\s]+@[^@\s]+\.[a-zA-Z]+|\+\d[\d ()/-]{6,}\d|\d{3}-\d{2}-\d{4}")  # mail, telephone, SSN


def looks_personal(name: str, values: "pd.Series[Any]") -> bool:
    """Return whether a column seems to tell something about a person, by its name or by what half of its values hold.

    Examples
    --------
    >>> looks_personal("customerEmail", pd.Series(list("abc"))), looks_personal("carrier", pd.Series(list("ABC")))
    (True, False)
    >>> looks_personal("contact", pd.Series(["ann@example.org", "+49 30 901820"]))
    True
    """
    spelt = re.sub(r"(?<=[a-z])(?=[A-Z])|[\s.-]+", "_", name).lower()
    if NAMED.search(spelt) and not OTHERWISE.search(spelt):
        return values.nunique() > 2  # else it says whether there is one
    texts = values.dropna().head(1000).astype("str") if values.dtype.kind not in "iufbM" else pd.Series(dtype="str")
    return bool(len(texts) and texts.str.fullmatch(HOLDS.pattern).mean() >= 0.5)


def withhold(table: pd.DataFrame, contract: Contract, *values: str) -> pd.DataFrame:
    """Put a word in place of the single values of personal columns, for a table that is displayed or handed over.

    Parameters
    ----------
    table
        Rows of the data; or, with `values`, a table with a row for each column.
    contract
        Says which columns are personal.
    *values
        Columns of such a table that hold single values or levels.

    Examples
    --------
    >>> from nbkit.contract import ColumnRule
    >>> contract = Contract((ColumnRule("born", personal=True), ColumnRule("fare")))
    >>> withhold(pd.DataFrame({"born": [1970], "fare": [7.5]}), contract).to_dict("records")
    [{'born': 'withheld', 'fare': 7.5}]
    >>> withhold(pd.DataFrame({"column": ["born", "fare"], "max": [2001, 99]}), contract, "max")["max"].tolist()
    ['withheld', 99]
    """
    if not values:
        return table.assign(**{name: WITHHELD for name in contract.personal if name in table})
    names = next((table[key] for key in KEYS if key in table), table.index)
    about: Any = [not {*contract.personal}.isdisjoint(each if isinstance(each, list) else [each]) for each in names]
    return table.assign(**{name: table[name].astype(object).mask(about, WITHHELD) for name in values if any(about)})


def list_shown(names: Iterable[str], contract: Contract, table: pd.DataFrame) -> list[str]:
    """List the columns of which a page may print levels: all but personal ones that are no numbers."""
    hidden = {each for each in contract.personal if each in table and table[each].dtype.kind not in "iuf"}
    return [name for name in names if name not in hidden]


def describe_withheld(contract: Contract) -> str:
    """Describe how many columns are marked personal.

    Examples
    --------
    >>> from nbkit.contract import ColumnRule
    >>> describe_withheld(Contract((ColumnRule("born", personal=True), ColumnRule("fare"))))
    'Marked personal: 1 column, of which no single value is shown.'
    """
    told = f"Marked personal: {format_count(len(contract.personal), 'column')}, of which no single value is shown."
    return told if contract.personal else "No column is marked personal."
