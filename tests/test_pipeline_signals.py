"""Interruptions that wait for what must not be torn."""

import signal
import threading

import pytest

from nbkit.pipeline.signals import Terminated, catch_signals, hold_signals


@pytest.mark.parametrize(("which", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_an_interruption_waits_for_the_end_of_the_block(which, error):
    done = []
    with pytest.raises(error), catch_signals():  # noqa: PT012
        with hold_signals():
            signal.raise_signal(which)
            signal.raise_signal(which)
            done.append(1)
        done.append(2)
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_ignored_stays_ignored_and_other_threads_hold_nothing():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with hold_signals():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    failed = []

    def hold():
        try:
            with hold_signals():
                pass
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert failed == []
