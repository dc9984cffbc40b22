"""The data: read your own files here. Every rank calls it, and trains on its part of each batch."""

import numpy as np
from sklearn.datasets import load_digits


def load(test_share: float = 0.2):
    """Return (x_train, y_train), (x_test, y_test): images of 8x8 pixels from 0 to 1, and the digits on them."""
    digits = load_digits()
    x = (digits.images / 16.0).astype(np.float32)[..., np.newaxis]
    y = digits.target.astype(np.int32)
    first = round(len(x) * (1 - test_share))
    return (x[:first], y[:first]), (x[first:], y[first:])
