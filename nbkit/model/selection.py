"""What may be said of the best of many models: which others it cannot be told from, and how flattered it is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import erfc

from nbkit.errors import BadModel
from nbkit.model.metrics import METRICS, find_metric
from nbkit.model.predictions import Predictions
from nbkit.model.uncertainty import find_freedom, find_lack
from nbkit.stats import Array, bootstrap, t_quantile
from nbkit.wording import describe, format_count, format_estimate, format_value

TOGETHER = 0.96  # not LEVEL: the farthest of few draws is itself uncertain, and 6 % of sweeps would err at 300 rows
BASELINES = {"rule": "today's rule", "dummy": "the dummy"}


@dataclass(frozen=True)
class Selection:
    """The best of several models on the same rows.

    Attributes
    ----------
    best
        Its name.
    table
        Index `model`, the best first; columns `value`, `difference` (by how much the best is better, in units of the
        metric), `low`, `high` (of the difference; the 95 % hold for all pairs of models together, whichever turns out
        the best), `share` (of the resamples in which the model is the best) and `verdict` ("best", "worse" or
        "inconclusive"). Of models that are equally good, one or more is called worse in at most 5 % of cases.
    optimism
        By how much the best value is better than the model would do on other rows, because it was picked for being
        the best on these; in units of the metric.
    """

    best: str
    table: pd.DataFrame
    optimism: float

    def simplest(self, names: Iterable[str]) -> str:
        """Return the first of `names`, given from simple to complex, that is not known to be worse than the best.

        The idea of the one-standard-error rule, with a paired interval instead of a standard error.

        References
        ----------
        Breiman, L., Friedman, J., Olshen, R. and Stone, C. (1984). Classification and Regression Trees. Wadsworth,
        section 3.4.3.
        """
        level = self.table.index[self.table["difference"].notna() & (self.table["verdict"] != "worse")]
        return next((name for name in names if name in level), self.best)


def compare_with_best(models: Mapping[str, Predictions], metric: str = "", *, draws: int = 500) -> Selection:
    """Compare many models with the best of them, all scored on the same resamples.

    Parameters
    ----------
    models
        Name to its predictions, all of the same rows.
    metric
        The problem's own if empty.
    draws
        Resamples of the bootstrap.

    References
    ----------
    Hsu, J. C. (1996). Multiple Comparisons: Theory and Methods. Chapman & Hall, chapters 4 and 5 (the best is picked on
    the same rows, hence the limits of all pairwise comparisons). Tibshirani, R. J. and
    Tibshirani, R. (2009). A bias correction for the minimum error rate in cross-validation. Annals of Applied
    Statistics 3, 822-829.

    Examples
    --------
    >>> from nbkit.problem import Problem
    >>> truth, problem = np.arange(40.0), Problem("price", "regression")
    >>> said = {"near": truth + 1, "far": truth + 9, "nearly": truth + 1 + np.tile([0.1, -0.1], 20)}
    >>> found = compare_with_best({name: Predictions.align(truth, p, problem) for name, p in said.items()})
    >>> found.best, found.table["verdict"].to_dict()
    ('near', {'near': 'best', 'nearly': 'inconclusive', 'far': 'worse'})
    """
    first = next(iter(models.values()))
    problem, n = first.problem, len(first)
    metric = metric or problem.metric
    statistics = {name: find_metric(metric, problem.task).function(each) for name, each in models.items()}
    drawn = bootstrap(statistics, n, draws=draws, seed=problem.seed, groups=first.blocks)
    values = {name: float(statistic(np.ones((1, n)))[0]) for name, statistic in statistics.items()}
    if np.isnan(list(values.values())).all():
        why = getattr(next(iter(statistics.values())), "trouble", "") or "it is not defined on these rows"
        raise BadModel(f"no candidate has a value of {metric}, which decides: {why}")
    seen, turn = np.array(list(values.values())), METRICS[metric].turn
    free = 0.0 if find_lack("", first) else find_freedom(first)
    return _select(list(values), seen, turn(seen), turn(np.stack([drawn[name] for name in values], axis=1)), free)


def _select(names: list[str], values: Array, score: Array, resampled: Array, free: float) -> Selection:
    top = int(np.nanargmax(score))
    known = resampled[np.isfinite(resampled).all(axis=1)]
    difference = score[top] - score
    half = _find_width(score, known, top, free)
    low, high = difference - half, difference + half
    winners = np.argmax(known, axis=1) if len(known) else np.empty(0, dtype=int)
    bias = known - score
    flattery = float(np.mean(bias[np.arange(len(known)), winners]) - np.mean(bias)) if len(known) else np.nan
    verdict = np.where(low > 0, "worse", "inconclusive")
    verdict[top] = "best"
    share = np.bincount(winners, minlength=len(names)) / max(len(known), 1)
    facts = {"value": values, "difference": difference, "low": low, "high": high, "share": share, "verdict": verdict}
    table = pd.DataFrame(facts, index=pd.Index(names, name="model"))
    order = np.argsort(difference, kind="stable")
    order = np.concatenate([[top], order[order != top]])
    return Selection(names[top], table.iloc[order], max(flattery, 0.0))


def _find_width(score: Array, resampled: Array, top: int, free: float) -> Array:
    """Return half the width of limits of the differences to `top` that hold for all pairs of models together."""
    if len(resampled) < 2 or not free:
        return np.full(len(score), np.nan)
    bias = resampled - score
    far = np.zeros(len(resampled))
    for place in range(len(score) - 1):
        off = bias[:, place + 1 :] - bias[:, [place]]
        spread = off.std(axis=0, ddof=1)
        far = np.maximum(far, (np.abs(off[:, spread > 0]) / spread[spread > 0]).max(axis=1, initial=0.0))
    by_chance = erfc(np.quantile(far, TOGETHER) / np.sqrt(2))
    errors = t_quantile(free, 1 - by_chance)  # as far out in the tail, by Student's t
    return np.asarray(errors * np.sqrt(1 + 1 / free) * (bias - bias[:, [top]]).std(axis=0, ddof=1))


def summarize_training(scores: pd.DataFrame, selection: Selection, best: str) -> str:
    """Return the headline of a training.

    Parameters
    ----------
    scores
        The problem's metric on the valid split, one row a candidate, as `nbkit.model.score` returns it.
    selection
        From `compare_with_best`, on the same rows.
    best
        The candidate that goes on.
    """
    table = selection.table
    alike = list(table.index[(table["verdict"] == "inconclusive") & table["difference"].notna()])
    row, metric = scores.to_dict("index")[best], scores.index.name or "metric"
    reached = format_estimate(row["value"], row["low"], row["high"])
    tried = [name for name in scores.index if name not in BASELINES]
    others = [_name(each) for each in alike if each not in (*BASELINES, best)]
    name = _name(best)
    if best != selection.best:
        said = f"{name} is the simplest that is not clearly worse than {_join([_name(selection.best), *others])}"
    elif best in BASELINES:
        said = f"{name} does better than {_join(tried)}" if tried else f"{name} does best"
    else:
        said = f"{name} does best of {_join(tried)}" if len(tried) > 1 else f"{name} is the only candidate"
    said += f": {describe(str(metric))} {reached} on {format_count(int(row['n']), 'validation row')}"
    if best == selection.best and others:
        said += f", a lead over {_join(others)} that may be chance"
    if best != "rule" and "rule" in scores.index:
        constant = "dummy" in scores.index and scores["value"]["rule"] == scores["value"]["dummy"]
        rule = "a constant prediction (no rule is stated)" if constant else BASELINES["rule"]
        said += f"; {rule} {format_value(scores['value']['rule'], row['low'], row['high'])}"
        said += ", not clearly worse" if "rule" in alike else ""
    return f"{said[0].upper()}{said[1:]}."


def _name(candidate: str) -> str:
    return BASELINES.get(candidate, candidate)


def _join(names: Sequence[str]) -> str:
    """Return names as a sentence lists them."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
