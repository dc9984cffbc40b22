"""The page is complete, safe and true: what it says is what the runs hold, and nothing they hold can act in it."""

import base64
import csv
import hashlib
import html.parser
import itertools
import json
import re
import sys

import pandas as pd
import pytest
from click.testing import CliRunner

pytest.importorskip("matplotlib", reason="pictures need matplotlib: pip install 'hpcnn[report]'")

from hpcnn.cli.main import main
from hpcnn.figures.scaling.prediction import prediction_plot
from hpcnn.report import load, scaling_table
from hpcnn.report.files import write_report
from tests.synthetic.parts import amend, rank, write_parts
from tests.synthetic.runs import write_run

HOSTILE = (
    '<script>window.pwned = 1</script><img src=x onerror="window.pwned = 1">\'"&</td></style>]]>--><svg onload=a()>'
)


class Page(html.parser.HTMLParser):
    """Elements with their attributes and text, in order."""

    VOID = ("meta", "link", "img", "br", "wbr")

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], text
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "text": "", **dict(attributes)}
        self.elements.append(element)
        if tag not in self.VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop()["tag"] == tag, tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag, **attributes):
        wanted = {key.rstrip("_"): value for key, value in attributes.items()}
        return [e for e in self.elements if e["tag"] == tag and all(e.get(k) == v for k, v in wanted.items())]


def report(folder, *options):
    return CliRunner().invoke(main, ["scaling-report", str(folder), *map(str, options)])


def page_of(folder, *options):
    file = folder.parent / "report.html"
    result = report(folder, "--html", file, *options)
    assert result.exit_code == 0, result.output
    return Page(file.read_text(encoding="utf-8"))


def write_study(folder, name="scale"):
    """Six runs on 1 rank (10 s) and on 2 (8 s: 5 s computing, 3 s communication), one that failed; all named so."""
    train = {"option": name}
    slow = rank(compute=5.0, communication=3.0)
    for repeat in range(1, 7):
        base = {"study": name, "repeat": repeat, "cpu_model": name, "train": train}
        write_parts(folder / f"one-{repeat}", [rank(compute=10.0)], **base)
        run = write_parts(folder / f"two-{repeat}", [slow, slow], tensors=2, hosts=[name, name], **base)
        amend(run, slurm={"SLURM_JOB_PARTITION": name}, versions={"keras": name}, git_commit=name)
    failed = write_run(folder / "failed", study=name, status="failed")
    failed.write_result("failed", exit_code=1, reason=name)
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return the folder of a study, in which one report wrote a page over an older one, all files, and its output."""
    folder = tmp_path_factory.mktemp("plain")
    write_study(folder / "study")
    (folder / "report.html").write_text("an older page " * 1_000_000, encoding="utf-8")
    words = ("--html", folder / "report.html", "--out", folder / "out", "--base", "ranks=1", "--format", "json")
    result = report(folder / "study", *words)
    assert result.exit_code == 0, result.output
    (folder / "stdout.json").write_text(result.stdout)
    return folder


@pytest.fixture(scope="module")
def plain(written):
    """Return the page of a study whose names are plain."""
    return Page((written / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Return the page of a study whose names are an attack."""
    return page_of(write_study(tmp_path_factory.mktemp("hostile") / "study", HOSTILE))


