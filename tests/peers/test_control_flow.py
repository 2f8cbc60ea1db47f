"""IF, WHILE, CALL_ONCE and variables, and TFLite_Detection_PostProcess, against LiteRT."""

import os
import sys

import numpy as np
from flatbuffers import flexbuffers

from litert_peer import ModelBuilder, Peer, random_scale


def numbers(rng, *shape):
  return rng.standard_normal(shape).astype(np.float32)


def binary(m, op, a, b, dtype, shape):
  out = m.tensor(dtype, shape)
  options = {'ADD': 'AddOptions', 'MUL': 'MulOptions', 'SUB': 'SubOptions'}.get(op)
  m.node(op, [a, b], [out], options)
  return out


def branch(m, op, constant, shape):
  s = m.subgraph()
  x = s.input('float32', shape)
  s.outputs.append(binary(s, op, x, s.tensor('float32', [1], data=[constant]), 'float32', shape))
  return s.index


def if_model(rng):
  """The condition depends on the input's sum; what follows runs on the branch's result."""
  m = ModelBuilder()
  shape = [int(d) for d in rng.integers(1, 5, 2)]
  x = m.input('float32', shape)
  total = m.tensor('float32', [])
  m.node('SUM', [x, m.tensor('int32', [2], data=[0, 1])], [total], 'ReducerOptions')
  positive = m.tensor('bool', [])
  m.node('GREATER', [total, m.tensor('float32', [], data=0.0)], [positive])
  chosen = m.tensor('float32', shape)
  m.node('IF', [positive, x], [chosen], 'IfOptions',
         thenSubgraphIndex=branch(m, 'ADD', 2.0, shape),
         elseSubgraphIndex=branch(m, 'MUL', -3.0, shape))
  m.outputs.append(binary(m, 'ADD', chosen, x, 'float32', shape))
  return m.build(), [numbers(rng, *shape)], str(shape)


def if_shapes(rng):
  """The branches' results differ in shape."""
  m = ModelBuilder()
  shape = [int(d) for d in rng.integers(1, 5, 2)]
  condition = m.input('bool', [1])
  x = m.input('float32', shape)
  y = m.output('float32', shape)
  then = m.subgraph()
  a = then.input('float32', shape)
  double = then.output('float32', [2 * shape[0], shape[1]])
  then.node('CONCATENATION', [a, a], [double], 'ConcatenationOptions', axis=0)
  m.node('IF', [condition, x], [y], 'IfOptions', thenSubgraphIndex=then.index,
         elseSubgraphIndex=branch(m, 'MUL', 2.0, shape))
  return m.build(), [np.array([rng.random() < 0.5]), numbers(rng, *shape)], str(shape)


def counting(m, limit, shape):
  """A condition: the counter is below the limit."""
  s = m.subgraph()
  n = s.input('int32', [1])
  s.input('float32', shape)
  less = s.output('bool', [1])
  s.node('LESS', [n, s.tensor('int32', [1], data=[limit])], [less])
  return s.index


def while_model(rng):
  m = ModelBuilder()
  shape = [int(d) for d in rng.integers(1, 5, 2)]
  start, x = m.input('int32', [1]), m.input('float32', shape)
  body = m.subgraph()
  n, v = body.input('int32', [1]), body.input('float32', shape)
  body.outputs.append(binary(body, 'ADD', n, body.tensor('int32', [1], data=[1]), 'int32', [1]))
  body.outputs.append(binary(body, 'MUL', v, body.tensor('float32', [1], data=[1.25]), 'float32',
                             shape))
  last, y = m.output('int32', [1]), m.tensor('float32', shape)
  limit = int(rng.integers(0, 9))
  m.node('WHILE', [start, x], [last, y], 'WhileOptions',
         condSubgraphIndex=counting(m, limit, shape), bodySubgraphIndex=body.index)
  m.outputs.append(binary(m, 'ADD', y, x, 'float32', shape))
  return m.build(), [np.zeros(1, np.int32), numbers(rng, *shape)], f'{shape} limit {limit}'


def growing(rng):
  """The value grows by a row in each iteration."""
  m = ModelBuilder()
  width = int(rng.integers(1, 5))
  start, x = m.input('int32', [1]), m.input('float32', [1, width])
  body = m.subgraph()
  n, v = body.input('int32', [1]), body.input('float32', [1, width])
  body.outputs.append(binary(body, 'ADD', n, body.tensor('int32', [1], data=[1]), 'int32', [1]))
  longer = body.output('float32', [2, width])
  row = body.tensor('float32', [1, width], data=numbers(rng, 1, width))
  body.node('CONCATENATION', [v, row], [longer], 'ConcatenationOptions', axis=0)
  last, y = m.output('int32', [1]), m.tensor('float32', [1, width])
  limit = int(rng.integers(0, 6))
  m.node('WHILE', [start, x], [last, y], 'WhileOptions',
         condSubgraphIndex=counting(m, limit, [1, width]), bodySubgraphIndex=body.index)
  z = m.output('float32', [1, width])
  m.node('NEG', [y], [z])
  return m.build(), [np.zeros(1, np.int32), numbers(rng, 1, width)], f'{width} limit {limit}'


