"""Several users on one real Zoe: on every route of the OpenAPI document, nobody sees or changes what is somebody else's."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.roles import RULES, Operation, Reach, operations
from zoe_jupyter.server.sockets import FORWARDED, INTERNAL, packed
from zoe_jupyter.server.wire import Visitor
from zoe_jupyter.testing import roster
from zoe_jupyter.testing.chaos import ChaosHarness, Server, until

SHARED = """
zoe: 1
kind: framework
name: shared
version: "1"
title: Shared
parameters: {type: object, properties: {workers: {type: integer, minimum: 1, maximum: 2, default: 1}}}
processes:
  page:
    command: ["{{ python }}", -m, http.server, "{{ ports.web }}", --bind, "{{ host }}"]
    ports: {web: {protocol: http, title: Page}}
    resources: {cores: 0.1, memory: 64MiB}
    ready: {tcp: web, timeout_s: 60}
    stop: {grace_s: 2}
  worker:
    count: {core: 1, elastic: "{{ parameters.workers }}"}
    command: ["{{ python }}", -c, "import time; time.sleep(600)"]
    resources: {cores: 0.1, memory: 64MiB}
    stop: {grace_s: 2}
provides:
  shared: {url: "http://{{ processes.page.host }}:{{ processes.page.ports.web }}", secret: [key]}
"""
GUARDED = SHARED.replace("name: shared", "name: guarded\naudience: admin").replace("Shared", "Guarded")
TOKENS = {"token-of-alice": "alice", "token-of-bob": "bob", "token-of-ada": "ada"}
ALICE, BOB, ADA = TOKENS
ZAPP = {"zoe": 1, "kind": "zapp", "name": "sly", "frameworks": [{"use": "guarded"}]}


class Zoe:
    """A running ``jupyter zoe serve`` with three users, and one execution of Alice's."""

    def __init__(self, server: Server) -> None:
        self.server = server
        _, self.execution = self.ask(ALICE, "POST", "executions", {"use": "shared", "name": "alices-own"})
        until(lambda: self.look()["state"] == "running" and self.look()["endpoints"], 60, self.look)
        lease = self.ask(ALICE, "POST", f"executions/{self.id}/leases", {"kind": "server", "ttl_s": 3600})[1]
        node = self.ask(ADA, "GET", "cluster")[1]["items"][0]["name"]
        page = self.look()["endpoints"][0]["name"]
        self.names = {"id": self.id, "lease": lease["id"], "NODE": node, "PAGE": page, "CONNECTION": "shared"}

    @property
    def id(self) -> str:
        return str(self.execution["id"])

    def look(self) -> Any:
        return self.ask(ALICE, "GET", f"executions/{self.id}")[1]

    def ask(
        self, token: str, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        status, text = self.ask_text(token, method, path, body, headers)
        return status, json.loads(text or "null") if text[:1] in "{[n" else text

    def ask_text(
        self, token: str, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        """Never follows a redirect."""
        given = {"Authorization": f"token {token}"} if token else {}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.server.address}/zoe/api/{path}", data, {**given, **(headers or {})}, method=method
        )
        try:
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def state(self) -> Any:
        """Everything that could have been changed: each change is an event."""
        executions = self.ask(ADA, "GET", "executions")[1]["items"]
        told = [{name: one[name] for name in ("id", "state", "target", "services", "leases")} for one in executions]
        return told, self.ask(ADA, "GET", "cluster")[1]["items"], self.ask(ADA, "GET", "events?limit=1000")[1]["items"]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


@pytest.fixture(scope="module")
def zoe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoe]:
    home = ChaosHarness(tmp_path_factory.mktemp("zj"))
    home.furnish(
        f"c.ServeApp.identity_provider = {roster.NAME!r}\nc.Roster.tokens = {TOKENS!r}\nc.Roster.admins = ['ada']\n"
    )
    home.add("shared", SHARED)
    home.add("guarded", GUARDED)
    server = home.serve()
    found = Zoe(server)
    yield found
    for execution in found.ask(ADA, "GET", "executions")[1]["items"]:
        found.ask(ADA, "POST", f"executions/{execution['id']}/stop", {})
    until(lambda: not home.processes(), 60, home.processes)
    server.end()


EVERY = pytest.mark.parametrize("operation", [pytest.param(one, id=one.name) for one in operations()])


def test_every_rule_has_its_route():
    assert {operation.name for operation in operations()} == set(RULES)


