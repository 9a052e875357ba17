"""A registered model as something that answers: raw rows in, decisions and probabilities out."""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from nbkit.errors import BadModel, GateClosed
from nbkit.lineage import read_columns
from nbkit.model import predict_values
from nbkit.problem import Problem, find_class
from nbkit.registry import Registry, check_use
from nbkit.registry.golden import check_golden, find_problem, split_golden
from nbkit.serve.schema import describe_columns


@dataclass(frozen=True, eq=False)
class Predictor:
    """A model with what is needed to answer.

    Attributes
    ----------
    model
        The fitted pipeline from raw rows.
    name, number, digest
        Which version it is.
    problem, threshold
        What is predicted, and the probability from which the positive class is decided (binary).
    schema
        The columns it takes, see `nbkit.serve.schema.describe_columns`.
    golden
        Rows with known answers, or None.
    """

    model: Any
    name: str
    number: int
    digest: str
    problem: Problem
    threshold: float
    schema: pd.DataFrame
    golden: pd.DataFrame | None = None

    @classmethod
    def from_registry(
        cls, registry: Registry | str | os.PathLike[str], reference: str, *, changed_use: bool = False
    ) -> "Predictor":
        """Load a registered version, its bytes checked, ready to answer.

        Parameters
        ----------
        registry
            A registry or where it is.
        reference
            ``NAME@ALIAS`` or ``NAME@NUMBER``.
        changed_use
            Whether it is loaded though a module of the project that it was made with has changed since.

        Raises
        ------
        UnknownVersion, CorruptArtifact, UntrustedType
            As in `Registry.load`.
        GateClosed
            The version was rejected.
        BadModel
            The bundle has no golden rows, so nobody knows which columns the model takes; or a module of the project
            that it was made with is not in use here, or has changed.
        """
        registry = registry if isinstance(registry, Registry) else Registry(registry, create=False)
        version = registry.get(reference)
        if version.state == "rejected":
            raise GateClosed(f"{version.reference} was rejected and is not served; `nbkit models --history` says why")
        check_use(version, strict=not changed_use)
        entries = {path.rpartition(".")[0] or path for path in version.files["path"]}
        model = registry.load(version, "model")
        rest = {name: registry.load(version, name) for name in ("problem", "params", "golden") if name in entries}
        golden = rest.get("golden")
        if golden is None:
            raise BadModel(f"{version.reference} has no golden rows in its bundle; register it with make_golden")
        problem, threshold = find_problem({"model": model, **rest}, version.params)
        raw = split_golden(golden)[0]
        schema = describe_columns(raw, sorted(read_columns(model, raw)))
        return cls(model, version.name, version.number, version.digest, problem, threshold, schema, golden)

    @cached_property
    def positive(self) -> Any:
        """The class that counts as a yes, as the model knows it; None where there is none."""
        return find_class(self.problem.positive, self.classes) if self.problem.task == "binary" else None

    @cached_property
    def classes(self) -> list[Any]:
        """The classes, as plain values; empty for a regression."""
        return [] if self.problem.task == "regression" else list(np.asarray(self.model.classes_).tolist())

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Answer raw rows.

        Parameters
        ----------
        rows
            Raw rows; columns the model does not look at are ignored.

        Returns
        -------
        DataFrame
            ``prediction`` (class or value); binary also ``probability`` of the positive class; multiclass one column
            ``probability: <class>`` per class. Same index as `rows`.
        """
        answer = predict_values(self.model, rows, self.problem)
        if self.problem.task == "regression":
            return pd.DataFrame({"prediction": np.asarray(answer, float)}, index=rows.index)
        if self.problem.task == "binary":
            probability = np.asarray(answer, float)
            other = next((one for one in self.classes if one != self.positive), None)
            decided = [self.positive if one >= self.threshold else other for one in probability]
            return pd.DataFrame({"prediction": decided, "probability": probability}, index=rows.index)
        table: pd.DataFrame = answer.set_axis(rows.index)
        best = np.asarray(table.columns)[table.to_numpy().argmax(axis=1)]
        shares = table.rename(columns={column: f"probability: {column}" for column in table.columns})
        return pd.concat([pd.DataFrame({"prediction": best}, index=rows.index), shares], axis=1)

    def check(self) -> float:
        """Return the largest difference from the golden answers; 0 where there are no golden rows."""
        if self.golden is None:
            return 0.0
        return check_golden(self.model, self.golden, self.problem)

    def describe(self) -> dict[str, Any]:
        """Return what ``GET /model`` says: version, task, threshold, classes, schema and an example row."""
        raw = split_golden(self.golden)[0].head(1) if self.golden is not None else pd.DataFrame()
        facts = {key: getattr(self, key) for key in ("name", "number", "digest", "positive", "threshold")}
        facts["task"] = self.problem.task
        schema = self.schema.to_dict("records")
        example = plain_rows(raw)[0] if len(raw) else None
        return {**facts, "classes": self.classes, "schema": schema, "example": example}


def plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Turn a table into JSON rows: missing becomes None, times ISO 8601, numbers plain.

    Examples
    --------
    >>> plain_rows(pd.DataFrame({"a": [1.5, float("nan")], "b": ["x", None]}))
    [{'a': 1.5, 'b': 'x'}, {'a': None, 'b': None}]
    """
    columns = {}
    for name in table.columns:
        column = table[name]
        if pd.api.types.is_datetime64_any_dtype(column.dtype):
            column = column.map(lambda time: time.isoformat(), na_action="ignore")
        columns[str(name)] = [None if gap else one for one, gap in zip(column.tolist(), column.isna(), strict=True)]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
