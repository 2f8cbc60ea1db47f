"""TRANSPOSE_CONV, BATCH_MATMUL, CONV_3D, ARG_MAX, CUMSUM, normalisations, PRELU, EMBEDDING_LOOKUP and the
resizing operators against LiteRT."""

import os
import sys

import numpy as np

from litert_peer import ModelBuilder, Peer, random_scale
from test_convolutions import ACTIVATIONS, CONV, LIMITS, Quantized, conv_sizes, operands, windowed
from test_reductions import quantization, random_shape, values


def transpose_conv(rng, q):
  m = ModelBuilder()
  s = conv_sizes(rng)
  batch, in_c, out_c = (int(rng.integers(1, n)) for n in (4, 10, 10))
  out, small = {}, {}
  for a in 'hw':
    out[a] = s['k' + a] + int(rng.integers(0, 10))
    small[a] = windowed(rng, out[a], s['k' + a], 1, s['padding'], s['s' + a])
  use_bias = rng.random() < 0.7
  indices, inputs, y_kw = operands(rng, m, q, [batch, small['h'], small['w'], in_c],
                                   [out_c, s['kh'], s['kw'], in_c], out_c,
                                   in_c * s['kh'] * s['kw'] / s['sh'] / s['sw'] + 1, 0, use_bias)
  shape = m.tensor('int32', [4], data=[batch, out['h'], out['w'], out_c])
  y = m.output(q.x, [batch, out['h'], out['w'], out_c], **y_kw)
  name, activation = list(ACTIVATIONS.items())[rng.integers(0, 4)]
  fields = dict(padding=s['padding'], strideH=s['sh'], strideW=s['sw'],
                fusedActivationFunction=activation)
  if q.x == 'int16':
    fields['quantizedBiasType'] = 4 if q.bias == 'int64' else 2
  m.node('TRANSPOSE_CONV', [shape, indices[1], indices[0]] + indices[2:], [y],
         'TransposeConvOptions', 5 if q.x == 'int16' else 4, **fields)
  return m.build(), inputs, f'{name} {s} {out} in {in_c} out {out_c}'


def batch_matmul(rng, x, y, out, constant):
  m = ModelBuilder()
  rows, depth, units = (int(rng.integers(1, 12)) for _ in range(3))
  lead = [int(rng.integers(1, 4)) for _ in range(rng.integers(0, 3))]
  x_lead = [1 if rng.random() < 0.2 else n for n in lead]
  y_lead = [1 if rng.random() < 0.2 else n for n in lead][int(rng.integers(0, len(lead) + 1)):]
  if constant:
    y_lead = []
  full = np.broadcast_shapes(tuple(x_lead), tuple(y_lead))
  adj_x, adj_y = bool(rng.integers(0, 2)), bool(rng.integers(0, 2))
  x_shape = x_lead + ([depth, rows] if adj_x else [rows, depth])
  y_shape = y_lead + ([units, depth] if adj_y else [depth, units])
  xq = quantization(rng, x)
  yq = quantization(rng, y)
  if x == 'int16':
    yq['zero_point'] = 0
  if x == 'float32' and y == 'int8':
    yq = dict(scale=random_scale(rng, -3, -1), zero_point=0)
  m.input(x, x_shape, **xq)
  inputs = [values(rng, x, x_shape)]
  if constant:
    data = values(rng, y, y_shape)
    if y == 'int8':
      data = np.maximum(data, -127)
    b = m.tensor(y, y_shape, data=data, **yq)
  else:
    b = m.input(y, y_shape, **yq)
    inputs.append(values(rng, y, y_shape))
  oq = {}
  if out in LIMITS:
    size = np.sqrt(depth) * LIMITS[x][1] * LIMITS[y][1] / LIMITS[out][1]
    oq = dict(scale=float(xq['scale'] * yq['scale'] * size * 10 ** rng.uniform(-0.5, 0.7)),
              zero_point=quantization(rng, out)['zero_point'])
  y_index = m.output(out, list(full) + [rows, units], **oq)
  m.node('BATCH_MATMUL', [0, b], [y_index], 'BatchMatMulOptions', 4, adjX=adj_x, adjY=adj_y,
         asymmetricQuantizeInputs=bool(rng.integers(0, 2)))
  return m.build(), inputs, f'{x_shape} {y_shape} adj {adj_x} {adj_y}'


