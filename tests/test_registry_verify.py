"""A tampered registry is not believed: every kind of change behind nbkit's back is noticed, on both databases."""

import json
import shutil

import pytest
import sqlalchemy as sa

from nbkit.errors import BadParameter, CorruptArtifact, GateClosed, UnknownVersion
from nbkit.registry import Registry
from nbkit.registry.events import KEY, seal_event
from nbkit.registry.tables import EVENTS, META, VERSIONS
from nbkit.serve import Predictor
from tests.registry_helpers import WHO, bundle, fill, judge, open_registry, run_sql

OTHER = "SELECT {column} FROM files WHERE name = 'toy' AND number = 2 AND path = 'model.skops'"


def swap_model(registry):
    """Serve another model under the old digest: the row of the model's file is that of version 2."""
    columns = ("sha256", "key", "bytes")
    sets = ", ".join(f"{column} = ({OTHER.format(column=column)})" for column in columns)
    run_sql(registry, f"UPDATE files SET {sets} WHERE name = 'toy' AND number = 1 AND path = 'model.skops'")


def swap_digest_too(registry):
    """The same, and the digest in the version's row is made to fit."""
    swap_model(registry)
    from nbkit.registry.rows import read_digest

    with registry.read() as connection:
        digest = read_digest(connection, "toy", 1)
    run_sql(registry, f"UPDATE versions SET digest = '{digest}' WHERE name = 'toy' AND number = 1")


def swap_bytes(registry):
    files = registry.get("toy@1").files.set_index("path")["key"]
    other = registry.get("toy@2").files.set_index("path")["key"]
    shutil.copy(registry.store.path(other["model.skops"]), registry.store.path(files["model.skops"]))


def cut_bytes(registry):
    path = registry.store.path(registry.get("toy@1").files.set_index("path").at["model.skops", "key"])
    path.write_bytes(path.read_bytes()[:-20])


def remove_file(registry):
    registry.store.path(registry.get("toy@1").files.set_index("path").at["golden.parquet", "key"]).unlink()


