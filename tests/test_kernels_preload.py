import ast
import json
from pathlib import Path

import pytest

from nbkit.kernels.preload import FOR_PARTS, FOR_RUN, find_imports, find_preload, read_imports

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import a", {"a"}),
        ("import a.b.c as d, e", {"a.b.c", "e"}),
        ("from a.b import c, d as e\ne.f", {"a.b"}),
        ("from a import *", {"a"}),
        ("def f():\n    import a\n    from b import c", {"a", "b"}),
        ("try:\n    import a\nexcept ImportError:\n    import b", {"a", "b"}),
        ("import importlib\nimportlib.import_module('a.b')", {"importlib", "a.b"}),
        ("import_module(name); import_module(); import_module('.a')", set()),
        ("from . import a\nfrom ..b import c", set()),
        ("", set()),
    ],
)
def test_imports_are_found_by_their_modules(source, expected):
    assert set(find_imports(ast.parse(source))) == expected


def lay(path, *cells):
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": [cell]} for cell in cells]}))
    return path


def test_known_modules_are_preloaded_and_those_of_the_project_and_of_python_are_not(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text("import numba")
    monkeypatch.syspath_prepend(str(tmp_path))
    notebook = lay(
        tmp_path / "01_a.ipynb", "%matplotlib inline\n!ls\nimport own, pandas", "import json, sklearn.svm", "1 +"
    )
    assert find_preload([notebook]) == (["pandas", "sklearn.svm"], [])
    assert read_imports(tmp_path / "own.py") == {"numba"}


def test_a_notebook_of_ours_has_what_ours_imports(tmp_path):
    notebook = lay(tmp_path / "01_a.ipynb", "import nbkit")
    assert find_preload([notebook]) == (sorted(FOR_RUN), list(FOR_PARTS))


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"cells": [{}]}', '{"cells": [{"cell_type": "code"}]}', "null", "\x00"]
)
def test_notebooks_that_cannot_be_read_have_no_imports(tmp_path, content):
    path = tmp_path / "01_a.ipynb"
    path.write_text(content)
    assert find_preload([path, tmp_path / "absent.ipynb"]) == ([], [])


def test_the_stages_lead_to_the_stack_and_to_nothing_of_ours():
    sure, perhaps = find_preload(sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")))
    assert {"pandas", "sklearn.ensemble"} <= {*sure, *perhaps}
    assert not [name for name in (*sure, *perhaps) if name.partition(".")[0] in ("nbkit", "ast", "json")]
