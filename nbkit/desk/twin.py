"""Parts of static twins: HTML without scripts and without colours of its own."""

import html
from collections.abc import Iterable, Sequence


def write_table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table whose first column heads its rows.

    Examples
    --------
    >>> write_table("Few", ["a"], [["<1"]]).partition("<tbody>")[2]
    '<tr><th scope="row">&lt;1</th></tr></tbody></table>'
    """
    body = "".join(
        f'<tr><th scope="row">{_escape(row[0])}</th>'
        + "".join(f"<td>{_escape(each)}</td>" for each in row[1:])
        + "</tr>"
        for row in rows
    )
    head = "".join(f'<th scope="col">{_escape(each)}</th>' for each in heads)
    return f"<table><caption>{_escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def write_list(words: Iterable[object]) -> str:
    """Write sentences as a list.

    Examples
    --------
    >>> write_list(["a", "b"])
    '<ul><li>a</li><li>b</li></ul>'
    """
    return "<ul>" + "".join(f"<li>{_escape(each)}</li>" for each in words) + "</ul>"


def _escape(value: object) -> str:
    return html.escape(str(value))
