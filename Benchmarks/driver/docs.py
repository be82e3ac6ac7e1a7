# SPDX-License-Identifier: Apache-2.0
"""docs/benchmarks.md, out of one run."""

import os

import table

PLOTS = (
    ("ratio-time.svg", "Ratio against time: the bare codecs, one level of ours with each, and the default chain under smaller and smaller limits"),
    ("ram-time.svg", "RAM for the same pages against CPU time: the default chain, and zram"),
    ("threads.svg", "Throughput against threads"),
    ("scale-cost.svg", "Cost of an operation against the size of the store"),
    ("scale-ram.svg", "RAM of a page against the size of the store"),
    ("latency.svg", "Latencies: a call on one lz4 level beside zram"),
    ("latency-chain.svg", "Latencies of a take by the level that the page is in"),
    ("churn.svg", "Packing while pages come and go at random"),
)


def write(path, report, results):
    about, kinds = report["machine"], report["pages"]["kinds"]
    out = [
        "<!-- SPDX-License-Identifier: Apache-2.0; written by `make bench-docs` -->",
        "# Benchmarks",
        "",
        f"One run of `make bench-docs`, {about['date']}, {report['seconds'] // 60} min {report['seconds'] % 60} s, on {about['cores']} cores of "
        f"{about['cpu']} ({about['virtual']}), {about['memory_mib'] >> 10} GiB, kernel {about['kernel']}, {about['system']}; "
        f"{about['swift'].split(' (')[0]}, {about['nbdkit'].split(' (')[0]}, {about['fio']}. The load of the machine was {about['load']:.1f} before.",
        "",
        f"Figures are medians of {report['rounds']} rounds, in brackets the least and the most; rounds of ours and of the peer take turns. Every page that is read",
        "back is compared. Only ratios within a run mean anything: the machine is shared and noisy.",
        "",
        "## Targets",
        "",
        table.markdown(table.HEAD, table.target_rows(results)),
        "",
        "What is compared:",
        "",
        "- **Put** is CPU time of all threads until the pages are encoded, nothing deferred. *Straight*: the store has no room for raw pages, so the calling",
        "  thread encodes. *By way of raw pages*: they stop in the store first, 4 MiB of them, and its own threads encode; what is left is drained at the end of the",
        "  round, inside the time. The bare codec is the same library call with the same settings. Both go through the same pages in the same order, 256 at a",
        "  time in turn, half of the set apart, so that neither finds in the cache what the other has just read. Takes and decodes go in a random order.",
        "- **zram** is written and read 4 KiB at a time past the page cache (`O_DIRECT`): block I/O with its system call, beside a function call. Its RAM is",
        "  `mem_used_total` and 16 bytes of table a page; that of a store the growth of the process's proportional set size, codec contexts and all.",
        "- **Churn**: of twice as many pages half are in the store; 256 at a time are taken at random and others put, twice as many as are there in a round.",
        "  *Least* is the lowest of all samples of a round. The cost of compaction is in that of put: all CPU time but that of the takes.",
        "- **The default chain** is what a store without configuration has: " + ", ".join(report["chain"]) + ", each with its defaults. The limit is the smallest of those tried with",
        "  at most 60 us of CPU time a page (put until settled, and take) and 100 us for the 99th percentile of takes.",
        "- **Scale**: all sizes are open at once and take turns; pages at random are peeked at, taken and replaced. Small pages have one word that differs from the",
        "  rest, so that a chunk is some 30 bytes.",
        "- **Demotion**: all pages raw, then the room for raw pages is taken away; beside one thread that writes as many bytes a MiB at a time, `O_DIRECT`, its room",
        "  reserved before.",
        "- **NBD**: client and server share the machine's cores. Own client: the export holds the pages; reads are compared, a write writes the very page that",
        "  belongs there. fio reads only, as what it writes are no real pages. *stowage, lz4* has 8 MiB for raw pages, one lz4 level and room enough; *all",
        "  compressors* is the default chain without its cipher, as nbdkit has none, and has the smallest limit, from nbdkit zstd's RAM upwards, that takes all pages,",
        "  and a tenth.",
        "",
        "## The pages",
        "",
        table.markdown(("from", "pages", "seen", "of one word, left out"), [
            (kind["kind"], f"{kind['used']:,}", f"{kind['seen']:,}", f"{kind['same']:,}") for kind in kinds]),
        "",
        "Captured at the beginning of the run by `stowage capture`, read from files for the last line, and mixed in one file.",
        "",
        "## Codecs",
        "",
        table.markdown(table.CODEC_HEAD, table.codec_rows(results)),
        "",
        "Microseconds a page of 4 KiB, CPU time of all threads. Slow codecs get fewer pages.",
        "",
        "## Devices and files",
        "",
        table.markdown(table.PLAIN_HEAD, table.plain_rows(results)),
        "",
        "zram and our level: CPU time. Files: by the wall, on the disk of the checkout.",
        "",
    ]
    nbd = table.nbd_rows(results)
    if nbd:
        out += ["## Servers over NBD", "", table.markdown(table.NBD_HEAD, nbd), ""]
        levels = results.facts.get("nbd.levels.stowage, lz4")
        if levels:
            below = sum(levels.values()) - levels.get("store", 0)
            out += [f"Of the pages of *stowage, lz4* {100 * below / max(1, sum(levels.values())):.0f} % were in the lz4 level when the reads began.", ""]
    folder = os.path.join(os.path.dirname(path), "plots")
    drawn = [(name, what) for name, what in PLOTS if os.path.exists(os.path.join(folder, name))]
    if drawn:
        out += ["## Plots", ""]
        for name, what in drawn:
            out += [f"![{what}](plots/{name})", ""]
    out += ["## Not measured", ""]
    out += [f"- {one['what']}: {one['why']}" for one in report["absent"]] or ["Nothing was left out."]
    out += [
        "",
        "## Run it",
        "",
        "    make bench                                  # the tables; some twenty minutes on two cores",
        "    make bench BENCH='--quick'                  # three minutes: to see that it works",
        "    make bench BENCH='--only codecs,churn'      # some parts; --json FILE keeps every round",
        "    make bench-docs                             # writes this page and its plots",
        "    make check-perf                             # instructions of put, peek and take, against a ceiling",
        "",
        "zram wants root and a free `/dev/zram0`. What is missing is said, not skipped.",
        "",
    ]
    with open(path, "w") as file:
        file.write("\n".join(out))
