"""What is loaded is safe: crafted model files are refused in words and run nothing; the models nbkit makes load."""

import contextlib
import importlib
import inspect
import io
import json
import pkgutil
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.impute import SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, SplineTransformer, StandardScaler

import nbkit
from nbkit import formats, pictures, vetted
from nbkit.errors import BadParameter, CorruptArtifact, NbkitError, UntrustedType

RANDOM = np.random.default_rng(0)
X = pd.DataFrame({"a": RANDOM.normal(size=80), "b": RANDOM.normal(size=80), "c": pd.Categorical(list("xyxz") * 20)})
N = X[["a", "b"]]
Y = (X["a"] + RANDOM.normal(size=80) > 0).astype(int)
TEXT = ColumnTransformer([("c", OneHotEncoder(min_frequency=2), ["c"]), ("n", SimpleImputer(), ["a", "b"])])
MODELS = {
    "boosting with categoricals": (HistGradientBoostingClassifier(max_iter=3, categorical_features="from_dtype"), X),
    "boosted regression": (HistGradientBoostingRegressor(max_iter=3, loss="poisson"), N),
    "old boosting": (GradientBoostingClassifier(n_estimators=3), N),
    "forest": (RandomForestClassifier(3, class_weight="balanced"), N),
    "isolation": (IsolationForest(n_estimators=3), N),
    "linear": (make_pipeline(TEXT, StandardScaler(), LogisticRegression()), X),
    "calibrated": (CalibratedClassifierCV(LogisticRegression(), cv=2), N),
    "isotonic": (CalibratedClassifierCV(LogisticRegression(), method="isotonic", cv=2), N),
    "voting": (VotingClassifier([("a", LogisticRegression()), ("b", RandomForestClassifier(2))], voting="soft"), N),
    "stacking": (StackingClassifier([("a", LogisticRegression()), ("b", RandomForestClassifier(2))], cv=2), N),
    "searched": (GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=2), N),
    "threshold": (FixedThresholdClassifier(LogisticRegression(), threshold=0.3), N),
    "logged": (make_pipeline(FunctionTransformer(np.log1p), FunctionTransformer(), LinearRegression()), N.abs()),
    "target": (TransformedTargetRegressor(LinearRegression(), func=np.log1p, inverse_func=np.expm1), N),
    "selected": (make_pipeline(SelectKBest(k=1), LogisticRegression()), N),
    "splines": (make_pipeline(SplineTransformer(), LogisticRegression()), N),
    "neighbours": (KNeighborsClassifier(), N),
    "network": (MLPClassifier((3,), max_iter=2000, tol=0.1), N),
    "gaussian": (GaussianProcessClassifier(), N),
    "gradient": (SGDClassifier(loss="log_loss"), N),
    "isotonic alone": (IsotonicRegression(out_of_bounds="clip"), N["a"]),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_models_that_nbkit_makes_load_and_answer_as_before(name):
    model, data = MODELS[name]
    loaded = formats.load("model", formats.dump(model.fit(data, Y))[2])
    assert np.array_equal(loaded.predict(data), model.predict(data))


def test_each_estimator_of_nbkit_is_on_the_list_and_nothing_else():
    found = set()
    for each in pkgutil.walk_packages(nbkit.__path__, "nbkit."):
        if not each.name.endswith("__main__"):
            kinds = inspect.getmembers(importlib.import_module(each.name), inspect.isclass)
            own = [kind for _, kind in kinds if issubclass(kind, BaseEstimator) and kind.__module__ == each.name]
            found |= {f"{kind.__module__}.{kind.__qualname__}" for kind in own}
    assert found == set(vetted.NBKIT)


def test_no_name_on_the_lists_is_a_prefix_and_each_leads_to_what_it_says():
    for name in (*vetted.NBKIT, *vetted.PARTS):
        assert isinstance(find(name), type), name
    assert all(callable(find(name)) for name in vetted.FUNCTIONS)


