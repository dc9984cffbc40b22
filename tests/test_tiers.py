"""What `make test` leaves to `make test-long` is there, and has something in `make test` that proves its kind."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.long_tests import LONG
from tests.tiers import SLOW_FILES

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", sorted(LONG))
def test_a_test_that_is_left_out_is_there(name: str) -> None:
    file, *scopes = name.partition("[")[0].split("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert set(scopes) <= defined


@pytest.mark.parametrize("proof", sorted(set(LONG.values())))
def test_the_files_that_prove_the_same_are_there(proof: str) -> None:
    assert not [file for file in re.findall(r"tests/[\w/]+\.py", proof) if not (ROOT / file).is_file()]


def test_the_files_that_are_slow_are_there() -> None:
    assert SLOW_FILES
    assert not [name for name in SLOW_FILES if not (ROOT / name).is_file()]
