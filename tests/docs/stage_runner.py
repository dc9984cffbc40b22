"""Runs the stages of docs/lessons/from-script-to-cluster.md in one process, or on each rank of one mpirun.

``python -m tests.docs.stage_runner OUT WAY:STAGE...`` runs each stage one after the other, so that TensorFlow is
imported once, and writes what came of each to OUT (with the rank's number appended), as JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np

STAGES = Path(__file__).resolve().parents[2] / "docs" / "examples" / "stages"
RANK = os.environ.get("OMPI_COMM_WORLD_RANK") or os.environ.get("PMI_RANK", "0")


def run(way: str, stage: str) -> dict[str, Any]:
    """Run a stage's file as the lectures do: as a script, as an import, or by exec of its text.

    ``edited`` is stage 3 without its two callbacks, as one who met their errors would leave them out.
    """
    file = STAGES / f"{stage}.py"
    if way == "script":
        return runpy.run_path(str(file), run_name="__main__")
    if way == "import":
        sys.path.insert(0, str(STAGES))
        return vars(importlib.import_module(stage))
    text = file.read_text(encoding="utf-8")
    if way == "edited":
        for line in (
            "[hvd.callbacks.BroadcastGlobalVariablesCallback(0)]",
            "if hvd.rank() == 0:\n    callbacks.append",
        ):
            assert text.count(line) == 1
        text = text.replace("[hvd.callbacks.BroadcastGlobalVariablesCallback(0)]", "[]")
        text = text.replace("if hvd.rank() == 0:\n    callbacks.append", "if False:\n    callbacks.append")
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, str(file), "exec"), names)
    return names


def outcome(names: dict[str, Any]) -> dict[str, Any]:
    """Return what a stage left: its weights as a checksum, and how it trained."""
    import keras

    model = names["model"]
    return {
        "weights": zlib.crc32(b"".join(np.ascontiguousarray(w).tobytes() for w in model.get_weights())),
        "optimizer": type(model.optimizer).__name__,
        "learning_rate": float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)),
        "epochs": len(names["history"].epoch),
        "accuracy": names["accuracy"],
        "files": sorted(path.name for path in Path.cwd().glob("checkpoint-*.keras")),
    }


def main(out: str, *stages: str) -> None:
    """Run each ``WAY:STAGE`` in turn; an error of one is what came of it."""
    found = {}
    for stage in stages:
        try:
            found[stage] = outcome(run(*stage.split(":")))
        except (AttributeError, TypeError) as error:
            found[stage] = {"error": f"{type(error).__name__}: {error}"}
    Path(f"{out}.{RANK}").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
