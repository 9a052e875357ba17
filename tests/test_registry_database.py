"""The registry in SQLite and in a real PostgreSQL: reached by URL, used by many at once, and told of in words."""

import concurrent.futures
import contextlib
import multiprocessing
import sqlite3

import fsspec
import pytest
import sqlalchemy as sa
from sklearn.dummy import DummyClassifier

from nbkit import formats
from nbkit.errors import BadParameter, CorruptArtifact, GateClosed, NbkitError, StorageFailed, UnknownVersion
from nbkit.registry import Registry, standing
from nbkit.registry.tables import EVENTS, split_place
from tests.conftest import connect_s3
from tests.registry_helpers import WHO, bundle, fill, judge, new_database, open_place, run_sql
from tests.test_cli_run import nbkit

KINDS = pytest.mark.parametrize("kind", ["sqlite", "postgres"])


# --- many at once


def first_use(place, worker):
    """Open a registry that is not there yet and register; return the number, or what was raised."""
    try:
        return Registry(*place).register("toy", {"model": DummyClassifier(), "mark": [worker]}, by="ann").number
    except Exception as error:
        return repr(error)


def write_much(place, worker):
    """Do all kinds of moves; return the raw errors: refusals are answers, too."""
    raw = []
    registry = Registry(*place)

    def attempt(use, *args, **kwargs):
        try:
            use(*args, **kwargs)
        except NbkitError as error:
            if isinstance(error, CorruptArtifact):
                raw.append(repr(error))
        except Exception as error:
            raw.append(repr(error))

    for turn in range(2):
        attempt(registry.register, "toy", {"model": DummyClassifier(), "mark": [worker, turn]}, gates=judge(a=True))
        attempt(registry.set_alias, "toy", 1 + (worker + turn) % 3, "candidate")
        attempt(registry.set_alias, "toy", 1 + (worker + turn) % 2, "staging")
        attempt(registry.record_gates, "toy@1", judge(b=True))
        attempt(registry.promote, f"toy@{1 + turn % 2}", **WHO)
        attempt(registry.get, "toy@production")
        attempt(registry.rollback, "toy", **WHO)
        attempt(registry.set_alias, f"toy{worker}", 1, "x")
        attempt(registry.list)
    return raw


def in_processes(function, place, count):
    """Call a function in many processes at once; they are forked, so that all of them start in the same instant."""
    formats.load("model", formats.dump(DummyClassifier())[2])  # what each of them would import
    context = multiprocessing.get_context("fork")
    with context.Pool(count) as pool:
        return pool.starmap(function, [(place, worker) for worker in range(count)], chunksize=1)


def in_threads(function, place, count):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(function, [place] * count, range(count)))


@KINDS
@pytest.mark.parametrize("many", [in_processes, in_threads])
def test_forty_use_a_fresh_registry_at_once(kind, many, tmp_path, postgres):
    place = open_place(kind, tmp_path, postgres)
    found = many(first_use, place, 40)
    assert sorted(map(str, found)) == sorted(map(str, range(1, 41)))
    registry = Registry(*place)
    assert registry.history()["number"].nunique() == 40
    assert registry.verify() == []


@KINDS
@pytest.mark.parametrize("many", [in_processes, in_threads])
def test_eight_writers_at_once_end_in_no_raw_error(kind, many, tmp_path, postgres):
    place = open_place(kind, tmp_path, postgres)
    registry = Registry(*place)
    for C in (1, 2, 3):
        registry.register("toy", bundle(C), gates=judge(a=True), by="ann")
    assert many(write_much, place, 8) == [[]] * 8
    assert registry.verify() == []
    with registry.read() as connection:
        ids = connection.execute(sa.select(EVENTS.c.id).order_by(EVENTS.c.id)).scalars().all()
    assert ids == list(range(1, len(ids) + 1))
    assert (registry.list("toy")["state"] == "production").sum() <= 1


@KINDS
def test_readers_see_no_tampering_while_others_write(kind, tmp_path, postgres):
    place = open_place(kind, tmp_path, postgres)
    registry = Registry(*place)
    registry.register("toy", bundle(), gates=judge(a=True), by="ann")
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        writers = [
            pool.submit(lambda: [registry.set_alias("toy", 1, f"a{turn % 3}") for turn in range(25)]) for _ in range(2)
        ]
        while not all(writer.done() for writer in writers):
            assert registry.get("toy").number == 1
            assert registry.verify() == []
        assert [len(writer.result()) for writer in writers] == [25, 25]


def test_what_another_transaction_got_in_the_way_of_is_tried_again(tmp_path):
    registry = Registry(tmp_path / "r")
    registry.register("toy", bundle(), by="ann")
    tries = []

    def work(connection, _):
        tries.append(1)
        if len(tries) < 3:
            raise sa.exc.IntegrityError("insert", {}, Exception("UNIQUE constraint failed: events.id"))
        return "done"

    assert registry._ledger.change("toy", work) == "done"
    assert len(tries) == 3
    with pytest.raises(CorruptArtifact, match="cannot be written"):
        registry._ledger.change(
            "toy", lambda *_: (_ for _ in ()).throw(sa.exc.IntegrityError("x", {}, Exception("always")))
        )


