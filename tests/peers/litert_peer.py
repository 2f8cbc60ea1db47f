"""Compares litesmith with LiteRT's reference kernels on models made on the spot.

ModelBuilder writes a .tflite of a few operators; check() runs it in LiteRT (BUILTIN_REF, no delegate) and
in `litesmith run`, and demands the same bits of integers and 1e-5 / 1e-6 of floats.

Environment: LITESMITH_PROGRAM, the command under test.
"""

import math
import multiprocessing
import os
import subprocess
import sys
import tempfile
import zlib

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

TYPES = {
    'float32': schema.TensorType.FLOAT32, 'float16': schema.TensorType.FLOAT16,
    'int32': schema.TensorType.INT32, 'uint8': schema.TensorType.UINT8,
    'int64': schema.TensorType.INT64, 'bool': schema.TensorType.BOOL,
    'int16': schema.TensorType.INT16, 'int8': schema.TensorType.INT8,
    'int4': schema.TensorType.INT4, 'int2': schema.TensorType.INT2,
    'uint32': schema.TensorType.UINT32, 'uint16': schema.TensorType.UINT16,
    'resource': schema.TensorType.RESOURCE,
}


def pack(values, bits):
  """Signed integers as TFLite packs them: the first element in the lowest bits."""
  per_byte = 8 // bits
  flat = np.asarray(values, np.int64).ravel() & ((1 << bits) - 1)
  flat = np.concatenate([flat, np.zeros(-len(flat) % per_byte, np.int64)])
  out = np.zeros(len(flat) // per_byte, np.int64)
  for i in range(per_byte):
    out |= flat[i::per_byte] << (i * bits)
  return out.astype(np.uint8).tobytes()


class ModelBuilder:
  """One subgraph. Tensors and nodes are added in order; inputs and outputs are named by index.
  subgraph() adds a further one, which other nodes name by its `index`."""

  def __init__(self, main=None):
    self.tensors, self.operators = [], []
    self.inputs, self.outputs = [], []
    if main is None:
      self.codes, self.buffers, self.subgraphs = [], [schema.BufferT()], []
    else:
      self.codes, self.buffers, self.subgraphs = main.codes, main.buffers, main.subgraphs
    self.index = len(self.subgraphs)
    self.subgraphs.append(self)

  def subgraph(self):
    return ModelBuilder(self)

  def tensor(self, dtype, shape, data=None, scale=None, zero_point=0, axis=0, variable=False,
             name=None):
    """`data` makes a constant. `scale` may be a list: one per index of dimension `axis`."""
    t = schema.TensorT()
    t.name = (name or f't{len(self.tensors)}').encode()
    t.type = TYPES[dtype]
    t.shape = [int(d) for d in shape]
    t.hasRank = True
    t.isVariable = variable
    t.buffer = 0
    if data is not None:
      b = schema.BufferT()
      if dtype in ('int4', 'int2'):
        raw = pack(data, 4 if dtype == 'int4' else 2)
      else:
        raw = np.ascontiguousarray(data, np.dtype(dtype)).tobytes()
      b.data = np.frombuffer(raw, np.uint8)
      t.buffer = len(self.buffers)
      self.buffers.append(b)
    if scale is not None:
      q = schema.QuantizationParametersT()
      scales = np.atleast_1d(np.asarray(scale, np.float32))
      q.scale = [float(s) for s in scales]
      zeros = np.broadcast_to(np.asarray(zero_point, np.int64), scales.shape)
      q.zeroPoint = [int(z) for z in zeros]
      q.quantizedDimension = axis
      t.quantization = q
    self.tensors.append(t)
    return len(self.tensors) - 1

  def input(self, dtype, shape, **kw):
    self.inputs.append(self.tensor(dtype, shape, **kw))
    return self.inputs[-1]

  def output(self, dtype, shape, **kw):
    self.outputs.append(self.tensor(dtype, shape, **kw))
    return self.outputs[-1]

  def node(self, op, inputs, outputs, options=None, version=1, options_type=None, intermediates=(),
           **fields):
    """`options` is the table's name without its T ('Conv2DOptions'); `fields` are set on it."""
    code = getattr(schema.BuiltinOperator, op)
    key = (code, version, b'')
    if key not in self.codes:
      self.codes.append(key)
    o = schema.OperatorT()
    o.opcodeIndex = self.codes.index(key)
    o.inputs = [int(i) for i in inputs]
    o.outputs = [int(i) for i in outputs]
    o.intermediates = [int(i) for i in intermediates]
    if options:
      table = getattr(schema, options + 'T')()
      for field, value in fields.items():
        if not hasattr(table, field):
          raise AttributeError(f'{options} has no field {field}')
        setattr(table, field, value)
      o.builtinOptions = table
      o.builtinOptionsType = getattr(schema.BuiltinOptions, options)
    self.operators.append(o)

  def custom(self, name, inputs, outputs, options=b'', version=1):
    """A custom operator; `options` are its bytes."""
    key = (schema.BuiltinOperator.CUSTOM, version, name.encode())
    if key not in self.codes:
      self.codes.append(key)
    o = schema.OperatorT()
    o.opcodeIndex = self.codes.index(key)
    o.inputs, o.outputs = [int(i) for i in inputs], [int(i) for i in outputs]
    o.customOptions = np.frombuffer(options, np.uint8)
    self.operators.append(o)

  def build(self):
    m = schema.ModelT()
    m.version = 3
    m.description = b'peer test'
    m.operatorCodes = []
    for code, version, custom in self.codes:
      c = schema.OperatorCodeT()
      c.builtinCode = code
      c.deprecatedBuiltinCode = min(code, 127)
      c.version = version
      c.customCode = custom or None
      m.operatorCodes.append(c)
    m.subgraphs = []
    for s in self.subgraphs:
      g = schema.SubGraphT()
      g.name = b'main' if s.index == 0 else b'subgraph%d' % s.index
      g.tensors, g.operators = s.tensors, s.operators
      g.inputs, g.outputs = s.inputs, s.outputs
      m.subgraphs.append(g)
    m.buffers = self.buffers
    builder = flatbuffers.Builder(1024)
    builder.Finish(m.Pack(builder), b'TFL3')
    return bytes(builder.Output())


class PeerRefuses(Exception):
  """LiteRT cannot make or run the model."""


def run_litert(model, inputs, reference=True, steps=1):
  """Outputs after `steps` invocations without resetting variables (a list of lists when steps > 1)."""
  resolver = (OpResolverType.BUILTIN_REF if reference
              else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
  try:
    it = Interpreter(model_content=model, experimental_op_resolver_type=resolver, num_threads=1)
    details = it.get_input_details()
    for d, x in zip(details, inputs):
      if list(d['shape']) != list(x.shape):
        it.resize_tensor_input(d['index'], list(x.shape))
    it.allocate_tensors()
    runs = []
    for _ in range(steps):
      for d, x in zip(details, inputs):
        it.set_tensor(d['index'], x)
      it.invoke()
      runs.append([it.get_tensor(d['index']).copy() for d in it.get_output_details()])
  except (RuntimeError, ValueError) as error:
    raise PeerRefuses(str(error)) from error
  return runs[0] if steps == 1 else runs


def run_litert_apart(model, inputs, reference=True):
  """run_litert in a process of its own: where LiteRT's reference kernels abort (int8 SOFTMAX over some
  thousand nearly equal classes), that is a refusal."""
  receiver, sender = multiprocessing.Pipe(duplex=False)

  def work():
    try:
      sender.send(run_litert(model, inputs, reference))
    except PeerRefuses as refusal:
      sender.send(refusal)

  process = multiprocessing.get_context('fork').Process(target=work)
  process.start()
  sender.close()
  try:
    outputs = receiver.recv()
  except EOFError:
    outputs = None
  process.join()
  if outputs is None:
    raise PeerRefuses(f'LiteRT ended with code {process.exitcode}')
  if isinstance(outputs, PeerRefuses):
    raise outputs
  return outputs


def run_litesmith(model, inputs, folder, kernels='reference', arithmetic='litert'):
  program = os.environ['LITESMITH_PROGRAM']
  path = os.path.join(folder, 'model.tflite')
  with open(path, 'wb') as f:
    f.write(model)
  command = [program, 'run', path]
  for i, x in enumerate(inputs):
    array = os.path.join(folder, f'x{i}.npy')
    np.save(array, x)
    command += ['--input', array]
  out = os.path.join(folder, 'out-' + kernels)
  command += ['--output-dir', out, '--kernels', kernels, '--arithmetic', arithmetic]
  done = subprocess.run(command, capture_output=True, text=True, timeout=120)
  if done.returncode != 0:
    raise AssertionError(f'litesmith run failed: {done.stderr.strip() or done.stdout.strip()}')
  arrays = []
  while os.path.exists(os.path.join(out, f'out{len(arrays)}.npy')):
    arrays.append(np.load(os.path.join(out, f'out{len(arrays)}.npy')))
  return arrays


def difference(ours, theirs, relative=1e-5, absolute=1e-6, steps=0):
  """'' when they agree: floats within the tolerance, integers within `steps`."""
  if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
    return f'{ours.dtype}{ours.shape} instead of {theirs.dtype}{theirs.shape}'
  if ours.dtype.kind == 'f':
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    with np.errstate(invalid='ignore', over='ignore'):
      bad = ~((a == b) | (np.isnan(a) & np.isnan(b)) |
              (np.abs(a - b) <= absolute + relative * np.abs(b)))
  elif steps:
    bad = np.abs(ours.astype(np.int64) - theirs.astype(np.int64)) > steps
  else:
    bad = ours != theirs
  if not bad.any():
    return ''
  at = np.argwhere(bad)[0]
  return (f'{int(bad.sum())} of {bad.size} differ, first at {at.tolist()}: '
          f'{ours[tuple(at)]} instead of {theirs[tuple(at)]}')


class Peer:
  """Counts comparisons and remembers failures; finish() ends the script."""

  def __init__(self, name):
    self.name, self.compared, self.failures = name, {}, []
    self.refused = {}

  def check(self, label, model, inputs, kernels=('reference', 'best'), float_best=1e-4,
            reference=True, arithmetic='litert', relative=1e-5, absolute=1e-6, apart=False, steps=0):
    """Runs both and compares. With 'best' floats may differ by float_best of the largest value. `apart`:
    LiteRT in a process of its own. Integers may differ by `steps`."""
    kind = label.split()[0]
    try:
      theirs = (run_litert_apart if apart else run_litert)(model, inputs, reference)
    except PeerRefuses as refusal:
      self.refused.setdefault(kind, str(refusal))
      return None
    with tempfile.TemporaryDirectory() as folder:
      for k in kernels:
        try:
          ours = run_litesmith(model, inputs, folder, k, arithmetic)
          problem = '' if len(ours) == len(theirs) else f'{len(ours)} outputs, not {len(theirs)}'
          for i, (a, b) in enumerate(zip(ours, theirs)):
            most = float(np.max(np.abs(b), initial=0)) if b.dtype.kind == 'f' else 0
            slack = absolute + (float_best * most if k == 'best' else 0)
            d = difference(a, b, relative, slack, steps)
            problem = problem or (f'output {i}: {d}' if d else '')
        except AssertionError as error:
          problem = str(error)
        if problem:
          self.failures.append(f'{label} [{k}]: {problem}')
          keep = os.environ.get('LITESMITH_PEERS_KEEP')
          if keep:
            name = f'{zlib.crc32(label.encode()):08x}'
            with open(os.path.join(keep, name + '.tflite'), 'wb') as f:
              f.write(model)
            np.savez(os.path.join(keep, name + '.npz'), *inputs)
    self.compared[kind] = self.compared.get(kind, 0) + 1
    return theirs

  def finish(self, least):
    total = sum(self.compared.values())
    print(f'{self.name}: {total} models compared, {len(self.failures)} differences')
    for kind, count in sorted(self.compared.items()):
      print(f'  {kind}: {count}')
    for kind, why in sorted(self.refused.items()):
      print(f'  LiteRT refused some {kind}: {why.splitlines()[0][:160]}')
    for failure in self.failures[:40]:
      print(f'DIFFERENT {failure}')
    if total < least:
      print(f'only {total} of at least {least} comparisons were made')
    sys.exit(1 if self.failures or total < least else 0)


def random_scale(rng, low=-3.0, high=0.0):
  return float(np.float32(10.0 ** rng.uniform(low, high)))


def nearest_power(x):
  return 2.0 ** round(math.log2(x))
