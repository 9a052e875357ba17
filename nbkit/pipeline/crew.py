"""Stages side by side: each is executed in a process of its own, which then waits for the next one.

``python -m nbkit.pipeline.crew`` is such a process. It reads jobs and writes what happens as lines of JSON, and ends,
with the kernel that it may have, when nobody is left to read them.
"""

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
from typing import IO, Any

from nbkit.pipeline.process import Process
from nbkit.pipeline.signals import Terminated, catch_signals, name_kind
from nbkit.pipeline.work import Entry, Job, Kernels, Work, execute, say_failed
from nbkit.stages.graph import build_graph

STEP = 0.2  # seconds between two looks
GRACE = 30.0  # seconds that a process has to write down how its stage was interrupted


class Hand(Process):
    """A process that executes one stage at a time.

    Attributes
    ----------
    stage
        What it is at work on; empty while it waits.
    """

    def __init__(self, said: "queue.Queue[tuple[Hand, dict[str, Any] | None]]") -> None:
        super().__init__("nbkit.pipeline.crew")
        self.stage = ""
        self._listener = threading.Thread(target=self._listen, args=(said,), daemon=True)
        self._listener.start()

    def _listen(self, said: "queue.Queue[tuple[Hand, dict[str, Any] | None]]") -> None:
        with contextlib.suppress(ValueError):
            for line in self.stdout:
                said.put((self, json.loads(line)))
        said.put((self, None))

    def begin(self, job: Job) -> None:
        """Hand it a job."""
        self.stage = job["stage"]
        self.tell(job)

    def end(self, grace: float = GRACE) -> None:
        """Let it go; kill it if it does not."""
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()
        super().end(grace)
        self._listener.join(STEP)
        self.stdout.close()


class Crew:
    """Up to so many processes; one is started when a job finds no idle one."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.hands: list[Hand] = []
        self.said: queue.Queue[tuple[Hand, dict[str, Any] | None]] = queue.Queue()

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        self.send(signal.SIGTERM)
        for hand in self.hands:
            hand.end()

    @property
    def busy(self) -> list[Hand]:
        """Those at work."""
        return [hand for hand in self.hands if hand.stage]

    def begin(self, job: Job) -> None:
        """Give a job to one that is idle, or new."""
        idle = next((hand for hand in self.hands if not hand.stage), None)
        if idle is None:
            idle = Hand(self.said)
            self.hands.append(idle)
        idle.begin(job)

    def send(self, which: signal.Signals) -> None:
        """Interrupt or kill those at work."""
        for hand in self.busy:
            hand.send(which)

    def listen(self) -> tuple[str, dict[str, Any]] | None:
        """Wait a moment for what one of them says: ``(stage, facts)``; ``outcome`` among the facts if it is done."""
        try:
            hand, facts = self.said.get(timeout=STEP)
        except queue.Empty:
            return None
        stage = hand.stage
        if facts is None:
            self.hands.remove(hand)
            hand.end()
            facts = {"outcome": say_failed("the process that executed it was killed")}
        if "outcome" in facts:
            hand.stage = ""
        return (stage, facts) if stage else None


def work_side_by_side(work: Work, jobs: int) -> None:
    """Do the steps of a run, up to `jobs` at a time, each once all that it loads from has passed.

    Raises
    ------
    KeyboardInterrupt
        If interrupted while nothing was at work.
    """
    todo = {step.stage.name: (step, entry) for step, entry in work.todo}
    graph = build_graph({name: step.stage for name, (step, _) in todo.items()})
    waiting, trouble, deadline = list(todo), None, 0.0
    with Crew(jobs) as crew:
        while True:
            if not trouble and all(entry["status"] in ("passed", "pending", "running") for _, entry in todo.values()):
                waiting = _begin_ready(work, crew, graph.upstream, todo, waiting)
            if not crew.busy:
                break
            try:
                heard = crew.listen()
            except KeyboardInterrupt as interruption:
                crew.send(_choose_signal(interruption, again=trouble is not None))
                trouble, deadline, heard = interruption, deadline or time.monotonic() + GRACE, None
            if deadline and time.monotonic() > deadline:
                crew.send(signal.SIGKILL)
            if heard:
                _note(work, crew, *todo[heard[0]], heard[1], trouble)
            else:
                work.tell("step", {"stage": ""})
    if trouble and not any(entry["status"] == "interrupted" for _, entry in todo.values()):
        raise trouble


def _choose_signal(interruption: KeyboardInterrupt, *, again: bool) -> signal.Signals:
    if again:
        return signal.SIGKILL
    return signal.SIGTERM if isinstance(interruption, Terminated) else signal.SIGINT


def _begin_ready(work: Work, crew: Crew, upstream: Any, todo: dict[str, Any], waiting: list[str]) -> list[str]:
    """Begin what is ready while there is room; return what goes on waiting."""
    begun = True
    while begun:
        begun = False
        for name in waiting:
            step, entry = todo[name]
            if len(crew.busy) >= crew.size:
                return waiting
            if all(todo[source][1]["status"] == "passed" for source in upstream(name)):
                if job := work.begin(step, entry):
                    crew.begin(job)
                waiting, begun = [each for each in waiting if each != name], True
                break
    return waiting


def _note(
    work: Work, crew: Crew, step: Any, entry: Entry, facts: dict[str, Any], trouble: KeyboardInterrupt | None
) -> None:
    if "outcome" not in facts:
        work.tell("cell", {"stage": step.stage.name, **facts})
        return
    outcome = facts["outcome"]
    if trouble and outcome["status"] == "failed":
        outcome = {**outcome, "status": "interrupted", "kind": name_kind(trouble)}
    if job := work.conclude(step, entry, outcome):
        crew.begin(job)


# --- the process itself


def main() -> None:
    """Execute jobs as they come, until there will be no more."""
    said = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is not for the one who listens
    jobs: queue.Queue[Job | None] = queue.Queue()
    busy = threading.Event()
    threading.Thread(target=_receive, args=(sys.stdin, jobs, busy), daemon=True).start()
    with catch_signals():
        while job := _next(jobs):
            busy.set()
            _serve(job, said)
            busy.clear()


def _next(jobs: "queue.Queue[Job | None]") -> Job | None:
    while True:
        with contextlib.suppress(KeyboardInterrupt):  # it came too late for the stage before
            return jobs.get()


def _serve(job: Job, said: IO[str]) -> None:
    def tell(event: str, facts: dict[str, Any]) -> None:
        if event == "cell":
            said.write(json.dumps({"number": facts["number"], "total": facts["total"]}) + "\n")

    try:
        outcome = execute(job, tell, Kernels())
    except KeyboardInterrupt as interruption:
        kind = name_kind(interruption)
        outcome = {"status": "interrupted", "kind": kind, "message": "interrupted before its first cell"}
    said.write(json.dumps({"outcome": outcome}) + "\n")


def _receive(stdin: IO[str], jobs: "queue.Queue[Job | None]", busy: threading.Event) -> None:
    """Take in jobs; when the one who gives them is gone, stop what is at work."""
    for line in stdin:
        jobs.put(json.loads(line))
    jobs.put(None)
    if busy.is_set():
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