# --- reached by URL


def test_a_url_is_reached_from_the_command_line_and_params(tmp_path, postgres, project):
    url, files = new_database(postgres), tmp_path / "files"
    for words in (
        ["models"],
        ["registry", "verify"],
        ["promote", "toy@2", "--by", "a", "--why", "b"],
        ["serve", "toy"],
    ):
        done = nbkit(*words, "--registry", url)
        assert (done.exit_code, done.stdout) == (2, ""), done.stderr
        assert "there is no registry in postgresql" in done.stderr
    fill(Registry(f"{url}{'&' if '?' in url else '?'}files={files}"))
    done = nbkit("models", "--registry", url)  # where the files are is remembered
    assert done.exit_code == 0, done.stderr
    assert "toy" in done.stdout
    assert nbkit("promote", "toy@2", "--by", "a", "--why", "b", "--registry", url).exit_code == 0
    assert nbkit("rollback", "toy", "--by", "a", "--why", "b", "--registry", url).exit_code == 0
    done = nbkit("registry", "verify", "--registry", url)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "All is as it was written" in done.stdout
    told = standing.describe_candidate({"registry": url}, {"version": "toy@1"}, project)
    assert told.startswith("toy@2 (")
    run_sql(Registry(url), "UPDATE events SET number = 3 WHERE event = 'promote'")
    assert nbkit("registry", "verify", "--registry", url).exit_code == 3
    assert nbkit("serve", "toy@production", "--port", "0", "--registry", url).exit_code == 2


