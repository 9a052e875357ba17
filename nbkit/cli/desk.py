"""nbkit lab, refresh, verify: the desk opened where the work is, run where it is stale, held against a fresh kernel."""

import sys

import click

from nbkit.project import find_root

FAILED, NO = 1, 3


@click.command()
@click.argument("stage", default="")
@click.option("--run", "name", default="", metavar="RUN", help="Take inputs and parameters of RUN, not of the latest.")
@click.option("--failed", is_flag=True, help="Open the stage that failed at its cell, those above it executed.")
@click.option("--no-browser", is_flag=True, help="Open no browser, only say the address.")
@click.option("--port", default=0, help="The port; any that is free by default.")
def lab(stage: str, name: str, failed: bool, no_browser: bool, port: int) -> None:  # noqa: FBT001
    """Start JupyterLab on the starting page, or on a STAGE, with kernels that need not import anything.

    With --failed it stands where the last run stopped: mend the cell there, save, then `nbkit resume`.
    """
    from nbkit.desk import find_place, open_lab

    root = find_root()
    if failed and stage:
        raise click.UsageError("--failed names the stage itself: leave STAGE out")
    place = find_place(root, stage, name, failed=failed)
    click.echo("starting JupyterLab…")
    sys.exit(open_lab(root, place, browser=not no_browser, port=port, tell=click.echo))


@click.command()
@click.argument("stage", default="")
def refresh(stage: str) -> None:
    """Run what is stale at the desk: STAGE and all that it loads from, and nothing that is fresh.

    Each runs in a fresh kernel, and its outputs stand in the notebook afterwards. Without STAGE it lists what is stale.
    """
    from nbkit.desk import stages as desk

    root = find_root()
    if not stage:
        for row in desk.list_desk(root):
            mark = "!" if row["stale"] else "✓"
            click.echo(f"{mark} {row['stage']:<14} {row['saved']:<17} {row['where']:<32} {row['stale'] or 'fresh'}")
        return
    name, ran = desk.find_stage(root, stage), 0
    for record in desk.refresh(root, name, _tell):
        ran += 1
        _clear()
        mark = "✓" if record.status == "passed" else "✕"
        click.echo(f"{mark} {record.stage:<14} {record.seconds or 0:5.1f} s  {record.why}")
        if record.status != "passed":
            click.echo(f"  code cell {record.cell}: {record.message}")
            click.echo(f"\nNext: open notebooks/{record.stage}.ipynb, mend that cell, then: nbkit refresh {stage}")
            sys.exit(FAILED)
    click.echo(f"{name} is fresh" + ("; nothing had to run" if not ran else ""))


@click.command()
@click.argument("stages", nargs=-1)
def verify(stages: tuple[str, ...]) -> None:
    """Prove that the desk equals the batch: run STAGES (or all that ran at the desk) in fresh kernels and compare.

    It names cells that rest on hidden state (run out of order, changed since, names that no cell makes), inputs that
    were saved anew, and every value, table and picture that differs. The exit code is 3 if something does.
    """
    from nbkit.desk import stages as desk

    root = find_root()
    ran = [row["stage"] for row in desk.list_desk(root) if row["where"] == "desk"]
    names = [desk.find_stage(root, stage) for stage in stages] or ran
    if not names:
        click.echo("No stage has run at the desk: there is nothing to compare.")
    bad = False
    for name in names:
        rows = desk.verify(root, name, _tell)
        _clear()
        bad |= bool(rows)
        click.echo(f"{'✕' if rows else '✓'} {name}: " + ("not the same" if rows else "the desk equals a fresh kernel"))
        for row in rows:
            click.echo(f"    {row['what']}, {row['where']}: {row['message']}")
    sys.exit(NO if bad else 0)


def _tell(stage: str, number: int, total: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\033[K… {stage}: cell {number} of {total}", err=True, nl=False)


def _clear() -> None:
    if sys.stderr.isatty():
        click.echo("\r\033[K", err=True, nl=False)


COMMANDS = (lab, refresh, verify)
