"""What the Python functions return: executions with methods, that show themselves in a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from zoe_jupyter.client.facts import is_job
from zoe_jupyter.client.text import to_text
from zoe_jupyter.client.verbs.results import Block, Result
from zoe_jupyter.client.verbs.session import Session, is_ended, is_running
from zoe_jupyter.client.verbs.show import details
from zoe_jupyter.client.verbs.submit import failure_text
from zoe_jupyter.magics.html import to_html
from zoe_jupyter.magics.screens import current_shell, screen_for
from zoe_jupyter.model.errors import UserError

Call = Callable[..., Any]


class Execution:
    """A handle on one execution; ``record`` is what the API said last, ``refresh`` asks again.

    It shows what was ``said`` about it, until asked again, where that is more to the point than all that is known.
    """

    def __init__(self, session: Session, record: Mapping[str, Any], *, call: Call, said: Sequence[Block] = ()) -> None:
        self._session = session
        self._call = call
        self._said = said
        self.record = dict(record)

    @property
    def id(self) -> str:
        return str(self.record["id"])

    @property
    def name(self) -> str:
        return str(self.record["name"])

    @property
    def state(self) -> str:
        """Asked now."""
        return str(self.refresh().record["state"])

    @property
    def outcome(self) -> str | None:
        return self.record.get("outcome")

    def refresh(self) -> Execution:
        """Ask for its record again."""
        self.record, self._said = self._session.api.execution(self.id), ()
        return self

    def wait(self, until: str = "", *, timeout_s: float | None = None) -> Execution:
        """Wait until it is ``running`` or ``ended``; by default a job until it has ended, others until they run.

        Raises UserError when it failed, and TimeoutError when that takes longer than ``timeout_s``.
        """
        goal = until or ("ended" if is_job(self.record) else "running")
        if goal not in ("running", "ended"):
            raise UserError(f"wait until 'running' or 'ended', not {goal!r}")
        is_so_far = is_ended if goal == "ended" else is_running
        self._session.screen = screen = screen_for(current_shell())
        try:
            self.record = dict(self._session.wait(self.record, is_so_far, timeout_s=timeout_s))
        finally:
            screen.close()
        if self.record["state"] == "ended" and self.outcome in ("failed", "lost", "expired"):
            raise UserError(failure_text(self._session, self.record))
        return self

    def stop(self, *, wait: bool = False) -> Execution:
        """Stop it."""
        return self._taken(self._call("stop", self.id, wait=wait))

    def restart(self) -> Execution:
        return self._taken(self._call("restart", self.id))

    def suspend(self) -> Execution:
        return self._taken(self._call("suspend", self.id))

    def resume(self) -> Execution:
        return self._taken(self._call("resume", self.id))

    def scale(self, count: int | None = None, **processes: int) -> Execution:
        """So many services in all: ``scale(8)``, or by process: ``scale(worker=8)``."""
        words = ([] if count is None else [str(count)]) + [
            f"{process}={number}" for process, number in processes.items()
        ]
        return self._taken(self._call("scale", self.id, *words))

    def logs(self, *, service: str = "", tail: int | None = None, follow: bool = False) -> Any:
        """Its log as a list of lines; with ``follow``, an iterator that goes on."""
        found: list[str] | Iterator[str] = self._call("logs", self.id, service=service, tail=tail, follow=follow)
        return found

    def links(self) -> list[dict[str, str]]:
        """Its web pages: ``{title, url}``."""
        found: list[dict[str, str]] = self._call("open", self.id)
        return found

    def attach(self, variable: str = "") -> Any:
        """Connect this kernel to it; the session, which is in the namespace too."""
        return self._call("attach", self.id, variable=variable or None)

    def _taken(self, changed: Execution) -> Execution:
        self.record = changed.record
        return self

    def __repr__(self) -> str:
        return f"<Execution {self.name} ({self.id}): {self.record['state']}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        result = Result(self._said or self._blocks())
        html = to_html(result, own_origin=self._session.own_origin)
        return {"text/html": html, "text/plain": to_text(result)}

    def _blocks(self) -> list[Block]:
        return details({**self.record, "story": ()}, base_url=self._session.base_url)
