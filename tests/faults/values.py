"""Give hostile values to every option of every command, and to every field of every spec: an error at most.

Scripts that are rendered from such values are run, with a `true` in the place of hpcnn: nothing but the program may be.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import click
from click.testing import CliRunner

from hpcnn.cli.main import COMMANDS, main
from hpcnn.jobs import submit
from hpcnn.specs.fields import from_mapping
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import HpcnnError

CANARY = "canary"
HOSTILE = (
    "",
    " ",
    "-",
    "--",
    "\n",
    "0",
    "-1",
    "1e999",
    "nan",
    "9" * 400,
    str(2**63),
    "x" * 5000,
    "é–\u202e",
    "\ud800",
    "\x1b]0;x\x07\x1b[2J",
    "../../../proc/version",
    "/dev/null",
    "/proc/self/mem",
    "a:b",
    ":",
    "a=b",
    "=",
    "a,b=c",
    "[[[[",
    "{}",
    '{"a": [1]}',
    "true",
    "%s%n{0}{x}",
    "{{ 7 * 7 }}",
    f"$(touch {CANARY})",
    f"`touch {CANARY}`",
    f"; touch {CANARY} #",
    f"'; touch {CANARY}; '",
    f'"; touch {CANARY}; "',
    f"x\ntouch {CANARY}",
    f"x\n#SBATCH --wrap=touch${{IFS}}{CANARY}",
    f"A;touch {CANARY};B=1",
    f"a[$(touch {CANARY})]=1",
    f"X=$(touch {CANARY})",
    f"os:system('touch {CANARY}')",
    f"__import__('os').system('touch {CANARY}')",
    f"|touch {CANARY}",
    f"{CANARY}.toml",
    "*",
    "~root",
    "\\",
)
# Commands that only parse here: they measure, take over the terminal or this process, or start what takes long.
PARSED = {"smoke", "doctor", "completion", "top", "record as-worker", "train", "search work", "models show"}
# What a job is meant to run.
LINES_OF_BASH = {"setup"}
# What a command needs besides the option that is tried, so that it comes as far as it can without starting anything.
WORDS = {
    "submit": ["--run-dir", "run", "--dry-run"],
    "study run": ["smoke", "--dry-run"],
    "study submit": ["smoke", "--dry-run", "--scripts", "--site", "generic-slurm"],
    "search run": ["psc_hparams", "--dry-run"],
    "search submit": ["psc_hparams", "--dry-run", "--site", "generic-slurm"],
    "tune": ["--dry-run"],
    "bench allreduce": ["--dry-run"],
    "bench machine": ["--dry-run"],
    "interact": ["--dry-run"],
    "notebook": ["--dry-run"],
    "tensorboard": ["run", "--dry-run"],
    "container build": ["--dry-run"],
    "data stage": ["none"],
    "sites init": ["--help"],
    "init": ["--help"],
    "search plot": ["--help"],
}
# Scripts run with these in the place of what they call.
STAND_INS = ("srun", "mpirun", "module", "sbatch", "apptainer", "scontrol", "squeue", "hpcnn")


def leaves(
    group: click.Group, context: click.Context, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command of a tree that has no commands below it, with the words that lead to it."""
    for name in group.list_commands(context) if path else COMMANDS:
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from leaves(command, context, (*path, name))
        elif command is not None:
            yield (*path, name), command


def options(luck: random.Random, most: int, ended: Callable[[], bool] = lambda: False) -> tuple[int, list[str]]:
    """Try hostile values of options, as many as ``most``; return the number tried, and what went wrong."""
    context = click.Context(main)
    cases = [
        (path, command, parameter, value)
        for path, command in leaves(main, context)  # type: ignore[arg-type]
        for parameter in command.params
        if not (isinstance(parameter, click.Option) and parameter.is_flag)
        for value in HOSTILE
    ]
    luck.shuffle(cases)
    wrong: list[str] = []
    tried = 0
    for path, command, parameter, value in cases[:most]:
        if ended():
            break
        tried += 1
        if said := _tried(path, command, parameter, value):
            wrong.append(f"{' '.join(path)} {parameter.opts}: {value[:80]!r}: {said}")
    return tried, wrong


def _tried(path: tuple[str, ...], command: click.Command, parameter: click.Parameter, value: str) -> str:
    given = [parameter.opts[-1], value] if isinstance(parameter, click.Option) else [value]
    if {path[0], " ".join(path)} & PARSED or parameter.name in LINES_OF_BASH:
        return _parsed(path, command, given)
    known = WORDS.get(" ".join(path), [])
    more = [word for word in known if parameter.opts[-1] not in known]
    last = ["--", "true"] if path == ("submit",) and isinstance(parameter, click.Option) else []
    return said_wrong((*path, *more, *given, *last))


