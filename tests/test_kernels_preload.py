import json
from pathlib import Path

import pytest

from nbkit.kernels.preload import find_imports, find_preload

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import a", {"a"}),
        ("import a.b.c", {"a.b.c"}),
        ("import a.b as c\nc.d(1)", {"a.b", "a.b.d"}),
        ("import a\na.b.c(a.d)", {"a", "a.b.c", "a.d"}),
        ("from a.b import c, d as e\ne.f", {"a.b.c", "a.b.d", "a.b.d.f"}),
        ("from a import *", {"a"}),
        ("def f():\n    import a\n    from b import c", {"a", "b.c"}),
        ("try:\n    import a\nexcept ImportError:\n    import b", {"a", "b"}),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a", {"typing.TYPE_CHECKING"}),
        ("import typing as t\nif t.TYPE_CHECKING:\n    import a", {"typing"}),
        ("import importlib\nimportlib.import_module('a.b')", {"importlib", "importlib.import_module", "a.b"}),
        ("import_module(name); import_module(); import_module(''); import_module('.a')", set()),
        ("%matplotlib inline\n!ls\nimport a\n  %time\n", {"a"}),
        ("x = 1\nx.y.z", set()),
        ("import a\nf().a.b; a[0].b", {"a"}),
        ("", set()),
    ],
)
def test_imports_are_found_by_their_dotted_names(source, expected):
    assert find_imports(source) == expected


@pytest.mark.parametrize(
    ("source", "package", "expected"),
    [
        ("from . import b", "a", {"a.b"}),
        ("from .b import c", "a.x", {"a.x.b.c"}),
        ("from ..b import c", "a.x", {"a.b.c"}),
        ("from ...b import c", "a.x", set()),
        ("from . import b", "", set()),
    ],
)
def test_relative_imports_need_their_package(source, package, expected):
    assert find_imports(source, package) == expected


def test_what_is_no_python_is_said():
    with pytest.raises(SyntaxError):
        find_imports("import")


def lay(path, *cells):
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": [cell]} for cell in cells]}))
    return path


def test_third_party_modules_are_found_through_those_of_the_project_which_are_left_out(tmp_path):
    (tmp_path / "own.py").write_text("import own_too\ndef f():\n    from sklearn.svm import SVC\n")
    (tmp_path / "own_too").mkdir()
    (tmp_path / "own_too" / "__init__.py").write_text("from . import part\n")
    (tmp_path / "own_too" / "part.py").write_text("import duckdb, os, own\n")
    notebook = lay(
        tmp_path / "a.ipynb", "%%bash\nls |", "import own, json, nowhere", "import pandas as pd\npd.DataFrame()"
    )
    assert find_preload([notebook], tmp_path) == (["duckdb", "pandas", "sklearn.svm"], [])


def test_what_a_function_further_away_imports_may_be_needed(tmp_path):
    (tmp_path / "near.py").write_text("import far\ndef f():\n    import duckdb, both\n")
    (tmp_path / "far.py").write_text("import pandas\ndef f():\n    import shap, both, further\n")
    (tmp_path / "both.py").write_text("import numpy")
    (tmp_path / "further.py").write_text("import skops.io, pandas")
    notebook = lay(tmp_path / "a.ipynb", "import near")
    assert find_preload([notebook], tmp_path) == (["duckdb", "numpy", "pandas"], ["shap", "skops.io"])


def test_a_lazy_package_leads_to_the_module_of_the_name_that_is_used(tmp_path):
    light = lay(tmp_path / "light.ipynb", "import nbkit", "nbkit.Run('.')")
    heavy = lay(tmp_path / "heavy.ipynb", "import nbkit", "nbkit.explanation.explain(model)")
    assert "scrapbook" in find_preload([light], tmp_path)[0]
    assert "shap" not in [name for part in find_preload([light], tmp_path) for name in part]
    perhaps = find_preload([heavy], tmp_path)[1]
    assert any(name.partition(".")[0] == "shap" for name in perhaps)  # it may be needed: not for every model


def test_notebooks_that_cannot_be_read_have_no_imports(tmp_path):
    (tmp_path / "bad.ipynb").write_text("{")
    (tmp_path / "list.ipynb").write_text("[]")
    assert find_preload([tmp_path / "bad.ipynb", tmp_path / "list.ipynb", tmp_path / "none.ipynb"], tmp_path) == (
        [],
        [],
    )


def test_the_stages_lead_to_the_stack_and_to_nothing_of_ours():
    found = [name for part in find_preload(sorted((ROOT / "notebooks").glob("*.ipynb")), ROOT) for name in part]
    assert {"pandas", "duckdb", "scrapbook", "sklearn.ensemble", "skops.io"} <= set(found)
    assert not [name for name in found if name.startswith("nbkit")]
