"""nbkit diff: notebooks against a git revision."""

import os
import sys
from pathlib import Path

import click

from nbkit.project import find_root
from nbkit.wording import format_count

COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@click.command()
@click.argument("words", metavar="[REV] [NOTEBOOK]…", nargs=-1)
@click.option("--html", "as_html", is_flag=True, help="Write one page for people: diff.html, or as -o says.")
@click.option("-o", "target", type=click.Path(path_type=Path), help="Write that page here.")
@click.option("--exit-code", "tells", is_flag=True, help="Exit with 1 if something differs, as git diff does.")
def diff(words: tuple[str, ...], as_html: bool, target: Path | None, tells: bool) -> None:  # noqa: FBT001
    """Compare notebooks with a git revision (HEAD by default), cell by cell; outputs do not count.

    NOTEBOOK is a path or a stage, such as 06_train or 06; all in notebooks/ by default.
    """
    from nbkit.report.diff import diff_notebooks, find_notebook, write_diff

    root = find_root()
    own = [path.relative_to(root).as_posix() for path in sorted(root.glob("notebooks/*.ipynb"))]
    first = words[0] if words and not words[0].endswith(".ipynb") and not find_notebook(words[0], own) else ""
    revision, given = first or "HEAD", words[1:] if first else words
    names = [os.path.relpath(name, root) if name.endswith(".ipynb") else name for name in given]
    changes = diff_notebooks(root, revision, names)
    if as_html or target:
        click.echo(write_diff(changes, root, revision, target))
    else:
        for each in changes:
            click.secho(each["path"] if each["what"] == "changed" else f"{each['path']}: {each['what']}", bold=True)
            told = [line for cell in each["cells"] for line in (cell["title"], *_indent(cell["lines"]))]
            for line in [*each["notes"], *told]:
                click.echo(f"  {line}")
        click.echo(f"{format_count(len(changes), 'notebook')} changed since {revision}")
    sys.exit(1 if tells and changes else 0)


def _indent(lines: list[str]) -> list[str]:
    return [click.style(f"  {line}", fg=COLOURS.get(line[:1])) for line in lines]


COMMANDS = (diff,)
