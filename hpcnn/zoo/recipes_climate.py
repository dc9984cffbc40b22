"""The recipes of the networks that give each pixel a class, after the climate work of 2018.

Pure data; the factories are in ``models/maps.py``. Must not import Keras.
"""

from __future__ import annotations

from functools import partial

from hpcnn.zoo.recipe import Recipe

_OWN = "Optimizer, learning rate, batch and epochs are hpcnn's, for maps of 96 x 144 on a few cores."
_CODE = "Where the paper is silent, the values are those of its published code, github.com/azrael417/ClimDeepLearn."

_MAPS = partial(
    Recipe,
    input_shape=(768, 1152, 16),
    classes=3,
    data="climate",
    samples=None,
    test_samples=None,
    pixel_scale="raw",
    optimizer="adam",
    learning_rate=0.001,
    momentum=0.0,
    loss="sparse_categorical_crossentropy",
    batch_size=8,
    epochs=10,
    reported={},
)
_CLIMATE = partial(_MAPS, source="T. Kurth et al., Exascale Deep Learning for Climate Analytics, SC18")

RECIPES = (
    _MAPS(
        id="unet",
        title="U-Net: a class for each pixel",
        source="O. Ronneberger, P. Fischer and T. Brox, MICCAI 2015",
        parameters=31_039_363,
        trainable=31_039_363,
        factory="hpcnn.models.maps:unet",
        arguments={"numfm": 64, "depth": 4},
        slips=(
            _OWN,
            "The paper's convolutions are not padded, so its output is smaller than its input; these are.",
            "The paper's dropout at the end of the way down has no stated rate; here it is off (d_rate).",
        ),
    ),
    _CLIMATE(
        id="tiramisu",
        title="Tiramisu as the climate work has it: wider and shallower dense blocks of 5 x 5",
        parameters=7_512_131,
        trainable=7_508_483,
        factory="hpcnn.models.maps:tiramisu",
        arguments={"layers": (2, 2, 2, 4, 5), "growth": 32, "numfm": 64, "kernel_size": 5, "d_rate": 0.2, "l2": 1e-4},
        slips=(
            _OWN,
            _CODE,
            "The code's scripts of the large runs switch batch normalization off; the original has it, and so has this "
            "(batch_norm).",
            "The code has dropout behind the last convolution, too; this has not.",
        ),
    ),
    _CLIMATE(
        id="deeplab",
        title="DeepLabv3+ as the climate work has it: ResNet-50, and a decoder of full resolution",
        parameters=43_760_323,
        trainable=43_714_787,
        factory="hpcnn.models.maps:deeplab",
        arguments={"blocks": (3, 4, 6, 3), "numfm": 64, "numfm_decoder": 256, "rates": (12, 24, 36)},
        slips=(
            _OWN,
            _CODE,
            "The code's convolutions at full resolution have no activation; these have one.",
            "The code's weight penalties are left out.",
        ),
    ),
)
