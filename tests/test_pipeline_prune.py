"""What may go: never what something refers to, never what is at work, and what it frees is what the disk says."""

import os
import time

import pytest

from nbkit import registry
from nbkit.pipeline import Chosen, find_run
from nbkit.pipeline.prune import find_waste, remove
from nbkit.pipeline.runs import lock_run
from tests.test_cli_run import nbkit
from tests.test_pipeline_cache import run, shop  # noqa: F401 - a fixture
from tests.test_registry_registry import bundle


def old(path):
    os.utime(path, (time.time() - 7200,) * 2)


def kinds(waste):
    return sorted((each.kind, each.path.name) for each in waste)


def test_the_newest_runs_of_each_kind_stay(shop):  # noqa: F811
    for name in ("one", "two", "three"):
        run(shop, name=name, reuse="nothing")
    run(shop, name="part", stages=Chosen(last="02"))
    waste = find_waste(shop, keep=2)
    assert {each.path.name for each in waste if each.kind == "run"} == {"one"}
    assert all(each.why == "2 newer runs of its kind passed" for each in waste if each.kind == "run")
    assert len([each for each in waste if each.kind == "trace"]) == 4
    assert not [each for each in find_waste(shop, keep=2, needed={"one"}) if each.kind == "run"]
    assert not find_waste(shop, keep=3)


def test_what_runs_share_is_freed_with_the_last_of_them(shop):  # noqa: F811
    for name in ("one", "two"):
        run(shop, name=name)
    artifact = next(path for path in (shop / "runs" / "one" / "artifacts").rglob("*") if path.is_file())
    assert artifact.stat().st_nlink == 2
    (first,) = [each for each in find_waste(shop, keep=1) if each.kind == "run"]
    own = sum(path.stat().st_size for path in first.path.rglob("*") if path.is_file() and path.stat().st_nlink == 1)
    assert first.size == own
    both = [each for each in find_waste(shop, keep=0) if each.kind == "run"]
    inodes = {
        path.stat().st_ino: path.stat().st_size for each in both for path in each.path.rglob("*") if path.is_file()
    }
    assert sum(each.size for each in both) == sum(inodes.values())


def test_what_is_removed_is_gone_and_the_rest_still_holds(shop):  # noqa: F811
    run(shop, name="one", reuse="nothing")
    second = run(shop, name="two", reuse="nothing")[1]
    assert remove(find_waste(shop, keep=1)) > 0
    assert not (shop / "runs" / "one").exists()
    assert run(shop) == ([], second)
    assert not find_waste(shop, keep=1)


def test_a_run_at_work_stays(shop):  # noqa: F811
    for name in ("one", "two"):
        folder = run(shop, name=name, reuse="nothing")[1]
    with lock_run(folder.parent / "one"):
        assert not find_waste(shop, keep=1)


def test_orphans_and_rests_go_once_nobody_can_want_them(shop):  # noqa: F811
    folder = run(shop)[1]
    orphan = folder / "artifacts" / "ab" / "abcdef.json"
    orphan.parent.mkdir()
    rest = folder / ".02_second.running.ipynb"
    for path in (orphan, rest):
        path.write_text("1")
    assert not find_waste(shop)
    for path in (orphan, rest):
        old(path)
    assert kinds(find_waste(shop)) == [("artifact", "abcdef.json"), ("left over", ".02_second.running.ipynb")]
    (folder / "01_first.ipynb").write_text("{")  # nobody knows what it refers to
    assert kinds(find_waste(shop)) == [("left over", ".02_second.running.ipynb")]


@pytest.mark.parametrize("answer", ["", "--yes"])
def test_the_command_shows_first_and_removes_only_if_told(shop, answer):  # noqa: F811
    for _ in range(2):
        folder = run(shop, reuse="nothing")[1]
    done = nbkit("prune", "--keep", "1", *filter(None, [answer]))
    assert done.exit_code == 0
    assert "1 newer run of its kind passed" in done.stdout
    assert ("are free again" in done.stdout) == bool(answer)
    assert len(list((shop / "runs").glob("*/run.json"))) == (1 if answer else 2)
    assert folder.exists()


def test_files_that_no_version_holds_are_found(tmp_path):
    models = registry.Registry(tmp_path / "registry")
    models.register("shop", bundle(), lineage={"run": "shop-1"})
    assert models.list_source_runs() == {"shop-1"}
    assert models.find_unused_files() == []
    stray = tmp_path / "registry" / "blobs" / "ab" / "abc.json"
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_text("1")
    assert models.find_unused_files() == []
    old(stray)
    assert models.find_unused_files() == [stray]


def test_a_sweep_stays_or_goes_with_its_points(shop):  # noqa: F811
    for sweep in ("first", "second"):
        (shop / "runs" / sweep).mkdir(parents=True)
        (shop / "runs" / sweep / "sweep.json").write_text("{}")
        for number in (1, 2):
            run(shop, name=f"{sweep}-00{number}")
    os.utime(shop / "runs" / "first" / "sweep.json", (1, 1))
    run(shop, name="whole")
    gone = {each.path.name for each in find_waste(shop, keep=1) if each.kind == "run"}
    assert gone == {"first", "first-001", "first-002"}
    assert find_run(shop).name == "whole"
    remove(find_waste(shop, keep=1))
    assert sorted(path.name for path in (shop / "runs").glob("[a-z]*")) == [
        "second",
        "second-001",
        "second-002",
        "whole",
    ]
