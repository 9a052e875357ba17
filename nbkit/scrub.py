"""Takes secrets out of what is written: every spelling of every secret that the params of a run name as ``${NAME}``."""

import base64
import html
import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

from nbkit.wording import disarm

NAMED = re.compile(r"\$\{(\w+)\}")
HIDDEN = "***"
SHORTEST = 3  # characters; what is shorter stands in too many words
SURE = 8  # characters from which a part of a secret, or of its base64, is replaced as well
INNER = re.compile(r"(?i)\b\w*(?:password|passwd|pwd|secret|token|key)\s*=\s*'?([^'\";,&\s]+)")
INNER_KEY = re.compile(r"(?i)password|passwd|pwd|secret|token|key")
SAFE = ("/", "", " +", "!~*'()", ";,/?:@&=+$!~*'()#")  # characters that Python, SQLAlchemy and JavaScript leave alone
QUOTES = (("&#x27;", "&#39;", "&apos;"), ("&quot;", "&#34;"))


class Scrubber:
    """Replaces secrets by ``***``, however they are spelled.

    Parameters
    ----------
    secrets
        The values. What is shorter than `SHORTEST` characters is left alone.

    Examples
    --------
    >>> scrubber = Scrubber(["p@ss word"])
    >>> scrubber.clean("p@ss word, p%40ss+word, p%40ss%20word")
    '***, ***, ***'
    >>> scrubber.clean_inside({"text": ["a", "it is p@ss word"]})
    {'text': ['a', 'it is ***']}
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in spell(secret)}
        self._forms = sorted(forms, key=lambda form: (-len(form), form))
        self._raw = [form.encode(errors="surrogateescape") for form in self._forms]
        self._pattern = re.compile("|".join(map(re.escape, self._forms)))
        self._raw_pattern = re.compile(b"|".join(map(re.escape, self._raw)))

    @classmethod
    def of(cls, names: Iterable[str]) -> "Scrubber":
        """Make one for the values of environment variables; those that are not set have none."""
        return cls(os.environ[name] for name in names if name in os.environ)

    def clean(self, text: str) -> str:
        """Return a text without secrets."""
        return self._pattern.sub(HIDDEN, text) if any(form in text for form in self._forms) else text

    def clean_inside(self, value: Any) -> Any:
        """Clean the texts in dicts and lists, keys included, in place; return the value."""
        if isinstance(value, str):
            return self.clean(value)
        if isinstance(value, list):
            value[:] = [self.clean_inside(each) for each in value]
        elif isinstance(value, dict):
            for key in list(value) if self._forms else ():
                cleaned = self.clean_inside(value[key])
                if self.clean(str(key)) != str(key):
                    del value[key]
                    key = self.clean(str(key))
                value[key] = cleaned
        return value

    def split(self, content: bytes) -> tuple[bytes, bytes]:
        """Return what can be written of a stream, cleaned, and what has to wait as it may be the start of a secret."""
        start = len(content) - max((_overlap(content, form) for form in self._raw), default=0)
        for found in self._raw_pattern.finditer(content) if self._raw else ():
            if found.start() < start < found.end():
                start = found.start()
        return self.clean_bytes(content[:start]), content[start:]

    def clean_bytes(self, content: bytes) -> bytes:
        """Return bytes without secrets."""
        found = any(each in content for each in self._raw)
        return self._raw_pattern.sub(HIDDEN.encode(), content) if found else content


NOTHING = Scrubber()  # leaves everything as it is


def find_names(params: Any) -> tuple[str, ...]:
    """Return the environment variables that params name, in any section.

    Examples
    --------
    >>> find_names({"02_ingest": {"sources": {"a": "sql://u:${PASSWORD}@host"}}})
    ('PASSWORD',)
    """
    return tuple(dict.fromkeys(NAMED.findall(json.dumps(params, default=str))))


def spell(secret: str) -> set[str]:
    """Return the spellings of a secret and of the secrets in it, such as the password in a URL.

    Raw, quoted for URLs, escaped for JSON, HTML, Python and a shell (also one inside another), in hexadecimal digits,
    and the part of any base64 that it decides, so also of ``user:secret``.

    Examples
    --------
    >>> basic = base64.b64encode(b"anybody:hunter2!hunter2!").decode()
    >>> any(form in basic for form in spell("hunter2!hunter2!"))
    True
    """
    forms: set[str] = set()
    for each in _find_parts(secret):
        if len(each) >= SHORTEST:
            once = _escape(each) | _quote(each)
            twice = {form for one in once for form in _escape(one)}
            forms |= once | twice | set(_encode(each.encode(errors="surrogateescape")))
    return forms


def _find_parts(secret: str) -> set[str]:
    """Return a secret, its lines, and what it says to be a secret: the password of a URL, a key in JSON."""
    parts = {secret, secret.strip(), *(line.strip() for line in secret.splitlines() if len(line.strip()) >= SURE)}
    try:
        password = urlsplit(secret.strip()).password or ""
    except ValueError:
        password = ""
    parts |= {password, unquote(password), *INNER.findall(secret)}
    try:
        content = json.loads(secret)
    except (ValueError, RecursionError):
        content = None
    if isinstance(content, dict):
        for key, value in content.items():
            if isinstance(value, str) and len(value) >= SURE and INNER_KEY.search(key):
                parts |= {value, *(line for line in value.splitlines() if len(line) >= SURE)}
    return parts


def _escape(text: str) -> set[str]:
    """Escape for JSON, Python and HTML in the ways that are common."""
    bare = html.escape(text, quote=False)
    pages = {bare.replace("'", one).replace('"', two) for one, two in product(("'", *QUOTES[0]), ('"', *QUOTES[1]))}
    dumped: set[str] = set()
    for plain in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        some = plain.replace("<", r"\u003c")
        dumped |= {plain, some, some.replace(">", r"\u003e").replace("&", r"\u0026"), plain.replace("/", r"\/")}
    literal = {repr(text)[1:-1], ascii(text)[1:-1], repr(text.encode(errors="surrogateescape"))[2:-1]}
    return {text, disarm(text), *pages, *dumped, *literal}


def _quote(text: str) -> set[str]:
    """Quote for URLs and a shell."""
    raw = text.encode(errors="surrogateescape")
    quoted = {quote(raw, safe=safe) for safe in SAFE} | {quote_plus(raw)}
    quoted |= {shlex.quote(text), shlex.quote(text).strip("'")}
    return quoted | {re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), each) for each in quoted}


def _encode(raw: bytes) -> Iterator[str]:
    """Encode in hexadecimal digits, and in base64 behind any other bytes."""
    forms = [raw.hex(), raw.hex().upper()]
    for ahead in range(3):
        first, last = -(-ahead * 8 // 6), (ahead + len(raw)) * 8 // 6  # characters that other bytes have no share in
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            forms.append(encode(b"\0" * ahead + raw).decode()[first:last])
    yield from (form for form in forms if len(form) >= SURE)


def _overlap(content: bytes, form: bytes) -> int:
    """Return how many bytes at the end of a content are the start of a form, but not all of it."""
    longest = min(len(content), len(form) - 1)
    return next((size for size in range(longest, 0, -1) if content.endswith(form[:size])), 0)
