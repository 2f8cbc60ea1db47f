"""Pooling, SOFTMAX, LOGISTIC, TANH and the reductions against LiteRT."""

import os
import sys

import numpy as np

from litert_peer import ModelBuilder, Peer, random_scale
from test_convolutions import ACTIVATIONS, LIMITS, conv_sizes, integers

QUANTIZED = ['int8', 'uint8', 'int16']


def zero_point(rng, dtype):
  return 0 if dtype == 'int16' else int(rng.integers(LIMITS[dtype][0], LIMITS[dtype][1] + 1))


def values(rng, dtype, shape):
  if dtype == 'float32':
    return (rng.normal(size=shape) * random_scale(rng, -1, 1.5)).astype(np.float32)
  if dtype == 'bool':
    return rng.random(size=shape) < rng.random()
  if dtype in ('int32', 'int64'):
    size = 2 ** 30 if rng.random() < 0.2 else 100
    return rng.integers(-size, size, size=shape).astype(dtype)
  return integers(rng, dtype, shape)


def quantization(rng, dtype):
  if dtype not in LIMITS:
    return {}
  return dict(scale=random_scale(rng), zero_point=zero_point(rng, dtype))


def pool(rng, op, dtype):
  m = ModelBuilder()
  s = conv_sizes(rng)
  for axis in 'hw':
    s['d' + axis] = 1
    s['i' + axis] = s['k' + axis] + int(rng.integers(0, 8))
    s['o' + axis] = (-(-s['i' + axis] // s['s' + axis]) if s['padding'] == 0 else
                     (s['i' + axis] - s['k' + axis]) // s['s' + axis] + 1)
  batch, channels = int(rng.integers(1, 4)), int(rng.integers(1, 20))
  q = quantization(rng, dtype)
  x = m.input(dtype, [batch, s['ih'], s['iw'], channels], **q)
  y = m.output(dtype, [batch, s['oh'], s['ow'], channels], **q)
  name, activation = list(ACTIVATIONS.items())[rng.integers(0, 4)]
  m.node(op, [x], [y], 'Pool2DOptions', 3 if dtype == 'int16' else 2, padding=s['padding'],
         strideH=s['sh'], strideW=s['sw'], filterHeight=s['kh'], filterWidth=s['kw'],
         fusedActivationFunction=activation)
  return m.build(), [values(rng, dtype, [batch, s['ih'], s['iw'], channels])], f'{name} {s}'


def random_shape(rng, most=5):
  return [int(rng.integers(1, 7)) for _ in range(rng.integers(1, most + 1))]


def softmax(rng, dtype, out_dtype):
  m = ModelBuilder()
  shape = random_shape(rng)
  if rng.random() < 0.2:
    shape[-1] = int(rng.integers(100, 1500))
  q = quantization(rng, dtype)
  if q:
    q['scale'] = random_scale(rng, -3.5, 0.5)
  x = m.input(dtype, shape, **q)
  out = {} if dtype == 'float32' else {
      'int8': dict(scale=1 / 256, zero_point=-128), 'uint8': dict(scale=1 / 256, zero_point=0),
      'int16': dict(scale=1 / 32768, zero_point=0 if dtype == 'int16' else -32768)}[out_dtype]
  y = m.output(out_dtype, shape, **out)
  beta = float(np.float32(rng.choice([1.0, 0.5, 2.0, rng.uniform(0.1, 8)])))
  m.node('SOFTMAX', [x], [y], 'SoftmaxOptions', 3 if dtype == 'int16' else 2, beta=beta)
  return m.build(), [values(rng, dtype, shape)], f'{shape} beta {beta} {q}'


def activation(rng, op, dtype):
  m = ModelBuilder()
  shape = random_shape(rng)
  if dtype in LIMITS and rng.random() < 0.3:
    shape = [65536 if dtype == 'int16' else 256]
  q = quantization(rng, dtype)
  if dtype == 'int16':
    q['scale'] = float(rng.choice([2.0 ** -12, 2.0 ** -11, 2.0 ** -15, random_scale(rng, -6, 1)]))
  x = m.input(dtype, shape, **q)
  logistic = op == 'LOGISTIC'
  out = {'float32': {}, 'int8': dict(scale=1 / 256 if logistic else 1 / 128,
                                     zero_point=-128 if logistic else 0),
         'uint8': dict(scale=1 / 256 if logistic else 1 / 128, zero_point=0 if logistic else 128),
         'int16': dict(scale=1 / 32768, zero_point=0)}[dtype]
  if not logistic and dtype in ('int8', 'uint8') and rng.random() < 0.3:
    out = quantization(rng, dtype)
  y = m.output(dtype, shape, **out)
  m.node(op, [x], [y], version=3 if dtype == 'int16' else 2)
  data = values(rng, dtype, shape)
  if shape == [65536] or shape == [256]:
    data = np.arange(LIMITS[dtype][0], LIMITS[dtype][1] + 1).astype(dtype)
  return m.build(), [data], f'{shape} {q} {out}'


def reduction(rng, op, dtype):
  m = ModelBuilder()
  shape = random_shape(rng, 6)
  axes = [int(a) for a in rng.permutation(len(shape))[:rng.integers(1, len(shape) + 1)]]
  keep = bool(rng.integers(0, 2))
  out_shape = [1 if d in axes else n for d, n in enumerate(shape) if keep or d not in axes]
  q = quantization(rng, dtype)
  out = dict(q)
  if op in ('MEAN', 'SUM', 'REDUCE_PROD') and q:
    count = int(np.prod([shape[a] for a in axes]))
    out = quantization(rng, dtype)
    if op == 'SUM':
      out['scale'] = q['scale'] * count * float(10 ** rng.uniform(-1, 0.5))
    elif op == 'REDUCE_PROD':
      q['scale'] = random_scale(rng, -2, -0.5)
      out['scale'] = random_scale(rng, -2, 0)
    else:
      out['scale'] = q['scale'] * float(10 ** rng.uniform(-1, 0.5))
  x = m.input(dtype, shape, **q)
  written = [a - len(shape) if rng.random() < 0.3 else a for a in axes]
  if rng.random() < 0.1:
    written.append(written[0])
  a = m.tensor('int32', [len(written)], data=written)
  y = m.output(dtype, out_shape, **out)
  m.node(op, [x, a], [y], 'ReducerOptions', {'SUM': 2, 'REDUCE_PROD': 2, 'REDUCE_ANY': 1, 'REDUCE_ALL': 1}.get(op, 3), keepDims=keep)
  return m.build(), [values(rng, dtype, shape)], f'{shape} axes {written} keep {keep} {q} {out}'


REDUCTIONS = {
    'MEAN': ['float32', 'int8', 'uint8', 'int16', 'int32', 'int64'],
    # LiteRT's int16 SUM leaves half of its output undefined.
    'SUM': ['float32', 'int8', 'uint8', 'int32', 'int64'],
    'REDUCE_MAX': ['float32', 'int8', 'uint8', 'int16', 'int32', 'int64'],
    'REDUCE_MIN': ['float32', 'int8', 'uint8', 'int16', 'int32', 'int64'],
    'REDUCE_PROD': ['float32', 'int8', 'int16', 'int32', 'int64'],
    'REDUCE_ANY': ['bool'],
    'REDUCE_ALL': ['bool'],
}


def main():
  count = int(os.environ.get('LITESMITH_PEERS_COUNT', '10'))
  peer = Peer('reductions')
  for seed in range(count):
    jobs = []
    for op in ('MAX_POOL_2D', 'AVERAGE_POOL_2D'):
      jobs += [(f'{op.lower()}/{t}', lambda rng, op=op, t=t: pool(rng, op, t))
               for t in ['float32'] + QUANTIZED]
    for pair in [('float32', 'float32'), ('int8', 'int8'), ('uint8', 'uint8'), ('int16', 'int16'),
                 ('int8', 'int16'), ('uint8', 'int16')]:
      jobs.append((f'softmax/{pair[0]}-{pair[1]}', lambda rng, p=pair: softmax(rng, *p)))
    for op in ('LOGISTIC', 'TANH'):
      jobs += [(f'{op.lower()}/{t}', lambda rng, op=op, t=t: activation(rng, op, t))
               for t in ['float32'] + QUANTIZED]
    for op, types in REDUCTIONS.items():
      jobs += [(f'{op.lower()}/{t}', lambda rng, op=op, t=t: reduction(rng, op, t)) for t in types]
    for i, (label, make) in enumerate(jobs):
      model, inputs, note = make(np.random.default_rng([seed, i]))
      peer.check(f'{label} seed {seed} {note}', model, inputs)
  peer.finish(least=400 if count >= 10 else 1)


if __name__ == '__main__':
  sys.exit(main())
