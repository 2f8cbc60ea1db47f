// Calls of keras.ops functions inside functional models (Keras 3), which stand among the layers.

#include <algorithm>

#include "import/keras/layer.h"

namespace litesmith::keras {
namespace {

using namespace schema;  // NOLINT: the operators' names

template <BuiltinOperator kOp>
absl::StatusOr<int32_t> Reduction(LayerContext& c) {
  const auto rank = static_cast<int32_t>(c.in_shape().size());
  std::vector<int32_t> axes;
  const Json* axis = c.config.Find("axis");
  if (axis == nullptr) {
    for (int32_t d = 0; d < rank; ++d) axes.push_back(d);
  } else if (axis->is_array()) {
    axes = c.config.List("axis", -rank, rank - 1);
  } else {
    axes = {c.config.Int("axis", -rank, rank - 1)};
  }
  const bool keep = c.config.Bool("keepdims", false);
  LS_RETURN_IF_ERROR(c.status());
  std::vector<bool> reduced(static_cast<size_t>(rank), false);
  for (int32_t& a : axes) {
    if (a < 0) a += rank;
    reduced[static_cast<size_t>(a)] = true;
  }
  Shape shape;
  for (size_t d = 0; d < reduced.size(); ++d) {
    if (!reduced[d] || keep) shape.push_back(reduced[d] ? 1 : c.in_shape()[d]);
  }
  ReducerOptionsT options;
  options.keep_dims = keep;
  return c.Add(kOp, std::move(options), {c.input(), c.Indices("axes", axes)}, "Reduce",
               std::move(shape));
}

template <BuiltinOperator kOp>
absl::StatusOr<int32_t> One(LayerContext& c) {
  return c.Unary(kOp, c.input(), EnumNameBuiltinOperator(kOp));
}

// The name of an activation is that of the operation in lower case.
template <const char* kName>
absl::StatusOr<int32_t> Function(LayerContext& c) {
  return Activate(c, kName, c.input());
}

template <BuiltinOperator kOp>
absl::StatusOr<int32_t> Two(LayerContext& c) {
  std::vector<int32_t> values;
  for (const Operand& operand : c.operands()) {
    if (operand.constant == nullptr) {
      values.push_back(operand.tensor);
    } else if (operand.constant->is_number()) {
      values.push_back(c.Scalar("constant", operand.constant->get<double>()));
    } else {
      return Unsupported("one of its operands is neither a tensor nor a number");
    }
  }
  if (values.size() != 2) return Invalid("it should have two operands");
  return c.Binary(kOp, values[0], values[1], EnumNameBuiltinOperator(kOp));
}

absl::StatusOr<int32_t> Transpose(LayerContext& c) {
  const auto rank = static_cast<int32_t>(c.in_shape().size());
  std::vector<int32_t> axes;
  if (c.config.Has("axes")) {
    axes = c.config.List("axes", -rank, rank - 1);
    LS_RETURN_IF_ERROR(c.status());
  } else {
    for (int32_t d = rank - 1; d >= 0; --d) axes.push_back(d);
  }
  std::vector<bool> seen(static_cast<size_t>(rank), false);
  for (int32_t& axis : axes) {
    if (axis < 0) axis += rank;
    seen[static_cast<size_t>(axis)] = true;
  }
  if (axes.size() != seen.size() || std::find(seen.begin(), seen.end(), false) != seen.end()) {
    return Invalid("its 'axes' are no permutation of its input's dimensions");
  }
  return c.Transpose(c.input(), axes);
}

absl::StatusOr<int32_t> ExpandDims(LayerContext& c) {
  const auto rank = static_cast<int32_t>(c.in_shape().size());
  std::vector<int32_t> axes = {0};
  const Json* axis = c.config.Find("axis");
  if (axis != nullptr && axis->is_array()) {
    axes = c.config.Ints("axis", 1, -rank - 1, rank);
  } else {
    axes[0] = c.config.Int("axis", -rank - 1, rank);
  }
  LS_RETURN_IF_ERROR(c.status());
  Shape shape = c.in_shape();
  shape.insert(shape.begin() + (axes[0] < 0 ? axes[0] + rank + 1 : axes[0]), 1);
  return c.Reshape(c.input(), shape, "ExpandDims");
}

absl::StatusOr<int32_t> Clip(LayerContext& c) {
  const double low = c.config.Number("x_min"), high = c.config.Number("x_max");
  LS_RETURN_IF_ERROR(c.status());
  LS_ASSIGN_OR_RETURN(const int32_t x, c.Binary(BuiltinOperator_MAXIMUM, c.input(),
                                                c.Scalar("x_min", low), "Maximum"));
  return c.Binary(BuiltinOperator_MINIMUM, x, c.Scalar("x_max", high), "Minimum");
}

constexpr char kRelu[] = "relu", kRelu6[] = "relu6", kSigmoid[] = "sigmoid", kSilu[] = "silu",
               kTanh[] = "tanh", kSoftplus[] = "softplus", kHardSigmoid[] = "hard_sigmoid",
               kHardSilu[] = "hard_silu";

}  // namespace

std::vector<LayerKind> Operations() {
  return {{.class_name = "Transpose", .convert = Transpose, .takes_integers = true},
          {.class_name = "ExpandDims", .convert = ExpandDims, .takes_integers = true},
          {.class_name = "Clip", .convert = Clip},
          {.class_name = "Mean", .convert = Reduction<BuiltinOperator_MEAN>},
          {.class_name = "Sum", .convert = Reduction<BuiltinOperator_SUM>},
          {.class_name = "Max", .convert = Reduction<BuiltinOperator_REDUCE_MAX>},
          {.class_name = "Min", .convert = Reduction<BuiltinOperator_REDUCE_MIN>},
          {.class_name = "Abs", .convert = One<BuiltinOperator_ABS>},
          {.class_name = "Absolute", .convert = One<BuiltinOperator_ABS>},
          {.class_name = "Exp", .convert = One<BuiltinOperator_EXP>},
          {.class_name = "Log", .convert = One<BuiltinOperator_LOG>},
          {.class_name = "Negative", .convert = One<BuiltinOperator_NEG>},
          {.class_name = "Rsqrt", .convert = One<BuiltinOperator_RSQRT>},
          {.class_name = "Sqrt", .convert = One<BuiltinOperator_SQRT>},
          {.class_name = "Square", .convert = One<BuiltinOperator_SQUARE>},
          {.class_name = "Divide", .convert = Two<BuiltinOperator_DIV>},
          {.class_name = "TrueDivide", .convert = Two<BuiltinOperator_DIV>},
          {.class_name = "Power", .convert = Two<BuiltinOperator_POW>},
          {.class_name = "Relu", .convert = Function<kRelu>},
          {.class_name = "Relu6", .convert = Function<kRelu6>},
          {.class_name = "Sigmoid", .convert = Function<kSigmoid>},
          {.class_name = "Silu", .convert = Function<kSilu>},
          {.class_name = "Tanh", .convert = Function<kTanh>},
          {.class_name = "Softplus", .convert = Function<kSoftplus>},
          {.class_name = "HardSigmoid", .convert = Function<kHardSigmoid>},
          {.class_name = "HardSilu", .convert = Function<kHardSilu>}};
}

}  // namespace litesmith::keras
