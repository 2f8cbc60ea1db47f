"""Every operator with every type of element, against LiteRT: what LiteRT runs must run here, with its result.

Types that LiteRT refuses are not counted. `test_types.py OP` tries one operator.
"""

import sys

import numpy as np

from litert_peer import ModelBuilder, Peer, PeerRefuses, run_litert

TYPES = ['float32', 'float16', 'int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32', 'int64', 'bool']
QUANTIZED = {'int8': 0.05, 'uint8': 0.05, 'int16': 0.002}
FIXED = {'LOGISTIC': (1 / 256, -128), 'SOFTMAX': (1 / 256, -128), 'TANH': (1 / 128, 0),
         'LOG_SOFTMAX': (16 / 256, 127), 'L2_NORMALIZATION': (1 / 128, 0)}
CASES = {}


def case(*names, types=TYPES):
  def register(make):
    for name in names:
      CASES[name] = (make, types)
    return make
  return register


class Make(ModelBuilder):
  """A model of one operator on elements of one type."""

  def __init__(self, rng, op, dtype):
    super().__init__()
    self.rng, self.op, self.dtype, self.arrays = rng, op, dtype, []
    self.int32_scale = None

  def quant(self, dtype, scale=None, zero=None):
    if dtype == 'int32' and self.int32_scale:
      return {'scale': self.int32_scale, 'zero_point': 0}
    if dtype not in QUANTIZED:
      return {}
    zero = {'int8': 3, 'uint8': 128, 'int16': 0}[dtype] if zero is None else zero
    return {'scale': scale or QUANTIZED[dtype], 'zero_point': zero}

  def values(self, dtype, shape, low=None, high=None):
    if dtype.startswith('float'):
      return (self.rng.uniform(low or -2, high or 2, shape)).astype(dtype)
    if dtype == 'bool':
      return self.rng.random(shape) < 0.5
    info = np.iinfo(dtype)
    low = max(info.min, -100 if low is None else low)
    high = min(info.max, 100 if high is None else high)
    return self.rng.integers(low, high, shape, endpoint=True).astype(dtype)

  def put(self, shape, dtype=None, low=None, high=None):
    dtype = dtype or self.dtype
    self.arrays.append(self.values(dtype, shape, low, high))
    return self.input(dtype, shape, **self.quant(dtype))

  def out(self, shape, dtype=None):
    dtype = dtype or self.dtype
    scale, zero = FIXED.get(self.op, (None, None))
    if dtype == 'uint8' and zero is not None:
      zero = 0 if zero == -128 else 255 if zero == 127 else 128
    if dtype == 'int16' and scale:
      scale, zero = 1 / 32768, 0
    return self.output(dtype, shape, **self.quant(dtype, scale, zero))

  def indices(self, data, dtype='int32'):
    data = np.asarray(data, dtype)
    return self.tensor(dtype, data.shape, data=data)

  def add(self, inputs, outputs, options=None, **fields):
    version = 2 if self.op == 'BROADCAST_TO' else 1
    self.node(self.op, inputs, outputs, options, version, **fields)


POSITIVE = ('SQRT', 'RSQRT', 'LOG', 'POW', 'DIV', 'FLOOR_DIV', 'FLOOR_MOD', 'RIGHT_SHIFT')


def camel(op):
  return ''.join(w.capitalize() for w in op.split('_')) + 'Options'


@case('ABS', 'NEG', 'SQUARE', 'SQRT', 'RSQRT', 'EXP', 'LOG', 'SIN', 'COS', 'FLOOR', 'CEIL', 'ROUND',
      'SIGN', 'ZEROS_LIKE', 'RELU', 'RELU6', 'RELU_N1_TO_1', 'RELU_0_TO_1', 'LEAKY_RELU', 'ELU',
      'GELU', 'HARD_SWISH', 'LOGISTIC', 'TANH', 'SOFTMAX', 'LOG_SOFTMAX', 'L2_NORMALIZATION',
      'LOGICAL_NOT')
def unary(m):
  low = 0.1 if m.op in POSITIVE and m.dtype.startswith('float') else 4 if m.op in POSITIVE else None
  x = m.put([2, 3, 4, 5], low=low)
  options, fields = None, {}
  if m.op == 'LEAKY_RELU':
    options, fields = 'LeakyReluOptions', {'alpha': 0.25}
  elif m.op == 'SOFTMAX':
    options, fields = 'SoftmaxOptions', {'beta': 1.0}
  elif m.op == 'L2_NORMALIZATION':
    options = 'L2NormOptions'
  m.add([x], [m.out([2, 3, 4, 5])], options, **fields)


