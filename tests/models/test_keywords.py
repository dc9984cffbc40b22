"""A network's keywords, input shape and classes: what they change in it, and how wrong words are refused."""

import sys

import pytest

from hpcnn.models import registry
from hpcnn.util.errors import UsageError
from hpcnn.zoo.registry import recipe

pytest.importorskip("keras")


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        # 784*32+32 + 32*32+32 + 32*10+10
        ("psc-fc64", {"arguments": {"numnodes": 32}}, 26_506),
        # 784*64+64 + 64*10+10
        ("psc-fc64", {"arguments": {"hidden_layers": 1}}, 50_890),
        # the last layer has 64*5+5
        ("psc-fc64", {"classes": 5}, 54_725),
        # scikit-learn's digits: 8 -> 6 -> 4 -> 2, so 2*2*64 = 256 into the dense layer
        ("psc-cnn-dropout", {"input_shape": (8, 8, 1)}, 320 + 18_496 + 256 * 128 + 128 + 1_290),
        # CIFAR-10: 3*3*3*32+32, 32 -> 30 -> 15, 15*15*32 = 7200
        ("psc-cnn1", {"input_shape": (32, 32, 3)}, 896 + 720_100 + 1_010),
        # 5*5*10+10, 12*12*10 = 1440 into 50
        ("scinet-cnn1", {"arguments": {"numfm": 10, "numnodes": 50}}, 260 + 72_050 + 510),
        # a dense network flattens an image: the count is that of 784 inputs
        ("scinet-dense-sigmoid", {"input_shape": (28, 28, 1)}, 23_860),
        ("scinet-functional", {"input_shape": (28, 28, 1)}, 23_860),
        ("wolter-mlp", {"input_shape": [32, 32, 3]}, 3072 * 512 + 512 + 2 * 262_656 + 5_130),
        ("wolter-cifar10-resnet110", {"arguments": {"depth": 20}}, 574_090),
        ("wolter-cifar10-resnet110", {"arguments": {"depth": 29}}, 849_002),
        ("wolter-cifar10-resnet110", {"arguments": {"depth": 56}}, 1_673_738),
    ],
)
def test_overrides_change_the_count(name, options, parameters):
    assert registry.build(name, **options).count_params() == parameters


def test_given_shape_and_classes_win_over_arguments():
    model = registry.build("psc-fc64", input_shape=(64,), arguments={"input_shape": (32,), "classes": 3, "numnodes": 8})
    assert (model.input_shape, model.output_shape) == ((None, 64), (None, 3))


def test_a_wrong_resnet_depth_names_its_neighbours():
    with pytest.raises(UsageError, match=r"depth: 30 .* such as 29 or 38"):
        registry.build("wolter-cifar10-resnet110", arguments={"depth": 30})


@pytest.mark.parametrize("depth", [2, 3, 12, 110.5, -7])
def test_wrong_resnet_depth(depth):
    with pytest.raises(UsageError, match=r"depth: .* expected 9n \+ 2"):
        registry.build("wolter-cifar10-resnet110", arguments={"depth": depth})


def test_unknown_id_suggests_the_nearest():
    with pytest.raises(UsageError, match=r"--model: 'psc-cn1' is not known. Did you mean 'psc-cnn1'") as error:
        recipe("psc-cn1")
    assert "`hpcnn models` lists all" in str(error.value)


def test_unknown_name_also_tells_of_own_functions():
    with pytest.raises(UsageError, match=r"package\.module:function"):
        registry.build("resnet")


def test_unknown_argument_names_the_valid_ones():
    with pytest.raises(UsageError, match=r"model psc-cnn1: 'numnode' is not known. Did you mean 'numnodes'"):
        registry.build("psc-cnn1", arguments={"numnode": 3})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("psc-cnn1", {"input_shape": (784,)}, r"input shape: \(784,\) is not valid"),
        ("scinet-cnn2", {"input_shape": (8, 8, 1)}, r"scinet-cnn2 cannot be built .*input_shape=\(8, 8, 1\)"),
        ("psc-fc64", {"arguments": {"numnodes": "many"}}, "numnodes='many'"),
        ("psc-fc64", {"arguments": {"hidden_layers": "2"}}, "hidden_layers='2'"),
    ],
)
def test_values_that_cannot_be_built(name, options, message):
    with pytest.raises(UsageError, match=message):
        registry.build(name, **options)


def test_without_keras_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(UsageError, match=r"pip install 'hpcnn\[cpu\]'"):
        registry.build("psc-fc64")
