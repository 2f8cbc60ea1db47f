"""What quantization costs on the models beside the repository: accuracy, error against float, time and memory.

    LITESMITH_PROGRAM=build/litesmith python3 bench/models.py [--accuracy] [--errors] [--speed]

--accuracy: the 10,000 test images of CIFAR-10 through ResNet8 and MobileNet, quantized here and by TensorFlow's
converter. --errors: mean squared error against the float model of our files and the converter's, over the
float model's power, on 96 to 300 samples (MobileNetV2: 12). --speed: seconds and megabytes of quantizing MobileNetV2 with 32 samples, whole process.
Ends with 1 where a bar is missed. Needs numpy; $LITESMITH_SHARED (default: ../shared) holds models and data.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

PROGRAM = os.environ.get('LITESMITH_PROGRAM', 'build/litesmith')
SHARED = os.environ.get('LITESMITH_SHARED', '../shared')

# Per cent of the 10,000 images: float model, official files' prefix, least of ours.
ACCURACY = [
    ('resnet8', 'models/mlperf-tiny/image_classification/pretrainedResnet.tflite', 'models/bench/resnet8',
     {'int8': 75.5, 'int16x8': 75.5, 'dynamic': 75.3}),
    ('mobilenet', 'models/cifar10_mobilenet/mobilenet_cifar10_float32.tflite',
     'models/cifar10_mobilenet/mobilenet_cifar10', {'int8': 80.5, 'int16x8': 80.6}),
]
SECONDS, MEGABYTES = 1.2, 150


def litesmith(*args):
  done = subprocess.run([PROGRAM, *args], capture_output=True, text=True)
  if done.returncode != 0:
    raise RuntimeError(done.stderr.strip()[-400:])
  return done.stdout


def quantize(source, out, recipe, calibration, *more):
  args = ['quantize', source, '-o', out, '--recipe', recipe]
  if recipe.startswith('int'):
    args += ['--calibration-data', calibration, *more]
  litesmith(*args)


def accuracy(path):
  import json
  with tempfile.NamedTemporaryFile(suffix='.json') as report:
    litesmith('evaluate', path, '--data', os.path.join(SHARED, 'data/cifar10/test.tar.gz'), '--std', '1', '--json',
              report.name)
    return 100 * json.load(open(report.name))['models'][0]['accuracy']


def measure_accuracy(folder):
  missed = False
  calibration = os.path.join(SHARED, 'data/cifar10/calibration_u8.npy')
  for name, source, official, bars in ACCURACY:
    print(f'{name} float: {accuracy(os.path.join(SHARED, source)):.2f} %')
    for recipe, bar in bars.items():
      out = os.path.join(folder, 'out.tflite')
      quantize(os.path.join(SHARED, source), out, recipe, calibration, '--std', '1')
      ours, theirs = accuracy(out), accuracy(os.path.join(SHARED, f'{official}_{recipe}.tflite'))
      missed |= ours < bar
      print(f'{name} {recipe}: {ours:.2f} %, official {theirs:.2f} %, bar {bar} %' + ('   MISSED' if ours < bar else ''))
  return missed


def outputs(path, samples, folder):
  """Real outputs, one row a sample, of a model whose batch is free."""
  source = os.path.join(folder, 'x.npy')
  np.save(source, samples)
  litesmith('run', path, '--input', source, '--quantize-input', '--output-dir', folder)
  return real(path, np.load(os.path.join(folder, 'out0.npy'))).reshape(len(samples), -1)


def real(path, values):
  """Integers to the numbers that they stand for, by the file's own parameters."""
  import json
  if values.dtype.kind == 'f':
    return values.astype(np.float64)
  quant = json.loads(litesmith('inspect', path, '--json', '-'))['outputs'][0]['quantization']
  return (values.astype(np.float64) - quant['zero_point'][0]) * quant['scale'][0]


