# SPDX-License-Identifier: Apache-2.0
"""The pages that everything is measured over: memory of several kinds of process, and of files, mixed in one file."""

import csv
import glob
import os
import random
import shutil
import subprocess
import tempfile
import time

PAGE = 4096

PYTHON = """
import sys, glob, ast
kept = []
for name in sorted(glob.glob("/usr/lib/python3*/**/*.py", recursive=True))[:1500]:
    try:
        text = open(name).read()
        kept.append((text, text.split(), ast.parse(text)))
    except Exception:
        pass
print("ready", flush=True)
sys.stdin.read()
"""

JAVA = """
// SPDX-License-Identifier: Apache-2.0
import java.nio.file.*;
import java.util.*;

public class Holder {
  public static void main(String[] names) throws Exception {
    Map<String, List<String>> lines = new HashMap<>();
    Map<String, Integer> words = new TreeMap<>();
    for (String line : Files.readAllLines(Path.of(names[0]))) {
      try {
        List<String> text = Files.readAllLines(Path.of(line));
        lines.put(line, text);
        for (String one : text) for (String word : one.split("\\\\W+")) words.merge(word, 1, Integer::sum);
      } catch (Exception unreadable) {
      }
    }
    System.out.println("ready");
    System.in.read();
    System.out.println(lines.size() + words.size());
  }
}
"""


class Absent(Exception):
    """Something is not there; the text says what and why."""


