"""Eight points of 06 on one worker and on two."""

import itertools

from benchmarks.harness import Options, Row, Skip, compare, take_turns, time_nbkit
from benchmarks.projects import is_flagship, name_params, run_lifecycle
from nbkit.cli import main

POINTS = 8


def measure(options: Options) -> list[Row]:
    """Measure both in turn; every point has a parameter of its own, so that none has been computed before."""
    if "sweep" not in main.commands:
        raise Skip("there is no command `nbkit sweep`")
    root = run_lifecycle(options)[0].parents[1]
    samples, names = itertools.count(10**7), itertools.count()  # of more rows than there are: all of them

    def sweep(workers: int) -> float:
        grid = ",".join(str(next(samples)) for _ in range(POINTS))
        words = [*name_params(options), "--grid", f"06_train.sample={grid}", "--until", "06_train", "--threads", "1"]
        return time_nbkit(root, "sweep", *words, "--workers", str(workers), "--name", f"sweep{next(names)}")

    cases = {"one worker": lambda: sweep(1), "two workers": lambda: sweep(2)}
    one, two = take_turns("sweep", cases, options.rounds).values()
    return [two, compare(one, two, at_least=1.8 if is_flagship(options) else None)]
