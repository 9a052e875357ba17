"""A small recipe and small tables for the tests of the model room."""

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_diabetes, load_wine


class Codes(TransformerMixin, BaseEstimator):
    """Numbers as they are, strings as ordinal codes, unknown and missing as NaN; the target is not among them."""

    def __init__(self, numeric=(), categorical=()):
        self.numeric = numeric
        self.categorical = categorical

    def fit(self, X, y=None):
        self.levels_ = {name: sorted(map(str, X[name].dropna().unique())) for name in self.categorical}
        self.categorical_ = list(self.categorical)
        self.sources_ = {name: [name] for name in [*self.numeric, *self.categorical]}
        return self

    def transform(self, X):
        table = {name: X[name].to_numpy(dtype=float, na_value=np.nan) for name in self.numeric}
        for name, levels in self.levels_.items():
            codes = {level: float(code) for code, level in enumerate(levels)}
            table[name] = X[name].astype(object).map(codes).to_numpy(dtype=float, na_value=np.nan)
        return pd.DataFrame(table, index=X.index)

    def get_feature_names_out(self, input_features=None):
        return np.asarray([*self.numeric, *self.categorical], dtype=object)


def make_binary(n=600, seed=0):
    """A mixed table with missing values; `late` depends on two numbers and a name."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "hour": rng.integers(5, 23, n),
            "temp": rng.normal(50, 15, n).round(1),
            "carrier": rng.choice(["AA", "B6", "Ünited"], n),
            "day": pd.Timestamp("2013-01-01") + pd.to_timedelta(np.arange(n) % 60, "D"),
        }
    )
    odds = 0.2 * (table["hour"] - 14) - 0.03 * (table["temp"] - 50) + 0.8 * (table["carrier"] == "B6") - 0.7
    table["late"] = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(int)
    table.loc[rng.random(n) < 0.1, "temp"] = np.nan
    table.loc[rng.random(n) < 0.05, "carrier"] = None
    return table


def binary_recipe():
    return Codes(["hour", "temp"], ["carrier"])


def load_table(name):
    """Diabetes (regression, `target`) or wine (three classes, `target`)."""
    return (load_diabetes if name == "diabetes" else load_wine)(as_frame=True).frame
