"""The reviewed names: what a model file may hold of nbkit, scikit-learn, scipy, numpy and LightGBM, and as what.

A class is created empty and gets its attributes; what is called with arguments is on a short list of names whose code
was read. There are no prefixes.
"""

RATES = ("FillEmpty", "GroupRate", "GroupRateClassifier", "GroupRateRegressor")
NBKIT = (*(f"nbkit.model.baselines.{name}" for name in RATES), "nbkit.model.search.LimitedPipeline")
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
