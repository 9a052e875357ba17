"""A form that starts runs, each a process of its own, and watches them."""

import contextlib
import html
import io
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import pandas as pd

from nbkit.desk.face import Face, guard, tell
from nbkit.desk.form import Form
from nbkit.desk.parts import label, make_page, tabulate
from nbkit.desk.runs import is_alive, link_to, list_params, show_stages, start_process
from nbkit.errors import BadParameter
from nbkit.pipeline import Chosen, plan_run
from nbkit.pipeline.runs import is_held
from nbkit.project import find_notebooks, find_root
from nbkit.record import RunRecord, StageRecord, iterate_runs, now, read_record
from nbkit.report.scraps import read_front
from nbkit.stages import read_stages
from nbkit.stages.params import SHARED

LOOK = 0.5  # seconds between two looks at a run


class Launcher(Face):
    """Starts ``nbkit run`` with what stands in a form, and shows how far it is; the run outlives the kernel.

    Parameters
    ----------
    root
        The project, or anything below it.
    file
        The params file to begin with, by its name without ``.yaml``; by default that of the latest run.

    Attributes
    ----------
    form
        The parameters; None where no params file can be read.
    folder
        The run that is watched; None before there is one.

    Examples
    --------
    In a notebook::

        nbkit.desk.Launcher("..")
    """

    def __init__(self, root: str | os.PathLike[str] = ".", file: str = "") -> None:
        self.root = find_root(root)
        self.projects = list_params(self.root)
        if file and file not in self.projects:
            raise BadParameter(f"there is no params/{file}.yaml; there are {', '.join(self.projects) or 'none'}")
        recent = [record.project for _, record in iterate_runs(self.root) if record.project in self.projects]
        self.project = file or next(iter([*recent, *self.projects]), "")
        self.form: Form | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self._heard: IO[bytes] = io.BytesIO()  # what the process says
        found = [pair for pair in iterate_runs(self.root) if pair[1].status == "running" and is_held(pair[0])]
        self.folder: Path | None = found[0][0] if found else None
        self.pid, self._began, self._stopping = found[0][1].pid if found else 0, "", False

    @property
    def files(self) -> list[Path]:
        """The params files that are chosen: the project's, and what overrides it."""
        return [self.root / "params" / f"{name}.yaml" for name in (self.project, *self.overrides.value)]

    def html(self) -> str:
        """Return the projects, how each is run, and what is at work."""
        if not self.project:
            how = "`nbkit new NAME --data FILE --target COLUMN` writes one"
            return tell(f"there is no params file in {self.root / 'params'}: {how}")
        at_work = f"{self.folder.name} is at work." if self.folder and self.at_work else "No run is at work."
        rows = [(name, f"nbkit run params/{name}.yaml") for name in self.projects]
        table = tabulate(pd.DataFrame(rows, columns=["project", "in a terminal"]), "Launcher: what can be run")
        return f"{table}<p>{html.escape(at_work)} In JupyterLab this is a form that starts a run.</p>"

    # --- the form

    def build(self) -> Any:
        """Return the form, the buttons, and a place of fixed height for how the run goes."""
        import ipywidgets as widgets

        if not self.project:
            return widgets.HTML(self.html())
        known = read_stages(find_notebooks(self.root)).values()
        stages = [(stage.name, stage.name) for stage in known if stage.cadence == "run"]
        self.choose_project = label("Dropdown", "params file", options=self.projects, value=self.project)
        overrides = list_params(self.root, overrides=True)
        self.overrides = label("SelectMultiple", "overridden by", options=overrides, rows=3)
        self.first = label("Dropdown", "from", options=[("the beginning, only what changed", ""), *stages])
        self.last = label("Dropdown", "until", options=[("the end", ""), *stages])
        self.name = label("Text", "name of the run", placeholder="project and time")
        self.section = label("Dropdown", "parameters")
        self.rows = widgets.VBox(layout={"height": "19em", "overflow": "auto"})
        heights = "4.5em", "4.5em", f"{1.6 * len(stages) + 1.5}em"
        self.changed, self.said, self.progress = map(make_page, heights)
        self.run_button = widgets.Button(description="Run", button_style="primary")
        self.cancel_button = widgets.Button(description="Cancel", disabled=True)
        self.run_button.on_click(guard(self.said, lambda _: self.run()))
        self.cancel_button.on_click(guard(self.said, lambda _: self.cancel()))
        self.section.observe(guard(self.said, lambda _: self._open()), "value")
        for each in (self.choose_project, self.overrides):
            each.observe(guard(self.said, lambda _: self._choose()), "value")
        guard(self.said, self._choose)()
        if self.folder:
            self._follow()
        files = [self.choose_project, *([self.overrides] if overrides else [])]
        choices = [*files, self.first, self.last, self.name, self.section, self.rows, self.changed]
        return widgets.VBox([*choices, widgets.HBox([self.run_button, self.cancel_button]), self.said, self.progress])

    def _choose(self, kept: Mapping[str, Any] | None = None) -> Form:
        """Read the params files that are chosen; what was changed in the form is forgotten but for `kept` fields."""
        self.project, self.form = self.choose_project.value, None
        self.section.options, self.changed.value = (), ""
        every = read_stages(find_notebooks(self.root))
        self._names = " and ".join(path.name for path in self.files)
        self.form = form = Form(self.files, every)
        form.fields |= {place: field for place, field in (kept or {}).items() if place in form.given}
        counts = {name: len(parameters) for name, parameters in form.sections.items()}
        shown = [name for name in counts if counts[name] and (name == SHARED or every[name].cadence == "run")]
        self.section.options = [(f"{name} ({counts[name]})", name) for name in shown]
        self.section.value = shown[0]
        self.progress.value = show_stages([StageRecord(name, "pending") for name in shown if name != SHARED])
        self.said.value = tell(f"{self._names}: nothing is changed")
        return form

    def _open(self) -> None:
        """Show the fields of the section that is chosen."""
        found = []
        if self.form and self.section.value:
            found = self.form.open(self.section.value, guard(self.said, self._show_changes))
        self.rows.children = found

    def _show_changes(self, _: Any = None) -> str:
        assert self.form
        lines = "".join(f"<div>{html.escape(each)}</div>" for each in self.form.describe_changes())
        self.changed.value = f'<div style="line-height: 1.4">{lines}</div>'
        return f"{len(list(self.form.list_changes()))} changed against {self._names}"

    # --- the run

    @property
    def at_work(self) -> bool:
        """Whether the run that is watched is being executed, or its report written."""
        return self.process.poll() is None if self.process else is_alive(self.pid)

    def run(self) -> None:
        """Start the run, unless one is at work or there is nothing to do; ``nbkit run`` says what is refused."""
        if self.at_work:  # as for the second half of a double click
            return
        self.said.value = tell("working: the params and the notebooks are read…")
        form = self.form or self._choose()
        if str(Form(self.files, read_stages(find_notebooks(self.root))).given) != str(form.given):
            self._choose({place: form.fields[place] for place, _, _ in form.list_changes()})
            self._show_changes()
            said = "or a notebook was changed meanwhile: look at the form, and press Run again"
            raise BadParameter(f"{self._names} {said}")
        settings, name = form.list_settings(), self.name.value.strip()
        chosen = Chosen(self.first.value, self.last.value)
        plan = plan_run(self.root, self.files, settings, stages=chosen, name=name)
        if plan.nothing_to_do and plan.folder:
            self.folder, self.pid, self.process = plan.folder, 0, None
            self.tick()
            self.said.value = tell(f"nothing to do: nothing has changed since {plan.folder.name}") + self._link()
            return
        ends = [("--from", chosen.first), ("--until", chosen.last), ("--name", name)]
        given = [*(("--set", each) for each in settings), *(pair for pair in ends if pair[1])]
        self.progress.value = show_stages([StageRecord(step.stage.name, "pending") for step in plan.steps])
        words = ["run", *(path.relative_to(self.root).as_posix() for path in self.files)]
        self._start([*words, *(word for pair in given for word in pair)])
        self.said.value = tell(f"{name or plan.project} is being started…")
        self._follow()

    def _start(self, words: list[str]) -> None:
        self._began, self.folder, self._stopping = now(), None, False
        self._heard = tempfile.TemporaryFile()  # noqa: SIM115 - the process may outlive us
        self.process = start_process(words, self.root, self._heard)
        self.pid = self.process.pid

    def cancel(self) -> str:
        """Interrupt the run as Ctrl-C would: what has passed is kept, and ``nbkit resume`` goes on from there."""
        if not self.at_work:
            raise BadParameter("no run is at work: there is nothing to cancel")
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGINT)
        self._stopping = True
        return "it is asked to stop, which takes a moment; a second time breaks it off"

    def _follow(self) -> None:
        """Watch the run until it ends, in a thread."""
        self.run_button.disabled, self.cancel_button.disabled = True, False

        def watch() -> None:
            while self.tick():
                time.sleep(LOOK)

        threading.Thread(target=watch, daemon=True, name="nbkit-launcher").start()

    def tick(self) -> bool:
        """Look once at the run and show it; return whether it is still at work."""
        at_work = self.at_work
        mine = (path for path, each in iterate_runs(self.root) if each.pid == self.pid and each.started >= self._began)
        self.folder = self.folder or next(mine, None)
        record = read_record(self.folder) if self.folder else RunRecord()
        if record.stages:
            self.progress.value = show_stages(record.stages)
        if not at_work:
            self.said.value = self._conclude(record)
            self._heard.close()
            self.run_button.disabled, self.cancel_button.disabled = False, True
        elif record.status:
            running = next((each for each in record.stages if each.status == "running"), None)
            cell = f", cell {running.cell} of {running.cells}" if running and running.cells else ""
            where = f": {running.stage}{cell}" if running else ""
            after = "" if record.status == "running" else f" {record.status}: its report is being written…"
            self.said.value = tell(f"{record.run}{where}{after}{', asked to stop' if self._stopping else ''}")
        return at_work

    def _conclude(self, record: RunRecord) -> str:
        """Say how the run ended, in HTML: its verdict and where its report lies, or what went wrong."""
        if not record.status or not self.folder:
            if self._stopping:
                return tell("it was cancelled before it began: nothing was run")
            self._heard.seek(0)
            lines = self._heard.read().decode(errors="replace").splitlines()
            words = [line.removeprefix("nbkit: ") for line in lines if line.startswith("nbkit: ")] or lines[-1:]
            return tell(" ".join(words) or "the run ended before it began", bad=True)
        name, verdict = self.folder.name, str(read_front(self.folder).get("verdict", ""))
        said = f"{name} {'was interrupted' if record.status in ('running', 'interrupted') else record.status}"
        if stopped := record.stopped:
            cell = f", code cell {stopped.cell}" if stopped.cell else ""
            said += f" at {stopped.stage}{cell}: {stopped.message.rstrip('.')}; `nbkit resume {name}` goes on"
        elif verdict:
            said += f": {verdict}"
        elif record.status == "passed" and not self._link():
            said += f"; its report was not written: `nbkit report {name}` does"
        return tell(said, bad=record.status in ("failed", "refused")) + self._link()

    def _link(self) -> str:
        page = self.folder / "report" / "index.html" if self.folder else Path()
        words = f"Open the report of {self.folder.name if self.folder else ''}"
        link = f'<p><a href="{html.escape(link_to(page))}" target="_blank">{html.escape(words)}</a></p>'
        return link if page.is_file() else ""
