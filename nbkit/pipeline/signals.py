"""Interruptions: Ctrl-C, SIGTERM and SIGHUP ask a run to stop; only the second of them breaks in."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

KINDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "terminated"}


@contextlib.contextmanager
def hear_signals(stop: Callable[[str], None]) -> Iterator[None]:
    """Call `stop` with ``"interrupted"`` or ``"terminated"`` at a signal, and raise `KeyboardInterrupt` at the next.

    What ``nohup`` ignores stays ignored, and another handler stays as well. Outside of the main thread nothing is
    heard: whoever runs us there handles signals.

    Parameters
    ----------
    stop
        Called in the midst of whatever the main thread does: it may only take note.
    """
    heard: list[int] = []
    before = {}

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        if len(heard) > 1:
            raise KeyboardInterrupt
        stop(KINDS[signal.Signals(number).name])

    with contextlib.suppress(ValueError):  # not in the main thread
        for name in KINDS:
            which = getattr(signal, name, None)  # Windows has no SIGHUP
            usual = (signal.SIG_DFL, signal.default_int_handler)
            if which is not None and signal.getsignal(which) in usual:
                before[which] = signal.signal(which, hear)
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