def conv_3d(rng):
  m = ModelBuilder()
  padding = int(rng.integers(0, 2))
  k, d, s = ([int(rng.integers(1, n)) for _ in range(3)] for n in (4, 3, 3))
  size = [(k[i] - 1) * d[i] + 1 + int(rng.integers(0, 4)) for i in range(3)]
  out = [windowed(rng, size[i], k[i], d[i], padding, s[i]) for i in range(3)]
  batch, in_c, out_c = int(rng.integers(1, 3)), int(rng.integers(1, 5)), int(rng.integers(1, 6))
  x = m.input('float32', [batch] + size + [in_c])
  w = m.tensor('float32', k + [in_c, out_c], data=rng.normal(size=k + [in_c, out_c]))
  b = m.tensor('float32', [out_c], data=rng.normal(size=out_c))
  y = m.output('float32', [batch] + out + [out_c])
  name, activation = list(ACTIVATIONS.items())[rng.integers(0, 4)]
  m.node('CONV_3D', [x, w, b], [y], 'Conv3DOptions', padding=padding, strideD=s[0], strideH=s[1],
         strideW=s[2], dilationDFactor=d[0], dilationHFactor=d[1], dilationWFactor=d[2],
         fusedActivationFunction=activation)
  return m.build(), [values(rng, 'float32', [batch] + size + [in_c])], f'{name} {size} {k} {s} {d}'


def arg(rng, op, dtype):
  m = ModelBuilder()
  shape = random_shape(rng)
  axis = int(rng.integers(-len(shape), len(shape)))
  x = m.input(dtype, shape, **quantization(rng, dtype))
  a = m.tensor('int32', [1] if rng.random() < 0.5 else [], data=axis)
  index = 'int32' if rng.random() < 0.5 else 'int64'
  out = list(shape)
  del out[axis]
  y = m.output(index, out)
  name = 'ArgMaxOptions' if op == 'ARG_MAX' else 'ArgMinOptions'
  m.node(op, [x, a], [y], name, 2, outputType=2 if index == 'int32' else 4)
  data = values(rng, dtype, shape)
  if dtype == 'float32' and rng.random() < 0.3:
    data[rng.random(size=shape) < 0.3] = np.nan
  return m.build(), [data], f'{shape} axis {axis}'


def cumsum(rng, dtype):
  m = ModelBuilder()
  shape = random_shape(rng)
  x = m.input(dtype, shape)
  a = m.tensor('int32', [], data=int(rng.integers(-len(shape), len(shape))))
  y = m.output(dtype, shape)
  fields = dict(exclusive=bool(rng.integers(0, 2)), reverse=bool(rng.integers(0, 2)))
  m.node('CUMSUM', [x, a], [y], 'CumsumOptions', **fields)
  return m.build(), [values(rng, dtype, shape)], f'{shape} {fields}'


def log_softmax(rng, dtype):
  m = ModelBuilder()
  shape = random_shape(rng)
  if rng.random() < 0.2:
    shape[-1] = int(rng.integers(100, 1500))
  q = quantization(rng, dtype)
  if q:
    q['scale'] = random_scale(rng, -3.5, 0)
  x = m.input(dtype, shape, **q)
  out = {'float32': {}, 'int8': dict(scale=1 / 16, zero_point=127),
         'uint8': dict(scale=1 / 16, zero_point=255)}[dtype]
  y = m.output(dtype, shape, **out)
  m.node('LOG_SOFTMAX', [x], [y], version=2)
  return m.build(), [values(rng, dtype, shape)], f'{shape} {q}'


def l2_normalization(rng, dtype):
  m = ModelBuilder()
  shape = random_shape(rng)
  if rng.random() < 0.2:
    shape[-1] = int(rng.integers(100, 1500))
  x = m.input(dtype, shape, **quantization(rng, dtype))
  out = {'float32': {}, 'int8': dict(scale=1 / 128, zero_point=0),
         'uint8': dict(scale=1 / 128, zero_point=128)}[dtype]
  y = m.output(dtype, shape, **out)
  m.node('L2_NORMALIZATION', [x], [y], 'L2NormOptions', 2, fusedActivationFunction=0)
  return m.build(), [values(rng, dtype, shape)], f'{shape}'


def local_response(rng):
  m = ModelBuilder()
  shape = [int(rng.integers(1, 5)) for _ in range(3)] + [int(rng.integers(1, 20))]
  x, y = m.input('float32', shape), m.output('float32', shape)
  fields = dict(radius=int(rng.integers(0, 8)), bias=float(rng.uniform(0.5, 2)),
                alpha=float(rng.uniform(0, 2)), beta=float(rng.uniform(0, 1)))
  m.node('LOCAL_RESPONSE_NORMALIZATION', [x], [y], 'LocalResponseNormalizationOptions', **fields)
  return m.build(), [values(rng, 'float32', shape)], f'{shape} {fields}'


def prelu(rng, dtype):
  m = ModelBuilder()
  shape = random_shape(rng, 4)
  alpha = list(shape)
  for d in range(len(alpha)):
    if rng.random() < 0.5:
      alpha[d] = 1
  alpha = alpha[int(rng.integers(0, len(alpha))):]
  a_type = 'int8' if dtype == 'int16' else dtype
  q = quantization(rng, dtype)
  out = quantization(rng, dtype)
  if q:
    out['scale'] = q['scale'] * float(10 ** rng.uniform(-0.7, 0.5))
  x = m.input(dtype, shape, **q)
  data = values(rng, a_type, alpha)
  a = m.tensor(a_type, alpha, data=data, **quantization(rng, a_type))
  y = m.output(dtype, shape, **out)
  m.node('PRELU', [x, a], [y])
  return m.build(), [values(rng, dtype, shape)], f'{shape} {alpha} {q} {out}'


