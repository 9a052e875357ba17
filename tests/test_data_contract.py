from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from nbkit.contract import ColumnRule, Contract, TableRule, doubt_contract
from nbkit.data import (
    check_contract,
    check_parts,
    confirm_contract,
    infer_contract,
    read_contract,
    refuse_leaks,
    split_table,
    summarize_violations,
    take_snapshot,
    usable_columns,
)
from nbkit.data.availability import read_lead
from nbkit.errors import BadContract, BadParameter, LeakedFeature
from nbkit.formats import dump, load
from nbkit.problem import Problem
from tests.table_helpers import write_contract

PARAMS = Path(__file__).parents[1] / "params"


def check(values, **rule):
    table = pd.DataFrame({"a": values})
    return check_contract(table, Contract((ColumnRule("a", **rule),)))


def found(values, **rule):
    return check(values, **rule)[["rule", "count", "severity"]].values.tolist()


def test_each_rule_counts_what_breaks_it():
    assert found([1, 2, 3], type="integer", min=1, max=3) == []
    assert found([1, 2.5, 3], type="integer") == [["type", 1, "blocking"]]
    assert found([1, np.inf], type="integer") == [["type", 1, "blocking"]]
    assert found([0, 1, 9], type="number", min=1, max=3, severity="warning") == [
        ["min", 1, "warning"],
        ["max", 1, "warning"],
    ]
    assert found(["x", "y", None], categories=("x",), max_missing=0.5) == [["categories", 1, "blocking"]]
    assert found(["x", None], severity="warning") == [["max_missing", 1, "warning"]]
    assert found([1, 1, 2], type="integer", unique=True) == [["unique", 1, "blocking"]]
    assert found(["2020-01-01", "soon", "5"], type="datetime") == [["type", 2, "blocking"]]
    assert found(["true", "False", "1", 0, "maybe"], type="boolean") == [["type", 1, "blocking"]]
    dates = pd.to_datetime(["2020-01-01", "2021-01-01"])
    assert found(dates, type="datetime", max="2020-06-01") == [["max", 1, "blocking"]]
    assert found(dates.tz_localize("UTC"), type="datetime", min="2020-06-01") == [["min", 1, "blocking"]]
    assert found(dates, type="datetime", min="2020-06-01T00:00:00Z") == [["min", 1, "blocking"]]
    assert found([1.0, 2.0], type="integer", categories=(1, 2)) == []


def test_places_and_examples_are_shown():
    line = check([1, -5, 2, -7], type="integer", min=0).iloc[0]
    assert (line["rows"], line["examples"], line["share"]) == ("1, 3", "-5, -7", 0.5)
    assert line["message"] == "a: 2 of 4 are below 0, such as -5, -7"
    knots = ColumnRule("wind", "number", max=65, unit="knots", severity="warning")
    found = check_parts({"train": pd.DataFrame({"wind": [1, 1048.36058]})}, Contract((knots,)))
    assert found["message"].tolist() == ["wind: 1 of 2 are above 65 knots, such as 1048.36"]
    said = summarize_violations(found, Contract((knots,)), rows=2)
    assert said.endswith("0 rules between columns: 1 warning (train, wind: 1 of 2 are above 65 knots).")


def test_columns_keys_and_rows():
    table = pd.DataFrame({"id": [1, 1], "b": [1, 2]})
    contract = Contract((ColumnRule("id", "integer"), ColumnRule("c")), keys=("id",), min_rows=3)
    rules = check_contract(table, contract)
    assert rules["rule"].tolist() == ["min_rows", "keys", "required", "others"]
    assert rules["severity"].tolist() == ["blocking"] * 3 + ["warning"]
    twice = pd.DataFrame([[1, 2]], columns=["id", "id"])
    assert "comes twice" in check_contract(twice, Contract((ColumnRule("id", "integer"),))).loc[0, "message"]
    assert check_contract(table, Contract((ColumnRule("id", "integer"),), others="allow")).empty


def test_labels_may_come_late():
    rule = ColumnRule("y", "integer", available_at="target")
    assert check_contract(pd.DataFrame({"x": [1]}), Contract((rule,), others="allow")).empty
    assert check_contract(pd.DataFrame({"y": [None, None]}), Contract((rule,))).empty
    assert len(check_contract(pd.DataFrame({"y": [1, None]}), Contract((rule,)))) == 1


def test_rules_across_columns():
    table = pd.DataFrame({"a": [1, 2, None], "b": [2, 1, 0], "zäh ☃": ["x", "y", "z"]})
    rules = (
        TableRule("order", "a <= b", "warning", "a comes first"),
        TableRule("broken", "no_such > 1"),
        TableRule("unicode", "\"zäh ☃\" <> 'q'"),
        TableRule("file", "EXISTS (SELECT * FROM read_csv('/etc/passwd'))"),
    )
    result = check_contract(table, Contract((), rules, others="allow")).set_index("rule")
    assert list(result.index) == ["broken", "file", "order"]
    assert result.loc["order", ["count", "rows", "severity"]].tolist() == [1, "1", "warning"]
    assert "cannot be evaluated" in result.loc["broken", "message"]


