"""An engine of another machine, as far as a network tells: it has addresses of its own, and its loopback is not ours."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.backends.docker.authority import Authority
from tests.backends.docker.second_engine import SecondEngine, second_engine
from zoe_jupyter.testing.chaos import until

TLS_PORT, SSH_PORT = 2376, 2222
START_S = 30.0
SSHD = "/usr/sbin/sshd"
_PEER = "zoe-far"
SERVER = """
ListenAddress {address}
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PidFile none
"""
CLIENT = """
Host far
  HostName {address}
  Port {port}
  User {user}
  IdentityFile {key}
  IdentitiesOnly yes
  UserKnownHostsFile {known}
  GlobalKnownHostsFile none
"""


@dataclass
class RemoteEngine:
    engine: SecondEngine
    address: str
    folder: Path
    authority: Authority

    @property
    def tls_url(self) -> str:
        return f"tcp://{self.address}:{TLS_PORT}"

    @property
    def ssh_url(self) -> str:
        return f"ssh://far{self.engine.socket}"

    def ssh_config(self, *, key: str = "key", known: str = "known") -> str:
        """For the program ``ssh``, with those files of the folder."""
        path = self.folder / f"config-{key}-{known}"
        files = {"key": self.folder / key, "known": self.folder / known}
        path.write_text(CLIENT.format(address=self.address, port=SSH_PORT, user=getpass.getuser(), **files))
        return str(path)


@contextmanager
def remote_engine(folder: Path, image: str, first: Any) -> Iterator[RemoteEngine]:
    """With TLS and an SSH server; needs root."""
    net = os.getpid() % 250
    ours, address = f"10.231.{net}.1", f"10.231.{net}.2"
    authority = Authority(folder / "authority")
    pair = authority.server(address)
    options = ("--tlsverify", "--tlscacert", authority.ca, "--tlscert", pair.cert, "--tlskey", pair.key)
    with second_engine((image,), first, "-H", f"tcp://0.0.0.0:{TLS_PORT}", *options) as engine:
        _wire(engine.pid, f"zoe-{net}", ours, address)
        server = _ssh_server(engine.pid, folder, address)
        try:
            yield RemoteEngine(engine, address, folder, authority)
        finally:
            server.terminate()
            server.wait()


def lacks() -> str:
    """What this machine lacks for it; empty when nothing."""
    if os.geteuid() != 0:
        return "a remote engine needs root"
    programs = ("unshare", "dockerd", "nsenter", "ip", "ssh", "ssh-keygen", SSHD)
    missing = [name for name in programs if not shutil.which(name)]
    return f"{', '.join(missing)} not found: apt-get install openssh-server docker.io iproute2" if missing else ""


def _wire(pid: int, name: str, ours: str, theirs: str) -> None:
    """A cable between this machine and the engine's; it goes with the latter."""
    inside = ("nsenter", "-n", "-t", str(pid))
    for words in (
        ("ip", "link", "add", name, "type", "veth", "peer", "name", _PEER, "netns", str(pid)),
        ("ip", "addr", "add", f"{ours}/30", "dev", name),
        ("ip", "link", "set", name, "up"),
        (*inside, "ip", "addr", "add", f"{theirs}/30", "dev", _PEER),
        (*inside, "ip", "link", "set", _PEER, "up"),
        (*inside, "ip", "link", "set", "lo", "up"),
    ):
        subprocess.run(words, check=True, capture_output=True, timeout=20)


def _ssh_server(pid: int, folder: Path, address: str) -> subprocess.Popen[bytes]:
    for name in ("host", "key", "other"):
        make = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
        subprocess.run(make, check=True, timeout=20)
    known = (folder / "host.pub").read_text().rpartition(" ")[0]
    (folder / "known").write_text(f"[{address}]:{SSH_PORT} {known}\n")
    (folder / "unknown").touch()
    config = folder / "sshd_config"
    config.write_text(SERVER.format(address=address, port=SSH_PORT, folder=folder))
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    command = ["nsenter", "-n", "-t", str(pid), SSHD, "-D", "-e", "-f", str(config)]
    with (folder / "sshd.log").open("wb") as log:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    until(lambda: _answers(address, SSH_PORT), START_S, (folder / "sshd.log").read_text)
    return server


def _answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((host, port)) == 0
