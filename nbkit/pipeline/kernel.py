"""The kernel of one stage: its environment, its log, and its start, when its turn has come or a moment before."""

import asyncio
import contextlib
import os
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

import psutil
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync

from nbkit import observe
from nbkit.kernels import WarmProvisioner, make_environment
from nbkit.pipeline.log import StageLog
from nbkit.pipeline.task import Task

NAME = "python3"
MARK = "NBKIT_KERNEL"  # an environment variable that all processes of one kernel share
GRACE = 5.0  # seconds that an orphan has to end by itself
ARGUMENTS = ["--IPKernelApp.log_level=ERROR", "--HistoryManager.hist_file=:memory:", "--ext=nbkit.observe"]


class OwnKernelClient(AsyncKernelClient):
    """Waits for a new kernel no longer than it takes: Jupyter's own listens for a fifth of a second to silence."""

    async def _async_wait_for_ready(self, timeout: float | None = None) -> None:
        deadline = time.monotonic() + (timeout or 60)
        while time.monotonic() < deadline:
            request = self.kernel_info()
            with contextlib.suppress(Empty):
                self._handle_kernel_info_reply(await self.get_shell_msg(timeout=1))
                await self._hear_idle(request)
                return
            if not await self._async_is_alive():
                raise RuntimeError("the kernel died before it answered")
        raise RuntimeError(f"the kernel did not answer in {timeout} s")

    async def _hear_idle(self, request: str) -> None:
        """Listen until the kernel says that it has done with a request: what comes later belongs to cells."""
        while True:
            message = await self.get_iopub_msg(timeout=1)
            state = message["content"].get("execution_state")
            if state == "idle" and message["parent_header"].get("msg_id") == request:
                return

    wait_for_ready = _async_wait_for_ready


class OwnKernelManager(AsyncKernelManager):
    """Starts kernels with the interpreter that runs nbkit, whatever kernel a user has installed as python3."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.client_factory = OwnKernelClient
        self.kernel_id = uuid.uuid4().hex
        self.provisioner = self.own = WarmProvisioner(
            kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self
        )

    @property
    def kernel_spec(self) -> KernelSpec:
        """The kernel's command line."""
        return KernelSpec(**get_kernel_dict())

    async def _async_wait(self, pollinterval: float = 0.005) -> None:
        """Notice the kernel's end sooner than Jupyter would."""
        await super()._async_wait(min(pollinterval, 0.005))


class StageKernel:
    """The kernel of one stage, not started yet.

    Parameters
    ----------
    task
        What it is for. It works in the folder of the notebook's source; what is written to its stdout and stderr past
        Python is added to the log, without secrets.

    Attributes
    ----------
    environment
        Its environment, which every process that it starts shares.
    """

    def __init__(self, task: Task) -> None:
        own = {"NBKIT_STAGE": task.record.stage, MARK: uuid.uuid4().hex, observe.THREADS: str(task.limits["threads"])}
        self.environment = make_environment(**own, **task.environment)
        self._task = task
        self._log: StageLog | None = None
        self._since = 0.0
        self._manager: OwnKernelManager | None = None
        self._start: asyncio.Future[None] | None = None

    def start_ahead(self) -> None:
        """Start it in the event loop that is running, and wait for nothing."""
        self._start = asyncio.ensure_future(self._begin())

    def take(self) -> OwnKernelManager:
        """Return the manager of the started kernel, which the caller may end."""
        run_sync(self._prepare)()
        assert self._manager
        return self._manager

    @property
    def pid(self) -> int:
        """Its process; 0 if it has none yet."""
        return (self._manager.own.pid or 0) if self._manager else 0

    @property
    def exit_code(self) -> int | None:
        """How its process has ended by itself; negative if a signal ended it, None if nobody saw its end."""
        return self._manager.own.exit_code if self._manager else None

    def close(self) -> None:
        """End the kernel if it has not ended, and whatever it has started."""
        with contextlib.suppress(Exception):
            run_sync(self._dismiss)()
        if self._log:
            end_orphans(self.environment[MARK], self._log.inode, self._since)
            self._log.close()

    async def _begin(self) -> None:
        self._log = self._log or StageLog(self._task.log, self._task.scrubber)
        self._since = time.time()
        self._manager = OwnKernelManager(kernel_name=NAME)
        await self._manager.start_kernel(
            extra_arguments=ARGUMENTS,
            cwd=str(self._task.source.parent),
            env=self.environment,
            stdout=self._log.writer,  # what is written past Python is no part of what nbkit prints
            stderr=self._log.writer,
        )

    async def _prepare(self) -> None:
        if self._start and not await self._is_good(self._start):
            await self._dismiss()
        if not self._start:
            self.start_ahead()
        assert self._start
        await self._start

    async def _is_good(self, start: asyncio.Future[None]) -> bool:
        """Return whether what was started ahead is what would be started now."""
        try:
            await start
        except Exception:  # another start will say what is wrong
            return False
        assert self._manager
        return bool(await self._manager.is_alive()) and self._manager.own.is_up_to_date()

    async def _dismiss(self) -> None:
        if self._start:
            await asyncio.wait([self._start])
        self._start, manager, self._manager = None, self._manager, None
        if manager and manager.has_kernel:
            await manager.shutdown_kernel(now=True)
        elif manager:
            await manager.cleanup_resources()


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
    """Return whether a process other than this one has the pipe into a kernel's log open; only Linux says."""
    if process.pid == os.getpid() or process.create_time() < since - 1.0:
        return False
    if process.ppid() == os.getpid() and process.cmdline() == psutil.Process().cmdline():
        return False  # forked for another kernel, and about to become it
    links = []
    for each in Path(f"/proc/{process.pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            links.append(str(each.readlink()))
    return f"pipe:[{pipe}]" in links
