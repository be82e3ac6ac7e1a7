# SPDX-License-Identifier: Apache-2.0
"""Runs store-bench part by part, and keeps what it finds."""

import json
import os
import subprocess
import time


class Results:
    """Rows by id, series for plots, and what is absent and why."""

    def __init__(self):
        self.rows, self.series, self.absent, self.facts, self.seconds = {}, [], [], {}, {}

    def add(self, report):
        for row in report["rows"]:
            self.rows[row["id"]] = row
        self.series += report["series"]
        self.absent += report["absent"]
        self.facts[report["part"]] = report["facts"]

    def figure(self, id, unit, ours, peer=None):
        row = {"id": id, "unit": unit, "ours": list(ours)}
        if peer is not None:
            row["peer"] = list(peer)
            row["ratio"] = [a / b if b else 0 for a, b in zip(row["ours"], row["peer"])]
        self.rows[id] = row

    def missing(self, what, why):
        self.absent.append({"what": what, "why": why})


class Bench:
    def __init__(self, options):
        self.options = options

    def run(self, part, *words, timeout=600):
        """What the part reports; raises RuntimeError with what it says."""
        command = [self.options.bench, part, self.options.pages, "--plugins", self.options.plugins, "--folder",
                   self.options.folder, "--rounds", str(self.options.rounds), *map(str, words)]
        if self.options.quick:
            command.append("--quick")
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"it took longer than {timeout} s")
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"status {done.returncode}")
        return json.loads(done.stdout)

    def part(self, results, part, what, *words, timeout=600):
        """Runs a part; when it fails, that is said in the results."""
        began = time.monotonic()
        self.options.say(f"{what}")
        try:
            results.add(self.run(part, *words, timeout=timeout))
        except RuntimeError as why:
            results.missing(what, str(why))
        results.seconds[part] = round(time.monotonic() - began, 1)


def default_chain(options):
    """Names of the transforms that a chain without configuration has, nearest to RAM first; and of those that compress."""
    done = subprocess.run([options.stowage, "plugins", "list", "--json", "--plugin-path-only", "--plugin-path", options.plugins],
                          capture_output=True, text=True)
    listed = json.loads(done.stdout)["plugins"]
    usable = [one for one in listed if one["status"] == "ok" and one["role"] == "transform"]
    names = [one["name"] for one in usable]
    return names, [name for name in names if name != "aes-gcm"]


class Zram:
    """zram0 with lz4, if it is there and nobody uses it; given back afterwards."""

    folder = "/sys/block/zram0"

    def __init__(self, size):
        self.device = None
        if os.geteuid() != 0:
            raise RuntimeError("needs root")
        if not os.path.exists(self.folder):
            subprocess.run(["modprobe", "zram"], capture_output=True)
        if not os.path.exists(self.folder) or not os.path.exists("/dev/zram0"):
            raise RuntimeError("this kernel has no zram device")
        if self.read("disksize") != "0":
            raise RuntimeError("/dev/zram0 is in use")
        if "lz4" not in self.read("comp_algorithm").replace("[", "").replace("]", "").split():
            raise RuntimeError("this kernel's zram has no lz4")
        try:
            self.write("comp_algorithm", "lz4")
            self.write("disksize", str(size))
        except OSError as why:
            raise RuntimeError(f"zram0: {why}")
        self.device = "/dev/zram0"

    def read(self, name):
        with open(os.path.join(self.folder, name)) as file:
            return file.read().strip()

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w") as file:
            file.write(text)

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.write("reset", "1")
