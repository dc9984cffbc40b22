"""Studies to runs: order, seeds, weak scaling, names, and what is refused."""

import pytest

from hpcnn.specs.fields import from_mapping
from hpcnn.specs.study import StudySpec
from hpcnn.study.expand import expand
from hpcnn.study.read import read
from hpcnn.util.errors import UsageError
from hpcnn.util.share import share_dir

PACKAGED = sorted(share_dir("scaling_studies").glob("*.toml"))


def study(**keys):
    return from_mapping(StudySpec, {"name": "mine", **keys})


def jobs(*, site="local", **keys):
    return [run.job for run in expand(study(**keys), site)]


def ids(**keys):
    return [run.run_id for run in expand(study(**keys), "local")]


def error_of(**keys):
    with pytest.raises(UsageError) as caught:
        jobs(**keys)
    return str(caught.value)


HOROVOD = {"strategy": "horovod"}
PROGRAM = {"program": ["true"]}
PROGRAM_NAMES = ["ntasks=1-r01-3984f9", "ntasks=2-r01-4eecb3"]
TRAIN_NAMES = ["ntasks=1-r01-0617da", "ntasks=2-r01-3d12a9"]
SOFTWARE = [{"container": "a.sif"}, {"container": "b.sif"}, {"env": {"A": "1"}}, {"module": ["gcc"]}, {"bind": ["/a"]}]


def test_repeats_are_interleaved():
    found = jobs(repeats=2, train=HOROVOD, axes={"resources.ntasks": [1, 2, 4]})
    assert [(job.repeat, job.resources.ntasks) for job in found] == [(r, n) for r in (1, 2) for n in (1, 2, 4)]


def test_the_last_axis_runs_fastest():
    found = jobs(train=HOROVOD, axes={"resources.ntasks": [1, 2], "train.batch_size": [64, 128]})
    assert [(job.resources.ntasks, job.train.batch_size) for job in found] == [(1, 64), (1, 128), (2, 64), (2, 128)]
    assert [job.point for job in found][1] == {"ntasks": 1, "batch_size": 128}


def test_augmentation_is_an_axis_as_a_whole_and_key_by_key():
    table = {"augment": {"zoom": 0.1}}
    found = jobs(train=table, axes={"augment.rotation": [0.0, 10.0], "train.augmentation": [True, False]})
    assert [(job.train.augment, job.train.augmentation) for job in found] == [
        ({"zoom": 0.1, "rotation": angle}, on) for angle in (0.0, 10.0) for on in (True, False)
    ]
    assert found[0].point == {"rotation": 0.0, "augmentation": True}
    tables = [{}, {"flip": "both"}]
    assert [job.train.augment for job in jobs(train=table, axes={"train.augment": tables})] == tables
    assert error_of(axes={"augment.zoom": [2.0]}) == (
        "mine, point zoom=2.0: [train] augment: zoom: 2.0 is not valid; expected at most 0.9."
    )


def test_each_point_gets_every_value_of_the_axes():
    points = [{"train.strategy": "serial"}, {"train.strategy": "horovod", "resources.ntasks": 2}]
    found = jobs(points=points, axes={"train.epochs": [1, 2]})
    assert [(job.train.strategy, job.resources.ntasks, job.train.epochs) for job in found] == [
        ("serial", 1, 1),
        ("serial", 1, 2),
        ("horovod", 2, 1),
        ("horovod", 2, 2),
    ]


def test_a_job_knows_its_study():
    (job,) = jobs(kind="strong", train={"epochs": 2}, site="local")
    assert (job.name, job.study, job.kind, job.site, job.point) == ("mine", "mine", "strong", "local", {})


def test_keywords_of_the_model():
    train = {"model_args": {"a": 1, "b": 1}}
    found = jobs(train=train, axes={"model.b": [2, 3]})
    assert [job.train.model_args for job in found] == [{"a": 1, "b": 2}, {"a": 1, "b": 3}]
    assert train == {"model_args": {"a": 1, "b": 1}}
    assert [job.point for job in found] == [{"b": 2}, {"b": 3}]


def test_lists_of_layers_are_an_axis():
    found = jobs(train={"weights": "w.keras", "weights_except": ["head"]}, axes={"train.freeze": [["conv*", "b1"], []]})
    assert [job.train.freeze for job in found] == [("conv*", "b1"), ()]
    assert {job.train.weights_except for job in found} == {("head",)}


def test_a_keyword_called_as_a_field_is_keeps_its_section():
    (job,) = jobs(axes={"train.precision": ["float32"], "model.precision": ["half"]})
    assert job.point == {"precision": "float32", "model.precision": "half"}


