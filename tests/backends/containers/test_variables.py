"""Variables of a service, as whatever shell an image has reads them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from zoe_jupyter.backends.containers.variables import exports

GIVEN = {"A": "it's\n$HOME", "UID": "7", "SHELLOPTS": "errexit", "EUID": "8 9"}
TOLD = "import json, os; print(json.dumps(dict(os.environ)))"
SHELLS = (("sh",), ("bash", "--posix"))


@pytest.mark.parametrize("shell", [each for each in SHELLS if shutil.which(each[0])], ids=" ".join)
@pytest.mark.parametrize("reads", ['. "$0"', 'eval "$(cat "$0")"'])
def test_variables_that_a_shell_keeps_to_itself_reach_the_program_as_well(
    tmp_path: Path, shell: tuple[str, ...], reads: str
) -> None:
    file = tmp_path / "environment"
    file.write_text(exports(GIVEN))
    words = [*shell, "-c", f'{reads} && exec "$@"', str(file), sys.executable, "-c", TOLD]
    assert json.loads(subprocess.check_output(words)).items() >= GIVEN.items()