def find(name):
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


# --- crafted files


class Archive:
    """Builds the nodes of a skops file."""

    def __init__(self):
        self.count = 0
        self.members = {}

    def node(self, loader, name, **parts):
        self.count += 1
        module, _, kind = name.rpartition(".")
        return {"__loader__": loader, "__module__": module, "__class__": kind, "__id__": self.count, **parts}

    def plain(self, value):
        return self.node("JsonNode", "builtins.str", content=json.dumps(value), is_json=True)

    def many(self, items, loader="ListNode", name="builtins.list"):
        return self.node(loader, name, content=list(items))

    def mapping(self, items, keys=None, name="builtins.dict"):
        keys = keys or [self.node("TypeNode", "builtins.str") for _ in items]
        return self.node("DictNode", name, content=items, key_types=self.many(keys))

    def save(self, root, protocol=2):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("schema.json", json.dumps({**root, "protocol": protocol, "_skops_version": "0.16"}))
            for name, content in self.members.items():
                archive.writestr(name, content)
        return buffer.getvalue()


def call_by_key(make, caller, text):
    """A dict whose key is built by calling what the file names with a text of the file."""
    return make.mapping({text: make.plain(1)}, keys=[caller])


def as_constructor(make, name, args):
    content = make.many([make.plain(arg) for arg in args], "TupleNode", "builtins.tuple")
    return make.node("ConstructorFromReduceNode", name, content=content)


def as_type(make, name, args):
    return call_by_key(make, make.node("TypeNode", name), args[0])


def as_function(make, name, args):
    return call_by_key(make, make.node("FunctionNode", name), args[0])


def as_list(make, name, args):
    return make.many([make.plain(arg) for arg in args], "ListNode", name)


def as_set(make, name, args):
    return make.many([make.plain(arg) for arg in args], "SetNode", name)


def as_dict(make, name, args):
    return make.mapping({"a": make.plain(args[0])}, name=name)


def as_tuple(make, name, args):
    return make.many([make.plain(arg) for arg in args], "TupleNode", name)


def as_loss(make, name, args):
    content = make.many([make.plain(arg) for arg in args], "TupleNode", "builtins.tuple")
    return make.node("LossNode", name, __reduce__={"args": content}, content=make.mapping({}))


def as_tree(make, name, args):
    content = make.many([make.plain(arg) for arg in args], "TupleNode", "builtins.tuple")
    return make.node("TreeNode", name, __reduce__={"args": content}, content=make.mapping({}))


def as_array(make, name, args):
    buffer = io.BytesIO()
    np.save(buffer, np.array(args))
    make.members["1.npy"] = buffer.getvalue()
    return make.node("NdArrayNode", name, type="numpy", file="1.npy")


def as_random(make, name, args):
    state = make.mapping({"bit_generator": make.plain(name.rpartition(".")[2]), "state": make.plain(args[0])})
    content = {"bit_generator": state, "seed_seq": make.mapping({})}
    return make.node("RandomGeneratorNode", "numpy.random._generator.Generator", content=content)


def as_partial(make, name, args):
    parts = {
        "func": make.node("FunctionNode", name),
        "args": make.many([make.plain(arg) for arg in args], "TupleNode", "builtins.tuple"),
        "kwds": make.mapping({}),
        "namespace": make.mapping({}),
    }
    return call_by_key(make, make.node("PartialNode", "functools.partial", content=parts), args[0])


def as_method(make, name, args):
    owner, _, method = name.rpartition(".")
    content = {"func": method, "obj": make.node("ObjectNode", owner, content=make.mapping({}))}
    return call_by_key(make, make.node("MethodNode", owner, content=content), args[0])


def as_operator(make, name, args):
    attrs = make.many([make.node("FunctionNode", name), make.plain(args[0])], "TupleNode", "builtins.tuple")
    return make.node("OperatorFuncNode", "operator.call", attrs=attrs)


