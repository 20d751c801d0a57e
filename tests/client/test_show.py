"""What is shown of one execution."""

from __future__ import annotations

from typing import Any

from zoe_jupyter.client.text import to_text
from zoe_jupyter.client.verbs.results import Result
from zoe_jupyter.client.verbs.show import details, executions_table, short_image

DIGEST = "sha256:0123456789abcdef0123456789abcdef"


def execution(*images: str) -> dict[str, Any]:
    services = [
        {
            "name": f"spark.worker-{number}",
            "process": "spark.worker",
            "state": "running",
            "node": "n1",
            "attempt": 1,
            "image": image,
        }
        for number, image in enumerate(images)
    ]
    return {"id": "x1", "name": "spark", "title": "Spark", "state": "running", "services": services}


def shown(*images: str) -> list[str]:
    return to_text(Result(details(execution(*images), base_url=""))).splitlines()


def test_images_are_told_by_digest_where_there_are_some() -> None:
    assert not any("IMAGE" in line for line in shown("", ""))
    heading, first, second = shown(f"site:5000/spark@{DIGEST}", "")[-3:]
    assert heading.endswith("IMAGE")
    assert first.endswith("  site:5000/spark@sha256:0123456789ab")
    assert second.split() == ["spark.worker-1", "running", "n1", "1"]


def test_of_a_digest_as_much_is_shown_as_tells_it_from_others() -> None:
    assert short_image(DIGEST) == "sha256:0123456789ab"
    assert short_image("site/spark:4") == "site/spark:4"


def test_elastic_services_that_found_no_room_are_told() -> None:
    scalable = [{"process": "spark.worker", "current": 1, "wanted": 40}]
    found = {**execution("", ""), "scalable": scalable}
    assert "  2 of 40 spark.worker; the others start as room becomes free" in to_text(
        Result(details(found, base_url=""))
    )
    assert "2 of 40" in to_text(Result([executions_table([found], base_url="")]))
    assert "2 of 2" in to_text(Result([executions_table([{**found, "state": "starting"}], base_url="")]))
