"""Watches a kernel while it works: its time, its memory, and whether the run is to stop."""

import contextlib
import os
import signal
import threading
import time

import psutil

from nbkit.pipeline.kernel import StageKernel
from nbkit.pipeline.task import Task

STEP = 0.2  # seconds between two looks
FAMILY_EVERY = 2.0  # seconds between two searches for the kernel's children, which read the whole process table
GRACE = 5.0  # seconds that an interrupted kernel has to stop by itself
GIGABYTE = 1e9


class Watch(threading.Thread):
    """Interrupts a kernel whose cell or stage takes too long, then kills it; kills one that holds too much memory.

    Parameters
    ----------
    task
        Its limits, and whether it is to stop. The memory is that of the kernel and its children together.
    kernel
        The kernel, started or not.

    Attributes
    ----------
    verdict
        What the watch ended the kernel for: ``"cell_timeout"``, ``"stage_timeout"``, ``"out_of_memory"``, what the task
        is to stop for, or empty.
    late_cell
        The index of the cell that was running when a time-out was noticed; None if there was none.
    peak
        The most bytes that were held at a look.
    """

    def __init__(self, task: Task, kernel: StageKernel) -> None:
        super().__init__(daemon=True, name="nbkit-watch")
        self.task, self.kernel = task, kernel
        self.memory = task.limits["memory_gb"] * GIGABYTE
        self.begun = {"stage_timeout": time.monotonic()}
        self.verdict = ""
        self.late_cell: int | None = None
        self.peak = 0
        self._cell: int | None = None
        self._turn = threading.Lock()  # held while a cell begins or ends, and while it is judged
        self._process: psutil.Process | None = None
        self._family: list[psutil.Process] = []
        self._searched = 0.0
        self._over = threading.Event()

    def begin_cell(self, index: int) -> str:
        """Take note that a cell starts; return the verdict, if any."""
        if process := self._find():
            with contextlib.suppress(psutil.Error):
                self.peak = max(self.peak, process.memory_info().rss)  # it may be over before the next look
        with self._turn:
            self._cell = index
            self.begun["cell_timeout"] = time.monotonic()
            return self.verdict

    def end_cell(self) -> str:
        """Take note that the cell has ended; return the verdict, which a cell may have survived."""
        with self._turn:
            self._cell = None
            self.begun.pop("cell_timeout", None)
            return self.verdict

    def stop(self) -> None:
        """End the watch."""
        self._over.set()
        self.join()

    def run(self) -> None:
        """Look, until stopped."""
        interrupted = 0.0
        while not self._over.wait(STEP):
            if self.task.stop:
                self.verdict = self.verdict or self.task.stop
                self._signal(signal.SIGKILL)  # again at the next look: it may not have started yet
                continue
            held = self._measure()
            self.peak = max(self.peak, held)
            if interrupted:
                if time.monotonic() - interrupted > GRACE:
                    self._signal(signal.SIGKILL)
            elif self.memory and held > self.memory:
                self.verdict = "out_of_memory"
                interrupted = time.monotonic()
                self._signal(signal.SIGKILL)
            elif self._find_late():
                interrupted = time.monotonic()
                self._signal(signal.SIGINT)

    def _find_late(self) -> bool:
        with self._turn:
            now = time.monotonic()
            for name, begun in self.begun.items():
                limit = self.task.limits[name]
                if limit and now - begun > limit and self._find():
                    self.verdict, self.late_cell = name, self._cell
                    return True
        return False

    def _find(self) -> psutil.Process | None:
        """Return the kernel's process, if it has started."""
        pid = self.kernel.pid
        if pid and (self._process is None or self._process.pid != pid):
            with contextlib.suppress(psutil.Error):
                self._process = psutil.Process(pid)
        return self._process

    def _measure(self) -> int:
        kernel = self._find()
        if kernel is None:
            return 0
        if time.monotonic() - self._searched > FAMILY_EVERY:
            self._searched = time.monotonic()
            with contextlib.suppress(psutil.Error):
                self._family = kernel.children(recursive=True)
        held = 0
        for process in (kernel, *self._family):
            with contextlib.suppress(psutil.Error):
                held += process.memory_info().rss
        return held

    def _signal(self, which: signal.Signals) -> None:
        """Signal the kernel; a kill takes its children along."""
        kernel = self._find()
        if kernel is None:
            return
        with contextlib.suppress(psutil.Error, OSError):
            family = [kernel, *kernel.children(recursive=True)] if which == signal.SIGKILL else [kernel]
            for process in family:
                with contextlib.suppress(psutil.Error, ProcessLookupError):
                    os.kill(process.pid, which)


def available_memory() -> int:
    """Return the bytes of memory that this machine, or the control group that we run in, has in all."""
    total = int(psutil.virtual_memory().total)
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError), open(path) as file:  # noqa: PTH123 - a kernel file
            total = min(total, int(file.read()))
    return total
