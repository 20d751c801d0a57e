"""The routes, through a real Jupyter server."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from tornado.httpclient import HTTPClientError

from zoe_jupyter.model.execution import Execution, Reason, State
from zoe_jupyter.server.visitors import embedded_user
from zoe_jupyter.testing.fake_core import APPLICATION, FakeCore


async def asked(fetch, *path, **options):
    """``(status, JSON)`` of a request; errors are answers too."""
    if "body" in options and not isinstance(options["body"], str | bytes):
        options["body"] = json.dumps(options["body"])
    options.setdefault("method", "GET")
    if options["method"] in ("POST", "PUT") and "body" not in options:
        options["body"] = "{}"
    try:
        answer = await fetch("zoe", "api", *path, **options)
    except HTTPClientError as error:
        answer = error.response
    return answer.code, json.loads(answer.body) if answer.body else None


async def test_info_tells_home_backend_and_user(jp_fetch, zoe):
    status, body = await asked(jp_fetch, "info")
    assert status == 200
    assert (body["home"], body["backend"], body["user"], body["is_admin"]) == (
        "embedded",
        "fake",
        embedded_user(),
        True,
    )
    assert body["server"] == zoe.visitor.server


@pytest.mark.parametrize(("state", "is_told"), [(State.STARTING, True), (State.STOPPING, True), (State.RUNNING, False)])
async def test_what_the_store_cannot_take_is_told_of_what_is_under_way(jp_fetch, core, monkeypatch, state, is_told):
    core.add(Execution("e1", "mine", embedded_user(), APPLICATION, state=state))
    monkeypatch.setattr(core, "trouble", lambda: Reason("store_full", "no room is left; make room"))
    _, body = await asked(jp_fetch, "executions", "mine")
    assert body["progress"].endswith("; no room is left; make room") is is_told


async def test_a_submitted_execution_is_told_in_full(jp_fetch, core):
    status, body = await asked(
        jp_fetch, "executions", method="POST", body={"use": "spark", "name": "mine", "parameters": {"password": "hush"}}
    )
    assert status == 201
    assert body["name"] == "mine"
    assert body["parameters"] == {"password": "***"}
    assert body["endpoints"] == [
        {
            "name": "spark.master.ui",
            "title": "Spark master",
            "url": f"zoe/at/{body['id']}/spark.master.ui/",
            "is_trusted": True,
        }
    ]
    assert body["scalable"] == [
        {"process": "spark.worker", "current": 1, "wanted": 2, "minimum": 1, "maximum": 65, "title": "worker"}
    ]
    assert body["main_service"] == "spark.worker-0"
    status, again = await asked(jp_fetch, "executions", "mine")
    assert (status, again["id"]) == (200, body["id"])
    assert again["story"]


async def test_one_idempotency_key_submits_once(jp_fetch, core):
    first = await asked(jp_fetch, "executions", method="POST", body={"use": "spark"}, headers={"Idempotency-Key": "k1"})
    second = await asked(
        jp_fetch, "executions", method="POST", body={"use": "spark"}, headers={"Idempotency-Key": "k1"}
    )
    assert (first[0], second[0]) == (201, 200)
    assert first[1]["id"] == second[1]["id"]
    status, body = await asked(
        jp_fetch, "executions", method="POST", body={"use": "dask"}, headers={"Idempotency-Key": "k1"}
    )
    assert (status, body["reason"]) == (409, "conflict")


async def test_yaml_reaches_the_core_as_it_was_written(jp_fetch, core):
    text = "zoe: 1\nkind: zapp  # mine\n"
    status, _ = await asked(
        jp_fetch, "executions", method="POST", body=text, headers={"Content-Type": "application/yaml"}
    )
    assert status == 201
    assert core.submissions[0].text == text


async def test_a_description_may_be_the_body(jp_fetch, core):
    status, _ = await asked(jp_fetch, "executions", method="POST", body={"zoe": 1, "kind": "zapp", "name": "x"})
    assert status == 201
    assert core.submissions[0].zapp == {"zoe": 1, "kind": "zapp", "name": "x"}


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"use": "spark", "workers": 3}, 422, "workers"),
        ({}, 422, "exactly one"),
        ({"use": "spark", "text": "x"}, 422, "exactly one"),
        ({"use": 3}, 422, "use"),
        ([], 422, "object"),
        ({"use": "nonsense"}, 422, "nor this"),
        ({"use": "flink"}, 404, "flink"),
        ("{", 400, "JSON"),
        ('{"use": NaN}', 400, "JSON"),
        ("[" * 100_000, 400, "JSON"),
        (b'{"use": "\xff"}', 400, "JSON"),
        (r'{"use": "\ud800"}', 400, "JSON"),
        ('{"use": "spark", "use": "dask"}', 400, "'use' is there twice"),
        ('{"use": "spark", "zapp": ' + '{"a":' * 200 + "1" + "}" * 201, 400, "100 deep"),
    ],
)
async def test_bad_bodies_are_told_with_their_place(jp_fetch, core, body, status, word):
    found, error = await asked(jp_fetch, "executions", method="POST", body=body)
    assert found == status
    assert word in error["message"] + json.dumps(error["details"])
    assert set(error) == {"message", "reason", "details"}
    assert core.submissions == []


async def test_every_problem_of_a_description_is_told(jp_fetch):
    status, error = await asked(jp_fetch, "validate", method="POST", body={"use": "nonsense"})
    assert (status, error["reason"]) == (422, "invalid_description")
    assert [problem["path"] for problem in error["details"]["problems"]] == ["use", "zoe"]


async def test_validate_says_whether_it_would_fit(jp_fetch):
    status, body = await asked(jp_fetch, "validate", method="POST", body={"use": "spark"})
    assert status == 200
    assert (body["fits_now"], body["nodes"], body["core"]) == (
        True,
        ["here"],
        {"cores": 1.0, "memory_bytes": 1 << 30, "gpus": 0},
    )
    assert body["environment"] == {}


@pytest.mark.parametrize("headers", [{}, {"Content-Length": str(3 << 20)}])
async def test_a_body_that_is_too_large_is_refused(jp_fetch, core, headers):
    status, error = await asked(jp_fetch, "executions", method="POST", body="x" * (3 << 20), headers=headers)
    assert (status, error["reason"]) == (413, "too_large")


async def test_who_sends_too_much_reads_why(http_server, jp_http_port, jp_base_url, jp_auth_header, core):
    """Not a connection that breaks while the body is on its way: the server reads on, and keeps nothing of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", jp_http_port)
    head = f"POST {jp_base_url}zoe/api/validate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {12 << 20}\r\n"
    writer.write(f"{head}Authorization: {jp_auth_header['Authorization']}\r\n\r\n".encode())
    for _ in range(12):
        writer.write(b" " * (1 << 20))
        await asyncio.wait_for(writer.drain(), 20)
    assert b" 413 " in await asyncio.wait_for(reader.readline(), 20)
    assert b"too_large" in await asyncio.wait_for(reader.readuntil(b"}"), 20)
    writer.close()
    await writer.wait_closed()


