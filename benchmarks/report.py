"""The HTML report of a whole run, rendered from the shell."""

from benchmarks.harness import Options, Row, take_turns, time_nbkit
from benchmarks.projects import is_flagship, run_lifecycle


def measure(options: Options) -> list[Row]:
    """Measure ``nbkit report``."""
    folder, _ = run_lifecycle(options)
    cases = {"nbkit report": lambda: time_nbkit(folder.parents[1], "report", folder.name)}
    (row,) = take_turns("report", cases, options.rounds).values()
    return [Row(row.benchmark, row.case, row.values, at_most=5.0 if is_flagship(options) else None)]
