"""``hpcnn sites init`` on a machine without Slurm."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def test_without_slurm_it_says_where_to_ask(in_process: Command, tmp_path: Path) -> None:
    ended = in_process("sites", "init", PATH=str(tmp_path), HPCNN_CONFIG=str(tmp_path / "config"))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("Error: sinfo is not on this machine: ask on a login node")
    assert not list(tmp_path.iterdir())


def test_a_slurm_that_does_not_answer_is_an_error_with_its_words(in_process: Command, tmp_path: Path) -> None:
    for name in ("sinfo", "sbatch"):
        (tmp_path / name).write_text(
            "#!/bin/sh\necho 'slurm_load_partitions: Unable to contact controller' >&2\nexit 1\n"
        )
        (tmp_path / name).chmod(0o755)
    ended = in_process("sites", "init", PATH=f"{tmp_path}:/usr/bin:/bin")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Unable to contact controller" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_check_reports_every_mistake(in_process: Command, tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_text(
        'launcher = "mpirum"\ncore = 4\ntime = "never"\ninteractive = "salloc {node}"\n'
        '[environment]\n"1A" = "x"\nB = [1]\n[sources]\nlaunchr = "a page"\n'
    )
    ended = in_process("sites", "check", file)
    assert (ended.returncode, ended.stdout) == (2, "")
    lines = ended.stderr.removeprefix("Error: ").splitlines()
    assert [line.removeprefix(f"{file}: ").partition(":")[0] for line in lines] == [
        "launcher",
        "key",
        "[environment] key",
        "[environment] B",
        "time",
        "interactive",
        "[sources] key",
    ]
    file.write_text('launcher = "mpirun"\n')
    assert in_process("sites", "check", file).stdout == f"{file}: ok (ours, slurm)\n"
