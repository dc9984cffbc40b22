"""One rank, one GPU: which one, by TensorFlow's own list of devices, which is replaced where there is no GPU."""

from __future__ import annotations

import pytest

from hpcnn.parallel.devices import use_one_gpu

tf = pytest.importorskip("tensorflow")


@pytest.mark.parametrize(
    ("seen", "local_rank", "taken"),
    [
        (["gpu0", "gpu1", "gpu2", "gpu3"], 2, "gpu2"),
        (["gpu0"], 3, "gpu0"),  # the scheduler shows each rank its own alone
    ],
)
def test_a_rank_takes_the_gpu_of_its_local_rank(
    seen: list[str], local_rank: int, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    visible, growing = [], []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: seen)
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda device, kind: visible.append(device))
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda device, on: growing.append((device, on)))
    assert use_one_gpu(local_rank) == "/GPU:0"
    assert (visible, growing) == ([taken], [(taken, True)])


def test_without_a_gpu_a_rank_takes_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    assert use_one_gpu(1) == "/CPU:0"