@pytest.fixture(params=["plain", "hostile"])
def page(request):
    """Return the page of plain names, and that of hostile ones."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def unrepeated(tmp_path_factory):
    """Return the page of a study that comes along, on 1 and 2 ranks, without repeats or accuracy."""
    folder = tmp_path_factory.mktemp("unrepeated") / "runs"
    for ranks in (1, 2):
        write_run(folder / f"{ranks}", ranks=ranks, study="smoke", accuracy=None, seconds=[10.0 / ranks] * 2)
    return page_of(folder)


def test_every_element_is_closed_and_no_id_is_used_twice(page):
    assert page.open == []
    ids = [element["id"] for element in page.elements if "id" in element]
    assert len(ids) == len(set(ids))


def test_references_lead_to_what_is_there(page):
    ids = {element["id"] for element in page.elements if "id" in element}
    for element in page.elements:
        if element.get("href", "").startswith("#"):
            assert element["href"][1:] in ids
        for name in (element.get("aria-labelledby") or "").split():
            assert name in ids
        for value in (value for value in element.values() if isinstance(value, str)):
            assert set(re.findall(r"url\(#([^)]+)\)", value)) <= ids


def test_nothing_is_loaded_from_elsewhere(page):
    for element in page.elements:
        for key in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
            assert element.get(key, "#").startswith(("#", "data:")), element
        assert element["tag"] not in ("iframe", "object", "embed", "form", "base", "video", "audio")
    style = page.all("style")[0]["text"]
    assert "@import" not in style
    assert "url(" not in style


def test_the_policy_allows_the_one_script_and_the_one_style_by_their_hash(page):
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy["content"].split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    for tag in ("script", "style"):
        (element,) = page.all(tag)
        digest = base64.b64encode(hashlib.sha256(element["text"].encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"
    # the policy comes before anything that it is to hold for
    assert [element["tag"] for element in page.elements].index("meta") < 4


def test_no_element_has_a_handler_or_a_style_of_its_own(page):
    for element in page.elements:
        assert not [key for key in element if key.startswith("on")], element
        assert "style" not in element, element


def test_what_runs_say_is_text(hostile):
    assert len(hostile.all("script")) == len(hostile.all("style")) == 1
    assert {element["tag"] for element in hostile.elements if element["tag"] == "img"} == set()
    assert HOSTILE in hostile.all("title")[0]["text"]
    facts = {element["text"] for element in hostile.all("dd")}
    assert HOSTILE in facts
    cells = {element["text"] for element in hostile.all("td")}
    assert HOSTILE in " ".join(cells)


def test_every_picture_has_a_title_and_words_with_its_numbers(page):
    pictures = page.all("svg", role="img")
    assert len(pictures) == len(page.all("figure")) == 7
    by_id = {element["id"]: element for element in page.elements if "id" in element}
    for picture in pictures:
        title, words = (by_id[name] for name in picture["aria-labelledby"].split())
        assert (title["tag"], words["tag"]) == ("title", "desc")
        assert title["text"]
        assert re.search(r"\d", words["text"])
    assert "2 ranks 8.00 s (interval 8.00 to 8.00 s)" in by_id["time-d"]["text"]
    assert all(picture["viewbox"] for picture in pictures)


def test_texts_in_pictures_are_texts_in_the_colour_of_the_page(page):
    labels = [element for element in page.all("text") if element["text"] == "seconds per epoch"]
    assert [label["class"] for label in labels] == ["f-ink"]
    used = {name for element in page.elements for name in (element.get("class") or "").split() if name[1:2] == "-"}
    style = page.all("style")[0]["text"]
    assert used
    for name in used:
        assert f".{name}{{" in style
    assert page.text.count("prefers-color-scheme:dark") == 1


def test_the_summary_is_three_sentences_of_what_was_measured(plain):
    (summary,) = plain.all("p", class_="summary")
    assert summary["text"].strip() == (
        "12 runs of cnn on 1 to 2 ranks (Model C CPU) are counted; 1 more are left out, each with its reason. "
        "scale, strong scaling: an epoch took 8.00 s on 2 ranks, a speed-up of 1.25, an efficiency of 62.5% over the "
        "base case of 1 rank, 10.0 s per epoch (median of 6 runs), with a 95.9% interval of 62.5% to "
        "62.5%. "
        "The test accuracy after the last epoch was 90.00% (medians over runs); the costliest reason found for what "
        "was lost is the bandwidth of communication (scale, 2 ranks on 1 node)."
    )


def test_a_summary_without_repeats_or_accuracy_claims_neither(unrepeated):
    (summary,) = unrepeated.all("p", class_="summary")
    assert ". Only 1 run of a size: no meaningful interval (4 are needed for 95 %)." in summary["text"]
    assert summary["text"].strip().endswith("No test accuracy is recorded, so speed stands alone.")


def test_the_summary_names_gpus_placements_and_repeats_in_doubt(tmp_path):
    for ranks, nodes, seconds in ((1, 1, (10.0, 10.1, 14.0, 14.1)), (4, 1, (3.0, 3.1)), (4, 2, (3.5, 3.6))):
        for repeat, own in enumerate(seconds):
            resources = {"nodes": nodes, "ntasks": ranks, "cpus_per_task": 1, "gpus_per_node": 4}
            run = tmp_path / "runs" / f"{ranks}-{nodes}-{repeat}"
            write_run(run, ranks=ranks, repeat=repeat, seconds=[own], resources=resources, device="H100")
    (summary,) = page_of(tmp_path / "runs").all("p", class_="summary")
    assert "on 1 to 4 ranks (H100) are counted" in summary["text"]
    assert "s on 4 ranks on 2 nodes, a speed-up of" in summary["text"]
    assert "The repeats of 1 row of the table are in doubt: see the quality of this measurement." in summary["text"]


def test_a_study_of_throughput_is_summarised_by_its_fastest(tmp_path):
    for number, strategy in enumerate(("serial", "mirrored")):
        path = tmp_path / "runs" / strategy
        write_run(path, kind="throughput", strategy=strategy, seconds=[10.0 + number] * 2)
    (summary,) = page_of(tmp_path / "runs").all("p", class_="summary")
    assert "Of 2 configurations, 1 rank, strategy serial was the fastest: 100 images/s." in summary["text"]


def test_the_diagnosis_is_on_the_page_with_numbers_and_command(plain):
    (finding,) = plain.all("article")
    assert finding["class"] == "finding high"
    assert (
        "Bandwidth-bound: exposed communication (without waiting) takes 3.00 s of an epoch of 8.00 s" in finding["text"]
    )
    assert "gradient bytes4,000,000" in finding["text"]
    assert "hpcnn submit --ntasks 2 --cpus-per-task 1 --model cnn" in finding["text"]


def test_nothing_found_is_said(tmp_path):
    write_run(tmp_path / "runs" / "one")
    page = page_of(tmp_path / "runs")
    assert page.all("article") == []
    assert "Nothing to diagnose: no row of strong or weak scaling has a base case of another size." in page.text


def test_tables_carry_numbers_to_sort_by(plain):
    headings = [element["text"] for element in plain.all("th")]
    assert {"ranks", "s/epoch", "speed-up", "efficiency", "base"} <= set(headings)
    (efficiency,) = [cell for cell in plain.all("td") if cell["text"] == "62.5%"][:1]
    assert float(efficiency["data-key"]) == 0.625
    assert plain.all("td", **{"data-key": ""})[0]["text"] in ("–", "")


def test_runs_left_out_are_listed_with_their_reason(plain):
    assert "Left out: 1" in {element["text"] for element in plain.all("h3")}
    assert any(cell["text"] == "scale; exit code 1" for cell in plain.all("td"))


def test_provenance_and_commands_are_at_the_end(plain):
    names = [element["text"] for element in plain.all("h2")]
    assert names[:2] == ["Summary", "Diagnosis"]
    assert names[-2:] == ["Provenance", "Method"]
    text = "".join(element["text"] for element in plain.all("dl"))
    for fact in (
        "Hostsc1; scale",
        "ProcessorModel C CPU",
        "Partitionscale",
        "OMP_NUM_THREADS=1",
        "Networknot recorded",
    ):
        assert fact in text
    assert "hpcnn submit --cpus-per-task 1 --model cnn --data digits" in plain.text


def test_a_study_that_comes_along_is_named_as_the_command_to_repeat_it(unrepeated):
    assert "hpcnn study run smoke" in unrepeated.all("pre")[0]["text"]


def test_what_a_fit_refuses_is_said(plain):
    (item,) = [element for element in plain.all("li") if element["text"].strip().startswith("Amdahl")]
    assert "no fit: 2 sizes measured" in item["text"]


def test_out_writes_pictures_and_tables(written):
    names = {file.name for file in (written / "out").iterdir()}
    assert {"time.png", "time.svg", "time.pdf", "scaling.csv", "left-out.csv", "accuracy.csv", "cost.csv"} <= names
    assert not [name for name in names if name.startswith(".")]
    rows = list(csv.DictReader((written / "out" / "scaling.csv").open(encoding="utf-8")))
    printed = json.loads((written / "stdout.json").read_text())
    assert [float(row["speedup"]) for row in rows] == [row["speedup"] for row in printed]


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    folder = write_run(tmp_path / "study").path
    (tmp_path / "file").write_text("")
    result = report(folder, "--html", tmp_path / "file" / "report.html")
    assert result.exit_code == 2
    assert re.search(r"--html: '.*/file/report.html' cannot be written: (Not a directory|File exists)", result.output)
    result = report(folder, "--out", tmp_path / "file" / "out")
    assert result.exit_code == 2
    assert "--out: " in result.output


def test_a_report_replaces_the_one_before_whole(written, plain):
    assert "an older page" not in plain.text
    assert {path.name for path in written.iterdir()} == {"study", "out", "report.html", "stdout.json"}


def test_without_matplotlib_it_says_how_to_get_it(tmp_path, monkeypatch):
    folder = write_run(tmp_path / "study").path
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = report(folder, "--html", tmp_path / "report.html")
    assert result.exit_code == 1
    assert "--html needs matplotlib: install it with pip install 'hpcnn[report]'" in result.output
    assert report(folder).exit_code == 0


WRONG = [None, 5, "x", [1], {"a": 1}, [None], [{"rank": "a", "host": 5, "cores_allowed": "abc", "threads": 3}], True]


def test_facts_of_a_wrong_type_cost_what_they_would_have_told(tmp_path):
    told = {"provenance": ["hosts", "slurm", "versions", "container"], "spec": ["site", "software", "point", "name"]}
    write_study(tmp_path / "study")
    for number, (file, wrong) in enumerate(itertools.product(told, WRONG)):
        run = write_parts(tmp_path / "study" / f"wrong-{number}", [rank(compute=5.0)] * 2, repeat=10 + number)
        path = getattr(run, file)
        record = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**record, **dict.fromkeys(told[file], wrong)}), encoding="utf-8")
    page = page_of(tmp_path / "study")
    assert "28 runs of cnn on 1 to 2 ranks" in page.all("p", class_="summary")[0]["text"]


def test_a_prediction_has_its_place_on_the_page_and_among_the_files(tmp_path):
    data = load(write_run(tmp_path / "study").path)
    table = scaling_table(data)
    predicted = pd.DataFrame({"ranks": [4, 8], "seconds_per_epoch": [6.0, 5.0]})
    pictures = [prediction_plot(predicted, table, f"{name} study", name=name) for name in ("first", "second")]
    write_report(data, table, tmp_path / "page.html", tmp_path / "out", tables={}, predictions=pictures)
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    headings = [element["text"] for element in page.all("h3")]
    assert {"Prediction: first study", "Prediction: second study"} <= set(headings)
    assert "4 ranks 6.00 s, 8 ranks 5.00 s" in page.all("desc")[-1]["text"]
    assert {"first.png", "second.svg"} <= {file.name for file in (tmp_path / "out").iterdir()}
