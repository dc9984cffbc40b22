"""The multiplications of networks of keras.applications, against those that their authors published."""

from __future__ import annotations

import pytest

from hpcnn.models.work import work_of

keras = pytest.importorskip("keras")

# Millions of multiplications of one forward pass on images of the usual size; in brackets the paper.
PUBLISHED = {
    "MobileNet": 569,  # Howard et al. (2017), arXiv:1704.04861, table 4
    "MobileNetV2": 300,  # Sandler et al. (2018), arXiv:1801.04381, table 4
    "MobileNetV3Small": 56,  # Howard et al. (2019), arXiv:1905.02244, table 3: squeeze and excite
    "MobileNetV3Large": 219,
    "ResNet50": 3_800,  # He et al. (2015), arXiv:1512.03385, table 1
    "Xception": 8_400,  # separable convolutions; the two without a paper: counts of other libraries
    "NASNetMobile": 564,  # Zoph et al. (2017), arXiv:1707.07012, table 3
    "EfficientNetB0": 390,  # Tan and Le (2019), arXiv:1905.11946, table 2
    "ConvNeXtTiny": 4_500,  # Liu et al. (2022), arXiv:2201.03545, table 1: convolutions by groups
    "InceptionResNetV2": 13_200,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_multiplications_are_those_that_were_published(name: str) -> None:
    build = getattr(keras.applications, name)
    model = build(weights=None)
    if None in model.input_shape[1:]:  # MobileNetV3 by itself takes images of any size
        model = build(weights=None, input_shape=(224, 224, 3))
    work = work_of(model)
    assert work.unknown == []
    assert work.forward / 2 == pytest.approx(PUBLISHED[name] * 1e6, rel=0.02)
    assert work.forward < work.training < 3 * work.forward
    assert work.values > 0
