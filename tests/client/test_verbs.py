"""Verbs from words to results, against a running Zoe."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from tests.client.running import RunningZoe
from zoe_jupyter.attach.verbs import VERBS
from zoe_jupyter.client.facts import is_job
from zoe_jupyter.client.follow import Step, ended_text
from zoe_jupyter.client.text import to_lines, to_text
from zoe_jupyter.client.verbs.parser import HelpWanted, Usage, find, overview, parse
from zoe_jupyter.client.verbs.results import Result
from zoe_jupyter.client.verbs.session import EXCERPT, Quiet, Session
from zoe_jupyter.client.verbs.show import executions_table
from zoe_jupyter.client.verbs.submit import _started
from zoe_jupyter.client.verbs.table import Faces
from zoe_jupyter.model.errors import Conflict, Forbidden, InvalidDescription, NotFound, Problem, UserError
from zoe_jupyter.model.execution import Goal, Outcome, Reason, Service, State, Target


def do(session: Session, line: str) -> Result:
    name, *words = line.split()
    verb = find(VERBS, name, command=session.command)
    return verb.call(session, **parse(verb, words, session=session))


@pytest.fixture
def session(zoe: RunningZoe) -> Session:
    return Session()


def test_start_takes_options_from_the_entrys_own_form(session: Session, zoe: RunningZoe) -> None:
    do(session, "start spark --workers 4 --name mine --for 8h --idle 1h")
    submission = zoe.core.submissions[0]
    assert submission.parameters == {"workers": 4}
    assert (submission.use, submission.name) == ("spark", "mine")
    assert submission.lifetime == {"after": "8h", "idle": "1h"}
    assert submission.lease == ""


def test_a_lifetime_is_the_applications_own_unless_it_is_said(session: Session, zoe: RunningZoe) -> None:
    do(session, "start spark")
    do(session, "start spark --keep")
    assert [submission.lifetime for submission in zoe.core.submissions] == [None, {}]
    with pytest.raises(Conflict, match="leave out"):
        do(session, "start spark --keep --for 8h")


def test_a_kernel_of_the_server_takes_its_lease_with_the_submission(
    session: Session, zoe: RunningZoe, in_kernel: Callable[..., None]
) -> None:
    in_kernel()
    do(session, "start spark --with kernel")
    (submission,) = zoe.core.submissions
    assert (submission.lease, submission.client.kernel_id, submission.client.server) == ("kernel", "k1", "server-1")
    assert submission.labels == {"zoe/kernel": "k1", "zoe/notebook": "/home/ann/flights.ipynb"}


def test_an_unknown_parameter_is_told_before_anything_starts(session: Session, zoe: RunningZoe) -> None:
    with pytest.raises(Usage, match=r"unrecognized arguments: --wrokers 4; did you mean --workers\?"):
        do(session, "start spark --wrokers 4")
    with pytest.raises(InvalidDescription, match="'four' is not a whole number"):
        do(session, "start spark --workers four")
    with pytest.raises(NotFound, match="no 'sparc'"):
        do(session, "start sparc")
    assert not zoe.core.submissions


def test_a_parameter_can_be_set_by_name(session: Session, zoe: RunningZoe) -> None:
    do(session, "start spark --set workers=3 --set other=[1,2]")
    assert zoe.core.submissions[0].parameters == {"workers": 3, "other": [1, 2]}


def test_help_lists_the_parameters_and_does_not_exit(session: Session) -> None:
    with pytest.raises(HelpWanted) as wanted:
        do(session, "start spark --help")
    assert "--workers N" in wanted.value.text
    assert "1 to 64, default 2" in wanted.value.text
    with pytest.raises(HelpWanted):
        do(session, "start nowhere --help")


def test_every_verb_has_help_in_every_face(session: Session) -> None:
    for verb in VERBS:
        with pytest.raises(HelpWanted) as wanted:
            parse(verb, ["--help"], session=session)
        assert verb.summary.split(":")[0][:20] in wanted.value.text
    for face in (Faces.NOTEBOOK, Faces.SHELL):
        assert "attach" in overview(VERBS, command="x", face=face)


def test_a_mistyped_verb_names_the_near_one(session: Session) -> None:
    with pytest.raises(Usage, match="did you mean `jupyter zoe scale`"):
        do(session, "scael spark 3")


def test_ps_shows_what_runs_and_all_what_ended(session: Session, zoe: RunningZoe) -> None:
    assert to_text(do(session, "ps")) == "nothing is running"
    do(session, "start spark --name one")
    do(session, "start spark --name two")
    do(session, "stop one")
    text = to_text(do(session, "ps"))
    assert "two" in text
    assert "one" not in text
    assert "stopped" in to_text(do(session, "ps --all"))


def test_info_tells_all_about_one_and_about_zoe(session: Session) -> None:
    do(session, "start spark --name one")
    text = to_text(do(session, "info one"))
    assert "spark.master-0" in text
    assert "http://127.0.0.1:8888/base/zoe/at/" in text
    assert "Story" in text
    assert "backend:" in to_text(do(session, "info"))


def test_open_gives_addresses_below_the_servers_base(session: Session) -> None:
    do(session, "start spark --name one")
    (page,) = do(session, "open one").data
    assert page["url"].startswith("http://127.0.0.1:8888/base/zoe/at/")
    assert do(session, "open one master").data == [page]
    with pytest.raises(NotFound, match="has no page 'nothing'"):
        do(session, "open one nothing")


def test_a_machine_is_taken_out_of_use_and_put_back_by_an_admin(session: Session, zoe: RunningZoe) -> None:
    with pytest.raises(Forbidden, match="only an admin"):
        do(session, "nodes --disable here")
    zoe.admit()
    assert "disabled" in to_text(do(session, "nodes --disable here"))
    assert "disabled" in to_text(do(session, "nodes"))
    assert "disabled" not in to_text(do(session, "nodes --enable here"))
    with pytest.raises(NotFound, match="no node 'moon'"):
        do(session, "nodes --enable moon")


def test_a_machine_whose_cores_are_given_away_several_times_says_so(session: Session, zoe: RunningZoe) -> None:
    assert "cores are shares: it has 2, each is given away 2 times" in to_text(do(session, "nodes"))
    zoe.core.node = replace(zoe.core.node, microcores=0)
    assert "shares" not in to_text(do(session, "nodes"))
    zoe.core.node = replace(zoe.core.node, about="its size is a guess")
    assert "its size is a guess" in to_text(do(session, "nodes"))


def test_why_the_machines_cannot_be_reached_is_told(
    session: Session, zoe: RunningZoe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoe.core, "silence", lambda: "the engine docker does not answer: Permission denied")
    told = "the machines cannot be reached: the engine docker does not answer: Permission denied"
    assert told in to_text(do(session, "nodes").whole())
    assert "does not answer: Permission denied" in to_text(do(session, "info"))
    monkeypatch.setattr(zoe.core, "cluster", AsyncMock(return_value=[]))
    assert to_text(do(session, "nodes").whole()) == told


def test_scale_takes_a_number_or_numbers_by_process(session: Session, zoe: RunningZoe) -> None:
    do(session, "start spark --name one")
    do(session, "scale one 5")
    assert zoe.only.target.elastic == {"spark.worker": 4}
    do(session, "scale one spark.worker=3")
    assert zoe.only.target.elastic == {"spark.worker": 2}
    for wrong in ("scale one many", "scale one -- -3", "scale one 3 4"):
        with pytest.raises(Usage):
            do(session, wrong)


def test_scale_says_what_comes_in_the_words_of_the_framework(session: Session, zoe: RunningZoe) -> None:
    do(session, "start spark --name one")
    seen = "`jupyter zoe ps` shows how far it is"
    assert to_text(do(session, "scale one 5")) == f"one: 5 workers wanted, 1 is there; {seen}"
    assert to_text(do(session, "scale one 1")) == "one is as wanted already"


def test_a_name_beside_what_is_meant_names_it_also_when_that_has_ended(session: Session) -> None:
    do(session, "start spark --name flights")
    with pytest.raises(NotFound, match=r"did you mean flights\?$"):
        do(session, "scale flihgts 4")
    do(session, "stop flights")
    for line in ("scale flihgts 4", "stop flihgts", "info flihgts", "forget flihgts"):
        with pytest.raises(NotFound, match=r"no execution 'flihgts' of yours; did you mean flights, which has ended\?"):
            do(session, line)
    with pytest.raises(NotFound, match=r"of yours; `%zoe ps --all` lists them$"):
        do(Session(command="%zoe"), "stop bananas")


def test_where_no_name_is_taken_it_is_said_which_verb_takes_one(session: Session) -> None:
    for line in ("ps spark", "queue spark"):
        with pytest.raises(Usage, match="takes no name; `jupyter zoe info spark` tells about one"):
            do(session, line)


def test_what_the_reader_stopped_was_stopped_by_you_and_no_word_is_said_twice(session: Session) -> None:
    do(session, "start spark --name one")
    assert to_text(do(session, "stop one --wait")) == "stopped one"
    told = to_text(do(session, "info one"))
    assert "stopped by you" in told
    assert "stopped by ann" not in told
    assert ended_text(session.api.execution("one")) == "stopped by you"


def test_logs_come_whole_or_by_a_short_service_name(session: Session) -> None:
    do(session, "start spark --name one")
    assert do(session, "logs one").data == ["first line", "second line"]
    assert do(session, "logs one --service worker-0").data == ["first line", "second line"]
    with pytest.raises(NotFound, match="no service"):
        do(session, "logs one --service nothing")


@pytest.fixture
def reader(zoe: RunningZoe) -> Session:
    """Somebody who reads, where ``session`` may be a program."""
    return Session(command="%zoe", excerpt=EXCERPT)


def test_people_get_the_last_lines_of_a_log_and_hear_whose_it_is(reader: Session, zoe: RunningZoe) -> None:
    zoe.core.log_chunks = [b"%d\n" % number for number in range(870)]
    do(reader, "start spark --name one")
    head, *lines = to_lines(do(reader, "logs one"))
    assert head == (
        "spark.worker-0 of one: the last 100 lines; `%zoe logs one --all` shows all; `--service NAME` shows that of spark.master-0"
    )
    assert lines == [str(number) for number in range(770, 870)]
    head, *lines = to_lines(do(reader, "logs one --service master-0 --tail 2"))
    assert head.startswith("spark.master-0 of one: the last 2 lines; ")
    assert lines == ["868", "869"]
    assert len(list(to_lines(do(reader, "logs one --all")))) == 871
    assert do(Session(), "logs one").data == [str(number) for number in range(870)]


def test_of_a_log_that_is_whole_and_the_only_one_nothing_is_said(reader: Session, zoe: RunningZoe) -> None:
    do(reader, "start spark --name one")
    zoe.change(zoe.only.id, services={"spark.worker-0": zoe.only.services["spark.worker-0"]})
    assert to_text(do(reader, "logs one")) == "first line\nsecond line"


def test_the_log_of_what_was_stopped_ends_with_that(reader: Session, zoe: RunningZoe) -> None:
    zoe.core.log_chunks = [b"\tat java.util.concurrent.ThreadPoolExecutor\n"]
    do(reader, "start spark --name one")
    zoe.change(zoe.only.id, state=State.STOPPING, target=Target(Goal.STOP))
    assert to_text(do(reader, "logs one --tail 2")).splitlines()[-1] == "-- stopping, 2 services left --"
    do(reader, "stop one")
    last = r"-- stopped by you at \d\d:\d\d:\d\d --"
    assert re.fullmatch(last, to_text(do(reader, "logs one --tail 2")).splitlines()[-1])
    assert do(reader, "logs one").value == ["\tat java.util.concurrent.ThreadPoolExecutor"]
    assert "stopped" not in to_text(do(Session(), "logs one"))
    assert re.fullmatch(last, to_text(do(reader, "logs one --follow")).splitlines()[-1])


class Page(Quiet):
    """A screen that keeps what programs wrote."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize(
    ("outcome", "code", "told"),
    [
        (Outcome.SUCCEEDED, 0, r"job has succeeded after 5 s; `jupyter zoe info job` tells all about it"),
        (
            Outcome.FAILED,
            3,
            r"job has failed after 5 s: exited with 3\. `jupyter zoe logs job` shows its log again",
        ),
    ],
)
def test_who_waits_for_a_job_reads_what_it_writes_and_how_it_ended(
    session: Session, zoe: RunningZoe, outcome: Outcome, code: int, told: str
) -> None:
    do(session, "start spark --name job")
    job = zoe.only.id
    reason = Reason("exited", f"exited with {code}") if code else None

    def ending() -> None:
        zoe.change(job, state=State.ENDED, outcome=outcome, reason=reason, ended_at=zoe.only.created_at + 5)

    session.screen = page = Page()
    timer = threading.Timer(0.2, ending)
    timer.start()
    zoe.change(job, labels={"zoe/job": "spark"})
    try:
        if outcome is Outcome.SUCCEEDED:
            assert re.fullmatch(told, to_text(_started(session, session.api.execution(job), wait=True)))
        else:
            with pytest.raises(UserError, match=told):
                _started(session, session.api.execution(job), wait=True)
    finally:
        timer.join()
    assert page.lines == ["first line", "second line"]


