"""What the documents say of the code is what the code is: the module map, the example's diff, the files of a run."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib.util
import json
import re
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from hpcnn.sites.profile import Site
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.specs.study import StudySpec
from hpcnn.specs.train import TrainSpec
from hpcnn.util.toml import read as read_toml
from tests.docs.documents import ROOT, blocks, documents

Command = Callable[..., "subprocess.CompletedProcess[str]"]

PACKAGE = ROOT / "hpcnn"


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_every_module_says_in_a_sentence_what_it_is_for() -> None:
    lines = {
        path.relative_to(PACKAGE).as_posix(): of_the_site("module_map").first_line(path) for path in package_sources()
    }
    odd = {name: line for name, line in lines.items() if not line.endswith(".") or not 10 <= len(line) <= 120}
    assert len(lines) > 250
    assert not odd, "the first line of a module's docstring is a sentence of at most 120 characters"


def test_the_module_map_names_every_module_with_its_sentence() -> None:
    shown = dict(re.findall(r"^\| `(\S+)` \| (.+) \|$", of_the_site("module_map").module_map(), flags=re.MULTILINE))
    for path in package_sources():
        name = path.relative_to(PACKAGE).as_posix().removesuffix("__init__.py") or "__init__.py"
        assert shown.get(name, "").replace("`", "") == of_the_site("module_map").first_line(path).replace("`", ""), name


@functools.cache
def of_the_site(name: str) -> ModuleType:
    """Return a module of docs/, which no package holds."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_architecture_names_files_and_rooms_that_exist() -> None:
    document = text("docs/architecture.md")
    named = set(re.findall(r"`((?:\w+/)+(?:[\w.]+\.(?:py|toml|j2))?|\w+\.(?:py|toml|md))`", document)) - OF_OTHERS
    assert len(named) > 80
    missing = [name for name in sorted(named) if not any((base / name).exists() for base in (PACKAGE, ROOT))]
    assert not missing


# A checkout need not have them: the reader's own files, and those of a run.
OF_OTHERS = {"laptop.toml", "name.py", "name.toml"}


def test_the_architecture_names_every_room() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    table = text("docs/architecture.md").partition("\n## Rooms\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(\w+)/`", table)) == rooms


DECISION_PARTS = ["Context", "Decision", "Consequences", "What was measured"]


def decisions() -> list[Path]:
    return sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))


def test_decisions_are_numbered_in_order_and_all_in_the_index() -> None:
    index = text("docs/decisions/index.md")
    for number, path in enumerate(decisions(), start=1):
        title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        assert path.name.startswith(f"{number:03d}-")
        assert title.startswith(f"{number:03d}: ")
        assert index.count(f"- [{title}]({path.name}): ") == 1, title
    assert len(decisions()) == len(re.findall(r"^- \[", index, re.MULTILINE)) > 20


