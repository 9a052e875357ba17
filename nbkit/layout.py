"""Lays a project out: params, notebooks, tests, what git and CI need; nothing that is there is overwritten."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from string import Template

from nbkit.errors import BadParameter
from nbkit.lifecycle import STAGE_NAME
from nbkit.project import find_notebooks
from nbkit.store import write_atomic

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
STARTER = Path(__file__).with_name("starter")
ALWAYS = {"gitignore": ".gitignore", "gitattributes": ".gitattributes"}
FIRST = {  # what only the first project of a folder brings
    "README.md": "README.md",
    "environment.yml": "environment.yml",
    "pre-commit.yaml": ".pre-commit-config.yaml",
    "workflow.yml": ".github/workflows/ci.yml",
    "test_data.txt": "tests/test_data.py",
    "test_behaviour.txt": "tests/test_behaviour.py",
}


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
    """Refuse to write where something lies already, also under a name that differs only in case.

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
    there = {each.relative_to(folder).as_posix() for path in paths for each in (folder / path).parent.glob("*")}
    if taken := [each for path in paths for each in sorted(there) if each.casefold() == path.casefold()]:
        remedy = (
            ", or replace what is there with --force" if {*taken} <= {*paths} else "; many disks do not tell A from a"
        )
        verb = "exists" if len(taken) == 1 else "exist"
        raise BadParameter(f"{' and '.join(taken)} {verb} already: choose another name{remedy}")


def lay_project(folder: Path, name: str, files: Mapping[str, str]) -> list[Path]:
    """Write a project's files, and what it lacks of notebooks, README, environment, tests, CI and git's settings.

    Parameters
    ----------
    folder
        The project; made if it is not there.
    name
        What it is called.
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
    for template, path in (ALWAYS if (folder / "params").is_dir() else ALWAYS | FIRST).items():
        if not (folder / path).exists():
            contents[folder / path] = _fill(template, name=name).encode()
    write_files(contents)
    return list(contents)


def lay_stage(folder: Path, stage: str) -> list[Path]:
    """Add a stage to a project: a notebook with the anatomy of the others, and its section in each params file.

    Parameters
    ----------
    folder
        The project.
    stage
        As ``06b_ensemble``: between 06 and 07.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    BadParameter
        If the name is none of a stage, the stage exists (also if only its case differs), or there is no project.
    """
    if not STAGE_NAME.fullmatch(stage):
        raise BadParameter(f"{stage!r} is not a stage's name: write it as 06b_ensemble, which runs between 06 and 07")
    notebook = folder / "notebooks" / f"{stage}.ipynb"
    texts = {path: path.read_text() for path in sorted((folder / "params").glob("*.yaml"))}
    params = {path: text for path, text in texts.items() if re.search("^shared:", text, re.MULTILINE)}
    if not notebook.parent.is_dir() or not params:
        raise BadParameter(f"{folder} holds no project: make one with `nbkit new NAME --data FILE --target COLUMN`")
    check_free(folder, [f"notebooks/{stage}.ipynb"])
    number, title = stage.split("_", 1)
    contents = {notebook: _fill("stage.json", number=number, title=title.replace("_", " ").capitalize()).encode()}
    for path, text in params.items():
        contents[path] = f"{text.rstrip()}\n\n{stage}:\n  rows: 5\n".encode()
    write_files(contents)
    return list(contents)


def install_filter(folder: Path) -> str:
    """Let git drop the outputs of notebooks when they are committed, with nbstripout; return what was done.

    Returns
    -------
    str
        A sentence; what to do, where it could not be done.
    """
    filter_ = [sys.executable, "-m", "nbstripout", "--install", "--attributes", ".gitattributes"]
    more = ["git", "config", "filter.nbstripout.extrakeys", "metadata.language_info"]  # which JupyterLab writes
    how = f"nbstripout --install --attributes .gitattributes && {' '.join(more)}"
    inside = subprocess.run(["git", "rev-parse", "--git-dir"], cwd=folder, capture_output=True, check=False)  # noqa: S607
    if inside.returncode:
        return f"No git repository here yet. After `git init`, so that no outputs enter git: {how}"
    done = [subprocess.run(each, cwd=folder, capture_output=True, check=False).returncode for each in (filter_, more)]
    if any(done):
        return f"Outputs of notebooks would enter git: pip install nbstripout, then {how}"
    return "Outputs of notebooks stay in your working copy: git drops them (nbstripout)."


def _fill(template: str, **words: str) -> str:
    return Template((STARTER / template).read_text(encoding="utf-8")).substitute(words)


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
