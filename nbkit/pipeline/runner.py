"""Carries out a plan: what each stage has handed over decides what comes next, and the record is true at every moment.

One thread, the caller's, decides and writes the record; notebooks are executed by the threads of a `Pool`, which post
what happens. So an interruption tears nothing: it is heard, the kernels are ended, and what they did is written down.
"""

import contextlib
import json
import queue
import shutil
import threading
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

from nbkit import observe
from nbkit.errors import StorageFailed
from nbkit.kernels import use_server
from nbkit.pipeline.cache import Cache, Step, release
from nbkit.pipeline.fingerprint import list_owners
from nbkit.pipeline.ledger import Ledger
from nbkit.pipeline.plan import Plan, begin, check_plan
from nbkit.pipeline.pool import Pool
from nbkit.pipeline.runs import has_side_files, keep_edit, lock_run, make_run_dir, name_path, take_over
from nbkit.pipeline.signals import hear_signals
from nbkit.pipeline.storage import Storage, open_storage
from nbkit.pipeline.task import Task
from nbkit.pipeline.trace import finish_trace
from nbkit.record import RECORD, Listener, RunRecord, StageRecord, now, read_record
from nbkit.scraps import digest_scraps, read_scraps
from nbkit.stages.graph import build_graph

STEP = 0.2  # seconds between two looks at what moves by itself: the clock, another run


def execute_plan(plan: Plan, listener: Listener | None = None, *, jobs: int = 1) -> tuple[Path, RunRecord]:
    """Do what a plan says; begin nothing more once a stage has not passed.

    Parameters
    ----------
    plan
        From `plan_run` or `plan_resume`.
    listener
        Who hears what happens, in this thread.
    jobs
        How many stages may be at work at the same time; one that needs nothing of those at work need not wait for them.

    Returns
    -------
    tuple
        The run folder and its record, whose ``exit`` is the exit code.
    """
    if plan.nothing_to_do and plan.folder:
        return plan.folder, read_record(plan.folder)
    with _warm(plan):  # before all else: it imports while this process plans and imports for itself
        check_plan(plan)
        storage = open_storage(plan.root, plan.storage)
        folder = plan.folder or make_run_dir(plan.root, plan.project, plan.name, storage.list_runs() if storage else ())
        try:
            with lock_run(folder):
                return folder, Runner(plan, folder, listener or Listener(), storage).carry_out(jobs)
        finally:
            if not plan.folder and not (folder / RECORD).exists():  # interrupted before there was anything
                shutil.rmtree(folder, ignore_errors=True)


def _warm(plan: Plan) -> contextlib.AbstractContextManager[Any]:
    """Let a server import for the kernels while this process imports for itself."""
    notebooks = [step.stage.path for step in plan.steps if step.action != "skip"]
    server: contextlib.AbstractContextManager[Any] = use_server(notebooks)
    if notebooks and plan.caching:
        threading.Thread(target=list_owners, daemon=True).start()  # wanted when the first stage has passed
    return server


