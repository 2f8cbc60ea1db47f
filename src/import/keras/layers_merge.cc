// Layers that join several tensors.

#include <algorithm>

#include "import/keras/layer.h"

namespace litesmith::keras {
namespace {

// The operands of a merge: tensors, and (in calls of keras.ops) numbers.
absl::StatusOr<std::vector<int32_t>> Operands(LayerContext& c) {
  std::vector<int32_t> out;
  for (const Operand& operand : c.operands()) {
    if (!operand.name.empty() && operand.name != "y" && operand.name != "x2") continue;
    if (operand.constant == nullptr) {
      out.push_back(operand.tensor);
    } else if (operand.constant->is_number()) {
      out.push_back(c.Scalar("constant", operand.constant->get<double>()));
    } else {
      return Unsupported("one of its operands is neither a tensor nor a number");
    }
  }
  if (out.size() < 2) return Invalid("it should have at least two inputs");
  // A layer (not a call of keras.ops) puts the missing dimensions behind the batch.
  if (!c.config.Has("trainable")) return out;
  size_t rank = 0;
  for (int32_t t : out) rank = std::max(rank, c.shape(t).size());
  for (int32_t& t : out) {
    Shape shape = c.shape(t);
    if (shape.size() == rank || shape.empty()) continue;  // numbers broadcast as they are
    shape.insert(shape.begin() + 1, rank - shape.size(), 1);
    LS_ASSIGN_OR_RETURN(t, c.Reshape(t, shape, "ExpandDims"));
  }
  return out;
}

template <schema::BuiltinOperator kOp>
absl::StatusOr<int32_t> Fold(LayerContext& c, const char* what) {
  LS_ASSIGN_OR_RETURN(const std::vector<int32_t> operands, Operands(c));
  int32_t y = operands[0];
  for (size_t i = 1; i < operands.size(); ++i) {
    LS_ASSIGN_OR_RETURN(y, c.Binary(kOp, y, operands[i], what));
  }
  return y;
}

absl::StatusOr<int32_t> Add(LayerContext& c) { return Fold<schema::BuiltinOperator_ADD>(c, "add"); }
absl::StatusOr<int32_t> Multiply(LayerContext& c) {
  return Fold<schema::BuiltinOperator_MUL>(c, "mul");
}
absl::StatusOr<int32_t> Maximum(LayerContext& c) {
  return Fold<schema::BuiltinOperator_MAXIMUM>(c, "maximum");
}
absl::StatusOr<int32_t> Minimum(LayerContext& c) {
  return Fold<schema::BuiltinOperator_MINIMUM>(c, "minimum");
}
absl::StatusOr<int32_t> Subtract(LayerContext& c) {
  LS_ASSIGN_OR_RETURN(const std::vector<int32_t> operands, Operands(c));
  if (operands.size() != 2) return Invalid("it should have two inputs");
  return c.Binary(schema::BuiltinOperator_SUB, operands[0], operands[1], "sub");
}
absl::StatusOr<int32_t> Average(LayerContext& c) {
  LS_ASSIGN_OR_RETURN(const std::vector<int32_t> operands, Operands(c));
  LS_ASSIGN_OR_RETURN(const int32_t sum, Add(c));
  return c.Binary(schema::BuiltinOperator_MUL, sum,
                  c.Scalar("factor", 1.0 / static_cast<double>(operands.size())), "mul");
}

absl::StatusOr<int32_t> Concatenate(LayerContext& c) {
  const int32_t rank = static_cast<int32_t>(c.in_shape().size());
  int32_t axis = c.config.Int("axis", -rank, rank - 1, -1);
  LS_RETURN_IF_ERROR(c.status());
  if (axis < 0) axis += rank;
  Shape shape = c.in_shape();
  int64_t sum = 0;
  const TensorType first = c.graph().type(c.input());
  std::vector<int32_t> inputs = c.inputs();
  if (std::any_of(inputs.begin(), inputs.end(),
                  [&](int32_t x) { return c.graph().type(x) != first; })) {
    for (int32_t& x : inputs) x = c.CastTo(x, schema::TensorType_FLOAT32);
  }
  for (int32_t x : inputs) {
    const Shape& other = c.shape(x);
    if (other.size() != shape.size()) return Invalid("its inputs differ in rank");
    for (size_t d = 0; d < shape.size(); ++d) {
      if (static_cast<int32_t>(d) == axis) {
        sum = sum < 0 || other[d] < 0 ? -1 : sum + other[d];
      } else if (shape[d] < 0) {
        shape[d] = other[d];
      } else if (other[d] >= 0 && other[d] != shape[d]) {
        return Invalid("its inputs have shapes {} and {}, which do not go together",
                       ShapeString(c.in_shape()), ShapeString(other));
      }
    }
  }
  shape[static_cast<size_t>(axis)] = sum < 0 ? -1 : c.Size(sum);
  LS_RETURN_IF_ERROR(c.status());
  schema::ConcatenationOptionsT options;
  options.axis = axis;
  const TensorType type = c.graph().type(inputs[0]);
  return c.Add(schema::BuiltinOperator_CONCATENATION, std::move(options), inputs, "concat",
               std::move(shape), type);
}

}  // namespace

std::vector<LayerKind> MergeLayers() {
  return {{.class_name = "Add", .convert = Add, .masks = MaskRule::kMerge},
          {.class_name = "Subtract", .convert = Subtract, .masks = MaskRule::kMerge},
          {.class_name = "Multiply", .convert = Multiply, .masks = MaskRule::kMerge},
          {.class_name = "Average", .convert = Average, .masks = MaskRule::kMerge},
          {.class_name = "Maximum", .convert = Maximum, .masks = MaskRule::kMerge},
          {.class_name = "Minimum", .convert = Minimum, .masks = MaskRule::kMerge},
          {.class_name = "Concatenate",
           .convert = Concatenate,
           .takes_integers = true,
           .masks = MaskRule::kConcatenate}};
}

}  // namespace litesmith::keras
