"""Formulas of two and three columns, screened by how well their order predicts the target on a few rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from nbkit.leakage.learn import Sample, numbers_of

ROWS, WIDEST = 600, 120  # formulas are screened on so many rows, of at most so many columns
LIKELY = 0.85  # what the screen must find of a formula, for it to be checked on held-out rows
KEPT = 30  # formulas of two columns that are tried with a third
KNOWN = 0.3  # the share of rows in which a formula must have a value
CHECKED = 12  # formulas that are checked on held-out rows
Numbers = dict[str, np.ndarray]
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "{a} + {b}": lambda a, b: a + b,
    "{a} - {b}": lambda a, b: a - b,
    "{a} * {b}": lambda a, b: a * b,
    "{a} / {b}": lambda a, b: a / np.where(b == 0, np.nan, b),
    "{b} / {a}": lambda a, b: b / np.where(a == 0, np.nan, a),
    "|{a} - {b}|": lambda a, b: np.abs(a - b),
    "max({a}, {b})": np.fmax,
    "min({a}, {b})": np.fmin,
}
CHAINED = tuple(OPERATORS)[:5]  # what a third column may complete
EQUAL, WITHIN = "{a} equals {b}", "{b} minus its mean for each {a}"


@dataclass(frozen=True)
class Formula:
    """Two or three columns and the operators between them, from the left."""

    columns: tuple[str, ...]
    operators: tuple[str, ...]

    def compute(self, numbers: Numbers) -> np.ndarray:
        """Return its value for each row; not a number where it has none."""
        with np.errstate(all="ignore"):
            made = numbers[self.columns[0]]
            for operator, name in zip(self.operators, self.columns[1:], strict=True):
                if operator == WITHIN:
                    made = numbers[name] - pd.Series(numbers[name]).groupby(made).transform("mean").to_numpy()
                elif operator == EQUAL:
                    made = (made == numbers[name]).astype("float64")
                else:
                    made = OPERATORS[operator](made, numbers[name])
            return np.asarray(made, dtype="float64")

    def __str__(self) -> str:
        words = str(self.columns[0])
        for operator, name in zip(self.operators, self.columns[1:], strict=True):
            left = f"({words})" if " " in words and words != str(self.columns[0]) else words
            words = operator.format(a=left, b=name)
        return words


def read_numbers(features: pd.DataFrame) -> tuple[Numbers, Numbers]:
    """Return the columns of numbers and dates, and those of text as codes that are equal where texts are."""
    numbers: Numbers = {}
    texts: dict[str, pd.Series[Any]] = {}
    for name in features.columns.tolist():
        made = numbers_of(features[name])
        if made is None:
            texts[name] = features[name].astype("str")
        elif len(np.unique(made[~np.isnan(made)])) > 1 and len(numbers) < WIDEST:
            numbers[name] = made
    known = pd.Index(pd.unique(pd.concat(list(texts.values())))) if texts else pd.Index([])
    codes = {name: known.get_indexer(pd.Index(column)).astype("float64") for name, column in list(texts.items())[:40]}
    return numbers, codes


def screen_formulas(numbers: Numbers, texts: Numbers, sample: Sample) -> list[Formula]:
    """Return the formulas whose order predicts the target best on a few rows, as many of each class."""
    random = np.random.default_rng(sample.seed)
    if sample.is_number:
        some = random.permutation(len(sample.outcome))[:ROWS]
    else:
        each = max(10, ROWS // sample.outcome.shape[1])
        some = np.concatenate([random.permutation(np.flatnonzero(column))[:each] for column in sample.outcome.T])
        some = random.permutation(some)
    drawn = {name: made[some] for name, made in {**numbers, **texts}.items()}
    names, few = list(numbers), sample.take(some)
    pairs: list[tuple[float, Formula]] = []
    for place, name in enumerate(names):
        others = names[place + 1 :]
        for operator, scores in _apply_all(drawn[name], others, drawn, few):
            best = scores.argsort()[::-1][:KEPT]
            pairs += [(float(scores[other]), Formula((name, others[other]), (operator,))) for other in best]
    for formula in _list_texts(names, list(texts), drawn):
        pairs.append((float(_agree(formula.compute(drawn)[None, :], few)[0]), formula))
    pairs.sort(key=lambda one: -one[0])
    longer: list[tuple[float, Formula]] = []
    for _, formula in [one for one in pairs if one[1].operators[0] in CHAINED][:KEPT]:
        others = [name for name in names if name not in formula.columns]
        for operator, scores in _apply_all(formula.compute(drawn), others, drawn, few):
            place = int(scores.argmax())
            chained = Formula((*formula.columns, others[place]), (*formula.operators, operator))
            longer.append((float(scores[place]), chained))
    longer.sort(key=lambda one: -one[0])
    best_ones = [*pairs[:CHECKED], *longer[: CHECKED // 2]]
    return [formula for agreement, formula in best_ones if agreement >= LIKELY]


def _apply_all(made: np.ndarray, others: list[str], drawn: Numbers, sample: Sample) -> Iterator[tuple[str, np.ndarray]]:
    """Combine a number with each other column by each operator, and measure how well the result predicts the target."""
    if others:
        rest = np.array([drawn[name] for name in others])
        with np.errstate(all="ignore"):
            for operator, combine in OPERATORS.items():
                yield operator, _agree(np.asarray(combine(made[None, :], rest)), sample)


def _list_texts(names: list[str], texts: list[str], drawn: Numbers) -> list[Formula]:
    """List whether two texts are equal, and how far numbers are from their mean for each level of a text."""
    made = [Formula(pair, (EQUAL,)) for pair in combinations(texts, 2)]
    few = [text for text in texts if len(np.unique(drawn[text])) < len(drawn[text]) / 4]
    return made + [Formula((text, name), (WITHIN,)) for text in few for name in names[:40]]


def _agree(values: np.ndarray, sample: Sample) -> np.ndarray:
    """Return for each row of a matrix how well its order tells the outcome: |rank correlation|, or |2 ROC AUC - 1|.

    Where a value is missing nothing is asked; 0 where most are.
    """
    ranks, known = _rank(values), np.isfinite(values)
    enough = known.mean(axis=1) >= KNOWN
    outcome = sample.outcome
    if sample.is_number:
        truth = _rank(outcome.T)[0] - 0.5
        agreement = np.abs(np.where(known, ranks - 0.5, 0) @ truth) / np.maximum(known @ truth**2, 1e-12)
        return np.asarray(np.where(enough, agreement, 0))
    inside, sizes = ranks @ outcome, known @ outcome
    outside = (ranks.sum(axis=1, keepdims=True) - inside) / np.maximum(known.sum(axis=1, keepdims=True) - sizes, 1)
    agreement = np.abs(2 * (inside / np.maximum(sizes, 1) - outside)).max(axis=1)
    return np.asarray(np.where(enough, agreement, 0))


def _rank(values: np.ndarray) -> np.ndarray:
    """Rank the known values of each row of a matrix from 0 to 1; ties by place (the rows come shuffled), missing 0."""
    order = np.where(np.isfinite(values), values, -np.inf).argsort(axis=1, kind="stable")
    gone = values.shape[1] - np.isfinite(values).sum(axis=1, keepdims=True)
    places = np.empty(values.shape)
    np.put_along_axis(places, order, np.broadcast_to(np.arange(values.shape[1]), values.shape), axis=1)
    return np.asarray(np.maximum(places - gone, 0) / np.maximum(values.shape[1] - gone - 1, 1))
