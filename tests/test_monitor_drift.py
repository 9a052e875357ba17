"""Profiles and drift tests: against scipy, hand-computed cases, simulations without drift, and degenerate columns."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks.truth.drift import DEFAULT, alarm, count_false, count_false_blocks, draw_blocks
from nbkit import formats
from nbkit.errors import BadParameter
from nbkit.monitor import compare_shares, drift_test, make_profile, measure_drift
from nbkit.monitor.distances import TESTS, DriftTest, Measurement
from nbkit.monitor.pair import pair_column
from nbkit.monitor.profile import OTHER

ALL = tuple(TESTS)
RNG = np.random.default_rng


def drift(reference, window, tests=("psi",)):
    profile = make_profile(pd.DataFrame({"x": reference}))
    return measure_drift(profile, pd.DataFrame({"x": window}), tests).set_index("test")


class TestAgainstReferences:
    def test_psi_by_hand(self):
        found = drift(["a"] * 60 + ["b"] * 40, ["a"] * 30 + ["b"] * 70).loc["psi"]
        p = np.array([60.5, 40.5]) / 101
        q = np.array([30.5, 70.5]) / 101
        psi = ((q - p) * np.log(q / p)).sum()
        assert found["value"] == pytest.approx(psi)
        assert found["debiased"] == pytest.approx(psi - (1 / 100 + 1 / 100))
        assert found["p_value"] == pytest.approx(stats.ncx2.sf(50 * psi, 1, 50 * 0.05))

    def test_psi_bins_are_the_deciles_of_the_reference(self):
        profile = make_profile(pd.DataFrame({"x": np.arange(1000.0)}))
        bins = profile[profile["part"] == "bin"]
        assert bins["upper"].tolist()[:-1] == [100.0 * place for place in range(1, 10)]
        assert bins["count"].tolist() == [101, *[100] * 8, 99]  # bins are (lower, upper]

    @pytest.mark.parametrize("n", [200, 1000])
    def test_ks_is_scipys_for_small_references(self, n):
        reference, window = RNG(0).normal(size=n), RNG(1).normal(0.2, size=700)
        expected = stats.ks_2samp(reference, window, method="asymp")
        found = drift(reference, window, ["ks"]).loc["ks"]
        assert found["value"] == pytest.approx(expected.statistic)
        root = np.sqrt(n * 700 / (n + 700))
        assert found["p_value"] == pytest.approx(stats.kstwobign.sf(expected.statistic * root))

    def test_ks_and_wasserstein_are_near_scipys_for_large_ones(self):
        reference, window = RNG(0).gamma(2, size=30_000), RNG(1).gamma(2.2, size=9_000)
        found = drift(reference, window, ["ks", "wasserstein"])
        assert found.at["ks", "value"] == pytest.approx(stats.ks_2samp(reference, window).statistic, abs=0.002)
        expected = stats.wasserstein_distance(reference, window) / reference.std()
        assert found.at["wasserstein", "value"] == pytest.approx(expected, abs=0.005)

    def test_missing_and_unseen(self):
        reference = ["a"] * 900 + ["b"] * 80 + [None] * 20
        window = ["a"] * 450 + ["c"] * 40 + [None] * 60
        found = drift(reference, window, ["missing", "unseen"])
        assert found.at["missing", "value"] == pytest.approx(60 / 550 - 0.02)
        assert found.at["unseen", "value"] == pytest.approx(40 / 550)
        assert found["level"].tolist() == ["drift", "drift"]
        assert "c (40)" in found.at["unseen", "detail"]

    def test_one_scale(self):
        """A shift of a third of a standard deviation is PSI 0.1 and as much by every other test (research table)."""
        reference, window = RNG(0).normal(size=200_000), RNG(1).normal(0.32, size=200_000)
        found = drift(reference, window, ["psi", "ks", "wasserstein"])
        ratio = found["debiased"] / [TESTS[name].drift for name in found.index]
        assert ratio.between(0.85, 1.15).all(), ratio


class TestVerdicts:
    @pytest.mark.parametrize("n", [300, 3_000, 50_000])
    def test_no_drift_raises_no_alarm(self, n):
        """40 columns of several laws, twice from the same law: no alarm, whatever the number of rows."""
        rng = RNG(n)
        laws = [
            lambda: rng.normal(size=n),
            lambda: rng.lognormal(size=n),
            lambda: rng.poisson(2, size=n).astype(float),
            lambda: rng.choice([f"k{k}" for k in range(50)], n),
            lambda: rng.zipf(1.5, n).clip(max=10**9).astype(str),
        ]
        reference = pd.DataFrame({f"c{place}": laws[place % 5]() for place in range(40)})
        window = pd.DataFrame({f"c{place}": laws[place % 5]() for place in range(40)})
        table = measure_drift(make_profile(reference), window, ALL)
        alarms = table[table["level"].isin(["drift", "watch"])]
        assert alarms.empty, alarms.to_string()

    @pytest.mark.parametrize("n", [2_000, 100_000])
    def test_an_immaterial_shift_raises_no_alarm_and_a_material_one_does(self, n):
        reference = RNG(0).normal(size=n)
        small = drift(reference, RNG(1).normal(0.05, size=n), ["psi", "ks", "wasserstein"])
        large = drift(reference, RNG(1).normal(0.7, size=n), ["psi", "ks", "wasserstein"])
        assert set(small["level"]) == {"ok"}
        assert set(large["level"]) == {"drift"}

    def test_too_few_rows_are_not_judged(self):
        found = drift(np.arange(1000.0), np.arange(0, 1000, 25.0)).loc["psi"]
        assert found["level"] == "not judged"
        assert "too few rows (40) to see a drift; 104 rows needed" in found["detail"]
        assert drift(np.arange(1000.0), [5.0] * 3).at["psi", "level"] == "not judged"

    def test_few_rows_that_are_plainly_elsewhere_are_a_drift(self):
        assert drift(np.arange(1000.0), [1e9] * 40).at["psi", "level"] == "drift"

    def test_identifiers_are_judged_by_groups_of_values_and_unseen_ones(self):
        ids = [f"id{place}" for place in range(5000)]
        found = drift(ids[:4000] * 2, ids[1000:] * 2, ["psi", "unseen"])
        assert found["level"].tolist() == ["ok", "drift"]
        new = drift(ids[:2500], ids[2500:], ["psi", "unseen"])
        assert new["level"].tolist() == ["ok", "not judged"]
        assert "met once only" in new.at["unseen", "detail"]

    def test_a_column_that_is_gone(self):
        profile = make_profile(pd.DataFrame({"x": range(1000), "y": range(1000)}))
        table = measure_drift(profile, pd.DataFrame({"x": range(1000)})).set_index("column")
        assert table["level"].tolist() == ["ok", "drift"]
        assert table.at["y", "detail"] == "the column is gone"

    def test_a_constant_that_moves_either_way(self):
        for value in (-1.0, 1.0):
            assert drift([0.0] * 500, [value] * 500).at["psi", "level"] == "drift"
        assert drift([0.0] * 500, [0.0] * 500).at["psi", "level"] == "ok"

    def test_unknown_names(self):
        with pytest.raises(BadParameter, match="did you mean 'psi'"):
            drift([1, 2], [1, 2], ["psii"])
        with pytest.raises(BadParameter, match="empty"):
            make_profile(pd.DataFrame({"x": []}))

    def test_bins_are_named_as_people_read_them(self):
        pair = pair_column(make_profile(pd.DataFrame({"x": [0.0] * 900 + [5.0] * 100})), pd.Series([1.0]))
        assert pair.labels == ["below 0", "0", "0 to 5", "above 5", "missing"]
        assert pair_column(make_profile(pd.DataFrame({"x": [np.nan]})), pd.Series([1.0])).labels == [
            "any number",
            "missing",
        ]


class TestTruth:
    """What the words promise, by small simulations; at full size in benchmarks/truth/drift.py."""

    @pytest.mark.parametrize(("n", "share"), [(300, 1.0), (1_000, 0.3)])
    def test_reports_on_stable_columns_of_all_kinds_hardly_ever_alarm(self, n, share):
        rate, alarms = count_false(n, 12, DEFAULT, share)
        assert rate <= 1 / 12, alarms.to_string()

    def test_rows_that_are_alike_within_blocks_do_not_alarm_where_blocks_are_known(self):
        rate, alarms = count_false_blocks(5_000, 5, ALL)
        assert rate <= 1 / 5, alarms.to_string()
        (then, _), (now, _) = draw_blocks(RNG(0), 5_000), draw_blocks(RNG(1), 2_500)
        assert len(alarm(then, now, ALL)) > 10  # as they did when each row counted for itself

    def test_new_values_that_are_to_be_expected_are_no_drift_and_others_are(self):
        """Zipf levels: 5 % of the rows of any new window have never been seen."""
        levels = []
        for seed in range(40):
            then, now = (RNG([seed, side]).zipf(1.5, 1_000).clip(max=10**9).astype(str) for side in (0, 1))
            found = drift(then, now, ["unseen"]).loc["unseen"]
            assert found["value"] > 0.01
            levels.append(found["level"])
        assert levels.count("ok") >= 36
        now[:100] = "new"
        assert drift(then, now, ["unseen"]).at["unseen", "level"] == "drift"

    def test_of_many_values_new_ones_are_still_told(self):
        names = np.array([f"id{k}" for k in range(30_000)])
        reference = np.repeat(names, 3)
        window = np.concatenate([RNG(0).choice(names, 18_000), [f"new{k}" for k in range(1_200)]])
        found = drift(reference, window, ["unseen"]).loc["unseen"]
        assert found["level"] == "drift"
        assert found["value"] == pytest.approx(1_200 / 19_200, rel=0.2)
        assert drift(reference, window[:18_000], ["unseen"]).at["unseen", "level"] == "ok"

    def test_a_shift_in_the_tail_of_a_thousand_levels_is_seen(self):
        levels = np.array([f"k{k}" for k in range(1_000)])
        weight = np.exp(RNG(0).normal(size=1_000))
        for n in (5_000, 50_000):
            reference, stable, moved = (
                RNG(seed).choice(levels, n, p=p) for seed, p in ((1, None), (2, None), (3, weight / weight.sum()))
            )
            assert drift(reference, stable).at["psi", "level"] == "ok"
            assert drift(reference, moved).at["psi", "level"] == "drift"

    def test_a_column_that_lost_all_its_values_is_a_drift_by_every_test(self):
        for values in (RNG(0).normal(size=500), RNG(0).choice(list("abc"), 500)):
            gone = pd.Series(values, dtype=object).where(np.zeros(500, dtype=bool))
            for pair in ((values, gone), (pd.Series(gone, dtype=pd.Series(values).dtype), values)):
                found = drift(*pair, ALL)
                assert set(found["level"]) == {"drift"}, found.to_string()

    def test_values_that_went_missing_are_a_drift_by_distance_tests_too(self):
        reference = RNG(0).normal(size=2_000)
        window = np.where(RNG(1).random(2_000) < 0.4, np.nan, RNG(2).normal(size=2_000))
        found = drift(reference, window, ["ks", "wasserstein", "missing"])
        assert set(found["level"]) == {"drift"}, found.to_string()
        assert "missing" in found.at["ks", "detail"]

    def test_no_values_on_either_side_are_not_called_ok(self):
        found = drift([np.nan] * 500, [np.nan] * 500, ALL)
        assert found["level"].drop("missing").eq("not judged").all()

    def test_few_rows_that_lack_all_values_may_be_chance(self):
        half = np.where(RNG(0).random(500) < 0.7, np.nan, 1.0)
        assert drift(half, [np.nan] * 5, ["ks"]).at["ks", "level"] == "not judged"
        assert drift(half, [np.nan] * 60, ["ks"]).at["ks", "level"] == "drift"

    @pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
    def test_distances_on_heavy_tails_are_those_of_the_data(self, sigma):
        reference, window = RNG(0).lognormal(sigma=sigma, size=200_000), RNG(1).lognormal(0.3, sigma, size=200_000)
        found = drift(reference, window, ["wasserstein"]).loc["wasserstein"]
        distance = stats.wasserstein_distance(reference, window)
        assert found["value"] == pytest.approx(distance / reference.std(), rel=0.02)
        said, bound = (float(found["detail"].split()[place].strip(",")) for place in (2, 4))
        assert abs(said - distance) <= bound * 1.5

    @pytest.mark.parametrize("rows", [0, 1, 2, 4])
    def test_a_window_of_hardly_any_rows_is_not_judged(self, rows):
        reference = {"x": RNG(0).normal(size=900), "k": ["a", "b", None] * 300}
        window = pd.DataFrame({"x": [1e9] * rows, "k": ["new"] * rows}, columns=["x", "k"])
        table = measure_drift(make_profile(pd.DataFrame(reference)), window, ALL)
        assert set(table["level"]) == {"not judged"}
        assert table["detail"].str.contains("too few rows|no rows").all()

    def test_a_flag_is_the_same_as_a_number_or_as_itself(self):
        for now in ([True, False] * 300, [1, 0] * 300, [1.0, 0.0] * 300):
            assert set(drift([True, False] * 300, now, ["psi", "unseen"])["level"]) == {"ok"}


class TestOwnTests:
    @pytest.mark.parametrize("kinds", [["text"], ["numeric", "time"], [], "number"])
    def test_a_kind_that_does_not_exist_is_refused_when_the_test_is_made(self, kinds):
        before = dict(TESTS)
        with pytest.raises(BadParameter, match="own"):
            drift_test("own", watch=0.1, drift=0.2, kinds=kinds)(lambda pair: None)
        assert before == TESTS

    def test_sizes_must_rise(self):
        with pytest.raises(BadParameter, match="must rise"):
            drift_test("own", watch=0.2, drift=0.1)

    def test_a_test_that_gives_no_number_is_an_error_and_never_ok(self, monkeypatch):
        monkeypatch.setitem(
            TESTS, "own", DriftTest("own", ("numeric",), 0.1, 0.2, lambda pair: Measurement(1, 1, np.nan))
        )
        with pytest.raises(BadParameter, match="'own' gave no number for column 'x'"):
            drift(np.arange(500.0), np.arange(500.0), ["own"])

    def test_one_kind_may_be_given_as_a_word(self, monkeypatch):
        monkeypatch.setitem(TESTS, "own", None)  # taken back at the end
        del TESTS["own"]
        drift_test("own", watch=0.1, drift=0.2, kinds="numeric")(lambda pair: Measurement(1.0, 1.0, 0.0, "far"))
        assert drift(np.arange(500.0), np.arange(500.0), ["own"]).at["own", "level"] == "drift"


class TestProfile:
    def test_shares_and_kinds(self):
        table = pd.DataFrame(
            {
                "n": [1.0, 2.0, np.nan, 4.0],
                "t": pd.date_range("2013-01-01", periods=4),
                "b": [True, False, True, True],
                "c": pd.Categorical(["x", "y", "x", None]),
                "i": pd.array([1, None, 3, 3], dtype="Int64"),
            }
        )
        profile = make_profile(table)
        kinds = profile.drop_duplicates("column").set_index("column")["kind"]
        assert kinds.to_dict() == {"n": "numeric", "b": "categorical", "c": "categorical", "i": "numeric"}
        shares = profile[profile["part"].isin(["bin", "missing"])].groupby("column")["share"].sum()
        assert shares.tolist() == pytest.approx([1.0] * 4)

    def test_rare_categories_share_a_bin_and_ties_do_not_depend_on_row_order(self):
        values = pd.Series(["a"] * 500 + ["b"] * 490 + [f"r{k}" for k in range(10)])
        profile = make_profile(pd.DataFrame({"x": values}))
        assert profile.loc[profile["part"] == "bin", "category"].tolist() == ["a", "b", OTHER]
        shuffled = make_profile(pd.DataFrame({"x": values.sample(frac=1, random_state=0)}))
        pd.testing.assert_frame_equal(profile, shuffled)

    def test_numbers_that_are_codes_match_as_numbers_and_with_gaps(self):
        found = drift(pd.Categorical([1, 2, 2] * 100), [1.0, 2.0, np.nan] * 100, ["unseen"])
        assert found.at["unseen", "value"] == 0

    def test_a_profile_survives_the_store(self):
        table = pd.DataFrame({"x": RNG(0).normal(size=300), "c": ["a", "b", None] * 100})
        profile = make_profile(table)
        kind, _, content = formats.dump(profile)
        assert formats.dump(make_profile(table))[2] == content
        pd.testing.assert_frame_equal(
            measure_drift(formats.load(kind, content), table, ALL), measure_drift(profile, table, ALL)
        )


COLUMNS = {
    "empty": [None] * 60,
    "inf": [np.inf, -np.inf, 1.0] * 20,
    "one inf": [np.inf] + [0.0] * 59,
    "constant": [7] * 60,
    "mixed": [1, "a", 2.5, None, (1, 2), True] * 10,
    "bool": [True, False] * 30,
    "object bool": pd.Series([True, None] * 30, dtype=object),
    "nullable": pd.array([1, None, 3] * 20, dtype="Int64"),
    "boolean": pd.array([True, None, False] * 20, dtype="boolean"),
    "category": pd.Categorical(["a", None, "b"] * 20),
    "int category": pd.Categorical([1, 2, 3] * 20),
    "period": pd.period_range("2013-01", periods=60, freq="M"),
    "time": pd.date_range("2013-01-01", periods=60, tz="UTC"),
    "delta": pd.to_timedelta(range(60), unit="h"),
    "huge": [1e308, -1e308, 5e-324] * 20,
    "text": ["ñ", "雪", ""] * 20,
    "bytes": [b"a", b"b", None] * 20,
    "numbers as text": ["1", "2", "x"] * 20,
}


@pytest.mark.parametrize("then", COLUMNS)
@pytest.mark.parametrize("now", COLUMNS)
def test_any_column_can_meet_any_other(then, now):
    profile = make_profile(pd.DataFrame({"x ✈": COLUMNS[then]}))
    table = measure_drift(profile, pd.DataFrame({"x ✈": COLUMNS[now]}), ALL)
    assert set(table["level"]) <= {"ok", "watch", "drift", "not judged"}
    assert not np.isinf(table["debiased"].drop(table.index[table["test"] == "wasserstein"])).any()
    judged = table[table["level"] != "not judged"]
    assert judged[["value", "debiased", "p_value"]].notna().all().all()
    if then == now:
        assert set(table["level"]) <= {"ok", "not judged"}
        for few in (0, 1):
            measure_drift(profile, pd.DataFrame({"x ✈": COLUMNS[now]}).head(few), ALL)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.none() | st.floats(width=32), min_size=1, max_size=60),
    st.lists(st.none() | st.floats(width=32), min_size=0, max_size=60),
)
def test_sizes_are_never_negative_and_rows_are_never_lost(reference, window):
    reference, window = pd.Series(reference, dtype=float), pd.Series(window, dtype=float)
    profile = make_profile(pd.DataFrame({"x": reference}))
    pair = pair_column(profile, window)
    assert pair.reference.sum() == len(reference)
    assert pair.window.sum() == len(window)
    table = measure_drift(profile, pd.DataFrame({"x": window}), ALL)
    assert (table["debiased"].dropna() >= 0).all()
    assert table["p_value"].dropna().between(0, 1).all()


def test_shares_of_reference_and_window_stand_on_the_same_bins():
    then = pd.DataFrame({"x": np.arange(100.0), "kind": ["a"] * 50 + ["b"] * 50})
    now = pd.DataFrame({"x": np.r_[np.full(30, 99.0), np.full(10, np.nan)], "kind": ["b"] * 40})
    shares = compare_shares(make_profile(then), now, ["x", "kind", "nowhere"])
    assert list(dict.fromkeys(shares["column"])) == ["x", "kind"]
    assert shares.groupby(["column", "when"])["share"].sum().round(12).eq(1).all()
    of = shares.set_index(["column", "when", "bin"])["share"]
    assert of["x", "window", "missing"] == 0.25
    assert of["kind", "reference", "a"] == 0.5
    assert of["kind", "window", "a"] == 0
    assert compare_shares(make_profile(then), now, []).columns.tolist() == ["column", "bin", "when", "share"]
