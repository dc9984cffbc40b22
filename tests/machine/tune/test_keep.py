"""Settings in the user's own profile: what else is there stays, and a file is written whole or not at all."""

import pytest

from hpcnn.machine.tune.keep import keep, with_settings
from hpcnn.sites.load import load_with_origin
from hpcnn.util.errors import UsageError
from hpcnn.util.toml import loads

OWN = """\
# my laptop
cores = 4   # without the slow ones

[environment]
# how I like it
TF_CPP_MIN_LOG_LEVEL = "1"
HOROVOD_CYCLE_TIME = "3" # from a talk

[sources]
cores = "the box it came in"
"""


def test_comments_and_other_keys_of_the_file_stay():
    text = with_settings(OWN, "environment", {"HOROVOD_CYCLE_TIME": "0.1", "NEW": "2"}, "measured", "local.toml")
    kept = [line for line in OWN.splitlines() if not line.startswith("HOROVOD")]
    assert [line for line in text.splitlines() if line in kept] == kept
    assert 'HOROVOD_CYCLE_TIME = "0.1" # measured' in text
    assert loads(text)["environment"] == {"TF_CPP_MIN_LOG_LEVEL": "1", "HOROVOD_CYCLE_TIME": "0.1", "NEW": "2"}


def test_a_second_tuning_replaces_the_first():
    once = with_settings("", "environment", {"A": "1"}, "first", "local.toml")
    twice = with_settings(once, "environment", {"A": "2"}, "second", "local.toml")
    assert twice.splitlines() == ["[environment]", 'A = "2" # second']


@pytest.mark.parametrize("text", ['environment = {A = "1"}\ncores = 2\n', 'environment.A = "1"\ncores = 2\n'])
def test_other_spellings_of_the_table_stay_valid(text):
    found = loads(with_settings(text, "environment", {"A": "2", "B": "3"}, "note", "local.toml"))
    assert found == {"environment": {"A": "2", "B": "3"}, "cores": 2}


def test_the_new_file_is_where_the_values_come_from(tmp_path, monkeypatch):
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path))
    file = tmp_path / "sites" / "local.toml"
    keep(file, "environment", {"HOROVOD_CYCLE_TIME": "5"}, "note")
    site, origin = load_with_origin("local")
    assert site.environment["HOROVOD_CYCLE_TIME"] == "5"
    assert site.environment["OMPI_MCA_mpi_yield_when_idle"] == "1"  # the packaged value beside it
    assert origin["environment"] == str(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cores = \n", "local.toml: is not valid TOML"),
        ("environment = 3\n", "local.toml: environment is not a table"),
        ("core = 4\n", "local.toml: key: 'core' is not known"),
    ],
)
def test_a_file_that_is_no_profile_is_left_alone(tmp_path, text, message):
    file = tmp_path / "local.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        keep(file, "environment", {"A": "1"}, "note")
    assert file.read_text() == text
    assert list(tmp_path.iterdir()) == [file]
