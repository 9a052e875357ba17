"""Single cases told: what moved each prediction, in a sentence, and which one change would turn the decision."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from nbkit.columns import column_kind
from nbkit.contract import Contract, describe_column
from nbkit.errors import BadModel
from nbkit.explanation.attribution import Explanation
from nbkit.explanation.effects import say_points
from nbkit.model.predictions import Predictions, predict_values
from nbkit.stats import Array
from nbkit.wording import suggest

TRIED = 25  # values of a column
STEPS = 200  # to the nearest value that turns a decision


def explain_rows(explanation: Explanation, predictions: Predictions, *, top: int = 6) -> pd.DataFrame:
    """Pick four telling rows among those explained, and list what moved their predictions most.

    Parameters
    ----------
    explanation
        From `explain`.
    predictions
        With the raw rows.
    top
        Columns per row.

    Returns
    -------
    DataFrame
        Columns `case` ("confident and right", "confident and wrong", "at the threshold" or "between classes",
        "typical"; of a regression "closest prediction", "most too high", "most too low"), `row` (index label), `truth`,
        `prediction`, `start` (the prediction before any column is known), `feature`, `value` (as text) and
        `contribution`, the largest first, the last for "all others"; in the unit of `Explanation.in_points`.
    """
    (values, _, bases), o = explanation.in_points(), predictions
    places = pd.Series(np.arange(len(o)), index=o.index)
    names = values.index[~values.index.duplicated()]
    told = o.take(places.loc[names[names.isin(o.index)]].to_numpy())
    raw = pd.DataFrame() if told.rows is None else told.rows
    rows = []
    for case, place, column in _pick_cases(told):
        own, base = values.loc[[told.index[place]]], bases.iloc[0]
        if o.task == "multiclass":
            own, base = own[own["class"] == column].drop(columns="class"), bases[column]
        moved = own.iloc[0].sort_values(key=lambda v: -v.abs(), kind="stable")
        facts = (case, told.index[place], str(raw[o.problem.target].iloc[place]), base + moved.sum(), base)
        rows += [(*facts, name, _show(raw[name].iloc[place]), float(moved[name])) for name in moved.index[:top]]
        rows += [(*facts, "all others", "", float(moved.iloc[top:].sum()))] if len(moved) > top else []
    columns = ["case", "row", "truth", "prediction", "start", "feature", "value", "contribution"]
    return pd.DataFrame(rows, columns=columns)


def describe_cases(
    cases: pd.DataFrame,
    explanation: Explanation,
    predictions: Predictions,
    model: Any,
    *,
    actionable: Sequence[str] = (),
    contract: Contract | None = None,
) -> pd.DataFrame:
    """Tell each case in a sentence, and which single change of an actionable column would turn its decision.

    Parameters
    ----------
    cases
        From `explain_rows`.
    explanation, predictions
        As there.
    model
        The fitted pipeline.
    actionable
        Columns that somebody can change.
    contract
        Its descriptions and units are said.

    Returns
    -------
    DataFrame
        Columns `case`, `sentence` and, where a column is actionable and there is a decision, `change`: a sentence, too.
        Tried are the values of each column among the explained rows, one column at a time; the nearest that turns the
        decision is told. It says what the model would answer, not what would happen.

    Raises
    ------
    BadModel
        If a column of `actionable` is none that the model reads.
    """
    known = [name for name in explanation.importance["feature"] if name in explanation.data]
    for name in (each for each in actionable if each not in known):
        raise BadModel(f"actionable names {name!r}, which the model does not read{suggest(name, known)}")
    unit, rows = explanation.in_points()[1] or describe_column(contract, explanation.target)[1], []
    acts = dict(zip(predictions.index, predictions.label, strict=True)) if predictions.task == "binary" else {}
    for case, part in cases.groupby("case", sort=False):
        first: Any = part.iloc[0]
        named: Any = part[part["feature"] != "all others"].head(3).itertuples()
        half = 0.5 if unit == "points" else 0.0
        moved = [f"{_name(contract, r.feature, r.value)} ({say_points(r.contribution, unit, half)})" for r in named]
        does = {None: "", 1: ", so one acts", 0: ", so one does not act"}[acts.get(first["row"])]
        said = f"The model says {_say(first['prediction'], unit)}{does}; in truth {explanation.target} was "
        said += f"{first['truth']}. From {_say(first['start'], unit)}, it is moved most by {'; '.join(moved)}."
        turns = actionable and predictions.task != "regression"
        change = [_find_change(first["row"], explanation, predictions, model, actionable)] if turns else []
        rows.append((case, said, *change))
    return pd.DataFrame(rows, columns=["case", "sentence", "change"][: len(rows[0]) if rows else 2])


def _name(contract: Contract | None, name: str, value: str) -> str:
    words, unit = describe_column(contract, name)
    return f"{words}: {value} {unit if value != 'missing' else ''}".strip()


def _find_change(row: Any, explanation: Explanation, o: Predictions, model: Any, actionable: Sequence[str]) -> str:
    """Say which nearest value of one actionable column turns the decision about a row."""
    data, own = explanation.data, explanation.data.loc[[row]]
    tried = [(name, value, far) for name in actionable for value, far in _list_values(data[name], own[name].iloc[0])]
    _, label = _ask(model, own, [change[:2] for change in tried], o)
    turned = [(far, place) for place, (_, _, far) in enumerate(tried) if label[place + 1] != label[0]]
    if not turned:
        return f"No single change of {' or '.join(actionable)} within what was seen turns the decision."
    name, value, _ = tried[min(turned)[1]]
    nearest, answer, turned_to = _approach(model, own, (name, value), o)
    then = f"{answer:.1%}, across the threshold of {o.threshold:.1%}"
    then = str(o.classes[turned_to]) if o.task == "multiclass" else then
    return f"With {name} {_show(nearest)} instead of {_show(own[name].iloc[0])} the model would say {then}."


def _approach(model: Any, own: pd.DataFrame, change: tuple[str, Any], o: Predictions) -> tuple[Any, float, int]:
    """Return the value nearest to a row's own that turns the decision as well, and the answer there."""
    name, value = change
    column, kept, between = own[name], own[name].iloc[0], [value]
    if column_kind(column) == "number" and pd.notna(kept):
        steps = np.linspace(float(kept), float(value), STEPS + 1)[1:]
        between = [*(steps.round() if pd.api.types.is_integer_dtype(column) else steps)]
    said, label = _ask(model, own, [(name, each) for each in between], o)
    place = int(np.argmax(label[1:] != label[0]))
    nearest = column.dtype.type(between[place]) if len(between) > 1 else value
    return nearest, float(said[place + 1]), int(label[place + 1])


