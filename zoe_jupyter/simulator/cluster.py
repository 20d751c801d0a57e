"""Clusters as YAML: ``nodes: [{count: 25, cores: 32, memory: 128GiB, labels: {disk: fast}}]``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zoe_jupyter.model.errors import InvalidDescription, Problem
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.model.units import memory_bytes, microcores
from zoe_jupyter.shop.problems import Document, Findings, close_names, shorten
from zoe_jupyter.shop.reading import MAX_BYTES, read

MAX_NODES = 10_000
FIELDS = ("count", "cores", "memory", "gpus", "labels")


def read_cluster(path: Path) -> tuple[Node, ...]:
    """The nodes of a YAML file; raises InvalidDescription with everything that is wrong in it, by line."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidDescription([Problem(f"cannot be read: {error.strerror or error}", file=str(path))]) from None
    return parse_cluster(content, file=str(path))


def parse_cluster(content: str | bytes, *, file: str = "") -> tuple[Node, ...]:
    """As ``read_cluster``, from what the file holds."""
    document = read(content, file=file)
    findings = Findings(document)
    groups = _groups(document, findings)
    nodes = [_Group(index, group, findings).nodes() for index, group in enumerate(groups)]
    findings.raise_if_any()
    found = tuple(node for group in nodes for node in group)
    if not found or len(found) > MAX_NODES:
        findings.add(("nodes",), f"describes {len(found)} nodes; it must be 1 to {MAX_NODES}")
    findings.raise_if_any()
    return found


def _groups(document: Document, findings: Findings) -> list[Any]:
    tree = document.tree
    if not isinstance(tree, Mapping):
        findings.add((), "must be a mapping with `nodes`, such as: nodes: [{count: 25, cores: 32, memory: 128GiB}]")
        return []
    for name in tree:
        if name != "nodes":
            findings.add((name,), f"is not a field of a cluster{close_names(name, ('nodes',))}")
    groups = tree.get("nodes")
    if not isinstance(groups, list) or not groups:
        findings.add(("nodes",), "must be a list of at least one {count, cores, memory, gpus, labels}")
        return []
    return groups


class _Group:
    """Nodes that are alike."""

    def __init__(self, index: int, tree: Any, findings: Findings) -> None:
        self._index = index
        self._findings = findings
        self._is_mapping = isinstance(tree, Mapping)
        self._tree: Mapping[str, Any] = tree if isinstance(tree, Mapping) else {}
        if not self._is_mapping:
            self._complain("", f"must be a mapping of {', '.join(FIELDS)}, not {shorten(tree)}")

    def nodes(self) -> list[Node]:
        for name in self._tree:
            if name not in FIELDS:
                self._complain(name, f"is not a field of nodes{close_names(name, FIELDS)}")
        count = self._whole("count", default=1)
        gpus = self._whole("gpus", default=0)
        capacity = Resources(self._amount("cores", microcores), self._amount("memory", memory_bytes), gpus)
        labels = self._labels()
        return [Node(f"node-{self._index:03}-{number:05}", capacity, labels) for number in range(min(count, MAX_NODES))]

    def _whole(self, name: str, *, default: int) -> int:
        value = self._tree.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_NODES:
            self._complain(name, f"must be a whole number of 0 to {MAX_NODES}, not {shorten(value)}")
            return default
        return value

    def _amount(self, name: str, convert: Callable[[str | int | float], int]) -> int:
        value = self._tree.get(name)
        try:
            if not isinstance(value, str | int | float):
                raise ValueError(
                    "is needed, as a number" if value is None else f"must be a number, not {shorten(value)}"
                )
            return convert(value)
        except ValueError as error:
            if self._is_mapping:
                self._complain(name, str(error))
            return 0

    def _labels(self) -> Mapping[str, str]:
        labels = self._tree.get("labels") or {}
        if not isinstance(labels, Mapping) or not all(
            isinstance(value, str | int | float) for value in labels.values()
        ):
            self._complain("labels", "must be a mapping of names to texts")
            return {}
        return {name: str(value) for name, value in labels.items()}

    def _complain(self, name: str, message: str) -> None:
        self._findings.add(("nodes", self._index, name) if name else ("nodes", self._index), message)
