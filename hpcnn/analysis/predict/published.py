"""Validation of the model of ``predict`` against published points of scaling.

The points are references, never targets: one set of assumptions serves all, and no input was chosen for the outcome.
Each point lists the inputs that its publication does not state. Must not import studies.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from hpcnn.analysis.predict.predict import BACKWARD, predict
from hpcnn.analysis.predict.workload import BYTES_PER_PARAMETER, Cost, Workload
from hpcnn.interconnect.allreduce import Cluster
from hpcnn.interconnect.links import LINKS, Link

# The default of HOROVOD_FUSION_THRESHOLD when these were measured; for all points, as no other of them states one.
FUSION_BYTES = 64 * 2**20


# A difference of efficiency that a published number shows.
_SHOWS = 0.005


@dataclass(frozen=True)
class Point:
    """One published weak-scaling efficiency (0..1) on ``ranks``, relative to ``base_ranks``, and the model's inputs.

    parameters: trainable ones. step_seconds: of one GPU, computation alone. assumed: inputs that the source does not
    state.
    """

    name: str
    ranks: int
    base_ranks: int
    efficiency: float
    parameters: int
    step_seconds: float
    cluster: Cluster
    source: str
    inputs: str
    assumed: str


_HOROVOD = "Horovod documentation, docs/benchmarks.rst: 128 servers of 4 Pascal GPUs, RoCE of 25 Gbit/s"
_TF = "one P100, batch 64, synthetic data (TensorFlow performance benchmarks, May 2017)"
_KURTH = "T. Kurth et al., Exascale Deep Learning for Climate Analytics, SC18"


def _horovod_cluster() -> Cluster:
    return Cluster(LINKS["roce-25g"], LINKS["pcie3"], ranks_per_node=4, fusion_bytes=FUSION_BYTES)


# Seconds an image grow with the operations of a ResNet: 3.8, 7.6 and 11.3 billion multiply-adds for 50, 101 and 152
# layers (He et al., CVPR 2016, table 1). 219 and 91.8 images/s are TensorFlow's for 50 and 152.
_RESNET101 = 64 * (1 / 219 + (1 / 91.8 - 1 / 219) * (7.6 - 3.8) / (11.3 - 3.8))

POINTS = (
    Point(
        "Inception V3", 512, 1, 0.90, 23_817_352, 64 / 142, _horovod_cluster(), _HOROVOD,
        f"142 images/s on {_TF}; parameters of keras.applications", "batch 64; PCI Express 3.0 in the server",
    ),
    Point(
        "ResNet-101", 512, 1, 0.90, 44_601_832, _RESNET101, _horovod_cluster(), _HOROVOD,
        f"129 images/s, between ResNet-50 and 152 by operations, on {_TF}; parameters of keras.applications",
        "the rate (interpolated); PCI Express 3.0 in the server",
    ),
    Point(
        "VGG-16", 512, 1, 0.68, 138_357_544, 64 / 154, _horovod_cluster(), _HOROVOD,
        f"154 images/s on {_TF}; parameters of keras.applications", "batch 64; PCI Express 3.0 in the server",
    ),
    Point(
        "VGG-16", 128, 1, 0.79, 138_357_544, 64 / 154, _horovod_cluster(), "Horovod documentation, same cluster",
        f"154 images/s on {_TF}; parameters of keras.applications", "batch 64; PCI Express 3.0 in the server",
    ),
    Point(
        "ResNet-50", 256, 8, 0.90, 25_557_032, 0.120 / BACKWARD,
        Cluster(
            LINKS["roce-50g"], LINKS["nvlink1"], ranks_per_node=8, algorithm="hierarchical", fusion_bytes=FUSION_BYTES
        ),
        "P. Goyal et al., Accurate, Large Minibatch SGD, 2017 (arXiv:1706.02677): servers of 8 P100, 50 Gbit/s",
        "back-propagation of 120 ms (the paper); parameters of He et al., 2016", "the forward pass: half of that",
    ),
    Point(
        "DeepLabv3+", 27_360, 1, 0.907, 44_000_000, 1 / 0.87,
        Cluster(
            LINKS["infiniband-edr"], Link("NVLink 2, pair", 3.4e-6, 50e9, "2 links of 25 GB/s"), ranks_per_node=6,
            adapters=2, algorithm="hierarchical", fusion_bytes=FUSION_BYTES,
        ),
        f"{_KURTH}: Summit, 4,560 nodes of 6 V100, two EDR adapters, single precision",
        "batch 1", "0.87 samples/s on one V100 (from memory of the paper, not checked); 44 million parameters",
    ),
    Point(
        "Tiramisu", 5_300, 1, 0.79, 8_000_000, 1 / 1.20,
        Cluster(LINKS["aries"], LINKS["aries"], fusion_bytes=FUSION_BYTES),
        f"{_KURTH}: Piz Daint, one P100 a node, Aries, single precision",
        "batch 1", "1.20 samples/s on one P100 (from memory of the paper, not checked); 8 million parameters",
    ),
)  # fmt: skip


def validation(overlap: float = BACKWARD) -> pd.DataFrame:
    """Return one row a published point.

    Columns: ``name``, ``ranks``, ``base_ranks``, ``published`` and ``predicted`` efficiency (0..1), the error
    ``points`` (predicted less published, in points of 100), ``none_hidden`` (predicted if messages hid behind
    nothing), ``tests_overlap`` (whether it differs between half of the compute time and all of it to hide behind),
    ``source``, ``inputs`` and ``assumed``.
    """
    rows = []
    for point in POINTS:
        table = predict(_workload(point), [point.base_ranks, point.ranks], point.cluster, overlap)
        half, all_of_it = (_efficiency(point, share) for share in (0.5, 1.0))
        (base, large), worst = table["seconds_per_epoch"], table["seconds_none_hidden"]
        rows.append(
            {
                "name": point.name,
                "ranks": point.ranks,
                "base_ranks": point.base_ranks,
                "published": point.efficiency,
                "predicted": base / large,
                "points": 100 * (base / large - point.efficiency),
                "none_hidden": worst[0] / worst[1],
                "tests_overlap": abs(all_of_it - half) > _SHOWS,
                "source": point.source,
                "inputs": point.inputs,
                "assumed": point.assumed,
            }
        )
    return pd.DataFrame(rows)


def _efficiency(point: Point, overlap: float) -> float:
    base, large = predict(_workload(point), [point.base_ranks, point.ranks], point.cluster, overlap)[
        "seconds_per_epoch"
    ]
    return float(base / large)


def _workload(point: Point) -> Workload:
    return Workload(
        kind="weak",
        samples=1,
        batch_size=1,
        gradient_bytes=BYTES_PER_PARAMETER * point.parameters,
        compute=Cost(0.0, point.step_seconds),
        input=Cost(0.0, 0.0),
        other=Cost(0.0, 0.0),
        base_ranks=point.base_ranks,
        base_seconds=point.step_seconds,
    )
