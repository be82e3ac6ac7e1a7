# SPDX-License-Identifier: Apache-2.0
"""zram as swap, under a memory cgroup of half the working set, beside a store with as much raw."""

import os
import subprocess

from parts import Zram

CLUSTER = "/proc/sys/vm/page-cluster"


class Cgroup:
    """A memory cgroup of version 1 or 2; removed afterwards."""

    def __init__(self, limit):
        name = f"stowage-bench-{os.getpid()}"
        if os.path.isdir("/sys/fs/cgroup/memory"):
            self.folder, file = f"/sys/fs/cgroup/memory/{name}", "memory.limit_in_bytes"
        elif os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
            self.folder, file = f"/sys/fs/cgroup/{name}", "memory.max"
        else:
            raise RuntimeError("there is no memory cgroup")
        try:
            os.mkdir(self.folder)
            with open(os.path.join(self.folder, file), "w") as out:
                out.write(str(limit))
        except OSError as why:
            if os.path.isdir(self.folder):
                os.rmdir(self.folder)
            raise RuntimeError(f"no memory cgroup can be made: {why}")

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        os.rmdir(self.folder)


def run_tool(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip()}")


def measure(bench, results, pages):
    """Adds swap.access; raises RuntimeError when it cannot be measured."""
    count = min(pages, 8192 if bench.options.quick else 32768)
    resident = count * 4096 // 2
    # Code, stack and the sums that are kept are beside the pages.
    with Zram(1 << 30) as zram, Cgroup(resident + (24 << 20)) as cgroup:
        with open(CLUSTER) as file:
            cluster = file.read()
        run_tool("mkswap", zram.device)
        run_tool("swapon", "--priority", "32000", zram.device)
        try:
            with open(CLUSTER, "w") as file:
                file.write("0")
            report = bench.run("swap", "--pages", count, "--cgroup", cgroup.folder, timeout=240)
        finally:
            with open(CLUSTER, "w") as file:
                file.write(cluster)
            run_tool("swapoff", zram.device)
    ours = bench.run("swap-store", "--pages", count, "--resident", resident)
    results.figure("swap.access", "us", ours["rows"][0]["ours"], report["rows"][0]["ours"])
    results.facts["swap"] = {"pages": count, "raw": ours["facts"]["raw"]}
