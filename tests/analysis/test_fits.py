import math
import random

import numpy as np
import pandas as pd
import pytest

from hpcnn.analysis.fits import compared, fit_times, fits
from hpcnn.analysis.laws import peak
from hpcnn.report import RunData, load, scaling_table
from hpcnn.stats.maxima import expected_largest

SIZES = (1, 2, 4, 8, 16, 32)
SERIAL = 0.05
CONTENTION, COHERENCY = 0.05, 0.0008
PEAK = math.sqrt((1 - CONTENTION) / COHERENCY)  # 34.5 ranks


def amdahl(p):
    return 10 * (SERIAL + (1 - SERIAL) / p)


def gustafson(p):
    return 10 * p / (p - SERIAL * (p - 1))


def usl(p):
    return 10 * (1 + CONTENTION * (p - 1) + COHERENCY * p * (p - 1)) / p


def usl_weak(p):
    return p * usl(p)


def study(law, runs=6, noise=0.0, outliers=0.0, seed=0, sizes=SIZES):
    """Return times by ``law`` with relative ``noise``; a fraction ``outliers`` of runs takes half as long again."""
    chance = np.random.default_rng(seed)
    times = {}
    for ranks in sizes:
        slow = np.where(chance.random(runs) < outliers, 1.5, 1.0)
        times[ranks] = law(ranks) * np.exp(noise * chance.standard_normal(runs)) * slow
    return times


def fit_of(times, model, kind="strong", resamples=200):
    (found,) = (fit for fit in fit_times(times, kind, resamples) if fit.model == model)
    return found


def test_laws_without_noise_are_recovered_exactly():
    assert fit_of(study(amdahl), "amdahl").parameters["serial_fraction"] == pytest.approx((SERIAL,) * 3)
    assert fit_of(study(gustafson), "gustafson", "weak").parameters["serial_fraction"] == pytest.approx((SERIAL,) * 3)
    for law, kind in ((usl, "strong"), (usl_weak, "weak")):
        found = fit_of(study(law), "usl", kind)
        assert found.parameters["contention"] == pytest.approx((CONTENTION,) * 3)
        assert found.parameters["coherency"] == pytest.approx((COHERENCY,) * 3)
        assert found.peak == pytest.approx((PEAK,) * 3)
        assert found.largest_deviation == pytest.approx(0, abs=1e-9)


def test_the_laws_of_a_strong_and_of_a_weak_study():
    assert [fit.model for fit in fit_times(study(amdahl), "strong")] == ["amdahl", "tree", "jitter", "usl"]
    assert [fit.model for fit in fit_times(study(gustafson), "weak")] == ["gustafson", "ring", "tree", "jitter", "usl"]
    few = {ranks: times for ranks, times in study(amdahl).items() if ranks <= 4}
    assert [fit.model for fit in fit_times(few, "strong")] == ["amdahl", "usl"]
    assert "usl needs 6" in fit_times(few, "strong")[1].refused


def tree(p):
    return 10 * (0.01 + 0.99 / p + 0.004 * math.log2(p))


def jittery(p):
    return 10 * (0.01 + 0.99 * (1 + 0.2 * expected_largest(p)) / p)


def ring_weak(p):
    return 10 * (1 + 0.1 * (p - 1) / p + 0.002 * (p - 1))


@pytest.mark.parametrize(
    ("law", "name", "kind", "parameters"),
    [
        (tree, "tree", "strong", (0.01, 0.004)),
        (jittery, "jitter", "strong", (0.01, 0.2)),
        (ring_weak, "ring", "weak", (0.1, 0.002)),
        (lambda p: 10 * (1 + 0.03 * math.log2(p)), "tree", "weak", (0.03,)),
        (lambda p: 10 * (1 + 0.1 * expected_largest(p)), "jitter", "weak", (0.1,)),
    ],
)
def test_the_law_that_made_the_times_is_found_and_the_likeliest(law, name, kind, parameters):
    exact = fit_of(study(law), name, kind)
    assert [value for value, _, _ in exact.parameters.values()] == pytest.approx(parameters)
    found = fit_times(study(law, 10, 0.001), kind, 200)
    best = min(found, key=lambda fit: fit.aicc)
    assert best.model == name
    assert not best.is_refuted
    assert compared(found).partition("): ")[2].startswith(f"{name} ")


