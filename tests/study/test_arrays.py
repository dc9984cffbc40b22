"""Runs as job arrays: what shares one, how long it is, and a script that is readable, right, and true to any path.

The golden file is written anew as those of tests/jobs/test_script.py are:
``UPDATE_GOLDEN=1 pytest tests/study/test_arrays.py``.
"""

import dataclasses
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hpcnn.jobs import script as module
from hpcnn.jobs.script import render
from hpcnn.jobs.submit import Prepared
from hpcnn.rundir.layout import RunDir
from hpcnn.sites.load import load_site
from hpcnn.sites.profile import Site
from hpcnn.specs.fields import from_mapping
from hpcnn.specs.job import JobSpec
from hpcnn.specs.resources import Resources
from hpcnn.specs.study import StudySpec
from hpcnn.study.arrays import batches, shape
from hpcnn.study.expand import expand
from hpcnn.util.errors import UsageError
from tests.jobs.test_script import PLACE
from tests.jobs.test_script_slurm import check_shell

GOLDEN = Path(__file__).parents[1] / "golden" / "arrays"
SITE = Site(name="cluster", mpi_type="pmix")


@pytest.fixture(autouse=True)
def _packaged_sites_only(tmp_path, monkeypatch):
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path))


def prepared(folder, site=SITE, **keys):
    """Return the runs of a study below a folder, ready to submit."""
    study = from_mapping(StudySpec, {"name": "mine", "program": ["true"], **keys})
    found = []
    for run in expand(study, site.name):
        place = dataclasses.replace(PLACE, run_dir=f"{folder}/{run.run_id}")
        found.append(Prepared(run.job, site, RunDir(place.run_dir), render(run.job, site, place)))
    return found


def arrays(runs, folder, limit=100, max_concurrent=None):
    return batches(runs, Path(folder), "20260102-030405-abcd", limit, max_concurrent)


class TestGrouping:
    def test_runs_of_one_shape_are_one_array_in_their_order(self):
        runs = prepared("/runs/mine", repeats=3, axes={"resources.nodes": [1, 2]}, resources={"ntasks_per_node": 1})
        found = arrays(runs, "/runs/mine")
        assert [[run.job.resources.nodes for run in batch.runs] for batch in found] == [[1, 1, 1], [2, 2, 2]]
        assert [[run.job.repeat for run in batch.runs] for batch in found] == [[1, 2, 3], [1, 2, 3]]
        assert [batch.name for batch in found] == ["20260102-030405-abcd-1", "20260102-030405-abcd-2"]

    def test_what_no_directive_says_does_not_part_them(self):
        runs = prepared("/runs/mine", program=[], train={"epochs": 2}, axes={"train.batch_size": [32, 64]}, repeats=2)
        assert [len(batch.runs) for batch in arrays(runs, "/runs/mine")] == [4]

    @pytest.mark.parametrize(
        ("limit", "sizes"), [(1, [1] * 7), (3, [3, 3, 1]), (6, [6, 1]), (7, [7]), (8, [7]), (0, [1] * 7)]
    )
    def test_no_array_is_longer_than_the_limit(self, limit, sizes):
        runs = prepared("/runs/mine", repeats=7)
        found = arrays(runs, "/runs/mine", limit)
        assert [len(batch.runs) for batch in found] == sizes
        assert [run for batch in found for run in batch.runs] == runs
        assert all((batch.script is None) == (limit == 0) for batch in found)
        if limit:
            assert all(f"#SBATCH --array=0-{len(batch.runs) - 1}\n" in batch.script for batch in found)

    def test_no_runs_are_no_arrays(self):
        assert arrays([], "/runs/mine") == arrays([], "/runs/mine", 0) == []

    def test_without_arrays_the_script_is_the_runs_own(self):
        (batch,) = arrays(prepared("/runs/mine"), "/runs/mine", 0)
        assert batch.file(Path("/runs/mine")) == batch.runs[0].run.job_script


class TestScript:
    def test_it_is_as_it_was_read_and_approved(self, monkeypatch):
        monkeypatch.setattr(module, "__version__", "1.2.3")
        keys = {"repeats": 2, "axes": {"resources.cpus_per_task": [1, 2]}, "resources": {"account": "def-prof"}}
        runs = prepared("/project/my runs/mine", load_site("narval"), **keys)
        (first, _) = arrays(runs, "/project/my runs/mine", max_concurrent=4)
        file = GOLDEN / "array.sh"
        if os.environ.get("UPDATE_GOLDEN"):
            file.write_text(first.script)
        assert first.script == file.read_text()

    def test_bash_and_shellcheck_find_nothing(self):
        check_shell([GOLDEN / "array.sh"])

    def test_it_asks_for_what_its_runs_ask_for(self):
        runs = prepared("/runs/mine", resources={"time": "1:00", "sbatch_options": {"comment": "it's for $5"}})
        (batch,) = arrays(runs, "/runs/mine")
        asked = set(shape(runs[0].script))
        assert '--comment="it\'s for $5"' in asked
        assert asked <= set(shape(batch.script))
        assert set(shape(batch.script)) - asked == {"--array=0-0"}

    def test_a_percent_sign_in_a_path_is_no_pattern(self):
        (batch,) = arrays(prepared("/runs/100%j/mine"), "/runs/100%j/mine")
        assert "/runs/100%%j/mine/arrays/" in batch.script

    def test_a_line_break_in_a_path_is_refused(self):
        runs = prepared("/runs/mine")
        with pytest.raises(UsageError, match=r"--output: .* expected a text without line breaks"):
            arrays(runs, "/runs\n#SBATCH --mem=0/mine")

    @settings(max_examples=30, deadline=None)
    @given(
        st.text(st.characters(exclude_characters="\0/\n\r", exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
            lambda name: name.strip(".")
        ),
        st.integers(0, 2),
    )
    @example('it\'s "a" $HOME `id` \\ #SBATCH', 1)
    def test_each_task_runs_its_own_script_whatever_the_path(self, tmp_path_factory, name, task):
        folder = tmp_path_factory.mktemp("study") / name
        runs = prepared(folder, repeats=3)
        (batch,) = arrays(runs, folder)
        for run in runs:
            run.run.create()
            run.run.log.write_text("before\n")
            run.run.job_script.write_text('echo "$0 $$"; echo error >&2; exit 7\n')
        script = folder.parent / "array.sh"
        script.write_bytes(batch.script.encode())
        done = subprocess.Popen(["bash", script], env={"SLURM_ARRAY_TASK_ID": str(task), "PATH": os.environ["PATH"]})
        assert done.wait() == 7
        # the same process: what Slurm signals is the run's own script
        own = f"before\n{runs[task].run.job_script} {done.pid}\nerror\n"
        assert [run.run.log.read_text() for run in runs] == [own if n == task else "before\n" for n in range(3)]

    def test_a_task_that_there_is_not_fails(self, tmp_path):
        (batch,) = arrays(prepared(tmp_path), tmp_path)
        (tmp_path / "array.sh").write_text(batch.script)
        for task in ({"SLURM_ARRAY_TASK_ID": "1"}, {}):
            done = subprocess.run(
                ["bash", tmp_path / "array.sh"], env=task, capture_output=True, text=True, check=False
            )
            assert done.returncode != 0
            assert "unbound variable" in done.stderr


def test_shapes_are_read_from_the_scripts_themselves():
    job = JobSpec("mine", "cluster", Resources(nodes=2, ntasks=2), program=("echo", "#SBATCH --mem=0"))
    found = shape(render(job, SITE, PLACE))
    assert "--nodes=2" in found
    assert not [line for line in found if line.startswith(("--output", "--mem"))]