@EVERY
def test_nobody_gets_in_unknown(zoe: Zoe, operation: Operation) -> None:
    before = zoe.state()
    path = operation.path(zoe.names)
    own = zoe.server.token
    for token, more, headers in (
        ("", "", {}),
        ("wrong", "", {}),
        (ALICE.upper(), "", {}),
        ("", f"?token={ALICE}", {}),
        ("", f"?token={own}", {}),
        ("", "", {"Authorization": f"Basic {ALICE}"}),
        ("", "", {"Cookie": f"token={ALICE}"}),
        ("", "", {FORWARDED: packed(Visitor("alice", True)), INTERNAL: "1"}),
        (ALICE, "", {"Origin": "https://evil.example"}),
        (ALICE, "", {"Origin": "null"}),
        (own, "", {"Origin": "https://evil.example"}),
    ):
        status, text = zoe.ask_text(token, operation.method, path + more, operation.rule.body, headers)
        assert status in (401, 403), (token, more, headers, text)
        assert json.loads(text)["reason"] == "unauthenticated"
    assert zoe.state() == before


@EVERY
def test_another_user_neither_sees_nor_changes_what_is_alices(zoe: Zoe, operation: Operation) -> None:
    before = zoe.state()
    if operation.name == "submit":
        pytest.skip("what somebody submits is their own")
    for headers in ({}, {FORWARDED: packed(Visitor("alice", True)), INTERNAL: "1"}):
        for names in (zoe.names, {**zoe.names, "id": "alices-own"}):
            path = operation.path(names)
            status, text = zoe.ask_text(BOB, operation.method, path, operation.rule.body, headers)
            if operation.rule.reach in (Reach.OWNED, Reach.OWNER):
                assert status in (403, 404), text
            elif operation.rule.reach is Reach.ADMIN:
                assert status == 403, text
            else:
                assert status == 200, text
            secret = {zoe.id, "alice", "token-of"} - {word for word in (zoe.id, "alice") if word in path}
            assert not [word for word in secret if word in text]
    assert zoe.state() == before


@pytest.mark.parametrize("query", ["owner=alice", "limit=1000", "label=a=b", "parent=", "state=running"])
def test_no_filter_shows_others_executions(zoe: Zoe, query: str) -> None:
    assert zoe.ask(BOB, "GET", f"executions?{query}")[1]["items"] == []


@pytest.mark.parametrize("since", ["0", "1", "999999"])
@pytest.mark.parametrize("execution", ["", "&execution={id}", "&execution=alices-own"])
def test_the_event_stream_never_tells_what_is_others(zoe: Zoe, since: str, execution: str) -> None:
    """Bob follows while Alice and he do something: what he hears begins with his own."""
    told = _Stream(zoe.server, BOB, f"events?follow=1&since={since}{execution.format(id=zoe.id)}")
    with told:
        lease = zoe.ask(ALICE, "POST", f"executions/{zoe.id}/leases", {"kind": "server", "ttl_s": 3600})[1]["id"]
        zoe.ask(ALICE, "DELETE", f"executions/{zoe.id}/leases/{lease}")
        if execution:
            assert b"not_found" in told.until(b"not_found")
            return
        if since == "999999":
            return
        mine = zoe.ask(BOB, "POST", "executions", {"use": "shared"})[1]["id"]
        heard = told.until(mine.encode())
        assert zoe.id.encode() not in heard
        assert b"alice" not in heard
    zoe.ask(BOB, "POST", f"executions/{mine}/stop", {})
    until(lambda: zoe.ask(BOB, "GET", f"executions/{mine}")[1]["state"] == "ended", 60)


def test_what_is_for_admins_is_neither_shown_to_others_nor_run_by_them(zoe: Zoe) -> None:
    before = zoe.state()
    assert "guarded" not in zoe.ask_text(BOB, "GET", "shop")[1]
    assert "guarded" in zoe.ask_text(ADA, "GET", "shop")[1]
    for method, path, body in (
        ("GET", "shop/guarded", None),
        ("POST", "executions", {"use": "guarded"}),
        ("POST", "validate", {"use": "guarded"}),
        ("POST", "executions", {"zapp": ZAPP}),
        ("POST", "validate", {"zapp": ZAPP}),
    ):
        assert zoe.ask(BOB, method, path, body)[0] in (404, 422), (path, body)
    assert zoe.ask(ADA, "POST", "validate", {"zapp": ZAPP})[0] == 200
    assert zoe.state() == before


