"""The model card: what the run fills, what people write, what is missing, and whether that keeps a model from approval."""

import json

import jinja2
import pandas as pd
import pytest

from nbkit.errors import BadParameter
from nbkit.registry import list_unstated, read_card
from nbkit.report import facts, shell, write_report
from tests.page_checks import check_page
from tests.test_report_overview import GATES, PASSED, VERDICTS, write_run
from tests.test_report_pages import EVIL

WRITTEN = {"intended_users": "The desk", "licence": "MIT"}


def make_card(project, card=WRITTEN, required=(), **more):
    frame = {"objective": "Fewer missed connections.", "decision": "Rebook.", "owner": "Ann", "protected": ["origin"]}
    claims = [("Rates do", "rejected", None), ("The rule does", "kept", "roc_auc"), ("Nobody asks", "kept", None)]
    frame["hypotheses"] = pd.DataFrame(claims, columns=["claim", "verdict", "answered_by"])
    scores = pd.DataFrame({"value": [0.74173, 4133.4], "low": [0.709, 3690], "high": [0.7731, 4692]})
    scores.index = pd.Index(["roc_auc", "cost"], name="metric")
    splits = [("train", 77911, "2013-01-01", "2013-03-31"), ("test", 1, None, None)]
    catalogue = pd.DataFrame({"feature": ["temp", "x"], "description": ["Temperature", ""]})
    values = {
        "01_frame": {**frame, "card": read_card(card, required)},
        "02_ingest": {
            "splits": pd.DataFrame(splits, columns=["split", "rows", "first", "last"]),
            "exclusions": pd.DataFrame({"what": "WHERE x", "sentence": ["9,430 rows left out by WHERE x: late"]}),
            "sources": pd.DataFrame({"name": ["f"], "location": ["f.csv"], "rows": [9], "sha256": ["a" * 64]}),
        },
        "05_features": {"catalogue": catalogue, "refused": pd.DataFrame({"column": ["arr_delay"]})},
        "07_evaluate": {"verdicts": VERDICTS.assign(name=["roc_auc", "cost"]), "scores": scores, "threshold": 0.2401},
        "08_explain": {"importance": pd.DataFrame({"feature": ["temp", "x"], "share": [0.616, 0.2]})},
        "09_register": {"gates": GATES, "version": "toy@3", "digest": "d" * 64, "algorithm": "Ridge()"},
    }
    values = {stage: {**values.get(stage, {}), **more.get(stage, {})} for stage in sorted({*values, *more})}
    folder = write_run(project, stages=dict.fromkeys(values, PASSED), **values)
    place = write_report(folder).parent
    known = json.loads((place / "card.json").read_text())
    return known, place, {field["name"]: field for field in known["fields"]}


def test_what_the_run_fills_and_what_people_write_are_told_apart_and_counted(project):
    known, place, fields = make_card(project)
    assert known["counted"] == "17 of 23 fields are filled; 5 need a person; 1 is not known yet."
    assert fields["Licence"] | {"section": "", "annex": ""} == {
        "section": "", "name": "Licence", "annex": "", "asked": "card.licence", "said": ["MIT"], "status": "written by a person",
    }  # fmt: skip
    assert fields["Contact"]["status"] == "to be written"
    assert fields["Monitoring"]["status"] == "not known yet"
    assert fields["Results"]["said"] == ["ROC AUC: 0.742 (0.709 to 0.773)", "cost: 4,100 (3,700 to 4,700)"]
    assert fields["Groups that are compared"]["said"] == ["origin"]
    claims = fields["Claims that were kept to be tested"]["said"]
    assert (
        claims[0]
        == "“The rule does” is tested by this criterion: auc is more than that of the rule, target > rule: pass."
    )
    assert claims[1].startswith("“Nobody asks”: no criterion that was judged is named as its test")
    assert len(claims) == 2
    assert fields["What drives a prediction"]["said"][0] == "Temperature (temp): 62 % of the influence on a prediction."
    assert fields["Sources and rows"]["said"] == ["f: f.csv, 9 rows.", "77,911 rows to learn from, from 2013-01-01 to 2013-03-31."]  # fmt: skip
    assert fields["Rows it was judged on"]["said"][0] == "1 row set apart for the verdict."
    assert fields["What was left out"]["said"] == [
        "9,430 rows left out by WHERE x: late.",
        "1 column known only after the prediction is due: arr_delay.",
    ]
    assert fields["From a prediction to a decision"]["said"][0].startswith("Act from a probability of 0.24 on")
    page = check_page((place / "card.html").read_text())
    assert known["counted"] in page.text
    assert (
        "To be written by a person: Contact, Who may see this report, Out of scope, Ethical considerations, Human oversight and fallback."
        in page.text
    )
    assert page.text.count("■ To be written") == 5
    text = (place / "card.md").read_text()
    assert "### Licence (written by a person; Annex IV, 1(d))\n\n- MIT\n" in text
    assert "**A person writes it in 01: card.contact.**" in text


