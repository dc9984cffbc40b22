"""Study files: what they may say, what `--set` changes, and how each mistake is named."""

import pytest

from hpcnn.study.read import find, full_key, read
from hpcnn.util.errors import UsageError
from hpcnn.util.share import share_dir

PACKAGED = sorted(share_dir("scaling_studies").glob("*.toml"))

FILE = """
name = "mine"
kind = "strong"
description = "two points"
repeats = 2
seeds = [7, 8]

[train]
model = "psc-cnn-dropout"
epochs = 2

[resources]
cpus_per_task = 1

[axes]
ntasks = [1, 2]
"model.d_rate" = [0.2, 0.4]
"""


@pytest.fixture
def study(tmp_path):
    """Return a function that reads a study file of the given text."""

    def study(text=FILE, **changes):
        file = tmp_path / "mine.toml"
        file.write_text(text)
        return read(file, {key.replace("__", "."): value for key, value in changes.items()})

    return study


def error_of(study, text=FILE, **changes):
    with pytest.raises(UsageError) as caught:
        study(text, **changes)
    return str(caught.value)


def test_everything_is_read(study):
    found = study()
    assert (found.name, found.kind, found.description, found.repeats) == ("mine", "strong", "two points", 2)
    assert (found.seeds, found.points, found.program) == ((7, 8), (), ())
    assert found.train == {"model": "psc-cnn-dropout", "epochs": 2}
    assert found.resources == {"cpus_per_task": 1}
    assert found.axes == {"resources.ntasks": [1, 2], "model.d_rate": [0.2, 0.4]}


def test_an_empty_file_is_one_run_named_as_the_file(study):
    found = study("")
    assert (found.name, found.kind, found.repeats, found.axes, found.points) == ("mine", "throughput", 1, {}, ())


