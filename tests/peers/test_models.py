"""Quantized files that nobody here made, bit by bit: MLPerf Tiny's official int8 models, and TensorFlow's int8, 16x8 and
dynamic files of whole networks, on CIFAR-10 pictures and random inputs.

Environment: LITESMITH_PROGRAM, LITESMITH_SHARED, LITESMITH_PEERS_COUNT (fewer than 16: fewer inputs, no large models).
"""

import glob
import os
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from litert_peer import Peer

PATTERNS = [
    'models/mlperf-tiny/image_classification/*_quant.tflite',
    'models/mlperf-tiny/keyword_spotting/*.tflite',
    'models/mlperf-tiny/visual_wake_words/*_int8.tflite',
    'models/cifar10_mobilenet/*.tflite',
    'models/bench/*.tflite',
]
LARGE = 1 << 20
# With --kernels best, a float that differs in its last bit may round to the next integer before a product with int8
# weights: 50 dB instead of 1e-4.
DYNAMIC = ('_dynamic.tflite', 'kws_ref_model_float32.tflite')


def pictures(shared):
  path = os.path.join(shared, 'data/cifar10/calibration_u8.npy')
  return np.load(path) if os.path.exists(path) else None


def sample(rng, detail, images):
  shape, dtype = [max(1, d) for d in detail['shape']], np.dtype(detail['dtype'])
  scale, zero = detail['quantization']
  if images is not None and shape == [1, 32, 32, 3]:
    real = images[rng.integers(len(images))].astype(np.float32).reshape(shape)
  else:
    real = rng.uniform(-1, 1, shape).astype(np.float32)
  if dtype == np.float32:
    return real
  limits = np.iinfo(dtype)
  # Beyond the range now and then: saturation is part of the arithmetic.
  return np.clip(np.round(real / scale) + zero, limits.min, limits.max).astype(dtype)


def main():
  shared = os.environ.get('LITESMITH_SHARED', '../shared')
  count = int(os.environ.get('LITESMITH_PEERS_COUNT', '16'))
  images = pictures(shared)
  peer = Peer('whole models')
  for pattern in PATTERNS:
    for path in sorted(glob.glob(os.path.join(shared, pattern))):
      name = os.path.relpath(path, shared)
      if os.path.getsize(path) > LARGE and count < 16:
        continue
      with open(path, 'rb') as f:
        model = f.read()
      details = Interpreter(model_content=model, num_threads=1).get_input_details()
      rng = np.random.default_rng(17)
      for n in range(1 if os.path.getsize(path) > LARGE else max(1, count // 4)):
        peer.check(f'{name} input {n}', model, [sample(rng, d, images) for d in details],
                   float_best=10 ** -2.5 if name.endswith(DYNAMIC) else 1e-4, apart=True)
  peer.finish(least=60 if count >= 16 else 1)


if __name__ == '__main__':
  sys.exit(main())
