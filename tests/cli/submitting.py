"""``hpcnn submit`` in this process, and what it wrote."""

import sys

from click.testing import CliRunner

from hpcnn.cli.main import main
from hpcnn.rundir.layout import RunDir


def submit(*words):
    return CliRunner().invoke(main, ["submit", *words])


def python(code, *words):
    return ["--", sys.executable, "-c", code, *words]


def result_of(run_dir):
    return RunDir(run_dir).read_result()
