"""The contract between notebooks: who loads what from whom, read from their code, and what is wrong with it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nbkit.errors import BadNotebook
from nbkit.lifecycle import SCRAPS
from nbkit.stages.calls import ANY, Call
from nbkit.stages.notebooks import Stage
from nbkit.wording import suggest


@dataclass(frozen=True)
class Edge:
    """What one stage hands to another.

    Attributes
    ----------
    source, target
        The stage that saves and the one that loads.
    names
        The values; `ANY` for what cannot be read from the code.
    """

    source: str
    target: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or odd.

    Attributes
    ----------
    level
        ``"error"``: no run can work. ``"hint"``: it can, and may not be meant.
    place
        The stage or file.
    cell
        The code cell, counted from 1; 0 for the whole.
    message
        A sentence that goes on from the place.
    """

    level: str
    place: str
    cell: int
    message: str

    def __str__(self) -> str:
        return f"{self.place}{f', code cell {self.cell},' if self.cell else ''} {self.message}"


@dataclass(frozen=True)
class Graph:
    """Which stage needs which.

    Attributes
    ----------
    stages
        By name, in the order in which they run.
    edges
        One for each pair of stages of which the later loads from the earlier, by target, then source.
    problems
        What is wrong or odd, by stage.
    """

    stages: dict[str, Stage]
    edges: tuple[Edge, ...]
    problems: tuple[Finding, ...] = ()

    def upstream(self, stage: str) -> tuple[str, ...]:
        """Return the stages that a stage loads from."""
        return tuple(edge.source for edge in self.edges if edge.target == stage)

    @property
    def errors(self) -> int:
        """How many problems no run can live with."""
        return sum(each.level == "error" for each in self.problems)

    def rows(self) -> list[dict[str, Any]]:
        """Return the edges as plain rows: source, target, names."""
        return [asdict(edge) | {"names": list(edge.names)} for edge in self.edges]

    def stage_rows(self) -> list[dict[str, Any]]:
        """Return a plain row for each stage: stage, title, cadence, loads, sources, saves."""
        return [
            {
                "stage": stage.name,
                "title": stage.title,
                "cadence": stage.cadence,
                "loads": sum(len(edge.names) for edge in self.edges if edge.target == stage.name),
                "sources": list(self.upstream(stage.name)),
                "saves": list(stage.saves),
            }
            for stage in self.stages.values()
        ]

    def handovers(self) -> list[dict[str, str]]:
        """Return what each stage has to hand over for others to work, as plain rows: stage, hands over, to.

        Who replaces a stage by one of their own saves these names; what else it saves is for people.
        """
        users: dict[tuple[str, str], list[str]] = {}
        for source, name, target in sorted(
            (edge.source, name, edge.target) for edge in self.edges for name in edge.names
        ):
            users.setdefault((source, name), []).append(target.partition("_")[0])
        for stage in SCRAPS.keys() & self.stages.keys():
            for name in SCRAPS[stage]:
                users.setdefault((stage, name), []).append("report")
        groups: dict[tuple[str, str], list[str]] = {}
        for (source, name), targets in sorted(users.items()):
            groups.setdefault((source, ", ".join(targets)), []).append(name)
        return [{"stage": stage, "hands over": ", ".join(names), "to": to} for (stage, to), names in groups.items()]


def build_graph(stages: Mapping[str, Stage]) -> Graph:
    """Read from the stages who needs whom, and what is wrong with it.

    A load whose stage is not written as a literal counts as needing every earlier stage.

    Parameters
    ----------
    stages
        From `read_stages`.
    """
    stages = dict(sorted(stages.items()))
    found: dict[tuple[str, str], list[str]] = {}
    for stage in stages.values():
        for call in stage.calls:
            for source in _find_sources(call, stage.name, list(stages)):
                found.setdefault((stage.name, source), []).append(call.name)
    edges = [Edge(source, target, tuple(dict.fromkeys(loaded))) for (target, source), loaded in sorted(found.items())]
    problems = [each for stage in stages.values() for each in _judge_stage(stage, stages)]
    return Graph(stages, tuple(edges), (*problems, *_find_orphans(stages, edges)))


