"""What all widgets of the desk have: a static twin, a guard that shows errors, and a view only where somebody sits."""

import html
import importlib.util
import os
from collections.abc import Callable
from functools import cached_property
from typing import Any

from nbkit.errors import NbkitError, ServiceFailed

SOMEBODY = ("JPY_SESSION_NAME", "VSCODE_PID")  # what JupyterLab and VS Code give the kernels that they start


class Face:
    """A widget over functions that exist without it.

    A subclass says what is true now as HTML (`html`), which is all that a batch run shows and what an exported page
    keeps, and builds the widget (`build`) on the first look at it.
    """

    def html(self) -> str:
        """Return the static twin: a fragment of HTML without scripts, true at this moment."""
        raise NotImplementedError

    def build(self) -> Any:
        """Return the widget, of ipywidgets alone."""
        raise NotImplementedError

    @cached_property
    def widget(self) -> Any:
        """The widget, built once."""
        if importlib.util.find_spec("ipywidgets") is None:
            raise ServiceFailed("widgets need ipywidgets: pip install 'nbkit[desk]'")
        return self.build()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/html": attempt(self.html), "text/plain": type(self).__name__}
        if any(os.environ.get(name) for name in SOMEBODY):
            try:
                bundle |= self.widget._repr_mimebundle_()
            except Exception as error:
                bundle["text/html"] = _tell_error(error)
        return bundle


def attempt(work: Callable[[], str]) -> str:
    """Return the HTML that a function makes, or what goes wrong."""
    try:
        return work()
    except Exception as error:
        return _tell_error(error)


def guard(place: Any, work: Callable[..., Any]) -> Callable[..., None]:
    """Return a callback that shows what goes wrong in a widget, as the command line would say it, and loses nothing.

    Parameters
    ----------
    place
        An `ipywidgets.HTML` for the sentence.
    work
        What is to be done; what it returns, if a text, is shown.
    """

    def run(*arguments: Any) -> None:
        def say() -> str:
            said = work(*arguments)
            return tell(said) if isinstance(said, str) else str(place.value)

        place.value = attempt(say)

    return run


def _tell_error(error: Exception) -> str:
    return tell(str(error) if isinstance(error, NbkitError) else f"{type(error).__name__}: {error}", bad=True)


def tell(words: str, *, bad: bool = False) -> str:
    r"""Return a sentence as HTML that a screen reader says when it changes, each of its lines on a line.

    Examples
    --------
    >>> tell("3 < 4")
    '<p role="status">3 &lt; 4</p>'
    >>> tell("two things:\none;")
    '<p role="status">two things:<br>one;</p>'
    """
    role = "alert" if bad else "status"
    return f'<p role="{role}">{"✕ " if bad else ""}{html.escape(words).replace(chr(10), "<br>")}</p>'
