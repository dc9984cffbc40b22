"""The milliseconds of a step by type of operation in PyTorch, by its own profiler, for ``operations.py``.

``python torch_operations.py NETWORK DATA.npz PRECISION BATCH THREADS STEPS eager|compile`` prints one JSON object.
Knows nothing of hpcnn: it runs in an environment that has PyTorch, torchvision and NumPy.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile
from torch_networks import NETWORKS
from torch_training import train


def main(name: str, file: str, precision: str, batch: str, threads: str, steps: str, form: str) -> None:
    """Record and print."""
    torch.set_num_threads(int(threads))
    torch.manual_seed(1)
    count, size = int(steps) * int(batch), int(batch)
    with np.load(file) as data:
        x, y = torch.from_numpy(data["x_train"][:count]), torch.from_numpy(data["y_train"][:count]).long()
    x = x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    model = NETWORKS[name]().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    if form == "compile":
        import torch._inductor.config as inductor

        inductor.cpp.enable_kernel_profile = True
        model = torch.compile(model)
    train(model, optimizer, x[: 2 * size], y[: 2 * size], precision, 1, size)
    begin = time.perf_counter()
    train(model, optimizer, x, y, precision, 1, size)
    seconds = time.perf_counter() - begin
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        train(model, optimizer, x, y, precision, 1, size)
    types = {row.key: row.self_cpu_time_total / 1e3 / int(steps) for row in recorded.key_averages()}
    print(json.dumps({"types": types, "step": 1e3 * seconds / int(steps)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
