"""Lays a project out: its params, its notebooks, what git is to ignore; nothing that is there is overwritten."""

import re
from collections.abc import Mapping
from pathlib import Path

from nbkit.errors import BadParameter
from nbkit.project import find_notebooks
from nbkit.store import write_atomic

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
IGNORED = "/runs/\n/registry/\n/notebooks/artifacts/\n.ipynb_checkpoints/\n__pycache__/\n"


def check_name(name: str) -> None:
    """Refuse a project's name that could not be a file name and a model's name everywhere.

    Raises
    ------
    BadParameter
        With a name that would do.

    Examples
    --------
    >>> check_name("churn")
    >>> check_name("my churn!")
    Traceback (most recent call last):
        ...
    nbkit.errors.BadParameter: 'my churn!' is not a project name: use letters, digits, - and _, such as my_churn
    """
    if not NAME.fullmatch(name):
        plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-")[:64]
        better = plain if NAME.fullmatch(plain) else "churn"
        raise BadParameter(f"{name!r} is not a project name: use letters, digits, - and _, such as {better}")


def check_free(folder: Path, paths: list[str]) -> None:
    """Refuse to write where something lies already.

    Parameters
    ----------
    folder
        The project.
    paths
        What is to be written, as seen from `folder`.

    Raises
    ------
    BadParameter
        Naming what is there.
    """
    if folder.exists() and not folder.is_dir():
        raise BadParameter(f"{folder} is a file, not a folder")
    if taken := [path for path in paths if (folder / path).exists()]:
        verb, them = ("exists", "it") if len(taken) == 1 else ("exist", "them")
        raise BadParameter(f"{' and '.join(taken)} {verb} already: choose another name, or replace {them} with --force")


def lay_project(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write a project's files, and give it the stage notebooks if it has none.

    Parameters
    ----------
    folder
        The project; made if it is not there.
    files
        Path as seen from `folder` to its text; replaced if it is there (see `check_free`).

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    BadParameter
        If a file cannot be written.
    """
    contents = {folder / path: text.encode() for path, text in files.items()}
    own, source = folder / "notebooks", find_notebooks(folder)
    if source.resolve() != own.resolve():
        contents |= {own / path.name: path.read_bytes() for path in sorted(source.glob("[0-9][0-9]*_*.ipynb"))}
    if not (folder / ".gitignore").exists():
        contents[folder / ".gitignore"] = IGNORED.encode()
    write_files(contents)
    return list(contents)


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write files, each whole; their folders are made.

    Raises
    ------
    BadParameter
        If one cannot be written.
    """
    for path, content in contents.items():
        try:
            write_atomic(path, content)
        except OSError as error:
            raise BadParameter(f"{path} cannot be written: {error.strerror or error}") from None
