"""Elementwise operators against LiteRT: random shapes, broadcasts, types and quantization."""

import os
import sys

import numpy as np

from litert_peer import ModelBuilder, Peer, TYPES, random_scale

LIMITS = {'int8': (-128, 127), 'uint8': (0, 255), 'int16': (-32768, 32767),
          'int32': (-2**31, 2**31 - 1), 'int64': (-2**63, 2**63 - 1), 'uint32': (0, 2**32 - 1)}
ACTIVATIONS = [0, 0, 0, 1, 2, 3]  # none, relu, relu_n1_to_1, relu6


def shape_of(rng, most=5, low=1, high=6):
  return [int(d) for d in rng.integers(low, high, size=int(rng.integers(0, most)))]


def broadcast_pair(rng, most=6):
  """Two shapes that broadcast, and the result."""
  out = shape_of(rng, most)
  def cut(shape):
    shape = [1 if rng.random() < 0.3 else d for d in shape]
    return shape[int(rng.integers(0, len(shape) + 1)):] if rng.random() < 0.3 else shape
  kind = rng.random()
  a, b = (list(out), list(out)) if kind < 0.3 else (cut(out), list(out)) if kind < 0.6 else (cut(out), cut(out))
  if rng.random() < 0.5:
    a, b = b, a
  return a, b, list(np.broadcast_shapes(tuple(a), tuple(b)))


def values(rng, dtype, shape, magnitude=3.0):
  if dtype == 'float32':
    x = (rng.normal(size=shape) * magnitude).astype(np.float32)
    return np.asarray(x, np.float32)
  if dtype == 'bool':
    return np.asarray(rng.integers(0, 2, size=shape), bool)
  low, high = LIMITS[dtype]
  if dtype in ('int32', 'int64', 'uint32') and rng.random() < 0.7:
    low, high = max(low, -1000), 1000
  if rng.random() < 0.1:
    return np.asarray(rng.choice([low, high], size=shape), np.dtype(dtype))
  return np.asarray(rng.integers(low, high, size=shape, endpoint=True), np.dtype(dtype))


def zero_point(rng, dtype):
  if dtype == 'int16':
    return 0
  low, high = LIMITS[dtype]
  return int(rng.choice([low, high, 0 if low < 0 else 128, rng.integers(low, high + 1)]))


def quant(rng, dtype, scale):
  return dict(scale=scale, zero_point=zero_point(rng, dtype))


def binary(peer, rng, op, dtype, options=None, quantized=False, out_dtype=None, scales=None,
           version=1, make=None, **fields):
  a_shape, b_shape, out_shape = broadcast_pair(rng)
  m = ModelBuilder()
  keys = [{}, {}, {}]
  if quantized:
    s = scales or [random_scale(rng, -3, 0) for _ in range(3)]
    keys = [quant(rng, dtype, s[0]), quant(rng, dtype, s[1]), {}]
    if (out_dtype or dtype) in LIMITS:
      keys[2] = quant(rng, out_dtype or dtype, s[2])
  make = make or values
  a, b = make(rng, dtype, a_shape), make(rng, dtype, b_shape)
  first = m.input(dtype, a_shape, **keys[0])
  inputs = [a]
  if rng.random() < 0.3:
    second = m.tensor(dtype, b_shape, data=b, **keys[1])
  else:
    second = m.input(dtype, b_shape, **keys[1])
    inputs.append(b)
  out = m.output(out_dtype or dtype, out_shape, **keys[2])
  m.node(op, [first, second], [out], options, version, **fields)
  label = f'{op} {dtype}{" quantized" if quantized else ""} {a_shape} {b_shape} {keys} {fields}'
  peer.check(label, m.build(), inputs)


def unary(peer, rng, op, dtype, options=None, scales=None, version=1, data=None, out_dtype=None,
          zeros=None, **fields):
  shape = shape_of(rng)
  m = ModelBuilder()
  out_dtype = out_dtype or dtype
  keys = [{}, {}]
  if scales:
    keys = [quant(rng, dtype, scales[0]), quant(rng, out_dtype, scales[1])]
    if zeros:
      for k, z in zip(keys, zeros):
        k['zero_point'] = z if z is not None else k['zero_point']
  x = data(rng, shape, keys[0]) if data else values(rng, dtype, shape)
  m.node(op, [m.input(dtype, shape, **keys[0])], [m.output(out_dtype, shape, **keys[1])], options,
         version, **fields)
  peer.check(f'{op} {dtype}->{out_dtype} {shape} {keys} {fields}', m.build(), [x])


