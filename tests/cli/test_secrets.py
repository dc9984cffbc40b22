"""Secrets of a job's environment: they reach its ranks, and stand in no file of the run and in no message."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from hpcnn.analysis.table_runs import submit_command
from hpcnn.cli.main import main
from hpcnn.jobs.resume import job_of
from hpcnn.rundir.layout import RunDir
from hpcnn.util.host import job_facts
from hpcnn.util.secret_names import is_secret
from tests.cli.studying import study_run
from tests.cli.submitting import python, submit

pytestmark = pytest.mark.usefixtures("here")

SHOWS = python("import os; print(len(os.environ['MY_API_KEY']), os.environ.get('OTHER'))")
VALUE = "s3cret-value-of-17"


def everything(folder):
    return "".join(file.read_text() for file in Path(folder).rglob("*") if file.is_file())


@pytest.mark.parametrize(
    "name",
    [
        *("TOKEN", "WANDB_API_KEY", "hf_token", "hfToken", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "Credentials"),
        *("SSH_KEYS", "DB_PASS", "MYSQL_PWD", "GITHUB_PAT"),
    ],
)
def test_names_of_secrets(name):
    assert is_secret(name)
    result = submit("--dry-run", "--env", f"{name}={VALUE}", *SHOWS)
    assert result.exit_code == 2
    assert f"by its name {name} holds a secret" in result.stderr
    assert VALUE not in result.output


@pytest.mark.parametrize(
    "name", ["TOKENIZERS_PARALLELISM", "OMP_NUM_THREADS", "NOTE", "KERAS_BACKEND", "KEYBOARD", "OLDPWD", "PASS", "PWD"]
)
def test_other_names(name):
    assert not is_secret(name)
    assert submit("--dry-run", "--env", f"{name}=1", *SHOWS).exit_code == 0


@pytest.mark.parametrize("value", ["http://me:s3cret@proxy:3128", "postgres://u:p%40w@db/x", "see https://:t0ken@host"])
def test_a_password_in_an_address(value, here):
    result = submit("--dry-run", "--env", f"HTTPS_PROXY={value}", *SHOWS)
    assert result.exit_code == 2
    assert "the value of HTTPS_PROXY holds a password" in result.stderr
    assert value not in result.output
    (here / "hpcnn.toml").write_text(f'env = {{ HTTPS_PROXY = "{value}" }}\n')
    refused = submit("--dry-run", *SHOWS)
    assert refused.exit_code == 2
    assert value not in refused.output


@pytest.mark.parametrize("value", ["http://proxy:3128", "http://me@proxy:3128", "a:b@c", "//x:y@z"])
def test_an_address_without_one(value):
    assert submit("--dry-run", "--env", f"HTTPS_PROXY={value}", *SHOWS).exit_code == 0


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("--", "python", "-c", "0", "--api-key", VALUE), "api-key"),
        (("--", "python", "-c", "0", f"--wandb_token={VALUE}"), "wandb_token"),
        (("--", "env", f"HF_TOKEN={VALUE}", "true"), "HF_TOKEN"),
        (("--setup", f"export HF_TOKEN={VALUE}", "--", "true"), "HF_TOKEN"),
        (("--", "git", "clone", f"https://me:{VALUE}@host/x"), "an address with a password"),
    ],
)
def test_what_looks_like_a_secret_in_the_words_of_a_job_is_said(words, name):
    result = submit("--dry-run", *words)
    assert result.exit_code == 0
    assert f"looks like a secret ({name})" in result.stderr
    assert VALUE not in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--setup", "export HF_TOKEN=$(cat token)", "--", "true"),
        ("--setup", 'export HF_TOKEN="$OTHER"', "--", "true"),
        ("--", "python", "-c", "0", "--token-file", "token", "--key=name", "--num-tokens", "5", "--tokens"),
    ],
)
def test_what_is_none(words):
    assert "secret" not in submit("--dry-run", *words).stderr


class TestTakenFromHere:
    def test_it_reaches_the_program_and_no_file(self, monkeypatch):
        monkeypatch.setenv("MY_API_KEY", VALUE)
        result = submit("--run-dir", "run", "--env", "MY_API_KEY", "--env", "OTHER=x", *SHOWS)
        assert result.exit_code == 0, result.output
        assert (Path("run") / "log.out").read_text() == f"{len(VALUE)} x\n"
        assert json.loads(Path("run/spec.json").read_text())["software"]["pass_env"] == ["MY_API_KEY"]
        assert VALUE not in everything("run")
        assert "--env OTHER=x --pass-env MY_API_KEY" in submit_command("run")

    def test_what_is_not_set_is_refused(self, monkeypatch):
        monkeypatch.delenv("MY_API_KEY", raising=False)
        result = submit("--run-dir", "run", "--env", "MY_API_KEY", *SHOWS)
        assert result.exit_code == 2
        assert "--env MY_API_KEY: is not set in this environment" in result.stderr
        assert not Path("run").exists()

    def test_a_job_without_it_does_not_start(self, monkeypatch):
        monkeypatch.setenv("MY_API_KEY", VALUE)
        script = submit("--dry-run", "--run-dir", "run", "--env", "MY_API_KEY", *SHOWS).stdout
        Path("job.sh").write_text(script)
        monkeypatch.delenv("MY_API_KEY")
        assert os.waitstatus_to_exitcode(os.system("bash job.sh 2> said")) == 78
        assert Path("said").read_text() == "hpcnn: MY_API_KEY is not set in the environment of this job\n"

    def test_a_study(self, monkeypatch):
        monkeypatch.setenv("MY_API_KEY", VALUE)
        words = json.dumps(SHOWS[1:])
        Path("mine.toml").write_text(f"program = {words}\n[software]\npass_env = ['MY_API_KEY']\n")
        assert study_run("mine.toml").exit_code == 0
        assert VALUE not in everything("runs")
        Path("mine.toml").write_text(f"program = {words}\n[software.env]\nMY_API_KEY = '{VALUE}'\n")
        refused = study_run("mine.toml")
        assert refused.exit_code == 2
        assert "MY_API_KEY holds a secret" in refused.output
        assert VALUE not in refused.output


class TestFile:
    @pytest.fixture
    def file(self, monkeypatch):
        monkeypatch.delenv("MY_API_KEY", raising=False)
        file = Path("my keys.env")
        file.write_text(f"MY_API_KEY={VALUE}\nOTHER='a b'\n")
        file.chmod(0o600)
        return file

    def test_the_job_reads_it(self, file):
        assert submit("--run-dir", "run", "--env-file", file, *SHOWS).exit_code == 0
        assert (Path("run") / "log.out").read_text() == f"{len(VALUE)} a b\n"
        assert VALUE not in everything("run")

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o602, 0o620])
    def test_one_that_others_may_use_is_refused(self, file, mode):
        file.chmod(mode)
        result = submit("--run-dir", "run", "--env-file", file, *SHOWS)
        assert result.exit_code == 2
        assert "'my keys.env' is open to other users; close it: chmod 600" in result.stderr

    def test_one_that_was_opened_meanwhile_stops_the_job(self, file):
        Path("job.sh").write_text(submit("--dry-run", "--run-dir", "run", "--env-file", file, *SHOWS).stdout)
        file.chmod(0o644)
        assert os.waitstatus_to_exitcode(os.system("bash job.sh 2> said")) == 78
        assert "open to other users" in Path("said").read_text()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
    def test_one_of_another_user_is_refused(self, file):
        os.chown(file, 65534, 65534)
        assert "belongs to another user" in submit("--env-file", file, *SHOWS).stderr

    def test_one_that_is_not_there(self):
        assert "--env-file: 'none': no such file" in submit("--env-file", "none", *SHOWS).stderr


def test_a_profile_of_a_site_holds_no_secret():
    folder = Path("../config/sites")
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(
        f'scheduler = "local"\ntemplate = "local/job.sh.j2"\nenvironment = {{ A_TOKEN = "{VALUE}" }}\n'
    )
    result = submit("--site", "mine", "--dry-run", *SHOWS)
    assert result.exit_code == 2
    assert "mine.toml: [environment]: by its name A_TOKEN holds a secret" in result.stderr
    assert VALUE not in result.output
    checked = CliRunner().invoke(main, ["sites", "check", str(folder / "mine.toml")])
    assert checked.exit_code == 2
    assert "[environment]: by its name A_TOKEN holds a secret" in checked.stderr
    assert VALUE not in checked.output


def test_an_old_record_gives_its_secret_to_nobody():
    assert submit("--run-dir", "run", "--env", "NOTE=x", *SHOWS).exit_code
    spec = json.loads(Path("run/spec.json").read_text())
    spec["software"]["env"] = {"MY_API_KEY": VALUE, "NOTE": "x"}
    del spec["software"]["pass_env"], spec["software"]["env_file"]
    Path("run/spec.json").write_text(json.dumps(spec))
    assert "--env NOTE=x --pass-env MY_API_KEY" in submit_command("run")
    assert job_of(RunDir("run")).software.pass_env == ("MY_API_KEY",)


def test_nothing_shows_the_secret_of_an_old_record():
    for number in (1, 2):
        assert submit("--run-dir", f"runs/{number}", "--env", f"NOTE={number}", *SHOWS).exit_code
        spec = json.loads(Path(f"runs/{number}/spec.json").read_text())
        spec["software"]["env"] |= {"MY_API_KEY": f"{VALUE}-{number}"}
        Path(f"runs/{number}/spec.json").write_text(json.dumps(spec))
        with Path(f"runs/{number}/job.sh").open("a") as script:
            script.write(f"export MY_API_KEY='{VALUE}-{number}'\n")
    for words in (
        "runs runs",
        "runs runs --format csv",
        "status runs",
        "top runs --once",
        "submit --diff runs/1 -- true",
    ):
        shown = CliRunner().invoke(main, words.split())
        assert shown.exit_code == 0, shown.output
        assert VALUE not in shown.output, words
    assert "NOTE=1" in CliRunner().invoke(main, ["runs", "runs"]).output


def test_the_record_of_a_slurm_job_has_no_password(monkeypatch):
    monkeypatch.setenv("SLURM_JWT", VALUE)
    monkeypatch.setenv("SLURM_SOMETHING_NEW", VALUE)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    facts = job_facts()
    assert facts["slurm"]["SLURM_JOB_ID"] == "17"
    assert VALUE not in json.dumps(facts)
