"""As whom, and with which cluster, Zoe speaks: a kubeconfig, or what a pod is given. What is wrong is told by the setting's name."""

from __future__ import annotations

import os
from pathlib import Path

import yaml
from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.config.kube_config import KubeConfigMerger

from zoe_jupyter.model.errors import ZoeError

USUAL = "~/.kube/config"
_SETTING = "the setting Zoe.backend_options:"
_UNREADABLE = (config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, AttributeError, KeyError)
"""What the driver raises for files that are no kubeconfig."""


async def configure(configuration: Configuration, kubeconfig: str, context: str) -> bool:
    """Fill it in; whether it is a pod's own account, which is taken only where nothing names a file or a context. Raises ZoeError with the way out."""
    variable = os.environ.get("KUBECONFIG", "")
    is_named = bool(kubeconfig or variable or context) or _is_there(USUAL)
    if not is_named and _is_pod(configuration):
        return True
    named_by = f"{_SETTING} kubeconfig" if kubeconfig else "KUBECONFIG" if variable else "without KUBECONFIG"
    await _read(configuration, kubeconfig or variable or USUAL, context, named_by=named_by)
    return False


async def _read(configuration: Configuration, files: str, context: str, *, named_by: str) -> None:
    if not _is_there(files):
        if files != USUAL:
            raise ZoeError(f"{named_by}: there is no file {files}")
        raise ZoeError(f"no kubeconfig ({files}) and not in a pod: set KUBECONFIG or the option kubeconfig")
    try:
        contexts = [str(each["name"]) for each in KubeConfigMerger(files).config.value["contexts"]]
        if context and context not in contexts:
            raise ZoeError(f"{_SETTING} no context {context!r} in {files}; it has: {', '.join(contexts) or 'none'}")
        await config.load_kube_config(config_file=files, context=context or None, client_configuration=configuration)
    except _UNREADABLE as error:
        raise ZoeError(f"{named_by}: {files} cannot be used: {error}") from error


def _is_there(files: str) -> bool:
    """Any of them, as the variable names several."""
    return any(Path(file).expanduser().exists() for file in files.split(os.pathsep) if file)


def _is_pod(configuration: Configuration) -> bool:
    try:
        config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException:
        return False
    return True