class Runner:
    """A run that is being carried out.

    Parameters
    ----------
    plan, listener
        As for `execute_plan`.
    folder
        The run.
    storage
        Where it is copied to.
    """

    def __init__(self, plan: Plan, folder: Path, listener: Listener, storage: Storage | None = None) -> None:
        self.plan, self.folder, self.listener = plan, folder, listener
        self.ledger = Ledger(plan, folder, listener, storage)
        self.cache = Cache(plan.root, storage)
        self.handed: dict[str, dict[str, str] | None] = {}
        self.stop = ""  # "interrupted" or "terminated", once it is to end
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._waiting = list(plan.steps)
        self._held: dict[str, IO[str]] = {}  # locks, by stage
        self._told: set[str] = set()  # who waits for another run
        self._executed = False

    def carry_out(self, jobs: int) -> RunRecord:
        """Do all steps, up to the first that does not pass, `jobs` at a time; return the record."""
        with hear_signals(self._hear):
            try:
                with Pool(jobs, self._events.put) as pool:
                    self._do_all(pool)
            except KeyboardInterrupt:  # the second, or one of another handler
                self.stop = self.stop or "interrupted"
            finally:
                while not self._events.empty():  # what was at work when it broke off
                    self._events.get()()
                while self._held:
                    release(self._held.popitem()[1])
                self.ledger.sum_up(self.stop)
        self._copy()
        return self.ledger.close()

    def _do_all(self, pool: Pool) -> None:
        graph = build_graph({step.stage.name: step.stage for step in self._waiting})
        while True:
            if self._going:
                self._begin_ready(pool, graph.upstream)
            if not pool.busy and not (self._going and self._waiting):
                return
            try:
                self._events.get(timeout=STEP)()
            except queue.Empty:
                self.ledger.rest()
                self.listener.on_step()
            if self.stop:
                pool.stop(self.stop)

    @property
    def _going(self) -> bool:
        """Whether anything more may begin."""
        return not self.stop and self.ledger.going

    def _hear(self, kind: str) -> None:
        self.stop = self.stop or kind
        self._events.put(lambda: None)  # wakes who waits for events

    def _begin_ready(self, pool: Pool, upstream: Callable[[str], tuple[str, ...]]) -> None:
        """Begin what is ready while there is room: all that it loads from has passed, or, one by one, what is next."""
        for step in list(self._waiting):
            if pool.busy >= pool.size or not self._going or (pool.size == 1 and step is not self._waiting[0]):
                return
            if all(map(self.ledger.record.has_passed, upstream(step.stage.name))) and self._begin(step, pool):
                self._waiting.remove(step)

    def _begin(self, step: Step, pool: Pool) -> bool:
        """Take a stage as it is, or start its execution; False while another run computes the same."""
        settled = self._settle(step)
        if settled is None:
            return False
        if settled.action != "skip" or not self._take(settled):
            if kept := keep_edit(self.folder, self.ledger.find(step.stage.name)):
                self.listener.on_edit_kept(step.stage.name, kept)
            self._start(settled, pool, attempt=1)
        return True

    def _settle(self, step: Step) -> Step | None:
        """Decide what had to wait for what earlier stages hand over; None while another run computes the same."""
        name = step.stage.name
        if step.action == "skip?" or (step.trace and self._executed):  # a stage before may have changed what it reads
            step = self._ask_cache(step)
        if step.action != "run" or step.forced or step.stage.effects or not self.plan.caching:
            return step
        try:
            held = self.cache.try_lock(step.stage, begin(step.stage, self.plan.resolved), self.handed)
        except OSError:  # no lock can be written: it is computed here, by whoever else it is
            return step
        step = self._ask_cache(step)  # it may have been done since the plan was made
        if held and step.action == "run":
            self._held[name] = held
        elif held:
            release(held)
        elif step.action == "run":
            if name not in self._told:
                self._told.add(name)
                self.listener.on_stage_wait(name)
            return None
        return step

    def _ask_cache(self, step: Step) -> Step:
        given = (step.stage, begin(step.stage, self.plan.resolved), self.handed, self.folder.name)
        try:
            found = self.cache.find(*given)
        except StorageFailed as error:
            self.ledger.note_not_stored(error)
            found = Cache(self.plan.root).find(*given)
        return found if found.action == "skip" else replace(found, action="run")

    def _take(self, step: Step) -> bool:
        """Take a stage from the run that has it; False if that turns out to be impossible and it can run instead."""
        assert step.source
        name = step.stage.name
        try:
            if step.source == self.folder:
                record = self.ledger.before.find(name) or self.ledger.find(name)
            else:
                record = take_over(step.source, self.folder, name, stored=self.ledger.storage is not None)
        except (OSError, ValueError) as error:
            if step.trace:
                return False
            message = f"nothing can be taken over: {error}"
            record = StageRecord(name, "failed", kind="system", message=message, ended=now())
            self.ledger.note(record)
            self.listener.on_stage_end(record, self.folder)
            return True
        if step.trace and step.source != self.folder:
            record.why, record.traced = step.why, True
            self.ledger.note(record)  # before its trace: who finds one takes the stage as the record has it
            with contextlib.suppress(OSError):  # the trace of the run that it is taken from holds as well
                self.cache.adopt(step.trace, self.folder)
        self._note(record)
        self.listener.on_stage_taken(record, step.why)
        return True

    def _start(self, step: Step, pool: Pool, attempt: int) -> None:
        name = step.stage.name
        record = StageRecord(
            name,
            "running",
            why=step.why,
            started=now(),
            attempt=attempt,
            threads=self.plan.resolved.limits[name]["threads"],
            notebook=name_path(step.stage.path, self.plan.root),
            code=step.stage.code,
        )
        self.ledger.note(record)
        self.listener.on_stage_start(name, attempt)
        self._notes(name).unlink(missing_ok=True)
        self._executed = True
        following = [each for each in self._waiting if each.stage.name > name][:1] if pool.size == 1 else []
        ahead = next((self._describe(each) for each in following if each.action == "run"), None)
        pool.begin(self._describe(step), partial(self._conclude, step, pool), ahead)

    def _describe(self, step: Step) -> Task:
        stage, name = step.stage, step.stage.name
        parameters = {**self.plan.resolved.values[name], "run_dir": str(self.folder)}
        return Task(
            record=copy(self.ledger.find(name)),
            source=stage.path,
            target=self.folder / f"{name}.ipynb",
            log=self.folder / "logs" / f"{name}.log",
            parameters={key: value for key, value in parameters.items() if key in stage.parameters},
            limits=self.plan.resolved.limits[name],
            environment={observe.VARIABLE: str(self._notes(name)), observe.ROOT: str(self.plan.root)},
            scrubber=self.ledger.scrubber,
            on_cell=lambda number, total: self._events.put(partial(self._enter_cell, name, number, total)),
        )

    def _enter_cell(self, stage: str, number: int, total: int) -> None:
        self.ledger.enter_cell(stage, number, total)
        self.listener.on_cell(stage, number, total)

    def _conclude(self, step: Step, pool: Pool, record: StageRecord) -> None:
        """Write down how an execution went, and try again if the stage is to be retried."""
        name = step.stage.name
        notes = observe.take_notes(self._notes(name))
        record.ended = now()
        self.ledger.note(record)  # before its trace: who finds one takes the stage as the record has it
        record.traced = record.status == "passed" and self._leave_trace(step, record, notes)
        self._note(record)
        self.listener.on_stage_end(record, self.folder)
        retries = self.plan.resolved.limits[name]["retries"]
        if record.status == "failed" and record.attempt <= retries and not self.stop:
            self._start(step, pool, record.attempt + 1)
        elif name in self._held:
            release(self._held.pop(name))

    def _leave_trace(self, step: Step, record: StageRecord, notes: dict[str, Any]) -> bool:
        """Leave the trace of an execution, unless files lie in the run that some stage wrote past `run.save`."""
        as_planned = record.code == step.stage.code  # else the notebook was edited meanwhile
        text = json.dumps(self.plan.resolved.values[step.stage.name], ensure_ascii=False, default=str)
        bare = self.ledger.scrubber.clean(text) == text  # a trace holds the parameters as they are
        if not (notes and as_planned and bare and self.plan.caching) or has_side_files(self.folder):
            return False
        with contextlib.suppress(OSError):  # a full disk: the next run does it again
            given = (begin(step.stage, self.plan.resolved), step.stage, self.folder, record.started, notes, self.handed)
            self.cache.keep(finish_trace(*given, self.cache.memo))
            return True
        return False

    def _note(self, record: StageRecord) -> None:
        """Write down that a stage has ended, and what it hands over; copy it to where the run is copied."""
        self.ledger.note(record)
        self._copy()
        if record.status == "passed":
            self.handed[record.stage] = digest_scraps(read_scraps(self.folder / f"{record.stage}.ipynb"))

    def _copy(self) -> None:
        self.ledger.copy(self.cache.list_traces(self.folder.name))

    def _notes(self, stage: str) -> Path:
        return self.folder / f".{stage}.notes.json"
