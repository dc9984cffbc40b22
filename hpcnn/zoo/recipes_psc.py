"""The recipes of "Deep Learning in an Afternoon": J. Urbanic, Pittsburgh Supercomputing Center.

Pure data; the factories are in ``models/psc.py``. Must not import Keras.
"""

from __future__ import annotations

from functools import partial

from hpcnn.zoo.recipe import ADAM_BY_NAME, NO_HARDWARE, Recipe

_PSC = "PSC, J. Urbanic, Deep Learning in an Afternoon"
_MNIST = partial(Recipe, source=_PSC, classes=10, data="mnist", samples=None, test_samples=None, pixel_scale="unit")
_FC = partial(
    _MNIST,
    input_shape=(784,),
    factory="hpcnn.models.psc:fc",
    optimizer="adam",
    learning_rate=0.001,
    momentum=0.0,
    loss="sparse_categorical_crossentropy",
    batch_size=128,
)
_CNN = partial(
    _MNIST,
    input_shape=(28, 28, 1),
    optimizer="sgd",
    learning_rate=0.01,
    momentum=0.9,
    loss="sparse_categorical_crossentropy",
    batch_size=32,
)

_TEST_IS_VALIDATION = "The test set is also the validation set: the test figures are the last epoch's validation."
_LOGGED_15 = "The listing says 10 epochs, its log ends at epoch 15 of 15: this recipe uses 15."

