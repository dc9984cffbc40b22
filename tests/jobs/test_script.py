"""Job scripts: readable (golden files), correct for bash, and true to every string that a user can choose.

After a wanted change of a template, write the golden files anew and read the difference:
``UPDATE_GOLDEN=1 pytest tests/jobs/test_script.py && git diff tests/golden``.
"""

import dataclasses
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from hypothesis import example, settings
from hypothesis import given as such_as
from hypothesis import strategies as st

from hpcnn.cli.main import main
from hpcnn.cli.options import given_options, spec_from_options, toml_value
from hpcnn.cli.train import command as train_command
from hpcnn.jobs import script as module
from hpcnn.jobs.script import Place, render, title
from hpcnn.sites.load import load_site
from hpcnn.sites.profile import Site
from hpcnn.specs.job import JobSpec
from hpcnn.specs.resources import Resources
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import UsageError
from hpcnn.util.files import write_text
from hpcnn.util.toml import toml_text
from tests.jobs.awkward import AWKWARD

GOLDEN = Path(__file__).parents[1] / "golden"
PLACE = Place(
    run_dir="/project/runs/first/20260102-030405-abcd",
    directory="/home/me/project",
    bin="/home/me/venv/bin",
    hpcnn=("/home/me/venv/bin/hpcnn",),
    environment={"HPCNN_DATA": "/project/data sets"},
    mpi="Open MPI 4.1.8",
)


def train(ntasks=1, cpus_per_task=None, **spec):
    return JobSpec("first", "local", Resources(ntasks=ntasks, cpus_per_task=cpus_per_task), TrainSpec(**spec))


JOBS = {
    "serial": train(model="psc-cnn-dropout", epochs=3, model_args={"d_rate": 0.25}, tensorboard=True, evaluate=False),
    "horovod": train(2, model="psc-cnn-dropout", strategy="horovod", batch_size=128, lr_scaling="linear"),
    "multiworker": train(2, data="mnist", strategy="multiworker"),
    "mirrored": train(1, 4, data="mnist", strategy="mirrored", devices=2),
    "program": JobSpec(
        "my_script",
        "local",
        Resources(ntasks=2),
        program=("python", "my script.py", "--epochs", "3", "--note", "it's $5"),
    ),
    "oversubscribed": train(8, 1, strategy="horovod"),
}

LOCAL = Site(scheduler="local", template="local/job.sh.j2", launcher="mpirun", cores=1)


@pytest.fixture
def site():
    return dataclasses.replace(load_site("local"), cores=4)


