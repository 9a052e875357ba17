"""A Dask cluster as a pool: one task a point, in a process of its own on the worker that takes it."""

import asyncio
import contextlib
import logging
import signal
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from nbkit.errors import BadParameter, NoCluster
from nbkit.sweep.plan import Sweep
from nbkit.sweep.pool import Answer, run_point

PATIENCE = 5  # seconds for a scheduler to answer


class ClusterPool:
    """The workers of a Dask cluster; a point whose worker is lost goes to another."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def submit(self, sweep: Sweep, number: int) -> Any:
        """Work on a point as soon as a worker is free."""
        key = f"nbkit-{sweep.name_point(number)}-{uuid.uuid4().hex[:8]}"
        return self.client.submit(run_there, sweep, number, key, key=key, pure=False)

    def cancel(self, futures: Sequence[Any]) -> None:
        """Interrupt the points at work, and begin none of the others."""
        self.client.cancel(list(futures), force=True)


@contextlib.contextmanager
def open_cluster(where: str, workers: int) -> Iterator[ClusterPool]:
    """Open the workers of a Dask cluster as a pool.

    Parameters
    ----------
    where
        ``local`` (made here, and ended afterwards), or the address of a scheduler such as ``tcp://host:8786``.
    workers
        How many processes a local cluster has.

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
    if where != "local" and "://" not in where:
        raise BadParameter(f"--cluster {where}: write local or tcp://HOST:PORT")
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is said by the answers
    with _start_local(workers) if where == "local" else contextlib.nullcontext(where) as cluster:
        if cluster is where:
            _greet(where)
        with distributed.Client(cluster, timeout=PATIENCE) as client:
            yield ClusterPool(client)


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


def _start_local(workers: int) -> Any:
    from distributed import LocalCluster

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: Ctrl-C is for us, not for the workers
    try:
        options = {"threads_per_worker": 1, "processes": True, "dashboard_address": None}
        return LocalCluster(n_workers=workers, silence_logs=logging.CRITICAL, **options)
    finally:
        signal.signal(signal.SIGINT, before)


def run_there(sweep: Sweep, number: int, key: str) -> Answer:
    """Run a point on the worker that this is called on, until its task is cancelled or its client gone."""
    from distributed import get_worker

    tasks = get_worker().state.tasks
    return run_point(sweep, number, lambda: key not in tasks or tasks[key].state == "cancelled")
