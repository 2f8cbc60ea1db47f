"""What `litesmith quantize --target tflm` writes runs in tflite-micro; what it refuses is listed.

Every golden operator, int8 and 16x8. The counterpart for LiteRT is test_quantize.py, whose files are all made for
--target litert. Skipped where the Python environment has no tflite_micro.

Environment: LITESMITH_PROGRAM, LITESMITH_SHARED, LITESMITH_PEERS_COUNT (fewer than 16: a sample).
"""

import glob
import os
import subprocess
import sys
import tempfile

import numpy as np

# In a process of its own: tflite-micro ends the process where an operator is missing.
CHILD = r'''
import sys
import numpy as np
from tflite_micro.python.tflite_micro import runtime
with open(sys.argv[1], 'rb') as f:
  model = f.read()
interpreter = runtime.Interpreter.from_bytes(model, arena_size=8 << 20)
for i, path in enumerate(sys.argv[2:]):
  interpreter.set_input(np.load(path), i)
interpreter.invoke()
print('RUNS')
'''


def stored(sample, detail):
  dtype = np.dtype(detail['dtype'])
  scale, zero = detail['quantization']
  sample = sample.reshape(detail['shape'])
  if scale == 0:
    return sample.astype(dtype)
  limits = np.iinfo(dtype)
  return np.clip(np.round(sample / np.float32(scale)) + zero, limits.min, limits.max).astype(dtype)


def main():
  try:
    import tflite_micro  # noqa: F401
    from ai_edge_litert.interpreter import Interpreter
  except ImportError:
    print('targets: 1 script compared nothing: tflite_micro is not installed')
    return 0
  shared = os.environ.get('LITESMITH_SHARED', '../shared')
  step = max(1, 16 // max(1, int(os.environ.get('LITESMITH_PEERS_COUNT', '16'))))
  failures, refused, runs = [], [], 0
  with tempfile.TemporaryDirectory() as folder:
    out = os.path.join(folder, 'out.tflite')
    for case in sorted(glob.glob(os.path.join(shared, 'golden/ops/*/')))[::step]:
      calibration = case + 'calibration.npz'
      if not os.path.exists(calibration):
        continue
      name = os.path.basename(case.rstrip('/'))
      for recipe, io_type in (('int8', 'int8'), ('int16x8', 'int16')):
        done = subprocess.run(
            [os.environ['LITESMITH_PROGRAM'], 'quantize', case + 'float32.tflite', '-o', out, '--recipe', recipe,
             '--input-type', io_type, '--output-type', io_type, '--calibration-data', calibration, '--target',
             'tflm'], capture_output=True, text=True)
        if done.returncode != 0:
          refused.append(f'{name} {recipe}: {done.stderr.strip().split(": ", 2)[-1][:160]}')
          continue
        arrays = np.load(calibration)
        paths = []
        interpreter = Interpreter(model_path=out)
        for i, detail in enumerate(interpreter.get_input_details()):
          paths.append(os.path.join(folder, f'in{i}.npy'))
          np.save(paths[-1], stored(arrays[f'in{i}'][0], detail))
        child = subprocess.run([sys.executable, '-c', CHILD, out] + paths, capture_output=True, text=True)
        if 'RUNS' in child.stdout:
          runs += 1
        else:
          lines = [l for l in child.stderr.splitlines() if 'Traceback' not in l and not l.startswith('  ')]
          failures.append(f'{name} {recipe}: {" | ".join(lines[:2])[:240]}')
  print(f'{len(refused)} refused:')
  for line in refused:
    print(f'  {line}')
  for line in failures:
    print(f'DIFFERENT {line}')
  print(f'targets: {runs} models compared, {len(failures)} differences')
  return 1 if failures or runs == 0 else 0


if __name__ == '__main__':
  sys.exit(main())
