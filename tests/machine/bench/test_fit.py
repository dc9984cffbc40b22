"""Latency and bandwidth are recovered from times that are known to have them; sizes are read as they are written."""

from __future__ import annotations

import numpy as np
import pytest

from hpcnn.machine.bench.fit import SIZES_NEEDED, fit_ring, ring_seconds
from hpcnn.machine.bench.messages import model_messages
from hpcnn.machine.bench.sizes import size_text, sweep
from hpcnn.util.errors import RunError, UsageError

SIZES = [1 << power for power in range(3, 27)]


def times(ranks: int, alpha: float, beta: float, *, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return ring_seconds(np.array(SIZES, float), ranks, alpha, beta) * np.exp(draw.normal(0, noise, len(SIZES)))


def test_the_ring_model_is_that_of_the_papers():
    """4 ranks, 1 us, 1 GB/s, 1 MB: 6 us of latency, and 1.5 times the data over each link."""
    assert ring_seconds(np.array([1e6]), 4, 1e-6, 1e9)[0] == pytest.approx(6e-6 + 1.5e-3)


@pytest.mark.parametrize("ranks", [2, 4, 512])
@pytest.mark.parametrize(("alpha", "beta"), [(1e-6, 1.25e10), (1e-4, 1e8), (2e-7, 1e11)])
def test_exact_times_give_back_alpha_and_beta(ranks, alpha, beta):
    fit = fit_ring(SIZES, list(times(ranks, alpha, beta)), ranks)
    assert fit.alpha.value == pytest.approx(alpha, rel=1e-3)
    assert fit.beta.value == pytest.approx(beta, rel=1e-3)
    assert fit.error < 1e-3


def test_one_size_that_is_off_changes_little():
    seconds = times(8, 2e-6, 1e10, noise=0.02)
    fits = []
    for factor in (1.0, 30.0):
        off = seconds.copy()
        off[12] *= factor
        fits.append(fit_ring(SIZES, list(off), 8))
    assert fits[1].alpha.value == pytest.approx(fits[0].alpha.value, rel=0.05)
    assert fits[1].beta.value == pytest.approx(fits[0].beta.value, rel=0.05)


def test_the_intervals_hold_the_truth_about_as_often_as_they_say():
    """A bootstrap over 24 sizes is somewhat too narrow: 95 % intervals hold the truth 9 times of 10."""
    alpha, beta, held = 3e-6, 5e9, []
    for seed in range(20):
        fit = fit_ring(SIZES, list(times(4, alpha, beta, noise=0.1, seed=seed)), 4)
        held += [fit.alpha.low <= alpha <= fit.alpha.high, fit.beta.low <= beta <= fit.beta.high]
    assert 0.8 <= np.mean(held) <= 1.0


def test_the_order_of_the_sizes_changes_nothing():
    seconds = times(4, 1e-6, 1e10, noise=0.05)
    forth, back = fit_ring(SIZES, list(seconds), 4), fit_ring(SIZES[::-1], list(seconds[::-1]), 4)
    assert back.alpha.value == pytest.approx(forth.alpha.value, rel=1e-6)
    assert back.beta.value == pytest.approx(forth.beta.value, rel=1e-6)


@pytest.mark.parametrize(
    ("sizes", "seconds", "ranks", "word"),
    [
        (SIZES, [1.0] * len(SIZES), 1, "at least 2"),
        (SIZES[: SIZES_NEEDED - 1], [1.0] * (SIZES_NEEDED - 1), 2, "do not carry a fit"),
        ([8] * 10, [1.0] * 10, 2, "do not carry a fit"),
        (SIZES, [0.0] * len(SIZES), 2, "not positive"),
    ],
)
def test_what_carries_no_fit_is_refused(sizes, seconds, ranks, word):
    with pytest.raises(UsageError, match=word):
        fit_ring(sizes, seconds, ranks)


@pytest.mark.parametrize(
    ("text", "sizes"),
    [("8..64", [8, 16, 32, 64]), ("512..2K", [512, 1024, 2048]), ("1M", [2**20]), ("512M..1G", [2**29, 2**30])],
)
def test_a_sweep_is_powers_of_two(text, sizes):
    assert sweep(text) == sizes


@pytest.mark.parametrize("text", ["", "..", "2..8", "12..64", "64..8", "8..64X", "8-64", "-8..64", "8..", "0..8"])
def test_what_is_no_sweep_is_refused(text):
    with pytest.raises(UsageError, match="--sizes"):
        sweep(text)


@pytest.mark.parametrize(
    ("size", "text"), [(8, "8 B"), (1024, "1 KiB"), (1158520, "1.1 MiB"), (2**26, "64 MiB"), (2**31, "2 GiB")]
)
def test_sizes_as_people_read_them(size, text):
    assert size_text(size) == text


def test_the_gradients_of_a_model_are_its_trainable_tensors():
    pytest.importorskip("tensorflow", reason="a model needs TensorFlow (make venv)")
    *tensors, whole = model_messages("scinet-cnn1")
    assert (whole.kind, whole.name, whole.size) == ("model", "scinet-cnn1", 4 * 289630)
    assert whole.numbers == tuple(number for tensor in tensors for number in tensor.numbers)
    assert [tensor.name.partition("/")[2] for tensor in tensors][:2] == ["conv2d/kernel", "conv2d/bias"]


def test_a_model_that_cannot_be_built_is_said_in_one_line():
    pytest.importorskip("tensorflow", reason="a model needs TensorFlow (make venv)")
    with pytest.raises(RunError, match=r"^--model: 'no_such\.module:f': cannot import"):
        model_messages("no_such.module:f")
