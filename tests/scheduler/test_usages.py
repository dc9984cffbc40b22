"""What jobs used: the output of Slurm 22.05's sacct on the testbed, and what other sites keep."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main
from hpcnn.jobs.efficiency import next_time
from hpcnn.scheduler.usages import FIELDS, parse, processor_seconds
from tests.scheduler.commands import Commands

HEADER = FIELDS.replace(",", "|")
# A program of one thread that held 300 MB, in a job of two cores.
ONE_THREAD = f"""{HEADER}
1|COMPLETED|12|10|1|2|00:10.514|1G|||billing=2,cpu=2,node=1|
1.batch|COMPLETED|12||1|2|00:00.023||11796K|1|cpu=2,mem=0,node=1|cpu=00:00:00,energy=0,fs/disk=31093,mem=11796K,pages=1
1.0|COMPLETED|12||1|2|00:10.491||301656K|1|cpu=2,mem=0,node=1|cpu=00:00:08,energy=0,fs/disk=43023,mem=301656K,pages=0
"""


def job(state: str = "COMPLETED", seconds: int = 1800, **changed: str) -> str:
    """Return the output for a job of 4 cores, 2 GPUs and 64 GB on two nodes, of an hour."""
    row = {
        **dict.fromkeys(FIELDS.split(","), ""),
        **{"JobID": "7", "State": state, "ElapsedRaw": str(seconds), "TimelimitRaw": "60", "NNodes": "2"},
        **{"AllocCPUS": "4", "TotalCPU": "01:40:00", "AllocTRES": "cpu=4,gres/gpu=2,mem=64G,node=2", **changed},
    }
    step = {**row, "JobID": "7.0", "TRESUsageInTot": "mem=50G,gres/gpuutil=120", **changed, "AllocTRES": ""}
    return "\n".join([HEADER, *("|".join(fields.values()) for fields in (row, step))]) + "\n"


def test_the_numbers_of_seff() -> None:
    (usage,) = parse(ONE_THREAD).values()
    assert (usage.job_id, usage.elapsed, usage.time_limit, usage.cpus, usage.nodes) == ("1", 12, 600, 2, 1)
    assert usage.cpu_share == pytest.approx(10.514 / 24)
    assert (usage.memory_used, usage.memory_asked) == (301656 * 1024, 2**30)
    assert usage.time_share == pytest.approx(0.02)
    assert (usage.gpus, usage.gpu_share) == (0, None)


def test_gpus_and_memory_that_was_given() -> None:
    (usage,) = parse(job()).values()
    assert (usage.gpus, usage.gpu_share) == (2, pytest.approx(0.6))
    assert usage.memory_share == pytest.approx(50 / 64)
    assert usage.cpu_share == pytest.approx(6000 / 7200)
    assert next_time(usage) == []


@pytest.mark.parametrize(
    ("changed", "advice"),
    [
        ({"state": "RUNNING"}, []),
        ({"state": "TIMEOUT", "seconds": 3601}, ["more time: --time 2:00:00"]),
        ({"state": "OUT_OF_MEMORY"}, ["more memory: --mem 64G"]),
        ({"seconds": 400}, ["less time: --time 0:10:00"]),
        ({"TRESUsageInTot": "mem=8G,gres/gpuutil=120"}, ["less memory: --mem 5G"]),
        (
            {"TRESUsageInTot": "mem=50G,gres/gpuutil=20"},
            ["fewer GPUs, or larger batches: they were idle most of the time"],
        ),
        ({"AllocTRES": "cpu=4,mem=64G", "TotalCPU": "25:00"}, ["fewer cores: 1 of 4 did the work"]),
    ],
)
def test_what_to_ask_for_next_time(changed: dict[str, str], advice: list[str]) -> None:
    (usage,) = parse(job(**changed)).values()  # type: ignore[arg-type]
    assert next_time(usage) == advice


@pytest.mark.parametrize(
    ("asked", "size"), [("4Gn", 8), ("4Gc", 16), ("4G", 4), ("4096M", 4), ("0n", None), ("", None)]
)
def test_memory_as_older_versions_say_it(asked: str, size: int | None) -> None:
    (usage,) = parse(job(AllocTRES="cpu=4", ReqMem=asked)).values()
    assert usage.memory_asked == (size and size * 2**30)


def test_times_of_processors() -> None:
    assert [processor_seconds(text) for text in ("00:10.514", "01:40:00", "1-00:00:01", "")] == [
        10.514,
        6000,
        86401,
        None,
    ]


def test_the_command(slurm_commands: Commands) -> None:
    slurm_commands.put("sacct", ONE_THREAD)
    result = CliRunner().invoke(main, ["status", "--efficiency", "1", "77", "--format", "json"])
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)
    assert (row["job_id"], row["cpus"], row["next_time"]) == ("1", 2, ["less time: --time 0:05:00"])
    assert "the accounts of Slurm do not know: 77" in result.stderr
    shown = CliRunner().invoke(main, ["status", "--efficiency", "1"]).stdout
    assert all(text in shown for text in ("44 %", "29 %", "1 GiB", "less time: --time 0:05:00"))
    slurm_commands.fail("sacct")
    silent = CliRunner().invoke(main, ["status", "--efficiency", "1"])
    assert silent.exit_code == 1
    assert "no answer from sacct" in silent.stderr


# As clusters with AutoDetect=nvml print it: the lines of batch and extern stand beside that of the step.
GPU_JOB = f"""{HEADER}
8117678|COMPLETED|3600|120|1|16|05:20:00|180G|||billing=9,cpu=16,gres/gpu:h100=4,gres/gpu=4,mem=180G,node=1|
8117678.batch|COMPLETED|3600||1|16|00:00:04||11796K|1|cpu=16,gres/gpu=4,mem=180G,node=1|{{batch}}
8117678.extern|COMPLETED|3600||1|16|00:00:00||256K|1|cpu=16,gres/gpu=4,mem=180G,node=1|{{none}}
8117678.0|COMPLETED|3600||1|16|05:19:56||9G|4|cpu=16,gres/gpu=4,mem=180G,node=1|{{step}}
"""
USED = (
    "cpu=05:19:00,energy=0,fs/disk=350130624578,gres/gpumem={memory},gres/gpuutil={percent},mem=110621726720,pages=3465"
)
NONE = "cpu=00:00:00,energy=0,fs/disk=5273,gres/gpumem=0,gres/gpuutil=0,mem=262144,pages=0,vmem=0"


@pytest.mark.parametrize(
    ("memory", "percent", "shown", "advice"),
    [
        ("163108093952", "342", "86 %", []),
        ("163108093952", "61", "15 %", ["fewer GPUs, or larger batches: they were idle most of the time"]),
        ("163108093952", "0", "0 %", ["fewer GPUs, or larger batches: they were idle most of the time"]),
        ("0", "0", None, []),  # GPUs into which Slurm cannot look: nobody knows
        ("18446744073709551614", "18446744073709551614", None, []),
    ],
)
def test_the_use_of_gpus(
    memory: str, percent: str, shown: str | None, advice: list[str], slurm_commands: Commands
) -> None:
    step = USED.format(memory=memory, percent=percent)
    slurm_commands.put("sacct", GPU_JOB.format(batch=NONE, none=NONE, step=step))
    words = ["status", "--efficiency", "8117678"]
    (row,) = json.loads(CliRunner().invoke(main, [*words, "--format", "json"]).stdout)
    assert row["gpus"] == 4
    assert [text for text in row["next_time"] if "GPU" in text] == advice
    assert (row["gpu_share"] is None) is (shown is None)
    table = CliRunner().invoke(main, words).stdout
    assert shown is None or shown in table