def sum_scales(rng):
  """ADD's reference kernel ends the program where the output scale is far finer than the inputs'."""
  s = [random_scale(rng, -3, 0), random_scale(rng, -3, 0)]
  return s + [float(np.float32(max(s) * 10 ** rng.uniform(-2, 1)))]


def arithmetic(peer, rng):
  act = dict(fusedActivationFunction=int(rng.choice(ACTIVATIONS)))
  for op, table in (('ADD', 'AddOptions'), ('SUB', 'SubOptions'), ('MUL', 'MulOptions')):
    for dtype in ('float32', 'int32', 'int64'):
      binary(peer, rng, op, dtype, table, **act)
    for dtype in ('int8', 'uint8'):
      binary(peer, rng, op, dtype, table, True, scales=sum_scales(rng), version=2, **act)
    extra = {} if op == 'MUL' else dict(potScaleInt16=False)
    binary(peer, rng, op, 'int16', table, True, scales=sum_scales(rng), version=2, **act, **extra)
  binary(peer, rng, 'MUL', 'uint32', 'MulOptions', fusedActivationFunction=0, version=7)
  binary(peer, rng, 'ADD', 'int16', 'AddOptions', version=5, **act)
  binary(peer, rng, 'MUL', 'int16', 'MulOptions', version=7, **act)
  # Scales that are powers of two, one input equal to the output. ADD's kernel has no broadcast here.
  low = int(rng.integers(-12, -3))
  scales = [2.0 ** low, 2.0 ** (low - int(rng.integers(0, 6))), 2.0 ** low]
  if rng.random() < 0.5:
    scales[0], scales[1] = scales[1], scales[0]
  binary(peer, rng, 'SUB', 'int16', 'SubOptions', True, scales=scales, potScaleInt16=True, **act)
  shape = shape_of(rng)
  m = ModelBuilder()
  ab = [m.input('int16', shape, scale=s) for s in scales[:2]]
  m.node('ADD', ab, [m.output('int16', shape, scale=scales[2])], 'AddOptions', potScaleInt16=True, **act)
  peer.check(f'ADD int16 power of two {shape} {scales}', m.build(),
             [values(rng, 'int16', shape), values(rng, 'int16', shape)])


def rectifiers(peer, rng):
  for op, types in (('RELU', ('int8', 'uint8', 'int16')), ('RELU6', ('int8', 'uint8', 'int16')),
                    ('RELU_N1_TO_1', ('int8', 'uint8')), ('RELU_0_TO_1', ('int8', 'uint8'))):
    unary(peer, rng, op, 'float32')
    for dtype in types:
      s = random_scale(rng, -3, 0)
      unary(peer, rng, op, dtype, scales=[s, s if rng.random() < 0.3 else random_scale(rng, -3, 0)])
  for dtype in ('float32', 'int8', 'uint8', 'int16'):
    alpha = float(np.float32(rng.choice([0.1, 0.3, 0.01, 1.7, 0.0, -0.4, rng.uniform(0, 1)])))
    scales = None if dtype == 'float32' else [random_scale(rng, -3, 0), random_scale(rng, -3, 0)]
    unary(peer, rng, 'LEAKY_RELU', dtype, 'LeakyReluOptions', scales=scales, alpha=alpha)


