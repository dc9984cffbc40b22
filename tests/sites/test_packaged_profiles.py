"""The packaged site profiles: each is valid, each fact has its source, and those that matter are checked by hand."""

from __future__ import annotations

import datetime
import re
import shlex
import string
from typing import Any

import pytest

from hpcnn.sites.profile import Site
from hpcnn.specs.fields import from_mapping
from hpcnn.util import toml
from hpcnn.util.share import share_dir

FOLDER = share_dir("templates") / "sites"
GENERAL = ["generic-slurm", "local"]

# What the commands of people may leave open, written out once more.
PLACEHOLDERS = {"nodes", "gpus", "gpu_type", "time", "minutes", "account", "partition", "command"}
# Words for people, which need no source.
WORDS = {"description", "status", "checked", "notes", "sources"}

# Written out from the pages, independently of the files.
# fmt: off
FACTS: dict[str, dict[str, Any]] = {
    "bridges2": {"gpu_request": "gpus", "gpu_typing": "required",
        "gpu_types": ("v100-32", "v100-16", "h100-80", "l40s-48"), "gpus": 8, "cores": 128, "cores_gpu": 40,
        "launcher": "mpirun", "container_image": "/ocean/containers/ngc/tensorflow/tensorflow_23.04-tf2-py3.sif",
        "scratch": "$PROJECT", "local_disk": "$LOCAL", "node_suffix": ".ib.bridges2.psc.edu", "internet": "unknown",
        "array_limit": None},
    "trillium": {"gpu_request": "gpus-per-node", "gpu_counts": (1, 4), "cores": 192, "cores_gpu": 96, "gpus": 4,
        "partition": "", "partition_gpu": "", "partition_rule": "optional", "partition_gpu_rule": "refused",
        "memory_rule": "ignored", "time_min": "00:15:00", "time_max": "24:00:00", "submit_limit": 500,
        "internet": "no", "interactive": "debugjob {nodes}", "interactive_gpu": "debugjob -g {gpus}",
        "local_disk": "$SLURM_TMPDIR"},
    "narval": {"gpu_request": "gpus-per-node", "gpu_typing": "required", "gpus": 4, "cores": 64, "cores_gpu": 48,
        "internet": "no", "partition_rule": "refused", "partition_gpu_rule": "refused", "account_rule": "optional",
        "submit_limit": 1000, "time_max": "168:00:00", "container_module": "apptainer", "mpi_type": ""},
    "rorqual": {"internet": "no", "cores": 192, "cores_gpu": 64, "gpus": 4, "gpu_typing": "required"},
    "fir": {"internet": "yes", "cores": 192, "cores_gpu": 48, "gpus": 4, "gpu_typing": "required"},
    "nibi": {"internet": "yes", "cores": 192, "cores_gpu": 112, "gpus": 8, "gpu_typing": "required"},
    "perlmutter": {"gpu_request": "gpus-per-node", "constraint": "cpu", "constraint_gpu": "gpu", "qos": "regular",
        "partition": "", "partition_gpu": "", "cores": 128, "cores_gpu": 64, "gpus": 4,
        "container_runtime": "shifter", "container_image": "nersc/tensorflow:ngc-21.08-tf2-v1"},
    "delta": {"gpu_request": "gpus-per-node", "partition": "cpu", "partition_gpu": "gpuA100x4",
        "constraint": "scratch", "memory_per_gpu": "62200M", "network_interface": "hsn",
        "node_suffix": ".delta.internal.ncsa.edu", "container_image": "/sw/external/NGC/tensorflow:22.06-tf2-py3",
        "exclusive": False},
    "expanse": {"gpu_request": "gpus", "gpu_types": (), "mpi_type": "pmi2", "launcher": "srun",
        "partition_gpu": "gpu-shared", "cores_gpu": 40, "gpus": 4, "container_module": "singularitypro",
        "container_binds": ("/expanse",), "time_max": "48:00:00"},
    "anvil": {"gpu_request": "gpus-per-node", "mpi_type": "pmi2", "account_rule": "required", "partition": "shared",
        "partition_gpu": "gpu", "cores": 128, "gpus": 4, "time_max": "96:00:00"},
    "snellius": {"partition_gpu": "gpu_a100", "cores_gpu": 72, "gpus": 4, "time_max": "120:00:00",
        "account_rule": "optional", "mpi_type": "", "interactive_gpu": ""},
    "lumi": {"gpu_request": "gpus-per-node", "gpus": 8, "cores_gpu": 56, "account_rule": "required",
        "partition_gpu": "small-g", "memory_per_gpu": "60G", "submit_limit": 210, "network_interface": "hsn",
        "environment_gpu": {"NCCL_NET_GDR_LEVEL": "3"}, "container_runtime": "singularity", "container_module": "",
        "container_gpu_option": "", "mpi_type": ""},
    "roihu": {"gpu_request": "gres", "gpu_types": ("gh200",), "gpus": 4, "cores_gpu": 288, "architecture": "x86_64",
        "architecture_gpu": "aarch64", "account_rule": "required", "launcher": "srun", "memory_gpu": "",
        "memory_per_gpu": "", "local_disk": "$TMPDIR", "container_binds": ("$(csc-common-bind)",)},
    "juwels-booster": {"gpu_request": "gres", "gpu_types": (), "cores_gpu": 48, "gpus": 4,
        "partition_gpu": "booster", "internet": "no", "node_suffix": "i", "time_max": ""},
    "jupiter": {"gpu_request": "gres", "architecture": "aarch64", "cores_gpu": 288, "gpus": 4,
        "time_max": "12:00:00", "internet": "unknown", "exclusive": False},
    "vista": {"gpu_request": "none", "launcher": "ibrun", "architecture": "aarch64", "gpus": 1, "cores": 144,
        "cores_gpu": 72, "partition_gpu": "gh", "arrays": True, "submit_limit": 40,
        "container_module": "tacc-apptainer", "interactive_gpu": "idev -p {partition} -N {nodes} -m {minutes}"},
    "frontera": {"gpu_request": "none", "launcher": "ibrun", "arrays": False, "cores": 56, "gpus": 4,
        "partition": "small", "partition_gpu": "rtx", "refused": ("mem", "array"), "memory_rule": "refused"},
    "lonestar6": {"gpu_request": "none", "launcher": "ibrun", "arrays": True, "gpus": 3, "cores_gpu": 128,
        "partition_gpu": "gpu-a100", "memory_rule": "refused"},
    "della": {"gpu_request": "gres", "account_rule": "optional", "qos": "", "scratch": "/scratch/gpfs/$USER",
        "login_gpu": "della-gpu.princeton.edu", "gpus": None},
    "athena": {"gpu_request": "gres", "gpus": 8, "cores_gpu": 128, "partition_gpu": "plgrid-gpu-a100",
        "account_hint": "GRANT-gpu-a100; the bare name of the grant fails", "time_max": "48:00:00"},
    "helios": {"gpu_request": "gres", "partition_gpu": "plgrid-gpu-gh200", "gpus": None, "container_module": ""},
    "generic-slurm": {"scheduler": "slurm", "launcher": "srun", "mpi_type": "", "partition": "", "refused": ()},
    "local": {"scheduler": "local", "launcher": "mpirun"},
}
# fmt: on
SYSTEMS = [name for name in FACTS if name not in GENERAL]


