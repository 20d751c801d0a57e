"""A Python job: a script with arguments, in the notebook's folder."""

from __future__ import annotations

from tests.frameworks.cases import Case

SCRIPT = """
import os, sys
from beside import WORD
print(WORD, sys.argv[1:], open("data.txt").read(), os.environ["COLOUR"], "JUPYTER_TOKEN" in os.environ)
"""

CASE = Case(
    parameters={
        "script": "job.py",
        "args": ["a b", "{{ c }}"],
        "environment": {"COLOUR": "red"},
        "memory": "128MiB",
    },
    files={"job.py": SCRIPT, "beside.py": "WORD = 'found'", "data.txt": "data"},
    log="found ['a b', '{{ c }}'] data red False",
)
