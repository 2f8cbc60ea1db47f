#!/usr/bin/env python3
"""Measures docs/performance.md's two tables of what quantization gains: accuracy, latency and size of three trained
networks, and latency and size of large untrained ones.

    bench/tables.py [--program build/litesmith] [--shared ../shared] [--applications FOLDER] [--cpu 1]

FOLDER is what `bench/peers/keras_applications.py --size own --keep FOLDER` left: NAME/model.keras and NAME/x.npy. int8 is
calibrated with 300 training samples, and trained for one epoch more; latency is the median of single inferences on one thread.
"""
import argparse
import json
import os
import subprocess
import tempfile

# name, model, data, values as the network takes them
TRAINED = [
    ("MNIST (one convolution)", "golden/mnist/mnist_cnn_model.keras", "data/mnist", []),
    ("ResNet8, CIFAR-10", "models/mlperf-tiny/image_classification/pretrainedResnet.h5", "data/cifar10", ["--std", "1"]),
    ("MobileNetV2-like, CIFAR-10", "models/cifar10_mobilenet/mobilenet_cifar10.keras", "data/cifar10", ["--std", "1"]),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/litesmith")
    parser.add_argument("--shared", default=os.environ.get("LITESMITH_SHARED", "../shared"))
    parser.add_argument("--applications")
    parser.add_argument("--cpu", default="1")
    parser.add_argument("--skip-training", action="store_true")
    options = parser.parse_args()
    program = os.path.abspath(options.program)

    def run(*words):
        done = subprocess.run([program, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise SystemExit("litesmith %s\n%s" % (" ".join(words), done.stderr[-500:]))
        return done.stdout

    def latency(path):
        words = ["--num-runs", "30", "--cpu-affinity", options.cpu, "--json", "-"]
        models = json.loads(run("benchmark", path, *words))["models"]
        return list(models.values())[0]["latency_ms"]["median"]

    def accuracy(path, data, flags):
        return json.loads(run("evaluate", path, "--data", data, *flags, "--json", "-"))["models"][0]["accuracy"]

    def megabytes(path):
        return os.path.getsize(path) / 1e6

    first, second = [], []
    with tempfile.TemporaryDirectory() as folder:
        paths = {mode: os.path.join(folder, mode + ".tflite") for mode in ("float", "int8", "qat", "int16x8")}
        for name, model, data, flags in [] if options.skip_training else TRAINED:
            model, data = os.path.join(options.shared, model), os.path.join(options.shared, data)
            run("convert", model, "-o", paths["float"])
            for mode in ("int8", "int16x8"):
                run("quantize", model, "-o", paths[mode], "--recipe", mode, "--calibration-data", data, *flags)
            run("train", model, "-o", paths["qat"], "--data", data, *flags, "--epochs", "1", "--qat", "int8")
            right = {mode: accuracy(path, data, flags) for mode, path in paths.items()}
            first.append((name, "%.4f" % right["float"], "%.4f" % right["int8"], "%.4f" % right["qat"],
                          *("%.3g" % latency(paths[mode]) for mode in ("float", "int8", "qat")),
                          "%.3f" % megabytes(paths["float"]), "%.3f" % megabytes(paths["int8"])))
            second.append((name, "Top-1 Accuracy", *("%.4f" % right[mode] for mode in ("float", "int8", "int16x8"))))
        for name in sorted(os.listdir(options.applications)) if options.applications else []:
            source = os.path.join(options.applications, name)
            run("convert", source + "/model.keras", "-o", paths["float"])
            run("quantize", source + "/model.keras", "-o", paths["int8"], "--recipe", "int8",
                "--calibration-data", source + "/x.npy")
            first.append((name + " (random weights)", "-", "-", "-",
                          *("%.3g" % latency(paths[mode]) for mode in ("float", "int8")), "-",
                          "%.1f" % megabytes(paths["float"]), "%.1f" % megabytes(paths["int8"])))
    for rows in (first, second):
        for row in rows:
            print("| " + " | ".join(row) + " |")
        print()


if __name__ == "__main__":
    main()
