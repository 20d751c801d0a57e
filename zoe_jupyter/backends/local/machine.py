"""This machine: what Zoe may give away of it."""

from __future__ import annotations

import os
import platform
import socket

from zoe_jupyter.model.resources import Node, Resources

NODE = "local"
GIB = 1024**3
_LEAST_RESERVE_BYTES = GIB
_CGROUP_MEMORY = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def local_node(*, overcommit: float, memory_fraction: float) -> Node:
    """The one node. Cores are shares and are given away ``overcommit`` times over; of memory a reserve stays for everything else."""
    total, cores = total_memory_bytes(), usable_cores()
    free = max(0, total - max(_LEAST_RESERVE_BYTES, total // 10))
    capacity = Resources(
        microcores=int(cores * overcommit * 1_000_000),
        memory_bytes=min(int(total * memory_fraction), free),
        gpus=gpu_count(),
    )
    labels = {"hostname": socket.gethostname(), "arch": platform.machine()}
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


def gpu_count() -> int:
    """NVIDIA devices that the kernel's driver knows."""
    try:
        return len(os.listdir("/proc/driver/nvidia/gpus"))
    except OSError:
        return 0


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
