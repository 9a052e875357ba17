"""What must be true of any page of a report, checked with a parser: structure, names for who cannot see, nothing from elsewhere."""

import base64
import hashlib
import itertools
import re
from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "input", "link"}
SELF_CLOSED = {"path", "use", "rect", "g", "text", "defs", "stop", "tspan", "image", "title", "circle", "line", "svg"}


class Page(HTMLParser):
    """A page as lists of what stands in it; whatever is nested wrongly is listed in `wrong`."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.stack, self.wrong, self.texts = [], [], [], []
        self.feed(text)
        self.close()
        self.wrong += [f"<{tag}> is not closed" for tag in self.stack]

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in SELF_CLOSED | VOID:
            self.wrong.append(f"<{tag}/> is no way to close it")

    def handle_endtag(self, tag):
        if not self.stack or self.stack.pop() != tag:
            self.wrong.append(f"</{tag}> closes something else")

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join("".join(self.texts).split())

    def all(self, *tags):
        return [attrs for tag, attrs in self.elements if tag in tags]


def check_page(text):
    """Assert what holds for every page, and return it parsed."""
    page = Page(text)
    assert page.wrong == []
    assert [attrs["lang"] for attrs in page.all("html")] == ["en"]
    policy = [attrs["content"] for attrs in page.all("meta") if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy
    assert policy[0].startswith("default-src 'none'")
    (script,) = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy[0].partition("script-src ")[2] == f"'sha256-{digest}'"
    assert len(script) < 6000
    assert {tag for tag, _ in page.elements} & {
        "iframe",
        "object",
        "embed",
        "link",
        "base",
        "form",
        "video",
        "audio",
    } == set()
    assert [attrs.get("type") for attrs in page.all("script")] in ([None], ["application/json", None])
    for tag, attrs in page.elements:
        assert [name for name in attrs if name.startswith("on")] == [], (tag, attrs)
        for name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
            value = attrs.get(name) or "#"
            assert value.startswith(("#", "data:image/")) or (tag == "a" and "/" not in value and ":" not in value), (
                value
            )
        assert "url(" not in (attrs.get("style") or "").replace("url(#", "")
    headings = [int(tag[1]) for tag, _ in page.elements if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit()]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert [pair for pair in itertools.pairwise(headings) if pair[1] > pair[0] + 1] == []
    assert [attrs for attrs in page.all("th") if attrs.get("scope") not in ("col", "row")] == []
    assert [attrs for attrs in page.all("section") if not attrs.get("aria-label")] == []
    for attrs in (attrs for _, attrs in page.elements if attrs.get("role") in ("img", "region")):
        assert (attrs.get("aria-label") or "").strip()
    assert [attrs for attrs in page.all("img") if "alt" not in attrs] == []
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = [attrs["href"][1:] for _, attrs in page.elements if (attrs.get("href") or "").startswith("#")]
    assert set(targets) <= set(ids)
    assert "main" in ids
    return page
