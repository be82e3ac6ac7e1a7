# SPDX-License-Identifier: Apache-2.0
"""`stowage serve` beside nbdkit, over Unix sockets, with the same pages: nbdcopy in and out, 4 KiB at random, and RAM."""

import filecmp
import json
import os
import shutil
import subprocess
import tempfile
import time

import machine

DEPTHS = (1, 16)


class Server:
    """A server process on a Unix socket; ended by its number."""

    def __init__(self, name, command, socket, export="", control=None):
        self.name, self.socket, self.export, self.control = name, socket, export, control
        self.uri = f"nbd+unix:///{export}?socket={socket}"
        self.log = open(os.path.join(os.path.dirname(socket), "log"), "w+b")
        self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        until = time.monotonic() + 30
        while subprocess.run(["nbdinfo", "--size", self.uri], capture_output=True).returncode != 0:
            if self.child.poll() is not None or time.monotonic() > until:
                self.end()
                self.log.seek(0)
                raise RuntimeError(f"{name} does not serve: " + self.log.read().decode(errors="replace").strip()[-300:])
            time.sleep(0.05)

    def end(self):
        try:
            self.child.terminate()
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


def nbdkit(name, words, size):
    def begin(folder):
        socket = os.path.join(folder, "nbd")
        return Server(name, ["nbdkit", "-f", "-U", socket, "memory", str(size), *words], socket)
    return begin


def stowage(name, options, size, memory, chain):
    """chain: TOML for the tiers and the store; empty is the default chain."""
    def begin(folder):
        socket, control = os.path.join(folder, "nbd"), os.path.join(folder, "control", "socket")
        config = os.path.join(folder, "serve.toml")
        with open(config, "w") as file:
            file.write(f"memory = {int(memory)}\n{chain}")
        command = [options.stowage, "serve", "--config", config, "--plugin-path-only", "--plugin-path", options.plugins, "--export", f"bench={size}",
                   "--listen", f"unix:{socket}", "--control", control, "--discard"]
        return Server(name, command, socket, "bench", control)
    return begin


def timed(command):
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise RuntimeError(f"{os.path.basename(command[0])}: {done.stderr.strip()[-300:]}")
    return time.monotonic() - began


def fio(server, size, depth, seconds):
    """4 KiB reads a second at random."""
    command = ["fio", "--name=bench", "--ioengine=nbd", f"--uri={server.uri}", "--rw=randread", "--bs=4k", f"--iodepth={depth}",
               f"--size={size}", f"--runtime={seconds}", "--time_based", "--output-format=json", "--randseed=7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode != 0:
        raise RuntimeError("fio: " + done.stderr.strip()[-300:])
    # Notes may stand before the JSON.
    return json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]["read"]["iops"]


def levels(options, server):
    """Pages by level, of a store; None of other servers."""
    if not server.control:
        return None
    done = subprocess.run([options.stowage, "status", "--control", server.control, "--json"], capture_output=True, text=True)
    return {level["name"]: level["pages"] for level in json.loads(done.stdout)["levels"]} if done.returncode == 0 else None


def one_round(bench, begin, size, seed, found):
    """Adds a round's figures to `found`, a dictionary of lists."""
    options, folder = bench.options, tempfile.mkdtemp(prefix="stowage-nbd-")

    def note(key, value):
        found.setdefault(key, []).append(value)

    server = None
    try:
        server = begin(folder)
        seconds = 0.5 if options.quick else 1
        note("copy in", timed(["nbdcopy", options.pages, server.uri]))
        time.sleep(1)
        note("RAM", machine.proportional_set_size(server.child.pid))
        found["levels"] = levels(options, server)
        for operation in ("read", "write"):
            for depth in DEPTHS:
                report = bench.run("nbd", "--socket", server.socket, "--export", server.export, "--operation", operation,
                                   "--depth", depth, "--seconds", seconds, "--seed", seed)
                note(f"{operation} {depth}", report["rows"][0]["ours"][0])
                note(f"{operation} {depth} p99", report["facts"]["p99"])
        for depth in DEPTHS:
            note(f"fio read {depth}", fio(server, size, depth, 1))
        note("RAM after", machine.proportional_set_size(server.child.pid))
        out = os.path.join(options.folder, "nbd.out")
        note("copy out", timed(["nbdcopy", server.uri, out]))
        if not filecmp.cmp(options.pages, out, shallow=False):
            raise RuntimeError(f"{server.name}: what nbdcopy read back has other contents")
        os.unlink(out)
    finally:
        if server:
            server.end()
        shutil.rmtree(folder, ignore_errors=True)


