"""A job script whose ranks mpirun starts: every string arrives."""

import dataclasses
import json
import os
import sys
from pathlib import Path

import pytest

from hpcnn.jobs.mpi import mpi_of
from hpcnn.jobs.script import Place, render
from hpcnn.scheduler import bash
from hpcnn.sites.load import load_site
from hpcnn.specs.job import JobSpec
from hpcnn.specs.resources import Resources
from hpcnn.util.files import write_text
from tests.jobs.awkward import AWKWARD

RANK = """
import json, os, sys
rank = os.environ.get('OMPI_COMM_WORLD_RANK') or os.environ['PMI_RANK']
json.dump([sys.argv[1:], os.environ['NOTE']], open(f'rank{rank}.json', 'w'))
"""


@pytest.mark.mpi
def test_any_string_arrives_behind_mpirun(tmp_path):
    words = [*AWKWARD, "-np", "--mca", "::", "x=y"]
    program = tmp_path / "rank.py"
    program.write_text(RANK)
    job = JobSpec("x", "local", Resources(ntasks=2, cpus_per_task=1), program=(sys.executable, str(program), *words))
    site = dataclasses.replace(load_site("local"), cores=1, environment={"NOTE": "a,b;\n'$x'"})
    # `true` for hpcnn: closing the record is not what is tested here, and takes its time
    place = Place(
        str(tmp_path), str(tmp_path), str(Path(sys.executable).parent), ("true",), {}, mpi=mpi_of(site, os.environ)
    )
    script = tmp_path / "job.sh"
    write_text(script, render(job, site, place))
    assert bash.run(script, tmp_path / "log") == 0, (tmp_path / "log").read_text()
    for rank in range(2):
        assert json.loads((tmp_path / f"rank{rank}.json").read_text()) == [words, "a,b;\n'$x'"]
