"""nbkit params, report."""

import json
import sys
from pathlib import Path

import click

from nbkit.cli.run import print_table
from nbkit.project import find_notebooks, find_root


@click.command()
@click.argument("stage", default="")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def params(stage: str, as_json: bool) -> None:  # noqa: FBT001
    """Show every parameter of a STAGE (or of all): type, default, meaning, what is allowed."""
    from nbkit.stages.notebooks import match_stage, read_stages
    from nbkit.stages.params import LIMITS

    stages = read_stages(find_notebooks(find_root()))
    chosen = [stages[match_stage(stage, stages)]] if stage else list(stages.values())
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
@click.option("--single-file", "form", flag_value="html", help="One HTML file with all pages, to be mailed.")
@click.option("--zip", "form", flag_value="zip", help="The pages in a zip; every link in them resolves.")
@click.option("--pdf", "form", flag_value="pdf", help="All pages as a PDF, printed by the Chromium or Chrome here.")
@click.option("-o", "target", type=click.Path(path_type=Path), help="Where to; by default RUN.html, .zip or .pdf here.")
@click.option("--open", "opened", is_flag=True, help="Open what was written.")
def report(name: str, form: str | None, target: Path | None, opened: bool) -> None:  # noqa: FBT001
    """Write the HTML report of a RUN or a sweep again (the latest run if none is named) and print where it is."""
    import webbrowser

    from nbkit.pipeline import find_run
    from nbkit.report import find_browser, read_overview, send_report, write_report, write_sweep_report
    from nbkit.sweep import find_sweep

    if target and not form:
        raise click.UsageError("-o goes with --single-file, --zip or --pdf: the pages themselves lie beside the run")
    if form == "pdf" and not find_browser():
        raise click.ClickException("no Chromium or Chrome is installed here to print with; --single-file needs none")
    swept = find_sweep(find_root(), name)
    page: Path | None = write_sweep_report(swept) if swept else write_report(find_run(find_root(), name))
    if page and form:
        page = send_report(page.parent, form, target)
    click.echo(page)
    if page and form and not swept:
        click.echo(f"before it is sent: {read_overview(find_run(find_root(), name)).audience}", err=True)
    if page and opened:
        webbrowser.open(page.resolve().as_uri())
    sys.exit(0 if page else 1)


@click.command()
@click.argument("name", metavar="[RUN | NAME@VERSION]", default="")
@click.option("--data", default="", metavar="DIGEST", help="List what rests on data with this sha256 or its beginning.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.option("--registry", "place", default="registry", help="Folder (from the project's root) or URL.")
def lineage(name: str, data: str, as_json: bool, place: str) -> None:  # noqa: FBT001
    """Show what a version or a run was made of, step by step; with --data, what was made of some data."""
    from dataclasses import asdict
    from functools import partial

    from nbkit import report
    from nbkit.pipeline import find_run
    from nbkit.registry import Registry

    root = find_root()
    if bool(data) == bool(name):
        raise click.UsageError("name a RUN or NAME@VERSION, or give --data DIGEST, one of them")
    if data:
        rows = report.trace_data(root, data)
        shown = [row | {key: ", ".join(row[key]) for key in ("through", "windows")} for row in rows]
    else:
        registry = partial(Registry, place if "://" in place else str(root / place), create=False)
        folder = report.find_source(root, registry().get(name)) if "@" in name else find_run(root, name)
        steps = report.read_lineage(folder)
    if as_json:
        click.echo(json.dumps(rows if data else list(map(asdict, steps)), indent=1, ensure_ascii=False))
    elif data:
        print_table(shown, ["run", "version", "through", "windows"])
    else:
        click.echo(report.write_lineage(steps))


@click.command()
@click.option("-o", "target", type=click.Path(path_type=Path, file_okay=False), help="Copy the reports there, too.")
def site(target: Path | None) -> None:
    """Write one searchable page over the runs, versions and windows of a project: runs/index.html, or into a folder."""
    from nbkit.desk import read_twins
    from nbkit.report import write_site

    root = find_root()
    click.echo(write_site(root, target, read_twins(root)))


COMMANDS = (params, report, lineage, site)