def said_wrong(words: tuple[str, ...]) -> str:
    """Call a command in this process; return what is wrong with what it did. A script that it prints is run."""
    with mock.patch.object(os, "execvpe", _become), mock.patch.object(sys, "argv", ["hpcnn", *words]):
        result = CliRunner().invoke(main, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return f"{result.exception!r} {traceback.format_exception(result.exception)[-4:-1]}"
    if result.exit_code not in (0, 1, 2):
        return f"status {result.exit_code}"
    if "Traceback" in result.output:
        return f"a traceback: {result.output}"
    if result.exit_code == 0:
        for script in _scripts(result.stdout):
            _run(script)
    if Path(CANARY).exists():
        Path(CANARY).unlink()
        return "a command was run"
    return ""


def _scripts(output: str) -> list[str]:
    """Return the scripts in what a dry run prints."""
    return [f"#!{part}" for part in output.split("#!")[1:]] if "/bin/bash" in output else []


def _become(program: str, *others: object) -> None:
    """Say what a command would become, in the place of this process: it belongs to PARSED."""
    raise RuntimeError(f"it would become {program}")


def _parsed(path: tuple[str, ...], command: click.Command, given: list[str]) -> str:
    try:
        with command.make_context(path[-1], given, resilient_parsing=False):
            pass
    except (click.ClickException, click.exceptions.Exit, HpcnnError, OSError, UnicodeEncodeError):
        return ""  # hpcnn prints a message for each of these
    except Exception as error:
        return repr(error)
    return ""


def _run(script: str) -> None:
    """Run a script that was rendered from hostile values; whatever it says of them, it may only do what it is for."""
    programs = Path(tempfile.gettempdir()) / f"hpcnn-stand-ins-{os.getuid()}-{os.getpid()}"
    if not programs.exists():
        programs.mkdir(mode=0o700)
        for name in STAND_INS:
            (programs / name).symlink_to("/bin/true")
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": "/nonexistent"}
    text = script.encode("utf-8", "surrogateescape") if _is_text(script) else b"exit 0"
    subprocess.run(["bash"], input=text, env=environment, capture_output=True, timeout=60, check=False)


def _is_text(script: str) -> bool:
    try:
        script.encode("utf-8", "surrogateescape")
    except UnicodeError:
        return False
    return True


def with_true_for_hpcnn() -> None:
    """Let scripts that are rendered in this process have ``true`` in the place of hpcnn."""
    submit.hpcnn_command = lambda: ("true",)


def fields(luck: random.Random, count: int, ended: Callable[[], bool] = lambda: False) -> tuple[int, list[str]]:
    """Give values of every type, some hostile, to the fields of specs; return the number tried, and what went wrong."""
    wrong: list[str] = []
    specs = (TrainSpec, Resources, SoftwareSpec)
    for number in range(count):
        if ended():
            return number, wrong
        spec = luck.choice(specs)
        names = [*spec.__dataclass_fields__, luck.choice(HOSTILE)]
        given = {luck.choice(names): value(luck) for _ in range(luck.randrange(1, 4))}
        try:
            from_mapping(spec, given)
        except HpcnnError:
            pass
        except Exception as error:
            wrong.append(f"{spec.__name__}: {str(given)[:300]}: {error!r}")
    return count, wrong


def value(luck: random.Random, depth: int = 3) -> object:
    """Return a value such as TOML and JSON have them."""
    kind = luck.randrange(9 if depth else 7)
    if kind == 7:
        return [value(luck, depth - 1) for _ in range(luck.randrange(4))]
    if kind == 8:
        return {luck.choice(HOSTILE): value(luck, depth - 1) for _ in range(luck.randrange(4))}
    numbers = (0, 1, -1, 2**62, 2**63 - 1, -(2**63), luck.randrange(100), luck.randrange(-(10**9), 10**9))
    reals = (0.0, -0.0, 1e308, -1.5, float("nan"), float("inf"), luck.random())
    texts = (luck.choice(HOSTILE), "".join(chr(luck.randrange(1, 0x300)) for _ in range(luck.randrange(20))))
    return luck.choice(
        (luck.choice(numbers), luck.choice(reals), *texts, luck.random() < 0.5, None, luck.choice(texts))
    )
