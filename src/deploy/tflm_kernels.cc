#include "deploy/tflm_kernels.h"

#include <algorithm>

namespace litesmith {
namespace {

using schema::BuiltinOperator;

// A node's operands with what the rules ask of them; an absent one is an empty tensor.
class Operands {
 public:
  Operands(const Subgraph& subgraph, const Node& node) : subgraph_(subgraph), node_(node) {}

  const Tensor& input(size_t i) const { return At(node_.input(i)); }
  const Tensor& output(size_t i) const { return At(node_.output(i)); }
  static size_t Dim(const Tensor& tensor, size_t axis) {
    return axis < tensor.shape.size() ? static_cast<size_t>(std::max(tensor.shape[axis], 0)) : 0;
  }
  static size_t Elements(const Tensor& tensor) {
    return static_cast<size_t>(NumElements(tensor.shape));
  }

 private:
  const Tensor& At(int32_t index) const {
    static const Tensor none;
    return index < 0 ? none : subgraph_.tensors[static_cast<size_t>(index)];
  }
  const Subgraph& subgraph_;
  const Node& node_;
};

bool IsInt(const Tensor& tensor) {
  return tensor.type == schema::TensorType_INT8 || tensor.type == schema::TensorType_INT16;
}

// An array of dimensions: a count, then 32 bits each.
size_t DimsBytes(const Tensor& tensor) { return 4 + 4 * tensor.shape.size(); }

// Multiplier and shift per channel; 4-bit weights are unpacked into scratch.
void ConvRequests(const Operands& at, size_t channels, TflmRequests* out) {
  out->persistent.assign(2, 4 * channels);
  const Tensor& weights = at.input(1);
  if (weights.type == schema::TensorType_INT4) out->scratch.push_back(at.Elements(weights));
}

void TransposeConvRequests(const Operands& at, TflmRequests* out) {
  out->persistent.assign(2, 4 * at.Dim(at.input(1), 0));
  const TensorType type = at.input(2).type;
  const size_t sum = type == schema::TensorType_INT8 ? 4 : type == schema::TensorType_INT16 ? 8 : 0;
  if (sum > 0) out->scratch.push_back(sum * at.Elements(at.output(0)));
  if (at.input(3).type == schema::TensorType_INT16) {
    out->scratch.push_back(8 * at.Elements(at.input(3)));
  }
}

void ReduceRequests(const Operands& at, bool sums, TflmRequests* out) {
  if (sums && IsInt(at.input(0))) out->scratch.push_back(4 * at.Elements(at.output(0)));
  out->scratch.push_back(4 * at.input(0).shape.size());
  out->scratch.push_back(4 * at.Elements(at.input(1)));
}

// Operands that the multiplication wants the other way round are copied.
void BatchMatMulRequests(const Operands& at, const Node& node, size_t pointer, TflmRequests* out) {
  constexpr size_t kQuantization = 28;
  const auto& options = node.GetOptions<schema::BatchMatMulOptionsT>();
  if (IsInt(at.input(0))) out->persistent.push_back(kQuantization);
  const auto copy = [&](const Tensor& tensor) {
    out->persistent.push_back(3 * pointer);
    out->persistent.push_back(DimsBytes(tensor));
    out->persistent.push_back(at.Elements(tensor) * TflmElementBytes(tensor.type));
  };
  if (options.adj_x) copy(at.input(0));
  if (!options.adj_y) copy(at.input(1));
  out->persistent.push_back(DimsBytes(at.output(0)));
}

void SvdfRequests(const Operands& at, TflmRequests* out) {
  const size_t batch = at.Dim(at.input(0), 0);
  out->scratch.push_back(4 * batch * at.Dim(at.input(1), 0));
  if (at.input(0).type == schema::TensorType_INT8) {
    out->scratch.push_back(4 * batch * at.Dim(at.output(0), 1));
  }
}

// Four gates' worth of state.
void LstmRequests(const Operands& at, TflmRequests* out) {
  constexpr size_t kOutputState = 18, kCellState = 19;
  const size_t state =
      at.Elements(at.input(kOutputState)) * TflmElementBytes(at.input(kCellState).type);
  out->scratch.assign(4, state);
}

void DetectionRequests(const Operands& at, TflmRequests* out) {
  const size_t boxes = at.Dim(at.input(0), 1), classes = at.Dim(at.input(1), 2);
  const size_t found = at.Dim(at.output(0), 1);
  out->scratch = {boxes,
                  16 * boxes,
                  4 * boxes * classes,
                  4 * boxes,
                  4 * boxes,
                  4 * boxes * found,
                  4 * boxes * found,
                  4 * boxes,
                  4 * boxes * found,
                  4 * boxes * std::max(classes, found),
                  4 * boxes * std::min(boxes, found)};
}

}  // namespace

size_t TflmElementBytes(TensorType type) {
  switch (type) {
    case schema::TensorType_FLOAT16:
    case schema::TensorType_INT16:
    case schema::TensorType_UINT16:
      return 2;
    case schema::TensorType_FLOAT32:
    case schema::TensorType_INT32:
    case schema::TensorType_UINT32:
    case schema::TensorType_RESOURCE:
      return 4;
    case schema::TensorType_FLOAT64:
    case schema::TensorType_INT64:
    case schema::TensorType_UINT64:
      return 8;
    case schema::TensorType_INT8:
    case schema::TensorType_UINT8:
    case schema::TensorType_BOOL:
    case schema::TensorType_INT4:
      return 1;
    default:
      return 0;
  }
}

TflmRequests RequestsOf(const Subgraph& subgraph, const Node& node, size_t pointer_bytes) {
  const Operands at(subgraph, node);
  TflmRequests out;
  switch (node.op) {
    case schema::BuiltinOperator_CONV_2D:
      ConvRequests(at, at.Dim(at.input(1), 0), &out);
      break;
    case schema::BuiltinOperator_DEPTHWISE_CONV_2D:
      ConvRequests(at, at.Dim(at.input(1), 3), &out);
      break;
    case schema::BuiltinOperator_FULLY_CONNECTED: {
      ConvRequests(at, at.input(1).quant.scale.size(), &out);
      if (!at.input(1).quant.per_channel() || !IsInt(at.input(0))) out.persistent.clear();
      break;
    }
    case schema::BuiltinOperator_TRANSPOSE_CONV:
      TransposeConvRequests(at, &out);
      break;
    case schema::BuiltinOperator_SOFTMAX: {
      constexpr size_t kTable = 513 * 2;  // exp and 1 / (1 + x)
      if (at.input(0).type == schema::TensorType_INT16) out.persistent.assign(2, kTable);
      break;
    }
    case schema::BuiltinOperator_MEAN:
    case schema::BuiltinOperator_SUM:
    case schema::BuiltinOperator_REDUCE_MAX:
    case schema::BuiltinOperator_REDUCE_MIN:
    case schema::BuiltinOperator_REDUCE_ALL:
      ReduceRequests(
          at, node.op == schema::BuiltinOperator_MEAN || node.op == schema::BuiltinOperator_SUM,
          &out);
      break;
    case schema::BuiltinOperator_BATCH_MATMUL:
      BatchMatMulRequests(at, node, pointer_bytes, &out);
      break;
    case schema::BuiltinOperator_SVDF:
      SvdfRequests(at, &out);
      break;
    case schema::BuiltinOperator_UNIDIRECTIONAL_SEQUENCE_LSTM:
      LstmRequests(at, &out);
      break;
    case schema::BuiltinOperator_ADD_N:
      out.scratch.push_back(pointer_bytes * node.inputs.size());
      break;
    case schema::BuiltinOperator_MIRROR_PAD:
      out.scratch.assign(2, 4 * at.input(0).shape.size());
      break;
    case schema::BuiltinOperator_DEPTH_TO_SPACE:
    case schema::BuiltinOperator_SPACE_TO_DEPTH:
    case schema::BuiltinOperator_EMBEDDING_LOOKUP:
    case schema::BuiltinOperator_GATHER:
    case schema::BuiltinOperator_GATHER_ND:
    case schema::BuiltinOperator_L2_POOL_2D:
      out.persistent.push_back(DimsBytes(at.output(0)));  // dimensions that may be written
      break;
    case schema::BuiltinOperator_ASSIGN_VARIABLE:
      out.persistent.push_back(at.Elements(at.input(1)) * TflmElementBytes(at.input(1).type));
      break;
    case schema::BuiltinOperator_CUSTOM:
      DetectionRequests(at, &out);
      break;
    default:
      break;
  }
  return out;
}

}  // namespace litesmith
