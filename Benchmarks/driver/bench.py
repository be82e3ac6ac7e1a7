# SPDX-License-Identifier: Apache-2.0
"""The benchmark: everything side by side over the same pages, in one run. `make bench` begins it.

Parts of one process are in Benchmarks/StoreBench; this runs them, the servers and devices beside them, and makes the tables.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import capture
import docs
import machine
import nbd
import parts
import swap
import table

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PARTS = ("codecs", "churn", "overhead", "devices", "front", "latency", "threads", "demotion", "scale", "swap", "nbd")


def parse():
    parser = argparse.ArgumentParser(description="Stowage beside its peers, in one run.", allow_abbrev=False)
    parser.add_argument("--build", default=os.path.join(ROOT, ".build"), help="the build folder (default: .build)")
    parser.add_argument("--quick", action="store_true", help="about three minutes: to see that it works, not to judge by")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured to this file")
    parser.add_argument("--docs", action="store_true", help="write docs/benchmarks.md and docs/plots")
    parser.add_argument("--pages", metavar="FILE", help="a file of pages, instead of capturing some")
    parser.add_argument("--only", metavar="PARTS", help="only these, with commas: " + ", ".join(PARTS))
    parser.add_argument("--rounds", type=int, help="default: 5; quick: 2")
    options = parser.parse_args()
    options.only = options.only.split(",") if options.only else list(PARTS)
    for part in options.only:
        if part not in PARTS:
            parser.error(f"there is no part '{part}'")
    options.rounds = max(1, options.rounds or (2 if options.quick else 5))
    if options.docs and (options.quick or options.rounds < 5):
        parser.error("--docs wants a whole run of five rounds or more")
    options.stowage = os.path.join(ROOT, "bin", "stowage")
    options.plugins = os.path.join(ROOT, "bin", "plugins")
    options.bench = os.path.join(options.build, "release", "store-bench")
    options.folder = os.path.join(options.build, "bench")
    began = time.monotonic()
    options.say = lambda what: print(f"bench {time.monotonic() - began:5.0f} s  {what}", file=sys.stderr, flush=True)
    return options


def measure(options, results):
    bench = parts.Bench(options)
    chain = ["--chain", ",".join(options.chain)]
    count = os.path.getsize(options.pages) // 4096
    if "codecs" in options.only:
        bench.part(results, "codecs", "bare codecs beside the store")
    if "churn" in options.only:
        bench.part(results, "churn", "packing in a churn")
    if "overhead" in options.only:
        bench.part(results, "overhead", "RAM beyond the chunks")
    if "devices" in options.only:
        try:
            with parts.Zram(count * 4096) as zram:
                bench.part(results, "devices", "zram and plain files", "--device", zram.device)
        except RuntimeError as why:
            results.missing("zram as a block device", str(why))
            bench.part(results, "devices", "plain files", "--device", "")
    if "front" in options.only:
        bench.part(results, "front", "RAM against time of the default chain", *chain)
    if "latency" in options.only:
        bench.part(results, "latency", "latencies by level", *chain)
    if "threads" in options.only:
        bench.part(results, "threads", "threads")
    if "demotion" in options.only:
        bench.part(results, "demotion", "demotion to the swap file")
    if "scale" in options.only:
        sizes = "100000,1000000" if options.quick else "100000,1000000,16000000"
        bench.part(results, "scale", "stores of up to 16 million pages", "--sizes", sizes)
    if "swap" in options.only:
        options.say("zram as swap")
        began = time.monotonic()
        try:
            swap.measure(bench, results, count)
        except (RuntimeError, OSError) as why:
            results.missing("zram as swap under a memory cgroup", str(why))
        results.seconds["swap"] = round(time.monotonic() - began, 1)
    if "nbd" in options.only:
        began = time.monotonic()
        nbd.measure(bench, results)
        results.seconds["nbd"] = round(time.monotonic() - began, 1)


def show(report, results, is_whole):
    about, targets = report["machine"], table.target_rows(results)
    if not is_whole:
        targets = [line for line in targets if line[-1] != "not measured"]
    print(f"\nStowage beside its peers, {about['date']}, one run of {report['seconds']:.0f} s, medians of {report['rounds']} rounds")
    print(f"{about['cpu']}, {about['cores']} cores, {about['memory_mib'] >> 10} GiB, kernel {about['kernel']}, {about['virtual']}\n")
    for kind in report["pages"]["kinds"]:
        print(f"  {kind['used']:>7,} pages of: {kind['kind']} (of {kind['seen']:,} seen, {kind['same']:,} of one word are left out)")
    for title, head, lines in (
            ("Targets", table.HEAD, targets), ("Bare codecs; CPU time of all threads, a page", table.CODEC_HEAD, table.codec_rows(results)),
            ("Devices and files, a page of 4 KiB", table.PLAIN_HEAD, table.plain_rows(results)), ("Servers over NBD", table.NBD_HEAD, table.nbd_rows(results))):
        if lines:
            print(f"\n{title}\n\n{table.text(head, lines)}")
    print("\nNot measured: " + ("nothing" if not report["absent"] else ""))
    for one in report["absent"]:
        print(f"  {one['what']}: {one['why']}")


def draw(options, report_file):
    """The plots, with a matplotlib of the build folder's own if the system has none. What went wrong, or None."""
    folder = os.path.join(ROOT, "docs", "plots") if options.docs else os.path.join(options.folder, "plots")
    python = "python3"
    if subprocess.run([python, "-c", "import matplotlib"], capture_output=True).returncode != 0:
        environment = os.path.join(options.build, "bench-venv")
        python = os.path.join(environment, "bin", "python3")
        if not os.path.exists(python) or subprocess.run([python, "-c", "import matplotlib"], capture_output=True).returncode != 0:
            options.say("matplotlib is fetched for the plots")
            for command in (["python3", "-m", "venv", environment], [python, "-m", "pip", "install", "-q", "matplotlib==3.9.4"]):
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode != 0:
                    return (done.stderr or done.stdout).strip()[-300:]
    done = subprocess.run([python, os.path.join(os.path.dirname(__file__), "plots.py"), report_file, folder], capture_output=True, text=True)
    if done.returncode != 0:
        return done.stderr.strip()[-300:]
    options.say(f"plots are in {os.path.relpath(folder)}")
    return None


