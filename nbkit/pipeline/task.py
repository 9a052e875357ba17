"""One execution of one notebook, as the runner asks the engine for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbkit.record import StageRecord
from nbkit.scrub import NOTHING, Scrubber


@dataclass
class Task:
    """What is to be executed, and how it can be stopped.

    Attributes
    ----------
    record
        Of the stage; the engine fills in how it went.
    source, target
        The stage notebook, never written to, and where the executed one goes, whole and at once.
    log
        The file for what is written past Python.
    parameters, limits
        Given to papermill; ``cell_timeout``, ``stage_timeout`` (seconds), ``memory_gb`` (0 is no limit), ``threads``.
    environment
        What the kernel's environment has beside this process's own.
    scrubber
        Takes secrets out of everything that is kept.
    on_cell
        Called with the number of the code cell that starts and how many there are.
    stop
        ``"interrupted"`` or ``"terminated"`` once it is to end; whoever sets it need not wait.
    """

    record: StageRecord
    source: Path
    target: Path
    log: Path
    parameters: dict[str, Any]
    limits: dict[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict)
    scrubber: Scrubber = NOTHING
    on_cell: Callable[[int, int], None] = lambda number, total: None
    stop: str = ""
