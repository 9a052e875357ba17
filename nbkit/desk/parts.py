"""Parts that widgets of the desk share: fields, pages, tables, and work that waits until a hand is still."""

import asyncio
import html
import re
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from nbkit.desk.face import tell
from nbkit.model.predictions import Predictions
from nbkit.model.train import draw_rows
from nbkit.tables import format_table

LONG = re.compile(r"(\S{48})\S{2,}")
STILL = 0.25  # seconds for which nothing was moved, after which slow work begins
MOST = 100_000  # rows that a widget looks at
STYLED = ("jp-RenderedHTMLCommon", "jp-OutputArea-output")  # as JupyterLab shows tables, in each theme


class Later:
    """Slow work that begins when nothing has been moved for a moment; at once where no loop runs.

    Parameters
    ----------
    work
        What is to be done.
    place
        An `ipywidgets.HTML` that says "working…" until then.
    """

    def __init__(self, work: Callable[..., Any], place: Any) -> None:
        self.work, self.place = work, place
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, *_: Any) -> None:
        """Begin, or begin anew to wait."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.work()
            return
        if self._timer:
            self._timer.cancel()
        self.place.value = tell("working…")
        self._timer = loop.call_later(STILL, self.work)


def label(kind: str, description: str, **more: Any) -> Any:
    """Return a widget with its label before it, in line with the others."""
    import ipywidgets

    width = {"style": {"description_width": "9rem"}, "layout": {"width": "min(34rem, 100% - 4px)", "flex": "0 0 auto"}}
    return getattr(ipywidgets, kind)(description=description, **width, **more)


def make_page(height: str) -> Any:
    """Return a place for HTML of fixed height, so that nothing below it jumps, which scrolls also by keyboard."""
    import ipywidgets

    layout = {"height": height, "overflow": "auto", "width": "auto", "flex": "0 0 auto", "display": "block"}
    return ipywidgets.HTML(layout=layout, tabbable=True, _dom_classes=STYLED)


def tabulate(table: pd.DataFrame, caption: str = "") -> str:
    """Return a table as HTML, below a sentence; a long word, such as a column's name, is cut.

    Examples
    --------
    >>> tabulate(pd.DataFrame({"a": [1]}), "One < two.")[:22]
    '<p>One &lt; two.</p><t'
    """

    def cut(value: Any) -> Any:
        return LONG.sub(r"\1…", value) if isinstance(value, str) else value

    shown = table.map(cut).rename(index=cut, columns=cut)
    return (f"<p>{html.escape(caption)}</p>" if caption else "") + format_table(shown)


def write_list(words: Iterable[object]) -> str:
    """Write sentences as a list.

    Examples
    --------
    >>> write_list(["a", "b"])
    '<ul><li>a</li><li>b</li></ul>'
    """
    return "<ul>" + "".join(f"<li>{html.escape(str(each))}</li>" for each in words) + "</ul>"


def thin(predictions: Predictions, most: int = MOST) -> tuple[Predictions, str]:
    """Return predictions of so many rows at most, drawn at random, and a sentence if some were left out."""
    if len(predictions) <= most:
        return predictions, ""
    places = draw_rows(pd.Series(range(len(predictions))), most, predictions.problem.seed).to_numpy()
    return predictions.take(places), f"Shown is a sample of {most:,} of {len(predictions):,} rows."
