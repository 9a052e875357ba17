"""What only a person can say: that a score is honest, that rows have no order, and what the model is for."""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from nbkit.errors import BadParameter
from nbkit.wording import suggest

CONFIRMABLE = ("not_too_good_to_be_true", "split_respects_order")
KEYS = ("gate", "by", "on", "why", "columns")
COLUMNS = ["gate", "by", "on", "why", "columns"]
CARD = {  # what a model card needs of people: entry of 01's `card` -> what is asked
    "intended_users": "who is meant to use the predictions",
    "audience": "who may see this report",
    "out_of_scope": "what the model must not be used for",
    "human_oversight": "who watches it, who can overrule it, and what is done when it fails",
    "ethical_considerations": "whom a wrong answer harms, and what is done about it",
    "contact": "whom to ask",
    "licence": "on what terms the model and its data may be used",
}
EXAMPLE = '{gate: not_too_good_to_be_true, by: Ann Lee, on: 2026-11-28, why: "measured at admission", columns: [age]}'


def read_confirmations(stated: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Read what a person has confirmed.

    Parameters
    ----------
    stated
        One mapping each: ``gate`` (not_too_good_to_be_true or split_respects_order), ``by`` (a name), ``on`` (a date as
        YYYY-MM-DD), ``why`` (a reason) and ``columns``, where the gate names columns.

    Returns
    -------
    DataFrame
        gate, by, on, why, columns (a list of names).

    Raises
    ------
    BadParameter
        If one cannot be read.

    Examples
    --------
    >>> said = {"gate": "split_respects_order", "by": "Ann", "on": "2026-11-28", "why": "the file was sorted by name"}
    >>> read_confirmations([said])["by"].tolist()
    ['Ann']
    """
    rows = []
    for number, one in enumerate(stated, start=1):
        where = f"confirmed, item {number}"
        if not isinstance(one, Mapping):
            raise BadParameter(f"{where}: {one!r} is not a mapping such as {EXAMPLE}")
        for key in one:
            if key not in KEYS:
                raise BadParameter(f"{where}: no key {key!r}{suggest(str(key), KEYS)}")
        text = {key: str(one.get(key) or "").strip() for key in ("gate", "by", "on", "why")}
        if text["gate"] not in CONFIRMABLE:
            raise BadParameter(f"{where}: no person can open gate {text['gate']!r}{suggest(text['gate'], CONFIRMABLE)}")
        if lacking := [key for key in ("by", "why") if not text[key]]:
            raise BadParameter(f"{where}: {' and '.join(lacking)} must not be empty, as in {EXAMPLE}")
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text["on"]) or not _is_past(text["on"]):
            raise BadParameter(f"{where}: on must be a date up to today such as 2026-11-28, not {text['on']!r}")
        columns = one.get("columns") or []
        if not isinstance(columns, list | tuple):
            raise BadParameter(f"{where}: columns must be a list of names, not {columns!r}")
        rows.append((*text.values(), [str(name) for name in columns]))
    return pd.DataFrame(rows, columns=COLUMNS)


def read_card(written: Mapping[str, str], required: Sequence[str] = ()) -> pd.DataFrame:
    """Read what people wrote for the model card.

    Parameters
    ----------
    written
        Entry of `CARD` to text.
    required
        The entries without which no model is approved.

    Returns
    -------
    DataFrame
        entry, asked, text (empty where nothing is written), required.

    Raises
    ------
    BadParameter
        If there is no such entry; with the nearest name.

    Examples
    --------
    >>> read_card({"contact": "models@example.org"}, ["licence"]).query("required")["asked"].tolist()
    ['on what terms the model and its data may be used']
    """
    for name, entries in (("card", written), ("card_required", required)):
        for entry in entries:
            if entry not in CARD:
                raise BadParameter(f"{name}: there is no entry {entry!r}{suggest(str(entry), CARD)}")
    rows = [(entry, asked, str(written.get(entry) or "").strip(), entry in required) for entry, asked in CARD.items()]
    return pd.DataFrame(rows, columns=["entry", "asked", "text", "required"])


def _is_past(date: str) -> bool:
    try:
        return dt.date.fromisoformat(date) <= dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)  # any time zone
    except ValueError:
        return False


def find_confirmation(confirmed: pd.DataFrame | None, gate: str, columns: Sequence[str] = ()) -> str:
    """Return who has opened a gate and why, in words; empty if nobody has, or not for all of these columns."""
    mine = confirmed[confirmed["gate"] == gate].to_dict("records") if confirmed is not None else []
    if not mine or not set(columns) <= {name for one in mine for name in one["columns"]}:
        return ""
    return "; ".join(f"confirmed by {one['by']} on {one['on']}: {one['why']}" for one in mine)


def list_unstated(stated: Mapping[str, Any], task: str) -> list[str]:
    """List what a person has not stated, each as what to do.

    Parameters
    ----------
    stated
        objective, decision, owner, rule, rule_in_words, costs and criteria, as 01 has them, and `card`, if anything of
        it is required, as `read_card` gives it.
    task
        ``binary``, ``multiclass`` or ``regression``; costs are asked for but of several classes.

    Returns
    -------
    list of str
        Empty if all is stated.

    Examples
    --------
    >>> list_unstated({"objective": "Fewer no-shows", "decision": "Call", "owner": "Ann"}, "multiclass")
    ['state `rule_in_words`: what is done today, even if that is nothing', 'state `criteria`: when is it good enough']
    """
    asked = {
        "objective": "what is to become better",
        "decision": "what is done differently because of a prediction",
        "owner": "who takes that decision",
        "rule_in_words": "what is done today, even if that is nothing",
        "criteria": "when is it good enough",
        "costs": "what each error costs",
    }
    if task == "multiclass":
        del asked["costs"]
    found = []
    for name, words in asked.items():
        given = stated.get(name)
        if name == "rule_in_words":
            given = given or stated.get("rule")
        if not (len(given) if given is not None and not isinstance(given, str) else str(given or "").strip()):
            found.append(f"state `{name}`: {words}")
    lacking = [] if stated.get("card") is None else stated["card"].query("required and text == ''").to_dict("records")
    return [*found, *(f"state `card.{row['entry']}`: {row['asked']}" for row in lacking)]
