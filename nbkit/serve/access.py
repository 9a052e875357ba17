"""Who may ask, and in which form: the bearer token and the content type."""

import hmac
import ipaddress
import os
import re
from collections.abc import Mapping
from email.message import Message

from nbkit.errors import BadParameter

VARIABLE = "NBKIT_SERVE_TOKEN"
OPEN = ("/health", "/ready")  # what a load balancer asks; says nothing about the model or the requests


def read_token() -> str | None:
    """Return the token that requests must carry, from the environment; None if there is none.

    Raises
    ------
    BadParameter
        It is empty or cannot stand in a header. The message does not hold it.
    """
    token = os.environ.get(VARIABLE)
    if token is not None and not re.fullmatch(r"[!-~]+", token):
        what = "holds a blank or a character outside ASCII" if token else "is set but empty"
        raise BadParameter(f"{VARIABLE} {what}; make one: python -c 'import secrets; print(secrets.token_urlsafe())'")
    return token


def check_exposure(address: str, token: str | None) -> None:
    """Refuse to listen beyond this machine without a token.

    Parameters
    ----------
    address
        The IP address to listen on.
    token
        From `read_token`.

    Raises
    ------
    BadParameter
        Anyone who reaches the machine could ask.

    Examples
    --------
    >>> check_exposure("127.0.0.1", None)
    >>> check_exposure("0.0.0.0", "secret")
    """
    if token is None and not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        raise BadParameter(
            f"{address} can be reached from other machines and nobody would have to authenticate: set {VARIABLE}, "
            "or say --no-token if something in front of the service checks that"
        )


def is_allowed(path: str, authorization: bytes, token: bytes | None) -> bool:
    """Return whether a request may be answered; the token is compared in constant time.

    Examples
    --------
    >>> [is_allowed("/predict", given, b"t") for given in (b"Bearer t", b"bearer t", b"Bearer x", b"")]
    [True, True, False, False]
    >>> is_allowed("/health", b"", b"t"), is_allowed("/predict", b"", None)
    (True, True)
    """
    scheme, _, given = authorization.partition(b" ")
    held = hmac.compare_digest(given.strip(), token or b"")
    return token is None or path in OPEN or (held and scheme.lower() == b"bearer")


def explain_content(headers: Mapping[str, str]) -> str | None:
    """Return why a body cannot be JSON in UTF-8 as its headers describe it; None if it can.

    A request without a content type is taken for JSON.

    Examples
    --------
    >>> explain_content({"content-type": "application/json; charset=UTF-8"})
    >>> explain_content({})
    >>> explain_content({"content-type": "text/csv"})
    "text/csv is not read; send JSON with 'Content-Type: application/json'"
    """
    said, coding = headers.get("content-type"), headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        return f"a body with content-encoding {coding[:80]} is not read; send it uncompressed"
    if said is None or said == "application/json":
        return None
    message = Message()
    message["content-type"] = said
    kind, charset = said.partition(";")[0].strip(), message.get_param("charset", "utf-8")
    if kind.lower() != "application/json":
        return f"{kind[:80] or 'an empty content type'} is not read; send JSON with 'Content-Type: application/json'"
    if str(charset).lower() not in ("utf-8", "utf8", "us-ascii"):
        return f"charset {str(charset)[:80]} is not read; send UTF-8"
    return None
