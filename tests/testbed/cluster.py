"""Starts and stops a real Slurm cluster on one machine: slurmctld, slurmdbd on MariaDB, munge, and a slurmd a node.

Each node is a network namespace with a host name of its own, so that ranks on two nodes really talk over a
network. Needs root and Debian's packages slurm-wlm, slurmdbd, munge, mariadb-server and iproute2.

    python -m tests.testbed.cluster up      # prints the SLURM_CONF to export
    python -m tests.testbed.cluster down    # leaves nothing behind
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.testbed import config
from tests.testbed.config import Testbed

ROOT = Path("/var/tmp/hpcnn-testbed")
USER = "hpcnn-student"
BRIDGE = "hpcnnbr0"
PROGRAMS = ("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd", "ip", "nsenter", "unshare")


class TestbedError(Exception):
    """The testbed cannot be had here, or did not come up; the message says why."""

    __test__ = False


def missing() -> str | None:
    """Return why there can be no testbed on this machine, or None."""
    if os.geteuid() != 0:
        return "the testbed needs root (network namespaces, host names, device files)"
    absent = [program for program in PROGRAMS if not _which(program)]
    if absent:
        return f"missing programs: {', '.join(absent)} (Debian: slurm-wlm slurmdbd munge mariadb-server iproute2)"
    return None


def up(bed: Testbed) -> None:
    """Start the cluster; return when all nodes are idle. Raises TestbedError with the tail of the log at fault."""
    reason = missing()
    if reason:
        raise TestbedError(reason)
    down(bed)
    _write_files(bed)
    _make_network(bed)
    _start_munge(bed)
    if bed.accounting:
        _start_database(bed)
        _daemon(bed, "slurmdbd", [*_head(bed), _which("slurmdbd"), "-D"])
        _wait_for("slurmdbd", lambda: _ok(bed, "sacctmgr", "-n", "list", "cluster"), bed)
        # Made before slurmctld registers, so that its first job is already kept.
        _ok(bed, "sacctmgr", "-i", "add", "cluster", "testbed")
    _start_controller(bed)
    for number in range(1, bed.nodes + 1):
        start_node(bed, number)
    _wait_for("slurmctld", lambda: idle_nodes(bed) == bed.nodes, bed)
    if not _ok(bed, "id", USER):
        home = bed.root / "home" / USER
        subprocess.run(["useradd", "--home-dir", home, "--create-home", "--shell", "/bin/bash", USER], check=True)


def down(bed: Testbed) -> None:
    """Stop everything and remove every trace: processes, namespaces, bridge, user, files. Never fails."""
    _end_processes(bed)
    for space in _spaces():
        _quiet("ip", "netns", "delete", space)
    _quiet("ip", "link", "delete", BRIDGE)
    _quiet("userdel", USER)
    shutil.rmtree(bed.root, ignore_errors=True)


def is_up(bed: Testbed) -> bool:
    """Whether a controller of this testbed answers."""
    return bed.slurm_conf.exists() and _ok(bed, "scontrol", "ping")


def start_node(bed: Testbed, number: int) -> None:
    """Start one node's slurmd in its namespaces (again, after a test has killed it)."""
    name = config.node(number)
    # `ip netns exec` would remount /sys, where slurmd then finds no cgroup file system.
    inside = ["nsenter", f"--net=/run/netns/hpcnn-{name}", *_host(bed, name)]
    _daemon(bed, f"slurmd.{name}", [*inside, _which("slurmd"), "-N", name, "-D"])


def restart_controller(bed: Testbed) -> None:
    """Let slurmctld begin anew, with what slurm.conf says now: whether it keeps limits, it asks only then."""
    _ok(bed, "scontrol", "shutdown", "slurmctld")
    _wait_for("slurmctld", lambda: not is_up(bed), bed)
    time.sleep(1)  # its port is free a moment after it has stopped to answer
    _start_controller(bed)
    _wait_for("slurmctld", lambda: idle_nodes(bed) == bed.nodes, bed)


def _start_controller(bed: Testbed) -> None:
    _daemon(bed, "slurmctld", [*_head(bed), _which("slurmctld"), "-D"])


