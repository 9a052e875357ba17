"""The kernel of one stage: its environment, its log, and its start, when its turn has come or a moment before."""

import asyncio
import contextlib
import inspect
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from queue import Empty
from typing import Any

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync

from nbkit import observe
from nbkit.kernels import WarmProvisioner, make_environment
from nbkit.pipeline.log import StageLog
from nbkit.pipeline.watch import MARK, end_orphans
from nbkit.scrub import NOTHING, Scrubber

NAME = "python3"
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

    # Jupyter's own sleep for a hundredth of a second when they have done it, so that its tests can look
    _async_start_kernel = start_kernel = inspect.unwrap(AsyncKernelManager.start_kernel)
    _async_shutdown_kernel = shutdown_kernel = inspect.unwrap(AsyncKernelManager.shutdown_kernel)

    async def _async_wait(self, pollinterval: float = 0.005) -> None:
        """Notice the kernel's end sooner than Jupyter would."""
        await super()._async_wait(min(pollinterval, 0.005))


class StageKernel:
    """The kernel of one stage, not started yet.

    Parameters
    ----------
    stage
        The stage.
    folder
        Where the kernel works.
    log
        The file that its stdout and stderr are added to, where Python does not catch them, without secrets.
    threads
        How many threads it computes with.
    environment
        What its environment has beside this process's own.
    scrubber
        Takes secrets out of the log.

    Attributes
    ----------
    environment
        Its environment, which every process that it starts shares.
    """

    def __init__(
        self,
        stage: str,
        folder: Path,
        log: Path,
        threads: int,
        environment: Mapping[str, str],
        scrubber: Scrubber = NOTHING,
    ) -> None:
        own = {"NBKIT_STAGE": stage, MARK: uuid.uuid4().hex, observe.THREADS: str(threads)}
        self.environment = make_environment(**own, **environment)
        self._folder, self._path, self._scrubber = folder, log, scrubber
        self._log: StageLog | None = None
        self._since = 0.0
        self._manager: OwnKernelManager | None = None
        self._start: asyncio.Future[None] | None = None
        self._closing = False

    def start_ahead(self) -> None:
        """Start it in the event loop that is running, and wait for nothing."""
        self._start = asyncio.ensure_future(self._begin())

    def take(self) -> OwnKernelManager:
        """Return the manager of the started kernel, which the caller may end."""
        run_sync(self._prepare)()
        assert self._manager
        return self._manager

    @property
    def exit_code(self) -> int | None:
        """How its process has ended by itself; negative if a signal ended it, None if nobody saw its end."""
        return self._manager.own.exit_code if self._manager else None

    def close(self) -> None:
        """End the kernel if it has not ended, and whatever it has started."""
        self._closing = True
        with contextlib.suppress(Exception):
            run_sync(self._dismiss)()
        if self._log:
            end_orphans(self.environment[MARK], self._log.inode, self._since)
            self._log.close()

    async def _begin(self) -> None:
        self._log = self._log or StageLog(self._path, self._scrubber)
        self._since = time.time()
        self._manager = OwnKernelManager(kernel_name=NAME)
        await self._manager.start_kernel(
            extra_arguments=ARGUMENTS,
            cwd=str(self._folder),
            env=self.environment,
            stdout=self._log.writer,  # what is written past Python is no part of what nbkit prints
            stderr=self._log.writer,
        )

    async def _prepare(self) -> None:
        if self._start and not await self._is_good(self._start):
            await self._dismiss()
        if not self._start and not self._closing:  # else it was interrupted, and goes on while the kernel is ended
            self.start_ahead()
        if self._start:
            await self._start

    async def _is_good(self, start: asyncio.Future[None]) -> bool:
        """Tell whether what was started ahead is what would be started now."""
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
