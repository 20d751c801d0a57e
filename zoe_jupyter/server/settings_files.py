"""Files with settings that cannot be read are told by name and line, not passed over: without them Zoe would run things elsewhere than its admin says."""

from __future__ import annotations

import os
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyter_core.application import JupyterApp
from traitlets.config.loader import ConfigFileNotFound, JSONFileConfigLoader, PyFileConfigLoader
from traitlets.utils import expand_path

from zoe_jupyter.model.errors import ZoeError


class Unreadable(ZoeError):
    """A file with settings could not be read, or ran into an error."""


class PyLoader(PyFileConfigLoader):
    def load_config(self) -> Any:
        try:
            return super().load_config()
        except ConfigFileNotFound:
            raise
        except Exception as error:
            raise Unreadable(_told(self.full_filename, error)) from error


class JsonLoader(JSONFileConfigLoader):
    def load_config(self) -> Any:
        try:
            return super().load_config()
        except ConfigFileNotFound:
            raise
        except Exception as error:
            raise Unreadable(_told(self.full_filename, error)) from error


LOADERS = {".py": PyLoader, ".json": JsonLoader}


def refuse_passed_over(app: JupyterApp) -> None:
    """Raises Unreadable for the first of the application's own files that it left out because of an error: it has only logged that."""
    usual = [os.path.join(folder, app.config_file_name) for folder in app.config_file_paths]
    bases = [os.path.splitext(app.config_file)[0]] if app.config_file else usual
    loaded = {Path(each).resolve() for each in app.loaded_config_files}
    for file in (Path(expand_path(base + kind)) for base in bases for kind in LOADERS):
        if os.path.isfile(file) and file.resolve() not in loaded:
            with suppress(ConfigFileNotFound):
                LOADERS[file.suffix](file.name, path=str(file.parent)).load_config()


def refuse_missing(file: str) -> None:
    """Raises Unreadable; traitlets takes the name with another ending, or none, too."""
    if not any(os.path.isfile(expand_path(os.path.splitext(file)[0] + kind)) for kind in LOADERS):
        raise Unreadable(f"--config: there is no file {file}")


def _told(file: str, error: Exception) -> str:
    line = _line(file, error)
    place = f"{file}, line {line}" if line else file
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{place}: {type(error).__name__}: {said}".rstrip(": ")


def _line(file: str, error: Exception) -> int | None:
    if isinstance(error, SyntaxError) and error.filename == file:
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return lines[-1] if lines else getattr(error, "lineno", None)
