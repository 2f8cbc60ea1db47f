"""Random float graphs of many operators, with branches, shared operands and constants, through every recipe of
`litesmith quantize`: LiteRT's reference kernels give the results that litesmith gives (integers bit for bit), and the
files are near the float model.

Environment: LITESMITH_PROGRAM, the command under test; LITESMITH_PEERS_EACH (default 24), how many graphs.
Arguments: a seed.
"""

import os
import subprocess
import sys
import tempfile

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from litert_peer import ModelBuilder, Peer, PeerRefuses, run_litert

MODES = [('int8', 'float32'), ('int8', 'int8'), ('int16x8', 'float32'), ('int16x8', 'int16'), ('dynamic', 'float32'),
         ('float16', 'float32'), ('int8w4', 'int8')]
# Least decibels from the float model on the calibration samples themselves.
LEAST = {'int8': 8, 'int16x8': 35, 'dynamic': 18, 'float16': 45, 'int8w4': -10}


class Graph:
  """Values of rank 4 that further nodes may read."""

  def __init__(self, rng):
    self.rng, self.m, self.values, self.names = rng, ModelBuilder(), [], []

  def pick(self):
    # Mostly what is new, so that graphs are deep.
    n = len(self.values)
    return self.values[n - 1 - min(int(self.rng.exponential(1.2)), n - 1)]

  def constant(self, *shape, spread=1.0):
    return self.m.tensor('float32', shape, (self.rng.standard_normal(shape) * spread).astype(np.float32))

  def add(self, op, inputs, shape, options=None, version=1, outputs=1, **fields):
    made = [self.m.tensor('float32', shape) for _ in range(outputs)]
    self.m.node(op, inputs, made, options, version, **fields)
    self.values += [(t, list(shape)) for t in made]
    self.names.append(op)
    return made[0]

  def ints(self, values):
    return self.m.tensor('int32', [len(values)], np.array(values, np.int32))


def binary(g):
  (x, shape), rng = g.pick(), g.rng
  op = str(rng.choice(['ADD', 'SUB', 'MUL', 'MAXIMUM', 'MINIMUM', 'SQUARED_DIFFERENCE']))
  same = [t for t, s in g.values if s == shape]
  kind = rng.random()
  if kind < 0.55:
    y = int(rng.choice(same))
  elif kind < 0.8:
    y = g.constant(*([] if rng.random() < 0.3 else [shape[3]]))
  else:
    y = g.constant(*shape)
  pair = [x, y] if rng.random() < 0.7 else [y, x]
  table = {'ADD': 'AddOptions', 'SUB': 'SubOptions', 'MUL': 'MulOptions', 'MAXIMUM': 'MaximumMinimumOptions',
           'MINIMUM': 'MaximumMinimumOptions', 'SQUARED_DIFFERENCE': 'SquaredDifferenceOptions'}[op]
  fused = dict(fusedActivationFunction=int(rng.choice([0, 0, 1, 3]))) if op in ('ADD', 'SUB', 'MUL') else {}
  g.add(op, pair, shape, table, **fused)


def unary(g):
  x, shape = g.pick()
  op = str(g.rng.choice(['RELU', 'RELU6', 'LOGISTIC', 'TANH', 'ABS', 'LEAKY_RELU', 'HARD_SWISH', 'GELU', 'NEG',
                         'SQUARE', 'RELU_N1_TO_1', 'SIN', 'L2_NORMALIZATION', 'LOG_SOFTMAX', 'SOFTMAX']))
  extra = {'LEAKY_RELU': ('LeakyReluOptions', dict(alpha=0.2)), 'SOFTMAX': ('SoftmaxOptions', dict(beta=1.0)),
           'GELU': ('GeluOptions', dict(approximate=bool(g.rng.integers(0, 2))))}
  options, fields = extra.get(op, (None, {}))
  g.add(op, [x], shape, options, **fields)


