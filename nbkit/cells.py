"""The code of a notebook's cell as Python's syntax tree, whatever magics stand in it."""

import ast
import hashlib
import re

TRANSPARENT = {"time", "timeit", "capture", "prun"}  # cell magics whose body is Python that runs here
MAGIC_LINE = re.compile(r"^(\s*)[%!?].*$|^(\s*)[\w.]+\?\??\s*$")
MAGIC_VALUE = re.compile(r"^(\s*[\w.,\s]+=\s*)[%!].*$")


def parse_cell(source: str) -> ast.Module:
    r"""Parse a code cell; magics and shell lines count as nothing, a cell in another language as empty.

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
    try:
        return ast.parse("\n".join(MAGIC_LINE.sub(r"\1\2pass", line) for line in plain))
    except SyntaxError:  # a magic may be indented where `pass` may not
        return ast.parse("\n".join(MAGIC_LINE.sub("", line) for line in plain))


def digest_cell(source: str) -> str:
    """Digest what a code cell does: the same for cells that differ in comments and formatting only.

    Examples
    --------
    >>> digest_cell("x = 1  # one") == digest_cell("x  =  1") != digest_cell("x = 2")
    True
    >>> digest_cell("!ls") != digest_cell("!ls -l")
    True
    """
    try:
        return digest_code(ast.parse(source))
    except SyntaxError:  # magics: their text is what they do
        return _digest(source.strip())


def digest_code(tree: ast.Module) -> str:
    """Digest what code does."""
    return _digest(ast.dump(tree))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]
