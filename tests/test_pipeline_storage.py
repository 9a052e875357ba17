"""Runs at a URL: what another machine finds there, what it brings, and what happens when the place goes away."""

import json
import shutil
import time

import fsspec
import pytest

from nbkit.errors import BadParameter, CorruptArtifact, StorageFailed
from nbkit.pipeline import execute_plan, plan_resume, plan_run, storage
from nbkit.pipeline.storage import Storage
from nbkit.scraps import read_value
from tests.conftest import connect_s3, serve_s3
from tests.pipeline_helpers import Heard
from tests.test_pipeline_cache import CELLS, engine_of, shop  # noqa: F401 - a fixture


@pytest.fixture(params=["file", "s3"])
def url(request, tmp_path, monkeypatch):
    """A place for runs: a folder that is shared, or a bucket."""
    if request.param == "file":
        return str(tmp_path / "shared")
    _, address = request.getfixturevalue("s3")
    connect_s3(monkeypatch, address)
    monkeypatch.setattr(storage, "WAITS", (0.0, 0.1))
    bucket = f"b{time.time_ns()}"
    fsspec.filesystem("s3").mkdir(bucket)
    return f"s3://{bucket}/team"


def run(root, url, *settings, **options):
    plan = plan_run(root, [root / "params" / "shop.yaml"], settings, storage=url, **options)
    if plan.nothing_to_do:
        return [], plan.folder
    heard = Heard()
    folder, record = execute_plan(plan, heard)
    assert record.exit == 0, record
    return heard.started, folder


def move_away(root, monkeypatch):
    """Be another machine: the same project, and no runs."""
    other = root.parent / f"{root.name}-other"
    shutil.copytree(root, other, ignore=shutil.ignore_patterns("runs", "shared"))
    monkeypatch.chdir(other)
    engine_of(other, monkeypatch)
    return other


def test_another_machine_takes_over_what_is_there(shop, url, monkeypatch):  # noqa: F811
    ran, folder = run(shop, url)
    assert ran == list(CELLS)
    other = move_away(shop, monkeypatch)
    ran, fetched = run(other, url)
    assert ran == []
    assert fetched.name == folder.name
    ran, second = run(other, url, "03_third.x=5")
    assert ran == ["03_third"]
    assert not list((second / "artifacts").rglob("*.parquet"))  # nobody has read the table here yet
    assert read_value(second, "01_first", "table")["x"].tolist() == [2]
    assert list((second / "artifacts").rglob("*.parquet"))  # now it is here, by its hash
    assert set(Storage(url, other / "runs").list_runs()) == {folder.name, second.name}


def test_artifacts_are_kept_once_and_verified(shop, url, monkeypatch):  # noqa: F811
    run(shop, url)
    second = run(shop, url, "shared.x=2", reuse="nothing", name="again")[1]
    fs, base = fsspec.url_to_fs(url)
    fs.invalidate_cache()
    stored = fs.find(f"{base}/artifacts")
    assert len(stored) == 1
    fs.pipe_file(stored[0], b"something else")
    shutil.rmtree(second / "artifacts")
    with pytest.raises(CorruptArtifact, match="was changed after it was saved"):
        read_value(second, "01_first", "table")
    assert not list((second / "artifacts").rglob("*.parquet"))


def test_a_record_is_written_after_all_that_it_speaks_of(shop, url, monkeypatch):  # noqa: F811
    written = []
    write = Storage._write
    monkeypatch.setattr(
        Storage, "_write", lambda self, path, place: (written.append(place), write(self, path, place))[1]
    )
    folder = run(shop, url)[1]
    at = {place: number for number, place in enumerate(written)}
    assert at[f"{folder.name}/run.json"] > max(number for place, number in at.items() if not place.endswith("run.json"))
    assert json.loads(fsspec.open(f"{url}/{folder.name}/run.json").open().read())["status"] == "passed"


def test_two_machines_do_not_take_the_same_name(shop, url, monkeypatch):  # noqa: F811
    first = run(shop, url, reuse="never")[1]
    other = move_away(shop, monkeypatch)
    assert run(other, url, reuse="never")[1].name != first.name


def test_what_nothing_here_speaks_is_refused(shop):  # noqa: F811
    with pytest.raises(BadParameter, match="nowhere://x cannot be used to keep runs"):
        run(shop, "nowhere://x")


@pytest.mark.slow
def test_a_storage_that_goes_away_loses_nothing(shop, monkeypatch):  # noqa: F811
    with serve_s3() as (server, address):
        connect_s3(monkeypatch, address)
        monkeypatch.setattr(storage, "WAITS", (0.0, 0.1))
        fsspec.filesystem("s3").mkdir("gone")

        class Killer(Heard):
            def on_stage_end(self, stage, folder):
                super().on_stage_end(stage, folder)
                if stage.stage == "02_second":
                    server.kill()
                    server.wait()

        heard = Killer()
        plan = plan_run(shop, [shop / "params" / "shop.yaml"], storage="s3://gone/team")
        folder, record = execute_plan(plan, heard)
    assert record.status == "passed"
    assert record.exit == 1
    assert "s3://gone/team does not" in record.not_stored
    assert heard.events.count("not_stored") == 1
    with pytest.raises(StorageFailed, match="s3://gone/team does not answer"):
        plan_run(shop, [shop / "params" / "shop.yaml"], storage="s3://gone/team")
    later = str(shop / "later")
    assert plan_resume(shop, folder.name, later).nothing_to_do is False
    folder, record = execute_plan(plan_resume(shop, folder.name, later))
    assert record.exit == 0
    assert Storage(later, shop / "runs").list_runs() == [folder.name]


def test_a_run_that_is_whole_is_copied_when_that_is_asked_for_later(shop, tmp_path):  # noqa: F811
    execute_plan(plan_run(shop, [shop / "params" / "shop.yaml"]))
    plan = plan_run(shop, [shop / "params" / "shop.yaml"], storage=f"file://{tmp_path}/there")
    assert not plan.nothing_to_do
    folder, record = execute_plan(plan)
    assert record.status == "passed"
    assert (tmp_path / "there" / folder.name / "run.json").is_file()
    assert plan_run(shop, [shop / "params" / "shop.yaml"], storage=f"file://{tmp_path}/there").nothing_to_do