def test_every_section_of_mitchell_et_al_is_there_in_their_order(project):
    known, *_ = make_card(project)
    assert list(dict.fromkeys(field["section"] for field in known["fields"])) == [
        "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data", "Quantitative analyses",
        "Ethical considerations", "Caveats and recommendations",
    ]  # fmt: skip
    assert all(field["annex"] for field in known["fields"])


@pytest.mark.parametrize("words", [EVIL, "a\n# Model details | x | y |\n- b\n<script>", "漢" * 200, "| # {{ 7 * 7 }}"])
def test_what_people_write_stays_words(project, words):
    _, place, fields = make_card(
        project, {"contact": words, "out_of_scope": words}, **{"01_frame": {"objective": words}}
    )
    assert fields["Contact"]["said"] == [words]
    assert fields["Purpose"]["said"][0] == " ".join(words.split())
    assert len(fields) == 23
    page = check_page((place / "card.html").read_text())
    assert page.text.count(" ".join(words.split())) >= 3
    assert (place / "card.html").read_text().count("<script>") == 1  # the page's own
    assert "<script>" not in (place / "card.md").read_text()


def test_a_run_that_ends_early_has_a_card_that_says_so(project):
    folder = write_run(project, status="failed", stages={"01_frame": PASSED}, **{"01_frame": {"objective": "x"}})
    page = check_page((write_report(folder).parent / "card.html").read_text())
    assert "0 of 23 fields are filled; 10 need a person; 13 are not known yet." in page.text
    assert page.text.count("The run did not come to this.") == 13


def test_an_unknown_entry_is_refused_with_the_nearest():
    for name, given in (("card", ({"licens": "MIT"}, [])), ("card_required", ({}, ["licens"]))):
        with pytest.raises(BadParameter, match=rf"{name}: there is no entry 'licens'; did you mean 'licence'"):
            read_card(*given)


@pytest.mark.parametrize(("text", "lacking"), [("MIT", []), (" ", ["licence"]), (None, ["licence"])])
def test_what_is_required_and_not_written_is_unstated(text, lacking):
    stated = {"objective": "a", "decision": "b", "owner": "c", "rule_in_words": "d", "criteria": {"roc_auc": "> 0.5"}}
    card = read_card({"licence": text} if text else {}, ["licence"])
    found = list_unstated({**stated, "costs": {"false_positive": 1}, "card": card}, "binary")
    assert found == [f"state `card.{entry}`: on what terms the model and its data may be used" for entry in lacking]
    assert list_unstated({**stated, "costs": {"false_positive": 1}, "card": read_card({})}, "binary") == []


def test_what_is_required_stands_on_the_card(project):
    _, place, _ = make_card(project, {}, ["licence", "human_oversight"])
    assert "No model of this project is approved without: human oversight, licence." in check_page((place / "card.html").read_text()).text  # fmt: skip


def test_what_is_to_be_watched_is_a_known_risk(project):
    broken = pd.DataFrame({"message": ["age is below 0"], "severity": ["warning"]})
    *_, fields = make_card(project, **{"03_validate": {"violations": broken}})
    assert fields["Known risks and limits"]["said"] == ["Age is below 0 (warning)."]


def test_a_misspelt_name_in_a_template_is_an_error_and_no_empty_space(project, monkeypatch):
    template = shell.make_environment().overlay(loader=jinja2.DictLoader({"x.j2": "{{ rows(FRAME, 'card').nams }}"}))
    monkeypatch.setattr(facts, "make_environment", lambda: template)
    with pytest.raises(jinja2.UndefinedError, match="nams"):
        facts.render_facts("x.j2", write_run(project, stages={"01_frame": PASSED}))
