"""Random float SVDF and EMBEDDING_LOOKUP models through `litesmith quantize`: LiteRT runs the integer files with the
same bits, and streams of SVDF near the float model. Where TensorFlow is installed, SVDF has its quantizer's weights,
scales and zero points.

Environment: LITESMITH_PROGRAM, the command under test.
"""

import os
import subprocess
import sys
import tempfile

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from litert_peer import ModelBuilder, Peer, run_litert
from test_recurrent import numbers, small

SVDF = schema.BuiltinOperator.SVDF
BIAS = 3


def svdf_model(rng):
  m = ModelBuilder()
  width, units, memory, rank = small(rng, 2, 12), small(rng, 2, 12), small(rng, 1, 12), small(rng, 1, 4)
  filters = units * rank
  x = m.input('float32', [1, width])
  feature = m.tensor('float32', [filters, width], numbers(rng, filters, width))
  time = m.tensor('float32', [filters, memory], numbers(rng, filters, memory))
  bias = m.tensor('float32', [units], numbers(rng, units)) if rng.random() < 0.7 else -1
  state = m.tensor('float32', [1, filters * memory], variable=True)
  y = m.output('float32', [1, units])
  m.node('SVDF', [x, feature, time, bias, state], [y], 'SVDFOptions', 1, rank=rank, fusedActivationFunction=1)
  samples = rng.uniform(-1, 1, (60, 1, width)).astype(np.float32)
  return m.build(), samples, f'width {width} units {units} memory {memory} rank {rank} bias {bias >= 0}'


def embedding_model(rng):
  m = ModelBuilder()
  count, rows, columns = small(rng, 1, 6), small(rng, 1, 30), small(rng, 1, 9)
  shape = [rows, columns] + ([small(rng, 1, 4)] if rng.random() < 0.3 else [])
  ids = m.input('int32', [count])
  table = m.tensor('float32', shape, numbers(rng, *shape) + np.float32(rng.uniform(-2, 2)))
  y = m.output('float32', [count] + shape[1:])
  m.node('EMBEDDING_LOOKUP', [ids, table], [y], None, 1)
  samples = rng.integers(0, rows, (3, count)).astype(np.int32)
  return m.build(), samples, f'{count} of {shape}'


def quantize(source, samples, recipe, folder, io=None):
  path, data = os.path.join(folder, 'float.tflite'), os.path.join(folder, 'samples.npz')
  out = os.path.join(folder, f'{recipe}.tflite')
  with open(path, 'wb') as f:
    f.write(source)
  np.savez(data, in0=samples)
  command = [os.environ['LITESMITH_PROGRAM'], 'quantize', path, '-o', out, '--recipe', recipe,
             '--calibration-data', data]
  if io:
    command += ['--input-type', io, '--output-type', io]
  done = subprocess.run(command, capture_output=True, text=True, timeout=60)
  if done.returncode != 0:
    raise AssertionError(done.stderr.strip())
  with open(out, 'rb') as f:
    return f.read()


def stream(model, steps):
  """The outputs of LiteRT over all steps, states kept."""
  it = Interpreter(model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1)
  it.allocate_tensors()
  x, y = it.get_input_details()[0]['index'], it.get_output_details()[0]['index']
  out = []
  for step in steps:
    it.set_tensor(x, step)
    it.invoke()
    out.append(it.get_tensor(y).copy())
  return np.concatenate(out)


def decibels(wanted, got):
  wanted = wanted.astype(np.float64)
  noise = float(((got - wanted) ** 2).sum())
  return 200.0 if noise == 0 else 10 * np.log10(float((wanted ** 2).sum()) / noise)


def operands(quantized):
  """Type, scale, zero point and bytes of every tensor of the SVDF node."""
  m = schema.ModelT.InitFromPackedBuf(quantized, 0)
  g = m.subgraphs[0]
  node = [o for o in g.operators if m.operatorCodes[o.opcodeIndex].builtinCode == SVDF][0]
  out = []
  for t in [*node.inputs, *node.outputs]:
    if t < 0:
      out.append(None)
      continue
    q, data = g.tensors[t].quantization, m.buffers[g.tensors[t].buffer].data
    raw = b'' if data is None or g.tensors[t].isVariable else bytes(data)
    out.append((g.tensors[t].type, float(q.scale[0]), int(q.zeroPoint[0]), raw))
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
  """Operands that differ; a bias by one unit, where TensorFlow divides in another precision."""
  out = []
  for i, (a, b) in enumerate(zip(ours, theirs)):
    if a is None or b is None:
      if a is not b:
        out.append(i)
      continue
    same = a[0] == b[0] and abs(a[1] - b[1]) <= 1e-6 * b[1] and a[2] == b[2]
    if i == BIAS and same:
      same = np.abs(np.frombuffer(a[3], np.int32) - np.frombuffer(b[3], np.int32)).max() <= 1
    elif same:
      same = a[3] == b[3]
    if not same:
      out.append(i)
  return out


def check_svdf(peer, rng, folder):
  source, samples, text = svdf_model(rng)
  written = quantize(source, samples, 'int8', folder)
  if peer.check(f'svdf {text}', written, [samples[0]]) is None:
    peer.failures.append(f'svdf {text}: LiteRT refuses it')
    return 0
  steps = samples
  wanted = stream(source, steps)
  got = decibels(wanted, stream(written, steps))
  if got < 25:
    peer.failures.append(f'svdf {text}: {got:.1f} dB from the float model')
  reference = official(source, samples)
  if reference is None:
    return 0
  ours = quantize(source, samples, 'int8', folder, 'int8')
  positions = unlike(operands(ours), operands(reference))
  if positions:
    peer.failures.append(f"svdf {text}: not TensorFlow's at operands {positions}")
  return 1


def check_embedding(peer, rng, folder):
  source, samples, text = embedding_model(rng)
  for recipe, least in (('int8', 34), ('int16x8', 80)):
    written = quantize(source, samples, recipe, folder)
    if peer.check(f'embedding-{recipe} {text}', written, [samples[0]]) is None:
      peer.failures.append(f'embedding {recipe} {text}: LiteRT refuses it')
      continue
    got = decibels(run_litert(source, [samples[0]])[0], run_litert(written, [samples[0]])[0])
    if got < least:
      peer.failures.append(f'embedding {recipe} {text}: {got:.1f} dB from the float model')


def main():
  each = int(os.environ.get('LITESMITH_PEERS_EACH', '12'))
  rng = np.random.default_rng(int(sys.argv[1]) if len(sys.argv) > 1 else 93)
  peer = Peer('SVDF and EMBEDDING_LOOKUP quantized')
  compared = 0
  for _ in range(each):
    with tempfile.TemporaryDirectory() as folder:
      compared += check_svdf(peer, rng, folder)
      check_embedding(peer, rng, folder)
  print(f'{compared} files have the weights and parameters of TensorFlow')
  peer.finish(3 * each)


if __name__ == '__main__':
  main()