async def test_a_body_beyond_all_measure_is_not_waited_for(
    http_server, jp_http_port, jp_base_url, jp_auth_header, core
):
    reader, writer = await asyncio.open_connection("127.0.0.1", jp_http_port)
    head = f"POST {jp_base_url}zoe/api/validate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {100 << 20}\r\n"
    writer.write(f"{head}Authorization: {jp_auth_header['Authorization']}\r\n\r\n".encode())
    assert b" 413 " in await asyncio.wait_for(reader.readline(), 20)
    writer.close()
    await writer.wait_closed()


async def test_lists_are_paged(jp_fetch, core):
    for name in "abc":
        await asked(jp_fetch, "executions", method="POST", body={"use": "spark", "name": name})
    _, first = await asked(jp_fetch, "executions", params={"limit": 2})
    _, second = await asked(jp_fetch, "executions", params={"limit": 2, "cursor": first["next_cursor"]})
    assert [item["name"] for item in first["items"] + second["items"]] == ["c", "b", "a"]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"state": "dead"}, "state"),
        ({"label": "x"}, "label"),
        ({"owner": "a\0"}, "owner"),
    ],
)
async def test_bad_queries_are_told(jp_fetch, query, word):
    status, error = await asked(jp_fetch, "executions", params=query)
    assert status == 422
    assert error["details"]["problems"][0]["path"] == word


