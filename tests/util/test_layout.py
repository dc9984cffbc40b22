"""Tables that fit a width: no number is broken, no column is lost."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hpcnn.util.layout import Block, Content, fit

WORDS = st.lists(st.text("abc", min_size=1, max_size=9), min_size=1, max_size=6).map(" ".join)
NUMBERS = st.lists(st.integers(0, 10**7).map(str), min_size=2, max_size=2)
CONTENTS = st.lists(
    st.builds(Content, WORDS, NUMBERS, st.just(False), st.booleans())
    | st.builds(Content, WORDS, st.lists(WORDS, min_size=2, max_size=2), st.just(True), st.just(False)),
    min_size=1,
    max_size=14,
)


def width_of(block: Block) -> int:
    return sum(column.width for column in block.columns) + block.gap * (len(block.columns) - 1)


@settings(deadline=None)
@given(CONTENTS, st.integers(40, 200))
def test_no_column_is_lost_and_no_number_is_broken(contents: list[Content], width: int) -> None:
    blocks = fit(contents, width)
    assert {column.number for block in blocks for column in block.columns} == set(range(len(contents)))
    leading = {number for number, content in enumerate(contents) if content.leads or number == 0}
    for block in blocks:
        assert leading <= {column.number for column in block.columns}
        for column in block.columns:
            content = contents[column.number]
            assert column.heading.replace("\n", " ") == content.heading
            assert max(map(len, column.heading.split("\n"))) <= column.width
            if not content.folds:
                assert max(map(len, content.cells)) <= column.width


@settings(deadline=None)
@given(CONTENTS, st.integers(40, 200))
def test_a_block_is_wider_than_asked_only_where_one_column_beside_the_leading_ones_is(
    contents: list[Content], width: int
) -> None:
    leading = {number for number, content in enumerate(contents) if content.leads or number == 0}
    for block in fit(contents, width):
        others = [column for column in block.columns if column.number not in leading]
        assert width_of(block) <= width or len(others) <= 1


def test_what_has_room_is_not_changed() -> None:
    contents = [Content("ranks", ["1", "2"]), Content("test accuracy", ["90.00%", "91.00%"])]
    (block,) = fit(contents, 80)
    assert [(column.heading, column.width) for column in block.columns] == [("ranks", 5), ("test accuracy", 13)]
    assert block.gap == 3


def test_headings_break_before_texts_fold_and_texts_fold_before_a_block_is_begun() -> None:
    contents = [
        Content("ranks", ["1"]),
        Content("test accuracy", ["90.00%"]),
        Content("what to do", ["install what is missing, and try again"], folds=True),
    ]
    (block,) = fit(contents, 34)
    assert [column.heading for column in block.columns] == ["ranks", "test\naccuracy", "what to do"]
    first, second = fit(contents, 20)
    assert [column.number for column in first.columns] == [0, 1]
    assert [column.number for column in second.columns] == [0, 2]
