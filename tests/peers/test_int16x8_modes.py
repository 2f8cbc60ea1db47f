"""16x8 files of the operators for which the official converter makes none: LiteRT runs them, near float.

For every golden operator whose `int16x8` the official tools could not make or run, the file that `litesmith
quantize` makes must hold no float arithmetic, run in LiteRT with the same bits as here, and be near the float
model on the calibration samples: SQNR >= 50 dB, equal where outputs are integers or booleans.

Environment: LITESMITH_PROGRAM, LITESMITH_SHARED.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import litert_peer

DECIBELS, LARGEST = 50, 256 << 10
# A row of a table, chosen by a real number rounded down: an input within half a step of int16 of the border
# between two rows may take the neighbouring one. Share of values that may differ.
STEPS = {'dyn_gather_embedding': 0.01}


def open_model(content):
  for resolver in (OpResolverType.BUILTIN_REF, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES):
    try:
      interpreter = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=resolver)
      interpreter.allocate_tensors()
      return interpreter, resolver
    except (ValueError, RuntimeError) as error:
      last = error
  raise last


def run(interpreter, inputs):
  for detail, value in zip(interpreter.get_input_details(), inputs):
    interpreter.set_tensor(detail['index'], value)
  interpreter.invoke()
  return [interpreter.get_tensor(d['index']) for d in interpreter.get_output_details()]


def as_stored(value, detail):
  scale, zero = detail['quantization']
  dtype = np.dtype(detail['dtype'])
  if scale == 0 or dtype.kind == 'f':
    return value.astype(dtype)
  limits = np.iinfo(dtype)
  return np.clip(np.round(value / np.float32(scale)) + zero, limits.min, limits.max).astype(dtype)


def as_real(value, detail):
  scale, zero = detail['quantization']
  return value if scale == 0 else (value.astype(np.float64) - zero) * scale


def float_types(interpreter):
  return [d['name'] for d in interpreter.get_tensor_details() if d['dtype'] == np.float32]


def check(peer, case, folder, out):
  calibration = os.path.join(folder, 'calibration.npz')
  source = os.path.join(folder, 'float32.tflite')
  done = subprocess.run(
      [os.environ['LITESMITH_PROGRAM'], 'quantize', source, '-o', out, '--recipe', 'int16x8', '--input-type',
       'int16', '--output-type', 'int16', '--calibration-data', calibration],
      capture_output=True, text=True)
  if done.returncode != 0:
    peer.failures.append(f'{case}: {done.stderr.strip()[-300:]}')
    return
  with open(out, 'rb') as f:
    content = f.read()
  with open(source, 'rb') as f:
    original = f.read()
  added = len(content) - len(original)
  if added > LARGEST:
    peer.failures.append(f'{case}: {added} bytes more than the float file')
  ours, resolver = open_model(content)
  if float_types(ours):
    peer.failures.append(f'{case}: float tensors {float_types(ours)}')
  reference, _ = open_model(original)
  arrays = np.load(calibration)
  noise = signal = 0.0
  wrong = total = far = values_seen = 0
  for sample in range(len(arrays['in0'])):
    values = [arrays[f'in{i}'][sample] for i in range(len(arrays.files))]
    theirs = run(reference, [v.reshape(d['shape']).astype(d['dtype'])
                             for v, d in zip(values, reference.get_input_details())])
    stored = [as_stored(v.reshape(d['shape']), d) for v, d in zip(values, ours.get_input_details())]
    got = run(ours, stored)
    if sample == 0:
      peer.check(case, content, stored, kernels=('reference', 'best'),
                 reference=resolver == OpResolverType.BUILTIN_REF)
    for a, b, detail in zip(theirs, got, ours.get_output_details()):
      real = as_real(b, detail)
      if a.dtype.kind == 'f':
        signal += float(np.sum(a.astype(np.float64)**2))
        noise += float(np.sum((a - real)**2))
        far += int(np.sum(np.abs(a - real) > 0.01 * np.abs(a).max()))
        values_seen += a.size
      else:
        wrong += int(np.sum(a != b))
        total += a.size
  decibels = 10 * np.log10(signal / noise) if noise > 0 else float('inf')
  print(f'  {case}: ' + (f'{decibels:.1f} dB' if signal else f'{wrong} of {total} differ') +
        f', {added:+} bytes')
  if case in STEPS:
    if far > STEPS[case] * values_seen:
      peer.failures.append(f'{case}: {far} of {values_seen} values are far')
  elif wrong or (signal and decibels < DECIBELS):
    peer.failures.append(f'{case}: {decibels:.1f} dB, {wrong} of {total} integers differ')


def main():
  shared = os.environ.get('LITESMITH_SHARED', '../shared')
  with open(os.path.join(shared, 'golden/ops/index.json')) as f:
    index = json.load(f)
  peer = litert_peer.Peer('int16x8_modes')
  only = sys.argv[1:]
  with tempfile.TemporaryDirectory() as folder:
    for case, modes in index.items():
      if modes['int16x8'].startswith('ok') or (only and case not in only):
        continue
      try:
        check(peer, case, os.path.join(shared, 'golden/ops', case), os.path.join(folder, 'out.tflite'))
      except (RuntimeError, ValueError) as error:
        peer.failures.append(f'{case}: {error}')
  peer.finish(least=1 if only else 19)


if __name__ == '__main__':
  main()
