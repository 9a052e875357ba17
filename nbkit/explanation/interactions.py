"""Pairs of columns that act together: by how much a prediction moves beyond what each does by itself."""

import time
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from nbkit.contract import Contract, describe_column
from nbkit.explanation.attribution import Explanation
from nbkit.explanation.effects import cut_rounded, say_points
from nbkit.explanation.served import ask_together, find_output
from nbkit.explanation.usefulness import ALIKE, NOTABLE, find_alike
from nbkit.model.train import draw_rows
from nbkit.problem import Problem
from nbkit.stats import LEVEL, Array, Z, bound_means, normal_quantile
from nbkit.wording import format_count

STRONGEST, SHOWN, CELLS = 6, 3, 6  # columns that are paired; pairs, and parts of each, that are told
FEWEST, PART, TINY = 60, 15, 1e-9  # rows that are too few for a pair, for a part of the table; a share that is none
EDGE = 0.005  # probabilities nearer to 0 or 1 count as so far
SHARE = "{:.1%} of the variance of predictions ({:.1%} to {:.1%})"
PAIRS = ["pair", "first", "second", "share", "low", "high", "size", "notable", "sentence"]
WHERE = ["pair", "where", "n", "effect", "low", "high"]


@dataclass(frozen=True)
class Interactions:
    """Pairs of the strongest columns, and how much they do together.

    Attributes
    ----------
    pairs
        Those that act together at all, the strongest first: `pair`, `first`, `second`, `share` (of the variance of the
        predictions that is due to both together) with `low`, `high` (95 % for all pairs at once), `size` (its root mean
        square, in `unit`), `notable` (certainly more than 2 %) and `sentence`.
    cells
        Of up to three notable pairs, where in the table they do most: `pair`, `where`, `n`, `effect`, `low`, `high`.
    unit
        As of `Explanation.in_points`; of a regression the contract's.
    words
        What was found, or why nothing was looked for.
    """

    pairs: pd.DataFrame
    cells: pd.DataFrame
    unit: str
    words: str


def find_interactions(
    explanation: Explanation,
    model: Any,
    rows: pd.DataFrame,
    problem: Problem,
    *,
    contract: Contract | None = None,
    limit: int = 1000,
    budget_s: float = 4.0,
) -> Interactions:
    """Measure which two of the six strongest columns move predictions by acting together.

    In a row both columns are set to those of another row, and each alone: where the two moves of one column differ, it
    acts together with the other. The model is asked, so this is exact for each row, and 0 where columns are added up;
    the interval is that of the rows. Probabilities of a binary problem are looked at as log-odds, as columns cannot
    add up near 0 and 1, and told in points at the mean slope.

    Parameters
    ----------
    explanation
        From `explain`; says which columns are the strongest. Two that are correlated by 0.7 or more are not paired: no
        row has the one without the other.
    model
        The fitted pipeline.
    rows
        Raw rows, with or without the target.
    problem
        What is predicted.
    contract
        Its unit of the target is told.
    limit
        Rows in which a pair is changed.
    budget_s
        Seconds of CPU that this may take, as far as the time of a first answer tells: the rows are halved until it is
        kept, and with fewer than 60 nothing is looked for.

    References
    ----------
    Liu, R. and Owen, A. B. (2006). Estimating mean dimensionality of analysis of variance decompositions. JASA 101,
    712-721. Friedman, J. H. and Popescu, B. E. (2008). Predictive learning via rule ensembles. Annals of Applied
    Statistics 2, 916-954.
    """
    names: list[str] = list(explanation.importance["feature"].head(STRONGEST))
    alike: Any = find_alike(explanation, model)
    pairs = [(a, b) for a, b in combinations(names, 2) if alike.at[a, b] < ALIKE]
    X = draw_rows(problem.features(rows), 2 * limit, problem.seed)
    X = X.iloc[np.random.default_rng(problem.seed).permutation(len(X))]
    ask, unit, classes = find_output(model, X, problem)
    if unit == "probability" and len(classes) == 1:
        chance, unit = ask, "log-odds"
        ask = lambda rows: special.logit(np.clip(chance(rows), EDGE, 1 - EDGE))  # noqa: E731
    start = time.process_time()
    said, n = ask(X), len(X) // 2
    cost = float(time.process_time() - start) * (1 + (len(pairs) + len(names)) / 2)
    while cost > budget_s and n >= FEWEST:
        cost, n = cost / 2, n // 2
    slope = float((special.expit(said) * special.expit(-said)).mean()) if unit == "log-odds" else 1.0
    scale = 100 * slope if len(classes) == 1 and unit == "log-odds" else 100.0 if unit == "probability" else 1.0
    unit = explanation.in_points()[1] or describe_column(contract, explanation.target)[1]
    if n < FEWEST or not pairs:
        why = f"{FEWEST} rows would take {cost:.1f} s of CPU; a `budget_s` larger than {budget_s:g} s for it buys it"
        why = "there are too few rows" if len(X) < 2 * FEWEST else why if pairs else "no two can be told apart"
        words = f"The strongest columns were not looked at two by two: {why}."
        return Interactions(pd.DataFrame(columns=PAIRS), pd.DataFrame(columns=WHERE), unit, words)
    x, z = X.iloc[:n], X.iloc[n : 2 * n]
    units = None if (blocks := problem.blocks(x)) is None else pd.factorize(blocks)[0]

    moves = [*((name,) for name in names), *pairs]
    changed = (x.assign(**{name: z[name].array for name in each}) for each in moves)
    moved = dict(zip(moves, (said[:n] - each for each in ask_together(ask, changed, n)), strict=True))
    found = []
    for a, b in pairs:
        delta = moved[(a,)] + moved[(b,)] - moved[a, b]
        part = (a, b, *_bound_share(delta, said[: 2 * n], units, len(pairs)), scale * delta)
        found += [part] if part[2] > TINY else []
    found.sort(key=lambda part: -part[2])
    return _tell(found, x, units, unit, [str(name) for name in classes])


