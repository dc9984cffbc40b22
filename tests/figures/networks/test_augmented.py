"""Training images as the augmentation changes them: those of the run, with the options of its data."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from hpcnn.data.registry import load_of
from hpcnn.specs.complete import complete
from hpcnn.specs.train import TrainSpec

OWN = """
import numpy as np

def shaded(shade):
    x = np.full((6, 8, 8, 1), shade, np.uint8)
    y = (5 - np.arange(6)) % 3
    return (x, y), (x[:3], y[:3])
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainSpec:
    """Return a spec whose data is a function of the user's own that cannot be called without its keyword."""
    name = f"shades_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    data = {"data": f"{name}:shaded", "data_args": {"shade": 51}, "samples": 5, "test_samples": 2}
    return complete(TrainSpec(model="scinet-cnn1", augment={"rotation": 10.0}, **data))


def test_the_data_of_a_spec_are_loaded_with_its_options(spec: TrainSpec) -> None:
    data = load_of(spec)
    assert (data.samples, data.test_samples) == (5, 2)
    assert np.unique(data.x_train).tolist() == [51]


def test_the_figure_shows_the_data_with_the_options_of_the_run(spec: TrainSpec) -> None:
    pytest.importorskip("tensorflow", reason="images are changed by TensorFlow")
    pytest.importorskip("matplotlib", reason="a figure needs matplotlib")
    from hpcnn.figures.networks import augmented

    figure = augmented.draw(spec, count=2)
    shown = [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]
    assert len(shown) == 2 * 9
    assert np.allclose(shown[0][..., 0] if shown[0].ndim == 3 else shown[0], 51 / 255, atol=0.005)