PACKED = "stowage, all compressors"
LZ4 = '[store]\nmemory = "8MiB"\n[[tier]]\nplugin = "lz4"\n'


def servers(bench, results, size):
    """Those that can be begun here, by name; the limit of the store that is to need no more RAM than nbdkit's zstd is found."""
    options = bench.options
    found = {}
    if shutil.which("nbdkit"):
        for allocator in ("malloc", "sparse", "zstd"):
            words = [f"allocator={allocator}"]
            done = subprocess.run(["nbdkit", "memory", "1M", *words, "--run", "true"], capture_output=True, text=True)
            if done.returncode == 0:
                found[f"nbdkit {allocator}"] = nbdkit(f"nbdkit {allocator}", words, size)
            else:
                results.missing(f"nbdkit memory {words[0]}", done.stderr.strip().splitlines()[-1])
    else:
        results.missing("nbdkit", "it is not installed")
    found["stowage, lz4"] = stowage("stowage, lz4", options, size, size * 3 // 4, LZ4)
    limit = size // 4
    if "nbdkit zstd" in found:
        trial = {}
        quick_ram(options, found["nbdkit zstd"], trial)
        limit = trial["RAM"]
        results.facts["nbd.zstd"] = trial
    # As little as it can be, beginning with what would leave room for the rest of the process; a tenth is left for chance.
    tiers = "".join(f'[[tier]]\nplugin = "{name}"\n' for name in options.open_chain)
    for step in range(14):
        memory = int((limit - (12 << 20)) * 1.1 ** step)
        try:
            for _ in range(2):
                quick_ram(options, stowage("trial", options, size, memory, tiers), {})
        except RuntimeError as why:
            results.facts[f"nbd.limit.{memory >> 20}MiB"] = str(why)
            continue
        memory = int(memory * 1.1)
        results.facts["nbd.memory"] = memory
        found[PACKED] = stowage(PACKED, options, size, memory, tiers)
        return found
    results.missing("stowage serve with all compressors, as small as nbdkit's zstd", "no limit that was tried held the pages")
    return found


def quick_ram(options, begin, found):
    folder, server = tempfile.mkdtemp(prefix="stowage-nbd-"), None
    try:
        server = begin(folder)
        found["copy"] = timed(["nbdcopy", options.pages, server.uri])
        time.sleep(1)
        found["RAM"] = machine.proportional_set_size(server.child.pid)
    finally:
        if server:
            server.end()
        shutil.rmtree(folder, ignore_errors=True)


UNITS = {"copy in": "s", "copy out": "s", "RAM": "MiB", "RAM after": "MiB"}


def measure(bench, results):
    options = bench.options
    for tool in ("nbdcopy", "nbdinfo", "fio"):
        if not shutil.which(tool):
            return results.missing("servers over NBD", f"{tool} is not installed")
    size = os.path.getsize(options.pages)
    begins = servers(bench, results, size)
    figures = {name: {} for name in begins}
    for round in range(options.rounds):
        for name, begin in begins.items():
            options.say(f"NBD: round {round + 1} of {options.rounds}, {name}")
            try:
                one_round(bench, begin, size, round + 1, figures[name])
            except (RuntimeError, subprocess.TimeoutExpired) as why:
                results.missing(f"NBD, {name}, round {round + 1}", str(why))
    for name, found in figures.items():
        if found.get("levels"):
            results.facts[f"nbd.levels.{name}"] = found.pop("levels")
        for key, values in found.items():
            if key != "levels":
                scaled = [value / (1 << 20) for value in values] if key.startswith("RAM") else values
                results.figure(f"nbd.{name}.{key}", UNITS.get(key, "us" if "p99" in key else "/s"), scaled)
    for name, peer in (("stowage, lz4", "nbdkit malloc"), (PACKED, "nbdkit zstd")):
        for key in figures.get(name, {}):
            ours, theirs = figures[name][key], figures.get(peer, {}).get(key)
            if theirs and isinstance(ours, list) and len(ours) == len(theirs):
                unit = (1 << 20) if key.startswith("RAM") else 1
                results.figure(f"nbd.compare.{name}.{key}", UNITS.get(key, "/s"), [one / unit for one in ours], [one / unit for one in theirs])
