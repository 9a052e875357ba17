from itertools import combinations
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbkit.plots import draw_flow, place_nodes, write_mermaid

SVG = "{http://www.w3.org/2000/svg}"


@st.composite
def graphs(draw):
    names = [f"{n:02}_s" for n in range(1, draw(st.integers(1, 12)) + 1)]
    pairs = draw(st.sets(st.sampled_from(list(combinations(names, 2)) or [("", "")])))
    return names, [{"source": a, "target": b, "names": ["x"]} for a, b in sorted(pairs) if a]


@settings(deadline=None, max_examples=60)
@given(graphs())
def test_whatever_the_graph_nothing_overlaps_and_every_edge_is_drawn(graph):
    names, edges = graph
    places = place_nodes(names, edges)
    assert len({(at.row, at.column) for at in places.values()}) == len(names)
    assert all(places[edge["source"]].row < places[edge["target"]].row for edge in edges)
    far = [edge for edge in edges if places[edge["target"]].row > places[edge["source"]].row + 1]
    spans = {
        name: (places[name].row, max(places[edge["target"]].row for edge in far if edge["source"] == name))
        for name in {edge["source"] for edge in far}
    }
    assert {name for name, at in places.items() if at.lane >= 0} == set(spans)
    for one, other in combinations(spans, 2):
        if places[one].lane == places[other].lane:
            assert spans[one][1] <= spans[other][0] or spans[other][1] <= spans[one][0]
    drawn = ElementTree.fromstring(draw_flow([{"stage": n, "title": n} for n in names], edges, "toy").svg)
    assert len(drawn.findall(f".//{SVG}circle")) == len(far)
    boxes = [[float(each.get(key)) for key in ("x", "y", "width", "height")] for each in drawn.findall(f".//{SVG}rect")]
    assert len(boxes) == len(names)
    for (x, y, wide, high), (left, top, *_) in combinations(boxes, 2):
        assert x + wide <= left or left + wide <= x or y + high <= top or top + high <= y
    width, height = float(drawn.get("width")), float(drawn.get("height"))
    assert all(x >= 0 and y >= 0 and x + wide <= width and y + high <= height for x, y, wide, high in boxes)


def test_what_does_not_need_each_other_stands_side_by_side():
    edges = [{"source": a, "target": b} for a, b in ("ab", "ac", "bd", "cd")]
    assert {name: (at.row, at.column) for name, at in place_nodes("abcd", edges).items()} == {
        "a": (0, 0), "b": (1, 0), "c": (1, 1), "d": (2, 0),
    }  # fmt: skip


def test_what_is_alone_stands_last():
    assert place_nodes("abc", [{"source": "b", "target": "c"}])["a"].row == 2


def test_no_stage_draws_an_empty_sheet():
    ElementTree.fromstring(draw_flow([], [], "none").svg)


@pytest.mark.parametrize("alone", [True, False])
def test_texts_of_others_cannot_break_the_drawing(alone):
    odd = "<script>\"&'é"
    nodes = [{"stage": "01_a", "title": odd * 5, "note": odd, "tone": odd, "link": odd}, {"stage": "02_b", "title": ""}]
    picture = draw_flow(nodes, [{"source": "01_a", "target": "02_b", "names": [odd]}], odd, alone=alone)
    root = ElementTree.fromstring(picture.svg)
    assert root.get("role") == ("img" if alone else "group")
    assert root.get("aria-label") == odd
    assert "<script" not in picture.svg
    assert root.find(f".//{SVG}text").get("textLength") == "128"
    assert "needs 01_a" in picture.alt


@pytest.mark.parametrize(
    ("title", "squeezed", "cut"),
    [("07 · Evaluate", False, False), ("07 · Evaluation", True, False), ("W" * 11, True, False), ("W" * 60, True, True),
     ("機械学習の評価と説明", True, False), ("", False, False), ("i" * 5000, True, True)],
)  # fmt: skip
def test_a_title_stays_within_its_box(title, squeezed, cut):
    root = ElementTree.fromstring(draw_flow([{"stage": "01_a", "title": title}], [], "toy").svg)
    text = root.find(f".//{SVG}text")
    assert (text.get("textLength") is not None) == squeezed
    assert text.text.endswith("…") == cut
    assert len(text.text) < 25


def test_mermaid_names_few_values_and_counts_many():
    nodes = [{"stage": "01_a", "title": 'say "a" #1'}, {"stage": "02_b", "title": "B", "note": "✕ failed"}]
    edges = [
        {"source": "01_a", "target": "02_b", "names": list("wxyz")},
        {"source": "01_a", "target": "02_b", "names": ["w_*"]},
    ]
    text = write_mermaid(nodes, edges).splitlines()
    assert text[1:] == [
        '  s01_a["say #quot;a#quot; #35;1"]',
        '  s02_b["B<br>✕ failed"]',
        '  s01_a -->|"4 values"| s02_b',
        '  s01_a -->|"w_…"| s02_b',
    ]