def shellcheck():
    """Return the path of shellcheck: beside this Python, where pip puts it, or in PATH."""
    return shutil.which("shellcheck", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


class TestGolden:
    @pytest.mark.parametrize("name", JOBS)
    def test_the_script_is_as_it_was_read_and_approved(self, name, site, monkeypatch):
        monkeypatch.setattr(module, "__version__", "1.2.3")
        script = render(JOBS[name], site, PLACE)
        file = GOLDEN / f"{name}.sh"
        if os.environ.get("UPDATE_GOLDEN"):
            file.write_text(script)
        assert script == file.read_text()

    def test_no_golden_file_is_left_over(self):
        assert {file.stem for file in GOLDEN.glob("*.sh")} == set(JOBS)

    @pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.sh")), ids=lambda file: file.stem)
    def test_bash_and_shellcheck_find_nothing(self, file):
        subprocess.run(["bash", "-n", file], check=True)
        if shellcheck() is None:
            pytest.skip("shellcheck is not installed")
        # SC2016: a "$" that does not expand is what quoting is for
        found = subprocess.run([shellcheck(), "--shell=bash", "--exclude=SC2016", file], capture_output=True, text=True)
        assert found.returncode == 0, found.stdout

    @pytest.mark.parametrize("name", JOBS)
    def test_lines_are_as_long_as_a_person_reads(self, name, site):
        assert max(len(line) for line in render(JOBS[name], site, PLACE).splitlines()) <= 120


def test_the_same_arguments_give_the_same_script(site):
    assert render(JOBS["horovod"], site, PLACE) == render(JOBS["horovod"], site, PLACE)


def test_an_unknown_template_names_the_known_ones(site):
    with pytest.raises(
        UsageError, match=r"^site local: template: 'local/jib\.sh\.j2' is not .*'local/job\.sh\.j2'\? V"
    ):
        render(JOBS["serial"], dataclasses.replace(site, template="local/jib.sh.j2"), PLACE)


def test_the_users_environment_has_the_last_word_over_the_sites(site):
    site = dataclasses.replace(site, environment={"HPCNN_DATA": "/site", "NCCL_DEBUG": "INFO", "N": 3})
    script = render(JOBS["serial"], site, PLACE)
    lines = [line for line in script.splitlines() if line.startswith("export") and "OMP" not in line]
    assert lines[-3:] == ["export HPCNN_DATA='/project/data sets'", "export NCCL_DEBUG=INFO", "export N=3"]
    assert "/site" not in script


class TestTitle:
    def test_it_says_what_the_job_is(self):
        assert title(JOBS["horovod"]) == "first: psc-cnn-dropout on digits, horovod, 2 ranks, site local"
        assert title(JOBS["program"]).startswith("my_script: python 'my script.py' --epochs 3 --note ")

    def test_a_long_program_is_cut(self):
        job = JobSpec("x", "local", Resources(), program=("python", "-c", "print(1)\n" * 1000))
        assert title(job).startswith("x: python -c 'print(1) print(1) ")
        assert title(job).endswith(" ..., serial, 1 rank, site local")
        assert len(title(job)) < 120

    @pytest.mark.parametrize("newline", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\u2028"])
    def test_no_name_breaks_out_of_the_comment(self, newline, site):
        name = f"a{newline}touch broken{newline}#"
        job = JobSpec(name, name, Resources(), TrainSpec(model=name, data=name))
        lines = render(job, site, PLACE).splitlines()
        assert (
            lines[1]
            == "# a touch broken #: a touch broken # on a touch broken #, serial, 1 rank, site a touch broken #"
        )
        assert lines[2].startswith("# Written by hpcnn")


# Any string that a Linux process can be given: no NUL, and bytes that are no UTF-8 as Python escapes them.
integers = st.integers(-(2**63) + 1, 2**63 - 1)  # what TOML has
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.binary(max_size=4).map(
    lambda raw: os.fsdecode(raw.replace(b"\0", b""))
)
ECHO = "import json, os, sys; json.dump([sys.argv[1:], dict(os.environ), os.getcwd()], open(os.environ['ECHO'], 'w'))"


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    """A program that writes its arguments, environment and directory down, and what reads them back."""
    folder = tmp_path_factory.mktemp("echo")
    program = folder / "echo.py"
    program.write_text(ECHO)

    def run(script):
        answer = folder / "answer.json"
        answer.unlink(missing_ok=True)
        file = folder / "job.sh"
        write_text(file, script)
        subprocess.run(["bash", "-n", file], check=True)
        done = subprocess.run(["bash", file], env={**os.environ, "ECHO": str(answer)}, capture_output=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout + done.stderr == b""
        return json.loads(answer.read_text())

    run.program = (sys.executable, str(program))
    run.folder = folder
    return run


def place_of(echo, **changes):
    # `true` for hpcnn: closing the record is not what is tested here, and takes its time
    place = Place(str(echo.folder), str(echo.folder), str(Path(sys.executable).parent), ("true",), {})
    return dataclasses.replace(place, **changes)


class TestAnyString:
    @settings(max_examples=60, deadline=None)
    @such_as(st.lists(texts, max_size=5), texts, texts, texts)
    @example(AWKWARD, "a\nexit 1\n#", "\n", "a'b\"c")
    def test_arrives_in_the_users_program(self, echo, words, name, value, folder):
        job = JobSpec(name, name, Resources(), program=(*echo.program, *words))
        site = dataclasses.replace(LOCAL, environment={"FROM_SITE": value})
        run_dir = f"/runs/{folder}"
        place = place_of(echo, environment={"FROM_USER": value}, run_dir=run_dir)
        arguments, environment, directory = echo(render(job, site, place))
        assert arguments == words
        assert (environment["FROM_SITE"], environment["FROM_USER"]) == (value, value)
        assert environment["HPCNN_RUN_DIR"] == run_dir
        assert directory == str(echo.folder)

    @settings(max_examples=60, deadline=None)
    @such_as(
        texts,
        texts,
        st.dictionaries(
            st.from_regex(r"\A[a-z_]{1,8}\Z"),
            st.recursive(
                texts | st.booleans() | integers | st.floats(allow_nan=False),
                lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
                max_leaves=4,
            ),
            max_size=3,
        ),
        st.floats(0, exclude_min=True, allow_infinity=False),
        st.booleans(),
    )
    @example("a:b", "x.npz", {"name": "true", "note": 'say "hi"\n', "path": "C:\\x", "list": ["1", 1]}, 1e-05, True)
    def test_arrives_in_hpcnn_train(self, echo, model, data, model_args, rate, flag):
        spec = TrainSpec(
            model=model,
            data=data,
            model_args=model_args,
            learning_rate=rate,
            evaluate=flag,
            sync_batch_norm=not flag,
            augment={"rotation": 10.0, "flip": "both"} if flag else {},
            augmentation=flag,
        )
        place = place_of(echo, hpcnn=echo.program)
        script = render(JobSpec("x", "local", Resources(), spec), LOCAL, place)
        # the line that closes the record must not overwrite what `hpcnn train` was given
        script = script.replace(f"{shlex.join(echo.program)} record", "true record")
        words, _, _ = echo(script)
        assert words[0] == "train"
        parent = click.Context(main, **main.context_settings)
        options = train_command.make_context("train", words[1:], parent=parent).params
        assert options.pop("run_dir") == str(echo.folder)
        assert spec_from_options(TrainSpec, given_options(TrainSpec, options)) == spec

    @settings(max_examples=30, deadline=None)
    @such_as(
        texts.filter(lambda name: name not in ("", ".", "..") and "/" not in name and len(os.fsencode(name)) < 200)
    )
    @example("-rf $(id) 'x' \"y\"\n")
    def test_can_name_the_directory_of_the_job(self, echo, name):
        folder = echo.folder / name
        folder.mkdir(exist_ok=True)
        job = JobSpec("x", "local", Resources(), program=(*echo.program, "a"))
        _, environment, directory = echo(render(job, LOCAL, place_of(echo, directory=str(folder), run_dir=str(folder))))
        assert (directory, environment["HPCNN_RUN_DIR"]) == (str(folder), str(folder))


@such_as(
    st.recursive(
        texts | st.booleans() | integers | st.floats(allow_nan=False) | st.dates() | st.datetimes(),
        lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
        max_leaves=5,
    )
)
def test_a_keyword_of_a_model_reads_back_as_it_was(value):
    assert toml_value(toml_text(value)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", 2),
        ("1e-3", 0.001),
        ("true", True),
        ("True", "True"),
        ("'2'", "2"),
        ("word", "word"),
        ("two words", "two words"),
        ("[1, 2]", [1, 2]),
        ("[serial,horovod]", ["serial", "horovod"]),
        ("[1, x, 0.5]", [1, "x", 0.5]),
        ("[[1, 2], [3]]", [[1, 2], [3]]),
        ("[[a, b]]", "[[a, b]]"),
        ("{a = 1}", {"a": 1}),
        ("", ""),
        ("1\nkey = 2", "1\nkey = 2"),
        ("1\n[table]", "1\n[table]"),
    ],
)
def test_how_values_are_written_on_the_command_line(text, value):
    found = toml_value(text)
    assert found == value
    assert type(found) is type(value)