ODD = {
    "lists": [[1], [2], None],
    "mixed": [1, "x", None],
    "bytes": [b"a", b"b", None],
    "complex": [1j, 2j, None],
    "huge": [10**30, -(10**30), None],
    "bool": pd.array([True, False, None], "boolean"),
    "Int": pd.array([1, 2, None], "Int64"),
    "cat": pd.Categorical(["a", "b", None]),
    "numcat": pd.Categorical([1, 2, None]),
    "time": pd.to_datetime(["2020-01-01", "2020-01-02", None]),
    "zoned": pd.to_datetime(["2020-01-01", "2020-01-02", None]).tz_localize("UTC"),
    "delta": pd.to_timedelta([1, 2, None], "D"),
    "period": pd.PeriodIndex(["2020-01", "2020-02", None], freq="M"),
    "inf": [np.inf, -np.inf, np.nan],
    "none": [None, None, None],
    "far": ["9999-99-99", "0001-01-01", None],
    "str": pd.array(["a", None, ""], "str"),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("kind", ["integer", "number", "text", "datetime", "boolean"])
def test_odd_columns_are_judged_and_never_raise(name, kind):
    bounds = {"datetime": ("2020-01-01", "2020-01-01"), "text": ("a", "b")}.get(kind, (0, 1))
    rule = ColumnRule(name, kind, min=bounds[0], max=bounds[1], categories=bounds, unique=True)
    contract = Contract((rule,), (TableRule("any", f'"{name}" IS NOT NULL'),), keys=(name,))
    for rows in (slice(None), slice(0, 0), slice(0, 1)):
        table = pd.DataFrame({name: ODD[name]}).iloc[rows]
        result = check_contract(table, contract)
        assert (result["count"] <= len(table)).all()


@pytest.mark.parametrize("name", ODD)
def test_a_table_keeps_the_contract_inferred_from_it(name):
    table = pd.DataFrame({name: ODD[name], "y": [0, 1, 0], 5: [1.5, np.nan, np.inf]})
    contract = infer_contract(table, Problem("y"))
    result = check_contract(table, contract)
    assert result.query("column != '5'").empty, result.to_string()


@settings(max_examples=60, deadline=None)
@example([1.7976931348623157e308, 2.0])
@example([1.0, 2.0, 1.7976931348623157e308, 1.75e308, None])
@example([-1.7976931348623157e308, 1.7976931348623157e308])
@example([5e-324, 0.5])
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.none(), min_size=1, max_size=20))
def test_inferred_ranges_hold_their_data_with_slack(values):
    table = pd.DataFrame({"x": pd.Series(values, dtype="float64"), "y": range(len(values))})
    contract = infer_contract(table, Problem("y"))
    assert check_contract(table, contract).empty
    rule = contract.columns[0]
    if rule.max is not None and table["x"].max() > 0:
        assert rule.max >= table["x"].max()


def test_inference_tells_identifiers_from_categories():
    table = pd.DataFrame({"id": [f"c{i}" for i in range(100)], "c": list("ab") * 50, "y": [0, 1] * 50, "n": range(100)})
    rules = {rule.name: rule for rule in infer_contract(table, Problem("y", keys=["id"])).columns}
    assert rules["id"].categories == ()
    assert rules["c"].categories == ("a", "b")
    assert (rules["y"].available_at, rules["y"].categories) == ("target", (0, 1))
    assert (rules["n"].min, rules["n"].max) == (0, 130)
    assert (rules["id"].severity, rules["c"].severity) == ("blocking", "warning")


names = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(names, min_size=1, max_size=4, unique=True),
    st.sampled_from(["known", "event", "after", "-2h", "-30min"]),
    st.lists(names, max_size=3, unique=True),
)
def test_a_written_contract_is_read_back(columns, moment, categories):
    import tempfile

    rules = tuple(
        ColumnRule(name, "text", max_missing=0.25, categories=tuple(categories), description=name, available_at=moment)
        for name in columns
    )
    numbers = ColumnRule("a number", "number", min=-1.5, max=1e-9, unit="%", severity="warning", required=False)
    dates = ColumnRule("a date", "datetime", min="2020-01-01", unique=True)
    contract = Contract(
        (*rules, numbers, dates), (TableRule(columns[0], "a > 'x' AND b: c"),), (columns[0],), 7, "allow"
    )
    with tempfile.TemporaryDirectory() as folder:
        write_contract(contract, Path(folder) / "c.yaml")
        assert read_contract(Path(folder) / "c.yaml") == contract


