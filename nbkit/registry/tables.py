"""The registry's database: its tables, and how one is opened by many processes at once."""

import os
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from nbkit.errors import BadParameter, CorruptArtifact, NbkitError, UnknownVersion

SCHEMA = 3
BUSY_MS = 30_000
LOCK = 0x6E626B6974  # "nbkit": the advisory lock that PostgreSQL's writers queue for
CONFLICTS = ("40001", "40P01", "23505", "55P03")  # serialization, deadlock, unique, lock not available

META = sa.MetaData()
SCHEMA_VERSION = sa.Table("schema_version", META, sa.Column("version", sa.Integer, primary_key=True))
SETTINGS = sa.Table(
    "settings", META, sa.Column("name", sa.String(40), primary_key=True), sa.Column("value", sa.Text, nullable=False)
)
MODELS = sa.Table(
    "models", META, sa.Column("name", sa.String(200), primary_key=True), sa.Column("created", sa.String(40))
)
VERSIONS = sa.Table(
    "versions",
    META,
    sa.Column("name", sa.ForeignKey("models.name"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("created", sa.String(40), nullable=False),
    sa.Column("by", sa.String(200), nullable=False),
    *(sa.Column(part, sa.JSON, nullable=False) for part in ("scores", "lineage", "params", "tags")),
    sa.UniqueConstraint("name", "digest"),
)
FILES = sa.Table(
    "files",
    META,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("path", sa.String(400), primary_key=True),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("key", sa.String(200), nullable=False),
    sa.ForeignKeyConstraint(("name", "number"), ("versions.name", "versions.number")),
)
EVENTS = sa.Table(
    "events",
    META,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("time", sa.String(40), nullable=False),
    sa.Column("event", sa.String(40), nullable=False),
    sa.Column("name", sa.String(200)),
    sa.Column("number", sa.Integer),
    sa.Column("alias", sa.String(100), nullable=False),
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("signature", sa.String(64), nullable=False),
)


def split_place(place: str) -> tuple[sa.URL, str]:
    """Split a registry's URL into that of its database and, from ``?files=``, that of its files.

    Raises
    ------
    BadParameter
        It is not a URL of SQLite or PostgreSQL, or the driver is not installed.

    Examples
    --------
    >>> url, files = split_place("postgresql://ann@db/models?files=s3://bucket/nbkit")
    >>> url.render_as_string(), files
    ('postgresql+psycopg://ann@db/models', 's3://bucket/nbkit')
    """
    try:
        url = sa.make_url(place)
        files = url.query.get("files", "")
        url = url.difference_update_query(["files"])
        if url.drivername in ("postgres", "postgresql"):
            url = url.set(drivername="postgresql+psycopg")
        backend = url.get_backend_name()
        if backend in ("sqlite", "postgresql"):
            url.get_dialect().import_dbapi()
    except ModuleNotFoundError as error:
        raise BadParameter(
            f"the driver for {place.partition(':')[0]} is missing: pip install 'nbkit[postgres]'"
        ) from error
    except (sa.exc.ArgumentError, ValueError) as error:
        raise BadParameter(f"this is not a database URL: {error}; write postgresql://USER@HOST/DATABASE") from None
    if backend not in ("sqlite", "postgresql"):
        raise BadParameter(f"a registry is kept in SQLite or PostgreSQL, not in {backend}")
    return url, files if isinstance(files, str) else files[-1]


def open_database(url: sa.URL, files: str, *, create: bool = True) -> tuple[sa.Engine, dict[str, str]]:
    """Open the database and lay its tables if it is new; safe when many processes do so at once.

    SQLite runs in WAL mode, waits for others, and takes the write lock when a writing transaction begins; writers on
    PostgreSQL queue for an advisory lock. So two writers queue instead of failing, and the numbers of events do not
    collide. Writers are connections with the execution option ``write``.

    Parameters
    ----------
    url
        Of the database.
    files
        Where the files of a new registry lie; kept in the database.
    create
        Whether a new registry may be laid.

    Returns
    -------
    tuple of Engine and dict
        The engine, and the registry's settings: ``id`` and ``files``.

    Raises
    ------
    BadParameter
        Another nbkit wrote the database, or a new registry at a URL is given no place for its files.
    UnknownVersion
        There is no registry, and none may be laid.
    CorruptArtifact
        It cannot be opened, or what is there is not a database.
    """
    engine = _make_engine(url)
    with explain(url, "opened"):
        settings = _read_settings(engine)
        if settings is None:
            if not create:
                raise UnknownVersion(f"there is no registry in {show(url)} yet: `nbkit run PARAMS` registers a model")
            if not files:
                raise BadParameter(
                    "a new registry at a database URL needs a place for its files: add ?files=PLACE to the URL, where "
                    "PLACE is a folder or a URL such as s3://bucket/folder"
                )
            settings = _lay_tables(engine, files)
    found = settings.pop("schema")
    if found != str(SCHEMA):
        which = "update nbkit" if int(found) > SCHEMA else "move it away, and register its versions again"
        raise BadParameter(f"the registry {show(url)} has schema {found}, this nbkit knows {SCHEMA}; {which}")
    return engine, settings


def show(url: sa.URL) -> str:
    """Name a database without its password."""
    return str(url.database) if url.get_backend_name() == "sqlite" else url.render_as_string()


@contextmanager
def explain(url: sa.URL, what: str = "read") -> Iterator[None]:
    """Turn what a database or a damaged row raises into an error with words."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        words = str(error.orig).strip().partition("\n")[0]
        raise CorruptArtifact(
            f"the registry {show(url)} cannot be {what}: {words}; check the place and your rights to "
            "it, or put a backup back"
        ) from error
    except NbkitError:
        raise
    except (sa.exc.SQLAlchemyError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise CorruptArtifact(
            f"the registry {show(url)} cannot be {what}: a row is not what nbkit writes ({type(error).__name__}: "
            f"{error}); put a backup back"
        ) from error


def is_conflict(error: sa.exc.DBAPIError) -> bool:
    """Return whether a transaction failed only because of another one, so that it may be tried again."""
    locked = "database is locked" in str(error.orig)
    return locked or isinstance(error, sa.exc.IntegrityError) or getattr(error.orig, "sqlstate", "") in CONFLICTS


def _make_engine(url: sa.URL) -> sa.Engine:
    if is_read_only(url):
        path = quote(str(url.database))
        creator = partial(sqlite3.connect, f"file:{path}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        return sa.create_engine("sqlite://", creator=creator, poolclass=NullPool)
    if url.get_backend_name() == "sqlite":
        engine = sa.create_engine(url, poolclass=NullPool, connect_args={"timeout": BUSY_MS / 1000})
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine
    engine = sa.create_engine(url, poolclass=NullPool)
    sa.event.listen(engine, "begin", _begin_postgres)
    return engine


def is_read_only(url: sa.URL) -> bool:
    """Return whether a database is a file that is there and may only be read, as on a volume that a service mounts."""
    if url.get_backend_name() != "sqlite" or not url.database or not Path(url.database).is_file():
        return False
    return not (os.access(url.database, os.W_OK) and os.access(Path(url.database).parent, os.W_OK))


def _read_settings(engine: sa.Engine) -> dict[str, str] | None:
    """Return schema and settings, or None where no table is laid."""
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table(SCHEMA_VERSION.name):
            return None
        found = connection.execute(sa.select(SCHEMA_VERSION.c.version)).scalar()
        if found is None or int(found) != SCHEMA:
            return None if found is None else {"schema": str(found)}
        rows = connection.execute(sa.select(SETTINGS.c.name, SETTINGS.c.value)).all()
        return {"schema": str(found), "id": "", "files": "", **{row.name: row.value for row in rows}}


def _lay_tables(engine: sa.Engine, files: str) -> dict[str, str]:
    """Lay the tables, unless another process just did."""
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        META.create_all(connection)
        if connection.execute(sa.select(SCHEMA_VERSION.c.version)).scalar() is None:
            connection.execute(SCHEMA_VERSION.insert().values(version=SCHEMA))
            values = {"id": uuid.uuid4().hex, "files": files}
            connection.execute(SETTINGS.insert(), [{"name": name, "value": value} for name, value in values.items()])
    settings = _read_settings(engine)
    if settings is None:
        raise CorruptArtifact(f"the registry {show(engine.url)} has no schema; put a backup back")
    return settings


def _begin_postgres(connection: sa.Connection) -> None:
    if connection.get_execution_options().get("write"):
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {BUSY_MS}")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy begins, not the driver
    connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=NORMAL")
    deadline = time.monotonic() + BUSY_MS / 1000
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        with suppress(Exception):  # "database is locked": the change to WAL does not wait for others by itself
            connection.execute("PRAGMA journal_mode=WAL")
            continue
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)


def _begin_sqlite(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get("write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
