"""Micro-batching: requests that wait are answered by one call, since one row costs about as much as a thousand."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nbkit.errors import ServiceFailed

Waiting = tuple[Any, "asyncio.Future[Any]"]


class Batcher:
    """Collects waiting requests into one call; a lone request waits for nobody.

    Parameters
    ----------
    answer
        Several requests to as many answers, called in one worker thread.
    size
        Rows of a request.
    max_rows
        Rows per call, at most (a single request may hold more).
    max_waiting
        Requests in the queue; beyond that `ServiceFailed` is raised at once.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Any]], Sequence[Any]],
        size: Callable[[Any], int] = len,
        *,
        max_rows: int = 1_000,
        max_waiting: int = 256,
    ) -> None:
        self.answer, self.size, self.max_rows = answer, size, max_rows
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue(max_waiting)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")
        self._task: asyncio.Task[None] | None = None

    async def ask(self, request: Any) -> Any:
        """Answer a request, together with whatever else is waiting.

        Raises
        ------
        ServiceFailed
            Too many requests are waiting.
        """
        self._task = self._task or asyncio.create_task(self._work())
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((request, future))
        except asyncio.QueueFull:
            raise ServiceFailed(f"{self._queue.maxsize} requests are waiting already; try again later") from None
        return await future

    async def close(self) -> None:
        """Stop the worker; nothing waits any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown(wait=False)

    async def _work(self) -> None:
        while True:
            waiting = [await self._queue.get()]
            count = self.size(waiting[0][0])
            while count < self.max_rows and not self._queue.empty():
                waiting.append(self._queue.get_nowait())
                count += self.size(waiting[-1][0])
            failed = await self._answer(waiting)
            if failed and len(waiting) == 1:
                _settle(waiting[0], failed)
            elif failed:  # one bad request must not spoil the others
                for one in waiting:
                    error = await self._answer([one])
                    if error:
                        _settle(one, error)

    def _call(self, requests: Sequence[Any]) -> Sequence[Any]:
        try:
            return self.answer(requests)
        except (SystemExit, KeyboardInterrupt, StopIteration) as error:  # would end the worker, not the request
            raise RuntimeError(f"{type(error).__name__}: {error}") from error

    async def _answer(self, waiting: list[Waiting]) -> Exception | None:
        requests = [request for request, _ in waiting]
        try:
            answers = await asyncio.get_running_loop().run_in_executor(self._thread, self._call, requests)
            pairs = list(zip(waiting, answers, strict=True))
        except Exception as error:  # whatever it is, whoever waits must be told
            return error
        for one, answer in pairs:
            _settle(one, answer)
        return None


def _settle(waiting: Waiting, answer: Any) -> None:
    future = waiting[1]
    if future.done():  # the client hung up
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