def test_of_a_job_its_programs_log_is_meant(session: Session, zoe: RunningZoe) -> None:
    do(session, "start spark --name one")
    job = Service("python-job.job-0", "python-job.job", "here", is_core=True)
    zoe.change(zoe.only.id, labels={"zoe/job": "spark"}, services={**zoe.only.services, job.name: job})
    asked: list[str] = []
    logs = zoe.core.logs

    def listening(execution_id: str, service: str, *arguments: object, **named: object) -> object:
        asked.append(service)
        return logs(execution_id, service, *arguments, **named)  # type: ignore[arg-type]

    zoe.core.logs = listening  # type: ignore[assignment, method-assign]
    do(session, "logs one")
    assert asked == ["python-job.job-0"]


def test_suspend_resume_restart_and_forget_change_the_target(session: Session, zoe: RunningZoe) -> None:
    do(session, "start spark --name one")
    do(session, "suspend one")
    assert zoe.only.state is State.SUSPENDED
    do(session, "resume one")
    do(session, "restart one")
    assert zoe.only.target.generation == 1
    with pytest.raises(Conflict):
        do(session, "forget one")
    with pytest.raises(Usage, match="name what to forget"):
        do(session, "forget")
    do(session, "stop one")
    do(session, "rm one")
    assert not zoe.core.by_id


