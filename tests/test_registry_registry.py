"""The registry: versions, names, moves, the log, many processes at once."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

from nbkit.errors import (
    BadModel,
    BadParameter,
    CorruptArtifact,
    GateClosed,
    UnknownKind,
    UnknownVersion,
    UntrustedType,
)
from nbkit.problem import Problem
from nbkit.registry import Registry, find_watched, make_candidate, make_golden, move_to_staging, stop_if_closed
from nbkit.registry.bundle import digest_manifest
from nbkit.registry.replay import replay
from nbkit.registry.versions import pack_table, split_reference, unpack_table
from tests.registry_helpers import open_registry

PROBLEM = Problem("y", positive=1)

X = pd.DataFrame({"größe": [0.0, 1.0, 2.0, 3.0], "art": [0, 1, 0, 1]})
Y = [0, 0, 1, 1]
SCORES = pd.DataFrame({"value": [0.75], "low": [np.nan]}, index=pd.Index(["roc_auc"], name="metric"))


def gates(**passed):
    return pd.DataFrame(
        [(name, ok, True, "because") for name, ok in passed.items()], columns=["gate", "passed", "blocking", "detail"]
    )


def bundle(C=1.0):
    model = LogisticRegression(C=C).fit(X, Y)
    return {"model": model, "golden": make_golden(model, X, PROBLEM), "card": None}


@pytest.fixture(params=["sqlite", "postgres"])
def registry(request, tmp_path):
    return open_registry(request.param, tmp_path, request.getfixturevalue("postgres"))


def ready(registry, C=1.0, name="flights"):
    """Register a version and bring it to staging."""
    version = registry.register(name, bundle(C), gates=gates(a=True), by="ann")
    registry.set_alias(name, version.number, "candidate")
    return registry.set_alias(name, version.number, "staging")


class TestVersions:
    def test_registers_loads_and_keeps_everything(self, registry):
        version = registry.register(
            "flights",
            bundle(),
            scores=SCORES,
            lineage={"commit": "abc"},
            params={"task": "binary"},
            gates=gates(a=True),
        )
        found = registry.get("flights@1")
        assert (found.reference, found.state, found.digest) == ("flights@1", "draft", version.digest)
        pd.testing.assert_frame_equal(found.scores, SCORES)
        assert found.lineage == {"commit": "abc"}
        assert found.params == {"task": "binary"}
        assert found.gates.to_dict("records") == gates(a=True).to_dict("records")
        assert registry.load("flights", "model").predict(X).tolist() == registry.load("flights@1").predict(X).tolist()
        assert set(registry.load_bundle("flights")) == {"model", "golden", "scores", "params"}  # no empty card
        assert "flights@1, draft" in repr(found)

    def test_an_equal_bundle_is_the_same_version(self, registry):
        first = registry.register("flights", bundle(), lineage={"run": 1})
        again = registry.register("flights", bundle(), lineage={"run": 2}, gates=gates(late=False))
        assert (again.number, again.digest) == (first.number, first.digest)
        assert "already flights@1" in again.note
        assert again.lineage == {"run": 1}
        assert again.gates["gate"].tolist() == ["late"]  # evidence is added, the version is not touched
        assert registry.register("flights", bundle(C=2)).number == 2
        assert registry.register("other", bundle()).number == 1

    def test_identity_does_not_depend_on_where_and_in_which_order(self, registry, tmp_path):
        first = registry.register("flights", bundle())
        there = Registry(tmp_path / "elsewhere").register("x", dict(reversed(bundle().items())))
        assert there.digest == first.digest == digest_manifest(first.files.sample(frac=1, random_state=1))

    def test_a_model_of_the_notebook_is_refused(self, registry):
        kind = type("Mine", (DummyClassifier,), {"__module__": "__main__"})
        import __main__

        __main__.Mine = kind
        try:
            with pytest.raises(UntrustedType, match="module"):
                registry.register("flights", {"model": kind().fit(X, Y)})
        finally:
            del __main__.Mine
        with pytest.raises(UnknownVersion):
            registry.get("flights")

    @pytest.mark.parametrize(
        ("name", "parts", "error"),
        [
            ("a@b", {"model": DummyClassifier()}, BadParameter),
            ("", {"model": DummyClassifier()}, BadParameter),
            ("a b", {"model": DummyClassifier()}, BadParameter),
            ("a", {}, BadModel),
            ("a", {"model": None}, BadModel),
            ("a", {"model": DummyClassifier(), "../x": 1}, BadParameter),
            ("a", {"model": DummyClassifier(), "x": object()}, UnknownKind),
        ],
    )
    def test_what_cannot_be_registered(self, registry, name, parts, error):
        with pytest.raises(error):
            registry.register(name, parts)
        assert registry.list().empty

    def test_unknown_names_list_the_known(self, registry):
        with pytest.raises(UnknownVersion, match="there are none yet"):
            registry.get("flights")
        ready(registry)
        for asked, said in {
            "flihgts": "did you mean 'flights'",
            "flights@9": "flights has no version 9; there are 1 and the aliases candidate, staging",
            "flights@stagin": "did you mean 'staging'",
            "@1": "names no model",
        }.items():
            with pytest.raises(UnknownVersion, match=said):
                registry.get(asked)
        with pytest.raises(UnknownVersion, match="golden"):
            registry.load("flights", "goldn")

    def test_changed_bytes_are_refused(self, registry):
        version = registry.register("flights", bundle())
        path = registry.store.path(version.files.set_index("path").at["model.skops", "key"])
        path.write_bytes(path.read_bytes() + b" ")
        with pytest.raises(CorruptArtifact):
            registry.load(version)
        path.unlink()
        with pytest.raises(CorruptArtifact):
            registry.load(version)

    def test_swapped_files_are_refused(self, registry):
        registry.register("flights", bundle())
        registry.register("flights", bundle(C=2))
        from nbkit.registry.tables import FILES

        other = registry.get("flights@1").files.set_index("path").at["model.skops", "key"]
        with registry._ledger._engine.connect().execution_options(write=True) as connection, connection.begin():
            mine = (FILES.c.path == "model.skops") & (FILES.c.number == 2)
            connection.execute(FILES.update().where(mine).values(key=other))
        with pytest.raises(CorruptArtifact, match="not the file that was registered"):
            registry.load("flights@2")

    def test_list_shows_what_each_version_is(self, registry):
        assert registry.list().empty
        registry.register("flights", bundle(), scores=SCORES)
        ready(registry, C=2)
        table = registry.list("flights")
        assert table["number"].tolist() == [2, 1]
        assert table["aliases"].tolist() == ["candidate, staging", ""]
        assert table["roc_auc"].tolist()[1] == 0.75
        with pytest.raises(UnknownVersion):
            registry.list("other")


class TestMoves:
    def test_production_is_reached_through_the_gates_only(self, registry):
        version = registry.register("flights", bundle())
        with pytest.raises(GateClosed, match=r"no gate was ever judged.*application test is missing"):
            registry.promote("flights@1", by="ann", why="try")
        with pytest.raises(GateClosed, match="promote"):
            registry.set_alias("flights", 1, "production")
        registry.set_alias("flights", 1, "staging")
        registry.record_gates(version, gates(a=True, b=False))
        with pytest.raises(GateClosed, match="'b' is closed"):
            registry.promote("flights@staging", by="ann", why="try")
        assert registry.get("flights").state == "staging"
        registry.record_gates("flights@1", gates(b=True))  # the newest result counts
        assert registry.promote("flights@1", by="ann", why="good").state == "production"
        assert registry.get("flights@production").number == 1
        assert "already" in registry.promote("flights@1", by="ann", why="again").note

    def test_what_was_changed_on_disk_is_not_promoted(self, registry):
        ready(registry)
        key = registry.get("flights").files["key"].iloc[0]
        registry.store.path(key).write_bytes(b"other bytes")
        with pytest.raises(CorruptArtifact):
            registry.promote("flights", by="ann", why="x")
        assert registry.get("flights").state == "staging"

    def test_a_gate_that_does_not_block_may_fail(self, registry):
        ready(registry)
        registry.record_gates("flights", gates(soft=False).assign(blocking=False))
        assert registry.promote("flights", by="ann", why="x").state == "production"

    @pytest.mark.parametrize("passed", [None, np.nan, "no", 0, pd.NA])
    def test_what_is_not_true_has_not_passed(self, registry, passed):
        ready(registry)
        registry.record_gates("flights", gates(a=passed))
        with pytest.raises(GateClosed):
            registry.promote("flights", by="ann", why="x")

    def test_who_and_why_are_needed(self, registry):
        ready(registry)
        for who in ({"by": "", "why": "x"}, {"by": "ann", "why": " "}):
            with pytest.raises(BadParameter):
                registry.promote("flights", **who)

    def test_the_old_production_is_retired_and_comes_back(self, registry):
        for C in (1, 2, 3):
            ready(registry, C)
            registry.promote(f"flights@{C}", by="ann", why="better")
        assert registry.list()["state"].tolist() == ["production", "retired", "retired"]
        assert registry.rollback("flights", by="bob", why="late answers").number == 2
        assert registry.get("flights@3").state == "retired"
        assert registry.rollback("flights", by="bob", why="again").number == 1
        with pytest.raises(UnknownVersion, match="nothing to go back to"):
            registry.rollback("flights", by="bob", why="again")
        last = registry.history("flights").iloc[-1]
        assert (last["event"], last["by"], last["why"], last["detail"]) == ("rollback", "bob", "again", {"before": 2})

    def test_one_production_at_any_time(self, registry):
        for C in (1, 2):
            ready(registry, C)
            registry.promote(f"flights@{C}", by="ann", why="x")
            assert (registry.list()["state"] == "production").sum() == 1

    def test_a_rejected_version_stays_rejected(self, registry):
        ready(registry)
        registry.promote("flights@1", by="ann", why="x")
        with pytest.raises(GateClosed):
            registry.reject("flights@1", by="ann", why="x")
        ready(registry, C=2)
        assert registry.reject("flights@2", by="ann", why="unfair").aliases == ()
        with pytest.raises(GateClosed, match="rejected"):
            registry.set_alias("flights", 2, "candidate")
        with pytest.raises(GateClosed):
            registry.promote("flights@2", by="ann", why="x")

    def test_aliases_of_ones_own_move_freely(self, registry):
        registry.register("flights", bundle())
        registry.register("flights", bundle(C=2))
        for number in (1, 2):
            assert registry.set_alias("flights", number, "champion-eu").state == "draft"
        assert registry.get("flights@champion-eu").number == 2
        for bad in ("7", "", "a@b"):
            with pytest.raises(BadParameter):
                registry.set_alias("flights", 1, bad)
        with pytest.raises(UnknownVersion):
            registry.set_alias("flights", 3, "x")

    def test_a_newer_candidate_retires_the_older(self, registry):
        for C in (1, 2):
            number = registry.register("flights", bundle(C)).number
            registry.set_alias("flights", number, "candidate")
        assert registry.list()["state"].tolist() == ["candidate", "retired"]
        assert registry.set_alias("flights", 1, "candidate").state == "candidate"

    @given(st.lists(st.integers(0, 5), max_size=20))
    def test_replay_never_loses_what_serves(self, moves):
        events, stack = [], []

        def add(what, number, alias="", **detail):
            row = {"id": len(events) + 1, "event": what, "name": "m", "number": number, "alias": alias}
            events.append({**row, "detail": detail})

        for number, move in enumerate(moves):
            if move < 4 or len(stack) < 2:
                stack.append(number)
                add("register", number)
                add("gates", number, gates=gates(a=True).to_dict("records"))
                add("alias", number, "staging")
                add("promote", number, "production")
            else:
                stack.pop()
                add("rollback", stack[-1], "production")
        found = replay(events)
        assert (found.served, found.broken) == (stack, [])
        assert [number for number, state in found.states.items() if state == "production"] == stack[-1:]
        assert found.aliases.get("production") == (stack[-1] if stack else None)


class TestSteps:
    def test_open_gates_admit_closed_ones_do_not(self, registry):
        version = registry.register("flights", bundle())
        closed = gates(a=False)
        make_candidate(registry, version, closed)
        assert registry.get("flights").state == "draft"
        with pytest.raises(GateClosed, match="a: because"):
            stop_if_closed(version, closed)
        stop_if_closed(version, closed, enforce=False)
        stop_if_closed(version, closed.head(0))
        for ok, state in ((True, "draft"), (False, "candidate"), (True, "staging")):
            move_to_staging(registry, "flights@1", gates(b=ok))  # a draft is not staged, whatever the service did
            if state != "draft":
                assert registry.get("flights").state == state
            make_candidate(registry, registry.get("flights"), closed.head(0))
        registry.record_gates("flights@1", gates(a=True))
        assert registry.promote("flights@1", by="ann", why="x").state == "production"
        move_to_staging(registry, "flights@1", gates(b=True))
        assert registry.get("flights").state == "production"  # tried again, not taken down

    def test_the_version_to_watch(self, registry):
        for C in (1, 2):
            ready(registry, C)
        registry.register("flights", bundle(C=3))
        assert find_watched(registry, "flights").number == 2
        registry.promote("flights@2", by="ann", why="x")
        assert find_watched(registry, "flights").state == "production"
        assert find_watched(registry, "flights", "3").number == 3
        registry.register("new", bundle())
        assert find_watched(registry, "new").number == 1
        with pytest.raises(UnknownVersion, match="flights"):
            find_watched(registry, "flihgts")


class TestLog:
    def test_a_failed_promotion_leaves_no_trace(self, registry):
        registry.register("flights", bundle())
        before = registry.history()
        with pytest.raises(GateClosed):
            registry.promote("flights", by="ann", why="x")
        pd.testing.assert_frame_equal(registry.history(), before)


class TestTables:
    @given(
        st.lists(
            st.tuples(st.text(max_size=5), st.none() | st.floats(allow_nan=False) | st.booleans() | st.integers(-9, 9)),
            max_size=5,
        )
    )
    def test_packed_tables_survive_json(self, rows):
        table = pd.DataFrame(rows, columns=["gate", "value"]).astype({"value": object})
        again = unpack_table(json.loads(json.dumps(pack_table(table))))
        assert again["value"].tolist() == table["value"].tolist() or again["value"].isna().any()
        assert again["gate"].tolist() == table["gate"].tolist()

    @given(st.text(max_size=30))
    def test_references_split_or_are_refused(self, text):
        try:
            name, rest = split_reference(text)
        except UnknownVersion:
            assert not text.strip().partition("@")[0] or not text.strip().isprintable()
        else:
            assert name
            assert text.strip().startswith(name)
            assert "@" not in name
            assert isinstance(rest, str)


def test_a_registry_that_may_only_be_read_is_read(tmp_path, monkeypatch):
    made = Registry(tmp_path / "r")
    made.register("toy", {"model": LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])}, by="ann")
    monkeypatch.setattr("nbkit.registry.tables.os.access", lambda path, mode: False)
    found = Registry(tmp_path / "r")
    assert found.list()["name"].tolist() == ["toy"]
    assert found.load_bundle(found.get("toy"))["model"].predict([[2.0]]) == pytest.approx(2.0)
    with pytest.raises(BadParameter, match="may only be read here"):
        found.set_alias("toy", 1, "candidate")
