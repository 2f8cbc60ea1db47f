#!/usr/bin/env python3
"""Latency and memory beside LiteRT: one command, one table of ratios (LiteRT / litesmith; above 1 litesmith is ahead).

    bench/peers/latency.py [--program build/litesmith] [--models FOLDER] [--rounds 5] [--seconds 0.2] [--cpu 1]

FOLDER holds NETWORK_MODE.tflite; the default is $LITESMITH_SHARED/models/bench. The two run in turns, `--rounds`
times for `--seconds` each, on one thread; each turn gives a median, the table shows the median of turns. LiteRT runs
in the Python of LITESMITH_PEERS_PYTHON (ai-edge-litert and numpy), default this one; `--install VENV` makes such an
environment first. With `--cpu N` both stay on that CPU.
"""
import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import venv

NETWORKS = ["mnist", "resnet8", "ds_cnn", "vww", "mobilenet_v2"]
MODES = ["float32", "dynamic", "int8", "int16x8"]
PACKAGES = ["ai-edge-litert==2.3.0", "numpy"]

# Answers each line {"model", "seconds"} with the median of single inferences, and each {"model", "memory"} from a
# process of its own with the growth of resident memory.
PEER = r"""
import json, os, sys, time
import numpy as np

def resident():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * os.sysconf('SC_PAGESIZE')

def load(path):
    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    random = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        if detail['dtype'] == np.float32:
            value = random.random(detail['shape'], np.float32)
        else:
            info = np.iinfo(detail['dtype'])
            value = random.integers(info.min, info.max, detail['shape'], dtype=detail['dtype'])
        interpreter.set_tensor(detail['index'], value)
    return interpreter

from ai_edge_litert.interpreter import Interpreter
if len(sys.argv) > 1:
    before = resident()
    interpreter = load(sys.argv[1])
    for _ in range(10):
        interpreter.invoke()
    print(resident() - before)
    sys.exit()
models = {}
for line in sys.stdin:
    request = json.loads(line)
    path = request['model']
    if path not in models:
        models[path] = load(path)
        models[path].invoke()
    # The interpreter under the Python class: without its checks, a third of a microsecond is left of Python.
    invoke = getattr(models[path], '_interpreter', models[path])
    invoke = getattr(invoke, 'Invoke', getattr(invoke, 'invoke', None))
    times, end = [], time.perf_counter() + request['seconds']
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        invoke()
        times.append(time.perf_counter() - start)
    times.sort()
    print(1e3 * times[len(times) // 2], flush=True)
"""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=os.environ.get("LITESMITH_PROGRAM", "build/litesmith"))
    shared = os.environ.get("LITESMITH_SHARED", "../shared")
    parser.add_argument("--models", default=os.path.join(shared, "models/bench"))
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--cpu", type=int)
    parser.add_argument("--memory", action="store_true", help="also the growth of resident memory over 10 inferences")
    parser.add_argument("--install", metavar="VENV")
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args()


def install(folder):
    venv.create(folder, with_pip=True)
    python = os.path.join(folder, "bin/python")
    subprocess.run([python, "-m", "pip", "install", "-q"] + PACKAGES, check=True)
    return python


class Peer:
    def __init__(self, python):
        self.python = python
        self.process = subprocess.Popen([python, "-c", PEER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)

    def latency(self, model, seconds):
        self.process.stdin.write(json.dumps({"model": model, "seconds": seconds}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"LiteRT did not run {model} in {self.python}")
        return float(line)

    def memory(self, model):
        out = subprocess.run([self.python, "-c", PEER, model], check=True, capture_output=True, text=True)
        return float(out.stdout) / 1e6


def ours(program, model, seconds, runs=3, extra=()):
    out = subprocess.run([program, "benchmark", model, "--num-threads", "1", "--num-runs", str(runs),
                          "--warmup-runs", "3", "--min-secs", str(seconds), "--json", "-", *extra],
                         check=True, capture_output=True, text=True)
    return next(iter(json.loads(out.stdout)["models"].values()))


def measure(options, peer, model):
    theirs, mine = [], []
    for _ in range(options.rounds):
        theirs.append(peer.latency(model, options.seconds))
        mine.append(ours(options.program, model, options.seconds)["latency_ms"]["median"])
    row = {"litert_ms": statistics.median(theirs), "litesmith_ms": statistics.median(mine)}
    row["ratio"] = row["litert_ms"] / row["litesmith_ms"]
    if options.memory:
        profile = ours(options.program, model, 0, 7, ["--profile"])["profile"]
        row["litert_mb"] = peer.memory(model)
        row["litesmith_mb"] = profile["rss_growth_bytes"] / 1e6
    return row


def main():
    options = arguments()
    python = install(options.install) if options.install else os.environ.get("LITESMITH_PEERS_PYTHON", sys.executable)
    if options.cpu is not None:
        os.sched_setaffinity(0, {options.cpu})
    networks, modes = options.networks.split(","), options.modes.split(",")
    peer = Peer(python)
    result = {}
    print("LiteRT ms / litesmith ms = ratio, one thread")
    for mode in modes:
        for network in networks:
            model = os.path.join(options.models, f"{network}_{mode}.tflite")
            row = result.setdefault(mode, {})[network] = measure(options, peer, model)
            line = f"{mode:8} {network:13} {row['litert_ms']:9.4f} / {row['litesmith_ms']:8.4f} = {row['ratio']:6.2f}"
            if options.memory:
                line += f"   {row['litert_mb']:6.1f} MB / {row['litesmith_mb']:6.1f} MB"
            print(line, flush=True)
    print("\nratios   " + " ".join(f"{n:>13}" for n in networks) + "   geometric mean")
    for mode in modes:
        ratios = [result[mode][n]["ratio"] for n in networks]
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        print(f"{mode:8} " + " ".join(f"{r:13.2f}" for r in ratios) + f"   {mean:.2f}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(result, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
