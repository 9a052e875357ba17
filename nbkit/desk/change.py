"""A value put into a params file from a widget: shown first, then written, with every comment kept."""

import contextlib
import difflib
import html
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml.error import YAMLError

from nbkit.desk.face import guard
from nbkit.errors import BadParameter
from nbkit.stages.notebooks import spell_stage
from nbkit.stages.params import SHARED, read_params
from nbkit.store import write_atomic

Value = tuple[Sequence[str], Any]  # where it stands (stage, key, perhaps a key within), and what it is to be


@dataclass(frozen=True)
class Change:
    """What a params file is to become.

    Attributes
    ----------
    path
        The file.
    before, after
        Its text now, and then.
    """

    path: Path
    before: str
    after: str

    @property
    def lines(self) -> str:
        """The lines that change, those that go with a minus, those that come with a plus."""
        parts = self.before.splitlines(), self.after.splitlines()
        found = list(difflib.unified_diff(*parts, n=0, lineterm=""))[2:]
        return "\n".join(line for line in found if not line.startswith("@@"))

    def write(self) -> str:
        """Write the file, and return what to do now.

        Raises
        ------
        BadParameter
            If somebody has changed the file meanwhile, or it is read-only.
        """
        target = self.path.resolve()  # a link stays one
        if target.read_bytes().decode() != self.before:
            raise BadParameter(f"{self.path.name} was changed meanwhile: ask again to see the lines that would change")
        mode = target.stat().st_mode
        if not (mode & 0o222 and os.access(target, os.W_OK)):
            raise BadParameter(f"{self.path.name} is read-only: make it writable, then say yes again")
        write_atomic(target, self.after.encode())
        target.chmod(mode)
        return (
            f"{self.path.name} is changed. `nbkit run {self.path.parent.name}/{self.path.name}` applies it (what it "
            "does not concern is taken over), then `nbkit refresh 07` brings the desk up to date."
        )


def find_params(files: Sequence[Path], stage: str, key: str) -> Path:
    """Return the params file that gives a parameter, the last one first; else the first file.

    Parameters
    ----------
    files
        Those of a run, as `nbkit.Run.files` lists them.
    stage, key
        The parameter.

    Raises
    ------
    BadParameter
        If there is no file.
    """
    there = [path for path in files if path.is_file()]
    if not there:
        raise BadParameter("no run says which params file is meant: `nbkit run params/NAME.yaml` first")
    return next((path for path in reversed(there) if read_given(path, stage, key) is not None), there[0])


def read_given(path: Path, stage: str, key: str) -> Any:
    """Return what a params file gives a stage for a parameter; None if nothing."""
    sections = (*spell_stage(stage), SHARED)
    return next((each.value for each in read_params(path) if each.key == key and each.section in sections), None)


def plan_change(path: Path, values: Sequence[Value]) -> Change:
    """Plan to put values into a params file; nothing but these values changes.

    Parameters
    ----------
    path
        The file.
    values
        Each: stage, key and perhaps a key within it; and the value.

    Raises
    ------
    BadParameter
        If the file is written in a way that keeps it from being changed here.
    """
    before = path.read_bytes().decode()
    ends = "\r\n" if 0 < before.count("\n") == before.count("\r\n") else "\n"
    text = before.replace(ends, "\n")
    for keys, value in values:
        way, was, now = (_name_section(text, keys), *keys[1:]), dict(_flatten(_yaml().load(text))), {}
        with contextlib.suppress(YAMLError):
            text = _put(text, list(way), value)
            now = dict(_flatten(_yaml().load(text)))
        others = [each for each in {**was, **now} if way[: len(each)] != each[: len(way)]]
        if any(was.get(each) != now.get(each) for each in others) or dict(_flatten(value, way)).items() - now.items():
            said = f"write {'.'.join(keys)}: {_flow(value)} into it"
            raise BadParameter(f"{path.name} cannot be changed from here: {said}")
    return Change(path, before, text.replace("\n", ends))


def make_asker(plan: Any) -> Any:
    """Return a widget that asks before a params file is changed.

    Parameters
    ----------
    plan
        A function that returns the `Change`; what it raises is shown.
    """
    import ipywidgets

    use, yes, no = (ipywidgets.Button(description=each) for each in ("Use this", "Change the file", "Leave it"))
    said, choice, planned = ipywidgets.HTML(), ipywidgets.HBox([yes, no]), list[Change]()

    def ask(*_: Any) -> None:
        choice.layout.visibility = "hidden"
        planned[:] = [plan()]
        head = f"<p role='status'>This would change {html.escape(planned[0].path.name)}:</p>"
        said.value = f"{head}<pre>{html.escape(planned[0].lines)}</pre>"
        choice.layout.visibility = "visible"

    def answer(button: Any) -> str | None:
        if choice.layout.visibility == "hidden":  # the second half of a double click
            return None
        words = planned[0].write() if button is yes else "Nothing was changed."
        choice.layout.visibility = "hidden"
        return words

    use.on_click(guard(said, ask))
    for button in (yes, no):
        button.on_click(guard(said, answer))
    choice.layout.visibility = "hidden"
    return ipywidgets.VBox([use, said, choice], layout=ipywidgets.Layout(height="13em", overflow="auto"))


def _yaml() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt")
    yaml.width = 10_000
    return yaml


def _flow(value: Any) -> str:
    """Write a value on one line of YAML."""
    out, yaml = io.StringIO(), _yaml()
    yaml.default_flow_style = True
    yaml.dump({"v": value}, out)
    return out.getvalue().strip()[len("{v: ") : -1]


def _name_section(text: str, keys: Sequence[str]) -> str:
    """Return the section that gives a key: the stage's, however it is called there, or `shared`."""
    held: Any = _yaml().load(text) or {}
    own = next((str(name) for name in held if str(name) in spell_stage(keys[0])), keys[0])
    inside = (name for name in (own, SHARED) if keys[1] in (held.get(name) or {}))
    return next(inside, own)


def _put(text: str, keys: list[str], value: Any) -> str:
    node: Any = _yaml().compose(text)
    holder: Any = None
    way = keys
    while way and node is not None and node.id == "mapping":
        found = next((pair for pair in node.value if pair[0].value == way[0]), None)
        if found is None:
            break
        (holder, node), way = found, way[1:]
    for key in reversed(way[1:] if way else []):
        value = {key: value}
    if not way:
        start, end = holder.end_mark.index + 1, _find_end(node)
        return f"{text[:start]} {_flow(value)}{text[max(end, start) :]}"
    if holder is None:  # a section more
        return f"{text.rstrip()}\n\n{way[0]}:\n" + "".join(f"  {k}: {_flow(v)}\n" for k, v in value.items())
    entry, inside = f"{_flow(way[0])}: {_flow(value)}", node.id == "mapping"
    if inside and node.flow_style:
        end = node.end_mark.index - 1
        return f"{text[:end].rstrip()}{', ' if node.value else ''}{entry}{text[end:]}"
    indent = node.start_mark.column if inside else holder.start_mark.column + 2
    end = text.find("\n", _find_end(node) if inside else holder.end_mark.index)
    end = len(text) if end < 0 else end
    return f"{text[:end]}\n{' ' * indent}{entry}{text[end:] or chr(10)}"


def _flatten(value: Any, way: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each value that is no mapping, written out, with the keys that lead to it."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield from _flatten(inner, (*way, str(key)))
    if not isinstance(value, dict):
        yield way, _flow(value)


def _find_end(node: Any) -> int:
    """Return where what a node says ends, before comments and blank lines."""
    if node.id == "scalar" or node.flow_style:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _find_end(last[1] if isinstance(last, tuple) else last)
