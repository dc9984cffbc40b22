"""The nouns: every field is checked, every error names key, value and valid values, and mappings come back whole."""

import dataclasses
import json
import typing

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as such_as
from hypothesis import strategies as st

from hpcnn.sites.profile import Site
from hpcnn.specs.fields import from_mapping, given, hints, plain_type, to_mapping
from hpcnn.specs.job import JobSpec, check_ranks
from hpcnn.specs.resources import Resources
from hpcnn.specs.study import StudySpec
from hpcnn.specs.train import LARGEST_SEED, STRATEGIES, AugmentSpec, TrainSpec
from hpcnn.util.errors import UsageError

SPECS = (TrainSpec, AugmentSpec, Resources, Site, StudySpec)
FIELDS = [(cls, f) for cls in SPECS for f in dataclasses.fields(cls)]


def wrong(cls, values, where=""):
    with pytest.raises(UsageError) as caught:
        from_mapping(cls, values, where)
    assert caught.value.exit_code == 2
    return str(caught.value)


def of(item):
    """Return a pytest id such as TrainSpec.epochs."""
    return f"{item[0].__name__}.{item[1].name}"


def other_type(wanted):
    """Return a value that is certainly not of the type."""
    return {int: "many", float: "much", str: 3, bool: 1, dict: [1], tuple: "a b"}[wanted]


@pytest.mark.parametrize("item", FIELDS, ids=of)
def test_a_field_of_the_wrong_type_is_named_with_its_value(item):
    cls, field = item
    value = other_type(plain_type(hints(cls)[field.name]))
    message = wrong(cls, {field.name: value}, "[table] ")
    assert message.startswith(f"[table] {field.name}: {value!r} is not valid; expected ")


@pytest.mark.parametrize("item", [x for x in FIELDS if x[1].metadata["choices"]], ids=of)
def test_a_choice_names_all_choices_and_suggests_the_closest(item):
    cls, field = item
    choices = field.metadata["choices"]
    valid = [*choices, "package.module:function"] if field.metadata["own"] else choices
    mistyped = choices[-1] + "x"
    message = wrong(cls, {field.name: mistyped})
    assert message.startswith(f"{field.name}: {mistyped!r} is not known. Did you mean ")
    assert repr(choices[-1]) in message
    assert message.endswith(f"? Valid: {', '.join(valid)}.")


@pytest.mark.parametrize("item", [x for x in FIELDS if x[1].metadata["minimum"] is not None], ids=of)
def test_the_minimum_is_valid_and_less_is_not(item):
    cls, field = item
    minimum = field.metadata["minimum"]
    single = plain_type(hints(cls)[field.name]) is not tuple
    required = {"name": "x"} if cls is StudySpec else {}
    from_mapping(cls, {**required, field.name: minimum if single else [minimum]})
    message = wrong(cls, {field.name: minimum - 1 if single else [minimum - 1]})
    assert message == f"{field.name}: {minimum - 1!r} is not valid; expected at least {minimum:g}."


@pytest.mark.parametrize("item", [x for x in FIELDS if x[1].metadata["above"] is not None], ids=of)
def test_a_bound_that_is_not_reached(item):
    cls, field = item
    bound = field.metadata["above"]
    assert wrong(cls, {field.name: bound}) == f"{field.name}: {bound!r} is not valid; expected more than {bound:g}."


@pytest.mark.parametrize("item", [x for x in FIELDS if x[1].metadata["maximum"] is not None], ids=of)
def test_the_maximum_is_valid_and_more_is_not(item):
    cls, field = item
    maximum = field.metadata["maximum"]
    single = plain_type(hints(cls)[field.name]) is not tuple
    required = {"name": "x"} if cls is StudySpec else {}
    from_mapping(cls, {**required, field.name: maximum if single else [maximum]})
    message = wrong(cls, {field.name: maximum + 1 if single else [maximum + 1]})
    assert message == f"{field.name}: {maximum + 1!r} is not valid; expected at most {maximum:.10g}."


def test_the_largest_seed_is_written_out():
    assert wrong(TrainSpec, {"seed": 2**31}) == "seed: 2147483648 is not valid; expected at most 2147483647."


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("key", ["learning_rate", "warmup_epochs", "momentum", "target_accuracy"])
def test_numbers_are_finite(key, value):
    assert wrong(TrainSpec, {key: value}) == f"{key}: {value!r} is not valid; expected a finite number."


def test_an_unknown_key_is_suggested():
    message = wrong(TrainSpec, {"epoch": 3}, "smoke.toml: [train] ")
    assert message == "smoke.toml: [train] key: 'epoch' is not known. Did you mean 'epochs'?"


def test_an_item_of_a_list_is_checked():
    assert wrong(Site, {"launcher_options": ["--mca", 1]}) == "launcher_options: 1 is not valid; expected a string."
    assert wrong(StudySpec, {"seeds": [1, True]}) == "seeds: True is not valid; expected a whole number."


def test_errors_spell_keys_as_they_are_told_to():
    with pytest.raises(UsageError, match=r"^--batch-size: 0 is not valid; expected at least 1\.$"):
        from_mapping(TrainSpec, {"batch_size": 0}, spell=lambda key: "--" + key.replace("_", "-"))


def test_true_is_no_number_and_a_whole_number_is_one():
    assert "expected a whole number" in wrong(TrainSpec, {"epochs": True})
    assert "expected a number" in wrong(TrainSpec, {"learning_rate": True})
    rate = from_mapping(TrainSpec, {"learning_rate": 1}).learning_rate
    assert rate == 1.0
    assert isinstance(rate, float)


