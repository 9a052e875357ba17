"""What the desk opens on: projects, runs, versions, windows and stages of this moment, and the widgets beside them."""

import contextlib
import os
from pathlib import Path

import pandas as pd

from nbkit.desk.browser import HEADS, Browser
from nbkit.desk.compare import RunComparison
from nbkit.desk.face import Face, attempt
from nbkit.desk.launcher import Launcher
from nbkit.desk.runs import list_params
from nbkit.desk.stages import list_desk
from nbkit.errors import NbkitError
from nbkit.lifecycle import MONITOR, REGISTER
from nbkit.pipeline.runs import read_status
from nbkit.project import find_root
from nbkit.record import iterate_runs
from nbkit.report.scraps import read_front, read_or
from nbkit.tables import show_tables


def read_twins(root: Path) -> dict[str, str]:
    """Return what the widgets of the starting page say without anybody at the desk, as HTML by heading.

    Parameters
    ----------
    root
        The project; of its registries those that its runs name, without what a URL says of a user.
    """
    places = {str(record.parameters.get(REGISTER, {}).get("registry", "")) for _, record in iterate_runs(root)}
    faces: dict[str, Face] = {
        f"Versions in {place.rpartition('@')[2]}": Browser(root, place) for place in sorted(places - {""})
    }
    faces |= {"The latest two runs": RunComparison(root), "What can be run": Launcher(root)}
    return {heading: attempt(face.html) for heading, face in faces.items()}


class Home:
    """A project as one finds it in the morning; each table is read when it is asked for.

    Parameters
    ----------
    root
        The project, or anything below it.
    registry
        A folder, as seen from the project, or a URL.
    """

    def __init__(self, root: str | os.PathLike[str] = ".", registry: str = "registry") -> None:
        self.root, self.registry = find_root(root), registry
        self._runs = list(iterate_runs(self.root, points=False))
        show_tables()

    def projects(self) -> pd.DataFrame:
        """Return the params files: project, runs, when the latest began, what its report says, how it is run."""
        rows = []
        for name in list_params(self.root):
            own = [pair for pair in self._runs if pair[1].project == name and not pair[1].is_look]
            verdict = read_front(own[0][0]).get("verdict", "") if own else ""
            began = own[0][1].started[:16].replace("T", " ") if own else ""
            rows.append((name, len(own), began, verdict, f"nbkit run params/{name}.yaml"))
        return pd.DataFrame(rows, columns=["project", "runs", "latest", "verdict", "to run it"])

    def runs(self, number: int = 8) -> pd.DataFrame:
        """Return the latest runs of stages: run, status, how many passed, when it began, verdict, and why."""
        rows = []
        for folder, record in [pair for pair in self._runs if not pair[1].is_look][:number]:
            front, passed = read_front(folder), sum(each.status == "passed" for each in record.stages)
            began = record.started[:16].replace("T", " ")
            stopped = f"stopped at {record.stopped.stage}" if record.stopped else ""
            status, stages = read_status(folder, record), f"{passed} of {len(record.stages)}"
            rows.append((folder.name, status, stages, began, front.get("verdict", ""), front.get("decision", stopped)))
        return pd.DataFrame(rows, columns=["run", "status", "stages", "began", "verdict", "decision"])

    def versions(self) -> pd.DataFrame:
        """Return the registered versions: version, state, aliases, registered, who approved it."""
        with contextlib.suppress(NbkitError, OSError):  # the browser's twin says why
            return pd.DataFrame(self.browser().list(), columns=HEADS)
        return pd.DataFrame(columns=HEADS)

    def windows(self) -> pd.DataFrame:
        """Return the windows that need a look: those of which the latest look said anything but ok."""
        looks: dict[tuple[str, str], tuple[str, ...]] = {}
        for folder, record in self._runs:  # newest first
            if record.is_look:
                told = [str(read_or(folder, MONITOR, name)) for name in ("version", "window", "decision", "headline")]
                decision = told[2] or read_status(folder, record)
                looks.setdefault((told[0], told[1]), (*told[:2], decision, told[3], folder.name))
        rows = [row for row in looks.values() if row[2] != "ok"]
        return pd.DataFrame(sorted(rows), columns=["version", "window", "decision", "what was found", "run"])

    def stages(self) -> pd.DataFrame:
        """Return the stages of the desk: where the latest result of each lies, when it was saved, why it is stale."""
        try:
            rows = [(row["stage"], row["where"], row["saved"], row["stale"] or "fresh") for row in list_desk(self.root)]
        except NbkitError as error:  # such as a notebook that does not parse
            rows = [("✕", "", "", str(error))]
        return pd.DataFrame(rows, columns=["stage", "latest result", "saved", "freshness"])

    def launcher(self, file: str = "") -> Launcher:
        """Return the widget that starts runs."""
        return Launcher(self.root, file)

    def comparison(self) -> RunComparison:
        """Return the widget that says what two runs differ in."""
        return RunComparison(self.root)

    def browser(self) -> Browser:
        """Return the widget that shows versions and moves them."""
        return Browser(self.root, self.registry)