def as_object(make, name, args):
    return make.node("ObjectNode", name, content=make.mapping({"command": make.plain(args[0])}))


def as_cached(make, name, args):
    return make.node("CachedNode", name)


def as_old_function(make, name, args):
    module, _, function = name.rpartition(".")
    content = {"module_path": module, "function": function}
    return call_by_key(make, make.node("FunctionNode", "numpy.log1p", content=content), args[0])


FORMS = [value for name, value in sorted(globals().items()) if name.startswith("as_")]
RUNNERS = [  # names that run, open, import or unpickle something, under every name by which they are known
    "os.system", "posix.system", "os.popen", "subprocess.run", "subprocess.Popen", "subprocess.getoutput",
    "builtins.eval", "builtins.exec", "builtins.open", "builtins.__import__", "builtins.compile", "builtins.getattr",
    "builtins.map", "builtins.type", "runpy.run_path", "pickle.loads", "_pickle.loads", "marshal.loads", "ctypes.CDLL",
    "importlib.import_module", "webbrowser.open", "shutil.rmtree", "pathlib.Path", "code.interact", "pty.spawn",
    "multiprocessing.Process", "threading.Thread", "functools.reduce", "operator.methodcaller", "types.FunctionType",
    # through the libraries that a model needs
    "numpy.load", "numpy.fromfile", "numpy.memmap", "numpy.vectorize", "numpy.frompyfunc", "numpy.apply_along_axis",
    "numpy.f2py.compile", "numpy.testing.rundocs", "numpy.lib.npyio.load", "numpy.random.seed", "numpy.distutils",
    "numpy.ma.core._frommethod", "numpy.object_", "numpy.void", "scipy.io.loadmat", "scipy.LowLevelCallable",
    "scipy.optimize.minimize", "pandas.read_pickle", "pandas.eval", "pandas.core.computation.eval.eval",
    "pandas.DataFrame", "pandas.io.common.urlopen", "joblib.load", "joblib.Memory", "joblib.memory.MemorizedFunc",
    "joblib.numpy_pickle.load", "joblib.parallel.Parallel", "cloudpickle.loads", "sqlalchemy.create_engine",
    "skops.io.load", "skops.io._utils.gettype", "skops.io._utils._import_obj", "papermill.execute_notebook",
    "sklearn.utils._testing.raises", "sklearn.utils._testing.create_memmap_backed_data", "sklearn.conftest.raccoon_face",
    "sklearn.utils._testing.assert_run_python_script_without_output", "sklearn.datasets.load_files",
    "sklearn.datasets.fetch_openml", "sklearn.datasets._base._pkl_filepath", "sklearn.metrics.make_scorer",
    "sklearn.metrics._scorer._Scorer", "sklearn.utils.parallel.delayed", "sklearn.utils.parallel.Parallel",
    "sklearn.utils.fixes.VisibleDeprecationWarning", "sklearn.externals.conftest", "sklearn.utils._bunch.Bunch",
    "sklearn.utils.metaestimators.available_if", "sklearn.base.clone", "sklearn.model_selection.cross_val_score",
    "sklearn.utils.discovery.all_estimators", "sklearn.utils.estimator_checks.check_estimator", "sklearn.clone",
    "sklearn.__check_build.raise_build_error", "sklearn.utils._joblib.hash", "sklearn.inspection.permutation_importance",
    "sklearn.tree.export_graphviz", "sklearn.utils._show_versions._get_deps_info", "sklearn.setup_module",
    # through nbkit's own
    "nbkit.features.recipe._make", "nbkit.data.sources.load", "nbkit.formats.load", "nbkit.kernels.child.run",
    "nbkit.serve.command.serve", "nbkit.store.write_atomic", "nbkit._lazy.attach", "nbkit.pipeline.process.start",
    "nbkit.registry.Registry", "nbkit.features.recipe.importlib", "nbkit.cli.main", "nbkit.model.baselines.clone",
]  # fmt: skip
CASES = [(form, name) for form in FORMS for name in RUNNERS if not (form is as_dict and name.endswith("Bunch"))]


