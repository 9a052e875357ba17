"""What a notebook sees of its run: it saves into itself and loads from its neighbours."""

import datetime as dt
import os
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbkit import formats, freshness
from nbkit.errors import UnknownStage
from nbkit.extend import import_modules
from nbkit.freshness import Desk
from nbkit.lighten import defer_imports
from nbkit.observe import note_load
from nbkit.project import find_root
from nbkit.record import RECORD, RunRecord, read_record, to_plain
from nbkit.scraps import (
    ALL,
    digest_value,
    is_page,
    open_store,
    pick,
    read_finished,
    read_notebook,
    read_scrap,
    read_scraps,
)
from nbkit.tables import show_tables
from nbkit.values import TAG, encode
from nbkit.wording import shorten

if TYPE_CHECKING:
    import pandas as pd

INLINE = 32_000  # characters of JSON above which a value is kept by reference
BY_REFERENCE = ("table", "series", "figure", "model", "problem", "contract")


class Run:
    """A folder of notebooks lying side by side, seen from one of them.

    Parameters
    ----------
    run_dir
        The folder. In a batch papermill gives it; ``"."`` at the desk, where the notebook lies among the sources.
    parameters
        The notebook's ``globals()``. At the desk, a parameter that still has its default takes the value it had in the
        latest batch run, and this is printed; what was changed in the parameters cell stays. Nothing changes in
        a batch.

    Examples
    --------
    In a notebook::

        run = nbkit.Run(run_dir, globals())
        train = run.load("05_features", "train")
        run.save("model", model)
        run.save("headline", f"Boosted trees reach {auc:.2f} ROC AUC on validation data.")
    """

    def __init__(
        self, run_dir: str | os.PathLike[str] = ".", parameters: MutableMapping[str, Any] | None = None
    ) -> None:
        self.folder = Path(run_dir).resolve()
        self.root = find_root(self.folder)
        self.store = open_store(self.folder)
        self.at_desk = not (self.folder / RECORD).is_file() and _is_sources(self.folder)
        if str(self.root) not in sys.path:
            sys.path.insert(1, str(self.root))  # the project's own modules, of which `use` names some
        self.stage = stage = _name_of_notebook(parameters or {})
        self._record = record = (
            Desk(self.folder, self.root).find_record(stage) if self.at_desk else read_record(self.folder)
        )
        self.use = import_modules(record.use.get(stage, []), self.root)  # module -> sha256
        if parameters is not None and self.at_desk:
            self._adopt(parameters, stage, record)
        freshness.listen(self.root)
        if "ipykernel" in sys.modules:
            show_tables()

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    def locate(self, place: str) -> str:
        """Return a URL as it is, and a path as seen from the project's root, wherever the notebook runs."""
        return place if "://" in place else str(self.root / place)

    def lineage(self) -> dict[str, Any]:
        """Return where this run comes from: name, project, git commit, packages, and what of the project it uses."""
        record = read_record(self.folder)
        shared = {
            name: digest for name, digest in self.use.items() if all(name in each for each in record.use.values())
        }
        facts = {"run": record.run or self.folder.name, "project": record.project, "use": shared}
        return {**facts, **to_plain(record.surroundings)}

    @property
    def files(self) -> list[Path]:
        """The params files of this run; at the desk, those of the latest."""
        return [self.root / name for name in self._record.files]

    # --- saving

    def save(self, *named: Any, **values: Any) -> None:
        """Hand values over to later stages: ``run.save(scores=scores, model=model)`` or ``run.save("model", model)``.

        Parameters
        ----------
        *named
            A name and a value.
        **values
            What later stages load them by, and the values: small ones (kept whole, with their type), or a table,
            Series, model, figure or large value, which goes into the run's store and is handed over by reference with
            its sha256.

        Raises
        ------
        UnknownKind
            If nothing keeps a value of that type.
        UntrustedType
            If a model is made of code that only this notebook has.
        """
        if len(named) not in (0, 2) or (named and not isinstance(named[0], str)):
            raise TypeError('run.save takes values by name: run.save(scores=scores), or run.save("scores", scores)')
        saved = {name: self._save(name, value) for name, value in [*([named] if named else []), *values.items()]}
        freshness.keep_notes(self.folder, self.stage, self._record, saved if self.at_desk else None)

    def _save(self, name: str, value: Any) -> Any:
        with defer_imports("scrapbook"):
            import scrapbook

        row = formats.find_format(value)
        kind, suffix, content = formats.dump(value)
        if row.kind in BY_REFERENCE or len(content) > INLINE:
            key = self.store.put(content, suffix)
            reference = {"kind": kind, "key": key, "sha256": Path(key).name.split(".")[0], "bytes": len(content)}
            if kind in ("table", "series"):
                reference["rows"] = len(value)
            kept = {TAG: "artifact", "value": reference}
            scrapbook.glue(name, kept, encoder="json")
            return kept
        data = {TAG: "None", "value": 0} if value is None else encode(value)  # scrapbook refuses a bare None
        scrapbook.glue(name, data, encoder="text" if isinstance(data, str) else "json")
        return data

    # --- loading

    def load(self, stage: str, *names: str) -> Any:
        """Read what a neighbour hands over, verified, and print where it came from and how old it is.

        Parameters
        ----------
        stage
            The neighbour's name, such as ``"05_features"``.
        *names
            The names that it was saved by.

        Returns
        -------
        object or tuple
            The value, with the type it was saved with; of several names a tuple of them.

        Raises
        ------
        UnknownStage
            If the neighbour has not run here and no batch run has it.
        MissingScrap
            If it hands over nothing of that name.
        UnfinishedStage
            If it did not run to its end.
        CorruptArtifact
            If the bytes are not those that were saved.
        """
        if not names:
            raise TypeError(f"run.load({stage!r}) needs the names to load; run.names({stage!r}) lists them")
        desk = Desk(self.folder, self.root) if self.at_desk else None
        notebook = self._find(stage, desk)
        scraps = read_finished(notebook)
        found = [pick(scraps, stage, name, notebook) for name in names]
        for name, data in zip(names, found, strict=True):
            self._note(stage, name, digest_value(data))
        stale = desk.why_stale(stage) if desk else ""
        told = f" (STALE: {stale}; `nbkit refresh {self.stage or stage}`)" if stale else ""
        print(f"{', '.join(names)} ← {_describe(notebook, self)}{told}")  # noqa: T201
        values = tuple(read_scrap(data, notebook.parent) for data in found)
        return values[0] if len(values) == 1 else values

    def names(self, stage: str) -> list[str]:
        """List what a neighbour hands over."""
        scraps = read_finished(self._find(stage, Desk(self.folder, self.root) if self.at_desk else None))
        self._note(stage, ALL, digest_value(sorted(scraps)))
        return sorted(scraps)

    def headlines(self) -> "pd.DataFrame":
        """Return one row a finished stage of this folder: its name and its headline."""
        import pandas as pd

        found = {path.stem: read_scraps(path).get("headline") for path in sorted(self.folder.glob("[0-9]*.ipynb"))}
        for stage, headline in found.items():
            if headline is not None:
                self._note(stage, "headline", digest_value(headline))
        return pd.DataFrame({"stage": list(found), "headline": list(found.values())}).dropna(ignore_index=True)

    def _find(self, stage: str, desk: Desk | None) -> Path:
        """Return the neighbour's notebook: here, or at the desk the latest batch run's if that is newer."""
        here = self.folder / f"{stage}.ipynb"
        if desk is None:
            if here.is_file():
                return here
            beside = ", ".join(sorted(path.stem for path in self.folder.glob("[0-9]*.ipynb"))) or "none"
            raise UnknownStage(f"{stage} has not run in {self.folder}; stages that have: {beside}")
        if found := desk.find(stage):
            return found
        raise UnknownStage(
            f"{stage} has not been run here, and no batch run under {self.root / 'runs'} has it: "
            "run `nbkit run PARAMS` once, or run that notebook first"
        )

    def _note(self, stage: str, name: str, digest: str) -> None:
        note_load(stage, name, digest)
        freshness.note_read(stage, name, digest)

    # --- parameters at the desk

    def _adopt(self, namespace: MutableMapping[str, Any], stage: str, record: RunRecord) -> None:
        if stage not in record.parameters:
            why = f"no run has given {stage} others yet" if stage else "nobody says which notebook this is"
            how = "`nbkit run PARAMS` gives a notebook its own, `nbkit lab` those of the latest run (papermill: -p, -f)"
            print(f"parameters: as in the cell, as {why}: {how}")  # noqa: T201
            return
        defaults = record.defaults.get(stage, {})
        taken = {
            name: value
            for name, value in record.parameters[stage].items()
            if name in namespace and name in defaults and namespace[name] == defaults[name] != value
        }
        namespace.update(taken)
        shown = ", ".join(f"{name} = {shorten(value)}" for name, value in taken.items()) or "all as in the cell"
        print(f"parameters ← {record.run} (change them in the parameters cell): {shown}")  # noqa: T201


