"""What ``--after`` takes, and what sbatch is given for it."""

from __future__ import annotations

import pytest

from hpcnn.scheduler.dependency import dependency
from hpcnn.util.errors import UsageError


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("1", "afterok:1"),
        ("1,2", "afterok:1:2"),
        ("1, 2_3", "afterok:1:2_3"),
        ("1?2", "afterok:1?afterok:2"),
        ("1,afterany:3", "afterok:1,afterany:3"),
        ("afterok:1:2", "afterok:1:2"),
        ("afterany:3", "afterany:3"),
        ("afternotok:3_1:4", "afternotok:3_1:4"),
        ("aftercorr:7", "aftercorr:7"),
        ("afterburstbuffer:7:8", "afterburstbuffer:7:8"),
        ("after:7", "after:7"),
        ("after:7+10:8+2,afterok:9", "after:7+10:8+2,afterok:9"),
        ("singleton", "singleton"),
        ("singleton,5", "singleton,afterok:5"),
        ("afterok:1?afternotok:2", "afterok:1?afternotok:2"),
    ],
)
def test_forms(text: str, given: str) -> None:
    assert dependency(text) == given
    assert dependency(given) == given  # reading it twice changes nothing


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected job ids (1,2), or a form of sbatch's --dependency"),
        ("1,", "expected job ids"),
        ("1 2", "expected job ids"),
        ("1;other", "expected job ids"),
        ("runs/mine", "expected job ids"),
        ("-1", "expected job ids"),
        ("1_", "expected job ids"),
        ("afterok", "expected job ids"),
        ("1:2", "expected job ids"),
        ("1,2?3", "expected either commas (all of them) or question marks (one of them)"),
        ("afterk:1", "'afterk' is not known. Did you mean 'afterok' or 'after'? Valid: afterok, afterany, "),
        ("AfterOk:1", "'AfterOk' is not known."),
        ("singleton:1", "'singleton' is not known."),
        ("afterok:", "afterok is followed by :ID of each job"),
        ("afterok:x", "afterok is followed by :ID of each job"),
        ("afterok:1+5", "afterok is followed by :ID of each job"),
        ("after:1+", "after is followed by :ID of each job, with +MINUTES after it if it shall start later"),
        ("afterok:1\n2", "afterok is followed by :ID of each job"),
        ("1 --wrap=id", "expected job ids"),
    ],
)
def test_others_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        dependency(text)
    assert str(caught.value).startswith("--after")
    assert message in str(caught.value)
