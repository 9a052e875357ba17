"""Columns that tell something about a person: proposed, stated in the contract, and their values kept from pages."""

from dataclasses import replace

import pandas as pd
import pytest

from nbkit.contract import ColumnRule, Contract, TableRule, digest_terms
from nbkit.data import check_contract, infer_contract, read_contract, spell_contract, take_snapshot
from nbkit.data.personal import list_shown, looks_personal, withhold
from nbkit.errors import BadContract
from nbkit.features import inspect_snapshot
from nbkit.problem import Problem

PEOPLE = pd.DataFrame(
    {
        "email": [f"ann{n}@example.org" for n in range(60)],
        "reach": [f"+49 30 9018{n:02}" for n in range(60)],
        "born": [1950 + n for n in range(60)],
        "town": ["Rome", "Oslo", "Bonn"] * 20,
        "left": [0, 1, 1] * 20,
    }
)
SECRET = ("example.org", "+49 30", "1950", "2009")


@pytest.mark.parametrize(
    ("name", "is_it"),
    [
        ("Name", True), ("last name", True), ("customerName", True), ("e-mail", True), ("home_phone", True), ("DOB", True),
        ("date_of_birth", True), ("passport_no", True), ("street.address", True), ("IBAN", True),
        ("carrier", False), ("product_name", False), ("rename_count", False), ("nameplate", False), ("emails_sent", False),
    ],
)  # fmt: skip
def test_a_name_tells_it(name, is_it):
    assert looks_personal(name, pd.Series([1, 2, 3])) is is_it


def test_what_most_values_hold_tells_it_too_and_a_yes_or_no_does_not():
    assert looks_personal("contact", PEOPLE["email"])
    assert looks_personal("contact", PEOPLE["reach"])
    assert not looks_personal("contact", PEOPLE["town"])
    assert not looks_personal("has_email", pd.Series([True, False, True]))


def test_it_is_proposed_without_its_values_and_read_back(tmp_path):
    contract = infer_contract(PEOPLE.assign(name=PEOPLE["town"]), Problem("left"))
    assert contract.personal == ["email", "reach", "born", "name"]
    (tmp_path / "a.contract.yaml").write_text(text := spell_contract(contract))
    assert read_contract(tmp_path / "a.contract.yaml") == contract
    assert text.count("personal: true") == 4
    assert (text.count("Rome"), text.count("example.org")) == (1, 0)  # once, as a level of town
    (tmp_path / "a.contract.yaml").write_text(text.replace("personal: true", "personal: perhaps"))
    with pytest.raises(BadContract, match="personal must be true or false"):
        read_contract(tmp_path / "a.contract.yaml")


def test_a_new_project_says_what_it_takes_as_personal(tmp_path):
    PEOPLE.to_parquet(tmp_path / "people.parquet")
    snapshot = take_snapshot({"data": "people.parquet"}, root=tmp_path)
    notes = inspect_snapshot(snapshot, target="left", name="people").notes
    (note,) = [each for each in notes if "person" in each]
    assert note.startswith("email, reach, born: seems to tell something about a person")


def test_who_confirms_confirms_it_too_and_older_confirmations_hold():
    plain, marked = (Contract((ColumnRule("born", personal=each),)) for each in (False, True))
    assert digest_terms(plain) != digest_terms(marked)
    assert digest_terms(plain) == "6f08967e23b84671"  # as it was before a column could be personal


@pytest.mark.parametrize("personal", [True, False])
def test_no_message_of_a_violation_shows_a_value(personal):
    terms = Contract(
        (
            ColumnRule("email", "integer", personal=personal),
            ColumnRule("reach", categories=("none",), unique=True, personal=personal),
            ColumnRule("born", "integer", min=1990, personal=personal),
        ),
        (TableRule("old", "born > 1990"),),
        keys=("born",),
        others="allow",
    )
    twice = pd.concat([PEOPLE, PEOPLE.tail(1)])
    found = check_contract(twice, terms)
    assert set(found["rule"]) == {"type", "categories", "unique", "min", "keys", "old"}
    shown = " ".join([*found["message"], *found["examples"]])
    assert [each in shown for each in SECRET] == [not personal] * 4
    assert ("withheld" in shown) == personal


def test_rows_and_tables_about_columns_are_masked_and_the_data_stay():
    terms = replace(infer_contract(PEOPLE, Problem("left")), rules=())
    rows = withhold(PEOPLE, terms)
    assert rows["email"].unique().tolist() == ["withheld"]
    assert rows["town"].tolist() == PEOPLE["town"].tolist()
    assert PEOPLE["email"].nunique() == 60
    about = PEOPLE[["born", "left"]].describe().T
    told = withhold(about, terms, "min", "max")
    assert told.loc["born", ["min", "max"]].tolist() == ["withheld", "withheld"]
    assert told.loc["born", "mean"] == about.loc["born", "mean"]
    assert told.loc["left", "max"] == 1
    suspects = pd.DataFrame({"columns": [["left", "email"], ["left"]], "evidence": ["it is ann7", "it is 1"]})
    assert withhold(suspects, terms, "evidence")["evidence"].tolist() == ["withheld", "it is 1"]
    assert withhold(about, Contract(()), "min").equals(about)


def test_levels_of_a_personal_text_are_not_drawn_and_numbers_are():
    terms = infer_contract(PEOPLE, Problem("left"))
    assert list_shown(["email", "born", "town", "made"], terms, PEOPLE) == ["born", "town", "made"]