def write_event(registry, **facts):
    """Forge an event at the log's end as nbkit would write it."""
    engine = sa.create_engine(registry._ledger.url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        last = connection.execute(sa.select(EVENTS).order_by(EVENTS.c.id.desc()).limit(1)).mappings().one()
        row = {**last, "id": last["id"] + 1, "previous": last["hash"], "signature": "", **facts}
        row["hash"] = seal_event(row)
        connection.execute(EVENTS.insert().values(**row))


def promote_past_a_gate(registry):
    """A version with a closed gate is promoted, with a log entry that looks right."""
    write_event(registry, event="promote", name="toy", number=3, alias="production", by="eve", why="x", detail={})


def forge_gates(registry):
    rows = judge(criteria_met=True).to_dict("records")
    write_event(registry, event="gates", name="toy", number=3, alias="", by="eve", why="", detail={"gates": rows})


def rewrite_chain(registry, change, *, keep_end=True):
    """Change events and compute the whole chain again, as someone does who has read this code; the files are out of reach."""
    engine = sa.create_engine(registry._ledger.url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        rows = [dict(row) for row in connection.execute(sa.select(EVENTS).order_by(EVENTS.c.id)).mappings()]
        connection.execute(EVENTS.delete())
        previous = ""
        for number, row in enumerate(change(rows), 1):
            row |= {"id": number, "previous": previous}
            row["hash"] = previous = seal_event(row)
            connection.execute(EVENTS.insert().values(**row))
    return row


def blame_bob(rows):
    return [{**row, "by": "bob"} if row["event"] == "promote" else row for row in rows]


def open_gates(rows):
    """Every gate that was ever judged has passed."""
    for row in rows:
        if row["event"] == "gates":
            row["detail"]["gates"] = [{**gate, "passed": True} for gate in row["detail"]["gates"]]
    return rows


def insert_version(registry):
    """A version of which the log knows nothing, with the files of a registered one."""
    engine = sa.create_engine(registry._ledger.url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        row = (
            connection.execute(sa.select(VERSIONS).where(VERSIONS.c.name == "toy", VERSIONS.c.number == 1))
            .mappings()
            .one()
        )
        connection.execute(VERSIONS.insert().values({**row, "number": 5, "digest": "0" * 64}))


def cut_tail(registry):
    """The last events go, and the rows are set back to what they were."""
    engine = sa.create_engine(registry._ledger.url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for table in ("files", "versions", "models"):
            connection.execute(sa.text(f"DELETE FROM {table} WHERE name = 'other'"))
        connection.execute(sa.text("DELETE FROM events WHERE name = 'other' OR event = 'reject'"))


TAMPERING = {
    "another model under the old digest": swap_model,
    "another model and a digest that fits it": swap_digest_too,
    "bytes of a file swapped": swap_bytes,
    "bytes of a file cut": cut_bytes,
    "a file removed": remove_file,
    "a failed gate promoted past": promote_past_a_gate,
    "gate results added to the log": forge_gates,
    "production moved by SQL": "UPDATE events SET number = 3 WHERE event = 'promote'",
    "an alias of one's own moved": "UPDATE events SET number = 1 WHERE alias = 'shadow'",
    "an alias deleted": "DELETE FROM events WHERE alias = 'shadow'",
    "a draft put on staging": "UPDATE events SET number = 3 WHERE alias = 'staging'",
    "a rejected version taken back": "UPDATE events SET number = 3 WHERE event = 'reject'",
    "a failed gate flipped": lambda registry: rewrite_chain(registry, open_gates),
    "who approved": "UPDATE events SET by = 'bob' WHERE event = 'promote'",
    "why it was approved": "UPDATE events SET why = 'told so' WHERE event = 'promote'",
    "an event deleted": "DELETE FROM events WHERE event = 'promote'",
    "the first event deleted": "DELETE FROM events WHERE id = 1",
    "the last event deleted": "DELETE FROM events WHERE id = (SELECT max(id) FROM events)",
    "the tail cut and the rows set back": cut_tail,
    "the log emptied": "DELETE FROM events",
    "an approval forged": lambda registry: write_event(
        registry, event="promote", name="toy", number=2, alias="production", by="ann", why="ok",
        detail={"before": 1},
    ),
    "an event put into the log twice": lambda registry: rewrite_chain(registry, lambda rows: rows + rows[-1:]),
    "an approval rewritten with the chain": lambda registry: rewrite_chain(registry, blame_bob),
    "two events swapped": lambda registry: rewrite_chain(registry, lambda rows: [*rows[:-3], rows[-2], rows[-3], rows[-1]]),
    "parameters changed": """UPDATE versions SET params = '{"threshold": 0.01}' WHERE name = 'toy' AND number = 1""",
    "scores changed": "UPDATE versions SET scores = (SELECT params FROM versions LIMIT 1) WHERE name = 'toy' AND number = 1",
    "lineage changed": """UPDATE versions SET lineage = '{"run": "other"}' WHERE name = 'toy' AND number = 1""",
    "who registered": "UPDATE versions SET by = 'eve' WHERE name = 'toy' AND number = 1",
    "when it was registered": "UPDATE versions SET created = '2020-01-01' WHERE name = 'toy' AND number = 1",
    "an extra version inserted": insert_version,
    "a row of the manifest deleted": "DELETE FROM files WHERE name = 'toy' AND number = 1 AND path = 'golden.parquet'",
    "a row of the manifest renamed": "UPDATE files SET path = 'model2.skops' WHERE number = 1 AND path = 'model.skops'",
    "the digest changed": "UPDATE versions SET digest = 'abc' WHERE name = 'toy' AND number = 1",
    "the registry's own name changed": "UPDATE settings SET value = 'abc' WHERE name = 'id'",
}  # fmt: skip


IN_FILES = ("bytes of a file swapped", "bytes of a file cut", "a file removed")  # seen when the bytes are read
REFERENCES = ("toy@1", "toy@3", "toy@4", "toy@production")


def is_refused(use, *args, **kwargs):
    """Whether a use ends in the error of a tampered registry, and in no other."""
    try:
        use(*args, **kwargs)
    except (CorruptArtifact, UnknownVersion):
        return True
    except GateClosed:
        return False
    return False


def tamper(registry, what):
    change = TAMPERING[what]
    run_sql(registry, change) if isinstance(change, str) else change(registry)
    place = registry._ledger.url.render_as_string(hide_password=False)
    return Registry(place, str(registry.store.folder))


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def made(request, tmp_path_factory):
    """A filled registry, its rows, and a copy of its files."""
    folder = tmp_path_factory.mktemp("made")
    registry = fill(open_registry(request.param, folder, request.getfixturevalue("postgres")))
    with registry.read() as connection:
        rows = {table: connection.execute(sa.select(table)).mappings().all() for table in META.sorted_tables}
    return registry, rows, shutil.copytree(registry.store.folder, folder / "kept")


@pytest.fixture
def registry(made):
    """A filled registry that may be spoiled: it is put right afterwards."""
    registry, rows, kept = made
    yield registry
    shutil.rmtree(registry.store.folder)
    shutil.copytree(kept, registry.store.folder)
    engine = sa.create_engine(registry._ledger.url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for table in reversed(META.sorted_tables):
            connection.execute(table.delete())
        for table in META.sorted_tables:
            connection.execute(table.insert(), [dict(row) for row in rows[table]])


def test_an_honest_registry_is_believed(registry):
    assert registry.verify() == []
    assert registry.get("toy@production").number == 1
    assert registry.get("toy@4").state == "rejected"
    assert registry.promote("toy@2", **WHO).state == "production"
    assert registry.rollback("toy", **WHO).number == 1
    assert registry.verify() == []


@pytest.mark.parametrize("what", TAMPERING)
def test_tampering_is_noticed(registry, what):
    found = tamper(registry, what)
    findings = found.verify()
    assert findings
    assert all(len(sentence) > 20 for sentence in findings)
    before = found.history()
    victims = [reference for reference in REFERENCES if is_refused(found.load_bundle, reference)]
    assert victims
    for reference in victims:
        assert is_refused(Predictor.from_registry, found, reference)
        assert what in IN_FILES or is_refused(found.get, reference)
        assert is_refused(found.promote, reference, **WHO) or found.get(reference).state == "production"
    assert found.history().equals(before)


def test_what_someone_wrote_into_the_log_is_not_covered_by_the_next_event(registry):
    """A registration must not make a cut or forged tail look right again."""
    run_sql(registry, "DELETE FROM events WHERE id = (SELECT max(id) FROM events)")
    for write in (
        lambda: registry.register(
            "toy", {"model": registry.store and __import__("sklearn.dummy").dummy.DummyClassifier()}
        ),
        lambda: registry.set_alias("toy", 1, "x"),
        lambda: registry.record_gates("toy@1", judge(a=True)),
    ):
        with pytest.raises(CorruptArtifact, match="cut off"):
            write()


def test_a_writer_that_was_killed_before_it_committed_is_no_tampering(registry):
    log = registry._ledger.log
    with registry.read() as connection:
        from nbkit.registry.events import read_end

        end = read_end(connection)
    log.write_end(end, {"id": end["id"] + 1, "hash": "f" * 64})
    assert registry.verify() == []
    registry.set_alias("toy", 1, "x")
    assert registry.verify() == []


def test_the_note_of_the_end_is_missed(registry):
    note = registry.store.folder / registry._ledger.log.note
    whole = note.read_bytes()
    for bad in (None, b"", b"{}", b"garbage", json.dumps({"ends": [{"id": "x"}], "signature": 3}).encode()):
        note.unlink() if bad is None else note.write_bytes(bad)
        with pytest.raises(CorruptArtifact, match="the log"):
            registry.get("toy")
    note.write_bytes(whole)
    assert registry.get("toy@1").number == 1


# --- with a key


def cover_tracks(registry, change):
    """Rewrite the chain and the note of its end: what cannot be noticed without a key."""
    last = rewrite_chain(registry, change)
    end = {"id": last["id"], "hash": last["hash"]}
    note = {"ends": [end, end], "signature": ""}
    (registry.store.folder / registry._ledger.log.note).write_text(json.dumps(note))


def test_a_chain_rewritten_with_its_note_is_noticed_only_with_a_key(registry, monkeypatch):
    monkeypatch.setenv(KEY, "secret")
    place = registry._ledger.url.render_as_string(hide_password=False), str(registry.store.folder)
    keyed = Registry(*place)
    with pytest.raises(CorruptArtifact, match="not signed with this key"):
        keyed.get("toy@1")
    assert keyed.sign(**WHO) == len(keyed.history())
    assert keyed.verify() == []
    keyed.set_alias("toy", 1, "x", **WHO)
    assert keyed.verify() == []
    monkeypatch.delenv(KEY)
    bare = Registry(*place)
    with pytest.raises(BadParameter, match=KEY):
        bare.set_alias("toy", 1, "y")
    cover_tracks(bare, blame_bob)
    assert bare.verify() == []  # README says so
    for key in ("secret", "another"):
        monkeypatch.setenv(KEY, key)
        assert any("not signed with this key" in one for one in Registry(*place).verify())
        with pytest.raises(CorruptArtifact):
            Registry(*place).get("toy@production")


def test_a_tail_cut_off_with_its_note_set_back_is_noticed_with_a_key(registry, monkeypatch):
    monkeypatch.setenv(KEY, "secret")
    place = registry._ledger.url.render_as_string(hide_password=False), str(registry.store.folder)
    keyed = Registry(*place)
    keyed.sign(**WHO)
    keyed.set_alias("toy", 1, "x", **WHO)
    cover_tracks(keyed, lambda rows: rows[:-1])
    assert any("note of the log's end" in one for one in Registry(*place).verify())


def test_signing_needs_a_key_and_an_honest_log(registry, monkeypatch):
    with pytest.raises(BadParameter, match=KEY):
        registry.sign(**WHO)
    monkeypatch.setenv(KEY, "secret")
    run_sql(registry, "UPDATE events SET by = 'eve' WHERE event = 'promote'")
    keyed = Registry(registry._ledger.url.render_as_string(hide_password=False), str(registry.store.folder))
    with pytest.raises(CorruptArtifact):
        keyed.sign(**WHO)


# --- what is refused


def test_a_version_whose_golden_rows_fail_is_not_promoted(tmp_path):
    registry = Registry(tmp_path / "r")
    wrong = bundle()
    wrong["golden"] = wrong["golden"].assign(expected=0.123)
    broken = {**bundle(2), "golden": wrong["golden"].rename(columns={"a": "z"})}
    bare = {"model": bundle(3)["model"]}
    for number, (parts, words) in enumerate(
        ((wrong, "differ by"), (broken, "cannot answer"), (bare, "no golden rows")), 1
    ):
        registry.register("toy", parts, gates=judge(a=True), params={"task": "binary", "positive": 1})
        for alias in ("candidate", "staging"):
            registry.set_alias("toy", number, alias)
        with pytest.raises(GateClosed, match=words):
            registry.promote(f"toy@{number}", **WHO)
        assert registry.get(f"toy@{number}").state == "staging"


def test_a_rejected_version_is_not_served(registry):
    with pytest.raises(GateClosed, match="rejected"):
        Predictor.from_registry(registry, "toy@4")
    assert Predictor.from_registry(registry, "toy@1").number == 1


def test_the_command_line_says_what_is_wrong(registry, project):
    from tests.test_cli_run import nbkit

    place = registry._ledger.url.render_as_string(hide_password=False)
    if place.startswith("sqlite"):
        place = str(registry.store.folder.parent)
    done = nbkit("registry", "verify", "--registry", place)
    assert (done.exit_code, done.stderr) == (0, "")
    for words in (["serve", "toy@4", "--port", "0"], ["promote", "toy@3", "staging", "--by", "a", "--why", "b"]):
        assert nbkit(*words, "--registry", place).exit_code == 3
    run_sql(registry, "UPDATE versions SET by = 'eve' WHERE name = 'toy' AND number = 3")
    done = nbkit("registry", "verify", "--registry", place)
    assert done.exit_code == 3
    assert done.stdout == ("the scores, parameters or lineage of toy@3 were changed after it was registered\n")
    assert nbkit("models", "--registry", place).exit_code == 3
    assert nbkit("models", "toy@²", "--registry", place).exit_code in (2, 3)
