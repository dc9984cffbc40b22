"""The networks of research in PyTorch on the CPU, channels last: eager, or by ``torch.compile``.

``python torch_networks.py NETWORK DATA.npz PRECISION EPOCHS BATCH THREADS SEED eager|compile`` prints one JSON object
as ``torch_eager.py`` does; with EPOCHS 0 it does rounds of steps for ``steps.py`` instead. Knows nothing of hpcnn: it
runs in an environment that has PyTorch, torchvision and NumPy.

torchvision's ResNet-50 has no bias beside a batch normalization, where Keras's has 26,560; all else is the same.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import torch
import torchvision
from rounds import serve
from torch import nn
from torch_training import accuracy, train


def _normalized_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels, eps=1e-3), nn.ReLU(inplace=True))


class Bottleneck(nn.Module):
    """A block of the ResNet v2 of the lecture (arXiv:1603.05027): three convolutions, each after its normalization."""

    def __init__(self, before: int, width: int, after: int, stride: int, *, first: bool, fresh: bool) -> None:
        """Make it. first: of its stage, with a convolution beside it; fresh: its input is normalized already."""
        super().__init__()
        self.begin = nn.Identity() if fresh else _normalized_relu(before)
        self.inner = nn.Sequential(
            nn.Conv2d(before, width, 1, stride),
            _normalized_relu(width),
            nn.Conv2d(width, width, 3, padding=1),
            _normalized_relu(width),
            nn.Conv2d(width, after, 1),
        )
        self.beside = nn.Conv2d(before, after, 1, stride) if first else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the sum of both ways."""
        total: torch.Tensor = self.beside(x) + self.inner(self.begin(x))
        return total


def resnet20() -> nn.Module:
    """Return the lecture's ResNet v2 of depth 20 for images of 32 x 32."""
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1), _normalized_relu(16)]
    before = width = 16
    for stage in range(3):
        after = width * (4 if stage == 0 else 2)
        for block in range(2):
            stride = 2 if stage > 0 and block == 0 else 1
            fresh = stage == block == 0
            layers.append(Bottleneck(before, width, after, stride, first=block == 0, fresh=fresh))
            before = after
        width = after
    return nn.Sequential(*layers, _normalized_relu(before), nn.AvgPool2d(8), nn.Flatten(), nn.Linear(before, 10))


def _two_convolutions(before: int, filters: int) -> nn.Sequential:
    made: list[nn.Module] = []
    for channels in (before, filters):
        made += [nn.Conv2d(channels, filters, 3, padding=1, bias=False), _normalized_relu(filters)]
    return nn.Sequential(*made)


class UNet(nn.Module):
    """The U-Net of ``unet.py``: three levels, whose last maps are averaged to classes."""

    def __init__(self, filters: int = 16) -> None:
        """Make it."""
        super().__init__()
        self.down = nn.ModuleList([_two_convolutions(3, filters), _two_convolutions(filters, 2 * filters)])
        self.bottom = _two_convolutions(2 * filters, 4 * filters)
        self.up = nn.ModuleList([nn.ConvTranspose2d(2 * wide, wide, 2, stride=2) for wide in (2 * filters, filters)])
        self.after = nn.ModuleList([_two_convolutions(2 * wide, wide) for wide in (2 * filters, filters)])
        self.classes = nn.Conv2d(filters, 10, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a number for each class."""
        skipped = []
        for part in self.down:
            x = part(x)
            skipped.append(x)
            x = nn.functional.max_pool2d(x, 2)
        x = self.bottom(x)
        for up, after in zip(self.up, self.after, strict=True):
            x = after(torch.cat([skipped.pop(), up(x)], 1))
        total: torch.Tensor = self.classes(x).mean((2, 3))
        return total


def mobilenetv3small() -> nn.Module:
    """Return torchvision's network without dropout."""
    model: nn.Module = torchvision.models.mobilenet_v3_small(num_classes=10, dropout=0.0)
    return model


def resnet50() -> nn.Module:
    """Return torchvision's network."""
    model: nn.Module = torchvision.models.resnet50(num_classes=10)
    return model


def densenet121() -> nn.Module:
    """Return torchvision's network."""
    model: nn.Module = torchvision.models.densenet121(num_classes=10)
    return model


def efficientnetb0() -> nn.Module:
    """Return torchvision's network."""
    model: nn.Module = torchvision.models.efficientnet_b0(num_classes=10)
    return model


NETWORKS = {
    "resnet20": resnet20,
    "mobilenetv3small": mobilenetv3small,
    "unet": UNet,
    "resnet50": resnet50,
    "densenet121": densenet121,
    "efficientnetb0": efficientnetb0,
}
# What can be trained: Keras's numbers, for ResNet-50 less its biases.
PARAMETERS = {
    "resnet20": 570_602,
    "mobilenetv3small": 1_528_106,
    "unet": 117_514,
    "resnet50": 23_555_082 - 26_560,
    "densenet121": 6_964_106,
    "efficientnetb0": 4_020_358,
}


def main(name: str, file: str, precision: str, epochs: str, batch: str, threads: str, seed: str, form: str) -> None:
    """Train and print."""
    torch.set_num_threads(int(threads))
    torch.manual_seed(int(seed))
    with np.load(file) as data:
        arrays = [torch.from_numpy(data[key]) for key in ("x_train", "y_train", "x_test", "y_test")]
    y, y_test = arrays[1].long(), arrays[3].long()
    x, x_test = (part.float().permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last) for part in arrays[::2])
    model = NETWORKS[name]().to(memory_format=torch.channels_last)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    predict = torch.compile(model) if form == "compile" else model
    size = int(batch)

    def steps(_: int, count: int) -> None:
        train(predict, optimizer, x[: count * size], y[: count * size], precision, 1, size)

    if epochs == "0":
        steps(0, 2)
        serve(size, steps)
        return
    seconds = train(predict, optimizer, x, y, precision, int(epochs), size)
    found = accuracy(model, x_test, y_test, precision)
    print(json.dumps({"seconds": seconds, "samples": len(x), "test_accuracy": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