def test_a_law_that_does_not_stand_is_said_to_be_refuted():
    words = compared(fit_times(study(tree, 6, 0.005), "strong", 200))
    assert "refuted by the noise of repeats: " in words
    assert "amdahl" in words.partition("refuted")[2]
    assert compared(fit_times(study(amdahl, sizes=(1, 2)), "strong")) is None


def test_a_band_holds_those_of_all_likely_laws():
    found = fit_times(study(tree, 5, 0.03, seed=2), "strong", 200)
    bands = {fit.model: fit._own_curve([128]).iloc[0] for fit in found if fit.resampled is not None}
    assert {"usl", "tree"} <= set(bands)
    for fit in found:
        if fit.resampled is not None:
            curve = fit.curve([16, 128]).iloc
            assert curve[1]["seconds_low"] <= min(bands[name]["seconds_low"] for name in ("usl", "tree"))
            assert curve[1]["seconds_high"] >= max(bands[name]["seconds_high"] for name in ("usl", "tree"))
            assert curve[0]["seconds_low"] <= min(own._own_curve([16])["seconds_low"][0] for own in fit.plausible)


def test_the_peak_by_hand():
    assert peak(np.array([0.0, 0.01])) == pytest.approx(10)
    assert peak(np.array([0.5, 0.0])) == math.inf
    assert peak(np.array([1.5, 0.01])) == 1


@pytest.mark.parametrize("runs", [5, 6])
@pytest.mark.parametrize("outliers", [0.0, 0.05])
def test_95_percent_intervals_hold_in_95_percent_of_studies(runs, outliers):
    """Runs differ by 3 %; of the outliers, each takes half as long again."""
    held = {"serial": [], "scaled": [], "contention": [], "coherency": [], "peak": []}
    for seed in range(60):
        found = fit_of(study(amdahl, runs, 0.03, outliers, seed), "amdahl")
        held["serial"].append(inside(found.parameters["serial_fraction"], SERIAL))
        found = fit_of(study(gustafson, runs, 0.03, outliers, seed), "gustafson", "weak")
        held["scaled"].append(inside(found.parameters["serial_fraction"], SERIAL))
        found = fit_of(study(usl, runs, 0.03, outliers, seed), "usl")
        held["contention"].append(inside(found.parameters["contention"], CONTENTION))
        held["coherency"].append(inside(found.parameters["coherency"], COHERENCY))
        held["peak"].append(False if found.peak is None else inside(found.peak, PEAK))
    # a law that is true is refuted, and has no interval, in 5 % of studies: 9 of 60 by chance
    assert all(sum(value is None for value in values) <= 9 for values in held.values()), held
    coverage = {name: np.mean([value for value in values if value is not None]) for name, values in held.items()}
    assert min(coverage.values()) >= 0.94, coverage


def inside(value, truth):
    _, low, high = value
    return None if math.isnan(low) else low <= truth <= high


def test_a_law_that_does_not_stand_has_no_band():
    """Amdahl's on data with contention and crosstalk: no law of a constant serial part, and far too fast at 128."""
    found = fit_of(study(usl, 6, 0.02), "amdahl")
    assert found.lack_of_fit < 0.001
    assert "deviate from the law by more than repeats of one do" in found.remarks[0]
    assert np.isnan(found.parameters["serial_fraction"][1:]).all()
    curve = found.curve([128])
    assert curve[["seconds_low", "seconds_high"]].isna().all(axis=None)
    assert curve["seconds"][0] < 0.7 * usl(128)
    true = fit_of(study(usl, 6, 0.02), "usl")
    assert true.lack_of_fit > 0.05
    assert not any("no interval" in remark for remark in true.remarks)
    assert true.aicc < found.aicc - 10
    assert abs(true.left_out_error) < abs(found.left_out_error)