def handle(m, name):
  out = m.tensor('resource', [])
  m.node('VAR_HANDLE', [], [out], 'VarHandleOptions', container=b'', sharedName=name.encode())
  return out


def variables(rng):
  """Initialised once; read, changed in a loop, and read again."""
  m = ModelBuilder()
  shape = [int(rng.integers(1, 5))]
  x = m.input('float32', shape)
  start = m.input('int32', [1])
  init = m.subgraph()
  value = init.tensor('float32', shape, data=numbers(rng, *shape))
  init.node('ASSIGN_VARIABLE', [handle(init, 'v'), value], [], 'AssignVariableOptions')
  m.node('CALL_ONCE', [], [], 'CallOnceOptions', initSubgraphIndex=init.index)
  before = m.output('float32', shape)
  m.node('READ_VARIABLE', [handle(m, 'v')], [before], 'ReadVariableOptions')
  body = m.subgraph()
  n, v = body.input('int32', [1]), body.input('float32', shape)
  body.outputs.append(binary(body, 'ADD', n, body.tensor('int32', [1], data=[1]), 'int32', [1]))
  h, old = handle(body, 'v'), body.tensor('float32', shape)
  body.node('READ_VARIABLE', [h], [old], 'ReadVariableOptions')
  body.node('ASSIGN_VARIABLE', [h, binary(body, 'ADD', old, v, 'float32', shape)], [],
            'AssignVariableOptions')
  body.outputs.append(v)
  last, unchanged = m.output('int32', [1]), m.tensor('float32', shape)
  limit = int(rng.integers(0, 5))
  m.node('WHILE', [start, x], [last, unchanged], 'WhileOptions',
         condSubgraphIndex=counting(m, limit, shape), bodySubgraphIndex=body.index)
  after = m.output('float32', shape)
  m.node('READ_VARIABLE', [handle(m, 'v')], [after], 'ReadVariableOptions')
  return m.build(), [numbers(rng, *shape), np.zeros(1, np.int32)], f'{shape} limit {limit}'


def detection(rng, quantized):
  """Boxes around random anchors. Fewer detections than boxes, so that all outputs are defined where
  suppression leaves enough."""
  m = ModelBuilder()
  boxes, classes = int(rng.integers(20, 60)), int(rng.integers(1, 6))
  columns = classes + int(rng.integers(0, 2))
  regular = bool(rng.integers(0, 2))
  per_detection = 1 if regular else int(rng.integers(1, classes + 1))
  wide = 4 + int(rng.integers(0, 3))
  place = rng.uniform(0.1, 0.9, (boxes, 2)), rng.uniform(0.02, 0.1, (boxes, 2))
  anchors = np.concatenate(place, 1)
  inputs = []
  if quantized:
    scales = random_scale(rng, -2, -1), random_scale(rng, -2.5, -2), 1.0 / 255
    zeros = int(rng.integers(100, 150)), 0, 0
    b = m.input('uint8', [1, boxes, wide], scale=scales[0], zero_point=zeros[0])
    s = m.input('uint8', [1, boxes, columns], scale=scales[1], zero_point=zeros[1])
    a = m.tensor('uint8', [boxes, 4], data=np.clip(anchors * 255, 1, 255), scale=scales[2],
                 zero_point=zeros[2])
    inputs = [rng.integers(0, 256, (1, boxes, wide)).astype(np.uint8),
              rng.integers(0, 256, (1, boxes, columns)).astype(np.uint8)]
  else:
    b, s = m.input('float32', [1, boxes, wide]), m.input('float32', [1, boxes, columns])
    a = m.tensor('float32', [boxes, 4], data=anchors)
    inputs = [numbers(rng, 1, boxes, wide), rng.random((1, boxes, columns)).astype(np.float32)]
  options = {'max_detections': 5, 'max_classes_per_detection': per_detection,
             'num_classes': classes, 'nms_score_threshold': 0.0, 'nms_iou_threshold': 0.6,
             'use_regular_nms': regular, 'y_scale': 10.0, 'x_scale': 10.0, 'h_scale': 5.0,
             'w_scale': 5.0}
  if regular and rng.random() < 0.5:
    options['detections_per_class'] = int(rng.integers(1, 20))
  n = 5 * per_detection
  outputs = [m.output('float32', shape) for shape in ([1, n, 4], [1, n], [1, n], [1])]
  m.custom('TFLite_Detection_PostProcess', [b, s, a], outputs, bytes(flexbuffers.Dumps(options)))
  return m.build(), inputs, f'{boxes} boxes {classes}/{columns} regular {regular} {per_detection}'


def main():
  each = int(os.environ.get('LITESMITH_PEERS_EACH', '10'))
  only = sys.argv[1] if len(sys.argv) > 1 else ''
  rng = np.random.default_rng(77)
  peer = Peer('control flow')
  makers = {'if': if_model, 'if-shapes': if_shapes, 'while': while_model, 'while-growing': growing,
            'variables': variables, 'detection': lambda r: detection(r, False),
            'detection-uint8': lambda r: detection(r, True)}
  for name, make in makers.items():
    if only not in name:
      continue
    for _ in range(each):
      model, inputs, text = make(rng)
      peer.check(f'{name} {text}', model, inputs)
  peer.finish(0 if only else len(makers) * each * 9 // 10)


if __name__ == '__main__':
  main()
