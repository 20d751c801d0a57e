"""What an engine's settings mean, and which of them are refused; how the program ``ssh`` is asked."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import docker
import pytest
import requests
import urllib3
from docker.errors import DockerException

from zoe_jupyter.backends.docker import ways
from zoe_jupyter.backends.docker.building import Recipe, build
from zoe_jupyter.backends.docker.settings import EngineSettings
from zoe_jupyter.backends.docker.tunnel import command
from zoe_jupyter.model.errors import ZoeError

FAR = EngineSettings(
    name="far", url="tcp://far.site:2376", tls_ca="ca", tls_cert="cert", tls_key="key", host="far.site", publish_on="10.0.0.7"
)  # fmt: skip
HERE = "unix:///var/run/docker.sock"


def known(engine: EngineSettings, **environment: str) -> EngineSettings:
    (found,) = ways.known([engine], environment)
    return found


@pytest.mark.parametrize(
    ("engine", "url", "host"),
    [
        (EngineSettings(), HERE, "127.0.0.1"),
        (EngineSettings(url="unix:///run/other.sock"), "unix:///run/other.sock", "127.0.0.1"),
        (EngineSettings(url="tcp://127.0.0.1:2375"), "tcp://127.0.0.1:2375", "127.0.0.1"),
        (EngineSettings(url="ssh://ada@far"), "ssh://ada@far", ""),
        (EngineSettings(url="ssh://far", host="far.site"), "ssh://far", "far.site"),
        (FAR, "tcp://far.site:2376", "far.site"),
    ],
)
def test_ports_are_reached_on_the_loopback_unless_they_are_brought_there(
    engine: EngineSettings, url: str, host: str
) -> None:
    assert known(engine) == replace(engine, url=url, host=host)


def test_without_an_address_the_environment_says_which_engine_is_meant() -> None:
    assert known(EngineSettings(), DOCKER_HOST="unix:///run/mine.sock").url == "unix:///run/mine.sock"
    far = EngineSettings(host="far.site", publish_on="10.0.0.7")
    found = known(far, DOCKER_HOST="tcp://far.site:2376", DOCKER_CERT_PATH="/certs", DOCKER_TLS_VERIFY="1")
    assert (found.url, found.tls_ca, found.tls_cert, found.tls_key) == (
        "tcp://far.site:2376", "/certs/ca.pem", "/certs/cert.pem", "/certs/key.pem",
    )  # fmt: skip
    own = known(far, DOCKER_HOST="tcp://far.site:2376", DOCKER_TLS_VERIFY="1")
    assert own.tls_ca == str(Path.home() / ".docker" / "ca.pem")


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (replace(FAR, url="http://far.site"), "it begins with unix://, tcp:// or ssh://"),
        (replace(FAR, url="ssh:///run/docker.sock"), "it names no host"),
        (replace(FAR, tls_key=""), "go together"),
        (replace(FAR, tls_ca="", tls_cert="", tls_key=""), "whoever is on the way is root on its machine"),
        (replace(FAR, host=""), "where nobody here reaches them: set `publish_on`"),
        (replace(FAR, publish_on="127.0.0.1"), "published on its own 127.0.0.1, where nobody here reaches them"),
    ],
)
def test_an_engine_that_cannot_be_used_safely_or_truly_is_refused(engine: EngineSettings, said: str) -> None:
    with pytest.raises(ZoeError, match="the engine 'far': ") as refused:
        known(engine)
    assert said in refused.value.message


def wrapped(error: Exception) -> Exception:
    """As it comes out of the driver."""
    pool = urllib3.HTTPSConnectionPool("far.site")
    return requests.exceptions.SSLError(urllib3.exceptions.MaxRetryError(pool, "/version", error))


def test_what_is_wrong_between_two_sides_is_told_in_words() -> None:
    untrusted = ssl.SSLCertVerificationError()
    untrusted.verify_message = "certificate has expired."
    assert ways.why(wrapped(untrusted)) == "its certificate is not believed (`tls_ca`): certificate has expired"
    alert = ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required")
    alert.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    assert ways.why(wrapped(alert)).endswith("that it is shown (`tls_cert`): certificate required")
    assert ways.why(OSError("no route")) == "no route"
    assert ways.why(OSError("x" * 400)) == f"{'x' * 300}..."


def refused(error: OSError) -> Exception:
    """As it comes out of the driver when it asks for the version."""
    outer = DockerException(f"Error while fetching server API version: {error!r}")
    outer.__cause__ = requests.exceptions.ConnectionError(
        urllib3.exceptions.ProtocolError("Connection aborted.", error)
    )
    return outer


def test_what_the_system_refuses_is_told_in_its_words_and_where() -> None:
    denied = refused(PermissionError(13, "Permission denied"))
    said = ways.why(denied, "unix:///run/d.sock")
    assert said.startswith("Permission denied: the user of Zoe is not in the group `docker`")
    assert said.endswith("may not open /run/d.sock")
    missing = refused(FileNotFoundError(2, "No such file or directory"))
    assert ways.why(missing, "unix:///nope.sock") == "No such file or directory: /nope.sock"
    closed = refused(ConnectionRefusedError(111, "Connection refused"))
    assert ways.why(closed, "tcp://ada:secret@far.site:2376") == "Connection refused: far.site:2376"
    key = refused(PermissionError(13, "Permission denied", "/etc/zoe/key.pem"))
    assert ways.why(key, "tcp://far.site:2376") == "Permission denied: /etc/zoe/key.pem"


@pytest.mark.parametrize(
    ("error", "is_to_start"),
    [(FileNotFoundError(2, "No such file"), True), (PermissionError(13, "Permission denied"), False)],
)
def test_who_builds_an_image_is_told_to_start_an_engine_only_where_none_is(
    error: OSError, is_to_start: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "Dockerfile").touch()
    monkeypatch.setattr(docker, "from_env", Mock(side_effect=refused(error)))
    with pytest.raises(ZoeError, match=str(error.strerror)) as told:
        build(Recipe("zoe/it:1", tmp_path), print)
    assert ("Start one" in told.value.message) == is_to_start


def test_ssh_is_asked_for_the_engine_s_socket_and_nothing_else() -> None:
    settings = EngineSettings(name="far", url="ssh://ada@far:2222", ssh_config="/etc/zoe/ssh")
    assert command(settings, Path("/tmp/t")) == [
        "ssh", "-F", "/etc/zoe/ssh", "-N", "-T", "-a", "-x", "-M", "-S", "/tmp/t/c", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10",
        "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3", "-o", "ExitOnForwardFailure=yes", "-o", "ControlPersist=no",
        "-o", "StreamLocalBindMask=0177", "-L", "/tmp/t/s:/var/run/docker.sock", "-p", "2222", "-l", "ada", "--", "far",
    ]  # fmt: skip
    assert command(EngineSettings(url="ssh://far/run/d.sock"), Path("/t"))[-3:] == ["/t/s:/run/d.sock", "--", "far"]
