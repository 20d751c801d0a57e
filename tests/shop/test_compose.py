"""Frameworks become applications; what is wrong is told all at once, with its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.shop.conftest import ENGINE, write
from zoe_jupyter.model.application import Health, LifetimeWith, Probe
from zoe_jupyter.model.errors import InvalidDescription, NotFound, Problem
from zoe_jupyter.model.resources import Resources
from zoe_jupyter.shop.catalogue import Catalogue, open_catalogue
from zoe_jupyter.shop.compose import compose
from zoe_jupyter.shop.sources import FolderSource

ProblemsOf = Callable[..., list[Problem]]

PAIR = """
zoe: 1
kind: zapp
name: pair
title: "Pair of {{ parameters.n }}"
parameters:
  type: object
  properties: {n: {type: integer, default: 3}, code: {type: string, default: pass}}
frameworks:
  - {use: engine, as: big, parameters: {workers: "{{ parameters.n }}"}}
  - use: job
    parameters: {code: "{{ parameters.code }}"}
    connect: {engine: big}
ends_with: job
lifetime: {after: 8h, with: kernel, grace: 5m}
"""


def test_a_framework_named_alone_is_an_application(catalogue: Catalogue) -> None:
    application, parameters = compose(catalogue=catalogue, use="engine", parameters={"workers": 4})
    assert parameters == {"workers": 4, "memory": "1GiB"}
    main, worker = application.processes
    assert (main.name, main.core, main.elastic, main.elastic_limit) == ("engine.main", 1, 0, 0)
    assert (worker.name, worker.core, worker.elastic, worker.elastic_limit) == ("engine.worker", 1, 3, 7)
    assert worker.after == ("engine.main",)
    assert worker.resources == Resources(1_000_000, 1 << 30)
    assert main.command[0] == "{{ python }}"
    assert application.secrets == ("engine.token",)
    assert application.connections[0].secrets == ("token",)
    assert application.connections[0].kind == "engine"
    assert application.requires.java == ">=17"
    assert application.contexts["engine"].folder.endswith("/engine")
    assert application.ends_with == ""


def test_a_framework_is_known_by_its_name_in_the_shop_whatever_a_zapp_calls_it(catalogue: Catalogue) -> None:
    application, _ = compose(catalogue=catalogue, text=PAIR, parameters={})
    assert {alias: context.framework for alias, context in application.contexts.items()} == {
        "big": "engine",
        "job": "job",
    }


@pytest.mark.parametrize(
    "wish", ["privileged: true", "is_privileged: true", "profile: files", "capabilities: [SYS_ADMIN]"]
)
@pytest.mark.parametrize("where", ["ends_with: job", "  - use: job"])
def test_no_zapp_asks_for_rights(catalogue: Catalogue, problems_of: ProblemsOf, wish: str, where: str) -> None:
    indent = "    " if where.startswith(" ") else ""
    problems = problems_of(compose, catalogue=catalogue, text=PAIR.replace(where, f"{where}\n{indent}{wish}"))
    assert any(wish.partition(":")[0] in f"{problem.path} {problem.message}" for problem in problems)


def test_a_zapp_wires_frameworks_and_orders_them(catalogue: Catalogue) -> None:
    application, parameters = compose(catalogue=catalogue, text=PAIR, parameters={"code": "print('{{ x }}')"})
    assert parameters["n"] == 3
    assert application.title == "Pair of 3"
    assert [process.name for process in application.processes] == ["big.main", "big.worker", "job.run"]
    assert application.process("job.run").after == ("big.main", "big.worker")
    assert application.contexts["job"].accepts == {"engine": "engine"}
    assert application.contexts["job"].parameters["code"] == "print('{{ x }}')"
    assert application.ends_with == "job.run"
    assert application.lifetime.after_s == 8 * 3600
    assert application.lifetime.together_with is LifetimeWith.KERNEL
    assert application.lifetime.grace_s == 300


def test_a_framework_that_lacks_something_says_what_and_how(catalogue: Catalogue, problems_of: ProblemsOf) -> None:
    alone = problems_of(compose, catalogue=catalogue, use="job", parameters={"code": "x"})
    assert [problem.message for problem in alone] == [
        "job lacks a connection of kind engine; add a framework that provides engine, and connect it"
    ]
    unwired = PAIR.replace("    connect: {engine: big}\n", "")
    (problem,) = problems_of(compose, catalogue=catalogue, text=unwired)
    assert "write `connect: {engine: big.engine}`" in problem.message
    assert problem.line == 11


def test_required_parameters_are_asked_for(catalogue: Catalogue, problems_of: ProblemsOf) -> None:
    (problem,) = problems_of(compose, catalogue=catalogue, use="job")
    assert (problem.path, problem.message) == ("parameters.code", "is required")


def test_the_same_framework_twice_needs_and_gets_other_names(catalogue: Catalogue, problems_of: ProblemsOf) -> None:
    text = "zoe: 1\nkind: zapp\nname: two\nframeworks:\n  - {use: engine}\n  - {use: engine}\n"
    (problem,) = problems_of(compose, catalogue=catalogue, text=text)
    assert "another name with `as`" in problem.message
    application, _ = compose(
        catalogue=catalogue, text=text.replace("{use: engine}\n  -", "{use: engine, as: one}\n  -")
    )
    assert [connection.name for connection in application.connections] == ["one.engine", "engine.engine"]
    assert application.secrets == ("one.token", "engine.token")


def test_every_problem_of_a_zapp_is_told_with_its_line(catalogue: Catalogue, problems_of: ProblemsOf) -> None:
    text = """zoe: 1
