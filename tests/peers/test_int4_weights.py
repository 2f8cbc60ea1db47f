"""int4 weights beside float activations (dynamic_wi4_afp32), and integer weights behind DEQUANTIZE (weight_only_wi8_afp32
and weight_only_wi4_afp32), on random models: LiteRT's reference kernels give the same results as ours, and, where the
LiteRT quantizer is installed, weights and scales are those of its files.

Environment: LITESMITH_PROGRAM, the command under test.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from litert_peer import ModelBuilder, Peer, run_litert
from test_recurrent import numbers, small

RECIPES = ('dynamic_wi4_afp32', 'weight_only_wi4_afp32', 'weight_only_wi8_afp32', 'asymmetric_wi4', 'asymmetric_wi8')
WEIGHTS = {schema.TensorType.INT4, schema.TensorType.INT8}


def dense(rng, m):
  rows, depth, units = small(rng, 1, 5), small(rng, 1, 70), small(rng, 1, 40)
  x = m.input('float32', [rows, depth])
  w = m.tensor('float32', [units, depth], numbers(rng, units, depth))
  bias = m.tensor('float32', [units], numbers(rng, units)) if rng.random() < 0.7 else -1
  y = m.output('float32', [rows, units])
  m.node('FULLY_CONNECTED', [x, w, bias], [y], 'FullyConnectedOptions', 1,
         fusedActivationFunction=int(rng.integers(0, 2)))
  return [numbers(rng, rows, depth)], f'{rows}x{depth} to {units}'


def conv(rng, m):
  batch, size, channels, units, kernel = small(rng, 1, 3), small(rng, 3, 9), small(rng, 1, 9), small(rng, 1, 9), small(rng, 1, 4)
  x = m.input('float32', [batch, size, size, channels])
  w = m.tensor('float32', [units, kernel, kernel, channels], numbers(rng, units, kernel, kernel, channels))
  bias = m.tensor('float32', [units], numbers(rng, units))
  y = m.output('float32', [batch, size, size, units])
  m.node('CONV_2D', [x, w, bias], [y], 'Conv2DOptions', 1, strideH=1, strideW=1, dilationHFactor=1,
         dilationWFactor=1, padding=0, fusedActivationFunction=int(rng.integers(0, 2)))
  return [numbers(rng, batch, size, size, channels)], f'{batch}x{size}x{size}x{channels} to {units} by {kernel}'


def depthwise(rng, m):
  size, channels = small(rng, 3, 9), small(rng, 1, 9)
  x = m.input('float32', [1, size, size, channels])
  w = m.tensor('float32', [1, 3, 3, channels], numbers(rng, 1, 3, 3, channels))
  bias = m.tensor('float32', [channels], numbers(rng, channels))
  y = m.output('float32', [1, size, size, channels])
  m.node('DEPTHWISE_CONV_2D', [x, w, bias], [y], 'DepthwiseConv2DOptions', 1, strideH=1, strideW=1,
         dilationHFactor=1, dilationWFactor=1, padding=0, depthMultiplier=1)
  return [numbers(rng, 1, size, size, channels)], f'{size}x{size}x{channels}'


def embedding(rng, m):
  count, rows, columns = small(rng, 1, 6), small(rng, 1, 30), small(rng, 1, 12)
  ids = m.input('int32', [count])
  table = m.tensor('float32', [rows, columns], numbers(rng, rows, columns))
  y = m.output('float32', [count, columns])
  m.node('EMBEDDING_LOOKUP', [ids, table], [y], None, 1)
  return [rng.integers(0, rows, count).astype(np.int32)], f'{count} of {rows}x{columns}'


def product(rng, m):
  rows, depth, units = small(rng, 1, 5), small(rng, 1, 20), small(rng, 1, 20)
  adj = bool(rng.integers(0, 2))
  shape = [1, units, depth] if adj else [1, depth, units]
  x = m.input('float32', [1, rows, depth])
  w = m.tensor('float32', shape, numbers(rng, *shape))
  y = m.output('float32', [1, rows, units])
  m.node('BATCH_MATMUL', [x, w], [y], 'BatchMatMulOptions', 1, adjY=adj)
  return [numbers(rng, 1, rows, depth)], f'{rows}x{depth} to {units} adj {adj}'


def asymmetric(name):
  """The recipe in both programs' form; None for one that has a name."""
  if not name.startswith('asymmetric'):
    return None
  weights = {'num_bits': int(name[-1]), 'symmetric': False, 'granularity': 'CHANNELWISE', 'dtype': 'INT'}
  return [{'regex': '.*', 'operation': '*', 'algorithm_key': 'min_max_uniform_quantize',
           'op_config': {'weight_tensor_config': weights, 'compute_precision': 'FLOAT', 'explicit_dequantize': True,
                         'skip_checks': False, 'min_weight_elements': 0}}]


