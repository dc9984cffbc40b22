"""What a threshold finds on the maps of data set `climate`: the IoU of each class, to compare a network with.

For cyclones and for rivers, the field (one of the 16, the wind speed, or moisture times wind speed) and the threshold
that do best on the training maps; then the IoU of both on the test maps. IoU (intersection over union): pixels that are
and are said to be of a class, by pixels that are or are said to be.

    python climate_thresholds.py [FRACTION] [TRAINING MAPS] [TEST MAPS]
"""

import sys

import numpy as np

from hpcnn.data.registry import load
from hpcnn.zoo.climate import CHANNELS, CLASSES

STEPS = 200


def candidates(x):
    """Return fields by name: (maps, rows, columns)."""
    fields = {name: x[..., channel] for channel, name in enumerate(CHANNELS)}
    fields["wind speed"] = np.hypot(fields["U850"], fields["V850"])
    fields["TMQ x wind speed"] = fields["TMQ"] * fields["wind speed"]
    return fields


def best_threshold(values, is_class):
    """Return (IoU, threshold, sign) of the best threshold; sign -1: below it. values: of a field, and sorted."""
    field, everywhere = values
    inside = np.sort(field[is_class])
    found = []
    for threshold in np.quantile(inside, np.linspace(0, 1, STEPS)):
        below, all_below = (np.searchsorted(part, threshold, "right") for part in (inside, everywhere))
        above, all_above = (len(part) - np.searchsorted(part, threshold) for part in (inside, everywhere))
        for sign, right, said in ((1, above, all_above), (-1, below, all_below)):
            found.append((right / (len(inside) + said - right), threshold, sign))
    return max(found)


def iou(truth, said):
    """Return the IoU of each class."""
    both = [(truth == number) & (said == number) for number in range(len(CLASSES))]
    either = [(truth == number) | (said == number) for number in range(len(CLASSES))]
    return [float(one.sum() / max(any_.sum(), 1)) for one, any_ in zip(both, either, strict=True)]


def measured(fraction, training, test):
    """Return the mean IoU of background alone and of the best thresholds on the test maps; print both."""
    arguments = {"fraction": fraction, "standardize": False}
    data = load("climate", arguments=arguments, samples=training, test_samples=test)
    x, truth = data.x_train[:], np.asarray(data.y_train[:])
    fields = {name: (field, np.sort(field, axis=None)) for name, field in candidates(x).items()}
    of_test, truth_of_test = candidates(data.x_test[:]), np.asarray(data.y_test[:])
    said = np.zeros_like(truth_of_test)
    for number in (2, 1):
        (_, threshold, sign), name = max(
            (best_threshold(field, truth == number), name) for name, field in fields.items()
        )
        print(f"{CLASSES[number]}: {name} {'above' if sign > 0 else 'below'} {threshold:.3g}")
        said[sign * of_test[name] >= sign * threshold] = number
    means = {}
    for label, map_ in (("background alone", np.zeros_like(said)), ("thresholds", said)):
        found = iou(truth_of_test, map_)
        means[label] = float(np.mean(found))
        parts = ", ".join(f"{name} {value:.3f}" for name, value in zip(CLASSES, found, strict=True))
        print(f"{label}: mean IoU {means[label]:.3f} ({parts})")
    return means


if __name__ == "__main__":
    given = [*sys.argv[1:], *("1/16", "128", "64")[len(sys.argv) - 1 :]]
    measured(given[0], int(given[1]), int(given[2]))
