"""Which of several servers on one store may end what is on an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import requests
from docker.errors import APIError, NotFound

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.docker.claims import Claims, is_anothers, name_of
from zoe_jupyter.model.errors import Busy, Fatal


def answered(status: int) -> APIError:
    return APIError("no", response=Mock(status_code=status, reason="no"))


REFUSED = answered(409)
LEFT = {"one": "no Zoe was heard from for 7200 s"}


class Engine:
    """Whose volumes are those that a claim needs."""

    def __init__(self, *volumes: str) -> None:
        self.name, self.volumes, self.trouble = "far", {*volumes}, None
        self.of_another_store: set[str] = set()
        self.refused: dict[str, Exception] = {}
        self.calls = self

    async def do(self, work: Any, **options: Any) -> Any:
        if self.trouble is not None:
            raise self.trouble
        client = Mock()
        client.volumes.side_effect = lambda filters: {"Volumes": [{"Name": name} for name in self.volumes]}
        client.create_volume.side_effect = self._create
        client.remove_volume.side_effect = self._remove
        client.volumes.side_effect = self.refused.get("volumes") or client.volumes.side_effect
        return work(client, **options)

    def _create(self, name: str, labels: Any) -> None:
        """One that is there stays as it is."""
        if "create" in self.refused:
            raise self.refused["create"]
        if name not in self.of_another_store:
            self.volumes.add(name)

    def _remove(self, name: str) -> None:
        if "remove" in self.refused and name in self.volumes:
            if self.refused["remove"] is not REFUSED:
                self.volumes.discard(name)  # only the answer is lost
            raise self.refused["remove"]
        if name not in self.volumes | self.of_another_store:
            raise NotFound(name)
        self.volumes.discard(name)
        self.of_another_store.discard(name)


class Site:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def look(self) -> None:
        if not self.answering():
            raise Unreachable("no engine answers")

    def answering(self) -> list[Engine]:
        return [] if isinstance(self._engine.trouble, Unreachable) else [self._engine]


def claims(folder: Path, engine: Engine, store: str = "shared") -> Any:
    return Claims(folder, "zoe", store, Site(engine))  # type: ignore[arg-type]


async def test_what_was_left_is_ended_where_nobody_else_has_acted_since(tmp_path: Path) -> None:
    engine = Engine(name_of(tmp_path))
    found = claims(tmp_path, engine)
    await found.open(LEFT)
    assert found.over(engine) == LEFT
    await found.release()
    assert not engine.volumes


async def test_what_another_has_looked_after_since_is_not(tmp_path: Path) -> None:
    engine = Engine("zoe-claim-another")
    found = claims(tmp_path, engine)
    await found.open(LEFT)
    assert not found.over(engine)
    assert engine.volumes == {name_of(tmp_path)}


@pytest.mark.parametrize("trouble", [Unreachable("silent"), Busy("its lock is held")])
@pytest.mark.parametrize("was_replaced", [True, False])
async def test_an_engine_that_does_not_say_who_has_is_asked_again_first(
    tmp_path: Path, trouble: Exception, was_replaced: bool
) -> None:
    engine = Engine(*(["zoe-claim-another"] if was_replaced else []))
    engine.trouble = trouble
    found = claims(tmp_path, engine)
    await found.open(LEFT)
    assert not found.over(engine)
    engine.trouble = None
    await found.take()
    assert found.over(engine) == ({} if was_replaced else LEFT)


async def test_where_volumes_may_not_be_seen_there_are_no_claims(tmp_path: Path) -> None:
    engine = Engine("zoe-claim-another")
    engine.trouble = Fatal("403 Forbidden")
    found = claims(tmp_path, engine)
    await found.open(LEFT)
    assert found.over(engine) == LEFT


async def test_a_store_that_is_a_file_needs_none(tmp_path: Path) -> None:
    engine = Engine("zoe-claim-another")
    found = claims(tmp_path, engine, store="")
    await found.open(LEFT)
    assert found.over(engine) == LEFT
    assert engine.volumes == {"zoe-claim-another"}


async def test_a_claim_with_the_labels_of_earlier_settings_is_made_anew(tmp_path: Path) -> None:
    engine = Engine()
    engine.of_another_store.add(name_of(tmp_path))
    await claims(tmp_path, engine).open({})
    assert engine.volumes == {name_of(tmp_path)}


@pytest.mark.parametrize(
    ("what", "error"),
    [("create", REFUSED), ("remove", REFUSED), ("remove", answered(502)), ("remove", requests.ReadTimeout())],
)
async def test_another_that_was_seen_counts_whatever_becomes_of_the_rest(tmp_path: Path, what: str, error: Any) -> None:
    engine = Engine("zoe-claim-another")
    engine.refused[what] = error
    found = claims(tmp_path, engine)
    await found.open(LEFT)
    assert not found.over(engine)
    engine.refused.clear()
    await found.take()
    assert not found.over(engine)


@pytest.mark.parametrize("status", [500, 503])
async def test_an_engine_in_trouble_does_not_say_that_nobody_else_is_there(status: int) -> None:
    engine = Engine("zoe-claim-another")
    engine.refused["volumes"] = answered(status)
    with pytest.raises(APIError):
        await engine.do(is_anothers, deployment="zoe", store="shared", who="me")
    engine.refused["volumes"] = answered(403)
    assert not await engine.do(is_anothers, deployment="zoe", store="shared", who="me")
