"""The documents are true: their commands run, print what is shown, and what they name exists.

A ``console`` block is run as a whole document is read: from top to bottom, in one empty folder that holds the
checkout's ``docs/examples`` and ``scaling_studies``. A line ``$ command`` is run; the lines below it must be among
those that it prints, numbers and paths apart. A ``python`` or ``toml`` block that begins with ``# name.ext`` is
written to that file; any other ``python`` block is run.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import warm_start
from tests.docs.documents import (
    DECKS,
    ROOT,
    WALKS,
    Block,
    Command,
    anchors,
    blocks,
    commands,
    documents,
    links,
    missing_lines,
)

SECONDS = 300

# Commands that are shown and not run: why, and the command that is run instead, to see that it would be understood.
EXTRA = "python -c \"import importlib.metadata as m; assert '{}' in m.metadata('hpcnn').get_all('Provides-Extra')\""
PLAIN = (
    'python -c "import importlib.metadata as m; '
    "assert not [r for r in m.requires('hpcnn') if 'tensorflow' in r and 'extra' not in r]\""
)
INSTALLS = "it installs packages"
SLURM = "it needs a Slurm cluster (tests/slurm has one)"
ROOT_ALONE = "it needs root, and changes the machine"
LONG = {
    "make demo": ("a minute and more, and the tutorial trains the same", "make -n demo"),
    "make test": ("it is what runs this test", "make -n test"),
    "make check": ("minutes, and it runs tests", "make -n check"),
    "make lint": ("a minute, and it may install packages", "make -n lint"),
    "make venv": ("it installs packages", "make -n venv"),
    "make docs": ("tests/docs/test_site.py builds the site", "make -n docs"),
    "make release": ("it installs packages", "make -n release"),
    "pip install .          # a login node: models, scripts, studies, reports; no TensorFlow": (INSTALLS, PLAIN),
    "pip install '.[cpu]'   # training on CPUs": (INSTALLS, EXTRA.format("cpu")),
    "pip install '.[gpu]'   # training on GPUs": (INSTALLS, EXTRA.format("gpu")),
    "pip install -c constraints.txt '.[cpu,report]'": (INSTALLS, EXTRA.format("report")),
    "uv pip install -c constraints.txt -e '.[cpu,report]'": (INSTALLS, EXTRA.format("report")),
    "uv sync --extra cpu --extra report --inexact": (INSTALLS, EXTRA.format("report")),
    "uv tool install .": (INSTALLS, PLAIN),
    "uv venv --python 3.11": (INSTALLS, "true"),
    "conda create --name hpcnn python=3.11": (INSTALLS, "true"),
    "conda activate hpcnn": (INSTALLS, "true"),
    'containers/build-horovod.sh --python "$(command -v python)"': (
        "it compiles for minutes",
        'containers/build-horovod.sh --python "$(command -v python)" --print-key',
    ),
    "containers/build-horovod.sh --python .venv/bin/python": (
        "it compiles for minutes",
        'containers/build-horovod.sh --python "$(command -v python)" --print-key',
    ),
    "python3 -m venv .venv-gpu": ("it is for what is not installed", "true"),
    ".venv-gpu/bin/pip install -c constraints.txt '.[gpu]'": (INSTALLS, EXTRA.format("gpu")),
    ".venv-gpu/bin/pip install -c constraints.txt nvidia-cuda-nvcc nvidia-cuda-cccl": (INSTALLS, "true"),
    "HOROVOD_GPU_OPERATIONS=NCCL containers/build-horovod.sh --python .venv-gpu/bin/python": (
        "tests/machine/container/test_horovod_on_gpus.py",
        "containers/build-horovod.sh --help",
    ),
    ".venv-gpu/bin/hpcnn doctor": ("its environment is not installed", "hpcnn doctor --help"),
    "hpcnn train --run-dir runs/mnist --model scinet-cnn1 --data mnist": (
        "97 s on 2 cores, and it needs MNIST",
        "hpcnn submit --dry-run --model scinet-cnn1 --data mnist",
    ),
    "hpcnn data stage mnist": ("it needs the internet", "touch mnist.npz && HPCNN_DATA=. hpcnn data stage mnist"),
}
LONG |= {
    f"hpcnn {words}": (SLURM, instead)
    for words, instead in {
        "submit --site narval --account def-prof --gpus-per-node 4 --ntasks 4 --model scinet-cnn1 --data mnist": (
            "hpcnn submit --site narval --account def-prof --gpus-per-node 4 --ntasks 4 --data mnist --dry-run"
        ),
        "submit --site generic-slurm --test-only": "hpcnn submit --site generic-slurm --test-only --dry-run",
        "submit --site generic-slurm --wait": "hpcnn submit --site generic-slurm --wait --dry-run",
        "submit --site generic-slurm --follow": "hpcnn submit --site generic-slurm --follow --dry-run",
        "submit --site generic-slurm --after 1234": "hpcnn submit --site generic-slurm --after 1234 --dry-run",
        "submit --site generic-slurm --requeue --epochs 200": (
            "hpcnn submit --site generic-slurm --requeue --epochs 200 --dry-run"
        ),
        "resume 1234 --time 4:00:00": "hpcnn resume --help",
        "resume runs/scinet-cnn1/20261121-101500-3fa9 --dry-run": "hpcnn resume --help",
        "study submit strong_scaling --site narval --account def-prof": (
            "hpcnn study submit strong_scaling --site narval --account def-prof --dry-run"
        ),
        "study submit strong_scaling --site narval --account def-prof --max-concurrent 4 --after 1234 --wait": (
            "hpcnn study submit strong_scaling --site narval --account def-prof --max-concurrent 4 --wait --dry-run"
        ),
        "status 1234 runs/scinet-cnn1": "hpcnn status --help",
        "logs -f 1234": "hpcnn logs --help",
        "cancel 1234": "hpcnn cancel --help",
    }.items()
}
BENCH = "bench allreduce --site generic-slurm --nodes 2 --ntasks-per-node 4 --time 10 --wait"
LONG |= {f"hpcnn {BENCH} --output link.json": (SLURM, f"hpcnn {BENCH} --dry-run")}
LONG |= {
    "python docs/examples/pytorch_cnn.py digits.npz --weights weights.npz --epochs 3": (
        "it needs PyTorch (tests/docs/test_pytorch_form.py)",
        "python -m py_compile docs/examples/pytorch_cnn.py",
    )
}
SESSION = "interact --site bridges2 --gpus-per-node 1 --container tensorflow.sif"
LONG |= {
    f"hpcnn {SESSION}": (SLURM, f"hpcnn {SESSION} --dry-run"),
    "hpcnn notebook --site bridges2 --gpus-per-node 1 --container jupyter.sif": (
        "tests/cli/test_notebook.py starts it",
        "hpcnn notebook --site bridges2 --gpus-per-node 1 --container jupyter.sif --dry-run",
    ),
    "hpcnn sites init": (SLURM, "hpcnn sites init --help"),
    "hpcnn sites check ~/.config/hpcnn/sites/my-cluster.toml": (SLURM, "hpcnn sites check --help"),
    "hpcnn submit --site my-cluster --test-only": (SLURM, "hpcnn submit --site generic-slurm --test-only --dry-run"),
    "hpcnn tensorboard runs/board": ("it serves until it is interrupted", "hpcnn tensorboard runs/board --dry-run"),
}
LONG |= {
    "hpcnn export --mlflow tracking runs/small": (
        "it needs MLflow (tests/report/test_mlflow.py)",
        EXTRA.format("mlflow"),
    ),
    "apt-get install --no-install-recommends slurm-wlm slurmdbd munge mariadb-server iproute2": (ROOT_ALONE, "true"),
    "make testbed": (ROOT_ALONE, "make -n testbed"),
    "make testbed NODES=64": (ROOT_ALONE, "make -n testbed NODES=64"),
    "make testbed-down": (ROOT_ALONE, "make -n testbed-down"),
}
IMAGE = "it needs Apptainer, and minutes (tests/machine/container/test_build.py, tests/slurm/test_sif.py)"
LONG |= {
    f"hpcnn container {words}": (IMAGE, f"hpcnn container {words.split()[0]} --help")
    for words in (
        "build cpu",
        "build cpu --output hpcnn-cpu.sif",
        "build gpu --output hpcnn-gpu.sif",
        "check hpcnn-cpu.sif",
        "check hpcnn-cpu.sif --site narval",
        "path cpu",
    )
}
LONG |= {
    "apt-get install --no-install-recommends debootstrap patchelf squashfs-tools uidmap": (ROOT_ALONE, "true"),
    "python -m tests.testbed.apptainer install": (ROOT_ALONE, "true"),
}
OF_A_STUDY = "it needs the runs of a study that takes hours"
LONG |= {
    f"hpcnn {words}": (OF_A_STUDY, f"hpcnn {words} --help")  # options that there are not fail all the same
    for words in (
        "study submit my_model.toml --site narval --account def-prof",
        "scaling-report runs/my_model --format latex",
        "scaling-report runs/my_model --out proposal --html proposal/report.html",
        "scaling-report runs/my_model --table proposal --trainings 50",
        "scaling-report runs/my_model --table cost --target 0.5",
        "predict runs/my_model --ranks 1..64 --network infiniband-hdr",
        "scaling-report runs/my_model --budget 20",
    )
}
MINUTES = "it measures for minutes"
ON_SUMMIT = "--ranks 1..27360 --network infiniband-edr --ranks-per-node 6 --adapters 2 --algorithm hierarchical"
LONG |= {
    "make bench": (MINUTES, "make -n bench"),
    "make bench BENCH_REPEATS=10 PEERS=~/peers TORCH=~/torch": (
        MINUTES,
        "make -n bench BENCH_REPEATS=10",
    ),
    "python benchmarks/start.py --repeats 5 --json start.json": (MINUTES, "true"),
    "hpcnn study run horovod_benchmark_small": (MINUTES, "hpcnn study run horovod_benchmark_small --dry-run"),
    "hpcnn study run climate_small": (MINUTES, "hpcnn study run climate_small --dry-run"),
    f"hpcnn predict runs/climate_small {ON_SUMMIT}": (MINUTES, "hpcnn predict --help"),
    "hpcnn study run accuracy_ladder": (OF_A_STUDY, "hpcnn study run accuracy_ladder --dry-run"),
    "hpcnn scaling-report runs/accuracy_ladder --table lectures": (OF_A_STUDY, "hpcnn scaling-report --help"),
}
STAGES = "python docs/examples/stages/"
LONG |= {
    f"{launcher}{STAGES}{stage}.py": (
        "tests/docs/test_stages.py runs it",
        f"python -m py_compile {STAGES[7:]}{stage}.py",
    )
    for launcher, stage in (
        ("", "stage1_plain"),
        ("", "stage2_mirrored"),
        ("mpirun -np 2 ", "stage3_as_taught"),
        ("mpirun -np 2 ", "stage4_horovod"),
    )
}
LONG |= {
    "mpirun -np 2 python docs/examples/horovod_script.py": (
        "tests/docs/test_stages.py runs it",
        "python -m py_compile docs/examples/horovod_script.py",
    )
}
STAGE5 = f"-- {STAGES}stage5_hpcnn.py"
LONG |= {
    f"hpcnn submit --ntasks 2 {STAGE5}": (
        "tests/docs/test_stages.py trains it",
        f"hpcnn submit --ntasks 2 --dry-run {STAGE5}",
    )
}
# Commands that `make test-long` alone runs, on the page as a whole: what is run instead, and what proves the same.
ONLY_LONG = {
    "python docs/examples/distributed_script.py": (
        "python -m py_compile docs/examples/distributed_script.py",
        "tests/train/test_users_scripts_integration.py trains it alone, and as the plain script does",
    ),
    "hpcnn submit --ntasks 2 -- python docs/examples/distributed_script.py": (
        "hpcnn submit --ntasks 2 --dry-run -- python docs/examples/distributed_script.py",
        "tests/train/test_users_scripts_integration.py trains it on two ranks",
    ),
}
FROM_ROOT = ("make ", "containers/")

BIN = Path(sys.executable).parent


def _parameters() -> Sequence[object]:
    """Return every document that shows something to run, each marked by what it needs.

    One with commands of ONLY_LONG is there twice: without them, and as a whole for `make test-long`.
    """
    found = []
    for document in documents():
        texts = [command.text for block in blocks(document) for command in shown(block)]
        trains = [text for text in texts if text not in LONG and "--dry-run" not in text]
        several = not is_lesson(document) and any(
            re.search(r"--ntasks [2-9]|mpirun|study run|smoke", text) for text in trains
        )
        marks = [pytest.mark.slow, pytest.mark.mpi] if several else []
        if texts and document != WALKS:
            name = document.relative_to(ROOT).as_posix()
            found.append(pytest.param(document, ONLY_LONG, id=name, marks=marks))
            if ONLY_LONG.keys() & set(texts):
                found.append(pytest.param(document, {}, id=f"{name}, whole", marks=[*marks, pytest.mark.long]))
    return found


def shown(block: Block) -> list[Command]:
    """Return the commands of a block that shows some."""
    return commands(block) if block.language == "console" else []


def is_lesson(document: Path) -> bool:
    """Whether tests/docs/test_lessons.py runs its commands, all in one process: they are trainings."""
    return document in DECKS


@pytest.mark.parametrize(("document", "left_out"), _parameters())
def test_what_a_document_shows_to_run_runs(
    document: Path, left_out: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    prepare(tmp_path)
    instead = {text: other for text, (_, other) in LONG.items()} | {
        text: other for text, (other, _) in left_out.items()
    }
    for block in blocks(document):
        where = f"{document.name}:{block.line}"
        if block.file_name:
            (tmp_path / block.file_name).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            program = tmp_path / ".block.py"  # a file, whose process starts warm
            program.write_text(block.text, encoding="utf-8")
            code, printed = run([sys.executable, str(program)], tmp_path)
            assert code == 0, f"{where}:\n{printed}"
        for command in [] if is_lesson(document) else shown(block):
            text = instead.get(command.text, command.text)
            code, printed = run(["bash", "-c", text], ROOT if text.startswith(FROM_ROOT) else tmp_path)
            assert (code != 0) == command.fails, f"{where}: {command.text!r} ended with {code}:\n{printed}"
            if command.text not in instead:
                missing = missing_lines(command.output, printed)
                assert not missing, f"{where}: {command.text!r} does not print {missing}, but:\n{printed}"


def prepare(folder: Path) -> None:
    """Put into ``folder`` what the documents take for granted."""
    shutil.copytree(ROOT / "docs" / "examples", folder / "docs" / "examples")
    shutil.copytree(ROOT / "scaling_studies", folder / "scaling_studies")


def environment_of(folder: Path) -> dict[str, str]:
    """Return the environment of the commands: hpcnn is in the PATH, and no setting comes from outside the folder."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HPCNN_", "OMPI_", "PMIX_", "MAKE"))}
    environment |= {name: os.environ[name] for name in (warm_start.SOCKET,) if name in os.environ}
    return environment | {
        "PATH": f"{BIN}{os.pathsep}{environment.get('PATH', os.defpath)}",
        "XDG_CONFIG_HOME": str(folder / ".config"),
        "XDG_DATA_HOME": str(folder / ".data"),
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    }


