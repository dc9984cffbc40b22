"""A program: calls commands of hpcnn in one process, and says what each printed and which modules it loaded.

``python -m tests.cli.login_node`` reads a JSON list from its standard input. An item is a list of words for
``hpcnn``, or the name of a module to import. It prints, for each, an object with ``status``, ``errors`` (the standard
error) and ``loaded``: the top-level packages that this item was the first to load.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys


def ended(item: list[str] | str) -> dict[str, object]:
    before = set(sys.modules)
    status = 0
    # with a buffer each, to which click writes the bytes of a job script
    output, errors = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        if isinstance(item, str):
            importlib.import_module(item)
        else:
            from hpcnn.cli.main import main

            try:
                main(item)
            except SystemExit as end:
                status = int(end.code or 0)
    loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
    errors.seek(0)
    return {"status": status, "errors": errors.read(), "loaded": sorted(loaded)}


if __name__ == "__main__":
    json.dump([ended(item) for item in json.load(sys.stdin)], sys.stdout)
