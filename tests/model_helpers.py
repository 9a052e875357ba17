"""Small tables, the recipe of 05 and the candidates of 06, for the tests of the model room."""

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_wine
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from nbkit.features import to_levels, to_numbers
from nbkit.model import FillEmpty, make_baselines
from nbkit.problem import Problem

CANDIDATES = ("dummy", "rule", "linear", "forest", "boosting")
BINARY = Problem("late", positive=1)


def make_recipe(numeric=(), categorical=()):
    """Numbers as they are, texts as ordinal codes, unknown and missing as NaN, as 05 makes it."""
    as_numbers = FunctionTransformer(to_numbers, feature_names_out="one-to-one")
    as_levels = FunctionTransformer(to_levels, feature_names_out="one-to-one")
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    parts = [("numbers", as_numbers, list(numeric)), ("codes", make_pipeline(as_levels, codes), list(categorical))]
    return ColumnTransformer(parts, verbose_feature_names_out=False)


def make_candidate(name, recipe, problem=BINARY, *, rule=(), params=None):
    """A candidate as 06 makes it."""
    if name in ("dummy", "rule"):
        return make_baselines(problem, rule)[name]
    classes = problem.is_classification
    width = len(recipe.transformers[0][2]) if recipe is not None else 0
    codes = [width + place for place in range(len(recipe.transformers[1][2]))]
    levels = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=0.01, sparse_output=False)
    scaled = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    spread = ColumnTransformer([("levels", levels, codes)], remainder=scaled, verbose_feature_names_out=False)
    seed = problem.seed
    linear = LogisticRegression(max_iter=1000, random_state=seed) if classes else Ridge()
    forest = (RandomForestClassifier if classes else RandomForestRegressor)(min_samples_leaf=5, random_state=seed)
    boosting = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    last = {
        "linear": (spread, linear),
        "forest": (FillEmpty(), forest),
        "boosting": (FillEmpty(), boosting(categorical_features=None, random_state=seed)),
    }[name]
    model = Pipeline([("recipe", clone(recipe)), ("prepare", last[0]), ("model", last[1])])
    return model.set_params(**{f"model__{key}": value for key, value in (params or {}).items()})


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
    return make_recipe(["hour", "temp"], ["carrier"])


def load_table(name):
    """Diabetes (regression, `target`) or wine (three classes, `target`)."""
    return (load_diabetes if name == "diabetes" else load_wine)(as_frame=True).frame
