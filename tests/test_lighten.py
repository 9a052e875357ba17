"""Costly modules wait until they are needed, and nobody who needs them notices."""

import subprocess
import sys

import pytest

BEGIN = "import sys\nfrom nbkit.lighten import defer_imports\n"
CASES = {
    "papermill leaves them": (
        "with defer_imports():\n    import papermill\n"
        "print(sorted({'boto3', 'pyarrow.fs', 'rfc3987_syntax'} & set(sys.modules)))",
        "[]",
    ),
    "papermill's S3 works": (
        "with defer_imports():\n    import papermill.s3\n"
        "print(type(papermill.s3.Session(region_name='x')), sys.modules['boto3.session'].__file__[-10:])",
        "<class 'boto3.session.Session'> session.py",
    ),
    "who imports it afterwards gets the real one": (
        "with defer_imports():\n    import papermill\nfrom pyarrow.fs import FileType\nprint(FileType.File.name)",
        "File",
    ),
    "who imports it meanwhile gets what the stand-in lacks": (
        "with defer_imports():\n    from pyarrow.fs import FileType\n    import pyarrow.dataset\n"
        "print(FileType.File.name, sys.modules['pyarrow.fs'].__file__[-5:])",
        "File fs.py",
    ),
    "what is there already stays": (
        "import pyarrow.fs as real\nwith defer_imports():\n    import pyarrow.fs\nprint(sys.modules['pyarrow.fs'] is real)",
        "True",
    ),
    "an IRI is still checked": (
        "with defer_imports():\n    import jsonschema\nprint(jsonschema.FormatChecker().conforms('not an iri', 'iri'))",
        "False",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_costly_modules_wait_and_work(case):
    code, expected = CASES[case]
    done = subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected
