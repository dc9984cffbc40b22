"""Whether repeats are repeats of one thing: sessions, drift, groups and hosts."""

import json

import numpy as np
import pandas as pd
import pytest

from hpcnn.analysis.quality import _apart, quality_table
from hpcnn.report import load, scaling_table
from hpcnn.util.files import read_json, read_lines, write_json


@pytest.fixture
def study(run_in, tmp_path):
    """Return a function that writes runs of 1 rank with seconds, ends and hosts, and returns their row."""

    def write(seconds, ends, hosts=None):
        for n, (own, end) in enumerate(zip(seconds, ends, strict=True)):
            run = run_in(f"r{n}", repeat=n, seconds=[own])
            write_json(run.result, {**read_json(run.result), "finished_at": end})
            facts = read_json(run.provenance)
            facts["hosts"][0]["host"] = "c1" if hosts is None else hosts[n]
            write_json(run.provenance, facts)
        data = load(tmp_path)
        (row,) = quality_table(data, scaling_table(data)).to_dict("records")
        return row

    return write


def hours(*numbers):
    return [f"2026-01-05T{number:02}:00:00Z" for number in numbers]


def test_two_sessions_are_two_measurements(study):
    ends = [*hours(1, 2, 3), *(end.replace("2026-01", "2026-11") for end in hours(1, 2, 3))]
    row = study([10.0, 10.1, 10.2, 14.0, 14.1, 14.2], ends)
    assert row["remarks"] == (
        "two measurements, not one (3 until 2026-01-05: 10.1 s, 3 from 2026-11-05: 14.1 s); "
        "the times drift with their order (p 0.0028: 10.0 s at first, 14.2 s at last)"
    )
    assert row["largest_gap_hours"] == pytest.approx(24 * 304 - 2)
    assert row["span_hours"] == pytest.approx(24 * 304 + 2)


def test_two_sessions_that_agree_are_told_apart_and_not_blamed(study):
    ends = [*hours(1, 2, 3), *(end.replace("2026-01", "2026-11") for end in hours(1, 2, 3))]
    assert study([10.0, 10.3, 10.2, 10.1, 10.4, 10.15], ends)["remarks"].startswith("measured in two sessions (3 until")


def test_repeats_of_one_session_have_no_remarks(study):
    row = study([10.0, 10.3, 10.1, 10.2, 10.05], hours(1, 2, 3, 4, 5))
    assert (row["remarks"], row["hosts"]) == ("", 1)
    assert row["drift_p"] == row["drift_p_holm"] > 0.05


def test_drift_and_groups_and_hosts(study):
    assert (
        "two groups of times, near 10.0 s and near 14.0 s"
        in study([10.0, 14.0, 10.1, 14.0], hours(1, 2, 3, 4))["remarks"]
    )


def test_a_slow_host_is_told(study):
    row = study([10.0, 11.0, 10.4, 11.6], hours(1, 2, 3, 4), ["c1", "c2", "c1", "c2"])
    assert row["remarks"] == "2 sets of hosts, of which one is faster in every run"


def test_too_few_runs_have_no_drift(study):
    assert np.isnan(study([10.0, 11.0, 12.0, 13.0], hours(1, 2, 3, 4))["drift_p"])


def test_groups_are_seldom_seen_where_there_are_none():
    chance = np.random.default_rng(1)
    for runs in (4, 6, 10):
        apart = [_apart(np.exp(0.1 * chance.standard_normal(runs))) for _ in range(1000)]
        assert np.isfinite(apart).mean() < 0.03


@pytest.mark.parametrize(
    ("busy", "remark"), [(31.0, "up to 2.1 of a node's 8 cores were busy with something else"), (12.0, "")]
)
def test_load_by_others_is_told_where_it_is_much(run_in, tmp_path, busy, remark):
    run = run_in("a")
    facts = read_json(run.provenance)
    facts["hosts"][0]["cores"] = 8
    write_json(run.provenance, facts)
    lines = list(read_lines(run.epochs(0)))
    lines[0]["usage"] = {"seconds": 10.0, "cpu_seconds": 10.0, "node_cpu_seconds": busy}
    run.epochs(0).write_text("".join(json.dumps(line) + "\n" for line in lines))
    data = load(tmp_path)
    (row,) = quality_table(data, scaling_table(data)).to_dict("records")
    assert row["other_load_cores"] == pytest.approx((busy - 10.0) / 10.0)
    assert row["remarks"] == remark


@pytest.mark.parametrize(("order", "together"), [((1, 2, 1, 2), True), ((1, 1, 2, 2), False)])
def test_rows_are_measured_together_with_their_base_case_or_after_it(run_in, tmp_path, order, together):
    for n, (ranks, end) in enumerate(zip(order, hours(1, 2, 3, 4), strict=True)):
        run = run_in(f"r{n}", ranks=ranks, repeat=n)
        write_json(run.result, {**read_json(run.result), "finished_at": end})
    data = load(tmp_path)
    found = quality_table(data, scaling_table(data)).set_index("ranks")["with_base"]
    assert pd.isna(found[1])
    assert found[2] == together
