"""The registry's database: its tables, and how one is opened by many processes at once."""

import os
import sqlite3
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from nbkit.errors import BadParameter, CorruptArtifact

SCHEMA = 1
BUSY_MS = 30_000

META = sa.MetaData()
SCHEMA_VERSION = sa.Table("schema_version", META, sa.Column("version", sa.Integer, primary_key=True))
MODELS = sa.Table(
    "models", META, sa.Column("name", sa.String(200), primary_key=True), sa.Column("created", sa.String(40))
)
VERSIONS = sa.Table(
    "versions",
    META,
    sa.Column("name", sa.ForeignKey("models.name"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("created", sa.String(40), nullable=False),
    sa.Column("by", sa.String(200), nullable=False),
    *(sa.Column(part, sa.JSON, nullable=False) for part in ("scores", "lineage", "params", "tags")),
    sa.UniqueConstraint("name", "digest"),
)
_VERSION = ("name", "number")


def _of_version(*, key: bool) -> tuple[sa.Column[str], sa.Column[int]]:
    return sa.Column("name", sa.String(200), primary_key=key), sa.Column("number", sa.Integer, primary_key=key)


FILES = sa.Table(
    "files",
    META,
    *_of_version(key=True),
    sa.Column("path", sa.String(400), primary_key=True),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("key", sa.String(200), nullable=False),
    sa.ForeignKeyConstraint(_VERSION, ("versions.name", "versions.number")),
)
ALIASES = sa.Table(
    "aliases",
    META,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("alias", sa.String(100), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.ForeignKeyConstraint(_VERSION, ("versions.name", "versions.number")),
)
GATES = sa.Table(
    "gates",
    META,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    *_of_version(key=False),
    sa.Column("gate", sa.String(200), nullable=False),
    sa.Column("passed", sa.Boolean, nullable=False),
    sa.Column("blocking", sa.Boolean, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("time", sa.String(40), nullable=False),
    sa.ForeignKeyConstraint(_VERSION, ("versions.name", "versions.number")),
)
EVENTS = sa.Table(
    "events",
    META,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("time", sa.String(40), nullable=False),
    sa.Column("event", sa.String(40), nullable=False),
    *_of_version(key=False),
    sa.Column("alias", sa.String(100), nullable=False),
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)


def open_database(url: sa.URL) -> sa.Engine:
    """Open the database and lay its tables if it is new; safe when many processes do so at once.

    SQLite runs in WAL mode, waits for others, and takes the write lock when a writing transaction begins, so two
    writers queue instead of failing. Writers are connections with the execution option ``write``.

    Raises
    ------
    BadParameter
        A newer nbkit wrote the database.
    CorruptArtifact
        It cannot be opened, or what is there is no database.
    """
    if is_read_only(url):
        path = quote(str(url.database))
        creator = partial(sqlite3.connect, f"file:{path}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        return sa.create_engine("sqlite://", creator=creator, poolclass=NullPool)
    if url.get_backend_name() == "sqlite":
        engine = sa.create_engine(url, poolclass=NullPool, connect_args={"timeout": BUSY_MS / 1000})
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    else:
        engine = sa.create_engine(url)
    place = url.database if url.get_backend_name() == "sqlite" else url.render_as_string()
    try:
        found = _lay_tables(engine)
    except sa.exc.DatabaseError as error:
        raise CorruptArtifact(
            f"the registry {place} cannot be opened: {error.orig}; check the path and your rights to it, or put a "
            "backup back"
        ) from error
    if found > SCHEMA:
        raise BadParameter(f"the registry {place} has schema {found}, this nbkit knows {SCHEMA}; update nbkit")
    return engine


def is_read_only(url: sa.URL) -> bool:
    """Tell whether a database is a file that is there and may only be read, as on a volume that a service mounts."""
    if url.get_backend_name() != "sqlite" or not url.database or not Path(url.database).is_file():
        return False
    return not (os.access(url.database, os.W_OK) and os.access(Path(url.database).parent, os.W_OK))


def _lay_tables(engine: sa.Engine) -> int:
    """Lay the tables that are not there; return the schema's version."""
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        META.create_all(connection)
        found = connection.execute(sa.select(SCHEMA_VERSION.c.version)).scalar()
        if found is None:
            connection.execute(SCHEMA_VERSION.insert().values(version=SCHEMA))
    return SCHEMA if found is None else int(found)


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
