#!/usr/bin/env python3
"""An epoch of MNIST training: litesmith beside Keras on TensorFlow, in turns, on the same machine.

    bench/peers/train.py [--bench build/bench/train_bench] [--data IDX_FOLDER] [--epochs 3] [--threads N]

Needs a Python with tensorflow (tensorflow-cpu 2.21) and numpy. Prints one line a measurement and JSON at the end.
"""
import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import time

ARGUMENTS = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ARGUMENTS.add_argument("--bench", default="build/bench/train_bench")
ARGUMENTS.add_argument("--data", default="../shared/data/mnist", help="IDX files of MNIST, gzipped or not")
ARGUMENTS.add_argument("--epochs", type=int, default=3)
ARGUMENTS.add_argument("--threads", type=int, default=os.cpu_count())
ARGUMENTS.add_argument("--batch", type=int, default=64)
options = ARGUMENTS.parse_args()

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(options.threads)
tf.config.threading.set_inter_op_parallelism_threads(options.threads)


def read(name, header):
    path = os.path.join(options.data, name)
    opener = open
    if not os.path.exists(path):
        path, opener = path + ".gz", gzip.open
    with opener(path, "rb") as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


def keras_epochs():
    images = read("train-images-idx3-ubyte", 16).reshape(-1, 28, 28, 1).astype(np.float32) / 255
    labels = read("train-labels-idx1-ubyte", 8).astype(np.int32)
    layers = tf.keras.layers
    model = tf.keras.Sequential([
        layers.Input((28, 28, 1)), layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(2),
        layers.Flatten(), layers.Dense(16, activation="relu"), layers.Dense(10, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    for _ in range(options.epochs + 1):  # the first one traces and compiles
        start = time.perf_counter()
        history = model.fit(images, labels, batch_size=options.batch, epochs=1, verbose=0)
        yield time.perf_counter() - start, history.history["accuracy"][0]


def litesmith_epochs():
    lines = subprocess.run(
        [options.bench, options.data, str(options.epochs + 1), str(options.threads), "1", str(options.batch)],
        check=True, capture_output=True, text=True).stdout.splitlines()
    for line in lines:
        record = json.loads(line)
        if "epoch" in record:  # its seconds include the 10,000 test images
            yield record["seconds"], record["accuracy"]


def measure(name, epochs):
    seconds = []
    for number, (elapsed, accuracy) in enumerate(epochs):
        print(f"{name:10} epoch {number + 1}: {elapsed:.3f} s, training accuracy {accuracy:.4f}", flush=True)
        if number > 0:
            seconds.append(elapsed)
    return statistics.median(seconds)


def main():
    result = {"threads": options.threads, "batch": options.batch,
              "tensorflow": tf.__version__,
              "litesmith_epoch_s": measure("litesmith", litesmith_epochs()),
              "keras_epoch_s": measure("keras", keras_epochs())}
    result["times_faster"] = result["keras_epoch_s"] / result["litesmith_epoch_s"]
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
