"""The page in a real browser: it renders, sorts, prints, fits a telephone, and nothing gets out of it."""

import functools
import http.server
import itertools
import re
import threading
import zlib

import pytest

pytest.importorskip("matplotlib", reason="pictures need matplotlib: pip install 'hpcnn[report]'")

from tests.report import browser
from tests.report.test_page import HOSTILE, report, write_study
from tests.synthetic.runs import write_run

if browser.find() is None:
    pytest.skip("needs a browser: apt-get install chromium", allow_module_level=True)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser.chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Return the page of a study on 1, 2 and 10 ranks, of the weird names of another, and of one of throughput."""
    folder = tmp_path_factory.mktemp("page")
    write_study(folder / "runs" / "hostile", HOSTILE)
    for ranks in (1, 2, 10):
        for repeat in (1, 2):
            write_run(
                folder / "runs" / f"{ranks}-{repeat}", ranks=ranks, repeat=repeat, seconds=[10.0 / ranks**0.7] * 3
            )
    for strategy in ("serial", "mirrored"):
        write_run(folder / "runs" / strategy, study="strategies", kind="throughput", strategy=strategy)
    page = folder / "report.html"
    result = report(folder / "runs", "--html", page)
    assert result.exit_code == 0, result.output
    return page


@pytest.fixture
def page(chromium, file):
    chromium.events.clear()
    chromium.open(file)
    return chromium


def test_it_renders_without_a_complaint_and_asks_for_nothing(page, file):
    assert page.complaints() == []
    asked = [address for address in page.requests() if not address.startswith("data:")]
    assert asked == [file.as_uri()]
    assert page.run("document.title").startswith("Scaling report: ")
    assert page.run("document.querySelectorAll('figure svg').length") == page.run(
        "[...document.querySelectorAll('figure svg')].filter(s => s.getBoundingClientRect().height > 50).length"
    )


def test_nothing_that_runs_say_is_executed(page):
    assert page.run("window.pwned === undefined")
    assert page.run("document.scripts.length") == 1
    assert page.run("document.body.innerText.includes('<script>window.pwned = 1</script>')")


TABLE = "[...document.querySelectorAll('table.sortable')].find(t => t.rows.length === 4)"
COLUMN = "[...{table}.rows].slice(1).map(r => r.cells[{at}].innerText)"


def column(page, heading):
    """Return the texts of a column of the first table with three rows, and the expression of its heading's button."""
    names = page.run(f"[...{TABLE}.rows[0].cells].map(c => c.innerText.trim())")
    at = names.index(heading)
    return page.run(COLUMN.format(table=TABLE, at=at)), f"{TABLE}.rows[0].cells[{at}].querySelector('button')"


def test_a_click_on_a_heading_sorts_and_another_turns_it_round(page):
    texts, button = column(page, "s/epoch")
    assert texts == ["10.0", "6.16", "2.00"]
    page.run(f"{button}.click()")
    assert column(page, "s/epoch")[0] == ["2.00", "6.16", "10.0"]
    assert page.run(f"{button}.parentElement.getAttribute('aria-sort')") == "ascending"
    page.run(f"{button}.click()")
    assert column(page, "s/epoch")[0] == ["10.0", "6.16", "2.00"]
    assert page.run(f"{button}.parentElement.getAttribute('aria-sort')") == "descending"
    page.run(f"{column(page, 'ranks')[1]}.click()")
    assert column(page, "ranks")[0] == ["1", "2", "10"]  # by number: as text, 10 comes before 2
    assert page.run(f"{TABLE}.querySelectorAll('[aria-sort]').length") == 1


def test_tables_sort_by_a_real_click_and_from_the_keyboard(page):
    _, button = column(page, "s/epoch")
    place = page.run(f"(b => (b.scrollIntoView(), b.getBoundingClientRect().toJSON()))({button})")
    at = {
        "x": place["x"] + place["width"] / 2,
        "y": place["y"] + place["height"] / 2,
        "button": "left",
        "clickCount": 1,
    }
    for kind in ("mousePressed", "mouseReleased"):
        page.call("Input.dispatchMouseEvent", type=kind, **at)
    assert column(page, "s/epoch")[0] == ["2.00", "6.16", "10.0"]
    page.run(f"{button}.focus()")
    page.press("Enter", "\r")
    assert column(page, "s/epoch")[0] == ["10.0", "6.16", "2.00"]
    page.press("Tab")
    assert page.run("document.activeElement.tagName") == "BUTTON"


def test_what_is_missing_is_last_both_ways(page):
    texts, button = column(page, "base")
    assert sorted(texts) == ["", "", "base"] or sorted(texts) == ["base", "–", "–"]
    for _ in range(2):
        page.run(f"{button}.click()")
        assert page.run(f"[...{TABLE}.tBodies[0].rows].map(r => r.lastElementChild.dataset.key)")[-1] in ("", "–")


class _Counter(http.server.BaseHTTPRequestHandler):
    def __init__(self, seen, *arguments):
        self.seen = seen
        super().__init__(*arguments)

    def do_GET(self):
        self.seen.append(self.path)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments):
        pass


