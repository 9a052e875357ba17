"""A cohort built of conditions by hand, measured against the rest, and kept as a slice of every later run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nbkit.contract import Contract
from nbkit.data.personal import WITHHELD
from nbkit.desk.change import Change, find_params, make_asker, plan_change
from nbkit.desk.face import Face, guard, tell
from nbkit.desk.parts import Later, make_page, tabulate, thin
from nbkit.errors import BadParameter
from nbkit.evaluation.cohorts import OPERATORS, OTHERS, describe_cohort, find_cohort
from nbkit.evaluation.slices import judge_slices
from nbkit.lifecycle import EVALUATE
from nbkit.model import score
from nbkit.model.predictions import Predictions
from nbkit.problem import Problem
from nbkit.wording import describe, format_count, format_estimate

FEW, DRAWS, CONDITIONS, OFFERED = 20, 50, 3, 30
METRICS = {"binary": ("recall", "precision"), "multiclass": ("accuracy",), "regression": ("mae", "bias")}


class ErrorExplorer(Face):
    """Up to three conditions that make a cohort, and how predictions do in it.

    Parameters
    ----------
    predictions
        Whose truth is known.
    rows
        The raw rows by the index of the predictions, where these carry none.
    problem
        What is predicted.
    columns
        That conditions may be on; all without.
    min_rows
        Fewer rows are shown and not judged.
    conditions
        To begin with, as in `nbkit.evaluation.find_cohort`.
    files
        The params files, as `nbkit.Run.files` lists them.
    contract
        Of its personal columns no value is said.
    """

    def __init__(
        self, predictions: Predictions, rows: pd.DataFrame | None, problem: Problem, *, columns: Sequence[str] = (),
        min_rows: int = 100, conditions: Sequence[dict[str, Any]] = (), files: Sequence[Path] = (),
        contract: Contract | None = None,
    ) -> None:  # fmt: skip
        self.predictions, self.sampled = thin(predictions)
        known, index = self.predictions.rows, self.predictions.index
        if known is None:
            known = pd.DataFrame(index=index) if rows is None else rows.loc[index]
        self.rows = known
        self.columns = [name for name in columns or self.rows.columns if name != problem.target]
        self.personal = contract.personal if contract else []
        self.metrics = list(dict.fromkeys([problem.metric, *METRICS[problem.task]]))
        self.min_rows, self.files, self.conditions, self.name = min_rows, files, list(conditions), ""

    def measure(self) -> tuple[str, pd.DataFrame]:
        """Return what is to be said of the cohort, and a row for each metric: in it, and in the rest."""
        inside = find_cohort(self.rows, self.conditions)
        if not self.conditions:
            return "No condition is set, so these are all rows.", self._score(inside, "all rows")
        n, whole = int(inside.sum()), len(inside)
        personal = [each for each in self.conditions if "value" in each and each["column"] in self.personal]
        shown = [each | {"value": WITHHELD} if each in personal else each for each in self.conditions]
        said = f"{describe_cohort(shown)}: {format_count(n, 'row')} of {whole:,}"
        if not n or n == whole:
            return f"{said}; there is nothing to compare. {self.sampled}".strip(), pd.DataFrame()
        judged = judge_slices(self.predictions, [np.flatnonzero(inside)], min_rows=self.min_rows).iloc[0]
        words = {"worse": "predictions are off there beyond the whole and beyond chance",
                 "not worse": "nothing shows that predictions are off there beyond the whole"}  # fmt: skip
        said += f"; {words.get(judged['verdict'], 'too few to judge')}. {self.sampled}"
        return said.strip(), self._score(inside, "these rows").join(self._score(~inside, "the rest"))

    def _score(self, which: Any, name: str) -> pd.DataFrame:
        part = self.predictions.take(np.flatnonzero(which))
        found = score(part, self.metrics, draws=DRAWS)
        told = [format_estimate(*row) for row in found[["value", "low", "high"]].itertuples(index=False)]
        return pd.DataFrame({name: told}, index=[describe(each) for each in found.index])

    def html(self) -> str:
        """Return how predictions do in the cohort as it stands."""
        said, table = self.measure()
        return tabulate(table, said) if len(table) else tell(said)

    def offer(self, column: str) -> list[str]:
        """Return values that a condition on a column may name: levels, the most frequent first, or quantiles."""
        values = self.rows[column].dropna()
        if values.nunique() > OFFERED and values.dtype.kind in "iuf":
            return [f"{value:g}" for value in np.unique(values.quantile(np.linspace(0, 1, 11)))]
        return [f"{v:g}" if isinstance(v, float) else str(v) for v in values.value_counts().index[:OFFERED]]

    def read(self, column: str, how: str, text: str) -> dict[str, Any]:
        """Return a condition from what somebody has typed."""
        if how in ("missing", "known"):
            return {"column": column, "op": how}
        texts = [part.strip() for part in (text.split(",") if how == "in" else [text])]
        numbers = self.rows[column].dtype.kind in "iuf" if column in self.rows else False
        values = [_to_number(each) if numbers else each for each in texts]
        return {"column": column, "op": how, "value": values if how == "in" else values[0]}

    def plan(self) -> Change:
        """Plan to put the cohort into the params file, as a slice that 07 measures each time."""
        if not self.conditions or not self.name.strip():
            raise BadParameter("a slice needs a name and at least one condition")
        find_cohort(self.rows.head(FEW), self.conditions)
        keys = (EVALUATE, "cohorts", self.name.strip())
        return plan_change(find_params(self.files, *keys[:2]), [(keys, self.conditions)])

    def build(self) -> Any:
        """Return the conditions, what holds in the cohort, and the way into the params file."""
        import ipywidgets

        shown = make_page("14em")
        lines = [self._build_condition(place) for place in range(CONDITIONS)]
        name = ipywidgets.Text(description="Save as", placeholder="name of the slice", continuous_update=False)

        def show(*_: Any) -> None:
            shown.value = self.html()

        later = Later(guard(shown, show), shown)

        def collect(*_: Any) -> None:
            asked = [[part.value for part in line.children] for line in lines]
            whole = [each for each in asked if each[0] and (each[2] or each[1] in ("missing", "known"))]
            self.conditions = [self.read(*each) for each in whole]
            later()

        for line in lines:
            for part in line.children:
                part.observe(guard(shown, collect), "value")
        name.observe(lambda change: setattr(self, "name", change["new"]), "value")
        show()
        return ipywidgets.VBox([*lines, shown, name, make_asker(self.plan)])

    def _build_condition(self, place: int) -> Any:
        import ipywidgets

        now = self.conditions[place] if place < len(self.conditions) else {}
        given = now.get("value", "")
        text = ", ".join(map(str, given)) if isinstance(given, list) else str(given)
        words = {"description": f"Column {place + 1}", "placeholder": "type to search", "continuous_update": False}
        column = ipywidgets.Combobox(value=str(now.get("column", "")), options=self.columns, **words)
        how = ipywidgets.Dropdown(options=[*OPERATORS, *OTHERS], value=now.get("op", "=="), description="is")
        value = ipywidgets.Combobox(value=text, options=[], continuous_update=False, description="value")

        def offer(*_: Any) -> None:
            value.options = self.offer(column.value) if column.value in self.rows else []

        column.observe(offer, "value")
        offer()
        return ipywidgets.HBox([column, how, value], layout=ipywidgets.Layout(flex_flow="row wrap"))


def _to_number(text: str) -> float | int | str:
    try:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError:
        return text
