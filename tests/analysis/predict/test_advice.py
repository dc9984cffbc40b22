import json

import numpy as np
import pytest

from hpcnn.analysis.fits import fit_law
from hpcnn.analysis.laws import USL_STRONG
from hpcnn.analysis.predict.advice import limits, next_measurement
from hpcnn.report import RunData, load, scaling_table


def usl(p):
    return 10 * (1 + 0.05 * (p - 1) + 0.002 * p * (p - 1)) / p


def write_study(run_in, sizes, runs, noise=0.02, hours=0.1, **facts):
    """Write runs that each hold one core a rank for ``hours``."""
    chance = np.random.default_rng(3)
    for ranks in sizes:
        for repeat in range(runs[ranks] if isinstance(runs, dict) else runs):
            seconds = [usl(ranks) * float(np.exp(noise * chance.standard_normal()))]
            run = run_in(f"r{ranks}-{repeat}", ranks=ranks, seconds=seconds, repeat=repeat, **facts)
            result = json.loads(run.result.read_text())
            run.result.write_text(json.dumps({**result, "seconds_total": hours * 3600}))


def advice(path, budget):
    data = load(path)
    return next_measurement(data, scaling_table(data), budget)


def test_a_missing_size_comes_first(run_in, tmp_path):
    write_study(run_in, (1, 2), 6)
    (first, *others) = advice(tmp_path, 100)
    assert (first.reason, first.ranks, first.runs) == ("size", 4, 6)
    assert first.core_hours == pytest.approx(6 * 4 * 0.1)
    assert first.words == "a new size: amdahl needs 3, 1 more than there are"
    assert others == []


def test_where_the_double_is_too_dear_the_middle_of_the_widest_gap_serves(run_in, tmp_path):
    write_study(run_in, (1, 4), 6)
    assert [one.ranks for one in advice(tmp_path, 2)] == [2]


def test_a_rank_gets_at_least_one_sample(run_in, tmp_path):
    write_study(run_in, (1, 4), 6, batch_size=6, samples=600)
    assert [one.ranks for one in advice(tmp_path, 100)] == [2]


def test_rows_are_brought_to_six_runs_the_cheapest_first(run_in, tmp_path):
    write_study(run_in, (1, 2, 4, 8, 16, 32), {1: 6, 2: 4, 4: 5, 8: 6, 16: 5, 32: 6})
    found = advice(tmp_path, 100)
    assert [(one.reason, one.ranks, one.runs) for one in found] == [
        ("interval", 2, 2),
        ("interval", 4, 1),
        ("interval", 16, 1),
    ]
    assert found[0].words == "brings the median on 2 ranks to a 95 % interval (6 runs)"
    assert sum(one.core_hours for one in found) == pytest.approx(0.4 + 0.4 + 1.6)


def test_advice_keeps_to_the_budget(run_in, tmp_path):
    write_study(run_in, (1, 2, 4, 8, 16, 32), 5)
    for budget in (0.15, 0.7, 3.0):
        found = advice(tmp_path, budget)
        assert found
        assert all(one.affordable for one in found)
        assert sum(one.core_hours for one in found) <= budget
    (cheapest,) = advice(tmp_path, 0.01)
    assert not cheapest.affordable
    assert cheapest.ranks == 1
    assert cheapest.core_hours == pytest.approx(0.1)


def test_with_all_there_it_narrows_the_peak_by_about_what_it_says(run_in, tmp_path):
    sizes = (1, 2, 4, 8, 16, 32)
    write_study(run_in, sizes, 6)
    (best,) = advice(tmp_path, 40)
    assert (best.reason, best.ranks, best.runs) == ("narrow", 64, 6)
    assert "interval of the peak by about" in best.words
    ratios = []
    for seed in range(40):
        chance = np.random.default_rng(seed)
        before = {p: usl(p) * np.exp(0.02 * chance.standard_normal(6)) for p in sizes}
        after = {**before, 64: usl(64) * np.exp(0.02 * chance.standard_normal(6))}
        widths = [np.ptp(fit_law(USL_STRONG, case, 300).peak[1:]) for case in (before, after)]
        ratios.append(widths[1] / widths[0])
    assert 1 - np.nanmedian(ratios) == pytest.approx(best.narrowing, abs=0.15)


