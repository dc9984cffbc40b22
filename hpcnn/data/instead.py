"""What to make of arrays that nothing can be learnt from as they are: the nearest thing that works, for errors."""

from __future__ import annotations

from typing import Any

import numpy as np

# Kind of type -> the hint, about an array that it calls {0}.
_OF_TYPE = {
    "b": "{0}.astype(np.float32) makes numbers of it",
    "c": "np.stack([{0}.real, {0}.imag], axis=-1) makes two numbers of each",
    "M": "({0} - {0}.min()) / np.timedelta64(1, 'D') makes days of it",
    "m": "{0} / np.timedelta64(1, 'D') makes days of it",
    "U": "np.unique({0}, return_inverse=True)[1] makes numbers of names",
    "S": "np.unique({0}, return_inverse=True)[1] makes numbers of names",
    "O": (
        "plain numbers have one shape and type: pad samples of several lengths; {0}.toarray() of a sparse matrix, "
        "{0}.to_numpy(float) of a table, np.unique({0}, return_inverse=True)[1] of names"
    ),
}


def instead_of(dtype: np.dtype[Any], name: str) -> str:
    """Return what to make of an array of a type that is no number, to be appended to an error; else nothing.

    name: of the array, ``x`` for features, ``y`` for labels.
    """
    if dtype.kind == "b" and name == "y":
        return "; y.astype(int) makes classes of it"
    hint = _OF_TYPE.get(dtype.kind)
    return f"; {hint.format(name)}" if hint else ""


def masked(values: Any) -> str | None:
    """Return what to do about an array of which parts are masked, which would be learnt from all the same; or None."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        return (
            "an array without a mask, or what is under the mask would be learnt: x.filled(0), and a weight of 0 or the "
            "label of --ignore-label where it does not count"
        )
    return None


def several_in_a_list(x: Any, y: Any) -> bool:
    """Return whether features are a list of several inputs, which NumPy would take for an array of so many samples."""
    if not isinstance(x, list) or len(x) == len(y):
        return False
    return {len(part) if hasattr(part, "__len__") else 0 for part in x} == {len(y)}
