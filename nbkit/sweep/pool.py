"""Where points are worked on: each is ``nbkit run`` in a process of its own, on this machine or on a cluster's."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from nbkit.errors import NbkitError
from nbkit.pipeline import Chosen, plan_run
from nbkit.record import RECORD
from nbkit.sweep.plan import Sweep

STEP = 0.1  # seconds between two looks
GRACE = 20.0  # seconds that an interrupted point has to write down how it ended

Answer = tuple[str, str]  # the run of a point (empty if there is none), and what kept it from telling its own end


class Pool(Protocol):
    """Works on points; what it returns for one has ``done()`` and ``result()``, as all futures have."""

    def submit(self, sweep: Sweep, number: int) -> Any:
        """Work on a point as soon as there is room."""

    def cancel(self, futures: Sequence[Any]) -> None:
        """Interrupt the points at work, and begin none of the others."""


class LocalPool:
    """So many processes of this machine at once."""

    def __init__(self, workers: int) -> None:
        self.stop = threading.Event()
        self.threads = ThreadPoolExecutor(workers)

    def submit(self, sweep: Sweep, number: int) -> Any:
        """Work on a point as soon as a worker is free."""
        return self.threads.submit(run_point, sweep, number, self.stop.is_set)

    def cancel(self, futures: Sequence[Any] = ()) -> None:
        """Interrupt the points at work, and wait until they have ended."""
        self.stop.set()
        self.threads.shutdown(cancel_futures=True)


def run_point(sweep: Sweep, number: int, is_unwanted: Callable[[], bool]) -> Answer:
    """Run one point; one that has passed in an earlier run and still holds is that run.

    Parameters
    ----------
    sweep, number
        The sweep, and the point of it, counted from 1.
    is_unwanted
        Asked a few times a second; once it says yes, the run is interrupted.
    """
    settings, name = [*sweep.settings, *sweep.own[number - 1]], sweep.name_point(number)
    try:
        plan = plan_run(sweep.root, sweep.files, settings, stages=Chosen(last=sweep.last), storage=sweep.storage)
        if plan.nothing_to_do and plan.folder:
            return plan.folder.name, ""
        before = len(list_attempts(sweep.root, name))
        name = f"{name}.{before + 1}" if before else name
        return name, _run(sweep, settings, name, is_unwanted)
    except (NbkitError, OSError) as error:
        return "", str(error)


def list_attempts(root: Path, name: str) -> list[str]:
    """List the runs of a point, the latest last: ``s-001``, ``s-001.2``, ``s-001.3``."""
    found = [path.name for path in (root / "runs").glob(f"{name}*") if path.name[len(name) :][:1] in ("", ".")]
    return sorted(found, key=lambda each: (len(each), each))


def _run(sweep: Sweep, settings: Sequence[str], name: str, is_unwanted: Callable[[], bool]) -> str:
    """Let a process do the run, and return what kept it from writing down its own end; empty if nothing did."""
    words = [*map(str, sweep.files), "--until", sweep.last, "--name", name]
    words += [word for text in settings for word in ("--set", text)]
    words += ["--storage", sweep.storage] if sweep.storage else []
    logs = sweep.folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    # a point that waits on a worker must not wait for a free worker
    environment = {key: value for key, value in os.environ.items() if key != "NBKIT_CLUSTER"}
    with (logs / f"{name}.log").open("w+") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "nbkit", "run", *words],
            cwd=sweep.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the sweep, which interrupts once
        )
        while process.poll() is None:
            time.sleep(STEP)
            if is_unwanted():
                _end(process)
        file.seek(0)
        said = file.read().strip().splitlines() or [f"its process ended with {process.returncode}"]
    if process.returncode < 0:
        return f"its process was killed ({signal.Signals(-process.returncode).name})"
    return "" if (sweep.root / "runs" / name / RECORD).is_file() else said[-1]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()  # a worker may ignore Ctrl-C, and so would what it starts
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