def bench_data(name, shape, rng):
  if name == 'mnist':
    return (np.load(os.path.join(SHARED, 'golden/mnist/calibration_u8.npy')).astype(np.float32) / 255).reshape(
        (-1,) + shape)
  if name == 'resnet8':
    return np.load(os.path.join(SHARED, 'data/cifar10/calibration_u8.npy')).astype(np.float32)
  low = 0 if name == 'vww' else -1
  return rng.uniform(low, 1, (96,) + shape).astype(np.float32)


def measure_errors(folder):
  missed = False
  for name, shape in (('mnist', (28, 28, 1)), ('resnet8', (32, 32, 3)), ('ds_cnn', (49, 10, 1)),
                      ('vww', (96, 96, 3)), ('mobilenet_v2', (224, 224, 3))):
    data = bench_data(name, shape, np.random.default_rng(3))
    calibration = os.path.join(folder, 'calibration.npy')
    np.save(calibration, data)
    count = {'mobilenet_v2': 12, 'mnist': 300, 'resnet8': 300}.get(name, 96)
    probes = bench_data(name, shape, np.random.default_rng(77))[-count:]
    source = os.path.join(SHARED, f'models/bench/{name}_float32.tflite')
    wanted = outputs(source, probes, folder)
    for recipe in ('int8', 'dynamic', 'int16x8'):
      ours = os.path.join(folder, 'ours.tflite')
      quantize(source, ours, recipe, calibration)
      theirs = os.path.join(SHARED, f'models/bench/{name}_{recipe}.tflite')
      error = [((outputs(p, probes, folder) - wanted)**2).mean(axis=1) / np.mean(wanted**2) for p in (ours, theirs)]
      # A few samples near a decision make most of the error: what counts is a difference beyond its own.
      own = np.std(error[0] - error[1]) / np.sqrt(count)
      mean = [float(np.mean(e)) for e in error]
      bad = mean[0] > mean[1] * 1.05 + 2 * own + 1e-12
      missed |= bad
      print(f'{name} {recipe}: {mean[0]:.3e}, official {mean[1]:.3e}, their difference is known to {own:.1e}'
            + ('   MISSED' if bad else ''))
  return missed


def measure_speed(folder, runs=5):
  calibration = os.path.join(folder, 'calibration.npy')
  np.save(calibration, np.random.default_rng(4).uniform(-1, 1, (32, 224, 224, 3)).astype(np.float32))
  seconds, megabytes = [], 0
  for _ in range(runs):
    start = time.perf_counter()
    process = subprocess.Popen([PROGRAM, 'quantize', os.path.join(SHARED, 'models/bench/mobilenet_v2_float32.tflite'),
                                '-o', os.path.join(folder, 'out.tflite'), '--recipe', 'int8', '--calibration-data',
                                calibration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
      raise RuntimeError('quantizing mobilenet_v2 failed')
    seconds.append(time.perf_counter() - start)
    megabytes = max(megabytes, usage.ru_maxrss / 1024)
  bad = min(seconds) > SECONDS or megabytes > MEGABYTES
  print(f'mobilenet_v2 int8, 32 samples: {min(seconds):.2f} s (median {statistics.median(seconds):.2f}), '
        f'{megabytes:.0f} MB; bars {SECONDS} s, {MEGABYTES} MB' + ('   MISSED' if bad else ''))
  return bad


def main():
  parser = argparse.ArgumentParser()
  for flag in ('accuracy', 'errors', 'speed'):
    parser.add_argument('--' + flag, action='store_true')
  args = parser.parse_args()
  everything = not (args.accuracy or args.errors or args.speed)
  missed = False
  with tempfile.TemporaryDirectory() as folder:
    if args.accuracy or everything:
      missed |= measure_accuracy(folder)
    if args.errors or everything:
      missed |= measure_errors(folder)
    if args.speed or everything:
      missed |= measure_speed(folder)
  return 1 if missed else 0


if __name__ == '__main__':
  sys.exit(main())