def read(name: str) -> dict[str, Any]:
    return toml.read(FOLDER / f"{name}.toml")


def site_of(name: str) -> Site:
    return from_mapping(Site, {"name": name, **read(name)}, f"{name}: ")


def commands_of(name: str) -> list[str]:
    return [command for command in (site_of(name).interactive, site_of(name).interactive_gpu) if command]


def test_there_are_exactly_these_profiles():
    assert sorted(file.name for file in FOLDER.iterdir()) == sorted(f"{name}.toml" for name in SYSTEMS + GENERAL)


@pytest.mark.parametrize("name", SYSTEMS + GENERAL)
def test_every_key_and_value_is_valid(name):
    assert site_of(name).description


@pytest.mark.parametrize(
    ("name", "key", "value"), [(name, key, FACTS[name][key]) for name in FACTS for key in FACTS[name]]
)
def test_facts_checked_by_hand(name, key, value):
    assert getattr(site_of(name), key) == value


@pytest.mark.parametrize("name", ["vista", "frontera", "lonestar6"])
def test_tacc_refuses_memory(name):
    assert "mem" in site_of(name).refused


@pytest.mark.parametrize("name", ["bridges2", "trillium", "frontera", "jupiter", "lumi"])
def test_what_no_key_can_say_is_in_the_notes(name):
    says = {
        "bridges2": "multiple of 8",
        "trillium": "trig-login01",
        "frontera": "no job arrays",
        "jupiter": "exclusive",
        "lumi": "$WITH_CONDA",
    }
    assert says[name] in " ".join(site_of(name).notes)


