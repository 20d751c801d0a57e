"""A real IPython shell with the magics loaded, and a running Zoe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.testing.globalipapp import start_ipython

from tests.attach.conftest import fake_spark, fresh_kernel
from tests.client.running import RunningZoe, in_kernel, zoe
from zoe_jupyter.magics import extension, functions

__all__ = ["fake_spark", "fresh_kernel", "in_kernel", "shell", "zoe"]


@pytest.fixture
def shell(zoe: RunningZoe) -> Iterator[InteractiveShell]:
    """The shell of this process: IPython has one."""
    found: Any = start_ipython() or InteractiveShell.instance()
    found.reset(new_session=False)
    functions.session.cache_clear()
    extension.load(found)
    yield found
    extension.unload(found)
    functions.session.cache_clear()
