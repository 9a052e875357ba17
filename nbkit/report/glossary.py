"""The words of a report: what its terms mean, and what the columns are in the words of the contract."""

from pathlib import Path
from typing import Any

from nbkit.lifecycle import VALIDATE
from nbkit.report.scraps import read_or
from nbkit.report.shell import find_template

TERMS = {
    "95 % interval": "A range that holds the true value in 95 of 100 samples of rows like these. Rows of one day or "
    "one group count as alike where the problem says so. It does not cover what changes afterwards, such as a season.",
    "Average precision": "The share of warnings that are right, averaged over all warning levels.",
    "Baseline, dummy": "A constant prediction that looks at no column. A model that is no better has learned nothing.",
    "Brier score": "The mean squared error of the probabilities; 0 is perfect.",
    "Calibration error (ECE)": "By how much stated probabilities differ from the shares that are observed.",
    "Candidate, staging, production": "The steps of a version: registered and past its release checks; tried out as a "
    "service; approved by a person.",
    "Contract": "What the data has to look like, and when each column becomes known.",
    "Contribution (SHAP value)": "By how much one column moved one prediction away from the average prediction. It "
    "says what the model used, not what causes the outcome.",
    "Drift": "A column is distributed otherwise than in the reference, by more than chance and by enough to matter.",
    "Gate (release check)": "A question that has to be answered by evidence before a version may move on.",
    "Inconclusive": "The rows at hand cannot decide the question either way; more rows may.",
    "Log loss": "How surprised the model is by the truth; lower is better.",
    "PSI": "Population stability index: how differently two samples are spread over the same bins. 0.1 is worth a "
    "look, 0.2 is a clear change.",
    "Permutation importance": "How much worse the model scores on test when one column is shuffled.",
    "q-value": "The share of false alarms to be expected if this finding and all stronger ones are called findings.",
    "ROC AUC": "The chance that a case is ranked above a non-case. 0.5 is chance, 1 is perfect.",
    "Threshold": "The probability from which on one acts.",
    "Today's rule": "What is done without a model: the usual outcome for each combination of a few columns.",
    "Train, valid, test": "Rows to learn from, to choose with, and to judge on. Each look at the test rows makes a "
    "lucky result likelier: the front page says how many runs were judged on them before.",
    "Window": "New rows of one period, as production sends them, which the monitor looks at.",
}


def read_columns(folder: Path) -> list[dict[str, Any]]:
    """Read what the columns mean: name, description, unit, when they are known; those that have a description."""
    contract = read_or(folder, VALIDATE, "contract", None)
    rules = getattr(contract, "columns", ())
    return [
        {"name": rule.name, "meaning": rule.description, "unit": rule.unit, "known": rule.available_at}
        for rule in rules
        if rule.description
    ]


def render_glossary(folder: Path, overview: Any) -> str:
    """Render the page.

    Parameters
    ----------
    folder
        The run.
    overview
        From `nbkit.report.read_overview`.
    """
    title = f"Glossary · {overview.project}"
    columns = read_columns(folder)
    return find_template("glossary.html.j2").render(o=overview, terms=TERMS, columns=columns, title=title)
