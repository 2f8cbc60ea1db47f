"""Operators that move data, and those that make or choose it, against LiteRT: random shapes, axes, masks, types."""

import os
import sys

import numpy as np

from litert_peer import ModelBuilder, Peer, TYPES, random_scale

QUANTIZED = ('int8', 'uint8', 'int16')


def shape_of(rng, low=1, high=6, least=1, most=5):
  return [int(d) for d in rng.integers(low, high, size=int(rng.integers(least, most)))]


def values(rng, dtype, shape):
  if dtype == 'float32':
    return np.asarray(rng.normal(size=shape), np.float32)
  if dtype == 'bool':
    return np.asarray(rng.integers(0, 2, size=shape), bool)
  info = np.iinfo(dtype)
  return np.asarray(rng.integers(max(info.min, -2**40), min(info.max, 2**40), size=shape, endpoint=True),
                    np.dtype(dtype))


def pick(rng, types):
  return str(rng.choice(types))


def quant(rng, dtype, p=0.7):
  """Parameters of a quantized type, most of the time."""
  if dtype not in QUANTIZED or rng.random() > p:
    return {}
  low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
  zero = 0 if dtype == 'int16' else int(rng.integers(low, high + 1))
  return dict(scale=random_scale(rng), zero_point=zero)


def index_tensor(m, rng, data, dtype='int32'):
  """A constant, or now and then an input; returns its index and what to feed."""
  data = np.asarray(data, np.dtype(dtype))
  if rng.random() < 0.7:
    return m.tensor(dtype, data.shape, data=data), []
  return m.input(dtype, data.shape), [data]


NUMBERS = ['float32', 'int8', 'uint8', 'int16', 'int32', 'int64']


def reshapes(peer, rng):
  dtype = pick(rng, NUMBERS + ['bool'])
  shape = shape_of(rng)
  kw = quant(rng, dtype)
  factors = []
  rest = int(np.prod(shape))
  while rest > 1 and len(factors) < 4 and rng.random() < 0.7:
    f = int(rng.choice([k for k in range(1, rest + 1) if rest % k == 0]))
    factors.append(f)
    rest //= f
  factors.append(rest)
  asked = list(factors)
  if rng.random() < 0.5:
    asked[int(rng.integers(0, len(asked)))] = -1
  m = ModelBuilder()
  x = m.input(dtype, shape, **kw)
  if rng.random() < 0.3:
    m.node('RESHAPE', [x], [m.output(dtype, factors, **kw)], 'ReshapeOptions', newShape=asked)
    feed = []
  else:
    s, feed = index_tensor(m, rng, asked)
    m.node('RESHAPE', [x, s], [m.output(dtype, factors, **kw)], 'ReshapeOptions', newShape=asked)
  peer.check(f'RESHAPE {dtype} {shape} {asked}', m.build(), [values(rng, dtype, shape)] + feed)

  shape = [1 if rng.random() < 0.5 else d for d in shape_of(rng, most=6)]
  ones = [i for i, d in enumerate(shape) if d == 1]
  dims = sorted(set(rng.choice(ones, size=int(rng.integers(0, len(ones) + 1))).tolist())) if ones else []
  dims = [d - len(shape) if rng.random() < 0.3 else d for d in dims]
  out = np.squeeze(np.zeros(shape), axis=tuple(dims) if dims else None).shape
  m = ModelBuilder()
  m.node('SQUEEZE', [m.input(dtype, shape, **kw)], [m.output(dtype, out, **kw)], 'SqueezeOptions', squeezeDims=dims)
  peer.check(f'SQUEEZE {dtype} {shape} {dims}', m.build(), [values(rng, dtype, shape)])

  shape = shape_of(rng)
  axis = int(rng.integers(-len(shape) - 1, len(shape) + 1))
  m = ModelBuilder()
  x = m.input(dtype, shape, **kw)
  a, feed = index_tensor(m, rng, axis)
  m.node('EXPAND_DIMS', [x, a], [m.output(dtype, np.expand_dims(np.zeros(shape), axis).shape, **kw)],
         'ExpandDimsOptions')
  peer.check(f'EXPAND_DIMS {dtype} {shape} {axis}', m.build(), [values(rng, dtype, shape)] + feed)

  for out_type in ('int32', 'int64'):
    m = ModelBuilder()
    m.node('SHAPE', [m.input(dtype, shape)], [m.output(out_type, [len(shape)])], 'ShapeOptions',
           outType=TYPES[out_type])
    peer.check(f'SHAPE {shape}', m.build(), [values(rng, dtype, shape)])
  m = ModelBuilder()
  m.node('RANK', [m.input(dtype, shape)], [m.output('int32', [])])
  peer.check(f'RANK {shape}', m.build(), [values(rng, dtype, shape)])


