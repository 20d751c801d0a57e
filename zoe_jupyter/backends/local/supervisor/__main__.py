"""Start of the supervisor: ``python -I -S __main__.py RUN_DIR``, or of the nursery. Makes this folder a package of its own: no more of Zoe is loaded."""

import os
import sys
import types

if __name__ == "__main__":
    package = types.ModuleType("zoe_supervisor")
    package.__path__ = [os.path.dirname(os.path.abspath(__file__))]
    sys.modules["zoe_supervisor"] = package
    from importlib import import_module

    if sys.argv[1].startswith("nursery:"):
        sys.exit(import_module("zoe_supervisor.nursery").main())
    sys.exit(import_module("zoe_supervisor.main").main(sys.argv[1]))
