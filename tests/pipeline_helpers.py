"""Stands in for kernels and listens to runs."""

import dataclasses
from dataclasses import dataclass

from msgspec.structs import replace

from nbkit.record import Listener


@dataclass
class Ended:
    """How the execution of a stage ended."""

    status: str = "passed"
    kind: str = ""
    message: str = ""
    cell: int = 0
    source: str = ""
    tail: str = ""
    traceback: str = ""
    seconds: float | None = None
    headline: str = ""

    def fill(self, task):
        """Return the record of a task with it, as the engine does."""
        return replace(task.record, **dataclasses.asdict(self))


class Heard(Listener):
    """Keeps the names of events, and the stages that were started."""

    def __init__(self):
        self.events, self.started = [], []

    def on_run_start(self, folder, record):
        self.events.append("run_start")

    def on_stage_start(self, stage, attempt):
        self.events.append("stage_start")
        self.started.append(stage)

    def on_stage_end(self, stage, folder):
        self.events.append("stage_end")

    def on_not_stored(self, why):
        self.events.append("not_stored")

    def on_run_end(self, folder, record):
        self.events.append("run_end")
