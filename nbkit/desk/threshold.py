"""The threshold and the costs, moved by hand: money against today's rule, cases found, warnings right, groups."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nbkit.desk.change import Change, find_params, make_asker, plan_change, read_given
from nbkit.desk.face import Face, guard, tell
from nbkit.desk.parts import label, make_page, tabulate, thin
from nbkit.errors import BadParameter
from nbkit.evaluation import choose_threshold
from nbkit.lifecycle import EVALUATE, FRAME
from nbkit.model.costs import price_rows, read_costs
from nbkit.model.predictions import Predictions
from nbkit.model.uncertainty import bound_draws, find_lack
from nbkit.slicing import cut_slices
from nbkit.stats import Array, bound_shares, draw_weights
from nbkit.wording import format_estimate, format_share

DRAWS = 200
MOVED = ("false_positive", "false_negative")
RATES = ("acted on", "cases found", "warnings right")
NOTHING = "There is nothing to set: a class or a number is a decision already, and has no threshold."


class Threshold(Face):
    """A slider for the threshold and a field for each cost.

    Parameters
    ----------
    predictions
        The model's. Give those of the valid split: a threshold chosen on the test rows would flatter them.
    today
        Of the same rows, by today's rule at its own threshold.
    costs
        As in `nbkit.evaluation.choose_threshold`.
    protected
        Columns whose groups are compared.
    currency, name
        What costs are counted in, and what decides today.
    files
        The params files, as `nbkit.Run.files` lists them.
    """

    def __init__(
        self, predictions: Predictions, today: Predictions, costs: Mapping[str, float], *,
        protected: Sequence[str] = (), currency: str = "units", name: str = "today's rule", files: Sequence[Path] = (),
    ) -> None:  # fmt: skip
        (self.predictions, self.sampled), (self.today, _) = thin(predictions), thin(today)
        self.currency, self.name, self.files = currency, name, files
        self.settable = predictions.task == "binary"
        if not self.settable:
            return
        self.start, self.threshold = predictions.threshold, predictions.threshold
        self.given, self.costs = read_costs(costs, "binary"), read_costs(costs, "binary")
        self._lack = find_lack("cost_per_row", self.predictions)
        self._units, self._weights = _draw_units(self.predictions)
        self._groups: dict[str, tuple[Array, list[str]]] = {"": (np.zeros(len(self.predictions), int), ["all rows"])}
        for each in protected:
            cut = cut_slices(self.predictions.column(each, "to compare groups by"))
            self._groups[each] = cut.cat.codes.to_numpy(), list(cut.cat.categories)

    def weigh(self, threshold: float, costs: Mapping[str, float]) -> dict[str, float]:
        """Return what `nbkit.evaluation.compare_costs` says of today's rule, in milliseconds.

        Parameters
        ----------
        threshold, costs
            To be tried.

        Returns
        -------
        dict
            `difference` (per row, below 0 the model is cheaper), `low`, `high` (95 %).

        Notes
        -----
        The resamples of blocks are drawn once, and only sums of blocks are weighed, by the same draws as there. Rows
        that are independent need no draws: the standard error of a mean is known.
        """
        o = self.predictions.at(threshold)
        off = price_rows(o, costs) - price_rows(self.today, costs)
        value = float(off.mean())
        if self._lack:
            return {"difference": value, "low": np.nan, "high": np.nan}
        if self._weights is None:
            error = float(off.std()) / np.sqrt(len(off))
            drawn = value + error * np.array([-1.0, 1.0]) / np.sqrt(2)
        else:
            sums, sizes = np.bincount(self._units, weights=off), np.bincount(self._units)
            drawn = (self._weights @ sums) / (self._weights @ sizes)
        low, high = bound_draws(value, drawn, o)
        return {"difference": value, "low": low, "high": high}

    def list_rates(self, threshold: float, column: str = "") -> pd.DataFrame:
        """Return the share acted on, of cases found, and of warnings that are right, each with its 95 % interval.

        Parameters
        ----------
        threshold
            To be tried.
        column
            A protected column, each group of which has a row; if empty there is one row for all.
        """
        o, (codes, names) = self.predictions.at(threshold), self._groups[column]
        hits, acted, told = o.truth.astype(bool), o.label.astype(bool), {}
        for words, part, among in zip(RATES, (acted, acted, hits), (np.ones(len(o), bool), hits, acted), strict=True):
            blocks = None if o.blocks is None else o.blocks[among]
            n, value, _, low, high = bound_shares(part[among], codes[among], len(names), blocks)
            shares = [format_share(*each) for each in zip(value, low, high, strict=True)]
            told[words] = np.where(n, shares, "–")
        return pd.DataFrame(told, index=pd.Index(names, name=column or None))

    def _save(self, threshold: float) -> tuple[float, float, float]:
        """Return what a threshold saves on all rows at the costs as they stand, with its interval."""
        found = self.weigh(threshold, self.costs)
        saved, low, high = (-len(self.predictions) * found[key] for key in ("difference", "high", "low"))
        return saved, low, high

    def say(self, threshold: float) -> str:
        """Say what a threshold saves against today's rule, at the costs as they stand."""
        (saved, low, high), n = self._save(threshold), len(self.predictions)
        verb = "saves" if saved >= 0 else "costs"
        ends = (low, high) if saved >= 0 else (-high, -low)
        sure = "by more than chance" if low > 0 or high < 0 else "not by more than chance" if low <= 0 <= high else ""
        told = format_estimate(abs(saved), *ends, self.currency)
        said = f"From {threshold:.3g} on: {verb} {told} against {self.name} on {n:,} rows"
        return f"{said}, {sure or self._lack}."

    def html(self) -> str:
        """Return what holds at the threshold as it stands, and at others around it."""
        if not self.settable:
            return tell(NOTHING)
        tried = sorted({round(float(each), 3) for each in np.linspace(0.1, 0.9, 9)} | {self.threshold})
        rows = []
        for each in tried:
            mark = " (set)" if each == self.threshold else ""
            told = {"from": f"{each:.3g}{mark}", f"saves, {self.currency}": format_estimate(*self._save(each))}
            rows.append(told | self.list_rates(each).iloc[0].to_dict())
        parts = [tabulate(pd.DataFrame(rows), f"{self.say(self.threshold)} {self.sampled}".strip())]
        for column in filter(None, self._groups):
            parts.append(tabulate(self.list_rates(self.threshold, column), f"By {column}, as set:"))
        return "".join(parts)

    def plan(self) -> Change:
        """Plan to put what was moved into the params file: the threshold into 07, the costs into 01.

        Of costs all go there that the file lacks: one that is not named in it would count 0.
        """
        wanted = {EVALUATE: "threshold"} if self.threshold != self.start else {}
        wanted |= {FRAME: "costs"} if self.costs != self.given else {}
        if not wanted:
            raise BadParameter("nothing was moved, so the params file stays as it is")
        found = [find_params(self.files, *each) for each in wanted.items()]
        path = max(found, key=list(self.files).index)  # what a later file says counts
        threshold = ([EVALUATE, "threshold"], round(self.threshold, 6))
        values: list[tuple[list[str], Any]] = [threshold] if EVALUATE in wanted else []
        if FRAME in wanted:
            held = read_given(path, FRAME, "costs") or {}
            values += [([FRAME, "costs", key], cost) for key, cost in self.costs.items() if held.get(key, 0) != cost]
        return plan_change(path, values)

    def build(self) -> Any:
        """Return the slider, the fields, what they lead to, and the way into the params file."""
        import ipywidgets

        if not self.settable:
            return ipywidgets.HTML(tell(NOTHING))
        first = float(np.clip(self.start, 0, 1))
        slider = label("FloatSlider", "Act from", value=first, min=0, max=1, step=0.001, readout_format=".3f")
        fields = {key: label("FloatText", f"A {key.replace('_', ' ')} costs", value=self.costs[key]) for key in MOVED}
        column = label("Dropdown", "Groups of", options=[each for each in self._groups if each])
        fitting = {"width": "auto", "align_self": "flex-start"}
        best = ipywidgets.Button(description="Where it costs least", layout=fitting)
        shown = make_page("18em")

        def show(*_: Any) -> None:
            self.costs |= {key: float(field.value) for key, field in fields.items()}
            still = abs(slider.value - first) <= slider.step / 2  # a browser moves a value to the nearest step
            self.threshold = self.start if still else slider.value
            shares = [self.list_rates(self.threshold, each) for each in dict.fromkeys(["", column.value or ""])]
            shown.value = tell(f"{self.say(self.threshold)} {self.sampled}".strip()) + tabulate(pd.concat(shares))

        def seek(*_: Any) -> None:
            slider.value = min(choose_threshold(self.predictions, self.costs, draws=0).threshold, 1.0)

        for each in (slider, *fields.values(), column):
            each.observe(guard(shown, show), "value")
        best.on_click(guard(shown, seek))
        show()
        groups = [column] if len(self._groups) > 1 else []
        return ipywidgets.VBox([slider, *fields.values(), *groups, best, shown, make_asker(self.plan)])


def _draw_units(o: Predictions) -> tuple[Array, Array | None]:
    """Return the block of each row and how often each block was drawn; none where rows are independent."""
    if o.blocks is None:
        return np.arange(len(o)), None
    units = pd.factorize(o.blocks)[0]
    return units, np.concatenate(list(draw_weights(int(units.max()) + 1, DRAWS, o.problem.seed)))
