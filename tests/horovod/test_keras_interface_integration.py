"""``hpcnn.horovod`` under two real ranks and alone: all cases of many_cases.py in one start of each."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import read_json, read_lines
from tests.horovod import many_cases_names as names
from tests.train.launching import ROOT, Command

pytestmark = [pytest.mark.mpi, pytest.mark.slow]

Seen = Mapping[str, npt.NDArray[Any]]
WORDS = (sys.executable, "-m", "tests.horovod.many_cases")


def marks(name: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.long] if name in names.LONG else []


class Ended:
    """What two ranks and one process left."""

    def __init__(self, folder: Path, printed: str) -> None:
        self.folder, self.printed, self.run = folder, printed, RunDir(folder / "run")

    def ranks(self, name: str) -> list[Seen]:
        return [np.load(self.folder / "two" / f"{name}.rank{rank}.npz") for rank in (0, 1)]

    def alone(self, name: str) -> Seen:
        seen: Seen = np.load(self.folder / "one" / f"{name}.rank0.npz")
        return seen


@pytest.fixture(scope="module")
def ended(command: Command, mpirun: Command, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    folder = tmp_path_factory.mktemp("cases")
    where = {"cwd": folder, "PYTHONPATH": str(ROOT), "timeout": 900}
    two = mpirun(2, *WORDS, folder / "two", HPCNN_RUN_DIR=str(folder / "run"), HPCNN_WORLD_SIZE="2", **where)
    assert two.returncode == 0, two.stdout + two.stderr
    one = command(*WORDS, folder / "one", **where)
    assert one.returncode == 0, one.stdout + one.stderr
    return Ended(folder, two.stdout)


def weights(seen: Seen) -> list[npt.NDArray[Any]]:
    numbers = [name for name in seen if name.isdigit()]
    assert numbers
    return [seen[name] for name in numbers]


def same(one: Seen, other: Seen, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    for a, b in zip(weights(one), weights(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in (*names.EQUAL, *names.CLOSE)])
def test_the_ranks_hold_the_weights_of_one_process(name: str, ended: Ended) -> None:
    first, second = ended.ranks(name)
    for a, b in zip(weights(first), weights(second), strict=True):
        np.testing.assert_array_equal(a, b)
    same(first, ended.alone(name), **(names.CLOSE.get(name) or {}))


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("summed", "whole_batches"),
        ("grouped", "whole_batches"),
        pytest.param("grouped_by_lists", "whole_batches", marks=marks("grouped_by_lists")),
        ("compiled", "whole_batches"),
        ("half_batches", "whole_batches"),
        pytest.param("half_batches_summed", "whole_batches", marks=marks("half_batches_summed")),
        ("eager", "whole_batches"),
        ("half_batches_table", "rows_sgd"),
        pytest.param("rows_as_dense", "rows", marks=marks("rows_as_dense")),
        pytest.param("compiled_rows", "rows", marks=marks("compiled_rows")),
        ("saved_and_loaded", "not_saved"),
    ],
)
def test_another_way_to_the_same_step_ends_with_the_same_weights(name: str, other: str, ended: Ended) -> None:
    same(ended.ranks(name)[0], ended.ranks(other)[0])
    same(ended.alone(name), ended.alone(other))


def test_ranks_begin_with_weights_of_their_own(ended: Ended) -> None:
    """Or the tests above would not see a broadcast that is missing."""
    from_rank_0, from_rank_1 = weights(ended.ranks("whole_batches")[0]), weights(ended.ranks("other_root")[0])
    assert not np.allclose(from_rank_0[0], from_rank_1[0])


@pytest.mark.parametrize("name", ["averaged", "swapped"])
def test_averaged_weights_are_not_those_of_the_last_step(name: str, ended: Ended) -> None:
    averaged, last = weights(ended.ranks(name)[0])[0], weights(ended.ranks("whole_batches")[0])[0]
    assert float(np.abs(averaged - last).max()) > 1e-3


def test_iterations_count_batches(ended: Ended) -> None:
    """As under Horovod, so that a schedule of the learning rate takes as long."""
    assert [int(ended.ranks(name)[0]["iterations"]) for name in ("half_batches", "whole_batches")] == [16, 8]


def test_all_ranks_skip_the_step_in_which_one_overflows(ended: Ended) -> None:
    for seen in (*ended.ranks("float16"), ended.alone("float16")):
        assert (seen["scale"], seen["steps"], str(seen["of"])) == (2**14, 3, "LossScaleOptimizer")


def test_loss_scaling_around_the_distributed_optimizer_is_refused(ended: Ended) -> None:
    for seen in (*ended.ranks("scaled_outside"), ended.alone("scaled_outside")):
        assert "a LossScaleOptimizer stands around it" in str(seen["error"])


def test_the_warm_up_sets_horovods_rates_and_corrects_the_momentum(ended: Ended) -> None:
    """The oracle is Horovod's rule in NumPy: the momentum of a step times the new rate by the old one."""
    seen = ended.ranks("warmup")[0]
    rates = 0.2 * np.array([*((1 + (step + 1) / 4) / 2 for step in range(4)), 1.0, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(seen["rates"], rates, rtol=1e-6)
    np.testing.assert_allclose(seen["logged"], [0.2, 0.2], rtol=1e-6)
    kernel, bias = seen["first0"].astype(np.float64), seen["first1"].astype(np.float64)
    x, y = names.data()
    velocities = [np.zeros_like(kernel), np.zeros_like(bias)]
    before = 0.2
    for step, rate in enumerate(rates):
        batch = slice((step % 4) * 16, (step % 4 + 1) * 16)
        error = 2 * (x[batch] @ kernel + bias - y[batch]) / 16
        slopes = [x[batch].T @ error, error.sum(axis=0)]
        velocities = [0.9 * (rate / before) * v - rate * s for v, s in zip(velocities, slopes, strict=True)]
        kernel, bias, before = kernel + velocities[0], bias + velocities[1], rate
    np.testing.assert_allclose(seen["0"], kernel, rtol=1e-4)
    np.testing.assert_allclose(seen["1"], bias, rtol=1e-4)
    assert ended.printed.count("Epoch 1: finished gradual learning rate warmup to 0.2.") == 1


def test_the_schedule_changes_the_rate_by_epochs(ended: Ended) -> None:
    for seen in (*ended.ranks("schedule"), ended.alone("schedule")):
        np.testing.assert_allclose(seen["logged"], [0.2, 0.1, 0.05, 0.06, 0.08, 0.08], rtol=1e-6)


def test_logs_are_the_means_of_the_ranks_logs(ended: Ended) -> None:
    first, second = ended.ranks("metrics")
    for name in ("loss", "mae"):
        own = [float(seen[f"own_{name}"]) for seen in (first, second)]
        assert own[0] != own[1]
        assert float(first[name]) == float(second[name]) == pytest.approx(sum(own) / 2, rel=1e-12)


def test_operations_are_horovods(ended: Ended) -> None:
    first, second = ended.ranks("operations")
    for seen in (first, second):
        assert seen["mean"].tolist() == [0.5, 1.0]
        assert seen["total"].tolist() == seen["not_average"].tolist() == [1.0]
        assert seen["scaled"].tolist() == [6.0]
        assert seen["rows"].tolist() == [[0.0], [1.0], [1.0]]
        assert seen["of_last"].tolist() == [1.0]
        assert seen["adasum"].tolist() == [1.5, 0.0]
    assert (first["part"].tolist(), second["part"].tolist()) == ([1.0], [21.0])


def test_a_saved_model_names_its_optimizers_own_class(ended: Ended) -> None:
    import zipfile

    with zipfile.ZipFile(ended.folder / "two" / "saved.keras") as archive:
        config = json.loads(archive.read("config.json"))
    assert config["compile_config"]["optimizer"]["class_name"] == "Own"
    assert "hpcnn" not in json.dumps(config["compile_config"])
    assert [str(seen["of"]) for seen in ended.ranks("saved_and_loaded")] == ["Own", "Own"]


def test_files_are_written_once(ended: Ended) -> None:
    assert sorted(path.name for path in (ended.folder / "two").glob("form.*")) == [
        f"form.2-{epoch}.keras" for epoch in (1, 2, 3, 4)
    ]
    assert (ended.folder / "two" / "best.2.keras").exists()


def test_horovods_example_learns_in_its_form(ended: Ended) -> None:
    first, second = ended.ranks("digits_from_a_dataset")
    assert first["accuracy"].tolist() == second["accuracy"].tolist()
    assert first["accuracy"][-1] > 0.7
    np.testing.assert_allclose(first["lr"], ended.alone("digits_from_a_dataset")["lr"], rtol=1e-6)


def test_the_record_has_every_epoch_of_every_fit_once(ended: Ended) -> None:
    provenance = read_json(ended.run.provenance) or {}
    assert [host["rank"] for host in provenance["hosts"]] == [0, 1]
    lines = [list(read_lines(ended.run.epochs(rank))) for rank in (0, 1)]
    assert [line["epoch"] for line in lines[0]] == list(range(1, len(lines[0]) + 1))
    assert [(line["loss"], line["metrics"]) for line in lines[0]] == [
        (line["loss"], line["metrics"]) for line in lines[1]
    ]
    assert (ended.run.read_result() or {})["epochs"] == len(lines[0]) > 30


def test_a_wrong_world_size_ends_the_script(command: Command, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import hpcnn.horovod as hvd; hvd.init()")
    result = command(sys.executable, script, HPCNN_WORLD_SIZE="3", HPCNN_RUN_DIR=str(tmp_path / "run"))
    assert result.returncode == 1
    assert "3 ranks were asked for, but strategy 'horovod' found 1" in result.stderr


def test_a_script_that_only_meets_leaves_who_took_part(command: Command, tmp_path: Path) -> None:
    """Or the record of one with a training loop of its own would say that its ranks never met."""
    script = tmp_path / "script.py"
    script.write_text("import hpcnn.horovod as hvd; hvd.init(); print(hvd.rank(), hvd.size())")
    result = command(sys.executable, script, HPCNN_RUN_DIR=str(tmp_path / "run"))
    assert (result.returncode, result.stdout) == (0, "0 1\n"), result.stderr
    run = RunDir(tmp_path / "run")
    assert [host["rank"] for host in (read_json(run.provenance) or {})["hosts"]] == [0]
    assert (run.read_result() or {})["status"] == "completed"
