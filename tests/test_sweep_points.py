"""Points: every combination once, draws that can be repeated, and what is no axis."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbkit.errors import BadParameter
from nbkit.sweep import draw_points, list_points, read_axis
from nbkit.sweep.points import Axis

VALUES = st.lists(st.integers(-5, 5) | st.sampled_from(["a", "b", None, True]), min_size=1, max_size=4, unique_by=repr)
LISTS = st.lists(VALUES, min_size=1, max_size=3).map(
    lambda axes: [Axis(f"01_a.p{place}", tuple(values)) for place, values in enumerate(axes)]
)
RANGES = st.tuples(st.floats(0.001, 1), st.floats(2, 1e6), st.booleans()).map(lambda ends: Axis("01_a.r", (), *ends))


@given(LISTS)
def test_a_grid_has_every_combination_once(axes):
    points = [tuple(map(repr, point.values())) for point in list_points(axes)]
    assert len(points) == len(set(points)) == math.prod(len(axis.values) for axis in axes)
    assert all(
        value in axis.values for point in list_points(axes) for axis, value in zip(axes, point.values(), strict=True)
    )


@given(LISTS, RANGES, st.integers(1, 20), st.integers(0, 2**32))
def test_draws_are_distinct_inside_and_the_same_for_a_seed(lists, drawn_from, count, seed):
    axes = [*lists, drawn_from]
    points = draw_points(axes, count, seed)
    assert points == draw_points(axes, count, seed)
    assert len({repr(point) for point in points}) == len(points) == count
    near = 1.001  # four digits may round over an end
    assert all(drawn_from.low / near <= point["01_a.r"] <= drawn_from.high * near for point in points)


@given(LISTS, st.integers(1, 80), st.integers(0, 100))
def test_draws_from_lists_never_repeat_a_point(axes, count, seed):
    every = list_points(axes)
    points = draw_points(axes, count, seed)
    assert len({repr(point) for point in points}) == len(points) == min(count, len(every))
    assert all(point in every for point in points)


def test_whole_ends_give_whole_numbers():
    axis = read_axis("06_train.trials=1..3")
    assert {point["06_train.trials"] for point in draw_points([axis], 3, 0)} == {1, 2, 3}
    axis = read_axis("06_train.sample=log(10..100000)")
    drawn = [point["06_train.sample"] for point in draw_points([axis], 200, 1)]
    assert all(isinstance(value, int) for value in drawn)
    assert 60 < sum(value < 1000 for value in drawn) < 140


def test_another_seed_draws_other_points():
    axes = [read_axis("06_train.share=0.0..1.0")]
    assert draw_points(axes, 3, 0) != draw_points(axes, 3, 1)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("06.x=1,2.5,yes,NO,null", (1, 2.5, "yes", "NO", None)),
        ("06.x=[a],[a, b]", (["a"], ["a", "b"])),
        ("06.x={a: {b: 1}},{}", ({"a": {"b": 1}}, {})),
        ("06.x='1,2',3", ("1,2", 3)),
        ("06.x=1e-3", (0.001,)),
        ("06.x=2013-01-01,2013-02-01", ("2013-01-01", "2013-02-01")),
    ],
)
def test_values_are_read_as_in_yaml(text, values):
    assert read_axis(text).values == values


@pytest.mark.parametrize(
    "text",
    [
        "06.x",
        "06.x=",
        "x=1,2",
        "=1",
        "06.x=[1",
        "06.x=3..1",
        "06.x=log(0..1)",
        "06.x=log(-1..1)",
        "06.x=1..1",
        "06.x=][",
    ],
)
def test_what_is_no_axis_is_refused(text):
    with pytest.raises(BadParameter, match="--grid"):
        read_axis(text)


@pytest.mark.parametrize("count", [0, -1, 10_001])
def test_a_number_of_draws_that_makes_no_sense_is_refused(count):
    with pytest.raises(BadParameter, match=f"--random {count}"):
        draw_points([Axis("01.x", (1, 2))], count, 0)


def test_more_draws_than_there_are_points_is_refused():
    with pytest.raises(BadParameter, match="3 points only"):
        draw_points([Axis("01.x", (), 1, 3)], 4, 0)


def test_a_grid_without_end_is_refused():
    with pytest.raises(BadParameter, match="--random N"):
        list_points([Axis("01.x", (), 1, 3)])
    with pytest.raises(BadParameter, match="1,000,000 points"):
        list_points([Axis(f"01.{name}", tuple(range(100))) for name in "abc"])
