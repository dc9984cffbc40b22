"""The model zoo against the lectures' numbers, and a user's own models beside it."""

import sys
from pathlib import Path

import pytest

from hpcnn.errors import UsageError
from hpcnn.models import registry
from hpcnn.models.recipe import LOSSES, OPTIMIZERS, PIXEL_SCALES, REPORTED

keras = pytest.importorskip("keras")

# id: (all parameters, trainable parameters), as the lectures print them or as counted by hand:
# dense = in*out + out, convolution = k*k*in*out + out, batch normalization = 4*c of which 2*c are trainable.
COUNTS = {
    "scinet-dense-sigmoid": (23_860, 23_860),
    "scinet-dense-sigmoid-2017": (23_860, 23_860),
    "scinet-dense-dropout": (23_860, 23_860),
    "scinet-dense-tanh": (23_860, 23_860),
    "scinet-dense-tanh-2017": (23_860, 23_860),
    "scinet-cnn1": (289_630, 289_630),
    "scinet-cnn1-2017": (289_630, 289_630),
    "scinet-cnn2": (108_870, 108_870),
    "scinet-functional": (23_860, 23_860),
    "psc-toy-3-3-2": (15, 15),
    "psc-fc64": (55_050, 55_050),
    "psc-fc512": (669_706, 669_706),
    "psc-fc512-deep": (932_362, 932_362),
    "psc-cnn1": (542_230, 542_230),
    "psc-cnn2": (1_199_882, 1_199_882),
    "psc-cnn-dropout": (1_199_882, 1_199_882),
    "psc-cnn-batchnorm": (1_200_778, 1_200_330),
    "psc-fc64-tensorboard": (55_050, 55_050),
    "psc-mirrored": (50_890, 50_890),
    "psc-hparams": (12_730, 12_730),
    "horovod-mnist": (1_199_882, 1_199_882),
    "wolter-mlp": (932_362, 932_362),
    "wolter-mlp-adam": (932_362, 932_362),
    "wolter-mnist-cnn": (225_162, 225_162),
    "wolter-mnist-cnn-adadelta": (1_199_882, 1_199_882),
    "wolter-cifar10-cnn": (1_250_858, 1_250_858),
    "wolter-cifar10-resnet110": (3_323_210, 3_302_442),
    # 5*5*16+16, 5*5*16*32+32, 4*4*32*128+128, 128*10+10
    "lenet": (80_202, 80_202),
    # 10,000 words * 16, 16*16+16, 16*1+1
    "imdb-embedding": (160_289, 160_289),
    # 10,000 words * 32, 5*32*64+64, 64*64+64, 64*1+1
    "imdb-conv1d": (334_529, 334_529),
    "reuters-dense": (647_214, 647_214),
    "housing-dense": (5_121, 5_121),
    # twice 5*5*20+20, 2*(5*12*20)*100+100, 100*10+10, 5*12*20*1+1
    "scinet-two-inputs": (243_351, 243_351),
}

# id: (optimizer, learning rate, momentum, loss, batch, epochs, pixel scale, reported test accuracy)
TRAINING = {
    "scinet-dense-sigmoid": ("sgd", 0.01, 0, "mean_squared_error", 5, 1000, "raw", 0.62),
    "scinet-dense-sigmoid-2017": ("sgd", 1.0, 0, "mean_squared_error", 10, 100, "unit", 0.87),
    "scinet-dense-dropout": ("sgd", 0.01, 0, "mean_squared_error", 5, 1000, "raw", 0.69),
    "scinet-dense-tanh": ("adam", 0.001, 0, "categorical_crossentropy", 128, 100, "raw", 0.9295),
    "scinet-dense-tanh-2017": ("sgd", 0.01, 0, "categorical_crossentropy", 20, 100, "unit", 0.9654),
    "scinet-cnn1": ("sgd", 0.01, 0, "categorical_crossentropy", 128, 30, "raw", 0.9835),
    "scinet-cnn1-2017": ("sgd", 0.01, 0, "categorical_crossentropy", 20, 30, "unit", 0.9887),
    "scinet-cnn2": ("sgd", 0.01, 0, "categorical_crossentropy", 128, 100, "raw", 0.9912),
    "psc-fc64": ("adam", 0.001, 0, "sparse_categorical_crossentropy", 128, 40, "unit", 0.9755),
    "psc-fc512": ("adam", 0.001, 0, "sparse_categorical_crossentropy", 128, 30, "unit", 0.9821),
    "psc-fc512-deep": ("adam", 0.001, 0, "sparse_categorical_crossentropy", 128, 30, "unit", 0.98),
    "psc-cnn1": ("sgd", 0.01, 0.9, "sparse_categorical_crossentropy", 32, 10, "unit", 0.9874),
    "psc-cnn2": ("sgd", 0.01, 0.9, "sparse_categorical_crossentropy", 32, 15, "unit", 0.9903),
    "psc-cnn-dropout": ("sgd", 0.01, 0.9, "sparse_categorical_crossentropy", 32, 15, "unit", 0.9919),
    "psc-cnn-batchnorm": ("sgd", 0.01, 0.9, "sparse_categorical_crossentropy", 32, 15, "unit", 0.9891),
    "psc-hparams": ("adam", 0.001, 0, "sparse_categorical_crossentropy", 32, 1, "unit", 0.8321),
    "horovod-mnist": ("adadelta", 1.0, 0, "categorical_crossentropy", 128, 12, "unit", None),
    "wolter-mlp": ("rmsprop", 0.001, 0, "categorical_crossentropy", 128, 10, "unit", 0.9759),
    "wolter-mlp-adam": ("adam", 0.001, 0, "categorical_crossentropy", 128, 10, "unit", 0.9802),
    "wolter-mnist-cnn": ("adam", 0.001, 0, "categorical_crossentropy", 128, 40, "unit", 0.9959),
    "wolter-mnist-cnn-adadelta": ("adadelta", 1.0, 0, "categorical_crossentropy", 128, 20, "unit", 0.9906),
    "wolter-cifar10-resnet110": ("adam", 1e-3, 0, "sparse_categorical_crossentropy", 128, 50, "unit", None),
}


