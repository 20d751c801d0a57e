"""``jupyter zoe`` as a program."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from tests.client.running import RunningZoe
from zoe_jupyter.cli import app, commands
from zoe_jupyter.cli.app import main
from zoe_jupyter.client.verbs import look


def test_verbs_print_tables_and_json(zoe: RunningZoe, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", "spark", "--workers", "3", "--name", "mine"]) == 0
    capsys.readouterr()
    assert main(["ps"]) == 0
    assert "mine" in capsys.readouterr().out
    for words in (
        ["ps"],
        ["shop"],
        ["queue"],
        ["nodes"],
        ["info", "mine"],
        ["info"],
        ["logs", "mine"],
        ["open", "mine"],
        ["validate", "spark"],
    ):
        assert main([*words, "--json"]) == 0
        json.loads(capsys.readouterr().out)


def test_exit_codes_tell_what_went_wrong(zoe: RunningZoe, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert main(["start", "--help"]) == 0
    assert main(["nonsense"]) == 2
    assert main(["ps", "--bananas"]) == 2
    assert main(["info", "nobody"]) == 1
    captured = capsys.readouterr()
    assert "jupyter zoe: there is no execution 'nobody' of yours" in captured.err
    assert "Traceback" not in captured.err


def test_nodes_that_cannot_be_reached_are_a_failure_told_on_standard_error(
    zoe: RunningZoe, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["nodes"]) == 0
    monkeypatch.setattr(zoe.core, "silence", lambda: "the engine docker does not answer")
    told = "jupyter zoe: the machines cannot be reached: the engine docker does not answer\n"
    capsys.readouterr()
    assert main(["nodes"]) == 1
    captured = capsys.readouterr()
    assert (captured.err, "here" in captured.out, "cannot be" in captured.out) == (told, True, False)
    with monkeypatch.context() as nothing_known:
        nothing_known.setattr(zoe.core, "cluster", AsyncMock(return_value=[]))
        assert main(["nodes"]) == 1
        assert capsys.readouterr() == ("", told)
        assert main(["nodes", "--json"]) == 1
        assert capsys.readouterr() == ("[]\n", told)
    zoe.admit()
    assert main(["nodes", "--disable", "here"]) == 0, "what was asked for is done"
    assert "cannot be reached" in capsys.readouterr().out


def test_what_is_wrong_is_named_as_it_was_typed(zoe: RunningZoe, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", "spark", "--workers", "four"]) == 1
    assert capsys.readouterr().err == "jupyter zoe: --workers: 'four' is not a whole number\n"


def test_without_a_server_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("ZOE_CONNECTION_FILE", raising=False)
    assert main(["ps"]) == 3
    assert "no Zoe is running" in capsys.readouterr().err


def test_a_program_comes_from_a_file_or_standard_input(
    zoe: RunningZoe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "zapp.yaml"
    file.write_text("zoe: 1\nkind: zapp\n")
    assert main(["zapp", "mine", str(file)]) == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("zoe: 1\nkind: zapp\nname: b\n"))
    assert main(["zapp", "other", "-"]) == 0
    assert [submission.text.count("\n") for submission in zoe.core.submissions] == [2, 3]
    assert main(["zapp", "third", str(tmp_path / "missing.yaml")]) == 1


def test_progress_goes_to_standard_error(zoe: RunningZoe, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", "spark", "--name", "mine", "--wait"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "mine is ready\n"
    assert captured.err.startswith("mine: ")


def test_output_can_be_piped_and_cut_short_and_is_never_coloured(zoe: RunningZoe) -> None:
    for number in range(30):
        assert main(["start", "spark", "--name", f"job-{number}"]) == 0
    command = f"{sys.executable} -m zoe_jupyter.cli.app ps | head -2"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "FORCE_COLOR": "1"}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, timeout=60)
    assert len(done.stdout.splitlines()) == 2
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_a_log_that_is_followed_as_json_comes_line_by_line(
    zoe: RunningZoe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["start", "spark", "--name", "mine"])
    monkeypatch.setattr(look, "follow", lambda *found, **named: iter(["one", "tw\x1b[2Jo"]))
    capsys.readouterr()
    assert main(["logs", "mine", "--follow", "--json"]) == 0
    assert capsys.readouterr().out == '"one"\n"tw\\u001b[2Jo"\n'


def test_help_about_a_verb_is_had_both_ways(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "ps"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("usage: jupyter zoe ps")
    assert main(["ps", "--help"]) == 0
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("jupyter zoe sta", ["start"]),
        ("jupyter zoe ser", ["serve"]),
        ("jupyter-zoe stop mi", ["mine"]),
        ("jupyter zoe start spark --wor", ["--workers"]),
        ("jupyter zoe ps --", ["--all", "--help", "--json"]),
        ("jupyter zoe validate my", ["my.yaml"]),
        ("jupyter zoe zapp name my", ["my.yaml"]),
        ("jupyter la", []),
    ],
)
def test_bash_completes_verbs_options_and_names(
    zoe: RunningZoe, tmp_path: Path, line: str, completions: list[str]
) -> None:
    assert main(["start", "spark", "--name", "mine"]) == 0
    (tmp_path / "my.yaml").touch()
    words = line.split(" ")
    name = "_jupyter_zoe" if words[0] == "jupyter-zoe" else "_jupyter_or_zoe"
    program = tmp_path / "bin" / "jupyter-zoe"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m zoe_jupyter.cli.app "$@"\n')
    program.chmod(0o755)
    script = (
        'eval "$(jupyter-zoe --completion)"\n'
        f"COMP_WORDS=({' '.join(words)}) COMP_CWORD={len(words) - 1}\n"
        f'{name}\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(root)}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout.split(), done.stderr) == (completions, "")


def test_a_name_cannot_control_the_terminal(zoe: RunningZoe, capsys: pytest.CaptureFixture[str]) -> None:
    main(["start", "spark", "--name", "mine"])
    zoe.change(zoe.only.id, name="evil\x1b]0;title\x07\x1b[2J")
    capsys.readouterr()
    main(["ps"])
    assert "\x1b" not in capsys.readouterr().out


def test_commands_of_other_rooms_are_listed_and_called(
    zoe: RunningZoe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[list[str]] = []

    class Point:
        name = "serve"

        @staticmethod
        def load() -> object:
            def command(words: list[str]) -> int:
                calls.append(words)
                return 7

            return command

    monkeypatch.setattr(commands, "entry_points", lambda group: [Point])
    assert "serve" in app._overview()
    assert main(["serve", "--port", "0"]) == 7
    assert main(["--generate-config"]) == 7
    assert calls == [["--port", "0"], ["--generate-config"]]


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip()[0].isdigit()


def test_attach_opens_a_python_with_the_session_in_it(zoe: RunningZoe, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from zoe_jupyter.attach import kinds\n"
        "kinds._OWN['spark'] = 'tests.attach.fake_kind:FakeSpark'\n"
        "from zoe_jupyter.cli.app import main\n"
        "sys.exit(main(['attach', 'spark']))\n"
    )
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "IPYTHONDIR": str(tmp_path), "TERM": "dumb"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        input="print(type(spark).__name__, 6 * 7)\n%zoe ps\n",
        capture_output=True,
        text=True,
        env=environment,
        timeout=90,
    )
    assert "FakeSession 42" in done.stdout, done.stdout + done.stderr
    assert "NAME" in done.stdout
