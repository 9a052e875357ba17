"""Prints the oldest versions that pyproject.toml allows, as constraints for pip; what they need in turn is free."""

import re
import tomllib
from pathlib import Path


def list_oldest():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    every = [project["dependencies"], *project["optional-dependencies"].values()]
    return sorted({re.sub(r"\[.*?\]", "", each).replace(">=", "==") for requirements in every for each in requirements})


if __name__ == "__main__":
    print("\n".join(list_oldest()))
