"""What a rank uses while it trains: this machine's own numbers, RAPL's files, and NVML's answers."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from hpcnn.train.energy import PackageEnergy
from hpcnn.train.gpu_use import GpuUse, handles
from hpcnn.train.usage import Usage


def zone(folder: Path, name: str, kind: str, joules: float, most: int = 1000) -> Path:
    own = folder / name
    own.mkdir(parents=True)
    (own / "name").write_text(f"{kind}\n")
    (own / "max_energy_range_uj").write_text(f"{most * 10**6 - 1}\n")
    counter = own / "energy_uj"
    spend(counter, joules)
    return counter


def spend(counter: Path, joules: float) -> None:
    """Let the counter stand there, at once: a kernel shows no empty file to who reads meanwhile."""
    new = counter.with_name("new")
    new.write_text(f"{round(joules * 1e6)}\n")
    new.replace(counter)


def test_energy_is_that_of_all_packages_and_of_nothing_within_or_around_them(tmp_path):
    first = zone(tmp_path, "intel-rapl:0", "package-0", 10)
    second = zone(tmp_path, "intel-rapl:1", "package-1", 20)
    others = [
        zone(tmp_path, "intel-rapl:0:0", "core", 1),
        zone(tmp_path, "intel-rapl:2", "psys", 1),
        zone(tmp_path, "intel-rapl-mmio:0", "package-0", 1),
    ]
    energy = PackageEnergy(tmp_path)
    for counter in (first, second, *others):
        spend(counter, 100)
    assert energy.joules() == pytest.approx(90 + 80)


def test_a_counter_that_begins_again_goes_on(tmp_path):
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 990, most=1000)
    energy = PackageEnergy(tmp_path)
    spend(counter, 5)
    assert energy.joules() == pytest.approx(15)
    spend(counter, 7)
    assert energy.joules() == pytest.approx(17)


def test_no_energy_where_there_is_no_counter_or_it_may_not_be_read(tmp_path):
    assert PackageEnergy(tmp_path / "none").joules() is None
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 10)
    counter.unlink()
    energy = PackageEnergy(tmp_path)
    assert not energy.readable
    assert energy.joules() is None


def test_what_a_reading_that_failed_has_missed_the_next_one_counts(tmp_path):
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 10)
    second = zone(tmp_path, "intel-rapl:1", "package-1", 0)
    usage = Usage(first_of_node=True, energy=PackageEnergy(tmp_path))
    usage.close()
    assert usage.since_last()["node_energy_joules"] == 0
    spend(second, 7)
    counter.write_text("")
    time.sleep(0.03)  # a shorter epoch leaves its numbers to the next one
    assert "node_energy_joules" not in usage.since_last()
    spend(counter, 15)
    time.sleep(0.03)
    assert usage.since_last()["node_energy_joules"] == pytest.approx(5 + 7)


def test_nobody_knows_what_was_spent_while_a_counter_may_have_gone_round(tmp_path, monkeypatch):
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 10)
    energy = PackageEnergy(tmp_path)
    spend(counter, 15)
    monkeypatch.setattr("hpcnn.train.energy._SECONDS_OF_A_COUNTER", -1.0)
    assert energy.joules() is None
    monkeypatch.undo()
    assert energy.joules() is None


def test_a_counter_without_a_range_is_no_counter(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0", 10)
    (tmp_path / "intel-rapl:0" / "max_energy_range_uj").unlink()
    assert PackageEnergy(tmp_path).joules() is None


def test_a_process_counts_what_it_reads_computes_and_holds(tmp_path):
    (tmp_path / "data").write_bytes(bytes(3 * 10**6))
    usage = Usage(first_of_node=True, energy=PackageEnergy(tmp_path))
    (tmp_path / "data").read_bytes()
    held = bytearray(os.urandom(1)) * (200 * 2**20)
    begin = time.process_time()
    while time.process_time() - begin < 0.1:
        pass
    found = usage.since_last()
    assert 3 * 10**6 <= found["read_bytes"] < 4 * 10**6
    assert 0.1 <= found["cpu_seconds"] <= found["node_cpu_seconds"] + 0.05  # the node counts in hundredths, each core
    assert found["memory_peak_bytes"] > len(held)
    assert "node_energy_joules" not in found
    assert "gpu_memory_peak_bytes" not in found
    assert usage.since_last() == {}  # so soon after


def test_only_the_first_process_of_a_node_counts_for_it(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0", 10)
    found = Usage(first_of_node=False, energy=PackageEnergy(tmp_path)).since_last()
    assert not [key for key in found if key.startswith("node_")]


class CountedEnergy(PackageEnergy):
    """RAPL's counters, and how often they were read."""

    readings = 0

    def joules(self) -> float | None:
        found = super().joules()
        self.readings += 1
        return found

    def wait_until_read(self) -> None:
        """Wait until a reading has begun after this call, and ended."""
        enough, end = self.readings + 2, time.monotonic() + 60
        while self.readings < enough:
            assert time.monotonic() < end, "nothing reads the counters"
            time.sleep(0.01)


