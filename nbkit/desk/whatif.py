"""One row, its columns moved by hand: what the model says now, what moved it there, and how unusual the row is."""

import time
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from nbkit.contract import Contract
from nbkit.data.personal import withhold
from nbkit.desk.face import Face, attempt, guard, tell
from nbkit.desk.parts import MOST, Later, label, make_page, tabulate
from nbkit.errors import BadModel, BadParameter
from nbkit.explanation import Explanation, explain
from nbkit.model.predictions import predict_values
from nbkit.model.train import draw_rows
from nbkit.problem import Problem

BACKGROUND, FEWER = 40, 11  # rows against which one is explained; of a slow model so few that it is never left out
STRONGEST, TOLD, LEVELS, STEPS = 30, 8, 200, 200
TAIL = 0.01  # on either side of what is usual
SLOW = 2.0  # seconds of an explanation, beyond which it is not made at each move
BUDGET = 2.0  # seconds of CPU for an explanation


class WhatIf(Face):
    """One row to play with.

    Parameters
    ----------
    model
        The fitted pipeline, or a registered version such as ``flights@1``.
    rows
        Raw rows to pick from.
    problem
        What is predicted.
    contract
        Single values of its personal columns are withheld from the static twin.
    train
        What the model has learned from: it says what is usual. Without, `rows` do.
    explanation
        Of this model, for the order of the columns; without, a small one is made.
    threshold
        From which probability on to act.
    registry
        Where versions are found.
    """

    def __init__(
        self, model: Any, rows: pd.DataFrame, problem: Problem, contract: Contract | None = None, *,
        train: pd.DataFrame | None = None, explanation: Explanation | None = None, threshold: float = 0.5,
        registry: str | Path = "registry",
    ) -> None:  # fmt: skip
        self._model, self.problem, self.contract, self.registry = model, problem, contract or Contract(()), registry
        whole = problem.features(rows if train is None else train)
        self.train = draw_rows(whole, MOST, problem.seed)
        self.sampled = f" (a sample of {MOST:,} of its {len(whole):,} rows)" if len(whole) > MOST else ""
        self.rows = problem.features(rows)[[name for name in rows.columns if name in self.train]]
        self.keys = [name for name in problem.keys if name in rows]
        self._keyed = rows[self.keys]  # which are seldom features
        self.threshold, self._given = threshold, explanation
        self._took = -2.0
        self.pick(0)

    @cached_property
    def model(self) -> Any:
        """The fitted pipeline, loaded once."""
        if not isinstance(self._model, str):
            return self._model
        from nbkit.registry import Registry

        return Registry(str(self.registry), create=False).load(self._model)

    @cached_property
    def columns(self) -> list[str]:
        """The columns that the model reads, the strongest first; all of them where it cannot be explained."""
        try:
            known = self._given or explain(self.model, self.train, self.problem, limit=200, budget_s=BUDGET)
            return [name for name in known.importance["feature"] if name in self.rows]
        except BadModel:
            return [str(name) for name in self.rows.columns]

    def pick(self, place: int) -> None:
        """Take a row by its place; `BadParameter` if there is none."""
        if not 0 <= place < len(self.rows):
            raise BadParameter(f"there is no row {place}: the places go from 0 to {len(self.rows) - 1}")
        self.place, self.row = place, self.rows.iloc[[place]].copy()

    def find(self, text: str) -> int:
        """Return the place of the row with a key, its parts with commas between; `BadParameter` if there is none."""
        parts = [part.strip() for part in text.split(",")]
        if len(parts) != len(self.keys):
            raise BadParameter(f"a key is written {', '.join(self.keys)}")
        same = np.ones(len(self._keyed), dtype=bool)
        for name, part in zip(self.keys, parts, strict=True):
            same &= (self._keyed[name].astype("str") == part).to_numpy()
        if not same.any():
            raise BadParameter(f"no row has the key {text}")
        return int(np.argmax(same))

    def set(self, column: str, value: Any) -> None:
        """Give the row another value in a column; None for a missing one."""
        values = pd.Series([value], index=self.row.index, dtype=object)
        try:
            values = values.astype(self.rows[column].dtype)
        except (TypeError, ValueError):
            values = pd.Series([np.nan if value is None else value], index=self.row.index)
        self.row = self.row.assign(**{column: values})

    def predict(self, row: pd.DataFrame | None = None) -> tuple[float, str]:
        """Return what the model says, a probability or a value, and of which class; of several the likeliest."""
        with threadpool_limits(1):  # threads cost more than one row
            said = predict_values(self.model, self.row if row is None else row, self.problem)
        if isinstance(said, pd.DataFrame):
            name = said.iloc[0].idxmax()
            return float(said[name].iloc[0]), str(name)
        return float(said.iloc[0]), str(self.problem.positive) if self.problem.task == "binary" else ""

    def say(self) -> str:
        """Say what the model predicts for the row as it stands, and for the row as it was."""
        (now, name), (before, was) = self.predict(), self.predict(self.rows.iloc[[self.place]])
        target = f"{self.problem.target}{f' is {name}' if name else ''}"
        said = f"Row {self.place}: {'probability that ' if name else ''}{target}{':' if name else ' is'} {_tell(now)}"
        if self.problem.task == "binary":
            said += f", so {'act' if now >= self.threshold else 'do not act'} (from {self.threshold:.3g} on)"
        return f"{said}; the row as it is in the data: {_tell(before)}{f' for {was}' if was != name else ''}."

    def explain(self) -> pd.DataFrame:
        """Return what moved the prediction most: feature, value, moved (in the unit of `Explanation.in_points`)."""
        for size in (BACKGROUND, FEWER):
            others = draw_rows(self.train, size, self.problem.seed)
            rows = pd.concat([others, self.row], ignore_index=True)
            with threadpool_limits(1):
                found = explain(self.model, rows, self.problem, limit=len(rows), budget_s=BUDGET)
            values, unit, _ = found.in_points()
            if len(rows) - 1 in values.index:
                break
        own = values.loc[[len(rows) - 1]]
        own = own[own["class"] == self.predict()[1]].drop(columns="class") if "class" in own else own
        moved = own.iloc[0].sort_values(key=lambda each: -each.abs(), kind="stable")
        told = {"feature": moved.index, "value": [_show(self.row[name].iloc[0]) for name in moved.index]}
        return pd.DataFrame(told | {f"moved {unit}".strip(): moved.to_numpy().round(4)})

    def list_unusual(self) -> pd.DataFrame:
        """List the columns in which the row lies outside the central 98 % of train: feature, value, as extreme."""
        parts = [(name, _show(self.row[name].iloc[0]), self._rate(name)) for name in self.columns]
        rows = [(name, value, f"{100 * share:.2g} %") for name, value, share in parts if share < TAIL]
        return pd.DataFrame(rows, columns=["feature", "value", "share of train as extreme"])

    def _rate(self, name: str) -> float:
        """Return the share of train as extreme as the row: on the same side of the middle, or of the same level."""
        value, known = self.row[name].iloc[0], self.train[name].dropna()
        if pd.isna(value) or not len(known):
            return float(self.train[name].isna().mean())
        if known.dtype.kind in "iufM":
            return float(min((known >= value).sum(), (known <= value).sum()) / len(self.train))
        return float((known == value).sum() / len(self.train))

    def html(self) -> str:
        """Return what holds of the row as it stands, without single values of personal columns; or what went wrong."""
        said, why = attempt(lambda: tell(self.say())), attempt(lambda: self._tabulate(self.explain(), hide=True))
        return said + (why if why != said else "")

    def _tabulate(self, moved: pd.DataFrame, *, hide: bool) -> str:
        odd, hidden = self.list_unusual(), self.contract if hide else Contract(())
        usual = f"the central {1 - 2 * TAIL:.0%} of train{self.sampled}"
        said = f"Unusual: outside {usual} in {len(odd)} of {len(self.columns)} columns."
        parts = [tabulate(withhold(moved.head(TOLD), hidden, "value"), "What moved it most:")]
        return "".join([*parts, tabulate(withhold(odd, hidden, "value"), said) if len(odd) else tell(said)])

    def build(self) -> Any:
        """Return the choice of a row, a control for each strong column, and what the model makes of them."""
        import ipywidgets

        said, why = make_page("4.5em"), make_page("26em")
        controls = ipywidgets.VBox(layout={"max_height": "22em", "overflow": "auto"})
        place = ipywidgets.BoundedIntText(0, min=0, max=len(self.rows) - 1, description="Row")
        key = ipywidgets.Text(description="or key", continuous_update=False, placeholder=", ".join(self.keys))
        more = ipywidgets.Combobox(description="Column", placeholder="search for another", continuous_update=False)
        reset, ask = (ipywidgets.Button(description=each) for each in ("Reset", "What moved it"))
        shown = list[str]()

        def show_why(*_: Any) -> None:
            start = time.perf_counter()
            why.value = self._tabulate(self.explain(), hide=False)
            self._took = time.perf_counter() - start

        later = Later(guard(why, show_why), why)

        def show(column: str = "", value: Any = None) -> None:
            if column:
                self.set(column, value)
            said.value = tell(self.say())
            if self._took <= SLOW:
                later()
            else:
                why.value = tell(f"To say what moved it takes {self._took:.0f} s: press “What moved it”.")

        def fill() -> None:
            shown[:] = shown or self.columns[:STRONGEST]
            more.options = [name for name in self.columns if name not in shown]
            controls.children = [_make_control(self, name, guard(said, show)) for name in shown]
            show()

        def start(*_: Any) -> None:
            self.pick(place.value)
            fill()

        def seek(change: Any) -> None:
            said.value = tell("working: the row is looked for…")
            place.value = self.find(change["new"])
            show()

        def add(*_: Any) -> None:
            if more.value in more.options:
                shown.insert(0, more.value)
                more.value = ""
                fill()

        place.observe(guard(said, start), "value")
        key.observe(guard(said, seek), "value")
        more.observe(guard(said, add), "value")
        reset.on_click(guard(said, start))
        ask.on_click(guard(why, show_why))
        guard(said, fill)()
        asked = [place, *([key] if self.keys else []), reset, ask]
        head = ipywidgets.HBox(asked, layout=ipywidgets.Layout(flex_flow="row wrap"))
        extra = [more] if more.options else []
        return ipywidgets.VBox([head, said, controls, *extra, why])


