"""``hpcnn study run``: lists, runs what is missing, keeps failed attempts."""

import csv
import io
import json
import sys
from pathlib import Path

import pytest

from hpcnn.rundir.layout import RunDir
from hpcnn.util.share import share_dir
from tests.cli.studying import listed, ran, run_directories, statuses, study_run
from tests.conftest import Command

pytestmark = pytest.mark.usefixtures("here")

PACKAGED = sorted(file.stem for file in share_dir("scaling_studies").glob("*.toml"))
# Over several nodes, for a cluster.
ON_GPUS = ("nodes_and_gpus", "horovod_benchmark", "climate_weak", "climate_strong")


class TestDryRun:
    @pytest.mark.parametrize("name", ON_GPUS)
    def test_one_for_several_nodes_is_not_for_this_machine(self, name, here):
        result = study_run(name, "--dry-run")
        assert result.exit_code == 2
        assert "nodes: 2 is not valid; expected 1 at site local, which is this machine alone" in result.stderr

    @pytest.mark.parametrize("name", [name for name in PACKAGED if name not in ON_GPUS])
    def test_packaged_studies(self, name, here):
        runs = listed(name)
        assert len(runs) >= 5
        assert set(runs.values()) == {"missing"}
        assert not list(here.iterdir())

    def test_formats(self, quick):
        runs = listed(quick)
        rows = list(csv.DictReader(io.StringIO(study_run(quick, "--dry-run", "--format", "csv").stdout)))
        assert [(row["run"], row["state"]) for row in rows] == list(runs.items())
        table = study_run(quick, "--dry-run").stdout
        assert f"quick (throughput) in {Path.cwd()}/runs/quick\n" in table
        assert all(run in table for run in runs)

    def test_changes(self, quick):
        runs = listed(quick, "--set", "repeats=1", "--set", "cpus_per_task=[1,2,3]", "--runs", "elsewhere")
        assert [run.partition("-")[0] for run in runs] == [f"cpus_per_task={n}" for n in (1, 2, 3)]

    def test_finished_runs_are_told_from_missing_ones(self, quick):
        (Path.cwd() / "order2").write_text("broken")
        assert study_run(quick).exit_code == 1
        states = listed(quick)
        assert {run.partition("-")[0]: state for run, state in states.items()} == {
            "cpus_per_task=1": "finished",
            "cpus_per_task=2": "missing",
        }


class TestRun:
    def test_all_points_and_repeats_in_order(self, quick):
        planned = list(listed(quick))
        result = study_run(quick)
        assert result.exit_code == 0, result.output
        assert ran() == [1, 2, 1, 2]
        assert statuses() == dict.fromkeys(planned, "completed")
        *lines, last = result.stderr.splitlines()
        assert last == "next: hpcnn scaling-report runs/quick"
        assert lines[0] == f"quick: 4 runs, in {Path.cwd()}/runs/quick"
        assert [line.split("  ")[0] for line in lines[1:]] == [f"[{n}/4] {run}" for n, run in enumerate(planned, 1)]
        assert all(line.endswith(" s  ok") for line in lines[1:])

    def test_two_settings_in_turn(self, quick, here):
        words = [quick, "--set", "setup=echo A >> turns", "--against", "setup=echo B >> turns"]
        listed = json.loads(study_run(*words, "--dry-run", "--format", "json").stdout)
        assert [row["set"] for row in listed] == ["A"] * 4 + ["B"] * 4
        result = study_run(*words)
        assert result.exit_code == 0, result.output
        assert ran() == [1, 1, 2, 2, 1, 1, 2, 2]
        turns = (here / "turns").read_text().split()
        assert [set(pair) for pair in zip(turns[::2], turns[1::2], strict=True)] == [{"A", "B"}] * 4
        assert sum(first == "A" for first in turns[::2]) == 2
        place = "quick,setup=echo_B____turns"
        assert len(list((here / "runs" / place).glob("cpus*"))) == len(list((here / "runs/quick").glob("cpus*"))) == 4
        assert result.stderr.splitlines()[-1] == f"next: hpcnn compare runs/quick runs/{place}"
        again = study_run(*words)
        assert again.exit_code == 0
        assert len(ran()) == 8

    def test_a_key_that_changes_the_number_of_runs_has_no_partner(self, quick):
        result = study_run(quick, "--against", "repeats=3")
        assert result.exit_code == 2
        assert "--against: A has 4 runs and B 6" in result.stderr
        assert not Path("ran").exists()

    def test_the_points_of_a_repeat_by_chance(self, quick):
        orders = {tuple(listed(quick, "--set", "cpus_per_task=[1,2,3,4]", "--shuffle", seed)) for seed in range(5)}
        assert len(orders) > 1
        assert {order[0].partition("-r")[2][:2] for order in orders} == {"01"}

    def test_each_run_directory_says_what_was_asked(self, quick):
        study_run(quick)
        for run in run_directories():
            spec = json.loads((run / "spec.json").read_text())
            assert (spec["study"], spec["name"], spec["kind"]) == ("quick", "quick", "throughput")
            assert run.name.startswith(f"cpus_per_task={spec['point']['cpus_per_task']}-r{spec['repeat']:02d}-")
            assert spec["resources"]["cpus_per_task"] == spec["point"]["cpus_per_task"]

    def test_finished_runs_are_skipped(self, quick):
        study_run(quick, "--set", "repeats=1")
        result = study_run(quick)
        assert result.stderr.startswith("quick: 4 runs, 2 already finished, in ")
        assert ran() == [1, 2, 1, 2]
        before = {file: file.stat().st_mtime_ns for file in Path("runs").rglob("*")}
        assert study_run(quick).exit_code == 0
        assert {file: file.stat().st_mtime_ns for file in Path("runs").rglob("*")} == before
        assert ran() == [1, 2, 1, 2]

    def test_a_failing_run_stops_no_other_and_is_run_again(self, quick, here):
        (here / "order1").write_text("out of luck")
        planned = list(listed(quick))
        result = study_run(quick)
        assert result.exit_code == 1
        assert ran() == [1, 2, 1, 2]
        assert statuses() == dict(zip(planned, ["failed", "completed"] * 2, strict=True))
        assert f"[1/4] {planned[0]}  " in result.stderr
        assert "FAILED (the launcher ended with exit status 1; see log.out)" in result.stderr
        assert f"failed: {here}/runs/quick/{planned[2]}: the launcher ended with exit status 1" in result.stderr

        (here / "order1").unlink()
        assert study_run(quick).exit_code == 0
        assert ran() == [1, 2, 1, 2, 1, 1]
        assert statuses() == {
            **dict.fromkeys(planned, "completed"),
            f"{planned[0]}~1": "failed",
            f"{planned[2]}~1": "failed",
        }
        assert (here / "runs" / "quick" / f"{planned[0]}~1" / "log.out").read_text() == "out of luck\n"

    def test_every_failed_attempt_is_kept(self, quick, here):
        (here / "order1").write_text("1st")
        words = (quick, "--set", "repeats=1", "--set", "cpus_per_task=1")
        (run,) = listed(*words)
        study_run(*words)
        (here / "order1").write_text("2nd")
        study_run(*words)
        (here / "order1").write_text("3rd")
        study_run(*words)
        logs = {name: (here / "runs" / "quick" / name / "log.out").read_text() for name in statuses()}
        assert logs == {f"{run}~1": "1st\n", f"{run}~2": "2nd\n", run: "3rd\n"}

    def test_an_edited_study_runs_again_beside_the_old(self, quick):
        study_run(quick, "--set", "repeats=1")
        study_run(quick, "--set", "repeats=1", "--set", "kind=strong", "--set", "batch_size=64")
        assert ran() == [1, 2, 1, 2]
        assert len(statuses()) == 4

    def test_a_run_that_was_cut_off_without_a_word_is_run_again(self, quick, here):
        run = next(iter(listed(quick)))
        unfinished = RunDir(here / "runs" / "quick" / run)
        unfinished.create()
        unfinished.log.write_text("cut")
        assert study_run(quick).exit_code == 0
        assert (here / "runs" / "quick" / f"{run}~1" / "log.out").read_text() == "cut"
        assert statuses()[run] == "completed"


