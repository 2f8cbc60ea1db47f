"""SVDF and UNIDIRECTIONAL_SEQUENCE_RNN against LiteRT, over several steps."""

import os
import sys

import numpy as np

from litert_peer import ModelBuilder, Peer, random_scale

# NONE, RELU, RELU_N1_TO_1, RELU6, TANH.
ACTIVATIONS = [0, 1, 2, 3, 4]


def small(rng, low=1, high=9):
  return int(rng.integers(low, high))


def numbers(rng, *shape, spread=1.0):
  return (rng.standard_normal(shape) * spread).astype(np.float32)


def weights(rng, m, mode, *shape):
  """Float or int8 weights of one scale."""
  if mode == 'float32':
    return m.tensor('float32', shape, data=numbers(rng, *shape, spread=0.5))
  return m.tensor('int8', shape, data=rng.integers(-127, 128, shape),
                  scale=random_scale(rng, -2.5, -1.5))


def svdf(rng, mode, asymmetric):
  """Nodes that share one state: each is a further step."""
  m = ModelBuilder()
  batch, width, units, memory, rank = (small(rng) for _ in range(5))
  rank = min(rank, 3)
  filters = units * rank
  integer = mode == 'int8'
  state_scale, x_scale = random_scale(rng, -4, -3), random_scale(rng, -2.5, -1.5)
  x_zero = int(rng.integers(-128, 128))
  steps = small(rng, 1, 6)
  use_bias = rng.random() < 0.7
  if integer:
    feature = m.tensor('int8', [filters, width], data=rng.integers(-127, 128, (filters, width)),
                       scale=random_scale(rng, -2.5, -1.5))
    time = m.tensor('int16', [filters, memory],
                    data=rng.integers(-32767, 32768, (filters, memory)), scale=1.0 / 32768)
    time_scale = np.float32(1.0 / 32768)
    bias = m.tensor('int32', [units], data=rng.integers(-10**6, 10**6, units),
                    scale=float(np.float32(state_scale) * time_scale)) if use_bias else -1
    state = m.tensor('int16', [batch, memory * filters], scale=state_scale, variable=True)
  else:
    feature = weights(rng, m, mode, filters, width)
    time = weights(rng, m, mode, filters, memory)
    bias = m.tensor('float32', [units], data=numbers(rng, units)) if use_bias else -1
    state = m.tensor('float32', [batch, memory * filters], variable=True)
  activation = 1 if integer else int(rng.choice(ACTIVATIONS[:2]))
  inputs = []
  for _ in range(steps):
    if integer:
      x = m.input('int8', [batch, width], scale=x_scale, zero_point=x_zero)
      inputs.append(rng.integers(-128, 128, (batch, width)).astype(np.int8))
      y = m.output('int8', [batch, units], scale=random_scale(rng, -2.5, -1),
                   zero_point=int(rng.integers(-128, 128)))
    else:
      x = m.input('float32', [batch, width])
      inputs.append(numbers(rng, batch, width))
      y = m.output('float32', [batch, units])
    m.node('SVDF', [x, feature, time, bias, state], [y], 'SVDFOptions', 4, rank=rank,
           fusedActivationFunction=activation, asymmetricQuantizeInputs=asymmetric)
  return m.build(), inputs, f'{batch}x{width} units {units} memory {memory} rank {rank} {steps}'


def rnn(rng, mode, asymmetric):
  m = ModelBuilder()
  batch, steps, width, units = (small(rng) for _ in range(4))
  time_major = bool(rng.integers(0, 2))
  lead = [steps, batch] if time_major else [batch, steps]
  x = m.input('float32', lead + [width])
  w, r = weights(rng, m, mode, units, width), weights(rng, m, mode, units, units)
  bias = m.tensor('float32', [units], data=numbers(rng, units, spread=0.3))
  state = m.tensor('float32', [batch, units], variable=True)
  y = m.output('float32', lead + [units])
  activation = int(rng.choice([2, 3, 4]))
  m.node('UNIDIRECTIONAL_SEQUENCE_RNN', [x, w, r, bias, state], [y], 'SequenceRNNOptions', 3,
         timeMajor=time_major, fusedActivationFunction=activation,
         asymmetricQuantizeInputs=asymmetric)
  return m.build(), [numbers(rng, *lead, width)], f'{lead} {width} units {units} act {activation}'


def main():
  each = int(os.environ.get('LITESMITH_PEERS_EACH', '20'))
  only = sys.argv[1] if len(sys.argv) > 1 else ''
  rng = np.random.default_rng(51)
  peer = Peer('recurrent')
  for make in (svdf, rnn):
    modes = [('float32', False), ('hybrid', False), ('hybrid', True)]
    modes += [('int8', False)] if make is svdf else []
    for mode, asymmetric in modes:
      name = f"{make.__name__}/{mode}{'-asymmetric' if asymmetric else ''}"
      if only not in name:
        continue
      for _ in range(each):
        model, inputs, text = make(rng, mode, asymmetric)
        peer.check(f'{name} {text}', model, inputs)
  peer.finish(0 if only else 7 * each * 9 // 10)


if __name__ == '__main__':
  main()
