"""The threshold: what share of the saving that could be had is lost on new rows, from 0.03 % to 50 % of positives."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from nbkit.evaluation import choose_threshold
from nbkit.model import Predictions
from nbkit.problem import Problem

RUNS = 20
SIZES = (
    (0.0003, 30_000),
    (0.003, 3000),
    (0.003, 30_000),
    (0.03, 3000),
    (0.2, 500),
    (0.2, 20_000),
    (0.5, 500),
    (0.5, 5000),
)
RATIOS = (1, 5, 30, 200, 1000)
NEVER = float(np.nextafter(1.0, 2.0))


class World:
    """Scores of two normal populations, the cases two standard deviations higher, read as probabilities in some way."""

    def __init__(self, prevalence: float, ratio: float, kind: str) -> None:
        self.prevalence, self.ratio, self.kind = prevalence, ratio, kind
        self.spread = 1.5 if kind == "wide" else 1.0
        self.grid = np.linspace(-9, 14, 20_001)
        self.scores = self.score(self.grid)

    def score(self, x: Any) -> Any:
        """Turn values into scores: exact probabilities, or such as models really give."""
        exact = logit(self.prevalence) + 2 * x - 2
        odds = {
            "too extreme": 2 * exact,
            "too timid": 0.5 * exact,
            "balanced weights": exact - logit(self.prevalence),
            "a rank": logit(np.clip(norm.cdf(x), 1e-12, 1 - 1e-12)),
            "cube root": 2 * np.cbrt(x - 2) - 2,
            "saturated": np.clip(exact, -20, -1),
        }.get(self.kind, exact)
        score = expit(odds)
        return np.round(score * 100) / 100 if self.kind == "a forest" else score

    def draw(self, n: int, rng: Any) -> tuple[Any, Any]:
        """Draw truth and scores of n rows."""
        y = rng.random(n) < self.prevalence
        noise = rng.standard_normal(n)
        return y, self.score(np.where(y, 2 + self.spread * noise, noise))

    def cost(self, threshold: Any) -> Any:
        """Return the exact cost per new row at thresholds: a false positive costs 1, a false negative `ratio`."""
        place = np.searchsorted(self.scores, threshold, side="left")
        x = np.where(place == 0, -np.inf, np.r_[self.grid, np.inf][place])
        missed = self.prevalence * norm.cdf((x - 2) / self.spread)
        return self.ratio * missed + (1 - self.prevalence) * norm.sf(x)

    @property
    def best(self) -> tuple[float, float]:
        """Return the lowest cost there is, and what it saves against never or always acting, whichever is cheaper."""
        simple = min(self.prevalence * self.ratio, 1 - self.prevalence)
        lowest = min(simple, float(self.cost(np.unique(self.scores)).min()))
        return lowest, simple - lowest


KINDS = (
    "exact",
    "too extreme",
    "too timid",
    "balanced weights",
    "a rank",
    "cube root",
    "saturated",
    "a forest",
    "wide",
)


def lose(method: Callable[[Any, Any, float], float], world: World, n: int, runs: int, seed: int = 0) -> float:
    """Return the share of the possible saving that a method loses on new rows, on average."""
    rng, (lowest, saving) = np.random.default_rng(seed), world.best
    costs = [float(world.cost(method(*world.draw(n, rng), world.ratio))) for _ in range(runs)]
    return (float(np.mean(costs)) - lowest) / saving


def use_nbkit(y: Any, p: Any, ratio: float) -> float:
    """Choose as nbkit does."""
    costs = {"false_positive": 1, "false_negative": ratio}
    return choose_threshold(Predictions.align(y, p, Problem("y", positive=True)), costs, draws=0).threshold


def use_cheapest(y: Any, p: Any, ratio: float) -> float:
    """Take the distinct score that costs least on the given rows."""
    levels = np.unique(np.r_[0.0, p, NEVER])
    cell = np.searchsorted(levels, p)
    missed = np.cumsum(np.bincount(cell, weights=y, minlength=len(levels))) - np.bincount(
        cell, weights=y, minlength=len(levels)
    )
    wrong = np.cumsum(np.bincount(cell, weights=~y, minlength=len(levels))[::-1])[::-1]
    cost = ratio * missed + wrong
    return float(levels[len(levels) - 1 - np.argmin(cost[::-1])])


def use_formula(y: Any, p: Any, ratio: float) -> float:
    """Trust the probabilities."""
    return 1 / (1 + ratio)


METHODS = {"nbkit": use_nbkit, "cheapest score": use_cheapest, "formula": use_formula}


def list_worlds() -> Iterator[tuple[World, int]]:
    """List the problems in which a model can save at least a tenth of what acting never or always costs."""
    for prevalence, n in SIZES:
        for ratio in RATIOS:
            for kind in KINDS:
                world = World(prevalence, ratio, kind)
                if world.best[1] > 0.1 * min(prevalence * ratio, 1 - prevalence):
                    yield world, n


def measure(options: Any) -> list[dict[str, Any]]:
    """Compare the methods over all problems."""
    lost: dict[tuple[str, float, int], list[float]] = {}
    for world, n in list_worlds():
        for name, method in METHODS.items():
            lost.setdefault((name, world.prevalence, n), []).append(lose(method, world, n, RUNS))
    rows = []
    for (name, prevalence, n), values in lost.items():
        others = [np.mean(lost[other, prevalence, n]) for other in METHODS if other != "nbkit"]
        limit = float(min(others)) if name == "nbkit" else np.nan
        what = f"share of the saving lost on new rows, {prevalence:.2%} positives, {n:,} rows: {name}"
        measured = float(np.mean(values))
        rows.append(
            {"what": what, "measured": measured, "limit": limit, "holds": name != "nbkit" or measured <= limit + 0.01}
        )
    return rows
