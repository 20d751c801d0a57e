"""What every database must do for the engine. Inherit ``StoreContract`` and give it a ``url`` fixture: an empty database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from zoe_jupyter.model.errors import Conflict, NotFound, UserError
from zoe_jupyter.model.execution import Execution, LogEvent, Outcome, Reason, ServiceState, State
from zoe_jupyter.store.errors import Fenced, StaleWrite, StoreError
from zoe_jupyter.store.repository import EventDraft, NewExecution, Store
from zoe_jupyter.testing.executions import OWNER, make_application, make_event, make_execution, make_lease, make_service
from zoe_jupyter.testing.settled_contract import SettledContract

DAY_S = 86400.0


def submit(store: Store, execution: Execution, **given: Any) -> tuple[Execution, bool, list[LogEvent]]:
    """Submit with one event and nothing else, unless told."""
    defaults: dict[str, Any] = {
        "key": None,
        "digest": "",
        "events": [make_event(execution)],
        "secrets": {},
        "lease": None,
        "now": execution.created_at,
    }
    said = {**defaults, **given}
    now = said.pop("now")
    return store.submit(NewExecution(execution, **said), now=now)


def advance(store: Store, execution: Execution, events: Sequence[EventDraft] = (), **changes: Any) -> Execution:
    """Save the next version of it."""
    changed = replace(execution, version=execution.version + 1, **changes)
    store.save([changed], events)
    return changed


def end(store: Store, execution: Execution, at: float) -> Execution:
    return advance(store, execution, state=State.ENDED, outcome=Outcome.SUCCEEDED, ended_at=at, services={})


class StoreContract(SettledContract):
    """Every test gets ``store``: migrated, taken over. ``another`` opens the same database once more, as a second core would."""

    @pytest.fixture
    def another(self, url: str) -> Iterator[Callable[[], Store]]:
        opened: list[Store] = []

        def open_one() -> Store:
            opened.append(Store(url))
            opened[-1].migrate()
            return opened[-1]

        yield open_one
        for one in opened:
            one.close()

    @pytest.fixture
    def store(self, another: Callable[[], Store]) -> Store:
        store = another()
        store.take_over("first", 0.0)
        return store

    # Executions

    def test_what_was_submitted_is_there_after_a_restart(self, store: Store, another: Callable[[], Store]) -> None:
        execution = make_execution(1, labels={"team": "a"}, services={"dask.worker-0": make_service(0)})
        stored, is_new, logged = submit(store, execution, secrets={"dask.token": "s3cret"}, lease=make_lease(execution))
        later = another()
        assert (stored, is_new) == (execution, True)
        assert later.get(execution.id) == execution
        assert later.live() == [execution]
        assert later.secrets(execution.id) == {"dask.token": "s3cret"}
        assert later.leases() == [make_lease(execution)]
        assert later.events(since=0, limit=10) == logged

    def test_one_id_is_stored_once(self, store: Store) -> None:
        submit(store, make_execution(1))
        with pytest.raises(StoreError):
            submit(store, make_execution(1))
        assert store.last_seq() == 1

    def test_saving_keeps_every_field(self, store: Store, another: Callable[[], Store]) -> None:
        execution = make_execution(1)
        submit(store, execution)
        changed = advance(
            store,
            execution,
            state=State.RUNNING,
            reason=Reason("busy", "waits for 2 GiB", {"needed": 2}),
            started_at=5.5,
            environment={"python": "3.11"},
            labels={"team": "b"},
            application=make_application("dask2"),
            services={f"dask.worker-{n}": make_service(n) for n in range(12)},
        )
        loaded = another().get(execution.id)
        assert loaded == changed
        assert list(loaded.services) == list(changed.services)

    def test_services_come_change_and_go(self, store: Store, another: Callable[[], Store]) -> None:
        execution = make_execution(1, services={f"dask.worker-{n}": make_service(n) for n in range(3)})
        submit(store, execution)
        services = {
            "dask.worker-1": make_service(1),
            "dask.worker-2": make_service(2, state=ServiceState.STOPPING, attempt=2),
            "dask.worker-3": make_service(3),
        }
        changed = advance(store, execution, services=services)
        assert another().get(execution.id) == changed
        assert store.find_by_name(OWNER, execution.name) == changed

    def test_a_core_that_read_nothing_before_saves_the_same(self, store: Store, another: Callable[[], Store]) -> None:
        execution = make_execution(1, services={f"dask.worker-{n}": make_service(n) for n in range(3)})
        submit(store, execution)
        second = another()
        second.take_over("second", 1.0)
        changed = advance(second, execution, services={"dask.worker-1": make_service(1, exit_code=3)})
        assert second.get(execution.id) == changed

    def test_a_write_on_an_older_version_changes_nothing(self, store: Store) -> None:
        first, second = make_execution(1), make_execution(2)
        submit(store, first)
        submit(store, second)
        advance(store, first, state=State.QUEUED)
        stale = replace(first, version=1, state=State.RUNNING)
        with pytest.raises(StaleWrite, match="stored in version 1"):
            store.save([replace(second, version=1, state=State.QUEUED), stale], [make_event(first)])
        assert store.get(second.id) == second
        assert store.last_seq() == 2

    def test_a_write_that_skips_a_version_or_was_never_submitted_is_stale(self, store: Store) -> None:
        execution = make_execution(1)
        with pytest.raises(StaleWrite, match="not stored"):
            advance(store, execution)
        submit(store, execution)
        with pytest.raises(StaleWrite):
            store.save([replace(execution, version=2)], [])

    def test_a_name_means_the_newest_that_lives_else_the_newest_that_ended(self, store: Store) -> None:
        same = [make_execution(number, name="mine") for number in range(1, 5)]
        for execution in same:
            submit(store, execution)
        submit(store, make_execution(9, name="mine", owner="bob"))
        end(store, same[3], 10.0)
        found = store.find_by_name(OWNER, "mine")
        assert found is not None
        assert found.id == same[2].id
        for execution in same[:3]:
            end(store, execution, 20.0)
        found = store.find_by_name(OWNER, "mine")
        assert found is not None
        assert found.id == same[3].id
        assert store.find_by_name(OWNER, "other") is None

    def test_live_leaves_out_what_has_ended(self, store: Store) -> None:
        alive, gone = make_execution(1), make_execution(2)
        submit(store, alive)
        submit(store, gone)
        end(store, gone, 3.0)
        assert store.live() == [alive]

    def test_strange_text_survives(self, store: Store, another: Callable[[], Store]) -> None:
        text = "naïve \N{SNOWMAN} \U0001d518 '\"\\;--\n\t"
        execution = make_execution(
            1, name=text, labels={text: text}, parameters={text: [text, None, 1e300, {"a": True}]}
        )
        submit(store, execution, secrets={text: text}, events=[make_event(execution, text=text + "\0")])
        assert another().get(execution.id) == execution
        assert store.secrets(execution.id) == {text: text}
        assert store.events(since=0, limit=1)[0].data == {"text": text + "\0"}
        assert store.find(labels={text: text})[0] == [execution]

    def test_what_could_not_be_read_back_is_not_written(self, store: Store) -> None:
        with pytest.raises(StoreError, match="priority"):
            submit(store, make_execution(1, priority="high"))
        with pytest.raises(StoreError, match="cannot be stored"):
            submit(store, make_execution(1, parameters={"a": object()}))
        assert store.live() == []

    # Idempotency keys

    def test_the_same_key_gives_the_earlier_execution(self, store: Store) -> None:
        first, _, _ = submit(store, make_execution(1), key="k", digest="d")
        again, is_new, logged = submit(store, make_execution(2), key="k", digest="d")
        assert (again, is_new, logged) == (first, False, [])
        assert store.find_by_key(OWNER, "k", digest="d", now=2.0) == first
        assert store.find_by_key(OWNER, "other", digest="d", now=2.0) is None
        assert store.live() == [first]

    def test_the_same_key_for_another_request_is_a_conflict(self, store: Store) -> None:
        submit(store, make_execution(1), key="k", digest="d")
        with pytest.raises(Conflict, match="e-000001"):
            submit(store, make_execution(2), key="k", digest="other")
        with pytest.raises(Conflict):
            store.find_by_key(OWNER, "k", digest="other", now=2.0)

    def test_keys_belong_to_their_owner(self, store: Store) -> None:
        submit(store, make_execution(1), key="k", digest="d")
        assert submit(store, make_execution(2, owner="bob"), key="k", digest="e")[1]

    def test_a_key_is_forgotten_after_seven_days(self, store: Store) -> None:
        submit(store, make_execution(1), key="k", digest="d", now=0.0)
        assert not submit(store, make_execution(2), key="k", digest="d", now=7 * DAY_S)[1]
        assert submit(store, make_execution(3), key="k", digest="other", now=7 * DAY_S + 1)[1]
        assert not submit(store, make_execution(4), key="k", digest="other", now=8 * DAY_S)[1]

    def test_a_key_never_runs_twice_though_its_execution_is_forgotten(self, store: Store) -> None:
        execution, _, _ = submit(store, make_execution(1), key="k", digest="d")
        end(store, execution, 2.0)
        store.forget(execution.id)
        with pytest.raises(Conflict, match="forgotten"):
            submit(store, make_execution(2), key="k", digest="d")

    def test_of_fifty_submits_of_one_key_at_once_one_is_stored(self, store: Store) -> None:
        with ThreadPoolExecutor(16) as threads:
            done = list(
                threads.map(lambda number: submit(store, make_execution(number), key="k", digest="d"), range(50))
            )
        assert sum(is_new for _, is_new, _ in done) == 1
        assert {stored.id for stored, _, _ in done} == {store.live()[0].id}
        assert store.last_seq() == 1

    # One writer

    def test_who_never_took_over_may_not_write(self, another: Callable[[], Store]) -> None:
        with pytest.raises(Fenced):
            submit(another(), make_execution(1))

    def test_a_core_that_was_taken_over_may_read_but_not_write(
        self, store: Store, another: Callable[[], Store]
    ) -> None:
        execution = make_execution(1)
        submit(store, execution, lease=make_lease(execution))
        second = another()
        assert second.take_over("second", 1.0) == 2
        writes: list[Callable[[], object]] = [
            lambda: submit(store, make_execution(2)),
            lambda: advance(store, execution),
            lambda: store.save([], [make_event(execution)]),
            lambda: store.forget(execution.id),
            lambda: store.put_lease(make_lease(execution, "l-2")),
            lambda: store.drop_leases(["l-1"]),
            lambda: store.expire(1e9, 0.0),
        ]
        for write in writes:
            with pytest.raises(Fenced, match="second"):
                write()
        assert store.live() == second.live() == [execution]
        assert second.leases() == [make_lease(execution)]
        advance(second, execution)

    def test_epochs_only_grow(self, another: Callable[[], Store]) -> None:
        stores = [another() for _ in range(3)]
        assert [store.take_over("x", 0.0) for store in stores] == [1, 2, 3]
        assert stores[0].take_over("x", 0.0) == 4

    # The event log

    def test_events_are_numbered_in_the_order_of_commits_without_gaps(self, store: Store) -> None:
        executions = [make_execution(number) for number in range(4)]
        for execution in executions:
            submit(store, execution, events=[])

        def write(execution: Execution) -> list[int]:
            seen = []
            for step in range(25):
                events = [make_event(execution, "a", step=step), make_event(execution, "b", step=step)]
                seen += [event.seq for event in store.save([], events)]
            return seen

        with ThreadPoolExecutor(4) as threads:
            given = list(threads.map(write, executions))
        log = store.events(since=0, limit=1000)
        assert [event.seq for event in log] == list(range(1, 201))
        assert all(seqs == sorted(seqs) for seqs in given)
        assert sorted(seq for seqs in given for seq in seqs) == list(range(1, 201))
        for first, second in zip(log[::2], log[1::2], strict=True):
            assert (first.kind, second.kind, first.execution_id) == ("a", "b", second.execution_id)

    def test_a_follower_never_sees_a_later_number_before_an_earlier_one(self, store: Store) -> None:
        execution = make_execution(1)
        submit(store, execution, events=[])
        with ThreadPoolExecutor(2) as threads:
            writers = [threads.submit(self._write_events, store, execution, 60) for _ in range(2)]
            seen: list[int] = []
            while len(seen) < 120:
                for writer in writers:
                    assert not writer.done() or writer.exception() is None
                seen += [event.seq for event in store.events(since=seen[-1] if seen else 0, limit=50)]
        assert seen == list(range(1, 121))

    @staticmethod
    def _write_events(store: Store, execution: Execution, count: int) -> None:
        for _ in range(count):
            store.save([], [make_event(execution, "x")])

    def test_events_are_read_from_a_number_on_by_owner_and_execution(self, store: Store) -> None:
        mine, other = make_execution(1), make_execution(2, owner="bob")
        for execution in (mine, other):
            submit(store, execution)
        store.save([], [make_event(mine, "x"), make_event(other, "x")])
        assert [event.seq for event in store.events(since=1, limit=2)] == [2, 3]
        assert [event.seq for event in store.events(since=0, limit=9, owner="bob")] == [2, 4]
        assert [event.seq for event in store.events(since=1, limit=9, execution_id=mine.id)] == [3]
        assert store.events(since=4, limit=9) == []
        assert store.last_seq() == 4

    # Pages

    def test_pages_are_newest_first_and_stay_stable_while_new_ones_come(self, store: Store) -> None:
        for number in range(7):
            submit(store, make_execution(number, created_at=5.0))
        page, cursor = store.find(limit=3)
        assert [execution.id for execution in page] == ["e-000006", "e-000005", "e-000004"]
        submit(store, make_execution(8, created_at=9.0))
        page, cursor = store.find(limit=3, cursor=cursor)
        assert [execution.id for execution in page] == ["e-000003", "e-000002", "e-000001"]
        page, cursor = store.find(limit=3, cursor=cursor)
        assert [execution.id for execution in page] == ["e-000000"]
        assert cursor is None

    def test_a_page_that_is_just_full_is_the_last(self, store: Store) -> None:
        for number in range(3):
            submit(store, make_execution(number))
        assert store.find(limit=3)[1] is None

    def test_filters_narrow_together(self, store: Store) -> None:
        submit(store, make_execution(1, labels={"team": "a", "kind": "x"}))
        submit(store, make_execution(2, labels={"team": "a"}, parent="e-000001"))
        submit(store, make_execution(3, labels={"team": "a", "kind": "x"}, owner="bob", state=State.RUNNING))

        def found(**filters: Any) -> list[str]:
            return [execution.id[-1] for execution in store.find(**filters)[0]]

        assert found() == ["3", "2", "1"]
        assert found(owner=OWNER) == ["2", "1"]
        assert found(labels={"team": "a"}) == ["3", "2", "1"]
        assert found(labels={"team": "a", "kind": "x"}) == ["3", "1"]
        assert found(labels={"team": "a", "kind": "x"}, owner=OWNER) == ["1"]
        assert found(labels={"kind": "team"}) == []
        assert found(states=[State.RUNNING, State.ENDED]) == ["3"]
        assert found(parent="e-000001") == ["2"]

    def test_labels_that_changed_are_found_by_their_new_value(self, store: Store) -> None:
        execution = make_execution(1, labels={"team": "a"})
        submit(store, execution)
        advance(store, execution, labels={"team": "b"})
        assert store.find(labels={"team": "a"})[0] == []
        assert len(store.find(labels={"team": "b"})[0]) == 1

    @pytest.mark.parametrize("cursor", ["x", "WzEsMl0", "bnVsbA", "é", "WyJhIiwiYiJd"])
    def test_a_cursor_that_zoe_never_gave_is_the_users_error(self, store: Store, cursor: str) -> None:
        with pytest.raises(UserError, match="cursor"):
            store.find(cursor=cursor)

    # Leases, forgetting, retention

    def test_a_lease_is_taken_renewed_and_dropped(self, store: Store) -> None:
        execution = make_execution(1)
        submit(store, execution)
        lease = make_lease(execution, expires_at=60.0)
        logged = store.put_lease(lease, [make_event(execution, "lease.taken")])
        store.put_lease(replace(lease, expires_at=90.0))
        store.put_lease(make_lease(execution, "l-2", created_at=1.0))
        assert [event.seq for event in logged] == [2]
        assert [(one.id, one.expires_at) for one in store.leases()] == [("l-1", 90.0), ("l-2", None)]
        store.drop_leases(["l-1", "never"])
        assert [one.id for one in store.leases()] == ["l-2"]

    def test_a_lease_needs_its_execution(self, store: Store) -> None:
        with pytest.raises(NotFound):
            store.put_lease(make_lease(make_execution(1)))

    def test_forgetting_takes_all_but_the_events(self, store: Store, another: Callable[[], Store]) -> None:
        execution = make_execution(1, labels={"team": "a"}, services={"dask.worker-0": make_service(0)})
        submit(store, execution, secrets={"a": "b"}, lease=make_lease(execution))
        ended = advance(store, execution, state=State.ENDED, ended_at=2.0)
        logged = store.forget(ended.id, now=3.0)
        assert [(event.kind, event.at, event.owner) for event in logged] == [("execution.forgotten", 3.0, OWNER)]
        later = another()
        assert later.get(ended.id) is None
        assert later.find(labels={"team": "a"}) == ([], None)
        assert (later.secrets(ended.id), later.leases()) == ({}, [])
        assert [event.kind for event in later.events(since=0, limit=9)] == [
            "execution.submitted",
            "execution.forgotten",
        ]
        with pytest.raises(NotFound):
            store.forget(ended.id)
        # Nothing of it is left behind that would come back with the same id.
        submit(store, replace(execution, services={}, labels={}))
        assert store.get(execution.id) == replace(execution, services={}, labels={})

    def test_what_lives_is_not_forgotten(self, store: Store) -> None:
        submit(store, make_execution(1))
        with pytest.raises(Conflict, match="stop it first"):
            store.forget("e-000001")

    def test_retention_deletes_what_ended_long_ago_and_its_events(self, store: Store) -> None:
        old, recent, alive = (make_execution(number) for number in (1, 2, 3))
        for execution in (old, recent, alive):
            submit(store, execution, key=execution.id, digest="d", secrets={"a": "b"})
        end(store, old, 10.0)
        end(store, recent, 100 * DAY_S)
        assert store.expire(100 * DAY_S + 1, 90 * DAY_S, only=[recent.id, alive.id]) == []
        assert store.expiring(100 * DAY_S + 1, 90 * DAY_S, keeping={old.id}) == []
        assert len(store.expiring(100 * DAY_S + 1, 90 * DAY_S)) == 1
        assert len(store.expire(100 * DAY_S + 1, 90 * DAY_S)) == 1
        assert store.expiring(100 * DAY_S + 1, 90 * DAY_S) == []
        assert store.get(old.id) is None
        assert [execution.id for execution in store.find()[0]] == [alive.id, recent.id]
        assert [event.execution_id for event in store.events(since=0, limit=9)] == [recent.id, alive.id]
        assert store.last_seq() == 3
        assert store.save([], [make_event(alive)])[0].seq == 4

    def test_retention_deletes_old_events_of_the_forgotten_and_old_keys(self, store: Store) -> None:
        execution = make_execution(1)
        submit(store, execution, key="k", digest="d")
        end(store, execution, 2.0)
        store.forget(execution.id, now=3.0)
        store.expire(8 * DAY_S, 90 * DAY_S)
        assert len(store.events(since=0, limit=9)) == 2
        assert store.find_by_key(OWNER, "k", digest="d", now=0.0) is None
        store.expire(91 * DAY_S, 90 * DAY_S)
        assert store.events(since=0, limit=9) == []

    def test_retention_of_many_goes_on_when_called_again(self, store: Store) -> None:
        for number in range(0, 600, 100):
            submitted = [make_execution(number + n, application=make_application("a")) for n in range(100)]
            for execution in submitted:
                submit(store, execution)
            store.save([replace(e, version=1, state=State.ENDED, ended_at=1.0) for e in submitted], [])
        cleaned = store.expiring(2.0, 0.5)[100:]
        assert sorted(store.expire(2.0, 0.5, only=cleaned)) == sorted(cleaned)
        assert len(store.expire(2.0, 0.5)) == 200
        assert len(store.expire(2.0, 0.5)) == 0
        assert store.find() == ([], None)

    # Machines

    def test_machines_stay_out_of_use_until_they_are_enabled(self, store: Store, another: Callable[[], Store]) -> None:
        draft = EventDraft("node.disabled", "", "", {"node": "b"})
        assert [event.kind for event in store.disable_node("b", by="ann", now=1.0, events=[draft])] == ["node.disabled"]
        store.disable_node("a", by="ann", now=2.0)
        store.disable_node("b", by="bob", now=3.0)
        assert another().settled().disabled_nodes == {"a", "b"}
        store.enable_node("b")
        store.enable_node("never disabled")
        assert another().settled().disabled_nodes == {"a"}

    # Threads and migrations

    def test_many_threads_read_while_one_writes(self, store: Store) -> None:
        execution = make_execution(1, services={f"dask.worker-{n}": make_service(n) for n in range(8)})
        submit(store, execution)

        def read(_: int) -> None:
            for _ in range(20):
                seen = store.get(execution.id)
                assert seen is not None
                assert {service.attempt for service in seen.services.values()} == {seen.version + 1}

        with ThreadPoolExecutor(6) as threads:
            readers = [threads.submit(read, number) for number in range(6)]
            current = execution
            for attempt in range(2, 30):
                services = {name: replace(service, attempt=attempt) for name, service in current.services.items()}
                current = advance(store, current, services=services)
            for reader in readers:
                reader.result(60)

    def test_migrating_again_changes_nothing(self, store: Store) -> None:
        submit(store, make_execution(1))
        store.migrate()
        assert store.last_seq() == 1

    def test_many_cores_migrate_at_once(self, url: str) -> None:
        stores = [Store(url) for _ in range(4)]
        try:
            with ThreadPoolExecutor(4) as threads:
                list(threads.map(lambda store: store.migrate(), stores))
            assert sorted(store.take_over("x", 0.0) for store in stores) == [1, 2, 3, 4]
        finally:
            for store in stores:
                store.close()
