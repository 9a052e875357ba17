"""Metrics of a project's own: a function of scikit-learn's form becomes an entry among the metrics."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from nbkit.errors import BadParameter
from nbkit.extend import claim, first_line
from nbkit.model.metrics import MEASURES, METRICS, Metric
from nbkit.model.predictions import Predictions
from nbkit.problem import TASKS
from nbkit.stats import Array
from nbkit.wording import suggest

Function = Callable[..., float]


def metric(
    *, better: str, tasks: Sequence[str], needs: str, within: tuple[float, float] = (-np.inf, np.inf)
) -> Callable[[Function], Function]:
    """Make a metric of a function ``(y_true, y_pred)`` or ``(y_true, y_pred, sample_weight)`` that returns a number.

    It is called by the function's name in criteria, `metric` and `metrics`, and described by the first line of its
    docstring. Its intervals come from the bootstrap.

    Parameters
    ----------
    better
        "higher", "lower" or "zero" (the nearer to zero).
    tasks
        What it can score: "binary", "multiclass", "regression".
    needs
        What `y_pred` is: "score" (binary: the probability of the positive class; multi-class: one column a class),
        "label" (the decision; binary: 0 or 1, as `y_true`) or "value" (the predicted number of a regression).
    within
        The least and the largest value there can be, such as ``(0, 1)`` for a share: intervals end there.

    Raises
    ------
    BadParameter
        If an argument is none of these, or nbkit or another module has a metric of that name.

    Examples
    --------
    In ``my_checks.py``, named in the params as ``shared: {use: [my_checks]}``::

        @nbkit.metric(better="lower", tasks=["regression"], needs="value")
        def p90_error(y_true, y_pred):
            \"\"\"Nine of ten predictions are off by less.\"\"\"
            return np.quantile(abs(y_true - y_pred), 0.9)
    """
    tasks = (tasks,) if isinstance(tasks, str) else tuple(tasks)
    allowed = {"better": ("higher", "lower", "zero"), "needs": ("score", "label", "value"), "tasks": TASKS}
    for what, value in [("better", better), ("needs", needs), *(("tasks", task) for task in tasks)]:
        if value not in allowed[what]:
            raise BadParameter(f"@nbkit.metric: {what} is {value!r}{suggest(value, allowed[what])}")
    if not tasks or (needs == "value") != (tasks == ("regression",)):
        raise BadParameter('@nbkit.metric: a regression needs "value", classes need "score" or "label"')

    def add(function: Function) -> Function:
        name = function.__name__
        if name in MEASURES:
            raise BadParameter(f"criteria know {name!r} as something else: rename the metric")
        claim("metric", name, function, METRICS)
        words = first_line(function, name).rstrip(".")
        METRICS[name] = Metric(name, better, needs, partial(Statistic, name, function, needs), tasks, words, within)
        return function

    return add


class Statistic:
    """A metric of a project's own on some rows, as a function of row weights.

    Each row of weights says how often each row of data was drawn, and the function is asked about just these rows: so
    one that takes no `sample_weight`, or does nothing with it, gives true intervals as well.

    Attributes
    ----------
    trouble
        Why it gave no number; empty if it always did.
    """

    def __init__(self, name: str, function: Function, needs: str, predictions: Predictions) -> None:
        self.name, self.function, self.trouble = name, function, ""
        o, classes = predictions, np.asarray(predictions.classes if predictions.task == "multiclass" else (0, 1))
        self.truth = classes[o.truth.astype(int)] if o.problem.is_classification else o.truth
        self.said = classes[o.label.astype(int)] if needs == "label" else o.score
        self.broken = bool(len(o)) and not np.isfinite(self._ask(np.ones(len(o))))

    def __call__(self, weights: Array) -> Array:
        """Return a value for each row of weights; NaN where there is none."""
        if self.broken:
            return np.full(len(weights), np.nan)
        return np.array([self._ask(row) for row in weights])

    def _ask(self, weights: Array) -> float:
        rows = np.repeat(np.arange(len(weights)), np.rint(weights).astype(int))
        try:
            value = float(self.function(self.truth[rows], self.said[rows]))
        except Exception as error:  # anybody's code
            self.trouble = f"{self.name} raised {type(error).__name__}: {error}"
            return float("nan")
        if not np.isfinite(value):
            self.trouble = f"{self.name} gave {value}, which is not a number"
        return value if np.isfinite(value) else float("nan")
