"""Packs a written report for sending: all pages in one file, a zip in which every link resolves, or a PDF."""

import io
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Collection, Mapping
from html import escape, unescape
from pathlib import Path

from nbkit.store import write_atomic

FRONT = "index.html"
KEPT = (".html", ".json", ".md")
SWITCH = '<p class="switch"><input type="checkbox" id="show-code"> <label for="show-code">Show the code</label></p>'
RAW = re.compile(r"(<(script|style)\b.*?</\2>)", re.DOTALL)  # what is no HTML inside
TAG = re.compile(r"""<[a-zA-Z][\w:-]*(?:[^>"']|"[^"]*"|'[^']*')*>""")
ID = re.compile(
    r'(\s(?:id|for|headers|list|popovertarget|aria-(?:labelledby|describedby|controls|details|owns))=")([^"]*)"'
)
HREF = re.compile(r'(\s(?:xlink:)?href=")([^"]*)"')
OUTSIDE = re.compile("https?:|mailto:")
OWN = re.compile(r"<nav\b.*?</nav>|<script\b.*?</script>", re.DOTALL)  # what only a page of its own needs
LINK = re.compile(r"""<a\b(?=[^>]*\shref="([^"]*)")[^>]*>(.*?)</a>""", re.DOTALL)
BROWSERS = "chromium chromium-browser google-chrome google-chrome-stable chrome microsoft-edge msedge"
MAC = "/Applications/{0}.app/Contents/MacOS/{0}"
FLAGS = ["--headless", "--disable-gpu", "--no-first-run", "--no-pdf-header-footer", "--disable-background-networking"]
SECONDS = 180  # that a browser may take to print


def read_pages(folder: Path) -> dict[str, str]:
    """Read the written pages of a report, the front page first; a link that leads out of the folder becomes its text.

    Parameters
    ----------
    folder
        Where ``index.html`` lies.

    Returns
    -------
    dict
        File name to HTML.
    """
    names = sorted((path.name for path in folder.glob("*.html")), key=lambda name: (name != FRONT, name))
    files = {path.name for path in folder.iterdir() if path.suffix in KEPT}
    return {name: unlink_outside((folder / name).read_text(encoding="utf-8"), files) for name in names}


def unlink_outside(html: str, files: Collection[str]) -> str:
    """Leave the text of a link that leads to none of these files, or out of their folder.

    Examples
    --------
    >>> unlink_outside('<a href="b.html#x">b</a>, <a href="../c.html">c</a>, <a href="#d">d</a>', ["b.html"])
    '<a href="b.html#x">b</a>, c, <a href="#d">d</a>'
    """

    def keep(found: re.Match[str]) -> str:
        leads = unescape(found[1])
        return found[0] if leads.partition("#")[0] in ("", *files) or OUTSIDE.match(leads) else found[2]

    return _change(html, lambda part: LINK.sub(keep, part))


def _change(html: str, change: Callable[[str], str]) -> str:
    """Change a page, but not its scripts and styles, which are no HTML inside."""
    parts = RAW.split(html)  # with each of them stands the word that the pattern needs to find its end
    return "".join(part if place % 3 == 1 else change(part) for place, part in enumerate(parts) if place % 3 != 2)


def join_pages(pages: Mapping[str, str]) -> str:
    """Join the pages of a report into one: links become anchors, and the ids of each page are its own.

    Parameters
    ----------
    pages
        From `read_pages`. The first gives the shell: styles, policy, script, footer.

    Returns
    -------
    str
        One HTML page that asks the network for nothing.
    """
    pages = {name: unlink_outside(html, pages) for name, html in pages.items()}  # the one file stands alone
    front, *others = pages
    titles = {name: _read_title(pages[name]) for name in others}
    listed = "".join(f'<li><a href="#page-{name[:-5]}">{title}</a></li>' for name, title in titles.items())
    contents = f'<nav aria-label="All pages of this file"><ol>{listed}</ol>{SWITCH}</nav>' if others else ""
    head, end, rest = _rewrite(pages[front], "", pages).rpartition("</main>")
    return head + contents + "".join(_make_section(name, pages) for name in others) + end + rest