def joins(peer, rng):
  dtype = pick(rng, NUMBERS + ['bool'])
  shape = shape_of(rng)
  axis = int(rng.integers(-len(shape), len(shape)))
  n = int(rng.integers(1, 5))
  shapes = []
  for _ in range(n):
    s = list(shape)
    s[axis] = int(rng.integers(1, 5))
    shapes.append(s)
  out = list(shape)
  out[axis] = sum(s[axis] for s in shapes)
  kw = quant(rng, dtype)
  each = [kw] * n
  if dtype in ('uint8', 'int16') and rng.random() < 0.6:  # uint8 is rescaled, int16 moved
    kw = quant(rng, dtype, 1)
    each = [quant(rng, dtype, 1) for _ in range(n)]
  m = ModelBuilder()
  m.node('CONCATENATION', [m.input(dtype, s, **k) for s, k in zip(shapes, each)], [m.output(dtype, out, **kw)],
         'ConcatenationOptions', 2, axis=axis, fusedActivationFunction=0)
  peer.check(f'CONCATENATION {dtype} {shapes} {axis} {each} {kw}', m.build(), [values(rng, dtype, s) for s in shapes])

  dtype = pick(rng, NUMBERS)
  kw = quant(rng, dtype)
  axis = int(rng.integers(-len(shape) - 1, len(shape) + 1))
  m = ModelBuilder()
  out = np.stack([np.zeros(shape)] * n, axis).shape
  m.node('PACK', [m.input(dtype, shape, **kw) for _ in range(n)], [m.output(dtype, out, **kw)], 'PackOptions', 2,
         valuesCount=n, axis=axis)
  peer.check(f'PACK {dtype} {shape} {axis}', m.build(), [values(rng, dtype, shape) for _ in range(n)])


def pads(peer, rng):
  dtype = pick(rng, NUMBERS + ['bool'])
  shape = shape_of(rng)
  paddings = rng.integers(0, 4, size=(len(shape), 2)) * (rng.random((len(shape), 1)) < 0.7)
  out = [d + int(p.sum()) for d, p in zip(shape, paddings)]
  kw = quant(rng, dtype)
  for op in ('PAD', 'PADV2'):
    m = ModelBuilder()
    x = m.input(dtype, shape, **kw)
    p, feed = index_tensor(m, rng, paddings, pick(rng, ['int32', 'int64']))
    extra = []
    if op == 'PADV2':
      extra = [m.tensor(dtype, [1] if rng.random() < 0.5 else [], data=values(rng, dtype, []), **kw)]
    m.node(op, [x, p] + extra, [m.output(dtype, out, **kw)], 'PadOptions' if op == 'PAD' else 'PadV2Options', 2)
    peer.check(f'{op} {dtype} {shape} {paddings.tolist()} {kw}', m.build(), [values(rng, dtype, shape)] + feed)
  for mode in (0, 1):  # REFLECT, SYMMETRIC
    dims = np.asarray(shape)[:, None]
    most = dims - (1 if mode == 0 else 0)
    paddings = np.asarray(rng.integers(0, most + 1, size=(len(shape), 2)))
    out = [d + int(p.sum()) for d, p in zip(shape, paddings)]
    m = ModelBuilder()
    x = m.input(dtype, shape, **kw)
    p, feed = index_tensor(m, rng, paddings)
    m.node('MIRROR_PAD', [x, p], [m.output(dtype, out, **kw)], 'MirrorPadOptions', 2, mode=mode)
    peer.check(f'MIRROR_PAD {dtype} {shape} {paddings.tolist()} {mode}', m.build(), [values(rng, dtype, shape)] + feed)


