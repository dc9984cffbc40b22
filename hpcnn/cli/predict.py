"""``hpcnn predict``: predict a measured study on more ranks, with a check of the prediction."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from hpcnn.cli.choice import Choice
from hpcnn.cli.output import format_option
from hpcnn.interconnect import ALGORITHMS, LINKS, Cluster, link
from hpcnn.interconnect.allreduce import FUSION_BYTES
from hpcnn.util.errors import HpcnnError, UsageError, bad_value
from hpcnn.util.table import Column, emit, note
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from hpcnn.analysis.predict.advice import Suggestion
    from hpcnn.analysis.predict.interval import Bounds
    from hpcnn.analysis.predict.predict import Check, Prediction
    from hpcnn.report import RunData

Row = dict[str, Json]

# A prediction with a larger error at the check is not reliable.
TRUSTED_ERROR = 0.2


@click.command(
    epilog="Example:  hpcnn predict runs/strong_scaling --ranks 1..64 --network infiniband-hdr --ranks-per-node 4"
)
@click.argument("dirs", metavar="[STUDY_DIR]...", nargs=-1, type=click.Path())
@click.option(
    "--ranks", metavar="LIST", help="Numbers of ranks: 1,2,4; or 1..27360, doubled from the first up to the last."
)
@click.option(
    "--network",
    metavar="LINK",
    help=f"Link between nodes: one of {', '.join(LINKS)}; alpha=SECONDS,beta=BYTES_PER_SECOND; or a FILE.json with "
    "alpha_seconds and beta_bytes_per_second.",
)
@click.option("--within", metavar="LINK", help="Link between ranks of a node, as for --network.  [default: the same]")
@click.option("--ranks-per-node", type=click.IntRange(1), metavar="G", help="[default: that of the study]")
@click.option("--adapters", type=click.IntRange(1), default=1, show_default=True, help="Network adapters of a node.")
@click.option(
    "--algorithm", type=Choice(ALGORITHMS), default="ring", show_default=True, help="Algorithm of the allreduce."
)
@click.option(
    "--fusion-mib",
    type=click.FloatRange(0, min_open=True),
    default=FUSION_BYTES / 2**20,
    show_default=True,
    help="Largest message that gradients are fused to, in MiB.",
)
@click.option(
    "--overlap",
    type=click.FloatRange(0, 1),
    help="Fraction of the compute time that communication hides behind.  [default: 2/3, for back-propagation]",
)
@click.option("--kind", type=Choice(["strong", "weak"]), help="Kind of scaling.  [default: that of the study]")
@click.option("--parameters", type=click.IntRange(1), help="Trainable parameters, if the runs do not say.")
@click.option(
    "--budget",
    type=click.FloatRange(0, min_open=True),
    metavar="CORE_HOURS",
    help="Also say what to measure next with so many core-hours.",
)
@click.option(
    "--fits",
    is_flag=True,
    help="Also fit laws and compare them: Amdahl's (weak scaling: Gustafson's), the USL, and others.",
)
@click.option("--published", is_flag=True, help="Show what the same model says of published points, and nothing else.")
@format_option
def command(
    dirs: tuple[str, ...],
    ranks: str | None,
    network: str | None,
    within: str | None,
    ranks_per_node: int | None,
    adapters: int,
    algorithm: str,
    fusion_mib: float,
    overlap: float | None,
    kind: str | None,
    parameters: int | None,
    budget: float | None,
    fits: bool,
    published: bool,
    fmt: str,
) -> None:
    """Predict the epoch time, speed-up and efficiency of a measured study on more ranks.

    A step's compute and input time, and its jitter, are those measured on the study's sizes; the allreduce of its
    gradients is a model of the network (latency alpha, bandwidth beta). A model without the largest measured size
    serves as a check. All assumptions are printed below the table (on standard error with --format json or csv).
    """
    if published:
        _print_published(fmt)
        return
    if not dirs:
        raise UsageError("STUDY_DIR: missing; name the folder of a measured study, or ask for --published")
    if ranks is None or network is None:
        raise UsageError(f"{'--ranks' if ranks is None else '--network'}: missing; see hpcnn predict --help")
    wanted = parse_ranks(ranks)
    between = link(network)
    on_a_node = link(within, "--within") if within else between

    from hpcnn.analysis import series as measured_series
    from hpcnn.analysis.predict.predict import BACKWARD, predict_study
    from hpcnn.report import load, scaling_table

    data = load(*dirs)
    table = scaling_table(data)
    series = measured_series.scaling_series(table)
    if not series:
        raise HpcnnError("STUDY_DIR: it holds no measured study of strong or weak scaling to predict from")
    overlap = BACKWARD if overlap is None else overlap
    rows: list[Row] = []
    for label, measured in series:
        cluster = Cluster(
            network=between,
            within=on_a_node,
            ranks_per_node=ranks_per_node or measured_series.ranks_per_node(measured),
            adapters=adapters,
            algorithm=algorithm,
            fusion_bytes=fusion_mib * 2**20,
        )
        found = predict_study(data, measured, wanted, cluster, overlap, kind, parameters)
        remarks = _remarks(found) + _beyond(data, measured, wanted) + (_fit_lines(data, measured) if fits else [])
        if fmt == "table":
            note(f"{label}: predicted as {found.workload.kind} scaling")
            emit(_records(found.table), "table", _columns(found))
        for line in remarks:
            note(line, err=fmt != "table")
        rows += [{"series": label, "kind": found.workload.kind, **row} for row in _records(found.table)]
    if fmt != "table":
        emit(rows, fmt, [])
    if budget is not None:
        for line in advice_lines(data, table, budget):
            note(line, err=fmt != "table")


def parse_ranks(text: str) -> list[int]:
    """Parse ``--ranks``; return the numbers of ranks, ascending. Raises UsageError for an invalid text."""
    expected = "numbers of ranks from 1, as in 1,2,4 or 1..64"
    span = re.fullmatch(r"(\d+)\.\.(\d+)", text.strip())
    if span:
        first, last = map(int, span.groups())
        if not 1 <= first <= last:
            raise bad_value("--ranks", text, expected)
        doubled = (first * 2**power for power in range((last // first).bit_length()))
        return sorted({*(number for number in doubled if number <= last), last})
    numbers = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) >= 1 for word in numbers):
        raise bad_value("--ranks", text, expected)
    return sorted({int(word) for word in numbers})


def advice_lines(data: RunData, table: pd.DataFrame, budget: float) -> list[str]:
    """Return the suggested measurements within ``budget`` core-hours, one line each."""
    from hpcnn.analysis.predict.advice import limits, next_measurement
    from hpcnn.util.text import counted

    def line(one: Suggestion) -> str:
        runs = f"{counted(one.runs, 'run')} on {counted(one.ranks, 'rank')}"
        return f"  {one.label}: {runs} ({one.core_hours:.3g} core-hours): {one.words}"

    found = next_measurement(data, table, budget)
    ends = [f"  {text}" for text in limits(data, table)]
    if not found:
        return ["Measure next: nothing more that this machine can give is needed for intervals and fits.", *ends]
    if not found[0].affordable:
        return [f"Measure next: nothing costs less than {budget:g} core-hours. The cheapest:", line(found[0]), *ends]
    return [f"Measure next, within {budget:g} core-hours:", *map(line, found), *ends]


def _records(table: pd.DataFrame) -> list[Row]:
    values = table.astype(object)
    rows = values.where(values.notna(), None).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


def _columns(found: Prediction) -> list[Column]:
    from hpcnn.util.text import significant

    def percent(value: float) -> str:
        return f"{value:.1%}"

    def milliseconds(value: float) -> str:
        return significant(value * 1e3)

    columns = [
        Column("ranks", "ranks", "{:,}".format, right=True),
        Column("nodes", "nodes", "{:,}".format, right=True),
        Column("batch_size", "batch", "{:,}".format, right=True, wide=True),
        Column("measured_seconds", "measured s/epoch", significant, right=True),
        Column("seconds_per_epoch", "s/epoch", significant, right=True),
        Column("seconds_low", "from", significant, right=True),
        Column("seconds_high", "to", significant, right=True),
        Column("seconds_all_hidden", "all hidden", significant, right=True, wide=True),
        Column("seconds_none_hidden", "none hidden", significant, right=True, wide=True),
        Column("speedup", "speed-up", "{:.2f}".format, right=True),
        Column("efficiency", "efficiency", percent, right=True),
        Column("step_compute", "compute ms", milliseconds, right=True, wide=True),
        Column("step_jitter", "jitter ms", milliseconds, right=True, wide=True),
        Column("step_allreduce", "allreduce ms", milliseconds, right=True, wide=True),
        Column("step_communication", "waited ms", milliseconds, right=True, wide=True),
    ]
    return [column for column in columns if found.table[column.key].notna().any()]


def _remarks(found: Prediction) -> list[str]:
    from hpcnn.util.text import counted, significant

    work = found.workload
    base = f"{counted(work.base_ranks, 'rank')}, measured, {significant(work.base_seconds)} s per epoch"
    assumed = [f"  - {line}" for line in found.assumptions]
    return [f"base case: {base}", *_check_lines(found.check), _interval_line(found.bounds), "Assumed:", *assumed]


def _check_lines(check: Check | None) -> list[str]:
    from hpcnn.util.text import counted, significant

    if check is None:
        return ["WARNING: not checked: no measured size is left to hold this against; measure a larger one."]
    line = (
        f"check: {counted(check.ranks, 'rank')}, by a model of {_listed(check.used)} alone: predicted "
        f"{significant(check.predicted)} s, measured {significant(check.measured)} s per epoch: {check.error:+.1%}, "
        f"efficiency {check.points:+.1f} points"
    )
    if abs(check.error) <= TRUSTED_ERROR:
        return [line]
    return [line, f"WARNING: off by more than {TRUSTED_ERROR:.0%} where it can be checked: do not rely on the rest."]


def _interval_line(found: Bounds) -> str:
    from hpcnn.stats.medians import CONFIDENCE
    from hpcnn.util.text import counted

    if found.missing is not None:
        return f"no interval: {found.missing}"
    return (
        f"interval (at least {CONFIDENCE:.0%}, of the median time): what repeats differ by, and "
        f"{found.per_doubling:.1%} for each doubling of the ranks, by which {counted(found.checks, 'size')} predicted "
        "from smaller ones were off"
    )


def _listed(ranks: Sequence[int]) -> str:
    return f"{', '.join(f'{number:,}' for number in ranks)} {'rank' if list(ranks) == [1] else 'ranks'}"


def _beyond(data: RunData, measured: pd.DataFrame, ranks: list[int]) -> list[str]:
    """Return a remark on the predicted sizes that the machine of the runs does not have."""
    from hpcnn.analysis.predict.capacity import capacity

    has = capacity(data, measured)
    more = [f"{number:,}" for number in ranks if number > has.ranks]
    if not more:
        return []
    return [f"this machine has no {', '.join(more)} ranks ({has.words}): the prediction takes more nodes like its own"]


def _fit_lines(data: RunData, rows: pd.DataFrame) -> list[str]:
    from hpcnn.analysis.fits import compared, fit_series

    found = fit_series(data, rows)
    words = compared(found)
    lines = [f"  - {fit}" for fit in found]
    return ["Fitted to all measured sizes:", *lines, *([f"  - compared: {words}"] if words else [])]


def _print_published(fmt: str) -> None:
    from hpcnn.analysis.predict.published import validation

    def percent(value: float) -> str:
        return f"{value:.1%}"

    table = validation()
    rows = _records(table)
    if fmt != "table":
        emit(rows, fmt, [])
        return
    columns = [
        Column("name", "network"),
        Column("ranks", "ranks", "{:,}".format, right=True),
        Column("base_ranks", "base", right=True),
        Column("published", "published", percent, right=True),
        Column("predicted", "predicted", percent, right=True),
        Column("points", "points", "{:+.1f}".format, right=True),
        Column("none_hidden", "without overlap", percent, right=True),
    ]
    emit(rows, "table", columns)
    still = [f"{row['name']} on {row['ranks']:,}" for row in rows if not row["tests_overlap"]]
    note(f"Not tested by {', '.join(still)}: the overlap. Any share of 50 % or more is the same there.")
    note("Jitter is tested by none of them: no publication states how much steps differ.")
    for row in rows:
        note(f"{row['name']}, {row['ranks']:,}: {row['source']}. {row['inputs']}. Assumed: {row['assumed']}.")
