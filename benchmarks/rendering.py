"""How fast job scripts are made, and with how many calls of sbatch a study of 1,000 points is submitted.

``python benchmarks/rendering.py [--peers FOLDER] [--repeats N] [--json FILE]`` renders 10,000 scripts with different
resources by hpcnn; beside it the same template with the same values by Jinja2 alone, which shows what looking after
sites, quotes and limits costs; and scripts by submitit and torchx, where the environment FOLDER has them. Then it
submits a study of 1,000 points to an sbatch that counts and answers, as arrays and, at a site that allows none, one by
one.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jinja2
from common import PEERS, Result, machine, markdown, parser, report

from hpcnn import __version__
from hpcnn.jobs import script as render
from hpcnn.sites.load import load_site
from hpcnn.specs.job import JobSpec
from hpcnn.specs.resources import Resources
from hpcnn.specs.train import TrainSpec
from hpcnn.util.share import share_dir

PLACE = render.Place("/project/runs/first", "/project", "/venv/bin", ("/venv/bin/hpcnn",), {})
SITE = load_site("generic-slurm")
SCRIPTS, STUDY = "job scripts", "study of {} points"
# Peers make a share of the scripts: their rate shows sooner.
PEER_SHARE = {"submitit": 10, "torchx": 100}

STUDY_FILE = """
name = "many"
repeats = 1
[train]
data = "digits"
strategy = "horovod"
[axes]
seed = {seeds}
ntasks = [1, 2, 4, 8]
"""
# No jobs: the header lines alone.
SQUEUE = "#!/bin/sh\necho 'JOBID|STATE|REASON|TIME|NODELIST|START_TIME'\n"
SACCT = "#!/bin/sh\necho 'JobID|State|Elapsed|NodeList|ExitCode'\n"
SBATCH = """#!/bin/sh
echo "$@" >> "$HPCNN_BENCHMARK_CALLS"
echo "$(wc -l < "$HPCNN_BENCHMARK_CALLS")"
"""


def job(number: int) -> JobSpec:
    """Return a job whose resources are its own."""
    nodes = 1 + number % 8
    resources = Resources(nodes=nodes, ntasks=4 * nodes, cpus_per_task=8, time=f"{1 + number}", mem="16G")
    return JobSpec("first", SITE.name, resources, TrainSpec(strategy="horovod"))


def by_hpcnn(number: int) -> str:
    """Return the script of a job as ``hpcnn submit --dry-run`` prints it."""
    return render.render(job(number), SITE, PLACE)


def by_jinja() -> Callable[[int], str]:
    """Return a function that makes the same scripts by the template alone, all else written by hand."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(share_dir("templates")),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["sh"] = lambda value: shlex.quote(str(value))
    environment.filters["words"] = shlex.join
    environment.filters["command_lines"] = lambda command, run_dir: command
    template = environment.get_template(SITE.template)
    launch = (
        "srun \\\n    --ntasks={} \\\n    --cpus-per-task=8 \\\n    --export=ALL \\\n    --kill-on-bad-exit=1 \\\n    "
        '/venv/bin/hpcnn train \\\n    --run-dir "$run_dir" \\\n    --model scinet-cnn1 \\\n    --data digits \\\n    '
        "--strategy horovod"
    )

    def made(number: int) -> str:
        nodes = 1 + number % 8
        asked = f"--nodes={nodes}", "--ntasks-per-node=4", "--cpus-per-task=8", f"--time={1 + number}", "--mem=16G"
        head = "--job-name=first", f"--output={PLACE.run_dir}/log.out", "--open-mode=append"
        signal = f"--signal=B:USR2@{min(120, 60 * (1 + number) // 4)}"
        return template.render(
            title=f"first: scinet-cnn1 on digits, horovod, {4 * nodes} ranks, site generic-slurm",
            version=__version__,
            run_dir=PLACE.run_dir,
            directory=PLACE.directory,
            hpcnn=PLACE.hpcnn,
            environment={},
            strategy="horovod",
            ntasks=4 * nodes,
            cpus_per_task=8,
            mpirun=True,
            allocation=None,
            command=launch.format(4 * nodes),
            bin=PLACE.bin,
            directives=[*head, signal, *asked, "--no-requeue"],
            modules=[],
            setup=[],
            image=None,
            data=None,
            local_disk=None,
            resume=False,
            stated={},
            rendezvous=False,
            requeue=False,
            requeue_limit=10,
        )

    return made


