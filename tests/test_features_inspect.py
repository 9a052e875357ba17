import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from nbkit.data import check_contract, infer_contract, read_contract, split_table, take_snapshot
from nbkit.errors import BadSource
from nbkit.features import choose_columns, inspect_snapshot, propose_contract, propose_params
from nbkit.problem import Problem
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


def inspect_table(location, **options):
    return inspect_snapshot(take_snapshot({"data": str(location)}), **options)


@pytest.fixture
def look(tmp_path):
    def go(table, target, **options):
        table.to_csv(tmp_path / "d.csv", index=False)
        return inspect_table(tmp_path / "d.csv", target=target, **options)

    return go


def test_a_table_of_customers(look):
    found = look(customers(), "churned")
    assert (found.problem.task, found.problem.positive, found.problem.metric) == ("binary", "yes", "roc_auc")
    assert (found.problem.time, found.problem.keys, found.problem.group) == ("signed up", ("customer_id",), "")
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


def test_what_people_must_not_be_told_apart_by(look):
    random = np.random.default_rng(0)
    more = {"customer_age": random.integers(18, 90, 600), "plane_age": random.integers(1, 30, 600)}
    found = look(customers().assign(**more), "churned")
    assert found.protected == ["customer_age", "birth date"]
    assert "plane_age" in found.features["numeric"]


def test_a_month_is_not_proposed_where_each_window_has_its_own(look):
    found = look(customers(), "churned")
    assert found.split["by"] == "time"
    assert "month" not in found.features["date_parts"]
    assert any(note.startswith("month is not among date_parts") for note in found.notes)


@pytest.mark.parametrize("target", ["churned", "plän", "spend"])
def test_what_is_proposed_works(look, tmp_path, target):
    found = look(customers(), target)
    text = propose_params(found, name="my project: ☃", data="d.csv")
    params = YAML(typ="safe").load(text)
    shared = params["shared"]
    table = take_snapshot(shared["sources"], shared["query"], root=tmp_path, keys=shared["keys"]).table
    write_contract(
        infer_contract(table, Problem(target, time=shared["time"], keys=shared["keys"])), tmp_path / "c.yaml"
    )
    contract = read_contract(tmp_path / "c.yaml")
    assert check_contract(table, contract).empty
    roles = {role: shared[role] for role in ("target", "task", "positive", "time", "group", "keys", "seed")}
    splits = split_table(table, params["02_ingest"]["split"], Problem(**roles))
    wanted = {kind: names for kind, names in params["05_features"].items() if kind != "date_parts"}
    chosen = choose_columns(splits.train, Problem(**roles), contract, wanted)
    assert chosen["numeric"] + chosen["categorical"]
    assert text.startswith("# params/my project: ☃.yaml: predict")
    assert params["06_train"] == {"trials": 8}
    assert shared["metric"] == found.problem.metric


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
    assert (found.problem.task, found.problem.positive) == (task, positive)


def test_groups_stay_together(look):
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {"patient_id": np.arange(300) // 3, "x": random.normal(size=300), "y": random.integers(0, 2, 300)}
    )
    found = look(table, "y")
    assert (found.problem.group, found.split["by"]) == ("patient_id", "group")
    assert "patient_id" not in found.features["numeric"]


def test_groups_that_a_split_by_time_tears_are_told(look):
    random = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=300, freq="D")
    table = pd.DataFrame({"patient_id": random.integers(0, 100, 300), "day": days, "x": random.normal(size=300)})
    found = look(table.assign(y=random.integers(0, 2, 300)), "y", time="day")
    assert (found.problem.group, found.split["by"]) == ("patient_id", "time")
    assert any("patient_id comes again in several rows: they may be in two parts" in note for note in found.notes)


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
    assert look(table, "y").problem.group == group


