"""``%zoe`` in a real IPython shell."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.utils.capture import CapturedIO, RichOutput, capture_output

from tests.attach.fake_kind import FakeSpark
from tests.client.running import RunningZoe
from zoe_jupyter.client import http
from zoe_jupyter.magics.extension import ZoeFailed
from zoe_jupyter.magics.objects import Execution
from zoe_jupyter.model.errors import UserError
from zoe_jupyter.model.execution import Outcome, State
from zoe_jupyter.testing.fake_core import FakeEntry

JOB = FakeEntry("python-job", title="Python job", form={"type": "object", "properties": {"code": {"type": "string"}}})


def run(shell: Any, code: str) -> Any:
    """Run a cell; its value."""
    with capture_output(stdout=False, stderr=False):
        result = shell.run_cell(code)
    result.raise_error()
    return result.result


def shown(shell: Any, code: str) -> list[RichOutput]:
    with capture_output(stdout=False, stderr=False) as captured:
        shell.run_cell(code).raise_error()
    return list(captured.outputs)


def printed(shell: Any, code: str) -> str:
    with capture_output() as captured:
        shell.run_cell(code).raise_error()
    return captured.stdout


def failed(shell: Any, code: str) -> ZoeFailed:
    with capture_output():
        result = shell.run_cell(code)
    assert isinstance(result.error_in_exec, ZoeFailed)
    return result.error_in_exec


def test_start_gives_an_execution_that_shows_itself(shell: Any, zoe: RunningZoe) -> None:
    execution = run(shell, "%zoe start spark --workers 3 --name mine")
    assert isinstance(execution, Execution)
    assert execution.name == "mine"
    assert zoe.core.submissions[0].parameters == {"workers": 3}
    bundle = execution._repr_mimebundle_()
    assert "mine" in bundle["text/plain"]
    assert bundle["text/html"].startswith("<div")
    assert repr(execution) == f"<Execution mine ({execution.id}): running>"


def test_python_variables_can_be_used_in_a_line(shell: Any, zoe: RunningZoe) -> None:
    shell.user_ns["n"] = 5
    run(shell, "%zoe start spark --workers {n}")
    assert zoe.core.submissions[0].parameters == {"workers": 5}


def test_alone_it_shows_what_is_running_as_html_and_text(shell: Any) -> None:
    (output,) = shown(shell, "%zoe")
    assert output.data["text/plain"] == "nothing is running"
    run(shell, "%zoe start spark --name mine")
    (output,) = shown(shell, "%zoe")
    assert "<table" in output.data["text/html"]
    assert "mine" in output.data["text/html"]
    assert "NAME" in output.data["text/plain"]


def test_links_hold_also_where_the_browser_has_another_name_for_the_server(
    shell: Any, zoe: RunningZoe, in_kernel: Callable[..., None]
) -> None:
    run(shell, "%zoe start spark --name mine")
    zoe.change(zoe.only.id, state=State.RUNNING)
    (output,) = shown(shell, "%zoe open mine")
    assert 'href="http://127.0.0.1:8888/base/zoe/at/' in output.data["text/html"]
    in_kernel()
    (output,) = shown(shell, "%zoe open mine")
    assert 'href="/base/zoe/at/' in output.data["text/html"]
    assert ">/base/zoe/at/" in output.data["text/html"]
    assert "http://127.0.0.1:8888/base/zoe/at/" in output.data["text/plain"]


def test_help_prints_and_does_not_fail(shell: Any) -> None:
    assert "usage: %zoe VERB" in printed(shell, "%zoe --help")
    assert "usage: %zoe VERB" in printed(shell, "%zoe help")
    assert "--follow" in printed(shell, "%zoe help logs")
    assert "--workers N" in printed(shell, "%zoe start spark --help")
    assert "--follow" in printed(shell, "%zoe logs --help")


def test_errors_are_short_and_still_stop_a_run_of_all_cells(shell: Any) -> None:
    error = failed(shell, "%zoe info nobody")
    assert error._render_traceback_() == ["Zoe: there is no execution 'nobody' of yours; `%zoe ps --all` lists them"]
    assert error.reason == "not_found"
    with capture_output() as captured:
        shell.run_cell("%zoe info nobody")
    assert "Traceback" not in captured.stdout + captured.stderr
    assert "no execution 'nobody'" in captured.stdout + captured.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%zoe sclae a 3", "did you mean `%zoe scale`"),
        ("%zoe start", "the following arguments are required: ENTRY"),
        ('%zoe start "spark', "No closing quotation"),
        ("%zoe start spark --workers", "expected"),
        ("%zoe run spark", "takes a cell"),
        ("%%zoe ps\nsomething", "takes no cell"),
        ("%zoe start spark --workers four", "--workers: 'four' is not a whole number"),
    ],
)
def test_misuse_is_explained(shell: Any, line: str, message: str) -> None:
    assert message in failed(shell, line).message


def test_nothing_running_says_what_to_do(shell: Any, zoe: RunningZoe) -> None:
    zoe.down()
    try:
        assert "no Zoe is running: open JupyterLab" in failed(shell, "%zoe ps").message
    finally:
        zoe.up()


def test_names_cannot_inject_html(shell: Any, zoe: RunningZoe) -> None:
    run(shell, "%zoe start spark --name mine")
    zoe.change(zoe.only.id, name="<img src=x onerror=alert(1)>\x1b[31m")
    for line in ("%zoe ps", "%zoe info " + zoe.only.id):
        (output,) = shown(shell, line)
        assert "<img" not in output.data["text/html"]
        assert "&lt;img" in output.data["text/html"]
        assert "\x1b" not in output.data["text/plain"]


@pytest.mark.parametrize(
    "line",
    [
        "%zoe",
        "%zoe shop",
        "%zoe ps",
        "%zoe info",
        "%zoe info mine",
        "%zoe open mine",
        "%zoe queue",
        "%zoe nodes",
        "%zoe validate spark",
        "%zoe scale mine 3",
        "%zoe suspend mine",
        "%zoe restart mine",
        "%zoe detach",
        "%zoe stop mine",
    ],
)
def test_every_verb_shows_html_and_text(shell: Any, line: str) -> None:
    run(shell, "%zoe start spark --name mine")
    (output,) = shown(shell, line)
    assert output.data["text/html"].startswith('<div class="zoe-output"')
    assert output.data["text/plain"].strip()
    assert "<" not in output.data["text/plain"]


def test_nodes_that_cannot_be_reached_are_told_in_the_output(
    shell: Any, zoe: RunningZoe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoe.core, "silence", lambda: "the engine docker does not answer")
    (output,) = shown(shell, "%zoe nodes")
    told = "the machines cannot be reached: the engine docker does not answer"
    assert output.data["text/plain"].splitlines()[-1] == told
    assert told in output.data["text/html"]


def test_logs_are_printed_without_control_sequences(shell: Any, zoe: RunningZoe) -> None:
    run(shell, "%zoe start spark --name mine")
    zoe.core.log_chunks = [b"one\n", b"\x1b[2Jtwo \xff\n"]
    assert printed(shell, "%zoe logs mine").splitlines()[1:] == ["one", "two \ufffd"]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Also where the tests run in the background of a shell, which has them ignore interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_following_a_log_ends_cleanly_on_interrupt(shell: Any, zoe: RunningZoe) -> None:
    run(shell, "%zoe start spark --name mine")
    main_thread = threading.main_thread().ident
    assert main_thread is not None

    has_ended = threading.Event()

    def interrupt_at_the_end(captured: CapturedIO) -> None:
        """Again, as people do: Python does not see a signal that comes right before it waits for the network."""
        deadline = time.monotonic() + 60
        while "second line" not in captured.stdout and time.monotonic() < deadline:
            time.sleep(0.01)
        while not has_ended.is_set() and time.monotonic() < deadline:
            signal.pthread_kill(main_thread, signal.SIGINT)
            has_ended.wait(1)

    with capture_output() as captured:
        user = threading.Thread(target=interrupt_at_the_end, args=[captured])
        user.start()
        shell.run_cell("%zoe logs mine -f").raise_error()
        has_ended.set()
        user.join()
    assert captured.stdout.splitlines()[1:] == ["first line", "second line"]


def test_a_cell_is_a_description(shell: Any, zoe: RunningZoe) -> None:
    execution = run(shell, "%%zoe zapp mine\nzoe: 1\nkind: zapp\n")
    assert execution.name == "mine"
    assert zoe.core.submissions[0].text == "zoe: 1\nkind: zapp\n"
    assert "line 1: use: no such thing" in failed(shell, "%%zoe zapp\nnonsense: 1\n").message


@pytest.mark.usefixtures("fake_spark")
def test_attach_puts_the_session_into_the_notebook(shell: Any, zoe: RunningZoe) -> None:
    outputs = shown(shell, "%zoe attach spark --workers 3")
    assert shell.user_ns["spark"].connection["name"]
    assert "`spark`: Spark 4.3.0" in outputs[-1].data["text/plain"]
    shell.user_ns["spark"] = "mine now"
    assert "`spark` is yours" in failed(shell, "%zoe attach spark").message
    run(shell, "%zoe detach")
    assert shell.user_ns["spark"] == "mine now"


@pytest.mark.usefixtures("fake_spark")
def test_progress_is_one_display_in_a_kernel(shell: Any, zoe: RunningZoe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "kernel", object(), raising=False)
    zoe.begin_in(State.STARTING)
    timer = threading.Timer(0.5, lambda: zoe.change(zoe.only.id, state=State.RUNNING))
    timer.start()
    outputs = shown(shell, "%zoe attach spark")
    timer.join()
    first = outputs[0]
    assert first.transient["display_id"]
    assert {output.transient["display_id"] for output in outputs if output.update} == {first.transient["display_id"]}
    last = [output for output in outputs if output.update][-1]
    assert last.data["text/plain"].splitlines()[-1] == "connected"
    assert 'role="status"' in last.data["text/html"]


def test_a_step_that_came_to_nothing_has_no_tick(
    shell: Any, zoe: RunningZoe, fake_spark: type[FakeSpark], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "kernel", object(), raising=False)
    fake_spark.failure = OSError("refused by the host")
    with capture_output() as captured:
        shell.run_cell("%zoe attach spark")
    steps = re.findall(r"<span[^>]*>(.)</span>([^<]*)", captured.outputs[-1].data["text/html"])
    assert steps[-1] == ("!", "connecting")


@pytest.mark.usefixtures("zoe")
def test_a_job_that_is_waited_for_is_told_in_one_line(shell: Any, zoe: RunningZoe) -> None:
    zoe.core._shop._entries.append(JOB)
    make = zoe.core._new

    def ended(submission: Any, caller: Any) -> Any:
        execution = make(submission, caller)
        over = replace(execution, state=State.ENDED, outcome=Outcome.SUCCEEDED, ended_at=execution.created_at)
        zoe.core.by_id[execution.id] = over
        return over

    zoe.core._new = ended  # type: ignore[method-assign]
    with capture_output(display=False) as captured:
        execution = run_raw(shell, "%%zoe run python-job --name hello --wait\nprint(1)")
    assert "first line\nsecond line\n" in captured.stdout
    assert execution._repr_mimebundle_()["text/plain"] == "hello has succeeded; `%zoe info hello` tells all about it"
    assert "Story" not in execution.refresh()._repr_mimebundle_()["text/plain"]
    assert "id:" in execution._repr_mimebundle_()["text/plain"]


def run_raw(shell: Any, code: str) -> Any:
    result = shell.run_cell(code)
    result.raise_error()
    return result.result


def test_a_cell_may_load_what_the_toolbar_has_loaded_without_a_word(shell: Any) -> None:
    from zoe_jupyter import unload_ipython_extension

    unload_ipython_extension(shell)
    shell.extension_manager.loaded.discard("zoe_jupyter")
    shell.run_cell("get_ipython().extension_manager.load_extension('zoe_jupyter')", store_history=False).raise_error()
    assert printed(shell, "%load_ext zoe_jupyter") == ""
    with capture_output() as captured:
        shell.run_cell("%load_ext zoe_jupyter", store_history=True)
    assert "already loaded" in captured.stdout
    assert len(shell.events.callbacks["post_run_cell"]) == 1
    shell.extension_manager.loaded.discard("zoe_jupyter")


def test_loading_twice_is_loading_once_and_unloading_takes_it_away(shell: Any) -> None:
    from zoe_jupyter import load_ipython_extension, unload_ipython_extension

    before = len(shell.events.callbacks["pre_run_cell"])
    load_ipython_extension(shell)
    assert len(shell.events.callbacks["pre_run_cell"]) == before
    unload_ipython_extension(shell)
    assert "zoe" not in shell.magics_manager.magics["line"]
    assert len(shell.events.callbacks["pre_run_cell"]) == before - 1
    assert shell.complete("", "%zoe sta", 8)[1] != ["start"]


@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("%zoe sta", ["start"]),
        ("%zoe start s", ["spark"]),
        ("%zoe start spark --wor", ["--workers"]),
        ("%zoe start spark --with ", ["kernel", "server"]),
        ("%zoe stop mi", ["mine"]),
        ("%zoe attach m", ["mine"]),
        ("%zoe scale mine 3 x", []),
        ("%zoe logs mine --fo", ["--follow"]),
        ("%zoe nonsense a", []),
        ("%zoe nonsense ", []),
        ("%%zoe zap", ["zapp"]),
        ("found = %zoe sho", ["shop"]),
        ("%zoe nodes --disable ", ["here"]),
        ("%zoe validate READ", ["README.md"]),
    ],
)
def test_completion_knows_verbs_options_and_names(
    shell: Any, root: Path, monkeypatch: pytest.MonkeyPatch, line: str, completions: list[str]
) -> None:
    """And nothing else: no magics, no files, no Python names."""
    run(shell, "%zoe start spark --name mine")
    monkeypatch.chdir(root)
    _, found = shell.complete("", line, len(line))
    assert found == completions


def test_a_front_end_gets_the_same_words_at_the_place_of_the_last(shell: Any) -> None:
    for line, words in (("%zoe sta", ["start"]), ("%zoe nonsense ", [])):
        with provisionalcompleter():
            found = list(shell.Completer.completions(line, len(line)))
        assert [one.text for one in found] == words
        assert all(line[one.start : one.end] == "sta" for one in found)


def test_other_lines_are_completed_as_ever(shell: Any) -> None:
    shell.user_ns["zoe_of_mine"] = 1
    for line in ("zoe_of_m", 'print("%zoe " + zoe_of_m'):
        with provisionalcompleter():
            assert "zoe_of_mine" in [one.text for one in shell.Completer.completions(line, len(line))]


def test_completion_waits_for_no_server_and_says_nothing_of_it(
    shell: Any, zoe: RunningZoe, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = []

    def pauses() -> Iterator[float]:
        while True:
            waited.append("for a server")
            yield 0.0

    monkeypatch.setattr(http, "_pauses", pauses)
    left = zoe.file.read_text()
    zoe.down()
    zoe.file.write_text(left)
    try:
        with capture_output() as captured:
            shell.complete("", "%zoe stop ", 10)
        assert waited == []
        assert captured.stdout + captured.stderr == ""
    finally:
        zoe.up()


def test_the_python_api_gives_objects(shell: Any, zoe: RunningZoe) -> None:
    import zoe_jupyter

    execution = zoe_jupyter.start("spark", workers=3, name="mine", lifetime="8h", idle="1h")
    assert zoe.core.submissions[0].parameters == {"workers": 3}
    assert zoe.core.submissions[0].lifetime == {"after": "8h", "idle": "1h"}
    assert execution.wait().state == "running"
    assert execution.logs(tail=5) == ["first line", "second line"]
    assert [one.name for one in zoe_jupyter.ps()] == ["mine"]
    execution.scale(4)
    assert zoe.only.target.elastic == {"spark.worker": 3}
    execution.scale(**{"spark.worker": 2})
    assert execution.links()[0]["title"] == "Spark master"
    assert execution.stop().record["state"] == "ended"
    assert zoe_jupyter.ps() == []
    assert [entry["name"] for entry in zoe_jupyter.shop("parallel")] == ["dask"]


def test_the_python_api_refuses_what_it_does_not_know(shell: Any) -> None:
    import zoe_jupyter

    with pytest.raises(UserError, match="ps takes no bananas"):
        zoe_jupyter.ps(bananas=1)
    with pytest.raises(UserError, match="start needs entry"):
        zoe_jupyter.start()
    with pytest.raises(UserError, match="'b' is too many"):
        zoe_jupyter.info("a", "b")
    with pytest.raises(UserError, match="a mapping of names to values, not 5"):
        zoe_jupyter.start("spark", parameters=5)
    with pytest.raises(UserError, match="a text as entry, not 5"):
        zoe_jupyter.start(5)
    with pytest.raises(UserError, match="a text as names, not 5"):
        zoe_jupyter.stop("mine", 5)
    with pytest.raises(UserError, match="can be sent to Zoe"):
        zoe_jupyter.start("spark", workers={1, 2})


def test_the_python_api_takes_executions_and_paths(shell: Any, zoe: RunningZoe, tmp_path: Path) -> None:
    import zoe_jupyter

    execution = zoe_jupyter.start("spark", name="mine")
    assert zoe_jupyter.info(execution).id == execution.id
    (tmp_path / "zapp.yaml").write_text("zoe: 1\nkind: zapp\n")
    assert zoe_jupyter.validate(tmp_path / "zapp.yaml")["fits_now"]
    assert zoe_jupyter.stop(execution).record["state"] == "ended"


def test_waiting_ends_in_time_and_stops_nothing(shell: Any, zoe: RunningZoe) -> None:
    import zoe_jupyter

    zoe.begin_in(State.STARTING)
    execution = zoe_jupyter.start("spark", name="mine")
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"not within 0\.3 s; the execution goes on"):
        execution.wait(timeout_s=0.3)
    assert time.monotonic() - began < 10
    assert zoe.only.state is State.STARTING
    zoe.change(execution.id, state=State.RUNNING)
    assert execution.wait(timeout_s=30).state == "running"


def test_attach_is_a_function_and_a_package(
    shell: Any, zoe: RunningZoe, fake_spark: Any, in_kernel: Callable[..., None]
) -> None:
    in_kernel()
    import zoe_jupyter
    import zoe_jupyter.attach.registry

    session = zoe_jupyter.attach("spark", as_="cluster", workers=2)
    assert shell.user_ns["cluster"] is session
    assert zoe.core.submissions[0].parameters == {"workers": 2}
    zoe_jupyter.detach()
    assert zoe_jupyter.attach.registry.names() == []