def test_a_point_names_its_keys_in_any_way(study):
    text = """
    [[points]]
    train.strategy = "horovod"
    resources = { ntasks = 2 }
    epochs = 3
    model.d_rate = 0.5
    model_args = { layersize = 64 }
    """
    assert study(text).points == (
        {
            "train.strategy": "horovod",
            "resources.ntasks": 2,
            "train.epochs": 3,
            "model.d_rate": 0.5,
            "train.model_args": {"layersize": 64},
        },
    )
    assert study('[[points]]\nmodel = "psc-cnn1"').points == ({"train.model": "psc-cnn1"},)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("repeat = 3", "key: 'repeat' is not known. Did you mean 'repeats'? Valid: name, kind, "),
        ('kind = "string"', "kind: 'string' is not known. Did you mean 'strong'? Valid: strong, weak, throughput."),
        ("kind = 3", "kind: 3 is not valid; expected a string."),
        ("name = 3", "name: 3 is not valid; expected a string."),
        ('name = "a/b"', "name: 'a/b' is not valid; expected the name of a folder, without '/'."),
        ('name = ""', "name: '' is not valid; expected the name of a folder"),
        ('name = ".."', "name: '..' is not valid; expected the name of a folder"),
        ("description = 3", "description: 3 is not valid; expected a string."),
        ("repeats = 0", "repeats: 0 is not valid; expected at least 1."),
        ("repeats = 1.5", "repeats: 1.5 is not valid; expected a whole number."),
        ("seeds = 5", "seeds: 5 is not valid; expected a list."),
        ("seeds = [-1]", "seeds: -1 is not valid; expected at least 0."),
        ('seeds = ["a"]', "seeds: 'a' is not valid; expected a whole number."),
        ('program = "python x.py"', "program: 'python x.py' is not valid; expected a list."),
        ('program = ["x", 1]', "program: 1 is not valid; expected a string."),
        ("train = 3", "train: 3 is not valid; expected a table."),
        ("axes = [1]", "axes: [1] is not valid; expected a table."),
        ("points = 1", "points: 1 is not valid; expected a list."),
        ("points = [1]", "points: 1 is not valid; expected a table."),
        ("[train]\nepoch = 3", "[train] key: 'epoch' is not known. Did you mean 'epochs'?"),
        ("[train]\nepochs = 0", "[train] epochs: 0 is not valid; expected at least 1."),
        ('[train]\nstrategy = "horvod"', "[train] strategy: 'horvod' is not known. Did you mean 'horovod'? Valid: ser"),
        ("[resources]\ntasks = 2", "[resources] key: 'tasks' is not known. Did you mean 'ntasks'?"),
        ('[resources]\nntasks = "2"', "[resources] ntasks: '2' is not valid; expected a whole number."),
        (
            "[software]\nimage = 'x'",
            "[software] key: 'image' is not known. Valid: container, bind, module, setup, env, pass_env, env_file",
        ),
        ("[software]\nbind = '/a'", "[software] bind: '/a' is not valid; expected a list."),
        (
            "[axes]\nntask = [1]",
            "[axes] key: 'ntask' is not known. Did you mean 'ntasks'? Also valid: model.KEYWORD, data.KEYWORD, ",
        ),
        (
            '[axes]\n"train.epoch" = [1]',
            "[axes] key: 'train.epoch' is not known. Did you mean 'train.epochs'?",
        ),
        ('[axes]\n"model." = [1]', "[axes] key: 'model.' is not known. "),
        ("[axes]\nntasks = 2", "[axes] ntasks: 2 is not valid; expected a list with at least one value."),
        ("[axes]\nntasks = []", "[axes] ntasks: [] is not valid; expected a list with at least one value."),
        ("[axes]\nntasks = [1, 0]", "[axes] ntasks: 0 is not valid; expected at least 1."),
        ('[axes]\nntasks = [1, "2"]', "[axes] ntasks: '2' is not valid; expected a whole number."),
        ('[axes]\nstrategy = ["x"]', "[axes] strategy: 'x' is not known. Valid: serial, mirrored, "),
        ("[[points]]\nntask = 1", "[[points]] key: 'ntask' is not known. Did you mean 'ntasks'?"),
        ("[[points]]\ntrain.epochs = 0", "[[points]] train.epochs: 0 is not valid; expected at least 1."),
        ("[[points]]\nntasks = [1, 2]", "[[points]] ntasks: [1, 2] is not valid; expected a whole number."),
        ('program = ["x"]\n[train]\nepochs = 2', "[train] epochs: keys of training cannot go with a program of yo"),
        (
            'kind = "strong"\nprogram = ["x"]\n[axes]\nntasks = [1, 2]',
            "[train] batch_size: a strong-scaling study of a program needs the batch size of all ranks together, which",
        ),
        (
            'kind = "weak"\nprogram = ["x"]',
            "[train] batch_size: a weak-scaling study of a program needs the batch size of one",
        ),
        (
            'program = ["x"]\nseeds = [1]\n[axes]\nepochs = [2]',
            "train.epochs, seeds: keys of training cannot go with a p",
        ),
        ('program = ["x"]\n[[points]]\nmodel.a = 2', "model.a: keys of training cannot go with a program of yo"),
    ],
)
def test_a_mistake_names_file_table_key_value_and_what_is_valid(study, text, message):
    assert error_of(study, text).startswith(f"mine.toml: {message}")


def test_broken_toml_names_file_and_line(study, tmp_path):
    message = error_of(study, "name = 'x'\nrepeats = = 1\n")
    assert message.startswith(f"{tmp_path / 'mine.toml'}: is not valid TOML: ")
    assert "line 2" in message


