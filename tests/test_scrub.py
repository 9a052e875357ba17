"""Secrets are found however they are spelled, wherever they stand, and however a stream cuts them."""

import base64
import html
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbkit.scrub import HIDDEN, Scrubber, find_names
from tests.conftest import make_notebook

SPELLINGS = {
    "raw": str,
    "url": lambda text: quote(text, safe=""),
    "path": quote,
    "form": quote_plus,
    "lower": lambda text: re.sub("%..", lambda found: found[0].lower(), quote(text, safe="")),
    "json": lambda text: json.dumps(text)[1:-1],
    "unicode json": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "json in a page": lambda text: json.dumps(text, ensure_ascii=False)[1:-1].replace("<", "\\u003c"),
    "html": html.escape,
    "html text": lambda text: html.escape(text, quote=False),
    "repr": lambda text: repr(text)[1:-1],
    "bytes": lambda text: repr(text.encode())[2:-1],
    "shell": shlex.quote,
    "repr in json": lambda text: json.dumps(repr(text))[2:-2],
    "json in html": lambda text: html.escape(json.dumps(text))[6:-6],
    "html in json": lambda text: json.dumps(html.escape(text))[1:-1],
}
SECRET = "pa\"ss<w>\\or d&/é'9+"
texts = st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=4, max_size=20)


def spellings(secret):
    return {name: spell(secret) for name, spell in SPELLINGS.items()} | {
        "basic": base64.b64encode(b"user:" + secret.encode() + b"!").decode()[8:-4],
        "hexadecimal": secret.encode().hex(),
    }


@given(texts.filter(lambda text: text == text.strip() and len(set(text)) > 2))
@example(SECRET)
@example("a\nb'c")
def test_every_spelling_is_found_between_other_text(secret):
    scrubber = Scrubber([secret])
    for name, form in spellings(secret).items():
        if name != "basic":
            assert scrubber.clean(f"== {form} ==").count(form) == (form in HIDDEN), name


def test_credentials_in_base64_are_found_whoever_they_belong_to():
    for user in ("u", "me", "ann", "anna", "postgres"):
        header = base64.b64encode(f"{user}:{SECRET}".encode()).decode()
        left = Scrubber([SECRET]).clean(f"Authorization: Basic {header}")
        assert HIDDEN in left
        assert len(left) < len(f"Authorization: Basic {header}") - len(SECRET)


@pytest.mark.parametrize(
    ("whole", "part"),
    [
        ("postgresql://me:s3cr%40t-word@host/db", "s3cr@t-word"),
        ("host=h password='s3cret-word' user=u", "s3cret-word"),
        (json.dumps({"type": "account", "private_key": "-----BEGIN-----\nMIIEvQIBADANBg\n"}), "MIIEvQIBADANBg"),
        ("-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----\n", "MIIEvQIBADANBg"),
        ("with-a-newline\n", "with-a-newline"),
    ],
)
def test_what_a_secret_says_to_be_secret_is_found_alone(whole, part):
    assert Scrubber([whole]).clean(f"failed for {part}!") == f"failed for {HIDDEN}!"


@given(st.lists(st.integers(0, 60), max_size=12), st.sampled_from(["hunter2hunter3", SECRET, "abababab", "aab"]))
def test_a_stream_shows_no_secret_however_it_is_cut(places, secret):
    scrubber = Scrubber([secret, secret + "-and-more"])
    content = f"{secret[:-1]} {secret} x{secret}y {secret}-and-more {quote(secret, safe='')}".encode()
    cuts = sorted({min(place, len(content)) for place in places} | {0, len(content)})
    written, held = b"", b""
    for start, end in pairwise(cuts):
        clean, held = scrubber.split(held + content[start:end])
        written += clean
    written += scrubber.clean_bytes(held)
    assert written == scrubber.clean_bytes(content)
    assert secret.encode() not in written


