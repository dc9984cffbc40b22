"""The ssh command to a server: on a login node, on a compute node, on one's own machine."""

from __future__ import annotations

import pytest

from hpcnn.sites.load import load_site
from hpcnn.sites.profile import Site
from hpcnn.tensorboard.tunnel import Machine, is_loopback, is_wildcard, node_name, ssh_command

PSC, JSC, TRILLIUM = load_site("bridges2"), load_site("juwels-booster"), load_site("trillium")


@pytest.mark.parametrize(
    ("machine", "site", "host", "expected"),
    [
        # the two tunnels of PSC's lecture, but for the address that the server listens on
        (Machine("br014.bridges2.psc.edu", "me"), PSC, "127.0.0.1", "6006:127.0.0.1:7 me@br014.bridges2.psc.edu"),
        (Machine("r001", "me", True), PSC, "0.0.0.0", "6006:r001.ib.bridges2.psc.edu:7 me@bridges2.psc.edu"),
        (
            Machine("r001.bridges2.psc.edu", "me", True),
            PSC,
            "127.0.0.1",
            "6006:127.0.0.1:7 -J me@bridges2.psc.edu me@r001.ib.bridges2.psc.edu",
        ),
        # a login node that only the site itself knows by that name
        (Machine("br014", "me"), PSC, "127.0.0.1", "6006:127.0.0.1:7 -J me@bridges2.psc.edu me@br014"),
        (Machine("jwb01.juwels", "me", True, submit_host="jw1"), JSC, "::", "6006:jwb01i.juwels:7 me@jw1"),
        (Machine("r001", "me", True), PSC, "10.0.0.1", "6006:10.0.0.1:7 me@bridges2.psc.edu"),
        (
            Machine("trig0001", "me", True, with_gpus=True),
            TRILLIUM,
            "localhost",
            "6006:127.0.0.1:7 -J me@trillium-gpu.scinet.utoronto.ca me@trig0001",
        ),
        (Machine("desk", "me"), Site(), "127.0.0.1", "6006:127.0.0.1:7 me@desk"),
        (Machine("n1", "me", True), Site(), "127.0.0.1", "6006:127.0.0.1:7 -J me@LOGIN me@n1"),
    ],
)
def test_the_command_leads_to_the_server(machine: Machine, site: Site, host: str, expected: str) -> None:
    assert ssh_command(machine, site, host, "7") == f"ssh -N -L {expected}"


@pytest.mark.parametrize(
    ("host", "suffix", "expected"),
    [("r1", "", "r1"), ("r1.x", ".ib.y", "r1.ib.y"), ("r1", "i", "r1i"), ("r1.x.y", "i", "r1i.x.y")],
)
def test_a_suffix_is_a_domain_or_a_letter(host: str, suffix: str, expected: str) -> None:
    assert node_name(host, suffix) == expected


def test_addresses() -> None:
    assert [host for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost", "0.0.0.0", "c1") if is_loopback(host)] == [
        *("127.0.0.1", "127.9.9.9", "::1", "localhost")
    ]
    assert [host for host in ("127.0.0.1", "0.0.0.0", "::", "c1") if is_wildcard(host)] == ["0.0.0.0", "::"]