def try_to_load(content, project):
    """Load a crafted file; return the error, having checked that nothing ran and nothing was imported for it."""
    before = set(sys.modules)
    with pytest.raises(NbkitError) as caught:
        formats.load("model", content)
    assert not (project / "ran").exists()
    assert {
        name for name in set(sys.modules) - before if name.split(".")[0] not in ("sklearn", "skops", "scipy")
    } == set()
    assert len(str(caught.value)) > 20
    return caught.value


@pytest.fixture(scope="module")
def warm():
    formats.load("model", formats.dump(LinearRegression())[2])  # what loading itself imports
    return True


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_no_crafted_file_runs_anything(form, project, warm):
    """A file per form and name, more than 1,500 in all: each would touch a file if what it names were called."""
    tried = [name for one, name in CASES if one is form]
    for name in tried:
        make = Archive()
        error = try_to_load(make.save(form(make, name, [f"touch {project / 'ran'}"])), project)
        assert isinstance(error, UntrustedType) or form is as_old_function, (name, error)
    assert len(tried) >= 90


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_nor_does_it_as_a_part_of_an_honest_model(form, project, warm):
    """The same inside of an estimator, where the walk has to find it, and behind an id that another node has."""
    for name in ("os.system", "sklearn.utils._testing.raises", "nbkit.features.recipe._make", "numpy.load"):
        for same in (False, True):
            make = Archive()
            bad = form(make, name, [f"touch {project / 'ran'}"])
            good = make.plain(3)
            if same:
                good["__id__"] = bad["__id__"]
            inner = make.mapping({"__sklearn_tags__": make.many([good, bad]), "C": make.many([bad], "TupleNode")})
            root = make.node("ObjectNode", "sklearn.linear_model._logistic.LogisticRegression", content=inner)
            assert isinstance(try_to_load(make.save(root), project), NbkitError)


def test_no_object_that_can_be_called_calls_a_method_that_a_file_names(project, warm):
    """A scorer calls the method that it names on whatever it is given: as the function of a transformer, on the rows."""
    from sklearn.metrics import make_scorer
    from sklearn.metrics._scorer import _Scorer

    scorer = make_scorer(np.mean)
    scorer._response_method = "query"
    content = formats.dump(FunctionTransformer(scorer))[2]
    assert f"{_Scorer.__module__}._Scorer" in str(try_to_load(content, project))
    names = (*vetted.NBKIT, *vetted.PARTS)
    owners = {name for name in names if any("__call__" in vars(kind) for kind in find(name).__mro__)}
    computing = {f"sklearn.gaussian_process.kernels.{name}" for name in vetted.KERNELS}
    computing |= {f"sklearn._loss.loss.{name}" for name in vetted.LOSSES}
    assert owners == computing | {"scipy.interpolate._bsplines.BSpline", "sklearn.metrics._scorer._PassthroughScorer"}


