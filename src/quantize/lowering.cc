#include "quantize/lowering.h"

#include <algorithm>
#include <cmath>

#include "quantize/params.h"
#include "quantize/rules.h"
#include "runtime/executor.h"

namespace litesmith {
namespace {

// A function of one real number: of POW, with a constant exponent.
bool IsFunctionOfOne(const Subgraph& subgraph, const Node& node) {
  if (!IsActivation(subgraph, node.input(0))) return false;
  if (node.op != schema::BuiltinOperator_POW) return node.inputs.size() == 1;
  return node.inputs.size() == 2 && IsFloatConstant(subgraph, node.inputs[1]) &&
         subgraph.tensors[static_cast<size_t>(node.inputs[1])].data.As<float>().size() == 1;
}

bool CastsThroughInt32(const Subgraph& subgraph, const Node& node) {
  if (node.inputs.size() != 1 || node.outputs.size() != 1 || node.inputs[0] < 0) return false;
  const TensorType in = subgraph.tensors[static_cast<size_t>(node.inputs[0])].type;
  const TensorType out = subgraph.tensors[static_cast<size_t>(node.outputs[0])].type;
  if (in == schema::TensorType_FLOAT32) {
    return !subgraph.tensors[static_cast<size_t>(node.inputs[0])].is_constant() &&
           (out == schema::TensorType_INT32 || out == schema::TensorType_INT64);
  }
  return out == schema::TensorType_FLOAT32 &&
         (in == schema::TensorType_INT32 || in == schema::TensorType_BOOL ||
          in == schema::TensorType_UINT8 || in == schema::TensorType_INT8 ||
          in == schema::TensorType_INT16);
}

// By a constant without zeros: a divisor that is computed may be quantized to 0, where TFLite's
// kernels fail.
bool IsDivisionByConstant(const Subgraph& subgraph, const Node& node) {
  if (node.inputs.size() != 2 || !IsActivation(subgraph, node.inputs[0]) ||
      !IsFloatConstant(subgraph, node.inputs[1])) {
    return false;
  }
  const auto values = subgraph.tensors[static_cast<size_t>(node.inputs[1])].data.As<float>();
  return std::none_of(values.begin(), values.end(), [](float v) { return v == 0.0f; });
}

}  // namespace

Lowering PossibleLowering(schema::BuiltinOperator op) {
  switch (op) {
    case schema::BuiltinOperator_CEIL:
    case schema::BuiltinOperator_COS:
    case schema::BuiltinOperator_FLOOR:
    case schema::BuiltinOperator_POW:
    case schema::BuiltinOperator_ROUND:
    case schema::BuiltinOperator_SIGN:
    case schema::BuiltinOperator_SIN:
      return Lowering::kTable;
    case schema::BuiltinOperator_ARG_MAX:
    case schema::BuiltinOperator_ARG_MIN:
    case schema::BuiltinOperator_CAST:
    case schema::BuiltinOperator_CUMSUM:
    case schema::BuiltinOperator_FLOOR_DIV:
    case schema::BuiltinOperator_FLOOR_MOD:
    case schema::BuiltinOperator_GREATER:
    case schema::BuiltinOperator_GREATER_EQUAL:
    case schema::BuiltinOperator_LESS:
    case schema::BuiltinOperator_LESS_EQUAL:
    case schema::BuiltinOperator_ONE_HOT:
    case schema::BuiltinOperator_REVERSE_SEQUENCE:
    case schema::BuiltinOperator_SCATTER_ND:
      return Lowering::kInt32;
    default:
      return Lowering::kNone;
  }
}

Lowering LoweringOf(const Subgraph& subgraph, const Node& node, RecipeKind kind) {
  if (kind != RecipeKind::kInt8 && kind != RecipeKind::kInt16x8) return Lowering::kNone;
  const Lowering lowering = PossibleLowering(node.op);
  const auto applies = [&] {
    switch (node.op) {
      case schema::BuiltinOperator_CAST:
        return CastsThroughInt32(subgraph, node);
      case schema::BuiltinOperator_FLOOR_DIV:
      case schema::BuiltinOperator_FLOOR_MOD:
        return IsDivisionByConstant(subgraph, node);
      case schema::BuiltinOperator_ONE_HOT:
        return IsFloat(subgraph, node.input(2));
      case schema::BuiltinOperator_SCATTER_ND:
        return IsActivation(subgraph, node.input(1));
      default:
        return lowering == Lowering::kTable ? IsFunctionOfOne(subgraph, node)
                                            : IsFloat(subgraph, node.input(0));
    }
  };
  return applies() ? lowering : Lowering::kNone;
}

std::string LoweringObstacle(const Subgraph& subgraph, const Node& node) {
  const auto label = [&](size_t i) {
    return Printable(subgraph.tensors[static_cast<size_t>(node.inputs[i])].label());
  };
  const auto constant = [&](size_t i) { return IsFloatConstant(subgraph, node.input(i)); };
  switch (node.op) {
    case schema::BuiltinOperator_FLOOR_DIV:
    case schema::BuiltinOperator_FLOOR_MOD:
      if (node.inputs.size() != 2 || node.input(0) < 0 || node.input(1) < 0) return "";
      if (!constant(1)) {
        return fmt::format(
            "its divisor '{}' is computed: quantized it may become 0, by which no integer kernel "
            "divides; only a constant divisor is quantized",
            label(1));
      }
      return constant(0) ? fmt::format("what it divides, '{}', is constant", label(0))
                         : fmt::format("its divisor '{}' holds 0", label(1));
    case schema::BuiltinOperator_POW:
      if (node.inputs.size() != 2 || node.input(0) < 0 || node.input(1) < 0) return "";
      return constant(0) ? fmt::format("its base '{}' is constant", label(0))
                         : fmt::format("its exponent '{}' is not one constant number", label(1));
    case schema::BuiltinOperator_SCATTER_ND:
      return node.input(1) >= 0 && constant(1)
                 ? fmt::format("its updates '{}' are constant", label(1))
                 : "";
    default:
      return "";
  }
}

const char* LoweringReason(Lowering lowering) {
  switch (lowering) {
    case Lowering::kNone:
      break;
    case Lowering::kInt32:
      return "computed on int32";
    case Lowering::kTable:
      return "looked up in a table";
  }
  return "";
}

absl::StatusOr<Blob> FunctionTable(const Subgraph& subgraph, const Node& node, TensorType in_type,
                                   const QuantParams& in, TensorType out_type,
                                   const QuantParams& out) {
  const int32_t low = in_type == schema::TensorType_INT16 ? -32768 : -128;
  const int32_t count = -2 * low;
  std::vector<float> points(static_cast<size_t>(count));
  for (int32_t i = 0; i < count; ++i) {
    points[static_cast<size_t>(i)] =
        in.scale[0] * static_cast<float>(low + i - static_cast<int32_t>(in.zero_point[0]));
  }
  Graph graph;
  graph.subgraphs.resize(1);
  Subgraph& main = graph.main();
  Node probe = node;
  for (size_t i = 0; i < probe.inputs.size(); ++i) {
    Tensor tensor = subgraph.tensors[static_cast<size_t>(node.inputs[i])];
    if (i == 0) {
      tensor.shape = {count};
      tensor.shape_signature.clear();
      tensor.data = Blob::Of(points);
    }
    probe.inputs[i] = main.AddTensor(std::move(tensor));
  }
  Tensor result = subgraph.tensors[static_cast<size_t>(node.outputs[0])];
  result.shape = {count};
  result.shape_signature.clear();
  probe.outputs = {main.AddTensor(std::move(result))};
  LS_ASSIGN_OR_RETURN(const std::vector<Tensor> values, EvaluateConstantNode(graph, probe));
  std::vector<float> reals(values[0].data.As<float>().begin(), values[0].data.As<float>().end());
  // Where the function is not defined no sample was either.
  for (float& v : reals) v = std::isnan(v) ? 0.0f : std::clamp(v, -3e38f, 3e38f);
  return QuantizeActivation(reals, out_type, out);
}

}  // namespace litesmith
