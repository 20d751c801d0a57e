"""Where frameworks and ZApps come from. A source yields folders; the catalogue reads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

FILES = ("framework.yaml", "zapp.yaml")
MAX_ENTRIES = 1000


@dataclass(frozen=True)
class Found:
    """A folder of a source that holds a description."""

    source: str
    folder: Path
    file: Path | None
    problem: str = ""
    is_trusted: bool = False
    """Whether the admin vouches for what its pages do in a browser."""


class ShopSource(Protocol):
    """One place of the shop; entry-point group ``zoe_jupyter.shops``."""

    name: str

    def found(self) -> Iterator[Found]:
        """Every entry, broken ones too; never raises because of one of them."""


class FolderSource:
    """A folder with one folder for each entry: ``<name>/framework.yaml`` or ``<name>/zapp.yaml``."""

    def __init__(self, path: Path | str, *, name: str = "", is_trusted: bool = False) -> None:
        self.path = Path(path).expanduser().resolve()
        self.name = name or self.path.name
        self.is_trusted = is_trusted

    def found(self) -> Iterator[Found]:
        """The entries, by name; what leads out of the folder is told as a problem."""
        try:
            folders = sorted(child for child in self.path.iterdir() if not child.name.startswith((".", "_")))
        except OSError as error:
            yield Found(self.name, self.path, None, f"cannot be read: {error.strerror}")
            return
        for folder in folders[:MAX_ENTRIES]:
            try:
                found = self._look(folder)
            except OSError as error:
                found = Found(self.name, folder, None, f"cannot be read: {error.strerror}")
            if found is not None:
                yield found

    def _look(self, folder: Path) -> Found | None:
        if not folder.is_dir():
            return None
        file = next((folder / name for name in FILES if (folder / name).is_file()), None)
        if file is None:
            return None
        if not file.resolve().is_relative_to(self.path) or not folder.resolve().is_relative_to(self.path):
            return Found(self.name, folder, None, f"leads out of {self.path.name}; links to elsewhere are not followed")
        return Found(self.name, folder, file, is_trusted=self.is_trusted)


def shipped_folder() -> Path:
    """What Zoe ships: a checkout's ``frameworks``, else the copy in the package."""
    package = Path(__file__).resolve().parent.parent
    checkout = package.parent / "frameworks"
    return checkout if (package.parent / "pyproject.toml").is_file() and checkout.is_dir() else package / "frameworks"