class TestSeeds:
    def test_each_repeat_has_its_own(self):
        assert [job.train.seed for job in jobs(repeats=3)] == [1, 2, 3]
        assert [job.train.seed for job in jobs(repeats=3, train={"seed": 40})] == [40, 41, 42]

    def test_given_ones_are_taken_in_turn(self):
        assert [job.train.seed for job in jobs(repeats=3, seeds=[7, 9])] == [7, 9, 7]

    def test_an_axis_of_them(self):
        found = jobs(repeats=2, axes={"train.seed": [10, 20]})
        assert [job.train.seed for job in found] == [10, 20, 11, 21]

    def test_all_points_of_a_repeat_share_one(self):
        found = jobs(repeats=2, axes={"train.batch_size": [64, 128]})
        assert [job.train.seed for job in found] == [1, 1, 2, 2]

    def test_the_largest_has_no_next(self):
        message = error_of(repeats=2, train={"seed": 2**31 - 1})
        assert message == "mine, point base: [train] seed: 2147483648 is not valid; expected at most 2147483647."


class TestWeakScaling:
    def test_samples_and_batch_are_those_of_one_rank(self):
        train = {**HOROVOD, "samples": 1000, "batch_size": 32}
        found = jobs(kind="weak", train=train, axes={"resources.ntasks": [1, 2, 4]})
        assert [(job.train.samples, job.train.batch_size) for job in found] == [(1000, 32), (2000, 64), (4000, 128)]

    def test_devices_count_as_ranks_do(self):
        train = {"strategy": "mirrored", "samples": 1000, "batch_size": 32}
        found = jobs(kind="weak", train=train, axes={"train.devices": [1, 2]})
        assert [(job.train.samples, job.train.batch_size) for job in found] == [(1000, 32), (2000, 64)]

    @pytest.mark.parametrize("left", ["samples", "batch_size"])
    def test_both_must_be_said(self, left):
        train = {key: value for key, value in {"samples": 1000, "batch_size": 32}.items() if key != left}
        assert error_of(kind="weak", train=train) == (
            "mine, point base: a weak-scaling study needs [train] samples and batch_size: those of one rank"
        )

    def test_other_kinds_leave_them_alone(self):
        train = {**HOROVOD, "samples": 1000, "batch_size": 32}
        found = jobs(kind="strong", train=train, axes={"resources.ntasks": [1, 2]})
        assert {(job.train.samples, job.train.batch_size) for job in found} == {(1000, 32)}


class TestNames:
    def test_they_say_the_point_and_the_repeat(self):
        found = ids(repeats=2, train=HOROVOD, axes={"resources.ntasks": [2]})
        assert [run_id.rpartition("-")[0] for run_id in found] == ["ntasks=2-r01", "ntasks=2-r02"]
        assert ids()[0].startswith("base-r01-")

    def test_they_are_names_of_folders_whatever_the_values(self):
        (run_id,) = ids(axes={"model.note": ["a/b ../c\n" * 100]})
        assert len(run_id) < 150
        assert not set(run_id) & set("/ \n")

    def test_long_names_that_begin_alike_are_two(self):
        assert len(set(ids(axes={"model.note": ["x" * 200 + "a", "x" * 200 + "b"]}))) == 2

    def test_they_are_the_same_every_time(self):
        keys = {"repeats": 2, "train": HOROVOD, "axes": {"resources.ntasks": [1, 2]}}
        assert ids(**keys) == ids(**keys)

    def test_what_decides_the_numbers_changes_them(self):
        base = ids(train={"epochs": 2})
        for changed in (
            ids(train={"epochs": 3}),
            ids(train={"epochs": 2, "model_args": {"a": 1}}),
            ids(train={"epochs": 2}, resources={"cpus_per_task": 1}),
            ids(train={"epochs": 2}, kind="strong"),
            ids(train={"epochs": 2}, seeds=[9]),
            [run.run_id for run in expand(study(train={"epochs": 2}), "elsewhere")],
            ids(program=["true"]),
        ):
            assert changed != base

    def test_what_does_not_leaves_them(self):
        assert ids(train={"epochs": 2}, description="x", repeats=3)[0] == ids(train={"epochs": 2})[0]
        assert ids(train={"epochs": 2}) == ids(train={"epochs": 2, "seed": 1})

    def test_they_are_those_of_the_first_version(self):
        """What is finished stays finished: these names are in users' folders."""
        for keys, names in ((PROGRAM, PROGRAM_NAMES), ({"train": HOROVOD}, TRAIN_NAMES)):
            assert ids(**keys, axes={"resources.ntasks": [1, 2]}) == names

    def test_when_and_how_long_a_run_may_run_leaves_them(self):
        resources = {"time": "0:10:00", "account": "def-prof", "qos": "long", "mem": "16G", "requeue": True}
        assert ids(resources=resources) == ids()
        assert ids(resources={"partition": "fast"}) != ids()
        assert error_of(axes={"resources.time": ["1:00", "2:00"]}).endswith("leave one out")

    def test_another_container_or_environment_is_another_run(self):
        runs = [ids(software=software)[0] for software in SOFTWARE]
        assert len({*runs, *ids()}) == len(SOFTWARE) + 1
        assert ids(software={}) == ids(software={"bind": []}) == ids()
        found = jobs(axes={"software.container": ["a.sif", "b.sif"]})
        assert [(job.software.container, job.point) for job in found] == [
            (image, {"container": image}) for image in ("a.sif", "b.sif")
        ]