def _bound_share(delta: Array, said: Array, units: Array | None, many: int) -> tuple[float, float, float]:
    """Return which share of the variance of outputs comes of both columns together, with limits for so many pairs."""
    off = ((said - said.mean(axis=0)) ** 2).sum(axis=1)
    square, variance = (delta**2).sum(axis=1) / 4, max(float(off.mean()), 1e-300)
    share = float(square.mean()) / variance
    pull = (square - share * off[: len(delta)]) / variance
    _, _, _, low, high = bound_means(pull, np.zeros(len(pull), dtype=int), 1, units)
    half = float(high[0] - low[0]) / 2 * normal_quantile(1 - (1 - LEVEL) / many) / Z
    return share, max(share - half, 0.0), share + half


def _tell(found: list[Any], x: pd.DataFrame, units: Array | None, unit: str, classes: list[str]) -> Interactions:
    rows, parts = list[Any](), list[pd.DataFrame]()
    for a, b, share, low, high, delta in found:
        notable, strongest = low > NOTABLE, int((delta**2).mean(axis=0).argmax())
        size = float(np.sqrt((delta**2).sum(axis=1).mean() / 4))
        cells = _find_cells(x, a, b, delta[:, strongest], units)
        told = f"{a} and {b}: beyond what each does alone they typically move a prediction by "
        told += f"{say_points(size, unit, size / 10)[1:]}, {SHARE.format(share, low, high)}"
        for most in cells[cells["sure"] > 0].head(1).to_dict("records"):
            effect = say_points(most["effect"], unit, (most["high"] - most["low"]) / 2)
            told += f"; most for {most['where']} ({effect}{f' for {classes[strongest]}' if len(classes) > 1 else ''})"
        rows.append((f"{a} and {b}", a, b, share, low, high, size, notable, f"{told}."))
        parts += [cells.assign(pair=f"{a} and {b}")[WHERE]] if notable and len(parts) < SHOWN else []
    pairs = pd.DataFrame(rows, columns=PAIRS)
    many = int(pairs["notable"].sum())
    words = f"Of the strongest columns {format_count(many, 'pair')} {'acts' if many == 1 else 'act'} together notably."
    if not many:
        words = "The model adds its strongest columns up: no two of them act together."
        if rows:
            words = "No two of the strongest columns are shown to act together notably: the most is done by "
            words += f"{rows[0][0]}, {SHARE.format(*rows[0][3:6])}."
    cells = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=WHERE)
    return Interactions(pairs, cells, unit, words)


def _find_cells(x: pd.DataFrame, a: str, b: str, delta: Array, units: Array | None) -> pd.DataFrame:
    """Return the parts of the table, by thirds of numbers and by levels, in which two columns do most together."""
    one, two = (cut_rounded(x[name], 3).astype(str) for name in (a, b))
    codes, where = pd.factorize(f"{a} " + one + f", {b} " + two)
    n, effect, _, low, high = bound_means(delta, codes, len(where), units)
    sure = np.maximum(low, -high)  # by how much it is certainly off 0
    table = pd.DataFrame({"where": where, "n": n, "effect": effect, "low": low, "high": high, "sure": sure})
    table = table[(n >= PART) & np.isfinite(sure)]
    return table.sort_values("sure", ascending=False, kind="stable", ignore_index=True).head(CELLS)
