"""The secrets of an execution: made for it alone, by the system's own source of chance."""

from __future__ import annotations

import secrets
from dataclasses import replace

import pytest

from zoe_jupyter.engine.submitting import new_secrets
from zoe_jupyter.testing.fake_core import APPLICATION

WANTED = replace(APPLICATION, secrets=("token", "word", "tls"), certificates=("tls",))


def test_words_come_from_where_secrets_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def word(size: int) -> str:
        sizes.append(size)
        return f"word-{len(sizes)}"

    monkeypatch.setattr(secrets, "token_urlsafe", word)
    made = new_secrets(WANTED)
    assert (made["token"], made["word"]) == ("word-1", "word-2")
    assert min(sizes) >= 32


def test_no_two_executions_have_one_in_common() -> None:
    made = [secret for _ in range(3) for secret in new_secrets(WANTED).values()]
    assert len(set(made)) == 9
    assert sum("PRIVATE KEY" in secret and "CERTIFICATE" in secret for secret in made) == 3