class Process:
    """A process that gets its memory ready and then waits; ended by its number."""

    def __init__(self, command, folder, stdin=None, ready=True):
        if not shutil.which(command[0]):
            raise Absent(f"{command[0]} is not installed")
        self.errors = open(os.path.join(folder, "errors"), "w+b")
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        if stdin:
            self.child.stdin.write(stdin)
            self.child.stdin.flush()
        if ready:
            self.wait_for_word(60)

    def wait_for_word(self, seconds):
        os.set_blocking(self.child.stdout.fileno(), False)
        seen, until = b"", time.monotonic() + seconds
        while b"ready" not in seen:
            seen += self.child.stdout.read() or b""
            if self.child.poll() is not None or time.monotonic() > until:
                self.end()
                self.errors.seek(0)
                raise Absent("it did not get ready: " + self.errors.read().decode(errors="replace").strip()[-300:])
            time.sleep(0.05)

    def resident(self):
        with open(f"/proc/{self.child.pid}/statm") as file:
            return int(file.read().split()[1]) * PAGE

    def state(self):
        with open(f"/proc/{self.child.pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0]

    def end(self):
        self.child.stdin.close()
        try:
            self.child.terminate()
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


def text_files(most):
    """Some of the system's own text, the same on every run."""
    names = []
    for pattern in ("/usr/include/**/*.h", "/usr/share/perl/**/*.p[lm]", "/usr/lib/python3*/**/*.py", "/usr/share/doc/*/copyright"):
        names += sorted(name for name in glob.glob(pattern, recursive=True) if os.path.isfile(name))
    step = max(1, len(names) // 4000)
    kept, total = [], 0
    for name in names[::step]:
        total += os.path.getsize(name)
        if total > most:
            break
        kept.append(name)
    return kept


def interpreter(folder, most):
    return Process(["python3", "-c", PYTHON], folder)


def jvm(folder, most):
    with open(os.path.join(folder, "Holder.java"), "w") as file:
        file.write(JAVA)
    with open(os.path.join(folder, "names"), "w") as file:
        file.write("\n".join(text_files(most // 4)))
    command = ["java", "-Xmx512m", "-XX:+UseSerialGC", os.path.join(folder, "Holder.java"), os.path.join(folder, "names")]
    return Process(command, folder)


def database(folder, most):
    table = os.path.join(folder, "lines.csv")
    with open(table, "w", newline="") as file:
        rows = csv.writer(file)
        for name in text_files(most // 2):
            with open(name, errors="replace") as text:
                for number, line in enumerate(text):
                    rows.writerow([name, number, line.rstrip("\n").replace("\0", "")])
    script = f"""
create table lines (file text, number integer, line text);
.import --csv {table} lines
create index by_line on lines (line);
create index by_place on lines (file, number);
.print ready
"""
    return Process(["sqlite3", ":memory:"], folder, stdin=script.encode())


def compiler(folder, most):
    """A compiler that has read the C++ library and waits for one more header, which is a pipe."""
    clang = os.path.join(os.path.dirname(os.path.realpath(shutil.which("swift") or "/")), "clang++")
    command = clang if os.path.exists(clang) else shutil.which("clang++")
    if not command:
        raise Absent("clang++ is not installed")
    pipe = os.path.join(folder, "pipe.h")
    os.mkfifo(pipe)
    source = os.path.join(folder, "source.cpp")
    with open(source, "w") as file:
        file.write("#include <bits/stdc++.h>\nint use(std::vector<std::map<std::string, std::regex>>& a) { return int(a.size()); }\n")
        file.write('#include "pipe.h"\n')
    process = Process([command, "-std=c++20", "-fsyntax-only", "-fPIC", source], folder, ready=False)
    until, last = time.monotonic() + 60, 0
    while True:
        time.sleep(0.5)
        if process.child.poll() is not None or time.monotonic() > until:
            process.end()
            process.errors.seek(0)
            raise Absent("clang++ ended: " + process.errors.read().decode(errors="replace")[-300:])
        now = process.resident()
        if process.state() == "S" and now == last and now > 32 << 20:
            return process
        last = now


def file_pages(most):
    """Pages of programs, libraries and text, evenly."""
    names = []
    for pattern in ("/usr/lib/x86_64-linux-gnu/*.so*", "/usr/lib/aarch64-linux-gnu/*.so*", "/usr/bin/*"):
        names += [name for name in sorted(glob.glob(pattern)) if os.path.isfile(name) and not os.path.islink(name)]
    names += text_files(most)
    total = sum(os.path.getsize(name) // PAGE for name in names)
    step, place, pages = max(1, total * PAGE // most), 0, []
    for name in names:
        with open(name, "rb") as file:
            for number in range(os.path.getsize(name) // PAGE):
                place += 1
                if place % step == 0:
                    file.seek(number * PAGE)
                    page = file.read(PAGE)
                    if len(page) == PAGE:
                        pages.append(page)
    return pages


KINDS = (("interpreter (python3)", interpreter), ("JVM (java)", jvm), ("database (sqlite3)", database), ("compiler (clang++)", compiler))


def captured(stowage, begin, most, folder):
    """Pages of one process; it is ended."""
    process = begin(folder, most)
    out = os.path.join(folder, "captured")
    try:
        done = subprocess.run(
            [stowage, "capture", "--pid", str(process.child.pid), "--out", out, "--pages", str(most // PAGE), "--force"],
            capture_output=True, text=True, timeout=120)
    finally:
        process.end()
    if done.returncode != 0:
        raise Absent("stowage capture: " + done.stderr.strip())
    with open(out, "rb") as file:
        data = file.read()
    os.unlink(out)
    return [data[at:at + PAGE] for at in range(0, len(data) - PAGE + 1, PAGE)]


def make(stowage, out, most, say):
    """Writes at most so many bytes of pages. What each kind gave, and what is absent."""
    share = most // (len(KINDS) + 1)
    kinds, absent, kept = [], [], []
    for name, begin in KINDS + (("files", None),):
        say(f"pages: {name}")
        folder = tempfile.mkdtemp(prefix="stowage-bench-")
        try:
            # More than its share, as pages of one word are taken out.
            pages = file_pages(share * 5 // 4) if begin is None else captured(stowage, begin, share * 3 // 2, folder)
        except Absent as why:
            absent.append({"what": f"pages of: {name}", "why": str(why)})
            continue
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        own = [page for page in pages if page != page[:8] * (PAGE // 8)]
        random.Random(1).shuffle(own)
        kinds.append({"kind": name, "seen": len(pages), "same": len(pages) - len(own), "used": min(len(own), share // PAGE)})
        kept += own[:share // PAGE]
    random.Random(2).shuffle(kept)
    with open(out, "wb") as file:
        file.writelines(kept)
    return {"kinds": kinds, "absent": absent, "count": len(kept)}
