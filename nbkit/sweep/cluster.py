"""A Dask cluster as an executor: one task a point, in a process of its own on the worker that takes it."""

import asyncio
import contextlib
import importlib
import logging
import signal
import sys
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nbkit.errors import BadParameter, NoCluster
from nbkit.pipeline.manifest import is_held
from nbkit.sweep.executors import GRACE, STEP, TRIES, Child, Executor, say_killed
from nbkit.sweep.work import Answer, Task

PATIENCE = 5  # seconds for a scheduler to answer


@contextlib.contextmanager
def lend_cluster(where: str, workers: int, root: Path) -> Iterator[Executor]:
    """Lend the workers of a Dask cluster.

    Parameters
    ----------
    where
        ``local`` (made here, and ended afterwards), the address of a scheduler such as ``tcp://host:8786``, or
        ``module:callable`` that returns a Dask cluster or client.
    workers
        How many processes a local cluster has.
    root
        The project, whose modules a callable may be in.

    Raises
    ------
    NoCluster
        If no scheduler answers.
    BadParameter
        If `where` is none of these, or Dask is not installed.
    """
    try:
        import distributed
    except ImportError:
        raise BadParameter("--cluster needs Dask: pip install 'nbkit[dask]'") from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is said by the answers
    with contextlib.ExitStack() as stack:
        if where == "local":
            found: Any = stack.enter_context(_start_local(workers))
        elif "://" in where:
            _greet(where)
            found = where
        else:
            found = _call(where, root)
            stack.callback(found.close)
        if not isinstance(found, distributed.Client):
            found = stack.enter_context(_connect(found, where))
        yield partial(run_cluster, client=found)


@contextlib.contextmanager
def _start_local(workers: int) -> Iterator[Any]:
    from distributed import LocalCluster

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: Ctrl-C is for us, not for the workers
    try:
        cluster = LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None)
    finally:
        signal.signal(signal.SIGINT, before)
    with cluster:
        yield cluster


def _greet(address: str) -> None:
    """Shake hands with a scheduler; a client alone waits for minutes where something answers that is none."""
    from distributed import Security
    from distributed.comm.core import connect

    async def greet() -> None:
        async with asyncio.timeout(PATIENCE + 1):  # the handshake has no time-out of its own
            comm = await connect(address, timeout=PATIENCE, **Security().get_connection_args("client"))
            await comm.close()

    try:
        asyncio.run(greet())
    except Exception as error:  # what answers may say anything
        why = str(error) or type(error).__name__
        raise NoCluster(f"no Dask scheduler answers at {address} within {PATIENCE} s: {why}") from None


def _connect(found: Any, where: str) -> Any:
    from distributed import Client

    try:
        return Client(found, timeout=PATIENCE)
    except Exception as error:  # what answers may be no scheduler, and say anything
        why = str(error) or type(error).__name__
        raise NoCluster(f"no Dask scheduler answers at {where} within {PATIENCE} s: {why}") from None


def _call(where: str, root: Path) -> Any:
    module, colon, name = where.partition(":")
    if not (colon and module and name):
        raise BadParameter(f"--cluster {where}: write local, tcp://HOST:PORT or MODULE:CALLABLE")
    sys.path.insert(1, str(root))
    try:
        found = getattr(importlib.import_module(module), name)()
    except Exception as error:  # whatever a user's function may raise
        raise BadParameter(f"--cluster {where}: {type(error).__name__}: {error}") from error
    if not hasattr(found, "close"):
        raise BadParameter(f"--cluster {where}: it returns {type(found).__name__}, and no Dask cluster or client")
    return found


def run_cluster(tasks: Sequence[Task], on_step: Callable[[], None], *, client: Any) -> Generator[Answer]:
    """Do tasks on the workers of a cluster; one whose worker is lost goes to another.

    Yields
    ------
    dict
        As `nbkit.sweep.executors.run_local`.
    """
    mark = uuid.uuid4().hex[:8]
    keys = {f"nbkit-{task['name']}-{mark}": task for task in tasks}
    left = {client.submit(do_task, task, key, key=key, pure=False): task for key, task in keys.items()}
    try:
        while left:
            on_step()
            time.sleep(STEP)
            for future in [each for each in left if each.done()]:
                answer = _read_answer(future, left.pop(future))
                future.release()
                yield answer
    finally:
        if left:
            client.cancel(list(left), force=True)
            _wait_until_free(list(left.values()))


def _read_answer(future: Any, task: Task) -> Answer:
    from distributed import KilledWorker

    try:
        answer: Answer = future.result()
        return answer
    except KilledWorker:
        return say_killed(task)
    except Exception as error:  # whatever a cluster may say: no nbkit there, the scheduler is gone
        return {"name": task["name"], "exit": 1, "error": f"the cluster gave it up: {type(error).__name__}: {error}"}


def _wait_until_free(tasks: list[Task]) -> None:
    """Wait for interrupted points to write down how far they came."""
    folders = [Path(task["root"]) / "runs" / task["name"] for task in tasks]
    until = time.monotonic() + GRACE
    while any(is_held(folder) for folder in folders) and time.monotonic() < until:
        time.sleep(STEP)


def do_task(task: Task, key: str) -> Answer:
    """Do one task in a process of this worker, and end it if nobody wants its answer any more.

    Parameters
    ----------
    task
        The point.
    key
        By which the cluster knows the task.

    Returns
    -------
    dict
        As `nbkit.sweep.work.run_point`.
    """
    for _ in range(TRIES):
        child = Child(task)
        try:
            while child.process.poll() is None:
                time.sleep(STEP)
                if _is_unwanted(key):
                    return {"name": task["name"], "exit": 130}
            if answer := child.read_answer():
                return answer
        finally:
            if child.process.poll() is None:
                child.interrupt()
                child.end()
    return say_killed(task)


def _is_unwanted(key: str) -> bool:
    """Tell whether a task was cancelled, as it is also when the sweep's own process is gone."""
    from distributed import get_worker

    state = get_worker().state.tasks.get(key)
    return state is None or state.state == "cancelled"