RECIPES = (
    Recipe(
        id="psc-toy-3-3-2",
        title="Three inputs, three hidden neurons, two outputs: the forward pass worked out by hand",
        source=_PSC,
        input_shape=(3,),
        classes=2,
        parameters=15,
        trainable=15,
        factory="hpcnn.models.psc:toy",
        arguments={},
        data="beach",
        samples=None,
        test_samples=None,
        pixel_scale="raw",
        optimizer="sgd",
        learning_rate=5.0,
        momentum=0.0,
        loss="mean_squared_error",
        batch_size=7,
        epochs=100,
        reported={},
        slips=(
            "The lecture computes one forward pass and trains nothing: everything of the training is hpcnn's, and the "
            "data is SciNet's table of days on the beach, which has three inputs and two classes as well.",
            "With a bias of 0.1 the last hidden value is 0.43; the slide shows 0.4.",
        ),
    ),
    _FC(
        id="psc-fc64",
        title="Two dense layers of 64",
        parameters=55_050,
        trainable=55_050,
        arguments={"numnodes": 64, "hidden_layers": 2},
        epochs=40,
        reported={"test_accuracy": 0.9755},
        slips=(ADAM_BY_NAME,),
    ),
    _FC(
        id="psc-fc512",
        title="Two dense layers of 512: wider helps",
        parameters=669_706,
        trainable=669_706,
        arguments={"numnodes": 512, "hidden_layers": 2},
        epochs=30,
        reported={
            "train_loss": 0.0083,
            "train_accuracy": 0.9977,
            "test_loss": 0.1027,
            "test_accuracy": 0.9821,
            "seconds_per_epoch": 2.0,
        },
        slips=(ADAM_BY_NAME, _TEST_IS_VALIDATION, NO_HARDWARE, "The recap table writes 521 for 512."),
    ),
    _FC(
        id="psc-fc512-deep",
        title="Three dense layers of 512: deeper does not help",
        parameters=932_362,
        trainable=932_362,
        arguments={"numnodes": 512, "hidden_layers": 3},
        epochs=30,
        reported={
            "train_loss": 0.0119,
            "train_accuracy": 0.9967,
            "test_loss": 0.1183,
            "test_accuracy": 0.9800,
            "seconds_per_epoch": 3.0,
        },
        slips=(ADAM_BY_NAME, _TEST_IS_VALIDATION, NO_HARDWARE, "The recap table writes 521 for 512."),
    ),
    _CNN(
        id="psc-cnn1",
        title="One convolution",
        parameters=542_230,
        trainable=542_230,
        factory="hpcnn.models.psc:cnn1",
        arguments={"numfm": 32, "numnodes": 100},
        epochs=10,
        reported={
            "train_loss": 0.0051,
            "train_accuracy": 0.9989,
            "test_loss": 0.0424,
            "test_accuracy": 0.9874,
            "seconds_per_epoch": 12.0,
        },
        slips=(_TEST_IS_VALIDATION, NO_HARDWARE),
    ),
    _CNN(
        id="psc-cnn2",
        title="Two convolutions",
        parameters=1_199_882,
        trainable=1_199_882,
        factory="hpcnn.models.psc:cnn2",
        arguments={"numfm": 32, "numnodes": 128},
        epochs=15,
        reported={
            "train_loss": 0.0052,
            "train_accuracy": 0.9985,
            "test_loss": 0.0342,
            "test_accuracy": 0.9903,
            "seconds_per_epoch": 34.0,
        },
        slips=(_LOGGED_15, _TEST_IS_VALIDATION, NO_HARDWARE),
    ),
    _CNN(
        id="psc-cnn-dropout",
        title="Two convolutions with dropout",
        parameters=1_199_882,
        trainable=1_199_882,
        factory="hpcnn.models.psc:cnn_dropout",
        arguments={"numfm": 32, "numnodes": 128, "d_rate_conv": 0.25, "d_rate_dense": 0.5},
        epochs=15,
        reported={
            "train_loss": 0.0187,
            "train_accuracy": 0.9935,
            "test_loss": 0.0301,
            "test_accuracy": 0.9919,
            "seconds_per_epoch": 40.0,
        },
        slips=(_LOGGED_15, _TEST_IS_VALIDATION, NO_HARDWARE),
    ),
    _CNN(
        id="psc-cnn-batchnorm",
        title="Two convolutions with batch normalization",
        parameters=1_200_778,
        trainable=1_200_330,
        factory="hpcnn.models.psc:cnn_batchnorm",
        arguments={"numfm": 32, "numnodes": 128},
        epochs=15,
        reported={
            "train_loss": 0.0027,
            "train_accuracy": 0.9993,
            "test_loss": 0.0385,
            "test_accuracy": 0.9891,
            "seconds_per_epoch": 50.0,
        },
        slips=(_LOGGED_15, _TEST_IS_VALIDATION, NO_HARDWARE),
    ),
    _FC(
        id="psc-fc64-tensorboard",
        title="Two dense layers of 64, watched with TensorBoard",
        parameters=55_050,
        trainable=55_050,
        arguments={"numnodes": 64, "hidden_layers": 2},
        epochs=15,
        reported={},
        slips=(
            ADAM_BY_NAME,
            "The lecture adds the TensorBoard callback (log_dir TB_logDir, histogram_freq 1) and shows curves only.",
            "The slide's command for the TensorBoard server is cut off at TB_logD.",
        ),
    ),
    _FC(
        id="psc-mirrored",
        title="Dropout on the input and one dense layer: the MirroredStrategy fragment, completed",
        parameters=50_890,
        trainable=50_890,
        factory="hpcnn.models.psc:mirrored",
        arguments={"numnodes": 64, "d_rate": 0.2},
        epochs=40,
        reported={},
        slips=(
            "The lecture shows a fragment: dropout 0.2 on the input, dense 64 relu, the rest left out.",
            "Not from the lecture: the last layer (dense 10 softmax), and data, pixel scale, optimizer, "
            "learning rate, loss, batch size and epochs, which are those of psc-fc64.",
        ),
    ),
    _MNIST(
        id="psc-hparams",
        title="One dense layer with dropout: the table of hyper-parameters",
        input_shape=(784,),
        parameters=12_730,
        trainable=12_730,
        factory="hpcnn.models.psc:hparams",
        arguments={"numnodes": 16, "d_rate": 0.1},
        optimizer="adam",
        learning_rate=0.001,
        momentum=0.0,
        loss="sparse_categorical_crossentropy",
        batch_size=32,
        epochs=1,
        reported={"test_accuracy": 0.8321},
        slips=(
            ADAM_BY_NAME,
            "The lecture shows units, dropout, optimizer and accuracy of eight trainings, and does not name the data.",
            "Not from the lecture: layers, pixel scale, loss, batch size and epochs, which are those of TensorBoard's "
            "tutorial on HParams, and the data: that tutorial trains on Fashion-MNIST, the lecture's others on MNIST.",
        ),
    ),
    _MNIST(
        id="horovod-mnist",
        title="The Horovod example: two convolutions with dropout",
        input_shape=(28, 28, 1),
        parameters=1_199_882,
        trainable=1_199_882,
        factory="hpcnn.models.psc:cnn_dropout",
        arguments={"numfm": 32, "numnodes": 128, "d_rate_conv": 0.25, "d_rate_dense": 0.5},
        optimizer="adadelta",
        learning_rate=1.0,
        momentum=0.0,
        loss="categorical_crossentropy",
        batch_size=128,
        epochs=12,
        reported={},
        slips=(
            "Learning rate and epochs are those of one process: with `size` processes the lecture takes "
            "1.0 * size and ceil(12 / size).",
            "Not from the lecture: the layers, the pixel scale and the batch size (of each process), which "
            "are those of Horovod's example keras_mnist.py.",
            "The slide's session line spells the keyword `config` with a capital C, and is for TensorFlow 1.",
        ),
    ),
)
