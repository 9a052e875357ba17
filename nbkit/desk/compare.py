"""Two runs side by side: scores with paired intervals, verdicts, and what may have caused a difference."""

import os
from typing import Any

import pandas as pd

from nbkit.desk.face import Face, guard, tell
from nbkit.desk.parts import Later, label, make_page, tabulate, write_list
from nbkit.pipeline import compare_models, compare_runs, find_run
from nbkit.project import find_root
from nbkit.record import iterate_runs, read_record
from nbkit.report.compare import CAUSES
from nbkit.report.overview import read_overview
from nbkit.scrub import Scrubber
from nbkit.wording import format_count, format_score

MOST, WIDTH = 40, 80  # differences shown, and characters of a value
ONE = "Two runs are needed to compare them: `nbkit run params/NAME.yaml` makes one."


class RunComparison(Face):
    """What two runs differ in.

    Parameters
    ----------
    root
        The project, or anything below it.
    before, after
        Names of runs; by default the two latest that passed, if they did.
    """

    def __init__(self, root: str | os.PathLike[str] = ".", before: str = "", after: str = "") -> None:
        self.root = find_root(root)
        self._given = [find_run(self.root, name).name if name else "" for name in (before, after)]
        self.look()

    def look(self) -> None:
        """Read which runs there are, and choose two."""
        pairs = [pair for pair in iterate_runs(self.root, points=False) if not pair[1].is_look]
        self.runs = [folder.name for folder, _ in pairs]  # newest first
        ranked = sorted(pairs, key=lambda pair: pair[1].status != "passed")
        projects = {folder.name: record.project for folder, record in ranked}
        self.after = self._given[1] or next(iter(projects), "")
        others = [name for name in projects if name != self.after]
        same = [name for name in others if projects[name] == projects.get(self.after)]
        self.before = self._given[0] or next(iter([*same, *others]), "")

    def html(self) -> str:
        """Return verdicts, scores and causes of the two runs as chosen."""
        if not (self.before and self.after):
            return tell(ONE)
        folders = find_run(self.root, self.before), find_run(self.root, self.after)
        rows, (scores, said) = compare_runs(self.root, self.before, self.after), compare_models(*folders)
        verdicts = [f"{folder.name}: {read_overview(folder).verdict}" for folder in folders]
        told = pd.DataFrame([format_score(row) for row in scores])
        told = told.rename(columns={"before": self.before, "after": self.after, "verdict": f"{self.after} is"})
        causes = [row for row in rows if {row["what"], row["where"]} & {*CAUSES}]
        others = len(rows) - len(causes)
        caused = [{key: str(value)[:WIDTH] for key, value in row.items()} for row in causes[:MOST]]
        words = f"What may have caused it ({format_count(len(causes), 'difference')}; {others:,} more elsewhere):"
        text = write_list(verdicts) + (tabulate(told, said) if len(told) else tell(said))
        nothing = tell("No cause is known." if others else "Nothing differs.")
        text += tabulate(pd.DataFrame(caused), words) if caused else nothing
        for folder in folders:
            text = Scrubber.of(read_record(folder).secrets).clean(text)
        return text

    def build(self) -> Any:
        """Return two lists of runs, and what they differ in."""
        import ipywidgets

        before, after = label("Dropdown", "Before"), label("Dropdown", "After")
        again, shown = ipywidgets.Button(description="The latest two"), make_page("32em")

        def show(*_: Any) -> None:
            self.before, self.after = before.value or "", after.value or ""
            shown.value = self.html()

        later = Later(guard(shown, show), shown)

        def look(*_: Any) -> None:
            self.look()
            for each, name in ((before, self.before), (after, self.after)):
                each.options = self.runs
                each.value = name or None
            later()

        for each in (before, after):
            each.observe(later, "value")
        again.on_click(guard(shown, look))
        guard(shown, look)()
        return ipywidgets.VBox([before, after, again, shown])