def test_a_larger_budget_narrows_more(run_in, tmp_path):
    write_study(run_in, (1, 2, 4, 8, 16, 32), 6, hours=1)
    found = [advice(tmp_path, budget) for budget in (2, 20, 200)]
    assert [one.reason for (one,) in found] == ["narrow"] * 3
    assert all(one.core_hours <= budget for (one,), budget in zip(found, (2, 20, 200), strict=True))
    assert [one.narrowing for (one,) in found] == sorted(one.narrowing for (one,) in found)
    (cheapest,) = advice(tmp_path, 0.5)
    assert (cheapest.ranks, cheapest.runs, cheapest.affordable) == (1, 1, False)


def test_a_budget_must_be_one(run_in, tmp_path):
    write_study(run_in, (1, 2), 1)
    with pytest.raises(ValueError, match="0 is not a number of core-hours"):
        advice(tmp_path, 0)


def test_studies_of_other_kinds_get_none(run_in, tmp_path):
    run_in("a", kind="throughput")
    assert advice(tmp_path, 10) == []


def test_the_order_of_the_input_changes_no_advice(run_in, tmp_path):
    write_study(run_in, (1, 2, 4, 8, 16, 32), {1: 6, 2: 4, 4: 5, 8: 6, 16: 5, 32: 6})
    data = load(tmp_path)
    shuffled = RunData(*(frame.sample(frac=1, random_state=1) for frame in data))
    table = scaling_table(shuffled).sample(frac=1, random_state=2)
    assert list(map(str, next_measurement(shuffled, table, 50))) == list(map(str, advice(tmp_path, 50)))


def on_host(run, **facts):
    """Give every recorded host of a run further facts."""
    record = json.loads(run.provenance.read_text())
    record["hosts"] = [{**host, **facts} for host in record["hosts"]]
    run.provenance.write_text(json.dumps(record))


def limited(run_in, tmp_path, facts, sizes=(1, 2), **spec):
    """Return the suggested sizes, and what is said of limits, of runs on hosts with ``facts``."""
    for ranks in sizes:
        for repeat in range(2):
            run = run_in(f"r{ranks}-{repeat}", ranks=ranks, seconds=[usl(ranks) + repeat], repeat=repeat, **spec)
            on_host(run, **facts)
    data = load(tmp_path)
    table = scaling_table(data)
    return [one.ranks for one in next_measurement(data, table, 1e6)], limits(data, table)


def test_no_more_ranks_than_the_host_has_cores(run_in, tmp_path):
    ranks, words = limited(run_in, tmp_path, {"cores": 3})
    assert sorted(ranks) == [1, 2]
    assert words == ["No more than 3 ranks: c1 has 3 cores."]


def test_a_host_with_cores_enough_gets_the_new_size(run_in, tmp_path):
    ranks, words = limited(run_in, tmp_path, {"cores": 4})
    assert 4 in ranks
    assert words == []


def test_each_rank_holds_the_cores_of_its_task(run_in, tmp_path):
    resources = {"nodes": 1, "ntasks": 2, "cpus_per_task": 4}
    ranks, words = limited(run_in, tmp_path, {"cores": 8}, resources=resources)
    assert max(ranks) == 2
    assert words == ["No more than 2 ranks: c1 has 8 cores, 4 for each rank."]


def test_no_more_ranks_than_gpus(run_in, tmp_path):
    gpus = [f"/physical_device:GPU:{number}" for number in range(2)]
    ranks, words = limited(run_in, tmp_path, {"cores": 64, "devices": gpus}, device="H100")
    assert max(ranks) == 2
    assert words == ["No more than 2 ranks: c1 has 2 GPUs."]


def test_a_size_that_the_machine_never_had_is_not_repeated(run_in, tmp_path):
    ranks, _ = limited(run_in, tmp_path, {"cores": 2}, sizes=(1, 2, 8))
    assert max(ranks) == 2


@pytest.mark.parametrize(
    ("profile", "most", "said"),
    [
        ("nodes = 3\ncores = 1", 2, "No more than 3 ranks: small has 3 nodes of 1 core."),
        ("nodes = 2\ncores = 2", 4, None),
        (
            "cores = 2",
            4,
            "Check that the machine has 4 ranks: the profile of small does not say what the machine has: nodes.",
        ),
    ],
)
def test_a_cluster_has_the_nodes_of_its_profile(run_in, tmp_path, monkeypatch, profile, most, said):
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path / "config"))
    (tmp_path / "config" / "sites").mkdir(parents=True)
    (tmp_path / "config" / "sites" / "small.toml").write_text(f'scheduler = "slurm"\n{profile}\n')
    ranks, words = limited(run_in, tmp_path, {"cores": 1}, site="small")
    assert max(ranks) == most
    assert words == ([said] if said else [])
