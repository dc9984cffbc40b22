"""The cases of many_cases.py by what their weights must be, for tests that load no TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# Equal to those of one process to rounding.
EQUAL = (
    "clipped_momentum",
    "clipped_adam",
    "summed",
    "whole_batches",
    "grouped",
    "grouped_by_lists",
    "averaged",
    "swapped",
    "half_batches",
    "half_batches_summed",
    "half_batches_adam",
    "half_batches_table",
    "rows",
    "rows_as_dense",
    "rows_sgd",
    "compiled",
    "compiled_rows",
    "other_root",
    "eager",
    "warmup",
    "schedule",
    "not_saved",
    "saved_and_loaded",
    "best",
)
# What `make test` leaves to `make test-long`: case -> what proves the same kind of thing in `make test`.
LONG = {
    "clipped_adam": "clipped_momentum; tests/train/test_options_integration.py, its rows adam and global clipnorm",
    "grouped_by_lists": "grouped",
    "half_batches_summed": "half_batches, and summed",
    "half_batches_adam": "half_batches",
    "rows_as_dense": "rows",
    "compiled_rows": "compiled, and rows",
}
# To the rounding of 16 bits, or of a network that amplifies it.
CLOSE: dict[str, dict[str, float]] = {
    "compressed": {"rtol": 1e-2, "atol": 1e-3},
    "float16": {"rtol": 1e-2, "atol": 1e-3},
    "digits_from_a_dataset": {"rtol": 1e-3, "atol": 1e-4},
}


def data() -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the features and targets that most cases train on."""
    x = np.random.default_rng(5).normal(size=(64, 3)).astype(np.float32)
    return x, (x @ [[1.0], [-1.0], [0.5]] + 0.3).astype(np.float32)
