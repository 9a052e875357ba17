import json
import re
from html import unescape

import numpy as np
import pandas as pd
import pytest

from nbkit.contract import Contract
from nbkit.plots import draw_bars
from nbkit.registry import evaluate_gates
from nbkit.report import write_report
from nbkit.scrub import Scrubber
from nbkit.store import write_atomic
from nbkit.tables import format_table
from tests.page_checks import check_page
from tests.test_report_overview import GATES, PASSED, VERDICTS, closed, write_run

EVIL = "</script><script>alert('ü')</script><img src=http://x onerror=alert(1)> &amp; \"quoted\" 'x'"


def add_outputs(folder, stage, *outputs, source="show()"):
    path = folder / f"{stage}.ipynb"
    notebook = json.loads(path.read_text())
    notebook["cells"].append({"cell_type": "code", "id": "more", "metadata": {}, "source": source, "execution_count": 3, "outputs": list(outputs)})  # fmt: skip
    path.write_text(json.dumps(notebook))


def show(value):
    if isinstance(value, pd.DataFrame):
        return {
            "output_type": "execute_result",
            "data": {"text/html": format_table(value), "text/plain": "t"},
            "metadata": {},
            "execution_count": 3,
        }
    data, metadata = value._repr_mimebundle_()
    return {"output_type": "display_data", "data": data, "metadata": metadata}


def pages(folder):
    front = write_report(folder)
    assert front == folder / "report" / "index.html"
    found = {path.name: check_page(path.read_text(encoding="utf-8")) for path in sorted(front.parent.glob("*.html"))}
    files = {path.name for path in front.parent.iterdir()}
    for page in found.values():
        links = [attrs["href"] for attrs in page.all("a") if not attrs.get("href", "#").startswith("#")]
        assert set(links) <= files
    return found


def full_run(project, words="fine", gates=GATES):
    stages = {stage: {**PASSED, "headline": f"{words} {stage}"} for stage in ("01_frame", "07_evaluate", "09_register")}
    frame = {"objective": words, "decision": words, "owner": words}
    worst = pd.DataFrame({"column": [words], "slice": [words], "value": [0.5], "n": [9]}).assign(
        gap=0.2, gap_low=0.1, gap_high=0.3
    )
    verdicts = VERDICTS.assign(words=words, why=words)
    values = {"01_frame": frame, "07_evaluate": {"verdicts": verdicts, "worst": worst}, "09_register": {"gates": gates}}
    return write_run(project, stages=stages, **values)


def test_a_run_becomes_a_front_page_and_one_page_a_stage(project):
    found = pages(full_run(project))
    names = ["card", "glossary", "index", "lineage"]
    assert list(found) == [f"{name}.html" for name in ("01_frame", "07_evaluate", "09_register", *names)]
    front = found["index.html"].text
    assert "✓ Approve" in front
    assert "Every criterion is met on the test rows (2)." in front
    assert "✓ pass" in front
    assert "✓ passed" in front
    assert front.count("fine 0") >= 3
    links = [attrs["href"] for attrs in found["07_evaluate.html"].all("a")]
    around = ["01_frame.html", "09_register.html"]
    assert links == ["#main", "index.html", "glossary.html", *around, around[0], "index.html", around[1]]
    assert "fine 07_evaluate" in found["07_evaluate.html"].text


@pytest.mark.parametrize(
    ("gates", "status", "words"),
    [(GATES, "passed", "✓ Approve"), (closed("beats_rule"), "passed", "✕ Reject"), (GATES, "failed", "■ Not decided")],
)
def test_a_verdict_is_told_by_a_sign_and_a_word_not_by_colour_alone(project, gates, status, words):
    folder = full_run(project, gates=gates)
    manifest = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**manifest, "status": status}))
    assert words in pages(folder)["index.html"].text


@pytest.mark.parametrize(("decision", "sign"), [("ok", "✓ Ok"), ("look", "■ Needs review"), ("retrain", "✕ Retrain")])
def test_a_monitor_run_says_what_to_do(project, decision, sign):
    folder = write_run(project, stages={"11_monitor": PASSED}, **{"11_monitor": {"decision": decision}})
    assert sign in pages(folder)["index.html"].text


