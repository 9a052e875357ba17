"""What the log says: the states, names and gates of a model's versions, replayed from its events."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbkit.errors import UnknownVersion

STAGES = ("candidate", "staging", "production")  # the aliases that move a version's state
RANK = {state: place for place, state in enumerate(STAGES)}


@dataclass
class Standing:
    """Where the versions of one model stand.

    Attributes
    ----------
    registered
        Number to the detail of its registration: the digest of the bundle and the sha256 of its other facts.
    states, aliases
        Number to state; alias to number.
    gates
        Number to all gate results, oldest first.
    served
        The versions in production, oldest first, without those that a rollback left.
    left
        The versions that a rollback took out of production.
    rejected
        Number to who rejected it, when and why.
    broken
        Sentences on events that nbkit does not write.
    """

    registered: dict[int, dict[str, Any]] = field(default_factory=dict)
    states: dict[int, str] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    gates: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    served: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    rejected: dict[int, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def list_aliases(self, number: int) -> tuple[str, ...]:
        """Return the aliases that point to a version."""
        return tuple(sorted(alias for alias, other in self.aliases.items() if other == number))

    def newest_gates(self, number: int) -> list[dict[str, Any]]:
        """Return the newest result of each gate of a version."""
        return list({row["gate"]: row for row in self.gates.get(number, [])}.values())

    def closed(self, number: int) -> list[str]:
        """Return why a version may not go to production; empty when it may."""
        rows, state = self.newest_gates(number), self.states.get(number)
        if number in self.rejected:
            return [f"it was rejected by {self.rejected[number]}; register a new version"]
        closed = [
            f"gate {row['gate']!r} is closed ({row['detail']})" for row in rows if row["blocking"] and not row["passed"]
        ]
        if not rows:
            closed.append("no gate was ever judged; run 09_register")
        if state != "staging":
            closed.append(f"its application test is missing (state {state}, not staging); run 10_deploy")
        return closed


def replay(events: Iterable[Mapping[str, Any]]) -> Standing:
    """Replay a model's events, oldest first.

    Parameters
    ----------
    events
        Rows of the log: id, time, event, name, number, alias, by, why, detail.

    Examples
    --------
    >>> def event(id, what, number, alias="", **detail):
    ...     return {"id": id, "event": what, "name": "m", "number": number, "alias": alias, "detail": detail}
    >>> found = replay([event(1, "register", 1), event(2, "alias", 1, "candidate"), event(3, "register", 2),
    ...     event(4, "alias", 2, "candidate")])
    >>> found.states, found.aliases
    ({1: 'retired', 2: 'candidate'}, {'candidate': 2})
    """
    standing = Standing()
    for event in events:
        number, kind = int(event["number"]), event["event"]
        if (number in standing.states) == (kind == "register") or kind not in STEPS:
            standing.broken.append(
                f"event {event['id']} ({kind} of {event['name']}@{number}) is none that nbkit writes"
            )
            continue
        STEPS[kind](standing, number, event)
    return standing


def replay_models(events: Iterable[Mapping[str, Any]]) -> dict[str, Standing]:
    """Replay the events of several models, oldest first; return model to where its versions stand."""
    by_model = defaultdict[str, list[Mapping[str, Any]]](list)
    for event in events:
        by_model[event["name"]].append(event)
    return {name: replay(found) for name, found in by_model.items()}


def find_earlier(name: str, standing: Standing) -> int:
    """Return the version that a rollback leads to; raise `UnknownVersion` if there is none."""
    earlier = [number for number in standing.served[:-1] if number not in standing.rejected]
    if earlier:
        return earlier[-1]
    told = [
        f"{name}@{number} was "
        + (f"rejected by {standing.rejected[number]}" if number in standing.rejected else "rolled back")
        for number in dict.fromkeys([*standing.served[:-1], *standing.left])
        if number not in standing.served[-1:]
    ]
    why = "; ".join(told) or f"no version of {name!r} was in production before"
    raise UnknownVersion(f"nothing to go back to: {why}; `nbkit promote` puts another into production")


def _register(standing: Standing, number: int, event: Mapping[str, Any]) -> None:
    standing.registered[number] = dict(event["detail"])
    standing.states[number] = "draft"


def _judge(standing: Standing, number: int, event: Mapping[str, Any]) -> None:
    standing.gates.setdefault(number, []).extend(event["detail"].get("gates", []))


def _point(standing: Standing, number: int, event: Mapping[str, Any]) -> None:
    """Point an alias of one's own, or candidate or staging, to a version."""
    stage = event["alias"] in STAGES
    if event["alias"] == "production" or (stage and standing.states[number] == "rejected"):
        standing.broken.append(
            f"event {event['id']} points {event['alias']} to {event['name']}@{number}, which is not allowed"
        )
    _name(standing, number, event)


def _name(standing: Standing, number: int, event: Mapping[str, Any]) -> None:
    alias = event["alias"]
    before = standing.aliases.get(alias)
    standing.aliases[alias] = number
    if alias not in STAGES:
        return
    if before not in (None, number) and standing.states.get(before or 0) == alias:
        standing.states[before or 0] = "retired"
    if RANK.get(standing.states[number], -1) < RANK[alias]:
        standing.states[number] = alias


def _promote(standing: Standing, number: int, event: Mapping[str, Any]) -> None:
    closed = standing.closed(number)
    if closed:
        told = "; ".join(closed)
        standing.broken.append(f"event {event['id']} promotes {event['name']}@{number}, which was not allowed: {told}")
    standing.served.append(number)
    _name(standing, number, event)


def _roll_back(standing: Standing, number: int, event: Mapping[str, Any]) -> None:
    while standing.served and standing.served[-1] != number:
        standing.left.append(standing.served.pop())
    _name(standing, number, event)


def _reject(standing: Standing, number: int, event: Mapping[str, Any]) -> None:
    kept = {alias: other for alias, other in standing.aliases.items() if other != number or alias not in STAGES}
    standing.aliases = kept
    standing.states[number] = "rejected"
    standing.rejected[number] = f"{event['by']} on {str(event['time'])[:10]}: {event['why']}"


STEPS = {
    "register": _register,
    "gates": _judge,
    "alias": _point,
    "promote": _promote,
    "rollback": _roll_back,
    "reject": _reject,
}
