"""The end of an error message that tells what may have been meant."""

import difflib
from collections.abc import Iterable
from typing import Any


def suggest(name: Any, known: Iterable[Any], *, most: int = 20) -> str:
    """Say which known name is nearest, or which there are.

    Parameters
    ----------
    name
        The unknown name.
    known
        The names there are.
    most
        How many of them to list where none is near.

    Examples
    --------
    >>> suggest("carier", ["carrier", "origin"]), suggest("x", ["carrier"]), suggest("x", [])
    ("; did you mean 'carrier'?", '; there are carrier', '')
    """
    names = [str(one) for one in known]
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there are {', '.join(names[:most])}{', …' if len(names) > most else ''}" if names and most else ""
