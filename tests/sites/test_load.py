"""Site profiles: the user's file overrides the packaged one key by key, and every mistake names its file."""

import pytest

from hpcnn.sites.load import core_count, known_sites, load_site, user_folder, with_machine_cores
from hpcnn.sites.profile import Site
from hpcnn.util.errors import UsageError


@pytest.fixture(autouse=True)
def sites(tmp_path, monkeypatch):
    """The user's own folder of profiles, empty."""
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path))
    folder = tmp_path / "sites"
    folder.mkdir()
    return folder


def error_of(name):
    with pytest.raises(UsageError) as caught:
        load_site(name)
    return str(caught.value)


def test_the_packaged_local_site():
    site = load_site("local")
    assert (site.name, site.scheduler, site.launcher) == ("local", "local", "mpirun")
    assert site.cores is None
    tunables = site.environment.pop("GLIBC_TUNABLES")
    assert "glibc.malloc.hugetlb=1" in tunables.split(":")
    assert site.environment == {
        "OMPI_MCA_mpi_yield_when_idle": "1",
        "HOROVOD_CYCLE_TIME": "0.1",
        "HOROVOD_FUSION_THRESHOLD": "131072",
        "MALLOC_ARENA_MAX": "1",
    }


def test_the_users_file_overrides_key_by_key(sites):
    packaged = load_site("local")
    (sites / "local.toml").write_text('cores = 4\ndescription = "mine"\n[environment]\nA = "1"\n')
    site = load_site("local")
    assert (site.cores, site.description, site.environment) == (4, "mine", {**packaged.environment, "A": "1"})
    assert (site.scheduler, site.template, site.launcher_options) == (
        packaged.scheduler,
        packaged.template,
        packaged.launcher_options,
    )


def test_tables_are_merged_too(sites, tmp_path, monkeypatch):
    (tmp_path / "packaged" / "sites").mkdir(parents=True)
    (tmp_path / "packaged" / "sites" / "local.toml").write_text('[environment]\nA = "1"\nB = "2"\n')
    monkeypatch.setattr("hpcnn.sites.load.share_dir", lambda name: tmp_path / "packaged")
    (sites / "local.toml").write_text("[environment]\nB = 3\n")
    assert load_site("local").environment == {"A": "1", "B": 3}


def test_a_site_of_the_users_own(sites):
    (sites / "laptop.toml").write_text('launcher_options = ["--mca", "btl", "self,vader"]\n')
    assert {"laptop", "local"} <= set(known_sites())
    assert known_sites() == sorted(known_sites())
    assert load_site("laptop") == Site(name="laptop", launcher_options=("--mca", "btl", "self,vader"))


def test_an_unknown_site_is_suggested():
    message = error_of("locla")
    assert message.startswith("--site: 'locla' is not known. Did you mean 'local'? `hpcnn sites list` lists all ")
    assert message.endswith(f"lists all {len(known_sites())}.")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("core = 4", "key: 'core' is not known. Did you mean 'cores'?"),
        ("cores = 0", "cores: 0 is not valid; expected at least 1."),
        ('cores = "4"', "cores: '4' is not valid; expected a whole number."),
        ('launcher = "mpirum"', "launcher: 'mpirum' is not known. Did you mean 'mpirun'? Valid: "),
        ('scheduler = "pbs"', "scheduler: 'pbs' is not known. Valid: "),
        (
            'launcher_options = "--mca plm isolated"',
            "launcher_options: '--mca plm isolated' is not valid; expected a list.",
        ),
        ("launcher_options = [1]", "launcher_options: 1 is not valid; expected a string."),
        ("environment = 1", "environment: 1 is not valid; expected a table."),
        (
            '[environment]\n"A B" = "1"',
            "[environment] key: 'A B' is not valid; expected letters, digits and underscores.",
        ),
        ('[environment]\n"A;exit" = 1', "[environment] key: 'A;exit' is not valid; "),
        ("[environment]\nA = true", "[environment] A: True is not valid; expected a string or a number."),
        ("[environment]\nA = [1]", "[environment] A: [1] is not valid; expected a string or a number."),
        ("cores = = 4", "is not valid TOML: "),
    ],
)
def test_a_mistake_names_the_users_file(sites, text, message):
    file = sites / "local.toml"
    file.write_text(text + "\n")
    assert error_of("local").startswith(f"{file}: {message}")


def test_a_file_that_is_no_text_names_the_file(sites):
    (sites / "local.toml").write_bytes(b"\xff\xfe")
    assert error_of("local").startswith(f"{sites / 'local.toml'}: is not valid TOML: ")


def test_without_hpcnn_config_the_platform_says_where(monkeypatch):
    monkeypatch.delenv("HPCNN_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/somewhere")
    assert str(user_folder()) == "/somewhere/hpcnn/sites"


class TestCores:
    def test_those_of_the_profile_are_kept(self):
        assert with_machine_cores(Site(cores=3)).cores == 3

    def test_open_ones_are_those_this_process_may_use(self, monkeypatch):
        monkeypatch.setattr("os.sched_getaffinity", lambda process: {0})
        assert with_machine_cores(Site(scheduler="local")).cores == 1

    def test_those_of_a_cluster_stay_open(self):
        assert with_machine_cores(Site(scheduler="slurm")).cores is None

    def test_hardware_threads_of_one_core_are_one_core(self, tmp_path):
        for cpu, siblings in enumerate(["0,2", "1,3", "0,2", "1,3"]):
            folder = tmp_path / f"cpu{cpu}" / "topology"
            folder.mkdir(parents=True)
            (folder / "thread_siblings_list").write_text(siblings + "\n")
        assert core_count(range(4), tmp_path) == 2
        assert core_count({0, 2}, tmp_path) == 1
        assert core_count({0, 1}, tmp_path) == 2

    def test_without_the_kernels_word_each_processor_counts(self, tmp_path):
        assert core_count(range(4), tmp_path) == 4
