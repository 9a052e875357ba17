import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from nbkit.data import (
    check_contract,
    declare_features,
    infer_contract,
    inspect_table,
    propose_params,
    read_contract,
    split_table,
    take_snapshot,
)
from nbkit.errors import BadSource
from tests.table_helpers import write_contract


def customers(n=600):
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "customer_id": [f"c{i:05}" for i in range(n)],
            "signed up": (pd.Timestamp("2019-01-01") + pd.to_timedelta(np.arange(n), "D")).strftime("%d.%m.%Y"),
            "birth date": "2000-01-" + pd.Series(random.integers(10, 28, n)).astype("str"),
            "plän": random.choice(["basic", "plus", "pro"], n),
            "spend": random.gamma(2, 30, n).round(2),
            "calls": random.integers(0, 9, n),
            "country": "DE",
            "empty": None,
        }
    )
    table["churned"] = np.where(table["calls"] + random.normal(size=n) * 3 > 6, "yes", "no")
    table["closed on account"] = np.where(table["churned"] == "yes", "x", None)
    table.loc[:4, "churned"] = None
    return table


@pytest.fixture
def look(tmp_path):
    def go(table, target, **options):
        table.to_csv(tmp_path / "d.csv", index=False)
        return inspect_table(tmp_path / "d.csv", target=target, **options)

    return go


def test_a_table_of_customers(look):
    found = look(customers(), "churned")
    assert (found.task, found.positive, found.metric) == ("binary", "yes", "roc_auc")
    assert (found.time, found.keys, found.group) == ("signed up", ["customer_id"], "")
    assert set(found.drop["column"]) == {"customer_id", "country", "empty", "closed on account"}
    assert found.features["numeric"] == ["spend", "calls"]
    assert found.features["categorical"] == ["plän"]
    assert found.split["by"] == "time"
    told = " | ".join(found.notes)
    for words in (
        "left out: 5 rows without churned",
        "'yes' counts as positive",
        "too good to be true",
        "dates read as %d.%m.%Y",
    ):
        assert words in told


@pytest.mark.parametrize("target", ["churned", "plän", "spend"])
def test_what_is_proposed_works(look, tmp_path, target):
    found = look(customers(), target)
    text = propose_params(found, name="my project: ☃", data="d.csv")
    params = YAML(typ="safe").load(text)
    shared = params["shared"]
    table = take_snapshot(shared["sources"], shared["query"], root=tmp_path, keys=shared["keys"]).table
    write_contract(infer_contract(table, target=target, time=shared["time"], keys=shared["keys"]), tmp_path / "c.yaml")
    contract = read_contract(tmp_path / "c.yaml")
    assert check_contract(table, contract).empty
    roles = {role: shared[role] for role in ("target", "task", "positive", "time", "group", "keys", "seed")}
    splits = split_table(table, params["02_ingest"]["split"], **roles)
    recipe = declare_features(params["05_features"]["features"], splits.train, contract=contract, lead="")
    out = recipe.fit_transform(splits.train, splits.train[target])
    assert not out.isna().all().any()
    assert text.startswith("# params/my project: ☃.yaml: predict")
    assert params["06_train"] == {"metric": found.metric}


@pytest.mark.parametrize(
    ("values", "task", "positive"),
    [
        ([0, 1] * 50, "binary", 1),
        ([True, False] * 50, "binary", True),
        (["good", "bad"] * 50, "binary", "bad"),
        (["a"] * 90 + ["b"] * 10, "binary", "b"),
        ([1, 2, 3, 4] * 25, "multiclass", None),
        (["a", "b", "c", None] * 25, "multiclass", None),
        (list(range(100)), "regression", None),
        ([0.5, 1.5, 2.5, 3.5] * 25, "regression", None),
    ],
)
def test_tasks(look, values, task, positive):
    found = look(pd.DataFrame({"x": np.random.default_rng(0).normal(size=100), "y": values}), "y")
    assert (found.task, found.positive) == (task, positive)


def test_groups_stay_together(look):
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {"patient_id": np.arange(300) // 3, "x": random.normal(size=300), "y": random.integers(0, 2, 300)}
    )
    found = look(table, "y")
    assert (found.group, found.split["by"]) == ("patient_id", "group")
    assert "patient_id" not in found.features["numeric"]


def test_groups_that_a_split_by_time_tears_are_told(look):
    random = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=300, freq="D")
    table = pd.DataFrame({"patient_id": random.integers(0, 100, 300), "day": days, "x": random.normal(size=300)})
    found = look(table.assign(y=random.integers(0, 2, 300)), "y", time="day")
    assert (found.group, found.split["by"]) == ("patient_id", "time")
    said = next(note for note in found.notes if note.startswith("patient_id"))
    parts = split_table(found.table, found.split, target="y", time="day", task="binary", positive=found.positive)
    share = parts.test["patient_id"].isin(parts.train["patient_id"]).mean()
    assert 0.5 < share < 1
    assert said.startswith(f"patient_id comes again in several rows: {share:.0%} of test's are of one that train has")


