#!/usr/bin/env python3
"""Epochs of training: litesmith beside TensorFlow (tf_keras, and tfmot for quantization-aware training).

    bench/peers/train.py [--program build/litesmith] [--shared ../shared] [--cases mnist,mnist-qat,resnet8,resnet8-qat]
                         [--epochs 3] [--threads N] [--steps N] [--markdown FILE]

Each of the two trains the same network on the same data (batches of 64, Adam) in a process of its own. Reported per case:
seconds of an epoch (the median without the first, which traces and reads), processor seconds of an epoch, and the peak of
resident memory. Neither has data to validate with. With --steps TensorFlow trains so many of the 782 steps
of ResNet8's epoch, and its times are multiplied; litesmith trains whole epochs, because what it does once an epoch would
be multiplied too.

Needs a Python with tensorflow and numpy; the -qat cases also tf_keras and tensorflow-model-optimization. What is not
installed is left out.
"""
import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

ARGUMENTS = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ARGUMENTS.add_argument("--program", default="build/litesmith")
ARGUMENTS.add_argument("--shared", default="../shared", help="the folder with data/ and models/")
ARGUMENTS.add_argument("--cases", default="mnist,mnist-qat,resnet8,resnet8-qat")
ARGUMENTS.add_argument("--epochs", type=int, default=3)
ARGUMENTS.add_argument("--threads", type=int, default=os.cpu_count())
ARGUMENTS.add_argument("--steps", type=int, default=0, help="TensorFlow's steps that stand for an epoch of ResNet8")
ARGUMENTS.add_argument("--markdown", help="append the table to this file")
ARGUMENTS.add_argument("--peer", help=argparse.SUPPRESS)  # run this case with TensorFlow, in this process
OPTIONS = ARGUMENTS.parse_args()
BATCH = 64
RESNET_STEPS = 782  # of an epoch
RESNET = "models/mlperf-tiny/image_classification/pretrainedResnet.h5"


def shared(name):
    return os.path.join(OPTIONS.shared, name)


# ---- TensorFlow, in a process of its own

def mnist_data(np):
    def read(name, header):
        with gzip.open(shared(f"data/mnist/{name}.gz")) as file:
            return np.frombuffer(file.read(), np.uint8, offset=header)
    return (read("train-images-idx3-ubyte", 16).reshape(-1, 28, 28, 1).astype(np.float32) / 255,
            read("train-labels-idx1-ubyte", 8).astype(np.int32))


def cifar_data(np, tf):
    pictures, names = [], []
    with tarfile.open(shared("data/cifar10/train.tar.gz")) as archive:
        for entry in archive:
            if entry.name.endswith(".jpg"):
                names.append(entry.name.split("/")[-2])
                pictures.append(tf.io.decode_jpeg(archive.extractfile(entry).read()).numpy())
    classes = sorted(set(names))
    return np.stack(pictures), np.array([classes.index(name) for name in names], np.int32)


def augmented(tf, pictures, labels):
    def change(picture, label):
        picture = tf.image.random_flip_left_right(picture)
        picture = tf.pad(picture, [[4, 4], [4, 4], [0, 0]], "REFLECT")
        return tf.cast(tf.image.random_crop(picture, [32, 32, 3]), tf.float32), label
    data = tf.data.Dataset.from_tensor_slices((pictures, labels)).shuffle(10000)
    return data.map(change, num_parallel_calls=OPTIONS.threads).batch(BATCH).prefetch(2)


def mnist_model(keras):
    layers = keras.layers
    return keras.Sequential([
        layers.InputLayer((28, 28, 1)), layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(2),
        layers.Flatten(), layers.Dense(16, activation="relu"), layers.Dense(10, activation="softmax")])