async def test_executions_are_filtered(jp_fetch, core):
    await asked(jp_fetch, "executions", method="POST", body={"use": "spark", "name": "a", "labels": {"team": "x"}})
    await asked(jp_fetch, "executions", method="POST", body={"use": "spark", "name": "b"})
    await asked(jp_fetch, "executions", "b", "stop", method="POST")
    _, labelled = await asked(jp_fetch, "executions", params={"label": "team=x"})
    _, ended = await asked(jp_fetch, "executions", params={"state": "ended"})
    assert [item["name"] for item in labelled["items"]] == ["a"]
    assert [(item["name"], item["outcome"]) for item in ended["items"]] == [("b", "stopped")]


async def test_no_more_labels_are_searched_for_than_one_can_have(jp_fetch):
    words = ",".join(f"l{number}=x" for number in range(65))
    status, error = await asked(jp_fetch, "executions", params={"label": words})
    assert (status, error["details"]["problems"][0]["message"]) == (422, "at most 64 labels")


async def test_executions_are_found_by_owner_and_parent(jp_fetch, core):
    core.add(Execution("p1", "flow", embedded_user(), APPLICATION))
    core.add(Execution("c1", "child", embedded_user(), APPLICATION, parent="p1"))
    core.add(Execution("o1", "other", "somebody", APPLICATION))
    for query, names in (({"parent": "p1"}, ["child"]), ({"owner": "somebody"}, ["other"]), ({"owner": "nobody"}, [])):
        _, found = await asked(jp_fetch, "executions", params=query)
        assert [item["name"] for item in found["items"]] == names


async def test_the_use_of_an_execution_is_told_by_service(jp_fetch, core):
    _, execution = await asked(jp_fetch, "executions", method="POST", body={"use": "spark"})
    status, page = await asked(jp_fetch, "executions", execution["id"], "usage")
    assert status == 200
    assert set(page["items"][0]) == {"at", "service", "cpu_cores", "memory_bytes"}


async def test_the_target_changes_by_verb(jp_fetch, core):
    await asked(jp_fetch, "executions", method="POST", body={"use": "spark", "name": "a"})
    assert (await asked(jp_fetch, "executions", "a", "suspend", method="POST"))[1]["state"] == "suspended"
    assert (await asked(jp_fetch, "executions", "a", "resume", method="POST"))[1]["state"] == "running"
    assert (await asked(jp_fetch, "executions", "a", "restart", method="POST"))[0] == 200
    _, scaled = await asked(jp_fetch, "executions", "a", "scale", method="POST", body={"count": 4})
    assert scaled["target"]["elastic"] == {"spark.worker": 3}
    assert (await asked(jp_fetch, "executions", "a", "scale", method="POST", body={}))[0] == 422
    assert (await asked(jp_fetch, "executions", "a", method="DELETE"))[0] == 409
    await asked(jp_fetch, "executions", "a", "stop", method="POST")
    status, error = await asked(jp_fetch, "executions", "a", "resume", method="POST")
    assert (status, error["reason"]) == (409, "conflict")
    assert (await asked(jp_fetch, "executions", "a", method="DELETE")) == (204, None)
    assert (await asked(jp_fetch, "executions", "a"))[0] == 404


@pytest.mark.parametrize("ttl_s", [-1, 0, 0.5, 1e300])
async def test_a_lease_lasts_a_second_to_a_day(jp_fetch, core, ttl_s):
    _, execution = await asked(jp_fetch, "executions", method="POST", body={"use": "spark"})
    status, error = await asked(jp_fetch, "executions", execution["id"], "leases", method="POST", body={"ttl_s": ttl_s})
    assert (status, error["reason"]) == (422, "invalid_description")
    assert "ttl_s" in error["message"]


