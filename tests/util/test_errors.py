"""What an error names of a mistyped word, and of a path that is not there."""

from __future__ import annotations

from pathlib import Path

from hpcnn.util.errors import closest, not_there, unknown_value

MANY = [f"network-{number}" for number in range(40)]


def test_near_misses_are_three_at_most_and_as_near_as_the_nearest() -> None:
    assert len(closest("network-", MANY)) == 3
    assert closest("narwal", ["narval", "nibi", "local"]) == ["narval"]
    assert closest("nothing", ["narval"]) == []


def test_of_many_words_the_near_ones_and_where_all_are() -> None:
    text = str(unknown_value("--model", "network-x", MANY, forms=["module:function"], see="hpcnn models"))
    assert text.startswith("--model: 'network-x' is not known. Did you mean 'network-")
    assert text.endswith("? `hpcnn models` lists all 40. Also valid: module:function.")
    assert text.count("'network-") == 4


def test_of_few_words_all() -> None:
    text = str(unknown_value("study", "smoek", ["smoke", "threads"], forms=["FILE.toml"]))
    assert text == "study: 'smoek' is not known. Did you mean 'smoke'? Valid: smoke, threads, FILE.toml."
    assert "Did you mean" not in str(unknown_value("study", "FILE.tom", ["smoke"], forms=["FILE.toml"]))


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    missing = tmp_path / "x"
    assert str(not_there("RUN", missing, "a run")) == (
        f"RUN: there is no file or folder {str(missing)!r}; expected a run."
    )
    missing.write_text("")
    assert str(not_there("RUN", missing, "a run")) == f"RUN: {str(missing)!r} is not valid; expected a run."


def test_near_is_also_what_is_short_for_a_word() -> None:
    options = ["--learning-rate", "--batch-size", "--gpus-per-node", "--ntasks", "--ntasks-per-node", "--epochs"]
    assert closest("--lr", options) == closest("--rate", options) == ["--learning-rate"]
    assert closest("--bs", options) == closest("--batch", options) == ["--batch-size"]
    assert closest("--gpus", options) == ["--gpus-per-node"]
    assert closest("--max-epochs", options) == ["--epochs"]
    assert closest("--ntask", options) == ["--ntasks"]  # a slip of the finger, and no short word
    assert closest("", options) == closest("--", options) == closest("-", []) == []