def rate(make: Callable[[int], str], count: int) -> float:
    """Return scripts a second."""
    begin = time.perf_counter()
    for number in range(count):
        make(number)
    return count / (time.perf_counter() - begin)


def rate_of_peer(python: Path, which: str, count: int) -> float | None:
    """Return scripts a second of a peer, or None where the environment does not have it."""
    with tempfile.TemporaryDirectory() as folder:
        words = [str(python), str(PEERS / "job_scripts.py"), which, str(count)]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    if "ModuleNotFoundError" in done.stderr:
        return None
    done.check_returncode()
    return count / float(done.stdout)


def submit_study(points: int, arrays: bool) -> tuple[float, int]:
    """Submit a study by ``hpcnn study submit`` to an sbatch that counts; return seconds and calls."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bin").mkdir()
        (folder / "config" / "sites").mkdir(parents=True)
        for command, text in (("sbatch", SBATCH), ("squeue", SQUEUE), ("sacct", SACCT)):
            (folder / "bin" / command).write_text(text)
            (folder / "bin" / command).chmod(0o755)
        (folder / "study.toml").write_text(STUDY_FILE.format(seeds=list(range(1, points // 4 + 1))))
        (folder / "config" / "sites" / "generic-slurm.toml").write_text(f"arrays = {str(arrays).lower()}\n")
        calls = folder / "calls"
        calls.touch()
        environment = {
            **os.environ,
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HPCNN_CONFIG": str(folder / "config"),
            "HPCNN_BENCHMARK_CALLS": str(calls),
        }
        words = [sys.executable, "-m", "hpcnn", "study", "submit", "study.toml", "--site", "generic-slurm"]
        begin = time.perf_counter()
        subprocess.run(words, cwd=folder, env=environment, check=True, capture_output=True)
        return time.perf_counter() - begin, len(calls.read_text().splitlines())


def measure(peers: Path | None, scripts: int, points: int, repeats: int) -> Iterator[tuple[str, str, str, float]]:
    """Yield case, way, unit and value: all ways in turn, repeat after repeat."""
    plain = by_jinja()
    assert plain(7) == by_hpcnn(7)
    for _ in range(repeats):
        yield SCRIPTS, "hpcnn", "scripts/s", rate(by_hpcnn, scripts)
        yield SCRIPTS, "Jinja2 alone", "scripts/s", rate(plain, scripts)
        for which, share in PEER_SHARE.items() if peers else ():
            found = rate_of_peer(peers / "bin" / "python", which, max(scripts // share, 1)) if peers else None
            if found:
                yield SCRIPTS, which, "scripts/s", found
        for way, arrays in (("arrays", True), ("one by one", False)):
            seconds, calls = submit_study(points, arrays)
            yield STUDY.format(points), f"{way}: {calls} calls of sbatch", "s", seconds


def table(results: list[Result]) -> str:
    """Return the results as a Markdown table; ratios above 1 say that hpcnn (or arrays) is faster."""
    first = {one.case: one for one in reversed(results)}
    rows = []
    for one in results:
        base = first[one.case]
        ratio = one.median / base.median if one.unit == "s" else base.median / one.median
        form = ",.2f" if one.unit == "s" else ",.0f"
        shown = "" if one is base else f"{ratio:.2f}"
        rows.append([one.case, one.way, f"{one.median:{form}} {one.unit}", one.spread(form), shown])
    return markdown(["what", "way", "median", "min..max", "first is x faster"], rows)


def main() -> None:
    """Measure, print, and write what was measured."""
    made = parser(__doc__, repeats=5)
    made.add_argument("--peers", type=Path, help="environment with torchx and submitit")
    options = made.parse_args()
    scripts, points, repeats = (100, 8, 1) if options.smoke else (10_000, 1_000, options.repeats)
    facts, found = machine(), dict[tuple[str, str], Result]()
    for case, way, unit, value in measure(options.peers, scripts, points, repeats):
        found.setdefault((case, way), Result(case, way, unit)).values.append(value)
        print(f"{case}, {way}: {value:,.2f} {unit}", file=sys.stderr)
    results = sorted(found.values(), key=lambda one: one.case)
    report("rendering", facts, table(results), results, options.json)


if __name__ == "__main__":
    main()
