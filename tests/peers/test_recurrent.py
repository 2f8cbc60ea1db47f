"""SVDF, UNIDIRECTIONAL_SEQUENCE_RNN and the sequence LSTMs against LiteRT, over several steps."""

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


class Lstm:
  """The operands of one direction, in the order of UNIDIRECTIONAL_SEQUENCE_LSTM without layer
  normalization: weights, recurrent weights, peephole, biases, projection."""

  def __init__(self, rng, m, mode, width, aux_width=0, plain=False):
    self.rng, self.m, self.mode = rng, m, mode
    self.cells = small(rng)
    self.cifg = bool(rng.random() < 0.3)
    self.peephole = not plain and bool(rng.random() < 0.4)
    self.projection = bool(rng.random() < 0.4)
    # The integer peephole of LiteRT reads as many coefficients as there are outputs.
    fewer = mode == 'int8' and self.peephole
    self.outputs = small(rng, 1, self.cells + 1 if fewer else 9) if self.projection else self.cells
    self.layer_norm = not plain and bool(rng.random() < 0.3)
    self.width, self.aux_width = width, aux_width

  def gate(self, make, there=True):
    """One operand for each gate: input, forget, cell, output."""
    return [-1 if g == 0 and self.cifg or not there else make() for g in range(4)]

  def matrix(self, rows, columns):
    return weights(self.rng, self.m, self.mode, rows, columns)

  def vector(self, spread, shift=0.0):
    data = numbers(self.rng, self.cells, spread=spread) + np.float32(shift)
    return self.m.tensor('float32', [self.cells], data=data)

  def operands(self):
    rng, m, cells = self.rng, self.m, self.cells
    out = self.gate(lambda: self.matrix(cells, self.width))
    out += self.gate(lambda: self.matrix(cells, self.outputs))
    hole = self.gate(lambda: weights(rng, m, self.mode, cells), self.peephole)
    out += [hole[0], hole[1], hole[3]]
    out += self.gate(lambda: self.vector(0.3))
    bias = self.projection and rng.random() < 0.5
    out += [self.matrix(self.outputs, cells) if self.projection else -1,
            m.tensor('float32', [self.outputs], data=numbers(rng, self.outputs)) if bias else -1]
    return out

  def aux(self):
    return self.gate(lambda: self.matrix(self.cells, self.aux_width), self.aux_width > 0)

  def states(self, batch):
    return [self.m.tensor('float32', [batch, self.outputs], variable=True),
            self.m.tensor('float32', [batch, self.cells], variable=True)]

  def text(self):
    parts = [p for p in ('cifg', 'peephole', 'projection', 'layer_norm') if getattr(self, p)]
    return f"{self.width}-{self.cells}-{self.outputs} {' '.join(parts)}"


def clips(rng):
  return {'cellClip': float(rng.choice([0.0, 0.5])), 'projClip': float(rng.choice([0.0, 0.4]))}


def lstm(rng, mode, asymmetric):
  m = ModelBuilder()
  batch, steps, width = (small(rng) for _ in range(3))
  time_major = bool(rng.integers(0, 2))
  lead = [steps, batch] if time_major else [batch, steps]
  x = m.input('float32', lead + [width])
  one = Lstm(rng, m, mode, width)
  operands = [x] + one.operands() + one.states(batch)
  if one.layer_norm:
    operands += one.gate(lambda: one.vector(0.2, 1.0))
  elif rng.random() < 0.5:
    operands += [-1] * 4
  y = m.output('float32', lead + [one.outputs])
  m.node('UNIDIRECTIONAL_SEQUENCE_LSTM', operands, [y], 'UnidirectionalSequenceLSTMOptions', 3,
         timeMajor=time_major, fusedActivationFunction=int(rng.choice([1, 2, 3, 4])),
         asymmetricQuantizeInputs=asymmetric, **clips(rng))
  return m.build(), [numbers(rng, *lead, width)], f'{lead} {one.text()}'


