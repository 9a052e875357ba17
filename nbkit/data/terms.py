"""What breaks a contract, as a reader meets it: in several tables, in a sentence, as a full stop."""

from collections.abc import Mapping

import pandas as pd

from nbkit.contract import Contract
from nbkit.data.contract import check_contract
from nbkit.errors import ContractViolation
from nbkit.wording import format_count


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
    columns, rules = format_count(len(contract.columns), "column"), format_count(len(contract.rules), "rule")
    checked = f"{format_count(rows, 'row')} checked against the data contract, {columns} and {rules} between columns"
    if verdict == "clean":
        return f"{checked}: no rule is violated."
    worst = violations.iloc[0]
    noun = {"blocked": "blocking violation", "warned": "warning"}[verdict]
    count = int((violations["severity"] == worst["severity"]).sum())
    told = f"{worst.get('part', '')}, {worst['message'].partition(', such as ')[0]}".removeprefix(", ")
    return f"{checked}: {format_count(count, noun)} ({told}{'; …' if count > 1 else ''})."


def stop_if_blocking(violations: pd.DataFrame) -> None:
    """Let the run go on unless a violation blocks it.

    Raises
    ------
    ContractViolation
        Naming each blocking violation, how many rows it concerns, and examples.
    """
    blocking = violations[violations["severity"] == "blocking"]
    if len(blocking):
        told = []
        for row in blocking.head(8).to_dict("records"):
            examples = "" if row["column"] or not row["examples"] else f": {row['examples']}"
            told.append(f"{row['part']}: {row['message']}{examples}")
        words = f"{format_count(len(blocking), 'blocking violation')}: {'; '.join(told)}"
        raise ContractViolation(f"{words}. Correct the data, or the contract if its terms are wrong.")
