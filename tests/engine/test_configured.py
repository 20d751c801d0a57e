"""What a site sets is read as it is meant, or refused with the setting's name; the admins' page names every setting."""

from __future__ import annotations

import inspect
import platform
import re
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from traitlets import Float, TraitError

from zoe_jupyter import plugins
from zoe_jupyter.backends.local.backend import LocalBackend
from zoe_jupyter.engine.configured import GIVEN, open_backend, open_policy, read_options, tell_misspelt
from zoe_jupyter.engine.settings import Settings
from zoe_jupyter.model.errors import ZoeError
from zoe_jupyter.server.config import Zoe
from zoe_jupyter.shop.catalogue import open_catalogue
from zoe_jupyter.store.repository import shared_name

PAGE = Path(__file__).parents[2] / "docs" / "admins" / "configuration.md"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ({"overcommit": "4.5"}, {"overcommit": 4.5}),
        ({"is_caged": "False", "process_limit": "0"}, {"is_caged": False, "process_limit": 0}),
        ({"environment": "CONDA_PREFIX,LANG"}, {"environment": ["CONDA_PREFIX", "LANG"]}),
        ({"folder": "/srv/zoe"}, {"folder": "/srv/zoe"}),
        ({"overcommit": 2, "environment": ["LANG"]}, {"overcommit": 2.0, "environment": ["LANG"]}),
    ],
)
def test_options_of_a_command_line_are_read_as_what_the_backend_wants(text: Any, value: Any) -> None:
    read = read_options(LocalBackend, text)
    assert read == value
    assert {name: type(one) for name, one in read.items()} == {name: type(one) for name, one in value.items()}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"backend_options": {"overcommit": "much"}}, r"Zoe.backend_options: overcommit='much': .*number"),
        ({"backend_options": {"overcomit": 4}}, r"Zoe.backend_options: .*no option 'overcomit'; it has: .*overcommit"),
        ({"backend_options": {"memory_fraction": 90}}, r"memory_fraction=90: .*less than or equal to 1"),
        ({"backend_options": {"memory_fraction": 0}}, r"memory_fraction=0: .*greater than 0"),
        ({"backend": "docker", "backend_options": {"memory_fraction": 90}}, r"memory_fraction=90: .*equal to 1"),
        (
            {"backend": "docker", "backend_options": {"engines": [{"nam": "x"}]}},
            r"there is no 'nam'; did you mean name\?",
        ),
        (
            {"backend": "docker", "backend_options": {"engines": [{"publish_at": "10.0.0.7"}]}},
            r"engines=.*there is no 'publish_at'; did you mean publish_on\?",
        ),
        (
            {"backend": "docker", "backend_options": {"folders": [{"pat": "/srv"}]}},
            r"there is no 'pat'; did you mean path or at\?",
        ),
        *(
            ({"backend": "docker", "backend_options": {name: value}}, rf"Zoe.backend_options: {name}=")
            for name, value in [
                ("engines", []),
                ("engines", [{"name": ""}]),
                ("engines", [{"name": "a/b"}]),
                ("engines", [{"gpus": -1}]),
                ("user", ""),
                ("user", "nobody"),
                ("user", "-1"),
                ("process_limit", -1),
                ("log_files", 10**9),
                ("log_limit_bytes", 0),
                ("network_mtu", -5),
                ("overcommit", float("nan")),
                ("overcommit", -1),
                ("lost_after_s", float("inf")),
                ("memory_fraction", float("nan")),
            ]
        ),
        (
            {"backend": "kubernetes", "backend_options": {"volumes": [{"clam": "data"}]}},
            r"no 'clam'; did you mean claim",
        ),
        ({"backend": "kubernetes", "backend_options": {"volumes": [{"claim": "data"}]}}, r": at: Field required"),
        (
            {"backend": "kubernetes", "backend_options": {"callers": [{"namespace": "hub"}]}},
            r"callers=.*: labels: Field required",
        ),
        (
            {"backend": "kubernetes", "backend_options": {"callers": [{"namespaces": "hub", "labels": {"a": "b"}}]}},
            r"no 'namespaces'; did you mean namespace",
        ),
        (
            {"backend": "kubernetes", "backend_options": {"capacity": {"cpus": "8"}}},
            r"Zoe.backend_options: capacity: there is no 'cpus'; there is cpu, memory, nvidia.com/gpu",
        ),
        (
            {"backend": "kubernetes", "backend_options": {"capacity": {"cpu": "many"}}},
            r"Zoe.backend_options: capacity: 'many' is not a quantity",
        ),
        (
            {"backend": "kubernetes", "backend_options": {"tolerations": [{"kay": "gpu"}]}},
            r"Zoe.backend_options: tolerations: there is no 'kay'; there is key",
        ),
        *(
            ({"backend": "kubernetes", "backend_options": {name: value}}, rf"Zoe.backend_options: {name}=")
            for name, value in [
                ("user_id", 0),
                ("pull_policy", "Sometimes"),
                ("lost_after_s", float("nan")),
                ("log_limit_bytes", 0),
                ("gpu_resource", ""),
            ]
        ),
        ({"backend_options": {"data_dir": "/"}}, r"no option 'data_dir'"),
        ({"backend": "lokal"}, r"Zoe.backend: there is no 'lokal' .*installed: .*local"),
        ({"backend": "no.such.module:Class"}, r"Zoe.backend: .*No module named 'no'"),
        ({"policy": "os:system"}, r"Zoe.policy: 'os:system' is no class"),
        ({"policy": ":"}, r"Zoe.policy: there is no class ':'"),
        ({"policy": "zoe_jupyter.plugins:Absent"}, r"Zoe.policy: .*'Absent'"),
        (
            {"policy": "decimal:Decimal"},
            r"Zoe.policy: 'decimal:Decimal' is no policy: it has no method order; name one",
        ),
        ({"policy": "zoe_jupyter.scheduler.policies.base:Policy"}, r"Zoe.policy: .*is no policy: it cannot be made"),
    ],
)
def test_what_cannot_be_used_is_told_by_its_setting(tmp_path: Path, settings: Any, told: str) -> None:
    chosen = Settings(data_dir=tmp_path, **settings)
    open_it = open_policy if "policy" in settings else open_backend
    with pytest.raises(ZoeError, match=told):
        open_it(chosen)