def trainable(model):
    return sum(int(keras.ops.size(variable)) for variable in model.trainable_variables)


def output_shapes(model):
    return [tuple(layer.output.shape[1:]) for layer in model.layers if not layer.name.startswith("dropout_")]


def test_the_zoo_is_the_lectures():
    assert {name for name in registry.RECIPES if not registry.in_numpy(name)} == set(COUNTS)
    assert all(registry.is_zoo(name) for name in COUNTS)
    assert not registry.is_zoo("my_net:build")


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts(name):
    model = registry.build(name)
    assert (model.count_params(), trainable(model)) == COUNTS[name]
    recipe = registry.recipe(name)
    assert (recipe.parameters, recipe.trainable) == COUNTS[name]
    if name == "scinet-two-inputs":
        assert model.input_shape == [(None, 14, 28, 1)] * 2
        assert model.output_shape == [(None, 10), (None, 1)]
    else:
        assert model.input_shape == (None, *recipe.input_shape)
        assert model.output_shape == (None, 1 if name.startswith("imdb") else recipe.classes)


@pytest.mark.parametrize("name", TRAINING)
def test_training_as_in_the_lecture(name):
    r = registry.recipe(name)
    told = (r.optimizer, r.learning_rate, r.momentum, r.loss, r.batch_size, r.epochs, r.pixel_scale)
    assert (*told, r.reported.get("test_accuracy")) == TRAINING[name]


@pytest.mark.parametrize("recipe", registry.RECIPES.values(), ids=lambda recipe: recipe.id)
def test_recipe_uses_the_vocabulary(recipe):
    assert recipe.optimizer in OPTIMIZERS
    assert recipe.loss in (LOSSES if recipe.id != "scinet-two-inputs" else (None,))
    assert recipe.pixel_scale in PIXEL_SCALES
    assert set(recipe.reported) <= set(REPORTED)
    assert all(0 < recipe.reported[key] <= 1 for key in recipe.reported if key.endswith("accuracy"))
    assert recipe.momentum == 0 or recipe.optimizer == "sgd"
    assert recipe.title
    assert "\n" not in recipe.title
    assert recipe.loss is None or keras.losses.get(recipe.loss) is not None


@pytest.mark.parametrize(
    "recipe",
    [r for r in registry.RECIPES.values() if any("by name" in s or "as is" in s for s in r.slips)],
    ids=lambda recipe: recipe.id,
)
def test_a_learning_rate_called_the_default_is_keras_default(recipe):
    assert float(keras.optimizers.get(recipe.optimizer).learning_rate) == pytest.approx(recipe.learning_rate)


def test_small_subsets_are_the_lectures():
    sizes = {name: (r.samples, r.test_samples) for name, r in registry.RECIPES.items()}
    assert sizes["scinet-dense-sigmoid"] == (500, 100)
    assert sizes["scinet-dense-dropout"] == (500, 100)
    assert sizes["scinet-dense-sigmoid-2017"] == (1000, 100)
    assert sizes["scinet-cnn1-2017"] == (50_000, None)
    assert sizes["psc-cnn2"] == (None, None)


def test_epochs_follow_the_log_where_listing_and_log_disagree():
    for name in ("psc-cnn2", "psc-cnn-dropout", "psc-cnn-batchnorm"):
        assert any("10 epochs" in slip and "15 of 15" in slip for slip in registry.recipe(name).slips)


def test_as_dict_is_plain_and_whole():
    record = registry.recipe("scinet-dense-dropout").as_dict()
    assert record["input_shape"] == [784]
    assert record["arguments"] == {"numnodes": 30, "d_rate": 0.2}
    assert isinstance(record["slips"], list)
    assert set(record) == set(registry.recipe("psc-fc64").__dataclass_fields__)


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


