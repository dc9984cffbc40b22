"""Python runs this first in the children of a process that is watched (``tests/faults/watch.py``).

Where servers of warm starts listen, a fork of one of them does the work, and runs this file first in its turn: a small
training takes a tenth of the time of a process that imports what it needs.
"""

import os
import runpy
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  # pathlib takes 10 ms
_WARM = f"{_HERE}/../../warm_start/site"
_IS_FORK = __name__ != "sitecustomize"

if os.environ.get("HPCNN_TEST_WARM_START") and not _IS_FORK:
    runpy.run_path(f"{_WARM}/sitecustomize.py")  # what loads TensorFlow does not return
    if len(sys.orig_argv) > 1 and sys.orig_argv[1].rpartition("/")[2] == "hpcnn":
        from stand_in import hand_over

        hand_over(f"{os.environ['HPCNN_TEST_WARM_START']}.jobs")
if "HPCNN_FAULTS" in os.environ:
    runpy.run_path(f"{_HERE}/../watch.py")["begin"]()
