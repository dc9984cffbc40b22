"""Make the ssh command of a tunnel from the user's computer to a server here, through the login node. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from hpcnn.sites.profile import Site

# The port of the tunnel on the user's computer: TensorBoard's default.
LOCAL_PORT = 6006


@dataclass(frozen=True)
class Machine:
    """The machine of the server: its name, the user, and whether the server runs in a job there.

    submit_host: where the job was submitted (Slurm's variable), for sites without a known login host.
    """

    name: str
    user: str
    in_job: bool = False
    with_gpus: bool = False
    submit_host: str = ""


def ssh_command(machine: Machine, site: Site, host: str, port: str, local_port: int = LOCAL_PORT) -> str:
    """Return the ssh command for the user's computer that forwards its ``local_port`` to ``host``:``port`` here.

    host: the address of the server. A tunnel to a loopback address must end on this machine itself (ssh(1), -L and -J);
    any other address is reached from the login node.
    """
    login = f"{machine.user}@{_login_host(machine, site)}"
    if is_loopback(host):
        forward = f"ssh -N -L {local_port}:127.0.0.1:{port}"
        if machine.in_job:
            return f"{forward} -J {login} {machine.user}@{node_name(machine.name, site.node_suffix)}"
        if _has_public_name(machine.name, site.login):
            return f"{forward} {machine.user}@{machine.name}"
        return f"{forward} -J {login} {machine.user}@{machine.name}"
    reached = node_name(machine.name, site.node_suffix) if machine.in_job else machine.name
    address = reached if is_wildcard(host) else host
    return f"ssh -N -L {local_port}:{address}:{port} {login}"


def node_name(host: str, suffix: str) -> str:
    """Return the name of a compute node on the login node: ``r001.ib.example.org``, or ``jwb0001i.juwels``.

    A suffix with a dot replaces the domain; any other suffix is appended to the first part of the name.
    """
    first, dot, domain = host.partition(".")
    if not suffix:
        return host
    return first + suffix if suffix.startswith(".") else f"{first}{suffix}{dot}{domain}"


def is_loopback(host: str) -> bool:
    """Return whether an address is a loopback address."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def is_wildcard(host: str) -> bool:
    """Return whether an address is the wildcard, for all addresses of the machine."""
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified


def _login_host(machine: Machine, site: Site) -> str:
    """Return the login node of the tunnel; without one in the profile, the host that submitted the job."""
    named = site.login_gpu if machine.with_gpus and site.login_gpu else site.login
    return named or (machine.submit_host if machine.in_job else machine.name) or "LOGIN"


def _has_public_name(name: str, login: str) -> bool:
    """Return whether this login node has a public name of its own, and is not only behind the site's login host."""
    if not login:
        return True
    return name == login or name.split(".")[-2:] == login.split(".")[-2:]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
