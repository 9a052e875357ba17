"""Params files, read strictly: names, types and ranges are checked against the notebooks before a kernel starts."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nbkit.errors import BadParameter, UnknownParameter
from nbkit.stages.notebooks import Parameter, Stage, spell_stage
from nbkit.threads import count_cores
from nbkit.wording import clip, shorten, suggest

SHARED = "shared"
DATE = "tag:yaml.org,2002:timestamp"
GIVEN = "run_dir"  # the runner gives it
LONG = 120  # characters of a setting that a message repeats
LIMITS = {  # how a stage is executed; keys of any section, in `shared` for all stages
    "cell_timeout": Parameter("cell_timeout", "float", 3600, "seconds that one cell may take, 0 = no limit", low=0),
    "stage_timeout": Parameter("stage_timeout", "float", 7200, "seconds that a stage may take, 0 = no limit", low=0),
    "memory_gb": Parameter("memory_gb", "float", 0, "memory that a kernel may hold, 0 = no limit", low=0),
    "threads": Parameter("threads", "int", 0, "threads that a stage computes with, 0 = one a core", low=0, high=1024),
    "use": Parameter("use", "list[str]", [], "modules of the project that are imported first: metrics, gates, readers"),
    "retries": Parameter("retries", "int", 0, "how often a failed stage is tried again", low=0, high=100),
}


@dataclass(frozen=True)
class Entry:
    """One value of a params file or of ``--set`` and where it stands."""

    section: str
    key: str
    value: Any
    place: str


@dataclass(frozen=True)
class Resolved:
    """What every stage is given.

    Attributes
    ----------
    project
        The stem of the first params file.
    files
        The params files, in order.
    values
        Stage to its parameters, defaults included, without ``run_dir``.
    limits
        Stage to its values of `LIMITS`; ``threads`` is the number that it will be, ``use`` those of ``shared`` as well.
    places
        ``STAGE.KEY`` to the file and line that give it; what is left at its default is not in it.
    """

    project: str
    files: tuple[Path, ...]
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    limits: dict[str, dict[str, Any]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)


def resolve_params(files: Sequence[Path], settings: Iterable[str], stages: dict[str, Stage]) -> Resolved:
    """Read params files and settings; later ones override, key by key.

    Parameters
    ----------
    files
        YAML 1.2 files of two levels: a section ``shared`` or a stage, then its keys.
    settings
        ``STAGE.KEY=VALUE`` or ``shared.KEY=VALUE``, the value as in YAML.
    stages
        What the notebooks declare.

    Raises
    ------
    UnknownParameter
        For a section or key that no notebook declares; with the place and the nearest known name.
    BadParameter
        For a value of the wrong type or outside its range, or a file that cannot be read.
    """
    entries = [entry for path in files for entry in read_params(path)]
    _check_names(entries)
    entries += [read_setting(text) for text in settings]
    shared: dict[str, Any] = {}
    own: dict[str, dict[str, Any]] = {name: {} for name in stages}
    stood: dict[str, str] = {}
    for entry in [_name_section(entry, stages) for entry in entries]:
        target = shared if entry.section == SHARED else own[_known(entry.section, [SHARED, *stages], entry, "section")]
        target[entry.key] = _check_entry(entry, stages)
        stood[f"{entry.section}.{entry.key}"] = entry.place
    values, limits = {}, {}
    for name, stage in stages.items():
        given = {**shared, **own[name]}
        values[name] = {
            key: given.get(key, parameter.default) for key, parameter in stage.parameters.items() if key != GIVEN
        }
        limits[name] = {key: given.get(key, parameter.default) for key, parameter in LIMITS.items()}
        limits[name]["threads"] = limits[name]["threads"] or count_cores()
        limits[name]["use"] = list(dict.fromkeys([*shared.get("use", []), *own[name].get("use", [])]))
    keys = [(name, key) for name in stages for key in (*values[name], "use")]
    found = {f"{name}.{key}": stood.get(f"{name}.{key}") or stood.get(f"{SHARED}.{key}", "") for name, key in keys}
    places = {key: place for key, place in found.items() if place}
    return Resolved(files[0].stem if files else "run", tuple(files), values, limits, places)


def _check_names(entries: list[Entry]) -> None:
    """Refuse files of two projects: whatever the later one changed would be learned under its name alone."""
    named = [entry for entry in entries if (entry.section, entry.key) == (SHARED, "name")]
    if other := [entry for entry in named if entry.value != named[0].value]:
        raise BadParameter(
            f"{other[0].place}: name is {other[0].value!r} here and {named[0].value!r} in {named[0].place}: these are "
            "two projects, to be run one by one; a file that only overrides has no name (--set shared.name=… renames)"
        )


def read_params(path: Path) -> Iterator[Entry]:
    """Yield each value of a params file with its file and line.

    Raises
    ------
    BadParameter
        If the file is missing, is no YAML, gives a key twice, or is not two levels deep.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        beside = [str(each) for each in sorted(path.parent.glob("*.y*ml"))]
        raise BadParameter(f"there is no params file {path}{suggest(path, beside)}") from None
    except IsADirectoryError:
        inside = ", ".join(str(each) for each in sorted(path.glob("*.y*ml"))) or "none"
        raise BadParameter(f"{path} cannot be read as a params file, it is a folder; those in it: {inside}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadParameter(f"{path} cannot be read: {error}") from None
    content = _parse_yaml(text, str(path))
    for section, keys in _mapping(content, f"{path}:1", "a params file").items():
        place = _place(path, content, section)
        for key, value in _mapping(keys, place, f"section {section}").items():
            yield Entry(str(section), str(key), _plain(value), _place(path, keys, key))


def _place(path: Path, mapping: Any, key: Any) -> str:
    known = mapping.lc.data or {}  # a key that `<<` merges in stands elsewhere
    return f"{path}:{(known[key][0] if key in known else mapping.lc.line) + 1}"


def _mapping(value: Any, place: str, what: str) -> Any:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadParameter(f"{place}: {what} holds `key: value` lines, not {_plain(value)!r}")
    return value


def _parse_yaml(text: str, place: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import RoundTripConstructor
    from ruamel.yaml.error import YAMLError

    class Reader(RoundTripConstructor):
        """YAML 1.2 in which dates stay strings."""

    Reader.add_constructor(DATE, Reader.construct_scalar)
    yaml = YAML(typ="rt")
    yaml.Constructor = Reader
    try:
        return yaml.load(text)
    except (YAMLError, ValueError, RecursionError) as error:  # also a number of 5,000 digits, and [[[[…
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        line = f":{mark.line + 1}" if mark else ""
        said = re.sub(r"\s+", " ", str(problem or getattr(error, "context", None) or error)).strip()
        raise BadParameter(f"{place}{line}: this is not YAML: {said}") from None


def _plain(value: Any) -> Any:
    """Turn what the YAML reader gives into builtin types."""
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return bool(value) if type(value).__name__ == "ScalarBoolean" else value


def read_setting(text: str, option: str = "--set") -> Entry:
    """Read ``STAGE.KEY=VALUE``, the value as in YAML; `BadParameter` if it is not written so.

    Examples
    --------
    >>> read_setting("06_train.trials=10").value
    10
    """
    target, equals, value = text.partition("=")
    section, dot, key = target.strip().partition(".")
    place = f"{option} {clip(text, LONG)}"
    if not (equals and dot and key):
        raise BadParameter(f"{place}: write it as STAGE.KEY=VALUE, such as {option} 06_train.trials=10")
    return Entry(section, key, _plain(_parse_yaml(value, place)) if value.strip() else "", place)


def _name_section(entry: Entry, stages: dict[str, Stage]) -> Entry:
    """Call a section by its stage's whole name, also where its number or its word stands."""
    found = [name for name in stages if entry.section in spell_stage(name)]
    return replace(entry, section=found[0]) if len(found) == 1 else entry


def _check_entry(entry: Entry, stages: dict[str, Stage]) -> Any:
    """Check a value against every notebook that gets it, and return it with the type they declare."""
    if entry.section == SHARED:
        among = [stage.parameters for stage in stages.values()]
    else:
        among = [stages[_known(entry.section, [SHARED, *stages], entry, "section")].parameters]
    declared = {key for parameters in [*among, LIMITS] for key in parameters} - {GIVEN}
    key, dot, inner = entry.key.partition(".")
    if dot and key in declared:
        raise BadParameter(
            f"{entry.place}: {key} is one value, so {inner} cannot be set alone: give it whole, in a file or as "
            f"--set '{entry.section}.{key}={{…}}'"
        )
    _known(entry.key, sorted(declared), entry, f"key of {entry.section}")
    for parameters in [*among, LIMITS]:
        if entry.key in parameters:
            value = check_value(entry.value, parameters[entry.key], entry.place)
    return value


def _known(name: str, known: list[str], entry: Entry, what: str) -> str:
    if name in known:
        return name
    raise UnknownParameter(f"{entry.place}: no {what} is called {name!r}{suggest(name, known, most=40)}")


def check_value(value: Any, parameter: Parameter, place: str) -> Any:
    """Check one value against what its notebook declares, and return it; an int is made a float where one is declared.

    Raises
    ------
    BadParameter
        With the place, the value, and what is allowed.

    Examples
    --------
    >>> check_value(1, Parameter("share", "float", 0.2, low=0, high=1), "params.yaml:3")
    1.0
    """
    import msgspec

    try:
        value = msgspec.convert(value, _read_annotation(parameter.annotation, place), strict=True)
    except msgspec.ValidationError as error:
        if said := _describe_demand(value, parameter):
            raise BadParameter(f"{place}: {said}") from None
        wrong = f"{shorten(value, LONG)} is not of type {parameter.annotation} ({error})"
        raise BadParameter(f"{place}: {parameter.name} = {wrong}: {_explain(parameter)}") from None
    items = value if isinstance(value, list) else list(value) if isinstance(value, dict) else [value]
    outside = [clip(repr(item), LONG) for item in items if not _is_allowed(item, parameter)]
    if outside:
        raise BadParameter(f"{place}: {parameter.name} = {outside[0]} is not allowed: {_explain(parameter)}")
    return value


def _describe_demand(value: Any, parameter: Parameter) -> str:
    """Describe how a bare number among the criteria is written; empty if that is not what is wrong."""
    for key, item in value.items() if parameter.name == "criteria" and isinstance(value, dict) else ():
        if isinstance(item, int | float) and not isinstance(item, bool):
            return f'{parameter.name}: {key}: {item!r} says no side: write {key}: ">= {item!r}" or {key}: "<= {item!r}"'
    return ""


def _is_allowed(item: Any, parameter: Parameter) -> bool:
    if item is None:
        return True
    if parameter.choices:
        return str(item) in parameter.choices
    if not isinstance(item, int | float) or isinstance(item, bool):
        return True
    if isinstance(item, float) and not math.isfinite(item):
        return parameter.low is None and parameter.high is None
    above = parameter.low is None or item > parameter.low or (parameter.closed[0] and item == parameter.low)
    below = parameter.high is None or item < parameter.high or (parameter.closed[1] and item == parameter.high)
    return above and below


def _explain(parameter: Parameter) -> str:
    allowed = f", {parameter.allowed}" if parameter.allowed else ""
    meaning = f" ({parameter.meaning})" if parameter.meaning else ""
    return f"it must be of type {parameter.annotation}{allowed}{meaning}"


def _read_annotation(annotation: str, place: str) -> Any:
    names: dict[str, Any] = {each.__name__: each for each in (str, int, float, bool, list, dict, object)}
    try:
        return Any if annotation == "object" else eval(annotation, {"__builtins__": {}}, names)  # noqa: S307 - names of types from the project's notebook
    except Exception:
        raise BadParameter(
            f"{place}: the notebook annotates it as {annotation!r}; use {', '.join(names)}, such as `list[str]`"
        ) from None