class TestSources:
    @pytest.mark.parametrize("name", SYSTEMS)
    def test_every_source_is_that_of_a_key_of_the_profile(self, name):
        assert set(read(name)["sources"]) <= set(read(name)) - WORDS

    @pytest.mark.parametrize("name", SYSTEMS)
    def test_every_key_has_a_source_or_says_why_not(self, name):
        text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
        unverified = set(re.findall(r"^(\w+) = .*# unverified: \S", text, re.MULTILINE))
        sourced = set(read(name)["sources"])
        assert set(read(name)) - WORDS == sourced | unverified
        assert not sourced & unverified

    @pytest.mark.parametrize("name", SYSTEMS)
    def test_how_to_ask_for_gpus_has_a_source(self, name):
        assert "gpu_request" in read(name)["sources"]

    @pytest.mark.parametrize("name", SYSTEMS)
    def test_every_source_has_a_date_or_says_that_it_has_none(self, name):
        for key, source in read(name)["sources"].items():
            assert re.search(r"\b20\d\d\b|\bundated\b", source), f"{key}: {source}"

    @pytest.mark.parametrize("name", SYSTEMS)
    def test_every_profile_says_when_it_was_checked_and_how_the_machine_stands(self, name):
        profile = read(name)
        checked = datetime.date.fromisoformat(profile["checked"])
        assert profile["status"]
        for source in profile["sources"].values():
            for day in re.findall(r"\b20\d\d-\d\d-\d\d\b", source):
                assert datetime.date.fromisoformat(day) <= checked


class TestCommands:
    @pytest.mark.parametrize("name", SYSTEMS + GENERAL)
    def test_they_leave_only_known_words_open(self, name):
        for command in commands_of(name):
            assert {word for _, word, _, _ in string.Formatter().parse(command) if word is not None} <= PLACEHOLDERS

    @pytest.mark.parametrize("name", SYSTEMS + GENERAL)
    def test_they_are_words_of_a_shell_once_filled_in(self, name):
        for command in commands_of(name):
            words = shlex.split(command.format(**dict.fromkeys(PLACEHOLDERS, "1")))
            assert not [word for word in words if "{" in word or "}" in word]

    @pytest.mark.parametrize("name", SYSTEMS + GENERAL)
    def test_an_account_that_may_be_missing_is_one_word_that_can_be_left_out(self, name):
        for command in commands_of(name):
            if site_of(name).account_rule != "required" and "{account}" in command:
                assert "--account={account}" in command.split()

    @pytest.mark.parametrize("name", SYSTEMS)
    def test_the_gpu_command_asks_for_a_type_where_one_is_required(self, name):
        site = site_of(name)
        if site.gpu_typing == "required" and "{gpus}" in site.interactive_gpu:
            assert "{gpu_type}" in site.interactive_gpu or any(kind in site.interactive_gpu for kind in site.gpu_types)


class TestKeysAgree:
    @pytest.mark.parametrize("name", SYSTEMS + GENERAL)
    def test_gpus(self, name):
        site = site_of(name)
        assert site.gpu_types or site.gpu_typing != "required"
        assert not site.gpu_types or site.gpu_typing != "refused"
        assert all(count <= (site.gpus or 0) for count in site.gpu_counts)

    @pytest.mark.parametrize("name", SYSTEMS + GENERAL)
    def test_partitions(self, name):
        site = site_of(name)
        assert {site.partition, site.partition_gpu} - {""} <= set(site.partitions)
        assert not site.partition or site.partition_rule != "refused"
        assert not site.partition_gpu or site.partition_gpu_rule != "refused"
        assert site.partition or site.partition_rule != "required"
        assert site.partition_gpu or site.partition_gpu_rule != "required"

    @pytest.mark.parametrize("name", SYSTEMS + GENERAL)
    def test_what_is_refused_is_not_asked_for(self, name):
        site = site_of(name)
        memory = site.memory + site.memory_gpu + site.memory_per_cpu + site.memory_per_gpu
        assert not (memory and site.memory_rule in ("refused", "ignored"))
        assert ("mem" in site.refused) == (site.memory_rule == "refused")
        assert ("array" in site.refused) == (not site.arrays)
        assert site.gpu_request not in site.refused

    @pytest.mark.parametrize("name", SYSTEMS + GENERAL)
    def test_the_default_time_is_one_the_site_takes(self, name):
        site = site_of(name)
        assert seconds(site.time_min or "00:00:00") <= seconds(site.time) <= seconds(site.time_max or "999:00:00")

    @pytest.mark.parametrize("name", SYSTEMS)
    def test_an_account_that_must_be_given_is_explained(self, name):
        assert site_of(name).account_rule != "required" or site_of(name).account_hint


def seconds(time: str) -> int:
    """Return the seconds of HH:MM:SS, the one form of time that profiles use."""
    match = re.fullmatch(r"(\d{2,3}):([0-5]\d):([0-5]\d)", time)
    assert match, time
    hours, minutes, rest = (int(part) for part in match.groups())
    return 3600 * hours + 60 * minutes + rest
