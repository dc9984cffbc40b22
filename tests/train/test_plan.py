"""Which replica sees which sample when: true for any number of samples, replicas and any batch size."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcnn.specs.shuffle import check_shuffle
from hpcnn.train.node_order import Parts
from hpcnn.train.order import LARGEST_TABLE, WINDOW, Computed, order_of
from hpcnn.train.plan import Block, blocks, epoch_order, steps_per_epoch
from hpcnn.util.errors import UsageError

SAMPLES = st.integers(1, 400)
BATCHES = st.integers(1, 130)
REPLICAS = st.integers(1, 12)
SEEDS = st.integers(0, 2**31 - 1)
EPOCHS = st.integers(1, 10_000)


def plan(samples: int, batch: int, size: int, seed: int = 1, epoch: int = 1) -> list[Block]:
    """Return the blocks as a process with all replicas sees them."""
    return list(blocks(epoch_order(samples, seed, epoch), batch, size, range(size)))


def slices(block: Block, step: int) -> list[list[int]]:
    """Return what each replica really trains on in one step: a stand-in of weight 0 does not count."""
    return [table[step].tolist() if weight else [] for table, weight in zip(block.indices, block.weights, strict=True)]


def global_batches(plan: list[Block]) -> list[list[int]]:
    return [list(chain(*slices(block, step))) for block in plan for step in range(block.steps)]


@given(SAMPLES, BATCHES, REPLICAS, SEEDS, EPOCHS)
def test_every_sample_is_seen_exactly_once_an_epoch(samples: int, batch: int, size: int, seed: int, epoch: int) -> None:
    seen = chain(*global_batches(plan(samples, batch, size, seed, epoch)))
    assert sorted(seen) == list(range(samples))


@given(SAMPLES, BATCHES, REPLICAS, SEEDS, EPOCHS)
def test_the_global_batches_do_not_depend_on_the_number_of_replicas(
    samples: int, batch: int, size: int, seed: int, epoch: int
) -> None:
    together = global_batches(plan(samples, batch, size, seed, epoch))
    assert together == global_batches(plan(samples, batch, 1, seed, epoch))
    assert len(together) == steps_per_epoch(samples, batch)
    assert [len(one) for one in together[:-1]] == [batch] * (len(together) - 1)


@given(SAMPLES, BATCHES, REPLICAS)
def test_a_replica_s_weight_is_its_share_of_the_batch(samples: int, batch: int, size: int) -> None:
    for block in plan(samples, batch, size):
        lengths = [len(own) for own in slices(block, 0)]
        assert sum(lengths) == block.batch
        assert max(lengths) - min(lengths) <= 1
        assert list(block.weights) == [length / block.batch for length in lengths]
        assert sum(block.weights) == pytest.approx(1.0, abs=1e-12)


@given(SAMPLES, BATCHES, REPLICAS)
def test_a_replica_without_samples_stands_in_with_one_of_weight_0(samples: int, batch: int, size: int) -> None:
    for block in plan(samples, batch, size):
        idle = [table for table, weight in zip(block.indices, block.weights, strict=True) if weight == 0]
        assert len(idle) == max(size - block.batch, 0)
        assert all(table.shape == (block.steps, 1) for table in idle)


@given(SAMPLES, BATCHES, REPLICAS)
def test_a_process_sees_of_its_replicas_what_all_together_see(samples: int, batch: int, size: int) -> None:
    order = epoch_order(samples, 1, 1)
    whole = plan(samples, batch, size)
    for replica in range(size):
        for own, block in zip(blocks(order, batch, size, [replica]), whole, strict=True):
            assert own.weights == (block.weights[replica],)
            assert np.array_equal(own.indices[0], block.indices[replica])


@given(SAMPLES, BATCHES, REPLICAS, st.integers(1, 10))
def test_groups_of_steps_are_the_block_cut_in_parts(samples: int, batch: int, size: int, steps: int) -> None:
    for block in plan(samples, batch, size):
        parts = [block.part(first, first + steps) for first in range(0, block.steps, steps)]
        assert global_batches(parts) == global_batches([block])
        assert all(part.steps == steps for part in parts[:-1])


@given(st.integers(50, 400), SEEDS, EPOCHS)
def test_the_order_depends_on_seed_and_epoch_and_on_nothing_else(samples: int, seed: int, epoch: int) -> None:
    order = epoch_order(samples, seed, epoch)
    np.random.seed(seed)
    assert np.array_equal(order, epoch_order(samples, seed, epoch))
    for other in (epoch_order(samples, seed + 1, epoch), epoch_order(samples, seed, epoch + 1)):
        assert not np.array_equal(order, other)


def test_epochs_of_one_seed_are_unlike_those_of_the_next_seed() -> None:
    orders = [epoch_order(1000, seed, epoch).tolist() for seed in range(3) for epoch in range(1, 4)]
    assert all(one != other for one, other in combinations(orders, 2))


def test_the_order_is_the_same_for_ever() -> None:
    """A resumed run, or one on another machine, must meet the samples in the same order."""
    assert epoch_order(8, 1, 1).tolist() == [2, 3, 6, 7, 1, 4, 0, 5]


@pytest.mark.parametrize("samples", [1, 2, 3, 10, 1000, 1023, 1024, 1025, 99_991])
def test_a_computed_order_is_a_permutation(samples: int) -> None:
    found = Computed(samples, 1, 1)[:samples]
    assert np.array_equal(np.sort(found), np.arange(samples))


def test_a_computed_order_of_a_billion_needs_no_table_and_is_the_same_for_ever() -> None:
    order = order_of(10**9, 1, 1)
    middle = order[500_000_000:500_000_100]
    assert order[:4].tolist() == [196500611, 809700502, 470554229, 376821193]
    assert len(set(middle.tolist())) == 100
    assert np.array_equal(middle[10:20], order[500_000_010:500_000_020])


def test_a_computed_order_is_as_mixed_as_a_table() -> None:
    """Neighbours are as far apart, and epochs as unlike, as in a random permutation."""
    count = 100_000
    first, second = (Computed(count, 3, epoch)[:count].astype(float) for epoch in (1, 2))
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.02
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
    assert abs(np.corrcoef(first, np.arange(count))[0, 1]) < 0.02
    assert np.mean(np.abs(np.diff(first))) == pytest.approx(count / 3, rel=0.02)
    halves = np.add.reduceat(first < count / 2, range(0, count, 1000))
    assert halves.std() == pytest.approx(np.sqrt(250), rel=0.3)


def test_a_small_set_is_ordered_as_ever_and_a_large_one_in_memory_too() -> None:
    assert order_of(8, 1, 1)[:].tolist() == epoch_order(8, 1, 1).tolist()
    large = LARGEST_TABLE + 1
    assert isinstance(order_of(large, 1, 1), Computed)
    assert isinstance(order_of(large, 1, 1, table=True), np.ndarray)


@given(SAMPLES, st.integers(1, 50), SEEDS, EPOCHS)
def test_blocks_hold_every_sample_once(samples: int, block: int, seed: int, epoch: int) -> None:
    order = order_of(samples, seed, epoch, f"block:{block}")
    whole = order[0:samples]
    assert sorted(whole.tolist()) == list(range(samples))
    cut = np.concatenate([order[first : first + 7] for first in range(0, samples, 7)])
    assert np.array_equal(whole, cut)


def test_a_window_of_blocks_is_read_before_the_next() -> None:
    order = order_of(10_000, 1, 1, "block:100")
    windows = [order[first : first + WINDOW * 100] for first in range(0, 10_000, WINDOW * 100)]
    touched = [set((window // 100).tolist()) for window in windows]
    assert all(len(blocks) <= WINDOW for blocks in touched)
    assert sum(len(blocks) for blocks in touched) == 100
    assert windows[0].tolist() != sorted(windows[0].tolist())
    assert order[:].tolist() != order_of(10_000, 1, 2, "block:100")[:].tolist()


def test_no_shuffle_is_the_order_of_the_files() -> None:
    assert order_of(5, 1, 1, "none")[1:4].tolist() == [1, 2, 3]


@pytest.mark.parametrize("shuffle", ["block", "block:0", "block:x", "blocks:3", "", "yes"])
def test_another_word_for_shuffle_is_refused(shuffle: str) -> None:
    with pytest.raises(UsageError, match=r"--shuffle: .* expected global, block:N"):
        check_shuffle(shuffle)


def test_each_node_has_blocks_of_its_own_and_every_sample_is_seen_once() -> None:
    """Three nodes of 2, 3 and 1 replicas, in cyclic order, and a last batch in which some have nothing to do."""
    nodes, samples, batch = [0, 1, 2, 0, 1, 1], 1003, 50
    parts = Parts(samples, 16, 1, batch, nodes)
    seen_by: dict[int, set[int]] = {}
    orders = []
    for epoch in (1, 2):
        order = parts.order(epoch)
        orders.append(order[:])
        assert sorted(order[:]) == list(range(samples))
        assert (
            np.concatenate([order[first : first + 70] for first in range(0, samples, 70)]).tolist() == order[:].tolist()
        )
        for replica, node in enumerate(nodes):
            for block in blocks(order, batch, len(nodes), (replica,)):
                if block.weights[0]:
                    seen_by.setdefault(node, set()).update(block.indices[0].ravel().tolist())
    assert orders[0].tolist() != orders[1].tolist()
    for node, part in enumerate(parts.parts):
        places = np.arange(len(part))
        assert seen_by[node] == set(part.samples(places).tolist())
        assert part.places(part.samples(places)).tolist() == places.tolist()
        others = np.setdiff1d(np.arange(samples), part.samples(places))
        assert (part.places(others) == -1).all()
        # whole blocks, but for those at the edges and the last of the set
        assert np.count_nonzero(part.sizes != 16) <= 3
    assert sum(map(len, parts.parts)) == samples


@given(SAMPLES, BATCHES, st.lists(st.integers(0, 3), min_size=1, max_size=9), st.integers(1, 50), SEEDS)
def test_every_layout_of_nodes_sees_every_sample_once(
    samples: int, batch: int, nodes: list[int], block: int, seed: int
) -> None:
    batch = min(batch, samples)
    nodes = [sorted(set(nodes)).index(node) for node in nodes][:batch]
    nodes = [sorted(set(nodes)).index(node) for node in nodes]
    order = Parts(samples, block, seed, batch, nodes).order(3)
    assert sorted(order[:]) == list(range(samples))


def test_too_many_blocks_for_a_table_of_nodes_are_refused() -> None:
    with pytest.raises(UsageError, match=r"--shuffle: 'node:1' is not valid; expected at least node:60"):
        Parts(1_000_000_000, 1, 1, 10, [0, 1])
