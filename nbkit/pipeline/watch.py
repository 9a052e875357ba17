"""Watches a kernel while it works: its time, its memory, and the only one who ends it."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

STEP = 0.2  # seconds between two looks
FAMILY_EVERY = 2.0  # seconds between two searches for the kernel's children, which read the whole process table
GRACE = 5.0  # seconds that an interrupted kernel has to stop by itself
GIGABYTE = 1e9
MARK = "NBKIT_KERNEL"  # an environment variable that all processes of one kernel share


class Watch(threading.Thread):
    """Interrupts a kernel whose cell or stage takes too long, then kills it; kills one that holds too much memory.

    Parameters
    ----------
    cell_timeout, stage_timeout
        Seconds; 0 is no limit.
    memory_gb
        Gigabytes (1e9 bytes) that the kernel and its children may hold together; 0 is no limit.
    on_step
        Called at each look, from this thread.

    Attributes
    ----------
    verdict
        What the watch ended the kernel for: ``"cell_timeout"``, ``"stage_timeout"``, ``"out_of_memory"`` or empty.
    late_cell
        The index of the cell that was running when a time-out was noticed; None if there was none.
    peak
        The most bytes that were held at a look.
    """

    def __init__(
        self, cell_timeout: float, stage_timeout: float, memory_gb: float, on_step: Callable[[], None]
    ) -> None:
        super().__init__(daemon=True, name="nbkit-watch")
        self.limits = {"cell_timeout": cell_timeout, "stage_timeout": stage_timeout}
        self.memory = memory_gb * GIGABYTE
        self.begun = {"stage_timeout": time.monotonic()}
        self.on_step = on_step
        self.kernel: psutil.Process | None = None
        self.verdict = ""
        self.late_cell: int | None = None
        self.peak = 0
        self._cell: int | None = None
        self._turn = threading.Lock()  # held while a cell begins or ends, and while it is judged
        self._family: list[psutil.Process] = []
        self._searched = 0.0
        self._over = threading.Event()

    def begin_cell(self, pid: int, index: int) -> str:
        """Take note that a cell starts in the kernel of this process id; return the verdict, if any."""
        if self.kernel is None or self.kernel.pid != pid:
            with contextlib.suppress(psutil.Error):
                self.kernel = psutil.Process(pid)
        if self.kernel:
            with contextlib.suppress(psutil.Error):
                self.peak = max(self.peak, self.kernel.memory_info().rss)  # it may be over before the next look
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
            self.on_step()
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
            for name, limit in self.limits.items():
                if limit and name in self.begun and now - self.begun[name] > limit and self.kernel:
                    self.verdict, self.late_cell = name, self._cell
                    return True
        return False

    def _measure(self) -> int:
        if self.kernel is None:
            return 0
        if time.monotonic() - self._searched > FAMILY_EVERY:
            self._searched = time.monotonic()
            with contextlib.suppress(psutil.Error):
                self._family = self.kernel.children(recursive=True)
        held = 0
        for process in (self.kernel, *self._family):
            with contextlib.suppress(psutil.Error):
                held += process.memory_info().rss
        return held

    def _signal(self, which: signal.Signals) -> None:
        """Signal the kernel; a kill takes its children along."""
        if self.kernel is None:
            return
        with contextlib.suppress(psutil.Error, OSError):
            family = [self.kernel, *self.kernel.children(recursive=True)] if which == signal.SIGKILL else [self.kernel]
            for process in family:
                with contextlib.suppress(psutil.Error, ProcessLookupError):
                    os.kill(process.pid, which)


def end_orphans(token: str, pipe: int, since: float) -> None:
    """End the processes that outlive their kernel, also those in a session of their own.

    Parameters
    ----------
    token
        The value of the environment variable ``NBKIT_KERNEL`` that they inherited.
    pipe
        The inode of the pipe into the kernel's log, which those hold open that a forked kernel has forked: their
        environment is its server's.
    since
        When the kernel was started, in seconds since the epoch.
    """
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == token or _holds(process, pipe, since):
                process.terminate()
                left.append(process)
    for process in psutil.wait_procs(left, timeout=GRACE)[1]:
        with contextlib.suppress(psutil.Error):
            process.kill()


def _holds(process: psutil.Process, pipe: int, since: float) -> bool:
    """Tell whether a process other than this one has the pipe into a kernel's log open; only Linux says."""
    if process.pid == os.getpid() or process.create_time() < since - 1.0:
        return False
    links = []
    for each in Path(f"/proc/{process.pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            links.append(str(each.readlink()))
    return f"pipe:[{pipe}]" in links


def available_memory() -> int:
    """Return the bytes of memory that this machine, or the control group that we run in, has in all."""
    total = int(psutil.virtual_memory().total)
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError), open(path) as file:  # noqa: PTH123 - a kernel file
            total = min(total, int(file.read()))
    return total