@pytest.mark.parametrize("status", ["failed", "refused", "interrupted"])
def test_a_run_that_stopped_shows_where_and_why(project, status):
    entry = {"status": status, "message": f"{EVIL} happened", "cell": 2, "seconds": 1.0}
    folder = write_run(
        project, status=status, stages={"01_first": PASSED, "02_second": entry}, **{"01_first": {}, "02_second": {}}
    )
    error = {
        "output_type": "error",
        "ename": "ValueError",
        "evalue": EVIL,
        "traceback": [EVIL, "\x1b[31mlast line\x1b[0m"],
    }
    add_outputs(
        folder,
        "02_second",
        {"output_type": "stream", "name": "stdout", "text": EVIL},
        error,
        source=f"raise ValueError({EVIL!r})",
    )
    found = pages(folder)
    assert f"The run stopped at 02_second, code cell 2: {EVIL} happened" in found["index.html"].text
    second = found["02_second.html"].text
    assert f"✕ ValueError: {EVIL}" in second
    assert "last line" in second
    assert "\x1b" not in second
    assert second.count("alert('ü')") >= 4


def test_what_a_person_has_to_state_stands_a_demand_a_line_and_code_as_code(project):
    detail = evaluate_gates(
        gates=["stated_and_confirmed"], unstated=["state `owner`: who", "state `<b>`"], contract=Contract(()),
        demanded=pd.DataFrame({"reference": ["rule"]}),
    )  # fmt: skip
    gates = pd.concat([GATES, detail]) if "inconclusive" in GATES else pd.concat([GATES, detail[GATES.columns]])
    folder = full_run(project, gates=gates)
    pages(folder)
    html = (folder / "report" / "index.html").read_text()
    lines = html.partition("A person has to decide: ")[2].partition("</p>")[0].split("<br>")
    assert lines[:3] == [
        "3 things to state or confirm before production:",
        "state <code>owner</code>: who;",
        "state <code>&lt;b&gt;</code>;",
    ]
    assert lines[3].startswith("the contract is proposed")
    assert "`" not in html.partition("</section>")[0].partition('<section class="verdict')[2]


def test_hostile_words_stay_words_everywhere(project):
    folder = full_run(project, EVIL)
    pictured = draw_bars(pd.DataFrame({"a": [EVIL], "b": [1.0]}), "a", "b", EVIL)
    table = pd.DataFrame({EVIL: [EVIL, np.nan]}, index=pd.Index(["<b>x", "y"], name=EVIL))
    add_outputs(folder, "07_evaluate", show(pictured), show(table), show(pictured), source=EVIL)
    found = pages(folder)
    assert found["index.html"].text.count("onerror=alert(1)") >= 12
    evaluated = found["07_evaluate.html"]
    assert evaluated.text.count("</script><script>alert('ü')") >= 4
    assert len(list(evaluated.all("svg"))) == 2
    for attrs in evaluated.all("div"):
        if attrs.get("role") == "img":
            assert "onerror=alert(1)" in attrs["aria-label"]
    for path in (folder / "report").glob("*.html"):
        text = path.read_text()
        assert text.count("<script") == (2 if path.name == "index.html" else 1)
        assert "<img" not in text
        assert not re.search(r"(?:src|href|url|action)\s*[=(]\s*[\"']?https?:", re.sub(r"&(lt|gt|#3[49]|quot);|\\u003c", "", text).replace("img src=http://x", ""))  # fmt: skip


