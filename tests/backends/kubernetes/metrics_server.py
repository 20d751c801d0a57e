"""A metrics server that the cluster's API server asks, as it asks the real one: registered, behind a Service, and served by this machine.

Who may ask is decided by the API server; whose pods there are, too: it is asked for those that match.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests import cluster
from tests.backends.docker.authority import Authority

GROUP = "/apis/metrics.k8s.io/v1beta1"
NAME = "v1beta1.metrics.k8s.io"
SERVICE = "metrics-server"
MARK = "zoe-test"
RESOURCES = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": "metrics.k8s.io/v1beta1",
    "resources": [
        {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics", "verbs": ["get", "list"]}
    ],
}
USED = {"cpu": "125000000n", "memory": "11148Ki"}


class MetricsServer(ThreadingHTTPServer):
    """Of one namespace; every pod there uses the same."""

    daemon_threads = True

    def __init__(self, namespace: str) -> None:
        super().__init__((cluster.MACHINE, 0), _Page)
        self.namespace = namespace
        self.callers: set[str] = set()
        """Who asked for pods, as the API server says."""
        self.is_ill = False

    def pods(self, path: str, selector: str) -> Mapping[str, Any] | None:
        """None for what it does not know."""
        if path != f"{GROUP}/namespaces/{self.namespace}/pods":
            return None
        found = json.loads(cluster.kubectl("get", "pods", "-n", self.namespace, "-l", selector, "-o", "json"))
        items = [_metrics(pod["metadata"]) for pod in found["items"]]
        gone = _metrics({"name": "gone", "namespace": self.namespace})
        return {
            "kind": "PodMetricsList",
            "apiVersion": "metrics.k8s.io/v1beta1",
            "metadata": {},
            "items": [*items, gone],
        }


def _metrics(pod: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {key: pod[key] for key in ("name", "namespace", "labels", "creationTimestamp") if key in pod}
    containers = [{"name": "main", "usage": USED}]
    return {"metadata": metadata, "timestamp": "2026-11-27T12:00:00Z", "window": "15.062s", "containers": containers}


class _Page(BaseHTTPRequestHandler):
    server: MetricsServer

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if asked.path == GROUP:
            return self._answer(200, RESOURCES)
        if asked.path.endswith("/pods"):
            self.server.callers.add(self.headers["X-Remote-User"])
        if self.server.is_ill:
            return self._answer(503, {})
        found = self.server.pods(asked.path, parse_qs(asked.query).get("labelSelector", [""])[0])
        return self._answer(404 if found is None else 200, found or {})

    def _answer(self, status: int, body: Mapping[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def registered(namespace: str, folder: Path) -> Iterator[MetricsServer]:
    """Until then the cluster has a metrics API; one that nobody serves would hold up the end of every namespace."""
    _remove()
    pair = Authority(folder / "metrics").server(cluster.MACHINE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    with MetricsServer(namespace) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, name="metrics server")
        thread.start()
        try:
            for manifest in _manifests(namespace, server.server_address[1]):
                cluster.kubectl("create", "-f", "-", given=manifest)
            cluster.kubectl("wait", "apiservice", NAME, "--for=condition=Available", "--timeout=60s")
            yield server
        finally:
            _remove()
            server.shutdown()
            thread.join()


def _remove() -> None:
    """Ours, also one that a test has left behind."""
    cluster.kubectl("delete", "apiservice", "-l", f"{MARK}=metrics", "--ignore-not-found", "--wait")


def _manifests(namespace: str, port: int) -> list[dict[str, Any]]:
    group, version = "metrics.k8s.io", "v1beta1"
    service = {"namespace": namespace, "name": SERVICE}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": service, "spec": {"ports": [{"name": "https", "port": 443}]}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**service, "labels": {"kubernetes.io/service-name": SERVICE}},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [cluster.MACHINE], "conditions": {"ready": True}}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": NAME, "labels": {MARK: "metrics"}},
            "spec": {
                "service": service, "group": group, "version": version, "insecureSkipTLSVerify": True,
                "groupPriorityMinimum": 100, "versionPriority": 100,
            },
        },
    ]  # fmt: skip
