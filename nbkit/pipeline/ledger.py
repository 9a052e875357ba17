"""Keeps the record of a run at work: written after every step, copied to the storage, summed up at the end."""

import contextlib
import os
import sys
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path

from nbkit.errors import BadParameter, CorruptArtifact, StorageFailed
from nbkit.extend import imported
from nbkit.pipeline.cache import Step
from nbkit.pipeline.plan import Plan
from nbkit.pipeline.runs import describe_surroundings, name_path
from nbkit.pipeline.storage import Storage
from nbkit.record import Listener, Resumption, RunRecord, StageRecord, now, read_record, write_record
from nbkit.scrub import Scrubber

EXIT = {"passed": 0, "failed": 1, "refused": 3, "interrupted": 130, "terminated": 143}


class Ledger:
    """The record of a run that is being carried out.

    Parameters
    ----------
    plan, folder, listener, storage
        As for `nbkit.pipeline.runner.Runner`.

    Attributes
    ----------
    before
        What the record was when the run was gone on with; empty for a new run.
    record
        What it is now.
    """

    def __init__(self, plan: Plan, folder: Path, listener: Listener, storage: Storage | None) -> None:
        self.folder, self.listener, self.storage = folder, listener, storage
        self.before, self._moved = read_record(folder), False
        self.scrubber = Scrubber.of(plan.secrets)
        self.record = self._begin(plan)
        try:
            write_record(folder, self.record)
        except OSError as error:
            raise BadParameter(f"no run can be made in {folder}: {error.strerror or error}") from None
        listener.on_run_start(folder, self.record)

    def _begin(self, plan: Plan) -> RunRecord:
        before, around = self.before, describe_surroundings(plan.root)
        return RunRecord(
            run=self.folder.name,
            project=plan.project,
            root=str(plan.root),
            status="running",
            started=before.started or now(),
            resumed=[*before.resumed, Resumption(now(), around)] if before.run else [],
            pid=os.getpid(),
            storage=self.storage.url if self.storage else "",
            command=before.command or self.scrubber.clean_inside(["nbkit", *sys.argv[1:]]),
            files=[name_path(path, plan.root) for path in plan.resolved.files],
            settings=self.scrubber.clean_inside(list(plan.settings)),
            parameters=self.scrubber.clean_inside(deepcopy(plan.resolved.values)),
            defaults=plan.defaults,
            use={stage: limits["use"] for stage, limits in plan.resolved.limits.items()},
            modules=dict(imported),
            secrets=list(plan.secrets),
            surroundings=before.surroundings if before.run else around,
            stages=[self._expect(step) for step in plan.steps],
        )

    def _expect(self, step: Step) -> StageRecord:
        before = self.before.find(step.stage.name)
        if before and step.action == "skip" and step.source == self.folder:
            return before
        ended = before.ended if before else ""  # tells whether its notebook was edited since
        return StageRecord(step.stage.name, "pending", ended=ended)

    @property
    def going(self) -> bool:
        """Whether nothing has ended badly so far."""
        return all(each.status in ("passed", "pending", "running") for each in self.record.stages)

    def find(self, stage: str) -> StageRecord:
        """Return the record of a stage of this run."""
        return next(each for each in self.record.stages if each.stage == stage)

    def note(self, record: StageRecord) -> None:
        """Put in the record of a stage, and write all of it."""
        stages = self.record.stages
        stages[stages.index(self.find(record.stage))] = record
        write_record(self.folder, self.record)

    def enter_cell(self, stage: str, number: int, total: int) -> None:
        """Put in which cell of how many runs; `rest` writes it."""
        record = self.find(stage)
        record.cell, record.cells, self._moved = number, total, True

    def rest(self) -> None:
        """Write which cell runs, for who watches, once there is a moment in which nothing else happens."""
        if self._moved:
            self._moved = False
            with contextlib.suppress(OSError):
                write_record(self.folder, self.record)

    def copy(self, traces: Iterable[Path]) -> None:
        """Copy to the storage what is new; if it cannot be reached, say so once and go on: nothing is lost here."""
        if not self.storage:
            return
        try:
            self.storage.push(self.folder, traces)
            self.record.not_stored = ""
        except (StorageFailed, CorruptArtifact) as error:
            self.note_not_stored(error)

    def note_not_stored(self, error: Exception) -> None:
        """Take note that the storage did not do what it should."""
        why = self.scrubber.clean(str(error))
        if not self.record.not_stored:
            self.listener.on_not_stored(why)
        self.record.not_stored = why

    def sum_up(self, stop: str) -> None:
        """Describe how the run ended.

        Parameters
        ----------
        stop
            What it was stopped for; empty if it was not.
        """
        stages = self.record.stages
        if stop and all(each.status != "interrupted" for each in stages):  # between two: what was to come next
            for each in [each for each in stages if each.status == "pending"][:1]:
                each.status, each.kind, each.ended = "interrupted", stop, now()
                each.message = "interrupted before it began"
        statuses = [each.status for each in stages]
        bad = next((status for status in ("interrupted", "failed", "refused") if status in statuses), "")
        self.record.status = bad or ("passed" if set(statuses) <= {"passed"} else "interrupted")
        terminated = any(each.kind == "terminated" for each in stages)
        self.record.exit = EXIT["terminated" if terminated else self.record.status]
        self.record.ended = now()
        write_record(self.folder, self.record)

    def close(self) -> RunRecord:
        """State that the run is over; what could not be stored fails it."""
        if self.record.not_stored:
            self.record.exit = self.record.exit or EXIT["failed"]
            write_record(self.folder, self.record)
        self.listener.on_run_end(self.folder, self.record)
        return self.record
