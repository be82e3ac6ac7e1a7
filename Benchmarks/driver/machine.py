# SPDX-License-Identifier: Apache-2.0
"""What it was measured on."""

import os
import platform
import subprocess
import time


def first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        return (done.stdout or done.stderr).strip().splitlines()[0]
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return "absent"


def describe():
    model, memory = platform.processor() or platform.machine(), 0
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1]) >> 10
    system = "Linux"
    try:
        with open("/etc/os-release") as file:
            system = dict(line.strip().split("=", 1) for line in file if "=" in line)["PRETTY_NAME"].strip('"')
    except (OSError, KeyError):
        pass
    with open("/proc/cpuinfo") as file:
        virtual = "virtual machine" if " hypervisor" in file.read() else "no hypervisor"
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": memory,
        "virtual": virtual,
        "kernel": platform.release(),
        "system": system,
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "swift": first_line(["swift", "--version"]),
        "nbdkit": first_line(["nbdkit", "--version"]),
        "fio": first_line(["fio", "--version"]),
        "load": os.getloadavg()[0],
    }


def proportional_set_size(pid):
    """Bytes, as the kernel counts them."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    return 0
