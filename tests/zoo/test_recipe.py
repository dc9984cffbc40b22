"""How each network of the zoo is trained: as in its lecture, in words that hpcnn knows."""

import pytest

from hpcnn.zoo import registry
from hpcnn.zoo.recipe import LOSSES, OPTIMIZERS, PIXEL_SCALES, REPORTED

keras = pytest.importorskip("keras")

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