def conv(g):
  (x, shape), rng = g.pick(), g.rng
  units, k, stride = int(rng.integers(1, 9)), int(rng.integers(1, 4)), int(rng.integers(1, 3))
  size = [-(-shape[1] // stride), -(-shape[2] // stride)]
  spread = 1 / np.sqrt(k * k * shape[3])
  operands = [x, g.constant(units, k, k, shape[3], spread=spread), g.constant(units, spread=0.3)]
  g.add('CONV_2D', operands, [shape[0], *size, units], 'Conv2DOptions', padding=0, strideH=stride, strideW=stride,
        dilationHFactor=1, dilationWFactor=1, fusedActivationFunction=int(rng.choice([0, 1, 3])))


def depthwise(g):
  x, shape = g.pick()
  operands = [x, g.constant(1, 3, 3, shape[3], spread=0.4), g.constant(shape[3], spread=0.3)]
  g.add('DEPTHWISE_CONV_2D', operands, shape, 'DepthwiseConv2DOptions', padding=0, strideH=1, strideW=1,
        dilationHFactor=1, dilationWFactor=1, depthMultiplier=1, fusedActivationFunction=int(g.rng.choice([0, 1])))


def pool(g):
  x, shape = g.pick()
  op = str(g.rng.choice(['AVERAGE_POOL_2D', 'MAX_POOL_2D']))
  g.add(op, [x], shape, 'Pool2DOptions', padding=0, strideH=1, strideW=1, filterHeight=2, filterWidth=3)


def concatenation(g):
  x, shape = g.pick()
  parts = [x]
  for t, s in g.values:
    if s[:3] == shape[:3] and g.rng.random() < 0.5 and len(parts) < 4:
      parts.append(t)
  if g.rng.random() < 0.2:
    parts.append(g.constant(*shape))
  widths = {t: s[3] for t, s in g.values}
  total = sum(widths.get(t, shape[3]) for t in parts)
  g.add('CONCATENATION', parts, shape[:3] + [total], 'ConcatenationOptions', axis=int(g.rng.choice([3, -1])))


def split(g):
  x, shape = g.pick()
  axis = int(g.rng.integers(1, 4))
  ways = [n for n in (2, 3) if shape[axis] % n == 0]
  if not ways:
    return
  n = int(g.rng.choice(ways))
  shape = list(shape)
  shape[axis] //= n
  g.add('SPLIT', [g.m.tensor('int32', [], np.array(axis, np.int32)), x], shape, 'SplitOptions', outputs=n, numSplits=n)


def move(g):
  (x, shape), rng = g.pick(), g.rng
  op = str(rng.choice(['RESHAPE', 'TRANSPOSE', 'PAD', 'SLICE', 'MIRROR_PAD', 'REVERSE_V2', 'GATHER']))
  if op == 'RESHAPE':
    to = [shape[0], shape[2], shape[1], shape[3]]
    g.add(op, [x, g.ints(to)], to, 'ReshapeOptions', newShape=to)
  elif op == 'TRANSPOSE':
    order = [0] + [int(d) + 1 for d in rng.permutation(3)]
    g.add(op, [x, g.ints(order)], [shape[d] for d in order])
  elif op in ('PAD', 'MIRROR_PAD'):
    pads = np.array([[0, 0], [1, 0], [0, 1], [0, 0]], np.int32)
    if shape[1] > 6 or min(shape[1:3]) < 2:
      return
    operand = g.m.tensor('int32', [4, 2], pads)
    options = ('MirrorPadOptions', dict(mode=int(rng.integers(0, 2)))) if op == 'MIRROR_PAD' else (None, {})
    g.add(op, [x, operand], [shape[0], shape[1] + 1, shape[2] + 1, shape[3]], options[0], **options[1])
  elif op == 'SLICE':
    size = [shape[0]] + [int(rng.integers(1, d + 1)) for d in shape[1:]]
    begin = [int(rng.integers(0, d - s + 1)) for d, s in zip(shape, size)]
    g.add(op, [x, g.ints(begin), g.ints(size)], size)
  elif op == 'REVERSE_V2':
    g.add(op, [x, g.ints([int(rng.integers(1, 4))])], shape)
  else:
    count = int(rng.integers(1, 6))
    ids = g.ints([int(i) for i in rng.integers(0, shape[3], count)])
    g.add(op, [x, ids], shape[:3] + [count], 'GatherOptions', axis=3)


def reduction(g):
  x, shape = g.pick()
  op = str(g.rng.choice(['MEAN', 'SUM', 'REDUCE_MAX', 'REDUCE_MIN']))
  axes = sorted(int(a) for a in g.rng.choice([1, 2, 3], size=int(g.rng.integers(1, 3)), replace=False))
  to = [1 if d in axes else s for d, s in enumerate(shape)]
  made = g.add(op, [x, g.ints(axes)], to, 'ReducerOptions', keepDims=True)
  if g.rng.random() < 0.6:
    g.add('SUB' if g.rng.random() < 0.5 else 'MUL', [x, made], shape, 'SubOptions' if g.names[-1] == 'SUB' else None)


def dense(g):
  x, shape = g.pick()
  units = int(g.rng.integers(1, 9))
  operands = [x, g.constant(units, shape[3], spread=1 / np.sqrt(shape[3])),
              g.constant(units, spread=0.2) if g.rng.random() < 0.7 else -1]
  g.add('FULLY_CONNECTED', operands, shape[:3] + [units], 'FullyConnectedOptions', 5, keepNumDims=True,
        fusedActivationFunction=int(g.rng.choice([0, 1])))


def resize(g):
  x, shape = g.pick()
  if shape[1] > 6:
    return
  op = str(g.rng.choice(['RESIZE_BILINEAR', 'RESIZE_NEAREST_NEIGHBOR']))
  name = 'ResizeBilinearOptions' if op == 'RESIZE_BILINEAR' else 'ResizeNearestNeighborOptions'
  to = [shape[1] * 2, shape[2] + 1]
  g.add(op, [x, g.ints(to)], [shape[0], *to, shape[3]], name, halfPixelCenters=bool(g.rng.integers(0, 2)))


MAKERS = [binary, binary, binary, unary, unary, unary, conv, conv, depthwise, pool, concatenation, split, move, move,
          reduction, dense, resize]


def model(rng):
  """Bytes, calibration samples per input, and what the graph is made of."""
  g = Graph(rng)
  shape = [1, int(rng.integers(2, 6)), int(rng.integers(2, 6)), int(rng.integers(1, 7))]
  count = int(rng.integers(1, 3))
  for _ in range(count):
    g.values.append((g.m.input('float32', shape), list(shape)))
  inputs = len(g.values)
  for _ in range(int(rng.integers(2, 12))):
    MAKERS[int(rng.integers(len(MAKERS)))](g)
  made = [t for t, s in g.values[inputs:] if np.prod(s) < 4000]
  if not made or len(made) < len(g.values) - inputs:
    return None
  outputs = {made[-1]} | {t for t in made if rng.random() < 0.15}
  g.m.outputs = sorted(outputs)
  low, high = -float(rng.uniform(0.5, 3)), float(rng.uniform(0.5, 3))
  samples = [rng.uniform(low, high, [24] + shape).astype(np.float32) for _ in range(count)]
  return g.m.build(), samples, ' '.join(g.names)


def quantize(path, data, out, recipe, io):
  command = [os.environ['LITESMITH_PROGRAM'], 'quantize', path, '-o', out, '--recipe', recipe, '--input-type', io,
             '--output-type', io]
  if recipe.startswith('int'):
    command += ['--calibration-data', data]
  done = subprocess.run(command, capture_output=True, text=True, timeout=60)
  if done.returncode != 0:
    raise AssertionError(done.stderr.strip() or f'exit {done.returncode}')
  with open(out, 'rb') as f:
    return f.read()


def details(written):
  it = Interpreter(model_content=written, num_threads=1)
  return it.get_input_details(), it.get_output_details()


def as_stored(x, detail):
  scale, zero = detail['quantization']
  if not scale:
    return x.astype(detail['dtype'])
  limits = np.iinfo(detail['dtype'])
  return np.clip(np.round(x / np.float32(scale)) + zero, limits.min, limits.max).astype(detail['dtype'])


def real(y, detail):
  scale, zero = detail['quantization']
  return (y.astype(np.float64) - zero) * scale if scale else y.astype(np.float64)


def check(peer, rng, index, folder):
  made = model(rng)
  if made is None:
    return
  source, samples, text = made
  try:
    wanted = [run_litert(source, [s[i] for s in samples]) for i in range(4)]
  except PeerRefuses as refusal:
    peer.failures.append(f'graph {index} {text}: the generator made what LiteRT refuses: {refusal}')
    return
  # What is the same everywhere has no signal to compare noise with.
  if not all(np.isfinite(y).all() and np.ptp(y) > 1e-3 for run in wanted for y in run):
    return
  path, data = os.path.join(folder, 'float.tflite'), os.path.join(folder, 'samples.npz')
  with open(path, 'wb') as f:
    f.write(source)
  np.savez(data, **{f'in{i}': s for i, s in enumerate(samples)})
  for recipe, io in MODES:
    label = f'{recipe}-{io} graph {index} {text}'
    try:
      written = quantize(path, data, os.path.join(folder, 'out.tflite'), recipe, io)
    except AssertionError as error:
      peer.failures.append(f'{label}: {error}')
      continue
    ins, outs = details(written)
    peer.refused.clear()
    stored = [as_stored(s[0], d) for s, d in zip(samples, ins)]
    if peer.check(label, written, stored, float_best=3e-3, apart=True) is None:
      # The reference resolver lacks int4 depthwise convolutions.
      if recipe != 'int8w4' or 'DEPTHWISE' not in text:
        peer.failures.append(f'{label}: LiteRT refuses it: {peer.refused.get(label.split()[0])}')
        keep = os.environ.get('LITESMITH_PEERS_KEEP')
        if keep:
          with open(os.path.join(keep, f'graph{index}-{recipe}-{io}.tflite'), 'wb') as f:
            f.write(written)
      continue
    signal = noise = 1e-9
    for i, run in enumerate(wanted):
      got = run_litert(written, [as_stored(s[i], d) for s, d in zip(samples, ins)])
      for y, w, d in zip(got, run, outs):
        signal += float((w.astype(np.float64) ** 2).sum())
        noise += float(((real(y, d) - w) ** 2).sum())
    decibels = 10 * np.log10(signal / noise)
    if decibels < LEAST[recipe]:
      peer.failures.append(f'{label}: {decibels:.1f} dB from the float model')


def main():
  each = int(os.environ.get('LITESMITH_PEERS_EACH', '24'))
  rng = np.random.default_rng(int(sys.argv[1]) if len(sys.argv) > 1 else 95)
  peer = Peer('random graphs')
  for index in range(each):
    with tempfile.TemporaryDirectory() as folder:
      check(peer, rng, index, folder)
  peer.finish(each * len(MODES) // 2)


if __name__ == '__main__':
  main()