def test_a_backend_is_told_which_store_it_shares_with_other_cores_by_its_place_and_no_secret(tmp_path: Path) -> None:
    def told(url: str) -> Any:
        backend = open_backend(Settings(data_dir=tmp_path, backend="docker", database_url=url))
        return backend._claims._store  # type: ignore[attr-defined]

    found = told("postgresql://zoe:secret@db.site/zoe")
    assert found == told("postgresql+psycopg://ada:other@db.site/zoe")
    assert "secret" not in found
    assert len({found, told("postgresql://zoe@db.site/other"), told("postgresql://zoe@other.site/zoe")}) == 3
    assert found == told("postgresql://zoe@db.site:5432/zoe")
    assert not told("")


def test_a_file_of_one_machine_is_no_other_machines_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PostgreSQL may be one that each machine reaches by a name of its own, such as a proxy's on localhost."""
    url, proxy = f"sqlite:///{tmp_path}/zoe.db", "postgresql://localhost:6432/zoe"
    names = [shared_name(url), shared_name(proxy)]
    assert names == [shared_name(url), shared_name(proxy)]
    monkeypatch.setattr(platform, "node", lambda: "another")
    assert shared_name(url) != names[0]
    assert shared_name(proxy) == names[1]


@pytest.mark.parametrize("name", ["docker", "kubernetes"])
def test_a_backend_whose_packages_are_missing_says_how_to_install_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "load", Mock(side_effect=ModuleNotFoundError(f"No module named {name!r}")))
    with pytest.raises(ZoeError, match=rf"No module named '{name}'; .*`pip install 'zoe-jupyter\[{name}\]'`"):
        open_backend(Settings(data_dir=tmp_path, backend=name))


@pytest.mark.parametrize(
    "name", sorted(name for name, trait in Zoe.class_traits(config=True).items() if isinstance(trait, Float))
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 1e300])
def test_a_setting_takes_no_number_that_cannot_be_reckoned_with(name: str, value: float) -> None:
    with pytest.raises(TraitError, match=name):
        Zoe(**{name: value})


@pytest.mark.parametrize("value", [-1, 10**30])
def test_a_priority_class_has_a_number_that_can_be_stored(value: int) -> None:
    with pytest.raises(TraitError, match="priority_classes"):
        Zoe(priority_classes={"urgent": value})


def documented(prefix: str) -> dict[str, str]:
    """From each setting in the page's tables to what it is unless set."""
    rows = re.findall(rf"^\| (`{prefix}\w+`(?:, `\w+`)*) \| ([^|]*) \|", PAGE.read_text(), re.MULTILINE)
    return {
        name: value
        for names, values in rows
        for name, value in zip(re.findall(r"`(?:Zoe\.)?(\w+)`", names), values.split(", "), strict=True)
    }


def test_the_admins_page_names_every_setting_and_no_other() -> None:
    settings = documented(r"Zoe\.")
    assert set(settings) == set(Zoe.class_traits(config=True))
    for name, trait in Zoe.class_traits(config=True).items():
        told = settings[name].strip("`")
        assert told == str(trait.default()) or (not trait.default() and not told.isdigit()), name


def test_the_admins_page_names_every_option_of_the_local_backend_and_no_other() -> None:
    options = documented("")
    declared = {name: p for name, p in inspect.signature(LocalBackend).parameters.items() if name not in GIVEN}
    assert set(options) == set(declared)
    for name, parameter in declared.items():
        told = options[name].strip("`")
        assert told == str(parameter.default) or parameter.default in ((), ""), name


def test_a_framework_that_the_shop_lacks_is_told_with_the_profile_that_names_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    profiles = {"w": {"frameworks": ["pyton-job", "spark"], "users": ["*"]}}
    tell_misspelt({"profiles": profiles}, open_catalogue(()).entries)
    assert [record.getMessage() for record in caplog.records] == [
        "the profile w: the shop has no framework 'pyton-job'; did you mean python-job?"
    ]


def test_a_shop_is_not_read_where_there_are_no_profiles() -> None:
    tell_misspelt({}, Mock(side_effect=AssertionError))
