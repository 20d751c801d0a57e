"""What runs in a kernel needs nothing but the standard library and IPython."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import zoe_jupyter

CODE = """
import importlib.abc, sys

ALLOWED = {"zoe_jupyter", "IPython"}
ROOT = sys.argv[1]
sys.path.insert(0, ROOT)

class Guard(importlib.abc.MetaPathFinder):
    # What IPython itself imports is its own affair.
    def find_spec(self, name, path=None, target=None):
        frame = sys._getframe(1)
        while frame and "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        asker = frame.f_globals.get("__name__", "") if frame else ""
        top = name.partition(".")[0]
        if asker.startswith("zoe_jupyter") and top not in sys.stdlib_module_names and top not in ALLOWED:
            raise ImportError(f"{asker} imports {name}")
        return None

sys.meta_path.insert(0, Guard())
import pkgutil
import zoe_jupyter
for room in ("client", "attach", "magics", "model"):
    package = __import__(f"zoe_jupyter.{room}", fromlist=["*"])
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        __import__(module.name)
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
zoe_jupyter.load_ipython_extension(shell)
heavy = {"pydantic", "tornado", "sqlalchemy", "jupyter_server", "yaml", "jinja2", "psutil", "pyspark", "distributed", "ipywidgets"}
print(sorted(heavy & set(sys.modules)))
"""


def test_kernels_need_only_the_standard_library_and_ipython(tmp_path: Path) -> None:
    root = Path(zoe_jupyter.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-I", "-c", CODE, str(root)],
        capture_output=True,
        text=True,
        timeout=120,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_every_function_of_the_python_api_is_a_verb() -> None:
    from zoe_jupyter.attach.verbs import VERBS
    from zoe_jupyter.client.verbs.table import by_name

    assert {*by_name(VERBS), "Execution"} == zoe_jupyter.FUNCTIONS
    for name in by_name(VERBS):
        assert callable(getattr(zoe_jupyter, name))
    assert callable(zoe_jupyter.Execution)


def test_a_look_at_another_name_imports_nothing() -> None:
    code = "import sys, zoe_jupyter\nprint(hasattr(zoe_jupyter, 'plugins'), hasattr(zoe_jupyter, '_repr'), 'zoe_jupyter.client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["False", "False", "False"]
