"""Where things lie: the project's root, its notebooks, its runs and their manifests."""

import importlib.util
import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

MANIFEST = "run.json"
SWEEP = "sweep.json"
UNREADABLE = "unreadable"  # the status of a run whose manifest is not what the runner writes


def find_root(start: str | os.PathLike[str] = ".") -> Path:
    """Find the project that a folder belongs to.

    Parameters
    ----------
    start
        A run folder, the notebooks' folder, or anything below the project.

    Returns
    -------
    Path
        What the run's manifest names, else the nearest folder upwards that holds ``params/``, else `start` itself.
    """
    here = Path(start).resolve()
    named = read_manifest(here).get("root")
    if named and Path(named).is_dir():
        return Path(named)
    return next((folder for folder in (here, *here.parents) if (folder / "params").is_dir()), here)


def find_notebooks(root: Path) -> Path:
    """Return the folder of the stage notebooks: the project's own, else those that travel with nbkit."""
    own = root / "notebooks"
    if own.is_dir() and any(own.glob("[0-9][0-9]*_*.ipynb")):
        return own
    found = importlib.util.find_spec("nbkit")
    package = Path(str(found.origin)).parent if found else Path(__file__).parent
    packed = package / "notebooks"
    return packed if packed.is_dir() else package.parent / "notebooks"


def read_manifest(run_dir: Path) -> dict[str, Any]:
    """Read ``run.json`` of a run folder; an empty dict where there is none, a status `UNREADABLE` for garbage."""
    try:
        manifest = json.loads((run_dir / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, RecursionError):
        manifest = None
    return manifest if _is_manifest(manifest) else {"status": UNREADABLE}


def _is_manifest(content: Any) -> bool:
    import msgspec

    try:
        msgspec.convert(content, _manifest_shape())
    except msgspec.ValidationError:
        return False
    return isinstance(content, dict)


@cache
def _manifest_shape() -> Any:
    import msgspec

    entry: Any = msgspec.defstruct("Entry", [("stage", str), ("status", str), ("seconds", float | None, None)])
    facts: list[Any] = [(name, str, "") for name in ("project", "root", "started", "status")]
    lists: list[Any] = [("files", list[str], []), ("settings", list[str], []), ("secrets", list[str], [])]
    lists.append(("stages", list[entry], []))
    return msgspec.defstruct("Manifest", [*facts, *lists, ("parameters", dict[str, dict[str, Any]], {})])


def name_sweep(folder: Path) -> str:
    """Return the sweep that a run is a point of; empty if it is none."""
    sweep = folder.name.rpartition("-")[0]
    return sweep if sweep and (folder.parent / sweep / SWEEP).is_file() else ""


def iterate_runs(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the project's runs with their manifests, newest first."""
    found = [(path.parent, read_manifest(path.parent)) for path in (root / "runs").glob(f"*/{MANIFEST}")]
    yield from sorted(found, key=lambda pair: (pair[1].get("started", ""), pair[0].name), reverse=True)
