# SPDX-License-Identifier: Apache-2.0
"""zram as swap, under a memory cgroup of half the working set, beside a store with as much raw."""

import os
import subprocess

from parts import Zram

CLUSTER = "/proc/sys/vm/page-cluster"


class Cgroup:
    """A memory cgroup of version 1 or 2; removed afterwards."""

    def __init__(self):
        name = f"stowage-bench-{os.getpid()}"
        if os.path.isdir("/sys/fs/cgroup/memory"):
            self.folder = f"/sys/fs/cgroup/memory/{name}"
        elif os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
            self.folder = f"/sys/fs/cgroup/{name}"
        else:
            raise RuntimeError("there is no memory cgroup")
        try:
            os.mkdir(self.folder)
        except OSError as why:
            raise RuntimeError(f"no memory cgroup can be made: {why}")

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        os.rmdir(self.folder)


def swapped_in():
    with open("/proc/vmstat") as file:
        return int(dict(line.split() for line in file)["pswpin"])


def run_tool(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip()}")


def measure(bench, results, pages):
    """Adds swap.access; raises RuntimeError when it cannot be measured."""
    count = min(pages, 16384 if bench.options.quick else 32768)
    resident = count * 4096 // 2
    with Zram(1 << 30) as zram, Cgroup() as cgroup:
        with open(CLUSTER) as file:
            cluster = file.read()
        run_tool("mkswap", zram.device)
        run_tool("swapon", "--priority", "32000", zram.device)
        try:
            with open(CLUSTER, "w") as file:
                file.write("0")
            before = swapped_in()
            report = bench.run("swap", "--pages", count, "--resident", resident, "--cgroup", cgroup.folder, timeout=240)
            misses = swapped_in() - before
        finally:
            with open(CLUSTER, "w") as file:
                file.write(cluster)
            run_tool("swapoff", zram.device)
    if misses < 1000:
        raise RuntimeError(f"the kernel brought only {misses} pages back from swap: the cgroup did not hold it down")
    ours = bench.run("swap-store", "--pages", count, "--resident", resident)
    results.figure("swap.access", "us", ours["rows"][0]["ours"], report["rows"][0]["ours"])
    results.facts["swap"] = {"pages": count, "raw": ours["facts"]["raw"], "swapped_in": misses}
