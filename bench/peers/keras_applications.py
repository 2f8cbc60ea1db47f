#!/usr/bin/env python3
"""Import of keras.applications' networks: litesmith's outputs beside Keras' own, and what the conversion costs.

    bench/peers/keras_applications.py [--program build/litesmith] [--networks MobileNetV2,ResNet50] [--size own]
                                      [--tensorflow] [--cpu 1] [--keep FOLDER]

Each network is made with weights=None, classifier_activation=None, random weights and batch normalizations that matter
(gamma, beta, mean and variance at random), saved as .keras and, where H5 names it, as .h5; `litesmith convert` and
`litesmith run` follow. The table has max|a-b| / max|b| over the outputs of two random pictures (bar: 1e-4), and the
time and the peak memory of the whole conversion process: the least of --rounds. --tensorflow adds the same for a
process that imports TensorFlow, loads the .keras file and converts it by TFLiteConverter. --size own: the
network's own picture size, else a small one. Needs the Python of LITESMITH_PEERS_PYTHON (keras, tensorflow, numpy), default this one.
Exit code 1 if a network fails.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time

# name: (smallest size used with --size, own size)
NETWORKS = {
    "MobileNet": (96, 224),
    "MobileNetV2": (96, 224),
    "MobileNetV3Small": (96, 224),
    "MobileNetV3Large": (96, 224),
    "EfficientNetB0": (64, 224),
    "ResNet50": (64, 224),
    "ResNet101V2": (64, 224),
    "InceptionV3": (96, 299),
    "DenseNet121": (64, 224),
    "Xception": (96, 299),
    "NASNetMobile": (224, 224),  # with its own number of classes it takes no other size
}
H5 = ("MobileNet", "MobileNetV2", "ResNet50", "EfficientNetB0")
BAR = 1e-4

# Answers each line "NAME SIZE FOLDER" when FOLDER/{model.keras,model.h5,x.npy,y.npy} are written.
MAKER = r"""
import os, sys
os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
import numpy as np
import keras

def randomize(layer, random):
    for inner in getattr(layer, 'layers', []):
        randomize(inner, random)
    if isinstance(layer, keras.layers.BatchNormalization):
        size = layer.moving_mean.shape
        if layer.gamma is not None:
            layer.gamma.assign(random.uniform(0.7, 1.3, size))
        if layer.beta is not None:
            layer.beta.assign(random.normal(0, 0.3, size))
        layer.moving_mean.assign(random.normal(0, 0.3, size))
        layer.moving_variance.assign(random.uniform(0.5, 1.5, size))

for line in sys.stdin:
    name, size, h5, folder = line.split()
    keras.utils.set_random_seed(7)
    random = np.random.default_rng(7)
    keras.backend.clear_session()
    model = getattr(keras.applications, name)(
        weights=None, classifier_activation=None, input_shape=(int(size), int(size), 3))
    randomize(model, random)
    scale = 255.0 if 'V3' in name and name.startswith('Mobile') or name.startswith('Efficient') else 1.0
    x = (random.random((2, int(size), int(size), 3)) * scale).astype(np.float32)
    y = model(x, training=False).numpy()
    model.save(folder + '/model.keras')
    if h5 == '1':
        model.save(folder + '/model.h5')
    np.save(folder + '/x.npy', x)
    np.save(folder + '/y.npy', y)
    print(model.count_params(), float(np.abs(y).max()), float(y.std()), flush=True)
"""

TENSORFLOW = r"""
import os, sys
os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
import tensorflow as tf
model = tf.keras.models.load_model(sys.argv[1], compile=False)
open(sys.argv[2], 'wb').write(tf.lite.TFLiteConverter.from_keras_model(model).convert())
"""


def measure(command):
    """Seconds and peak resident MB of one process; its output is shown when it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status != 0:
        raise RuntimeError("%s\n%s" % (" ".join(command), output.decode(errors="replace")[-2000:]))
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def error(program, model, folder):
    """max|a-b| / max|b| of the converted model over the pictures."""
    import numpy as np
    out = os.path.join(folder, "out")
    x, want = np.load(folder + "/x.npy"), np.load(folder + "/y.npy")
    worst = 0.0
    for i in range(len(x)):
        np.save(folder + "/one.npy", x[i : i + 1])
        subprocess.run([program, "run", model, "--input", folder + "/one.npy", "--output-dir", out],
                       check=True, stdout=subprocess.DEVNULL)
        got = np.load(out + "/out0.npy")
        if got.shape != want[i : i + 1].shape or not np.isfinite(got).all():
            return float("inf")
        worst = max(worst, float(np.abs(got - want[i : i + 1]).max() / np.abs(want[i : i + 1]).max()))
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=os.environ.get("LITESMITH_PROGRAM", "build/litesmith"))
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--size", default="small", choices=["small", "own"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tensorflow", action="store_true")
    parser.add_argument("--cpu", type=int)
    parser.add_argument("--keep", help="keep the files in this folder")
    options = parser.parse_args()
    program = os.path.abspath(options.program)
    if options.cpu is not None:
        os.sched_setaffinity(0, {options.cpu})
    python = os.environ.get("LITESMITH_PEERS_PYTHON", sys.executable)
    maker = subprocess.Popen([python, "-c", MAKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    print("| network | size | parameters | form | max error | seconds | peak MB |")
    print("|---|--:|--:|---|--:|--:|--:|")
    failed = []
    with tempfile.TemporaryDirectory() as temporary:
        for name in options.networks.split(","):
            size = NETWORKS[name][1 if options.size == "own" else 0]
            folder = os.path.join(options.keep or temporary, name)
            os.makedirs(folder, exist_ok=True)
            maker.stdin.write("%s %d %d %s\n" % (name, size, name in H5, folder))
            maker.stdin.flush()
            answer = maker.stdout.readline().split()
            if len(answer) != 3:
                sys.exit("%s could not be made" % name)
            if float(answer[2]) == 0 or not float(answer[1]) < 1e6:
                sys.exit("%s: the outputs say nothing (greatest %s, deviation %s)" % (name, answer[1], answer[2]))
            for form in ["keras"] + (["h5"] if name in H5 else []):
                source, target = "%s/model.%s" % (folder, form), folder + "/model.tflite"
                row = "| %s | %d | %s | %s " % (name, size, "{:,}".format(int(answer[0])), "." + form)
                try:
                    runs = [measure([program, "convert", source, "-o", target]) for _ in range(options.rounds)]
                    worst = error(program, target, folder)
                except (RuntimeError, subprocess.CalledProcessError) as problem:
                    print(row + "| failed |\n%s" % problem, flush=True)
                    failed.append(name)
                    continue
                print(row + "| %.1e | %.2f | %.0f |" % (worst, min(r[0] for r in runs), min(r[1] for r in runs)),
                      flush=True)
                if worst > BAR:
                    failed.append(name)
            if options.tensorflow:
                seconds, peak = measure([python, "-c", TENSORFLOW, folder + "/model.keras", folder + "/tf.tflite"])
                print("| %s | %d | | TensorFlow | | %.2f | %.0f |" % (name, size, seconds, peak), flush=True)
            if not options.keep:
                for file in os.listdir(folder):
                    if not os.path.isdir(os.path.join(folder, file)):
                        os.remove(os.path.join(folder, file))
    maker.stdin.close()
    maker.wait()
    if failed:
        sys.exit("failed: " + ", ".join(failed))


if __name__ == "__main__":
    main()
