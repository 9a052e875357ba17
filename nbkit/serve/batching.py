"""Micro-batching: requests that wait are answered by one call, since one row costs about as much as a thousand."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd

from nbkit.errors import ServiceFailed

Answer = Callable[[pd.DataFrame], pd.DataFrame]


class Batcher:
    """Collects waiting requests into one call; a lone request waits for nobody.

    Parameters
    ----------
    answer
        Rows to answers, called in one worker thread.
    max_rows
        Rows per call, at most (a single request may hold more).
    max_waiting
        Requests in the queue; beyond that `ServiceFailed` is raised at once.
    seen
        Told the rows of each call.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        max_rows: int = 1_000,
        max_waiting: int = 256,
        seen: Callable[[int], Any] = lambda _: None,
    ) -> None:
        self.answer, self.max_rows, self.seen = answer, max_rows, seen
        self._queue: asyncio.Queue[tuple[pd.DataFrame, asyncio.Future[pd.DataFrame]]] = asyncio.Queue(max_waiting)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")
        self._task: asyncio.Task[None] | None = None

    async def ask(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Answer rows, together with whatever else is waiting.

        Raises
        ------
        ServiceFailed
            Too many requests are waiting.
        """
        self._task = self._task or asyncio.create_task(self._work())
        future: asyncio.Future[pd.DataFrame] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((rows, future))
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
            count = len(waiting[0][0])
            while count < self.max_rows and not self._queue.empty():
                waiting.append(self._queue.get_nowait())
                count += len(waiting[-1][0])
            self.seen(count)
            if not await self._answer(waiting):
                for one in waiting:  # one bad request must not spoil the others
                    await self._answer([one], last=True)

    async def _answer(
        self, waiting: list[tuple[pd.DataFrame, asyncio.Future[pd.DataFrame]]], *, last: bool = False
    ) -> bool:
        tables = [rows for rows, _ in waiting]
        together = tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)
        try:
            answers = await asyncio.get_running_loop().run_in_executor(self._thread, self.answer, together)
        except Exception as error:
            if last or len(waiting) == 1:
                for _, future in waiting:
                    if not future.done():
                        future.set_exception(error)
                return True
            return False
        start = 0
        for rows, future in waiting:
            if not future.done():  # a client that hung up
                future.set_result(answers.iloc[start : start + len(rows)])
            start += len(rows)
        return True
