"""Where things are inside a container, and what a service finds there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from zoe_jupyter.backends.base import Reserved, ServiceOrder
from zoe_jupyter.model.application import Port

PYTHON = "python3"
"""What ``{{ python }}`` is."""
JAVA = "java"
FOLDER = "/zoe"
"""The service's own folder, where it starts and its files are; of its user alone."""
FIRST_PORT = 20000
"""A container has all ports for itself; above those that need rights, below those that the kernel gives to clients."""
USER = 1000
"""Who services are where neither the site nor the image says so: never root."""


_TAKEN = ("/proc", "/sys", "/dev", "/etc", "/run", FOLDER)


def plain(path: str) -> PurePosixPath:
    """Two slashes at its beginning are one for Linux, and not for Python."""
    return PurePosixPath(f"/{path.lstrip('/')}" if path.startswith("/") else path)


def is_free(inside: str) -> bool:
    """Whether a site may put a folder of its own there."""
    path = plain(inside)
    return (
        path.is_absolute()
        and ".." not in path.parts
        and path != PurePosixPath("/")
        and not any(map(path.is_relative_to, _TAKEN))
    )


def framework_folder(folder: str) -> str:
    """What ``{{ folder }}`` is inside: where the image has that framework's folder."""
    return f"/opt/zoe/{PurePosixPath(folder).name}"


def port_numbers(ports: Iterable[str]) -> dict[str, int]:
    """The same for every attempt."""
    return {name: FIRST_PORT + index for index, name in enumerate(sorted(ports))}


def reserved(host: str, ports: Mapping[str, Port], folder: str) -> Reserved:
    """All that templates may name; nothing has to be reserved for it."""
    return Reserved(
        host=host,
        ports=port_numbers(ports),
        folder=FOLDER,
        framework_folder=framework_folder(folder),
        cwd=FOLDER,
    )


def environment(order: ServiceOrder) -> dict[str, str]:
    """What a service finds in its environment beside what its image says. Never a secret: those come as files."""
    return {
        "HOME": FOLDER,
        "ZOE_EXECUTION": order.execution_id,
        "ZOE_SERVICE": order.service,
        **order.environment,
    }


def published(ports: Mapping[str, Port]) -> tuple[str, ...]:
    """Names of the ports that somebody outside may want: pages for people, and what the execution provides."""
    return tuple(name for name, port in ports.items() if port.is_published)
