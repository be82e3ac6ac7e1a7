# SPDX-License-Identifier: Apache-2.0
"""The targets, and tables of what was measured."""

import statistics

# What it says, the row, which figure of it (the ratio to the peer, or ours), how it is compared, with what; what the
# peer is.
TARGETS = [
    ("put through one lz4 level, straight / bare lz4 encode", "codec.lz4.straight.put", "ratio", "<=", 1.05),
    ("put through one lz4 level, by way of raw pages / bare lz4 encode", "codec.lz4.raw.put", "ratio", "<=", 1.05),
    ("take from it / bare lz4 decode", "codec.lz4.straight.take", "ratio", "<=", 1.15),
    ("take from it (filled by way of raw pages) / bare lz4 decode", "codec.lz4.raw.take", "ratio", "<=", 1.15),
    ("put / zram lz4 4 KiB write (a call beside block I/O)", "zram.put", "ratio", "<=", 0.65),
    ("take / zram lz4 4 KiB read (a call beside block I/O)", "zram.take", "ratio", "<=", 0.40),
    ("packing at its least in a churn, room to spare", "churn.roomy.least", "ours", ">=", 96),
    ("packing after one idle second, room to spare", "churn.roomy.idle", "ours", ">=", 98),
    ("packing at its least in a churn, a tenth of room", "churn.tight.least", "ours", ">=", 96),
    ("packing after one idle second, a tenth of room", "churn.tight.idle", "ours", ">=", 98),
    ("put in the churn, compaction in it / put into a fresh store", "churn.roomy.put", "ratio", None, None),
    ("the same with a tenth of room", "churn.tight.put", "ratio", None, None),
    ("RAM of a page beyond its chunk, in a level in RAM", "overhead.ram.account", "ours", "<=", 24),
    ("the same as the kernel counts it, unused pool and workspaces in it", "overhead.ram.kernel", "ours", None, None),
    ("RAM of a page below packing", "overhead.packed.account", "ours", "<=", 48),
    ("RAM of the default chain, disk off / zram lz4", "front.compare", "ratio", "<=", 0.65),
    ("the same without its cipher (zram has none) / zram lz4", "frontopen.compare", "ratio", "<=", 0.65),
    ("two threads / one, puts", "threads.put", "ratio", ">=", 1.9),
    ("two threads / one, takes", "threads.take", "ratio", ">=", 1.9),
    ("two threads / one, the bare codec (what the machine gives)", "threads.bare", "ratio", None, None),
    ("demotion to the swap file / sequential write, same flags", "demotion", "ratio", ">=", 0.9),
    ("put at 16 M pages / at 100 k, small pages", "scale.small.put.16000000", "ratio", "<=", 1.25),
    ("take at 16 M pages / at 100 k, small pages", "scale.small.take.16000000", "ratio", "<=", 1.25),
    ("peek at 16 M pages / at 100 k, small pages", "scale.small.peek.16000000", "ratio", "<=", 1.25),
    ("put at 16 M pages / at 100 k, pages of one word", "scale.same.put.16000000", "ratio", "<=", 1.25),
    ("take at 16 M pages / at 100 k, pages of one word", "scale.same.take.16000000", "ratio", "<=", 1.25),
    ("put at 1 M pages / at 100 k, captured pages", "scale.real.put.1000000", "ratio", "<=", 1.25),
    ("take at 1 M pages / at 100 k, captured pages", "scale.real.take.1000000", "ratio", "<=", 1.25),
    ("put with end-to-end checksums / without", "checks.put", "ratio", None, None),
    ("take with end-to-end checksums / without", "checks.take", "ratio", None, None),
    ("random access with half of the pages raw / zram as swap under a cgroup of half", "swap.access", "ratio", None, None),
    ("NBD reads at depth 1, lz4 level / nbdkit malloc", "nbd.compare.stowage, lz4.read 1", "ratio", ">=", 1.0),
    ("NBD reads at depth 16, lz4 level / nbdkit malloc", "nbd.compare.stowage, lz4.read 16", "ratio", ">=", 1.0),
    ("the same by fio, depth 1", "nbd.compare.stowage, lz4.fio read 1", "ratio", ">=", 1.0),
    ("the same by fio, depth 16", "nbd.compare.stowage, lz4.fio read 16", "ratio", ">=", 1.0),
    ("NBD reads at depth 1, all compressors / nbdkit zstd", "nbd.compare.stowage, all compressors.read 1", "ratio", ">=", 5.0),
    ("NBD reads at depth 16, all compressors / nbdkit zstd", "nbd.compare.stowage, all compressors.read 16", "ratio", ">=", 5.0),
    ("NBD writes at depth 1, all compressors / nbdkit zstd", "nbd.compare.stowage, all compressors.write 1", "ratio", ">=", 5.0),
    ("NBD writes at depth 16, all compressors / nbdkit zstd", "nbd.compare.stowage, all compressors.write 16", "ratio", ">=", 5.0),
    ("RAM of the NBD server, all compressors / nbdkit zstd", "nbd.compare.stowage, all compressors.RAM", "ratio", "<=", 1.0),
    ("the same after random writes of the same pages", "nbd.compare.stowage, all compressors.RAM after", "ratio", None, None),
]


