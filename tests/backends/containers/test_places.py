"""Where things are inside a container."""

from __future__ import annotations

from zoe_jupyter.backends.base import ServiceOrder
from zoe_jupyter.backends.containers.places import environment, published, reserved
from zoe_jupyter.model.application import Port


def test_all_that_templates_may_name_is_the_same_for_every_attempt() -> None:
    made = reserved("spark-master-0-abc", {"ui": Port("http"), "rpc": Port()}, "/home/ada/frameworks/spark")
    assert made.host == "spark-master-0-abc"
    assert dict(made.ports) == {"rpc": 20000, "ui": 20001}
    assert made.framework_folder == "/opt/zoe/spark"
    assert made.folder == made.cwd == "/zoe"


def test_a_service_finds_its_own_environment_and_a_home() -> None:
    order = ServiceOrder("zoe", "e1", "ada", "a.b-0", 1, ("run",), environment={"A": "1"})
    assert environment(order) == {"HOME": "/zoe", "ZOE_EXECUTION": "e1", "ZOE_SERVICE": "a.b-0", "A": "1"}


def test_only_what_somebody_outside_may_want_is_published() -> None:
    assert published({"ui": Port(), "comm": Port(is_published=False)}) == ("ui",)
