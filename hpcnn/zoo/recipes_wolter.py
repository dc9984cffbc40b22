"""The recipes of M. Wolter's lecture (IFJ PAN, 17 January 2020) and of its notebooks.

The notebooks are those of marcinwolter/MachineLearnin2019 and marcinwolter/DNN_examples on GitHub.
Pure data; the factories are in ``models/wolter.py`` and ``psc.py``. Must not import Keras.
"""

from __future__ import annotations

from functools import partial

from hpcnn.zoo.recipe import ADAM_BY_NAME, COLAB_GPU, RMSPROP_BY_NAME, Recipe

_WOLTER = "M. Wolter, IFJ PAN, 2020"
_MNIST = partial(
    Recipe,
    classes=10,
    data="mnist",
    samples=None,
    test_samples=None,
    pixel_scale="unit",
    momentum=0.0,
    loss="categorical_crossentropy",
    batch_size=128,
)
_MLP = partial(
    _MNIST,
    input_shape=(784,),
    parameters=932_362,
    trainable=932_362,
    factory="hpcnn.models.wolter:mlp",
    arguments={"numnodes": 512, "hidden_layers": 3, "d_rate": 0.2},
    learning_rate=0.001,
    epochs=10,
)

RECIPES = (
    _MLP(
        id="wolter-mlp",
        title="Three dense layers of 512 with dropout",
        source=f"{_WOLTER}, and notebook mnist_mlp_minimal",
        optimizer="rmsprop",
        reported={
            "train_loss": 0.0526,
            "train_accuracy": 0.9873,
            "test_loss": 0.1264,
            "test_accuracy": 0.9759,
            "seconds_per_epoch": 2.0,
        },
        slips=(
            RMSPROP_BY_NAME,
            "One slide speaks of a sigmoid output; the listing has softmax.",
            "One slide says 6000 training rows; they are 60000.",
            "The file's header, kept from the public Keras example, speaks of 20 epochs and 98.40 %: the "
            "listing runs 10.",
            COLAB_GPU,
        ),
    ),
    _MLP(
        id="wolter-mlp-adam",
        title="Three dense layers of 512 with dropout, Adam",
        source=f"{_WOLTER} (notebook mnist_mlp)",
        optimizer="adam",
        reported={
            "train_loss": 0.0326,
            "train_accuracy": 0.9895,
            "test_loss": 0.0778,
            "test_accuracy": 0.9802,
            "seconds_per_epoch": 3.0,
        },
        slips=(
            ADAM_BY_NAME,
            "The first epoch took 13 seconds, the others 2 to 3.",
            COLAB_GPU,
        ),
    ),
    _MNIST(
        id="wolter-mnist-cnn",
        title="Four convolutions with dropout",
        source=f"{_WOLTER}, and notebook mnist_cnn of MachineLearnin2019",
        input_shape=(28, 28, 1),
        parameters=225_162,
        trainable=225_162,
        factory="hpcnn.models.wolter:mnist_cnn",
        arguments={"numfm": 32, "numnodes": 128, "d_rate_conv": 0.25, "d_rate_dense": 0.5},
        optimizer="adam",
        learning_rate=0.001,
        epochs=40,
        reported={
            "train_loss": 0.0104,
            "train_accuracy": 0.9970,
            "test_loss": 0.01608,
            "test_accuracy": 0.9959,
            "seconds_per_epoch": 5.0,
        },
        slips=(ADAM_BY_NAME, COLAB_GPU),
    ),
    _MNIST(
        id="wolter-mnist-cnn-adadelta",
        title="Two convolutions with dropout, Adadelta",
        source=f"{_WOLTER} (notebook mnist_cnn of DNN_examples)",
        input_shape=(28, 28, 1),
        parameters=1_199_882,
        trainable=1_199_882,
        factory="hpcnn.models.psc:cnn_dropout",
        arguments={"numfm": 32, "numnodes": 128, "d_rate_conv": 0.25, "d_rate_dense": 0.5},
        optimizer="adadelta",
        learning_rate=1.0,
        epochs=20,
        reported={
            "train_loss": 0.0208,
            "train_accuracy": 0.9935,
            "test_loss": 0.03329,
            "test_accuracy": 0.9906,
            "seconds_per_epoch": 6.0,
        },
        slips=(
            "Not from the notebook: learning rate 1.0, the default of Adadelta in the Keras 2 it ran on; "
            "today's default is 0.001.",
            "The file's header, kept from the public Keras example, says 99.25 % after 12 epochs: this is a run of 20.",
            COLAB_GPU,
        ),
    ),
    Recipe(
        id="wolter-cifar10-cnn",
        title="Four convolutions with dropout on CIFAR-10",
        source=_WOLTER,
        input_shape=(32, 32, 3),
        classes=10,
        parameters=1_250_858,
        trainable=1_250_858,
        factory="hpcnn.models.wolter:cifar10_cnn",
        arguments={"numfm": 32, "numnodes": 512, "d_rate_conv": 0.25, "d_rate_dense": 0.5},
        data="cifar10",
        samples=None,
        test_samples=None,
        pixel_scale="unit",
        optimizer="rmsprop",
        learning_rate=1e-4,
        momentum=0.0,
        loss="categorical_crossentropy",
        batch_size=32,
        epochs=100,
        augment={"flip": "horizontal", "translation": 0.1, "fill": "nearest"},
        reported={},
        slips=(
            "Not from the lecture: dropout rates, pixel scale, optimizer, learning rate, loss, batch size, "
            "epochs and augmentation, which are those of Keras's example cifar10_cnn.py with the same layers; "
            "the lecture shows its results as pictures only.",
            "That example also decays the learning rate (1e-6); this recipe does not.",
            "The notebook that the lecture links here holds another network, wolter-cifar10-resnet110.",
        ),
    ),
    Recipe(
        id="wolter-cifar10-resnet110",
        title="ResNet v2 of 110 layers on CIFAR-10",
        source=f"{_WOLTER} (notebook cifar_classifier_gpu_aug)",
        input_shape=(32, 32, 3),
        classes=10,
        parameters=3_323_210,
        trainable=3_302_442,
        factory="hpcnn.models.wolter:resnet",
        arguments={"depth": 110, "l2": 1e-4},
        data="cifar10",
        samples=None,
        test_samples=5000,
        pixel_scale="unit",
        optimizer="adam",
        learning_rate=1e-3,
        momentum=0.0,
        loss="sparse_categorical_crossentropy",
        batch_size=128,
        epochs=50,
        augment={
            "flip": "horizontal",
            "contrast": 0.2,
            "gamma": 0.2,
            "brightness": 0.2,
            "tone_probability": 0.5,
            "hue": 5 / 180,
            "saturation": 20 / 255,
            "value": 10 / 255,
            "colour_probability": 0.9,
            "translation": 0.0625,
            "zoom": 0.1,
            "rotation": 15.0,
            "move_probability": 0.8,
            "fill": "reflect",
        },
        lr_drops={21: 0.1, 41: 0.01},
        reported={"train_accuracy": 0.6975, "validation_accuracy": 0.6722, "seconds_per_epoch": 335.0},
        slips=(
            "The stored run of 50 planned epochs is cut off in epoch 6: the figures are epoch 5's, and "
            "there is no test accuracy.",
            "The notebook equalizes the histograms of all images (CLAHE, clip 2), of the test set too; this recipe "
            "does not. It mirrors what moves in about the centres of the border pixels (reflect-101), this recipe "
            "about their outer edge.",
            "The notebook counts epochs from 0 and lowers the learning rate above 20 and 40: after 21 and 41 epochs.",
            "Its comment on the learning rate (80, 120, 160, 180 epochs) is not what its code does.",
            "It tests on the first 5000 images of the test batch and validates on the last 5000.",
            "The parameter counts are computed by hpcnn: the notebook does not print them.",
            COLAB_GPU,
        ),
    ),
)
