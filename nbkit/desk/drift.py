"""What the monitor has seen: windows by columns, then and now of one column, and what a decision rested on."""

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from nbkit.desk.face import Face, guard, tell
from nbkit.desk.parts import label, make_page, tabulate
from nbkit.errors import NbkitError
from nbkit.lifecycle import MONITOR
from nbkit.plots import draw_panels
from nbkit.record import iterate_runs
from nbkit.registry import Registry
from nbkit.scraps import read_value
from nbkit.tables import DASH
from nbkit.wording import format_share

LEVELS = ("ok", "not judged", "watch", "drift")  # the worst last
SIGNS = {"ok": "·", "not judged": "?", "watch": "○", "drift": "●"}
INKS = {"watch": "var(--jp-warn-color0, currentColor)", "drift": "var(--jp-error-color0, currentColor)"}
NAMES = ("drift", "shares", "reasons", "decision")
STRONGEST = 30
NONE = "No window of {} has been looked at yet: `nbkit monitor params/NAME.yaml --all` does."
UNREADABLE = (NbkitError, OSError, ValueError, KeyError)

Window = Mapping[str, Any]


class DriftExplorer(Face):
    """The windows that the monitor has looked at.

    Parameters
    ----------
    root
        The project.
    name
        What the model is called in the registry.
    now
        Windows that no run holds yet: name to drift, shares, reasons and decision, as 11 hands them over.
    earlier
        Whether to look at the windows of other runs, too.
    weights
        Columns `feature` and `share` (of all movement); without, those of the version that was watched last.
    """

    def __init__(
        self, root: Path, name: str, *, now: Mapping[str, Window] | None = None, earlier: bool = True,
        weights: pd.DataFrame | None = None,
    ) -> None:  # fmt: skip
        self.name, found = name, read_windows(root, name) if earlier else {}
        if weights is None and found:
            weights = _read_weights(root, next(iter(found.values())))
        self.windows = dict(sorted({**found, **(now or {})}.items()))
        known = pd.DataFrame(columns=["feature", "share"]) if weights is None else weights
        self.shares = dict(zip(known["feature"], known["share"], strict=True))

    def lay_out(self) -> pd.DataFrame:
        """Return the worst level of each column in each window: columns down, the most influential first."""
        place = {level: rank for rank, level in enumerate(LEVELS)}
        found = {window: seen["drift"] for window, seen in self.windows.items()}
        parts = {window: drift["level"].map(place).groupby(drift["column"]).max() for window, drift in found.items()}
        table = pd.DataFrame(parts)
        order = sorted(table.index, key=lambda name: (-self.shares.get(name, 0.0), str(name)))
        named: pd.DataFrame = table.loc[order].apply(lambda ranks: ranks.map(dict(enumerate(LEVELS))))
        return named

    def say(self, window: str, column: str) -> str:
        """Say what was found in a column, and how much the model depends on it."""
        drift, share = self.windows[window]["drift"], self.shares.get(column)
        own = drift[drift["column"] == column]
        details = [f" ({each})" if each else "" for each in own["detail"]]
        rows = zip(own["test"], own["value"], own["level"], details, strict=True)
        found = [f"{test} {value:.3g}, {level}{detail}" for test, value, level, detail in rows]
        depends = "its influence is not known"
        if share is not None:
            depends = f"it makes {format_share(share)} of all movement of predictions"
        return f"{column} in {window}: {'; '.join(found) or 'not looked at'}; {depends}."

    def draw(self, window: str, column: str) -> Any:
        """Return the twin histograms of a column, or None where the run has not kept them."""
        shares = self.windows[window]["shares"]
        own = shares[shares["column"] == column]
        title = f"{column}: reference and {window}"
        return draw_panels(own, "column", "bin", "share", title, by="when", unit="share of rows") if len(own) else None

    def html(self) -> str:
        """Return windows by columns, and what each decision rested on."""
        if not self.windows:
            return tell(NONE.format(self.name))
        return self._draw_grid() + "".join(map(self._tell_reasons, self.windows))

    def _draw_grid(self) -> str:
        table = self.lay_out()
        shown = table.head(STRONGEST).replace({level: f"{sign} {level}" for level, sign in SIGNS.items()})
        shares = [format_share(self.shares[name]) if name in self.shares else DASH for name in shown.index]
        shown.insert(0, "influence", shares)
        more = f" Shown are {STRONGEST} of {len(table)} columns, by influence." if len(table) > STRONGEST else ""
        said = "; ".join(f"{window} {seen['decision']}" for window, seen in self.windows.items())
        text = tabulate(shown.rename_axis("column"), f"{self.name}: {said}.{more}")
        for level, ink in INKS.items():
            text = text.replace(f"<td>{SIGNS[level]}", f'<td style="color: {ink}">{SIGNS[level]}')
        return text

    def _tell_reasons(self, window: str) -> str:
        seen = self.windows[window]
        said = f"{window}: {seen['decision']}" + (", because:" if len(seen["reasons"]) else "; nothing was found.")
        return tabulate(seen["reasons"], said) if len(seen["reasons"]) else tell(said)

    def build(self) -> Any:
        """Return windows by columns, and a choice of one of each."""
        import ipywidgets

        if not self.windows:
            return ipywidgets.HTML(tell(NONE.format(self.name)))
        table = self.lay_out()
        window = label("Dropdown", "Window", options=list(table.columns))
        column = label("Dropdown", "Column", options=[str(each) for each in table.index])
        grid, shown = make_page("18em"), make_page("30em")
        grid.value = self._draw_grid()

        def show(*_: Any) -> None:
            picture = self.draw(window.value, column.value)
            drawn = tell("No histogram was kept of this column: 11 keeps those of the columns that may be shown.")
            if picture:
                drawn = f'<figure role="img" aria-label="{html.escape(picture.alt)}">{picture.svg}</figure>'
            shown.value = tell(self.say(window.value, column.value)) + drawn + self._tell_reasons(window.value)

        for each in (window, column):
            each.observe(guard(shown, show), "value")
        guard(shown, show)()
        return ipywidgets.VBox([grid, window, column, shown])


def read_windows(root: Path, name: str) -> dict[str, dict[str, Any]]:
    """Read what the monitor has found of a model: window to the latest look at it; what cannot be read is left out."""
    found: dict[str, dict[str, Any]] = {}
    for folder, record in iterate_runs(root):  # newest first
        if record.is_look and record.parameters.get(MONITOR, {}).get("name") == name:
            try:
                window = str(read_value(folder, MONITOR, "window")) or "the first"
                seen = {each: read_value(folder, MONITOR, each) for each in (*NAMES, "version")}
            except UNREADABLE:
                continue
            found.setdefault(window, seen | {"registry": record.parameters[MONITOR].get("registry", "registry")})
    return found


def _read_weights(root: Path, seen: Window) -> pd.DataFrame | None:
    place = str(seen["registry"])
    try:
        bundle = Registry(place if "://" in place else str(root / place)).load(seen["version"], "importance")
    except UNREADABLE:
        return None
    return bundle if isinstance(bundle, pd.DataFrame) else None