@pytest.mark.parametrize("path", ["targets/{id}/{PAGE}", "tickets/x", "servers/s/kernels"])
@pytest.mark.parametrize("token", [BOB, ADA])
def test_internal_routes_are_for_nobody(zoe: Zoe, path: str, token: str) -> None:
    method, body = ("POST", {"kernel_ids": []}) if path.startswith("servers") else ("GET", None)
    asked = path.format(**zoe.names)
    assert zoe.ask(token, method, asked, body, {INTERNAL: "1"})[0] == 404


def test_the_key_of_one_user_says_nothing_about_anothers(zoe: Zoe) -> None:
    found = []
    for token, name in ((ALICE, "one"), (BOB, "two")):
        status, body = zoe.ask(
            token, "POST", "executions", {"use": "shared", "name": name}, {"Idempotency-Key": "same"}
        )
        assert status == 201
        found.append(body["owner"])
        zoe.ask(token, "POST", f"executions/{body['id']}/stop", {})
    assert found == ["alice", "bob"]


@EVERY
def test_the_owner_and_an_admin_may(zoe: Zoe, operation: Operation) -> None:
    """What was refused above was refused for who asked. What changes something is asked in the next test, in an order that works."""
    if operation.is_write and operation.name not in ("validate", "issue_ticket", "renew_lease"):
        pytest.skip("it changes something")
    owner = zoe.ask_text(ALICE, operation.method, operation.path(zoe.names), operation.rule.body)
    admin = zoe.ask_text(ADA, operation.method, operation.path(zoe.names), operation.rule.body)
    assert owner[0] == (
        403 if operation.rule.reach is Reach.ADMIN else 201 if operation.name == "issue_ticket" else 200
    )
    assert admin[0] == (404 if operation.rule.reach is Reach.OWNER else owner[0] if owner[0] != 403 else 200)


@pytest.mark.parametrize("token", [ALICE, ADA])
def test_owner_and_admin_may_change_it(zoe: Zoe, token: str) -> None:
    execution = zoe.ask(ALICE, "POST", "executions", {"use": "shared"})[1]
    path = f"executions/{execution['id']}"
    state = lambda: zoe.ask(ALICE, "GET", path)[1]["state"]  # noqa: E731 - read again and again
    until(lambda: state() == "running", 60, state)
    assert zoe.ask(token, "POST", f"{path}/scale", {"count": 1})[0] == 200
    lease = zoe.ask(token, "POST", f"{path}/leases", {"kind": "kernel", "client": {"kernel_id": "k"}})[1]
    assert zoe.ask(token, "DELETE", f"{path}/leases/{lease['id']}")[0] == 204
    assert zoe.ask(token, "POST", f"{path}/suspend", {})[0] == 200
    until(lambda: state() == "suspended", 60, state)
    assert zoe.ask(token, "POST", f"{path}/resume", {})[0] == 200
    until(lambda: state() == "running", 60, state)
    assert zoe.ask(token, "POST", f"{path}/restart", {})[0] == 200
    assert zoe.ask(token, "POST", f"{path}/stop", {})[0] == 200
    until(lambda: state() == "ended", 60, state)
    assert zoe.ask(token, "DELETE", path)[0] == 204


@pytest.mark.parametrize("verb", ["disable", "enable"])
def test_only_an_admin_takes_machines_out_of_use(zoe: Zoe, verb: str) -> None:
    assert zoe.ask(ADA, "POST", f"nodes/{zoe.names['NODE']}/{verb}", {})[0] == 200


class _Stream:
    """An answer that goes on, read as it comes."""

    def __init__(self, server: Server, token: str, path: str) -> None:
        host, _, port = server.address.removeprefix("http://").partition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=30)
        head = f"GET /zoe/api/{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: token {token}\r\n\r\n"
        self._socket.sendall(head.encode())

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *raised: object) -> None:
        self._socket.close()

    def until(self, word: bytes) -> bytes:
        heard = b""
        while word not in heard:
            piece = self._socket.recv(65536)
            assert piece, heard
            heard += piece
        return heard


def test_the_provider_is_told_by_its_name_only(tmp_path: Path) -> None:
    """Without one there is nobody but the account."""
    home = ChaosHarness(tmp_path)
    home.furnish(f"c.Roster.tokens = {TOKENS!r}\n")
    server = home.serve()
    try:
        request = urllib.request.Request(f"{server.address}/zoe/api/info", headers={"Authorization": f"token {ALICE}"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=30)
        assert refused.value.code == 401
        refused.value.close()
        assert server.ask("GET", "info")["is_admin"]
    finally:
        server.end()
