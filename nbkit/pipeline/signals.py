"""Interruptions: SIGTERM and SIGHUP are caught as Ctrl-C is, and all of them wait for what must not be torn."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM")
CAUGHT = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))  # Windows has but the first two
WAIT = 0.01  # seconds until an interruption that came at a bad moment tries again
TORN = "_adjust_thread_count"  # an executor that is left there has a thread that Python waits for when it ends

_late: list[int] = []
_usual = 0  # imports that all of the program runs in


class Terminated(KeyboardInterrupt):
    """The process was told to end (SIGTERM, SIGHUP)."""


def name_kind(interruption: KeyboardInterrupt) -> str:
    """Return what a manifest calls it.

    Examples
    --------
    >>> name_kind(KeyboardInterrupt()), name_kind(Terminated())
    ('interrupted', 'terminated')
    """
    return "terminated" if isinstance(interruption, Terminated) else "interrupted"


@contextlib.contextmanager
def catch_signals() -> Iterator[None]:
    """Raise `KeyboardInterrupt` or `Terminated` where SIGINT, SIGTERM or SIGHUP arrives, but not in an import.

    An import that is left in its midst may keep the lock of all imports, and whoever imports in a thread then waits for
    ever. What ``nohup`` ignores stays ignored, and another handler of Ctrl-C stays as well.
    """
    global _usual
    before, usual = {}, _usual
    with contextlib.suppress(ValueError):  # not in the main thread: whoever runs us there handles signals
        for which in CAUGHT:
            found = signal.getsignal(which)
            if found != signal.SIG_IGN and (
                which != signal.SIGINT or found in (signal.default_int_handler, _interrupt)
            ):
                before[which] = signal.signal(which, _interrupt)
        _usual = _count_torn(sys._getframe())
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
        _usual = usual
        if _late:
            signal.setitimer(signal.ITIMER_REAL, 0)
            number = _late[0]
            _late.clear()
            signal.raise_signal(number)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise, or try again a moment later (by SIGALRM)."""
    alarm = getattr(signal, "SIGALRM", None)
    if number != alarm:
        _late.append(number)
    if alarm and _count_torn(frame) > _usual:
        signal.setitimer(signal.ITIMER_REAL, WAIT)
        return
    if _late:
        number = _late[0]
        _late.clear()
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated(signal.Signals(number).name)


def _count_torn(frame: FrameType | None) -> int:
    """Count the calls that an exception must not come out of by surprise."""
    count = 0
    while frame:
        count += frame.f_code.co_filename.startswith("<frozen importlib") or frame.f_code.co_name == TORN
        frame = frame.f_back
    return count


@contextlib.contextmanager
def hold_signals() -> Iterator[None]:
    """Let an interruption wait for the end of the block."""
    arrived: list[int] = []
    before = {}
    with contextlib.suppress(ValueError):  # not in the main thread
        for which in CAUGHT:
            if callable(signal.getsignal(which)):
                before[which] = signal.signal(which, lambda number, frame: arrived.append(number))
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
        if arrived:
            signal.raise_signal(arrived[0])
