"""Fakes of Slurm's commands: small scripts first in PATH that print, fail or hang as a test says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from hpcnn.scheduler.parse import SACCT_FIELDS, SCRIPT_FORMAT

# What Slurm 22.05 printed on the testbed.
DATA = Path(__file__).parent / "data" / "testbed"
SQUEUE_HEADER = "JOBID|STATE|REASON|TIME|NODELIST|START_TIME"
SACCT_HEADER = SACCT_FIELDS.replace(",", "|")


@dataclass(frozen=True)
class Commands:
    """The fakes in one folder. Each writes down its arguments when it is called."""

    folder: Path

    def put(self, name: str, output: str = "", *, error: str = "", status: int = 0, seconds: float = 0) -> None:
        """Make a command that waits for so many seconds, prints these texts, and ends with this status."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for suffix, text in (("out", output), ("err", error)):
            (self.folder / f"{name}.{suffix}").write_text(text)
        script = self.folder / name
        script.write_text(
            "#!/bin/sh\n"
            f'echo "$@" >>"{self.folder}/{name}.calls"\n'
            + (f"/bin/sleep {seconds}\n" if seconds else "")
            + f'/bin/cat "{self.folder}/{name}.out"\n/bin/cat "{self.folder}/{name}.err" >&2\nexit {status}\n'
        )
        script.chmod(0o755)

    def script(self, name: str, body: str) -> None:
        """Make a command of these lines of sh."""
        file = self.folder / name
        file.write_text(f'#!/bin/sh\necho "$@" >>"{self.folder}/{name}.calls"\n{body}\n')
        file.chmod(0o755)

    def queue(self) -> Path:
        """Let squeue answer from the file that is returned: ``JOB|STATE|SCRIPT`` in each line, for both formats."""
        file = self.folder / "queue"
        file.touch()
        rows = "s/^\\([^|]*|[^|]*\\)|.*/\\1|None|0:01|n1|N\\/A/"
        self.script(
            "squeue",
            f"""case "$*" in
*'{SCRIPT_FORMAT}') echo 'ARRAY_JOB_ID|STATE|COMMAND'; /bin/sed 's/^\\([0-9]*\\)_[0-9]*|/\\1|/' {file} ;;
*) echo '{SQUEUE_HEADER}'; /bin/sed '{rows}' {file} ;;
esac""",
        )
        return file

    def sbatch(self, *, tasks: int = 0, before: str = ":", after: str = "echo 7") -> None:
        """Let sbatch put job 7, an array of so many tasks, into the file of ``queue`` between two lines of sh."""
        names = [f"7_{task}" for task in range(tasks)] or ["7"]
        accept = "\n".join(f'echo "{name}|PENDING|$script" >>"{self.folder}/queue"' for name in names)
        self.script("sbatch", f"for script; do :; done\n{before}\n{accept}\n{after}")

    def remove(self, name: str) -> None:
        (self.folder / name).unlink()

    def squeue(self, *lines: str) -> None:
        """Let squeue answer with these jobs: ``JOB|STATE``, or all six fields."""
        full = (line if line.count("|") == 5 else f"{line}|None|0:01|n1|N/A" for line in lines)
        self.put("squeue", "\n".join([SQUEUE_HEADER, *full]) + "\n")

    def sacct(self, *lines: str) -> None:
        """Let sacct answer with these jobs: ``JOB|STATE``, or all five fields."""
        full = (line if line.count("|") == 4 else f"{line}|00:00:01|n1|0:0" for line in lines)
        self.put("sacct", "\n".join([SACCT_HEADER, *full]) + "\n")

    def fail(self, name: str, error: str = "") -> None:
        """Let a command fail: by default as where its daemon is down."""
        files = {"squeue": "squeue_controller_down.err", "sacct": "sacct_database_down.err"}
        self.put(name, error=error or (DATA / files[name]).read_text(), status=1)

    def calls(self, name: str) -> list[str]:
        """Return the arguments of each call of a command so far."""
        file = self.folder / f"{name}.calls"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def slurm_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Return fakes of Slurm's commands, alone in PATH; none is there unless the test makes it."""
    folder = tmp_path / "slurm-bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return Commands(folder)