def quantize(peer, rng):
  for dtype in ('int8', 'uint8', 'int16'):
    shape = shape_of(rng)
    m = ModelBuilder()
    kw = quant(rng, dtype, random_scale(rng, -3, 0))
    if shape and rng.random() < 0.4:  # per channel
      axis = int(rng.integers(0, len(shape)))
      n = shape[axis]
      kw = dict(scale=[random_scale(rng, -3, 0) for _ in range(n)], axis=axis,
                zero_point=[zero_point(rng, dtype) for _ in range(n)])
    m.node('QUANTIZE', [m.input('float32', shape)], [m.output(dtype, shape, **kw)])
    peer.check(f'QUANTIZE {dtype} {shape} {kw}', m.build(), [values(rng, 'float32', shape, 20)])
    m = ModelBuilder()
    m.node('DEQUANTIZE', [m.input(dtype, shape, **kw)], [m.output('float32', shape)], version=2)
    peer.check(f'DEQUANTIZE {dtype} {shape} {kw}', m.build(), [values(rng, dtype, shape)],
               relative=0, absolute=0, float_best=0)
  for a in ('int8', 'uint8', 'int16', 'int32'):
    for b in ('int8', 'uint8', 'int16', 'int32'):
      if (a, b) in (('int32', 'int32'), ('int32', 'uint8'), ('int8', 'int32'), ('uint8', 'int32'),
                    ('int16', 'uint8')):
        continue
      s = random_scale(rng, -3, 0)
      scales = [s, s if rng.random() < 0.3 else random_scale(rng, -3, 0)]
      unary(peer, rng, 'QUANTIZE', a, scales=scales, out_dtype=b,
            zeros=[0 if a == 'int32' else None, 0 if b == 'int32' else None])
  shape = shape_of(rng)
  half = values(rng, 'float32', shape).astype(np.float16)
  m = ModelBuilder()
  m.node('DEQUANTIZE', [m.input('float16', shape)], [m.output('float32', shape)], version=3)
  peer.check('DEQUANTIZE float16', m.build(), [half], relative=0, absolute=0, float_best=0)
  for dtype in ('int4', 'int2'):
    shape = [int(rng.integers(1, 6)), int(rng.integers(1, 6))]
    low, high = (-8, 7) if dtype == 'int4' else (-2, 1)
    m = ModelBuilder()
    per_channel = rng.random() < 0.5
    kw = dict(scale=[random_scale(rng) for _ in range(shape[0])] if per_channel else random_scale(rng))
    w = m.tensor(dtype, shape, data=rng.integers(low, high + 1, size=shape), **kw)
    d = m.tensor('float32', shape)
    m.node('DEQUANTIZE', [w], [d], version=7)
    m.node('ADD', [m.input('float32', shape), d], [m.output('float32', shape)], 'AddOptions')
    peer.check(f'DEQUANTIZE {dtype} {shape}', m.build(), [np.zeros(shape, np.float32)])


def unaries(peer, rng):
  positive = lambda r, s, k: np.asarray(np.abs(r.normal(size=s)) * 5 + 1e-3, np.float32)
  for op in ('ABS', 'NEG', 'SQUARE', 'SIN', 'COS', 'FLOOR', 'CEIL', 'ROUND', 'SIGN', 'ELU', 'EXP', 'HARD_SWISH'):
    unary(peer, rng, op, 'float32')
  for op in ('SQRT', 'RSQRT', 'LOG'):
    unary(peer, rng, op, 'float32', data=positive)
  unary(peer, rng, 'ROUND', 'float32',
        data=lambda r, s, k: np.asarray(r.integers(-9, 10, size=s) / 2, np.float32))
  for approximate in (False, True):
    unary(peer, rng, 'GELU', 'float32', 'GeluOptions', approximate=approximate)
    for dtype in ('int8', 'uint8', 'int16'):
      unary(peer, rng, 'GELU', dtype, 'GeluOptions', scales=[random_scale(rng, -3, -1), random_scale(rng, -3, -1)],
            version=2, approximate=approximate)
  for dtype in ('int32', 'int16', 'int64', 'int8'):
    unary(peer, rng, 'NEG', dtype)
  unary(peer, rng, 'ABS', 'int32')
  unary(peer, rng, 'ABS', 'int16')
  unary(peer, rng, 'SIGN', 'int32', version=2)
  for dtype in ('int8', 'int16'):
    s = random_scale(rng, -3, 0)
    unary(peer, rng, 'ABS', dtype, scales=[s, s if rng.random() < 0.4 else random_scale(rng, -3, 0)], version=2)
    unary(peer, rng, 'EXP', dtype, scales=[random_scale(rng, -3, -1), random_scale(rng, -3, 1)], version=2)
    unary(peer, rng, 'LOG', dtype, scales=[random_scale(rng, -3, 0), random_scale(rng, -3, -1)], version=2)
    above = lambda r, s, k, d=dtype: np.asarray(r.integers(k['zero_point'], LIMITS[d][1], size=s, endpoint=True), np.dtype(d))
    unary(peer, rng, 'SQRT', dtype, scales=[random_scale(rng, -3, 0), random_scale(rng, -3, -1)], version=2, data=above)
    unary(peer, rng, 'RSQRT', dtype, scales=[random_scale(rng, -3, 0), random_scale(rng, -3, 0)], version=2, data=above)
  unary(peer, rng, 'ELU', 'int8', scales=[random_scale(rng, -3, 0), random_scale(rng, -3, 0)])
  for dtype in ('int8', 'uint8'):
    s = random_scale(rng, -3, 0)
    unary(peer, rng, 'HARD_SWISH', dtype, scales=[s, float(np.float32(s * 10 ** rng.uniform(-1, 1)))])
  unary(peer, rng, 'LOGICAL_NOT', 'bool')


