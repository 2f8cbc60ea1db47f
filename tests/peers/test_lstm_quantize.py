"""Random float UNIDIRECTIONAL_SEQUENCE_LSTM models through `litesmith quantize`: LiteRT runs the results with the same
bits, near the float model. Where TensorFlow is installed, its quantizer's scales must be ours.

Environment: LITESMITH_PROGRAM, the command under test.
"""

import os
import subprocess
import sys
import tempfile

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from litert_peer import ModelBuilder, Peer, run_litert
from test_recurrent import Lstm, small

LSTM = schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM
CELL = 19


def model(rng):
  m = ModelBuilder()
  steps, width = small(rng, 3, 9), small(rng, 2, 9)
  x = m.input('float32', [1, steps, width])
  one = Lstm(rng, m, 'float32', width)
  one.cells = max(4, one.cells)
  if one.peephole:
    one.projection = False
  one.outputs = min(one.outputs, one.cells) if one.projection else one.cells
  operands = [x] + one.operands() + one.states(1)
  operands += one.gate(lambda: one.vector(0.2, 1.0)) if one.layer_norm else [-1] * 4
  inside = [m.tensor('float32', [0]) for _ in range(5)]
  y = m.output('float32', [1, steps, one.outputs])
  m.node('UNIDIRECTIONAL_SEQUENCE_LSTM', operands, [y], 'UnidirectionalSequenceLSTMOptions', 1,
         fusedActivationFunction=4, intermediates=inside)
  samples = rng.standard_normal((16, 1, steps, width)).astype(np.float32)
  return m.build(), samples, one.text()


def quantize(source, samples, recipe, io_type, folder):
  path, data = os.path.join(folder, 'float.tflite'), os.path.join(folder, 'samples.npz')
  out = os.path.join(folder, f'{recipe}-{io_type}.tflite')
  with open(path, 'wb') as f:
    f.write(source)
  np.savez(data, in0=samples)
  command = [os.environ['LITESMITH_PROGRAM'], 'quantize', path, '-o', out, '--recipe', recipe,
             '--input-type', io_type, '--output-type', io_type]
  if recipe == 'int8':
    command += ['--calibration-data', data]
  done = subprocess.run(command, capture_output=True, text=True, timeout=60)
  if done.returncode != 0:
    raise AssertionError(done.stderr.strip())
  with open(out, 'rb') as f:
    return f.read()


def parameters(quantized):
  """Type, scale and zero point of every tensor that the LSTM names."""
  m = schema.ModelT.InitFromPackedBuf(quantized, 0)
  g = m.subgraphs[0]
  node = [o for o in g.operators if m.operatorCodes[o.opcodeIndex].builtinCode == LSTM][0]
  out = []
  for t in [*node.inputs, *node.intermediates, *node.outputs]:
    q = g.tensors[t].quantization if t >= 0 else None
    known = q is not None and q.scale is not None and len(q.scale) > 0
    out.append((g.tensors[t].type, float(q.scale[0]), int(q.zeroPoint[0])) if known else None)
  return out


def official(source, samples):
  """TensorFlow's file, or None without TensorFlow."""
  try:
    import tensorflow as tf
    from tensorflow.lite.python.optimize import calibrator
  except ImportError:
    return None
  return calibrator.Calibrator(source).calibrate_and_quantize(
      lambda: ([x] for x in samples), tf.int8, tf.int8, False, tf.int8, tf.int32)


def unlike(ours, theirs):
  """Positions whose parameters differ. The cell state's range is looked at after every step here, after the last
  one there."""
  def same(a, b):
    if a is None or b is None:
      return a is b
    return a[0] == b[0] and abs(a[1] - b[1]) <= 1e-6 * b[1] and a[2] == b[2]
  return [i for i, (a, b) in enumerate(zip(ours, theirs)) if i != CELL and not same(a, b)]


def main():
  each = int(os.environ.get('LITESMITH_PEERS_EACH', '12'))
  rng = np.random.default_rng(91)
  peer = Peer('LSTM quantized')
  compared = 0
  for _ in range(each):
    source, samples, text = model(rng)
    with tempfile.TemporaryDirectory() as folder:
      for recipe in ('dynamic', 'int8'):
        try:
          written = quantize(source, samples, recipe, 'float32', folder)
        except AssertionError as error:
          peer.failures.append(f'{recipe} {text}: {error}')
          continue
        theirs = peer.check(f'{recipe} {text}', written, [samples[0]])
        if theirs is None:
          peer.failures.append(f'{recipe} {text}: LiteRT refuses it')
          continue
        wanted = run_litert(source, [samples[0]])[0].astype(np.float64)
        noise = float(((theirs[0] - wanted) ** 2).sum())
        if noise > 0 and 10 * np.log10((wanted ** 2).sum() / noise) < 18:
          peer.failures.append(f'{recipe} {text}: far from the float model')
      # Both carry the states from sample to sample.
      reference = official(source, samples)
      if reference is not None:
        integers = quantize(source, samples, 'int8', 'int8', folder)
        compared += 1
        positions = unlike(parameters(integers), parameters(reference))
        if positions:
          peer.failures.append(f"scales {text}: not TensorFlow's at operands {positions}")
  print(f'{compared} files have the parameters of TensorFlow')
  peer.finish(2 * each)


if __name__ == '__main__':
  main()
