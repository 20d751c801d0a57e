"""What is written is read back equal, whatever is in it; what is damaged says so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoe_jupyter.model.application import Application, ConnectionTemplate, Context, Drain, Lifetime, Probe, Process
from zoe_jupyter.model.execution import Client, Execution, Lease, Reason, Service, Target
from zoe_jupyter.store import records
from zoe_jupyter.store.errors import StoreCorrupt, StoreError
from zoe_jupyter.testing.executions import make_application, make_execution, make_lease, make_service

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
floats = st.floats(allow_nan=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
trees = st.dictionaries(texts, json_values, max_size=3)
text_maps = st.dictionaries(texts, texts, max_size=3)

commands = st.lists(texts, max_size=3).map(tuple)
reasons = st.none() | st.builds(Reason, code=texts, text=texts, numbers=trees)
lifetimes = st.builds(Lifetime, after_s=st.none() | floats, idle_s=st.none() | floats, grace_s=floats)
probes = st.none() | st.builds(Probe, tcp=texts, command=commands, timeout_s=floats)
processes = st.builds(
    Process,
    name=texts,
    framework=texts,
    command=commands,
    environment=text_maps,
    files=text_maps,
    ready=probes,
    after=commands,
    drain=st.none() | st.builds(Drain, command=commands, timeout_s=floats),
)
applications = st.builds(
    Application,
    name=texts,
    title=texts,
    processes=st.lists(processes, max_size=2).map(tuple),
    contexts=st.dictionaries(texts, st.builds(Context, parameters=trees, accepts=text_maps, folder=texts), max_size=2),
    connections=st.lists(
        st.builds(ConnectionTemplate, name=texts, framework=texts, kind=texts, values=trees, secrets=commands),
        max_size=2,
    ).map(tuple),
    lifetime=lifetimes,
    activity=trees,
    extensions=trees,
)
service_records = st.builds(
    Service, name=texts, ports=st.dictionaries(texts, st.integers(1, 65535), max_size=2), handle=trees, reason=reasons
)
targets = st.builds(Target, elastic=st.dictionaries(texts, st.integers(), max_size=2), reason=reasons)
clients = st.builds(Client, notebook=texts, cwd=texts)
executions = st.builds(
    Execution,
    id=texts,
    application=applications,
    parameters=trees,
    reason=reasons,
    target=targets,
    services=st.dictionaries(texts, service_records, max_size=3),
    lifetime=lifetimes,
    client=clients,
    environment=trees,
    labels=text_maps,
    created_at=floats,
    ended_at=st.none() | floats,
)


def read(execution: Execution) -> Execution:
    texts_of_services = {name: records.service_text("e", service) for name, service in execution.services.items()}
    return records.execution_of(
        records.execution_row(execution), records.application_text(execution), texts_of_services
    )


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(executions)
def test_an_execution_is_read_as_it_was_written(execution: Execution) -> None:
    assert read(execution) == execution


@settings(max_examples=80, deadline=None)
@given(st.builds(Lease, id=texts, execution_id=texts, kind=texts, client=clients))
def test_a_lease_is_read_as_it_was_written(lease: Lease) -> None:
    assert records.lease_of(records.lease_row(lease)["body"]) == lease


@settings(max_examples=80, deadline=None)
@given(trees)
def test_an_event_is_read_as_it_was_written(data: Mapping[str, Any]) -> None:
    draft = records.EventDraft("a.b", "e", "ada", data, 1.5)
    event = records.event_of(records.event_row(draft, 7))
    assert (event.seq, event.kind, event.execution_id, event.owner, event.at) == (7, "a.b", "e", "ada", 1.5)
    assert event.data == data


def test_read_only_mappings_and_tuples_in_trees_are_stored_as_json() -> None:
    execution = make_execution(1, parameters=MappingProxyType({"a": (1, 2), "b": MappingProxyType({})}))
    assert read(execution).parameters == {"a": [1, 2], "b": {}}


def test_services_are_in_the_order_of_their_numbers() -> None:
    names = ["dask.worker-10", "dask.worker-9", "dask.worker-2", "dask.scheduler-0", "odd"]
    execution = make_execution(1, services={name: make_service(0, name=name) for name in names})
    assert list(read(execution).services) == [
        "dask.scheduler-0",
        "dask.worker-2",
        "dask.worker-9",
        "dask.worker-10",
        "odd",
    ]


def test_rows_of_an_older_zoe_get_todays_defaults_and_unknown_fields_are_passed_over() -> None:
    row = records.execution_row(make_execution(1))
    body = json.loads(row["body"])
    del body["priority"]
    body["from_the_past"] = {"a": 1}
    older = {**row, "body": json.dumps(body)}
    assert records.execution_of(older, records.application_text(make_execution(1)), {}) == make_execution(1)


def test_equal_applications_are_read_as_one_object() -> None:
    first, second = read(make_execution(1)), read(make_execution(2))
    assert first.application is second.application


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"name": 1}'])
def test_a_damaged_part_says_whose_it_is(damage: str) -> None:
    execution = make_execution(1)
    row, application = records.execution_row(execution), records.application_text(execution)
    with pytest.raises(StoreCorrupt, match="an application"):
        records.execution_of(row, damage, {})
    with pytest.raises(StoreCorrupt, match="e-000001"):
        records.execution_of(row, application, {"a": damage})
    with pytest.raises(StoreCorrupt, match="a lease"):
        records.lease_of(damage)


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"target": 1}'])
def test_a_damaged_execution_is_named(damage: str) -> None:
    row, application = records.execution_row(make_execution(1)), records.application_text(make_execution(1))
    with pytest.raises(StoreCorrupt, match="e-000001"):
        records.execution_of({**row, "body": damage}, application, {})


@pytest.mark.parametrize("damage", ["", "{", "[]", "null"])
def test_a_damaged_event_is_named(damage: str) -> None:
    with pytest.raises(StoreCorrupt, match="event 3"):
        records.event_of({"seq": 3, "at": 0.0, "kind": "a", "execution_id": "", "owner": "", "data": damage})


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", {("a",): 1}])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(StoreError, match="cannot be stored"):
        records.execution_row(make_execution(1, parameters={"a": value}))
    with pytest.raises(StoreError, match="cannot be stored"):
        records.event_row(records.EventDraft("a", "", "", {"a": value}), 1)


def test_values_of_a_wrong_type_are_refused_where_they_are_written() -> None:
    with pytest.raises(StoreError, match="exit_code"):
        records.service_text("e", make_service(0, exit_code="x"))
    with pytest.raises(StoreError, match="core"):
        records.application_text(make_execution(1, application=_with_count("many")))
    with pytest.raises(StoreError, match="kind"):
        records.lease_row(make_lease(make_execution(1), kind=None))


def _with_count(core: Any) -> Application:
    process = Process("a.b", "a", ("true",), core=core)
    application = make_application()
    return Application(application.name, application.title, (process,), application.contexts)
