// Activations: by name, as layers of their own, and the parametric ones.

#include <algorithm>
#include <cmath>

#include "import/keras/layer.h"

namespace litesmith::keras {
namespace {

using schema::BuiltinOperator;

absl::StatusOr<int32_t> MinMax(LayerContext& c, int32_t x, double low, double high) {
  LS_ASSIGN_OR_RETURN(x, c.Binary(schema::BuiltinOperator_MAXIMUM, x, c.Scalar("low", low), "max"));
  return c.Binary(schema::BuiltinOperator_MINIMUM, x, c.Scalar("high", high), "min");
}

absl::StatusOr<int32_t> Times(LayerContext& c, int32_t x, double factor) {
  return c.Binary(schema::BuiltinOperator_MUL, x, c.Scalar("factor", factor), "mul");
}

absl::StatusOr<int32_t> Plus(LayerContext& c, int32_t x, double term) {
  return c.Binary(schema::BuiltinOperator_ADD, x, c.Scalar("term", term), "add");
}

absl::StatusOr<int32_t> Elu(LayerContext& c, int32_t x, double alpha) {
  if (alpha == 1.0) return c.Unary(schema::BuiltinOperator_ELU, x, "Elu");
  // elu(x) = relu(x) + alpha * min(elu_1(x), 0)
  const int32_t one = c.Unary(schema::BuiltinOperator_ELU, x, "Elu");
  LS_ASSIGN_OR_RETURN(const int32_t negative,
                      c.Binary(schema::BuiltinOperator_MINIMUM, one, c.Scalar("zero", 0.0), "min"));
  LS_ASSIGN_OR_RETURN(const int32_t scaled, Times(c, negative, alpha));
  return c.Binary(schema::BuiltinOperator_ADD, c.Unary(schema::BuiltinOperator_RELU, x, "Relu"),
                  scaled, "add");
}

// log(1 + exp(x)) as max(x, 0) + log(1 + exp(-|x|)), which does not overflow.
absl::StatusOr<int32_t> Softplus(LayerContext& c, int32_t x) {
  const int32_t abs = c.Unary(schema::BuiltinOperator_ABS, x, "abs");
  LS_ASSIGN_OR_RETURN(const int32_t minus, Times(c, abs, -1.0));
  LS_ASSIGN_OR_RETURN(const int32_t sum,
                      Plus(c, c.Unary(schema::BuiltinOperator_EXP, minus, "exp"), 1.0));
  return c.Binary(schema::BuiltinOperator_ADD, c.Unary(schema::BuiltinOperator_RELU, x, "Relu"),
                  c.Unary(schema::BuiltinOperator_LOG, sum, "log"), "add");
}

absl::StatusOr<int32_t> Softsign(LayerContext& c, int32_t x) {
  LS_ASSIGN_OR_RETURN(const int32_t below,
                      Plus(c, c.Unary(schema::BuiltinOperator_ABS, x, "abs"), 1.0));
  return c.Binary(schema::BuiltinOperator_DIV, x, below, "div");
}

// Keras 3: relu6(x + 3) / 6; Keras 2: x / 5 + 1/2 between 0 and 1.
absl::StatusOr<int32_t> HardSigmoid(LayerContext& c, int32_t x) {
  if (c.inner().keras2()) {
    LS_ASSIGN_OR_RETURN(const int32_t fifth, Times(c, x, 0.2));
    LS_ASSIGN_OR_RETURN(const int32_t line, Plus(c, fifth, 0.5));
    return MinMax(c, line, 0.0, 1.0);
  }
  LS_ASSIGN_OR_RETURN(const int32_t sum, Plus(c, x, 3.0));
  return Times(c, c.Unary(schema::BuiltinOperator_RELU6, sum, "Relu6"), 1.0 / 6.0);
}

absl::StatusOr<int32_t> Gelu(LayerContext& c, int32_t x, bool approximate) {
  schema::GeluOptionsT options;
  options.approximate = approximate;
  return c.Add(schema::BuiltinOperator_GELU, std::move(options), {x}, "Gelu", c.shape(x));
}

// The first half of the last axis, times the sigmoid of the second (Dauphin et al. 2016).
absl::StatusOr<int32_t> Glu(LayerContext& c, int32_t x) {
  Shape half = c.shape(x);
  if (half.empty() || half.back() <= 0 || half.back() % 2 != 0) {
    return Invalid("'glu' needs an even number of channels; its input is {}", ShapeString(half));
  }
  const int32_t axis = c.graph().Constant(
      c.Named("axis"), {}, std::vector<int32_t>{static_cast<int32_t>(half.size()) - 1});
  half.back() /= 2;
  schema::SplitOptionsT options;
  options.num_splits = 2;
  const auto parts = c.AddMany(schema::BuiltinOperator_SPLIT, std::move(options), {axis, x},
                               "split", {half, half});
  return c.Binary(schema::BuiltinOperator_MUL, parts[0],
                  c.Unary(schema::BuiltinOperator_LOGISTIC, parts[1], "Sigmoid"), "mul");
}

// relu(x - 0.5) - relu(-x - 0.5)
absl::StatusOr<int32_t> SoftShrink(LayerContext& c, int32_t x) {
  LS_ASSIGN_OR_RETURN(const int32_t above, Plus(c, x, -0.5));
  LS_ASSIGN_OR_RETURN(const int32_t minus, Times(c, x, -1.0));
  LS_ASSIGN_OR_RETURN(const int32_t below, Plus(c, minus, -0.5));
  return c.Binary(schema::BuiltinOperator_SUB, c.Unary(schema::BuiltinOperator_RELU, above, "Relu"),
                  c.Unary(schema::BuiltinOperator_RELU, below, "Relu"), "sub");
}

// x where |x| > 0.5, else 0.
absl::StatusOr<int32_t> HardShrink(LayerContext& c, int32_t x) {
  LS_ASSIGN_OR_RETURN(
      const int32_t outside,
      c.Binary(schema::BuiltinOperator_GREATER, c.Unary(schema::BuiltinOperator_ABS, x, "abs"),
               c.Scalar("threshold", 0.5), "Greater"));
  return c.Binary(schema::BuiltinOperator_MUL, x, c.CastTo(outside, schema::TensorType_FLOAT32),
                  "mul");
}

// (x + sqrt(x^2 + 4)) / 2 (Barron 2021, "Squareplus").
absl::StatusOr<int32_t> Squareplus(LayerContext& c, int32_t x) {
  LS_ASSIGN_OR_RETURN(const int32_t square, c.Binary(schema::BuiltinOperator_MUL, x, x, "square"));
  LS_ASSIGN_OR_RETURN(const int32_t sum, Plus(c, square, 4.0));
  LS_ASSIGN_OR_RETURN(const int32_t both,
                      c.Binary(schema::BuiltinOperator_ADD, x,
                               c.Unary(schema::BuiltinOperator_SQRT, sum, "sqrt"), "add"));
  return Times(c, both, 0.5);
}

// 0 up to -1, (x + 1)^2 / 4 up to 1, then x.
absl::StatusOr<int32_t> SparsePlus(LayerContext& c, int32_t x) {
  LS_ASSIGN_OR_RETURN(const int32_t middle, MinMax(c, x, -1.0, 1.0));
  LS_ASSIGN_OR_RETURN(const int32_t sum, Plus(c, middle, 1.0));
  LS_ASSIGN_OR_RETURN(const int32_t square,
                      c.Binary(schema::BuiltinOperator_MUL, sum, sum, "square"));
  LS_ASSIGN_OR_RETURN(const int32_t quarter, Times(c, square, 0.25));
  LS_ASSIGN_OR_RETURN(const int32_t above, Plus(c, x, -1.0));
  return c.Binary(schema::BuiltinOperator_ADD, quarter,
                  c.Unary(schema::BuiltinOperator_RELU, above, "Relu"), "add");
}

absl::StatusOr<int32_t> ByName(LayerContext& c, std::string_view name, int32_t x);

using Function = absl::StatusOr<int32_t> (*)(LayerContext&, int32_t);

template <BuiltinOperator kOp>
absl::StatusOr<int32_t> One(LayerContext& c, int32_t x) {
  const char* name = schema::EnumNameBuiltinOperator(kOp);
  return c.Unary(kOp, x, name);
}

const std::map<std::string_view, Function>& Activations() {
  using namespace schema;  // NOLINT: the operators' names
  static const auto* const kAll = new std::map<std::string_view, Function>{
      {"linear", [](LayerContext&, int32_t x) -> absl::StatusOr<int32_t> { return x; }},
      {"relu", One<BuiltinOperator_RELU>},
      {"relu6", One<BuiltinOperator_RELU6>},
      {"leaky_relu", [](LayerContext& c, int32_t x) { return LeakyRelu(c, x, 0.2); }},
      {"sigmoid", One<BuiltinOperator_LOGISTIC>},
      {"tanh", One<BuiltinOperator_TANH>},
      {"softmax", [](LayerContext& c, int32_t x) { return Softmax(c, x, -1); }},
      {"log_softmax",
       [](LayerContext& c, int32_t x) -> absl::StatusOr<int32_t> {
         return c.Add(BuiltinOperator_LOG_SOFTMAX, LogSoftmaxOptionsT{}, {x}, "LogSoftmax",
                      c.shape(x));
       }},
      {"elu", [](LayerContext& c, int32_t x) { return Elu(c, x, 1.0); }},
      // Klambauer et al. 2017, "Self-Normalizing Neural Networks".
      {"selu",
       [](LayerContext& c, int32_t x) -> absl::StatusOr<int32_t> {
         LS_ASSIGN_OR_RETURN(const int32_t y, Elu(c, x, 1.6732632423543772));
         return Times(c, y, 1.0507009873554805);
       }},
      {"exponential", One<BuiltinOperator_EXP>},
      {"softplus", Softplus},
      {"softsign", Softsign},
      {"silu",
       [](LayerContext& c, int32_t x) {
         return c.Binary(BuiltinOperator_MUL, x, c.Unary(BuiltinOperator_LOGISTIC, x, "Sigmoid"),
                         "mul");
       }},
      {"gelu", [](LayerContext& c, int32_t x) { return Gelu(c, x, false); }},
      {"hard_sigmoid", HardSigmoid},
      {"hard_silu", One<BuiltinOperator_HARD_SWISH>},
      // Misra 2019: x * tanh(softplus(x)).
      {"mish",
       [](LayerContext& c, int32_t x) -> absl::StatusOr<int32_t> {
         LS_ASSIGN_OR_RETURN(const int32_t soft, Softplus(c, x));
         return c.Binary(BuiltinOperator_MUL, x, c.Unary(BuiltinOperator_TANH, soft, "Tanh"),
                         "mul");
       }},
      {"hard_tanh", [](LayerContext& c, int32_t x) { return MinMax(c, x, -1.0, 1.0); }},
      {"hard_shrink", HardShrink},
      {"soft_shrink", SoftShrink},
      {"tanh_shrink",
       [](LayerContext& c, int32_t x) {
         return c.Binary(BuiltinOperator_SUB, x, c.Unary(BuiltinOperator_TANH, x, "Tanh"), "sub");
       }},
      {"celu", [](LayerContext& c, int32_t x) { return Elu(c, x, 1.0); }},
      {"glu", Glu},
      {"squareplus", Squareplus},
      {"sparse_plus", SparsePlus},
      {"sparse_sigmoid",
       [](LayerContext& c, int32_t x) -> absl::StatusOr<int32_t> {
         LS_ASSIGN_OR_RETURN(const int32_t half, Times(c, x, 0.5));
         LS_ASSIGN_OR_RETURN(const int32_t sum, Plus(c, half, 0.5));
         return MinMax(c, sum, 0.0, 1.0);
       }},
      {"log_sigmoid",
       [](LayerContext& c, int32_t x) -> absl::StatusOr<int32_t> {
         LS_ASSIGN_OR_RETURN(const int32_t minus, Times(c, x, -1.0));
         LS_ASSIGN_OR_RETURN(const int32_t soft, Softplus(c, minus));
         return Times(c, soft, -1.0);
       }},
  };
  return *kAll;
}

std::string_view Alias(std::string_view name) {
  if (name == "swish") return "silu";
  if (name == "hard_swish") return "hard_silu";
  if (name == "exp") return "exponential";
  return name;
}

absl::StatusOr<int32_t> ByName(LayerContext& c, std::string_view name, int32_t x) {
  return Activations().at(Alias(name))(c, x);
}

// ---- Layers
// ------------------------------------------------------------------------------------------------

absl::StatusOr<int32_t> ActivationLayer(LayerContext& c) { return ActivateByConfig(c, c.input()); }

// y = x where x > threshold (else 0), at most max_value, plus slope * (x - threshold) below the
// threshold.
absl::StatusOr<int32_t> ReLU(LayerContext& c) {
  const bool limited = c.config.Has("max_value");
  const double max_value = c.config.Number("max_value", 0.0);
  const double slope = c.config.Number("negative_slope", 0.0);
  const double threshold = c.config.Number("threshold", 0.0);
  LS_RETURN_IF_ERROR(c.status());
  const int32_t x = c.input();
  if (threshold == 0.0 && slope != 0.0 && !limited) return LeakyRelu(c, x, slope);
  if (threshold == 0.0 && slope == 0.0 && limited && max_value == 6.0) {
    return c.Unary(schema::BuiltinOperator_RELU6, x, "Relu6");
  }
  int32_t y = -1;
  if (threshold == 0.0) {
    y = c.Unary(schema::BuiltinOperator_RELU, x, "Relu");
  } else {
    LS_ASSIGN_OR_RETURN(const int32_t above, c.Binary(schema::BuiltinOperator_GREATER, x,
                                                      c.Scalar("threshold", threshold), "Greater"));
    LS_ASSIGN_OR_RETURN(y, c.Binary(schema::BuiltinOperator_MUL, x,
                                    c.CastTo(above, schema::TensorType_FLOAT32), "mul"));
  }
  if (limited) {
    if (threshold < 0.0) {
      LS_ASSIGN_OR_RETURN(y, MinMax(c, y, 0.0, max_value));
    } else {
      LS_ASSIGN_OR_RETURN(y, c.Binary(schema::BuiltinOperator_MINIMUM, y,
                                      c.Scalar("max_value", max_value), "Minimum"));
    }
  }
  if (slope == 0.0) return y;
  LS_ASSIGN_OR_RETURN(int32_t negative, Times(c, x, -1.0));
  LS_ASSIGN_OR_RETURN(negative, Plus(c, negative, threshold));
  LS_ASSIGN_OR_RETURN(negative,
                      Times(c, c.Unary(schema::BuiltinOperator_RELU, negative, "Relu"), slope));
  return c.Binary(schema::BuiltinOperator_SUB, y, negative, "sub");
}

// Keras 2: x where x > theta, else 0.
absl::StatusOr<int32_t> ThresholdedReLU(LayerContext& c) {
  const double theta = c.config.Number("theta", 1.0);
  LS_RETURN_IF_ERROR(c.status());
  LS_ASSIGN_OR_RETURN(const int32_t above, c.Binary(schema::BuiltinOperator_GREATER, c.input(),
                                                    c.Scalar("theta", theta), "Greater"));
  return c.Binary(schema::BuiltinOperator_MUL, c.input(),
                  c.CastTo(above, schema::TensorType_FLOAT32), "mul");
}

absl::StatusOr<int32_t> LeakyReLULayer(LayerContext& c) {
  const char* key = c.config.Has("negative_slope") ? "negative_slope" : "alpha";
  const double slope = c.config.Number(key, 0.3);
  LS_RETURN_IF_ERROR(c.status());
  return LeakyRelu(c, c.input(), slope);
}

absl::StatusOr<int32_t> EluLayer(LayerContext& c) {
  const double alpha = c.config.Number("alpha", 1.0);
  LS_RETURN_IF_ERROR(c.status());
  return Elu(c, c.input(), alpha);
}

absl::StatusOr<int32_t> PReLU(LayerContext& c) {
  const Shape& in = c.in_shape();
  Shape shape(in.begin() + 1, in.end());
  if (c.config.Has("shared_axes")) {
    for (int32_t axis : c.config.List("shared_axes", 1, static_cast<int64_t>(shape.size()))) {
      shape[static_cast<size_t>(axis) - 1] = 1;
    }
  }
  LS_RETURN_IF_ERROR(c.status());
  LS_ASSIGN_OR_RETURN(
      const auto constants, c.Constants("", [&]() -> absl::StatusOr<std::vector<int32_t>> {
        LS_ASSIGN_OR_RETURN(const auto alpha, c.weights.Take({"alpha"}));
        LS_RETURN_IF_ERROR(CheckWeight(alpha[0], shape, "alpha"));
        LS_ASSIGN_OR_RETURN(const int32_t t, c.Constant("alpha", alpha[0].shape, alpha[0].values));
        return std::vector<int32_t>{t};
      }));
  return c.Add(schema::BuiltinOperator_PRELU, {c.input(), constants[0]}, "PRelu", in);
}

// Over several axes at once: they come last and are one.
absl::StatusOr<int32_t> SoftmaxOver(LayerContext& c, int32_t x, const std::vector<int32_t>& axes) {
  if (axes.size() == 1) return Softmax(c, x, axes[0]);
  const Shape in = c.shape(x);
  std::vector<int32_t> order, back(in.size());
  for (size_t d = 0; d < in.size(); ++d) {
    const auto axis = static_cast<int32_t>(d);
    if (std::find(axes.begin(), axes.end(), axis) == axes.end()) order.push_back(axis);
  }
  if (order.size() + axes.size() != in.size()) return Invalid("its 'axis' names one axis twice");
  Shape joined;
  int64_t together = 1;
  for (int32_t axis : order) joined.push_back(in[static_cast<size_t>(axis)]);
  for (int32_t axis : axes) {
    LS_ASSIGN_OR_RETURN(const int32_t size, c.KnownDim(static_cast<size_t>(axis)));
    together = c.Size(together * size);
  }
  LS_RETURN_IF_ERROR(c.status());
  joined.push_back(static_cast<int32_t>(together));
  order.insert(order.end(), axes.begin(), axes.end());
  for (size_t d = 0; d < order.size(); ++d) {
    back[static_cast<size_t>(order[d])] = static_cast<int32_t>(d);
  }
  const int32_t moved = c.Transpose(x, order);
  LS_ASSIGN_OR_RETURN(int32_t y, c.Reshape(moved, joined));
  LS_ASSIGN_OR_RETURN(y, Softmax(c, y, -1));
  LS_ASSIGN_OR_RETURN(y, c.Reshape(y, c.shape(moved)));
  return c.Transpose(y, back);
}

absl::StatusOr<int32_t> SoftmaxLayer(LayerContext& c) {
  const auto rank = static_cast<int32_t>(c.in_shape().size());
  std::vector<int32_t> axes;
  if (const Json* value = c.config.Find("axis"); value != nullptr && value->is_array()) {
    axes = c.config.List("axis", -rank, rank - 1);
  } else {
    axes = {c.config.Int("axis", -rank, rank - 1, -1)};
  }
  LS_RETURN_IF_ERROR(c.status());
  if (axes.empty()) return Invalid("its 'axis' is empty");
  for (int32_t& axis : axes) axis = axis < 0 ? axis + rank : axis;
  if (c.inputs().size() > 1) return Unsupported("it is called with a mask that is no keyword");
  LS_ASSIGN_OR_RETURN(const int32_t mask, StepMask(c));
  if (mask < 0) return SoftmaxOver(c, c.input(), axes);
  if (c.shape(mask).size() != static_cast<size_t>(rank)) {
    return Unsupported("its mask has shape {}, its input {}", ShapeString(c.shape(mask)),
                       ShapeString(c.in_shape()));
  }
  const int32_t kept = c.Add(schema::BuiltinOperator_SELECT_V2, schema::SelectV2OptionsT{},
                             {mask, c.input(), c.Scalar("masked", -1e9)}, "masked", c.in_shape());
  LS_ASSIGN_OR_RETURN(const int32_t y, SoftmaxOver(c, kept, axes));
  if (c.inner().keras2()) return y;
  return c.Binary(schema::BuiltinOperator_MUL, y, c.CastTo(mask, schema::TensorType_FLOAT32),
                  "mask_mul");
}

}  // namespace

bool IsActivation(std::string_view name) { return Activations().contains(Alias(name)); }

absl::StatusOr<int32_t> Activate(LayerContext& c, std::string_view name, int32_t x) {
  return ByName(c, name, x);
}

absl::StatusOr<int32_t> ActivateByConfig(LayerContext& c, int32_t x) {
  const Json* value = c.config.Find("activation");
  if (value == nullptr) return x;
  return ByName(c, ObjectName(*value), x);
}

absl::StatusOr<int32_t> LeakyRelu(LayerContext& c, int32_t x, double slope) {
  schema::LeakyReluOptionsT options;
  options.alpha = static_cast<float>(slope);
  return c.Add(schema::BuiltinOperator_LEAKY_RELU, std::move(options), {x}, "LeakyRelu",
               c.shape(x));
}

absl::StatusOr<int32_t> Softmax(LayerContext& c, int32_t x, int axis) {
  const auto rank = static_cast<int>(c.shape(x).size());
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return Invalid("it has no axis {}", axis);
  std::vector<int32_t> swap(static_cast<size_t>(rank));
  for (int i = 0; i < rank; ++i) swap[static_cast<size_t>(i)] = i;
  std::swap(swap[static_cast<size_t>(axis)], swap[static_cast<size_t>(rank) - 1]);
  const bool last = axis == rank - 1;
  const int32_t in = last ? x : c.Transpose(x, swap);
  schema::SoftmaxOptionsT options;
  options.beta = 1.0f;
  const int32_t y =
      c.Add(schema::BuiltinOperator_SOFTMAX, std::move(options), {in}, "Softmax", c.shape(in));
  return last ? y : c.Transpose(y, swap);
}

std::vector<LayerKind> ActivationLayers() {
  constexpr MaskRule kPass = MaskRule::kPass;
  return {{.class_name = "Activation", .convert = ActivationLayer, .masks = kPass},
          {.class_name = "ReLU", .convert = ReLU, .masks = kPass},
          {.class_name = "ThresholdedReLU", .convert = ThresholdedReLU, .masks = kPass},
          {.class_name = "LeakyReLU", .convert = LeakyReLULayer, .masks = kPass},
          {.class_name = "ELU", .convert = EluLayer, .masks = kPass},
          {.class_name = "PReLU", .convert = PReLU, .masks = kPass},
          {.class_name = "Softmax", .convert = SoftmaxLayer, .takes_mask = true, .masks = kPass}};
}

}  // namespace litesmith::keras
