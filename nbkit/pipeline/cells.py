"""The code of a notebook's cell as Python's syntax tree, whatever magics stand in it."""

import ast
import re

TRANSPARENT = {"time", "timeit", "capture", "prun"}  # cell magics whose body is Python that runs here
MAGIC_LINE = re.compile(r"^(\s*)[%!?].*$|^(\s*)[\w.]+\?\??\s*$")
MAGIC_VALUE = re.compile(r"^(\s*[\w.,\s]+=\s*)[%!].*$")


def parse_cell(source: str) -> ast.Module:
    r"""Parse a code cell; line magics and shell lines count as ``pass``, a cell in another language as empty.

    Raises
    ------
    SyntaxError
        If it is no Python even so.

    Examples
    --------
    >>> [ast.unparse(node) for node in parse_cell("%matplotlib inline\nfiles = !ls\nx = 1").body]
    ['pass', 'files = None', 'x = 1']
    >>> parse_cell("%%bash\nls -l").body
    []
    """
    if source.lstrip().startswith("%%"):
        head, _, body = source.lstrip().partition("\n")
        return parse_cell(body) if (head[2:].split() or [""])[0] in TRANSPARENT else ast.Module([], [])
    try:
        return ast.parse(source)
    except SyntaxError:
        plain = [MAGIC_VALUE.sub(r"\1None", line) for line in source.splitlines()]
        return ast.parse("\n".join(MAGIC_LINE.sub(r"\1\2pass", line) for line in plain))