def test_no_request_leaves_the_page_even_if_it_is_made_to(page):
    seen = []
    with http.server.HTTPServer(("127.0.0.1", 0), functools.partial(_Counter, seen)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        page.run(
            f"fetch('{address}/fetch').catch(() => 0); navigator.sendBeacon('{address}/beacon'); "
            f"new Image().src = '{address}/image'; "
            f"(l => (l.rel = 'stylesheet', l.href = '{address}/style', document.head.append(l)))"
            "(document.createElement('link')); "
            f"(s => (s.src = '{address}/script', document.head.append(s)))(document.createElement('script')); "
            "(s => (s.textContent = 'window.pwned = 2', document.head.append(s)))(document.createElement('script'))"
        )
        page.run("new Promise(done => setTimeout(done, 500))")
        page.call("Runtime.evaluate", expression="new Promise(d => setTimeout(d, 500))", awaitPromise=True)
        server.shutdown()
    assert seen == []
    assert page.run("window.pwned === undefined")
    assert len([text for text in page.complaints() if "Content Security Policy" in text]) >= 5


def test_it_fits_a_telephone_and_wide_tables_scroll(chromium, file):
    chromium.open(file, width=390, height=844)
    assert chromium.run("document.documentElement.scrollWidth") == 390
    assert chromium.run("[...document.querySelectorAll('.scroll')].some(e => e.scrollWidth > e.clientWidth)")
    # the smallest text of a picture is still read: 8 points in a picture that is as wide as the screen
    smallest = chromium.run(
        "Math.min(...[...document.querySelectorAll('figure svg text')].map(t => t.getBoundingClientRect().height))"
    )
    assert smallest >= 8


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Return the page of strong and weak scaling on 1 and 8 ranks and 1 to 4 nodes: its tables have all columns."""
    folder = tmp_path_factory.mktemp("wide")
    for kind in ("strong", "weak"):
        for ranks, nodes, repeat in itertools.product((1, 8), (1, 2, 4), range(1, 7)):
            if nodes <= ranks:
                size = ranks if kind == "weak" else 1
                write_run(
                    folder / "runs" / f"{kind}-{ranks}-{nodes}-{repeat}",
                    **{"study": f"a-study-of-{kind}-scaling", "kind": kind, "ranks": ranks, "repeat": repeat},
                    seconds=[(10.0 + 0.1234 * repeat) * size / ranks**0.8] * 3,
                    **{"samples": 12_000 * size, "batch_size": 128 * size},
                    resources={"nodes": nodes, "ntasks": ranks, "cpus_per_task": 8},
                )
    page = folder / "report.html"
    result = report(folder / "runs", "--trainings", "200", "--html", page)
    assert result.exit_code == 0, result.output
    return page


# The tables that are wider than what they stand in, by their headings.
CUT = (
    "[...document.querySelectorAll('table')].filter(t => t.scrollWidth > t.parentElement.clientWidth)"
    ".map(t => `${t.scrollWidth} in ${t.parentElement.clientWidth}: ${t.rows[0].innerText}`)"
)


def test_no_table_is_cut_on_a_screen_of_1280_or_shrinks_what_is_printed(chromium, wide):
    chromium.open(wide, width=1280)
    assert chromium.run("Math.max(...[...document.querySelectorAll('table')].map(t => t.rows[0].cells.length))") >= 17
    assert chromium.run(CUT) == []
    chromium.open(wide, width=1032)  # A4 across, less its margins, in the 96 dots an inch of CSS
    chromium.call("Emulation.setEmulatedMedia", media="print")
    try:
        assert chromium.run(CUT) == []
        sizes = "[...document.querySelectorAll('table')].map(t => parseFloat(getComputedStyle(t).fontSize))"
        assert min(chromium.run(sizes)) >= 10  # 7.5 points
    finally:
        chromium.call("Emulation.setEmulatedMedia", media="")


def test_a_page_of_cpus_shows_no_gpus_of_lectures(chromium, wide):
    chromium.open(wide)
    text = chromium.run("document.body.innerText")
    assert "POWER8" not in text
    assert "P100" not in text
    assert "Roofline" not in text


def test_dark_where_the_reader_wants_it(chromium, file):
    colours = {}
    for dark in (False, True):
        chromium.open(file, dark=dark)
        colours[dark] = chromium.run(
            "['body', 'figure svg .f-ink'].map(q => getComputedStyle(document.querySelector(q)))"
            ".flatMap((s, i) => i ? [s.fill] : [s.backgroundColor, s.color])"
        )
    assert colours[False] == ["rgb(255, 255, 254)", "rgb(27, 31, 36)", "rgb(27, 31, 36)"]
    assert colours[True] == ["rgb(20, 24, 29)", "rgb(230, 233, 237)", "rgb(230, 233, 237)"]


def test_it_prints_in_the_colours_of_paper(chromium, file):
    chromium.open(file, dark=True)
    printed = chromium.pdf()
    assert printed.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 24
    streams = [_inflated(part) for part in re.findall(rb"stream\r?\n(.*?)endstream", printed, re.DOTALL)]
    colours = set(re.findall(rb"([.\d]+ [.\d]+ [.\d]+) rg", b" ".join(streams)))
    assert b".1059 .1216 .1412" in colours  # the ink of a light page, #1b1f24
    assert b".902 .9137 .9294" not in colours  # that of a dark one, #e6e9ed
    assert b".0784 .0941 .1137" not in colours  # the dark page itself, #14181d


def _inflated(stream):
    try:
        return zlib.decompressobj().decompress(stream)
    except zlib.error:
        return b""
