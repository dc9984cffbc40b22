"""Weights and multiplications of the networks that give each pixel a class, counted from their papers' layouts.

A convolution of k x k has k*k*in*out weights and as many multiplications for each of its output pixels; a transposed
one as many for each of its input pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Counted:
    """What layers add up to. norm: numbers a channel of a normalization, 4 with the moving averages and 2 without."""

    pixels: float
    norm: int = 4
    weights: int = 0
    products: float = 0.0
    skips: list[int] = field(default_factory=list)

    def conv(self, size: int, inputs: int, outputs: int, *, normalized: bool = False, bias: bool = True) -> int:
        self.weights += size * size * inputs * outputs + (outputs if bias else 0)
        self.weights += self.norm * outputs if normalized else 0
        self.products += self.pixels * size * size * inputs * outputs
        return outputs

    def normalized(self, size: int, inputs: int, outputs: int) -> int:
        return self.conv(size, inputs, outputs, normalized=True, bias=False)

    def up(self, size: int, inputs: int, outputs: int) -> int:
        self.conv(size, inputs, outputs)
        self.pixels *= 4
        return outputs


def unet(pixels: int, numfm: int = 64, depth: int = 4, channels: int = 16) -> Counted:
    count, width = Counted(pixels), channels
    for level in range(depth + 1):
        count.pixels = pixels / 4**level
        width = count.conv(3, count.conv(3, width, numfm * 2**level), numfm * 2**level)
    for level in reversed(range(depth)):
        width = numfm * 2**level
        count.up(2, 2 * width, width)
        count.conv(3, count.conv(3, 2 * width, width), width)
    count.conv(1, width, 3)
    return count


def tiramisu(
    pixels: int,
    layers: tuple[int, ...] = (2, 2, 2, 4, 5),
    growth: int = 32,
    numfm: int = 64,
    size: int = 5,
    norm: int = 4,
) -> Counted:
    count = Counted(pixels, norm)

    def block(width: int, number: int) -> int:
        for _ in range(number):
            width += count.conv(size, width, growth, normalized=True)
        return width

    width = count.conv(size, 16, numfm, normalized=True)
    for number in layers[:-1]:
        width = block(width, number)
        count.skips.append(width)
        count.pixels /= 4
        count.conv(1, width, width, normalized=True)
    block(width, layers[-1])
    new = layers[-1] * growth
    for number in reversed(layers[:-1]):
        width = block(count.up(3, new, new) + count.skips.pop(), number)
        new = number * growth
    count.conv(1, width, 3)
    return count


def deeplab(pixels: int, blocks: tuple[int, ...] = (3, 4, 6, 3), decoder: int = 256, norm: int = 4) -> Counted:
    count = Counted(pixels / 4, norm)
    width = count.conv(7, 16, 64)
    count.pixels /= 4
    for number, units in enumerate(blocks):
        inner = 64 * 2**number
        for unit in range(units):
            halves = number == 0 and unit == units - 1  # the one step from a quarter to an eighth
            count.weights += norm * width
            if unit == 0:
                count.conv(1, width, 4 * inner)
            count.normalized(1, width, inner)
            count.pixels /= 4 if halves else 1
            count.normalized(3, inner, inner)
            width = count.conv(1, inner, 4 * inner)
    count.normalized(1, width, decoder)
    for _ in range(3):
        count.normalized(3, width, decoder)
    eighth, count.pixels = count.pixels, 1
    count.normalized(1, width, decoder)
    count.pixels = eighth
    count.normalized(1, 5 * decoder, decoder)
    count.up(3, decoder, decoder)
    count.normalized(1, 64, 48)
    count.normalized(3, decoder + 48, decoder)
    count.normalized(3, decoder, decoder)
    count.up(3, decoder, decoder)
    count.up(3, decoder, decoder)
    count.conv(3, count.conv(3, 16, decoder // 4), decoder // 2)
    count.conv(3, count.conv(3, decoder + decoder // 2, decoder), decoder)
    count.conv(1, decoder, 3)
    return count