@case('ADD', 'SUB', 'MUL', 'DIV', 'FLOOR_DIV', 'FLOOR_MOD', 'MAXIMUM', 'MINIMUM',
      'SQUARED_DIFFERENCE', 'POW', 'LOGICAL_AND', 'LOGICAL_OR', 'BITWISE_XOR', 'RIGHT_SHIFT')
def binary(m):
  positive = m.op in POSITIVE
  if m.dtype.startswith('float'):
    bounds = (0.2, 2.0) if positive else (None, None)
  else:
    bounds = (1, 5) if positive else (None, None)
  a, b = m.put([2, 3, 4], low=bounds[0], high=bounds[1]), m.put([3, 1], low=bounds[0],
                                                                 high=bounds[1])
  options = {'ADD': 'AddOptions', 'SUB': 'SubOptions', 'MUL': 'MulOptions', 'DIV': 'DivOptions',
             'POW': 'PowOptions'}.get(m.op)
  m.add([a, b], [m.out([2, 3, 4])], options)


@case('EQUAL', 'NOT_EQUAL', 'GREATER', 'GREATER_EQUAL', 'LESS', 'LESS_EQUAL')
def comparison(m):
  m.add([m.put([2, 3, 4], high=3), m.put([3, 1], high=3)], [m.out([2, 3, 4], 'bool')])


@case('ADD_N')
def add_n(m):
  m.add([m.put([2, 3]), m.put([2, 3]), m.put([2, 3])], [m.out([2, 3])], 'AddNOptions')


@case('SELECT', 'SELECT_V2')
def select(m):
  shape = [2, 3] if m.op == 'SELECT' else [3]
  m.add([m.put([2, 3], 'bool'), m.put([2, 3]), m.put(shape)], [m.out([2, 3])])


@case('WHERE')
def where(m):
  m.add([m.put([3, 4], low=0, high=1)], [m.out([1, 2], 'int64')])


@case('PRELU')
def prelu(m):
  alpha = 'int8' if m.dtype == 'int16' else m.dtype
  m.add([m.put([1, 2, 3, 4]), m.put([1, 1, 4], alpha)], [m.out([1, 2, 3, 4])])


@case('MAX_POOL_2D', 'AVERAGE_POOL_2D')
def pool(m):
  m.add([m.put([1, 5, 6, 3])], [m.out([1, 2, 3, 3])], 'Pool2DOptions', padding=1, strideW=2,
        strideH=2, filterWidth=2, filterHeight=3)


@case('LOCAL_RESPONSE_NORMALIZATION')
def lrn(m):
  m.add([m.put([1, 2, 2, 7])], [m.out([1, 2, 2, 7])], 'LocalResponseNormalizationOptions', radius=2,
        bias=1.0, alpha=0.3, beta=0.6)


@case('MEAN', 'SUM', 'REDUCE_MAX', 'REDUCE_MIN', 'REDUCE_PROD', 'REDUCE_ANY', 'REDUCE_ALL')
def reduce(m):
  m.add([m.put([2, 3, 4], low=1, high=3), m.indices([1])], [m.out([2, 4])], 'ReducerOptions')


@case('ARG_MAX', 'ARG_MIN')
def arg(m):
  options = 'ArgMaxOptions' if m.op == 'ARG_MAX' else 'ArgMinOptions'
  m.add([m.put([2, 3, 4]), m.indices([1])], [m.out([2, 4], 'int32')], options, outputType=2)


@case('CUMSUM')
def cumsum(m):
  m.add([m.put([2, 3, 4], high=5), m.indices([1])], [m.out([2, 3, 4])], 'CumsumOptions')


@case('TOPK_V2')
def top_k(m):
  m.add([m.put([3, 7]), m.indices(2)], [m.out([3, 2]), m.out([3, 2], 'int32')], 'TopKV2Options')


@case('RESHAPE', 'SQUEEZE')
def reshape(m):
  m.add([m.put([2, 1, 6])] + ([m.indices([2, 6])] if m.op == 'RESHAPE' else []), [m.out([2, 6])],
        'ReshapeOptions' if m.op == 'RESHAPE' else 'SqueezeOptions',
        **({'newShape': [2, 6]} if m.op == 'RESHAPE' else {'squeezeDims': [1]}))


@case('EXPAND_DIMS')
def expand(m):
  m.add([m.put([2, 3]), m.indices([1])], [m.out([2, 1, 3])], 'ExpandDimsOptions')


@case('TRANSPOSE')
def transpose(m):
  m.add([m.put([2, 3, 4]), m.indices([2, 0, 1])], [m.out([4, 2, 3])], 'TransposeOptions')


