"""Every file that `litesmith quantize` writes runs in LiteRT's reference kernels with the same results.

Sources: the golden operators, the golden MNIST network and the models beside them, each with every recipe and
every type of input and output. Integer models must give the same bits; float, float16 and dynamic ones
|a - b| <= 1e-6 + 1e-5 * |b|.

Environment: LITESMITH_PROGRAM, the command under test; LITESMITH_SHARED, the folder with the golden files;
LITESMITH_PEERS_COUNT (default 16; less: a sample of the cases).
"""

import glob
import os
import subprocess
import sys
import tempfile

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import litert_peer

MODES = [('float16', 'float32'), ('dynamic', 'float32'), ('int8', 'float32'), ('int8', 'int8'),
         ('int8', 'uint8'), ('int8w4', 'float32'), ('int8w4', 'int8'), ('int16x8', 'float32'), ('int16x8', 'int16')]


def quantize(source, out, recipe, io_type, calibration):
  """'' or the reason why the recipe does not apply to the model; anything else ends in an exception."""
  command = [os.environ['LITESMITH_PROGRAM'], 'quantize', source, '-o', out, '--recipe', recipe,
             '--input-type', io_type, '--output-type', io_type]
  if recipe.startswith('int'):
    command += ['--calibration-data', calibration, '--num-calibration-samples', '32']
  done = subprocess.run(command, capture_output=True, text=True, timeout=300)
  if done.returncode == 0:
    return ''
  reason = done.stderr.strip()
  # A recipe may refuse an operator, or an input that no integer node reads may have no scale.
  if done.returncode == 1 and ('cannot quantize' in reason or 'has no kernel' in reason or
                               'no calibrated range' in reason):
    return reason
  raise AssertionError(f'exit {done.returncode}: {reason}')


def as_stored(value, detail):
  """A real array in the type of the model's input, as the QUANTIZE operator converts it."""
  dtype = np.dtype(detail['dtype'])
  if dtype.kind == 'f' or value.dtype.kind != 'f':
    return value.astype(dtype)
  scale, zero = detail['quantization']
  limits = np.iinfo(dtype)
  scaled = value.astype(np.float32) / np.float32(scale)
  rounded = np.trunc(scaled + np.copysign(np.float32(0.5), scaled)) + zero
  return np.clip(rounded, limits.min, limits.max).astype(dtype)


def litert_aborts(model, inputs):
  """True where LiteRT's process dies: its reference kernels check some of their assumptions that way, in the
  official MobileNetV2 file for one. Tried in a child."""
  sys.stdout.flush()
  child = os.fork()
  if child == 0:
    try:
      litert_peer.run_litert(model, inputs)
    except litert_peer.PeerRefuses:
      pass
    os._exit(0)
  return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def open_model(**where):
  """An interpreter of reference kernels; the others where those lack an operator's version."""
  try:
    return Interpreter(num_threads=1, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, **where)
  except ValueError:
    return Interpreter(num_threads=1, **where,
                       experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)


def inputs_for(model, samples):
  """One sample per input, in the model's types and shapes."""
  interpreter = open_model(model_content=model)
  out = []
  for detail, sample in zip(interpreter.get_input_details(), samples):
    shape = detail['shape']
    out.append(as_stored(sample.reshape(shape), detail))
  return out


def read_inputs(path):
  """Shapes and types of a float model's inputs."""
  interpreter = open_model(model_path=path)
  return [(tuple(d['shape']), np.dtype(d['dtype'])) for d in interpreter.get_input_details()]


