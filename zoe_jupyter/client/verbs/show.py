"""Records of the API as blocks to show."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from zoe_jupyter.client.facts import is_job
from zoe_jupyter.client.follow import ended_text, progress_text
from zoe_jupyter.client.verbs.results import Block, Cell, Facts, Heading, Note, Table, Tone
from zoe_jupyter.model.units import format_bytes, format_duration

_TONES = {
    "running": Tone.GOOD,
    "ended": Tone.QUIET,
    "suspended": Tone.QUIET,
    "failed": Tone.BAD,
    "lost": Tone.BAD,
    "succeeded": Tone.GOOD,
}
Record = Mapping[str, Any]
DIGEST_SHOWN = 12


def executions_table(executions: Sequence[Record], *, base_url: str, now: float | None = None) -> Table:
    """What runs, one a row."""
    moment = time.time() if now is None else now
    rows = [
        [
            Cell(str(item["name"])),
            str(item.get("entry") or item.get("title") or ""),
            _state(item),
            _elapsed(item, moment),
            _services(item),
            _about(item, base_url),
        ]
        for item in executions
    ]
    return Table(("NAME", "APPLICATION", "STATE", "FOR", "SERVICES", "ABOUT"), rows, empty="nothing is running")


def details(execution: Record, *, base_url: str) -> list[Block]:
    """All about one execution."""
    blocks: list[Block] = [
        Heading(f"{execution['name']} ({execution.get('title') or execution.get('entry')})"),
        Facts(_facts(execution, base_url)),
    ]
    if execution["services"]:
        blocks.append(_services_table(execution["services"]))
    story = execution.get("story") or []
    if story:
        blocks += [
            Heading("Story"),
            Table(("TIME", "WHAT HAPPENED"), [[clock(item["at"]), item["text"]] for item in story]),
        ]
    return blocks


def _services_table(services: Sequence[Record]) -> Table:
    """With their images where somebody knows them."""
    rows = [
        [item["name"], _service_state(item), item["node"], str(item["attempt"]), _service_about(item)]
        for item in services
    ]
    columns = ("SERVICE", "STATE", "NODE", "TRY", "ABOUT")
    if not any(item.get("image") for item in services):
        return Table(columns, rows)
    images = [short_image(str(item.get("image") or "")) for item in services]
    return Table((*columns, "IMAGE"), [[*row, image] for row, image in zip(rows, images, strict=True)])


def short_image(image: str) -> str:
    """As much of its digest as tells it from others; ``info --json`` has all of it."""
    name, algorithm, digest = image.rpartition("sha256:")
    return f"{name}{algorithm}{digest[:DIGEST_SHOWN]}" if algorithm else image


def links(execution: Record, *, base_url: str) -> list[Cell]:
    """Its web pages; without a base URL, only the path is known."""
    return [
        Cell(endpoint.get("title") or endpoint["name"], link=base_url + endpoint["url"].lstrip("/"))
        for endpoint in execution.get("endpoints") or ()
    ]


def amount(record: Record) -> str:
    """``2 cores, 3 GiB``."""
    gpus = record.get("gpus") or 0
    return (
        f"{record['cores']:.4g} core{'' if record['cores'] == 1 else 's'}, {format_bytes(record['memory_bytes'])}"
        + (f", {gpus} GPUs" if gpus else "")
    )


def clock(at: float | None) -> str:
    """Local time of day, with the date when it is not today."""
    if not at:
        return ""
    then = time.localtime(at)
    return time.strftime("%H:%M:%S" if then[:3] == time.localtime()[:3] else "%Y-%m-%d %H:%M", then)


def reason_note(reason: Record | None) -> list[Block]:
    return [Note(str(reason["text"]))] if reason and reason.get("text") else []


def _facts(execution: Record, base_url: str) -> list[tuple[str, Cell | str]]:
    pairs: list[tuple[str, Cell | str]] = [("id", str(execution["id"])), ("state", _state_told(execution))]
    is_over = execution["state"] == "ended"
    if not is_over:
        pairs += [("progress", progress_text(execution)), ("elastic", _elastic(execution))]
    pairs += [
        ("connections", ", ".join(execution.get("connections") or ())),
        ("parameters", _parameters(execution)),
        ("lifetime", "" if is_over else lifetime_text(execution)),
    ]
    pairs += [(cell.text, Cell(cell.link, link=cell.link)) for cell in links(execution, base_url=base_url)]
    pairs.append(("notebook", str(execution.get("notebook") or "")))
    pairs += [(word, clock(execution.get(f"{word}_at"))) for word in ("created", "started", "ended")]
    return [(name, value) for name, value in pairs if (value.text if isinstance(value, Cell) else value)]


def lifetime_text(execution: Record) -> str:
    """When it goes away by itself."""
    lifetime = execution.get("lifetime") or {}
    parts = []
    if lifetime.get("together_with"):
        parts.append(
            f"until {format_duration(lifetime.get('grace_s') or 0)} after its {lifetime['together_with']} has ended"
        )
    if lifetime.get("idle_s") is not None:
        parts.append(f"until it was idle for {format_duration(lifetime['idle_s'])}")
    if lifetime.get("after_s") is not None:
        parts.append(f"for {format_duration(lifetime['after_s'])} at most")
    if lifetime.get("ends_at"):
        parts.append(f"as things stand until {clock(lifetime['ends_at'])}")
    return "; ".join(parts) or ("until its program has ended" if is_job(execution) else "until stopped")


def _parameters(execution: Record) -> str:
    return ", ".join(f"{name}={value}" for name, value in (execution.get("parameters") or {}).items())


def _state(execution: Record) -> Cell:
    state = str(execution["state"])
    if state == "ended":
        outcome = str(execution.get("outcome") or "ended")
        return Cell(outcome, _TONES.get(outcome, Tone.QUIET))
    return Cell(state, _TONES.get(state, Tone.BUSY))


def _state_told(execution: Record) -> Cell:
    """With the reason where it has ended."""
    state = _state(execution)
    return replace(state, text=ended_text(execution)) if execution["state"] == "ended" else state


def _services(execution: Record) -> str:
    """Of those that there are, and of those that found no room yet."""
    services = execution.get("services") or ()
    ready = sum(1 for service in services if service["state"] == "running")
    wanted = len(services) + sum(each["wanted"] - count for each, count in _without_room(execution))
    return f"{ready} of {wanted}" if services and execution["state"] != "ended" else ""


def _without_room(execution: Record) -> list[tuple[Record, int]]:
    """What of it is up but for elastic services, and how many of them there are."""
    counts = Counter(service["process"] for service in execution.get("services") or ())
    scalable = execution.get("scalable") or () if execution["state"] == "running" else ()
    return [(each, counts[each["process"]]) for each in scalable if counts[each["process"]] < each["wanted"]]


def _elastic(execution: Record) -> str:
    told = [f"{count} of {each['wanted']} {each['process']}" for each, count in _without_room(execution)]
    return f"{', '.join(told)}; the others start as room becomes free" if told else ""


def _service_state(service: Record) -> Cell:
    state = str(service["state"])
    return Cell(state, _TONES.get(state, Tone.BUSY))


def _service_about(service: Record) -> str:
    exit_code = service.get("exit_code")
    parts = [
        f"exit code {exit_code}" if exit_code is not None else "",
        str((service.get("reason") or {}).get("text") or ""),
    ]
    return "; ".join(part for part in parts if part)


def _elapsed(execution: Record, now: float) -> str:
    """For how long it has been running, or waiting; for an ended one, how long it ran. As the panel tells it."""
    end = execution.get("ended_at") or now
    begun = execution.get("started_at") or execution.get("created_at") or end
    return format_duration(max(0, round(end - begun)))


def _about(execution: Record, base_url: str) -> Cell | str:
    if execution["state"] == "ended":
        why = str((execution.get("reason") or {}).get("text", ""))
        return "" if why == execution.get("outcome") else why
    if execution["state"] == "running":
        found = links(execution, base_url=base_url)
        return found[0] if found else ""
    return progress_text(execution)