@case('PACK')
def pack(m):
  m.add([m.put([2, 3]), m.put([2, 3])], [m.out([2, 2, 3])], 'PackOptions', axis=1, valuesCount=2)


@case('UNPACK')
def unpack(m):
  m.add([m.put([2, 3])], [m.out([3]), m.out([3])], 'UnpackOptions', axis=0, num=2)


@case('CONCATENATION')
def concatenation(m):
  m.add([m.put([2, 3]), m.put([2, 1])], [m.out([2, 4])], 'ConcatenationOptions', axis=1)


@case('SPLIT', 'SPLIT_V')
def split(m):
  axis = m.indices(1)
  if m.op == 'SPLIT':
    m.add([axis, m.put([2, 4])], [m.out([2, 2]), m.out([2, 2])], 'SplitOptions', numSplits=2)
  else:
    m.add([m.put([2, 4]), m.indices([1, 3]), axis], [m.out([2, 1]), m.out([2, 3])], 'SplitVOptions',
          numSplits=2)


@case('SLICE')
def slices(m):
  m.add([m.put([3, 4]), m.indices([1, 0]), m.indices([2, 3])], [m.out([2, 3])], 'SliceOptions')


@case('STRIDED_SLICE')
def strided(m):
  m.add([m.put([3, 5]), m.indices([0, 4]), m.indices([3, 0]), m.indices([2, -2])], [m.out([2, 2])],
        'StridedSliceOptions')


@case('PAD', 'MIRROR_PAD')
def pad(m):
  options = {'PAD': ('PadOptions', {}), 'MIRROR_PAD': ('MirrorPadOptions', {'mode': 0})}[m.op]
  m.add([m.put([2, 3]), m.indices([[1, 0], [1, 2]])], [m.out([3, 6])], options[0], **options[1])


@case('PADV2')
def padv2(m):
  m.add([m.put([2, 3]), m.indices([[1, 0], [1, 2]]), m.put([1])], [m.out([3, 6])], 'PadV2Options')


@case('TILE')
def tile(m):
  m.add([m.put([2, 3]), m.indices([2, 1])], [m.out([4, 3])], 'TileOptions')


@case('BROADCAST_TO')
def broadcast(m):
  m.add([m.put([2, 1]), m.indices([3, 2, 4])], [m.out([3, 2, 4])], 'BroadcastToOptions')


@case('BROADCAST_ARGS', types=['int32', 'int64'])
def broadcast_args(m):
  m.add([m.indices([2, 1], m.dtype), m.indices([1, 3], m.dtype)], [m.out([2])])


@case('GATHER')
def gather(m):
  m.add([m.put([4, 3]), m.indices([2, 0, 3])], [m.out([3, 3])], 'GatherOptions', axis=0)


@case('GATHER_ND')
def gather_nd(m):
  m.add([m.put([4, 3]), m.indices([[2, 0], [3, 1]])], [m.out([2])], 'GatherNdOptions')


@case('SCATTER_ND')
def scatter_nd(m):
  m.add([m.indices([[2], [0]]), m.put([2, 3]), m.indices([4, 3])], [m.out([4, 3])],
        'ScatterNdOptions')


@case('REVERSE_V2')
def reverse(m):
  m.add([m.put([2, 3, 4]), m.indices([1])], [m.out([2, 3, 4])], 'ReverseV2Options')


@case('REVERSE_SEQUENCE')
def reverse_sequence(m):
  m.add([m.put([2, 3, 4]), m.indices([2, 3])], [m.out([2, 3, 4])], 'ReverseSequenceOptions',
        seqDim=1, batchDim=0)


@case('SPACE_TO_DEPTH')
def space_to_depth(m):
  m.add([m.put([1, 4, 4, 2])], [m.out([1, 2, 2, 8])], 'SpaceToDepthOptions', blockSize=2)


@case('DEPTH_TO_SPACE')
def depth_to_space(m):
  m.add([m.put([1, 2, 2, 8])], [m.out([1, 4, 4, 2])], 'DepthToSpaceOptions', blockSize=2)


@case('SPACE_TO_BATCH_ND')
def space_to_batch(m):
  m.add([m.put([1, 3, 4, 2]), m.indices([2, 2]), m.indices([[1, 0], [0, 0]])],
        [m.out([4, 2, 2, 2])], 'SpaceToBatchNDOptions')


@case('BATCH_TO_SPACE_ND')
def batch_to_space(m):
  m.add([m.put([4, 2, 2, 2]), m.indices([2, 2]), m.indices([[1, 0], [0, 0]])],
        [m.out([1, 3, 4, 2])], 'BatchToSpaceNDOptions')