def test_a_table_with_keys_of_its_own_is_checked_key_by_key():
    assert wrong(TrainSpec, {"augment": {"rotate": 3}}, "[train] ").startswith(
        "[train] augment: key: 'rotate' is not known. Did you mean 'rotation'?"
    )
    assert wrong(TrainSpec, {"augment": {"zoom": 1}}) == "augment: zoom: 1.0 is not valid; expected at most 0.9."
    assert from_mapping(TrainSpec, {"augment": {"rotation": 10}}).augment == {"rotation": 10.0}


def test_every_field_has_words_for_the_user():
    for cls, field in FIELDS:
        text = field.metadata["help"]
        assert text[0].isupper(), (cls, field.name)
        assert text.endswith("."), (cls, field.name)


def values_of(cls):
    """Return a hypothesis strategy for mappings that ``cls`` must take."""

    def of_type(kind, facts):
        low = facts["minimum"] if facts["minimum"] is not None else facts["above"]
        high = facts["maximum"]
        whole = st.integers(
            -(2**30) if low is None else low, 2**30 if high is None else high
        )  # products are in 64 bits
        return {
            int: whole,
            float: st.floats(low, high, exclude_min=facts["above"] is not None, allow_nan=False, allow_infinity=False),
            str: st.sampled_from(facts["choices"]) if facts["choices"] else st.text(),
            bool: st.booleans(),
            dict: st.dictionaries(st.text(), st.one_of(whole, st.text(), st.booleans())),
        }[kind]

    def of_field(field):
        hint = hints(cls)[field.name]
        if plain_type(hint) is tuple:
            return st.lists(of_type(typing.get_args(hint)[0], field.metadata))
        if field.metadata["table"]:
            return values_of(field.metadata["table"])
        words = of_type(plain_type(hint), field.metadata)
        return words | st.none() if type(None) in typing.get_args(hint) else words

    return st.fixed_dictionaries({}, optional={f.name: of_field(f) for f in dataclasses.fields(cls)})


@pytest.mark.parametrize("cls", [TrainSpec, Resources, Site])
def test_a_spec_comes_back_from_json_as_it_was(cls):
    @such_as(values_of(cls))
    @settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
    def check(values):
        if values.get("ntasks_per_node") is not None:
            values.pop("ntasks", None)  # the two must agree: see test_tasks_per_node
        if values.get("gpus_per_task") is not None:
            values.pop("gpus_per_node", None)
        for key in ("mem_per_cpu", "mem_per_gpu") if values.get("mem") else ("mem_per_gpu",):
            values.pop(key, None)  # one of the three
        spec = from_mapping(cls, values)
        assert from_mapping(cls, json.loads(json.dumps(to_mapping(spec)))) == spec
        assert from_mapping(cls, given(spec)) == spec
        assert all(getattr(cls(), key) != value for key, value in given(spec).items())

    check()


toml_values = st.recursive(
    st.integers() | st.floats() | st.text() | st.booleans() | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


@such_as(st.sampled_from([f.name for f in dataclasses.fields(TrainSpec)]), toml_values)
def test_whatever_a_file_says_gives_a_spec_or_an_error_that_names_the_key(key, value):
    message = None
    try:
        from_mapping(TrainSpec, {key: value})
    except UsageError as error:
        message = str(error)
    assert message is None or message.startswith(f"{key}: ")


class TestRanks:
    def test_one_process_strategies_take_one_task(self):
        for strategy in ("serial", "mirrored"):
            with pytest.raises(UsageError, match=f"^ntasks: 2 is not valid; expected 1 with strategy {strategy}, "):
                check_ranks(Resources(ntasks=2), TrainSpec(strategy=strategy))
        for strategy in STRATEGIES:
            check_ranks(Resources(), TrainSpec(strategy=strategy))
        for strategy in ("horovod", "multiworker"):
            check_ranks(Resources(ntasks=2), TrainSpec(strategy=strategy))

    def test_every_node_has_a_task(self):
        with pytest.raises(UsageError, match=r"^ntasks: 1 is not valid; expected at least one task on each of the 2"):
            check_ranks(Resources(nodes=2), None)

    def test_devices_are_those_of_a_mirrored_process(self):
        check_ranks(Resources(), TrainSpec(strategy="mirrored", devices=2))
        with pytest.raises(UsageError, match=r"^devices: 2 is not valid; expected no value unless strategy is mir"):
            check_ranks(Resources(), TrainSpec(devices=2))

    def test_a_job_checks_them(self):
        with pytest.raises(UsageError, match="ntasks"):
            JobSpec("x", "local", Resources(ntasks=2), TrainSpec())


def test_a_job_is_a_training_or_a_program():
    for train, program in ((None, ()), (TrainSpec(), ("true",))):
        with pytest.raises(UsageError, match="the one or the other"):
            JobSpec("x", "local", Resources(), train, program)


def test_specs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainSpec().epochs = 3
    assert from_mapping(TrainSpec, {"seed": LARGEST_SEED}).seed == LARGEST_SEED


def test_tasks_per_node_are_tasks():
    resources = Resources(nodes=2, ntasks_per_node=3)
    assert resources.ntasks == 6
    assert Resources(nodes=2, ntasks=6, ntasks_per_node=3) == resources
    with pytest.raises(UsageError, match=r"^ntasks: 5 tasks are not 2 nodes x 3 tasks per node"):
        Resources(nodes=2, ntasks=5, ntasks_per_node=3)