@pytest.mark.parametrize("path", decisions(), ids=lambda path: path.name[:3])
def test_a_decision_has_its_parts(path: Path) -> None:
    assert re.findall(r"^## (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE) == DECISION_PARTS


def test_documents_name_files_of_the_checkout_that_exist() -> None:
    places = r"`((?:hpcnn|tests|docs|containers|templates|benchmarks|scaling_studies)/[\w/.-]+)`"
    named = {(path.name, name) for path in documents() for name in re.findall(places, path.read_text(encoding="utf-8"))}
    assert len(named) > 80
    assert not [found for found in sorted(named) if found[1] not in WRITTEN and not (ROOT / found[1]).exists()]


# What commands write: a cache, the results of benchmarks.
WRITTEN = {"hpcnn/reports", "benchmarks/results/NAME.json"}


def package_sources() -> set[Path]:
    """Return the package's modules: in a clone those that git knows, so that nobody's work in progress fails others."""
    there = set(PACKAGE.rglob("*.py"))
    known = subprocess.run(["git", "ls-files", "-z", "hpcnn"], cwd=ROOT, capture_output=True, text=True)
    tracked = {ROOT / name for name in known.stdout.split("\0") if name}
    return there & tracked if known.returncode == 0 and tracked else there


def example_diff() -> list[str]:
    course, distributed = "docs/examples/lecture_script.py", "docs/examples/distributed_script.py"
    lines = text(course).splitlines(), text(distributed).splitlines()
    return list(difflib.unified_diff(*lines, course, distributed, lineterm=""))


def shown_diff(document: str) -> list[str]:
    found = [block.text.splitlines() for block in blocks(ROOT / document) if block.language == "diff"]
    assert len(found) == 1
    return found[0]


def test_own_script_shows_the_whole_difference_of_the_two_examples() -> None:
    assert [line.rstrip() for line in shown_diff("docs/own-script.md")] == [line.rstrip() for line in example_diff()]


def test_the_readme_shows_the_changed_lines_of_that_difference() -> None:
    changed = [line for line in example_diff() if line[0] in "+-" and not line.startswith(("+++", "---"))]
    assert [line for line in shown_diff("README.md") if line != "+"] == [
        line for line in changed if line != "+" and '"""' not in line
    ]


def test_the_readme_is_short_and_has_a_place_for_the_table() -> None:
    readme = text("README.md")
    assert len(readme.splitlines()) <= 160
    assert max(len(line) for line in readme.splitlines() if not line.startswith(("!", "| "))) <= 100
    assert re.search(r"<!-- table:strong_scaling -->\n\| ranks .+\n<!-- /table -->", readme, re.DOTALL)


def test_the_changelog_and_the_citation_have_this_version_and_its_date() -> None:
    from hpcnn import __version__

    newest = re.search(r"^## \[(.+)\] - (\d{4}-\d\d-\d\d)$", text("CHANGELOG.md"), re.MULTILINE)
    assert newest
    assert newest[1] == __version__
    citation = yaml.safe_load(text("CITATION.cff"))
    assert (citation["version"], citation["date-released"]) == newest.groups()
    assert citation["license"] == project()["license"]


def project() -> dict[str, Any]:
    """Return what pyproject.toml says of the project."""
    return dict(read_toml(ROOT / "pyproject.toml")["project"])


@pytest.mark.parametrize("document", ["README.md", "docs/slurm.md", "docs/containers.md"])
def test_documents_that_show_a_version_show_this_one(document: str) -> None:
    from hpcnn import __version__

    shown = re.findall(r"(?<=hpcnn )\s*(\d+\.\d+\.\d+)\b", text(document))
    assert set(shown) == {__version__}


def test_before_a_commit_the_checks_of_make_lint_run() -> None:
    (repository,) = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]
    assert repository["repo"] == "local"
    assert not any(hook["pass_filenames"] for hook in repository["hooks"])
    hooks = [hook["entry"] for hook in repository["hooks"]]
    lint = subprocess.run(["make", "-n", "lint"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert lint.splitlines()[-len(hooks) :] == hooks


def test_the_source_distribution_has_every_file_of_the_checkout() -> None:
    """What it lacks is for git alone; so its documents, its tests and its Makefile work."""
    given = read_toml(ROOT / "pyproject.toml")["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("no clone of git")
    tops = {name.partition("/")[0] for name in listed.stdout.split("\0") if name}
    assert tops - {".git-blame-ignore-revs", ".gitignore", "pyproject.toml"} == set(given)


def test_studies_lists_the_studies_that_come_along() -> None:
    there = {path.stem for path in (ROOT / "scaling_studies").glob("*.toml")}
    section = text("docs/studies.md").partition("## What comes along")[2]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == there
    assert set(re.findall(r"^\| \[(\w+)\]", text("scaling_studies/README.md"), re.MULTILINE)) == there


def test_studies_lists_the_keys_of_a_study_file() -> None:
    from hpcnn.specs.study import StudySpec

    table = text("docs/studies.md").partition("| key | meaning |")[2].partition("\n\n")[0]
    keys = {key.strip("[]") for key in re.findall(r"^\| `([\w\[\]]+)` \|", table, re.MULTILINE)}
    assert keys == set(StudySpec.__dataclass_fields__)


def test_search_lists_the_keys_of_a_search_file() -> None:
    from hpcnn.search.spec import Options

    table = text("docs/search.md").partition("| key of `[search]` | meaning |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(Options.__dataclass_fields__)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory, hpcnn: Command) -> Path:
    """Return the run directory of a small training that was submitted."""
    pytest.importorskip("tensorflow", reason="a training needs TensorFlow (make venv)")
    path = tmp_path_factory.mktemp("run") / "run"
    options = {"--model": "scinet-dense-tanh", "--samples": 200, "--epochs": 2, "--target-accuracy": 0.01}
    ended = hpcnn("submit", "--run-dir", path, *(word for pair in options.items() for word in pair))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return path


# A key of an epoch, and an event (tests/train/test_resume_integration.py sees both); a key of an epoch with a profile.
OF_RESUMED_RUNS = {"resumed"}
OF_PROFILED_RUNS = {"profiled"}
OF_REMARKABLE_RUNS = {"note", "bad_samples"}
OF_GPUS = {"gpus"}


def documented(file: str) -> set[str]:
    """Return the keys that docs/run-directory.md lists for a file."""
    section = text("docs/run-directory.md").partition(f"\n## {file}\n")[2].partition("\n## ")[0]
    section = section.partition("\n### usage\n")[0]  # keys within a key
    return set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE))


def keys_in(records: Iterable[dict[str, Any]]) -> set[str]:
    return {key for record in records for key in record}


def records(file: Path) -> list[dict[str, Any]]:
    content = file.read_text(encoding="utf-8")
    return [json.loads(line) for line in content.splitlines()] if file.suffix == ".jsonl" else [json.loads(content)]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("spec.json", "spec.json"),
        ("provenance.json", "provenance.json"),
        ("epochs.rankNNNNN.jsonl", "epochs.rank00000.jsonl"),
        ("events.jsonl", "events.jsonl"),
        ("result.json", "result.json"),
    ],
)
def test_the_files_of_a_run_have_the_documented_keys(name: str, file: str, run_dir: Path) -> None:
    assert (
        keys_in(records(run_dir / file)) == documented(name) - OF_RESUMED_RUNS - OF_PROFILED_RUNS - OF_REMARKABLE_RUNS
    )


