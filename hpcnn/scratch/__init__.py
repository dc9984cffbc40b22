"""The teaching end of ``hpcnn train``: the networks of SciNet's 2017 lecture, written out in NumPy.

No framework: the formulas of the lecture are the code. Nothing here imports TensorFlow or Keras.
"""

from __future__ import annotations

from hpcnn.scratch.surface import Boundary, boundary

__all__ = ["Boundary", "boundary"]