kind: zapp
name: wrong
frameworks:
  - {use: engine, parameters: {workers: 99, wrokers: 1}}
  - {use: ghost}
  - {use: engine, as: b, parameters: {workers: "{{ parameters.nope }}"}}
  - {use: job, parameters: {code: 5}, connect: {engine: [engine], motor: engine}}
""".replace("[engine]", "nowhere")
    problems = {problem.path: problem for problem in problems_of(compose, catalogue=catalogue, text=text)}
    assert {path: problem.line for path, problem in problems.items()} == {
        "frameworks.0.parameters.workers": 5,
        "frameworks.0.parameters.wrokers": 5,
        "frameworks.1.use": 6,
        "frameworks.2.parameters.workers": 7,
        "frameworks.3.parameters.code": 8,
        "frameworks.3.connect.engine": 8,
        "frameworks.3.connect.motor": 8,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1, 2]", "a mapping is needed"),
        ("zoe: 1", "is framework or zapp"),
        ("zoe: 2\nkind: zapp\nname: a\nframeworks: [{use: engine}]", "2 is not 1"),
        ("zoe: 1\nkind: zapp\nname: a", "frameworks: is required"),
        ("zoe: 1\nkind: zapp\nname: a\nframeworks: []", "at least one framework"),
        ("zoe: 1\nkind: zapp\nname: ../../etc\nframeworks: [{use: engine}]", "is not a name"),
        ("zoe: 1\nkind: zapp\nname: a\nframeworks: [{use: engine, as: 'x/../y'}]", "is not a name"),
        ("zoe: 1\nkind: zapp\nname: a\nframeworks: [{use: engine, with: 1}]", "is not a field here"),
        ("zoe: 1\nkind: zapp\nname: a\nframeworks: [{use: engine}]\nends_with: ghost", "no framework 'ghost'"),
        ("zoe: 1\nkind: zapp\nname: a\nframeworks: [{use: engine}]\nends_with: engine", "name one process of engine"),
        ("zoe: 1\nkind: zapp\nname: a\nframeworks: [{use: engine}]\nlifetime: {after: soon}", "not a duration"),
        ("zoe: 1\nkind: zapp\nname: a\nframeworks: [{use: engine}]\nlifetime: {with: friends}", "not kernel or server"),
        (
            "zoe: 1\nkind: zapp\nname: a\nframeworks: [{use: engine}]\nha: {}",
            "needs the module ha, which this installation lacks",
        ),
        ("zoe: 1\nkind: zapp\nname: a\nframeworks: [{use: engine}]\nworkflow: {a: 1}", "needs the module workflows"),
        ("zoe: 1\nkind: zapp\nname: a\ntitle: '{{ 1 +'\nframeworks: [{use: engine}]", "not a valid expression"),
        (ENGINE, "put its folder into a source of the shop"),
    ],
)
def test_what_cannot_be_composed_is_refused_with_the_reason(catalogue: Catalogue, text: str, expected: str) -> None:
    with pytest.raises(InvalidDescription) as caught:
        compose(catalogue=catalogue, text=text)
    assert expected in str(caught.value)


CHANGES = {
    "misspelt process": ("processes.main.host", "processes.mian.host", "did you mean main?"),
    "misspelt port": ("--port={{ ports.rpc }}", "--port={{ ports.rcp }}", "did you mean rpc?"),
    "misspelt secret": ("secrets.token", "secrets.tokn", "did you mean token?"),
    "another's file": ("files.token", "files.other", "files has no 'other'"),
    "unknown launch name": ("{{ python }}\", \"{{ folder", "{{ pyhton }}\", \"{{ folder", "did you mean python?"),
    "launch name at submit": ("{{ parameters.memory }}", "{{ resources.memory }}", "there is no 'resources'"),
    "list as an argument": ("--port={{ ports.rpc }}", "{{ ports }}", "where text is needed"),
    "count that is text": ("{{ parameters.workers - 1 }}", "many", "is not a whole number"),
    "negative count": ("{{ parameters.workers - 1 }}", "{{ -1 }}", "not between 0 and 10000"),
    "huge count": ("{{ parameters.workers - 1 }}", "{{ 10001 }}", "not between 0 and 10000"),
    "fraction": ("{{ parameters.workers - 1 }}", "{{ 1.5 }}", "is not a whole number"),
    "huge memory": ("{{ parameters.memory }}", "9999999TiB", "is more than"),
    "memory that is none": ("{{ parameters.memory }}", "much", "not a memory size"),
    "cores that are none": ("cores: 0.5", "cores: lots", "not a number of cores"),
    "after a ghost": ("after: [main]", "after: [mian]", "did you mean main?"),
    "after itself": ("after: [main]", "after: [worker]", "wait for each other"),
    "probe of no port": ("{tcp: rpc}", "{tcp: rcp}", "there is no port"),
    "two probes": ("{tcp: rpc}", "{tcp: rpc, log: x}", "exactly one of"),
    "no probe": ("{tcp: rpc}", "{timeout_s: 5}", "exactly one of"),
    "health by the log": ("{tcp: rpc}\n", "{tcp: rpc}\n    health: {log: x}\n", "log"),
    "health of no port": ("{tcp: rpc}\n", "{tcp: rpc}\n    health: {tcp: rcp}\n", "there is no port"),
    "health too often": ("{tcp: rpc}\n", "{tcp: rpc}\n    health: {tcp: rpc, every_s: 0.5}\n", "at least 1 s"),
    "health that never fails": ("{tcp: rpc}\n", "{tcp: rpc}\n    health: {tcp: rpc, failures: 0}\n", "not between 1 and"),
    "probe with a bad pattern": ("{tcp: rpc}", "{log: '(a+)+'}", "repetition"),
    "port with a dash": ("ports: {rpc: {}", "ports: {a-b: {}, rpc: {}", "is not a name"),
    "file out of the folder": ("files: {token:", "files: {../token:", "is not a name"),
    "variable with an equals sign": ("environment: {", "environment: {'A=B': x, ", "is not a name"),
    "shell string": ("command: [drain, \"{{ service.name }}\"]", "command: drain it", "should be a list"),
    "empty command": ("command: [drain, \"{{ service.name }}\"]", "command: ['{{ 1 + }}']", "not a valid expression"),
    "NUL": ("cores: 0.5", "cores: \"a\\0\"", "NUL"),
    "a framework that asks for all rights": ("{tcp: rpc}\n", "{tcp: rpc}\n    privileged: true\n", "privileged"),
    "a framework that asks for a profile": ("{tcp: rpc}\n", "{tcp: rpc}\n    profile: files\n", "profile"),
    "a framework that asks for a capability": ("{tcp: rpc}\n", "{tcp: rpc}\n    capabilities: [KILL]\n", "capabilities"),
    "unknown field": ("title: Engine", "titel: Engine", "did you mean title"),
    "version that is a number": ("title: Engine", "version: 4.0", "write it in quotes"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), CHANGES.values(), ids=CHANGES)
def test_a_mistake_in_a_framework_is_found_before_anything_starts(
    source: Path, catalogue: Catalogue, old: str, new: str, expected: str
) -> None:
    assert old in ENGINE
    write(source, ENGINE.replace(old, new))
    with pytest.raises((InvalidDescription, NotFound)) as caught:
        compose(catalogue=catalogue, use="engine")
    assert expected in str([*catalogue.problems, str(caught.value)])
    assert "engine/framework.yaml:" in str(caught.value)


def test_another_backend_has_its_own_command(source: Path, catalogue: Catalogue) -> None:
    override = (
        "    backends: {docker: {command: [other], image: 'engine:{{ parameters.workers }}', environment: {B: b}}}\n"
    )
    write(source, ENGINE.replace("    ready: {tcp: rpc}\n", f"    ready: {{tcp: rpc}}\n{override}"))
    main = compose(catalogue=catalogue, use="engine", backend="docker")[0].process("engine.main")
    assert main.command == ("other",)
    assert main.image == "engine:2"
    assert set(main.environment) == {"TOKEN_FILE", "B"}
    assert compose(catalogue=catalogue, use="engine")[0].process("engine.main").command[0] == "{{ python }}"


def test_a_service_may_have_to_prove_that_it_works(source: Path, catalogue: Catalogue) -> None:
    health = "    health: {command: [ping, '{{ ports.rpc }}'], every_s: 30s, failures: '{{ parameters.workers }}'}\n"
    write(source, ENGINE.replace("    ready: {tcp: rpc}\n", f"    ready: {{tcp: rpc}}\n{health}"))
    main = compose(catalogue=catalogue, use="engine")[0].process("engine.main")
    assert main.health == Health(Probe(command=("ping", "{{ ports.rpc }}"), timeout_s=5.0), every_s=30.0, failures=2)


@pytest.mark.parametrize("given", [{}, {"use": "engine", "text": PAIR}])
def test_exactly_one_of_name_and_description_is_needed(catalogue: Catalogue, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidDescription, match="give either"):
        compose(catalogue=catalogue, **given)


def test_shapes_are_told_in_words_of_yaml(catalogue: Catalogue) -> None:
    text = "zoe: 1\nkind: zapp\nname: t\nframeworks: 3\nparameters: 5\nlifetime: x\n"
    with pytest.raises(InvalidDescription) as caught:
        compose(catalogue=catalogue, text=text)
    assert sorted(str(caught.value).splitlines()) == [
        "line 4: frameworks: should be a list, not 3",
        "line 5: parameters: should be a mapping of names to values, not 5",
        "line 6: lifetime: should be a mapping of names to values, not 'x'",
    ]


def test_a_tree_and_its_text_give_the_same(catalogue: Catalogue) -> None:
    tree = {"zoe": 1, "kind": "zapp", "name": "t", "frameworks": [{"use": "engine", "as": "e"}]}
    text = "zoe: 1\nkind: zapp\nname: t\nframeworks: [{use: engine, as: e}]"
    assert compose(catalogue=catalogue, zapp=tree) == compose(catalogue=catalogue, text=text)


_keys = st.sampled_from(
    ["zoe", "kind", "name", "frameworks", "use", "as", "connect", "parameters", "lifetime", "ends_with", "x", "{{ a }}"]
)
_values = st.recursive(
    st.sampled_from(
        [1, "zapp", "engine", "job", "{{ parameters.x }}", "{{ ''.__class__ }}", None, True, -1, 0.5, "", "\0"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=12,
)


@given(tree=st.dictionaries(_keys, _values, min_size=1), parameters=st.dictionaries(_keys, _values, max_size=2))
@settings(max_examples=200, deadline=None)
def test_any_tree_is_composed_or_refused_with_problems(tree: dict[str, Any], parameters: dict[str, Any]) -> None:
    catalogue = open_catalogue()
    try:
        compose(catalogue=catalogue, zapp={"zoe": 1, "kind": "zapp", "name": "a", **tree}, parameters=parameters)
    except InvalidDescription as error:
        problems = error.problems
    else:
        return
    assert problems


@pytest.mark.parametrize(
    ("command", "place"),
    [
        ('[run, "--token={{ secrets.token }}"]', "processes.main.command.1"),
        ('[run, "{{ parameters.password | upper }}", "{{ parameters.password }}"]', "processes.main.command.2"),
    ],
)
def test_a_secret_in_a_command_is_refused(source: Path, problems_of: ProblemsOf, command: str, place: str) -> None:
    """Everybody on a machine can read the arguments of its processes."""
    write(
        source,
        f"""
        zoe: 1
        kind: framework
        name: careless
        parameters: {{type: object, properties: {{password: {{type: string, default: x, x-zoe: {{widget: secret}}}}}}}}
        secrets: [token]
        processes: {{main: {{command: {command}}}}}
        """,
    )
    (problem,) = problems_of(compose, catalogue=Catalogue([FolderSource(source)]), use="careless")
    assert problem.path == place
    assert "pass it in `files`" in problem.message


@pytest.mark.parametrize("field", ["ready", "health"])
def test_a_secret_in_the_page_that_is_asked_for_is_refused(source: Path, problems_of: ProblemsOf, field: str) -> None:
    """It would be in labels, events and reasons."""
    write(
        source,
        f"""
        zoe: 1
        kind: framework
        name: careless
        secrets: [token]
        processes: {{main: {{command: [run], ports: {{web: {{protocol: http}}}}, {field}: {{http: "web/?t={{{{ secrets.token }}}}"}}}}}}
        """,
    )
    (problem,) = problems_of(compose, catalogue=Catalogue([FolderSource(source)]), use="careless")
    assert problem.path == f"processes.main.{field}.http"
    assert "has a secret" in problem.message


def test_what_is_secret_is_known_to_the_application(source: Path) -> None:
    write(
        source,
        """
        zoe: 1
        kind: framework
        name: careful
        parameters: {type: object, properties: {password: {type: string, x-zoe: {widget: secret}}, port: {type: integer, default: 1}}}
        certificates: [tls]
        processes: {main: {command: [run, "{{ files.key }}"], files: {key: "{{ secrets.tls }}"}}}
        """,
    )
    application, _ = compose(
        catalogue=Catalogue([FolderSource(source)]), use="careful", parameters={"password": "hush"}
    )
    assert application.secret_parameters == ("password",)
    assert application.secrets == application.certificates == ("careful.tls",)


def test_what_is_wrong_is_told_all_at_once(catalogue: Catalogue, problems_of: ProblemsOf) -> None:
    """A wrong parameter hides nothing of the description, and a wrong field hides no unknown framework."""
    text = PAIR.replace("ends_with: job", "ends_with: nobody")
    found = problems_of(compose, catalogue=catalogue, text=text, parameters={"n": "three", "colour": "red"})
    assert {problem.path for problem in found} == {"parameters.n", "parameters.colour", "ends_with"}
    assert next(problem.line for problem in found if problem.path == "ends_with") == 14

    text = PAIR.replace("use: engine", "use: motor").replace("kind: zapp", "kind: zapp\nvershun: 1")
    found = problems_of(compose, catalogue=catalogue, text=text)
    assert {problem.path for problem in found} == {"vershun", "frameworks.0.use"}
