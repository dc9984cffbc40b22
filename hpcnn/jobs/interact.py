"""Build the command that opens an interactive session on a compute node, as the site gives sessions.

Must not start a process: the caller executes the command.
"""

from __future__ import annotations

import dataclasses
import shlex
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpcnn.jobs.checks import check_request
from hpcnn.jobs.launch import container_command, cpus_of, shell_word
from hpcnn.jobs.sbatch import gpu_type, request
from hpcnn.jobs.script import module_lines, variables
from hpcnn.jobs.setup import setup_lines
from hpcnn.scheduler import scheduler_of
from hpcnn.sites.profile import Site
from hpcnn.specs.fields import given
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.walltime import seconds_of

WAYS = ("site", "salloc")

# The placeholder of a site's command in which a field of Resources arrives.
_ARRIVES_IN = {
    "nodes": {"nodes"},
    "gpus_per_node": {"gpus"},
    "gpu_type": {"gpu_type"},
    "time": {"time", "minutes"},
    "account": {"account"},
    "partition": {"partition"},
}

_OF_ENDS = ("notify", "mail_user", "mail_type")


@dataclass(frozen=True)
class Here:
    """Where the session starts: the directory, the folder of this environment's programs, variables to export."""

    directory: str
    bin: str
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Session:
    """The command that opens a session, and the line to type in one whose command takes no program (else empty)."""

    words: list[str]
    typed: str = ""


def session(
    site: Site, resources: Resources, software: SoftwareSpec, here: Here, program: Sequence[str] = (), way: str = "site"
) -> Session:
    """Return the command of a session that runs ``program``, or a shell, in the container or in this environment.

    way: ``site`` is the site's own command where its profile has one; ``salloc`` is Slurm's, whatever the profile has.
    Raises UsageError for an option that the site refuses, for one that it requires and did not get, and for one that
    its command has no placeholder for.
    """
    if resources.requeue:
        raise bad_value("--requeue", "yes", "no value for a session: nobody would be there after a requeue")
    check_request(resources, site)
    steps = _steps(site, software, here, program, gpu=bool(resources.gpus_per_node))
    inside = _in_bash(steps)
    if scheduler_of(site.scheduler).this_machine_only:
        return _on_this_machine(site, resources, inside, way)
    asked = request(resources, site, cpus_of(site, resources))
    template = site.interactive_gpu if resources.gpus_per_node else site.interactive
    if way == "salloc" or not template:
        options = [f"--{key}" if value is None else f"--{key}={value}" for key, value in asked.items()]
        # An interactive step takes none of the job's cores from the steps that are started in it (Slurm 20.11 on;
        # slurm.conf(5), InteractiveStepOptions), and is one task, however many the job has.
        return Session(["salloc", *options, "srun", "--interactive", "--pty", *inside])
    _check_places(resources, site, template)
    takes_program = "command" in _placeholders(template)
    own = (software.container, software.module, software.env, software.env_file, software.setup)
    plain_shell = not (program or any(own))
    words = fill(template, {**_values(resources, site, asked), "command": inside})
    return Session(words, "" if takes_program or plain_shell else " && ".join(steps))


def on_the_node(site: Site, software: SoftwareSpec, here: Here, program: Sequence[str], *, gpu: bool) -> list[str]:
    """Return the command that runs ``program`` on this node as a session would, in the container or not."""
    return _in_bash(_steps(site, software, here, program, gpu=gpu))


def fill(template: str, values: Mapping[str, str | Sequence[str]]) -> list[str]:
    """Return the argv of a site's command with its placeholders filled in; ``values["command"]`` is an argv itself.

    A word whose placeholders are all empty is left out, and so is an option before it that has its value in that word
    (``-A {account}``). An empty GPU type takes its colon with it (``gpu:{gpu_type}:{gpus}``).
    """
    if not values["gpu_type"]:
        template = template.replace("{gpu_type}:", "")
    words: list[str] = []
    for word in shlex.split(template):
        names = _placeholders(word)
        if word == "{command}":
            words += values["command"]
        elif not names or any(values[name] for name in names):
            words.append(word.format(**values))
        elif word.startswith("{") and words and words[-1].startswith("-") and "=" not in words[-1]:
            words.pop()
    return words


def _on_this_machine(site: Site, resources: Resources, inside: list[str], way: str) -> Session:
    if resources.nodes > 1:
        raise bad_value("--nodes", resources.nodes, f"1 at site {site.name}, which is this machine alone")
    if way == "salloc":
        raise bad_value("--by", way, f"site: there is no Slurm at site {site.name}")
    return Session(inside)


def _in_bash(steps: list[str]) -> list[str]:
    return ["bash", "-lc", " && ".join([*steps[:-1], f"exec {steps[-1]}"])]


def _steps(site: Site, software: SoftwareSpec, here: Here, program: Sequence[str], *, gpu: bool) -> list[str]:
    """Return the bash commands of the session, in order; the last one is its program."""
    exports = {key: str(value) for key, value in variables(site, software, here.environment, gpu).items()}
    steps = module_lines(site, software, gpu)
    steps += [f"export {key}={shlex.quote(value)}" for key, value in exports.items()]
    if software.env_file is not None:
        file = str(Path(here.directory, software.env_file))
        refusal = f"hpcnn: {file} is not there, not yours, or open to other users (chmod 600)"
        is_private = f"[ -O {shlex.quote(file)} ] && [[ $(stat -Lc %a -- {shlex.quote(file)}) == *00 ]]"
        steps.append(f"{{ {is_private} || {{ echo {shlex.quote(refusal)} >&2; (exit 78); }}; }}")
        steps += ["set -a", f". {shlex.quote(file)}", "set +a"]
    steps.append(f"cd {shlex.quote(here.directory)}")
    folders = [here.directory, *([exports["HPCNN_DATA"]] if "HPCNN_DATA" in exports else [])]
    parts = container_command(site, software, folders, gpu, action="exec" if program else "shell", variables=exports)
    if not parts:
        steps.append(f'export PATH={shlex.quote(here.bin)}:"$PATH"')
    steps += [f"eval {shlex.quote(line)}" for line in setup_lines(site, software)]  # any line, and then `&&`
    words = [word for part in parts for word in part] + list(program or ([] if parts else ["bash"]))
    return [*steps, " ".join(map(shell_word, words))]


def _values(resources: Resources, site: Site, asked: Mapping[str, str | None]) -> dict[str, str]:
    """Return the values of the placeholders of a site's command. Times are H:MM:SS and minutes, rounded up."""
    seconds = seconds_of(resources.time or site.time)
    return {
        "nodes": str(resources.nodes),
        "gpus": str(resources.gpus_per_node or ""),
        "gpu_type": gpu_type(resources, site),
        "time": f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}",
        "minutes": str(-(-seconds // 60)),
        "account": asked.get("account") or "",
        "partition": asked.get("partition") or "",
    }


def _check_places(resources: Resources, site: Site, template: str) -> None:
    """Raise UsageError for an option without a placeholder in the site's command, which would ignore it."""
    places = _placeholders(template)
    for key in given(resources):
        if key in _OF_ENDS:
            continue  # nobody is told of the end of a session
        if key == "gpus_per_node" and site.gpu_request == "none":
            continue  # the partition gives whole nodes
        if not _ARRIVES_IN.get(key, set()) & places:
            option = {"sbatch_options": "--sbatch-option"}.get(key, "--" + key.replace("_", "-"))
            raise UsageError(
                f"{option}: the command for sessions at site {site.name} has no place for it ({template}); "
                "--by salloc asks Slurm itself, which has"
            )


def _placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}
