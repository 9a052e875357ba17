"""A contract on disk: YAML that a person likes to edit, read strictly."""

import contextlib
import dataclasses
import json
import math
import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import YAMLError

from nbkit.contract import ColumnRule, Confirmation, Contract, TableRule, digest_terms
from nbkit.data.contract import SEVERITIES, TYPES
from nbkit.errors import BadContract
from nbkit.problem import LEAD
from nbkit.store import write_atomic
from nbkit.wording import suggest

PLAIN = re.compile(r"[^\W\d_]\w*([ ./-]?\w+)*")
UNCLEAR = ("yes", "no", "y", "n", "on", "off", "true", "false", "null")  # words that YAML may take for something else
MOMENTS = ("known", "event", "after", "target")
CHOICES = {"type": TYPES, "severity": SEVERITIES, "others": ("allow", *SEVERITIES)}
KINDS: dict[str, tuple[Any, str]] = {  # key: what it must be, and that in words
    "max_missing": ((int, float), "a share from 0 to 1"),
    **dict.fromkeys(("required", "unique", "personal"), (bool, "true or false")),
    **dict.fromkeys(("description", "unit", "available_at"), (str, "text")),
    "categories": (list, "a list"),
    "min_rows": (int, "a number of rows"),
    "keys": (list, "a list of columns"),
    "rules": (list, "a list of rules"),
    "columns": (dict, "names with their rules below"),
    "confirmed": (dict, "{by: a name, on: a date}"),
}
HEAD = Path(__file__).with_name("contract_head.txt")


