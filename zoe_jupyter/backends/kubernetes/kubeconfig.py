"""As whom, and with which cluster, Zoe speaks: a kubeconfig, or what a pod is given. What is wrong is told by the setting's name."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path
from typing import Any

import yaml
from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.config.kube_config import KubeConfigMerger

from zoe_jupyter.model.errors import ZoeError

logger = logging.getLogger(__name__)

USUAL = "~/.kube/config"
READ_LIMIT_S = 30.0
"""For all of it; a kubeconfig may name a command that gives the token."""
READ_EVERY_S = 10.0
"""At most so often for a token that was refused: a command costs a process, and perhaps a question to somebody else."""
_BEARER = "BearerToken"
_SETTING = "the setting Zoe.backend_options:"
_UNREADABLE = (config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, AttributeError, KeyError)
"""What the driver raises for files that are no kubeconfig."""


class Token:
    """The key by which Zoe is known, read anew from a kubeconfig once the cluster does not take it any more.

    Those of a command (EKS, GKE, AKS) and of OIDC are over after minutes, and one in the file may have been changed there.
    """

    def __init__(self, configuration: Configuration, files: str, context: str) -> None:
        self._configuration = configuration
        self._files = files
        self._context = context
        self._lock = asyncio.Lock()
        self._read_at = time.monotonic()

    def now(self) -> str:
        return _token(self._configuration)

    async def renew(self, refused: str) -> bool:
        """Whether there is another one than that by now."""
        async with self._lock:
            if self.now() == refused and time.monotonic() - self._read_at >= READ_EVERY_S:
                await self._read()
                self._read_at = time.monotonic()
            return self.now() != refused

    async def _read(self) -> None:
        found = Configuration()
        try:
            await _load(found, self._files, self._context)
        except (*_UNREADABLE, asyncio.TimeoutError) as error:
            logger.warning("the kubeconfig %s gives no new token: %s", self._files, error or "it takes too long")
        if _token(found):
            self._configuration.api_key[_BEARER] = _token(found)


async def configure(configuration: Configuration, kubeconfig: str, context: str) -> Token | None:
    """Fill it in. None: it is a pod's own account, which is taken only where nothing names a file or a context. Raises ZoeError with the way out."""
    variable = os.environ.get("KUBECONFIG", "")
    is_named = bool(kubeconfig or variable or context) or _is_there(USUAL)
    if not is_named and _is_pod(configuration):
        return None
    files = kubeconfig or variable or USUAL
    named_by = f"{_SETTING} kubeconfig" if kubeconfig else "KUBECONFIG" if variable else "without KUBECONFIG"
    await _read(configuration, files, context, named_by=named_by)
    return Token(configuration, files, context)


async def _read(configuration: Configuration, files: str, context: str, *, named_by: str) -> None:
    if not _is_there(files):
        if files != USUAL:
            raise ZoeError(f"{named_by}: there is no file {files}")
        raise ZoeError(f"no kubeconfig ({files}) and not in a pod: set KUBECONFIG or the option kubeconfig")
    try:
        contexts = [str(each["name"]) for each in KubeConfigMerger(files).config.value["contexts"]]
        if context and context not in contexts:
            raise ZoeError(f"{_SETTING} no context {context!r} in {files}; it has: {', '.join(contexts) or 'none'}")
        user = await _load(configuration, files, context)
    except asyncio.TimeoutError as error:
        raise ZoeError(f"{named_by}: {files} gives no token in {READ_LIMIT_S:g} s; try `kubectl get nodes`") from error
    except _UNREADABLE as error:
        raise ZoeError(f"{named_by}: {files} cannot be used: {error}") from error
    if "exec" in user and not _token(configuration) and not configuration.cert_file:
        raise ZoeError(
            f"{named_by}: {user['exec']['command']!r}, which {files} names, gives no token; try `kubectl get nodes`"
        )


async def _load(configuration: Configuration, files: str, context: str) -> Any:
    """Fill it in; what the file says of the user."""
    loading = config.load_kube_config(config_file=files, context=context or None, client_configuration=configuration)
    loader = await asyncio.wait_for(loading, READ_LIMIT_S)
    return loader._user or {}


def _token(configuration: Configuration) -> str:
    return str(configuration.api_key.get(_BEARER, ""))


def _is_there(files: str) -> bool:
    """Any of them, as the variable names several."""
    return any(Path(file).expanduser().exists() for file in files.split(os.pathsep) if file)


def _is_pod(configuration: Configuration) -> bool:
    try:
        config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException:
        return False
    return True
