"""Which gradients one allreduce sums."""

from hypothesis import given
from hypothesis import strategies as st

from hpcnn.parallel.buckets import FEW, LARGE, TOGETHER, Size, buckets

SIZES = st.lists(
    st.builds(Size, st.one_of(st.none(), st.integers(1, 2 * LARGE)), st.sampled_from(["float32", "bfloat16"])),
    max_size=80,
)


def test_a_network_of_few_gradients_sends_each_as_soon_as_it_is_ready():
    sizes = [Size(100, "float32")] * (FEW - 1) + [Size(LARGE, "float32")] * 3
    assert buckets(sizes) == [[number] for number in reversed(range(FEW + 2))]


def test_small_gradients_go_together_and_a_large_one_alone():
    sizes = [Size(1000, "float32")] * FEW
    sizes.insert(3, Size(LARGE, "float32"))
    sizes.insert(5, Size(None, "float32"))
    together = [n for n in reversed(range(FEW + 2)) if n not in (3, 5)]
    assert buckets(sizes) == [together, [5], [3]]


def test_what_goes_together_is_no_larger_than_a_message_should_be():
    size = LARGE - 1
    found = buckets([Size(size, "float32")] * 40)
    assert [len(bucket) for bucket in found] == [TOGETHER // size, TOGETHER // size, 40 - 2 * (TOGETHER // size)]


@given(SIZES)
def test_every_gradient_is_summed_once_with_those_of_its_type(sizes):
    found = buckets(sizes)
    assert sorted(number for bucket in found for number in bucket) == list(range(len(sizes)))
    for bucket in found:
        assert len({sizes[number].dtype for number in bucket}) == 1
        if len(bucket) > 1:
            assert sum(sizes[number].bytes for number in bucket) <= TOGETHER
            assert bucket == sorted(bucket, reverse=True)
