"""A shop in a temp folder, and short ways to ask it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from zoe_jupyter.model.errors import InvalidDescription, Problem
from zoe_jupyter.shop.catalogue import Catalogue
from zoe_jupyter.shop.sources import FolderSource

ENGINE = """
zoe: 1
kind: framework
name: engine
title: Engine
parameters:
  type: object
  properties:
    workers: {type: integer, minimum: 1, maximum: 8, default: 2, title: Workers}
    memory: {type: string, format: memory, default: 1GiB}
processes:
  main:
    command: ["{{ python }}", "{{ folder }}/main.py", "--port={{ ports.rpc }}"]
    ports: {rpc: {}, ui: {protocol: http, title: Page}}
    resources: {cores: 0.5, memory: 512MiB}
    ready: {tcp: rpc}
    environment: {TOKEN_FILE: "{{ files.token }}"}
    files: {token: "{{ secrets.token }}"}
  worker:
    after: [main]
    count: {elastic: "{{ parameters.workers - 1 }}"}
    command: ["{{ python }}", worker, "{{ processes.main.host }}:{{ processes.main.ports.rpc }}"]
    resources: {cores: 1, memory: "{{ parameters.memory }}"}
    drain: {command: [drain, "{{ service.name }}"], timeout_s: 5}
provides:
  engine: {url: "engine://{{ processes.main.host }}:{{ processes.main.ports.rpc }}", secret: [token]}
requires: {python: ["engine>=1"], java: ">=17"}
"""

JOB = """
zoe: 1
kind: framework
name: job
parameters:
  type: object
  properties: {code: {type: string}}
  required: [code]
processes:
  run:
    command: ["{{ python }}", "{{ files['job.json'] }}"]
    files: {job.json: "{{ {'code': parameters.code, 'engine': accepts.engine} | json }}"}
    restart: {when: never}
ends_with: run
accepts: {engine: {}}
"""


def write(folder: Path, text: str) -> None:
    """One entry, in a folder of its name."""
    text = dedent(text)
    name = next(line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("name:"))
    kind = "framework" if "kind: framework" in text else "zapp"
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / f"{kind}.yaml").write_text(text, encoding="utf-8")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with an engine, and a job that needs it."""
    folder = tmp_path / "shop"
    write(folder, ENGINE)
    write(folder, JOB)
    return folder


@pytest.fixture
def catalogue(source: Path) -> Catalogue:
    return Catalogue([FolderSource(source)])


@pytest.fixture
def problems_of() -> Callable[..., list[Problem]]:
    """Call something that must raise InvalidDescription; its problems."""

    def call(function: Callable[..., Any], *arguments: Any, **named: Any) -> list[Problem]:
        with pytest.raises(InvalidDescription) as caught:
            function(*arguments, **named)
        return list(caught.value.problems)

    return call