def test_without_a_name_the_only_one_is_meant(session: Session, zoe: RunningZoe) -> None:
    with pytest.raises(NotFound, match="nothing is running"):
        do(session, "stop")
    do(session, "start spark --name one")
    do(session, "stop")
    do(session, "start spark --name two")
    do(session, "start spark --name three")
    zoe.core.by_id = {key: value for key, value in zoe.core.by_id.items() if value.state is State.RUNNING}
    with pytest.raises(Conflict, match="name the execution; running: three, two"):
        do(Session(), "logs")


def test_an_applications_name_means_this_notebooks_own(
    session: Session, zoe: RunningZoe, in_kernel: Callable[..., None]
) -> None:
    do(session, "start spark --name spark")
    in_kernel()
    mine = Session()
    do(mine, "start spark --name spark-2")
    do(mine, "stop spark")
    assert {one.name: one.state.value for one in zoe.core.by_id.values()} == {"spark": "running", "spark-2": "ended"}


def test_a_shell_stops_nothing_that_is_not_named(
    session: Session, zoe: RunningZoe, in_kernel: Callable[..., None]
) -> None:
    do(session, "start spark --name one")
    zoe.change(zoe.only.id, labels={})  # as another command of the shell has started it
    with pytest.raises(Usage, match="name what to stop: `jupyter zoe stop one`, or `jupyter zoe stop --all`"):
        do(session, "stop")
    assert zoe.only.state is State.RUNNING
    in_kernel()
    mine = Session()
    do(mine, "start spark --name two")
    do(mine, "stop")
    assert {one.name: one.state.value for one in zoe.core.by_id.values()} == {"one": "running", "two": "ended"}


