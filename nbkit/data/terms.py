"""A contract and what breaks it as a reader meets them: as tables, in sentences, as a full stop."""

from collections.abc import Mapping

import pandas as pd

from nbkit.contract import ColumnRule, Contract
from nbkit.data.contract import check_contract
from nbkit.errors import ContractViolation
from nbkit.wording import say_count


def describe_contract(contract: Contract) -> pd.DataFrame:
    """Return one row a column: what it must be, in words, when it becomes known, and how serious a breach is."""
    rows = [
        {
            "column": rule.name,
            "type": rule.type,
            "must be": _spell(rule),
            "known": rule.available_at,
            "severity": rule.severity,
            "meaning": f"{rule.description} ({rule.unit})" if rule.unit else rule.description,
        }
        for rule in contract.columns
    ]
    rows += [
        {"column": "each row", "type": "", "must be": r.expression, "known": "", "severity": r.severity,
         "meaning": r.description}
        for r in contract.rules
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["column", "type", "must be", "known", "severity", "meaning"])


def check_parts(parts: Mapping[str, pd.DataFrame], contract: Contract) -> pd.DataFrame:
    """Check several tables; the violations of all, with a first column ``part``; blocking ones first."""
    found = [check_contract(table, contract).assign(part=name) for name, table in parts.items()]
    joined = pd.concat(found, ignore_index=True)
    joined = joined[["part", *joined.columns.drop("part")]]
    return joined.sort_values("severity", kind="stable", ignore_index=True)


def judge_violations(violations: pd.DataFrame) -> str:
    """Return ``"blocked"``, ``"warned"`` or ``"clean"``."""
    if (violations["severity"] == "blocking").any():
        return "blocked"
    return "warned" if len(violations) else "clean"


def summarize_violations(violations: pd.DataFrame, contract: Contract, *, rows: int) -> str:
    """Return the headline of a validation over `rows` rows."""
    verdict = judge_violations(violations)
    checked = f"{say_count(rows, 'row')} held to a contract of {_count_terms(contract)}"
    if verdict == "clean":
        return f"{checked}: nothing is broken."
    worst = violations.iloc[0]
    noun = {"blocked": "blocking violation", "warned": "warning"}[verdict]
    count = int((violations["severity"] == worst["severity"]).sum())
    return f"{checked}: {say_count(count, noun)}, first {worst['rule']} of {worst['column'] or 'the table'}."


def _count_terms(contract: Contract) -> str:
    columns, rules = say_count(len(contract.columns), "column"), say_count(len(contract.rules), "rule")
    return f"{columns} and {rules} between columns"


def stop_if_blocking(violations: pd.DataFrame) -> None:
    """Let the run go on unless a violation blocks it.

    Raises
    ------
    ContractViolation
        Naming each blocking violation, how many rows it concerns, and examples.
    """
    blocking = violations[violations["severity"] == "blocking"]
    if len(blocking):
        told = [
            f"{row['part']}: {row['message']}"
            + ("" if row["column"] or not row["examples"] else f": {row['examples']}")
            for row in blocking.to_dict("records")
        ]
        raise ContractViolation(
            f"{say_count(len(blocking), 'blocking violation')}: "
            + "; ".join(told[:8])
            + ". Correct the data, or the contract if its terms are wrong."
        )


def _spell(rule: ColumnRule) -> str:
    words = []
    if rule.min is not None or rule.max is not None:
        low = "…" if rule.min is None else rule.min
        high = "…" if rule.max is None else rule.max
        words.append(f"from {low} to {high}")
    if rule.categories:
        shown = ", ".join(str(each) for each in rule.categories[:6])
        words.append(f"one of {shown}{f' and {len(rule.categories) - 6} more' if len(rule.categories) > 6 else ''}")
    if rule.unique:
        words.append("unique")
    if not rule.required:
        words.append("may be absent")
    words.append("never missing" if not rule.max_missing else f"missing in at most {rule.max_missing:.0%}")
    return ", ".join(words)
