"""What the shop has: each entry of each source, read again when its files change. A broken folder harms nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from zoe_jupyter.model.description import FrameworkDescription, ZAppDescription
from zoe_jupyter.model.errors import InvalidDescription, NotFound, Problem
from zoe_jupyter.shop.descriptions import check
from zoe_jupyter.shop.logos import MAX_BYTES as MAX_LOGO
from zoe_jupyter.shop.logos import logo_problem
from zoe_jupyter.shop.parameters import form_of
from zoe_jupyter.shop.problems import Document, close_names
from zoe_jupyter.shop.reading import MAX_BYTES, read
from zoe_jupyter.shop.sources import FolderSource, Found, ShopSource, shipped_folder

FRESH_S = 0.5
MAX_README = 256 << 10
_ADMIN_TAGS = frozenset(("monitoring", "storage"))


@dataclass(frozen=True)
class Entry:
    """A framework or a ZApp of the shop."""

    name: str
    kind: Literal["framework", "zapp"]
    title: str
    summary: str
    version: str
    tags: tuple[str, ...]
    audience: Literal["user", "admin"]
    source: str
    is_trusted: bool
    """Whether its pages may share Jupyter's origin: the admin trusts the source, and the description does not decline."""
    folder: Path
    description: FrameworkDescription | ZAppDescription = field(repr=False)
    document: Document = field(repr=False)
    form: Mapping[str, Any] = field(repr=False)
    """JSON Schema of what a user may set."""
    readme: str = field(repr=False)
    logo: bytes | None = field(repr=False)
    """A harmless SVG."""
    connections: tuple[str, ...]
    """The kinds that a notebook can attach to."""
    is_runnable: bool
    """Whether it can run once its required parameters are given."""
    lacks: tuple[str, ...]
    """Why it cannot run alone."""


_Stamp = tuple[tuple[str, int, int], ...]
Description = FrameworkDescription | ZAppDescription


class Catalogue:
    """All entries by name. Of two with one name, the one of the later source counts. Safe to use from several threads.

    What was looked at counts for ``fresh_s``: many submits at once need not each go through all folders.
    """

    def __init__(self, sources: Iterable[ShopSource], *, fresh_s: float = 0.0) -> None:
        self._sources = tuple(sources)
        self._fresh_s = fresh_s
        self._looked_at = -fresh_s
        self._found: Mapping[str, Entry] = {}
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[_Stamp, Entry | None, tuple[Problem, ...]]] = {}
        self._problems: tuple[Problem, ...] = ()
        self._stamps: tuple[tuple[Path, _Stamp], ...] = ()
        self._version = 0

    @property
    def version(self) -> int:
        """Another number as soon as any description has changed."""
        self._look()
        return self._version

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with folders that are left out, as of the last look."""
        return self._problems

    def entries(self) -> list[Entry]:
        """Everything, by title."""
        return sorted(self._look().values(), key=lambda entry: (entry.title.lower(), entry.name))

    def entry(self, name: str) -> Entry:
        """The entry of that name; raises NotFound that names close ones."""
        found = self._look()
        if name not in found:
            broken = [problem for problem in self._problems if problem.file.startswith(f"{name}/")]
            why = f"; its description is wrong: {broken[0]}" if broken else close_names(name, found)
            raise NotFound(f"the shop has no {name[:60]!r}{why}")
        return found[name]

    def _look(self) -> Mapping[str, Entry]:
        with self._lock:
            if not self._fresh_s or time.monotonic() - self._looked_at > self._fresh_s:
                self._found = self._look_again()
                self._looked_at = time.monotonic()
            return self._found

    def _look_again(self) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        problems: list[Problem] = []
        for source in self._sources:
            for found in source.found():
                entry, wrong = self._cached(found)
                problems.extend(wrong)
                if entry is not None:
                    entries[entry.name] = entry
        self._problems = tuple(problems)
        stamps = tuple((file, known[0]) for file, known in self._read.items())
        if stamps != self._stamps or [*self._found] != [*entries]:
            self._stamps, self._version = stamps, self._version + 1
        return {name: _with_lacks(entry, entries) for name, entry in entries.items()}

    def _cached(self, found: Found) -> tuple[Entry | None, tuple[Problem, ...]]:
        if found.file is None:
            return None, (Problem(found.problem, file=str(found.folder)),)
        stamp = _stamp(found.folder)
        known = self._read.get(found.file)
        if known is None or known[0] != stamp:
            known = (stamp, *_read_entry(found, found.file))
            self._read[found.file] = known
        return known[1], known[2]


class UsersCatalogue(Catalogue):
    """What users may see of a shop: without what is for admins."""

    def __init__(self, whole: Catalogue) -> None:
        super().__init__(())
        self._whole = whole

    def _look(self) -> dict[str, Entry]:
        return {name: entry for name, entry in self._whole._look().items() if entry.audience == "user"}


def open_catalogue(extra: Iterable[str | Path] = (), *, trusted: Iterable[str | Path] = ()) -> Catalogue:
    """The shop as configured: what Zoe ships, then each folder of ``extra``; the pages of what is in those ``trusted`` may share Jupyter's origin."""
    believed = {Path(path).expanduser().resolve() for path in trusted}
    return Catalogue(
        [FolderSource(shipped_folder(), name="zoe", is_trusted=True), *(_folder(path, believed) for path in extra)],
        fresh_s=FRESH_S,
    )