def test_the_documented_keys_of_a_host_and_the_documented_events_are_there(run_dir: Path) -> None:
    document = text("docs/run-directory.md")
    hosts = re.search(r"^\| `hosts` \| (.+) \|$", document, re.MULTILINE)
    events = re.search(r"^\| `key` \| \| (.+) \|$", document, re.MULTILINE)
    assert hosts
    assert events
    host = keys_in(records(run_dir / "provenance.json")[0]["hosts"])
    assert set(re.findall(r"`(\w+)`", hosts.group(1))) - {"CPU"} - OF_GPUS == host
    documented_events = set(re.findall(r"`(\w+)`", events.group(1))) - OF_RESUMED_RUNS - OF_REMARKABLE_RUNS
    assert documented_events == {event["key"] for event in records(run_dir / "events.jsonl")}


def test_the_files_of_a_run_are_those_of_the_list(run_dir: Path) -> None:
    block = next(block for block in blocks(ROOT / "docs/run-directory.md") if block.language == "text")
    listed = set(re.findall(r"^  (\S+)", block.text, re.MULTILINE))
    assert {path.name for path in run_dir.iterdir()} <= {name.rstrip("/") for name in listed}


def test_a_missing_horovod_is_said_as_documented(tmp_path: Path, hpcnn: Command) -> None:
    pytest.importorskip("tensorflow", reason="a training needs TensorFlow (make venv)")
    (tmp_path / "horovod").mkdir()
    (tmp_path / "horovod" / "__init__.py").write_text("raise ImportError(\"No module named 'horovod'\")\n")
    # PYTHONPATH comes before the environment's own packages
    ended = hpcnn("train", "--run-dir", tmp_path / "run", "--strategy", "horovod", PYTHONPATH=str(tmp_path))
    assert ended.returncode == 1
    assert ended.stderr.strip() in text("docs/troubleshooting.md")


def test_ranks_that_differ_are_said_as_documented() -> None:
    from types import SimpleNamespace

    import numpy as np

    from hpcnn.train.agreement import check_same_weights
    from hpcnn.util.errors import RunError

    differing = SimpleNamespace(
        processes=2,
        communicates=True,
        is_chief=True,
        extremes=lambda values: (np.array(values), np.array(values) + 1),
        collect=lambda facts: [facts, {"weights": facts["weights"] + 1}],
        share=lambda answer: answer,
    )
    with pytest.raises(RunError) as caught:
        check_same_weights(SimpleNamespace(weights=[]), differing)
    assert str(caught.value) in text("docs/troubleshooting.md")


def test_the_reference_of_keys_has_every_key_with_its_meaning() -> None:
    parts = of_the_site("key_tables").with_tables(text("docs/keys.md")).split("\n## ")[1:]
    kinds = (Site, StudySpec, TrainSpec, Resources, SoftwareSpec)
    for kind, part in zip(kinds, parts, strict=True):
        rows = re.findall(r"^\| `(\w+)` \| `[a-z ]+` \| .*? \| \S.*\|$", part, re.MULTILINE)
        assert rows == [field.name for field in dataclasses.fields(kind)]


def test_a_key_has_its_type_and_its_default_as_toml_writes_them() -> None:
    page = of_the_site("key_tables").with_tables(text("docs/keys.md"))
    assert "| `kind` | `string` | `throughput` |" in page
    assert "| `modules` | `list` |  |" in page
    assert "| `arrays` | `true or false` | `true` |" in page
