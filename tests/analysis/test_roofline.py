"""The roofline table against numbers by hand, and what it says where something was not measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hpcnn.analysis.roofline import Ceiling, Machine, read_machine
from hpcnn.report import RunData, epoch_times, load, roofline_table, scaling_table
from hpcnn.report.views.roofline import roofline_views
from hpcnn.report.views.rules import Rules
from hpcnn.util.errors import UsageError
from hpcnn.util.files import LineWriter, read_lines, write_json
from tests.synthetic.parts import amend
from tests.synthetic.runs import write_run

# For one image: 3 MFLOP, 10 kB; once a step 1 MB.
WORK = {"flops_training": 3_000_000, "bytes_per_sample": 10_000, "bytes_per_step": 1_000_000, "not_counted": []}
# Two threads: 100 GFLOP/s, 5 GB/s.
MACHINE = Machine(
    "Model C CPU",
    (
        Ceiling("CPU", 1, {"float32": 60e9, "bfloat16": 120e9}, 4e9),
        Ceiling("CPU", 2, {"float32": 100e9, "bfloat16": 200e9}, 5e9),
        Ceiling("H100", 8, {"float32": 1e13}, 1e12),
    ),
)


def rows(data: RunData, machine: Machine | None = MACHINE) -> list[dict[Any, Any]]:
    table = scaling_table(data)
    found = roofline_table(table, data, machine).sort_values("ranks").astype(object)
    return found.where(found.notna(), None).to_dict("records")


def study(path: Path, threads: int | None = 1, **facts: Any) -> RunData:
    """Write runs of 1000 images in batches of 100: 1 rank takes 10 s, 2 take 5 s."""
    for ranks in (1, 2):
        run = write_run(path / str(ranks), ranks=ranks, seconds=[10.0 / ranks] * 2, **facts)
        amend(run, threads=threads, model={"parameters": 1, "trainable": 1, "tensors": 1, **WORK})
    return load(path)


def test_a_point_is_operations_times_images_a_second_below_its_roof(tmp_path: Path) -> None:
    one, two = rows(study(tmp_path))
    assert (one["images_per_second"], two["images_per_second"]) == (100, 200)
    assert (one["gflops_per_second"], two["gflops_per_second"]) == pytest.approx((0.3, 0.6))
    # 100 images a step: 300 MFLOP over 1 MB + 1 MB; then 50 images: 150 MFLOP over 0.5 MB + 1 MB
    assert (one["intensity"], two["intensity"]) == pytest.approx((150, 100))
    assert (one["peak_gflops_per_second"], two["peak_gflops_per_second"]) == (60, 100)
    assert (one["roof_gflops_per_second"], two["roof_gflops_per_second"]) == (60, 100)
    assert (one["share_of_peak"], two["share_of_peak"]) == pytest.approx((0.005, 0.006))


def test_little_intensity_is_bounded_by_memory(tmp_path: Path) -> None:
    slow = Machine("Model C CPU", (Ceiling("CPU", 1, {"float32": 60e9}, 0.2e9),))
    (one, _) = rows(study(tmp_path), slow)
    assert one["roof_gflops_per_second"] == pytest.approx(0.2 * 150)


@pytest.mark.parametrize(
    ("facts", "machine"),
    [
        ({}, None),
        ({"cpu_model": "Another CPU"}, MACHINE),
        ({"threads": 3}, MACHINE),
        ({"device": "V100"}, MACHINE),
        ({"train": {"precision": "float16"}}, MACHINE),
    ],
)
def test_what_was_not_measured_gives_no_ceiling(facts: dict[str, Any], machine: Machine | None, tmp_path: Path) -> None:
    for row in rows(study(tmp_path, **facts), machine):
        assert row["gflops_per_second"] > 0
        for key in ("peak_gflops_per_second", "roof_gflops_per_second", "bandwidth_gbytes_per_second", "share_of_peak"):
            assert row[key] is None


def test_nodes_and_gpus_add_up(tmp_path: Path) -> None:
    write = write_run(tmp_path / "a", ranks=2, resources={"nodes": 2, "ntasks": 2, "cpus_per_task": 1})
    amend(write, threads=2, model=WORK)
    assert [row["peak_gflops_per_second"] for row in rows(load(tmp_path))] == [200]
    write = write_run(tmp_path / "b", ranks=4, device="H100", study="gpus")
    amend(write, threads=2, model=WORK)
    assert [row["peak_gflops_per_second"] for row in rows(load(tmp_path / "b"))] == [4e4]


def test_runs_that_did_not_count_their_work_or_counted_another_are_not_in_the_table(tmp_path: Path) -> None:
    write_run(tmp_path / "old")
    assert rows(load(tmp_path)) == []
    for repeat in (1, 2):
        run = write_run(tmp_path / "two" / str(repeat), repeat=repeat)
        amend(run, threads=1, model={**WORK, "flops_training": repeat})
    assert rows(load(tmp_path / "two")) == []


def test_an_epoch_with_a_profile_is_no_measurement(tmp_path: Path) -> None:
    run = write_run(tmp_path, seconds=[10.0, 99.0, 10.0])
    lines = list(read_lines(run.epochs(0)))
    run.epochs(0).unlink()
    writer = LineWriter(run.epochs(0))
    for line in lines:
        writer.write({**line, **({"profiled": True} if line["epoch"] == 3 else {})})
    writer.close()
    assert epoch_times(load(tmp_path))["seconds"].tolist() == [10.0, 10.0]


def test_the_ceilings_are_read_from_the_file_of_bench(tmp_path: Path) -> None:
    file = tmp_path / "machine.json"
    rates = {"float32_flops_per_second": 6e10, "bfloat16_flops_per_second": 1.2e11, "bytes_per_second": 4e9}
    write_json(file, {"cpu_model": "Model C CPU", "ceilings": [{"device": "CPU", "threads": 1, **rates}]})
    assert read_machine(file) == Machine("Model C CPU", MACHINE.ceilings[:1])
    file.write_text('{"ceilings": 3}')
    for other in (file, tmp_path / "none.json", tmp_path):
        with pytest.raises(UsageError, match=r"--machine: .* expected the machine.json of hpcnn bench machine"):
            read_machine(other)


def test_the_command_says_where_nothing_was_measured_and_draws_where_it_was(hpcnn: Any, tmp_path: Path) -> None:
    study(tmp_path / "runs")
    data = load(tmp_path / "runs")
    (without,) = roofline_views(roofline_table(scaling_table(data), data), Rules())
    assert "no ceilings were measured for these rows: hpcnn bench machine" in without.caption
    assert "of peak" not in [column.heading for column in without.shown]
    words = ("scaling-report", tmp_path / "runs", "--table", "roofline")
    file = tmp_path / "machine.json"
    entries = [
        {"device": c.device, "threads": c.threads, "bytes_per_second": c.bytes_per_second}
        | {f"{name}_flops_per_second": rate for name, rate in c.flops_per_second.items()}
        for c in MACHINE.ceilings
    ]
    write_json(file, {"cpu_model": MACHINE.cpu_model, "ceilings": entries})
    drawn = hpcnn(*words, "--machine", file, "--format", "json", "--html", tmp_path / "r.html", "--out", tmp_path / "o")
    assert drawn.returncode == 0, drawn.stderr
    assert [row["share_of_peak"] for row in json.loads(drawn.stdout)] == pytest.approx([0.005, 0.006])
    assert (tmp_path / "o" / "roofline.svg").exists()
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "1 rank: 150 FLOP/byte, 0.300 of 60.0 GFLOP/s" in page
