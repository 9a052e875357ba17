"""nbkit diff: notebooks against a git revision."""

import sys
from pathlib import Path

import click

from nbkit.project import find_root
from nbkit.wording import format_count

DIFFERENT = 1
COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@click.command()
@click.argument("words", metavar="[REV] [NOTEBOOK]…", nargs=-1)
@click.option("--html", "as_html", is_flag=True, help="Write one page for people: diff.html, or as -o says.")
@click.option("-o", "target", type=click.Path(path_type=Path), help="Where to write the page.")
@click.option("--exit-code", "tells", is_flag=True, help="Exit with 1 if something differs, as git diff does.")
def diff(words: tuple[str, ...], as_html: bool, target: Path | None, tells: bool) -> None:  # noqa: FBT001
    """Compare notebooks with a git revision (HEAD by default), cell by cell; outputs do not count.

    NOTEBOOK is a path or a stage, such as 06_train or 06; all in notebooks/ by default.
    """
    from nbkit.report import diff_notebooks, find_notebook, write_diff

    if target and not as_html:
        raise click.UsageError("-o goes with --html")
    root = find_root()
    own = [path.relative_to(root).as_posix() for path in sorted(root.glob("notebooks/*.ipynb"))]
    first = words[0] if words and not words[0].endswith(".ipynb") and not find_notebook(words[0], own) else ""
    revision, names = first or "HEAD", [_relate(name, root) for name in (words[1:] if first else words)]
    changes = diff_notebooks(root, revision, names)
    if as_html:
        click.echo(write_diff(changes, root, revision, target))
    else:
        for each in changes:
            click.secho(each.path if each.what == "changed" else f"{each.path}: {each.what}", bold=True)
            for note in each.notes:
                click.echo(f"  {note}")
            for cell in each.cells:
                click.echo(f"  {cell.title}")
                for line in cell.lines:
                    click.secho(f"    {line}", fg=COLOURS.get(line[:1]))
        said = f"{format_count(len(changes), 'notebook')} changed since {revision}"
        click.echo(said if changes else f"The notebooks are as in {revision}.")
    sys.exit(DIFFERENT if tells and changes else 0)


def _relate(name: str, root: Path) -> str:
    """Return a path as seen from the project; a stage's name as it is."""
    whole = Path(name).resolve()
    return whole.relative_to(root).as_posix() if name.endswith(".ipynb") and whole.is_relative_to(root) else name


COMMANDS = (diff,)
