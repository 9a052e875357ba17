"""Columns that give the target away in company: as a formula, by their levels together, or as a small set."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from nbkit.leakage.codes import judge_ranges
from nbkit.leakage.copies import Found
from nbkit.leakage.formulas import KNOWN, LIKELY, WIDEST, Numbers, read_numbers, screen_formulas
from nbkit.leakage.learn import (
    ALMOST_ALONE_NUMBER,
    Sample,
    cell_means,
    encode_table,
    expand_table,
    linear_model,
    numbers_of,
    root_explained,
    small_boosting,
    too_good,
)

EXACT = 0.9995  # no honest measure is a weighted sum of others but for so little
WEIGHED = 0.97  # weights are fitted, so a sum of two honest drivers may well tell 0.95 of a class
LARGEST_SET = 4  # columns that may be a leak together; where more are needed, the problem may just be easy
BINS, LEVELS = 10, 60
FEW_LEVELS, FEW_COLUMNS = 6, 14  # three columns are taken together if they have few levels, and are few
MANY_ROWS = 200  # of fewer, one of thousands of formulas parts the classes of an easy problem by chance
PERFECT_TOGETHER = "predict the target almost perfectly together, look at them"
WITHIN_LEVELS = 6  # columns within whose levels a target's ranks are looked at
WAYS: tuple[Any, ...] = ("pearson", "spearman")
Tried = tuple[float, list[str], str]  # score, columns, words


def find_company(sample: Sample) -> list[Found]:
    """Find two to four columns that predict the target too well together, where none of them does it alone.

    Returns
    -------
    list
        At most one row as in `find_leakage`. All columns together being too good is one that is not a suspect.
    """
    numbers, texts = read_numbers(sample.table)
    tried: list[Tried] = []
    for formula in screen_formulas(numbers, texts, sample):
        score = _score(sample, formula.compute({**numbers, **texts}))
        tried.append((score, list(formula.columns), str(formula)))
    tried += _weigh_pairs(numbers, sample)
    tried += _find_levels(sample)
    if sample.is_number:
        tried += _find_within(numbers, sample)
    told = [one for one in tried if one[0] >= too_good(sample.task)]
    if not told:
        return _find_set(sample)
    score, columns, words = max(told, key=lambda one: (-len(one[1]), one[0]))
    evidence = f"{words} explains {score**2:.1%} of the target's variance"
    if not sample.is_number and len(sample.target) < MANY_ROWS:
        return [(columns, False, PERFECT_TOGETHER, score, evidence)]
    return [(columns, True, _describe(score), score, evidence)]


def _describe(score: float) -> str:
    return "determine the target together" if score >= 0.9999 else "predict the target almost alone, together"


def _score(sample: Sample, made: np.ndarray) -> float:
    """Return how well one number predicts the target on held-out rows; of a regression also by a straight line."""
    score, known = sample.score(pd.Series(made)), np.isfinite(made)
    if KNOWN <= known.mean() < 1:  # where a part is missing the formula says nothing, and a model says the rest
        score = max(score, sample.take(known).score(pd.Series(made[known])))
    if sample.is_number and known.mean() >= 0.9 and np.ptp(made[known]) > 0:
        pair = pd.DataFrame({"made": made[known], "truth": sample.outcome[known, 0]})
        line, order = (abs(float(pair["made"].corr(pair["truth"], method=way))) for way in WAYS)
        score = max(score, min(line, order) * float(known.mean()))  # heavy tails: a tree cannot follow them
    return score


def _weigh_pairs(numbers: Numbers, sample: Sample) -> list[Tried]:
    """Score the pairs whose best weighted sum, of the numbers or of their logarithms, predicts the target best."""
    tried: list[Tried] = []
    logs = {name: np.log(made) for name, made in numbers.items() if np.nanmin(made) > 0}
    for words, known in {"a weighted sum of {} and {}": numbers, "a product of powers of {} and {}": logs}.items():
        names = list(known)
        if len(names) < 2:
            continue
        matrix = np.array([np.where(np.isnan(made), np.nanmean(made), made) for made in known.values()])
        truth = sample.outcome - sample.outcome.mean(axis=0)
        if known is logs and sample.is_number and float(sample.target.min()) > 0:
            truth = np.log(sample.target.to_numpy(dtype="float64"))[:, None]
            truth = truth - truth.mean()
        both = np.corrcoef(matrix)[:, :, None]
        with np.errstate(all="ignore"):
            z = (matrix - matrix.mean(axis=1, keepdims=True)) / matrix.std(axis=1, keepdims=True)
            r = z @ (truth / np.maximum(truth.std(axis=0), 1e-12)) / len(truth)  # names x classes
            one, other = r[:, None, :], r[None, :, :]
            shared = (one**2 + other**2 - 2 * one * other * both) / (1 - both**2)
        shared = np.where(np.abs(both) > 1 - 1e-9, 0.0, np.nan_to_num(shared)).max(axis=2)
        for place in np.argsort(np.triu(shared, 1), axis=None)[::-1][:3]:
            i, j = np.unravel_index(place, shared.shape)
            if shared[i, j] < LIKELY**4:  # a threshold of a sum of normal numbers has 0.64
                break
            column = int(np.nanargmax(np.abs(r[i]) + np.abs(r[j])))
            weights = np.linalg.lstsq(z[[i, j]].T, truth[:, column], rcond=None)[0]
            pair = [names[i], names[j]]
            tried.append((_score(sample, weights @ z[[i, j]]), pair, words.format(*pair)))
    return [one for one in tried if one[0] >= WEIGHED]


def _find_within(numbers: Numbers, sample: Sample) -> list[Tried]:
    """Score the numbers that tell the rank, or the range, of a target within the levels of another column."""
    found: list[Tried] = []
    ranks, values = pd.DataFrame(numbers, index=sample.target.index).rank(), sample.target
    whole: dict[Any, float] = ranks.corrwith(values.rank()).abs().to_dict()
    counts = sample.table.nunique()
    for level in counts.index[(counts >= 2) & (counts <= min(LEVELS, len(values) // 20))][:WITHIN_LEVELS]:
        inside = values.groupby(sample.table[level].astype("str")).rank(pct=True)
        scores: dict[Any, float] = ranks.drop(columns=level, errors="ignore").corrwith(inside).abs().to_dict()
        for name, score in scores.items():
            told = score >= max(ALMOST_ALONE_NUMBER, whole[name] + 0.02)
            coarse = score > max(LIKELY, whole[name]) and ranks[name].nunique() <= LEVELS
            if told or (coarse and judge_ranges(ranks[name], inside, sample.seed)):
                words = f"the rank of the target within each {level} follows from {name}, which"
                found.append((max(score, ALMOST_ALONE_NUMBER), [level, name], words))
    return found


def _find_levels(sample: Sample) -> list[Tried]:
    """Score the two, and the three, columns whose levels (numbers in bins) together predict held-out targets best."""
    codes = {name: _code(column) for name, column in sample.table.items()}
    names = [name for name, made in codes.items() if 2 <= len(np.unique(made)) <= LEVELS][:WIDEST]
    few = [name for name in names if codes[name].max() < FEW_LEVELS][:FEW_COLUMNS]
    found: list[Tried] = []
    for several, base in ((combinations(names, 2), LEVELS), (combinations(few, 3), FEW_LEVELS)):
        best: tuple[float, tuple[Any, ...], Any] = (0.0, (), None)
        for chosen in several:
            cells = codes[chosen[0]]
            for name in chosen[1:]:
                cells = cells * base + codes[name]
            best = max(best, (sample.score_cells(cells), chosen, cells), key=lambda one: one[0])
        if best[1]:
            guess = np.zeros_like(sample.outcome)
            for fold in np.unique(sample.folds):
                held = sample.folds == fold
                guess[held] = cell_means(best[2], sample.outcome, ~held)[held]
            words = f"each combination of {', '.join(best[1])}"
            found.append((root_explained(sample.outcome, guess), list(best[1]), words))
    return found


def _code(column: "pd.Series[Any]") -> np.ndarray:
    numbers = numbers_of(column)
    if numbers is not None and len(np.unique(numbers)) > BINS * 2:
        bins = pd.qcut(pd.Series(numbers).rank(method="average"), BINS, labels=False, duplicates="drop")
        return bins.fillna(BINS).to_numpy().astype(int)
    return pd.factorize(column.astype("str").where(column.notna(), ""))[0]


def _find_set(sample: Sample) -> list[Found]:
    """Find the few columns that a linear or a boosting model needs to predict the target too well, or all of them."""
    names, enough = list(sample.table.columns), too_good(sample.task)
    if len(names) < 2 or sample.outcome.shape[1] > 20:
        return []
    thirds = replace(sample, folds=sample.folds % 3)
    ways = {
        "a linear model": (linear_model(sample.task), expand_table),
        "a boosting model": (small_boosting(sample.task, sample.seed, len(sample.target)), encode_table),
    }

    def score(way: str, columns: list[str]) -> float:
        model, encode = ways[way]
        return root_explained(sample.outcome, thirds.predict(model, encode(sample.table[columns])))

    reached, way = max(((score(way, names), way) for way in ways), key=lambda one: one[0])
    if reached < enough:
        return []
    singles = {name: score(way, [name]) for name in names}
    chosen: list[str] = []
    while len(chosen) < min(LARGEST_SET, len(names)):
        rest = sorted((name for name in names if name not in chosen), key=lambda name: -singles[name])[:10]
        gain, best = max(((score(way, [*chosen, name]), name) for name in rest), key=lambda one: one[0])
        chosen.append(best)
        if gain >= enough:
            words = f"{way} on {', '.join(map(str, chosen))} explains {gain**2:.1%} of the target's variance"
            suspect = gain >= max(WEIGHED, enough)
            return [(chosen, suspect, _describe(gain) if suspect else PERFECT_TOGETHER, gain, words)]
    needed = _drop_needless(names, singles, lambda some: score(way, some) >= enough)
    words = f"{way} explains {reached**2:.1%} of the target's variance by {len(needed)} columns"
    exact = sample.is_number and way == "a linear model" and reached >= EXACT
    return [(needed, exact, _describe(1.0) if exact else PERFECT_TOGETHER, reached, words)]


def _drop_needless(names: list[str], singles: dict[str, float], enough: Callable[[list[str]], bool]) -> list[str]:
    """Leave out the columns that are not needed, the weakest first, many at a time and then one by one."""
    kept = sorted(names, key=lambda name: singles[name])
    size = len(kept) // 2
    while size:
        place = 0
        while place < len(kept):
            fewer = kept[:place] + kept[place + size :]
            if fewer and enough(fewer):
                kept = fewer
            else:
                place += size
        size //= 2
    return [name for name in names if name in kept]
