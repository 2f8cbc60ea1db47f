// Calls of keras.ops functions inside functional models (Keras 3), which stand among the layers.

#include <algorithm>
#include <cmath>

#include "import/keras/layer.h"

namespace litesmith::keras {
namespace {

using namespace schema;  // NOLINT: the operators' names

// Over the 'axis' of x: a number, a list, or all.
absl::StatusOr<int32_t> Reduced(LayerContext& c, BuiltinOperator op, int32_t x, bool keep) {
  const auto rank = static_cast<int32_t>(c.shape(x).size());
  std::vector<int32_t> axes;
  const Json* axis = c.config.Find("axis");
  if (axis == nullptr) {
    for (int32_t d = 0; d < rank; ++d) axes.push_back(d);
  } else if (axis->is_array()) {
    axes = c.config.List("axis", -rank, rank - 1);
  } else {
    axes = {c.config.Int("axis", -rank, rank - 1)};
  }
  LS_RETURN_IF_ERROR(c.status());
  std::vector<bool> reduced(static_cast<size_t>(rank), false);
  for (int32_t& a : axes) {
    if (a < 0) a += rank;
    reduced[static_cast<size_t>(a)] = true;
  }
  Shape shape;
  for (size_t d = 0; d < reduced.size(); ++d) {
    if (!reduced[d] || keep) shape.push_back(reduced[d] ? 1 : c.shape(x)[d]);
  }
  ReducerOptionsT options;
  options.keep_dims = keep;
  return c.Add(op, std::move(options), {x, c.Indices("axes", axes)}, "Reduce", std::move(shape),
               c.graph().type(x));
}

template <BuiltinOperator kOp>
absl::StatusOr<int32_t> Reduction(LayerContext& c) {
  return Reduced(c, kOp, c.input(), c.config.Bool("keepdims", false));
}

// The mean of (x - mean)^2, or its root.
template <bool kRoot>
absl::StatusOr<int32_t> Variance(LayerContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t mean, Reduced(c, BuiltinOperator_MEAN, c.input(), true));
  LS_ASSIGN_OR_RETURN(const int32_t centred, c.Binary(BuiltinOperator_SUB, c.input(), mean, "Sub"));
  LS_ASSIGN_OR_RETURN(const int32_t square,
                      c.Binary(BuiltinOperator_MUL, centred, centred, "Square"));
  LS_ASSIGN_OR_RETURN(const int32_t variance,
                      Reduced(c, BuiltinOperator_MEAN, square, c.config.Bool("keepdims", false)));
  return kRoot ? c.Unary(BuiltinOperator_SQRT, variance, "Sqrt") : variance;
}

// The length of vectors.
absl::StatusOr<int32_t> Norm(LayerContext& c) {
  const Json* order = c.config.Find("ord");
  if (order != nullptr && *order != Json(2))
    return Unsupported("only the norm of order 2 is supported");
  LS_ASSIGN_OR_RETURN(const int32_t square,
                      c.Binary(BuiltinOperator_MUL, c.input(), c.input(), "Square"));
  LS_ASSIGN_OR_RETURN(const int32_t sum,
                      Reduced(c, BuiltinOperator_SUM, square, c.config.Bool("keepdims", false)));
  return c.Unary(BuiltinOperator_SQRT, sum, "Sqrt");
}

// max + log(sum(exp(x - max))), which does not overflow.
absl::StatusOr<int32_t> LogSumExp(LayerContext& c) {
  const bool keep = c.config.Bool("keepdims", false);
  LS_ASSIGN_OR_RETURN(const int32_t most, Reduced(c, BuiltinOperator_REDUCE_MAX, c.input(), true));
  LS_ASSIGN_OR_RETURN(const int32_t below, c.Binary(BuiltinOperator_SUB, c.input(), most, "Sub"));
  LS_ASSIGN_OR_RETURN(const int32_t sum, Reduced(c, BuiltinOperator_SUM,
                                                 c.Unary(BuiltinOperator_EXP, below, "Exp"), keep));
  LS_ASSIGN_OR_RETURN(const int32_t top, Reduced(c, BuiltinOperator_REDUCE_MAX, c.input(), keep));
  return c.Binary(BuiltinOperator_ADD, c.Unary(BuiltinOperator_LOG, sum, "Log"), top, "Add");
}

absl::StatusOr<int32_t> Log1p(LayerContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t sum,
                      c.Binary(BuiltinOperator_ADD, c.input(), c.Scalar("one", 1.0), "Add"));
  return c.Unary(BuiltinOperator_LOG, sum, "Log");
}

// Whether any, or all, of a tensor of truths are true.
template <BuiltinOperator kOp>
absl::StatusOr<int32_t> Truths(LayerContext& c) {
  if (c.graph().type(c.input()) != TensorType_BOOL) return Unsupported("its input is no bool");
  return Reduction<kOp>(c);
}

