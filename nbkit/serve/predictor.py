"""A registered model as something that answers: raw rows in, decisions and probabilities out."""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from nbkit.errors import BadModel, GateClosed
from nbkit.model import predict
from nbkit.registry import Registry
from nbkit.registry.golden import check_golden, read_facts, split_golden
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
    task, positive, threshold
        binary, multiclass or regression; for binary the positive class and the probability from which it is decided.
    schema
        The columns it takes, see `nbkit.serve.schema.describe_columns`.
    golden
        Rows with known answers, or None.
    """

    model: Any
    name: str
    number: int
    digest: str
    task: str
    positive: Any
    threshold: float
    schema: pd.DataFrame
    golden: pd.DataFrame | None = None

    @classmethod
    def from_registry(cls, registry: Registry | str | os.PathLike[str], reference: str) -> "Predictor":
        """Load a registered version, its bytes checked, ready to answer.

        Parameters
        ----------
        registry
            A registry or where it is.
        reference
            ``NAME@ALIAS`` or ``NAME@NUMBER``.

        Raises
        ------
        UnknownVersion, CorruptArtifact, UntrustedType
            As in `Registry.load`.
        GateClosed
            The version was rejected.
        BadModel
            The bundle has neither golden rows nor a reference sample, so nobody knows which columns the model takes.
        """
        registry = registry if isinstance(registry, Registry) else Registry(registry, create=False)
        version = registry.get(reference)
        if version.state == "rejected":
            raise GateClosed(f"{version.reference} was rejected and is not served; `nbkit models --history` says why")
        entries = {path.rpartition(".")[0] or path for path in version.files["path"]}
        model = registry.load(version, "model")
        params = {**version.params, **(registry.load(version, "params") if "params" in entries else {})}
        golden = registry.load(version, "golden") if "golden" in entries else None
        if golden is None:
            raise BadModel(f"{version.reference} has no golden rows in its bundle; register it with make_golden")
        facts = read_facts(model, params)
        schema = describe_columns(split_golden(golden)[0], _seen_columns(model))
        return cls(model, version.name, version.number, version.digest, schema=schema, golden=golden, **facts)

    @cached_property
    def classes(self) -> list[Any]:
        """The classes, as plain values; empty for a regression."""
        return [] if self.task == "regression" else list(np.asarray(self.model.classes_).tolist())

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
        answer = predict(self.model, rows, self.task, self.positive)
        if self.task == "regression":
            return pd.DataFrame({"prediction": np.asarray(answer, float)}, index=rows.index)
        if self.task == "binary":
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
        return check_golden(self.model, self.golden, task=self.task, positive=self.positive)

    def describe(self) -> dict[str, Any]:
        """Return what ``GET /model`` says: version, task, threshold, classes, schema and an example row."""
        raw = split_golden(self.golden)[0].head(1) if self.golden is not None else pd.DataFrame()
        facts = {key: getattr(self, key) for key in ("name", "number", "digest", "task", "positive", "threshold")}
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
        columns[str(name)] = [
            None if missing else one for one, missing in zip(column.tolist(), column.isna(), strict=True)
        ]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _seen_columns(model: Any) -> list[str] | None:
    for _, step in getattr(model, "steps", []):
        sources = getattr(step, "sources_", None)
        if sources:
            return sorted({name for raw in sources.values() for name in ([raw] if isinstance(raw, str) else raw)})
    names = getattr(model, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]
