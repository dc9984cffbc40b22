"""The training loop of PyTorch's peers: a permutation an epoch, and the accuracy counted as Keras counts it.

Knows nothing of hpcnn: it runs in an environment that has PyTorch and NumPy alone.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

import torch
from torch import nn


def train(
    model: Any,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    precision: str,
    epochs: int,
    size: int,
) -> list[float]:
    """Train a model on samples x (N, C, H, W) and classes y (N), in batches of a size; return each epoch's seconds."""
    loss_of, seconds = nn.CrossEntropyLoss(), []
    for _ in range(epochs):
        begin = time.perf_counter()
        model.train()
        order = torch.randperm(len(x))
        right = torch.zeros(())
        for first in range(0, len(x), size):
            chosen = order[first : first + size]
            optimizer.zero_grad(set_to_none=True)
            with _arithmetic(precision):
                predicted = model(x[chosen])
                loss = loss_of(predicted, y[chosen])
            loss.backward()
            optimizer.step()
            right += (predicted.argmax(1) == y[chosen]).sum()
        seconds.append(time.perf_counter() - begin)
    return seconds


def accuracy(model: Any, x: torch.Tensor, y: torch.Tensor, precision: str) -> float:
    """Return the fraction of samples whose class the model finds."""
    model.eval()
    with torch.no_grad(), _arithmetic(precision):
        found = torch.cat([model(part).argmax(1) for part in x.split(1000)])
    return (found == y).float().mean().item()


def _arithmetic(precision: str) -> Any:
    return torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else contextlib.nullcontext()