def golden_sources(shared):
  """(name, float model, calibration file, one sample per input)"""
  for folder in sorted(glob.glob(os.path.join(shared, 'golden/ops/*/'))):
    calibration = os.path.join(folder, 'calibration.npz')
    if not os.path.exists(calibration):
      continue
    with np.load(calibration) as arrays:
      samples = [arrays[f'in{i}'][-1] for i in range(len(arrays.files))]
    name = os.path.basename(folder.rstrip('/'))
    yield f'ops/{name}', os.path.join(folder, 'float32.tflite'), calibration, samples
  mnist = os.path.join(shared, 'golden/mnist')
  pixels = np.load(os.path.join(mnist, 'calibration_u8.npy'))
  sample = (pixels[7].astype(np.float32) / 255).reshape(1, 28, 28, 1)
  for name in ('mnist_model_float32.tflite', 'mnist_cnn_model.keras', 'mnist_cnn_model.h5'):
    yield f'mnist/{name}', os.path.join(mnist, name), os.path.join(mnist, 'calibration_u8.npy'), [sample]


def model_sources(shared, folder):
  """The larger float models, on seeded noise."""
  paths = (glob.glob(os.path.join(shared, 'models/bench/*_float32.tflite')) +
           glob.glob(os.path.join(shared, 'models/cifar10_mobilenet/*_float32.tflite')))
  for path in sorted(paths):
    inputs = read_inputs(path)
    if len(inputs) != 1 or inputs[0][1].kind != 'f':
      continue
    rng = np.random.default_rng(5)
    data = rng.uniform(-1, 1, (8,) + inputs[0][0][1:]).astype(np.float32)
    calibration = os.path.join(folder, os.path.basename(path) + '.npy')
    np.save(calibration, data)
    yield f'models/{os.path.basename(path)}', path, calibration, [data[:1]]


def main():
  shared = os.environ.get('LITESMITH_SHARED', '../shared')
  count = int(os.environ.get('LITESMITH_PEERS_COUNT', '16'))
  step = max(1, 16 // max(1, count))
  peer = litert_peer.Peer('quantize')
  refused = {}
  with tempfile.TemporaryDirectory() as folder:
    sources = list(golden_sources(shared)) + list(model_sources(shared, folder))
    for name, source, calibration, samples in sources[::step]:
      for recipe, io_type in MODES:
        out = os.path.join(folder, 'out.tflite')
        label = f'{recipe}-{io_type} {name}'
        try:
          reason = quantize(source, out, recipe, io_type, calibration)
        except (AssertionError, subprocess.TimeoutExpired) as error:
          peer.failures.append(f'{label}: {error}')
          continue
        if reason:
          refused.setdefault(reason.split(': ', 1)[-1][:120], []).append(label)
          continue
        with open(out, 'rb') as f:
          model = f.read()
        try:
          inputs = inputs_for(model, samples)
        except (RuntimeError, ValueError) as error:
          peer.failures.append(f'{label}: LiteRT does not read the file: {error}')
          continue
        if name.startswith('models/') and litert_aborts(model, inputs):
          refused.setdefault('LiteRT aborts on the model', []).append(label)
          continue
        before = dict(peer.refused)
        peer.refused.clear()
        peer.check(label, model, inputs, kernels=('reference',))
        # The reference resolver lacks some operator versions; LiteRT's other kernels have them.
        if peer.refused:
          reason = next(iter(peer.refused.values())).splitlines()[0]
          peer.refused.clear()
          # Their depthwise kernel for int8 (and so int4, which the reference resolver lacks) rounds otherwise
          # than the reference: one step, which as float is another number.
          fourth = recipe == 'int8w4'
          if fourth and io_type == 'float32':
            refused.setdefault('compared as int8', []).append(label)
            peer.refused = before
            continue
          peer.check(label, model, inputs, kernels=('reference',), reference=False, steps=int(fourth))
          if peer.refused:
            peer.failures.append(f'{label}: LiteRT refuses the file: {reason}')
        peer.refused = before
  print(f'{sum(map(len, refused.values()))} combinations left out:')
  for reason, labels in sorted(refused.items()):
    print(f'  {len(labels)}: {reason}')
  peer.finish(least=500 if step == 1 else 1)


if __name__ == '__main__':
  main()
