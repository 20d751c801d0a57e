"""A file with settings that cannot be read: Jupyter starts, Zoe does not, and everybody who asks is told the line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.test_servers import environment, place, start  # noqa: F401
from zoe_jupyter.server.settings_files import Unreadable, refuse_missing

WRONG = {
    "jupyter_zoe_config.py": [
        ('c.Zoe.backend = "docker"\nc.Zoe.backend_options = {\n', "line 2: SyntaxError: '{' was never closed"),
        ('import os\n\nc.Zoe.policy = os.environ["NOWHERE"]\n', "line 3: KeyError: 'NOWHERE'"),
    ],
    "jupyter_zoe_config.json": [('{"Zoe": {\n"backend": docker}}', "line 2: JSONDecodeError: Expecting value")],
}


@pytest.fixture(
    params=[(name, *each) for name, contents in WRONG.items() for each in contents], ids=lambda each: each[2]
)
def said(place: Path, request: pytest.FixtureRequest) -> str:  # noqa: F811
    name, content, said = request.param
    (place / "config" / name).write_text(content)
    return f"Zoe could not be started: {place / 'config' / name}, {said}"


def zoe(place: Path, *words: str) -> subprocess.CompletedProcess[str]:  # noqa: F811
    command = [sys.executable, "-m", "zoe_jupyter.cli.app", *words]
    return subprocess.run(command, env=environment(place), cwd=place, capture_output=True, text=True, timeout=60)


def test_a_server_goes_on_and_its_zoe_says_the_line(start, place: Path, said: str) -> None:  # noqa: F811
    server = start()
    status, body = server.ask("GET", "info")
    assert (status, body["reason"]) == (503, "unavailable")
    assert said in body["message"]
    assert said in (place / "server-0.log").read_text()
    asked = zoe(place, "ps")
    assert asked.returncode == 3
    assert said in asked.stderr
    server.kill()


def test_a_file_that_the_server_has_passed_over_counts_too(start, place: Path) -> None:  # noqa: F811
    """Zoe would go on with what nobody has chosen."""
    file = place / "config" / "jupyter_server_config.py"
    file.write_text('c.Zoe.backend = "docker"\nc.ServerApp.terminado_settings = {\n')
    server = start()
    status, body = server.ask("GET", "info")
    assert (status, body["reason"]) == (503, "unavailable")
    assert f"{file}, line 2: SyntaxError: '{{' was never closed" in body["message"]
    server.kill()


def test_serve_does_not_start(place: Path, said: str) -> None:  # noqa: F811
    served = zoe(place, "serve")
    assert served.returncode == 1
    assert said in served.stderr
    assert "Traceback" not in served.stderr


def test_serve_does_not_start_without_the_file_that_it_was_told(place: Path) -> None:  # noqa: F811
    served = zoe(place, "serve", "--config=typo.py")
    assert served.returncode == 1
    assert served.stderr == "Zoe could not be started: --config: there is no file typo.py\n"


def test_a_file_is_named_as_traitlets_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("c.Zoe.policy = 'fifo'\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("~/mine.py", "$HOME/mine.py", "~/mine", str(tmp_path / "mine.conf")):
        refuse_missing(name)
    monkeypatch.setenv("MINE", str(tmp_path / "mine.py"))
    for name in ("$MINE", "~/other.py"):
        with pytest.raises(Unreadable, match="there is no file"):
            refuse_missing(name)


@pytest.mark.usefixtures("said")
def test_a_new_file_can_be_written_all_the_same(place: Path) -> None:  # noqa: F811
    written = zoe(place, "--generate-config", f"--config={place / 'new.py'}")
    assert written.returncode == 0, written.stderr
    assert "c.Zoe.backend" in (place / "new.py").read_text()
