"""The problem: what is predicted, under which conditions, and by which metric it is judged."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbkit.errors import BadProblem
from nbkit.wording import suggest

if TYPE_CHECKING:
    import pandas as pd

TASKS = ("binary", "multiclass", "regression")
BLOCKS = ("row", "hour", "day", "week")
DEFAULT_METRIC = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "mae"}
LEAD = re.compile(r"(\d+(?:\.\d+)?) ?(min|[smhdw])")
MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class Problem:
    """What is predicted and under which conditions; whatever changes a result, and nothing else.

    Attributes
    ----------
    target
        The column to predict.
    task
        One of `TASKS`.
    positive
        The value of the target that counts as a yes (binary); None stands for 1 or True.
    time
        The column with the moment of each row; empty if there is none.
    group
        The column whose rows belong together (patient, customer); empty if there is none.
    block
        Rows of one group, or of such a stretch of time, are alike and are resampled together: one of `BLOCKS`.
    keys
        The columns that identify a row.
    lead
        How long before the event the prediction is due, such as ``2h``; empty means at the event.
    metric
        The metric that decides; the usual one of the task if empty.
    seed
        Of everything random.

    Raises
    ------
    BadProblem
        If a field contradicts another or is none of the values there are.

    Examples
    --------
    >>> Problem("late", "binary", time="departure", lead="2h").metric
    'roc_auc'
    """

    target: str
    task: str = "binary"
    positive: Any = None
    time: str = ""
    group: str = ""
    block: str = "day"
    keys: tuple[str, ...] = ()
    lead: str = ""
    metric: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", tuple(self.keys))
        object.__setattr__(self, "metric", self.metric or DEFAULT_METRIC.get(self.task, ""))
        if self.task != "binary":
            object.__setattr__(self, "positive", None)
        for name, known in (("task", TASKS), ("block", BLOCKS)):
            if getattr(self, name) not in known:
                raise BadProblem(f"no {name} {getattr(self, name)!r}{suggest(str(getattr(self, name)), known)}")
        if not self.target:
            raise BadProblem("a problem needs a target: the column to predict")
        for name in ("time", "group"):
            if getattr(self, name) == self.target:
                raise BadProblem(f"{self.target!r} is the target and cannot be the {name}, too")
        if self.lead and not LEAD.fullmatch(self.lead.strip()):
            raise BadProblem(f"lead {self.lead!r} cannot be read; write it as 2h, 90min or 1d")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed <= MAX_SEED:
            raise BadProblem(f"seed {self.seed!r} is not a whole number from 0 to {MAX_SEED}")

    @property
    def is_classification(self) -> bool:
        """Whether classes are predicted."""
        return self.task != "regression"

    def separate(self, table: "pd.DataFrame") -> "tuple[pd.DataFrame, pd.Series[Any]]":
        """Return the raw columns that a model may be given, and the target.

        Raises
        ------
        BadProblem
            If the table has no such target.
        """
        if self.target not in table.columns:
            raise BadProblem(f"the table has no target {self.target!r}{suggest(self.target, table.columns)}")
        return table.drop(columns=self.target), table[self.target]

    def features(self, table: "pd.DataFrame") -> "pd.DataFrame":
        """Return the table without the target, whether it has one or not."""
        return table.drop(columns=self.target, errors="ignore")

    def prepare(self, table: "pd.DataFrame", name: str = "table") -> "pd.DataFrame":
        """Return the rows whose target is known, in the order of time if there is one.

        Parameters
        ----------
        table
            With the target, and with time and group where the problem names them.
        name
            What the table is called in errors.

        Raises
        ------
        BadProblem
            If a column is missing, no row has a target, or the target is of another task or of one class only.
        """
        for column in filter(None, (self.target, self.time, self.group)):
            if column not in table.columns:
                raise BadProblem(f"the {name} has no column {column!r}{suggest(column, table.columns)}")
        known = table[table[self.target].notna()]
        if not len(known):
            raise BadProblem(f"no row of the {name} has a value of {self.target!r}")
        self._check_values(known[self.target], name)
        return known.sort_values(self.time, kind="stable") if self.time else known

    def _check_values(self, y: "pd.Series[Any]", name: str) -> None:
        import pandas as pd

        values = list(y.unique())
        if self.task == "regression":
            if not pd.api.types.is_numeric_dtype(y.infer_objects()):
                raise BadProblem(f"a regression predicts numbers; {self.target!r} in the {name} is {y.dtype}")
            return
        if len(values) < 2:
            raise BadProblem(f"{self.target!r} is {values[0]!r} in every row of the {name}: nothing to learn")
        if self.task == "binary":
            if len(values) > 2:
                shown = ", ".join(map(str, values[:4]))
                raise BadProblem(
                    f"a binary target has two values, {self.target!r} has {len(values)} in the {name} ({shown}, …); "
                    "is it multiclass?"
                )
            find_class(self.positive, values)

    def blocks(self, table: "pd.DataFrame") -> "pd.Series[Any] | None":
        """Mark rows that are alike and must be resampled together, so that no interval is too narrow.

        Parameters
        ----------
        table
            The rows that are scored; group and time may be missing in it.

        Returns
        -------
        Series or None
            The block of each row: its group if there is one, else its stretch of time; None for rows one by one.

        References
        ----------
        Field, C. A. and Welsh, A. H. (2007). Bootstrapping clustered data. JRSS B 69, 369-390.

        Examples
        --------
        >>> import pandas as pd
        >>> table = pd.DataFrame({"at": pd.to_datetime(["2013-01-01 06:00", "2013-01-01 22:00", "2013-01-02 06:00"])})
        >>> Problem("late", time="at").blocks(table).nunique()
        2
        """
        import pandas as pd

        if self.block == "row":
            return None
        if self.group in table:
            return table[self.group].astype(str)
        if self.time not in table:
            return None
        moments = pd.to_datetime(table[self.time])
        if self.block == "week":
            return moments.dt.to_period("W").astype(str)
        return moments.dt.floor({"day": "D", "hour": "h"}[self.block])

    def folds(self, table: "pd.DataFrame", folds: int = 3, *, ordered: bool = False) -> list[tuple[Any, Any]]:
        """Cut rows into folds of cross-validation that never learn from the future or from their own group.

        Parameters
        ----------
        table
            Rows with the target, and with time and group where the problem names them.
        folds
            How many, at most.
        ordered
            Whether rows without time and group follow their place in the table.

        Returns
        -------
        list of (array, array)
            Positions learned from and positions scored, one pair a fold, as scikit-learn's `cv` takes them.

        Raises
        ------
        BadProblem
            If so few rows, moments or groups cannot be cut.
        """
        import pandas as pd

        from nbkit.folds import cut_folds

        groups = table[self.group] if self.group else None
        moments = table[self.time] if self.time else None
        if moments is None and groups is None and ordered:
            moments = pd.Series(range(len(table)), name="place")
        return cut_folds(
            table[self.target], folds, classes=self.is_classification, moments=moments, groups=groups, seed=self.seed
        )


def is_class(value: Any, positive: Any) -> bool:
    """Return whether a class is the one that is meant by `positive`; None means 1 or True."""
    return bool(value == 1) if positive is None else bool(value == positive or str(value) == str(positive))


def find_class(positive: Any, classes: Sequence[Any]) -> Any:
    """Return the class that is meant by `positive`: the same value, else the one that reads the same.

    Parameters
    ----------
    positive
        A class; None means 1 where the classes are 0 and 1 (or False and True).
    classes
        The classes there are.

    Raises
    ------
    BadProblem
        If it is none of them.

    Examples
    --------
    >>> find_class("1", [0, 1]), find_class(None, [False, True])
    (1, True)
    """
    if positive is None:
        if set(classes) <= {0, 1}:
            return next((value for value in classes if value == 1), 1)
        raise BadProblem(f"which class is the positive one? Give `positive`, one of {', '.join(map(str, classes))}")
    same = [each for each in classes if each == positive] or [each for each in classes if str(each) == str(positive)]
    if same:
        return same[0]
    raise BadProblem(f"no class {positive!r}{suggest(str(positive), [str(value) for value in classes])}")
