import json

import pytest

from hpcnn.interconnect import LINKS, Cluster, Link, allreduce_seconds, communication, exposed_seconds, link
from hpcnn.interconnect.allreduce import hierarchical, ring, tree
from hpcnn.util.errors import UsageError

SLOW, FAST = Link("slow", 2.0, 50.0, "test"), Link("fast", 1.0, 100.0, "test")


def test_ring_by_hand():
    # 2 x 3 x 1 s + 2 x 3/4 x 1000 bytes / (100 bytes/s)
    assert ring(4, 1000, alpha=1, beta=100) == 6 + 15


def test_tree_by_hand():
    assert tree(8, 1000, alpha=1, beta=100) == 2 * 3 * (1 + 10)
    assert tree(5, 1000, alpha=1, beta=100) == tree(8, 1000, alpha=1, beta=100)


def test_hierarchical_by_hand():
    # in the nodes 21 s as above; between 2 nodes a ring of 250 bytes: 2 x 2 s + 250/50 s
    assert hierarchical(2, 4, 1000, (1, 100), (2, 50)) == 21 + 4 + 5


@pytest.mark.parametrize(
    ("algorithm", "seconds"),
    [
        ("ring", 2 * 7 * 2 + 2 * 7 / 8 * 1000 / 50),
        ("tree", 2 * 3 * (2 + 1000 / 50)),
        # each of the 4 rings gets a quarter of the adapter: 250 bytes at 12.5 bytes/s
        ("hierarchical", 21 + 4 + 250 / 12.5),
    ],
)
def test_an_allreduce_over_two_nodes_of_four(algorithm, seconds):
    cluster = Cluster(SLOW, FAST, ranks_per_node=4, algorithm=algorithm)
    assert allreduce_seconds(1000, 8, cluster) == pytest.approx(seconds)


@pytest.mark.parametrize("algorithm", ["ring", "tree", "hierarchical"])
def test_one_node_uses_its_own_links_alone_and_one_rank_none(algorithm):
    cluster = Cluster(SLOW, FAST, ranks_per_node=4, algorithm=algorithm)
    assert allreduce_seconds(1000, 1, cluster) == 0
    assert communication(1000, 1, cluster) == (0, 0)
    expected = tree(4, 1000, 1, 100) if algorithm == "tree" else ring(4, 1000, 1, 100)
    assert allreduce_seconds(1000, 4, cluster) == pytest.approx(expected)


def test_adapters_add_bandwidth_but_not_beyond_the_links_within():
    two = Cluster(SLOW, FAST, ranks_per_node=4, adapters=2)
    assert allreduce_seconds(1000, 8, two) == pytest.approx(ring(8, 1000, 2, 100))
    four = Cluster(SLOW, FAST, ranks_per_node=4, adapters=4)
    assert allreduce_seconds(1000, 8, four) == allreduce_seconds(1000, 8, two)


def test_gradients_travel_in_fused_messages_that_wait_half_a_cycle():
    cluster = Cluster(SLOW, FAST, fusion_bytes=128, cycle_seconds=0.5)
    each = 0.25 + ring(2, 100, 2, 50)
    assert communication(300, 2, cluster) == pytest.approx((3 * each, each))
    assert communication(128, 2, cluster)[0] == pytest.approx(0.25 + ring(2, 128, 2, 50))


def test_all_messages_but_the_last_can_hide():
    assert exposed_seconds(total=9, last=3, hidden=0) == 9
    assert exposed_seconds(total=9, last=3, hidden=4) == 5
    assert exposed_seconds(total=9, last=3, hidden=100) == 3


def test_every_known_link_says_where_its_numbers_are_from():
    for name, known in LINKS.items():
        assert known.name == name
        assert "beta: " in known.source
        assert "alpha: " in known.source
        assert 1e-6 < known.alpha < 1e-3
        assert 1e8 < known.beta < 1e12
    assert link("roce-25g").beta == pytest.approx(25e9 / 8)


def test_a_link_is_given_or_measured(tmp_path):
    given = link("alpha=5e-6, beta=3e9")
    assert (given.alpha, given.beta) == (5e-6, 3e9)
    file = tmp_path / "allreduce.json"
    file.write_text(json.dumps({"alpha_seconds": 2e-6, "beta_bytes_per_second": 4e9, "ranks": 2}))
    measured = link(str(file))
    assert (measured.alpha, measured.beta, measured.source) == (2e-6, 4e9, "measured, allreduce.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("roce-25", "'roce-25' is not known. Did you mean 'roce-25g'"),
        ("alpha=1e-6", "expected alpha=SECONDS,beta=BYTES_PER_SECOND"),
        ("alpha=1e-6,beta=fast", "expected alpha=SECONDS,beta=BYTES_PER_SECOND"),
        ("alpha=1e-6,beta=0", "beta above 0"),
        ("alpha=-1,beta=1e9", "alpha of at least 0"),
        ("alpha=nan,beta=1e9", "alpha of at least 0"),
        ("absent.json", "'absent.json' cannot be read"),
    ],
)
def test_what_is_no_link_is_refused(text, message):
    with pytest.raises(UsageError, match=message) as refused:
        link(text, "--within")
    assert str(refused.value).startswith("--within: ")


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"alpha_seconds": "1", "beta_bytes_per_second": 1e9}'])
def test_a_file_without_the_two_numbers_is_refused(tmp_path, content):
    file = tmp_path / "bench.json"
    file.write_text(content)
    with pytest.raises(UsageError, match="alpha_seconds and beta_bytes_per_second"):
        link(str(file))
