#include "tflite/runtime_version.h"

#include <array>
#include <map>

namespace litesmith {
namespace {

// Since which TensorFlow Lite release each version of an operator exists: the first operator
// version known, then one release per version (LiteRT 2.3,
// converter/tools/versioning/runtime_version.cc).
struct Releases {
  schema::BuiltinOperator op;
  int first_version;
  const char* releases;
};

constexpr Releases kReleases[] = {
    {schema::BuiltinOperator_ADD, 1, "1.5.0 1.14.0 2.4.0 2.6.0 2.13.0 2.23.0"},
    {schema::BuiltinOperator_AVERAGE_POOL_2D, 1, "1.5.0 1.14.0 2.3.0"},
    {schema::BuiltinOperator_CONCATENATION, 1, "1.5.0 1.14.0 2.3.0 2.14.0 2.21.0 2.23.0 2.23.0"},
    {schema::BuiltinOperator_CONV_2D, 1, "1.5.0 1.14.0 1.14.0 2.3.0 2.4.0 2.9.0 2.11.0 2.15.0"},
    {schema::BuiltinOperator_DEPTHWISE_CONV_2D, 1, "1.5.0 1.12.0 1.14.0 2.2.0 2.3.0 2.3.0 2.11.0"},
    {schema::BuiltinOperator_DEPTH_TO_SPACE, 1, "2.1.0 2.5.0"},
    {schema::BuiltinOperator_DEQUANTIZE, 1,
     "1.13.1 1.14.0 1.15.0 2.2.0 2.7.0 2.18.0 2.21.0 2.22.0 2.23.0"},
    {schema::BuiltinOperator_EMBEDDING_LOOKUP, 1, "1.13.0 1.14.0 1.14.0 2.18.0 2.21.0"},
    {schema::BuiltinOperator_FLOOR, 1, "1.9.0"},
    {schema::BuiltinOperator_FULLY_CONNECTED, 1,
     "1.5.0 1.10.0 1.14.0 1.14.0 2.0.0 2.1.0 2.3.0 2.3.0 2.3.0 2.11.0 2.15.0 2.17.0 2.18.0 2.21.0"},
    {schema::BuiltinOperator_HASHTABLE_LOOKUP, 1, "1.5.0"},
    {schema::BuiltinOperator_L2_NORMALIZATION, 1, "1.5.0 1.14.0"},
    {schema::BuiltinOperator_L2_POOL_2D, 1, "1.5.0"},
    {schema::BuiltinOperator_LOCAL_RESPONSE_NORMALIZATION, 1, "1.5.0"},
    {schema::BuiltinOperator_LOGISTIC, 1, "1.14.0 1.14.0 2.3.0"},
    {schema::BuiltinOperator_LSH_PROJECTION, 1, "1.5.0"},
    {schema::BuiltinOperator_LSTM, 1, "1.7.0 1.10.0 1.14.0 2.3.0"},
    {schema::BuiltinOperator_MAX_POOL_2D, 1, "1.5.0 1.14.0 2.3.0"},
    {schema::BuiltinOperator_MUL, 1, "1.5.0 1.14.0 1.15.0 2.3.0 2.6.0 2.11.0 2.13.0 2.23.0"},
    {schema::BuiltinOperator_RELU, 1, "1.5.0 2.1.0 2.5.0"},
    {schema::BuiltinOperator_RELU_N1_TO_1, 1, "1.5.0"},
    {schema::BuiltinOperator_RELU6, 1, "1.5.0 1.14.0 2.5.0"},
    {schema::BuiltinOperator_RESHAPE, 1, "1.5.0"},
    {schema::BuiltinOperator_RESIZE_BILINEAR, 1, "1.7.0 1.14.0 2.2.0 2.5.0"},
    {schema::BuiltinOperator_RNN, 1, "1.5.0 1.14.0 2.3.0"},
    {schema::BuiltinOperator_SOFTMAX, 1, "1.5.0 1.14.0 2.3.0 2.23.0"},
    {schema::BuiltinOperator_SPACE_TO_DEPTH, 1, "1.5.0 1.14.0"},
    {schema::BuiltinOperator_SVDF, 1, "1.5.0 1.14.0 2.2.0 2.3.0"},
    {schema::BuiltinOperator_TANH, 1, "1.14.0 1.14.0 2.3.0"},
    {schema::BuiltinOperator_SKIP_GRAM, 1, "1.5.0"},
    {schema::BuiltinOperator_EMBEDDING_LOOKUP_SPARSE, 1, "1.5.0"},
    {schema::BuiltinOperator_PAD, 1, "1.5.0 1.14.0 2.4.0 2.6.0 2.20.0 2.23.0"},
    {schema::BuiltinOperator_UNIDIRECTIONAL_SEQUENCE_RNN, 1, "1.14.0 1.14.0 2.3.0"},
    {schema::BuiltinOperator_GATHER, 1, "1.6.0 1.14.0 1.15.0 2.4.0 2.5.0 2.13.0 2.15.0 2.23.0"},
    {schema::BuiltinOperator_BATCH_TO_SPACE_ND, 1, "1.6.0 1.14.0 2.3.0 2.12.0"},
    {schema::BuiltinOperator_SPACE_TO_BATCH_ND, 1, "1.6.0 1.14.0 2.3.0 2.12.0"},
    {schema::BuiltinOperator_TRANSPOSE, 1,
     "1.6.0 1.14.0 1.15.0 2.3.0 2.4.0 2.12.0 2.14.4 2.22.0 2.23.0"},
    {schema::BuiltinOperator_MEAN, 1, "1.6.0 1.14.0 2.4.0"},
    {schema::BuiltinOperator_SUB, 1, "1.6.0 1.14.0 2.3.0 2.4.0 2.4.0"},
    {schema::BuiltinOperator_DIV, 1, "1.6.0 2.3.0"},
    {schema::BuiltinOperator_SQUEEZE, 1, "1.6.0 2.5.0"},
    {schema::BuiltinOperator_UNIDIRECTIONAL_SEQUENCE_LSTM, 1, "1.13.1 1.14.0 2.3.0 2.12.0"},
    {schema::BuiltinOperator_STRIDED_SLICE, 1,
     "1.6.0 1.14.0 2.1.0 2.2.0 2.5.0 2.6.0 2.14.0 2.14.0"},
    {schema::BuiltinOperator_BIDIRECTIONAL_SEQUENCE_RNN, 1, "1.14.0 1.14.0 2.3.0"},
    {schema::BuiltinOperator_EXP, 1, "1.7.0 2.12.0"},
    {schema::BuiltinOperator_TOPK_V2, 1, "1.7.0 1.14.0 2.13.0"},
    {schema::BuiltinOperator_SPLIT, 1, "1.5.0 1.14.0 1.14.0 2.3.0 2.23.0"},
    {schema::BuiltinOperator_LOG_SOFTMAX, 1, "1.14.0 1.14.0"},
    {schema::BuiltinOperator_BIDIRECTIONAL_SEQUENCE_LSTM, 1, "1.14.0 1.14.0 1.14.0"},
    {schema::BuiltinOperator_CAST, 1, "1.5.0 2.7.0 2.8.0 2.9.0 2.12.0 2.15.0 2.17.0 2.21.0 2.23.0"},
    {schema::BuiltinOperator_PRELU, 1, "1.8.0"},
    {schema::BuiltinOperator_MAXIMUM, 1, "1.14.0 1.14.0 2.3.0 2.3.0"},
    {schema::BuiltinOperator_ARG_MAX, 1, "1.9.0 1.14.0 2.9.0"},
    {schema::BuiltinOperator_MINIMUM, 1, "1.14.0 1.14.0 2.3.0 2.3.0"},
    {schema::BuiltinOperator_LESS, 1, "1.14.0 1.14.0 2.13.0"},
    {schema::BuiltinOperator_NEG, 1, "1.9.0"},
    {schema::BuiltinOperator_PADV2, 1, "1.9.0 1.14.0 2.4.0 2.6.0 2.20.0 2.23.0"},
    {schema::BuiltinOperator_GREATER, 1, "1.14.0 1.14.0"},
    {schema::BuiltinOperator_GREATER_EQUAL, 1, "1.14.0 1.14.0 2.13.0"},
    {schema::BuiltinOperator_LESS_EQUAL, 1, "1.14.0 1.14.0"},
    {schema::BuiltinOperator_SELECT, 1, "1.14.0 1.14.0 2.12.0 2.12.0"},
    {schema::BuiltinOperator_SLICE, 1, "1.14.0 1.14.0 1.14.0 2.4.0 2.5.0 2.14.0 2.21.0 2.23.0"},
    {schema::BuiltinOperator_SIN, 1, "1.9.0 2.23.0"},
    {schema::BuiltinOperator_TRANSPOSE_CONV, 1, "1.9.0 2.2.0 2.3.0 2.13.0 2.15.0"},
    {schema::BuiltinOperator_SPARSE_TO_DENSE, 1, "1.9.0 1.14.0 1.15.0"},
    {schema::BuiltinOperator_TILE, 1, "1.10.1 2.2.0 2.8.0"},
    {schema::BuiltinOperator_EXPAND_DIMS, 1, "1.10.0"},
    {schema::BuiltinOperator_EQUAL, 1, "1.14.0 1.14.0 2.3.0 2.13.0 2.21.0"},
    {schema::BuiltinOperator_NOT_EQUAL, 1, "1.14.0 1.14.0 2.3.0 2.21.0"},
    {schema::BuiltinOperator_LOG, 1, "1.14.0 2.15.0"},
    {schema::BuiltinOperator_SUM, 1, "1.10.0 1.15.0"},
    {schema::BuiltinOperator_SQRT, 1, "1.10.0 2.21.0"},
    {schema::BuiltinOperator_RSQRT, 1, "1.10.0 2.5.0 2.15.0"},
    {schema::BuiltinOperator_SHAPE, 1, "1.10.0"},
    {schema::BuiltinOperator_POW, 1, "1.10.0"},
    {schema::BuiltinOperator_ARG_MIN, 1, "1.9.0 1.14.0 2.9.0"},
    {schema::BuiltinOperator_FAKE_QUANT, 1, "1.5.0 1.10.0"},
    {schema::BuiltinOperator_REDUCE_PROD, 1, "1.11.0 2.6.0"},
    {schema::BuiltinOperator_REDUCE_MAX, 1, "1.11.0 1.14.0 2.5.0"},
    {schema::BuiltinOperator_PACK, 1, "1.11.0 1.14.0 2.3.0 2.13.0 2.23.0"},
    {schema::BuiltinOperator_LOGICAL_OR, 1, "1.11.0"},
    {schema::BuiltinOperator_ONE_HOT, 1, "1.11.0"},
    {schema::BuiltinOperator_LOGICAL_AND, 1, "1.11.0"},
    {schema::BuiltinOperator_LOGICAL_NOT, 1, "1.11.0"},
    {schema::BuiltinOperator_UNPACK, 1, "1.11.0 1.14.0 2.2.0 2.3.0 2.22.0 2.23.0"},
    {schema::BuiltinOperator_REDUCE_MIN, 1, "1.11.0 1.14.0 2.5.0"},
    {schema::BuiltinOperator_FLOOR_DIV, 1, "1.14.0 1.14.0 2.13.0"},
    {schema::BuiltinOperator_REDUCE_ANY, 1, "1.11.0"},
    {schema::BuiltinOperator_SQUARE, 1, "1.12.0"},
    {schema::BuiltinOperator_ZEROS_LIKE, 1, "1.12.0"},
    {schema::BuiltinOperator_FILL, 1, "1.13.0 2.3.0 2.5.0 2.12.0 2.23.0"},
    {schema::BuiltinOperator_FLOOR_MOD, 1, "1.13.0 2.13.0"},
    {schema::BuiltinOperator_RANGE, 1, "1.13.0 2.14.0"},
    {schema::BuiltinOperator_RESIZE_NEAREST_NEIGHBOR, 1, "1.13.1 1.14.0 2.3.0 2.4.0"},
    {schema::BuiltinOperator_LEAKY_RELU, 1, "1.13.1 2.3.0"},
    {schema::BuiltinOperator_SQUARED_DIFFERENCE, 1, "1.13.1 2.5.0"},
    {schema::BuiltinOperator_MIRROR_PAD, 1, "1.13.1 2.3.0 2.12.0"},
    {schema::BuiltinOperator_ABS, 1, "1.13.0 2.4.0 2.5.0 2.6.0 2.12.0"},
    {schema::BuiltinOperator_SPLIT_V, 1, "1.13.1 2.3.0 2.23.0"},
    {schema::BuiltinOperator_UNIQUE, 1, "1.14.0"},
    {schema::BuiltinOperator_CEIL, 1, "1.14.0"},
    {schema::BuiltinOperator_REVERSE_V2, 1, "1.14.0 2.2.0 2.5.0 2.23.0"},
    {schema::BuiltinOperator_ADD_N, 1, "1.14.0"},
    {schema::BuiltinOperator_GATHER_ND, 1, "1.14.0 2.3.0 2.5.0 2.13.0 2.16.0 2.23.0"},
    {schema::BuiltinOperator_COS, 1, "1.14.0 2.23.0"},
    {schema::BuiltinOperator_WHERE, 1, "1.14.0 2.8.0"},
    {schema::BuiltinOperator_RANK, 1, "1.14.0"},
    {schema::BuiltinOperator_ELU, 1, "1.14.0"},
    {schema::BuiltinOperator_REVERSE_SEQUENCE, 1, "1.14.0"},
    {schema::BuiltinOperator_MATRIX_DIAG, 1, "1.14.0"},
    {schema::BuiltinOperator_QUANTIZE, 1, "1.14.0 1.15.0 2.7.0 2.21.0 2.21.0 2.21.0"},
    {schema::BuiltinOperator_MATRIX_SET_DIAG, 1, "1.14.0"},
    {schema::BuiltinOperator_ROUND, 1, "1.14.0"},
    {schema::BuiltinOperator_HARD_SWISH, 1, "1.15.0"},
    {schema::BuiltinOperator_IF, 1, "1.15.0"},
    {schema::BuiltinOperator_WHILE, 1, "1.15.0"},
    {schema::BuiltinOperator_NON_MAX_SUPPRESSION_V4, 1, "2.1.0"},
    {schema::BuiltinOperator_NON_MAX_SUPPRESSION_V5, 1, "2.1.0"},
    {schema::BuiltinOperator_SCATTER_ND, 1, "2.1.0"},
    {schema::BuiltinOperator_SELECT_V2, 1, "2.2.0 2.12.0"},
    {schema::BuiltinOperator_DENSIFY, 1, "2.2.0"},
    {schema::BuiltinOperator_SEGMENT_SUM, 1, "2.2.0"},
    {schema::BuiltinOperator_BATCH_MATMUL, 1, "2.3.0 2.3.0 2.4.0 2.5.0"},
    {schema::BuiltinOperator_CUMSUM, 1, "2.4.0"},
    {schema::BuiltinOperator_CALL_ONCE, 1, "2.5.0"},
    {schema::BuiltinOperator_BROADCAST_TO, 2, "2.5.0 2.5.0 2.23.0"},
    {schema::BuiltinOperator_RFFT2D, 1, "2.5.0"},
    {schema::BuiltinOperator_CONV_3D, 1, "2.5.0"},
    {schema::BuiltinOperator_IMAG, 1, "2.5.0"},
    {schema::BuiltinOperator_REAL, 1, "2.5.0"},
    {schema::BuiltinOperator_COMPLEX_ABS, 1, "2.5.0"},
    {schema::BuiltinOperator_HASHTABLE, 1, "2.5.0"},
    {schema::BuiltinOperator_HASHTABLE_FIND, 1, "2.5.0"},
    {schema::BuiltinOperator_HASHTABLE_IMPORT, 1, "2.5.0"},
    {schema::BuiltinOperator_HASHTABLE_SIZE, 1, "2.5.0"},
    {schema::BuiltinOperator_REDUCE_ALL, 1, "2.6.0"},
    {schema::BuiltinOperator_CONV_3D_TRANSPOSE, 1, "2.6.0"},
    {schema::BuiltinOperator_VAR_HANDLE, 1, "2.6.0"},
    {schema::BuiltinOperator_READ_VARIABLE, 1, "2.6.0"},
    {schema::BuiltinOperator_ASSIGN_VARIABLE, 1, "2.6.0"},
    {schema::BuiltinOperator_BROADCAST_ARGS, 1, "2.6.0"},
    {schema::BuiltinOperator_RANDOM_STANDARD_NORMAL, 1, "2.8.0"},
    {schema::BuiltinOperator_BUCKETIZE, 1, "2.8.0"},
    {schema::BuiltinOperator_RANDOM_UNIFORM, 1, "2.8.0"},
    {schema::BuiltinOperator_MULTINOMIAL, 1, "2.8.0"},
    {schema::BuiltinOperator_GELU, 1, "2.9.0 2.9.0 2.23.0"},
    {schema::BuiltinOperator_DYNAMIC_UPDATE_SLICE, 1, "2.9.0 2.17.0 2.19.0 2.20.0 2.21.0 2.22.0"},
    {schema::BuiltinOperator_RELU_0_TO_1, 1, "2.10.0"},
    {schema::BuiltinOperator_UNSORTED_SEGMENT_PROD, 1, "2.10.0"},
    {schema::BuiltinOperator_UNSORTED_SEGMENT_MAX, 1, "2.10.0"},
    {schema::BuiltinOperator_UNSORTED_SEGMENT_SUM, 1, "2.10.0"},
    {schema::BuiltinOperator_ATAN2, 1, "2.10.0"},
    {schema::BuiltinOperator_UNSORTED_SEGMENT_MIN, 1, "2.11.0"},
    {schema::BuiltinOperator_SIGN, 1, "2.11.0 2.12.0"},
    {schema::BuiltinOperator_BITCAST, 1, "2.13.0"},
    {schema::BuiltinOperator_BITWISE_XOR, 1, "2.13.0"},
    {schema::BuiltinOperator_RIGHT_SHIFT, 1, "2.13.0"},
    {schema::BuiltinOperator_STABLEHLO_ADD, 1, "2.16.0"},
    {schema::BuiltinOperator_STABLEHLO_MULTIPLY, 1, "2.16.0"},
    {schema::BuiltinOperator_STABLEHLO_MAXIMUM, 1, "2.16.0"},
    {schema::BuiltinOperator_STABLEHLO_AND, 1, "2.17.0"},
    {schema::BuiltinOperator_STABLEHLO_MINIMUM, 1, "2.16.0"},
    {schema::BuiltinOperator_STABLEHLO_SCATTER, 1, "2.15.0"},
    {schema::BuiltinOperator_STABLEHLO_PAD, 1, "2.16.0"},
    {schema::BuiltinOperator_STABLEHLO_REDUCE_WINDOW, 1, "2.16.0"},
    {schema::BuiltinOperator_STABLEHLO_GATHER, 1, "2.16.0"},
    {schema::BuiltinOperator_DILATE, 1, "2.15.0"},
    {schema::BuiltinOperator_STABLEHLO_RNG_BIT_GENERATOR, 1, "2.15.0"},
    {schema::BuiltinOperator_REDUCE_WINDOW, 1, "2.15.0"},
    {schema::BuiltinOperator_STABLEHLO_COMPOSITE, 1, "2.17.0"},
    {schema::BuiltinOperator_STABLEHLO_SHIFT_LEFT, 1, "2.17.0"},
    {schema::BuiltinOperator_STABLEHLO_CBRT, 1, "2.17.0"},
    {schema::BuiltinOperator_STABLEHLO_CASE, 1, "2.17.0"},
};

using Release = std::array<int, 3>;

// Three numbers with dots between them. REQUIRES: text from the table above.
Release ParseRelease(std::string_view text) {
  Release out{};
  size_t part = 0;
  for (char c : text) {
    if (c == '.') {
      ++part;
    } else {
      out[part] = out[part] * 10 + (c - '0');
    }
  }
  return out;
}

std::map<std::pair<int, int>, Release> ReadTable() {
  std::map<std::pair<int, int>, Release> out;
  for (const Releases& row : kReleases) {
    std::string_view rest = row.releases;
    for (int version = row.first_version; !rest.empty(); ++version) {
      const size_t space = std::min(rest.find(' '), rest.size());
      out[{static_cast<int>(row.op), version}] = ParseRelease(rest.substr(0, space));
      rest.remove_prefix(std::min(space + 1, rest.size()));
    }
  }
  return out;
}

}  // namespace

std::string MinRuntimeVersion(const Graph& graph) {
  static const std::map<std::pair<int, int>, Release> table = ReadTable();
  Release newest{};
  for (const Subgraph& subgraph : graph.subgraphs) {
    for (const Node& node : subgraph.nodes) {
      const auto found = table.find({static_cast<int>(node.op), node.version});
      if (found != table.end()) newest = std::max(newest, found->second);
    }
  }
  if (newest == Release{}) return "";
  return fmt::format("{}.{}.{}", newest[0], newest[1], newest[2]);
}

}  // namespace litesmith