@pytest.mark.parametrize("blocks", [1, 3, 6])
def test_resnet_counts_follow_from_its_depth(blocks):
    """Counted by hand: k*k*in*out + out of a convolution, 4 a channel of a normalization; n blocks in each stage."""

    def block(width, inputs, outputs):
        convolutions = inputs * width + width + 9 * width**2 + width + width * outputs + outputs
        return convolutions + 4 * (inputs + 2 * width)

    total = 3 * 9 * 16 + 16 + 4 * 16  # the stem
    inputs = 16
    for stage, (width, outputs) in enumerate(((16, 64), (64, 128), (128, 256))):
        total += inputs * outputs + outputs  # the projection
        total += block(width, inputs, outputs) + (blocks - 1) * block(width, outputs, outputs)
        total -= 4 * inputs if stage == 0 else 0  # the first block begins with a convolution
        inputs = outputs
    total += 4 * 256 + 256 * 10 + 10
    model = registry.build("wolter-cifar10-resnet110", arguments={"depth": 9 * blocks + 2})
    assert model.count_params() == total


def test_a_wrong_resnet_depth_names_its_neighbours():
    with pytest.raises(UsageError, match=r"depth: 30 .* such as 29 or 38"):
        registry.build("wolter-cifar10-resnet110", arguments={"depth": 30})


@pytest.mark.parametrize("depth", [2, 3, 12, 110.5, -7])
def test_wrong_resnet_depth(depth):
    with pytest.raises(UsageError, match=r"depth: .* expected 9n \+ 2"):
        registry.build("wolter-cifar10-resnet110", arguments={"depth": depth})


def test_unknown_id_suggests_the_nearest():
    with pytest.raises(UsageError, match=r"--model: 'psc-cn1' is not known. Did you mean 'psc-cnn1'\?") as error:
        registry.recipe("psc-cn1")
    assert all(name in str(error.value) for name in COUNTS)


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


OWN = """
import keras

def plain():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])

def shaped(input_shape, classes, *, width=3):
    layers = [keras.Input(input_shape), keras.layers.Dense(width), keras.layers.Dense(classes)]
    return keras.Sequential(layers)

def anything(**keywords):
    return plain() if keywords == {"colour": "red"} else None

def wrong():
    return 3

def fails():
    raise RuntimeError("my own fault")

class Net(keras.Model):
    pass

number = 7
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A user's directory with my_net.py, as the current one."""
    Path(tmp_path / "my_net.py").write_text(OWN)
    Path(tmp_path / "broken_net.py").write_text("import a_module_nobody_has\n")
    Path(tmp_path / "unparsable_net.py").write_text("def net(:\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield
    for module in ("my_net", "broken_net", "unparsable_net"):
        sys.modules.pop(module, None)


@pytest.mark.usefixtures("own")
class TestOwnFunctions:
    def test_without_arguments(self):
        model = registry.build("my_net:plain", input_shape=(9,), classes=9)
        assert model.count_params() == 4 * 2 + 2

    def test_gets_shape_classes_and_arguments(self):
        model = registry.build("my_net:shaped", input_shape=(5,), classes=4, arguments={"width": 2})
        assert model.count_params() == 5 * 2 + 2 + 2 * 4 + 4

    def test_keywords_of_any_name(self):
        model = registry.build("my_net:anything", classes=2, arguments={"colour": "red"})
        assert model.count_params() == 10

    def test_a_model_class_is_a_factory_too(self):
        assert type(registry.build("my_net:Net")).__name__ == "Net"

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("no_such_net:build", {}, "cannot import 'no_such_net': ModuleNotFoundError: No module named"),
            ("broken_net:build", {}, "cannot import 'broken_net': .*No module named 'a_module_nobody_has'"),
            ("unparsable_net:net", {}, "cannot import 'unparsable_net': SyntaxError"),
            ("my_net:nothing", {}, "module 'my_net' has no function 'nothing'"),
            ("my_net:number", {}, "module 'my_net' has no function 'number'"),
            ("my_net:", {}, "'my_net:' is not valid; expected package.module:function"),
            (":plain", {}, "':plain' is not valid; expected package.module:function"),
            ("my_net:wrong", {}, "my_net:wrong returned int, not a keras.Model"),
            ("my_net:shaped", {"classes": 2}, "missing a required argument: 'input_shape'"),
            ("my_net:plain", {"arguments": {"depth": 2}}, "my_net:plain: 'depth' is not known"),
        ],
    )
    def test_errors_name_what_is_wrong(self, name, options, message):
        with pytest.raises(UsageError, match=message):
            registry.build(name, **options)

    def test_what_the_function_raises_is_not_hidden(self):
        with pytest.raises(RuntimeError, match="my own fault"):
            registry.build("my_net:fails")
