"""Scripts of jobs by submitit and by torchx, in an environment that has them; knows nothing of hpcnn.

``python job_scripts.py submitit|torchx COUNT`` makes COUNT scripts, each with other resources, and prints the seconds.
Nothing is submitted: what is called is what each has instead of a dry run.
"""

from __future__ import annotations

import sys
import time


def by_submitit(number: int) -> str:
    """Return one script as submitit's Slurm executor would write it."""
    import submitit

    executor = submitit.SlurmExecutor(folder="logs")
    executor.update_parameters(nodes=1 + number % 8, ntasks_per_node=4, cpus_per_task=8, time=1 + number)
    return str(executor._make_submission_file_text("hpcnn train", "key"))


def by_torchx(number: int) -> str:
    """Return one script as torchx's Slurm scheduler would submit it."""
    from torchx.schedulers.slurm_scheduler import create_scheduler
    from torchx.specs import AppDef, Resource, Role

    resource = Resource(cpu=8, gpu=0, memMB=1024 + number)
    role = Role(
        name="train", image="", entrypoint="hpcnn", args=["train"], num_replicas=1 + number % 8, resource=resource
    )
    request = create_scheduler("hpcnn").submit_dryrun(AppDef(name="train", roles=[role]), cfg={"partition": "cpu"})
    return str(request)


def main(which: str, count: str) -> None:
    """Make them and print the seconds."""
    make = {"submitit": by_submitit, "torchx": by_torchx}[which]
    make(0)  # imports
    begin = time.perf_counter()
    for number in range(int(count)):
        assert "#SBATCH" in make(number)
    print(time.perf_counter() - begin)


if __name__ == "__main__":
    main(*sys.argv[1:])
