"""Cells of a table that say nothing or stand in the way: an index that only counts rows, a head without a word."""

import re
from dataclasses import dataclass

TAG = re.compile(r"<[^>]*>")


@dataclass
class Cell:
    """A cell of a table that is read, and the parts of the HTML in which it stands.

    Attributes
    ----------
    tag
        ``th`` or ``td``.
    start, end
        The first part and the last; `end` is 0 while the cell is open.
    is_head
        Whether it belongs to the head of the table.
    """

    tag: str
    start: int
    end: int = 0
    is_head: bool = False


def tidy_cells(parts: list[str], rows: list[list[Cell]]) -> None:
    """Blank an index that only counts rows from 0 and a head without a word; lift the index's name into the corner.

    Parameters
    ----------
    parts
        The HTML of a page, piece by piece; changed in place.
    rows
        The cells of one table, row by row.
    """
    head = [row for row in rows if row and row[0].is_head]
    body = [row for row in rows if row and not row[0].is_head]
    if head and not any(_read(parts, cell) for row in head for cell in row):
        _blank(parts, [cell for row in head for cell in row])
        head = []
    if len(head) > 1 and (levels := _count_names(parts, *head[-2:])):
        names = head.pop()
        said = ["".join(parts[cell.start : cell.end + 1]) for cell in names[:levels]]
        _blank(parts, [*head[-1][:levels], *names])
        for cell, text in zip(head[-1], said, strict=False):
            parts[cell.start] = text
    corner = [row[0] for row in head]
    index = [row[0] for row in body]
    is_single = all([cell.tag for cell in row[:2]] == ["th", "td"] for row in body)
    is_named = any(_read(parts, cell) for cell in corner)
    if is_single and not is_named and is_counting([_read(parts, cell) for cell in index]):
        _blank(parts, [*corner, *index])


def is_counting(names: list[str]) -> bool:
    """Tell whether the names of rows only count them from 0; pandas prints dots where it leaves rows out.

    Examples
    --------
    >>> is_counting(["0", "1", "2"]), is_counting(["0", "1", "...", "98", "99"]), is_counting(["1", "2"])
    (True, True, False)
    """
    before, dots, after = names, False, []
    if names.count("...") == 1:
        place = names.index("...")
        before, dots, after = names[:place], True, names[place + 1 :]
    if not before or before != [str(number) for number in range(len(before))]:
        return False
    if not dots:
        return True
    first = int(after[0]) if after and after[0].isdecimal() and after[0].isascii() else 0
    return first > len(before) and after == [str(first + number) for number in range(len(after))]


def _count_names(parts: list[str], above: list[Cell], row: list[Cell]) -> int:
    """Count the names of the index in the last row of a head, if it holds nothing else and there is room above."""
    room, names = [not _read(parts, cell) for cell in above], [bool(_read(parts, cell)) for cell in row]
    levels = sum(names)
    return levels if len(room) == len(names) and all(names[:levels]) and all(room[:levels]) else 0


def _read(parts: list[str], cell: Cell) -> str:
    return TAG.sub("", "".join(parts[cell.start : cell.end + 1])).strip() if cell.end else "?"


def _blank(parts: list[str], cells: list[Cell]) -> None:
    for cell in cells:
        parts[cell.start : cell.end + 1] = [""] * (cell.end + 1 - cell.start)