def kill_node(bed: Testbed, number: int) -> None:
    """Kill a node as a power cut does: slurmd, its job steps, and everything else in its namespace."""
    found = subprocess.run(
        ["ip", "netns", "pids", f"hpcnn-{config.node(number)}"], capture_output=True, text=True, check=True
    )
    for pid in found.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def idle_nodes(bed: Testbed) -> int:
    """Return the number of idle nodes, as the controller sees them."""
    found = subprocess.run(
        ["sinfo", "-h", "-N", "-p", "cpu", "-t", "idle", "-o", "%N"],
        env=environment(bed),
        capture_output=True,
        text=True,
        check=False,
    )
    return len(found.stdout.split())


def environment(bed: Testbed) -> dict[str, str]:
    """Return the environment of Slurm's commands for this cluster."""
    return {**os.environ, "SLURM_CONF": str(bed.slurm_conf), "MYSQL_UNIX_PORT": str(bed.root / "run" / "mysql.socket")}


def _write_files(bed: Testbed) -> None:
    for folder in ("etc", "run", "log", "state", "spool", "dev", "home", "shared"):
        (bed.root / folder).mkdir(parents=True, exist_ok=True)
    (bed.root / "shared").chmod(0o1777)
    bed.slurm_conf.write_text(config.slurm_conf(bed))
    (bed.root / "etc" / "gres.conf").write_text(config.gres_conf(bed))
    (bed.root / "etc" / "hosts").write_text(config.hosts(bed))
    database = bed.root / "etc" / "slurmdbd.conf"
    database.write_text(config.slurmdbd_conf(bed))
    database.chmod(0o600)
    for number in range(1, bed.nodes + 1):
        (bed.root / "tmp" / config.node(number)).mkdir(parents=True)
        (bed.root / "tmp" / config.node(number)).chmod(0o1777)
    for number in range(1, config.GPU_NODES + 1):
        for gpu in range(config.GPUS):
            subprocess.run(
                ["mknod", "-m", "666", bed.root / "dev" / f"{config.node(number)}-gpu{gpu}", "c", "1", "3"], check=True
            )


def _make_network(bed: Testbed) -> None:
    """Join a namespace for each node to a bridge; the controller has an address on the bridge itself."""
    _ip("link", "add", BRIDGE, "type", "bridge")
    _ip("address", "add", f"{config.CONTROLLER}/24", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")
    for number in range(1, bed.nodes + 1):
        space, outer = f"hpcnn-{config.node(number)}", f"hpcnnve{number}"
        _ip("netns", "add", space)
        _ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("link", "set", outer, "master", BRIDGE, "up")
        _ip("-n", space, "address", "add", f"{config.NETWORK}.{number}/24", "dev", "eth0")
        _ip("-n", space, "link", "set", "lo", "up")
        _ip("-n", space, "link", "set", "eth0", "up")


def _start_munge(bed: Testbed) -> None:
    key = bed.root / "etc" / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    run, log = bed.root / "run", bed.root / "log"
    subprocess.run(
        [
            _which("munged"),
            "--force",  # the testbed's folders are root's, which munged would otherwise refuse
            f"--key-file={key}",
            f"--socket={bed.munge_socket}",
            f"--pid-file={run}/munged.pid",
            f"--seed-file={run}/munged.seed",
            f"--log-file={log}/munged.log",
        ],
        check=True,
        capture_output=True,
    )


def _start_database(bed: Testbed) -> None:
    """Make an empty MariaDB that listens on loopback only, with an account for slurmdbd."""
    data, socket = bed.root / "database", bed.root / "run" / "mysql.socket"
    data.mkdir()
    subprocess.run(
        ["mariadb-install-db", "--user=root", f"--datadir={data}", "--auth-root-authentication-method=normal"],
        check=True,
        capture_output=True,
    )
    options = ["--no-defaults", "--user=root", f"--datadir={data}", f"--socket={socket}", "--bind-address=127.0.0.1"]
    sizes = ["--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--innodb-lock-wait-timeout=900"]
    port = f"--port={config.DATABASE_PORT}"
    _daemon(bed, "mariadb", [_which("mariadbd"), *options, port, *sizes, f"--pid-file={bed.root}/run/mariadb.pid"])
    # The database is there before slurmdbd asks for it: MariaDB 11.8's client takes no answer on a connection that was
    # refused once for an unknown database ("mysql_query failed: 5027").
    grant = (
        "CREATE DATABASE slurm_acct_db; CREATE USER 'slurm'@'localhost' IDENTIFIED BY 'testbed'; "
        "CREATE USER 'slurm'@'127.0.0.1' IDENTIFIED BY 'testbed'; "
        "GRANT ALL ON slurm_acct_db.* TO 'slurm'@'localhost', 'slurm'@'127.0.0.1';"
    )
    client = ["mariadb", "--no-defaults", f"--socket={socket}", "--user=root"]
    _wait_for("mariadb", lambda: _ok(bed, *client, "-e", "SELECT 1"), bed)
    subprocess.run([*client, "-e", grant], check=True, capture_output=True)


def _head(bed: Testbed) -> list[str]:
    return _host(bed, "testbed-head")


def _host(bed: Testbed, name: str) -> list[str]:
    """Return the words that run a command as on a host of its own: its host name, its /etc/hosts."""
    script = f'hostname {name} && mount --bind {bed.root}/etc/hosts /etc/hosts && exec "$@"'
    return ["unshare", "--uts", "--mount", "bash", "-c", script, "bash"]


def _daemon(bed: Testbed, name: str, command: Sequence[str]) -> None:
    """Start a daemon of the testbed in the background, its output in log/NAME.out."""
    with (bed.root / "log" / f"{name}.out").open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment(bed), start_new_session=True
        )
    with (bed.root / "run" / "pids").open("a") as pids:
        pids.write(f"{process.pid}\n")


