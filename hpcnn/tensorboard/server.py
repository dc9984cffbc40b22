"""Run the TensorBoard server, in a process of its own.

It reads its arguments from the environment, not from its command line, and writes no file of its own: on Linux other
users can read the command line of any process and TensorBoard's files in /tmp, and with them the secret path.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from urllib.parse import urlsplit

from hpcnn.util.tf_import import without_startup_messages

VARIABLE = "HPCNN_BOARD"
# Placeholder of the port in the message, until the server has one; no path or name contains it.
PORT = "\0"


def main() -> None:
    """Serve by $HPCNN_BOARD (a JSON object: arguments, message) until a signal ends the process.

    Exit status 0 after Ctrl-C, 2 if the port or address is not available.
    """
    request = json.loads(os.environ.pop(VARIABLE))
    with without_startup_messages():
        from tensorboard import program

    board = program.TensorBoard()
    try:
        with without_startup_messages():
            board.configure(argv=["tensorboard", *request["arguments"]])
            url = board.launch()
    except (program.TensorBoardServerException, OSError) as error:
        print(f"Error: --host, --port: {getattr(error, 'msg', error)}", file=sys.stderr)
        sys.exit(2)
    print(request["message"].replace(PORT, str(urlsplit(url).port)), flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()


if __name__ == "__main__":
    main()
