"""How an engine is spoken to: what its settings mean, and why it is not believed or does not believe. Pure, but for a look at named files."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from docker.tls import TLSConfig

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.docker.settings import LOOPBACK, EngineSettings
from zoe_jupyter.model.errors import ZoeError

OWN = "unix:///var/run/docker.sock"
_SCHEMES = ("unix", "tcp", "ssh")
_SHOWN = 300


def known(engines: Iterable[EngineSettings], environment: Mapping[str, str]) -> Iterator[EngineSettings]:
    """Each with all that its settings leave open; raises ZoeError where they cannot be true or safe."""
    for each in engines:
        found = each if each.url else _of_environment(each, environment)
        for trouble in _troubles(found):
            raise ZoeError(f"the setting Zoe.backend_options: the engine {found.name!r}: {trouble}")
        is_here = not found.host and not found.url.startswith("ssh:")
        yield replace(found, host=LOOPBACK) if is_here else found


def _of_environment(engine: EngineSettings, environment: Mapping[str, str]) -> EngineSettings:
    """As the ``docker`` command reads it; only that a certificate is always checked."""
    url, folder = environment.get("DOCKER_HOST", ""), environment.get("DOCKER_CERT_PATH", "")
    if not url.startswith("tcp:") or not (folder or environment.get("DOCKER_TLS_VERIFY")) or engine.tls_ca:
        return replace(engine, url=url or OWN)
    files = Path(folder).expanduser() if folder else Path.home() / ".docker"
    ca, cert, key = (str(files / name) for name in ("ca.pem", "cert.pem", "key.pem"))
    return replace(engine, url=url, tls_ca=ca, tls_cert=cert, tls_key=key)


def _troubles(engine: EngineSettings) -> Iterator[str]:
    at = urlsplit(engine.url)
    if at.scheme not in _SCHEMES:
        yield f"`url` is {engine.url!r}; it begins with unix://, tcp:// or ssh://"
    elif at.scheme != "unix" and not at.hostname:
        yield f"`url` is {engine.url!r}: it names no host"
    has_tls = {bool(engine.tls_ca), bool(engine.tls_cert), bool(engine.tls_key)}
    if len(has_tls) > 1:
        yield "`tls_ca`, `tls_cert` and `tls_key` go together"
    if at.scheme == "tcp" and not is_loopback(at.hostname or ""):
        yield from _troubles_from_afar(engine)


def _troubles_from_afar(engine: EngineSettings) -> Iterator[str]:
    if not engine.tls_ca:
        yield (
            "by tcp without certificates whoever is on the way is root on its machine: "
            "name `tls_ca`, `tls_cert` and `tls_key`, or reach it by ssh://"
        )
    if not engine.host or (is_loopback(engine.publish_on) and not is_loopback(engine.host)):
        yield (
            f"its services would be published on its own {engine.publish_on}, where nobody here reaches them: set `publish_on` to an address "
            "of its machine and `host` to how this machine reaches that, or reach it by ssh://, which brings them here"
        )


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def tls(engine: EngineSettings) -> TLSConfig | None:
    """Both sides show a certificate, and both are checked. Raises Unreachable where a file is missing."""
    if not engine.tls_ca:
        return None
    names = {"tls_ca": engine.tls_ca, "tls_cert": engine.tls_cert, "tls_key": engine.tls_key}
    files = {name: Path(file).expanduser() for name, file in names.items()}
    for name, file in files.items():
        if not file.is_file():
            raise Unreachable(f"the engine {engine.name} cannot be spoken to: there is no file {file} (`{name}`)")
    pair = (str(files["tls_cert"]), str(files["tls_key"]))
    return TLSConfig(client_cert=pair, ca_cert=str(files["tls_ca"]), verify=True)


def context(engine: EngineSettings) -> ssl.SSLContext | None:
    """The same for connections without the driver."""
    files = tls(engine)
    if files is None:
        return None
    found = ssl.create_default_context(cafile=files.ca_cert)
    found.load_cert_chain(*files.cert)
    return found


def why(error: BaseException, url: str = "") -> str:
    """In words an admin can act upon, also where the driver wrapped it five times. ``url``: who was asked."""
    for each in _within(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return f"its certificate is not believed (`tls_ca`): {each.verify_message.rstrip('.')}"
        if isinstance(each, ssl.SSLError) and "alert" in (each.reason or "").lower():
            said = (each.reason or "").rpartition("ALERT_")[2].replace("_", " ").lower()
            return f"it does not believe the certificate that it is shown (`tls_cert`): {said}"
        if isinstance(each, OSError) and each.errno and each.strerror and not isinstance(each, ssl.SSLError):
            return _of_system(each, url)
    text = str(error)
    return text if len(text) < _SHOWN else f"{text[:_SHOWN]}..."


def _of_system(error: OSError, url: str) -> str:
    at = urlsplit(url)
    if isinstance(error, PermissionError) and not error.filename and at.scheme == "unix":
        return (
            f"{error.strerror}: the user of Zoe is not in the group `docker`, or was not when Zoe was started, "
            f"and may not open {at.path}"
        )
    where = error.filename or (at.path if at.scheme == "unix" else at.netloc.rpartition("@")[2])
    return f"{error.strerror}: {where}" if where else str(error.strerror)


def _within(error: BaseException) -> Iterator[BaseException]:
    """It and what caused it, by whatever way it is carried."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        carried = (each.__cause__, each.__context__, getattr(each, "reason", None), *each.args)
        waiting += [one for one in carried if isinstance(one, BaseException)]