def embedding(rng, table, out):
  m = ModelBuilder()
  count = int(rng.integers(1, 9))
  shape = [int(rng.integers(1, 20)), int(rng.integers(1, 12))]
  if table in ('int8', 'float32') and rng.random() < 0.3:
    shape.append(int(rng.integers(1, 5)))
  x = m.input('int32', [count])
  kw = {}
  if table == 'float32':
    data = rng.normal(size=shape)
  else:
    low, high = {'int8': (-127, 128), 'int4': (-8, 8), 'int2': (-2, 2)}[table]
    data = rng.integers(low, high, size=shape)
    n = shape[0] if rng.random() < 0.5 and shape[0] > 1 and out == 'float32' else 1
    kw = dict(scale=[random_scale(rng) for _ in range(n)], zero_point=0)
  t = m.tensor(table, shape, data=data, **kw)
  y = m.output(out, [count] + shape[1:], **(kw if out == 'int8' else {}))
  m.node('EMBEDDING_LOOKUP', [x, t], [y], version=5)
  return m.build(), [rng.integers(0, shape[0], size=count).astype(np.int32)], f'{shape}'


def resize(rng, op, dtype):
  m = ModelBuilder()
  shape = [int(rng.integers(1, 3))] + [int(rng.integers(1, 9)) for _ in range(3)]
  size = [int(rng.integers(1, 20)) for _ in range(2)]
  q = quantization(rng, dtype)
  align = rng.random() < 0.4
  half = rng.random() < 0.4 and not (align and op == 'RESIZE_BILINEAR')
  x = m.input(dtype, shape, **q)
  s = m.tensor('int32', [2], data=size)
  y = m.output(dtype, [shape[0]] + size + [shape[3]], **q)
  name = 'ResizeBilinearOptions' if op == 'RESIZE_BILINEAR' else 'ResizeNearestNeighborOptions'
  m.node(op, [x, s], [y], name, 4, alignCorners=bool(align), halfPixelCenters=bool(half))
  return m.build(), [values(rng, dtype, shape)], f'{shape} to {size} align {align} half {half}'


def jobs():
  out = []
  for mode in CONV:
    if 'int4' not in mode:
      out.append((f'transpose_conv/{mode}', lambda rng, q=mode: transpose_conv(rng, Quantized(q))))
  for x, y, o, c in [('float32', 'float32', 'float32', False), ('float32', 'float32', 'float32', True),
                     ('float32', 'int8', 'float32', True), ('int8', 'int8', 'int8', False),
                     ('int8', 'int8', 'int32', False), ('int16', 'int16', 'int16', False),
                     ('int8', 'int8', 'int8', True), ('int16', 'int8', 'int16', True)]:
    out.append((f'batch_matmul/{x}-{y}-{o}', lambda rng, a=(x, y, o, c): batch_matmul(rng, *a)))
  out.append(('conv_3d/float32', conv_3d))
  for op in ('ARG_MAX', 'ARG_MIN'):
    out += [(f'{op.lower()}/{t}', lambda rng, op=op, t=t: arg(rng, op, t))
            for t in ('float32', 'int8', 'uint8', 'int32')]
  out += [(f'cumsum/{t}', lambda rng, t=t: cumsum(rng, t)) for t in ('float32', 'int32', 'int64')]
  for t in ('float32', 'int8', 'uint8'):
    out.append((f'log_softmax/{t}', lambda rng, t=t: log_softmax(rng, t)))
    out.append((f'l2_normalization/{t}', lambda rng, t=t: l2_normalization(rng, t)))
  out.append(('local_response_normalization/float32', local_response))
  out += [(f'prelu/{t}', lambda rng, t=t: prelu(rng, t))
          for t in ('float32', 'int8', 'uint8', 'int16')]
  out += [(f'embedding_lookup/{t}-{o}', lambda rng, t=t, o=o: embedding(rng, t, o))
          for t, o in [('float32', 'float32'), ('int8', 'int8'), ('int8', 'float32'),
                       ('int4', 'float32'), ('int2', 'float32')]]
  for op in ('RESIZE_BILINEAR', 'RESIZE_NEAREST_NEIGHBOR'):
    out += [(f'{op.lower()}/{t}', lambda rng, op=op, t=t: resize(rng, op, t))
            for t in ('float32', 'int8', 'uint8', 'int16')]
  return out


def main():
  count = int(os.environ.get('LITESMITH_PEERS_COUNT', '10'))
  peer = Peer('more operators')
  for seed in range(count):
    for i, (label, make) in enumerate(jobs()):
      model, inputs, note = make(np.random.default_rng([seed, 7, i]))
      peer.check(f'{label} seed {seed} {note}', model, inputs)
  peer.finish(least=400 if count >= 10 else 1)


if __name__ == '__main__':
  sys.exit(main())
