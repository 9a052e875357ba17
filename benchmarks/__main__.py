"""Runs benchmarks, prints their rows with limits, and writes them as JSON."""

import importlib
import json
import pkgutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

import benchmarks
from benchmarks import truth
from benchmarks.harness import ROOT, Options, Row, Skip, describe_machine, watch_others

ORDER = ("pipeline", "kernels", "memory", "overhead", "noop", "changed", "report", "sweep", "groups", "explain")
COLUMNS = ("benchmark", "case", "median", "ratio", "limit", "others")


def find_benchmarks() -> dict[str, Any]:
    """Return the benchmarks, by the name of their file."""
    names = [each.name for each in pkgutil.iter_modules(benchmarks.__path__) if not each.name.startswith("_")]
    modules = {name: importlib.import_module(f"benchmarks.{name}") for name in sorted(names, key=_rank)}
    return {name: module for name, module in modules.items() if hasattr(module, "measure")}


def _rank(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)


@click.command()
@click.argument("names", nargs=-1)
@click.option("--rounds", default=3, show_default=True, help="How often each case is measured.")
@click.option(
    "--params", multiple=True, type=click.Path(path_type=Path), default=[ROOT / "params" / "flights.yaml"],
    help="What the lifecycle runs on; the limits are those of flights.yaml, which takes minutes.",
)  # fmt: skip
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write machine and rows here.")
@click.option("--read", type=click.Path(path_type=Path), help="Measure nothing; show what was written there.")
@click.option("--markdown", is_flag=True, help="Print a table for the README.")
def main(names: tuple[str, ...], rounds: int, params: tuple[Path, ...], file: Path, read: Path, markdown: bool) -> None:  # noqa: FBT001
    """Run the benchmarks of these NAMES, or all; the exit code is 1 if a limit is not kept.

    `truth` simulates how often what nbkit says is wrong, `truth drift slices` only these subjects: minutes to an hour.
    """
    if names[:1] == ("truth",):
        sys.exit(simulate_truth(names[1:], file))
    if read:
        found = json.loads(read.read_text())
    else:
        found = {"machine": describe_machine(), "params": [path.name for path in params], "rounds": rounds}
        found["rows"] = measure(names, rounds, params)
    if file:
        file.write_text(json.dumps(found, indent=1, ensure_ascii=False))
    lines = [show_row(row) for row in found["rows"]]
    click.echo(write_markdown(found, lines) if markdown else write_table(found, lines))
    sys.exit(int(not all(row["holds"] for row in found["rows"])))


def simulate_truth(subjects: tuple[str, ...], file: Path | None) -> int:
    """Print what simulations found as a table; return 1 if a limit is not kept."""
    if unknown := set(subjects) - set(truth.list_subjects()):
        known = ", ".join(truth.list_subjects())
        raise click.UsageError(f"nothing is simulated on {', '.join(sorted(unknown))}; there are {known}")
    rows = []
    for row in truth.simulate(subjects):
        rows.append(row)
        click.echo(f"{row['subject']}: {row['what']}: {row['measured']:.3g}", err=True)
    if file:
        file.write_text(json.dumps(rows, indent=1, ensure_ascii=False, default=float))
    click.echo(truth.write_table(rows))
    return int(not all(row["holds"] for row in rows))


def measure(names: tuple[str, ...], rounds: int, params: tuple[Path, ...]) -> list[dict[str, Any]]:
    """Run benchmarks and return their rows."""
    known, rows = find_benchmarks(), []
    if unknown := set(names) - set(known):
        raise click.UsageError(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    with tempfile.TemporaryDirectory(prefix="nbkit-benchmark-") as shared:
        for name in names or known:
            click.echo(f"{name}: {known[name].__doc__.splitlines()[0]}", err=True)
            lifecycle = "run_lifecycle" in vars(known[name])
            folder = Path(shared) / ("lifecycle" if lifecycle else name)
            folder.mkdir(exist_ok=True)
            try:
                with watch_others() as seen:
                    taken: list[Row] = known[name].measure(Options(folder, rounds, tuple(params)))
            except Skip as reason:
                click.echo(f"  skipped: {reason}", err=True)
                continue
            rows += [row.as_dict() | seen for row in taken]
    return rows


def show_row(row: dict[str, Any]) -> dict[str, str]:
    """Write a row in words."""
    limits = {"≤": row["at_most"], "≥": row["at_least"]}
    unit = "×" if row["peer"] else f" {row['unit']}"
    limit = "".join(f"{sign} {value:g}{unit}" for sign, value in limits.items() if value is not None)
    return {
        "benchmark": row["benchmark"],
        "case": row["case"],
        "median": f"{row['median']:.2f} {row['unit']}" if row["unit"] == "s" else f"{row['median']:.0f} {row['unit']}",
        "ratio": f"{row['ratio']:.2f}× {row['peer']}" if row["peer"] else "",
        "limit": limit + ("" if row["holds"] else " (not kept)"),
        "others": f"{row['others']:.0%}",
    }


def say_machine(found: dict[str, Any]) -> str:
    """Say what the numbers were measured on."""
    machine = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']:g} GB, Python {machine['python']}, "
        f"{versions}; medians of {found['rounds']}, cases taking turns; lifecycle: {', '.join(found['params'])}; "
        "others: the share of the machine that other processes used meanwhile"
    )


def write_table(found: dict[str, Any], lines: list[dict[str, str]]) -> str:
    """Write rows for a terminal."""
    shown = [dict(zip(COLUMNS, COLUMNS, strict=True)), *lines]
    widths = {column: max(len(line[column]) for line in shown) for column in COLUMNS}
    rows = ["  ".join(line[column].ljust(widths[column]) for column in COLUMNS).rstrip() for line in shown]
    return "\n".join([*rows, "", say_machine(found)])


def write_markdown(found: dict[str, Any], lines: list[dict[str, str]]) -> str:
    """Write rows for the README."""
    head = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    rows = [f"| {' | '.join(line[column] for column in COLUMNS)} |" for line in lines]
    return "\n".join([*head, *rows, "", f"{say_machine(found)}."])


if __name__ == "__main__":
    main()