def test_other_errors(look, tmp_path):
    with pytest.raises(BadSource, match="time 'signed' is not a column"):
        look(customers(), "churned", time="signed")
    with pytest.raises(BadSource, match="holds no dates"):
        look(customers(), "churned", time="spend")
    with pytest.raises(BadSource, match="too few"):
        look(customers(20), "churned")
    with pytest.raises(BadSource, match="no file"):
        inspect_table(tmp_path / "nothing.csv", target="y")


def test_shipped_tables():
    wine = inspect_table("sklearn.datasets:load_wine", target="target")
    assert (wine.problem.task, wine.split["by"], len(wine.features["numeric"])) == ("multiclass", "stratified", 13)
    diabetes = inspect_table("sklearn.datasets:load_diabetes", target="target")
    assert (diabetes.problem.task, diabetes.problem.metric, diabetes.split["by"]) == ("regression", "mae", "random")


def test_repeated_rows_are_told_and_stay(look):
    table = customers()
    found = look(pd.concat([table, table.iloc[10:13]]), "churned")
    assert (found.problem.keys, len(found.table)) == ((), 598)
    told = "3 rows of 598 repeat an earlier one in every column: if they are one case twice, let the query drop them"
    assert any(note.startswith(told) for note in found.notes)


def test_a_column_that_lacks_values_is_no_key(look):
    table = customers()
    table.loc[20:21, "customer_id"] = None
    found = look(table, "churned")
    assert found.problem.keys == ()
    assert found.drop.set_index("column")["kind"].to_dict() == {
        "customer_id": "other",
        "country": "other",
        "empty": "other",
        "closed on account": "suspect",
    }


@pytest.mark.parametrize("name", ["score_after", "after_30_days", "ScoreAfterwards", "later visits", "AFTER_CARE"])
def test_what_its_name_says_comes_later_is_asked_and_not_taken_as_known(look, name):
    random = np.random.default_rng(0)
    table = pd.DataFrame({name: random.normal(size=300), "x": random.normal(size=300)})
    found = look(table.assign(y=random.integers(0, 2, 300)), "y")
    assert found.features["numeric"] == ["x"]
    assert {rule.name: rule.available_at for rule in propose_contract(found).columns}[name] == "after"
    told = f"{name} is left out: said by its name to become known later: if it is known in time, correct"
    assert any(note.startswith(told) for note in found.notes)
    texts = look(table.assign(**{name: [f"note {n}" for n in range(300)]}, y=random.integers(0, 2, 300)), "y")
    assert {rule.name: rule.available_at for rule in propose_contract(texts).columns}[name] == "after"
    alone = look(table.drop(columns="x").assign(y=random.integers(0, 2, 300)), "y")
    assert f"{name}: said by its name to become known later, kept as there is no other; make sure" in str(alone.notes)


@pytest.mark.parametrize("name", ["rafter", "afternoon", "post_code", "lateral"])
def test_a_word_within_another_says_nothing_of_when(look, name):
    random = np.random.default_rng(0)
    table = pd.DataFrame({name: random.normal(size=300), "y": random.integers(0, 2, 300)})
    assert look(table, "y").features["numeric"] == [name]


def test_what_is_chosen_without_a_sign_is_said(look):
    table = customers().assign(Gender=np.tile(["f", "m"], 300))
    found = look(table, "churned")
    assert (found.protected, found.slice_by) == (["Gender", "birth date"], ["Gender", "plän"])
    told = " | ".join(found.notes)
    assert "every feature (6) is taken as known when the prediction is due" in told
    assert "protected, by name: Gender, birth date" in told
    assert "slice_by: Gender, plän, the features of fewest values" in told
    bare = look(customers()[["spend", "churned"]], "churned")
    assert not any("protected" in note or "slice_by" in note for note in bare.notes)


def test_large_counts_have_separators(look):
    found = look(pd.DataFrame({"x": np.random.default_rng(0).normal(size=3000), "y": np.arange(3000) + 0.5}), "y")
    assert "y is a number of 3,000 values: regression" in found.notes
