"""The provenance of a report's numbers: machine, software, batch system, and the commands that repeat the runs.

A report states hardware, software and allocation, so that others can repeat its results (Hoefler and Belli, SC15,
rule 9), and says so where a fact is not recorded. Must not import the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from hpcnn.analysis.table_runs import provenance_of, row_names, submit_command
from hpcnn.util.host import facts_by_rank
from hpcnn.util.share import packaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hpcnn.analysis.table_runs import TableRuns
    from hpcnn.util.types import Json

# A report reads the provenance of so many runs of each row, and lists so many distinct values.
RUNS_READ, LISTED = 3, 8

_SLURM = {
    "SLURM_CLUSTER_NAME": "Cluster",
    "SLURM_JOB_PARTITION": "Partition",
    "SLURM_JOB_QOS": "Quality of service",
    "SLURM_JOB_NODELIST": "Nodes allocated",
    "SLURM_JOB_NUM_NODES": "Number of nodes",
    "SLURM_TASKS_PER_NODE": "Tasks of each node",
    "SLURM_CPUS_PER_TASK": "Cores of each task",
    "SLURM_JOB_GPUS": "GPUs",
}
_UNKNOWN = "not recorded"


class Command(NamedTuple):
    """The command that repeats a run of a row, None where it is not recorded; with the row's name and runs."""

    what: str
    runs: int
    command: str | None


def provenance_facts(data_runs: pd.DataFrame, table_runs: TableRuns) -> dict[str, dict[str, str]]:
    """Return {heading: {fact: distinct values}} of the counted runs."""
    sampled = table_runs.runs.groupby("row").head(RUNS_READ)
    records = [provenance_of(path) for path in sampled["path"]]
    counted = data_runs[data_runs["path"].isin(table_runs.runs["path"])]
    hosts = [host for record in records for host in facts_by_rank(record.get("hosts"))]
    slurm = [_object(record.get("slurm")) for record in records]
    return {
        "Machine": {
            "Site": _distinct(counted["site"]),
            "Hosts": _distinct(host.get("host") for host in hosts),
            "Processor": _distinct(counted["cpu_model"]),
            "Cores of a host": _distinct(host.get("cores") for host in hosts),
            "Cores a rank may use": _distinct(len(_list(host.get("cores_allowed"))) or None for host in hosts),
            "Devices": _distinct(counted["device"]),
            "Network": f"{_UNKNOWN} by the runs; state it where you publish",
        },
        "Software": {
            **{
                str(key).removeprefix("version_"): _distinct(counted[key].astype("string"))
                for key in counted
                if str(key).startswith("version_") and counted[key].notna().any()
            },
            "Container": _distinct((record.get("container") for record in records), "none"),
            "Thread variables": _distinct((_pairs(host.get("threads")) for host in hosts), "none set"),
            "Commit of the working directory": _distinct(record.get("git_commit") for record in records),
        },
        "Batch system": (
            {name: _distinct(values.get(key) for values in slurm) for key, name in _SLURM.items()}
            if any(slurm)
            else {"Scheduler": "none: the runs record no Slurm job"}
        ),
        "Time": {"Finished (UTC)": _span(counted["finished_at"])},
    }


def work_facts(data_runs: pd.DataFrame, table_runs: TableRuns) -> dict[str, str]:
    """Return {fact: distinct values} of what the counted runs compute."""
    counted = data_runs[data_runs["path"].isin(table_runs.runs["path"])]
    names = {
        "Network": "model",
        "Program": "program",
        "Parameters": "parameters",
        "Data": "data",
        "Training samples": "samples",
        "Global batch size": "batch_size",
        "Precision": "precision",
        "Parallel by": "strategy",
        "Bytes summed over the ranks in a step": "allreduce_bytes",
    }
    return {name: _distinct(counted[key]) for name, key in names.items() if counted[key].notna().any()}


def study_commands(table: pd.DataFrame) -> list[str]:
    """Return the command of each study that is packaged with hpcnn: it runs all rows and repeats of the study."""
    names = {str(name) for name in table["study"].dropna()}
    return [f"hpcnn study run {name}" for name in packaged("scaling_studies") if name in names]


def row_commands(table: pd.DataFrame, table_runs: TableRuns) -> Iterator[Command]:
    """Yield the command that repeats a run of each row of the table."""
    paths = table_runs.runs.drop_duplicates("row").set_index("row")["path"].to_dict()
    runs = table["runs"].to_dict()
    for label, name in row_names(table).items():
        yield Command(name, int(runs[label]), submit_command(paths[label]) if label in paths else None)


def _distinct(values: Iterable[Json], none: str = _UNKNOWN) -> str:
    names = sorted({str(value) for value in values if value is not None and value is not pd.NA})
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return "; ".join(names[:LISTED]) + more if names else none


def _span(values: pd.Series[str]) -> str:
    known = sorted(values.dropna())
    if not known:
        return _UNKNOWN
    return known[0] if known[0] == known[-1] else f"{known[0]} to {known[-1]}"


def _pairs(variables: Json) -> str | None:
    return " ".join(f"{key}={value}" for key, value in sorted(_object(variables).items())) or None


def _object(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