def test_what_the_ranks_run_in_is_heeded(here):
    program = json.dumps([sys.executable, "-c", "import os; print(os.environ['NOTE'])"])
    (here / "quick.toml").write_text(f"program = {program}\n[software]\nenv = {{ NOTE = 'from the file' }}\n")
    assert study_run("quick.toml").exit_code == 0
    assert study_run("quick.toml", "--env", "NOTE=from the command line").exit_code == 0
    logs = {run.joinpath("log.out").read_text() for run in run_directories()}
    assert logs == {"from the file\n", "from the command line\n"}


class TestRefused:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (
                ["smoek"],
                "study: 'smoek' is not known. Did you mean 'smoke'? `hpcnn study list` lists all ",
            ),
            (["smoke", "--set", "epoch=3"], "--set: 'epoch' is not known. Did you mean 'epochs'?"),
            (["smoke", "--set", "epochs"], "--set: 'epochs' is not valid; expected KEY=VALUE."),
            (["smoke", "--set", "epochs=0"], "smoke.toml: [train] epochs: 0 is not valid; expected at least 1."),
            (["smoke", "--set", "ntasks=[1,x]"], "smoke.toml: [axes] resources.ntasks: 'x' is not valid; expected a w"),
            (["smoke", "--set", "strategy=serial"], "smoke, point ntasks=2: ntasks: 2 is not valid; expected 1 with s"),
            (["smoke", "--set", "nodes=2", "--set", "ntasks=2"], "nodes: 2 is not valid; expected 1 at site local, wh"),
            (["smoke", "--set", "data=[digits,mnits]"], "--data: 'mnits' is not known. Did you mean 'mnist'?"),
            (["smoke", "--site", "locla"], "--site: 'locla' is not known. Did you mean 'local'?"),
        ],
    )
    @pytest.mark.parametrize("dry", [["--dry-run"], []], ids=["dry", "real"])
    def test_with_a_message_and_nothing_written(self, words, message, dry, here):
        result = study_run(*words, *dry)
        assert result.exit_code == 2
        assert result.stderr.startswith(f"Error: {message}")
        assert not list(here.iterdir())

    def test_data_that_is_not_staged_before_the_first_run(self, here, monkeypatch):
        monkeypatch.setenv("HPCNN_DATA", str(here))
        result = study_run("smoke", "--set", "data=[digits,mnist]")
        assert result.exit_code == 2
        assert "Error: --data: 'mnist' is not staged: " in result.stderr
        assert not list(here.iterdir())


def test_the_packaged_studies_are_listed(in_process: Command) -> None:
    rows = {row["name"]: row for row in json.loads(in_process("study", "list", "--format", "json").stdout)}
    assert set(rows) == {file.stem for file in (Path(__file__).parents[2] / "scaling_studies").glob("*.toml")}
    assert (rows["smoke"]["kind"], rows["smoke"]["runs"]) == ("strong", 6)
    assert "smoke" in in_process("study", "list").stdout
