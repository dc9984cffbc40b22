"""Check whether a container image is compatible with a machine. Pure: the facts are arguments.

The rules are those of the hybrid model (Apptainer user guide, "Apptainer and MPI applications"): the launcher outside
starts the ranks, and the MPI library inside connects them through the launcher's process-management interface (PMI).
Without a common PMI every rank runs as rank 0 of 1, and no error is raised.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from hpcnn.jobs.mpi import flavour, major, parse_version
from hpcnn.machine.container.host import Host
from hpcnn.machine.doctor.finding import Finding
from hpcnn.machine.doctor.probe import Answer
from hpcnn.sites.profile import Site
from hpcnn.version import SUPPORTED_PYTHONS, supported_pythons

_ALONE = "every rank would take itself for the only one"
_BUILD = "build one with `hpcnn container build`"

_LIBRARIES = (
    ("Open MPI", re.compile(r"Open MPI v(\d\S*)")),
    ("Intel MPI", re.compile(r"Intel\(R\) MPI Library (\d\S*)")),
    ("MVAPICH2", re.compile(r"MVAPICH2? Version\s*:\s*(\d\S*)")),
    ("MPICH", re.compile(r"MPICH Version:\s*(\d\S*)")),
)


def check_compatibility(inside: Mapping[str, Answer], host: Host, site: Site) -> list[Finding]:
    """Return the findings on an image (answers to ``inside.STAGES``) for a site, started from the machine ``host``."""
    library = mpi_inside(inside)
    return [
        check_architecture(inside["system"], site),
        check_python(inside["system"]),
        check_tensorflow(inside["tensorflow"], site),
        check_keras(inside["keras"]),
        check_horovod(inside["horovod"], str(inside["system"].facts["horovod"]), site),
        check_hpcnn(inside["hpcnn"], host.hpcnn),
        check_library(library, inside),
        check_srun(library, pmi_inside(inside), host, site)
        if site.launcher == "srun"
        else check_mpirun(library, host, site),
    ]


def mpi_inside(inside: Mapping[str, Answer]) -> str | None:
    """Return the MPI library of the image, ``Open MPI 4.1.4``, by its own version text or that of its mpirun."""
    said = str(inside["mpi4py"].facts.get("library", ""))
    for name, pattern in _LIBRARIES:
        found = pattern.search(said)
        if found:
            return f"{name} {found[1].rstrip(',')}"
    return parse_version(str(inside["mpi"].facts.get("mpirun", "")))


def pmi_inside(inside: Mapping[str, Answer]) -> set[str]:
    """Return the process-management interfaces of an Open MPI in the image: ``pmix``, ``pmi2``, or none.

    Open MPI 4 names them as components (ext3x: a PMIx beside it, pmix3x: its own, s1 and s2: Slurm's PMI); from version
    5 on it supports PMIx only (its manual, "Launching with Slurm").
    """
    library = mpi_inside(inside) or ""
    if library.startswith("Open MPI") and major(library) >= 5:
        return {"pmix"}
    components = {str(line).split(":")[2] for line in inside["mpi"].facts.get("pmi", ())}
    spoken = {"pmix"} if any(name.startswith(("ext", "pmix")) for name in components) else set()
    return spoken | ({"pmi2"} if "s2" in components else set())


def check_architecture(system: Answer, site: Site) -> Finding:
    """Check that the image was built for the processors of the site."""
    machine = str(system.facts["machine"])
    nodes = {site.architecture, site.architecture_gpu or site.architecture}
    if machine in nodes:
        return Finding("Architecture", machine)
    advice = f"site {site.name} has {' and '.join(sorted(nodes))}: build the image on one of its nodes"
    return Finding("Architecture", machine, "error", advice)


def check_python(system: Answer) -> Finding:
    """Check the Python version: hpcnn supports those of ``version.py``."""
    version = str(system.facts["version"])
    if version.rpartition(".")[0] in SUPPORTED_PYTHONS:
        return Finding("Python", version)
    return Finding("Python", version, "error", f"hpcnn needs Python {supported_pythons()}: {_BUILD}")


def check_tensorflow(tensorflow: Answer, site: Site) -> Finding:
    """Check TensorFlow, which training needs, and that it is built for CUDA at a site with GPUs."""
    if tensorflow.error:
        return Finding("TensorFlow", tensorflow.error, "error", _BUILD)
    cuda = bool(tensorflow.facts["cuda"])
    value = f"{tensorflow.facts['version']}, {'built for CUDA' if cuda else 'CPU only'}"
    if site.gpus and not cuda:
        return Finding("TensorFlow", value, "warning", "jobs with GPUs would train on CPUs: use a GPU image for them")
    return Finding("TensorFlow", value)


def check_keras(keras: Answer) -> Finding:
    """Check for Keras 3 on TensorFlow, which training needs."""
    if keras.error:
        return Finding("Keras", keras.error, "error", _BUILD)
    version, backend = str(keras.facts["version"]), str(keras.facts["backend"])
    if version.startswith("3.") and backend == "tensorflow":
        return Finding("Keras", version)
    return Finding("Keras", f"{version}, backend {backend}", "error", "hpcnn needs Keras 3 on TensorFlow")


def check_horovod(horovod: Answer, version: str, site: Site) -> Finding:
    """Check Horovod: several ranks need it with MPI, and several GPUs also with NCCL, to be fast."""
    if horovod.error:
        there_is_none = horovod.error.startswith("ModuleNotFoundError")
        advice = f"one rank can train; for several: {_BUILD}" if there_is_none else _BUILD
        return Finding("Horovod", horovod.error, "warning" if there_is_none else "error", advice)
    built = [name for name in ("MPI", "Gloo", "NCCL") if horovod.facts[name]]
    value = f"{version.partition('+')[0]}, built with {', '.join(built) or 'no controller'}"
    if "MPI" not in built:
        return Finding("Horovod", value, "error", f"ranks of srun and mpirun need MPI: {_BUILD}")
    if site.gpus and "NCCL" not in built:
        return Finding("Horovod", value, "warning", "without NCCL the gradients of GPUs pass through the host's memory")
    return Finding("Horovod", value)


def check_hpcnn(inside: Answer, outside: str) -> Finding:
    """Check the hpcnn in the image, which reads the command line that the hpcnn outside writes."""
    own = "only a program of your own (after --) runs in it"
    if inside.error:
        return Finding("hpcnn", "not installed", "error", f"{own}: {_BUILD}")
    version = str(inside.facts["version"])
    if not inside.facts["command"]:
        return Finding("hpcnn", f"{version}, not on the image's PATH", "error", f"{own}: put its folder in PATH")
    if version != outside:
        advice = f"the hpcnn outside is {outside}, and may use options that the one inside lacks: build a new image"
        return Finding("hpcnn", version, "warning", advice)
    return Finding("hpcnn", version)


def check_library(library: str | None, inside: Mapping[str, Answer]) -> Finding:
    """Check that the image has an MPI library, and that mpi4py loads it."""
    mpi4py = inside["mpi4py"]
    if library is None:
        return Finding(
            "MPI in the image", mpi4py.error or "none that is known", "error", f"for several ranks: {_BUILD}"
        )
    if mpi4py.error:
        return Finding("MPI in the image", f"{library}, but mpi4py: {mpi4py.error}", "error", _BUILD)
    return Finding("MPI in the image", library)


def check_srun(library: str | None, spoken: set[str], host: Host, site: Site) -> Finding:
    """Check srun: it must offer the PMI that the site's jobs request, and the image's MPI must support it."""
    if host.mpi_types is None:
        advice = f"no srun here: run this on a login node of {site.name}"
        return Finding("Ranks by srun", "not looked at", "warning", advice)
    asked = site.mpi_type or host.mpi_default or "none"
    value = f"srun --mpi={asked}, {library or 'no MPI'} in the image"
    if asked not in host.mpi_types:
        advice = f"srun has {', '.join(host.mpi_types)}: set mpi_type in the site's profile"
        return Finding("Ranks by srun", value, "error", advice)
    if library is None or not library.startswith("Open MPI"):
        return Finding("Ranks by srun", value, "warning", f"not known to fit; where it does not, {_ALONE}: try 2 ranks")
    language = "pmix" if asked.startswith("pmix") else asked
    if language in spoken:
        return Finding("Ranks by srun", value)
    both = sorted(spoken & set(host.mpi_types))
    remedy = f"set mpi_type={both[0]} in the site's profile" if both else "use an image whose MPI speaks it, or mpirun"
    says = f"the image's MPI speaks {' and '.join(sorted(spoken)) or 'neither pmix nor pmi2'}"
    return Finding("Ranks by srun", value, "error", f"{says}: {_ALONE}; {remedy}")


def check_mpirun(library: str | None, host: Host, site: Site) -> Finding:
    """Check mpirun: it must be of the same MPI, and of the same major version, as the library in the image."""
    check = f"Ranks by {site.launcher}"
    if host.mpirun is None:
        advice = f"no mpirun here: load the MPI module of {site.name}, and run this again"
        return Finding(check, "not looked at", "warning", advice)
    value = f"{host.mpirun} outside, {library or 'no MPI'} in the image"
    if library is None or flavour(library) != flavour(host.mpirun):
        return Finding(check, value, "error", f"{_ALONE}: load an MPI module of the image's kind")
    if major(library) != major(host.mpirun):
        advice = f"versions {major(host.mpirun)} and {major(library)} do not understand each other: load another module"
        return Finding(check, value, "error", advice)
    return Finding(check, value)
