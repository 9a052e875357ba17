"""Threads that execute notebooks: the work itself is done by kernels, which are processes of their own."""

import contextlib
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from nbkit.lighten import defer_imports
from nbkit.pipeline.task import Task
from nbkit.record import StageRecord

if TYPE_CHECKING:
    from nbkit.pipeline.kernel import StageKernel

Post = Callable[[Callable[[], None]], None]
Done = Callable[[StageRecord], None]


class Pool:
    """Up to `size` threads; one is started when a task finds no idle one.

    Parameters
    ----------
    size
        How many notebooks may be executed at the same time.
    post
        Called from any thread with what the owner's thread is to call.
    """

    def __init__(self, size: int, post: Post) -> None:
        self.size = size
        self.post = post
        self._idle: list[Worker] = []
        self._workers: list[Worker] = []
        self._tasks: dict[str, Task] = {}

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *trouble: object) -> None:
        self.stop("interrupted")
        for worker in self._workers:
            worker.jobs.put(None)
        for worker in self._workers:
            worker.join()

    @property
    def busy(self) -> int:
        """How many notebooks are being executed."""
        return len(self._tasks)

    def begin(self, task: Task, done: Done, ahead: Task | None = None) -> None:
        """Execute a task and post `done` with its record; `ahead` is the one that the same thread is to expect next."""
        worker = self._idle.pop() if self._idle else self._hire()
        name = task.record.stage
        self._tasks[name] = task

        def finish(record: StageRecord) -> None:
            del self._tasks[name]
            self._idle.append(worker)
            done(record)

        worker.jobs.put((task, ahead, finish))

    def stop(self, kind: str) -> None:
        """Stop all tasks that are at work; they end a moment later."""
        for task in self._tasks.values():
            task.stop = task.stop or kind

    def _hire(self) -> "Worker":
        worker = Worker(self.post)
        self._workers.append(worker)
        worker.start()
        return worker


class Worker(threading.Thread):
    """A thread that executes one task after the other, in an event loop of its own."""

    def __init__(self, post: Post) -> None:
        super().__init__(daemon=True)
        self.post = post
        self.jobs: queue.SimpleQueue[tuple[Task, Task | None, Done] | None] = queue.SimpleQueue()
        self._ready: dict[str, StageKernel] = {}  # started ahead, by stage

    def run(self) -> None:
        """Execute what comes, until nothing more will."""
        while job := self.jobs.get():
            task, ahead, done = job
            self.post(partial(done, self._execute(task, ahead)))
        for kernel in self._ready.values():
            kernel.close()
        self._close_loop()

    def _execute(self, task: Task, ahead: Task | None) -> StageRecord:
        try:
            with defer_imports("nbkit.pipeline.engine"):
                from nbkit.pipeline import engine
            with contextlib.closing(self._take_kernel(task)) as kernel:
                return engine.execute_stage(task, kernel, partial(self._start_ahead, ahead))
        except BaseException as error:  # a full disk; whatever it is, the run has to know
            task.record.status, task.record.kind = "failed", "system"
            task.record.message = task.scrubber.clean(f"{type(error).__name__}: {error}")
            return task.record

    def _take_kernel(self, task: Task) -> "StageKernel":
        from nbkit.pipeline.kernel import StageKernel

        return self._ready.pop(task.record.stage, None) or StageKernel(task)

    def _start_ahead(self, task: Task | None) -> None:
        if task and task.record.stage not in self._ready:
            kernel = self._ready[task.record.stage] = self._take_kernel(task)
            kernel.start_ahead()

    def _close_loop(self) -> None:
        from jupyter_core.utils import ensure_event_loop

        loop = ensure_event_loop()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