def run_peer(case):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import numpy as np
    import tensorflow as tf
    import tf_keras as keras
    tf.config.threading.set_intra_op_parallelism_threads(OPTIONS.threads)
    tf.config.threading.set_inter_op_parallelism_threads(OPTIONS.threads)
    network, qat = case.split("-")[0], case.endswith("-qat")
    scale = 1.0
    if network == "mnist":
        model, data = mnist_model(keras), mnist_data(np)
        fit = {"x": data[0], "y": data[1], "batch_size": BATCH}
    else:
        model = keras.models.load_model(shared(RESNET), compile=False)
        pictures, labels = cifar_data(np, tf)
        fit = {"x": augmented(tf, pictures, labels)}
        if OPTIONS.steps:
            scale = RESNET_STEPS / OPTIONS.steps
            fit = {"x": fit["x"].repeat(), "steps_per_epoch": OPTIONS.steps}
    if qat:
        import tensorflow_model_optimization as tfmot
        model = tfmot.quantization.keras.quantize_model(model)
    model.compile(keras.optimizers.Adam(1e-4 if qat else 1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    seconds, processor = [], []

    class Watch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.start, self.used = time.perf_counter(), time.process_time()

        def on_epoch_end(self, epoch, logs=None):
            seconds.append(scale * (time.perf_counter() - self.start))
            processor.append(scale * (time.process_time() - self.used))

    model.fit(**fit, epochs=OPTIONS.epochs, verbose=0, callbacks=[Watch()])
    print(json.dumps({"seconds": seconds, "processor": processor}))


# ---- both, watched from outside

def watched(command):
    """Standard output, processor seconds and peak memory (MB) of a process."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(command, stdout=out, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if child.returncode != 0:
            raise RuntimeError(err.read().decode(errors="replace").strip().splitlines()[-1])
        return out.read().decode(), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def measure_peer(case):
    command = [sys.executable, __file__, "--peer", case, "--shared", OPTIONS.shared, "--epochs", str(OPTIONS.epochs),
               "--threads", str(OPTIONS.threads), "--steps", str(OPTIONS.steps)]
    out, _, memory = watched(command)
    record = json.loads(out.splitlines()[-1])
    return statistics.median(record["seconds"][1:]), statistics.median(record["processor"][1:]), memory


def training_part(network, folder):
    """A folder with the training part of a data set alone."""
    data = "data/mnist" if network == "mnist" else "data/cifar10"
    part = os.path.join(folder, network)
    os.makedirs(part, exist_ok=True)
    for name in os.listdir(shared(data)):
        if name.startswith("train") and not os.path.exists(os.path.join(part, name)):
            os.symlink(os.path.abspath(shared(os.path.join(data, name))), os.path.join(part, name))
    return part


def measure_litesmith(case, folder):
    network, qat = case.split("-")[0], case.endswith("-qat")
    flags = ["--data", training_part(network, folder)]
    if network != "mnist":
        flags += ["--augment", "flip,crop"]
    source = shared("golden/mnist/mnist_model_float32.tflite" if network == "mnist" else RESNET)
    if network == "resnet8":
        flags += ["--std", "1"]
    if qat:
        flags += ["--qat", "int8"]
    used, seconds, memory = {}, [], 0.0
    for epochs in (1, OPTIONS.epochs):  # the difference is what epochs cost
        report = os.path.join(folder, "report.json")
        _, used[epochs], memory = watched([
            OPTIONS.program, "train", source, "-o", os.path.join(folder, "out.tflite"), *flags, "--epochs", str(epochs),
            "--batch-size", str(BATCH), "--num-threads", str(OPTIONS.threads), "--json", report])
        with open(report, encoding="utf-8") as file:
            seconds = [epoch["seconds"] for epoch in json.load(file)["epochs"]]
    return statistics.median(seconds[1:]), (used[OPTIONS.epochs] - used[1]) / (OPTIONS.epochs - 1), memory


def main():
    if OPTIONS.peer:
        run_peer(OPTIONS.peer)
        return 0
    if OPTIONS.epochs < 2:
        ARGUMENTS.error("--epochs must be 2 or more: the first is not counted")
    lines = ["| case | epoch (s): litesmith | TensorFlow | processor (s): litesmith | TensorFlow | memory (MB): litesmith | TensorFlow |",
             "|---|---|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        for case in OPTIONS.cases.split(","):
            ours = measure_litesmith(case, folder)
            try:
                theirs = measure_peer(case)
            except RuntimeError as error:
                print(f"{case}: TensorFlow: {error}", file=sys.stderr)
                theirs = None
            cells = [case]
            for i in range(3):
                cells.append(f"{ours[i]:.3g}" if i < 2 else f"{ours[i]:.0f}")
                cells.append("" if theirs is None else f"{theirs[i]:.3g}" if i < 2 else f"{theirs[i]:.0f}")
            lines.append("| " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    print("\n".join(lines))
    if OPTIONS.markdown:
        with open(OPTIONS.markdown, "a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
