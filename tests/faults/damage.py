"""Damage each file of a run, and read the run by every command that reads: a message at most, never a traceback."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from click.testing import CliRunner

from hpcnn.cli.main import main
from hpcnn.rundir.read import read_run

# Commands that read a run or a folder of runs, without TensorFlow. RUN is the run, RUNS the folder above.
READ = (
    "status RUN",
    "status RUNS",
    "logs RUN",
    "scaling-report RUNS --format json",
    "resume RUN --dry-run",
    "tensorboard RUN --dry-run",
    "profile RUN",
    "cancel RUN",
    "compare RUN RUN",
    "record begin --run-dir RUN --pid 1",
    "record finish --run-dir RUN --exit-code 1",
    "submit --run-dir RUN --dry-run -- true",
)
QUICK = (0, 4)


def damages(content: bytes, luck: random.Random, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield damaged forms of a file: some of each kind."""
    yield "empty", b""
    yield "twice", content * 2
    yield "nul", b"\0" * len(content)
    yield "newer", content.replace(b'"schema": 1', b'"schema": 99')
    yield "schema", content.replace(b'"schema": 1', b'"schema": "x"')
    yield "list", b"[" + content + b"]"
    yield "no utf-8", content.replace(b'"', b'"\xff', 1)
    for kind in (b"null", b"[]", b"{}", b"3", b'"x"', b"-1", b"1e999", b'{"a": [{}]}'):
        yield "value", _other_value(content, kind, luck)
    for _ in range(count):
        cut, place = luck.randrange(len(content) + 1), luck.randrange(max(len(content), 1))
        yield "cut", content[:cut]
        yield (
            "flip",
            content[:place] + bytes([content[place] ^ (1 << luck.randrange(8))]) + content[place + 1 :]
            if content
            else b"x",
        )
        yield "zeros", content[:place] + b"\0" * min(64, len(content) - place) + content[place + 64 :]


def _other_value(content: bytes, value: bytes, luck: random.Random) -> bytes:
    """Put a value of another type in the place of one of a JSON object's, at any depth; else of the whole file."""
    try:
        record = json.loads(content.splitlines()[0] if b"\n{" in content else content)
        places = list(_places(record))
    except (ValueError, IndexError):
        return value
    if not places:
        return value
    holder, key = luck.choice(places)
    holder[key] = "\0here"
    return json.dumps(record).encode().replace(b'"\\u0000here"', value) + b"\n"


def _places(record: object) -> Iterator[tuple[dict[str, object], str]]:
    if isinstance(record, dict):
        for key, value in record.items():
            yield record, key
            yield from _places(value)
    if isinstance(record, list):
        for item in record:
            yield from _places(item)


def campaign(
    run: Path,
    place: Path,
    *,
    count: int,
    commands: tuple[str, ...] = READ,
    seed: int = 1,
    ended: Callable[[], bool] = lambda: False,
) -> tuple[int, int, list[str]]:
    """Damage every file of a run and read it; return how many damages and readings there were, and what went wrong.

    ended: tells when the time is over.
    """
    luck, wrong, damaged, read = random.Random(seed), [], 0, 0
    files = sorted(str(file.relative_to(run)) for file in run.rglob("*") if file.is_file())
    for name in files:
        for kind, content in damages((run / name).read_bytes(), luck, count):
            if ended():
                return damaged, read, wrong
            copy = place / "runs" / "study" / "run"
            shutil.rmtree(place / "runs", ignore_errors=True)
            shutil.copytree(run, copy)
            (copy / name).write_bytes(content)
            damaged += 1
            try:
                read_run(copy)
            except Exception as error:
                wrong.append(f"{name}, {kind}: read_run: {error!r}: {content[:300]!r}")
            for words in commands:
                said = _problem(words, copy)
                read += 1
                if said:
                    wrong.append(f"{name}, {kind}: {words}: {said}: {content[:300]!r}")
    return damaged, read, wrong


def _problem(words: str, run: Path) -> str:
    argv = [str(run) if word == "RUN" else str(run.parent) if word == "RUNS" else word for word in words.split()]
    result = CliRunner().invoke(main, argv)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return repr(result.exception)
    return "" if result.exit_code in (0, 1, 2) else f"status {result.exit_code}"