def slices(peer, rng):
  dtype = pick(rng, NUMBERS + ['bool'])
  shape = shape_of(rng)
  kw = quant(rng, dtype)
  begin = [int(rng.integers(0, d)) for d in shape]
  size = [-1 if rng.random() < 0.3 else int(rng.integers(1, d - b + 1)) for d, b in zip(shape, begin)]
  out = [d - b if s == -1 else s for d, b, s in zip(shape, begin, size)]
  m = ModelBuilder()
  x = m.input(dtype, shape, **kw)
  kind = pick(rng, ['int32', 'int64'])
  b, feed = index_tensor(m, rng, begin, kind)
  m.node('SLICE', [x, b, m.tensor(kind, [len(size)], data=size)], [m.output(dtype, out, **kw)], 'SliceOptions', 2)
  peer.check(f'SLICE {dtype} {shape} {begin} {size}', m.build(), [values(rng, dtype, shape)] + feed)

  # STRIDED_SLICE as NumPy's indexing.
  index, begin, end, strides = [], [], [], []
  masks = dict(beginMask=0, endMask=0, ellipsisMask=0, newAxisMask=0, shrinkAxisMask=0)
  left = len(shape)
  d = 0
  ellipsis = False
  while d < left and len(begin) < 8:
    i = len(begin)
    kind = rng.random()
    size = shape[d]
    if kind < 0.1:
      masks['newAxisMask'] |= 1 << i
      index.append(np.newaxis)
      begin.append(0), end.append(0), strides.append(1)
      continue
    if kind < 0.2 and not ellipsis:
      ellipsis = True
      masks['ellipsisMask'] |= 1 << i
      keep = int(rng.integers(0, left - d))  # dimensions after it
      index.append(Ellipsis)
      begin.append(0), end.append(0), strides.append(1)
      d = left - keep
      continue
    if kind < 0.35:
      masks['shrinkAxisMask'] |= 1 << i
      at = int(rng.integers(-size, size))
      index.append(at)
      begin.append(at), end.append(at + 1), strides.append(1)
      d += 1
      continue
    step = int(rng.choice([1, 1, 2, 3, -1, -2]))
    b, e = int(rng.integers(-size - 2, size + 3)), int(rng.integers(-size - 2, size + 3))
    free_b, free_e = rng.random() < 0.3, rng.random() < 0.3
    masks['beginMask'] |= free_b << i
    masks['endMask'] |= free_e << i
    index.append(slice(None if free_b else b, None if free_e else e, step))
    begin.append(b), end.append(e), strides.append(step)
    d += 1
    if rng.random() < 0.15 and not ellipsis:
      break
  out = np.zeros(shape)[tuple(index)].shape
  m = ModelBuilder()
  x = m.input(dtype, shape, **kw)
  b, feed = index_tensor(m, rng, begin)
  m.node('STRIDED_SLICE', [x, b, m.tensor('int32', [len(end)], data=end), m.tensor('int32', [len(end)], data=strides)],
         [m.output(dtype, out, **kw)], 'StridedSliceOptions', 2, **{k: int(v) for k, v in masks.items()})
  peer.check(f'STRIDED_SLICE {dtype} {shape} {begin} {end} {strides} {masks}', m.build(),
             [values(rng, dtype, shape)] + feed)

  # With offset, end counts from begin.
  begin = [int(rng.integers(0, d)) for d in shape]
  end = [int(rng.integers(1, d - b + 1)) for d, b in zip(shape, begin)]
  strides = [int(rng.integers(1, 3)) for _ in shape]
  out = [(e + s - 1) // s for e, s in zip(end, strides)]
  m = ModelBuilder()
  x = m.input(dtype, shape)
  m.node('STRIDED_SLICE', [x] + [m.tensor('int32', [len(v)], data=v) for v in (begin, end, strides)],
         [m.output(dtype, out)], 'StridedSliceOptions', 1, offset=True)
  peer.check(f'STRIDED_SLICE {dtype} {shape} offset {begin} {end} {strides}', m.build(), [values(rng, dtype, shape)])


def splits(peer, rng):
  dtype = pick(rng, NUMBERS)
  kw = quant(rng, dtype)
  shape = shape_of(rng)
  axis = int(rng.integers(-len(shape), len(shape)))
  n = int(rng.integers(1, 5))
  part = list(shape)
  shape[axis] *= n
  m = ModelBuilder()
  x = m.input(dtype, shape, **kw)
  a, feed = index_tensor(m, rng, axis)
  m.node('SPLIT', [a, x], [m.output(dtype, part, **kw) for _ in range(n)], 'SplitOptions', 2, numSplits=n)
  peer.check(f'SPLIT {dtype} {shape} {axis} {n}', m.build(), [values(rng, dtype, shape)] + feed)

  sizes = [int(s) for s in rng.integers(0, 4, size=n)]
  shape[axis] = sum(sizes)
  parts = []
  for s in sizes:
    parts.append(list(shape))
    parts[-1][axis] = s
  asked = list(sizes)
  if rng.random() < 0.5:
    asked[int(rng.integers(0, n))] = -1
  # (The reference kernel of SPLIT_V reads the axis as it stands in the file.)
  m = ModelBuilder()
  x = m.input(dtype, shape, **kw)
  s, feed = index_tensor(m, rng, asked)
  axis = axis % len(shape)
  m.node('SPLIT_V', [x, s, m.tensor('int32', [], data=axis)], [m.output(dtype, p, **kw) for p in parts],
         'SplitVOptions', 2, numSplits=n)
  if 0 not in sizes:
    peer.check(f'SPLIT_V {dtype} {shape} {axis} {asked}', m.build(), [values(rng, dtype, shape)] + feed)

  shape = shape_of(rng)
  dtype = pick(rng, ['float32', 'int8', 'uint8', 'int16', 'int32', 'bool'])
  kw = quant(rng, dtype)
  axis = int(rng.integers(-len(shape), len(shape)))
  out = list(shape)
  n = out.pop(axis)
  m = ModelBuilder()
  m.node('UNPACK', [m.input(dtype, shape, **kw)], [m.output(dtype, out, **kw) for _ in range(n)], 'UnpackOptions', 2,
         num=n, axis=axis)
  peer.check(f'UNPACK {dtype} {shape} {axis}', m.build(), [values(rng, dtype, shape)])


def transposes(peer, rng):
  dtype = pick(rng, NUMBERS + ['bool'])
  kw = quant(rng, dtype)
  shape = shape_of(rng, most=7, high=5)
  x = values(rng, dtype, shape)
  perm = rng.permutation(len(shape)).tolist()
  given = [p - len(shape) if rng.random() < 0.2 else p for p in perm]
  m = ModelBuilder()
  i = m.input(dtype, shape, **kw)
  p, feed = index_tensor(m, rng, given)
  m.node('TRANSPOSE', [i, p], [m.output(dtype, [shape[k] for k in perm], **kw)], 'TransposeOptions', 2)
  peer.check(f'TRANSPOSE {dtype} {shape} {given}', m.build(), [x] + feed)

  first = int(rng.integers(0, len(shape)))
  axes = list(range(first, int(rng.integers(first, len(shape))) + 1))
  axes = [a - len(shape) if rng.random() < 0.3 else a for a in rng.permutation(axes).tolist()]
  m = ModelBuilder()
  i = m.input(dtype, shape, **kw)
  a, feed = index_tensor(m, rng, axes)
  m.node('REVERSE_V2', [i, a], [m.output(dtype, shape, **kw)], 'ReverseV2Options', 2)
  peer.check(f'REVERSE_V2 {dtype} {shape} {axes}', m.build(), [x] + feed)

  shape = shape_of(rng, high=4)
  x = values(rng, dtype, shape)
  times = [int(t) for t in rng.integers(1, 4, size=len(shape))]
  m = ModelBuilder()
  i = m.input(dtype, shape, **kw)
  t, feed = index_tensor(m, rng, times, pick(rng, ['int32', 'int64']))
  m.node('TILE', [i, t], [m.output(dtype, [a * b for a, b in zip(shape, times)], **kw)], 'TileOptions', 2)
  peer.check(f'TILE {dtype} {shape} {times}', m.build(), [x] + feed)

  full = [int(d) for d in rng.integers(1, 4, size=int(rng.integers(len(shape), 6)))]
  for k in range(len(shape)):
    shape[-1 - k] = 1 if rng.random() < 0.5 else full[-1 - k]
  m = ModelBuilder()
  i = m.input(dtype, shape, **kw)
  t, feed = index_tensor(m, rng, full, pick(rng, ['int32', 'int64']))
  m.node('BROADCAST_TO', [i, t], [m.output(dtype, full, **kw)], 'BroadcastToOptions', 3)
  peer.check(f'BROADCAST_TO {dtype} {shape} {full}', m.build(), [values(rng, dtype, shape)] + feed)


def gathers(peer, rng):
  dtype = pick(rng, NUMBERS + ['bool'])
  kw = quant(rng, dtype)
  shape = shape_of(rng)
  x = values(rng, dtype, shape)
  axis = int(rng.integers(0, len(shape)))
  batch = int(rng.integers(0, axis + 1))
  at = shape[:batch] + shape_of(rng, least=0, most=3)
  kind = pick(rng, ['int32', 'int64', 'int16'])
  out = shape[:axis] + at[batch:] + shape[axis + 1:]
  m = ModelBuilder()
  i = m.input(dtype, shape, **kw)
  p, feed = index_tensor(m, rng, rng.integers(0, shape[axis], size=at), kind)
  m.node('GATHER', [i, p], [m.output(dtype, out, **kw)], 'GatherOptions', 2,
         axis=axis - len(shape) if batch == 0 and rng.random() < 0.3 else axis, batchDims=batch)
  peer.check(f'GATHER {dtype} {shape} {at} {axis} {batch} {kind}', m.build(), [x] + feed)

  depth = int(rng.integers(1, len(shape) + 1))
  tuples = shape_of(rng, least=0, most=3)
  index = np.stack([rng.integers(0, shape[d], size=tuples) for d in range(depth)], -1)
  m = ModelBuilder()
  i = m.input(dtype, shape, **kw)
  p, feed = index_tensor(m, rng, index, kind)
  m.node('GATHER_ND', [i, p], [m.output(dtype, tuples + shape[depth:], **kw)], 'GatherNdOptions', 3)
  peer.check(f'GATHER_ND {dtype} {shape} {index.shape} {kind}', m.build(), [x] + feed)

  dtype = pick(rng, ['float32', 'int8', 'uint8', 'int32', 'int64', 'bool'])
  tuples = shape_of(rng, least=1, most=3)
  index = np.stack([rng.integers(0, shape[d], size=tuples) for d in range(depth)], -1)
  m = ModelBuilder()
  p, feed = index_tensor(m, rng, index)
  u = m.input(dtype, tuples + shape[depth:])
  s, more = index_tensor(m, rng, shape)
  m.node('SCATTER_ND', [p, u, s], [m.output(dtype, shape)], 'ScatterNdOptions')
  peer.check(f'SCATTER_ND {dtype} {shape} {index.shape}', m.build(),
             feed + [values(rng, dtype, tuples + shape[depth:])] + more)


def blocks(peer, rng):
  dtype = pick(rng, ['float32', 'int8', 'uint8', 'int32', 'int64'])
  kw = quant(rng, dtype)
  n, h, w, c, k = (int(v) for v in rng.integers(1, 4, size=5))
  m = ModelBuilder()
  m.node('SPACE_TO_DEPTH', [m.input(dtype, [n, h * k, w * k, c], **kw)], [m.output(dtype, [n, h, w, c * k * k], **kw)],
         'SpaceToDepthOptions', 2, blockSize=k)
  peer.check(f'SPACE_TO_DEPTH {dtype} {n, h, w, c, k}', m.build(), [values(rng, dtype, [n, h * k, w * k, c])])
  m = ModelBuilder()
  m.node('DEPTH_TO_SPACE', [m.input(dtype, [n, h, w, c * k * k], **kw)], [m.output(dtype, [n, h * k, w * k, c], **kw)],
         'DepthToSpaceOptions', 1, blockSize=k)
  peer.check(f'DEPTH_TO_SPACE {dtype} {n, h, w, c, k}', m.build(), [values(rng, dtype, [n, h, w, c * k * k])])

  dtype = pick(rng, ['float32', 'int8', 'uint8', 'int16', 'int32', 'int64'])
  kw = quant(rng, dtype, 1)
  dims = int(rng.integers(1, 3))
  block = [int(b) for b in rng.integers(1, 4, size=dims)]
  pads = rng.integers(0, 4, size=(dims, 2))
  space = []
  for d in range(dims):
    size = int(rng.integers(1, 7))
    total = size + int(pads[d].sum())
    pads[d][1] += -total % block[d]
    space.append(size)
  out = [n * int(np.prod(block))] + [(s + int(p.sum())) // b for s, p, b in zip(space, pads, block)] + [c]
  m = ModelBuilder()
  x = m.input(dtype, [n] + space + [c], **kw)
  b, feed = index_tensor(m, rng, block)
  m.node('SPACE_TO_BATCH_ND', [x, b, m.tensor('int32', pads.shape, data=pads)], [m.output(dtype, out, **kw)],
         'SpaceToBatchNDOptions', 2)
  peer.check(f'SPACE_TO_BATCH_ND {dtype} {space} {block} {pads.tolist()}', m.build(),
             [values(rng, dtype, [n] + space + [c])] + feed)
  blocked = [int(v) for v in rng.integers(1, 4, size=dims)]
  crops = np.zeros((dims, 2), int)
  for d in range(dims):
    most = blocked[d] * block[d] - 1
    crops[d][0] = rng.integers(0, most + 1)
    crops[d][1] = rng.integers(0, most - crops[d][0] + 1)
  out = [n] + [s * b - int(p.sum()) for s, p, b in zip(blocked, crops, block)] + [c]
  shape = [n * int(np.prod(block))] + blocked + [c]
  m = ModelBuilder()
  x = m.input(dtype, shape, **kw)
  b, feed = index_tensor(m, rng, block)
  m.node('BATCH_TO_SPACE_ND', [x, b, m.tensor('int32', crops.shape, data=crops)], [m.output(dtype, out, **kw)],
         'BatchToSpaceNDOptions', 2)
  peer.check(f'BATCH_TO_SPACE_ND {dtype} {shape} {block} {crops.tolist()}', m.build(),
             [values(rng, dtype, shape)] + feed)


def makers(peer, rng):
  shape = shape_of(rng)
  dtype = pick(rng, ['float32', 'int8', 'int16', 'int32', 'int64', 'bool'])
  m = ModelBuilder()
  s, feed = index_tensor(m, rng, shape, pick(rng, ['int32', 'int64']))
  m.node('FILL', [s, m.input(dtype, [])], [m.output(dtype, shape)], 'FillOptions', 3)
  peer.check(f'FILL {dtype} {shape}', m.build(), feed + [values(rng, dtype, [])])
  dtype = pick(rng, ['float32', 'int32', 'int64'])
  m = ModelBuilder()
  m.node('ZEROS_LIKE', [m.input(dtype, shape)], [m.output(dtype, shape)], 'ZerosLikeOptions')
  peer.check(f'ZEROS_LIKE {dtype} {shape}', m.build(), [values(rng, dtype, shape)])
  delta = int(rng.integers(1, 5)) * int(rng.choice([1, -1]))
  start = int(rng.integers(-20, 20))
  limit = start + int(rng.integers(1, 40)) * (1 if delta > 0 else -1)
  if dtype == 'float32':
    start, limit, delta = start * 0.37, limit * 1.0 if (limit - start * 0.37) * delta > 0 else start * 0.37, delta * 0.3
  m = ModelBuilder()
  data = [np.asarray(v, np.dtype(dtype)) for v in (start, limit, delta)]
  ids, feed = [], []
  for v in data:
    t, f = index_tensor(m, rng, v, dtype)
    ids.append(t)
    feed += f
  m.node('RANGE', ids, [m.output(dtype, [1])], 'RangeOptions', 1)
  peer.check(f'RANGE {dtype} {start} {limit} {delta}', m.build(), feed)

  indices = shape_of(rng, least=0, most=4)
  depth = int(rng.integers(1, 6))
  axis = int(rng.integers(-1, len(indices) + 1))
  dtype = pick(rng, ['float32', 'int8', 'uint8', 'int32', 'int64', 'bool'])
  out = list(indices)
  out.insert(len(indices) if axis == -1 else axis, depth)
  kind = pick(rng, ['int32', 'int64'])
  m = ModelBuilder()
  i = m.input(kind, indices)
  d, feed = index_tensor(m, rng, depth)
  on, off = values(rng, dtype, []), values(rng, dtype, [])
  m.node('ONE_HOT', [i, d, m.tensor(dtype, [], data=on), m.tensor(dtype, [], data=off)], [m.output(dtype, out)],
         'OneHotOptions', axis=axis)
  peer.check(f'ONE_HOT {dtype} {indices} {depth} {axis}', m.build(),
             [np.asarray(rng.integers(-1, depth + 1, size=indices), np.dtype(kind))] + feed)

  full = shape_of(rng, most=6)
  cut = lambda: [1 if rng.random() < 0.3 else v for v in full][int(rng.integers(0, len(full))):]
  a, b = (full, cut()) if rng.random() < 0.5 else (cut(), full)
  m = ModelBuilder()
  ids = [m.input('int32', [len(a)]), m.input('int32', [len(b)])]
  m.node('BROADCAST_ARGS', ids, [m.output('int32', [len(full)])])
  peer.check(f'BROADCAST_ARGS {a} {b}', m.build(), [np.asarray(a, np.int32), np.asarray(b, np.int32)])


def choosers(peer, rng):
  dtype = pick(rng, ['float32', 'int8', 'uint8', 'int16', 'int32', 'int64'])
  shape = shape_of(rng, high=9)
  k = int(rng.integers(0, shape[-1] + 1))
  x = np.asarray(rng.integers(0, 7, size=shape), np.dtype(dtype))  # with ties
  m = ModelBuilder()
  i = m.input(dtype, shape)
  t, feed = index_tensor(m, rng, k)
  out = shape[:-1] + [k]
  m.node('TOPK_V2', [i, t], [m.output(dtype, out), m.output('int32', out)], 'TopKV2Options', 2)
  peer.check(f'TOPK_V2 {dtype} {shape} {k}', m.build(), [x] + feed)
  n = int(rng.integers(1, 20))
  kind = pick(rng, ['int32', 'int64'])
  m = ModelBuilder()
  m.node('UNIQUE', [m.input(dtype, [n])], [m.output(dtype, [1]), m.output(kind, [n])], 'UniqueOptions',
         idxOutType=TYPES[kind])
  peer.check(f'UNIQUE {dtype} {n}', m.build(), [np.asarray(rng.integers(0, 6, size=n), np.dtype(dtype))])

  dtype = pick(rng, ['float32', 'int8', 'int32', 'int64', 'bool'])
  shape = shape_of(rng)
  update = [int(rng.integers(1, d + 1)) for d in shape]
  kind = pick(rng, ['int32', 'int64'])
  m = ModelBuilder()
  ids = [m.input(dtype, shape), m.input(dtype, update), m.input(kind, [len(shape)])]
  m.node('DYNAMIC_UPDATE_SLICE', ids, [m.output(dtype, shape)], 'DynamicUpdateSliceOptions', 2)
  peer.check(f'DYNAMIC_UPDATE_SLICE {dtype} {shape} {update}', m.build(),
             [values(rng, dtype, shape), values(rng, dtype, update),
              np.asarray(rng.integers(-2, 7, size=len(shape)), np.dtype(kind))])

  dtype = pick(rng, ['float32', 'uint8', 'int16', 'int32', 'int64'])
  shape = shape_of(rng, least=2)
  sequence, batch = (int(v) for v in rng.choice(len(shape), size=2, replace=False))
  kind = pick(rng, ['int32', 'int64'])
  m = ModelBuilder()
  ids = [m.input(dtype, shape), m.input(kind, [shape[batch]])]
  m.node('REVERSE_SEQUENCE', ids, [m.output(dtype, shape)], 'ReverseSequenceOptions', seqDim=sequence, batchDim=batch)
  peer.check(f'REVERSE_SEQUENCE {dtype} {shape} {sequence} {batch}', m.build(),
             [values(rng, dtype, shape), np.asarray(rng.integers(0, shape[sequence] + 1, size=shape[batch]), np.dtype(kind))])

  boxes = int(rng.integers(1, 20))
  corners = np.asarray(rng.random((boxes, 2, 2)), np.float32)
  data = np.concatenate([corners[:, 0], corners[:, 0] + corners[:, 1] * rng.uniform(0.1, 2)], 1).astype(np.float32)
  scores = np.asarray(rng.random(boxes), np.float32)
  if rng.random() < 0.3:
    scores = np.round(scores * 4).astype(np.float32) / 4  # ties
  for op, soft in (('NON_MAX_SUPPRESSION_V4', False), ('NON_MAX_SUPPRESSION_V5', True)):
    m = ModelBuilder()
    most = int(rng.integers(1, 12))
    limit, feed = np.float32(rng.uniform(0.1, 0.9)), []
    ids = [m.input('float32', [boxes, 4]), m.input('float32', [boxes])]
    t, feed = index_tensor(m, rng, most)
    ids += [t, m.tensor('float32', [], data=limit), m.tensor('float32', [], data=np.float32(rng.uniform(0, 0.5)))]
    outs = [m.output('int32', [most])]
    if soft:
      ids.append(m.tensor('float32', [], data=np.float32(rng.choice([0, 0.3, 1.0]))))
      outs.append(m.output('float32', [most]))
    outs.append(m.output('int32', []))
    m.node(op, ids, outs)
    peer.check(f'{op} {boxes} {most}', m.build(), [data, scores] + feed)


GROUPS = [reshapes, joins, pads, slices, splits, transposes, gathers, blocks, makers, choosers]


def main():
  rounds = int(os.environ.get('LITESMITH_PEER_ROUNDS', '17'))
  seed = int(os.environ.get('LITESMITH_PEER_SEED', '1'))
  groups = [g for g in GROUPS if not sys.argv[1:] or g.__name__ in sys.argv[1:]]
  peer = Peer('movement')
  for i in range(rounds):
    for g in groups:
      g(peer, np.random.default_rng([seed, i, GROUPS.index(g)]))
  peer.finish(500 if not sys.argv[1:] else 1)


if __name__ == '__main__':
  main()
