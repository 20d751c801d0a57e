"""Traces and clusters from files: what is taken, and what is wrong with the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulator.world import GIB, res
from zoe_jupyter.model.errors import InvalidDescription
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.simulator import trace
from zoe_jupyter.simulator.cluster import parse_cluster, read_cluster
from zoe_jupyter.simulator.trace import COLUMNS, parse_trace, read_trace
from zoe_jupyter.simulator.workload import Application, two_kinds

HEADER = ",".join(COLUMNS)
GOOD = {
    "id": "a", "owner": "ada", "priority": "100", "submit_s": "1.5", "run_s": "30", "core_services": "2", "core_cores": "0.5",
    "core_memory_mib": "1024", "elastic_services": "3", "elastic_cores": "1", "elastic_memory_mib": "0.5",
}  # fmt: skip


def row(**changed: str) -> str:
    return ",".join({**GOOD, **changed}.values())


def problems(text: str | bytes) -> str:
    with pytest.raises(InvalidDescription) as caught:
        parse_trace(text if isinstance(text, str) else text.decode(), file="t.csv")
    return caught.value.message


class TestTrace:
    def test_a_row_is_an_application(self) -> None:
        expected = Application(
            "a", 1.5, 30, two_kinds(2, res(0.5, 1), 3, Resources(1_000_000, 512 << 10)), owner="ada", priority=100
        )
        assert parse_trace(f"{HEADER}\n{row()}\n") == (expected,)

    def test_columns_may_be_in_any_order_and_estimates_are_optional(self) -> None:
        text = f"estimate_s,{HEADER}\n7,{row()}\n,{row(id='b')}\n"
        assert [one.estimate_s for one in parse_trace(text)] == [7, None]

    def test_priorities_may_be_named(self) -> None:
        assert parse_trace(f"{HEADER}\n{row(priority='interactive')}\n")[0].priority == 200

    def test_empty_lines_and_a_byte_order_mark_do_no_harm(self, tmp_path: Path) -> None:
        file = tmp_path / "t.csv"
        file.write_bytes(f"\ufeff{HEADER}\r\n\r\n{row()}\r\n".encode())
        assert len(read_trace(file)) == 1

    def test_what_a_rigid_application_leaves_empty_is_nothing(self) -> None:
        text = f"{HEADER}\n{row(elastic_services='0', elastic_cores='', elastic_memory_mib='')}"
        assert parse_trace(text)[0].demands == two_kinds(2, res(0.5, 1))

    def test_amounts_are_rounded_up(self) -> None:
        found = parse_trace(f"{HEADER}\n{row(core_cores='0.0000001', core_memory_mib='0.0000001')}")[0]
        assert found.demands[0].resources == Resources(1, 1)

    @pytest.mark.parametrize(
        ("changed", "told"),
        [
            ({"id": ""}, "id: is empty"),
            ({"id": "x" * 201}, "id: has 201 characters, more than 200"),
            ({"submit_s": "-1"}, "submit_s: must not be negative, as -1 is"),
            ({"submit_s": "nan"}, "submit_s: must be a finite number, not 'nan'"),
            ({"run_s": "inf"}, "run_s: must be a finite number, not 'inf'"),
            ({"run_s": ""}, "run_s: must be a number; it is empty"),
            ({"run_s": "1_000"}, "run_s: must be a number, not '1_000'"),
            ({"run_s": "1e99"}, "run_s: must be at most 1e+10, not 1e99"),
            ({"run_s": "soon"}, "run_s: must be a number, not 'soon'"),
            ({"core_services": "0"}, "core_services: must be at least 1"),
            ({"core_services": "1.5"}, "core_services: must be a whole number, not 1.5"),
            ({"elastic_services": "1e9"}, "elastic_services: must be at most 100000, not 1e9"),
            ({"elastic_cores": "-0.5"}, "elastic_cores: must not be negative, as -0.5 is"),
            ({"priority": "high"}, "priority: must be a number, not 'high' (or one of interactive, batch, filler)"),
        ],
    )
    def test_a_bad_row_names_its_line_and_its_field(self, changed: dict[str, str], told: str) -> None:
        assert problems(f"{HEADER}\n{row(id='fine')}\n{row(**changed)}") == f"t.csv:3: {told}"

    def test_every_bad_row_is_told_up_to_a_limit(self) -> None:
        bad = "\n".join(row(id=f"a{i}", run_s="x") for i in range(50))
        lines = problems(f"{HEADER}\n{bad}").splitlines()
        assert len(lines) == trace.MAX_PROBLEMS
        assert lines[1].startswith("t.csv:3: run_s")

    def test_ids_are_there_once(self) -> None:
        assert problems(f"{HEADER}\n{row()}\n{row()}") == "t.csv:3: id: 'a' is there twice, first in line 2"

    def test_rows_are_as_wide_as_the_header(self) -> None:
        assert problems(f"{HEADER}\n{row()},7") == "t.csv:2: has 12 fields, the header has 11"

    @pytest.mark.parametrize("text", ["", "\n", "a,b\n", f"{HEADER},colour\n", f"{HEADER},id\n"])
    def test_the_header_says_what_it_must_be(self, text: str) -> None:
        assert problems(text).startswith("t.csv:1: the header ")
        assert problems(text).endswith(HEADER)

    def test_no_application_is_an_error(self) -> None:
        assert problems(HEADER) == "t.csv:1: has no application"

    @pytest.mark.parametrize("text", [f'{HEADER}\n"a', f"{HEADER}\n{'x' * 200_000}"])
    def test_what_is_no_csv_is_an_error(self, text: str) -> None:
        assert "is not CSV" in problems(text)

    def test_files_that_cannot_be_read_are_errors(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(InvalidDescription, match="cannot be read: No such file"):
            read_trace(tmp_path / "none.csv")
        with pytest.raises(InvalidDescription, match="cannot be read: Is a directory"):
            read_trace(tmp_path)
        file = tmp_path / "t.csv"
        file.write_bytes(b"id\xff")
        with pytest.raises(InvalidDescription, match="is not UTF-8"):
            read_trace(file)
        monkeypatch.setattr(trace, "MAX_BYTES", 2)
        with pytest.raises(InvalidDescription, match="is larger than"):
            read_trace(file)

    def test_the_number_of_rows_is_limited(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trace, "MAX_ROWS", 1)
        assert "has more than 1 applications" in problems(f"{HEADER}\n{row()}\n{row(id='b')}")


class TestCluster:
    def test_groups_are_so_many_nodes_each(self) -> None:
        nodes = parse_cluster(
            "nodes: [{count: 2, cores: 32, memory: 128GiB}, {cores: 4, memory: 1GiB, gpus: 2, labels: {a: b}}]"
        )
        assert [node.capacity for node in nodes] == [res(32, 128)] * 2 + [Resources(4_000_000, GIB, 2)]
        assert nodes[2].labels == {"a": "b"}
        assert len({node.name for node in nodes}) == 3

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("", "must be a mapping with `nodes`"),
            ("nodes: []", "c.yaml:1: nodes: must be a list of at least one"),
            ("nodes: [7]", "nodes.0: must be a mapping of count, cores"),
            ("nodes: [{}]", "nodes.0.cores: is needed, as a number"),
            ("nodes:\n- cores: 1", "c.yaml:2: nodes.0.memory: is needed, as a number"),
            ("nodes: [{cores: -1, memory: 1GiB}]", "nodes.0.cores: cores are a number between 0"),
            ("nodes: [{cores: 1, memory: 1 parsec}]", "nodes.0.memory: '1 parsec' is not a memory size"),
            ("nodes: [{cores: [1], memory: 1GiB}]", "nodes.0.cores: must be a number, not [1]"),
            ("nodes: [{cores: .nan, memory: 1GiB}]", "must be a finite number"),
            ("nodes: [{count: 1.5, cores: 1, memory: 1GiB}]", "nodes.0.count: must be a whole number of 0 to 10000"),
            ("nodes: [{count: 0, cores: 1, memory: 1GiB}]", "nodes: describes 0 nodes"),
            (
                "nodes: [{kount: 1, cores: 1, memory: 1GiB}]",
                "nodes.0.kount: is not a field of nodes; did you mean count?",
            ),
            ("nodes: [{cores: 1, memory: 1GiB, labels: [a]}]", "nodes.0.labels: must be a mapping"),
            ("nodes: [{cores: 1, memory: 1GiB}]\nname: x", "c.yaml:2: name: is not a field of a cluster"),
            ("nodes: [", "is not YAML"),
        ],
    )
    def test_what_is_wrong_is_told_by_line(self, text: str, told: str) -> None:
        with pytest.raises(InvalidDescription) as caught:
            parse_cluster(text, file="c.yaml")
        assert told in caught.value.message

    def test_files_that_cannot_be_read_are_errors(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidDescription, match="cannot be read"):
            read_cluster(tmp_path / "none.yaml")
        (tmp_path / "c.yaml").write_text("nodes: [{cores: 1, memory: 1}]")
        assert read_cluster(tmp_path / "c.yaml") == (Node("node-000-00000", Resources(1_000_000, 1)),)
