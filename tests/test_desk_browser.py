"""The registry's widget without a browser: what it shows, that it asks first, and that it refuses as the command does."""

import re
import shutil

import pytest
from click.testing import CliRunner

from nbkit.cli import main
from nbkit.desk.browser import Browser
from nbkit.errors import UnknownVersion
from nbkit.registry import Registry
from tests.registry_helpers import fill


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "registry"
    fill(Registry(folder))
    return folder


@pytest.fixture
def browser(made, project):
    shutil.copytree(made, project / "registry")
    found = Browser(project)
    assert found.widget
    return found


def choose(browser, reference, by="Ann Lee", why="it saves more"):
    browser.choice.value, browser.by.value, browser.why.value = reference, by, why


def flatten(page):
    return re.sub(r">\s+<", "><", page)


def told(browser):
    return browser.said.value.replace("&#x27;", "'")


def test_versions_are_listed_with_state_and_who_approved(browser):
    labels = [label for label, _ in browser.choice.options]
    assert "toy@2, staging, approved by nobody" in labels
    assert "toy@1, production, approved by ann" in labels
    assert len(labels) == 5


def test_a_version_is_shown_with_gates_approvals_lineage_and_beside_production(browser):
    browser.choice.value = "toy@3"
    page = browser.page.value
    assert "nobody has approved it for production" in page
    assert "<td>criteria_met</td><td>closed</td><td>yes</td><td>because</td>" in flatten(page)
    assert "0.75 (0.70 to 0.80) (toy@1)" in page
    assert "the run that registered toy@3, r3, is not here any more" in page
    browser.choice.value = "toy@1"
    assert "toy@1 was approved for production by ann" in browser.page.value
    assert "0.75 (0.70 to 0.80) (toy@1)" in browser.page.value
    browser.choice.value = "toy@4"
    assert "rejected" in browser.page.value


def test_promote_asks_first_and_then_does_it(browser):
    choose(browser, "toy@2")
    browser.buttons["Promote"].click()
    assert browser.yes.description == "Yes, promote toy@2"
    assert "Nothing is done until you say yes" in told(browser)
    assert browser.open().get("toy@production").number == 1
    browser.yes.click()
    moved = browser.open().get("toy@production")
    assert moved.number == 2
    browser.yes.click()  # the second half of a double click
    assert f"toy@2 is now production ({moved.digest[:12]})" in told(browser)
    assert browser.open().history("toy").iloc[-1][["by", "why"]].tolist() == ["Ann Lee", "it saves more"]
    assert browser.yes.disabled
    assert "toy@2, production, approved by Ann Lee" in [label for label, _ in browser.choice.options]
    choose(browser, "toy@2")
    browser.buttons["Roll back"].click()
    assert browser.yes.description == "Yes, roll back toy"
    browser.yes.click()
    assert "toy@1 is in production again" in told(browser)


def test_of_two_who_promote_the_same_version_one_does_and_the_log_says_so_once(browser):
    other = Browser(browser.root)
    assert other.widget
    for each, name in ((browser, "Ann"), (other, "Bob")):
        choose(each, "toy@2", by=name)
        each.buttons["Promote"].click()
    before = len(browser.open().history("toy"))
    browser.yes.click()
    other.yes.click()
    assert "toy@2 is now production" in told(browser)
    assert "toy@2 is already in production, approved for production by Ann" in told(other)
    moves = browser.open().history("toy").iloc[before:]
    assert moves[moves["event"] == "promote"][["number", "by"]].to_numpy().tolist() == [[2, "Ann"]]


def test_of_two_who_decide_otherwise_the_second_is_told_what_holds_now(browser):
    other = Browser(browser.root)
    assert other.widget
    choose(browser, "toy@2", by="Ann")
    browser.buttons["Reject"].click()
    choose(other, "toy@2", by="Bob")
    other.buttons["Promote"].click()
    browser.yes.click()
    other.yes.click()
    assert 'role="alert"' in told(other)
    assert "toy@2" in told(other)
    assert browser.open().get("toy@production").number == 1
    assert browser.open().history("toy").iloc[-1][["event", "by"]].tolist() == ["reject", "Ann"]


def test_no_or_another_version_forgets_what_was_asked(browser):
    choose(browser, "toy@2")
    browser.buttons["Promote"].click()
    browser.no.click()
    assert "nothing was done" in told(browser)
    browser.yes.click()
    assert "nothing was done" in told(browser)
    browser.buttons["Promote"].click()
    browser.choice.value = "toy@3"
    assert browser.yes.disabled
    browser.yes.click()
    assert browser.open().get("toy@production").number == 1


@pytest.mark.parametrize(
    ("button", "words", "reference"),
    [
        ("Promote", ["promote", "toy@3"], "toy@3"),
        ("Promote", ["promote", "toy@4"], "toy@4"),
        ("Reject", ["reject", "toy@1"], "toy@1"),
        ("Roll back", ["rollback", "toy"], "toy@2"),
        ("Roll back", ["rollback", "other"], "other@1"),
    ],
)
def test_it_refuses_where_the_command_line_does_with_the_same_words(browser, button, words, reference):
    before = len(browser.open().history())
    done = CliRunner().invoke(main, [*words, "--by", "Ann Lee", "--why", "it saves more"])
    assert done.exit_code in (2, 3)
    choose(browser, reference)
    browser.buttons[button].click()
    browser.yes.click()
    assert done.stderr.splitlines()[-1].removeprefix("nbkit: ") in told(browser)
    assert 'role="alert"' in told(browser)
    assert len(browser.open().history()) == before


@pytest.mark.parametrize(("by", "why"), [("", "x"), ("Ann", " ")])
def test_nobody_decides_without_a_name_and_a_reason(browser, by, why):
    choose(browser, "toy@2", by, why)
    browser.buttons["Reject"].click()
    assert "give your name and a reason" in told(browser)
    assert browser.yes.disabled


def test_without_a_registry_it_says_how_to_get_one(project):
    browser = Browser(project)
    assert browser.widget
    said = f"there is no registry in {project / 'registry'} yet: `nbkit run PARAMS`"
    assert said in told(browser)
    assert said in browser.html()
    browser.buttons["Promote"].click()
    assert "no version is chosen" in told(browser)
    assert not (project / "registry").exists()


def test_a_registry_that_goes_away_is_said(browser):
    choose(browser, "toy@2")
    browser.buttons["Promote"].click()
    shutil.rmtree(browser.root / "registry")
    browser.yes.click()
    assert "there is no registry" in told(browser)
    with pytest.raises(UnknownVersion):
        browser.list()


def test_a_registry_that_cannot_be_written_refuses_and_is_still_shown(browser, monkeypatch):
    def fail(*args, **kwargs):
        raise PermissionError(13, "Read-only file system", "registry/registry.db")

    monkeypatch.setattr("nbkit.registry.ledger.Ledger.change", fail)
    choose(browser, "toy@2")
    browser.buttons["Promote"].click()
    browser.yes.click()
    assert "Read-only file system" in told(browser)
    assert "toy@2" in browser.page.value


def test_the_static_twin_shows_all_versions_and_has_no_script(browser):
    page = browser.html()
    assert "<p>Registry: 5 versions</p>" in page
    assert "<td>toy@2</td><td>staging</td>" in flatten(page)
    assert "<script" not in page
    assert browser._repr_mimebundle_()["text/html"] == page