@pytest.mark.parametrize("protocol", [0, 1, -1, True, None, "2", 10**9])
def test_an_older_protocol_in_which_names_hide_is_refused(protocol, project, warm):
    make = Archive()
    root = as_old_function(make, "os.system", [f"touch {project / 'ran'}"])
    try_to_load(make.save(root, protocol=protocol), project)


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        ("os.", "system"),
        ("", "eval"),
        ("os", "path.join"),
        ("sklearn.linear_model._logistic", "LogisticRegression.__init__.__globals__"),
        ("sklearn.linear_model", "_logistic.LogisticRegression"),
        ("sklearn..linear_model", "LogisticRegression"),
        ("sklearn.linear_model", "LogisticRegression "),
        ("../evil", "Kind"),
        (None, "eval"),
        (["os"], "system"),
        ({"a": 1}, "system"),
    ],
)
def test_a_name_that_is_none_is_refused(module, kind, project, warm):
    make = Archive()
    root = make.node("ObjectNode", "a.B", content=make.mapping({}))
    try_to_load(make.save({**root, "__module__": module, "__class__": kind}), project)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_generated_file_is_loaded_or_refused_in_words(data, project, warm):
    """Any nesting of any nodes with names that run something among honest ones."""
    names = st.sampled_from([*RUNNERS, "builtins.str", "sklearn.linear_model._base.LinearRegression", "numpy.log1p"])
    make = Archive()

    def draw(depth):
        form = data.draw(st.sampled_from(FORMS))
        node = form(make, data.draw(names), [f"touch {project / 'ran'}"])
        if depth and data.draw(st.booleans()):
            node["content"] = data.draw(st.sampled_from([draw(depth - 1), [draw(depth - 1)], {"k": draw(depth - 1)}]))
        node["__id__"] = data.draw(st.integers(0, 3))
        return node

    content = make.save(draw(2))
    with contextlib.suppress(NbkitError):
        formats.load("model", content)
    assert not (project / "ran").exists()


