"""Which variables a service inherits: an allow-list, so that no token and no secret of the user's reaches it by accident."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping

ALLOWED = frozenset({
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TMP", "TEMP", "TERM",
    "JAVA_HOME", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "CUDA_HOME", "NVIDIA_VISIBLE_DEVICES",
    "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
})  # fmt: skip
_ALLOWED_PREFIXES = ("LC_",)
_SECRET = re.compile(
    r"TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE|^JUPYTER|^JPY_|^AWS_|^AZURE_|^GOOGLE_|^ZOE_",
    re.IGNORECASE,
)
_PROXY = re.compile(r"_proxy$", re.IGNORECASE)


def inherited(environment: Mapping[str, str], *, extra: Collection[str] = ()) -> dict[str, str]:
    """What of ``environment`` a service may see; ``extra`` names more, secrets excepted. A proxy's address with a password in it is left out."""
    return {name: value for name, value in environment.items() if _may_pass(name, value, extra)}


def service_environment(
    environment: Mapping[str, str], own: Mapping[str, str], *, python: str, extra: Collection[str] = ()
) -> dict[str, str]:
    """Everything that a service starts with: what it inherits, the interpreter's programs first on the path, then its own variables."""
    merged = {"PYTHONUNBUFFERED": "1", **inherited(environment, extra=extra)}
    folder = os.path.dirname(python)
    rest = [entry for entry in merged.get("PATH", os.defpath).split(os.pathsep) if entry and entry != folder]
    merged["PATH"] = os.pathsep.join([folder, *rest])
    return {**merged, **own}


def _may_pass(name: str, value: str, extra: Collection[str]) -> bool:
    if _SECRET.search(name):
        return False
    if _PROXY.search(name) and "@" in value:
        return False
    return name in ALLOWED or name in extra or name.startswith(_ALLOWED_PREFIXES)
