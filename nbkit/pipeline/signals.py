"""SIGTERM and SIGHUP as an interruption that can be caught, as Ctrl-C is."""

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
