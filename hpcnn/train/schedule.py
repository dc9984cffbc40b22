"""The learning rate's warm-up after linear scaling."""

from __future__ import annotations

from typing import Any


def warmup_schedule(base: float, factor: float, steps: int) -> Any:
    """Return a Keras schedule from ``base`` to ``base * factor`` in ``steps`` steps, then constant.

    Goyal et al. (2017), arXiv:1706.02677, section 2.2: after fraction e/w of the warm-up the rate is
    ``lr/k ((k-1) e/w + 1)`` with lr the scaled rate and k the factor.
    """
    import keras

    class Warmup(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        def __call__(self, step: Any) -> Any:
            done = keras.ops.minimum(keras.ops.cast(step, "float32") / max(steps, 1), 1.0)
            return base * ((factor - 1.0) * done + 1.0)

        def get_config(self) -> dict[str, Any]:
            return {"base": base, "factor": factor, "steps": steps}

    return Warmup()
