"""tflite-micro's own interpreter gives the bits of `litesmith run --arithmetic tflm`, in the arena of `litesmith deploy`.

Five int8 and five 16x8 networks (shared/models/bench) on random and on real inputs; the 64-bit arena that the
deployed project asks for is at least what the interpreter uses and at most 1.15 times that, and tensors can be
allocated in it. Random sequence LSTMs, quantized here in 16x8 and int8. tflite-micro ends the process in an int8
SOFTMAX over 1,000 nearly equal classes, which is what the untrained MobileNetV2 makes: that one is compared up to the
SOFTMAX. Skipped where there is no tflite_micro.

Environment: LITESMITH_PROGRAM, LITESMITH_SHARED, LITESMITH_PEERS_COUNT (fewer than 16: fewer inputs).
"""

import gzip
import os
import re
import subprocess
import sys
import tempfile

import numpy as np

from litert_peer import ModelBuilder

NETS = ('mnist', 'resnet8', 'ds_cnn', 'vww', 'mobilenet_v2')
# In processes of their own: tflite-micro ends the process where memory is short, and where a check fails.
RUN = r'''
import sys
import numpy as np
from tflite_micro.python.tflite_micro import runtime
interpreter = runtime.Interpreter.from_file(sys.argv[1], arena_size=8 << 20)
outputs = []
for x in np.load(sys.argv[2]):
  interpreter.set_input(x, 0)
  interpreter.invoke()
  outputs.append(interpreter.get_output(0))
np.save(sys.argv[3], np.stack(outputs))
'''
ARENA = r'''
import sys
from tflite_micro.python.tflite_micro import runtime
interpreter = runtime.Interpreter.from_file(sys.argv[1], arena_size=int(sys.argv[2]))
interpreter.print_allocations()
print('ALLOCATED', flush=True)
'''


def real_inputs(net, shape, shared, rng, count):
  """Pictures where there are some of this size, else values with the first calibration's look: smooth noise."""
  if net == 'mnist':
    with gzip.open(os.path.join(shared, 'data/mnist/t10k-images-idx3-ubyte.gz')) as f:
      pixels = np.frombuffer(f.read(16 + count * 784), np.uint8)[16:]
    return [p.reshape(shape) / np.float32(255) for p in pixels.reshape(count, 784)]
  # Sums of a few waves: neighbours agree, as in pictures and spectrograms.
  y, x = np.mgrid[0:shape[1], 0:shape[2]]
  out = []
  for _ in range(count):
    image = np.zeros(shape, np.float32)
    for channel in range(shape[3]):
      waves = sum(np.sin(rng.uniform(0, 0.4) * x + rng.uniform(0, 0.4) * y + rng.uniform(0, 6)) for _ in range(4))
      image[0, :, :, channel] = waves / 8 + 0.5
    out.append(image)
  return out


def stored(values, detail):
  """Floats of 0..1 stretched over what the input can hold."""
  if detail['dtype'] == np.float32:
    return values.astype(np.float32)
  limits = np.iinfo(detail['dtype'])
  return np.round(limits.min + values * (float(limits.max) - limits.min)).astype(detail['dtype'])


def inputs_of(net, detail, shared, rng, count):
  shape = [int(d) for d in detail['shape']]
  uniform = [rng.random(shape, dtype=np.float32) for _ in range(count)]
  samples = uniform + [np.zeros(shape, np.float32), np.ones(shape, np.float32)]
  if len(shape) == 4:
    samples += real_inputs(net, shape, shared, rng, count)
  return [stored(s, detail) for s in samples]


def run_ours(path, x, folder, kernels):
  np.save(os.path.join(folder, 'x.npy'), x)
  out = os.path.join(folder, 'out')
  done = subprocess.run(
      [os.environ['LITESMITH_PROGRAM'], 'run', path, '--input', os.path.join(folder, 'x.npy'), '--output-dir', out,
       '--kernels', kernels, '--arithmetic', 'tflm'], capture_output=True, text=True)
  if done.returncode != 0:
    raise AssertionError(done.stderr.strip())
  return np.load(os.path.join(out, 'out0.npy'))