// and, or: of truths, which numbers become by being other than 0.
template <BuiltinOperator kOp>
absl::StatusOr<int32_t> Logical(LayerContext& c) {
  if (c.inputs().size() != 2) return Unsupported("it should have two tensors");
  return c.Binary(kOp, c.CastTo(c.input(), TensorType_BOOL),
                  c.CastTo(c.inputs()[1], TensorType_BOOL), EnumNameBuiltinOperator(kOp));
}

absl::StatusOr<int32_t> LogicalNot(LayerContext& c) {
  return c.Add(BuiltinOperator_LOGICAL_NOT, LogicalNotOptionsT{},
               {c.CastTo(c.input(), TensorType_BOOL)}, "Not", c.in_shape(), TensorType_BOOL);
}

// zeros_like and ones_like.
template <bool kOnes>
absl::StatusOr<int32_t> Like(LayerContext& c) {
  const std::string name = c.config.String("dtype", "");
  TensorType type = c.graph().type(c.input());
  if (name == "bool") {
    type = TensorType_BOOL;
  } else if (name == "int32") {
    type = TensorType_INT32;
  } else if (!name.empty()) {
    type = TensorType_FLOAT32;
  }
  LS_RETURN_IF_ERROR(c.status());
  int32_t x = c.CastTo(c.input(), type == TensorType_INT32 ? type : TensorType_FLOAT32);
  x = c.Add(BuiltinOperator_ZEROS_LIKE, ZerosLikeOptionsT{}, {x}, "Zeros", c.in_shape(),
            c.graph().type(x));
  if (kOnes) {
    LS_ASSIGN_OR_RETURN(x, c.Binary(BuiltinOperator_EQUAL, x, x, "Ones"));
  }
  return c.CastTo(x, type);
}

// 1 / x.
absl::StatusOr<int32_t> Reciprocal(LayerContext& c) {
  return c.Binary(BuiltinOperator_DIV, c.Scalar("one", 1.0), c.input(), "Reciprocal");
}

absl::StatusOr<int32_t> Expm1(LayerContext& c) {
  return c.Binary(BuiltinOperator_SUB, c.Unary(BuiltinOperator_EXP, c.input(), "Exp"),
                  c.Scalar("one", 1.0), "Sub");
}

// log(x) by the logarithm of the base.
template <int kBase>
absl::StatusOr<int32_t> LogBase(LayerContext& c) {
  return c.Binary(BuiltinOperator_MUL, c.Unary(BuiltinOperator_LOG, c.input(), "Log"),
                  c.Scalar("factor", 1.0 / std::log(double{kBase})), "Mul");
}

absl::StatusOr<int32_t> Tangent(LayerContext& c) {
  return c.Binary(BuiltinOperator_DIV, c.Unary(BuiltinOperator_SIN, c.input(), "Sin"),
                  c.Unary(BuiltinOperator_COS, c.input(), "Cos"), "Tan");
}

absl::StatusOr<int32_t> Round(LayerContext& c) {
  if (c.config.Int("decimals", -100, 100, 0) != 0)
    return Unsupported("'decimals' are not supported");
  LS_RETURN_IF_ERROR(c.status());
  return c.Unary(BuiltinOperator_ROUND, c.input(), "Round");
}

absl::StatusOr<int32_t> LeakyReluCall(LayerContext& c) {
  const double slope = c.config.Number("negative_slope", 0.2);
  LS_RETURN_IF_ERROR(c.status());
  return LeakyRelu(c, c.input(), slope);
}

absl::StatusOr<int32_t> GeluCall(LayerContext& c) {
  GeluOptionsT options;
  options.approximate = c.config.Bool("approximate", true);
  LS_RETURN_IF_ERROR(c.status());
  return c.Add(BuiltinOperator_GELU, std::move(options), {c.input()}, "Gelu", c.in_shape());
}

absl::StatusOr<int32_t> Normalize(LayerContext& c) {
  if (c.config.Int("order", 0, 100, 2) != 2) return Unsupported("only the order 2 is supported");
  const auto rank = static_cast<int32_t>(c.in_shape().size());
  const int32_t axis = c.config.Int("axis", -rank, rank - 1, -1);
  LS_RETURN_IF_ERROR(c.status());
  return UnitLength(c, c.input(), {axis < 0 ? axis + rank : axis});
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
               kHardSilu[] = "hard_silu", kElu[] = "elu", kLogSoftmax[] = "log_softmax",
               kSelu[] = "selu", kSoftsign[] = "softsign", kMish[] = "mish",
               kSquareplus[] = "squareplus", kHardTanh[] = "hard_tanh",
               kTanhShrink[] = "tanh_shrink", kLogSigmoid[] = "log_sigmoid",
               kSparsePlus[] = "sparse_plus", kSparseSigmoid[] = "sparse_sigmoid";

}  // namespace

