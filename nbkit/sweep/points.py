"""The points of a sweep: every combination of listed values, or draws from lists and ranges."""

import itertools
import json
import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nbkit.errors import BadParameter
from nbkit.stages.params import read_setting
from nbkit.wording import format_count

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
RANGE = re.compile(rf"(?:(log)?\()?\s*({NUMBER})\s*\.\.\s*({NUMBER})\s*\)?")
MOST = 10_000  # points of one sweep
TRIES = 100  # draws for a point that was not drawn before

Point = dict[str, Any]


@dataclass(frozen=True)
class Axis:
    """One parameter that varies, and its values.

    Attributes
    ----------
    key
        ``STAGE.KEY``.
    values
        The listed values; empty for a range.
    low, high
        The ends of a range; whole numbers are drawn where both are whole (write ``1.0`` for the others).
    log
        Whether the logarithm is what is drawn evenly.
    """

    key: str
    values: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False

    def draw(self, chance: random.Random) -> Any:
        """Draw a value; one from a range has four digits."""
        if self.values:
            return chance.choice(self.values)
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        if whole and not self.log:
            return chance.randint(int(self.low), int(self.high))
        if not self.log:
            return _shorten(chance.uniform(self.low, self.high))
        drawn = math.exp(chance.uniform(math.log(self.low), math.log(self.high)))
        return round(drawn) if whole else _shorten(drawn)


def read_axis(text: str) -> Axis:
    """Read one ``--grid``: ``KEY=a,b,c``, ``KEY=1..10`` or ``KEY=log(0.001..1)``.

    Raises
    ------
    BadParameter
        If it is none of these.

    Examples
    --------
    >>> read_axis("06_train.trials=4,8").values, read_axis("06_train.candidates=[linear],[forest]").values
    ((4, 8), (['linear'], ['forest']))
    >>> read_axis("06_train.sample=log(100..9000)")
    Axis(key='06_train.sample', values=(), low=100, high=9000, log=True)
    """
    target, equals, said = (part.strip() for part in text.partition("="))
    if found := RANGE.fullmatch(said):
        log, low, high = bool(found[1]), *(read_setting(f"a.b={each}").value for each in found.groups()[1:])
        if low >= high or (log and low <= 0):
            raise BadParameter(f"--grid {text}: a range goes from low to high{', both above 0' if log else ''}")
        return Axis(target, (), low, high, log)
    if not equals or not said:
        raise BadParameter(f"--grid {text}: write KEY=a,b,c, KEY=1..10 or KEY=log(0.001..1)")
    values = read_setting(f"{target}=[{said}]", "--grid").value
    if not isinstance(values, list) or not values:
        raise BadParameter(f"--grid {text}: no value is given")
    return Axis(target, tuple(values))


def list_points(axes: Sequence[Axis]) -> list[Point]:
    """List every combination of the axes' values, each once, the last axis fastest.

    Raises
    ------
    BadParameter
        For a range, which has no end of values, too many combinations, or two axes of one key.

    Examples
    --------
    >>> list_points([Axis("a.x", (1, 2)), Axis("b.y", ("p", "q"))])[1]
    {'a.x': 1, 'b.y': 'q'}
    """
    _check_keys(axes)
    if ranges := [axis.key for axis in axes if not axis.values]:
        raise BadParameter(f"--grid {ranges[0]} is a range: say with --random N how many points to draw from it")
    if (count := math.prod(len(axis.values) for axis in axes)) > MOST:
        raise BadParameter(f"the grid has {count:,} points, more than {MOST:,}: draw some of them with --random N")
    keys = [axis.key for axis in axes]
    points = [dict(zip(keys, values, strict=True)) for values in itertools.product(*(axis.values for axis in axes))]
    return list({json.dumps(point): point for point in points}.values())


def draw_points(axes: Sequence[Axis], count: int, seed: int) -> list[Point]:
    """Draw points, each once; the same seed draws the same.

    Parameters
    ----------
    axes
        Lists and ranges.
    count
        How many.
    seed
        Of the draws.

    Returns
    -------
    list of dict
        Key to value; every combination if there are not more than `count`.

    Raises
    ------
    BadParameter
        If `count` is none, or more than there are, or two axes have one key.

    Examples
    --------
    >>> draw_points([Axis("a.x", (), 0.001, 1.0, log=True)], 2, seed=0)
    [{'a.x': 0.3414}, {'a.x': 0.1879}]
    """
    _check_keys(axes)
    if not 0 < count <= MOST:
        raise BadParameter(f"--random {count}: from 1 to {MOST:,} points can be drawn")
    if all(axis.values for axis in axes) and math.prod(len(axis.values) for axis in axes) <= count:
        return list_points(axes)
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    drawn: dict[str, Point] = {}
    for _ in range(count * TRIES):
        point = {axis.key: axis.draw(chance) for axis in axes}
        drawn.setdefault(json.dumps(point), point)
        if len(drawn) == count:
            return list(drawn.values())
    raise BadParameter(f"--random {count}: the axes give {format_count(len(drawn), 'point')} only")


def format_point(point: Point) -> dict[str, str]:
    """Return a point's values as they are written in a params file, whatever a table has made of them.

    Examples
    --------
    >>> format_point({"06_train.class_weight": None, "06_train.candidates": ["linear"], "06_train.search": "none"})
    {'06_train.class_weight': 'null', '06_train.candidates': '["linear"]', '06_train.search': 'none'}
    """
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for key, value in point.items()
    }


def _check_keys(axes: Sequence[Axis]) -> None:
    keys = [axis.key for axis in axes]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise BadParameter(f"--grid {twice[0]} is given twice: name all its values in one")


def _shorten(value: float) -> float:
    return float(f"{value:.4g}")