def test_a_law_is_not_refuted_by_rounding_or_by_one_run_a_size():
    assert fit_of(study(amdahl), "amdahl").lack_of_fit == 1
    assert math.isnan(fit_of(study(amdahl, runs=1, noise=0.01), "amdahl").lack_of_fit)


def test_intervals_narrow_with_runs():
    widths = [np.ptp(fit_of(study(usl, runs, 0.03, seed=1), "usl").peak[1:]) for runs in (4, 16, 64)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.2 * PEAK


def test_a_median_over_more_runs_weighs_more():
    def deviation(runs):
        times = {p: [amdahl(p)] * 3 for p in (1, 2, 4, 8)} | {8: [1.2 * amdahl(8)] * runs}
        return 1.2 * amdahl(8) / fit_of(times, "amdahl").curve([8])["seconds"][0]

    assert deviation(30) < deviation(3) < 1.2
    # with three runs of each size: the least sum of squared relative deviations
    times = {p: [t * f for f in (0.99, 1.0, 1.01)] for p, t in {1: 10.0, 2: 5.4, 4: 2.8, 8: 1.9}.items()}
    found = fit_of(times, "amdahl")
    b, t1 = found.parameters["serial_fraction"][0], found.curve([1])["seconds"][0]

    def squares(b, t1):
        return sum((t1 * (b + (1 - b) / p) / np.median(t) - 1) ** 2 for p, t in times.items())

    best = squares(b, t1)
    assert all(best < squares(b + db, t1 + dt) for db, dt in [(1e-3, 0), (-1e-3, 0), (0, 0.01), (0, -0.01)])


def test_curve_and_band():
    found = fit_of(study(amdahl, noise=0.02), "amdahl")
    curve = found.curve([1, 2, 64])
    assert list(curve) == ["ranks", "speedup", "low", "high", "seconds", "seconds_low", "seconds_high"]
    assert curve.loc[0, ["speedup", "low", "high"]].tolist() == pytest.approx([1, 1, 1])
    b, _, _ = found.parameters["serial_fraction"]
    assert curve["speedup"].tolist() == pytest.approx([1 / (b + (1 - b) / p) for p in (1, 2, 64)])
    assert (curve["low"] <= curve["speedup"]).all()
    assert (curve["speedup"] <= curve["high"]).all()
    assert curve["seconds"][0] == pytest.approx(10, rel=0.05)
    assert (curve["seconds_low"] < curve["seconds"]).all()


def test_a_curve_is_relative_to_the_smallest_size():
    curve = fit_of(study(amdahl, sizes=(4, 8, 16)), "amdahl").curve([4, 8])
    assert curve["speedup"].tolist() == pytest.approx([1, amdahl(4) / amdahl(8)])
    weak = fit_of(study(gustafson, sizes=(4, 8, 16)), "gustafson", "weak").curve([8])
    assert weak["speedup"].tolist() == pytest.approx([2 * gustafson(4) / gustafson(8)])


def test_too_few_sizes_are_refused_with_what_is_missing():
    two, five = study(amdahl, sizes=(1, 2)), study(usl, sizes=(1, 2, 4, 8, 16))
    assert fit_of(two, "amdahl").refused == (
        "2 sizes measured (1, 2 ranks); amdahl needs 3, for it has two unknowns (the time on one rank and the serial "
        "fraction) and something to check them against: measure 1 more"
    )
    assert "5 sizes measured (1, 2, 4, 8, 16 ranks); usl needs 6" in fit_of(five, "usl").refused
    assert fit_of(five, "amdahl").refused is None
    with pytest.raises(ValueError, match="there is no usl fit: 5 sizes"):
        fit_of(five, "usl").curve([1])


def test_super_linear_points_are_refused():
    times = {1: [10.0, 10.5], 2: [4.0, 4.2], 4: [2.2, 2.3]}
    assert fit_of(times, "amdahl").refused == (
        "super-linear: every run on 2 ranks is faster than ideal from the base case of 1 rank, and no law of scaling "
        "is; look at the base case"
    )
    chance = {1: [10.0, 10.5], 2: [4.9, 5.1], 4: [2.5, 2.7]}
    assert fit_of(chance, "amdahl").refused is None


def test_times_that_rise_again_are_the_usls():
    times = study(usl, sizes=(1, 4, 16, 32, 64, 256))
    assert "256 ranks gets less done in a second than those on 16 ranks" in fit_of(times, "amdahl").refused
    assert fit_of(times, "usl").peak[0] == pytest.approx(PEAK)


def test_a_fit_is_told_in_one_line():
    assert str(fit_of(study(amdahl), "amdahl")) == (
        "amdahl: serial fraction 0.05 (95%: 0.05..0.05); medians at most 0.0% from the fit, "
        "the largest size, predicted from the others, +0.0% off"
    )
    assert str(fit_of(study(usl, runs=1, sizes=(1, 2, 4, 8, 16, 64)), "usl")) == (
        "usl: contention 0.05, coherency 0.0008, peak at 34.5 ranks; medians at most 0.0% from the fit, "
        "the largest size, predicted from the others, +0.0% off; "
        "no interval: 1, 2, 4, 8, 16, 64 ranks measured in 1 run, and a bootstrap over runs needs 5 of each size"
    )
    assert str(fit_of(study(amdahl, sizes=(1, 2)), "amdahl")).startswith("amdahl: no fit: 2 sizes measured")


def test_degenerate_times():
    assert fit_of({p: [5.0] * 3 for p in SIZES}, "amdahl").parameters["serial_fraction"][0] == pytest.approx(1)
    assert "not a positive number" in fit_of({1: [0.0], 2: [1.0], 4: [1.0]}, "amdahl").refused
    assert "not a positive number" in fit_of({1: [math.nan], 2: [1.0], 4: [1.0]}, "amdahl").refused


def test_few_runs_carry_a_fit_but_no_interval():
    times = study(amdahl, noise=0.01)
    times[4] = times[4][:1]
    found = fit_of(times, "amdahl")
    value, low, high = found.parameters["serial_fraction"]
    assert value == pytest.approx(SERIAL, rel=0.5)
    assert math.isnan(low)
    assert math.isnan(high)
    assert found.remarks == ("no interval: 4 ranks measured in 1 run, and a bootstrap over runs needs 5 of each size",)
    assert found.curve([2])[["low", "high"]].isna().all(axis=None)


def test_a_law_without_a_peak_says_so_and_one_beyond_the_data_is_extrapolated():
    linear = fit_of(study(lambda p: 10 / p), "usl")
    assert linear.peak is None
    assert "has no peak" in linear.remarks[0]
    assert linear.parameters["coherency"][0] == pytest.approx(0, abs=1e-12)
    assert "extrapolated: it lies beyond the largest measured size, 32 ranks" in fit_of(study(usl), "usl").remarks[0]
    within = fit_of(study(usl, sizes=(1, 2, 4, 8, 16, 32, 64)), "usl")
    assert within.remarks == ()


def test_an_uncertain_peak_has_no_upper_bound():
    """The true one is at 100 ranks, three times the largest measured size."""
    found = fit_of(study(lambda p: 10 * (1 + 1e-4 * p * (p - 1)) / p, 5, 0.05, seed=1), "usl")
    value, low, high = found.peak
    assert SIZES[-1] < low < 100
    assert low < value < high == math.inf
    assert "..no bound) ranks" in str(found)


def test_a_thousand_resamples_take_about_a_second_at_most():
    import time

    start = time.process_time()
    fit_times(study(usl, noise=0.03), "strong", resamples=1000)
    assert time.process_time() - start < 1


@pytest.fixture(scope="module")
def scaled(tmp_path_factory, run_at):
    """Return a strong study by Amdahl's law under two strategies, and one weak study."""
    top = tmp_path_factory.mktemp("scaled")
    chance = random.Random(4)
    for strategy, factor in (("horovod", 1), ("multiworker", 2)):
        for ranks in (1, 2, 4):
            for repeat in range(3):
                seconds = [factor * amdahl(ranks) * chance.gauss(1, 0.01)] * 2
                name = f"{strategy}-{ranks}-{repeat}"
                run_at(top / name, ranks=ranks, seconds=seconds, strategy=strategy, repeat=repeat)
    for ranks in (1, 2, 4):
        size = {"samples": 1000 * ranks, "batch_size": 100 * ranks}
        run_at(top / f"w{ranks}", ranks=ranks, study="grow", kind="weak", seconds=[gustafson(ranks)], **size)
    run_at(top / "t", study="rates", kind="throughput", point={"fusion": 1})
    return load(top)


def test_each_series_of_a_table_is_fitted(scaled):
    table = scaling_table(scaled)
    found = {series.label: series for series in fits(scaled, table)}
    assert list(found) == [
        "grow: weak scaling of cnn on digits",
        "scale: strong scaling of cnn on digits, strategy horovod",
        "scale: strong scaling of cnn on digits, strategy multiworker",
    ]
    strong = found["scale: strong scaling of cnn on digits, strategy multiworker"]
    assert strong.rows["ranks"].tolist() == [1, 2, 4]
    first, usl_fit = strong.fits
    assert first.parameters["serial_fraction"][0] == pytest.approx(SERIAL, abs=0.02)
    assert first.curve([1])["seconds"][0] == pytest.approx(20, rel=0.02)
    assert "usl needs 6" in usl_fit.refused
    weak = found["grow: weak scaling of cnn on digits"].fits[0]
    assert weak.parameters["serial_fraction"][0] == pytest.approx(SERIAL)
    assert weak.remarks


def test_the_order_of_the_input_changes_no_number(scaled):
    expected = fits(scaled, scaling_table(scaled))
    for seed in (1, 2):
        shuffled = RunData(*(frame.sample(frac=1, random_state=seed) for frame in scaled))
        table = scaling_table(shuffled)
        for one, other in zip(expected, fits(shuffled, table.sample(frac=1, random_state=seed)), strict=True):
            assert one.label == other.label
            assert [repr(fit) for fit in one.fits] == [repr(fit) for fit in other.fits]
            pd.testing.assert_frame_equal(one.fits[0].curve([3]), other.fits[0].curve([3]))


def test_epochs_are_not_repeats(run_in, tmp_path):
    """Three epochs of one run are one measurement, their median: they carry no interval."""
    for ranks in (1, 2, 4):
        run_in(f"r{ranks}", ranks=ranks, seconds=[amdahl(ranks) * f for f in (0.9, 1.0, 9.0)])
    data = load(tmp_path)
    ((_, _, (found, _)),) = fits(data, scaling_table(data))
    assert found.parameters["serial_fraction"][0] == pytest.approx(SERIAL)
    assert found.curve([1])["seconds"][0] == pytest.approx(amdahl(1))
    assert "measured in 1 run" in found.remarks[0]


def test_one_number_of_ranks_in_two_placements_is_refused(run_in, tmp_path):
    for name, ranks, nodes in [("a", 1, 1), ("b", 2, 1), ("c", 2, 2), ("d", 4, 2)]:
        resources = {"nodes": nodes, "ntasks": ranks, "cpus_per_task": 1}
        run_in(name, ranks=ranks, seconds=[amdahl(ranks)], resources=resources)
    data = load(tmp_path)
    ((_, _, (found, _)),) = fits(data, scaling_table(data))
    assert found.refused == "2 ranks measured in several placements (nodes: 1, 2), which are not one size"
