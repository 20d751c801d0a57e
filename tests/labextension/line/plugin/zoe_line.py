"""An attach kind that is none of Zoe's own and costs next to nothing: a socket to a program that answers each line in capitals."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any

from zoe_jupyter.attach.base import Findings

TIMEOUT_S = 20
QUESTION = "are you there?"


class Line:
    """Open until it is closed, or the program at its other end goes."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=TIMEOUT_S)
        self._answers = self._socket.makefile("r")

    def ask(self, text: str) -> str:
        """The answer; raises OSError where nobody gives one."""
        self._socket.sendall(f"{text}\n".encode())
        answer = self._answers.readline()
        if not answer:
            raise ConnectionError("nobody answers")
        return answer.rstrip("\n")

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class LineAttach:
    kind = "line"
    variable = "line"

    def check(self, environment: Mapping[str, Any] | None) -> Findings:
        return Findings()

    def prepare(self) -> None:
        pass

    def attach(
        self,
        connection: Mapping[str, Any],
        namespace: MutableMapping[str, Any],
        variable: str,
        *,
        is_over: Callable[[], bool],
    ) -> tuple[str, ...]:
        line = Line(str(connection["values"]["address"]))
        line.ask(QUESTION)
        namespace[variable] = line
        return (variable,)

    def works(self, value: Line) -> bool:
        with suppress(OSError):
            return value.ask(QUESTION) == QUESTION.upper()
        return False

    def describe(self, value: Line) -> str:
        return "Line"

    def lose(self, value: Line) -> None:
        value.close()

    def detach(self, value: Line, *, is_over: bool) -> None:
        value.close()
