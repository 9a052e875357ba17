"""Columns that give the target away in company: as a formula, by their levels together, or as a small set."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from nbkit.leakage.codes import judge_ranges
from nbkit.leakage.copies import Found
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

ROWS, WIDEST = 600, 120  # formulas are screened on so many rows, of at most so many columns
LIKELY = 0.85  # what the screen must find of a formula, for it to be checked on held-out rows
KEPT = 30  # formulas of two columns that are tried with a third
KNOWN = 0.3  # the share of rows in which a formula must have a value
CHECKED = 12  # formulas that are checked on held-out rows
EXACT = 0.9995  # no honest measure is a weighted sum of others but for so little
WEIGHED = 0.97  # weights are fitted, so a sum of two honest drivers may well tell 0.95 of a class
LARGEST_SET = 4  # columns that may be a leak together; where more are needed, the problem may just be easy
BINS, LEVELS = 10, 60
FEW_LEVELS, FEW_COLUMNS = 6, 14  # three columns are taken together if they have few levels, and are few

MANY_ROWS = 200  # of fewer, one of thousands of formulas parts the classes of an easy problem by chance
PERFECT_TOGETHER = "predict the target almost perfectly together, look at them"
WITHIN_LEVELS = 6  # columns within whose levels a target's ranks are looked at
WAYS: tuple[Any, ...] = ("pearson", "spearman")
Numbers = dict[str, np.ndarray]
Tried = tuple[float, list[str], str]  # score, columns, words
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


def find_company(sample: Sample) -> list[Found]:
    """Find two to four columns that tell the target too well together, where none of them does it alone.

    Returns
    -------
    list
        At most one row as in `find_leakage`. All columns together being too good is one that is no suspect.
    """
    numbers, texts = _read_numbers(sample.table)
    tried: list[Tried] = []
    for formula in _screen(numbers, texts, sample):
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
    return [(columns, True, _say(score), score, evidence)]


def _say(score: float) -> str:
    return "decide the target together" if score >= 0.9999 else "tell the target almost alone, together"


def _read_numbers(features: pd.DataFrame) -> tuple[Numbers, Numbers]:
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


def _screen(numbers: Numbers, texts: Numbers, sample: Sample) -> list[Formula]:
    """Return the formulas whose order tells the target best on a few rows, as many of each class."""
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
    """Combine a number with each other column by each operator, and measure how well the result tells the target."""
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


def _score(sample: Sample, made: np.ndarray) -> float:
    """Return how well one number tells the target on held-out rows; of a regression also by a straight line."""
    score, known = sample.score(pd.Series(made)), np.isfinite(made)
    if KNOWN <= known.mean() < 1:  # where a part is missing the formula says nothing, and a model says the rest
        score = max(score, sample.take(known).score(pd.Series(made[known])))
    if sample.is_number and known.mean() >= 0.9 and np.ptp(made[known]) > 0:
        pair = pd.DataFrame({"made": made[known], "truth": sample.outcome[known, 0]})
        line, order = (abs(float(pair["made"].corr(pair["truth"], method=way))) for way in WAYS)
        score = max(score, min(line, order) * float(known.mean()))  # heavy tails: a tree cannot follow them
    return score


def _weigh_pairs(numbers: Numbers, sample: Sample) -> list[Tried]:
    """Score the pairs whose best weighted sum, of the numbers or of their logarithms, tells the target best."""
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
    """Score the two, and the three, columns whose levels (numbers in bins) tell the target best together, held out."""
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
    """Find the few columns that a linear or a boosting model needs to tell the target too well; or say that all do."""
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
            return [(chosen, suspect, _say(gain) if suspect else PERFECT_TOGETHER, gain, words)]
    needed = _drop_needless(names, singles, lambda some: score(way, some) >= enough)
    words = f"{way} explains {reached**2:.1%} of the target's variance by {len(needed)} columns"
    exact = sample.is_number and way == "a linear model" and reached >= EXACT
    return [(needed, exact, _say(1.0) if exact else PERFECT_TOGETHER, reached, words)]


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
