"""Where points are worked on: processes of this machine, or the workers of a Dask cluster."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from nbkit.pipeline.process import Process
from nbkit.sweep.work import Answer, Task

STEP = 0.1  # seconds between two looks
GRACE = 20.0  # seconds that an interrupted point has to write down how it ended
TRIES = 2  # how often a point is begun whose process was killed


class Executor(Protocol):
    """Does tasks in any order, yields an answer for each, and calls `on_step` a few times a second meanwhile."""

    def __call__(self, tasks: Sequence[Task], on_step: Callable[[], None]) -> Generator[Answer]:
        """Begin; closing the iterator interrupts what is still at work."""


class Child(Process):
    """A process that does one task."""

    def __init__(self, task: Task) -> None:
        self.task = task
        log = Path(task["root"]) / "runs" / task["sweep"] / "logs" / f"{task['name']}.log"
        environment = dict(os.environ)
        environment.pop("NBKIT_CLUSTER", None)  # a point that waits on a worker must not wait for a free worker
        with _open_log(log) as stderr:
            super().__init__("nbkit.sweep.work", stderr, environment)
        self.tell(task)

    def read_answer(self) -> Answer | None:
        """Return the answer of a process that has ended; None if it was killed before it could give one."""
        code = self.process.wait()
        with self.stdout, self.stdin, contextlib.suppress(ValueError, BrokenPipeError):
            answer: Answer = json.loads(self.stdout.read())
            return answer
        return {"name": self.task["name"], "exit": 1, "error": "its process ended badly"} if code > 0 else None

    def interrupt(self) -> None:
        """Let it write down how far it came."""
        self.send(signal.SIGINT)

    def end(self, grace: float = GRACE) -> None:
        """Wait for it, and kill it if it does not end."""
        super().end(grace)
        self.read_answer()


@contextlib.contextmanager
def _open_log(path: Path) -> Iterator[Any]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            yield file
    except OSError:  # a machine that does not see the project: the task will say so
        yield subprocess.DEVNULL


def run_local(tasks: Sequence[Task], on_step: Callable[[], None], *, workers: int) -> Generator[Answer]:
    """Do tasks in processes of this machine, so many at once; one whose process is killed is begun once more.

    Yields
    ------
    dict
        ``name`` and ``exit``; ``error`` if the run could not begin or its process was killed twice.
    """
    waiting = deque((task, 1) for task in tasks)
    running: list[tuple[Child, int]] = []
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                task, attempt = waiting.popleft()
                running.append((Child(task), attempt))
            on_step()
            time.sleep(STEP)
            for child, attempt in [pair for pair in running if pair[0].process.poll() is not None]:
                running.remove((child, attempt))
                answer = child.read_answer()
                if answer is None and attempt < TRIES:
                    waiting.appendleft((child.task, attempt + 1))
                else:
                    yield answer or say_killed(child.task)
    finally:
        for child, _ in running:
            child.interrupt()
        for child, _ in running:
            child.end()


def say_killed(task: Task) -> Answer:
    """Return the answer for a point whose process was killed each time."""
    return {"name": task["name"], "exit": 1, "error": f"its process was killed, {TRIES} times"}


@contextlib.contextmanager
def lend_executor(root: Path, workers: int, cluster: str = "") -> Iterator[Executor]:
    """Lend what points are run on.

    Parameters
    ----------
    root
        The project.
    workers
        Points at once on this machine.
    cluster
        As for `nbkit.sweep.cluster.lend_cluster`; empty for processes of this machine.
    """
    if not cluster:
        yield partial(run_local, workers=workers)
        return
    from nbkit.sweep.cluster import lend_cluster

    with lend_cluster(cluster, workers, root) as execute:
        yield execute