def run(words: list[str], folder: Path) -> tuple[int, str]:
    """Run a command in ``folder``; return its exit status and what it printed. Leaves no process behind."""
    process = subprocess.Popen(
        words,
        cwd=folder,
        env=environment_of(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        printed, _ = process.communicate(timeout=SECONDS)
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=SECONDS)
        raise
    return process.returncode, printed


def test_every_block_has_a_language_that_is_checked() -> None:
    known = {"console", "python", "toml", "diff", "text", "json"}
    odd = [f"{d.name}:{b.line}: {b.language!r}" for d in documents() for b in blocks(d) if b.language not in known]
    assert not odd, f"write commands as ```console blocks with lines that begin with '$ ': {odd}"


def test_commands_that_are_not_run_are_shown_somewhere() -> None:
    texts = {command.text for document in documents() for block in blocks(document) for command in shown(block)}
    assert set(LONG) | set(ONLY_LONG) <= texts
    assert all(reason for reason, _ in LONG.values())
    proofs = " ".join(proof for _, proof in ONLY_LONG.values())
    assert all((ROOT / file).is_file() for file in re.findall(r"tests/[\w/]+\.py", proofs))


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    for target in links(document):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        assert file.exists(), f"{document.name}: {target}"
        assert file.is_relative_to(ROOT), f"{document.name}: {target} is outside the checkout"
        assert not anchor or anchor in anchors(file), f"{document.name}: {target}: there is no such heading"
