"""Where a project lies, and its notebooks."""

import importlib.util
import os
from pathlib import Path

from nbkit.record import read_record


def find_root(start: str | os.PathLike[str] = ".") -> Path:
    """Find the project that a folder belongs to.

    Parameters
    ----------
    start
        A run folder, the notebooks' folder, or anything below the project.

    Returns
    -------
    Path
        What the run's record names, else the nearest folder upwards that holds ``params/``, else `start` itself.
    """
    here = Path(start).resolve()
    named = read_record(here).root
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
