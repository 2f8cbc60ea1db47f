"""Times quantization of the golden Keras model, whole process, beside TensorFlow's converter where it is installed.

    LITESMITH_PROGRAM=build/litesmith python3 bench/peers/quantize.py [--runs 9]

Prints per recipe the median wall time, the peak memory and the bars: 0.15 s and 60 MB. Never a test: machines
differ. The peer is timed in a process of its own, with its import, once per recipe.
"""

import argparse
import os
import resource  # noqa: F401  (os.wait4 fills its structure)
import statistics
import subprocess
import sys
import tempfile
import time

RECIPES = ['float16', 'dynamic', 'int8', 'int16x8']
SECONDS, MEGABYTES = 0.15, 60

PEER = r'''
import os, sys
os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
import numpy as np
import tensorflow as tf
recipe, model, pixels, out = sys.argv[1:]
converter = tf.lite.TFLiteConverter.from_saved_model(model)
if recipe != 'float32':
  converter.optimizations = [tf.lite.Optimize.DEFAULT]
if recipe == 'float16':
  converter.target_spec.supported_types = [tf.float16]
if recipe in ('int8', 'int16x8'):
  images = np.load(pixels).astype(np.float32).reshape(-1, 1, 28, 28, 1) / 255
  converter.representative_dataset = lambda: ([x] for x in images)
  ops = tf.lite.OpsSet
  converter.target_spec.supported_ops = [
      ops.TFLITE_BUILTINS_INT8 if recipe == 'int8' else
      ops.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8]
open(out, 'wb').write(converter.convert())
'''


def run(command):
  """Seconds and megabytes of one process."""
  start = time.perf_counter()
  process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
  error = process.stderr.read()
  _, status, usage = os.wait4(process.pid, 0)
  seconds = time.perf_counter() - start
  if os.waitstatus_to_exitcode(status) != 0:
    raise RuntimeError(f'{command[0]} failed: {error.strip()[-400:]}')
  return seconds, usage.ru_maxrss / 1024


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument('--runs', type=int, default=9)
  args = parser.parse_args()
  program = os.environ.get('LITESMITH_PROGRAM', 'build/litesmith')
  mnist = os.path.join(os.environ.get('LITESMITH_SHARED', '../shared'), 'golden/mnist')
  pixels = os.path.join(mnist, 'calibration_u8.npy')
  peer = subprocess.run([sys.executable, '-c', 'import tensorflow'], capture_output=True).returncode == 0
  missed = False
  print(f'{"recipe":10} {"s":>8} {"MB":>8} {"bytes":>8}   {"TensorFlow s":>12} {"MB":>8}')
  with tempfile.TemporaryDirectory() as folder:
    out = os.path.join(folder, 'out.tflite')
    for recipe in RECIPES:
      command = [program, 'quantize', os.path.join(mnist, 'mnist_cnn_model.keras'), '-o', out,
                 '--recipe', recipe]
      if recipe.startswith('int'):
        command += ['--calibration-data', pixels, '--num-calibration-samples', '300']
      runs = [run(command) for _ in range(args.runs)]
      seconds = statistics.median(s for s, _ in runs)
      memory = max(m for _, m in runs)
      line = f'{recipe:10} {seconds:8.3f} {memory:8.1f} {os.path.getsize(out):8}'
      if peer:
        theirs = run([sys.executable, '-c', PEER, recipe, os.path.join(mnist, 'mnist_cnn_saved_model'),
                      pixels, out])
        line += f'   {theirs[0]:12.2f} {theirs[1]:8.0f}'
      if seconds > SECONDS or memory > MEGABYTES:
        line += f'   over the bar of {SECONDS} s, {MEGABYTES} MB'
        missed = True
      print(line)
  if not peer:
    print('TensorFlow is not installed for this Python: no peer was timed')
  return 1 if missed else 0


if __name__ == '__main__':
  sys.exit(main())