@pytest.mark.parametrize("kind", ["model", "table", "series", "array", "value", "figure"])
@pytest.mark.parametrize("damage", ["empty", "garbage", "half", "zip of nothing", "nested", "pickled"])
def test_a_damaged_file_is_told_in_words(kind, damage):
    import pickle

    whole = {
        "model": LogisticRegression().fit(N, Y), "table": N, "series": N["a"], "array": N.to_numpy(),
        "value": {"a": 1}, "figure": pictures.Picture("<svg></svg>", "alt"),
    }[kind]  # fmt: skip
    content = formats.dump(whole)[2]
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    bad = {
        "empty": b"", "garbage": b"\xff\x00garbage" * 9, "half": content[: len(content) // 2],
        "zip of nothing": empty.getvalue(), "nested": b"[" * 100_000, "pickled": pickle.dumps({"a": 1}),
    }[damage]  # fmt: skip
    if kind == "figure" and damage == "half":
        assert formats.load(kind, bad)  # half a drawing is still one
    else:
        with pytest.raises(CorruptArtifact, match="this is not a"):
            formats.load(kind, bad)


def test_two_members_of_one_name_are_refused(project, warm):
    make = Archive()
    content = io.BytesIO(make.save(make.node("ObjectNode", "sklearn.linear_model._base.LinearRegression")))
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(content, "a") as archive:
        archive.writestr("schema.json", "{}")
    assert "two members" in str(try_to_load(content.getvalue(), project))


def test_what_is_loaded_as_a_model_is_one(project, warm):
    make = Archive()
    assert "not a model" in str(try_to_load(make.save(make.plain([1, 2])), project))


# --- the project's own


@pytest.fixture
def own(project, monkeypatch):
    """A module of the project with a transformer, a helper class, a function and an alias of something dangerous."""
    (project / "churn_kit.py").write_text(
        "from subprocess import Popen, check_output\n"
        "from sklearn.base import BaseEstimator, TransformerMixin\n"
        "class Clean(TransformerMixin, BaseEstimator):\n"
        "    def fit(self, X, y=None):\n        self.helper_ = Helper(); return self\n"
        "    def transform(self, X):\n        return X.fillna(0)\n"
        "class Helper:\n    def __init__(self):\n        self.a = 1\n"
        "def double(X):\n    return X * 2\n"
    )
    monkeypatch.syspath_prepend(project)
    sys.modules.pop("churn_kit", None)
    yield importlib.import_module("churn_kit")
    sys.modules.pop("churn_kit", None)


def vouch(project, *lines):
    (project / "params" / "trusted.txt").write_text("\n".join(lines) + "\n")


def test_a_class_of_ones_own_loads_once_the_project_vouches_for_it_by_its_exact_name(own, project):
    content = formats.dump(make_pipeline(own.Clean(), LogisticRegression()).fit(N, Y))[2]
    with pytest.raises(UntrustedType, match=r"add the line churn_kit\.Clean to params/trusted\.txt"):
        formats.load("model", content)
    vouch(project, "churn_kit.Clean  # we read it")
    with pytest.raises(UntrustedType, match=r"churn_kit\.Helper"):
        formats.load("model", content)
    vouch(project, "churn_kit.Clean", "", "# and its part", "churn_kit.Helper")
    assert formats.load("model", content).predict(N).shape == (80,)


def test_the_environment_vouches_too(own, project, monkeypatch):
    content = formats.dump(own.Clean())[2]
    monkeypatch.setenv("NBKIT_TRUSTED", "churn_kit.Clean, churn_kit.Helper")
    assert isinstance(formats.load("model", content), own.Clean)


@pytest.mark.parametrize(
    "line",
    [
        "churn_kit.", "churn_kit", "churn_kit.*", "sklearn.", "numpy.", "*", "churn_kit.Clean.", ".Clean", "churn_kit..X",
        "churn_kit:Clean", "churn_kit.Clean churn_kit.Helper", "re.compile", "os.system", "subprocess.Popen",
        "builtins.eval", "a.class", "churn_kit.Clean()",
    ],
)  # fmt: skip
def test_a_line_that_is_no_exact_name_of_a_class_is_refused_in_words(line, own, project):
    content = formats.dump(LinearRegression())[2]
    vouch(project, "churn_kit.Clean", line)
    with pytest.raises(BadParameter, match=r"params/trusted\.txt, line 2: "):
        formats.load("model", content)


def test_a_function_of_ones_own_is_applied_once_the_project_vouches_for_it_by_its_exact_name(own, project):
    content = formats.dump(FunctionTransformer(own.double))[2]
    with pytest.raises(UntrustedType, match=r"add the line churn_kit\.double to params/trusted\.txt"):
        formats.load("model", content)
    vouch(project, "churn_kit.double")
    assert formats.load("model", content).transform(np.ones((1, 1))).tolist() == [[2.0]]


def test_a_line_vouches_for_no_borrowed_class_or_function_and_for_no_other_use(own, project):
    vouch(project, "churn_kit.double", "churn_kit.Popen", "churn_kit.check_output")
    borrowed = formats.dump(FunctionTransformer(own.check_output))[2].replace(b"subprocess", b"churn_kit ")
    with pytest.raises(NbkitError):
        formats.load("model", borrowed)
    for form in FORMS:
        for name in ("churn_kit.double", "churn_kit.Popen", "churn_kit.check_output"):
            if (form, name) == (as_function, "churn_kit.double"):
                continue
            make = Archive()
            with pytest.raises(NbkitError):
                formats.load("model", make.save(form(make, name, [f"touch {project / 'ran'}"])))
    assert not (project / "ran").exists()


def test_a_vouched_class_is_created_empty_and_never_called_with_what_a_file_says(own, project):
    """A class may do anything in its constructor: only as the type of an object is it loaded."""
    vouch(project, "churn_kit.Clean", "churn_kit.Helper")
    for form in FORMS:
        if form is as_object:
            continue
        make = Archive()
        with pytest.raises(NbkitError):
            formats.load("model", make.save(form(make, "churn_kit.Helper", ["x"])))


def test_a_module_that_a_file_names_is_not_imported(project, monkeypatch, warm):
    (project / "evil_kit.py").write_text(f"open({str(project / 'ran')!r}, 'w')\nclass Kind: pass\n")
    monkeypatch.syspath_prepend(project)
    for form in FORMS:
        make = Archive()
        assert "evil_kit" in str(try_to_load(make.save(form(make, "evil_kit.Kind", ["x"])), project)) or form in (
            as_old_function,
            as_random,
        )
    assert "evil_kit" not in sys.modules
