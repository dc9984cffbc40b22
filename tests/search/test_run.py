"""What a search refuses before its folder is made."""

from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="searches need Optuna: pip install '.[search]'")

from hpcnn.search.read import read
from hpcnn.search.run import check
from hpcnn.util.errors import UsageError


@pytest.mark.parametrize(("of", "staged"), [("digits", True), ("mnist", False)])
def test_the_data_that_a_data_set_is_made_of_must_be_staged(
    of: str, staged: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPCNN_DATA", str(tmp_path / "empty"))
    file = tmp_path / "halves.toml"
    file.write_text(
        '[search]\nmethod = "grid"\n[train]\nmodel = "scinet-two-inputs"\ndata = "halves"\nbatch_size = 10\n'
        f'data_args = {{of = "{of}"}}\n[space]\nlearning_rate = [0.1, 0.2]\n'
    )
    search = read(file)
    if staged:
        check(search, "local")
        return
    with pytest.raises(UsageError, match=r"^--data: 'mnist' is not staged: "):
        check(search, "local")
