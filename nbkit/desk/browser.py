"""The registry at the desk: versions with all that speaks for and against them, and the moves that a person decides."""

import html
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pandas as pd

from nbkit.desk.face import Face, guard, tell
from nbkit.desk.parts import label, make_page, tabulate, write_list
from nbkit.errors import BadParameter, NbkitError
from nbkit.project import find_root
from nbkit.registry.events import describe_moves
from nbkit.report import find_source, read_lineage
from nbkit.report.moves import find_production, promote, reject, roll_back
from nbkit.report.scraps import read_front
from nbkit.wording import describe, format_count, format_estimate

HEADS = ["version", "state", "aliases", "registered", "approved by"]
GATES = ["gate", "is", "blocks", "because"]
MOVES: dict[str, Callable[..., str]] = {"Promote": promote, "Roll back": roll_back, "Reject": reject}
ENDS = ["value", "low", "high"]
SCORES = ["score", "this version", "in production"]


class Browser(Face):
    """Shows the versions of a registry, and promotes, rolls back and rejects as the command line does.

    Parameters
    ----------
    root
        The project, or anything below it.
    registry
        A folder, as seen from the project, or a URL.

    Attributes
    ----------
    place
        Where the registry is.

    Examples
    --------
    In a notebook::

        nbkit.desk.Browser("..")
    """

    def __init__(self, root: str | os.PathLike[str] = ".", registry: str = "registry") -> None:
        self.root = find_root(root)
        self.place = registry if "://" in registry else str(self.root / registry)
        self._asked: Callable[[], str] | None = None

    def open(self) -> Any:
        """Open the registry.

        Raises
        ------
        UnknownVersion, CorruptArtifact
            If there is none, or it cannot be read.
        """
        from nbkit.registry import Registry

        return Registry(self.place, create=False)

    def list(self) -> list[dict[str, Any]]:
        """List the versions, newest first: version, state, aliases, registered, approved by."""
        registry, rows = self.open(), []
        moves = [event for event in registry.history().to_dict("records") if event["event"] == "promote"]
        approved = {(event["name"], event["number"]): event["by"] for event in moves}
        for row in registry.list().sort_values("created", ascending=False, kind="stable").to_dict("records"):
            by = approved.get((row["name"], row["number"]), "nobody")
            facts = (f"{row['name']}@{row['number']}", row["state"], row["aliases"], row["created"][:10], by)
            rows.append(dict(zip(HEADS, facts, strict=True)))
        return rows

    def html(self) -> str:
        """Return the versions as a table, and the newest in full."""
        try:
            rows = self.list()
            newest = self.describe(rows[0]["version"]) if rows else ""
        except (NbkitError, OSError) as error:
            return tell(str(error), bad=True)
        caption = f"Registry: {format_count(len(rows), 'version')}"
        return tabulate(pd.DataFrame(rows, columns=HEADS), caption) + newest

    def describe(self, reference: str) -> str:
        """Return all that is known of a version, as HTML: verdict, approvals, gates, scores, lineage.

        Parameters
        ----------
        reference
            ``NAME@VERSION``.
        """
        registry = self.open()
        version = registry.get(reference)
        history = registry.history(version.name).to_dict("records")
        moves, rejected = describe_moves(version.reference, history)
        facts = [f"{version.state}, aliases {', '.join(version.aliases) or 'none'}, digest {version.digest[:12]}"]
        facts.append(f"registered {version.created[:10]} by {version.by}, run {version.lineage.get('run')}")
        facts += moves or [rejected or "nobody has approved it for production"]
        try:
            folder = find_source(self.root, version)
            facts.insert(0, f"verdict {read_front(folder).get('verdict', 'not known: it has no report')}")
            lineage = [f"{step.title}: {step.said}" for step in read_lineage(folder) if step.said]
        except (NbkitError, OSError) as error:
            lineage = [str(error)]
        gates = version.gates.assign(passed=version.gates["passed"].map({True: "open"}).fillna("closed"))
        gates["blocking"] = gates["blocking"].map({True: "yes"}).fillna("no")
        parts = [f"<h4>{html.escape(version.reference)}</h4>", write_list(facts)]
        gates = gates[["gate", "passed", "blocking", "detail"]].set_axis(GATES, axis="columns")
        parts.append(tabulate(gates, "Gates"))
        parts.append(tabulate(pd.DataFrame(self._compare(registry, version), columns=SCORES), "Scores"))
        return "".join([*parts, "<p>Lineage</p>", write_list(lineage)])

    def _compare(self, registry: Any, version: Any) -> Iterator[tuple[str, str, str]]:
        """Yield the scores of a version beside those of the one in production."""
        other = find_production(registry, version.name)
        for metric, row in version.scores.iterrows():
            there = "nothing is in production" if other is None else f"not measured ({other.reference})"
            if other is not None and metric in other.scores.index:
                there = f"{format_estimate(*other.scores.loc[metric, ENDS])} ({other.reference})"
            yield describe(str(metric)), format_estimate(*row[ENDS]), there

    # --- the widget

    def build(self) -> Any:
        """Return the list, one version in full, and the moves, each of which is asked for twice."""
        import ipywidgets as widgets

        self.choice = label("Dropdown", "version")
        self.by = label("Text", "your name", placeholder="for the log")
        self.why = label("Text", "reason", placeholder="for the log")
        self.page, self.said = make_page("28em"), make_page("5em")
        self.buttons = {name: widgets.Button(description=name) for name in (*MOVES, "Look again", "Yes", "No")}
        self.yes, self.no = self.buttons["Yes"], self.buttons["No"]
        self.yes.layout.width = "18rem"
        works = {"Look again": self._look, "Yes": self._act, "No": lambda _: self._settle("nothing was done")}
        for name, button in self.buttons.items():
            button.on_click(guard(self.said, works.get(name) or partial(self._ask, name)))
        self.choice.observe(guard(self.said, lambda _: self._show()), "value")
        self._settle("")
        guard(self.said, self._look)()
        rows = [widgets.HBox(list(self.buttons.values())[start:end]) for start, end in ((0, 4), (4, 6))]
        return widgets.VBox([self.choice, self.page, self.by, self.why, *rows, self.said])

    def _look(self, _: Any = None) -> str:
        """Read the registry again, and keep to the version that was chosen."""
        before, rows = self.choice.value, self.list()
        known = [row["version"] for row in rows]
        labels = [f"{row['version']}, {row['state']}, approved by {row['approved by']}" for row in rows]
        self.choice.options = list(zip(labels, known, strict=True))
        self.choice.value = before if before in known else next(iter(known), None)
        self._show()
        return f"{format_count(len(rows), 'version')} in {self.place.rpartition('@')[2]}"  # a URL may hold a password

    def _show(self) -> None:
        self._settle("")
        self.page.value = self.describe(self.choice.value) if self.choice.value else ""

    def _ask(self, name: str, _: Any = None) -> str:
        """Ask whether a move is meant; nothing is done before the second click."""
        reference, by, why = self.choice.value, self.by.value, self.why.value
        if not reference:
            raise BadParameter("no version is chosen")
        if not (by.strip() and why.strip()):
            raise BadParameter("the log needs to know who did it and why: give your name and a reason")
        target = reference.partition("@")[0] if name == "Roll back" else reference
        self._asked = partial(self._move, MOVES[name], target, by, why)
        self.yes.description = f"Yes, {name.lower()} {target}"
        self.yes.disabled = self.no.disabled = False
        return f"{name} {target}, by {by}: {why}? Nothing is done until you say yes."

    def _move(self, move: Callable[..., str], target: str, by: str, why: str) -> str:
        warned: list[str] = []
        said = move(self.root, self.open(), target, by=by, why=why, warn=warned.append)
        return " ".join([said.replace("\n- ", " · "), *warned])

    def _act(self, _: Any) -> str | None:
        """Do what was asked for, once: the second half of a double click finds nothing to do."""
        asked, self._asked = self._asked, None
        if asked is None:
            return None
        self._settle("")
        self.said.value = tell("working: files and golden rows are checked…")
        said = asked()
        self._look()
        return said

    def _settle(self, words: str) -> str:
        self._asked = None
        self.yes.description, self.yes.disabled, self.no.disabled = "Yes", True, True
        return words
