"""Passwords and tokens: given to the service that needs them, and seen nowhere else."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from zoe_jupyter.testing.chaos import ChaosHarness, Server, until

VAULT = """
zoe: 1
kind: framework
name: vault
version: "1"
title: Vault
parameters:
  type: object
  properties:
    phrase: {type: string, minLength: 8, x-zoe: {widget: secret}}
secrets: [token]
certificates: [tls]
processes:
  main:
    command: ["{{ python }}", "-I", "-S", "{{ folder }}/keeper.py", "{{ files.phrase }}", "{{ files.token }}"]
    environment: {VAULT_PHRASE: "{{ parameters.phrase }}"}
    files: {phrase: "{{ parameters.phrase }}", token: "{{ secrets.token }}", tls.pem: "{{ secrets.tls }}"}
    ports: {web: {protocol: http, title: Vault, headers: {Authorization: "Bearer {{ secrets.token }}"}}}
    resources: {cores: 0.1, memory: 64MiB}
    ready: {log: "^open", timeout_s: 60}
    restart: {when: never}
provides:
  vault: {url: "http://{{ processes.main.host }}:{{ processes.main.ports.web }}", secret: [token, tls]}
"""
KEEPER = """
import sys, time
phrase, token = (open(path).read() for path in sys.argv[1:])
print("open", len(phrase), len(token), flush=True)
if phrase.startswith("fail"):
    sys.exit(3)
time.sleep(600)
"""
PHRASE = "the-phrase-that-nobody-sees"


@pytest.fixture
def home(home: ChaosHarness) -> ChaosHarness:
    home.add("vault", VAULT)
    (home.folder / "shop" / "vault" / "keeper.py").write_text(KEEPER)
    return home


def test_secrets_are_seen_by_their_service_and_their_owner_alone(home: ChaosHarness) -> None:
    server = home.serve()
    try:
        execution = _open(server, PHRASE, "running")
        given = server.ask("GET", f"executions/{execution}/connection/vault")["secrets"]
        assert len(given["token"]) > 40
        assert "PRIVATE KEY" in given["tls"]
        assert "CERTIFICATE" in given["tls"]
        failed = _open(server, f"fail-{PHRASE}", "ended")
        told = _everything_told(server, execution, failed)
        server.ask("POST", f"executions/{execution}/stop")
        until(lambda: server.ask("GET", f"executions/{execution}")["state"] == "ended", 20)
        told += _everything_told(server, execution, failed)
    finally:
        server.end()
    told.append((home.folder / "zoe.log").read_text())
    secrets = [PHRASE[:7], PHRASE, given["token"], *given["tls"].splitlines()[1:3]]
    assert not [(secret, text[:300]) for secret in secrets for text in told if secret in text]


def test_arguments_and_files_show_nothing_to_others(home: ChaosHarness) -> None:
    server = home.serve()
    try:
        execution = _open(server, PHRASE, "running")
        token = server.ask("GET", f"executions/{execution}/connection/vault")["secrets"]["token"]
        commands = [*home.processes().values(), Path(f"/proc/{server.process.pid}/cmdline").read_text()]
        assert len(commands) >= 3, "its supervisor and the service run"
        assert not [command for command in commands if PHRASE in command or token in command or server.token in command]
        readable = [path for path in home.state.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o077]
        assert home.database.stat().st_mode & 0o777 == 0o600
        assert home.state.stat().st_mode & 0o777 == 0o700
        assert not readable, "the folder is closed; what is in it is closed as well"
    finally:
        server.end()


def _open(server: Server, phrase: str, state: str) -> str:
    body = {"use": "vault", "parameters": {"phrase": phrase}}
    execution = str(server.ask("POST", "executions", body)["id"])
    until(
        lambda: server.ask("GET", f"executions/{execution}")["state"] == state,
        20,
        lambda: server.ask("GET", f"executions/{execution}"),
    )
    return execution


def _everything_told(server: Server, *executions: str) -> list[str]:
    """All that the interface says, but for the connection, which is the owner's way to the secrets."""
    paths = ["executions", "cluster", "queue", "usage", "info", "metrics", "shop", "shop/vault"]
    for execution in executions:
        own = ("", "/usage", "/events", "/logs?service=vault.main-0")
        paths += [f"executions/{execution}{path}" for path in own]
    told = [_told(server, "GET", path) for path in paths]
    for phrase in (PHRASE, PHRASE[:7]):
        body = {"use": "vault", "parameters": {"phrase": phrase}}
        told += [_told(server, "POST", "validate", body)]
    assert told[-1].startswith("422"), "too short"
    return told


def _told(server: Server, method: str, path: str, body: object = None) -> str:
    """Status and text of an answer, whatever it is."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {server.token}"}
    request = urllib.request.Request(f"{server.address}/zoe/api/{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return f"{answer.status} {answer.read().decode()}"
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode()}"
