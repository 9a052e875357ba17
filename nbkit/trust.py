"""Which model files may be loaded: every type in a file is checked by its exact name before anything is built.

skops resolves ``module.name`` and, depending on the node, calls it with arguments from the file. So a name is allowed
for one use only: a class of the lists below is created empty and gets its attributes; what is called with arguments
is on a short list of names that were read. There are no prefixes.
"""

import importlib
import io
import json
import keyword
import os
import sys
import types
import zipfile
from collections.abc import Iterator
from functools import cache
from typing import Any

from nbkit.errors import BadParameter, CorruptArtifact, UntrustedType
from nbkit.project import find_root

TRUSTED_FILE = "params/trusted.txt"
OLDEST_PROTOCOL = 2  # older skops files hide a function's name from a check of names

NBKIT = (
    "nbkit.model.baselines.FillEmpty",
    "nbkit.model.baselines.GroupRate",
    "nbkit.model.baselines.GroupRateClassifier",
    "nbkit.model.baselines.GroupRateRegressor",
    "nbkit.model.search.LimitedPipeline",
)
KERNELS = (
    "CompoundKernel", "ConstantKernel", "DotProduct", "ExpSineSquared", "Exponentiation", "Matern", "PairwiseKernel",
    "Product", "RBF", "RationalQuadratic", "Sum", "WhiteKernel",
)  # fmt: skip
LINKS = ("HalfLogitLink", "IdentityLink", "Interval", "LogLink", "LogitLink", "MultinomialLogit")
LOSSES = (
    "AbsoluteError", "ExponentialLoss", "HalfBinomialLoss", "HalfGammaLoss", "HalfMultinomialLoss", "HalfPoissonLoss",
    "HalfSquaredError", "HalfTweedieLoss", "HalfTweedieLossIdentity", "HuberLoss", "PinballLoss",
)  # fmt: skip
SPLITTERS = (
    "GroupKFold", "GroupShuffleSplit", "KFold", "LeaveOneGroupOut", "LeaveOneOut", "LeavePGroupsOut", "LeavePOut",
    "PredefinedSplit", "RepeatedKFold", "RepeatedStratifiedKFold", "ShuffleSplit", "StratifiedGroupKFold",
    "StratifiedKFold", "StratifiedShuffleSplit", "TimeSeriesSplit",
)  # fmt: skip
LIGHTGBM = ("basic.Booster", "sklearn.LGBMClassifier", "sklearn.LGBMRegressor")  # the trees are a text that it parses
PARTS = frozenset(  # what fitted estimators of scikit-learn 1.9 and LightGBM hold beside estimators; each was read
    {
        *(f"lightgbm.{name}" for name in LIGHTGBM),
        *(f"sklearn.gaussian_process.kernels.{name}" for name in KERNELS),
        *(f"sklearn._loss.link.{name}" for name in LINKS),
        *(f"sklearn._loss.loss.{name}" for name in LOSSES),
        *(f"sklearn.model_selection._split.{name}" for name in SPLITTERS),
        "scipy.interpolate._bsplines.BSpline",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.cluster._bisect_k_means._BisectingTree",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.metrics._scorer._PassthroughScorer",
        "sklearn.multiclass._ConstantPredictor",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.preprocessing._function_transformer.FunctionTransformer",
        "sklearn.utils._metadata_requests.MetadataRequest",
        "sklearn.utils._metadata_requests.MethodMetadataRequest",
    }
)
RECIPE_FUNCTIONS = ("name_date_parts", "to_date_parts", "to_levels", "to_numbers")
UFUNCS = (
    "absolute", "arcsinh", "cbrt", "ceil", "cos", "deg2rad", "exp", "exp2", "expm1", "floor", "isfinite", "isnan",
    "log", "log10", "log1p", "log2", "negative", "rad2deg", "reciprocal", "rint", "sign", "sin", "sqrt", "square",
    "tan", "tanh",
)  # fmt: skip
FUNCTIONS = frozenset(  # they compute on what they are given and open, import and call nothing; each was read
    {
        *(f"{module}.{name}" for module in ("numpy", "numpy._core._multiarray_umath") for name in UFUNCS),
        *(f"scipy.special._ufuncs.{name}" for name in ("expit", "logit")),
        *(f"nbkit.features.encoders.{name}" for name in RECIPE_FUNCTIONS),
        "numpy.mean",
        "scipy._lib.array_api_compat.numpy._aliases.asarray",
        "sklearn.cluster._kmeans._kmeans_single_elkan",
        "sklearn.cluster._kmeans._kmeans_single_lloyd",
        "sklearn.feature_selection._mutual_info.mutual_info_classif",
        "sklearn.feature_selection._mutual_info.mutual_info_regression",
        "sklearn.feature_selection._univariate_selection.chi2",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.feature_selection._univariate_selection.f_regression",
        "sklearn.utils.validation.check_array",
    }
)
SCALARS = frozenset(
    {
        *(f"numpy.{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
        *(f"numpy.float{bits}" for bits in (16, 32, 64)),
        *("numpy.bool", "numpy.bool_", "numpy.longlong", "numpy.str_", "numpy.ulonglong"),
    }
)
FORMS = ("bsr", "coo", "csc", "csr", "dia")
SPARSE = frozenset(f"scipy.sparse._{form}.{form}_{kind}" for form in FORMS for kind in ("array", "matrix"))
LOSS_FUNCTIONS = frozenset(
    {
        *(f"sklearn._loss._loss.Cy{name}" for name in LOSSES),
        *(
            f"sklearn.linear_model._sgd_fast.{name}"
            for name in ("EpsilonInsensitive", "Hinge", "ModifiedHuber", "SquaredEpsilonInsensitive", "SquaredHinge")
        ),
    }
)
PLAIN = (*(f"builtins.{name}" for name in ("bool", "float", "int", "object", "str")), "collections.OrderedDict")
TYPES = frozenset(PLAIN) | SCALARS
CALLED = frozenset(
    {
        "builtins.complex", "builtins.frozenset", "builtins.range", "datetime.date", "datetime.datetime",
        "datetime.time", "datetime.timedelta", "datetime.timezone", "decimal.Decimal", "zoneinfo.ZoneInfo",
    }
)  # fmt: skip
USES = {  # the kinds of nodes in a skops file, and the names that each may hold; a kind that is not here is refused
    "BytearrayNode": frozenset({"builtins.bytearray"}),
    "BytesNode": frozenset({"builtins.bytes"}),
    "ConstructorFromReduceNode": CALLED,
    "DTypeNode": frozenset({"numpy.dtype"}),
    "DefaultDictNode": frozenset({"collections.defaultdict"}),
    "DictNode": frozenset({"builtins.dict", "collections.OrderedDict", "sklearn.utils._bunch.Bunch"}),
    "FunctionNode": FUNCTIONS,
    "JsonNode": frozenset({"builtins.str"}),
    "ListNode": frozenset({"builtins.list"}),
    "LossNode": LOSS_FUNCTIONS,
    "MaskedArrayNode": frozenset({"numpy.ma.MaskedArray", "numpy.ma.core.MaskedArray"}),
    "NdArrayNode": frozenset({"numpy.ndarray"}) | SCALARS,
    "PartialNode": frozenset({"functools.partial"}),
    "RandomGeneratorNode": frozenset({"numpy.random._generator.Generator"}),
    "RandomStateNode": frozenset({"numpy.random.mtrand.RandomState"}),
    "SetNode": frozenset({"builtins.set"}),
    "SliceNode": frozenset({"builtins.slice"}),
    "SparseMatrixNode": SPARSE,
    "TreeNode": frozenset({"sklearn.tree._tree.Tree"}),
    "TupleNode": frozenset({"builtins.tuple"}),
    "TypeNode": TYPES,
}


def load_model(content: bytes) -> Any:
    """Load a model from a skops file after every type in it was checked.

    Parameters
    ----------
    content
        The file.

    Returns
    -------
    object
        The model.

    Raises
    ------
    UntrustedType
        The file holds a type, a function or a kind of node that neither nbkit nor this project vouches for; nothing
        was imported, built or called.
    CorruptArtifact
        It is not a skops file, or its parts do not fit together.

    Examples
    --------
    >>> load_model(b"PK")
    Traceback (most recent call last):
    nbkit.errors.CorruptArtifact: this is not a model file: File is not a zip file
    """
    names = check_model(content)
    from skops import io as skops_io
    from skops.io.exceptions import UntrustedTypesFoundException

    from nbkit.trees import check_trees

    try:
        model = skops_io.loads(content, trusted=names)
    except UntrustedTypesFoundException as error:
        raise UntrustedType(f"the model holds more than its parts say: {error}") from error
    except Exception as error:  # whatever a file with allowed types and wrong parts leads to
        raise CorruptArtifact(f"the model cannot be built: {type(error).__name__}: {error}") from error
    if not (hasattr(model, "get_params") and hasattr(model, "fit")):
        raise CorruptArtifact(f"this is not a model but a {type(model).__name__}")
    check_trees(model)
    return model


def check_model(content: bytes) -> list[str]:
    """Check each type in a skops file and return their names; classes are resolved, nothing is built or called.

    Raises
    ------
    UntrustedType, CorruptArtifact
        As in `load_model`.
    """
    schema = _read_schema(content)
    found: set[tuple[str, str]] = set()
    try:
        for node in _iterate_nodes(schema):
            found.add(_name_node(node))
    except RecursionError:
        raise CorruptArtifact("this is not a model file: its parts are nested too deeply") from None
    own = trusted_names()
    refused = {name: why for loader, name in sorted(found) if (why := _refuse(loader, name, own))}
    if refused:
        raise UntrustedType("; ".join(f"the model holds {name}: {why}" for name, why in refused.items()))
    return sorted({name for _, name in found})


def trusted_names() -> frozenset[str]:
    """Return the classes and functions of this project's own that may be loaded.

    They are the lines of ``params/trusted.txt`` and the names in the environment variable ``NBKIT_TRUSTED`` (comma
    between them): exact dotted names. A class is created empty and gets its attributes; a function is applied to rows,
    with options that the file may choose, so that only functions which compute on what they are given belong there.
    What a file wants to load never counts.

    Raises
    ------
    BadParameter
        A line is not a dotted name, or names something of Python's standard library.
    """
    own = [(name, "NBKIT_TRUSTED") for name in os.environ.get("NBKIT_TRUSTED", "").split(",")]
    path = find_root() / TRUSTED_FILE
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()
        own += [(line.split("#")[0], f"{TRUSTED_FILE}, line {number}") for number, line in enumerate(lines, 1)]
    return frozenset(_check_line(name.strip(), where) for name, where in own if name.strip())


def _check_line(name: str, where: str) -> str:
    parts = name.split(".")
    if len(parts) < 2 or not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        raise BadParameter(
            f"{where}: {name!r} is not the exact dotted name of a class or function, such as churn.features.Clean; "
            "a prefix or a pattern vouches for code that nobody has read"
        )
    if parts[0] in sys.stdlib_module_names:
        raise BadParameter(
            f"{where}: {name!r} is part of Python itself; a model needs no such class, and it can run code"
        )
    return name


def _read_schema(content: bytes) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            schema = json.loads(archive.read("schema.json"))
    except Exception as error:  # zipfile, zlib and json each have errors of their own
        raise CorruptArtifact(f"this is not a model file: {error}") from error
    if len(set(names)) != len(names):
        raise CorruptArtifact("this is not a model file: it holds two members of one name")
    protocol = schema.get("protocol") if isinstance(schema, dict) else None
    if type(protocol) is not int or protocol < OLDEST_PROTOCOL:
        raise UntrustedType(
            f"the model was written with protocol {protocol!r} of skops; register it again from its run"
        )
    return dict(schema)


def _iterate_nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every dict that skops could take for a node, wherever it stands."""
    if isinstance(schema, list):
        for item in schema:
            yield from _iterate_nodes(item)
    elif isinstance(schema, dict):
        if {"__loader__", "__class__", "__module__"} & schema.keys():
            yield schema
        is_dict = schema.get("__loader__") == "DictNode" and isinstance(schema.get("content"), dict)
        for key, item in schema.items():  # what a dict holds stands under the user's keys, `__class__` among them
            yield from _iterate_nodes(list(item.values()) if is_dict and key == "content" else item)


def _name_node(node: dict[str, Any]) -> tuple[str, str]:
    loader, module, name = (node.get(key) for key in ("__loader__", "__module__", "__class__"))
    if not (isinstance(loader, str) and isinstance(module, str) and isinstance(name, str)):
        raise CorruptArtifact("this is not a model file: a node of it has no kind, module or class")
    if not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise UntrustedType(f"the model holds {module}.{name}: this is not the name of a class in a module")
    return loader, f"{module}.{name}"


def _refuse(loader: str, name: str, own: frozenset[str]) -> str:
    """Return why a name may not stand in a node of a kind; empty if it may."""
    if loader == "ObjectNode":
        if name in NBKIT or name in PARTS or name in own:
            return _refuse_class(name, estimator=name in NBKIT)
        if name in _estimators():
            return _refuse_class(name, estimator=True)
        return f"read that code, and if you vouch for it, add the line {name} to {TRUSTED_FILE}"
    if loader not in USES:
        return f"a {loader} is not among the parts that a model may have"
    if name in USES[loader]:
        return ""
    if loader == "FunctionNode":
        if name in own:
            return _refuse_function(name)
        return f"read that function, and if it only computes on what it is given, add the line {name} to {TRUSTED_FILE}"
    if name in own:
        return (
            f"{TRUSTED_FILE} names it, but a line vouches for a class of objects that a model holds, or for a function "
            "that it applies, for nothing else"
        )
    return f"as a {loader} it is not on the list of reviewed names"


@cache
def _estimators() -> frozenset[str]:
    """Return the exact names of scikit-learn's estimators, which skops lists by importing its public modules."""
    from skops.io._trusted_types import SKLEARN_ESTIMATOR_TYPE_NAMES

    return frozenset(SKLEARN_ESTIMATOR_TYPE_NAMES)


def _refuse_function(name: str) -> str:
    """Resolve a listed name and return why it is not a function of the module that it says; empty if it is."""
    module, _, attribute = name.rpartition(".")
    try:
        found = vars(importlib.import_module(module)).get(attribute)
    except Exception as error:  # the module is the project's own and may fail as it likes
        return f"its module cannot be imported: {type(error).__name__}: {error}"
    if not isinstance(found, types.FunctionType):
        return "it is not a function that is written in Python"
    if (found.__module__, found.__qualname__) != (module, attribute):
        return f"the function is defined as {found.__module__}.{found.__qualname__}; name it so"
    return ""


def _refuse_class(name: str, *, estimator: bool) -> str:
    """Resolve a listed name and return why it is not the class that it says; empty if it is."""
    module, _, attribute = name.rpartition(".")
    try:
        found = vars(importlib.import_module(module)).get(attribute)
    except Exception as error:  # the module is the project's own and may fail as it likes
        return f"its module cannot be imported: {type(error).__name__}: {error}"
    if not isinstance(found, type):
        return "it is not a class"
    if (found.__module__, found.__qualname__) != (module, attribute) and name not in PARTS:
        return f"the class is defined as {found.__module__}.{found.__qualname__}; name it so"
    if estimator:
        from sklearn.base import BaseEstimator

        return "" if issubclass(found, BaseEstimator) else "it is not an estimator"
    return ""