@pytest.mark.parametrize(
    ("change", "target", "words"),
    [
        ({}, "churn", "did you mean 'churned'"),
        ({}, "empty", "no value in any row"),
        ({}, "country", "always DE"),
        ({}, "signed up", "is a date"),
        ({}, "customer_id", "too many classes"),
    ],
)
def test_targets_that_cannot_be_learnt(look, change, target, words):
    with pytest.raises(BadSource, match=words):
        look(customers().assign(**change), target)


@pytest.mark.parametrize(("name", "group"), [("malic_acid", ""), ("paid", ""), ("userId", "userId"), ("id", "id")])
def test_only_names_of_ids_are_groups(look, name, group):
    random = np.random.default_rng(0)
    table = pd.DataFrame({name: np.arange(300) // 3, "x": random.normal(size=300), "y": random.integers(0, 2, 300)})
    assert look(table, "y").group == group


def test_other_errors(look, tmp_path):
    with pytest.raises(BadSource, match="time 'signed' is no column"):
        look(customers(), "churned", time="signed")
    with pytest.raises(BadSource, match="holds no dates"):
        look(customers(), "churned", time="spend")
    with pytest.raises(BadSource, match="too few"):
        look(customers(20), "churned")
    with pytest.raises(BadSource, match="no file"):
        inspect_table(tmp_path / "nothing.csv", target="y")


def test_shipped_tables():
    wine = inspect_table("sklearn.datasets:load_wine", target="target")
    assert (wine.task, wine.split["by"], len(wine.features["numeric"])) == ("multiclass", "stratified", 13)
    diabetes = inspect_table("sklearn.datasets:load_diabetes", target="target")
    assert (diabetes.task, diabetes.metric, diabetes.split["by"]) == ("regression", "mae", "random")


def test_a_key_is_seen_behind_repeated_rows(look, tmp_path):
    table = customers()
    found = look(pd.concat([table, table.iloc[10:13]]), "churned")
    assert (found.keys, found.distinct, len(found.table)) == (["customer_id"], True, 595)
    told = "3 rows of 598 repeat an earlier one in every column, and customer_id names each of the rest"
    assert any(note.startswith(told) for note in found.notes)
    shared = YAML(typ="safe").load(propose_params(found, name="p", data="d.csv"))["shared"]
    assert shared["query"] == 'SELECT DISTINCT * FROM data WHERE "churned" IS NOT NULL'
    again = take_snapshot(shared["sources"], shared["query"], root=tmp_path, keys=shared["keys"]).table
    contract = infer_contract(again, target="churned", keys=shared["keys"])
    assert (len(again), len(check_contract(again, contract))) == (595, 0)


def test_repeated_rows_without_a_key_stay(look):
    table = customers().drop(columns="customer_id")
    found = look(pd.concat([table, table.iloc[10:13]]), "churned")
    assert (found.keys, found.distinct, len(found.table)) == ([], False, 598)
    assert any("let the query drop them (SELECT DISTINCT)" in note for note in found.notes)


def test_a_column_that_lacks_values_is_no_key(look):
    table = customers()
    table.loc[20:21, "customer_id"] = None
    found = look(table, "churned")
    assert found.keys == []
    assert found.drop.set_index("column")["kind"].to_dict() == {
        "customer_id": "other",
        "country": "other",
        "empty": "other",
        "closed on account": "suspect",
    }


def test_dirt_and_strength_are_noted_and_nothing_is_changed(look):
    random = np.random.default_rng(0)
    table = customers().assign(age=[*random.integers(18, 80, 590), *[999] * 10])
    table.loc[::9, "plän"] = " Basic "
    table["honest"] = np.where(table["churned"] == "yes", 3, 0) + random.normal(size=600)
    found = look(table, "churned")
    told = " | ".join(found.notes)
    assert "age: 999 in 10 rows, all others from 18 to 79: this may mean missing; if so, make it NULL" in told
    assert "differ in case or blanks only; make them one in the query" in told
    assert "honest: unusually strong, look at it (alone it explains" in told
    assert {"age", "honest"} <= set(found.features["numeric"])


def test_what_is_chosen_without_a_sign_is_said(look):
    table = customers().assign(Gender=np.tile(["f", "m"], 300))
    found = look(table, "churned")
    assert (found.protected, found.slice_by) == (["Gender"], ["Gender", "plän"])
    told = " | ".join(found.notes)
    assert "every feature (6) is taken as known when the prediction is due" in told
    assert "protected, by name: Gender" in told
    assert "slice_by: Gender, plän, the features of fewest values" in told
    bare = look(customers()[["spend", "churned"]], "churned")
    assert not any("protected" in note or "slice_by" in note for note in bare.notes)


def test_large_counts_have_separators(look):
    found = look(pd.DataFrame({"x": np.random.default_rng(0).normal(size=3000), "y": np.arange(3000) + 0.5}), "y")
    assert "y is a number of 3,000 values: regression" in found.notes
