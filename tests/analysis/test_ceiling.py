"""Runs without communication in the report: the bound of a row, and never a row or an accuracy themselves."""

from __future__ import annotations

from hpcnn.report import left_out, load, scaling_table


def test_the_ceiling_is_beside_its_row_and_no_row_itself(run_in, tmp_path):
    """A study with the axis ``communication = [true, false]``, as spec.json and provenance.json have it."""
    for communication, seconds in ((True, 10.0), (False, 8.0)):
        run_in(
            f"r-{communication}",
            ranks=2,
            seconds=[seconds] * 3,
            accuracy=0.9 if communication else None,
            train={"communication": communication, "evaluate": communication},
            point={"ntasks": 2, "communication": communication},
        )
    data = load(tmp_path)
    table = scaling_table(data)
    assert list(table["epoch_seconds_median"]) == [10.0]
    assert list(table["ceiling_images_per_second"]) == [1000 / 8.0]
    assert list(table["images_per_second"]) == [100.0]
    assert list(table["test_accuracy"]) == [0.9]
    (out,) = left_out(data).to_dict("records")
    assert out["run"] == "r-False"
    assert "without communication" in out["reason"]


def test_a_measurement_alone_gives_no_row(run_in, tmp_path):
    run_in("r1", ranks=2, accuracy=None, train={"communication": False})
    assert scaling_table(load(tmp_path)).empty
