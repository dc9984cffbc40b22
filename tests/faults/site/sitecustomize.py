"""Python runs this first in the children of a process that is watched (``tests/faults/watch.py``).

Also the first file of a fork of the servers of warm starts, whose own ``sitecustomize`` it gives way to.
"""

import os
import runpy

_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  # pathlib takes 10 ms
if "HPCNN_FAULTS" in os.environ:
    runpy.run_path(f"{_HERE}/../watch.py")["begin"]()
if os.environ.get("HPCNN_TEST_WARM_START") and __name__ == "sitecustomize":
    runpy.run_path(f"{_HERE}/../../warm_start/site/sitecustomize.py")
