"""Registries to try things on: models with golden rows, in SQLite and PostgreSQL."""

import itertools

import pandas as pd
import sqlalchemy as sa
from sklearn.linear_model import LogisticRegression

from nbkit.problem import Problem
from nbkit.registry import Registry, make_golden
from nbkit.registry.tables import split_place

PROBLEM = Problem("y", positive=1)

X, Y = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [0, 1, 0, 1]}), [0, 0, 1, 1]
SCORES = pd.DataFrame(
    {"value": [0.75], "low": [0.7], "high": [0.8], "n": [9], "better": "higher"},
    index=pd.Index(["roc_auc"], name="metric"),
)
WHO = {"by": "ann", "why": "it is better"}
COUNT = itertools.count()


def judge(**passed):
    rows = [(name, ok, True, "because") for name, ok in passed.items()]
    return pd.DataFrame(rows, columns=["gate", "passed", "blocking", "detail"])


def bundle(C=1.0):
    model = LogisticRegression(C=C).fit(X, Y)
    return {"model": model, "golden": make_golden(model, X, PROBLEM)}


def fill(registry):
    """Version 1 in production, 2 on staging, 3 a draft whose gate failed, 4 rejected; another model with one."""
    for C, passed in ((1, True), (2, True), (3, False), (4, True)):
        facts = {"scores": SCORES, "params": {"task": "binary", "C": C}, "lineage": {"run": f"r{C}"}, "by": "ann"}
        registry.register("toy", bundle(C), gates=judge(criteria_met=passed), **facts)
    for number in (1, 2):
        for alias in ("candidate", "staging"):
            registry.set_alias("toy", number, alias)
        if number == 1:
            registry.promote("toy@1", **WHO)
    registry.set_alias("toy", 3, "shadow")
    registry.reject("toy@4", **WHO)
    registry.register("other", bundle(9), gates=judge(a=True))
    return registry


def new_database(postgres):
    """Make an empty database on a server; return its URL."""
    name = f"nbkit{next(COUNT)}"
    url, _ = split_place(postgres)
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return url.set(database=name).render_as_string(hide_password=False)


def open_place(kind, folder, postgres):
    """Return the arguments of a new registry in a folder or in a database of its own."""
    if kind == "sqlite":
        return (str(folder / "registry"),)
    return new_database(postgres), str(folder / "files")


def open_registry(kind, folder, postgres):
    return Registry(*open_place(kind, folder, postgres))


def run_sql(registry, *statements):
    """Change a database behind nbkit's back."""
    engine = sa.create_engine(registry._ledger.url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
