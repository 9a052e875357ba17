"""What the README says is there, and what is there is in the README."""

import re
from pathlib import Path

import click
import pytest

from nbkit.cli import main
from nbkit.pipeline import plan_run

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SPOKEN = re.findall(r"^(?:nbkit )([a-z]+)", README, flags=re.MULTILINE)


def test_every_command_is_in_the_readme_and_the_reverse():
    assert set(SPOKEN) == set(main.commands)


OTHERS = {"--set-formats", "--sync"}  # of jupytext


@pytest.mark.parametrize("option", sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) - OTHERS))
def test_every_option_of_the_readme_exists(option):
    commands = [each for top in main.commands.values() for each in getattr(top, "commands", {"": top}).values()]
    known = {name for each in commands for parameter in each.params for name in parameter.opts}
    assert option in known


def test_every_command_explains_itself():
    for name, command in main.commands.items():
        assert isinstance(command, click.Command)
        assert command.help, name


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:nbkit|notebooks|docs)/[\w./]+\.(?:py|png))`", README))))
def test_every_file_of_the_readme_exists(path):
    assert (ROOT / path).is_file()


def test_the_screenshot_is_there():
    assert (ROOT / re.search(r"\]\((docs/\S+)\)", README).group(1)).stat().st_size > 20_000


@pytest.mark.parametrize("target", re.findall(r"^make (\w+)", README, flags=re.MULTILINE))
def test_every_make_target_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("name", ["flights", "diabetes", "wine"])
def test_every_params_file_can_be_planned(name):
    plan = plan_run(ROOT, [ROOT / "params" / f"{name}.yaml", ROOT / "params" / "small.yaml"])
    assert len(plan.steps) == 10
