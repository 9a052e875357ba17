"""Golden examples: raw rows with the answers given at registration, so a bundle can prove that it still gives them."""

from typing import Any

import numpy as np
import pandas as pd

from nbkit.errors import BadModel
from nbkit.model import predict

MARK = "expected"  # columns `expected`, or `expected: <class>` for several classes


def make_golden(
    model: Any, X: pd.DataFrame, *, task: str, positive: Any = None, rows: int = 32, seed: int = 0
) -> pd.DataFrame:
    """Pick rows and write the model's answers beside them.

    Parameters
    ----------
    model
        The fitted pipeline that takes raw rows.
    X
        Raw rows; the golden ones are drawn without replacement and keep their order and dtypes.
    task, positive
        As in `nbkit.model.predict`.
    rows
        How many, at most.
    seed
        Of the draw.

    Returns
    -------
    DataFrame
        The raw columns, then ``expected`` (probability of the positive class, or value), or one ``expected: <class>``
        per class.

    Raises
    ------
    BadModel
        There is no row.
    """
    if X.empty:
        raise BadModel("golden examples need at least one row; X is empty")
    drawn = np.sort(np.random.default_rng(seed).permutation(len(X))[:rows])
    picked = X.iloc[drawn].reset_index(drop=True)
    return pd.concat([picked, _answer(model, picked, task, positive)], axis=1)


def split_golden(golden: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split golden examples into raw rows and expected answers."""
    answers = [column for column in golden.columns if str(column) == MARK or str(column).startswith(f"{MARK}: ")]
    return golden.drop(columns=answers), golden[answers]


def check_golden(model: Any, golden: pd.DataFrame, *, task: str, positive: Any = None) -> float:
    """Return the largest absolute difference between the answers now and the golden ones.

    Parameters
    ----------
    model
        The pipeline, usually just loaded.
    golden
        From `make_golden`.
    task, positive
        As in `nbkit.model.predict`.

    Returns
    -------
    float
        0 where nothing changed; infinity where the answers have another shape or an answer is missing on one side.
    """
    raw, expected = split_golden(golden)
    found = _answer(model, raw, task, positive)
    if list(found.columns) != list(expected.columns) or expected.empty:
        return float("inf")
    now, then = found.to_numpy(float), expected.to_numpy(float)
    if (np.isnan(now) != np.isnan(then)).any():
        return float("inf")
    return float(np.nanmax(np.abs(now - then), initial=0.0))


def _answer(model: Any, raw: pd.DataFrame, task: str, positive: Any) -> pd.DataFrame:
    answer = predict(model, raw, task, positive)
    if isinstance(answer, pd.DataFrame):
        table = answer.reset_index(drop=True)
        return table.rename(columns={column: f"{MARK}: {column}" for column in table.columns})
    return pd.DataFrame({MARK: np.asarray(answer, dtype=float)})
