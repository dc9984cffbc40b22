"""Which gradients one allreduce sums: a network of many small ones waits for messages more than for bytes.

Each allreduce of Horovod has costs of its own: an operation of TensorFlow, a place in the queue, and an agreement of
the ranks that all of them have the tensor. So small gradients that are ready one after the other are joined, and a
large one goes alone, as soon as it is ready (docs/decisions/053-small-gradients-go-together.md). Must not know Horovod,
networks or TensorFlow.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

# A network with fewer small gradients than this is left as it is: no lecture's network has as many.
FEW = 16
# Bytes from which on a gradient goes alone, and the most bytes of those that go together. For MobileNetV3Small and
# ResNet-50 with two ranks on two cores, neither smaller nor larger ones gained more (the decision has the figures).
LARGE, TOGETHER = 64 * 1024, 1024 * 1024


@dataclass(frozen=True)
class Size:
    """What decides where a gradient goes. bytes: None where they are known only at run time."""

    bytes: int | None
    dtype: Hashable


def buckets(sizes: Sequence[Size]) -> list[list[int]]:
    """Return the gradients of each allreduce by their numbers, in the order in which back-propagation ends with them.

    sizes: of each gradient, in the order of the network's weights; the gradient of the last is ready first. Gradients
    of one allreduce have one type.
    """
    small = [number for number, size in enumerate(sizes) if size.bytes is not None and size.bytes < LARGE]
    if len(small) < FEW:
        return [[number] for number in reversed(range(len(sizes)))]
    joined = set(small)
    found: list[list[int]] = []
    filling: dict[Hashable, tuple[list[int], int]] = {}  # by type: the last bucket, and its bytes
    for number in reversed(range(len(sizes))):
        own = sizes[number].bytes or 0
        bucket, so_far = filling.get(sizes[number].dtype, ([], TOGETHER))
        if number not in joined:
            found.append([number])
        elif so_far + own > TOGETHER:
            found.append([number])
            filling[sizes[number].dtype] = (found[-1], own)
        else:
            bucket.append(number)
            filling[sizes[number].dtype] = (bucket, so_far + own)
    return found