std::vector<LayerKind> Operations() {
  return {
      {.class_name = "Transpose", .convert = Transpose, .takes_integers = true},
      {.class_name = "ExpandDims", .convert = ExpandDims, .takes_integers = true},
      {.class_name = "Clip", .convert = Clip},
      {.class_name = "Mean", .convert = Reduction<BuiltinOperator_MEAN>},
      {.class_name = "Sum", .convert = Reduction<BuiltinOperator_SUM>},
      {.class_name = "Max", .convert = Reduction<BuiltinOperator_REDUCE_MAX>},
      {.class_name = "Min", .convert = Reduction<BuiltinOperator_REDUCE_MIN>},
      {.class_name = "Abs", .convert = One<BuiltinOperator_ABS>},
      {.class_name = "Absolute", .convert = One<BuiltinOperator_ABS>},
      {.class_name = "Prod", .convert = Reduction<BuiltinOperator_REDUCE_PROD>},
      {.class_name = "Var", .convert = Variance<false>},
      {.class_name = "Std", .convert = Variance<true>},
      {.class_name = "Norm", .convert = Norm},
      {.class_name = "Normalize", .convert = Normalize},
      {.class_name = "Logsumexp", .convert = LogSumExp},
      {.class_name = "Log1p", .convert = Log1p},
      {.class_name = "LeakyRelu", .convert = LeakyReluCall},
      {.class_name = "Gelu", .convert = GeluCall},
      {.class_name = "Elu", .convert = Function<kElu>},
      {.class_name = "LogSoftmax", .convert = Function<kLogSoftmax>},
      {.class_name = "Sin", .convert = One<BuiltinOperator_SIN>},
      {.class_name = "Cos", .convert = One<BuiltinOperator_COS>},
      {.class_name = "Floor", .convert = One<BuiltinOperator_FLOOR>},
      {.class_name = "Ceil", .convert = One<BuiltinOperator_CEIL>},
      {.class_name = "Round", .convert = Round},
      {.class_name = "Sign", .convert = One<BuiltinOperator_SIGN>},
      {.class_name = "Mod", .convert = Two<BuiltinOperator_FLOOR_MOD>},
      {.class_name = "FloorDivide", .convert = Two<BuiltinOperator_FLOOR_DIV>},
      {.class_name = "Greater", .convert = Two<BuiltinOperator_GREATER>},
      {.class_name = "GreaterEqual", .convert = Two<BuiltinOperator_GREATER_EQUAL>},
      {.class_name = "Less", .convert = Two<BuiltinOperator_LESS>},
      {.class_name = "LessEqual", .convert = Two<BuiltinOperator_LESS_EQUAL>},
      {.class_name = "Equal", .convert = Two<BuiltinOperator_EQUAL>},
      {.class_name = "NotEqual", .convert = Two<BuiltinOperator_NOT_EQUAL>},
      {.class_name = "Any", .convert = Truths<BuiltinOperator_REDUCE_ANY>, .takes_integers = true},
      {.class_name = "All", .convert = Truths<BuiltinOperator_REDUCE_ALL>, .takes_integers = true},
      {.class_name = "LogicalAnd",
       .convert = Logical<BuiltinOperator_LOGICAL_AND>,
       .takes_integers = true},
      {.class_name = "LogicalOr",
       .convert = Logical<BuiltinOperator_LOGICAL_OR>,
       .takes_integers = true},
      {.class_name = "LogicalNot", .convert = LogicalNot, .takes_integers = true},
      {.class_name = "ZerosLike", .convert = Like<false>, .takes_integers = true},
      {.class_name = "OnesLike", .convert = Like<true>, .takes_integers = true},
      {.class_name = "Reciprocal", .convert = Reciprocal},
      {.class_name = "Expm1", .convert = Expm1},
      {.class_name = "Log2", .convert = LogBase<2>},
      {.class_name = "Log10", .convert = LogBase<10>},
      {.class_name = "Tan", .convert = Tangent},
      {.class_name = "SquaredDifference", .convert = Two<BuiltinOperator_SQUARED_DIFFERENCE>},
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
      {.class_name = "HardSilu", .convert = Function<kHardSilu>},
      {.class_name = "Selu", .convert = Function<kSelu>},
      {.class_name = "Softsign", .convert = Function<kSoftsign>},
      {.class_name = "Mish", .convert = Function<kMish>},
      {.class_name = "Squareplus", .convert = Function<kSquareplus>},
      {.class_name = "HardTanh", .convert = Function<kHardTanh>},
      {.class_name = "TanhShrink", .convert = Function<kTanhShrink>},
      {.class_name = "LogSigmoid", .convert = Function<kLogSigmoid>},
      {.class_name = "SparsePlus", .convert = Function<kSparsePlus>},
      {.class_name = "SparseSigmoid", .convert = Function<kSparseSigmoid>}};
}

}  // namespace litesmith::keras