def casts(peer, rng):
  types = ['float32', 'int8', 'uint8', 'int16', 'int32', 'int64', 'uint32', 'bool', 'float16']
  a, b = rng.choice(types, size=2)
  def data(r, s, k):
    if a in ('float32', 'float16'):
      x = np.asarray(r.normal(size=s) * 10.0 ** r.uniform(-1, 4), np.dtype(a))
      return x
    return values(r, a, s)
  shape = shape_of(rng)
  m = ModelBuilder()
  m.node('CAST', [m.input(str(a), shape)], [m.output(str(b), shape)], 'CastOptions', 5,
         inDataType=TYPES[a], outDataType=TYPES[b])
  peer.check(f'CAST {a}->{b} {shape}', m.build(), [data(rng, shape, None)])


def nonzero(rng, dtype, shape, zero=0):
  x = values(rng, dtype, shape)
  return np.asarray(np.where(x == zero, np.asarray(zero + (1 if zero < 100 else -1), x.dtype), x), x.dtype)


def quotients(peer, rng):
  act = dict(fusedActivationFunction=int(rng.choice(ACTIVATIONS)))
  for dtype in ('float32', 'int32'):
    binary(peer, rng, 'DIV', dtype, 'DivOptions', make=nonzero, **act)
  for dtype in ('int8', 'uint8', 'int16'):
    m = ModelBuilder()
    a_shape, b_shape, out_shape = broadcast_pair(rng)
    zero = zero_point(rng, dtype)
    a = m.input(dtype, a_shape, **quant(rng, dtype, random_scale(rng, -2, 0)))
    b = m.input(dtype, b_shape, scale=random_scale(rng, -2, 0), zero_point=zero)
    m.node('DIV', [a, b], [m.output(dtype, out_shape, **quant(rng, dtype, random_scale(rng, -2, 0)))],
           'DivOptions', 2, **act)
    peer.check(f'DIV {dtype} quantized {a_shape} {b_shape}', m.build(),
               [values(rng, dtype, a_shape), nonzero(rng, dtype, b_shape, zero)])
  for dtype in ('float32', 'int8', 'int16', 'int32'):
    binary(peer, rng, 'FLOOR_DIV', dtype, make=nonzero, version=3)
    binary(peer, rng, 'FLOOR_MOD', dtype, make=nonzero, version=2)
  binary(peer, rng, 'FLOOR_MOD', 'int64', make=nonzero)
  for dtype in ('float32', 'int32'):
    binary(peer, rng, 'SQUARED_DIFFERENCE', dtype)
  s = [random_scale(rng, -2, 0), random_scale(rng, -2, 0)]
  binary(peer, rng, 'SQUARED_DIFFERENCE', 'int8', None, True, version=2,
         scales=s + [float(np.float32(max(s) ** 2 * 10 ** rng.uniform(0, 2)))])
  binary(peer, rng, 'POW', 'float32', make=lambda r, d, s: np.asarray(np.abs(r.normal(size=s)), np.float32))
  binary(peer, rng, 'POW', 'float32', make=lambda r, d, s: np.asarray(r.integers(1, 5, size=s), np.float32))
  binary(peer, rng, 'POW', 'int32', make=lambda r, d, s: np.asarray(r.integers(0, 7, size=s), np.int32))
  for op in ('MAXIMUM', 'MINIMUM'):
    for dtype in ('float32', 'int8', 'uint8', 'int16', 'int32', 'int64'):
      binary(peer, rng, op, dtype, version=2)
  shape = shape_of(rng)
  for dtype in ('float32', 'int32'):
    m = ModelBuilder()
    n = int(rng.integers(2, 5))
    ins = [m.input(dtype, shape) for _ in range(n)]
    m.node('ADD_N', ins, [m.output(dtype, shape)])
    peer.check(f'ADD_N {dtype} {n} {shape}', m.build(), [values(rng, dtype, shape) for _ in range(n)])