def test_yaml_words_stay_words(tmp_path):
    contract = Contract((ColumnRule("NO", categories=("NO", "yes", "null", "1", "1e3", "2020-01-01", "~", "")),))
    write_contract(contract, tmp_path / "c.yaml")
    assert read_contract(tmp_path / "c.yaml") == contract
    (tmp_path / "c.yaml").write_text(
        "columns:\n  a: {type: number, max: 1e3}\n  d: {type: datetime, min: 2020-01-01}\n"
    )
    rules = read_contract(tmp_path / "c.yaml").columns
    assert (rules[0].max, rules[1].min) == (1000.0, "2020-01-01")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("columns:\n  a: {type: number, maximum: 3}", r"c.yaml:2: column 'a' has no 'maximum'; did you mean 'max'"),
        ("columns:\n  a:\n    type: numbr", r"c.yaml:3: type 'numbr' is unknown; did you mean 'number'"),
        ("columns:\n  a:\n    severity: fatal", r"c.yaml:3: severity 'fatal' is unknown; there are blocking"),
        ("colums: {}", r"c.yaml:1: a contract has no 'colums'; did you mean 'columns'"),
        ("columns: [a]", r"c.yaml:1: columns must be names"),
        ("columns:\n  a: number", r"c.yaml:2: column 'a' needs rules"),
        ("columns:\n  a: {max_missing: 3}", "share from 0 to 1"),
        ("columns:\n  a: {max_missing: yes}", "share from 0 to 1"),
        ("columns:\n  a: {required: 1}", "true or false"),
        ("columns:\n  a: {categories: x}", "a list"),
        ("columns:\n  a: {type: number, min: x}", "cannot be 'x'"),
        ("columns:\n  a: {type: number, min: true}", "cannot be True"),
        ("columns:\n  a: {type: number, min: 3, max: 2}", "min 3 of 'a' is above max 2"),
        ("columns:\n  a: {type: datetime, min: soon}", "not a date"),
        ("columns:\n  a: {available_at: befor}", "available_at 'befor' is unknown"),
        ("columns:\n  a: {available_at: 2h}", "available_at '2h' is unknown"),
        ("columns:\n  a: {}\nkeys: [b]", "c.yaml:3: key 'b' has no rule"),
        ("columns:\n  a: {}\nkeys: a", "a list of columns"),
        ("columns:\n  a: {}\nmin_rows: many", "number of rows"),
        ("columns:\n  a: {}\nothers: x", "others 'x' is unknown"),
        ("columns:\n  a: {}\nrules:\n  - name: x", "c.yaml:4: a rule needs a name and an expression"),
        ("columns:\n  a: {}\nrules: x", "rules must be a list of rules"),
        ("columns:\n  a: {}\nrules:\n  - {name: x, expression: y, sql: z}", "has no 'sql'"),
        ("columns: [", "no YAML"),
        ("columns:\n  a: {}\n  a: {}", "no YAML"),
        ("- a", "holds no contract"),
        ("", "holds no contract"),
    ],
)
def test_reading_is_strict_and_points_at_the_line(tmp_path, text, words):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(BadContract, match=words):
        read_contract(tmp_path / "c.yaml")


def test_a_key_without_a_value_is_as_if_it_were_left_out(tmp_path):
    (tmp_path / "c.yaml").write_text("min_rows:\ncolumns:\n  a:\n  b: {required: , max_missing: , min: }\nrules:\n")
    assert read_contract(tmp_path / "c.yaml") == Contract((ColumnRule("a"), ColumnRule("b")))


def test_a_missing_file_names_the_nearest(tmp_path):
    write_contract(Contract(()), tmp_path / "flights.contract.yaml")
    with pytest.raises(BadContract, match=r"did you mean 'flights.contract.yaml'"):
        read_contract(tmp_path / "flight.contract.yaml")


def test_leaks_are_refused_by_name():
    moments = {"a": "known", "b": "-2h", "c": "-30min", "d": "event", "e": "after", "y": "target"}
    contract = Contract(tuple(ColumnRule(name, available_at=moment) for name, moment in moments.items()))
    assert usable_columns(contract) == ["a", "b", "c", "d"]
    assert usable_columns(contract, lead="2h") == ["a", "b"]
    assert usable_columns(contract, lead="1d") == ["a"]
    refuse_leaks(["a", "b"], contract, lead="2h")
    with pytest.raises(LeakedFeature) as caught:
        refuse_leaks(["a", "c", "d", "e", "y", "bb"], contract, lead="2h")
    told = str(caught.value)
    assert "c: known only 30min before" in told
    assert "d: known only at the event" in told
    assert "e: known only after" in told
    assert "y: it is the target" in told
    assert "bb: the contract does not say" in told
    assert "\n  a:" not in told


