"""A test that needs a part says so, and says how to get it."""

from __future__ import annotations

import pytest

from tests import requirements
from tests.requirements import Requirement, require


@pytest.fixture
def _missing_part(monkeypatch: pytest.MonkeyPatch) -> None:
    part = Requirement(missing=lambda: "no quantum computer", how="build one")
    monkeypatch.setitem(requirements.REQUIREMENTS, "quantum", part)


@pytest.mark.usefixtures("_missing_part")
def test_a_missing_part_skips_and_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(requirements.REQUIRED_VARIABLE, raising=False)
    with pytest.raises(pytest.skip.Exception, match="quantum: no quantum computer; build one"):
        require("quantum")


@pytest.mark.usefixtures("_missing_part")
def test_a_missing_part_that_is_required_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(requirements.REQUIRED_VARIABLE, "spark, quantum")
    with pytest.raises(pytest.fail.Exception, match="no quantum computer"):
        require("quantum")


def test_an_unknown_required_part_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(requirements.REQUIRED_VARIABLE, "sparc")
    with pytest.raises(pytest.UsageError, match="unknown sparc"):
        requirements.required_names()