def test_a_registry_can_be_read_by_a_role_that_may_only_read(tmp_path, postgres):
    url, files = open_place("postgres", tmp_path, postgres)
    fill(Registry(url, files))
    run_sql(Registry(url, files), "DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN PASSWORD 'r'",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")  # fmt: skip
    try:
        role = sa.make_url(url).set(username="reader", password="r").render_as_string(hide_password=False)
        found = Registry(role, files, create=False)
        assert (found.verify(), found.get("toy@production").number) == ([], 1)
        with pytest.raises(CorruptArtifact, match="cannot be written: permission denied"):
            found.set_alias("toy", 1, "x")
    finally:
        run_sql(Registry(url, files), "DROP OWNED BY reader", "DROP ROLE reader")


def test_a_registry_that_may_only_be_read_is_read_as_it_is(tmp_path, monkeypatch):
    fill(Registry(tmp_path))
    run_sql(Registry(tmp_path), "PRAGMA journal_mode=DELETE")
    monkeypatch.setattr("nbkit.registry.tables.is_read_only", lambda url: True)
    found = Registry(tmp_path, create=False)
    assert (found.verify(), found.get("toy@production").number) == ([], 1)
    assert "production" in set(found.list("toy")["state"])


@KINDS
def test_files_may_lie_at_any_fsspec_url(kind, tmp_path, postgres):
    where = f"memory://{tmp_path.name}-{kind}"
    if kind == "sqlite":
        place = f"sqlite:///{tmp_path / 'x.db'}?files={where}"
    else:
        url = new_database(postgres)
        place = f"{url}{'&' if '?' in url else '?'}files={where}"
    registry = fill(Registry(place))
    again = Registry(place.replace(f"files={where}", "").rstrip("?&"))
    assert set(again.load_bundle("toy@1")) == {"model", "golden", "scores", "params"}
    assert again.verify() == []
    key = again.get("toy@1").files.set_index("path").at["model.skops", "key"]
    registry.store._write(key, b"other bytes")
    assert len(again.verify()) == 1
    with pytest.raises(CorruptArtifact, match="was changed"):
        again.load("toy@1")
    registry.store._fs.rm(registry.store._locate(key))
    with pytest.raises(CorruptArtifact, match="is gone"):
        again.load("toy@1")
    for key in ("../x", "/etc/passwd", "a/../../b"):
        with pytest.raises(CorruptArtifact, match="outside"):
            again.store.get(key)


def test_files_at_an_object_store(tmp_path, monkeypatch, s3):
    connect_s3(monkeypatch, s3[1])
    fsspec.filesystem("s3").mkdir("models")
    registry = fill(Registry(f"sqlite:///{tmp_path / 'x.db'}", files="s3://models/nbkit"))
    assert registry.verify() == []
    assert registry.promote("toy@2", **WHO).state == "production"


def test_a_new_registry_at_a_url_needs_a_place_for_its_files(tmp_path, postgres):
    for place in (f"sqlite:///{tmp_path / 'x.db'}", new_database(postgres)):
        with pytest.raises(BadParameter, match=r"\?files=PLACE"):
            Registry(place)


@pytest.mark.parametrize(
    ("place", "error", "words"),
    [
        ("mysql://host/db", BadParameter, "SQLite or PostgreSQL"),
        ("nothing://", BadParameter, "SQLite or PostgreSQL"),
        ("postgresql://host:port/db", BadParameter, "URL"),
        ("://", BadParameter, "URL"),
        ("sqlite:////nowhere/at/all.db?files=/tmp", CorruptArtifact, "cannot be opened"),
        ("postgresql://ann:geheim@127.0.0.1:1/db?files=/tmp&connect_timeout=2", CorruptArtifact, "cannot be opened"),
        ("postgresql+nodriver://host/db", BadParameter, "URL|driver"),
        ("postgresql+psycopg2://host/db", BadParameter, r"nbkit\[postgres\]"),
    ],
)
def test_a_place_that_is_none_is_told_in_words(place, error, words):
    with pytest.raises(error, match=words) as caught:
        Registry(place)
    assert "geheim" not in str(caught.value)


def test_a_protocol_that_nobody_knows_is_told(tmp_path):
    with pytest.raises(StorageFailed, match="cannot be reached"):
        Registry(f"sqlite:///{tmp_path / 'x.db'}", files="nosuch://x")


def test_credentials_are_shown_nowhere():
    url, files = split_place("postgres://ann:geheim@db/models?files=s3://b/x&sslmode=require")
    assert (url.render_as_string(), files) == ("postgresql+psycopg://ann:***@db/models?sslmode=require", "s3://b/x")


def test_another_schema_is_refused(tmp_path):
    registry = Registry(tmp_path / "r")
    for schema, words in ((99, "update nbkit"), (2, "register its versions again")):
        run_sql(registry, f"UPDATE schema_version SET version = {schema}")
        with pytest.raises(BadParameter, match=words):
            Registry(tmp_path / "r")


def test_looking_lays_no_registry(tmp_path, postgres):
    for place in (str(tmp_path / "none"), f"sqlite:///{tmp_path / 'x.db'}", new_database(postgres)):
        with pytest.raises(UnknownVersion, match="there is no registry"):
            Registry(place, create=False)
    assert list(tmp_path.iterdir()) == []


def test_folders_with_odd_names(tmp_path):
    folder = tmp_path / "a b?c=1&d%20 größe#x"
    assert Registry(folder).register("a", bundle(), by="ann").number == 1
    assert Registry(folder).get("a").number == 1
    assert {path.name for path in folder.iterdir()} >= {"registry.db", "blobs"}


@KINDS
def test_names_that_a_database_does_not_take_are_refused(kind, tmp_path, postgres):
    registry = Registry(*open_place(kind, tmp_path, postgres))
    registry.register("toy", bundle(), gates=judge(a=True), by="a\0b\udcff")
    for name in ("x" * 201, "a\0b", "\udcff", "a\nb"):
        with pytest.raises(BadParameter):
            registry.register(name, bundle())
        with pytest.raises(BadParameter):
            registry.set_alias("toy", 1, name)
        with pytest.raises(UnknownVersion):
            registry.get(name)
    for rest in ("²", "9" * 30, "1e3", "-1", "0x1", "١", "a\0", "\udcff", "", " ", "@", "1@1", "'; drop table x"):
        with pytest.raises(UnknownVersion) if rest.strip() else contextlib.nullcontext():
            registry.get(f"toy@{rest}")
    with pytest.raises(BadParameter, match="200"):
        registry.reject("toy@1", by="x" * 300, why="y")
    moved = registry.reject("toy@1", by="x\0y", why="\udcff" * 3000)
    assert moved.state == "rejected"
    with pytest.raises(GateClosed):
        registry.set_alias("toy", 1, "staging")
    assert registry.verify() == []


@pytest.mark.parametrize(
    "spoil",
    [
        "DROP TABLE events", "DROP TABLE files", "DROP TABLE settings", "DELETE FROM schema_version",
        "UPDATE versions SET params = 'no json'", "UPDATE versions SET scores = '[1]'", "UPDATE events SET detail = '{'",
        "UPDATE events SET detail = '3'", "UPDATE versions SET number = -1 WHERE number = 4", "DELETE FROM versions",
        "UPDATE models SET name = 'x' WHERE name = 'toy'", "UPDATE events SET id = id * 1000000000000", "UPDATE files SET bytes = 'many'",
        "UPDATE files SET key = '../../../etc/passwd'", "UPDATE files SET kind = 'pickle'", "DELETE FROM files",
    ],
)  # fmt: skip
def test_a_damaged_database_is_told_in_words(spoil, tmp_path, project):
    registry = fill(Registry(project / "registry"))
    with sqlite3.connect(project / "registry" / "registry.db") as raw:
        raw.execute(spoil)
    raw.close()
    for words in (
        ["models"], ["models", "toy"], ["models", "toy@1"], ["models", "--history"], ["registry", "verify"],
        ["promote", "toy@2", "--by", "a", "--why", "b"], ["reject", "toy@2", "--by", "a", "--why", "b"],
        ["rollback", "toy", "--by", "a", "--why", "b"], ["serve", "toy@1", "--port", "0"],
    ):  # fmt: skip
        done = nbkit(*words)
        assert done.exit_code in (0, 2, 3), (words, done.stderr)
        assert done.stderr.startswith("nbkit: ") or done.stdout, (words, done.stderr)
        assert done.exit_code or words[0] in ("models", "reject", "rollback") or words[1] == "toy@2", (words, spoil)
        assert "unexpected error" not in done.stderr
        assert "Traceback" not in done.stderr
    assert registry is not None