@case('RESIZE_BILINEAR', 'RESIZE_NEAREST_NEIGHBOR')
def resize(m):
  options = 'ResizeBilinearOptions' if m.op == 'RESIZE_BILINEAR' else 'ResizeNearestNeighborOptions'
  m.add([m.put([1, 3, 4, 2]), m.indices([5, 6])], [m.out([1, 5, 6, 2])], options,
        halfPixelCenters=True)


@case('SHAPE')
def shape(m):
  m.add([m.put([2, 3])], [m.out([2], 'int32')], 'ShapeOptions', outType=2)


@case('RANK')
def rank(m):
  m.add([m.put([2, 3])], [m.out([], 'int32')], 'RankOptions')


@case('RANGE')
def ranges(m):
  def one(value):
    return m.tensor(m.dtype, [], data=np.asarray(value, m.dtype))
  m.add([one(1), one(9), one(2)], [m.out([4])], 'RangeOptions')


@case('FILL')
def fill(m):
  m.add([m.indices([2, 3]), m.put([])], [m.out([2, 3])], 'FillOptions')


@case('ONE_HOT')
def one_hot(m):
  m.add([m.indices([0, 2, 1]), m.indices(3), m.put([]), m.put([])], [m.out([3, 3])],
        'OneHotOptions', axis=-1)


@case('DYNAMIC_UPDATE_SLICE')
def update(m):
  m.add([m.put([4, 3]), m.put([2, 2]), m.indices([1, 1])], [m.out([4, 3])])


@case('UNIQUE')
def unique(m):
  m.add([m.put([9], low=0, high=3)], [m.out([1]), m.out([9], 'int32')], 'UniqueOptions',
        idxOutType=2)


@case('EMBEDDING_LOOKUP')
def embedding(m):
  table = m.tensor(m.dtype, [5, 3], data=m.values(m.dtype, [5, 3]), **m.quant(m.dtype, zero=0))
  m.arrays.append(np.array([4, 0, 2], np.int32))
  m.add([m.input('int32', [3]), table], [m.out([3, 3])])


@case('EMBEDDING_LOOKUP.float32', 'EMBEDDING_LOOKUP.float16', types=['int8'])
def embedding_hybrid(m):
  m.op, to = m.op.split('.')
  table = m.tensor(m.dtype, [5, 3], data=m.values(m.dtype, [5, 3]), **m.quant(m.dtype, zero=0))
  m.arrays.append(np.array([4, 0, 2], np.int32))
  m.add([m.input('int32', [3]), table], [m.out([3, 3], to)])


@case('BATCH_MATMUL')
def batch_matmul(m):
  m.add([m.put([2, 3, 4]), m.put([1, 4, 5])], [m.out([2, 3, 5])], 'BatchMatMulOptions')


def register_casts():
  for to in TYPES:
    def cast(m, to=to):
      m.op = 'CAST'
      m.add([m.put([2, 7])], [m.out([2, 7], to)], 'CastOptions')
    CASES[f'CAST.{to}'] = (cast, TYPES)
    def quantize(m, to=to):
      m.op = 'QUANTIZE'
      m.int32_scale = 0.01
      m.add([m.put([2, 7])], [m.out([2, 7], to)], 'QuantizeOptions')
    CASES[f'QUANTIZE.{to}'] = (quantize, TYPES)
    def dequantize(m, to=to):
      m.op = 'DEQUANTIZE'
      m.add([m.put([2, 7])], [m.out([2, 7], to)], 'DequantizeOptions')
    if to == 'float32':
      CASES[f'DEQUANTIZE.{to}'] = (dequantize, TYPES)


# LiteRT rounds to half after every inner step.
LOOSE = {name: {'relative': 2e-3, 'absolute': 1e-3} for name in ('GELU float16', 'SOFTMAX float16')}
# LiteRT reads memory it never wrote.
UNDEFINED = ('SUM int16',)
# The reference resolver has no such operator.
OPTIMIZED_ONLY = ('CEIL', 'ROUND', 'ELU')


def main():
  only = sys.argv[1] if len(sys.argv) > 1 else ''
  register_casts()
  peer = Peer('types')
  for name, (make, types) in CASES.items():
    if only and not name.startswith(only):
      continue
    for dtype in types:
      if f'{name} {dtype}' in UNDEFINED:
        continue
      m = Make(np.random.default_rng(7), name, dtype)
      make(m)
      peer.check(f'{name} {dtype}', m.build(), m.arrays, kernels=('reference',),
                 reference=name not in OPTIMIZED_ONLY, **LOOSE.get(f'{name} {dtype}', {}))
  peer.finish(0 if only else 400)


if __name__ == '__main__':
  main()
