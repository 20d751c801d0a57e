"""The lines of a log, whatever pieces they come in, and however long they are."""

from __future__ import annotations

from collections.abc import AsyncIterator

from hypothesis import given, settings
from hypothesis import strategies as st

from zoe_jupyter.backends.kubernetes.logs import BEGINNING, beginnings


async def told(pieces: list[bytes]) -> list[bytes]:
    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return [line async for line in beginnings(chunks())]


LONG = b"x" * (BEGINNING - 1)
PIECES = st.lists(
    st.sampled_from([b"a", b"\n", b"b\nc", b"\n\n", b"", LONG, LONG + b"\n", b"y" * 3 * BEGINNING]), max_size=12
)


@settings(deadline=None)
@given(PIECES)
async def test_each_line_is_told_once_by_its_beginning(pieces: list[bytes]) -> None:
    *ended, last = b"".join(pieces).split(b"\n")
    lines = [*ended, *([last] if last else [])]
    assert await told(pieces) == [line[:BEGINNING] for line in lines]


async def test_a_line_is_told_before_it_ends_once_its_beginning_is_there() -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"ready"
        while True:
            yield b"." * 65536

    assert await anext(beginnings(endless())) == b"ready" + b"." * (BEGINNING - 5)
