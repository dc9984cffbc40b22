"""Search files: what is refused, and by which words; what --set changes; which trials are known beforehand."""

from pathlib import Path

import pytest

from hpcnn.search.job import train_command, train_of
from hpcnn.search.read import find, read
from hpcnn.search.sampling import known_points
from hpcnn.search.space import Range, Values
from hpcnn.search.spec import Search
from hpcnn.util.errors import UsageError
from hpcnn.zoo import registry

FILE = """
[search]
method = "random"
trials = 6
[train]
model = "psc-hparams"
[space]
learning_rate = {low = 1e-4, high = 0.1, log = true}
model.d_rate = [0.2, 0.3, 0.4]
optimizer = ["adam", "sgd"]
batch_size = {low = 16, high = 64, step = 16}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(FILE)
    return path


@pytest.mark.parametrize(
    ("method", "space", "where"),
    [
        ("random", "trials = 1000000000", "[search] trials: makes 1,000,000,000 trials"),
        ("grid", "[space]\nlearning_rate = {low = 0.5, high = 1.0, step = 1e-12}", "[space] learning_rate: makes 500,"),
        (
            "grid",
            "[space]\nbatch_size = {low = 1, high = 3000}\nepochs = {low = 1, high = 3000}",
            "[space]: makes 9,000,000 trials",
        ),
    ],
)
def test_too_many_trials_are_refused_before_they_are_made(method: str, space: str, where: str, tmp_path: Path) -> None:
    keys, _, rest = space.partition("[space]\n")
    text = (
        f'[search]\nmethod = "{method}"\n{keys}\n[train]\nmodel = "psc-hparams"\n[space]\n{rest or "epochs = [1, 2]"}\n'
    )
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(UsageError) as raised:
        read(tmp_path / "mine.toml")
    assert f"mine.toml: {where}" in str(raised.value)


def test_a_file_becomes_a_search(file: Path) -> None:
    search = read(file)
    assert (search.name, search.trials, search.options.maximizes) == ("mine", 6, True)
    assert search.space == {
        "train.learning_rate": Range(1e-4, 0.1, log=True),
        "model.d_rate": Values((0.2, 0.3, 0.4)),
        "train.optimizer": Values(("adam", "sgd")),
        "train.batch_size": Range(16.0, 64.0, step=16.0, whole=True),
    }


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"random"', '"guess"', "[search] method: 'guess' is not known. Valid: grid, random, tpe"),
        ("trials = 6", "", "[search] trials: say how many"),
        ("trials = 6", "trials = 0", "[search] trials: 0 is not valid; expected at least 1"),
        ("trials = 6", "trails = 6", "[search] key: 'trails' is not known. Did you mean 'trials'?"),
        ("trials = 6", "trials = 6\nmetric = 'speed'", "[search] metric: 'speed' is not known"),
        ('"psc-hparams"', '"psc-hparam"', "'psc-hparam' is not known. Did you mean 'psc-hparams'?"),
        ("model.d_rate", "model.drop", "[space] model keyword: 'drop' is not known"),
        ("batch_size = {low", "batchsize = {low", "[space] key: 'batchsize' is not known. Did you mean 'batch_size'?"),
        ('"sgd"]', '"sgdm"]', "[space] optimizer: 'sgdm' is not known"),
        ('"sgd"]', '"adam"]', "expected a list without a value that occurs twice"),
        ('["adam", "sgd"]', '"adam"', "[space] optimizer: 'adam' is not valid; expected a list of values, or a range"),
        ("low = 1e-4, ", "", "[space] learning_rate: a range needs low and high, and has no low"),
        ("low = 1e-4", "low = 0.0", "[space] learning_rate: 0.0 is not valid; expected more than 0"),
        ("high = 0.1", "high = 1e-5", "[space] learning_rate low: 0.0001 is not valid; expected less than high"),
        ("log = true", "logg = true", "[space] learning_rate key: 'logg' is not known. Did you mean 'log'?"),
        ("log = true", "log = true, step = 0.1", "step: 0.1 is not valid; expected no value where log is true"),
        ("low = 16", "low = 16.5", "[space] batch_size: "),
        ("optimizer = [", "ntasks = [1, 2]\noptimizer = [", "[space] key: 'ntasks' is not known"),
        ("[space]", "optimizer = 'sgd'\n[space]", "[space] optimizer: is in [train] too"),
        ("[space]", "evaluate = false\n[space]", "[train] evaluate: 'false' is not valid"),
        ('"random"\ntrials = 6', '"grid"', "[space] learning_rate: a grid needs a list of values, or a range with a"),
    ],
)
def test_what_cannot_be_is_named(file: Path, old: str, new: str, words: str) -> None:
    assert old in FILE
    file.write_text(FILE.replace(old, new))
    with pytest.raises(UsageError) as caught:
        read(file)
    assert str(caught.value).startswith("mine.toml: ")
    assert words in str(caught.value)


def test_set_makes_a_list_a_parameter_and_anything_else_shared(file: Path) -> None:
    search = read(file, {"optimizer": "sgd", "model.numnodes": [8, 9], "trials": 2, "ntasks": 1, "data": "mnist"})
    assert "train.optimizer" not in search.space
    assert search.train == {"model": "psc-hparams", "optimizer": "sgd", "data": "mnist"}
    assert search.space["model.numnodes"] == Values((8, 9))
    assert search.trials == 2
    with pytest.raises(UsageError, match="--set: 'trails' is not known"):
        read(file, {"trails": 2})


def test_a_grid_is_the_product_and_its_ranges_have_both_ends(file: Path) -> None:
    file.write_text(FILE.replace('"random"\ntrials = 6', '"grid"').replace("log = true", "step = 0.0333"))
    points = known_points(read(file))
    assert len(points) == 4 * 3 * 2 * 3 + 3 * 2 * 4  # four rates each, four batches of 16, 32, 48, 64
    assert sorted({point["train.batch_size"] for point in points}) == [16, 32, 48, 64]


def test_more_random_trials_change_none_of_the_first(file: Path) -> None:
    pytest.importorskip("optuna")
    few, many = known_points(read(file)), known_points(read(file, {"trials": 20}))
    assert many[:6] == few
    assert len({str(point) for point in many}) > 15
    assert known_points(read(file, {"search.seed": 2})) != few
    assert all(1e-4 <= point["train.learning_rate"] <= 0.1 for point in many)


def test_the_lectures_grid_has_the_lectures_rows() -> None:
    search = read(find("psc_hparams"))
    points = known_points(search)
    assert [point for point, _ in search.reference] == points  # in the lecture's order
    assert search.reference[4] == ({"model.numnodes": 32, "model.d_rate": 0.1, "train.optimizer": "adam"}, 0.8395)
    assert train_of(search, points[0]).model_args == {"numnodes": 16, "d_rate": 0.1}


def test_the_best_trial_is_trained_again_with_all_epochs_and_the_same_resources(file: Path) -> None:
    point = {"model.d_rate": 0.3, "train.optimizer": "sgd"}
    search: Search = read(file, {"epochs": 3, "model": "scinet-dense-dropout", "ntasks": 2, "strategy": "horovod"})
    command = train_command(search, point, "narval")
    assert command.startswith("hpcnn submit --site narval --run-dir runs/mine-best --ntasks 2 --model scinet-dense-")
    assert "--model-arg d_rate=0.3" in command
    assert "--epochs 1000" in command  # the lecture's


def test_all_trials_start_from_the_same_file_with_the_same_layers_frozen(tmp_path: Path) -> None:
    file = tmp_path / "start.toml"
    file.write_text(
        '[search]\nmethod = "grid"\n[train]\nweights = "w.keras"\nweights_except = ["head"]\nfreeze = ["conv*", "b1"]\n'
        "[space]\nbatch_size = [16, 32]\n"
    )
    search = read(file)
    first, second = known_points(search)
    assert train_of(search, first).freeze == train_of(search, second).freeze == ("conv*", "b1")
    command = train_command(search, first, "local")
    assert "--weights w.keras --weights-except head --freeze 'conv*' --freeze b1" in command
    with pytest.raises(UsageError, match=r"weights: 'w\.h5' is not valid; expected a file that ends in"):
        read(file, {"weights": "w.h5"})


def test_keywords_are_those_of_the_function() -> None:
    keras = pytest.importorskip("keras")
    import importlib
    import inspect

    assert keras
    for name, recipe in registry.RECIPES.items():
        module, _, function = recipe.factory.partition(":")
        factory = getattr(importlib.import_module(module), function)
        assert registry.keywords(name) == tuple(inspect.signature(factory).parameters), name
    assert registry.keywords("mine:model") is None
