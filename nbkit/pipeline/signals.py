"""Interruptions: SIGTERM and SIGHUP are caught as Ctrl-C is, and all of them wait for what must not be torn."""

import contextlib
import signal
from collections.abc import Iterator
from typing import Any


class Terminated(KeyboardInterrupt):
    """The process was told to end (SIGTERM, SIGHUP)."""


@contextlib.contextmanager
def catch_signals() -> Iterator[None]:
    """Raise `Terminated` where SIGTERM or SIGHUP arrives; what ``nohup`` ignores stays ignored."""

    def terminate(number: int, frame: Any) -> None:
        raise Terminated(signal.Signals(number).name)

    before = {}
    with contextlib.suppress(ValueError):  # not in the main thread: whoever runs us there handles signals
        for which in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(which) != signal.SIG_IGN:
                before[which] = signal.signal(which, terminate)
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)


@contextlib.contextmanager
def hold_signals() -> Iterator[None]:
    """Let an interruption wait for the end of the block, such as an import whose lock a thread may be waiting for."""
    arrived: list[int] = []
    before = {}
    with contextlib.suppress(ValueError):  # not in the main thread
        for which in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if callable(signal.getsignal(which)):
                before[which] = signal.signal(which, lambda number, frame: arrived.append(number))
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
        if arrived:
            signal.raise_signal(arrived[0])