class TestRefused:
    def test_tasks_that_do_not_go_together(self):
        message = error_of(
            train=HOROVOD, resources={"nodes": 2, "ntasks_per_node": 2}, axes={"resources.ntasks": [4, 3]}
        )
        assert message == ("mine, point ntasks=3: [resources] ntasks: 3 tasks are not 2 nodes x 2 tasks per node")

    def test_the_same_value_twice(self):
        assert error_of(train={"epochs": 2}, axes={"train.batch_size": [64, 64]}).endswith("leave one out")

    def test_points_that_say_the_same_in_other_words(self):
        message = error_of(points=[{"train.strategy": "serial"}, {"resources.ntasks": 1}])
        assert message.startswith("mine: ntasks=1-r01-")
        assert "is the same run as strategy=serial-r01-" in message

    def test_a_point_that_cannot_be(self):
        message = error_of(axes={"train.strategy": ["horovod", "serial"], "resources.ntasks": [2]})
        assert message.startswith("mine, point strategy=serial,ntasks=2: ntasks: 2 is not valid; expected 1 with strat")


def test_a_study_of_a_program():
    found = jobs(program=["python", "x.py"], repeats=2, axes={"resources.ntasks": [1, 2]})
    assert {job.program for job in found} == {("python", "x.py")}
    assert {job.train for job in found} == {None}
    assert [(job.repeat, job.resources.ntasks) for job in found] == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_what_a_study_states_of_its_program():
    axes = {"resources.ntasks": [1, 2]}
    strong = jobs(program=["x"], kind="strong", train={"batch_size": 64, "samples": 1000}, axes=axes)
    assert [(job.stated.batch_size, job.stated.samples) for job in strong] == [(64, 1000), (64, 1000)]
    weak = jobs(program=["x"], kind="weak", train={"batch_size": 64, "samples": 1000}, axes=axes)
    assert [(job.stated.batch_size, job.stated.samples) for job in weak] == [(64, 1000), (128, 2000)]
    (alone,) = jobs(program=["x"], independent=True, train={"strategy": "multiworker"})
    assert (alone.stated.independent, alone.stated.strategy) == (True, "multiworker")
    assert ids(program=["x"], train={"batch_size": 64}) != ids(program=["x"], train={"batch_size": 32})


@pytest.mark.parametrize("file", PACKAGED, ids=lambda file: file.stem)
def test_packaged_studies(file):
    spec = read(file)
    assert spec.name == file.stem
    assert spec.description
    runs = expand(spec, "local")
    assert len({run.run_id for run in runs}) == len(runs)
    assert len(runs) % spec.repeats == 0
    assert spec.repeats >= 3, "a mean without its spread is no measurement"
    assert {run.job.kind for run in runs} == {spec.kind}


def test_an_option_at_its_default_changes_no_name():
    """Or an option that a later version adds would make every finished run of every study run again."""
    plain = ids(train=HOROVOD, resources={"ntasks": 2})
    assert ids(train={**HOROVOD, "communication": True, "precision": "float32"}, resources={"ntasks": 2}) == plain
    assert ids(train={**HOROVOD, "communication": False}, resources={"ntasks": 2}) != plain


def test_the_ceiling_is_an_axis():
    found = jobs(train=HOROVOD, axes={"resources.ntasks": [1, 2], "train.communication": [True, False]})
    assert [(job.resources.ntasks, job.train.communication) for job in found] == [
        (1, True),
        (1, False),
        (2, True),
        (2, False),
    ]
    assert "communication: 'false' is not valid" in error_of(axes={"train.communication": [True, False]})
