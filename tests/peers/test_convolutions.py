"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED against LiteRT: random shapes, options and
quantization in every mode."""

import os
import sys

import numpy as np

from litert_peer import ModelBuilder, Peer, random_scale

ACTIVATIONS = {'none': 0, 'relu': 1, 'relu_n1_to_1': 2, 'relu6': 3}
LIMITS = {'int8': (-128, 127), 'uint8': (0, 255), 'int16': (-32768, 32767)}


def integers(rng, dtype, shape):
  """Uniform over the whole type, with now and then only extreme values."""
  low, high = LIMITS[dtype]
  if rng.random() < 0.15:
    return rng.choice([low, high], size=shape).astype(dtype)
  return rng.integers(low, high + 1, size=shape).astype(dtype)


class Quantized:
  """What one mode makes of the operands."""

  def __init__(self, mode):
    # x8 and so on: activations; w8/w4: weights; pc/pt: per channel or per tensor.
    self.mode = mode
    parts = mode.split('-')
    self.x = parts[0]            # float32, int8, uint8, int16
    self.w = parts[1]            # float32, int8, int4, uint8, int16
    self.per_channel = 'pc' in parts
    self.equal = 'equal' in parts
    self.bias = 'int64' if 'b64' in parts else 'int32'


def operands(rng, m, q, in_shape, w_shape, channels, depth, w_axis, use_bias):
  """Adds input, weights and bias; returns (indices, inputs, output kwargs)."""
  if q.x == 'float32':
    x_kw, y_kw = {}, {}
    data = rng.normal(size=in_shape).astype(np.float32) * np.float32(random_scale(rng, -1, 1))
    if rng.random() < 0.1:
      data = np.abs(data)
    if rng.random() < 0.05:
      data[...] = 0
  else:
    zero = 0 if q.x == 'int16' else int(rng.integers(LIMITS[q.x][0], LIMITS[q.x][1] + 1))
    x_kw = dict(scale=random_scale(rng), zero_point=zero)
    data = integers(rng, q.x, in_shape)
  m.input(q.x, in_shape, **x_kw)
  w_zero = 0
  if q.w == 'float32':
    w = rng.normal(size=w_shape).astype(np.float32)
    w_kw = {}
  else:
    low, high = {'int8': (-127, 127), 'int4': (-7, 7), 'int2': (-2, 1), 'uint8': (0, 255),
                 'int16': (-32767, 32767)}[q.w]
    if q.w == 'uint8':
      w_zero = int(rng.integers(0, 256))
    w = rng.integers(low, high + 1, size=w_shape)
    if q.per_channel:
      scales = [random_scale(rng, -3, -1) for _ in range(channels)]
      if q.equal:
        scales = [scales[0]] * channels
      w_kw = dict(scale=scales, zero_point=0, axis=w_axis)
    else:
      w_kw = dict(scale=random_scale(rng, -3, -1), zero_point=w_zero)
  wi = m.tensor(q.w, w_shape, data=w, **w_kw)
  indices = [0, wi]
  if use_bias:
    if q.x == 'float32':
      bi = m.tensor('float32', [channels], data=rng.normal(size=channels))
    else:
      b_scale = np.float32(x_kw['scale']) * np.float32(w_kw['scale'])
      size = 2 ** 31 - 1 if rng.random() < 0.05 else 20000
      bi = m.tensor(q.bias, [channels], data=rng.integers(-size, size, size=channels),
                    scale=b_scale, zero_point=np.zeros(np.shape(b_scale), np.int64))
    indices.append(bi)
  if q.x != 'float32':
    spread = LIMITS[q.x][1] * (100 if q.w != 'int4' else 5)
    if q.w == 'int16':
      spread *= 200
    y_scale = (x_kw['scale'] * float(np.mean(w_kw['scale'])) * np.sqrt(depth) * spread * 0.6
               / LIMITS[q.x][1] * 10 ** rng.uniform(-0.7, 0.7))
    zero = 0 if q.x == 'int16' else int(rng.integers(LIMITS[q.x][0], LIMITS[q.x][1] + 1))
    y_kw = dict(scale=float(np.float32(y_scale)), zero_point=zero)
  return indices, [data], y_kw


def windowed(rng, size, window, dilation, padding, stride):
  effective = (window - 1) * dilation + 1
  if padding == 0:
    return -(-size // stride)
  return (size - effective) // stride + 1


def conv_sizes(rng):
  s = {}
  s['padding'] = int(rng.integers(0, 2))
  for axis in 'hw':
    s['k' + axis] = int(rng.integers(1, 5))
    s['d' + axis] = int(rng.choice([1, 1, 2, 3]))
    s['s' + axis] = int(rng.choice([1, 1, 2, 3]))
    least = (s['k' + axis] - 1) * s['d' + axis] + 1 if s['padding'] else 1
    s['i' + axis] = least + int(rng.integers(0, 8))
    s['o' + axis] = windowed(rng, s['i' + axis], s['k' + axis], s['d' + axis], s['padding'],
                             s['s' + axis])
  return s


def convolution(rng, q, depthwise):
  m = ModelBuilder()
  s = conv_sizes(rng)
  batch = int(rng.integers(1, 4))
  name, activation = list(ACTIVATIONS.items())[rng.integers(0, 4)]
  common = dict(padding=s['padding'], strideH=s['sh'], strideW=s['sw'], dilationHFactor=s['dh'],
                dilationWFactor=s['dw'], fusedActivationFunction=activation)
  if depthwise:
    in_c, multiplier = int(rng.integers(1, 9)), int(rng.choice([1, 1, 2, 3]))
    out_c, depth = in_c * multiplier, s['kh'] * s['kw']
    w_shape, axis = [1, s['kh'], s['kw'], out_c], 3
    common['depthMultiplier'] = multiplier
  else:
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    filter_c, out_c = int(rng.integers(1, 20)), groups * int(rng.integers(1, 10))
    if q.x == 'float32' and q.w != 'float32' and not (q.per_channel and not q.equal):
      groups, out_c = 1, int(rng.integers(1, 20))
    in_c, depth = groups * filter_c, filter_c * s['kh'] * s['kw']
    w_shape, axis = [out_c, s['kh'], s['kw'], filter_c], 0
    if q.x == 'int16':
      common['quantizedBiasType'] = 4 if q.bias == 'int64' else 2
  indices, inputs, y_kw = operands(rng, m, q, [batch, s['ih'], s['iw'], in_c], w_shape, out_c,
                                   depth, axis, True)
  y = m.output(q.x, [batch, s['oh'], s['ow'], out_c], **y_kw)
  if depthwise:
    version = 5 if q.x == 'int16' else 6 if q.w == 'int4' else 3
    m.node('DEPTHWISE_CONV_2D', indices, [y], 'DepthwiseConv2DOptions', version, **common)
  else:
    m.node('CONV_2D', indices, [y], 'Conv2DOptions', 8 if q.x == 'int16' else 6, **common)
  return m.build(), inputs, f'{name} {s}'


def fully_connected(rng, q):
  m = ModelBuilder()
  depth, units = int(rng.integers(1, 80)), int(rng.integers(1, 40))
  rank = int(rng.integers(1, 5))
  lead = [int(rng.integers(1, 4)) for _ in range(rank - 1)]
  keep = bool(rng.integers(0, 2)) and rank > 1
  rows = int(np.prod(lead)) if lead else 1
  out_shape = lead + [units] if keep else [rows, units]
  name, activation = list(ACTIVATIONS.items())[rng.integers(0, 4)]
  use_bias = rng.random() < 0.75
  indices, inputs, y_kw = operands(rng, m, q, lead + [depth], [units, depth], units, depth, 0,
                                   use_bias)
  if not use_bias and rng.random() < 0.5:
    indices.append(-1)
  y = m.output(q.x, out_shape, **y_kw)
  options = dict(fusedActivationFunction=activation, keepNumDims=keep,
                 asymmetricQuantizeInputs=bool(rng.integers(0, 2)))
  if q.x == 'int16':
    options['quantizedBiasType'] = 4 if q.bias == 'int64' else 2
  m.node('FULLY_CONNECTED', indices, [y], 'FullyConnectedOptions', 12, **options)
  return m.build(), inputs, f'{name} depth {depth} units {units} {options}'


CONV = ['float32-float32', 'int8-int8-pc', 'int8-int8-pt', 'int16-int8-pc-b64', 'int16-int8-pc-b32',
        'int16-int8-pt-b64', 'uint8-uint8-pt', 'float32-int8-pc', 'float32-int8-pc-equal',
        'float32-int8-pt', 'int8-int4-pc', 'float32-int4-pc', 'float32-int4-pt']
DEPTHWISE = ['float32-float32', 'int8-int8-pc', 'int8-int8-pt', 'int16-int8-pc-b64',
             'uint8-uint8-pt', 'float32-int8-pc', 'int8-int4-pc']
DENSE = ['float32-float32', 'int8-int8-pc', 'int8-int8-pt', 'int16-int8-pc-b64', 'int16-int8-pc-b32',
         'int16-int8-pt-b64', 'int16-int8-pt-b32', 'uint8-uint8-pt', 'float32-int8-pc',
         'float32-int8-pt', 'int8-int4-pc', 'int8-int4-pt', 'float32-int4-pc',
         'float32-int4-pt', 'int16-int4-pc-b64', 'int8-int2-pc', 'int16-int16-pc-b64', 'int16-int16-pt-b64']


def main():
  count = int(os.environ.get('LITESMITH_PEERS_COUNT', '16'))
  peer = Peer('convolutions')
  for seed in range(count):
    for i, mode in enumerate(CONV):
      rng = np.random.default_rng([seed, 1, i])
      model, inputs, note = convolution(rng, Quantized(mode), False)
      peer.check(f'conv_2d/{mode} seed {seed} {note}', model, inputs)
    for i, mode in enumerate(DEPTHWISE):
      rng = np.random.default_rng([seed, 2, i])
      model, inputs, note = convolution(rng, Quantized(mode), True)
      peer.check(f'depthwise_conv_2d/{mode} seed {seed} {note}', model, inputs)
    for i, mode in enumerate(DENSE):
      rng = np.random.default_rng([seed, 3, i])
      model, inputs, note = fully_connected(rng, Quantized(mode))
      peer.check(f'fully_connected/{mode} seed {seed} {note}', model, inputs)
  peer.finish(least=500 if count >= 16 else 1)


if __name__ == '__main__':
  sys.exit(main())
