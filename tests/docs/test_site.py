"""The documents as a site: it builds without a warning, has every page and command, and asks nothing of the net."""

from __future__ import annotations

import html
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hpcnn.cli.main import main
from tests.docs.documents import ROOT
from tests.report import browser

INDEX = ROOT / "docs" / "index.md"


def tracked_documents() -> set[str]:
    """Return the documents below docs: in a clone those that git knows, so that nobody's draft fails others."""
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    known = subprocess.run(["git", "ls-files", "-z", "docs"], cwd=ROOT, capture_output=True, text=True)
    tracked = set(known.stdout.split("\0"))
    return there & tracked if known.returncode == 0 and len(tracked) > 1 else there


def test_every_document_is_in_the_navigation_once() -> None:
    pages = [page for index in (ROOT / "docs").rglob("index.md") for page in linked(index)]
    assert sorted(pages) == sorted(set(pages)), "linked twice"
    missing = tracked_documents() - set(pages) - {"docs/index.md"}
    assert not missing, "docs/index.md: a line '- [Title](page.md): what it is' for each, please"


def linked(index: Path) -> list[str]:
    """Return the documents that an index lists, relative to the checkout."""
    links = re.findall(r"^- \[.+?\]\(([\w./-]+\.md)\): \S", index.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [(index.parent / link).resolve().relative_to(ROOT).as_posix() for link in links]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the site, built as `make docs` does: a warning or a heavy import is an error."""
    pytest.importorskip("sphinx", reason="the site needs the extra docs")
    folder, forbidden = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("forbidden")
    for heavy in ("tensorflow", "keras", "horovod", "mpi4py"):
        (forbidden / f"{heavy}.py").write_text(f"raise SystemExit('the build of the site imports {heavy}')\n")
    words = ["--builder", "html", "--conf-dir", "docs", "--fail-on-warning", "--keep-going", "--quiet", ".", folder]
    ended = subprocess.run(
        [sys.executable, "-m", "sphinx", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(forbidden)},
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return folder


def test_make_docs_builds_it_so() -> None:
    ended = subprocess.run(["make", "-n", "docs"], cwd=ROOT, capture_output=True, text=True)
    assert "sphinx --builder html --conf-dir docs --fail-on-warning --keep-going --quiet . build/site" in ended.stdout


def test_the_site_has_every_document(site: Path) -> None:
    pages = {path.relative_to(site).with_suffix(".md").as_posix() for path in site.rglob("*.html")}
    assert tracked_documents() <= pages
    assert (site / "index.html").exists()


def test_links_to_other_files_of_the_checkout_lead_to_them(site: Path) -> None:
    page = (site / "docs" / "notebooks.html").read_text(encoding="utf-8")
    target = re.search(r'href="([^"]+first-training\.ipynb)"', page)
    assert target
    assert (site / "docs" / target.group(1)).resolve().exists()


def tree(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield ``command`` and every command below it that is not hidden, with its words."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path[-1])
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            if not below.hidden:
                yield from tree(below, (*path, name))


def test_the_reference_has_every_command_with_every_option(site: Path) -> None:
    page = (site / "docs" / "commands.html").read_text(encoding="utf-8")
    sections = set(re.findall(r'<section id="([\w-]+)"', page))
    commands = list(tree(main, ("hpcnn",)))
    assert len(commands) > 30
    for path, command in commands:
        name = "-".join(path)
        assert name in sections, f"{' '.join(path)} is missing"
        section = page.partition(f'<section id="{name}"')[2].partition("<section id=")[0]
        text = html.unescape(re.sub(r"<[^>]+>", "", section))
        options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
        missing = [option.opts[0] for option in options if option.opts[0] not in text]
        assert not missing, f"{' '.join(path)}: {missing}"


def test_the_module_map_is_on_the_site(site: Path) -> None:
    page = (site / "docs" / "modules.html").read_text(encoding="utf-8")
    for module in ("train/loop.py", "jobs/script.py", "machine/tune/"):
        assert f">{module}</span>" in page


def test_the_keys_of_files_are_on_the_site(site: Path) -> None:
    page = (site / "docs" / "keys.html").read_text(encoding="utf-8")
    for key in ("partition_gpu", "repeats", "learning_rate", "cpus_per_task", "container"):
        assert f">{key}</span>" in page


def test_blocks_of_commands_have_a_button_that_copies_without_the_prompt(site: Path) -> None:
    assert "copybutton.js" in (site / "docs" / "tutorial.html").read_text(encoding="utf-8")
    script = (site / "_static" / "copybutton.js").read_text(encoding="utf-8")
    assert re.search(r"formatCopyText\(text, '\$ ', false, true, true", script)


def test_what_commands_print_is_not_highlighted_as_commands(site: Path) -> None:
    page = (site / "docs" / "first-job.html").read_text(encoding="utf-8")
    printed = html.unescape(" ".join(re.findall(r'<span class="go">(.*?)</span>', page, re.DOTALL)))
    for line in ("#!/usr/bin/env bash", "#SBATCH --ntasks-per-node=2", "base"):
        assert line in printed
    prompts = re.findall(r'<span class="gp">(.*?)</span>', page)
    assert len(prompts) == page.count('<span class="gp">$ </span>')


def test_a_diff_has_a_colour_for_each_side(site: Path) -> None:
    page = (site / "README.html").read_text(encoding="utf-8")
    assert "_static/hpcnn.css" in page
    assert re.search(r'highlight-diff.*<span class="gd">-.*<span class="gi">\+', page, re.DOTALL)


@pytest.mark.long
@pytest.mark.slow
def test_no_page_scrolls_sideways_on_a_telephone(site: Path, tmp_path: Path) -> None:
    if browser.find() is None:
        pytest.skip("needs a browser: apt-get install chromium")
    wide = {}
    with browser.chromium(tmp_path / "profile") as page:
        for file in sorted(site.rglob("*.html")):
            page.open(file, width=390, height=844)
            if (width := page.run("document.documentElement.scrollWidth")) > 390:
                wide[file.relative_to(site).as_posix()] = width
    assert not wide


PUBLIC = {
    "hpcnn": ["hpcnn.init", "hpcnn.Run", "hpcnn.Run.shard", "hpcnn.run", "hpcnn.Result", "hpcnn.Result.epochs"],
    "report": [
        "hpcnn.report.load.find_runs",
        *(
            f"hpcnn.report{module}.{name}"
            for module in ("", ".fits", ".diagnose", ".plots", ".advice")
            for name in importlib.import_module(f"hpcnn.report{module}").__all__
        ),
    ],
    "networks-and-data": [
        "hpcnn.models.registry.build",
        "hpcnn.data.registry.load",
        "hpcnn.scratch.boundary",
        "hpcnn.scratch.Boundary",
    ],
    "errors": ["hpcnn.errors.HpcnnError", "hpcnn.errors.RunError", "hpcnn.errors.UsageError"],
}


@pytest.mark.parametrize("page", PUBLIC)
def test_the_python_interface_is_on_the_site(page: str, site: Path) -> None:
    content = (site / "docs" / "api" / f"{page}.html").read_text(encoding="utf-8")
    for name in PUBLIC[page]:
        assert f'id="{name}"' in content, name
        entry = content.partition(f'id="{name}"')[2].partition("</dd>")[0]
        assert "<p>" in entry, f"{name} has no docstring"


def test_parameters_are_shown_each_by_itself(site: Path) -> None:
    content = (site / "docs" / "api" / "hpcnn.html").read_text(encoding="utf-8")
    init = content.partition('id="hpcnn.init"')[2].partition('id="hpcnn.Run"')[0]
    assert re.findall(r"<p><strong>(\w+)</strong>", init) == ["strategy", "run_dir"]


def test_the_pages_ask_nothing_of_the_net(site: Path) -> None:
    loads = re.compile(r'<(?:script|img|link|iframe|source)\b[^>]*?\b(?:src|href)="(https?:)?//', re.IGNORECASE)
    asking = [path.name for path in site.rglob("*.html") if loads.search(path.read_text(encoding="utf-8"))]
    styles = [path.name for path in site.rglob("*.css") if re.search(r"url\(\W?https?:|@import", path.read_text())]
    assert not asking + styles
