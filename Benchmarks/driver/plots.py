# SPDX-License-Identifier: Apache-2.0
"""plots.py REPORT FOLDER: the plots of a run, as SVG."""

import json
import os
import statistics
import sys

import matplotlib

matplotlib.use("svg")
# The same input makes the same file.
matplotlib.rcParams["svg.hashsalt"] = "stowage"
import matplotlib.pyplot as plt

COLOURS = plt.rcParams["axes.prop_cycle"].by_key()["color"]


class Plots:
    def __init__(self, report, folder):
        self.report, self.folder = report, folder
        self.rows = report["rows"]
        about = report["machine"]
        self.caption = f"{about['cpu']}, {about['cores']} cores, kernel {about['kernel']}, {about['date']}"
        os.makedirs(folder, exist_ok=True)

    def series(self, id):
        return [one for one in self.report["series"] if one["id"] == id and one["points"]]

    def middle(self, id, figure="ours"):
        row = self.rows.get(id)
        return statistics.median(row[figure]) if row and row.get(figure) else None

    def save(self, name, axes, title):
        axes.set_title(title, fontsize=11)
        axes.grid(True, which="both", alpha=0.25, linewidth=0.5)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8)
        axes.figure.text(0.99, 0.005, self.caption, ha="right", fontsize=6, alpha=0.7)
        axes.figure.tight_layout()
        axes.figure.savefig(os.path.join(self.folder, name), metadata={"Date": None})
        plt.close(axes.figure)

    def axes(self, x, y):
        axes = plt.figure(figsize=(7.5, 4.8)).add_subplot()
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        return axes

    def ratio_time(self):
        axes = self.axes("us a page, encode and decode, CPU time of all threads", "times smaller")
        codecs = [id.split(".")[1] for id in self.rows if id.startswith("codec.") and id.endswith(".straight.ratio")]
        for who, marker, colour in (("peer", "o", COLOURS[1]), ("ours", "s", COLOURS[0])):
            points = []
            for codec in codecs:
                put, take = self.middle(f"codec.{codec}.straight.put", who), self.middle(f"codec.{codec}.straight.take", who)
                ratio = self.middle(f"codec.{codec}.straight.ratio")
                if codec.startswith("aes"):
                    continue
                points.append((put + take, ratio))
                if who == "peer":
                    axes.annotate(codec, (put + take, ratio), textcoords="offset points", xytext=(5, -9), fontsize=8)
            if points:
                label = "bare codec" if who == "peer" else "one level of the store"
                axes.plot(*zip(*points), marker, color=colour, label=label, fillstyle="none" if who == "ours" else "full")
        raw = self.report["facts"].get("front", {}).get("pages", 0) * 4096
        for one, colour in zip(self.series("front"), (COLOURS[2], COLOURS[4])):
            axes.plot([p[0] for p in one["points"]], [raw / p[1] for p in one["points"]], "-^", color=colour,
                      label=f"default chain, RAM of the process ({one['name']})")
        used, pages = self.middle("zram.ram"), self.report["facts"].get("devices", {}).get("pages", 0)
        if used and pages:
            cost = self.middle("zram.put", "peer") + self.middle("zram.take", "peer")
            axes.plot([cost], [pages * 4096 / used], "D", color=COLOURS[3], label="zram lz4, RAM in use")
        axes.set_xscale("log")
        self.save("ratio-time.svg", axes, "Ratio against time")

    def ram_time(self):
        axes = self.axes("us a page, put until settled and take, CPU time of all threads", "MiB of RAM for the same pages")
        drawn = False
        for one in self.series("front"):
            axes.plot([p[0] for p in one["points"]], [p[1] / (1 << 20) for p in one["points"]], "-^", label=one["name"])
            for point in one["points"]:
                axes.annotate(f"p99 {point[4]:.0f} us", (point[0], point[1] / (1 << 20)), textcoords="offset points", xytext=(5, 4), fontsize=7)
            drawn = True
        used = self.middle("zram.ram")
        facts = self.report["facts"]
        if used and "front" in facts and "devices" in facts:
            used *= facts["front"]["pages"] / facts["devices"]["pages"] / (1 << 20)
            axes.axhline(used, color=COLOURS[3], linestyle="--", label="zram lz4")
            axes.axhline(used * 0.65, color=COLOURS[3], linestyle=":", label="0.65 of it")
        axes.axvline(60, color="grey", linestyle=":", linewidth=1)
        if drawn:
            self.save("ram-time.svg", axes, "RAM against time, default chain without disk")

    def lines(self, id, name, title, x, y, log=True, scale=1.0, marker="-o", bottom=None):
        found = self.series(id)
        if not found:
            return
        axes = self.axes(x, y)
        for one in found:
            axes.plot([p[0] for p in one["points"]], [p[1] * scale for p in one["points"]], marker, label=one["name"])
        if log:
            axes.set_xscale("log")
        if bottom is not None:
            axes.set_ylim(bottom=bottom)
        self.save(name, axes, title)

    def threads(self):
        found = self.series("threads")
        if not found:
            return
        axes = self.axes("threads", "thousand pages a second")
        for one, colour in zip(found, COLOURS):
            axes.plot([p[0] for p in one["points"]], [p[1] / 1000 for p in one["points"]], "-o", color=colour, label=one["name"])
        axes.axvline(self.report["machine"]["cores"], color="grey", linestyle=":", linewidth=1, label="cores")
        axes.set_xticks([p[0] for p in found[0]["points"]])
        axes.set_ylim(bottom=0)
        self.save("threads.svg", axes, "Throughput against threads")

    def latency(self, id, name, title):
        found = self.series(id)
        if not found:
            return
        axes = self.axes("share of the calls", "us, by the wall")
        # Nines are equally far apart.
        shares = [0.5, 0.9, 0.99, 0.999, 0.9999]
        for one in found:
            points = [p for p in one["points"] if p[0] >= 0.1]
            axes.plot([1 / (1 - p[0]) for p in points], [max(p[1], 0.01) for p in points], "-", label=one["name"])
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks([1 / (1 - share) for share in shares], [f"{share:.2%}".rstrip("0").rstrip(".%") + " %" if share > 0.99 else f"{share:.0%}" for share in shares])
        self.save(name, axes, title)


def main():
    with open(sys.argv[1]) as file:
        plots = Plots(json.load(file), sys.argv[2])
    plots.ratio_time()
    plots.ram_time()
    plots.threads()
    plots.lines("scale", "scale-cost.svg", "Cost of an operation against size", "pages in the store", "us, CPU time of all threads", bottom=0)
    plots.lines("scale.ram", "scale-ram.svg", "RAM of a page, chunk and all, as the kernel counts it", "pages in the store", "bytes a page", bottom=0)
    plots.latency("latency", "latency.svg", "Latency of one call")
    plots.latency("latency.chain", "latency-chain.svg", "Latency by level, default chain")
    plots.lines("churn", "churn.svg", "Packing in a churn of random takes and puts", "operations", "% of the pool that is chunks", log=False, marker="-")


if __name__ == "__main__":
    main()