async def test_a_kernel_without_a_server_gets_a_lease_that_must_be_renewed(jp_fetch, core):
    _, execution = await asked(jp_fetch, "executions", method="POST", body={"use": "spark"})
    status, lease = await asked(jp_fetch, "executions", execution["id"], "leases", method="POST")
    assert status == 201
    assert lease["renew_s"] == 30
    _, renewed = await asked(jp_fetch, "executions", execution["id"], "leases", lease["id"], method="PUT")
    assert renewed["expires_at"] >= lease["expires_at"]
    assert (await asked(jp_fetch, "executions", execution["id"]))[1]["leases"] == 1
    assert await asked(jp_fetch, "executions", execution["id"], "leases", lease["id"], method="DELETE") == (204, None)
    assert (await asked(jp_fetch, "executions", execution["id"], "leases", lease["id"], method="PUT"))[0] == 404


async def test_a_kernel_of_this_server_needs_no_heartbeat(jp_fetch, core, zoe):
    _, execution = await asked(jp_fetch, "executions", method="POST", body={"use": "spark"})
    _, lease = await asked(
        jp_fetch, "executions", execution["id"], "leases", method="POST", body={"client": {"kernel_id": "k1"}}
    )
    assert (lease["expires_at"], lease["renew_s"]) == (None, None)
    assert core.lease_by_id[lease["id"]].client.server == zoe.visitor.server


async def test_the_connection_is_told(jp_fetch):
    _, execution = await asked(
        jp_fetch, "executions", method="POST", body={"use": "spark", "client": {"python": "/usr/bin/python3"}}
    )
    status, connection = await asked(jp_fetch, "executions", execution["id"], "connection", "spark")
    assert status == 200
    assert (connection["secrets"], connection["environment"]["python"]) == ({"token": "t0"}, "/usr/bin/python3")


async def test_the_queue_tells_position_and_reason(jp_fetch, core):
    core.add(
        Execution("q1", "big", embedded_user(), APPLICATION, state=State.QUEUED, reason=Reason("no_room", "waits"))
    )
    _, queue = await asked(jp_fetch, "queue")
    assert [(item["name"], item["position"], item["reason"]["text"]) for item in queue["items"]] == [
        ("big", 1, "needs 8 GiB, 6 GiB are free")
    ]
    _, execution = await asked(jp_fetch, "executions", "q1")
    assert execution["queue"]["position"] == 1


async def test_cluster_and_usage_are_told(jp_fetch):
    _, cluster = await asked(jp_fetch, "cluster")
    _, usage = await asked(jp_fetch, "usage")
    assert cluster["items"][0]["reserved"] == {"cores": 1.0, "memory_bytes": 1 << 30, "gpus": 0}
    assert usage["items"][0]["owner"] == embedded_user()


async def test_a_node_is_taken_out_of_use_and_put_back(jp_fetch, core):
    status, node = await asked(jp_fetch, "nodes", "here", "disable", method="POST")
    assert (status, node["is_enabled"]) == (200, False)
    _, cluster = await asked(jp_fetch, "cluster")
    assert [one["is_enabled"] for one in cluster["items"]] == [False]
    _, node = await asked(jp_fetch, "nodes", "here", "enable", method="POST")
    assert node["is_enabled"]
    assert (await asked(jp_fetch, "nodes", "there", "enable", method="POST"))[0] == 404


async def test_the_shop_is_found_by_words(jp_fetch):
    _, everything = await asked(jp_fetch, "shop")
    _, found = await asked(jp_fetch, "shop", params={"text": "distributed frames"})
    assert [entry["name"] for entry in everything["items"]] == ["dask", "spark", "prometheus"]
    assert [entry["name"] for entry in found["items"]] == ["spark"]
    _, detail = await asked(jp_fetch, "shop", "spark")
    assert (detail["readme"], detail["entry"]["has_logo"]) == ("# Spark", True)


async def test_what_is_for_admins_is_not_there_for_others(jp_fetch, zoe):
    assert (await asked(jp_fetch, "shop", "prometheus"))[0] == 200
    object.__setattr__(zoe.visitor, "is_admin", False)
    assert (await asked(jp_fetch, "shop", "prometheus"))[0] == 404
    assert (await asked(jp_fetch, "shop", "prometheus", "logo"))[0] == 404
    assert "prometheus" not in {entry["name"] for entry in (await asked(jp_fetch, "shop"))[1]["items"]}