def _folder(path: str | Path, trusted: Collection[Path]) -> FolderSource:
    return FolderSource(path, is_trusted=Path(path).expanduser().resolve() in trusted)


def _stamp(folder: Path) -> _Stamp:
    marks = []
    for name in ("framework.yaml", "zapp.yaml", "README.md", "logo.svg"):
        try:
            status = (folder / name).stat()
        except OSError:
            continue
        marks.append((name, status.st_mtime_ns, status.st_size))
    return tuple(marks)


def _read_entry(found: Found, file: Path) -> tuple[Entry | None, tuple[Problem, ...]]:
    try:
        document = read(_content(file, MAX_BYTES), file=f"{file.parent.name}/{file.name}")
        description = check(document)
    except InvalidDescription as error:
        return None, error.problems
    except OSError as error:
        return None, (Problem(f"cannot be read: {error.strerror}", file=str(file)),)
    expected = f"{description.kind}.yaml"
    if file.name != expected:
        return None, (Problem(f"is a {description.kind}; call the file {expected}", file=str(file)),)
    if description.name != file.parent.name:
        message = f"is {description.name}, but its folder is {file.parent.name}"
        return None, (Problem(message, path="name", file=str(file), line=document.line(("name",))),)
    logo, problems = _logo(file.parent)
    return _entry(description, document, found, readme=_readme(file.parent), logo=logo), problems


def _entry(description: Description, document: Document, found: Found, *, readme: str, logo: bytes | None) -> Entry:
    return Entry(
        name=description.name,
        kind=description.kind,
        title=description.title or description.name,
        summary=description.summary,
        version=description.version,
        tags=tuple(description.tags),
        audience=description.audience or ("admin" if _ADMIN_TAGS.intersection(description.tags) else "user"),
        source=found.source,
        is_trusted=found.is_trusted and (not isinstance(description, FrameworkDescription) or description.trusted),
        folder=found.folder.resolve(),
        description=description,
        document=document,
        form=form_of(description.parameters),
        readme=readme,
        logo=logo,
        connections=_connections(description),
        is_runnable=True,
        lacks=(),
    )


def _connections(description: Description) -> tuple[str, ...]:
    if not isinstance(description, FrameworkDescription):
        return ()
    return tuple(dict.fromkeys(str(provided.get("kind", name)) for name, provided in description.provides.items()))


def _with_lacks(entry: Entry, entries: Mapping[str, Entry]) -> Entry:
    """The entry with what it lacks in this shop; a ZApp's connections are those of its frameworks."""
    if isinstance(entry.description, FrameworkDescription):
        lacks = tuple(lacking(entry.description))
        connections = entry.connections
    else:
        used = [use.use for use in entry.description.frameworks]
        lacks = tuple(f"the framework {name}, which is not in the shop" for name in used if name not in entries)
        connections = tuple(
            dict.fromkeys(kind for name in used if name in entries for kind in entries[name].connections)
        )
    return Entry(**{**vars(entry), "lacks": lacks, "connections": connections, "is_runnable": not lacks})


def lacking(framework: FrameworkDescription) -> list[str]:
    """What must be connected to a framework before it can run."""
    needed = {name: accepted.kind or name for name, accepted in framework.accepts.items() if not accepted.optional}
    return [f"a connection of kind {kind} (accepts.{name})" for name, kind in needed.items()]


def _content(file: Path, limit: int) -> bytes:
    with file.open("rb") as stream:
        return stream.read(limit + 1)


def _inside(folder: Path, name: str) -> Path | None:
    file = folder / name
    return file if file.is_file() and file.resolve().is_relative_to(folder.resolve()) else None


def _readme(folder: Path) -> str:
    file = _inside(folder, "README.md")
    return _content(file, MAX_README)[:MAX_README].decode(errors="replace") if file else ""


def _logo(folder: Path) -> tuple[bytes | None, tuple[Problem, ...]]:
    file = _inside(folder, "logo.svg")
    if file is None:
        return None, ()
    content = _content(file, MAX_LOGO)
    problem = logo_problem(content)
    return (None, (Problem(problem, file=str(file)),)) if problem else (content, ())