class _Constructor(RoundTripConstructor):
    """Leaves dates as they are written."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node))


def read_contract(path: str | os.PathLike[str]) -> Contract:
    """Read a contract file.

    Parameters
    ----------
    path
        The YAML file.

    Raises
    ------
    BadContract
        If it cannot be read; names the line and the nearest known key.
    """
    file = Path(path)
    if not file.exists():
        near = suggest(file.name, sorted(each.name for each in file.parent.glob("*.contract.yaml")))
        raise BadContract(f"no contract {file.name}{near}; `nbkit contract infer` writes one")
    return _parse(file.read_bytes(), file.name)


def find_contract(path: Path) -> Contract | None:
    """Return the contract of a file, read once as long as it is not written again; None if it cannot be read."""
    with contextlib.suppress(BadContract, OSError):
        return _read_again(path, path.stat().st_mtime_ns)
    return None


@lru_cache(maxsize=8)
def _read_again(path: Path, changed: int) -> Contract:
    return _parse(path.read_bytes(), path.name)


def _parse(content: bytes, file: str) -> Contract:
    yaml = YAML()
    yaml.Constructor = _Constructor
    try:
        data = yaml.load(content.decode())
    except (YAMLError, UnicodeDecodeError) as error:
        raise BadContract(f"{file} is no YAML: {error}") from None
    if not isinstance(data, CommentedMap):
        raise BadContract(f"{file} holds no contract: it needs `columns:`")
    _check_fields(data, Contract, file, "a contract")
    named = data.get("columns") or CommentedMap()
    columns = tuple(_read_column(named, name, file) for name in named)
    rules = tuple(_read_rule(data["rules"], place, file) for place in range(len(data.get("rules") or [])))
    names = [rule.name for rule in columns]
    keys = tuple(str(key) for key in data.get("keys") or ())
    for key in keys:
        if key not in names:
            raise BadContract(f"{file}:{_line(data, 'keys')}: key {key!r} has no rule{suggest(key, names)}")
    rest = {key: _bare(data[key]) for key in ("min_rows", "others", "description") if data.get(key) is not None}
    return Contract(columns, rules, keys, **rest, confirmed=_read_confirmation(data, file))


def confirm_contract(path: str | os.PathLike[str], by: str, on: str) -> Contract:
    """Write into a contract file that a person stands by its terms; the rest of the file stays as it is.

    Parameters
    ----------
    path
        The YAML file.
    by
        Who has gone through it.
    on
        The date, as YYYY-MM-DD.

    Returns
    -------
    Contract
        As confirmed.

    Raises
    ------
    BadContract
        If the file cannot be read, or the name or date is none.
    """
    agreed = read_contract(path)
    if not by.strip():
        raise BadContract("nobody is named: say who confirms the contract with --by 'ANN LEE'")
    file = Path(path)
    kept = re.sub(r"^confirmed:.*\n(?:[ \t]+.*\n?)*", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    line = json.dumps({"by": by.strip(), "on": on, "digest": digest_terms(agreed)}, ensure_ascii=False)
    content = f"{kept.rstrip()}\n\nconfirmed: {line}\n".encode()
    confirmed = _parse(content, file.name)
    write_atomic(file, content)
    return confirmed


def spell_contract(contract: Contract) -> str:
    """Return the text of a contract file."""
    lines = [f"# {line}".rstrip() if line else "" for line in HEAD.read_text(encoding="utf-8").splitlines()]
    first = ("description",) if contract.description else ()
    lines += [f"{key}: {spell_value(getattr(contract, key))}" for key in (*first, "min_rows", "others", "keys")]
    lines += ["columns:" if contract.columns else "columns: {}"]
    for rule in contract.columns:
        given = _list_given(rule, ("type", "available_at"))
        del given["name"]
        lines += [f"  {spell_value(rule.name)}:", *(f"    {key}: {value}" for key, value in given.items()), ""]
    lines += ["rules:"] if contract.rules else []
    for condition in contract.rules:
        terms = [f"{key}: {value}" for key, value in _list_given(condition, ()).items()]
        lines += [f"- {terms[0]}", *(f"  {line}" for line in terms[1:])]
    if contract.confirmed:
        lines.append(f"confirmed: {spell_value(dataclasses.asdict(contract.confirmed))}")
    return "\n".join(lines).rstrip() + "\n"


def _list_given(rule: ColumnRule | TableRule, always: Sequence[str]) -> dict[str, str]:
    """List the fields of a rule that are not what they are when left out, as YAML."""
    fields = [one for one in dataclasses.fields(rule) if one.name in always or getattr(rule, one.name) != one.default]
    return {one.name: spell_value(getattr(rule, one.name)) for one in fields}


def spell_value(value: Any) -> str:
    """Write a value as YAML on one line, a long list on several.

    Examples
    --------
    >>> spell_value({"by": "time", "names": ["a b", "yes", "1", None, 0.5]})
    '{by: time, names: [a b, "yes", "1", null, 0.5]}'
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{spell_value(key)}: {spell_value(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        items = [spell_value(item) for item in value]
        return "[" + ",\n      ".join(", ".join(items[at : at + 8]) for at in range(0, len(items), 8)) + "]"
    if isinstance(value, str):
        if PLAIN.fullmatch(value) and value.isprintable() and value.casefold() not in UNCLEAR:
            return value
        quoted = json.dumps(value, ensure_ascii=False)
        return "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in quoted)
    if isinstance(value, float) and math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    return json.dumps(value)


def _line(data: Any, key: Any) -> int:
    try:
        return int(data.lc.key(key)[0]) + 1
    except (KeyError, AttributeError, TypeError):
        return int(data.lc.line) + 1


def _check_fields(data: CommentedMap, record: type, file: str, what: str) -> None:
    """Refuse a key that a record has not, and a value that cannot be its."""
    known = [one.name for one in dataclasses.fields(record) if (one.name, record) != ("name", ColumnRule)]
    for key, value in data.items():
        where = f"{file}:{_line(data, key)}"
        if key not in known:
            raise BadContract(f"{where}: {what} has no {str(key)!r}{suggest(key, known)}")
        if key in CHOICES and value not in CHOICES[key]:
            raise BadContract(f"{where}: {key} {value!r} is unknown{suggest(value, CHOICES[key])}")
        if value is None or key not in KINDS:  # nothing is as if it were left out
            continue
        kind, words = KINDS[key]
        odd = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
        if odd or (key == "max_missing" and not 0 <= value <= 1):
            raise BadContract(f"{where}: {key} must be {words}, not {value!r}")


def _read_column(named: CommentedMap, key: Any, file: str) -> ColumnRule:
    name, data = str(key), CommentedMap() if named[key] is None else named[key]
    if not isinstance(data, CommentedMap):
        raise BadContract(f"{file}:{_line(named, key)}: column {name!r} needs rules such as `type: number`")
    _check_fields(data, ColumnRule, file, f"column {name!r}")
    _check_range(data, name, file)
    moment = data.get("available_at", "known")
    if moment not in MOMENTS and not (moment[:1] == "-" and LEAD.fullmatch(moment[1:])):
        words = f"available_at {moment!r} is unknown{suggest(moment, (*MOMENTS, '-2h'))}"
        raise BadContract(f"{file}:{_line(data, 'available_at')}: {words}")
    return ColumnRule(name=name, **{str(each): _bare(value) for each, value in data.items() if value is not None})


def _bare(value: Any) -> Any:
    """Strip ruamel's own types."""
    plain = json.loads(json.dumps(value, default=str))
    return tuple(plain) if isinstance(plain, list) else plain


def _check_range(data: CommentedMap, name: str, file: str) -> None:
    kind = data.get("type", "text")
    wanted = (int, float) if kind in ("integer", "number") else str
    given = {key: data[key] for key in ("min", "max") if data.get(key) is not None}
    for key, bound in given.items():
        if not isinstance(bound, wanted) or isinstance(bound, bool):
            raise BadContract(f"{file}:{_line(data, key)}: {key} of {kind} column {name!r} cannot be {bound!r}")
        try:
            pd.Timestamp(bound) if kind == "datetime" else None
        except ValueError:
            raise BadContract(f"{file}:{_line(data, key)}: {key} {bound!r} is not a date") from None
    if len(given) == 2 and given["min"] > given["max"]:
        words = f"min {given['min']} of {name!r} is above max {given['max']}"
        raise BadContract(f"{file}:{_line(data, 'min')}: {words}")


def _read_rule(rules: Any, place: int, file: str) -> TableRule:
    data = rules[place]
    if not isinstance(data, CommentedMap) or not {"name", "expression"} <= set(data):
        line = _line(data, None) if isinstance(data, CommentedMap) else int(rules.lc.line) + 1
        raise BadContract(f"{file}:{line}: a rule needs a name and an expression")
    _check_fields(data, TableRule, file, f"rule {str(data['name'])!r}")
    return TableRule(**{key: str(value) for key, value in data.items() if value is not None})


def _read_confirmation(data: CommentedMap, file: str) -> Confirmation | None:
    if data.get("confirmed") is None:
        return None
    given = data["confirmed"]
    _check_fields(given, Confirmation, file, "a confirmation")
    by, on = str(given.get("by") or "").strip(), str(given.get("on") or "")
    if not by or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", on):
        raise BadContract(
            f"{file}:{_line(data, 'confirmed')}: a confirmation needs a name and a date, such as "
            "{by: Ann Lee, on: 2026-11-28}"
        )
    return Confirmation(by, on, str(given.get("digest") or ""))
