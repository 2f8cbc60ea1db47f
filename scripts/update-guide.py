#!/usr/bin/env python3
"""Writes the outputs in docs/guide.md anew: runs every line that begins with "$ " in its console blocks, in order, in
one fresh folder, and puts what it prints (both streams) behind it.

    LITESMITH_PROGRAM=build/litesmith LITESMITH_SHARED=../shared scripts/update-guide.py [--check]

The folder has mnist/ and mnist_cnn* from the shared folder, and a blank digit.npy. --check writes nothing and fails where a
command now ends otherwise (works or fails) or says other words; numbers may differ.
"""
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GUIDE = os.path.join(ROOT, "docs/guide.md")


def prepare(folder):
    shared = os.path.abspath(os.environ.get("LITESMITH_SHARED", os.path.join(ROOT, "../shared")))
    program = os.path.abspath(os.environ.get("LITESMITH_PROGRAM", os.path.join(ROOT, "build/litesmith")))
    os.mkdir(os.path.join(folder, "bin"))
    os.symlink(program, os.path.join(folder, "bin/litesmith"))
    work = os.path.join(folder, "work")
    os.mkdir(work)
    os.symlink(os.path.join(shared, "data/mnist"), os.path.join(work, "mnist"))
    for name in ("mnist_cnn_model.keras", "mnist_cnn.json", "mnist_cnn.weights.h5"):
        os.symlink(os.path.join(shared, "golden/mnist", name), os.path.join(work, name))
    header = str({"descr": "<f4", "fortran_order": False, "shape": (1, 28, 28, 1)}).ljust(117) + "\n"
    with open(os.path.join(work, "digit.npy"), "wb") as file:  # 10 + 118 bytes, then the values
        file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(784 * 4))
    return work, dict(os.environ, PATH=os.path.join(folder, "bin") + ":" + os.environ["PATH"])


def run(command, folder, environment):
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    # How far long work is, as it is said to a pipe, depends on the moment.
    lines = [line.rstrip() for line in done.stdout.rstrip("\n").split("\n")]
    lines = [line for line in lines if not re.match(r"[a-z]+: \d+ of \d+\b", line)]
    return lines if any(lines) else []


def renew(text):
    out, inside = [], False
    with tempfile.TemporaryDirectory() as folder:
        work, environment = prepare(folder)
        lines = text.split("\n")
        i = 0
        while i < len(lines):
            line = lines[i]
            i += 1
            if line.startswith("```"):
                inside = line == "```console"
                out.append(line)
                continue
            if not inside:
                out.append(line)
                continue
            if not line.startswith("$ "):
                continue  # an old output
            command = line[2:]
            out.append(line)
            while command.endswith("\\"):
                command = command[:-1] + lines[i].strip()
                out.append(lines[i])
                i += 1
            out += run(command, work, environment)
    return "\n".join(out)


def words(text):
    # Numbers, table rules and spaces differ from run to run and machine to machine.
    return re.sub(r"[-\d.,+%x\s]+", " ", re.sub(r"machine: .*", "", text))


def main():
    with open(GUIDE) as file:
        old = file.read()
    new = renew(old)
    if "--check" in sys.argv[1:]:
        if words(old) != words(new):
            sys.exit("docs/guide.md is out of date: run scripts/update-guide.py")
        return
    with open(GUIDE, "w") as file:
        file.write(new)
    print("written: docs/guide.md")


if __name__ == "__main__":
    main()