async def test_a_logo_cannot_run_scripts(jp_fetch):
    answer = await jp_fetch("zoe", "api", "shop", "spark", "logo")
    assert answer.headers["Content-Type"] == "image/svg+xml"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert (await asked(jp_fetch, "shop", "dask", "logo"))[0] == 404


async def test_an_unforeseen_error_tells_an_id_and_nothing_else(jp_fetch, core, monkeypatch, caplog):
    def burst(*args, **kwargs):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(FakeCore, "cluster", burst)
    status, error = await asked(jp_fetch, "cluster")
    assert (status, error["reason"]) == (500, "internal")
    assert "secret" not in json.dumps(error)
    assert error["details"]["id"] in caplog.text


async def test_a_core_that_is_busy_holds_nothing_of_jupyter_up(jp_fetch, core, monkeypatch):
    """It has a loop of its own: what blocks that one, by mistake, does not block Jupyter's."""
    is_blocking, may_go_on = threading.Event(), threading.Event()

    async def cluster(self):
        is_blocking.set()
        may_go_on.wait(30)
        return []

    monkeypatch.setattr(FakeCore, "cluster", cluster)
    asking = asyncio.ensure_future(asked(jp_fetch, "cluster"))
    try:
        await asyncio.wait_for(asyncio.to_thread(is_blocking.wait), 20)
        status = await asyncio.wait_for(jp_fetch("api", "status"), 10)
        assert status.code == 200
        assert not asking.done()
    finally:
        may_go_on.set()
    assert (await asking)[0] == 200


async def test_unknown_paths_and_methods_are_told(jp_fetch):
    assert (await asked(jp_fetch, "nothing"))[1]["reason"] == "not_found"
    status, error = await asked(jp_fetch, "shop", method="POST")
    assert (status, error["reason"]) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    "name", ["a%2Fb", "..%2F..%2Fx", "x%20HTTP/1.1".replace("/", "%2F"), "a%0D%0AX-Zoe-Internal:%201"]
)
async def test_a_name_of_any_characters_is_a_name(jp_fetch, name):
    """It stays percent-encoded until the route is found."""
    status, error = await asked(jp_fetch, "executions", name)
    assert (status, error["reason"]) == (404, "not_found")
    assert "there is no execution" in error["message"]


async def test_metrics_count_requests(jp_fetch):
    await asked(jp_fetch, "executions", "nobody")
    text = (await jp_fetch("zoe", "api", "metrics")).body.decode()
    assert "zoe_executions 1" in text
    assert 'zoe_http_requests_total{method="GET",route="executions/{id}",status="404"}' in text


async def test_logs_are_text(jp_fetch, core):
    _, execution = await asked(jp_fetch, "executions", method="POST", body={"use": "spark"})
    answer = await jp_fetch("zoe", "api", "executions", execution["id"], "logs", params={"service": "spark.master-0"})
    assert answer.body == b"first line\nsecond line\n"
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert (await asked(jp_fetch, "executions", execution["id"], "logs", params={"service": "no", "follow": 1}))[
        0
    ] == 404


async def test_an_executions_own_events_are_paged(jp_fetch, core):
    for name in "ab":
        await asked(jp_fetch, "executions", method="POST", body={"use": "spark", "name": name})
    await asked(jp_fetch, "executions", "a", "stop", method="POST")
    _, page = await asked(jp_fetch, "executions", "a", "events", params={"limit": 1})
    _, rest = await asked(jp_fetch, "executions", "a", "events", params={"cursor": page["next_cursor"]})
    assert [event["kind"] for event in page["items"] + rest["items"]] == ["execution.submitted", "execution.ended"]


def test_names_that_sound_secret_are_masked_without_a_form():
    from zoe_jupyter.server.present import masked

    given = {"db": {"password": "x", "host": "h"}, "api_key": "k", "workers": 2, "token": ""}
    assert masked(given, None) == {"db": {"password": "***", "host": "h"}, "api_key": "***", "workers": 2, "token": ""}
