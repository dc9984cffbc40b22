"""The messages of the allreduce benchmark: a sweep over sizes, each gradient of a model, and all of them together.

``python -m hpcnn.machine.bench.messages MODEL`` prints the tensors of a model: in a process of its own, because
TensorFlow's threads and devices can no longer be set once a model is built.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from typing import NamedTuple

from hpcnn.machine.bench.sizes import BYTES_PER_NUMBER
from hpcnn.util.errors import HpcnnError, RunError

KINDS = ("sweep", "tensor", "model")


class Message(NamedTuple):
    """One or several tensors of float32 numbers that are ready at the same time."""

    kind: str
    name: str
    numbers: tuple[int, ...]

    @property
    def size(self) -> int:
        """Return the total number of bytes."""
        return BYTES_PER_NUMBER * sum(self.numbers)


def sweep_messages(sizes: list[int]) -> list[Message]:
    """Return one message for each size in bytes."""
    return [Message("sweep", "", (size // BYTES_PER_NUMBER,)) for size in sizes]


def model_messages(name: str) -> list[Message]:
    """Return a message for each gradient of a model, and one with all. Raises RunError if it cannot be built."""
    words = [sys.executable, "-m", __name__, name]
    without_gpu = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    asked = subprocess.run(words, env=without_gpu, capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        raise RunError(asked.stderr.strip().rpartition("\n")[2])
    tensors = [Message("tensor", path, (numbers,)) for path, numbers in json.loads(asked.stdout.splitlines()[-1])]
    return [*tensors, Message("model", name, tuple(number for tensor in tensors for number in tensor.numbers))]


def main(name: str) -> None:
    """Print (path, numbers) of each trainable tensor of a model, as one line of JSON."""
    from hpcnn.models.registry import build

    try:
        model = build(name)
    except HpcnnError as error:
        sys.exit(str(error))
    print(json.dumps([(weight.path, math.prod(weight.shape)) for weight in model.trainable_weights]))


if __name__ == "__main__":
    main(*sys.argv[1:])