def test_names_are_found_in_any_section_and_short_values_are_left(monkeypatch):
    monkeypatch.setenv("A_WORD", "ab")
    assert find_names({"01_a": {"x": 1}, "02_b": {"y": [{"url": "${A_WORD}/${B_WORD}"}]}}) == ("A_WORD", "B_WORD")
    assert Scrubber.of(["A_WORD", "B_WORD"]).clean("cab") == "cab"


LEAK = """
import ctypes, html, json, logging, os, subprocess, sys, warnings, base64
from urllib.parse import quote, quote_plus
import pandas as pd
from IPython.display import HTML, JSON, Markdown, display
word = os.environ['TOY_WORD']
forms = [word, quote(word), quote(word, safe=''), quote_plus(word), json.dumps(word), html.escape(word), repr(word)]
forms += [word.encode().hex(), base64.b64encode(word.encode()).decode()]
for form in forms:
    print(form)
    print(form, file=sys.stderr)
    logging.getLogger('driver').warning('cannot connect with %s', form)
    os.write(2, b'raw ' + form.encode() + b'\\n')
    subprocess.run(['sh', '-c', 'echo "sub $FORM" >&2'], env={**os.environ, 'FORM': form})
    ctypes.CDLL(None).puts(b'libc ' + form.encode())
ctypes.CDLL(None).fflush(None)
warnings.warn(word)
display(Markdown(f'`{word}` {word}'), HTML(html.escape(word)), JSON({word: [word]}), pd.DataFrame({word: [word]}))
run.save('headline', f'read with {word}')
os.write(2, b'logged\\n')
"""


def lay(project, monkeypatch, *cells):
    monkeypatch.setenv("TOY_WORD", SECRET)
    plain = 'run_dir: str = "."  # folder'
    make_notebook(
        project / "notebooks" / "01_first.ipynb", "import nbkit\nrun = nbkit.Run(run_dir)", *cells, parameters=plain
    )
    make_notebook(project / "notebooks" / "02_second.ipynb", "1", parameters=f'{plain}\nurl: str = ""  # where')
    (project / "params" / "toy.yaml").write_text("02_second: {url: 'sql://u:${TOY_WORD}@h'}\n")


def find_leaks(folder):
    forms = {name: form.encode() for name, form in spellings(SECRET).items()}
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert files
    return [(path.name, name) for path, content in files.items() for name, form in forms.items() if form in content]


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_secret_of_another_stage_is_nowhere_in_a_run_that_failed_nor_on_the_terminal(project, monkeypatch, jobs):
    lay(project, monkeypatch, LEAK, "raise ValueError(f'no connection with {forms}')")
    command = [sys.executable, "-m", "nbkit", "run", "params/toy.yaml", "--name", "it", "--jobs", jobs]
    done = subprocess.run([*command, "--set", f"02_second.url={SECRET}"], cwd=project, capture_output=True, check=False)
    assert done.returncode == 1, done
    assert not [name for name, form in spellings(SECRET).items() if form.encode() in done.stdout + done.stderr]
    assert find_leaks(project / "runs") == []
    log = (project / "runs" / "it" / "logs" / "01_first.log").read_text()
    assert [log.count(f"{each} {HIDDEN}") for each in ("raw", "sub", "libc")] >= [7, 7, 7]


@pytest.mark.slow
def test_a_run_that_is_killed_while_a_secret_is_on_its_way_keeps_none(project, monkeypatch):
    lay(project, monkeypatch, LEAK, "import time; time.sleep(3)", "print('saved'); time.sleep(3)", "time.sleep(90)")
    command = [sys.executable, "-m", "nbkit", "run", "params/toy.yaml", "--name", "it"]
    folder, deadline = project / "runs" / "it", time.monotonic() + 90
    with subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        log = folder / "logs" / "01_first.log"
        while time.monotonic() < deadline and not (log.exists() and "logged" in log.read_text()):
            time.sleep(0.2)
        os.kill(process.pid, signal.SIGKILL)
    assert "logged" in log.read_text()
    assert HIDDEN in log.read_text()
    assert find_leaks(project / "runs") == []
