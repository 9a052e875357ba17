"""Who hands what to whom, drawn: what can happen side by side stands side by side, what comes later stands below.

Next rows are joined directly. What goes further takes a lane on the left, one for each stage that hands over, with a
dot where a later stage takes from it. So no line runs through a box, and the drawing is as narrow as a phone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from unicodedata import east_asian_width

from nbkit.formats import Picture

Row = Mapping[str, Any]
COLUMNS = 2  # boxes beside each other: what a phone shows at a size that can be read
BOX, HEIGHT, ACROSS, DOWN = 148, 42, 20, 34  # pixels: a box, and the gaps between boxes
LANE, EDGE, MARGIN = 10, 8, 10  # pixels between lanes, around the picture, and beside a text in its box
WIDE, BROAD, USUAL = 1.0, 0.85, 0.62  # of the letter's height: ideographs, capitals and the like, others in wide fonts
SQUEEZED = 1.35  # how much narrower than usual a text may be drawn before it is cut
ALONE = """<style>
svg { color: #1d2126; background: #fdfdfb; max-width: 100%; height: auto; }
.good { color: #17663a; } .bad { color: #a3231d; } .unsure { color: #7a5200; }
@media (prefers-color-scheme: dark) {
  svg { color: #e6e8ea; background: #15181c; }
  .good { color: #86d7a5; } .bad { color: #ffa59d; } .unsure { color: #f0c674; }
}
</style>"""


@dataclass(frozen=True)
class Place:
    """Where a stage stands.

    Attributes
    ----------
    row, column
        Counted from 0, down and across.
    beside
        How many stand in its row.
    lane
        The lane that it hands over on, counted from the boxes outwards; -1 if it needs none.
    """

    row: int
    column: int
    beside: int
    lane: int = -1


def place_nodes(names: Sequence[str], edges: Sequence[Row]) -> dict[str, Place]:
    """Decide where each stage stands: below all that it needs, as far up as that allows; what is alone comes last.

    Parameters
    ----------
    names
        The stages; each comes after all that it needs.
    edges
        Rows with ``source`` and ``target``.

    Examples
    --------
    >>> edges = [{"source": a, "target": b} for a, b in ("ab", "ac", "bd", "cd", "ad")]
    >>> {name: (at.row, at.column, at.lane) for name, at in place_nodes("abcd", edges).items()}
    {'a': (0, 0, 0), 'b': (1, 0, -1), 'c': (1, 1, -1), 'd': (2, 0, -1)}
    """
    needs = {name: [edge["source"] for edge in edges if edge["target"] == name] for name in names}
    linked = {edge[end] for edge in edges for end in ("source", "target")}
    layers: dict[str, int] = {}
    for name in names:
        layers[name] = max((layers[each] + 1 for each in needs[name]), default=0)
    last = max((layers[name] for name in linked), default=-1)
    layers |= {name: last + 1 for name in names if name not in linked}
    places: dict[str, Place] = {}
    row = 0
    for layer in sorted(set(layers.values())):
        inside = [name for name in names if layers[name] == layer]
        for start in range(0, len(inside), COLUMNS):
            beside = inside[start : start + COLUMNS]
            places |= {name: Place(row, column, len(beside)) for column, name in enumerate(beside)}
            row += 1
    return _give_lanes(places, edges)


def _give_lanes(places: dict[str, Place], edges: Sequence[Row]) -> dict[str, Place]:
    """Give each stage that hands over beyond the next row the innermost lane that is free all the way."""
    ends: dict[str, int] = {}
    for edge in edges:
        if places[edge["target"]].row > places[edge["source"]].row + 1:
            ends[edge["source"]] = max(ends.get(edge["source"], 0), places[edge["target"]].row)
    taken: list[list[tuple[int, int]]] = []
    placed = dict(places)
    for name, end in sorted(ends.items(), key=lambda item: (item[1] - places[item[0]].row, item[0])):
        at = places[name]
        lane = next((n for n, spans in enumerate(taken) if all(end <= a or at.row >= b for a, b in spans)), len(taken))
        taken += [[]] if lane == len(taken) else []
        taken[lane].append((at.row, end))
        placed[name] = Place(at.row, at.column, at.beside, lane)
    return placed


def draw_flow(nodes: Sequence[Row], edges: Sequence[Row], title: str, *, alone: bool = True) -> Picture:
    """Draw who hands what to whom.

    Parameters
    ----------
    nodes
        Rows with ``stage`` and ``title``, and where there are any ``note`` (a second line), ``tone`` (good, bad,
        unsure) and ``link``; each after all that it needs.
    edges
        Rows with ``source``, ``target`` and ``names`` (of the values).
    title
        What is drawn.
    alone
        Whether it is a file by itself, with colours of its own, rather than part of a page that gives them.
    """
    places = place_nodes([node["stage"] for node in nodes], edges)
    sheet = _Sheet(places)
    far = [edge for edge in edges if not sheet.is_step(edge)]
    lanes = [
        sheet.draw_lane([edge for edge in far if edge["source"] == name]) for name in places if places[name].lane >= 0
    ]
    taps = [
        sheet.draw_tap([edge for edge in far if edge["target"] == name])
        for name in dict.fromkeys(e["target"] for e in far)
    ]
    steps = [sheet.draw_step(edge) for edge in edges if sheet.is_step(edge)]
    boxes = [sheet.draw_box(node) for node in nodes]
    words = say_flow(nodes, edges)
    size = f'viewBox="0 0 {sheet.width} {sheet.height}" width="{sheet.width}" height="{sheet.height}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="{"img" if alone else "group"}" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" fill="none" stroke="none">'
    )
    told = f"<title>{escape(title)}</title><desc>{escape(words)}</desc>{ALONE}" if alone else ""
    pen = '<g stroke="currentColor" stroke-width="1.4"'
    svg = "\n".join(
        [head + told, f'{pen} opacity=".75">', *lanes, *taps, "</g>", f"{pen}>", *steps, "</g>", *boxes, "</svg>"]
    )
    return Picture(svg, words, title)


def say_flow(nodes: Sequence[Row], edges: Sequence[Row]) -> str:
    """Say in words who needs whom.

    Examples
    --------
    >>> say_flow([{"stage": "a", "note": "passed"}, {"stage": "b"}], [{"source": "a", "target": "b"}])
    'a (passed) needs nothing; b needs a.'
    """
    told = []
    for node in nodes:
        sources = [edge["source"] for edge in edges if edge["target"] == node["stage"]]
        note = f" ({node['note']})" if node.get("note") else ""
        told.append(f"{node['stage']}{note} needs {', '.join(sources) or 'nothing'}")
    return "; ".join(told) + "."


class _Sheet:
    """Turns places into pixels and lines."""

    def __init__(self, places: dict[str, Place]) -> None:
        self.places = places
        lanes = max((at.lane for at in places.values()), default=-1) + 1
        columns = max((at.beside for at in places.values()), default=1)
        rows = max((at.row for at in places.values()), default=-1) + 1
        self.inner = columns * (BOX + ACROSS) - ACROSS
        self.left = EDGE + (LANE * (lanes + 1) if lanes else 0)
        self.width = self.left + self.inner + EDGE
        self.height = 2 * EDGE + rows * (HEIGHT + DOWN) - DOWN

    def corner(self, at: Place) -> tuple[int, int]:
        """Return the upper left corner of a box."""
        row = at.beside * (BOX + ACROSS) - ACROSS
        return self.left + (self.inner - row) // 2 + at.column * (BOX + ACROSS), EDGE + at.row * (HEIGHT + DOWN)

    def is_step(self, edge: Row) -> bool:
        """Tell whether an edge goes to the next row."""
        return self.places[edge["target"]].row == self.places[edge["source"]].row + 1

    def draw_step(self, edge: Row) -> str:
        """Draw an edge to the next row: from the bottom of a box to the top of another."""
        source, target = self.places[edge["source"]], self.places[edge["target"]]
        (x, y), (to, end) = self.corner(source), self.corner(target)
        x, to, y = x + BOX // 2, to + BOX // 2, y + HEIGHT
        path = f"M{x} {y}C{x} {y + DOWN * 2 // 3} {to} {end - DOWN * 2 // 3} {to} {end - 5}"
        return f'<g><title>{_say(edge)}</title><path d="{path}"/>{_arrow_down(to, end)}</g>'

    def draw_lane(self, edges: Sequence[Row]) -> str:
        """Draw the lane of a stage, as far down as its last edge."""
        at = self.places[edges[0]["source"]]
        (x, y), lane = self.corner(at), self.find_lane(at)
        start = y + HEIGHT * 2 // 3 if at.column == 0 else y + HEIGHT + 9
        leave = f"M{x} {start}" if at.column == 0 else f"M{x + 20} {y + HEIGHT}V{start}"
        dots = [self.find_tap(self.places[edge["target"]]) for edge in edges]
        marks = "".join(f'<circle cx="{lane}" cy="{dot}" r="2.6" fill="currentColor" stroke="none"/>' for dot in dots)
        said = "; ".join(map(_say, edges))
        return f'<g><title>{said}</title><path d="{leave}H{lane}V{max(dots)}"/>{marks}</g>'

    def draw_tap(self, edges: Sequence[Row]) -> str:
        """Draw how a stage takes from lanes: from the outermost one past the others, into its left side or its top."""
        at = self.places[edges[0]["target"]]
        (x, y), level = self.corner(at), self.find_tap(at)
        start = min(self.find_lane(self.places[edge["source"]]) for edge in edges)
        end = f"H{x - 5}" if at.column == 0 else f"H{x + 20}V{y - 5}"
        arrow = _arrow_right(x, level) if at.column == 0 else _arrow_down(x + 20, y)
        said = "; ".join(map(_say, edges))
        return f'<g><title>{said}</title><path d="M{start} {level}{end}"/>{arrow}</g>'

    def find_lane(self, at: Place) -> int:
        """Return how far right a stage's lane is."""
        return self.left - LANE * (at.lane + 1)

    def find_tap(self, at: Place) -> int:
        """Return how far down a stage takes from lanes."""
        y = self.corner(at)[1]
        return y + HEIGHT // 3 if at.column == 0 else y - 9

    def draw_box(self, node: Row) -> str:
        """Draw a stage."""
        x, y = self.corner(self.places[node["stage"]])
        title, note = str(node["title"] or node["stage"]), str(node.get("note", ""))
        place = f'x="{x + BOX // 2}" text-anchor="middle" fill="currentColor"'
        parts = [
            f"<title>{escape(node['stage'])}: {escape(title)}{f', {escape(note)}' if note else ''}</title>",
            f'<rect x="{x}" y="{y}" width="{BOX}" height="{HEIGHT}" rx="6" stroke="currentColor" stroke-width="1.4"/>',
            f'<text {place} y="{y + (18 if note else 26)}" font-weight="600" {_fit(title, 14)}</text>',
        ]
        if note:
            tone = f' class="{escape(str(node["tone"]))}"' if node.get("tone") else ""
            parts.append(f'<text {place} y="{y + 35}"{tone} {_fit(note, 12)}</text>')
        group = f"<g>{''.join(parts)}</g>"
        return f'<a href="{escape(str(node["link"]))}">{group}</a>' if node.get("link") else group


def _fit(text: str, size: int) -> str:
    """Return the end of a text element whose letters stay within a box: as they are, else squeezed, else cut."""
    room = BOX - 2 * MARGIN
    shown = text if len(text) <= BOX else f"{text[:BOX]}…"
    while _measure(shown, size) > room * SQUEEZED:
        shown = f"{shown.removesuffix('…')[:-1]}…"
    squeeze = f' textLength="{room}" lengthAdjust="spacingAndGlyphs"' if _measure(shown, size) > room else ""
    return f'font-size="{size}"{squeeze}>{escape(shown)}'


def _measure(text: str, size: int) -> float:
    """Return about how many pixels a text takes in a wide font."""
    broad = [
        WIDE if east_asian_width(each) in "WF" else BROAD if each.isupper() or each in "mw@%" else USUAL
        for each in text
    ]
    return size * sum(broad)


def _say(edge: Row) -> str:
    names = ", ".join(edge["names"]).replace("*", "…")
    return escape(f"{edge['source']} → {edge['target']}: {names}")


def _arrow_down(x: int, y: int) -> str:
    return f'<path d="M{x - 4} {y - 7}L{x} {y}L{x + 4} {y - 7}z" fill="currentColor" stroke="none"/>'


def _arrow_right(x: int, y: int) -> str:
    return f'<path d="M{x - 7} {y - 4}L{x} {y}L{x - 7} {y + 4}z" fill="currentColor" stroke="none"/>'
