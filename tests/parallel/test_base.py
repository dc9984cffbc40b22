"""What a rank reads of its task's environment."""

import pytest

from hpcnn.parallel.base import TaskEnvironment
from hpcnn.util.errors import UsageError
from tests.machine.tune.settings import TUNED


def test_the_settings_of_a_task_are_read_and_checked():
    task = TaskEnvironment.read({**TUNED, "HPCNN_CPUS_PER_TASK": "4"})
    assert (task.intra_op_per_core, task.inter_op_per_core, task.grouping) == (2.0, 2.0, "all")
    for variable, value in (
        ("HPCNN_INTRA_OP_THREADS_PER_CORE", "0"),
        ("HPCNN_INTER_OP_THREADS_PER_CORE", "many"),
        ("HPCNN_GROUPED_ALLREDUCE", "yes"),
    ):
        with pytest.raises(UsageError, match=f"{variable}: '{value}'"):
            TaskEnvironment.read({variable: value})
