"""PyTorch, eager, CPU: the same network, data and batch; arguments and output as in ``lecture_fit.py``.

Knows nothing of hpcnn: it runs in an environment that has PyTorch and NumPy alone.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import torch
from torch import nn
from torch_training import accuracy, train

NETWORKS = {
    # SciNet's one convolution: 289,630 parameters
    "scinet-cnn1": lambda: nn.Sequential(
        nn.Conv2d(1, 20, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(20 * 12 * 12, 100),
        nn.Tanh(),
        nn.Linear(100, 10),
    ),
    # PSC's two convolutions with dropout: 1,199,882
    "psc-cnn-dropout": lambda: nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(64 * 12 * 12, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    ),
}
PARAMETERS = {"scinet-cnn1": 289_630, "psc-cnn-dropout": 1_199_882}


def main(name: str, file: str, precision: str, epochs: str, batch: str, scale: str, threads: str, seed: str) -> None:
    """Train and print."""
    torch.set_num_threads(int(threads))
    torch.manual_seed(int(seed))
    with np.load(file) as data:
        arrays = [torch.from_numpy(data[key]) for key in ("x_train", "y_train", "x_test", "y_test")]
    x, y, x_test, y_test = arrays[0], arrays[1].long(), arrays[2], arrays[3].long()
    x, x_test = (part.reshape(-1, 1, 28, 28).float() * float(scale) for part in (x, x_test))
    model = NETWORKS[name]()
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]
    momentum = 0.9 if name.startswith("psc") else 0.0
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=momentum)
    seconds = train(model, optimizer, x, y, precision, int(epochs), int(batch))
    found = accuracy(model, x_test, y_test, precision)
    print(json.dumps({"seconds": seconds, "samples": len(x), "test_accuracy": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