def run_theirs(path, samples, folder):
  """None where tflite-micro stopped."""
  inputs, out = os.path.join(folder, 'inputs.npy'), os.path.join(folder, 'theirs.npy')
  np.save(inputs, np.stack(samples))
  child = subprocess.run([sys.executable, '-c', RUN, path, inputs, out], capture_output=True, text=True)
  return np.load(out) if child.returncode == 0 else None


def without_softmax(path, folder):
  """The model without its last node, which must be a SOFTMAX."""
  with open(path, 'rb') as f:
    model = schema.ModelT.InitFromPackedBuf(f.read(), 0)
  graph = model.subgraphs[0]
  last = graph.operators.pop()
  if model.operatorCodes[last.opcodeIndex].builtinCode != schema.BuiltinOperator.SOFTMAX:
    raise AssertionError(f'{path}: tflite-micro stopped, and not in a last SOFTMAX')
  graph.outputs = last.inputs
  model.signatureDefs = None
  builder = flatbuffers.Builder(1 << 20)
  builder.Finish(model.Pack(builder), b'TFL3')
  cut = os.path.join(folder, 'cut-' + os.path.basename(path))
  with open(cut, 'wb') as f:
    f.write(builder.Output())
  return cut


def random_lstm(rng):
  """A float sequence LSTM of a form that tflite-micro has, and samples."""
  m = ModelBuilder()
  steps, width, cells = int(rng.integers(2, 9)), int(rng.integers(1, 9)), int(rng.integers(1, 12))
  major = bool(rng.integers(2))
  batch = int(rng.integers(1, 4))
  shape = [steps, batch, width] if major else [batch, steps, width]

  def constant(dims, scale):
    return m.tensor('float32', dims, rng.uniform(-scale, scale, dims).astype(np.float32))
  operands = [m.input('float32', shape)]
  operands += [constant([cells, width], 1.0) for _ in range(4)] + [constant([cells, cells], 1.0) for _ in range(4)]
  operands += [-1] * 3 + [constant([cells], 0.5) for _ in range(4)] + [-1] * 2
  operands += [m.tensor('float32', [batch, cells], variable=True) for _ in range(2)] + [-1] * 4
  y = m.output('float32', shape[:2] + [cells])
  m.node('UNIDIRECTIONAL_SEQUENCE_LSTM', operands, [y], 'UnidirectionalSequenceLSTMOptions', 1,
         fusedActivationFunction=4, timeMajor=major, cellClip=float(rng.choice([0.0, 0.5])))
  samples = rng.standard_normal([16] + shape).astype(np.float32) * rng.choice([0.2, 1.0, 4.0])
  return m.build(), samples.astype(np.float32)


def check_lstms(folder, rng, count, failures):
  """Returns how many were compared."""
  for n in range(count):
    source, samples = random_lstm(rng)
    path, data = os.path.join(folder, 'lstm.tflite'), os.path.join(folder, 'lstm.npz')
    with open(path, 'wb') as f:
      f.write(source)
    np.savez(data, in0=samples)
    for recipe, io_type in (('int16x8', 'int16'), ('int8', 'int8')):
      out = os.path.join(folder, f'lstm-{recipe}.tflite')
      done = subprocess.run(
          [os.environ['LITESMITH_PROGRAM'], 'quantize', path, '-o', out, '--recipe', recipe, '--target', 'tflm',
           '--input-type', io_type, '--output-type', io_type, '--calibration-data', data],
          capture_output=True, text=True)
      if done.returncode != 0:
        failures.append(f'LSTM {n} {recipe}: {done.stderr.strip()}')
        continue
      limits = np.iinfo(io_type)
      x = rng.integers(limits.min, limits.max + 1, samples.shape[1:]).astype(io_type)
      theirs = run_theirs(out, [x], folder)
      if theirs is None:
        failures.append(f'LSTM {n} {recipe}: tflite-micro stopped')
        continue
      ours = run_ours(out, x, folder, 'best')
      if not np.array_equal(ours, theirs[0]):
        failures.append(f'LSTM {n} {recipe}: {int((ours != theirs[0]).sum())} of {ours.size} differ')
  return 2 * count


