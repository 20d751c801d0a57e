"""Python environments by name: those of the kernels that this Jupyter knows, or a folder, or an interpreter."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from zoe_jupyter.model.errors import InvalidDescription, Problem

INTERPRETERS = ("bin/python", "bin/python3")


def interpreter_of(name: str) -> str:
    """The interpreter that ``name`` means: empty stays empty, a path of a program is itself, a folder is the environment in it,
    any other word is a kernel's name, as ``jupyter kernelspec list`` tells them. Raises InvalidDescription that lists those.
    """
    if not name or (os.path.isabs(name) and not os.path.isdir(name)):
        return name
    if os.path.isabs(name):
        found = [path for path in (Path(name) / part for part in INTERPRETERS) if path.exists()]
        if not found:
            raise _unknown(f"there is no Python in {name[:200]}; an environment's folder has {INTERPRETERS[0]}")
        return str(found[0])
    return _of_kernel(name)


def _of_kernel(name: str) -> str:
    """Where the kernel of that name starts its Python."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    specs = KernelSpecManager()
    try:
        spec = specs.get_kernel_spec(name)
    except (NoSuchKernel, ValueError):
        known = ", ".join(sorted(specs.find_kernel_specs())) or "none"
        raise _unknown(
            f"there is no environment {name[:80]!r}; kernels that have one: {known}; or give an absolute path"
        ) from None
    if spec.language.lower() != "python" or not spec.argv:
        raise _unknown(f"the kernel {name!r} runs {spec.language or 'nothing'}, not Python")
    program = spec.argv[0]
    if os.path.isabs(program):
        return str(program)
    return sys.executable if program.startswith("python") else shutil.which(program) or program


def _unknown(message: str) -> InvalidDescription:
    return InvalidDescription([Problem(message, path="client.python")])