class TestSet:
    @pytest.mark.parametrize(
        ("key", "value"), [("name", "yours"), ("kind", "weak"), ("description", "x"), ("repeats", 5), ("seeds", [3])]
    )
    def test_a_plain_key(self, study, key, value):
        changed = getattr(study(**{key: value}), key)
        assert changed == (tuple(value) if key == "seeds" else value)

    @pytest.mark.parametrize("key", ["epochs", "train__epochs"])
    def test_a_field_of_training(self, study, key):
        assert study(**{key: 9}).train["epochs"] == 9

    @pytest.mark.parametrize("key", ["cpus_per_task", "resources__cpus_per_task"])
    def test_a_field_of_resources(self, study, key):
        assert study(**{key: 9}).resources == {"cpus_per_task": 9}

    def test_a_field_of_software(self, study):
        assert study(container="x.sif").software == {"container": "x.sif"}
        assert study(software__container=["x.sif", "y.sif"]).axes["software.container"] == ["x.sif", "y.sif"]
        text = 'program = ["true"]\n[software]\ncontainer = "a.sif"\nmodule = ["gcc"]\nenv = { A = "1" }\n'
        assert study(text, container="b.sif").software == {
            "container": "b.sif",
            "module": ["gcc"],
            "env": {"A": "1"},
        }

    def test_a_keyword_of_the_model(self, study):
        assert study(model__layersize=64).train["model_args"] == {"layersize": 64}
        text = "[train]\nmodel_args = { a = 1, b = 1 }"
        assert study(text, model__b=2).train["model_args"] == {"a": 1, "b": 2}

    def test_the_model_itself(self, study):
        assert study(model="scinet-cnn1").train["model"] == "scinet-cnn1"

    @pytest.mark.parametrize("key", ["ntasks", "resources__ntasks"])
    def test_an_axis_is_replaced(self, study, key):
        axes = study(**{key: [4, 8]}).axes
        assert axes == {"model.d_rate": [0.2, 0.4], "resources.ntasks": [4, 8]}

    def test_an_axis_that_was_none(self, study):
        assert study(train__batch_size=[64, 128]).axes["train.batch_size"] == [64, 128]
        assert study(model__d_rate=[0.5]).axes["model.d_rate"] == [0.5]

    def test_one_value_ends_an_axis(self, study):
        found = study(ntasks=2, model__d_rate=0.3)
        assert found.axes == {}
        assert found.resources["ntasks"] == 2
        assert found.train["model_args"] == {"d_rate": 0.3}

    def test_nothing_is_changed_behind_the_points(self, study):
        text = '[[points]]\nstrategy = "serial"\n[[points]]\nepochs = 2\n'
        message = "--set train.strategy: the study's [[points]] say it each for itself; change it in a copy of the file"
        assert error_of(study, text, train__strategy="horovod") == message
        assert study(text, batch_size=64).train == {"batch_size": 64}

    def test_mistakes(self, study):
        assert error_of(study, epoch=3).startswith("--set: 'epoch' is not known. Did you mean 'epochs'?")
        assert error_of(study, ntasks=0) == "mine.toml: [resources] ntasks: 0 is not valid; expected at least 1."
        assert error_of(study, ntasks=[0]) == "mine.toml: [axes] resources.ntasks: 0 is not valid; expected at least 1."
        assert error_of(study, repeats="x") == "mine.toml: repeats: 'x' is not valid; expected a whole number."
        assert error_of(study, program=["x"]).startswith("--set: 'program' is not known. ")


def test_full_keys():
    assert full_key("ntasks", "") == "resources.ntasks"
    assert full_key("train.seed", "") == "train.seed"
    assert full_key("model", "") == "train.model"
    assert full_key("model.anything.at.all", "") == "model.anything.at.all"


class TestFind:
    @pytest.mark.parametrize("file", PACKAGED, ids=lambda file: file.stem)
    def test_a_packaged_study_is_found_from_anywhere(self, file, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for name in (file.stem, file.name, f"scaling_studies/{file.name}", str(file)):
            assert find(name).samefile(file)

    def test_a_file_comes_before_a_packaged_study(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "smoke.toml").write_text("")
        assert find("smoke.toml").absolute() == tmp_path / "smoke.toml"
        assert find("smoke").parent == PACKAGED[0].parent

    @pytest.mark.parametrize("name", ["smoek", "smoke.json"])
    def test_an_unknown_study_names_the_packaged_ones(self, name, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        expected = f"^study: '{name}' is not known.*`hpcnn study list` lists all {len(PACKAGED)}. Also valid: FILE.toml"
        with pytest.raises(UsageError, match=expected) as caught:
            find(name)
        assert "Did you mean 'smoke'?" in str(caught.value)

    def test_a_file_that_is_not_there_is_said_to_be_so(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        expected = "^study: there is no file or folder 'elsewhere/smoke.toml'; expected a file, or the name of a"
        with pytest.raises(UsageError, match=expected):
            find("elsewhere/smoke.toml")
