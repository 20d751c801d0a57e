"""This machine: what Zoe may give away of it."""

from __future__ import annotations

import os
import platform
import re
import socket
from collections.abc import Mapping
from itertools import takewhile

from zoe_jupyter.model.resources import Node, Resources

NODE = "local"
GIB = 1024**3
_LEAST_RESERVE_BYTES = GIB
_GPUS = "proc/driver/nvidia/gpus"
_GPU_DEVICE = re.compile(r"nvidia\d+")
_GPU_MODEL = re.compile(r"^Model:\s*(.+)$", re.MULTILINE)
_CGROUP_MEMORY = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def local_node(*, overcommit: float, memory_fraction: float) -> Node:
    """The one node. Cores are shares and are given away ``overcommit`` times over; of memory a reserve stays for everything else."""
    total, cores = total_memory_bytes(), usable_cores()
    free = max(0, total - max(_LEAST_RESERVE_BYTES, total // 10))
    capacity = Resources(
        microcores=int(cores * overcommit * 1_000_000),
        memory_bytes=min(int(total * memory_fraction), free),
        gpus=len(gpus(os.environ)),
    )
    labels = {"hostname": socket.gethostname(), "arch": platform.machine()}
    if model := _gpu_model():
        labels["gpu"] = model
    return Node(NODE, capacity, labels, microcores=int(cores * 1_000_000))


def usable_cores() -> float:
    """Cores that this process may use: affinity, and the quota of a container."""
    cores = float(len(os.sched_getaffinity(0)))
    quota = _quota_v2() or _quota_v1()
    return min(cores, quota) if quota else cores


def total_memory_bytes() -> int:
    """Memory of the machine, or of the container when that has less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [int(text) for text in map(_read, _CGROUP_MEMORY) if text.isdigit()]
    return min([total, *(limit for limit in limits if limit > 0)])


def gpus(environment: Mapping[str, str], *, root: str = "/") -> tuple[str, ...]:
    """What CUDA calls the NVIDIA GPUs that may be given away: those that this process may see itself, by ``CUDA_VISIBLE_DEVICES``."""
    count = _gpu_count(root)
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is None or not count:
        return tuple(map(str, range(count)))
    names = [name.strip() for name in named.split(",")]
    return tuple(dict.fromkeys(takewhile(lambda name: name and not name.startswith("-"), names)))


def _gpu_count(root: str) -> int:
    """Of those that the kernel's driver knows; where it does not say so, of its devices."""
    known = _names(os.path.join(root, _GPUS))
    return len(known) or sum(bool(_GPU_DEVICE.fullmatch(name)) for name in _names(os.path.join(root, "dev")))


def _gpu_model(root: str = "/") -> str:
    """The model of its GPUs as a label's value, such as ``NVIDIA-H100-80GB-HBM3``; empty where the driver names none, or several."""
    told = [_read(os.path.join(root, _GPUS, name, "information")) for name in _names(os.path.join(root, _GPUS))]
    models = {match[1].strip().replace(" ", "-") for text in told if (match := _GPU_MODEL.search(text))}
    return models.pop() if len(models) == 1 else ""


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _quota_v2() -> float:
    parts = _read("/sys/fs/cgroup/cpu.max").split()
    return int(parts[0]) / int(parts[1]) if len(parts) == 2 and parts[0].isdigit() else 0.0


def _quota_v1() -> float:
    quota, period = _read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), _read("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else 0.0


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
