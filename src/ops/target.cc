#include "ops/target.h"

#include <algorithm>
#include <array>
#include <utility>

#include "ops/op.h"

namespace litesmith {
namespace {

// The newest version of an operator, and types: of its data operand, or "input/weights/bias", or
// "*" for any. LiteRT's from the kernels and resolvers of 2.3; tflite-micro's by running files in
// its interpreter (tests/peers/test_targets.py), with the method and the sizes from its headers.
struct Row {
  schema::BuiltinOperator op;
  int newest;
  const char* litert;
  const char* tflm;
  TflmKernel kernel = {};
};

// clang-format off
constexpr Row kRows[] = {
    {schema::BuiltinOperator_ABS, 5, "f32 s8 s16 s32", "f32 s8 s16", {"AddAbs", 0, 0, 28, 28}},
    {schema::BuiltinOperator_ADD, 6, "f32 s8 u8 s16 s32 s64", "f32 s8 s16 s32", {"AddAdd", 8, 8, 60, 60}},
    {schema::BuiltinOperator_ADD_N, 1, "f32 s32", "f32 s8", {"AddAddN", 0, 0, 40, 40}},
    {schema::BuiltinOperator_ARG_MAX, 3, "f32 u8 s8 s32 b", "f32 s8", {"AddArgMax", 4, 4, 0, 0}},
    {schema::BuiltinOperator_ARG_MIN, 3, "f32 u8 s8 s32 b", "f32 s8", {"AddArgMin", 4, 4, 0, 0}},
    {schema::BuiltinOperator_ASSIGN_VARIABLE, 1, "*", "*", {"AddAssignVariable", 0, 0, 4, 4}},
    {schema::BuiltinOperator_ATAN2, 1, "f32", ""},
    {schema::BuiltinOperator_AVERAGE_POOL_2D, 3, "f32 u8 s8 s16", "f32 s8 s16", {"AddAveragePool2D", 40, 40, 32, 32}},
    {schema::BuiltinOperator_BATCH_MATMUL, 4, "f32/f32 f32/s8 s8/s8 s16/s16 s32/s32", "f32/f32 s8/s8 s16/s16", {"AddBatchMatMul", 3, 3, 16, 32}},
    {schema::BuiltinOperator_BATCH_TO_SPACE_ND, 4, "f32 u8 s8 s16 s32 s64", "f32 s8", {"AddBatchToSpaceNd"}},
    {schema::BuiltinOperator_BIDIRECTIONAL_SEQUENCE_LSTM, 3, "f32", ""},
    {schema::BuiltinOperator_BITWISE_XOR, 1, "u8 s8 s16 u16 s32 u32", ""},
    {schema::BuiltinOperator_BROADCAST_ARGS, 1, "s32 s64", "s32 s64", {"AddBroadcastArgs"}},
    {schema::BuiltinOperator_BROADCAST_TO, 4, "*", "f32 s8 s16 s32", {"AddBroadcastTo"}},
    {schema::BuiltinOperator_BUCKETIZE, 1, "*", ""},
    {schema::BuiltinOperator_CALL_ONCE, 1, "*", "*", {"AddCallOnce", 4, 4, 8, 8}},
    {schema::BuiltinOperator_CAST, 9, "*", "*", {"AddCast", 8, 8, 0, 0}},
    {schema::BuiltinOperator_CEIL, 1, "f32", "f32", {"AddCeil"}},
    {schema::BuiltinOperator_CONCATENATION, 7, "*", "f32 s8 s16 s32 s64 b", {"AddConcatenation", 8, 8, 64, 80}},
    {schema::BuiltinOperator_CONV_2D, 8, "f32/f32 f32/s8 f32/s4 u8/u8/s32 s8/s8/s32 s8/s4/s32 s16/s8/s64 s16/s8/s32", "f32/f32 s8/s8/s32 s8/s4/s32 s16/s8/s64 s16/s8/s32", {"AddConv2D", 28, 28, 64, 80}},
    {schema::BuiltinOperator_CONV_3D, 1, "f32/f32", ""},
    {schema::BuiltinOperator_CONV_3D_TRANSPOSE, 1, "f32", ""},
    {schema::BuiltinOperator_COS, 1, "f32", "f32", {"AddCos"}},
    {schema::BuiltinOperator_CUMSUM, 1, "f32 s32 s64", "f32 s8", {"AddCumSum", 2, 2, 36, 36}},
    {schema::BuiltinOperator_DENSIFY, 1, "f32 f16 s8", ""},
    {schema::BuiltinOperator_DEPTHWISE_CONV_2D, 7, "f32/f32 f32/s8 u8/u8/s32 s8/s8/s32 s8/s4/s32 s16/s8/s64", "f32/f32 s8/s8/s32 s8/s4/s32 s16/s8/s64", {"AddDepthwiseConv2D", 28, 28, 64, 80}},
    {schema::BuiltinOperator_DEPTH_TO_SPACE, 2, "f32 u8 s8 s32 s64", "f32 s8", {"AddDepthToSpace", 4, 4, 0, 0}},
    {schema::BuiltinOperator_DEQUANTIZE, 9, "u8 s8 s16 f16 s4 u4 s2", "u8 s8 s16", {"AddDequantize", 0, 0, 32, 32}},
    {schema::BuiltinOperator_DIV, 2, "f32 u8 s8 s16 s32", "f32 s8", {"AddDiv", 4, 4, 28, 28}},
    {schema::BuiltinOperator_DYNAMIC_UPDATE_SLICE, 6, "*", "f32 s8 s16 s32", {"AddDynamicUpdateSlice"}},
    {schema::BuiltinOperator_ELU, 1, "f32 s8", "f32 s8", {"AddElu", 0, 0, 256, 256}},
    {schema::BuiltinOperator_EMBEDDING_LOOKUP, 5, "*", "f32 s8", {"AddEmbeddingLookup", 0, 0, 8, 16}},
    {schema::BuiltinOperator_EQUAL, 5, "*", "f32 s8 s32 s64 b", {"AddEqual", 0, 0, 32, 32}},
    {schema::BuiltinOperator_EXP, 2, "f32 s8 s16", "f32", {"AddExp"}},
    {schema::BuiltinOperator_EXPAND_DIMS, 1, "*", "f32 s8 s16 s32", {"AddExpandDims"}},
    {schema::BuiltinOperator_FILL, 5, "*", "f32 s8 s16 s32", {"AddFill"}},
    {schema::BuiltinOperator_FLOOR, 1, "f32", "f32", {"AddFloor"}},
    {schema::BuiltinOperator_FLOOR_DIV, 3, "f32 s8 s16 s32", "f32", {"AddFloorDiv"}},
    {schema::BuiltinOperator_FLOOR_MOD, 2, "f32 s8 s16 s32 s64", "f32", {"AddFloorMod"}},
    {schema::BuiltinOperator_FULLY_CONNECTED, 14, "f32/f32 f32/s8 f32/s4 u8/u8/s32 s8/s8/s32 s8/s4/s32 s16/s8/s64 s16/s8/s32 s16/s4/s64", "f32/f32 s8/s8/s32 s8/s4/s32 s16/s8/s64 s16/s8/s32", {"AddFullyConnected", 24, 32, 56, 72}},
    {schema::BuiltinOperator_GATHER, 8, "*", "f32 s8", {"AddGather", 8, 8, 0, 0}},
    {schema::BuiltinOperator_GATHER_ND, 6, "*", "f32 s8", {"AddGatherNd"}},
    {schema::BuiltinOperator_GELU, 3, "f32 u8 s8 s16", ""},
    {schema::BuiltinOperator_GREATER, 2, "f32 u8 s8 s32 s64", "f32 s8 s32 s64", {"AddGreater", 0, 0, 32, 32}},
    {schema::BuiltinOperator_GREATER_EQUAL, 3, "f32 u8 s8 s32 s64", "f32 s8 s32 s64", {"AddGreaterEqual", 0, 0, 32, 32}},
    {schema::BuiltinOperator_HARD_SWISH, 1, "f32 u8 s8", "f32 s8", {"AddHardSwish", 0, 0, 20, 20}},
    {schema::BuiltinOperator_IF, 1, "*", "*", {"AddIf", 8, 8, 8, 8}},
    {schema::BuiltinOperator_L2_NORMALIZATION, 2, "f32 u8 s8", "f32 s8", {"AddL2Normalization", 4, 4, 4, 4}},
    {schema::BuiltinOperator_L2_POOL_2D, 1, "f32", "f32", {"AddL2Pool2D", 40, 40, 0, 0}},
    {schema::BuiltinOperator_LEAKY_RELU, 2, "f32 u8 s8 s16", "f32 s8 s16", {"AddLeakyRelu", 4, 4, 24, 24}},
    {schema::BuiltinOperator_LESS, 3, "f32 u8 s8 s32 s64", "f32 s8 s32 s64", {"AddLess", 0, 0, 32, 32}},
    {schema::BuiltinOperator_LESS_EQUAL, 3, "f32 u8 s8 s32 s64", "f32 s8 s32 s64", {"AddLessEqual", 0, 0, 32, 32}},
    {schema::BuiltinOperator_LOCAL_RESPONSE_NORMALIZATION, 1, "f32", ""},
    {schema::BuiltinOperator_LOG, 2, "f32 s8 s16", "f32", {"AddLog"}},
    {schema::BuiltinOperator_LOGICAL_AND, 1, "b", "b", {"AddLogicalAnd"}},
    {schema::BuiltinOperator_LOGICAL_NOT, 1, "b", "b", {"AddLogicalNot"}},
    {schema::BuiltinOperator_LOGICAL_OR, 1, "b", "b", {"AddLogicalOr"}},
    {schema::BuiltinOperator_LOGISTIC, 3, "f32 u8 s8 s16", "f32 s8 s16", {"AddLogistic", 0, 0, 16, 16}},
    {schema::BuiltinOperator_LOG_SOFTMAX, 2, "f32 u8 s8", "f32 s8", {"AddLogSoftmax", 0, 0, 28, 40}},
    {schema::BuiltinOperator_LSTM, 4, "f32/f32 f32/s8 s8/s8", ""},
    {schema::BuiltinOperator_MAXIMUM, 4, "f32 u8 s8 s16 s32 s64", "f32 s8 s16 s32 s64", {"AddMaximum"}},
    {schema::BuiltinOperator_MAX_POOL_2D, 3, "f32 u8 s8 s16", "f32 s8 s16", {"AddMaxPool2D", 40, 40, 32, 32}},
    {schema::BuiltinOperator_MEAN, 3, "f32 u8 s8 s16 s32 s64", "f32 s8 s16", {"AddMean", 1, 1, 44, 44}},
    {schema::BuiltinOperator_MINIMUM, 4, "f32 u8 s8 s16 s32 s64", "f32 s8 s16 s32 s64", {"AddMinimum"}},
    {schema::BuiltinOperator_MIRROR_PAD, 3, "*", "f32 s8", {"AddMirrorPad", 4, 4, 20, 20}},
    {schema::BuiltinOperator_MUL, 8, "f32 u8 s8 s16 s32 s64", "f32 s8 s16 s32", {"AddMul", 4, 4, 36, 36}},
    {schema::BuiltinOperator_NEG, 1, "f32 s32 s64", "f32", {"AddNeg"}},
    {schema::BuiltinOperator_NON_MAX_SUPPRESSION_V4, 1, "f32", ""},
    {schema::BuiltinOperator_NON_MAX_SUPPRESSION_V5, 1, "f32", ""},
    {schema::BuiltinOperator_NOT_EQUAL, 4, "*", "f32 s8 s32 s64 b", {"AddNotEqual", 0, 0, 32, 32}},
    {schema::BuiltinOperator_ONE_HOT, 1, "f32 s8 u8 s32 s64 b", ""},
    {schema::BuiltinOperator_PACK, 6, "*", "f32 s8 s16 s32 s64", {"AddPack", 8, 8, 0, 0}},
    {schema::BuiltinOperator_PAD, 6, "*", "f32 s8 s16 s32", {"AddPad", 0, 0, 56, 56}},
    {schema::BuiltinOperator_PADV2, 6, "*", "f32 s8 s16 s32", {"AddPadV2", 0, 0, 56, 56}},
    {schema::BuiltinOperator_POW, 1, "f32 s32", ""},
    {schema::BuiltinOperator_PRELU, 1, "f32 u8 s8", "f32 s8", {"AddPrelu", 0, 0, 28, 28}},
    {schema::BuiltinOperator_QUANTIZE, 6, "f32 u8 s8 s16 s32", "f32 s8 s16 s32", {"AddQuantize", 0, 0, 32, 32}},
    {schema::BuiltinOperator_RANGE, 2, "f32 s32 s64", ""},
    {schema::BuiltinOperator_RANK, 1, "*", ""},
    {schema::BuiltinOperator_READ_VARIABLE, 1, "*", "*", {"AddReadVariable"}},
    {schema::BuiltinOperator_REDUCE_ALL, 1, "b", "b", {"AddReduceAll", 1, 1, 44, 44}},
    {schema::BuiltinOperator_REDUCE_ANY, 1, "b", ""},
    {schema::BuiltinOperator_REDUCE_MAX, 3, "f32 u8 s8 s16 s32 s64", "f32 s8", {"AddReduceMax", 1, 1, 44, 44}},
    {schema::BuiltinOperator_REDUCE_MIN, 3, "f32 u8 s8 s16 s32 s64", "f32 s8", {"AddReduceMin", 1, 1, 44, 44}},
    {schema::BuiltinOperator_REDUCE_PROD, 2, "f32 s8 s16 s32 s64", ""},
    {schema::BuiltinOperator_RELU, 3, "f32 u8 s8 s16", "f32 s8 s16", {"AddRelu", 0, 0, 28, 28}},
    {schema::BuiltinOperator_RELU6, 3, "f32 u8 s8 s16", "f32 s8 s16", {"AddRelu6", 0, 0, 8, 8}},
    {schema::BuiltinOperator_RELU_0_TO_1, 1, "f32 u8 s8", ""},
    {schema::BuiltinOperator_RELU_N1_TO_1, 1, "f32 u8 s8", ""},
    {schema::BuiltinOperator_RESHAPE, 1, "*", "*", {"AddReshape", 36, 36, 0, 0}},
    {schema::BuiltinOperator_RESIZE_BILINEAR, 4, "f32 u8 s8 s16", "f32 s8", {"AddResizeBilinear", 2, 2, 0, 0}},
    {schema::BuiltinOperator_RESIZE_NEAREST_NEIGHBOR, 4, "*", "f32 s8 s16", {"AddResizeNearestNeighbor", 2, 2, 0, 0}},
    {schema::BuiltinOperator_REVERSE_SEQUENCE, 1, "f32 u8 s16 s32 s64", ""},
    {schema::BuiltinOperator_REVERSE_V2, 4, "*", "f32 s8 s16 s32", {"AddReverseV2"}},
    {schema::BuiltinOperator_RIGHT_SHIFT, 1, "u8 s8 s16 u16 s32 u32", ""},
    {schema::BuiltinOperator_ROUND, 1, "f32", "f32", {"AddRound"}},
    {schema::BuiltinOperator_RSQRT, 3, "f32 s8 s16", "f32 s8 s16", {"AddRsqrt", 0, 0, 28, 28}},
    {schema::BuiltinOperator_SCATTER_ND, 1, "f32 s8 u8 s32 s64 b", ""},
    {schema::BuiltinOperator_SELECT, 4, "*", ""},
    {schema::BuiltinOperator_SELECT_V2, 2, "*", "f32 s8 s16", {"AddSelectV2", 0, 0, 1, 1}},
    {schema::BuiltinOperator_SHAPE, 1, "*", "*", {"AddShape", 4, 4, 0, 0}},
    {schema::BuiltinOperator_SIGN, 2, "f32 s32", ""},
    {schema::BuiltinOperator_SIN, 1, "f32", "f32", {"AddSin"}},
    {schema::BuiltinOperator_SLICE, 8, "*", "f32 s8 s16 s32 b", {"AddSlice"}},
    {schema::BuiltinOperator_SOFTMAX, 4, "f32 u8 s8 s16", "f32 s8 s16", {"AddSoftmax", 4, 4, 56, 80}},
    {schema::BuiltinOperator_SPACE_TO_BATCH_ND, 4, "f32 u8 s8 s16 s32 s64", "f32 s8", {"AddSpaceToBatchNd", 0, 0, 4, 4}},
    {schema::BuiltinOperator_SPACE_TO_DEPTH, 2, "f32 u8 s8 s32 s64", "f32 s8", {"AddSpaceToDepth", 4, 4, 0, 0}},
    {schema::BuiltinOperator_SPLIT, 5, "*", "f32 s8 s16 s32", {"AddSplit", 4, 4, 0, 0}},
    {schema::BuiltinOperator_SPLIT_V, 3, "*", "f32 s8 s16 s32", {"AddSplitV", 4, 4, 0, 0}},
    {schema::BuiltinOperator_SQRT, 2, "f32 s8 s16", "f32", {"AddSqrt"}},
    {schema::BuiltinOperator_SQUARE, 1, "f32", "f32", {"AddSquare"}},
    {schema::BuiltinOperator_SQUARED_DIFFERENCE, 2, "f32 s8 s32", "f32 s8 s32", {"AddSquaredDifference", 0, 0, 112, 112}},
    {schema::BuiltinOperator_SQUEEZE, 2, "*", "*", {"AddSqueeze", 36, 36, 0, 0}},
    {schema::BuiltinOperator_STRIDED_SLICE, 8, "*", "f32 s8 s16 s32 b", {"AddStridedSlice", 24, 24, 84, 84}},
    {schema::BuiltinOperator_SUB, 5, "f32 u8 s8 s16 s32 s64", "f32 s8 s16 s32", {"AddSub", 8, 8, 52, 52}},
    {schema::BuiltinOperator_SUM, 2, "f32 u8 s8 s32 s64", "f32 s8 s16 s32", {"AddSum", 1, 1, 44, 44}},
    {schema::BuiltinOperator_SVDF, 4, "f32/f32 f32/s8 s8/s8", "f32/f32 s8/s8", {"AddSvdf", 12, 12, 36, 36}},
    {schema::BuiltinOperator_TANH, 3, "f32 u8 s8 s16", "f32 s8 s16", {"AddTanh", 0, 0, 16, 16}},
    {schema::BuiltinOperator_TILE, 3, "*", ""},
    {schema::BuiltinOperator_TOPK_V2, 3, "*", ""},
    {schema::BuiltinOperator_TRANSPOSE, 9, "*", "f32 s8 s16", {"AddTranspose"}},
    {schema::BuiltinOperator_TRANSPOSE_CONV, 5, "f32/f32 u8/u8/s32 s8/s8/s32 s16/s8/s64 s16/s8/s32", "f32/f32 s8/s8/s32 s16/s8/s64 s16/s8/s32", {"AddTransposeConv", 20, 20, 80, 88}},
    {schema::BuiltinOperator_UNIDIRECTIONAL_SEQUENCE_LSTM, 5, "f32/f32 f32/s8 s8/s8", "f32/f32 s8/s8 s16/s8", {"AddUnidirectionalSequenceLSTM", 16, 16, 688, 688}},
    {schema::BuiltinOperator_UNIDIRECTIONAL_SEQUENCE_RNN, 3, "f32/f32 f32/s8", ""},
    {schema::BuiltinOperator_UNIQUE, 1, "f32 s8 u8 s16 s32 s64", ""},
    {schema::BuiltinOperator_UNPACK, 6, "*", "f32 s8 s16 s32", {"AddUnpack", 8, 8, 0, 0}},
    {schema::BuiltinOperator_VAR_HANDLE, 1, "*", "*", {"AddVarHandle", 8, 16, 4, 4}},
    {schema::BuiltinOperator_WHERE, 2, "f32 s8 u8 s32 u32 s64 b", ""},
    {schema::BuiltinOperator_WHILE, 1, "*", "*", {"AddWhile", 8, 8, 8, 8}},
    {schema::BuiltinOperator_ZEROS_LIKE, 1, "f32 s32 s64", "f32 s8 s32 s64", {"AddZerosLike"}},
};
// clang-format on

const Row* FindRow(schema::BuiltinOperator op) {
  const Row* found = std::find_if(std::begin(kRows), std::end(kRows),
                                  [op](const Row& row) { return row.op == op; });
  return found == std::end(kRows) ? nullptr : found;
}

std::string Short(TensorType type) {
  switch (type) {
    case schema::TensorType_FLOAT32:
      return "f32";
    case schema::TensorType_FLOAT16:
      return "f16";
    case schema::TensorType_INT8:
      return "s8";
    case schema::TensorType_UINT8:
      return "u8";
    case schema::TensorType_INT16:
      return "s16";
    case schema::TensorType_UINT16:
      return "u16";
    case schema::TensorType_INT32:
      return "s32";
    case schema::TensorType_UINT32:
      return "u32";
    case schema::TensorType_INT64:
      return "s64";
    case schema::TensorType_INT4:
      return "s4";
    case schema::TensorType_UINT4:
      return "u4";
    case schema::TensorType_INT2:
      return "s2";
    case schema::TensorType_BOOL:
      return "b";
    default:
      return TypeName(type);
  }
}

constexpr size_t kNone = SIZE_MAX;

// Which operands a row's types are of.
struct Operands {
  size_t input = 0, weights = 1, bias = 2;
};
Operands OperandsOf(schema::BuiltinOperator op) {
  switch (op) {
    case schema::BuiltinOperator_TRANSPOSE_CONV:
      return {2, 1, 3};
    case schema::BuiltinOperator_SPLIT:
    case schema::BuiltinOperator_SELECT:
    case schema::BuiltinOperator_SELECT_V2:
    case schema::BuiltinOperator_FILL:
    case schema::BuiltinOperator_SCATTER_ND:
    case schema::BuiltinOperator_EMBEDDING_LOOKUP:
      return {1, 2, 3};
    case schema::BuiltinOperator_ONE_HOT:
      return {2, 3, 4};
    // The first weights of an LSTM may be left out; no bias is asked for here.
    case schema::BuiltinOperator_LSTM:
    case schema::BuiltinOperator_UNIDIRECTIONAL_SEQUENCE_LSTM:
      return {0, 2, kNone};
    case schema::BuiltinOperator_SVDF:
    case schema::BuiltinOperator_UNIDIRECTIONAL_SEQUENCE_RNN:
      return {0, 1, kNone};
    default:
      return {};
  }
}

bool Lists(std::string_view types, std::string_view wanted) {
  while (!types.empty()) {
    const size_t space = std::min(types.find(' '), types.size());
    const std::string_view token = types.substr(0, space);
    // A node without a bias fits a row with one.
    const bool fits = token == wanted ||
                      (token.size() > wanted.size() && token.substr(0, wanted.size()) == wanted &&
                       token[wanted.size()] == '/' && wanted.find('/') != std::string_view::npos);
    if (fits) return true;
    types.remove_prefix(std::min(space + 1, types.size()));
  }
  return false;
}

// "s8", or "s16/s8/s64" for the operators whose row has weights.
std::string TypesOf(const Subgraph& subgraph, const Node& node, bool weighted) {
  const Operands operands = OperandsOf(node.op);
  const auto type = [&](size_t i) {
    const int32_t t = node.input(i);
    return t < 0 ? std::string() : Short(subgraph.tensors[static_cast<size_t>(t)].type);
  };
  std::string out = type(operands.input);
  if (!weighted) return out;
  out += "/" + type(operands.weights);
  // Only integer products have a bias of another type than the input.
  const std::string bias = type(operands.bias);
  if (!bias.empty() && bias != "f32") out += "/" + bias;
  return out;
}

// Whether a row lists a type for the input, or for input and weights.
bool ListsInput(std::string_view types, std::string_view wanted) {
  if (types == "*") return wanted.find('/') == std::string_view::npos;
  while (!types.empty()) {
    const size_t space = std::min(types.find(' '), types.size());
    const std::string_view token = types.substr(0, space);
    const bool begins = token.substr(0, wanted.size()) == wanted;
    if (begins && (token.size() == wanted.size() || token[wanted.size()] == '/')) return true;
    types.remove_prefix(std::min(space + 1, types.size()));
  }
  return false;
}

const char* TargetName(Target target) {
  return target == Target::kLitert ? "litert" : target == Target::kTflm ? "tflm" : "litesmith";
}

}  // namespace

absl::StatusOr<Target> FindTarget(std::string_view name) {
  for (const Target target : {Target::kLitert, Target::kTflm, Target::kLitesmith}) {
    if (name == TargetName(target)) return target;
  }
  return Invalid("there is no target '{}'; choose one of litert, tflm, litesmith", Printable(name));
}

const TflmKernel* FindTflmKernel(const Node& node) {
  // The only custom operator that both know.
  static constexpr TflmKernel kDetection = {"AddDetectionPostprocess", 0, 0, 112, 112};
  if (node.op == schema::BuiltinOperator_CUSTOM) {
    return node.custom_code == "TFLite_Detection_PostProcess" ? &kDetection : nullptr;
  }
  const Row* row = FindRow(node.op);
  return row == nullptr || *row->kernel.add == '\0' ? nullptr : &row->kernel;
}

std::string TargetObstacle(const Subgraph& subgraph, const Node& node, Target target) {
  if (node.op == schema::BuiltinOperator_CUSTOM) return "";
  if (target == Target::kLitesmith) {
    const OpRecord* op = FindOp(node);
    return op == nullptr || op->prepare == nullptr ? "litesmith has no kernel for it" : "";
  }
  const Row* row = FindRow(node.op);
  const std::string_view types = row == nullptr              ? ""
                                 : target == Target::kLitert ? row->litert
                                                             : row->tflm;
  // What the table does not list is carried through; LiteRT has kernels for all of TFLite.
  if (row == nullptr && target == Target::kLitert) return "";
  if (types.empty()) return fmt::format("{} has no such operator", TargetName(target));
  // tflite-micro does not look at versions, so that a newer one would be misread there.
  if (node.version > row->newest) {
    return fmt::format("{} knows versions up to {}, this is {}", TargetName(target), row->newest,
                       node.version);
  }
  constexpr size_t kMostTransposed = 5;
  if (target == Target::kTflm && node.op == schema::BuiltinOperator_TRANSPOSE &&
      subgraph.tensors[static_cast<size_t>(node.outputs[0])].shape.size() > kMostTransposed) {
    return fmt::format("tflm transposes up to {} dimensions", kMostTransposed);
  }
  if (types == "*") return "";
  const std::string used = TypesOf(subgraph, node, types.find('/') != std::string_view::npos);
  if (used.empty() || Lists(types, used)) return "";
  return fmt::format("{} has no kernel for {}, it has {}", TargetName(target), used, types);
}

std::vector<std::string> TargetModes(schema::BuiltinOperator op, Target target) {
  constexpr std::pair<const char*, const char*> kModes[] = {
      {"f32", "float32"}, {"s8", "int8"}, {"s16", "int16x8"}, {"s8/s4", "int4"}};
  const Row* row = FindRow(op);
  std::vector<std::string> out;
  if (row == nullptr || target == Target::kLitesmith) return out;
  const std::string_view types = target == Target::kLitert ? row->litert : row->tflm;
  for (const auto& [type, mode] : kModes) {
    if (ListsInput(types, type)) out.push_back(mode);
  }
  if (out.empty() && !types.empty()) out.push_back("integer");
  return out;
}

absl::Status CheckTarget(const Graph& graph, Target target) {
  constexpr int kListed = 20;
  std::string list;
  int count = 0;
  for (const Subgraph& subgraph : graph.subgraphs) {
    for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
      const std::string obstacle = TargetObstacle(subgraph, subgraph.nodes[n], target);
      if (obstacle.empty()) continue;
      if (++count <= kListed) {
        list += fmt::format("{}{}: {}", list.empty() ? "" : "; ", NodeLabel(subgraph, n), obstacle);
      }
    }
  }
  if (count == 0) return absl::OkStatus();
  if (count > kListed) list += fmt::format("; and {} more", count - kListed);
  return Unsupported(
      "the target {} cannot run {} ({}); choose another recipe, --keep-float or "
      "another --target",
      TargetName(target), count == 1 ? "one node" : fmt::format("{} nodes", count), list);
}

}  // namespace litesmith