def test_the_data_of_the_front_page_are_readable_json(project):
    folder = full_run(project, EVIL)
    text = write_report(folder).read_text()
    embedded = re.search(r'<script type="application/json" id="report">(.*?)</script>', text, flags=re.DOTALL)
    twin = json.loads(embedded.group(1), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert twin["objective"] == EVIL
    assert [row["stage"] for row in twin["stages"]] == ["01_frame", "07_evaluate", "09_register"]
    assert twin["criteria"][0]["criterion"] == EVIL


def test_numbers_are_short_and_an_idle_index_is_gone(project):
    folder = write_run(project, stages={"01_first": PASSED}, **{"01_first": {}})
    table = pd.DataFrame({"auc": [0.741732581, np.nan], "n": [20145.512345, 1.5]})
    add_outputs(folder, "01_first", show(table))
    write_report(folder)
    text = (folder / "report" / "01_first.html").read_text()
    assert '<td class="number">0.742</td>' in text
    assert '<td class="number">20,146</td>' in text
    assert '<td class="number">–</td>' in text
    assert 'scope="row"' not in text


def test_figures_of_one_page_do_not_share_ids(project):
    folder = write_run(project, stages={"01_first": PASSED}, **{"01_first": {}})
    picture = draw_bars(pd.DataFrame({"a": ["x"], "b": [1.0]}), "a", "b", "Bars")
    add_outputs(folder, "01_first", show(picture), show(picture))
    page = pages(folder)["01_first.html"]
    assert len(page.all("svg")) == 2
    assert len(page.all("figcaption")) == 2
    assert sum(picture.alt in unescape(text) for text in page.texts) == 2


def test_a_run_with_nothing_in_it_still_has_a_page(project):
    found = pages(write_run(project, status="failed"))
    assert list(found) == ["glossary.html", "index.html"]
    assert "Run of toy" in found["index.html"].text
    (project / "runs" / "bare").mkdir()
    assert "NOT DECIDED" in pages(project / "runs" / "bare")["index.html"].text


def test_unicode_and_percents_survive(project):
    folder = full_run(project, "Größe 漢字 100 % {{ 7 * 7 }} {% raw %}")
    assert "Größe 漢字 100 % {{ 7 * 7 }} {% raw %}" in pages(folder)["index.html"].text


def test_the_same_run_gives_the_same_bytes(project):
    folder = full_run(project)
    first = {path.name: path.read_bytes() for path in write_report(folder).parent.iterdir()}
    assert {path.name: path.read_bytes() for path in write_report(folder).parent.iterdir()} == first


def test_a_page_that_cannot_be_written_leaves_the_old_one(project, monkeypatch):
    folder = full_run(project)
    front = write_report(folder)
    before = front.read_bytes()

    def fail(path, content):
        if path.name == "index.html":
            raise OSError(28, "No space left on device")
        write_atomic(path, content)

    monkeypatch.setattr("nbkit.report.pages.write_atomic", fail)
    with pytest.raises(OSError, match="No space"):
        write_report(folder)
    assert front.read_bytes() == before


def test_a_secret_that_a_table_brings_along_is_on_no_page(project, monkeypatch):
    monkeypatch.setenv("TOY_WORD", "s3cret <word>")
    folder = full_run(project, words="read with s3cret <word>")
    add_outputs(folder, "07_evaluate", show(pd.DataFrame({"s3cret <word>": ["s3cret <word>"]})))
    manifest = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**manifest, "secrets": ["TOY_WORD"]}))
    found = pages(folder)
    assert "read with ***" in found["index.html"].text
    assert [name for name, page in found.items() if "s3cret" in page.text] == []
    assert "s3cret" not in "".join(path.read_text() for path in (folder / "report").iterdir())


def test_no_page_tells_how_the_machine_is_laid_out_that_ran_a_stage_now_or_before(project, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    folder = full_run(
        project, words=f"reads {project}/params/x.yaml and /home/somebody/own.csv, see https://x.org/runs/7"
    )
    frames = f"{project}/runs/toy-0/03.ipynb, /opt/py/lib/python3.11/site-packages/pandas/io.py, /srv/a/runs/old/x.csv"
    error = {"output_type": "error", "ename": "E", "evalue": str(folder), "traceback": [frames]}
    add_outputs(folder, "07_evaluate", error)
    write_report(folder)
    found = {path.name: path.read_text() for path in (folder / "report").glob("*.html")}
    told = re.compile("|".join(map(re.escape, (str(project), "/home/somebody", "/opt/py", "/srv/a"))))
    assert [name for name, page in found.items() if told.search(page)] == []
    assert "reads params/x.yaml and ~/own.csv, see https://x.org/runs/7" in found["index.html"]
    assert "./03.ipynb, …/pandas/io.py, ./x.csv" in found["07_evaluate.html"]


def test_the_secrets_of_a_run_are_read_once_for_all_its_pages(project, monkeypatch):
    folder, asked = full_run(project), []
    monkeypatch.setattr("nbkit.report.pages.Scrubber.of", lambda names: asked.append(names) or Scrubber())
    write_report(folder)
    assert len(asked) == 1