def test_stop_all_stops_all(session: Session, zoe: RunningZoe) -> None:
    do(session, "start spark")
    do(session, "start dask")
    do(session, "stop --all")
    assert {one.state for one in zoe.core.by_id.values()} == {State.ENDED}


def test_what_has_ended_is_not_stopped_again_and_nothing_twice(session: Session, zoe: RunningZoe) -> None:
    do(session, "start spark --name one")
    do(session, "start spark --name two")
    assert to_text(do(session, "stop one one")) == "stopping one; that takes a few seconds"
    assert to_text(do(session, "stop one --wait")) == "one had ended already"
    assert to_text(do(session, "stop one two")) == "stopping two; that takes a few seconds; one had ended already"
    assert to_text(do(session, "forget one one")) == "forgot 1 execution"
    assert to_text(do(session, "forget two --ended")) == "forgot 1 execution"


def test_it_is_told_how_long_something_runs_or_waits(session: Session, zoe: RunningZoe) -> None:
    do(session, "start spark --name one")
    now = time.time()
    for started, elapsed in ((None, "40 s"), (now - 20, "20 s")):
        zoe.change(zoe.only.id, created_at=now - 40, started_at=started)
        (row,) = executions_table(session.live(), base_url="", now=now).rows
        assert row[3] == elapsed
    zoe.change(zoe.only.id, state=State.ENDED, outcome=Outcome.STOPPED, ended_at=now - 5)
    (row,) = executions_table(session.api.executions(), base_url="", now=now).rows
    assert row[3] == "15 s"


