#!/usr/bin/env python3
"""Checks the shape of the tree: include arrows between rooms, include guards, formatting habits.

Prints every fault as FILE:LINE: what; exits 1 if there is one. With --dot prints the rooms' arrows as a graph.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Room -> rooms it may include; every room may include itself and the public headers.
ARROWS = {
    "base": [],
    "ir": ["base"],
    "kernels": ["base"],
    "ops": ["base", "ir", "kernels"],
    "tflite": ["base", "ir", "ops"],
    "import": ["base", "ir", "ops", "tflite", "runtime", "passes"],
    "runtime": ["base", "ir", "ops", "kernels"],
    "passes": ["base", "ir", "ops", "runtime"],
    "data": ["base"],
    "quantize": ["base", "ir", "ops", "runtime", "data", "passes"],
    "train": ["base", "ir", "ops", "kernels", "runtime", "data", "passes", "quantize"],
    "evaluate": ["base", "ir", "ops", "kernels", "runtime", "data"],
    "deploy": ["base", "ir", "ops", "kernels", "runtime"],
    "report": ["base"],
    "cli": [],
}
ARROWS["api"] = [room for room in ARROWS if room != "cli"]


def tracked():
    out = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [pathlib.Path(p) for p in out.stdout.decode().split("\0") if p]


def check_file(path, arrows, faults):
    text = (ROOT / path).read_text(encoding="utf-8")
    room = path.parts[1] if path.parts[0] == "src" and len(path.parts) > 2 else None
    if room is not None and room not in ARROWS:
        faults.append(f"{path}:1: '{room}' is not a room; scripts/check-tree.py lists them")
        return
    for number, line in enumerate(text.splitlines(), 1):
        if "\t" in line:
            faults.append(f"{path}:{number}: a tab")
        if line != line.rstrip():
            faults.append(f"{path}:{number}: space at the end of the line")
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line) and "issue" not in line:
            faults.append(f"{path}:{number}: a mark that names no issue")
        include = re.match(r'\s*#\s*include\s+"([a-z_]+)/', line)
        if not include or room is None:
            continue
        target = include.group(1)
        if target in ARROWS and target != room:
            arrows.add((room, target))
            if target not in ARROWS[room]:
                faults.append(f"{path}:{number}: {room} may not include {target}")
    if path.suffix == ".h" and "#ifndef LITESMITH_" not in text and path.name != "precompiled.h" \
            and not path.name.endswith("-inl.h"):
        faults.append(f"{path}:1: no include guard")


def main():
    faults, arrows = [], set()
    for path in tracked():
        if path.suffix in (".cc", ".h") and (ROOT / path).is_file():
            check_file(path, arrows, faults)
    if "--dot" in sys.argv[1:]:
        print("digraph rooms {")
        for a, b in sorted(arrows):
            print(f"  {a} -> {b};")
        print("}")
    for fault in faults:
        print(fault)
    if not faults:
        print(f"check-tree: in order, {len(arrows)} arrows between rooms")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
