"""Full-size simulations: coverage, false alarms and power, a subject a file."""

import importlib
import pkgutil
import time
from collections.abc import Iterator, Sequence
from typing import Any


def list_subjects() -> list[str]:
    """List the subjects, by the names of their files."""
    return sorted(each.name for each in pkgutil.iter_modules(__path__))


def simulate(subjects: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """Simulate subjects, or all; yield rows: subject, what, measured, limit, holds, seconds (of the whole subject)."""
    for subject in subjects or list_subjects():
        start = time.monotonic()
        rows = importlib.import_module(f"benchmarks.truth.{subject}").measure(None)
        seconds = round(time.monotonic() - start)
        yield from ({"subject": subject, **row, "seconds": seconds} for row in rows)


def write_table(rows: Sequence[dict[str, Any]]) -> str:
    """Write rows as a Markdown table."""
    lines = ["| subject | what | measured | limit | holds |", "|---|---|---|---|---|"]
    for row in rows:
        holds = "yes" if row["holds"] else "**no**"
        lines.append(f"| {row['subject']} | {row['what']} | {row['measured']:.3g} | {row['limit']:.3g} | {holds} |")
    return "\n".join(lines)
