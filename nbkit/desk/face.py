"""What all widgets of the desk have: a static twin, a guard that shows errors, and a view only where somebody sits."""

import html
import importlib.util
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from nbkit.errors import NbkitError, ServiceFailed

SOMEBODY = ("JPY_SESSION_NAME", "VSCODE_PID")  # what JupyterLab and VS Code give the kernels that they start


class Face:
    """A widget over functions that exist without it.

    A subclass says what is true now as HTML (`html`), which is all that a batch run shows and what an exported page
    keeps, and builds the widget (`build`) on the first look at it.
    """

    def __init__(self) -> None:
        self._widget: Any = None

    def html(self) -> str:
        """Return the static twin: a fragment of HTML without scripts, true at this moment."""
        raise NotImplementedError

    def build(self) -> Any:
        """Return the widget, of ipywidgets alone."""
        raise NotImplementedError

    @property
    def widget(self) -> Any:
        """The widget, built once."""
        if importlib.util.find_spec("ipywidgets") is None:
            raise ServiceFailed("widgets need ipywidgets: pip install 'nbkit[desk]'")
        if self._widget is None:
            self._widget = self.build()
        return self._widget

    def read_twin(self) -> str:
        """Return the static twin, or what is wrong."""
        place = SimpleNamespace(value="")
        guard(place, lambda: setattr(place, "value", self.html()))()
        return str(place.value)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/html": self.read_twin(), "text/plain": type(self).__name__}
        if any(os.environ.get(name) for name in SOMEBODY):
            place = SimpleNamespace(value=bundle["text/html"])  # or what keeps it from being built
            guard(place, lambda: bundle.update(self.widget._repr_mimebundle_()))()
            bundle["text/html"] = place.value
        return bundle


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
        try:
            said = work(*arguments)
        except NbkitError as error:
            place.value = tell(str(error), bad=True)
        except Exception as error:
            place.value = tell(f"{type(error).__name__}: {error}", bad=True)
        else:
            place.value = tell(said) if isinstance(said, str) else place.value

    return run


def tell(words: str, *, bad: bool = False) -> str:
    """Return a sentence as HTML that a screen reader says when it changes.

    Examples
    --------
    >>> tell("3 < 4")
    '<p role="status">3 &lt; 4</p>'
    """
    role = "alert" if bad else "status"
    return f'<p role="{role}">{"✕ " if bad else ""}{html.escape(words)}</p>'
