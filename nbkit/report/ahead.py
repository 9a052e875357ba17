"""What comes next: who may see the report, who has to do what, the fallback, when to train again, what to look at."""

from pathlib import Path

import pandas as pd

from nbkit.lifecycle import VALIDATE
from nbkit.record import RunRecord
from nbkit.registry.verdict import Verdict
from nbkit.report.facts import render_facts
from nbkit.report.scraps import read_or
from nbkit.stats import DETECTABLE, MATERIAL, TOLERANCE, Z


def read_ahead(folder: Path, record: RunRecord, reached: Verdict, since: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """Read who may see the report of a run, and what is to be done next.

    Parameters
    ----------
    folder, record
        The run.
    reached
        The verdict on it.
    since
        From `read_since`.

    Returns
    -------
    tuple
        A sentence on who may see it and what it shows of single rows, empty for a run without a card; and a table of
        what, sentence: empty for a model that is rejected or was never registered.
    """
    from nbkit.data.personal import describe_withheld

    contract = read_or(folder, VALIDATE, "contract", None)
    known = {"withheld": describe_withheld(contract) if contract else "", "bearable": MATERIAL, "tolerance": TOLERANCE}
    known |= {"record": record, "reached": reached, "since": since.to_dict("records")}
    known["detectable"] = DETECTABLE / Z / 2**0.5  # a loss, as a multiple of a score's whole interval
    rows = [line.split("\t") for line in render_facts("ahead.txt.j2", folder, **known) if line.strip()]
    table = pd.DataFrame([row for row in rows if row[0] != "audience"], columns=["what", "sentence"])
    return "".join(row[1] for row in rows if row[0] == "audience"), table
