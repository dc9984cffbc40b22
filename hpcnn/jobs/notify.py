"""Tell the user's webhook that a run has ended. The address is in the user's config.toml, and nothing shows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from hpcnn.rundir.layout import RunDir
from hpcnn.specs.defaults import webhook
from hpcnn.util.errors import UsageError
from hpcnn.util.files import read_json, reason_of
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from urllib.request import OpenerDirector

_SECONDS = 10.0


def tell(run: RunDir, warn: Callable[[str], None]) -> None:
    """Send the end of a run to the user's webhook, if there is one: one POST; ``warn`` gets a line if it fails.

    ``notify`` of the run's resources decides which ends are told. An attempt that will be requeued is no end.
    """
    spec, result = read_json(run.spec) or {}, run.read_result() or {}
    asked, status = spec.get("resources") or {}, str(result.get("status") or "unfinished")
    notify = asked.get("notify")
    going_on = status == "interrupted" and asked.get("requeue")
    if notify == "none" or going_on or (notify == "fail" and status == "completed"):
        return
    try:
        url = webhook()
    except UsageError as error:
        warn(f"the webhook of config.toml is not told of the end: {error}")
        return
    if url is not None:
        failed = _post(url, _message(run, spec, result, status))
        if failed:
            warn(f"the webhook of config.toml was not told of the end: {failed}")


def _message(run: RunDir, spec: dict[str, Json], result: dict[str, Json], status: str) -> dict[str, Json]:
    """Return what is sent: one line for people, ``text``, and its facts."""
    job_id, reason = (read_json(run.job) or {}).get("job_id"), result.get("reason")
    name = spec.get("name") or run.path.parent.name
    accuracy = (result.get("test") or {}).get("accuracy")
    facts = {
        "name": name,
        "status": status,
        "job_id": job_id,
        "run_dir": str(run.path),
        "reason": reason,
        "seconds": result.get("seconds_total"),
        "test_accuracy": accuracy,
    }
    words = [
        f"{name}: {status}",
        *([f"test accuracy {accuracy:.4f}"] if isinstance(accuracy, float) else []),
        *([str(reason)] if reason else []),
        *([f"job {job_id}"] if job_id else []),
        str(run.path),
    ]
    return {"text": ", ".join(words), **facts}


def _post(url: str, message: dict[str, Json]) -> str | None:
    """Send a message; return why it did not arrive, without the address, None if it did."""
    import urllib.error
    import urllib.request

    headers = {"Content-Type": "application/json", "User-Agent": "hpcnn"}
    body = json.dumps(message).encode()
    try:
        with _opener().open(urllib.request.Request(url, body, headers), timeout=_SECONDS):
            return None
    except urllib.error.HTTPError as error:
        return f"HTTP status {error.code}"
    except urllib.error.URLError as error:
        return reason_of(error.reason) if isinstance(error.reason, OSError) else type(error.reason).__name__
    except Exception as error:  # whatever a network does, the run has ended as it has; messages may hold the address
        return type(error).__name__


def _opener() -> OpenerDirector:
    """Return what sends one request and no second one: no redirection, which might lead the message elsewhere."""
    import urllib.request

    class _Once(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object, **__: object) -> None:
            return None

    return urllib.request.build_opener(_Once)
