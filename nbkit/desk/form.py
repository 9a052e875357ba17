"""The parameters of the stages as fields of a form: typed, explained, and held against the params files."""

import html
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbkit.desk.parts import label
from nbkit.stages import Parameter, Stage, resolve_params
from nbkit.stages.params import GIVEN, LONG, SHARED, check_value, read_params, read_setting
from nbkit.wording import clip

WIDE = 60  # characters above which a value is shown in several lines


class Form:
    """What the params files give the stages, and what a person changes.

    Parameters
    ----------
    files
        The params files, in order.
    stages
        Those that a run has, by name.

    Attributes
    ----------
    sections
        Section (``shared`` or a stage) to its parameters. What the files give several stages at once stands in
        ``shared``.
    given
        ``STAGE.KEY`` to what the files give.
    fields
        ``STAGE.KEY`` to the widget, of the sections that were opened.

    Raises
    ------
    NbkitError
        As `resolve_params`.
    """

    def __init__(self, files: Sequence[Path], stages: Mapping[str, Stage]) -> None:
        values = resolve_params(files, (), dict(stages)).values
        entries = [entry for path in files for entry in read_params(path)]
        alone = {entry.key for entry in entries if entry.section != SHARED}
        common = {entry.key for entry in entries if entry.section == SHARED} - alone
        self.sections: dict[str, dict[str, Parameter]] = {name: {} for name in (*stages, SHARED)}
        self.given: dict[str, Any] = {}
        self.fields: dict[str, Any] = {}
        for stage in stages.values():
            for key, parameter in stage.parameters.items():
                several = key in common and sum(key in each.parameters for each in stages.values()) > 1
                section = SHARED if several else stage.name
                if key != GIVEN and f"{section}.{key}" not in self.given:
                    self.sections[section][key] = parameter
                    self.given[f"{section}.{key}"] = values[stage.name][key]

    def open(self, section: str, on_change: Callable[[Any], None]) -> list[Any]:
        """Return the rows of a section, each a field and what it means.

        Parameters
        ----------
        section
            Its fields are made when it is first opened, and keep what was entered.
        on_change
            Called when a field changes.
        """
        import ipywidgets as widgets

        rows = []
        for key, parameter in self.sections[section].items():
            place = f"{section}.{key}"
            if place not in self.fields:
                self.fields[place] = _make_field(parameter, self.given[place])
                self.fields[place].observe(on_change, "value")
            allowed = f" ({parameter.allowed})" if parameter.allowed else ""
            meaning = widgets.HTML(html.escape(f"{parameter.meaning}{allowed}"), layout={"flex": "1 1 16em"})
            row = {"flex": "0 0 auto", "flex_flow": "row wrap"}
            rows.append(widgets.HBox([self.fields[place], meaning], layout=row))
        return rows

    def list_changes(self) -> Iterator[tuple[str, Any, Any]]:
        """Yield what was changed: ``STAGE.KEY``, what the files give, and what stands in the form.

        Raises
        ------
        BadParameter
            If a field holds what the notebook does not allow, as ``--set`` would say it.
        """
        for place, field in self.fields.items():
            section, key = place.split(".", 1)
            parameter, value = self.sections[section][key], field.value
            if isinstance(value, str) and parameter.annotation != "str":
                value = read_setting(f"{place}={value}").value
            value = check_value(value, parameter, f"--set {clip(f'{place}={field.value}', LONG)}")
            if _write(value) != _write(self.given[place]):  # in JSON, as --set writes it, a key is a text
                yield place, self.given[place], value

    def list_settings(self) -> list[str]:
        """Return the changes as texts of ``--set``."""
        return [f"{place}={_write(value)}" for place, _, value in self.list_changes()]

    def describe_changes(self) -> list[str]:
        """Return the changes in words.

        Returns
        -------
        list of str
            Such as ``06_train.trials: 8 → 2``.
        """
        return [f"{place}: {_tell(before, after)}" for place, before, after in self.list_changes()]


def _make_field(parameter: Parameter, value: Any) -> Any:
    if parameter.annotation == "bool":
        return label("Checkbox", parameter.name, value=value)
    if parameter.choices and value in parameter.choices:
        return label("Dropdown", parameter.name, options=parameter.choices, value=value)
    text = value if parameter.annotation == "str" else _write(value)
    if "\n" not in text and len(text) <= WIDE:
        return label("Text", parameter.name, value=text, continuous_update=False)
    text = text if parameter.annotation == "str" else json.dumps(value, ensure_ascii=False, indent=2)  # which is YAML
    return label("Textarea", parameter.name, value=text, continuous_update=False, rows=min(10, text.count("\n") + 2))


def _write(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _tell(before: Any, after: Any) -> str:
    """Say how a value has changed; of a long list what has gone and what has come."""
    if isinstance(before, list) and isinstance(after, list) and len(_write(before)) > WIDE:
        gone, new = [each for each in before if each not in after], [each for each in after if each not in before]
        if gone or new:
            before, after = [f"−{each}" for each in gone], [f"+{each}" for each in new]
            return clip(", ".join([*before, *after]), 2 * WIDE)
    return f"{clip(_write(before), WIDE)} → {clip(_write(after), WIDE)}"
