"""nbkit warm."""

import time
from pathlib import Path

import click

from nbkit.project import find_notebooks, find_root
from nbkit.wording import say_count


@click.command()
@click.option(
    "--idle",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    metavar="MINUTES",
    help="How long it stays up unused.",
)
@click.option("--stop", is_flag=True, help="End all servers as soon as their kernels have ended.")
@click.option("--status", is_flag=True, help="Show the servers that are up.")
def warm(idle: float, stop: bool, status: bool) -> None:  # noqa: FBT001
    """Keep a process ready that has imported what the notebooks import, so that kernels start in no time.

    Every run has one for itself while it lasts; this one serves the next runs, `papermill -k nbkit` and the kernel
    nbkit in JupyterLab as well. It never serves outdated code: it holds no module of the project, and another takes
    its place when a package or an environment variable changed.
    """
    from nbkit import kernels

    if stop:
        click.echo(f"{say_count(kernels.stop_servers(), 'fork server')} told to end")
        return
    if not status:
        _start(idle)
    found = list(kernels.find_servers())
    for _, facts in found:
        click.echo(
            f"fork server {facts['pid']} of {facts['python']}, up {facts['up']:.0f} s: "
            f"{say_count(len(facts['kernels']), 'kernel')}, ends after {facts['idle'] / 60:g} min without one"
        )
        for module, why in facts["skipped"].items():
            click.echo(f"  not imported: {module} ({why})")
    if not found:
        click.echo("no fork server is up: `nbkit warm` starts one")


def _start(idle: float) -> None:
    """Start a server that stays, and wait until it has imported everything."""
    from nbkit import kernels
    from nbkit.errors import NoWarmKernel

    root = find_root()
    notebooks = sorted(Path(find_notebooks(root)).glob("[0-9][0-9]*_*.ipynb"))
    lease = kernels.start_server(notebooks, root, kernels.make_environment(), idle=idle * 60)
    if lease is None:
        raise NoWarmKernel("kernels cannot be forked here (no fork, or NBKIT_WARM=0): they start the ordinary way")
    with lease:
        while (facts := dict(kernels.find_servers()).get(lease.place)) is not None and facts["waiting"]:
            time.sleep(0.1)


COMMANDS = (warm,)
