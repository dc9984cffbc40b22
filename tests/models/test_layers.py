"""The layers of the zoo's networks: their order, shapes, names, dropout rates and number types."""

import pytest

from hpcnn.models import registry
from tests.models.zoo_counts import COUNTS

keras = pytest.importorskip("keras")


def output_shapes(model):
    return [tuple(layer.output.shape[1:]) for layer in model.layers if not layer.name.startswith("dropout_")]


def test_shapes_scinet_cnn2():
    assert output_shapes(registry.build("scinet-cnn2")) == [
        (24, 24, 20),
        (12, 12, 20),
        (10, 10, 40),
        (5, 5, 40),
        (1000,),
        (100,),
        (10,),
    ]


def test_shapes_wolter_mnist_cnn():
    model = registry.build("wolter-mnist-cnn")
    rows = [layer.output.shape[1] for layer in model.layers if "conv" in layer.name or "pool" in layer.name]
    assert rows == [26, 24, 12, 10, 8, 4]
    assert model.get_layer(index=8).output.shape[1:] == (1024,)


def test_shapes_wolter_cifar10_cnn():
    model = registry.build("wolter-cifar10-cnn")
    rows = [layer.output.shape[1] for layer in model.layers if "conv" in layer.name or "pool" in layer.name]
    assert rows == [32, 30, 15, 15, 13, 6]


def test_order_of_psc_cnn_batchnorm():
    kinds = [type(layer).__name__ for layer in registry.build("psc-cnn-batchnorm").layers]
    bn = "BatchNormalization"
    assert kinds == ["Conv2D", bn, "Conv2D", "MaxPooling2D", bn, "Flatten", "Dense", bn, "Dense"]


def test_layers_have_the_lectures_names():
    names = [layer.name for layer in registry.build("scinet-dense-dropout").layers]
    assert names == ["hidden", "dropout", "output"]
    names = [layer.name for layer in registry.build("scinet-functional").layers]
    assert names == ["input", "hidden", "output"]


def test_dropout_rates():
    def rates(name):
        return [layer.rate for layer in registry.build(name).layers if isinstance(layer, keras.layers.Dropout)]

    assert rates("scinet-dense-dropout") == [0.2]
    assert rates("psc-cnn-dropout") == [0.25, 0.5]
    assert rates("wolter-mlp") == [0.2, 0.2, 0.2]
    assert rates("wolter-mnist-cnn") == [0.25, 0.25, 0.5]


def test_factory_default_of_the_dropout_rate_is_the_lectures():
    from hpcnn.models import scinet

    assert scinet.dense_dropout().get_layer("dropout").rate == 0.4


def test_resnet_structure():
    model = registry.build("wolter-cifar10-resnet110", arguments={"depth": 20})
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    # the stem, three in each of 6 blocks, and one projection shortcut in each of 3 stages
    assert len(convolutions) == 1 + 18 + 3
    assert all(layer.kernel_regularizer.l2 == pytest.approx(1e-4) for layer in convolutions)
    assert [layer.strides for layer in convolutions].count((2, 2)) == 4
    normalizations = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    # the stem, three in each block but the first, which has two, and the head
    assert len(normalizations) == 1 + 17 + 1


@pytest.mark.parametrize("name", COUNTS)
def test_output_is_float32_under_mixed_precision(name):
    arguments = {"depth": 11} if name == "wolter-cifar10-resnet110" else {}
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = registry.build(name, arguments=arguments)
    finally:
        keras.config.set_dtype_policy(policy)
    assert model.outputs[0].dtype == "float32"
    assert "float16" in {layer.compute_dtype for layer in model.layers}