def _make_section(name: str, pages: Mapping[str, str]) -> str:
    """Make a section of a page: its headings one level lower, without what only a page of its own needs."""
    parts = [re.search(rf"<{part}\b[^>]*>(.*)</{part}>", pages[name], re.DOTALL) for part in ("header", "main")]
    body = OWN.sub("", "".join(part[1] for part in parts if part))
    body = re.sub(r"(</?h)([1-5])\b", lambda found: f"{found[1]}{int(found[2]) + 1}", body)
    label = escape(unescape(_read_title(pages[name])))
    opened = f'<section class="page" id="page-{name[:-5]}" aria-label="{label}" style="break-before: page">'
    return f"\n{opened}{_rewrite(body, f'{name[:-5]}--', pages)}</section>\n"


def _read_title(html: str) -> str:
    found = re.search(r"<title>(.*?)</title>", html, re.DOTALL)
    return re.sub(" · [^·]*$", "", found[1]) if found else "Page"  # without the project, which is the same on all


def _rewrite(html: str, prefix: str, pages: Mapping[str, str]) -> str:
    """Put a prefix before every id of a page and before what refers to it; turn links to pages into anchors."""

    def point(found: re.Match[str]) -> str:
        file, _, place = unescape(found[2]).partition("#")
        if file and file not in pages:
            return found[0]
        own = prefix if not file else "" if file == FRONT else f"{file[:-5]}--"
        whole = "main" if file == FRONT else f"page-{file[:-5]}"
        return f'{found[1]}#{own + escape(place) if place else whole}"'

    def name(found: re.Match[str]) -> str:
        return f'{found[1]}{" ".join(prefix + each for each in found[2].split())}"'

    def change(tag: re.Match[str]) -> str:
        return ID.sub(name, HREF.sub(point, tag[0])).replace("url(#", f"url(#{prefix}")

    return _change(html, lambda part: TAG.sub(change, part))


def _make_single(folder: Path) -> bytes:
    return join_pages(read_pages(folder)).encode()


def read_files(folder: Path) -> dict[str, bytes]:
    """Read what of a report can be sent, as file name to content."""
    pages, files = read_pages(folder), sorted(path for path in folder.iterdir() if path.suffix in KEPT)
    return {path.name: pages[path.name].encode() if path.name in pages else path.read_bytes() for path in files}


def _make_zip(folder: Path) -> bytes:
    """Make a zip that unpacks into a folder of the run's name; the same report gives the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in read_files(folder).items():
            entry = zipfile.ZipInfo(f"{folder.parent.name}/{name}", (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def find_browser() -> str:
    """Return the command of a Chromium or Chrome on this machine; empty if there is none."""
    places = (shutil.which(name) or "" for name in BROWSERS.split())
    macs = (name for name in map(MAC.format, ("Google Chrome", "Chromium")) if Path(name).is_file())
    return next(filter(None, (*places, *macs)), "")


def _make_pdf(folder: Path) -> bytes:
    """Print a report; what the browser said last, as an OSError, if it prints nothing."""
    browser = find_browser()
    with tempfile.TemporaryDirectory(prefix="nbkit-print-") as place:
        page, printed = Path(place) / "report.html", Path(place) / "report.pdf"
        page.write_bytes(_make_single(folder))
        root = getattr(os, "geteuid", lambda: 1)() == 0  # a browser refuses to shut root in, who owns all anyway
        options = [*FLAGS, *["--no-sandbox"] * root, f"--user-data-dir={place}/profile", f"--print-to-pdf={printed}"]
        try:
            done = subprocess.run([browser, *options, page.as_uri()], capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise OSError(f"{Path(browser).name} did not finish printing within {SECONDS} seconds") from None
        if not printed.is_file():
            last = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
            raise OSError(f"{Path(browser).name} printed nothing: {last[:300]}")
        return printed.read_bytes()


def send_report(folder: Path, form: str, target: Path | None = None) -> Path:
    """Write a report in a form that can be sent.

    Parameters
    ----------
    folder
        The report.
    form
        ``html`` (one file), ``zip`` or ``pdf``, for which `find_browser` has to find one.
    target
        The file, or the folder to put it in; by default the working directory.

    Raises
    ------
    OSError
        If it cannot be printed or written.
    """
    target = target or Path()
    target = target / f"{folder.parent.name}.{form}" if target.is_dir() else target
    write_atomic(target, {"html": _make_single, "zip": _make_zip, "pdf": _make_pdf}[form](folder))
    return target
