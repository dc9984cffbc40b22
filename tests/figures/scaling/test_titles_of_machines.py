"""Figures are grouped below the machine that computed."""

import pytest

from hpcnn.figures.scaling.every import _title
from hpcnn.report import load, scaling_table


@pytest.mark.parametrize(("device", "machine"), [("CPU", "Model C CPU"), ("NVIDIA H100", "NVIDIA H100")])
def test_the_heading_names_the_gpu_where_there_is_one(run_in, tmp_path, device, machine):
    run_in("one", device=device)
    assert _title(scaling_table(load(tmp_path))) == f"scale: strong scaling of cnn on digits; {machine}"