def _ask(model: Any, own: pd.DataFrame, changes: list[tuple[str, Any]], o: Predictions) -> tuple[Array, Array]:
    """Return the probability (the largest of several) and the class decided on: of a row, then with each change."""
    rows = pd.concat([own] * (len(changes) + 1), ignore_index=True)
    for name in {name for name, _ in changes}:
        kept = own[name].iloc[0]
        values = [kept, *(value if name == each else kept for each, value in changes)]
        rows[name] = pd.Series(values).astype(own[name].dtype)
    said = predict_values(model, rows, o.problem).to_numpy()
    return (said, said >= o.threshold) if said.ndim == 1 else (said.max(axis=1), said.argmax(axis=1))


def _list_values(column: "pd.Series[Any]", own: Any) -> list[tuple[Any, float]]:
    """List values to try, with how far each is from a row's own: in ranks, or 1 for another category."""
    known = column.dropna()
    if column_kind(known) != "number":
        return [(value, 1.0) for value in known.value_counts().index[:TRIED] if value != own]
    values = np.unique(known.quantile(np.linspace(0, 1, TRIED), interpolation="nearest").to_numpy())
    at = (known < own).mean() if pd.notna(own) else 0.5
    return [(value, abs(float((known < value).mean() - at))) for value in values if value != own]


def _show(value: Any) -> str:
    if isinstance(value, float) and pd.notna(value):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return "missing" if pd.isna(value) else str(value)


def _say(value: float, unit: str) -> str:
    return f"{value:.0f}%" if unit == "points" else f"{value:.3g} {unit}".strip()


def _pick_cases(o: Predictions) -> list[tuple[str, int, str]]:
    """Return (case, place, class) of the telling rows."""
    every = np.ones(len(o), dtype=bool)
    if o.task == "regression":
        off, column = o.score - o.truth, np.full(len(o), "", dtype=object)
        far = np.abs(off)
        keys = {"closest prediction": (every, -far), "most too high": (off > 0, off), "most too low": (off < 0, -off)}
        keys["typical"] = every, -np.abs(far - np.median(far))
    else:
        right = o.label == o.truth
        if o.task == "binary":
            sure, place, edge = np.abs(o.score - o.threshold), np.zeros(len(o), dtype=int), "at the threshold"
            middle = o.score
        else:
            ordered = np.sort(o.score, axis=1)
            sure, place, edge = ordered[:, -1] - ordered[:, -2], o.label.astype(int), "between classes"
            middle = ordered[:, -1]
        column = np.array([str(name) for name in o.classes] or [""], dtype=object)[place]
        keys = {"confident and right": (right, sure), "confident and wrong": (~right, sure), edge: (every, -sure)}
        keys["typical"] = every, -np.abs(middle - np.median(middle))
    found = {name: int(np.argmax(np.where(mask, key, -np.inf))) for name, (mask, key) in keys.items() if mask.any()}
    return [(name, place, str(column[place])) for name, place in found.items()]
