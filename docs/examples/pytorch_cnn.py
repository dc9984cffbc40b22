"""The two convolutions of PSC's lecture in PyTorch, beside hpcnn's psc-cnn-dropout: the same 1,199,882 weights.

    python pytorch_cnn.py mnist.npz --epochs 14
    python pytorch_cnn.py mnist.npz --weights weights.npz     # numpy.savez("weights.npz", *keras_model.get_weights())

The data is an .npz file with Keras's names (x_train, y_train, x_test, y_test). With the weights of a Keras network the
first loss is that of Keras. Needs PyTorch alone, on one CPU or GPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

# Mean and standard deviation of MNIST's pixels in 0..1, by which PyTorch's own example standardizes.
MEAN, DEVIATION = 0.1307, 0.3081


class TwoConvolutions(nn.Module):
    """Two 3x3 convolutions, a 2x2 pool and two dense layers, for (N, 1, 28, 28) in; log-probabilities (N, 10) out.

    The lecture drops whole maps after the pool (Dropout2d); after the dense layer it has Dropout2d too, where there are
    no maps and PyTorch now warns: here that is plain dropout.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.dropout1, self.dropout2 = nn.Dropout2d(0.25), nn.Dropout(0.5)
        self.fc1, self.fc2 = nn.Linear(9216, 128), nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the log-probabilities of the classes."""
        x = functional.relu(self.conv2(functional.relu(self.conv1(x))))
        x = self.dropout1(functional.max_pool2d(x, 2)).flatten(1)
        x = self.dropout2(functional.relu(self.fc1(x)))
        return functional.log_softmax(self.fc2(x), dim=1)

    def load_keras(self, weights: Sequence[np.ndarray]) -> None:
        """Take the weights of the Keras network: kernels (rows, columns, in, out), biases, layer after layer.

        Keras flattens its maps as (rows, columns, maps) and PyTorch as (maps, rows, columns), so the rows of the first
        dense kernel change places.
        """
        kernel1, bias1, kernel2, bias2, dense1, bias3, dense2, bias4 = weights
        dense1 = dense1.reshape(12, 12, 64, 128).transpose(3, 2, 0, 1).reshape(128, 9216)
        kernels = [kernel.transpose(3, 2, 0, 1) for kernel in (kernel1, kernel2)]
        own = (kernels[0], bias1, kernels[1], bias2, dense1, bias3, dense2.T, bias4)
        with torch.no_grad():
            for parameter, value in zip(self.parameters(), own, strict=True):
                parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)))


def read(file: str, standardize: bool) -> dict[str, torch.Tensor]:
    """Return the four arrays: images (N, 1, 28, 28) with pixels in 0..1, or standardized, and labels (N,)."""
    with np.load(file) as arrays:
        data = {key: torch.from_numpy(arrays[key]) for key in ("x_train", "y_train", "x_test", "y_test")}
    for key in ("x_train", "x_test"):
        images = data[key].reshape(-1, 1, 28, 28).float() / 255
        data[key] = (images - MEAN) / DEVIATION if standardize else images
    for key in ("y_train", "y_test"):
        data[key] = data[key].long().flatten()
    return data


def test(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
    """Return the mean loss and the accuracy, without dropout."""
    model.eval()
    with torch.no_grad():
        outputs = [(model(part), labels) for part, labels in zip(x.split(1000), y.split(1000), strict=True)]
    loss = sum(functional.nll_loss(found, labels, reduction="sum").item() for found, labels in outputs)
    right = sum((found.argmax(dim=1) == labels).sum().item() for found, labels in outputs)
    return loss / len(x), right / len(x)


def main() -> None:
    """Train as the options say; print the first loss, and the test loss and accuracy after each epoch."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", help=".npz file with x_train, y_train, x_test, y_test")
    parser.add_argument("--weights", help=".npz file with the weights of the Keras network, to begin with")
    parser.add_argument("--standardize", action="store_true", help="subtract MNIST's mean, divide by its deviation")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1.0)
    parser.add_argument("--gamma", type=float, default=0.7, help="factor of the learning rate after each epoch")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = {key: values.to(device) for key, values in read(options.data, options.standardize).items()}
    model = TwoConvolutions().to(device)
    if options.weights:
        with np.load(options.weights) as arrays:
            model.load_keras([arrays[key] for key in arrays])
    print(f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters on {device.type}")
    first = test(model, data["x_train"][: options.batch_size], data["y_train"][: options.batch_size])
    print(f"first loss {first[0]:.6f} (of the first {options.batch_size} training images, without dropout)")

    optimizer = torch.optim.Adadelta(model.parameters(), lr=options.learning_rate)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=options.gamma)
    for epoch in range(1, options.epochs + 1):
        model.train()
        for batch in torch.randperm(len(data["x_train"]), device=device).split(options.batch_size):
            optimizer.zero_grad()
            functional.nll_loss(model(data["x_train"][batch]), data["y_train"][batch]).backward()
            optimizer.step()
        schedule.step()
        loss, accuracy = test(model, data["x_test"], data["y_test"])
        print(f"epoch {epoch}/{options.epochs}  test loss {loss:.4f}  test accuracy {accuracy:.4f}", flush=True)


if __name__ == "__main__":
    main()
