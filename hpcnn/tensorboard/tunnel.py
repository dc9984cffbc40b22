"""How to reach a server of this machine from one's own computer, through the site's login node. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from hpcnn.sites.profile import Site

# TensorBoard's own port: the one to open on the user's computer.
NEAR_PORT = 6006


@dataclass(frozen=True)
class Machine:
    """The machine that serves: its name, its user, and the job that runs on it, if one does.

    submit_host: where the job was submitted (Slurm's variable), for sites whose login host is not known.
    """

    name: str
    user: str
    in_job: bool = False
    with_gpus: bool = False
    submit_host: str = ""


def ssh_command(machine: Machine, site: Site, host: str, port: str) -> str:
    """Return what the user types on their own computer, so that its NEAR_PORT leads to ``host``:``port`` here.

    host: the address that the server listens on. On a loopback address the tunnel must end on this machine itself
    (ssh(1), -L and -J); on any other, its login node reaches it.
    """
    login = f"{machine.user}@{_login_host(machine, site)}"
    if is_loopback(host):
        forward = f"ssh -N -L {NEAR_PORT}:127.0.0.1:{port}"
        if machine.in_job:
            return f"{forward} -J {login} {machine.user}@{node_name(machine.name, site.node_suffix)}"
        if _is_known_outside(machine.name, site.login):
            return f"{forward} {machine.user}@{machine.name}"
        return f"{forward} -J {login} {machine.user}@{machine.name}"
    reached = node_name(machine.name, site.node_suffix) if machine.in_job else machine.name
    address = reached if is_wildcard(host) else host
    return f"ssh -N -L {NEAR_PORT}:{address}:{port} {login}"


def node_name(host: str, suffix: str) -> str:
    """Return a compute node's name as a login node knows it: ``r001.ib.example.org``, or ``jwb0001i.juwels``.

    A suffix with a dot takes the place of the domain; another one stands behind the first part of the name.
    """
    first, dot, domain = host.partition(".")
    if not suffix:
        return host
    return first + suffix if suffix.startswith(".") else f"{first}{suffix}{dot}{domain}"


def is_loopback(host: str) -> bool:
    """Whether only this machine itself reaches an address."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def is_wildcard(host: str) -> bool:
    """Whether an address stands for all that the machine has."""
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified


def _login_host(machine: Machine, site: Site) -> str:
    """Return the login node to go through; without one in the profile, where the job came from."""
    named = site.login_gpu if machine.with_gpus and site.login_gpu else site.login
    return named or (machine.submit_host if machine.in_job else machine.name) or "LOGIN"


def _is_known_outside(name: str, login: str) -> bool:
    """Whether this login node has a public name itself: several share the site's login host, and only one serves."""
    if not login:
        return True
    return name == login or name.split(".")[-2:] == login.split(".")[-2:]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