def check_graph(stages: Mapping[str, Stage]) -> Graph:
    """Build the graph, and refuse one that no run can follow.

    Raises
    ------
    BadNotebook
        Naming each load that no earlier notebook saves.
    """
    graph = build_graph(stages)
    if wrong := [str(each) for each in graph.problems if each.level == "error"]:
        raise BadNotebook("; ".join(wrong))
    return graph


def _find_sources(call: Call, stage: str, names: list[str]) -> list[str]:
    """Return the earlier stages that a load may need."""
    if call.verb == "save":
        return []
    earlier = [name for name in names if name < stage]
    return earlier if call.stage == ANY else [name for name in earlier if name == call.stage]


def _fits(wanted: str, offered: str) -> bool:
    """Return whether a loaded name may be a saved one, either of which may hold `ANY`."""
    if ANY in wanted and ANY in offered:
        return True
    pattern, name = (wanted, offered) if ANY in wanted else (offered, wanted)
    return re.fullmatch(".*".join(map(re.escape, pattern.split(ANY))), name, re.DOTALL) is not None


def _judge_stage(stage: Stage, stages: Mapping[str, Stage]) -> Iterator[Finding]:
    for call in stage.calls:
        if call.verb == "give":
            yield Finding(
                "hint", stage.name, call.cell, "hands its run on: what is loaded and saved with it is not checked"
            )
        elif call.verb == "load":
            level, message = _judge_load(call, stage.name, stages)
            if message:
                yield Finding(level if call.certain else "hint", stage.name, call.cell, message)
    saved = [call.name for call in stage.calls if call.verb == "save"]
    lacking = [name for name in SCRAPS.get(stage.name, ()) if not any(_fits(name, each) for each in saved)]
    if lacking and all(call.verb != "give" for call in stage.calls):
        yield Finding("hint", stage.name, 0, f"hands over no {', '.join(lacking)}: no report speaks of it")
    cells: dict[str, list[int]] = {}
    for call in stage.calls:
        if call.verb == "save" and call.certain and ANY not in call.name:
            cells.setdefault(call.name, []).append(call.cell)
    for name, places in cells.items():
        if len(places) > 1:
            again = f"saves {name!r} again (first in code cell {places[0]}): later stages get the last one"
            yield Finding("hint", stage.name, places[-1], again)


def _judge_load(call: Call, stage: str, stages: Mapping[str, Stage]) -> tuple[str, str]:
    """Return what is wrong or odd about a load, and how bad that is; two empty texts if nothing is."""
    what = "something" if ANY in call.name else repr(call.name)
    if call.stage == ANY:
        return "hint", "loads from a stage whose name is made when it runs: nothing checks that it is there"
    if call.stage == stage:
        return "error", f"loads {what} from itself: use the variable"
    if call.stage not in stages:
        return "error", f"loads from {call.stage}, and there is no such notebook{suggest(call.stage, stages)}"
    source = stages[call.stage]
    if source.name > stage:
        circle = " (which loads from this one: a circle)" if stage in {each for each, _ in source.loads} else ""
        return "error", f"loads {what} from {source.name}{circle}, which comes after it; stages run by their names"
    if source.cadence != stages[stage].cadence:
        return "hint", f"loads {what} from {source.name}, which runs on its own: it may not lie in the same run"
    return _judge_value(call, source)


def _judge_value(call: Call, source: Stage) -> tuple[str, str]:
    """Return what is wrong or odd about the value that is loaded from an earlier stage."""
    what = "something" if ANY in call.name else repr(call.name)
    given = any(each.verb == "give" for each in source.calls)
    if not given and not any(_fits(call.name, offered) for offered in source.saves):
        near = suggest(call.name, [each for each in source.saves if ANY not in each])
        return "error", f"loads {what} from {source.name}, which saves {'no such value' if near else 'nothing'}{near}"
    if ANY in call.name:
        made = "by a name that is made when it runs: nothing checks that it is there"
        return "hint", f"loads from {source.name} {made}"
    return "", ""


def _find_orphans(stages: Mapping[str, Stage], edges: Sequence[Edge]) -> Iterator[Finding]:
    usual = [name for name in stages if stages[name].cadence == "run"]
    linked = {end for edge in edges for end in (edge.source, edge.target)}
    for name in usual if len(usual) > 1 else ():
        if name not in linked:
            yield Finding("hint", name, 0, "neither loads from another stage nor is loaded from: does it belong here?")
