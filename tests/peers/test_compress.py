"""Pruned and clustered files that `litesmith train` writes run in LiteRT, with its reference kernels, its own
kernels and its default delegate, and give what litesmith gives: float ones |a - b| <= 1e-5 + 1e-4 * |b|.

Environment: LITESMITH_PROGRAM, the command under test; LITESMITH_SHARED, the folder with the golden files.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

RESOLVERS = [OpResolverType.BUILTIN_REF, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
             OpResolverType.AUTO]
# How it is made, and how its largest weights must be stored.
MNIST = [(['--prune', '0.8'], 'random'), (['--prune', '1x4=0.8'], '1x4'),
         (['--prune', '2:4'], 'dense'), (['--prune', 'channels=0.5'], 'dense'),
         (['--cluster', '16'], 'dense'), (['--prune', '0.7', '--cluster', '8'], 'random')]
RESNET = [(['--prune', '0.8'], 'random'), (['--prune', '1x4=0.75'], '1x4'),
          (['--prune', 'channels=0.5'], 'dense')]


def program(*arguments):
  subprocess.run([os.environ['LITESMITH_PROGRAM'], *arguments], check=True, timeout=300,
                 stdout=subprocess.DEVNULL)


def digits(shape, count, seed):
  """Pictures with a bright row that tells the class, and their labels."""
  rng = np.random.default_rng(seed)
  labels = np.arange(count, dtype=np.int64) % 10
  pictures = rng.uniform(0, 0.3, (count, *shape)).astype(np.float32)
  for picture, label in zip(pictures, labels):
    picture[2 + 2 * label:4 + 2 * label] += 0.6
  return pictures, labels


def compare(source, scale, shape, cases, folder):
  pictures, labels = digits(shape, 192, 1)
  pictures *= scale
  data = os.path.join(folder, 'data.npz')
  np.savez(data, in0=pictures, labels=labels)
  probe = os.path.join(folder, 'probe.npy')
  np.save(probe, pictures[:1])
  compared = 0
  for flags, stored in cases:
    out, report = os.path.join(folder, 'out.tflite'), os.path.join(folder, 'report.json')
    program('train', source, '-o', out, '--data', data, '--epochs', '1', '--json', report, *flags)
    with open(report, encoding='utf-8') as f:
      layers = json.load(f)['compression']['layers']
    largest = max(layers, key=lambda layer: layer['elements'])
    assert largest['stored'] == stored, (flags, largest)
    program('run', out, '--input', probe, '--output-dir', folder)
    ours = np.load(os.path.join(folder, 'out0.npy'))
    for resolver in RESOLVERS:
      interpreter = Interpreter(out, num_threads=1, experimental_op_resolver_type=resolver)
      interpreter.allocate_tensors()
      interpreter.set_tensor(interpreter.get_input_details()[0]['index'], pictures[:1])
      interpreter.invoke()
      theirs = interpreter.get_tensor(interpreter.get_output_details()[0]['index'])
      assert np.all(np.abs(ours - theirs) <= 1e-5 + 1e-4 * np.abs(theirs)), (flags, resolver)
      compared += 1
  return compared


def main():
  shared = os.environ['LITESMITH_SHARED']
  with tempfile.TemporaryDirectory() as folder:
    compared = compare(os.path.join(shared, 'golden/mnist/mnist_model_float32.tflite'), 1.0,
                       (28, 28, 1), MNIST, folder)
    compared += compare(
        os.path.join(shared, 'models/mlperf-tiny/image_classification/pretrainedResnet.tflite'),
        255.0, (32, 32, 3), RESNET, folder)
  print(f'test_compress: {compared} files compared, all equal within rounding')


if __name__ == '__main__':
  sys.exit(main())
