"""Runs a sweep: each point an ordinary run, and one table over all. To resume a sweep, run it again."""

import contextlib
import datetime as dt
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

from nbkit.errors import RunInUse
from nbkit.pipeline.ledger import EXIT
from nbkit.pipeline.signals import hear_signals
from nbkit.record import SWEEP
from nbkit.store import write_atomic
from nbkit.sweep.plan import Sweep, find_sweep, read_sweep
from nbkit.sweep.pool import GRACE, STEP, Answer, LocalPool, Pool
from nbkit.sweep.table import Row, judge_points, read_point

ASKED = ("files", "settings", "points", "last", "metric")  # what makes a sweep the same


@contextlib.contextmanager
def open_pool(workers: int, cluster: str = "") -> Iterator[Pool]:
    """Open what points are worked on; leaving it ends all of them.

    Parameters
    ----------
    workers
        Points at once on this machine.
    cluster
        As for `nbkit.sweep.cluster.open_cluster`; empty for processes of this machine.
    """
    if cluster:
        from nbkit.sweep.cluster import open_cluster

        with open_cluster(cluster, workers) as pool:
            yield pool
        return
    local = LocalPool(workers)
    try:
        yield local
    finally:
        local.cancel()


def execute_sweep(sweep: Sweep, pool: Pool, on_point: Callable[[Row], None] = lambda row: None) -> dict[str, Any]:
    """Run a sweep; a point that fails does not stop the others, and one that passed in an earlier run is that run.

    Parameters
    ----------
    sweep
        From `plan_sweep`.
    pool
        From `open_pool`.
    on_point
        Called with the row of each point that ends.

    Returns
    -------
    dict
        As in ``sweep.json``: ``sweep`` (its name), ``status``, ``exit`` (0 if every point passed), and what
        `judge_points` found.

    Raises
    ------
    RunInUse
        If something else than this very sweep has its name.
    """
    sweep = _begin(sweep)
    answers: dict[int, Answer] = {}
    heard: list[str] = []
    with hear_signals(heard.append):
        futures = {pool.submit(sweep, number): number for number in range(1, len(sweep.points) + 1)}
        while len(answers) < len(futures) and not heard:
            time.sleep(STEP)
            for future, number in futures.items():
                if number not in answers and future.done():
                    answers[number] = _read_answer(future)
                    on_point(read_point(sweep, number, answers[number]))
        if heard:
            pool.cancel([future for future, number in futures.items() if number not in answers])
        rows = [_read_end(sweep, number, answers.get(number)) for number in futures.values()]
        found = judge_points(sweep, rows, quick=bool(heard))
    failed = any(row["status"] != "passed" for row in rows)
    found["status"] = "interrupted" if heard else "failed" if failed else "passed"
    found["exit"] = EXIT[heard[0] if heard else found["status"]]
    _write(sweep, **found)
    return {"sweep": sweep.name, **found}


def _begin(sweep: Sweep) -> Sweep:
    """Name the sweep and make its folder, or find it there from when the same sweep ran before."""
    name = sweep.name or f"{sweep.project}-sweep-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}"
    files = tuple(path.resolve() for path in sweep.files)
    sweep = replace(sweep, name=name, root=sweep.root.resolve(), files=files)
    if find_sweep(sweep.root, name):
        known, asked = read_sweep(sweep.folder), json.loads(_dump(sweep))
        if any(known.get(key) != asked[key] for key in ASKED):
            raise RunInUse(f"another sweep is called {name}: take another --name")
    else:
        try:
            sweep.folder.mkdir(parents=True)
        except FileExistsError:
            raise RunInUse(f"{sweep.folder} exists: take another --name") from None
    claim = "It has not ended, or was killed: the same command goes on with it."
    _write(sweep, status="running", rows=[], best="", alike=[], optimism=None, claim=claim)
    return sweep


def _dump(sweep: Sweep, **found: Any) -> str:
    files = [os.path.relpath(path, sweep.root) for path in sweep.files]
    return json.dumps({**asdict(sweep), "files": files, **found}, indent=1, ensure_ascii=False, default=str)


def _write(sweep: Sweep, **found: Any) -> None:
    write_atomic(sweep.folder / SWEEP, _dump(sweep, **found).encode())


def _read_answer(future: Any) -> Answer:
    try:
        answer: Answer = future.result()
        return answer
    except Exception as error:  # whatever a cluster may say: no nbkit there, the worker died, the scheduler is gone
        return "", f"its worker gave it up: {type(error).__name__}: {error}"


def _read_end(sweep: Sweep, number: int, answer: Answer | None) -> Row:
    """Read a point's row once an interrupted run, maybe on another machine, has written down how it ended."""
    until = time.monotonic() + GRACE
    while (row := read_point(sweep, number, answer))["status"] == "running" and time.monotonic() < until:
        time.sleep(STEP)
    return row
