"""Who the embedded Zoe works for: the one user whose Jupyter server this is."""

from __future__ import annotations

import os


def embedded_user() -> str:
    """The hub's name for the user, else the account that the server runs as."""
    return os.environ.get("JUPYTERHUB_USER") or _account()


def _account() -> str:
    try:
        import pwd
    except ImportError:
        import getpass

        return getpass.getuser()
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"