def _end_processes(bed: Testbed) -> None:
    """End every process that has the testbed's folder in its command line or environment; ask first, then kill."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        pids = _processes(bed)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
        end = time.monotonic() + 10
        while any(Path(f"/proc/{pid}").exists() and not _zombie(pid) for pid in pids) and time.monotonic() < end:
            time.sleep(0.1)


def _processes(bed: Testbed) -> list[int]:
    """Return the daemons of this testbed, and what runs in its nodes' network namespaces."""
    wanted = f"SLURM_CONF={bed.slurm_conf}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            daemon = entry.joinpath("comm").read_text().strip() in {*PROGRAMS, "munged", "slurmstepd"}
            command = entry.joinpath("cmdline").read_bytes()
            known = wanted in entry.joinpath("environ").read_bytes() or str(bed.root).encode() in command
            if daemon and known:
                found.append(int(entry.name))
    for space in _spaces():
        pids = subprocess.run(["ip", "netns", "pids", space], capture_output=True, text=True, check=False)
        found += [int(pid) for pid in pids.stdout.split()]
    return found


def _spaces() -> list[str]:
    """Return the network namespaces of the nodes, however many there are: ip-netns(8) keeps their names there."""
    folder = Path("/run/netns")
    return [entry.name for entry in folder.glob("hpcnn-c*")] if folder.is_dir() else []


def _zombie(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    return True


def _wait_for(daemon: str, ready: Callable[[], bool], bed: Testbed, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            logs = [bed.root / "log" / f"{daemon}.{kind}" for kind in ("log", "out")]
            tail = "\n".join(log.read_text(errors="replace")[-1500:] for log in logs if log.exists())
            raise TestbedError(f"{daemon} did not come up in {seconds:.0f} s:\n{tail}")
        time.sleep(0.2)


def _ok(bed: Testbed, *command: str) -> bool:
    return subprocess.run(command, env=environment(bed), capture_output=True, check=False).returncode == 0


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise TestbedError(f"ip {' '.join(words)}: {done.stderr.strip()}")


def _quiet(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=False)


def _which(program: str) -> str:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or ""


def main() -> None:
    """Bring the testbed up or down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("up", "down"))
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the testbed [%(default)s]")
    parser.add_argument("--no-accounting", action="store_true", help="a cluster without sacct")
    parser.add_argument("--nodes", type=int, default=config.NODES, help="nodes of the cluster [%(default)s]")
    options = parser.parse_args()
    if not config.GPU_NODES <= options.nodes <= config.MOST_NODES:
        parser.error(f"--nodes: {options.nodes} is not valid; expected {config.GPU_NODES} to {config.MOST_NODES}")
    bed = Testbed(options.root, accounting=not options.no_accounting, nodes=options.nodes)
    if options.action == "down":
        down(bed)
        return
    begin = time.monotonic()
    try:
        up(bed)
    except TestbedError as error:
        sys.exit(f"testbed: {error}")
    print(f"{bed.nodes} nodes are idle after {time.monotonic() - begin:.1f} s. Now type:")
    print(f"  export SLURM_CONF={bed.slurm_conf}")


if __name__ == "__main__":
    main()