def test_waiting_ends_when_it_runs(session: Session, zoe: RunningZoe) -> None:
    assert to_text(do(session, "start spark --name one --wait")) == "one is ready"


@pytest.mark.parametrize(
    ("entry", "labels", "found"),
    [("spark", {}, False), ("python-job", {}, True), ("", {"zoe/job": "spark"}, True), ("spark", {"mine": "x"}, False)],
)
def test_a_job_is_what_runs_a_program_to_its_end(entry: str, labels: dict[str, str], found: bool) -> None:
    """Who waits for one waits for its end: with `--wait`, and with `.wait()` in Python."""
    assert is_job({"entry": entry, "labels": labels}) is found


def test_a_failed_start_tells_reason_and_log(session: Session, zoe: RunningZoe) -> None:
    zoe.begin_in(State.STARTING)

    class EndIt(Quiet):
        def step(self, step: Step) -> None:
            if step.execution["state"] == "starting":
                zoe.end(str(step.execution["id"]))

    session.screen = EndIt()
    with pytest.raises(UserError) as caught:
        do(session, "start spark --name one --wait")
    assert caught.value.message.splitlines() == [
        "one has ended: failed: out of memory: used 2.1 GiB of 2 GiB",
        "its log ends with:",
        "  first line",
        "  second line",
        "`jupyter zoe logs one` shows all of it",
    ]


def test_descriptions_are_sent_as_text_so_that_errors_name_lines(session: Session, zoe: RunningZoe) -> None:
    zapp = find(VERBS, "zapp", command="x")
    zapp.call(session, text="zoe: 1\nkind: zapp\n", name="mine")
    assert zoe.core.submissions[0].text == "zoe: 1\nkind: zapp\n"
    with pytest.raises(InvalidDescription, match="line 1: use: no such thing"):
        zapp.call(session, text="nonsense")
    with pytest.raises(UserError, match="empty"):
        zapp.call(session, text="  \n")


def test_validate_says_what_it_would_take(session: Session, tmp_path: object) -> None:
    assert "needs:" in to_text(do(session, "validate spark"))
    with pytest.raises(InvalidDescription):
        do(session, "validate nonsense")


def test_shop_is_searched_by_words(session: Session) -> None:
    assert [entry["name"] for entry in do(session, "shop distributed").data] == ["spark"]
    assert to_text(do(session, "shop bananas")) == "nothing in the shop matches 'bananas'"
    assert to_text(do(session, "shop sprk")) == "nothing in the shop matches 'sprk'; did you mean spark?"


def test_validate_names_the_file_in_each_error(session: Session, zoe: RunningZoe, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("zoe: 1\nkind: [\n")
    found = InvalidDescription([Problem("is not closed", line=2), Problem("is missing", path="name")])

    def refuse(*arguments: object, **named: object) -> None:
        raise found

    zoe.core.check = refuse  # type: ignore[assignment, method-assign]
    with pytest.raises(InvalidDescription) as refused:
        do(session, f"validate {file}")
    assert str(refused.value).splitlines() == [f"{file}:2: is not closed", f"{file}: name: is missing"]


@pytest.mark.parametrize("file", ["gone.yaml", "folder/gone"])
def test_validate_says_that_a_file_is_not_there(session: Session, file: str) -> None:
    with pytest.raises(UserError, match="no file"):
        do(session, f"validate {file}")