def check_arena(path, folder, failures):
  """Returns what the interpreter uses and what the project asks for."""
  name = os.path.basename(path)
  board = os.path.join(folder, 'board-' + name)
  done = subprocess.run([os.environ['LITESMITH_PROGRAM'], 'deploy', path, '-o', board, '--format', 'tflm'],
                        capture_output=True, text=True)
  if done.returncode != 0:
    failures.append(f'{name}: deploy: {done.stderr.strip()}')
    return None
  with open(os.path.join(board, 'src/model_inference.h')) as f:
    asked = int(re.search(r'sizeof\(void\*\) > 4 \? (\d+)u', f.read()).group(1))
  child = subprocess.run([sys.executable, '-c', ARENA, path, str(asked)], capture_output=True, text=True)
  if 'ALLOCATED' not in child.stdout:
    failures.append(f'{name}: an arena of {asked} bytes is too small')
    return None
  used = int(re.search(r'Arena allocation total (\d+) bytes', child.stdout + child.stderr).group(1))
  if not used <= asked <= 1.15 * used:
    failures.append(f'{name}: arena {asked}, used {used}')
  return used, asked


def main():
  try:
    global flatbuffers, schema
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema
    from tflite_micro.python.tflite_micro import runtime
  except ImportError:
    print('tflm: 1 script compared nothing: tflite_micro is not installed')
    return 0
  shared = os.environ.get('LITESMITH_SHARED', '../shared')
  count = 3 if int(os.environ.get('LITESMITH_PEERS_COUNT', '16')) >= 16 else 1
  rng = np.random.default_rng(7)
  failures, compared, models = [], 0, 0
  with tempfile.TemporaryDirectory() as folder:
    for net in NETS:
      for recipe in ('int8', 'int16x8'):
        path = os.path.join(shared, f'models/bench/{net}_{recipe}.tflite')
        interpreter = runtime.Interpreter.from_file(path, arena_size=8 << 20)
        samples = inputs_of(net, interpreter.get_input_details(0), shared, rng, count)
        compared_path = path
        outputs = run_theirs(path, samples, folder)
        if outputs is None:
          compared_path = without_softmax(path, folder)
          outputs = run_theirs(compared_path, samples, folder)
          print(f'  {net}_{recipe}: tflite-micro stops in SOFTMAX; compared without it')
          if outputs is None:
            failures.append(f'{net}_{recipe}: tflite-micro stopped')
            continue
        for i, (x, theirs) in enumerate(zip(samples, outputs)):
          # The reference kernels are slow; once they are enough, the others are tested against them.
          for kernels in ('best', 'reference') if i == 0 else ('best',):
            ours = run_ours(compared_path, x, folder, kernels)
            compared += 1
            if ours.dtype != theirs.dtype or not np.array_equal(ours, theirs):
              failures.append(f'{net}_{recipe} input {i} [{kernels}]: {int((ours != theirs).sum())} of {ours.size}')
        arena = check_arena(path, folder, failures)
        models += 1
        if arena:
          print(f'  {net}_{recipe}: arena used {arena[0]}, asked for {arena[1]} ({arena[1] / arena[0]:.3f})')
    models += check_lstms(folder, rng, 20 if count == 3 else 3, failures)
  for line in failures:
    print(f'DIFFERENT {line}')
  print(f'tflm: {models} models compared, {compared} runs, {len(failures)} differences')
  return 1 if failures or models == 0 else 0


if __name__ == '__main__':
  sys.exit(main())
