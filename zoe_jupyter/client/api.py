"""The routes of the REST interface as functions, one each; records are the JSON objects of ``openapi.json``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from zoe_jupyter.client.http import Http, Json, Lost, error_from, escape, lines

LIVE = ("submitted", "queued", "starting", "running", "suspended", "stopping")


class Api:
    def __init__(self, http: Http | None = None) -> None:
        self.http = http or Http()

    def info(self, *, timeout_s: float | None = None) -> Json:
        return self.http.get("info", timeout_s=timeout_s)

    def entries(self, *, timeout_s: float | None = None) -> list[Json]:
        return self._all("shop", {}, timeout_s=timeout_s)

    def entry(self, name: str, *, timeout_s: float | None = None) -> Json:
        """``{entry, form, readme}``."""
        return self.http.get(f"shop/{escape(name)}", timeout_s=timeout_s)

    def validate(self, submission: Json) -> Json:
        return self.http.send("POST", "validate", body=submission)

    def submit(self, submission: Json, *, key: str = "") -> Json:
        """Start it, once however often the request is sent: ``key`` is the idempotency key, a new one when empty."""
        return self.http.send("POST", "executions", body=submission, headers={"Idempotency-Key": key or uuid4().hex})

    def executions(
        self, *, states: Sequence[str] = (), parent: str = "", limit: int = 500, timeout_s: float | None = None
    ) -> list[Json]:
        """At most ``limit``, newest first; those of ``states`` when any are named."""
        return self._all(
            "executions", {"state": list(states), "parent": parent or None}, limit=limit, timeout_s=timeout_s
        )

    def execution(self, name: str, *, timeout_s: float | None = None) -> Json:
        """By id or name, with its story."""
        return self.http.get(f"executions/{escape(name)}", timeout_s=timeout_s)

    def stop(self, execution_id: str) -> Json:
        return self._act(execution_id, "stop")

    def restart(self, execution_id: str) -> Json:
        return self._act(execution_id, "restart")

    def suspend(self, execution_id: str) -> Json:
        return self._act(execution_id, "suspend")

    def resume(self, execution_id: str) -> Json:
        return self._act(execution_id, "resume")

    def scale(self, execution_id: str, *, count: int | None = None, counts: Mapping[str, int] | None = None) -> Json:
        return self._act(execution_id, "scale", {"count": count, "counts": dict(counts or {})})

    def forget(self, execution_id: str) -> None:
        self.http.send("DELETE", f"executions/{escape(execution_id)}")

    def connection(self, execution_id: str, name: str) -> Json:
        return self.http.get(f"executions/{escape(execution_id)}/connection/{escape(name)}")

    def take_lease(self, execution_id: str, *, kind: str, client: Mapping[str, str], ttl_s: float | None) -> Json:
        return self.http.send(
            "POST",
            f"executions/{escape(execution_id)}/leases",
            body={"kind": kind, "client": dict(client), "ttl_s": ttl_s},
        )

    def renew_lease(self, execution_id: str, lease_id: str) -> Json:
        return self.http.send("PUT", f"executions/{escape(execution_id)}/leases/{escape(lease_id)}", body={})

    def drop_lease(self, execution_id: str, lease_id: str, *, timeout_s: float | None = None) -> None:
        self.http.send("DELETE", f"executions/{escape(execution_id)}/leases/{escape(lease_id)}", timeout_s=timeout_s)

    def nodes(self, *, timeout_s: float | None = None) -> list[Json]:
        return self._all("cluster", {}, timeout_s=timeout_s)

    def set_node_enabled(self, name: str, *, is_enabled: bool) -> Json:
        return self.http.send("POST", f"nodes/{escape(name)}/{'enable' if is_enabled else 'disable'}", body={})

    def quarantine(self) -> list[Json]:
        return self._all("quarantine", {})

    def stop_unknown(self, execution_id: str) -> None:
        self.http.send("POST", f"quarantine/{escape(execution_id)}/stop", body={})

    def drain_node(self, name: str, *, begin: str | None) -> Json:
        return self.http.send("POST", f"nodes/{escape(name)}/drain", body={"begin": begin})

    def queue(self) -> list[Json]:
        return self._all("queue", {})

    def what_if(self, *, policy: str, quotas: Mapping[str, Json], unlimited: Mapping[str, Sequence[str]]) -> Json:
        body = {"policy": policy, "quotas": dict(quotas), "unlimited": dict(unlimited)}
        return self.http.send("POST", "queue/what-if", body=body)

    def quotas(self) -> list[Json]:
        return self._all("quota", {})

    def quota(self, owner: str) -> Json:
        return self.http.get(f"admin/quotas/{escape(owner)}")

    def put_quota(self, owner: str, quota: Json) -> Json:
        return self.http.send("PUT", f"admin/quotas/{escape(owner)}", body=quota)

    def drop_quota(self, owner: str) -> Json:
        return self.http.send("DELETE", f"admin/quotas/{escape(owner)}")

    def usage(self, execution_id: str) -> list[Json]:
        return self._all(f"executions/{escape(execution_id)}/usage", {})

    def logs(self, execution_id: str, *, service: str = "", tail: int | None = None) -> list[str]:
        """The last ``tail`` lines, all when None."""
        with self.log_stream(execution_id, service=service, tail=tail, follow=False, silence_s=60.0) as found:
            return list(found)

    @contextmanager
    def log_stream(
        self, execution_id: str, *, service: str = "", tail: int | None = None, follow: bool, silence_s: float
    ) -> Iterator[Iterator[str]]:
        """The lines as they come. Raises Lost when the connection breaks, TimeoutError after ``silence_s`` without any."""
        query = {"service": service or None, "tail": tail, "follow": follow or None}
        with self.http.stream(f"executions/{escape(execution_id)}/logs", query, timeout_s=silence_s) as pieces:
            yield (_text(line) for line in lines(pieces))

    @contextmanager
    def event_stream(
        self, *, since: int | None = None, execution_id: str = "", silence_s: float
    ) -> Iterator[Iterator[Json | None]]:
        """Events from after ``since`` (None: from now on) without end, first ``stream.opened``; None for a sign of life. Raises as ``log_stream``."""
        path = f"executions/{escape(execution_id)}/events" if execution_id else "events"
        with self.http.stream(path, {"since": since, "follow": True}, timeout_s=silence_s) as pieces:
            yield (_event(line) if line.strip() else None for line in lines(pieces))

    def _act(self, execution_id: str, verb: str, body: Any = None) -> Json:
        return self.http.send("POST", f"executions/{escape(execution_id)}/{verb}", body={} if body is None else body)

    def _all(
        self, path: str, query: Mapping[str, Any], *, limit: int = 10_000, timeout_s: float | None = None
    ) -> list[Json]:
        found: list[Json] = []
        cursor: str | None = None
        while True:
            page = self.http.get(path, {**query, "limit": min(limit, 200), "cursor": cursor}, timeout_s=timeout_s)
            found.extend(page.get("items", ()))
            cursor = page.get("next_cursor")
            if not cursor or len(found) >= limit:
                return found[:limit]


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")


def _event(line: bytes) -> Json:
    """An event; a line without a number is the error that ends the stream."""
    found: Json = json.loads(line)
    if found.get("reason") == "resume" and "seq" not in found:
        raise Lost(f"{found.get('message')}", was_sent=True)
    if "seq" not in found:
        raise error_from(400, line)
    return found
