"""Asks a service that is ready again and again whether it still works."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .loop import Timer
from .probes import Probe, Subject, make_probe


class Pulse:
    """``on_ill`` is called once, when it did not answer so often in a row as the order allows; with what was waited for."""

    def __init__(self, subject: Subject, spec: Mapping[str, Any] | None, on_ill: Callable[[str], object]) -> None:
        self._subject = subject
        self._spec = spec
        self._on_ill = on_ill
        self._failures = 0
        self._probe: Probe | None = None
        self._timer: Timer | None = None

    def start(self) -> None:
        """Nothing where nothing is to be proved."""
        if self._spec is not None:
            self._timer = self._subject.loop.later(float(self._spec["every_s"]), self._ask)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._probe is not None:
            self._probe.close()
        self._timer = self._probe = None

    def _ask(self) -> None:
        spec = self._spec or {}
        self._timer = self._subject.loop.later(float(spec["timeout_s"]), self._was_in_vain)
        self._probe = make_probe(spec, self._subject, self._answered)
        if self._probe is not None:
            self._probe.start()

    def _answered(self) -> None:
        self._failures = 0
        self.close()
        self.start()

    def _was_in_vain(self) -> None:
        waited_for = self._probe.describe() if self._probe is not None else "it"
        self._failures += 1
        self.close()
        if self._failures >= int((self._spec or {})["failures"]):
            self._on_ill(waited_for)
        else:
            self.start()
