"""What benchmarks run: six small notebooks that hand a value on, and the eleven notebooks on real data."""

import json
import shutil
import sys
from functools import cache
from pathlib import Path

from benchmarks.harness import ROOT, Options, time_nbkit

SPEC = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
IMPORTS = "import pandas as pd\nimport sklearn.ensemble"
PARAMETERS = 'run_dir: str = "."  # folder of this run\nx: int = 1  # a number'
ADD = "value = int(pd.Series([value, 1]).sum())"
OURS = (
    "import nbkit\n\nrun = nbkit.Run(run_dir)",
    'value = run.load("{before}", "value")',
    'run.save("value", value)\nrun.save("headline", f"The value is {{value}}.")',
)
SCRAPBOOK = (
    "import scrapbook as sb",
    'value = sb.read_notebook(run_dir + "/{before}.ipynb").scraps["value"].data',
    'sb.glue("value", value)\nsb.glue("headline", f"The value is {{value}}.")',
)


def lay_project(root: Path, stages: int = 6, *, style: tuple[str, str, str] = OURS, last: str = "") -> Path:
    """Write a project of small notebooks: each imports pandas and scikit-learn, loads a value, adds one and saves it.

    Parameters
    ----------
    root
        Where to; made if need be.
    stages
        How many.
    style
        How a notebook begins, loads and saves: `OURS` or `SCRAPBOOK`.
    last
        A further cell.

    Returns
    -------
    Path
        The params file.
    """
    for folder in ("params", "notebooks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    begin, load, save = style
    for number in range(1, stages + 1):
        taken = load.format(before=name_stage(number - 1)) if number > 1 else "value = x"
        cells = [PARAMETERS, f"{IMPORTS}\n{begin}", taken, ADD, save.format(), *([last] if last else [])]
        write_notebook(root / "notebooks" / f"{name_stage(number)}.ipynb", cells)
    params = root / "params" / "toy.yaml"
    params.write_text("shared: {x: 2}\n")
    return params


def lay_ploomber(root: Path, stages: int = 6) -> None:
    """Write the same as a ploomber pipeline."""
    (root / "notebooks").mkdir(parents=True)
    tasks = []
    for number in range(1, stages + 1):
        name, before = name_stage(number), name_stage(number - 1)
        taken = f'value = json.loads(Path(upstream["{before}"]["value"]).read_text())' if number > 1 else "value = 2"
        needs = f"upstream = {[before] if number > 1 else None}\nproduct = None"
        save = 'Path(product["value"]).write_text(json.dumps(value))'
        begin = f"import json\nfrom pathlib import Path\n{IMPORTS}"
        write_notebook(root / "notebooks" / f"{name}.ipynb", [needs, begin, taken, ADD, save])
        product = f"{{nb: out/{name}.ipynb, value: out/{name}.json}}"
        tasks.append(f"  - {{source: notebooks/{name}.ipynb, name: {name}, product: {product}}}")
    (root / "pipeline.yaml").write_text("\n".join(["tasks:", *tasks, ""]))


def name_stage(number: int) -> str:
    """Return the name of a small notebook."""
    return f"{number:02}_step"


def write_notebook(path: Path, cells: list[str]) -> None:
    """Write a notebook of code cells, the first of which holds the parameters."""
    content = [
        {"cell_type": "code", "id": f"c{place}", "metadata": {"tags": [] if place else ["parameters"]},
         "source": source, "outputs": [], "execution_count": None}
        for place, source in enumerate(cells)
    ]  # fmt: skip
    path.write_text(json.dumps({"cells": content, "metadata": SPEC, "nbformat": 4, "nbformat_minor": 5}))


def write_script(path: Path, stages: int = 6) -> list[str]:
    """Write the same work as one script, and return its command."""
    step = (
        f"value = json.loads(Path('value.json').read_text())\n{ADD}\nPath('value.json').write_text(json.dumps(value))"
    )
    lines = ["import json", "from pathlib import Path", IMPORTS, "Path('value.json').write_text('2')", *[step] * stages]
    path.write_text("\n".join(lines))
    return [sys.executable, str(path)]


@cache
def run_lifecycle(options: Options) -> tuple[Path, float]:
    """Run the eleven notebooks' first ten on real data in a project of their own, once for all benchmarks.

    Returns
    -------
    tuple
        The run folder, and the wall time of ``nbkit run`` from the shell.
    """
    root = options.folder
    for part in ("notebooks", "params"):
        shutil.copytree(ROOT / part, root / part, dirs_exist_ok=True)
    seconds = time_nbkit(root, "run", *name_params(options), "--name", "first")
    return root / "runs" / "first", seconds


def name_params(options: Options) -> list[str]:
    """Return the params files as seen from the project."""
    return [str(path.resolve().relative_to(ROOT)) for path in options.params]


def is_flagship(options: Options) -> bool:
    """Tell whether the limits count: they are stated for the whole flagship."""
    return name_params(options) == ["params/flights.yaml"]