def bilstm(rng, mode, asymmetric):
  m = ModelBuilder()
  time_major, merge = bool(rng.integers(0, 2)), bool(rng.integers(0, 2))
  batch, steps, width = (small(rng) for _ in range(3))
  if merge and not time_major:
    batch = 1  # LiteRT steps through the states by the merged width
  lead = [steps, batch] if time_major else [batch, steps]
  x = m.input('float32', lead + [width])
  inputs = [numbers(rng, *lead, width)]
  kind = str(rng.choice(['plain', 'aux', 'split']))
  aux_width = small(rng) if kind == 'aux' else 0
  forward = Lstm(rng, m, mode, width, aux_width, plain=True)
  backward = Lstm(rng, m, mode, width, aux_width, plain=True)
  # LiteRT checks both directions against either's sizes.
  for part in ('cells', 'projection', 'outputs'):
    setattr(backward, part, getattr(forward, part))
  operands = [x] + forward.operands() + backward.operands()
  operands += forward.states(batch) + backward.states(batch)
  if kind == 'plain':
    operands.append(-1)
  else:
    operands.append(m.input('float32', lead + [aux_width or width]))
    inputs.append(numbers(rng, *lead, aux_width or width))
  operands += forward.aux() + backward.aux()
  widths = [forward.outputs + backward.outputs] if merge else [forward.outputs, backward.outputs]
  outputs = [m.output('float32', lead + [w]) for w in widths]
  m.node('BIDIRECTIONAL_SEQUENCE_LSTM', operands, outputs, 'BidirectionalSequenceLSTMOptions', 3,
         timeMajor=time_major, mergeOutputs=merge, asymmetricQuantizeInputs=asymmetric,
         fusedActivationFunction=int(rng.choice([1, 2, 3, 4])), **clips(rng))
  return m.build(), inputs, f'{kind} {lead} merge {merge} {forward.text()} | {backward.text()}'


def integer_lstm(rng, mode, asymmetric):
  """int8 activations and weights, int16 cell state."""
  m = ModelBuilder()
  batch, steps, width = (small(rng) for _ in range(3))
  time_major = bool(rng.integers(0, 2))
  lead = [steps, batch] if time_major else [batch, steps]
  x_zero = int(rng.integers(-128, 128))
  x_scale = random_scale(rng, -2.5, -1.5)
  x = m.input('int8', lead + [width], scale=x_scale, zero_point=x_zero)
  one = Lstm(rng, m, 'int8', width)
  y_scale, y_zero = random_scale(rng, -2.5, -1.8), int(rng.integers(-128, 128))

  def coefficients():
    return m.tensor('int16', [one.cells], data=rng.integers(-32767, 32768, one.cells),
                    scale=random_scale(rng, -5, -4))

  def bias(size, spread):
    return m.tensor('int32', [size], data=rng.integers(-spread, spread, size), scale=1e-4)

  spread = 10**6 if one.layer_norm else 10**5
  operands = [x] + one.gate(lambda: one.matrix(one.cells, width))
  operands += one.gate(lambda: one.matrix(one.cells, one.outputs))
  hole = one.gate(coefficients, one.peephole)
  operands += [hole[0], hole[1], hole[3]]
  operands += one.gate(lambda: bias(one.cells, spread))
  operands += [one.matrix(one.outputs, one.cells) if one.projection else -1,
               bias(one.outputs, 10**4) if one.projection and rng.random() < 0.5 else -1]
  cell_scale = 2.0 ** int(rng.integers(-15, -8))
  operands += [m.tensor('int8', [batch, one.outputs], scale=y_scale, zero_point=y_zero,
                        variable=True),
               m.tensor('int16', [batch, one.cells], scale=cell_scale, variable=True)]
  if one.layer_norm:
    operands += one.gate(coefficients)
  y = m.output('int8', lead + [one.outputs], scale=y_scale, zero_point=y_zero)
  gates = [m.tensor('int16', [0], scale=random_scale(rng, -4, -3)) for _ in range(4)]
  hidden = (m.tensor('int8', [0], scale=random_scale(rng, -2.5, -1.8),
                     zero_point=int(rng.integers(-128, 128))) if one.projection
            else m.tensor('int8', [0], scale=y_scale, zero_point=y_zero))
  m.node('UNIDIRECTIONAL_SEQUENCE_LSTM', operands, [y], 'UnidirectionalSequenceLSTMOptions', 1,
         timeMajor=time_major, fusedActivationFunction=4, intermediates=gates + [hidden],
         **clips(rng))
  data = rng.integers(-128, 128, lead + [width]).astype(np.int8)
  return m.build(), [data], f'{lead} cell {cell_scale} {one.text()}'


MODES = [('float32', False), ('hybrid', False), ('hybrid', True)]
CASES = [(svdf, MODES + [('int8', False)]), (rnn, MODES), (lstm, MODES), (bilstm, MODES),
         (integer_lstm, [('int8', False)])]


def main():
  each = int(os.environ.get('LITESMITH_PEERS_EACH', '20'))
  only = sys.argv[1] if len(sys.argv) > 1 else ''
  rng = np.random.default_rng(51)
  peer = Peer('recurrent')
  for make, modes in CASES:
    for mode, asymmetric in modes:
      name = f"{make.__name__}/{mode}{'-asymmetric' if asymmetric else ''}"
      if only not in name:
        continue
      for _ in range(each):
        model, inputs, text = make(rng, mode, asymmetric)
        peer.check(f'{name} {text}', model, inputs)
  peer.finish(0 if only else sum(len(modes) for _, modes in CASES) * each * 9 // 10)


if __name__ == '__main__':
  main()