def test_the_energy_of_a_node_is_sampled_between_the_epochs(tmp_path, monkeypatch):
    monkeypatch.setattr("hpcnn.train.usage._SECONDS_BETWEEN_SAMPLES", 0.02)
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 100, most=1000)
    energy = CountedEnergy(tmp_path)
    usage = Usage(first_of_node=True, energy=energy)
    for joules in (900, 600):  # the counter begins again twice between two epochs
        for at in (joules, joules - 500):
            spend(counter, at)
            energy.wait_until_read()
    usage.close()
    # 100 -> 900 -> 400 -> 600 -> 100
    assert usage.since_last()["node_energy_joules"] == pytest.approx(800 + 500 + 200 + 500)


class NoAnswer(Exception):
    def __init__(self, value: int = 999) -> None:
        self.value = value


class Nvml:
    """NVIDIA's library with GPUs of these models: its functions that hpcnn calls, in its units.

    A GPU of the model "denied" is one that the cgroup of the job denies, and "divided" one with MIG.
    """

    NVMLError = NoAnswer
    NVML_ERROR_NOT_SUPPORTED, NVML_ERROR_NO_PERMISSION = 3, 4

    def __init__(self, *models: str) -> None:
        self.models, self.millijoules, self.percent = models, [0] * len(models), [0] * len(models)

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetCount(self) -> int:
        return len(self.models)

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:
        if self.models[number] == "denied":
            raise NoAnswer(self.NVML_ERROR_NO_PERMISSION)
        return number

    def nvmlDeviceGetMigMode(self, gpu: int) -> list[int]:
        if self.models[gpu] == "old":
            raise NoAnswer(self.NVML_ERROR_NOT_SUPPORTED)
        return [int(self.models[gpu] == "divided")] * 2

    def nvmlDeviceGetName(self, gpu: int) -> str:
        return self.models[gpu]

    def nvmlDeviceGetUUID(self, gpu: int) -> str:
        return f"GPU-{gpu}-of-many"

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu: int) -> int:
        if self.models[gpu] == "old":
            raise NoAnswer(self.NVML_ERROR_NOT_SUPPORTED)
        return self.millijoules[gpu]

    def nvmlDeviceGetUtilizationRates(self, gpu: int) -> SimpleNamespace:
        return SimpleNamespace(gpu=self.percent[gpu], memory=0)


def test_gpus_have_the_energy_since_the_last_time_and_the_busiest_counts():
    nvml = Nvml("H100", "H100")
    nvml.millijoules = [5000, 7000]
    gpus = GpuUse(nvml, [0, 1])
    for percent in ([20, 40], [100, 0]):
        nvml.percent = percent
        gpus.sample()
    nvml.millijoules = [6000, 9000]
    joules, busy = gpus.since_last()
    assert joules == pytest.approx(3)
    assert busy == (pytest.approx(0.7), 1.0)
    assert gpus.since_last() == (0, None)
    assert gpus.names == ["GPU-0-of-many", "GPU-1-of-many"]


def test_the_energy_of_gpus_that_did_not_answer_once_is_counted_by_the_next_reading():
    nvml = Nvml("H100")
    gpus = GpuUse(nvml, [0])
    nvml.models, nvml.millijoules = ("old",), [2000]
    assert gpus.since_last() == (None, None)
    nvml.models, nvml.millijoules = ("H100",), [5000]
    assert gpus.since_last() == (5.0, None)


def test_a_gpu_that_does_not_count_its_energy_gives_none():
    assert GpuUse(Nvml("old"), [0]).since_last() == (None, None)


@pytest.mark.parametrize(
    ("models", "environment", "expected"),
    [
        (("A", "A", "A"), {}, [1]),
        (("A", "A", "A"), {"CUDA_VISIBLE_DEVICES": "2,0"}, [0]),
        (("A", "A", "A"), {"CUDA_VISIBLE_DEVICES": "GPU-2-of-many,GPU-1"}, [1]),
        (("A", "A", "A"), {"CUDA_VISIBLE_DEVICES": "GPU-2,GPU-"}, []),  # of which one is not said
        (("A", "A", "A"), {"CUDA_VISIBLE_DEVICES": "2,0,-1,1"}, [0]),
        (("denied", "A", "A"), {"CUDA_VISIBLE_DEVICES": "0,1"}, [2]),
        (("old", "old"), {}, [1]),
        (("divided", "divided"), {}, []),
        (("A", "divided"), {"CUDA_VISIBLE_DEVICES": "GPU-0,GPU-1"}, []),
        (("A", "divided"), {"CUDA_VISIBLE_DEVICES": "MIG-0,MIG-1"}, []),
        (("A", "B"), {}, []),  # CUDA counts from the fastest, and NVML does not
        (("A", "B"), {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, [1]),
        (("A",), {}, []),
        ((), {}, []),
    ],
)
def test_tensorflows_second_gpu_in_nvmls_order(models, environment, expected):
    assert handles(Nvml(*models), [1], environment) == expected


def test_the_numbers_of_gpus_are_in_what_a_process_says():
    nvml = Nvml("H100")
    usage = Usage(first_of_node=False, gpus=GpuUse(nvml, [0]))
    nvml.millijoules = [2500]
    usage.close()
    assert usage.gpus == ["GPU-0-of-many"]
    assert usage.since_last()["gpu_energy_joules"] == 2.5