def main():
    # A signal ends it as an error does: devices, processes and folders are given back.
    signal.signal(signal.SIGTERM, lambda *ignored: sys.exit(143))
    options = parse()
    for need in (options.stowage, options.bench):
        if not os.path.exists(need):
            sys.exit(f"bench: {os.path.relpath(need)} is missing; 'make bench' builds it")
    os.makedirs(options.folder, exist_ok=True)
    began = time.monotonic()
    about = machine.describe()
    results = parts.Results()
    if options.pages:
        pages = {"kinds": [], "absent": [], "count": os.path.getsize(options.pages) // 4096}
    else:
        options.pages = os.path.join(options.folder, "pages")
        pages = capture.make(options.stowage, options.pages, (64 << 20) if options.quick else (256 << 20), options.say)
        results.absent += pages["absent"]
    options.chain, options.open_chain = parts.default_chain(options)
    measure(options, results)
    table.combine(results)
    report = {
        "machine": about, "rounds": options.rounds, "quick": options.quick, "seconds": round(time.monotonic() - began), "pages": pages,
        "chain": options.chain, "rows": results.rows, "series": results.series, "absent": results.absent, "facts": results.facts,
        "part_seconds": results.seconds, "targets": [dict(zip(("what", "ours", "peer", "figure", "spread", "target", "verdict"), line)) for line in table.target_rows(results)],
    }
    kept = os.path.join(options.folder, "report.json")
    with open(kept, "w") as file:
        json.dump(report, file, indent=1)
    if options.json:
        shutil.copyfile(kept, options.json)
    failed = draw(options, kept)
    if failed:
        results.missing("plots", failed)
    show(report, results, len(options.only) == len(PARTS))
    if options.docs:
        docs.write(os.path.join(ROOT, "docs", "benchmarks.md"), report, results)
        options.say("docs/benchmarks.md is written")


if __name__ == "__main__":
    main()
