"""Run the JupyterLab server. Runs as a file, also in a container without hpcnn: must not import any other room.

It reads its token from the environment, not from its command line, and keeps it from its kernels, terminals and files:
on Linux other users can read the command line of any process, and a notebook or a record may keep a variable.
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import sys

VARIABLE = "HPCNN_NOTEBOOK"
# Placeholder of the port in the message, until the server has one; no path or name contains it.
PORT = "\0"
# The server is for whoever types the tunnel, and has to be on this machine alone.
HOST = "127.0.0.1"


def main() -> None:
    """Serve by $HPCNN_NOTEBOOK (a JSON object: token, folder, port, message, missing) until a signal ends the process.

    port: 0 for any free one. missing: the error where there is no JupyterLab. Exit status 2 for that, and for a port
    that is in use.
    """
    request = json.loads(os.environ.pop(VARIABLE))
    if importlib.util.find_spec("jupyterlab") is None:
        sys.exit(_error(request["missing"]))
    port = _free_port(request["port"])

    from jupyterlab.labapp import LabApp

    # These arguments stay inside this process, and are stronger than the user's own files of settings.
    server = LabApp.initialize_server(
        argv=[
            *(f"--ServerApp.ip={HOST}", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
            *(f"--IdentityProvider.token={request['token']}", "--PasswordIdentityProvider.hashed_password="),
            *(f"--ServerApp.root_dir={request['folder']}", "--ServerApp.open_browser=False"),
            *("--ServerApp.allow_root=True", "--ServerApp.answer_yes=True", "--Application.log_level=ERROR"),
            # a login shell, which Jupyter would start, forgets this environment's PATH
            f"--ServerApp.terminado_settings={{'shell_command': [{os.environ.get('SHELL') or 'bash'!r}]}}",
            "--LabApp.news_url=None",  # it would ask the internet, which a compute node may not reach
        ]
    )
    for writer in ("write_server_info_file", "write_browser_open_files"):  # they would hold the token
        setattr(server, writer, lambda: None)
    message = request["message"].replace(PORT, str(server.port))
    server.io_loop.add_callback(print, message, flush=True)  # once it answers
    server.start()


def _free_port(port: int) -> int:
    """Return the port, or a free one for 0; end with an error where another server has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            sys.exit(_error(f"--port: {port}: {error.strerror}"))
        return int(probe.getsockname()[1])


def _error(message: str) -> int:
    print(f"Error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