def combine(results):
    """Rows that join two parts of the run: their rounds are compared one by one."""
    rows = results.rows

    def join(id, ours, peer, scale=1.0):
        if ours in rows and peer in rows:
            theirs = [value * scale for value in rows[peer]["ours"]]
            theirs += [statistics.median(theirs)] * (len(rows[ours]["ours"]) - len(theirs))
            results.figure(id, rows[ours]["unit"], rows[ours]["ours"], theirs)

    counts = results.facts
    if "front" in counts and "devices" in counts:
        for id in ("front", "frontopen"):
            join(f"{id}.compare", f"{id}.ram", "zram.ram", counts["front"]["pages"] / counts["devices"]["pages"])
    for what in ("put", "take"):
        join(f"checks.{what}", f"codec.lz4.checked.{what}", f"codec.lz4.straight.{what}")


def number(value):
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def amount(value, unit):
    if unit == "bytes" and abs(value) >= 1 << 20:
        return f"{value / (1 << 20):.1f} MiB"
    return f"{number(value)} {unit}".strip()


def spread(values, unit=""):
    low, high = min(values), max(values)
    if unit == "bytes" and abs(high) >= 1 << 20:
        return f"{low / (1 << 20):.1f} to {high / (1 << 20):.1f}"
    return f"{number(low)} to {number(high)}" if len(values) > 1 else "one"


def verdict(value, compare, limit):
    if compare is None:
        return "shown"
    return "reached" if (value <= limit if compare == "<=" else value >= limit) else "MISSED"


def target_rows(results):
    """what, ours, peer, figure, spread, target, verdict: as text."""
    lines = []
    for what, id, figure, compare, limit in TARGETS:
        row = results.rows.get(id)
        unit = "%" if row and row["unit"] == "%" else ""
        target = "" if compare is None else f"{compare} {limit:g}{unit}"
        if not row or not row.get(figure):
            lines.append((what, "", "", "not measured", "", target, "not measured"))
            continue
        values = row[figure]
        value = statistics.median(values)
        ours = amount(statistics.median(row["ours"]), row["unit"])
        peer = amount(statistics.median(row["peer"]), row["unit"]) if row.get("peer") else ""
        shown = f"{value:.2f}x" if figure == "ratio" else amount(value, row["unit"])
        lines.append((what, ours, peer, shown, spread(values, row["unit"]), target, verdict(value, compare, limit)))
    return lines


HEAD = ("what", "ours", "peer", "figure", "spread", "target", "")


def codec_rows(results):
    lines = []
    for id, row in results.rows.items():
        words = id.split(".")
        if words[0] != "codec" or words[-1] != "put":
            continue
        take, ratio = results.rows[id[:-3] + "take"], results.rows[id[:-3] + "ratio"]
        way = {"straight": "", "raw": ", by way of raw pages", "checked": ", end-to-end checksums"}[words[2]]
        lines.append((
            words[1] + way, f"{ratio['ours'][0]:.2f}", number(statistics.median(row["peer"])), number(statistics.median(row["ours"])),
            f"{statistics.median(row['ratio']):.2f} ({spread(row['ratio'])})", number(statistics.median(take["peer"])),
            number(statistics.median(take["ours"])), f"{statistics.median(take['ratio']):.2f} ({spread(take['ratio'])})"))
    return lines


CODEC_HEAD = ("codec", "shrinks", "encode, us", "put, us", "put / encode", "decode, us", "take, us", "take / decode")

NBD_KEYS = ("RAM", "RAM after", "copy in", "copy out", "read 1", "read 16", "write 1", "write 16", "fio read 1", "fio read 16")
NBD_HEAD = ("server", "RAM, MiB", "after, MiB", "copy in, s", "copy out, s", "read 1, /s", "read 16, /s", "write 1, /s", "write 16, /s",
            "fio read 1, /s", "fio read 16, /s")


def nbd_rows(results):
    names = []
    for id in results.rows:
        if id.startswith("nbd.") and not id.startswith("nbd.compare.") and id.endswith(".RAM"):
            names.append(id[4:-4])
    lines = []
    for name in names:
        cells = []
        for key in NBD_KEYS:
            row = results.rows.get(f"nbd.{name}.{key}")
            cells.append(f"{number(statistics.median(row['ours']))} ({spread(row['ours'])})" if row else "")
        lines.append((name, *cells))
    return lines


def plain_rows(results):
    """Other ways to keep a page: a call on a device or a file."""
    lines = []
    for what, id, figure in (
            ("zram lz4, O_DIRECT", "zram", "peer"), ("our lz4 level beside it", "zram", "ours"), ("plain file, O_DIRECT", "file.direct", "ours"),
            ("plain file, page cache", "file.cached", "ours")):
        write = results.rows.get(f"{id}.{'put' if id == 'zram' else 'write'}")
        read = results.rows.get(f"{id}.{'take' if id == 'zram' else 'read'}")
        if write and read:
            lines.append((what, f"{number(statistics.median(write[figure]))} ({spread(write[figure])})",
                          f"{number(statistics.median(read[figure]))} ({spread(read[figure])})"))
    return lines


PLAIN_HEAD = ("where to", "write or put, us", "read or take, us")


def text(head, lines):
    widths = [max(len(line[at]) for line in [head] + lines) for at in range(len(head))]
    out = []
    for line in [head] + lines:
        cells = [line[0].ljust(widths[0])] + [line[at].rjust(widths[at]) for at in range(1, len(head))]
        out.append("  " + "  ".join(cells).rstrip())
    return "\n".join(out)


def markdown(head, lines):
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    out += ["| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines]
    return "\n".join(out)
