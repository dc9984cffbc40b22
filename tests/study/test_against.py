"""Two versions of a study in turn, and the points of a repeat in an order by chance."""

import pytest

from hpcnn.specs.fields import from_mapping
from hpcnn.specs.study import StudySpec
from hpcnn.study.against import in_turn, name_against
from hpcnn.study.expand import expand, shuffled
from hpcnn.util.errors import UsageError


def test_every_run_of_a_stands_beside_that_of_b_and_each_comes_first_in_half_of_the_pairs():
    a, b = [f"a{n}" for n in range(10)], [f"b{n}" for n in range(10)]
    for seed in range(20):
        runs = in_turn(a, b, seed)
        pairs = list(zip(runs[::2], runs[1::2], strict=True))
        assert [sorted(pair) for pair in pairs] == [[one, other] for one, other in zip(a, b, strict=True)]
        assert sum(first.startswith("a") for first, _ in pairs) == 5
    assert in_turn(a, b, 1) == in_turn(a, b, 1) != in_turn(a, b, 2)


def test_a_run_without_a_partner_is_refused():
    with pytest.raises(UsageError, match="--against: A has 2 runs and B 1, and each run of A needs one of B"):
        in_turn([1, 2], [1], 0)


def test_the_folder_of_b_is_named_by_what_changes():
    study = from_mapping(StudySpec, {"name": "smoke"})
    assert name_against(study, ["batch_size=256"]) == "smoke,batch_size=256"
    assert name_against(study, ["setup=export A=/tmp", "epochs=3"]) == "smoke,setup=export_A=_tmp,epochs=3"


def test_points_are_shuffled_within_their_repeat():
    axes = {"resources.ntasks": [1, 2, 3, 4, 5, 6]}
    runs = expand(from_mapping(StudySpec, {"name": "s", "program": ["true"], "repeats": 3, "axes": axes}), "local")
    found = shuffled(runs, 1)
    assert [run.job.repeat for run in found] == [1] * 6 + [2] * 6 + [3] * 6
    assert {run.run_id for run in found} == {run.run_id for run in runs}
    orders = [[run.job.resources.ntasks for run in found if run.job.repeat == repeat] for repeat in (1, 2, 3)]
    assert orders[0] != orders[1]
    assert orders != [[1, 2, 3, 4, 5, 6]] * 3
    assert shuffled(runs, 1) == found != shuffled(runs, 2)
