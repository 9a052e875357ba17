"""nbkit params, report."""

import json
import sys
from pathlib import Path

import click

from nbkit.project import find_notebooks, find_root
from nbkit.wording import suggest


@click.command()
@click.argument("stage", default="")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def params(stage: str, as_json: bool) -> None:  # noqa: FBT001
    """Show every parameter of a STAGE (or of all): type, default, meaning, what is allowed."""
    from nbkit.errors import UnknownStage
    from nbkit.stages.notebooks import read_stages
    from nbkit.stages.params import LIMITS

    stages = read_stages(find_notebooks(find_root()))
    chosen = [each for each in stages.values() if stage in ("", each.name, each.name[:2], each.name[3:])]
    if not chosen:
        raise UnknownStage(f"no stage is called {stage!r}{suggest(stage, stages)}")
    rows = {each.name: list(each.parameters.values()) for each in chosen}
    if as_json:
        shown = {
            name: [
                {"name": p.name, "type": p.annotation, "default": p.default, "meaning": p.meaning, "allowed": p.allowed}
                for p in parameters
            ]
            for name, parameters in rows.items()
        }
        click.echo(json.dumps(shown, indent=1, ensure_ascii=False))
        return
    for name, parameters in rows.items():
        click.secho(name, bold=True)
        for each in parameters:
            allowed = f" [{each.allowed}]" if each.allowed else ""
            click.echo(f"  {each.name}: {each.annotation} = {each.default!r}")
            click.echo(f"      {each.meaning}{allowed}")
    click.secho("how it is executed (any section; in `shared` for all)", bold=True)
    for each in LIMITS.values():
        if all(each.name in stage.parameters for stage in chosen):
            continue  # shown above
        click.echo(f"  {each.name}: {each.annotation} = {each.default!r}")
        click.echo(f"      {each.meaning} [{each.allowed}]")


@click.command()
@click.argument("name", metavar="[RUN]", default="")
def report(name: str) -> None:
    """Write the HTML report of a RUN or a sweep again (the latest run if none is named) and print where it is."""
    from nbkit.pipeline import find_run
    from nbkit.report import write_report, write_sweep_report
    from nbkit.sweep import find_sweep

    swept = find_sweep(find_root(), name)
    page: Path | None = write_sweep_report(swept) if swept else write_report(find_run(find_root(), name))
    click.echo(page)
    sys.exit(0 if page else 1)


COMMANDS = (params, report)
