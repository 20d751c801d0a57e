"""Names as people read them: its title, or its name without the framework's alias where there is only one."""

from __future__ import annotations

from zoe_jupyter.model.application import Application
from zoe_jupyter.model.execution import Service


def of_service(application: Application, service: Service) -> str:
    """``worker-1``, or ``spark.worker-1`` beside another framework."""
    return _short(application, service.process, service.name)


def of_process(application: Application, process: str) -> str:
    """``worker``, ``spark.worker`` beside another framework, or as it says itself: ``Spark Connect``."""
    return application.process(process).title or _short(application, process, process)


def _short(application: Application, process: str, name: str) -> str:
    frameworks = {each.framework for each in application.processes}
    return name.removeprefix(f"{application.process(process).framework}.") if len(frameworks) == 1 else name
