"""As whom, and with which cluster, Zoe speaks: a kubeconfig, or what a pod is given. What is wrong is told by the setting's name."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.config.kube_config import KubeConfigLoader, KubeConfigMerger

from zoe_jupyter.backends.kubernetes import limited
from zoe_jupyter.model.errors import ZoeError

logger = logging.getLogger(__name__)

USUAL = "~/.kube/config"
READ_LIMIT_S = 30.0
"""For all of it; a kubeconfig may name a command that gives the token."""
COMMAND_LIMIT_S = 25.0
READ_EVERY_S = 10.0
"""At most so often for a token that was refused: a command costs a process, and perhaps a question to somebody else."""
_BEARER = "BearerToken"
_SETTING = "the setting Zoe.backend_options:"
_UNREADABLE = (config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, AttributeError, KeyError)
"""What the driver raises for files that are no kubeconfig."""


class Token:
    """The key by which Zoe is known, read anew from a kubeconfig once the cluster does not take it any more.

    Those of a command (EKS, GKE, AKS, OIDC) are over after minutes, and one in the file may have been changed there. ``context``: the one that Zoe began
    with; whoever chooses another one for ``kubectl`` meanwhile gives its token to this cluster else.
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
            logger.warning("the kubeconfig %s gives no new token: %s", self._files, _said(error) or "it takes too long")
        if _token(found) and found.host == self._configuration.host:
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
    return Token(configuration, files, context or str(_merged(files).get("current-context") or ""))


async def _read(configuration: Configuration, files: str, context: str, *, named_by: str) -> None:
    if not _is_there(files):
        if files != USUAL:
            raise ZoeError(f"{named_by}: there is no file {files}")
        raise ZoeError(f"no kubeconfig ({files}) and not in a pod: set KUBECONFIG or the option kubeconfig")
    try:
        contexts = [str(each["name"]) for each in _merged(files)["contexts"]]
        if context and context not in contexts:
            raise ZoeError(f"{_SETTING} no context {context!r} in {files}; it has: {', '.join(contexts) or 'none'}")
        _refuse_plugin(files, context, named_by)
        command = await _load(configuration, files, context)
    except asyncio.TimeoutError as error:
        raise ZoeError(f"{named_by}: {files} gives no token in {READ_LIMIT_S:g} s; try `kubectl get nodes`") from error
    except _UNREADABLE as error:
        raise ZoeError(f"{named_by}: {files} cannot be used: {_said(error)}") from error
    if command and not _token(configuration) and not configuration.cert_file:
        raise ZoeError(f"{named_by}: {command!r}, which {files} names, gives no token; try `kubectl get nodes`")


def _merged(files: str) -> dict[str, Any]:
    found: dict[str, Any] = KubeConfigMerger(files).config.value
    return found


def _limit_command(user: Mapping[str, Any]) -> str:
    """The command that its token is of, or nothing. The driver would leave one that hangs behind, for each token that it is asked for."""
    told = user.get("exec")
    if not isinstance(told, dict) or not told.get("command"):
        return ""
    command = str(told["command"])
    told["args"] = ["-I", limited.__file__, str(COMMAND_LIMIT_S), command, *(told.get("args") or ())]
    told["command"] = sys.executable
    return command


def _refuse_plugin(files: str, context: str, named_by: str) -> None:
    """Raises ZoeError: the driver asks an identity provider without looking at its certificate, and forgets what it answers."""
    merged = _merged(files)
    name = context or merged.get("current-context")
    user = next((each["context"].safe_get("user") for each in merged["contexts"] if each["name"] == name), None)
    told = (each.safe_get("user") for each in merged.get("users") or () if each["name"] == user)
    if any("auth-provider" in (each or {}) for each in told):
        raise ZoeError(
            f"{named_by}: {files}: the user {user!r} has an `auth-provider`, which Kubernetes has given up; name a command that gives the"
            " token (`exec`), such as `kubectl oidc-login` or `gke-gcloud-auth-plugin`"
        )


def _said(error: BaseException) -> str:
    """Without what the driver shows of the file, which has keys in it."""
    return re.sub(r"\{.*\}", "{...}", str(error), flags=re.DOTALL)


async def _load(configuration: Configuration, files: str, context: str) -> str:
    """Fill it in; the command that the user's token is of, or nothing."""
    merged = KubeConfigMerger(files).config
    loader = KubeConfigLoader(merged, active_context=context or None, config_base_path=None)
    command = _limit_command(loader._user.value) if loader._user else ""
    await asyncio.wait_for(loader.load_and_set(configuration), READ_LIMIT_S)
    return command


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
