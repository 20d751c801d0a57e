"""``jupyter zoe simulate``: a workload under several policies, as a table, JSON, a timeline, pictures."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from zoe_jupyter import plugins
from zoe_jupyter.client.api import Api
from zoe_jupyter.client.verbs.parser import Usage
from zoe_jupyter.model.errors import UserError
from zoe_jupyter.model.resources import Node
from zoe_jupyter.scheduler.policies.base import Policy, assumption
from zoe_jupyter.scheduler.snapshot import ExecutionId, Job, Snapshot
from zoe_jupyter.simulator import plots, report
from zoe_jupyter.simulator.cluster import read_cluster
from zoe_jupyter.simulator.history import read_history, read_nodes
from zoe_jupyter.simulator.outcome import Outcome
from zoe_jupyter.simulator.simulation import Settings, deciding, simulate
from zoe_jupyter.simulator.synthetic import Mix, authors_cluster, synthetic
from zoe_jupyter.simulator.trace import read_trace
from zoe_jupyter.simulator.workload import Application

DESCRIPTION = """Replay a workload through the scheduler that decides here, under several policies, and say how long everybody would have waited.
The workload is a CSV file, what ran here, or the synthetic one of arXiv 1611.09528."""


class SimulateCommand:
    """The command ``simulate`` of ``jupyter zoe``."""

    name = "simulate"
    help = "Replay a workload through the scheduler."

    def run(self, words: Sequence[str]) -> int:
        """Prints what came of it; returns the exit code. Raises UserError, InvalidDescription, Usage."""
        args = _parser().parse_args(list(words))
        policies = list(dict.fromkeys(args.policies or ["fifo"]))
        chosen = {name: _Named(name, plugins.policy(name)) for name in policies}
        nodes = _cluster(args)
        applications = _workload(args, nodes)
        settings = _settings(args)
        outcomes = {name: simulate(applications, nodes, deciding(policy), settings) for name, policy in chosen.items()}
        _save(args, outcomes)
        print(report.as_json(outcomes) if args.json else report.as_table(outcomes))
        return 0


class _Named:
    """A policy that says whose mistake it is when it fails."""

    def __init__(self, name: str, policy: Policy) -> None:
        self.assumes = assumption(policy)
        self._name = name
        self._policy = policy

    def order(self, waiting: Sequence[Job], snapshot: Snapshot, now: float) -> Sequence[ExecutionId]:
        try:
            return self._policy.order(waiting, snapshot, now)
        except Exception as error:  # whatever somebody's class does
            said = f"the policy {self._name!r} failed at {now:g} s with {len(waiting)} that wait: {type(error).__name__}: {error}"
            raise UserError(f"{said}; correct it, or choose another") from error


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Usage(f"{message}\n{self.format_usage().strip()}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="jupyter zoe simulate", description=DESCRIPTION, allow_abbrev=False)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--trace", type=Path, metavar="FILE", help="a CSV file, one application a line")
    source.add_argument("--synthetic", action="store_true", help="the authors' workload, made up")
    source.add_argument("--history", action="store_true", help="what ran here, asked of the running Zoe")
    parser.add_argument(
        "--cluster", type=Path, metavar="FILE", help="YAML: nodes: [{count: 25, cores: 32, memory: 128GiB}]"
    )
    parser.add_argument(
        "--policy", dest="policies", action="append", metavar="NAME", help="may be given several times (fifo)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, keyed by policy")
    parser.add_argument("--timeline", type=Path, metavar="FILE.csv", help="write when each started and ended")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw it (needs Matplotlib)")
    parser.add_argument("--vega", type=Path, metavar="FILE.json", help="draw it as Vega-Lite")
    _add_model(parser.add_argument_group("the work model"))
    _add_synthetic(parser.add_argument_group("with --synthetic"))
    return parser


def _add_model(group: Any) -> None:
    for name, told in (
        ("startup", "how long a service holds resources before it works"),
        ("drain", "how long an elastic service that is taken back holds its resources"),
        ("protection", "how long it does not grow afterwards while others wait"),
    ):
        group.add_argument(f"--{name}-s", type=_seconds, default=0.0, metavar="S", help=f"{told} (0)")
    group.add_argument("--reclaim", choices=("on", "off"), default="on", help="take elastic services back for a core")
    group.add_argument("--preempt", choices=("on", "off"), default="off", help="take whole applications back (off)")
    group.add_argument("--keep-progress", action="store_true", help="what was taken back whole goes on where it was")


def _add_synthetic(group: Any) -> None:
    group.add_argument("--applications", type=_count, default=2000, metavar="N", help="how many (2000)")
    group.add_argument("--mix", choices=[mix.value for mix in Mix], default=Mix.ELASTIC.value, help="which (elastic)")
    group.add_argument("--load", type=_positive, default=0.9, help="work offered over what the machines can do (0.9)")
    group.add_argument("--seed", type=int, default=0)


def _seconds(text: str) -> float:
    return _number(text, lambda value: value >= 0, "a number of seconds")


def _positive(text: str) -> float:
    return _number(text, lambda value: 0.001 <= value <= 1000, "a number of 0.001 to 1000")


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"must be a whole number of 1 to 1000000, not {text[:40]!r}")
    return int(text)


def _number(text: str, is_fine: Callable[[float], bool], what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or not is_fine(value) or value > 1e10:
        raise argparse.ArgumentTypeError(f"must be {what}, not {text[:40]!r}")
    return value


def _cluster(args: argparse.Namespace) -> tuple[Node, ...]:
    if args.cluster:
        return read_cluster(args.cluster)
    if args.trace:
        raise Usage("--trace needs --cluster FILE: on which machines shall it run?")
    return authors_cluster() if args.synthetic else read_nodes(Api())


def _workload(args: argparse.Namespace, nodes: Sequence[Node]) -> tuple[Application, ...]:
    if args.trace:
        return read_trace(args.trace)
    if args.history:
        return read_history(Api())
    return synthetic(args.applications, mix=Mix(args.mix), load=args.load, seed=args.seed, nodes=nodes)


def _settings(args: argparse.Namespace) -> Settings:
    return Settings(
        startup_s=args.startup_s,
        drain_s=args.drain_s,
        protection_s=args.protection_s,
        reclaims=args.reclaim == "on",
        preempts=args.preempt == "on",
        keeps_progress=args.keep_progress,
    )


def _save(args: argparse.Namespace, outcomes: Mapping[str, Outcome]) -> None:
    try:
        if args.timeline:
            report.save_timelines(outcomes, args.timeline)
        if args.vega:
            args.vega.write_text(json.dumps(plots.vega(outcomes)), encoding="utf-8")
        if args.plot:
            plots.save_png(outcomes, args.plot)
    except OSError as error:
        raise UserError(f"{error.filename or 'what came of it'} cannot be written: {error.strerror}") from None
