"""Runs code in kernels as the engine starts them, warm or cold, and says how they ended."""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from nbkit.kernels import make_environment
from nbkit.kernels.client import Forked
from nbkit.kernels.provisioner import FOLDER
from nbkit.pipeline.kernel import OwnKernelManager


@dataclass
class Ran:
    """What a kernel printed for each piece of code, whether it was forked, and its exit code if it ended by itself."""

    texts: list[str] = field(default_factory=list)
    forked: bool = False
    code: int | None = None
    pid: int = 0


def run_code(*codes, folder, warm=True, **environment):
    """Run pieces of code in one new kernel."""
    wanted = make_environment(NBKIT_WARM="1" if warm else "0", **environment)
    return asyncio.run(_run(codes, wanted, folder))


async def start_kernel(environment, folder, **options):
    """Start a kernel and wait until it answers; return its manager and client."""
    manager = OwnKernelManager()
    await manager.start_kernel(env=environment, cwd=str(folder), stderr=subprocess.DEVNULL, **options)
    talk = manager.client()
    talk.start_channels()
    await talk.wait_for_ready(timeout=60)
    return manager, talk


async def _run(codes, environment, folder):
    manager, talk = await start_kernel(environment, folder)
    ran = Ran(forked=isinstance(manager.provisioner.process, Forked), pid=manager.provisioner.pid)
    for code in codes:
        text = await execute(manager, talk, code)
        if text is None:
            ran.code = manager.provisioner.process.returncode
            await manager.cleanup_resources()
            talk.stop_channels()
            return ran
        ran.texts.append(text)
    await manager.shutdown_kernel()
    talk.stop_channels()
    return ran


async def execute(manager, talk, code):
    """Run code; return what it printed, or None if the kernel ended meanwhile."""
    texts = []

    def hear(message):
        content = message["content"]
        texts.append(content.get("text", "") or f"{content.get('ename', '')}{content.get('evalue', '')}")

    task = asyncio.ensure_future(talk.execute_interactive(code, output_hook=hear, allow_stdin=False))
    while not task.done():
        await asyncio.wait([task], timeout=0.05)
        if not await manager.is_alive():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            return None
    task.result()
    return "".join(texts)


def wait_until(true, seconds=20.0):
    """Wait until something is so; return whether it is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.02)
    return bool(true())


def list_left():
    """Return the folders that kernels have left."""
    return sorted(path.name for path in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"))


def make_temporary():
    """Return a folder whose path is short enough for sockets."""
    return Path(tempfile.mkdtemp(prefix="nb", dir="/tmp"))


def start_run(project, temporary, **environment):
    """Start ``nbkit run`` in a process of its own."""
    command = [sys.executable, "-m", "nbkit", "run", "params/toy.yaml"]
    settings = {**os.environ, "TMPDIR": str(temporary), **environment}
    return subprocess.Popen(
        command, cwd=project, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def is_gone(pid):
    """Tell whether a process has ended (a zombie that nobody waits for counts)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