def _make_control(face: WhatIf, name: str, tell_value: Any) -> Any:
    """Return a slider within the training range, or a list of the known levels, which can also say "missing"."""
    known = face.train[name].dropna()
    if number := known.dtype.kind in "iuf":
        known = known[np.isfinite(known)]
    make = _make_slider if number and len(known) else _make_list
    return make(name, face.row[name].iloc[0], known, lambda value: tell_value(name, value))


def _make_list(name: str, value: Any, known: "pd.Series[Any]", told: Any) -> Any:
    levels = list(known.value_counts().index[:LEVELS])
    if known.dtype.kind == "M":
        levels = list(known.sort_values().iloc[np.linspace(0, len(known) - 1, LEVELS).astype(int)].unique())
    options = {_show(each): each for each in [*levels, *([] if pd.isna(value) else [value])]} | {"missing": None}
    chosen = label("Dropdown", name, options=list(options), value=_show(value))
    chosen.observe(lambda change: told(options[change["new"]]), "value")
    return chosen


def _make_slider(name: str, value: Any, known: "pd.Series[Any]", told: Any) -> Any:
    import ipywidgets

    absent, whole = bool(pd.isna(value)) or not np.isfinite(value), bool((known % 1 == 0).all())
    now = known.median() if absent else value
    low, high = min(known.min(), now), max(known.max(), now)
    high = high if high > low else low + 1
    form: dict[str, Any]
    if whole := whole and now % 1 == 0:
        form = {"value": int(now), "min": int(low), "max": int(high), "step": 1}
    else:
        step = float(high - low) / STEPS
        low = now - step * np.floor((now - low) / step)  # so that the value as it is in the data is a step
        form = {"value": float(now), "min": float(low), "max": float(high), "step": step, "readout_format": ",.4r"}
    slider = label("IntSlider" if whole else "FloatSlider", name, disabled=absent, **form)
    gap = ipywidgets.Checkbox(absent, description="missing", indent=False, layout=ipywidgets.Layout(width="7em"))

    def change(*_: Any) -> None:
        slider.disabled = gap.value
        still = not absent and abs(slider.value - now) <= slider.step / 2  # a browser moves a value to the nearest step
        told(None if gap.value else value if still else slider.value)

    for each in (slider, gap):
        each.observe(change, "value")
    return ipywidgets.HBox([slider, gap], layout={"flex_flow": "row wrap", "flex": "0 0 auto"})


def _tell(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _show(value: Any) -> str:
    if value is None or pd.isna(value):
        return "missing"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
