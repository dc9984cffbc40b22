"""Runs another script as it is, and then writes what the tests want to see of it.

``python script_observed.py FOLDER SCRIPT``: the weights of SCRIPT's ``model`` and its number of training samples, in
FOLDER/rankN.npz.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np

folder, script = map(Path, sys.argv[1:])
names = runpy.run_path(str(script), run_name="__main__")
rank = names["run"].rank if "run" in names else 0
weights = {str(number): weight.numpy() for number, weight in enumerate(names["model"].weights)}
folder.mkdir(exist_ok=True)
np.savez(folder / f"rank{rank}.npz", samples=len(names["x_train"]), **weights)