def litesmith(path, name, folder):
  out, recipe = os.path.join(folder, name + '.tflite'), name
  if asymmetric(name):
    recipe = os.path.join(folder, name + '.json')
    with open(recipe, 'w') as f:
      json.dump(asymmetric(name), f)
  done = subprocess.run([os.environ['LITESMITH_PROGRAM'], 'quantize', path, '-o', out, '--recipe', recipe],
                        capture_output=True, text=True, timeout=60)
  if done.returncode != 0:
    raise AssertionError(done.stderr.strip())
  with open(out, 'rb') as f:
    return f.read()


def official(source, name):
  """The LiteRT quantizer's file; None where it is not installed."""
  try:
    from litert_quantizer import quantizer, recipe
  except ImportError:
    return None
  q = quantizer.Quantizer(bytearray(source))
  q.load_quantization_recipe(asymmetric(name) or getattr(recipe, name)())
  return bytes(q.quantize().quantized_model)


def integer_weights(model):
  """(type, axis, scales, zero points, bytes) of every constant of an integer weight type."""
  m = schema.ModelT.InitFromPackedBuf(model, 0)
  out = []
  for t in m.subgraphs[0].tensors:
    data = m.buffers[t.buffer].data
    if t.type not in WEIGHTS or data is None:
      continue
    q = t.quantization
    out.append((t.type, q.quantizedDimension if len(q.scale) > 1 else 0, tuple(q.scale),
                tuple(q.zeroPoint), bytes(data)))
  return out


def check(peer, rng, make, folder):
  """How many files were compared with the quantizer's."""
  m = ModelBuilder()
  inputs, text = make(rng, m)
  source, path = m.build(), os.path.join(folder, 'float.tflite')
  with open(path, 'wb') as f:
    f.write(source)
  compared = 0
  for recipe in RECIPES:
    label = f'{recipe}-{make.__name__} {text}'
    written = litesmith(path, recipe, folder)
    if peer.check(label, written, inputs, kernels=('reference',)) is None:
      peer.failures.append(f'{label}: LiteRT refuses it')
      continue
    peer.check(label, written, inputs, kernels=('best',), float_best=3e-3)
    # LiteRT misreads int4 rows of an odd length: ours are int8 there.
    odd = make is embedding and recipe == 'dynamic_wi4_afp32' and run_litert(source, inputs)[0].shape[1] % 2
    theirs = None if odd else official(source, recipe)
    if theirs is None:
      continue
    compared += 1
    if integer_weights(written) != integer_weights(theirs):
      peer.failures.append(f"{label}: not the quantizer's weights")
  return compared


def main():
  each = int(os.environ.get('LITESMITH_PEERS_EACH', '8'))
  rng = np.random.default_rng(int(sys.argv[1]) if len(sys.argv) > 1 else 94)
  peer = Peer('int4 weights and weights alone')
  compared = 0
  for make in (dense, conv, depthwise, embedding, product):
    for _ in range(each):
      with tempfile.TemporaryDirectory() as folder:
        compared += check(peer, rng, make, folder)
  print(f"{compared} files have the LiteRT quantizer's weights")
  peer.finish(2 * 5 * len(RECIPES) * each * 9 // 10)


if __name__ == '__main__':
  main()