def small(rng, dtype, shape):
  """Values that meet often."""
  if dtype == 'float32':
    return np.asarray(rng.integers(-2, 3, size=shape), np.float32)
  if dtype == 'bool':
    return values(rng, dtype, shape)
  return np.asarray(rng.integers(0, 4, size=shape), np.dtype(dtype))


def comparisons(peer, rng):
  for op in ('EQUAL', 'NOT_EQUAL', 'LESS', 'LESS_EQUAL', 'GREATER', 'GREATER_EQUAL'):
    for dtype in ('float32', 'int32', 'int64') + (('bool',) if op in ('EQUAL', 'NOT_EQUAL') else ()):
      binary(peer, rng, op, dtype, out_dtype='bool', make=small)
    types = ('int8', 'uint8') + (('int16',) if op in ('EQUAL', 'NOT_EQUAL') else ())
    for dtype in types:
      s = random_scale(rng, -3, -0.1)
      scales = [s, s if rng.random() < 0.5 else random_scale(rng, -3, -0.1), None]
      binary(peer, rng, op, dtype, None, True, out_dtype='bool', scales=scales, version=2,
             make=small if rng.random() < 0.5 else None)
  binary(peer, rng, 'LESS', 'int16', out_dtype='bool', make=small, version=3)


def logic(peer, rng):
  for op in ('LOGICAL_AND', 'LOGICAL_OR'):
    binary(peer, rng, op, 'bool')
  for dtype in ('int8', 'uint8', 'int16', 'int32', 'uint32'):
    binary(peer, rng, 'BITWISE_XOR', dtype)
    binary(peer, rng, 'RIGHT_SHIFT', dtype, make=lambda r, d, s: np.asarray(
        r.integers(0 if d[0] == 'u' else -3, 40, size=s), np.dtype(d)))


def selects(peer, rng):
  for dtype in ('float32', 'int8', 'int16', 'int32', 'int64', 'bool'):
    out = [int(d) for d in rng.integers(1, 5, size=int(rng.integers(1, 5)))]
    cut = lambda: [1 if rng.random() < 0.4 else d for d in out][int(rng.integers(0, 2)) if len(out) > 1 else 0:]
    shapes = [out, cut(), cut()] if rng.random() < 0.7 else [cut(), out, out]
    m = ModelBuilder()
    ids = [m.input('bool', shapes[0]), m.input(dtype, shapes[1]), m.input(dtype, shapes[2])]
    m.node('SELECT_V2', ids, [m.output(dtype, out)])
    peer.check(f'SELECT_V2 {dtype} {shapes}', m.build(),
               [values(rng, 'bool', shapes[0]), values(rng, dtype, shapes[1]), values(rng, dtype, shapes[2])])
    condition = [out, [out[0]], []][int(rng.integers(0, 3))]
    m = ModelBuilder()
    ids = [m.input('bool', condition), m.input(dtype, out), m.input(dtype, out)]
    m.node('SELECT', ids, [m.output(dtype, out)])
    peer.check(f'SELECT {dtype} {condition} {out}', m.build(),
               [values(rng, 'bool', condition), values(rng, dtype, out), values(rng, dtype, out)])
  for dtype in ('bool', 'float32', 'int32', 'int64', 'int8', 'uint8'):
    shape = [int(d) for d in rng.integers(1, 5, size=int(rng.integers(1, 4)))]
    m = ModelBuilder()
    m.node('WHERE', [m.input(dtype, shape)], [m.output('int64', [1, len(shape)])])
    peer.check(f'WHERE {dtype} {shape}', m.build(), [small(rng, dtype, shape)])


GROUPS = [arithmetic, rectifiers, quantize, unaries, casts, quotients, comparisons, logic, selects]


def main():
  rounds = int(os.environ.get('LITESMITH_PEER_ROUNDS', '4'))
  seed = int(os.environ.get('LITESMITH_PEER_SEED', '1'))
  groups = [g for g in GROUPS if not sys.argv[1:] or g.__name__ in sys.argv[1:]]
  peer = Peer('elementwise')
  for i in range(rounds):
    for g in groups:
      rng = np.random.default_rng([seed, i, GROUPS.index(g)])
      for _ in range(8 if g is casts else 1):
        g(peer, rng)
  peer.finish(500 if not sys.argv[1:] else 1)


if __name__ == '__main__':
  main()
