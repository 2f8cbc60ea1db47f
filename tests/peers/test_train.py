"""What `litesmith train` makes of an autoencoder and of a Keras LSTM classifier runs in LiteRT: the trained float models
within rounding, the int8 ones (quantized afterwards, and trained for it) with the same bits.

Environment: LITESMITH_PROGRAM, the command under test; LITESMITH_SHARED, the folder with the golden files. The LSTM needs
keras.
"""

import os
import subprocess
import sys
import tempfile

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

CLASSES, STEPS, WIDTH = 3, 12, 5


def program(*arguments):
  done = subprocess.run([os.environ['LITESMITH_PROGRAM'], *arguments], capture_output=True, text=True, timeout=300)
  if done.returncode != 0:
    raise AssertionError(f'{arguments}: {done.stderr.strip()}')
  return done.stdout


def litert(path, samples):
  interpreter = Interpreter(path, num_threads=1, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
  interpreter.allocate_tensors()
  out = []
  for sample in samples:
    interpreter.reset_all_variables()
    interpreter.set_tensor(interpreter.get_input_details()[0]['index'], sample[None])
    interpreter.invoke()
    out.append(interpreter.get_tensor(interpreter.get_output_details()[0]['index'])[0])
  return np.array(out)


def ours(path, samples, folder):
  out = []
  for sample in samples:
    probe = os.path.join(folder, 'probe.npy')
    np.save(probe, sample[None])
    program('run', path, '--input', probe, '--output-dir', folder)
    out.append(np.load(os.path.join(folder, 'out0.npy'))[0])
  return np.array(out)


def mixtures(count):
  """Points near a plane of three dimensions in 32."""
  rng = np.random.default_rng(11)
  base = rng.standard_normal((3, 32)) * 0.5
  return (rng.standard_normal((count, 3)) @ base + 0.02 * rng.standard_normal((count, 32))).astype(np.float32)


def waves(count):
  """Sequences whose pace tells the class."""
  rng = np.random.default_rng(12)
  labels = np.arange(count, dtype=np.int64) % CLASSES
  phase = rng.uniform(0, 2 * np.pi, (count, 1, WIDTH))
  pace = (0.3 + 0.6 * labels)[:, None, None]
  steps = np.arange(STEPS)[None, :, None]
  return np.sin(phase + pace * steps).astype(np.float32), labels


def lstm_classifier(folder):
  try:
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    os.environ.setdefault('CUDA_VISIBLE_DEVICES', '-1')
    import keras
  except ImportError:
    return None
  keras.utils.set_random_seed(1)
  layers = keras.layers
  model = keras.Sequential([layers.Input((STEPS, WIDTH)), layers.LSTM(16), layers.Dense(CLASSES, activation='softmax')])
  path = os.path.join(folder, 'lstm.keras')
  model.save(path)
  return path


def compare(name, source, samples, data, train_flags, good, folder):
  """Trains, quantizes and trains for int8. `good` judges outputs for all samples."""
  tuned, integer, qat = (os.path.join(folder, f'{name}_{kind}.tflite') for kind in ('float', 'int8', 'qat'))
  program('train', source, '-o', tuned, '--data', data, '--optimizer', 'adam', *train_flags)
  program('quantize', tuned, '-o', integer, '--recipe', 'int8', '--calibration-data', data)
  program('train', tuned, '-o', qat, '--data', data, '--qat', 'int8', '--epochs', '2')
  compared = 0
  for path in (tuned, integer, qat):
    theirs = litert(path, samples)
    assert good(theirs), f'{name}: {os.path.basename(path)} has not learnt'
    mine = ours(path, samples[:8], folder)
    same = np.allclose(mine, theirs[:8], 1e-4, 1e-5) if path == tuned else np.array_equal(mine, theirs[:8])
    assert same, f'{name}: {os.path.basename(path)} differs from LiteRT'
    compared += 1
  return compared


def main():
  shared = os.environ['LITESMITH_SHARED']
  with tempfile.TemporaryDirectory() as folder:
    data = os.path.join(folder, 'mixtures.npz')
    points = mixtures(512)
    np.savez(data, in0=points)
    spread = np.mean((points - points.mean(0)) ** 2)
    compared = compare('autoencoder', os.path.join(shared, 'golden/keras/autoencoder/model.keras'), points[:128], data,
                       ['--epochs', '60', '--learning-rate', '0.005', '--batch-norm', 'off'],
                       lambda out: np.mean((out - points[:128]) ** 2) < 0.35 * spread, folder)
    source = lstm_classifier(folder)
    if source is None:
      print('test_train: keras is not installed, the LSTM was left out')
    else:
      data = os.path.join(folder, 'waves.npz')
      sequences, labels = waves(768)
      np.savez(data, in0=sequences, labels=labels)
      compared += compare('lstm', source, sequences[:96], data, ['--epochs', '12', '--learning-rate', '0.01'],
                          lambda out: np.mean(out.argmax(1) == labels[:96]) > 0.9, folder)
  print(f'test_train: {compared} models compared, integers with the same bits')


if __name__ == '__main__':
  sys.exit(main())