def test_leads():
    assert read_lead("90min") == read_lead("1.5h")
    assert read_lead("") == pd.Timedelta(0)
    for bad in ("2 fortnights", "-2h", "h"):
        with pytest.raises(BadParameter, match="write it as 2h"):
            read_lead(bad)


@pytest.mark.parametrize("name", ["wine", "diabetes"])
def test_the_shipped_contracts_hold_for_every_part(name):
    params = YAML(typ="safe").load((PARAMS / f"{name}.yaml").read_text())
    shared = params["shared"]
    contract = read_contract(PARAMS / f"{name}.contract.yaml")
    table = take_snapshot(shared["sources"], shared.get("query", "")).table
    splits = split_table(table, params["02_ingest"]["split"], Problem(shared["target"], shared["task"]))
    for part in (table, splits.train, splits.valid, splits.test, *splits.windows.values()):
        found = check_contract(part, contract)
        assert found.empty, found.to_string()


def test_the_flights_contract_covers_the_query_and_refuses_what_comes_late():
    params = YAML(typ="safe").load((PARAMS / "flights.yaml").read_text())
    shared = params["shared"]
    contract = read_contract(PARAMS / "flights.contract.yaml")
    table = take_snapshot(shared["sources"], shared["query"], keys=shared["keys"]).table
    found = check_contract(table, contract)
    assert found[["rule", "column", "severity", "count"]].values.tolist() == [["max", "wind_speed", "warning", 32]]
    with pytest.raises(LeakedFeature) as caught:
        refuse_leaks(list(table.columns), contract, lead="2h")
    late = [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:-1]]
    assert late == ["late", "dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]


@pytest.mark.parametrize("text", ["a\x85", "x\x85y", "a\u2028b", "a\u2029", "\x9bx", "a\x7f", "\ufeffa", "a\xa0"])
def test_text_that_looks_like_a_line_break_survives_the_file(tmp_path, text):
    contract = infer_contract(pd.DataFrame({f"{text} c": [text, "b"] * 30}), Problem(f"{text} c"))
    write_contract(contract, tmp_path / "c.yaml")
    found = read_contract(tmp_path / "c.yaml").columns[0]
    assert (found.name, set(found.categories)) == (f"{text} c", {text, "b"})


def test_a_contract_is_proposed_until_a_person_confirms_it(tmp_path):
    path = tmp_path / "toy.contract.yaml"
    write_contract(Contract((ColumnRule("age", "integer"), ColumnRule("y", "integer", available_at="target"))), path)
    path.write_text(path.read_text().replace("  age:", "  age:  # in years"))
    assert "nobody has confirmed" in doubt_contract(read_contract(path))
    confirmed = confirm_contract(path, "Ann Lee", "2026-11-28")
    assert doubt_contract(confirmed) == doubt_contract(read_contract(path)) == ""
    assert doubt_contract(load(*dump(confirmed)[::2])) == ""
    assert "# in years" in path.read_text()
    assert confirm_contract(path, "Bob", "2026-11-29").confirmed.by == "Bob"
    assert path.read_text().count("confirmed:") == 1
    path.write_text(path.read_text().replace("available_at: known", "available_at: event"))
    assert doubt_contract(read_contract(path)) == "the contract has changed since Bob confirmed it on 2026-11-29"


def test_a_confirmation_by_hand_counts_and_one_without_a_name_or_date_is_refused(tmp_path):
    path = tmp_path / "toy.contract.yaml"
    write_contract(Contract((ColumnRule("age", "integer"),)), path)
    text = path.read_text()
    path.write_text(text + "confirmed: {by: Ann, on: 2026-11-28}\n")
    assert doubt_contract(read_contract(path)) == ""
    for bad in (
        "{by: Ann}",
        "{by: '', on: 2026-11-28}",
        "{by: Ann, on: today}",
        "yes",
        "{by: Ann, on: 2026-11-28, at: noon}",
    ):
        path.write_text(text + f"confirmed: {bad}\n")
        with pytest.raises(BadContract):
            read_contract(path)
    with pytest.raises(BadContract, match="nobody is named"):
        confirm_contract(PARAMS / "flights.contract.yaml", " ", "2026-11-28")


@pytest.mark.parametrize("name", ["flights", "diabetes", "wine"])
def test_our_own_contracts_are_confirmed(name):
    assert doubt_contract(read_contract(PARAMS / f"{name}.contract.yaml")) == ""


def test_a_proposed_contract_leaves_no_column_free_to_be_empty():
    table = pd.DataFrame({"y": [0, 1] * 50, "often": [1.0] * 20 + [None] * 80, "seldom": [1.0] * 90 + [None] * 10})
    most = {rule.name: rule.max_missing for rule in infer_contract(table, Problem("y")).columns}
    assert most == {"y": 0.0, "often": 0.9, "seldom": 0.17}