def _is_sources(folder: Path) -> bool:
    """Return whether a folder holds sources (the desk) rather than executed notebooks of a plain papermill run."""
    found = map(read_notebook, sorted(folder.glob("[0-9][0-9]*_*.ipynb")))
    return next(("papermill" not in each["metadata"] for each in found if not is_page(each)), False)


def _name_of_notebook(namespace: MutableMapping[str, Any]) -> str:
    """Return the stage that the kernel runs, as JupyterLab, VS Code or the runner tell it; empty if nobody does."""
    told = namespace.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME") or os.environ.get("NBKIT_STAGE")
    return Path(str(told)).stem if told else ""


def _describe(notebook: Path, run: Run) -> str:
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromtimestamp(notebook.stat().st_mtime, dt.UTC)
    where = notebook.name if notebook.parent == run.folder else f"{notebook.parent.name}/{notebook.name}"
    return f"{where}, saved {_spell(age.total_seconds())} ago"


def _spell(seconds: float) -> str:
    """Say a duration in one unit.

    Examples
    --------
    >>> _spell(3), _spell(200), _spell(7300), _spell(260_000)
    ('3 s', '3 min', '2 h', '3 days')
    """
    for size, unit in ((172_800, 86_400), (5_400, 3_600), (90, 60)):
        if seconds >= size:
            return f"{seconds // unit:.0f} {({86_400: 'days', 3_600: 'h', 60: 'min'})[unit]}"
    return f"{max(seconds, 0):.0f} s"
