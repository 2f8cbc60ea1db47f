// Element by element: arithmetic, comparisons, activations.

#include <cmath>
#include <cstdlib>
#include <limits>

#include "import/saved_model/lower.h"
#include "import/saved_model/types.h"

namespace litesmith::saved_model {
namespace {

using schema::BuiltinOperator;

absl::StatusOr<Tensors> One(absl::StatusOr<int32_t> t) {
  if (!t.ok()) return t.status();
  return Tensors{*t};
}

template <BuiltinOperator kOp>
absl::StatusOr<Tensors> Same(NodeContext& c) {
  return One(c.e().Emit(kOp, c.inputs()));
}

template <BuiltinOperator kOp>
absl::StatusOr<Tensors> Unary(NodeContext& c) {
  return One(c.e().Emit(kOp, {c.in()}));
}

template <BuiltinOperator kOp>
absl::StatusOr<Tensors> Compare(NodeContext& c) {
  return c.e().Emit(kOp, Options(), {c.in(0), c.in(1)}, {schema::TensorType_BOOL});
}

absl::StatusOr<Tensors> Identity(NodeContext& c) { return Tensors{c.in()}; }
absl::StatusOr<Tensors> AllInputs(NodeContext& c) { return c.inputs(); }

// x by `op` with a number.
absl::StatusOr<int32_t> With(NodeContext& c, BuiltinOperator op, int32_t x, double number) {
  LS_ASSIGN_OR_RETURN(const int32_t y, c.e().Scalar(static_cast<float>(number)));
  return c.e().Binary(op, x, y);
}

absl::StatusOr<Tensors> Mul(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const auto activation, RecogniseActivation(c.e(), c.in(0), c.in(1)));
  if (activation) return Tensors{*activation};
  return One(c.e().Binary(schema::BuiltinOperator_MUL, c.in(0), c.in(1)));
}

// A quotient by a constant number may end an activation too: x * relu6(x + 3) / 6.
absl::StatusOr<Tensors> Divide(NodeContext& c) {
  if (const auto number = c.e().KnownFloat(c.in(1)); number && !c.e().IsConstant(c.in(0))) {
    LS_ASSIGN_OR_RETURN(const int32_t inverse, c.e().Scalar(1.0f / *number));
    LS_ASSIGN_OR_RETURN(const auto activation, RecogniseActivation(c.e(), c.in(0), inverse));
    if (activation) return Tensors{*activation};
  }
  return One(c.e().Binary(schema::BuiltinOperator_DIV, c.in(0), c.in(1)));
}

absl::StatusOr<Tensors> Maximum(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const auto leaky, RecogniseLeakyRelu(c.e(), c.in(0), c.in(1)));
  if (leaky) return Tensors{*leaky};
  return One(c.e().Binary(schema::BuiltinOperator_MAXIMUM, c.in(0), c.in(1)));
}

// Neither infinite nor a NaN, for which no comparison holds.
absl::StatusOr<Tensors> IsFinite(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t size, c.e().Emit(schema::BuiltinOperator_ABS, {c.in()}));
  LS_ASSIGN_OR_RETURN(const int32_t bound, c.e().Scalar(std::numeric_limits<float>::infinity()));
  return c.e().Emit(schema::BuiltinOperator_LESS, Options(), {size, bound},
                    {schema::TensorType_BOOL});
}

absl::StatusOr<Tensors> IsInf(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t size, c.e().Emit(schema::BuiltinOperator_ABS, {c.in()}));
  LS_ASSIGN_OR_RETURN(const int32_t bound, c.e().Scalar(std::numeric_limits<float>::infinity()));
  return c.e().Emit(schema::BuiltinOperator_EQUAL, Options(), {size, bound},
                    {schema::TensorType_BOOL});
}

// What differs from itself.
absl::StatusOr<Tensors> IsNan(NodeContext& c) {
  return c.e().Emit(schema::BuiltinOperator_NOT_EQUAL, Options(), {c.in(), c.in()},
                    {schema::TensorType_BOOL});
}

absl::StatusOr<Tensors> AddN(NodeContext& c) {
  int32_t sum = c.in();
  for (size_t i = 1; i < c.count(); ++i) {
    LS_ASSIGN_OR_RETURN(sum, c.e().Binary(schema::BuiltinOperator_ADD, sum, c.in(i)));
  }
  return Tensors{sum};
}

// a / b, and 0 where b is 0.
absl::StatusOr<Tensors> DivNoNan(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t zero, c.e().Scalar(0.0f));
  LS_ASSIGN_OR_RETURN(const auto none, c.e().Emit(schema::BuiltinOperator_EQUAL, Options(),
                                                  {c.in(1), zero}, {schema::TensorType_BOOL}));
  LS_ASSIGN_OR_RETURN(const int32_t y, c.e().Binary(schema::BuiltinOperator_DIV, c.in(0), c.in(1)));
  const std::vector<int32_t> choice = {none[0], zero, y};
  LS_ASSIGN_OR_RETURN(
      auto out, c.e().Emit(schema::BuiltinOperator_SELECT_V2, Options(), choice, {c.e().type(y)}));
  return out;
}

absl::StatusOr<Tensors> Reciprocal(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t one, c.e().Scalar(1.0f));
  return One(c.e().Binary(schema::BuiltinOperator_DIV, one, c.in()));
}

template <int kSign>
absl::StatusOr<Tensors> LogExp(NodeContext& c) {  // log(1 + x), exp(x) - 1
  if constexpr (kSign > 0) {
    LS_ASSIGN_OR_RETURN(const int32_t y, With(c, schema::BuiltinOperator_ADD, c.in(), 1.0));
    return One(c.e().Emit(schema::BuiltinOperator_LOG, {y}));
  } else {
    LS_ASSIGN_OR_RETURN(const int32_t y, c.e().Emit(schema::BuiltinOperator_EXP, {c.in()}));
    return One(With(c, schema::BuiltinOperator_SUB, y, 1.0));
  }
}

absl::StatusOr<Tensors> Tan(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t sine, c.e().Emit(schema::BuiltinOperator_SIN, {c.in()}));
  LS_ASSIGN_OR_RETURN(const int32_t cosine, c.e().Emit(schema::BuiltinOperator_COS, {c.in()}));
  return One(c.e().Binary(schema::BuiltinOperator_DIV, sine, cosine));
}

// (e^x - e^-x) / 2 and (e^x + e^-x) / 2.
template <BuiltinOperator kOp>
absl::StatusOr<Tensors> Hyperbolic(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t minus, c.e().Emit(schema::BuiltinOperator_NEG, {c.in()}));
  LS_ASSIGN_OR_RETURN(const int32_t rising, c.e().Emit(schema::BuiltinOperator_EXP, {c.in()}));
  LS_ASSIGN_OR_RETURN(const int32_t falling, c.e().Emit(schema::BuiltinOperator_EXP, {minus}));
  LS_ASSIGN_OR_RETURN(const int32_t both, c.e().Binary(kOp, rising, falling));
  return One(With(c, schema::BuiltinOperator_MUL, both, 0.5));
}

// log(1 + exp(x)) as max(x, 0) + log(1 + exp(-|x|)), which does not overflow.
absl::StatusOr<Tensors> Softplus(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(int32_t y, c.e().Emit(schema::BuiltinOperator_ABS, {c.in()}));
  LS_ASSIGN_OR_RETURN(y, c.e().Emit(schema::BuiltinOperator_NEG, {y}));
  LS_ASSIGN_OR_RETURN(y, c.e().Emit(schema::BuiltinOperator_EXP, {y}));
  LS_ASSIGN_OR_RETURN(y, With(c, schema::BuiltinOperator_ADD, y, 1.0));
  LS_ASSIGN_OR_RETURN(y, c.e().Emit(schema::BuiltinOperator_LOG, {y}));
  LS_ASSIGN_OR_RETURN(const int32_t above, c.e().Emit(schema::BuiltinOperator_RELU, {c.in()}));
  return One(c.e().Binary(schema::BuiltinOperator_ADD, above, y));
}

absl::StatusOr<Tensors> Softsign(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(int32_t y, c.e().Emit(schema::BuiltinOperator_ABS, {c.in()}));
  LS_ASSIGN_OR_RETURN(y, With(c, schema::BuiltinOperator_ADD, y, 1.0));
  return One(c.e().Binary(schema::BuiltinOperator_DIV, c.in(), y));
}

// Klambauer et al. 2017: scale * elu(x) with alpha below 0.
absl::StatusOr<Tensors> Selu(NodeContext& c) {
  constexpr double kScale = 1.0507009873554805, kAlpha = 1.6732632423543772;
  LS_ASSIGN_OR_RETURN(int32_t below, c.e().Emit(schema::BuiltinOperator_ELU, {c.in()}));
  LS_ASSIGN_OR_RETURN(below, With(c, schema::BuiltinOperator_MINIMUM, below, 0.0));
  LS_ASSIGN_OR_RETURN(below, With(c, schema::BuiltinOperator_MUL, below, kScale * kAlpha));
  LS_ASSIGN_OR_RETURN(int32_t above, c.e().Emit(schema::BuiltinOperator_RELU, {c.in()}));
  LS_ASSIGN_OR_RETURN(above, With(c, schema::BuiltinOperator_MUL, above, kScale));
  return One(c.e().Binary(schema::BuiltinOperator_ADD, above, below));
}

absl::StatusOr<Tensors> LeakyRelu(NodeContext& c) {
  schema::LeakyReluOptionsT options;
  options.alpha = c.Float("alpha", 0.2f);
  return One(c.e().Emit(schema::BuiltinOperator_LEAKY_RELU, Options(std::move(options)), {c.in()}));
}

// TFLite has GELU but no ERF: with y = x * sqrt(2), gelu(y) + gelu(-y) = |y| * |erf(x)|.
absl::StatusOr<int32_t> AddErf(NodeContext& c, int32_t x) {
  LS_ASSIGN_OR_RETURN(const int32_t y, With(c, schema::BuiltinOperator_MUL, x, std::sqrt(2.0)));
  LS_ASSIGN_OR_RETURN(const int32_t minus, c.e().Emit(schema::BuiltinOperator_NEG, {y}));
  const Options exact{schema::GeluOptionsT{}};
  LS_ASSIGN_OR_RETURN(const int32_t a, c.e().Emit(schema::BuiltinOperator_GELU, exact, {y}));
  LS_ASSIGN_OR_RETURN(const int32_t b, c.e().Emit(schema::BuiltinOperator_GELU, exact, {minus}));
  LS_ASSIGN_OR_RETURN(const int32_t sum, c.e().Binary(schema::BuiltinOperator_ADD, a, b));
  LS_ASSIGN_OR_RETURN(int32_t below, c.e().Emit(schema::BuiltinOperator_ABS, {y}));
  LS_ASSIGN_OR_RETURN(below, With(c, schema::BuiltinOperator_MAXIMUM, below, 1e-30));
  LS_ASSIGN_OR_RETURN(const int32_t size, c.e().Binary(schema::BuiltinOperator_DIV, sum, below));
  LS_ASSIGN_OR_RETURN(const int32_t sign, c.e().Emit(schema::BuiltinOperator_SIGN, {x}));
  return c.e().Binary(schema::BuiltinOperator_MUL, size, sign);
}

absl::StatusOr<Tensors> Erf(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t erf, AddErf(c, c.in()));
  c.e().NoteErf(erf, {c.in(), false});
  return Tensors{erf};
}

absl::StatusOr<Tensors> Erfc(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t erf, AddErf(c, c.in()));
  LS_ASSIGN_OR_RETURN(const int32_t one, c.e().Scalar(1.0f));
  LS_ASSIGN_OR_RETURN(const int32_t rest, c.e().Binary(schema::BuiltinOperator_SUB, one, erf));
  c.e().NoteErf(rest, {c.in(), true});
  return Tensors{rest};
}

absl::StatusOr<Tensors> Cast(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const TensorType type, DenseType(c.Type("DstT")));
  return One(c.e().CastTo(c.in(), type));
}

absl::StatusOr<Tensors> Clip(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t y,
                      c.e().Binary(schema::BuiltinOperator_MAXIMUM, c.in(0), c.in(1)));
  return One(c.e().Binary(schema::BuiltinOperator_MINIMUM, y, c.in(2)));
}

template <BuiltinOperator kOp>
absl::StatusOr<Tensors> Choose(NodeContext& c) {
  return c.e().Emit(kOp, Options(), {c.in(0), c.in(1), c.in(2)}, {c.e().type(c.in(1))});
}

// The old Select takes whole rows by a condition of one dimension.
absl::StatusOr<Tensors> Select(NodeContext& c) {
  const size_t rank = c.e().rank(c.in(1));
  if (c.e().rank(c.in(0)) != 1 || rank < 2) return Choose<schema::BuiltinOperator_SELECT_V2>(c);
  Shape shape(rank, 1);
  shape[0] = -1;
  LS_ASSIGN_OR_RETURN(const int32_t target, c.e().Ints(shape));
  LS_ASSIGN_OR_RETURN(const int32_t condition, c.e().Reshape(c.in(0), target));
  return c.e().Emit(schema::BuiltinOperator_SELECT_V2, Options(), {condition, c.in(1), c.in(2)},
                    {c.e().type(c.in(1))});
}

absl::StatusOr<Tensors> Softmax(NodeContext& c) {
  schema::SoftmaxOptionsT options;
  options.beta = 1.0f;
  return One(c.e().Emit(schema::BuiltinOperator_SOFTMAX, Options(std::move(options)), {c.in()}));
}

absl::StatusOr<Tensors> FakeQuant(NodeContext& c) {
  schema::FakeQuantOptionsT options;
  if (c.count() >= 3) {
    const auto low = c.e().KnownFloat(c.in(1)), high = c.e().KnownFloat(c.in(2));
    if (!low || !high) return Unsupported("its range must be constant");
    options.min = *low;
    options.max = *high;
  } else {
    options.min = c.Float("min", -6.0f);
    options.max = c.Float("max", 6.0f);
  }
  options.num_bits = static_cast<int32_t>(c.Int("num_bits", 8));
  options.narrow_range = c.Bool("narrow_range", false);
  return One(c.e().Emit(schema::BuiltinOperator_FAKE_QUANT, Options(std::move(options)), {c.in()}));
}

absl::StatusOr<Tensors> OnesLike(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t zeros,
                      c.e().Emit(schema::BuiltinOperator_ZEROS_LIKE, {c.in()}));
  LS_ASSIGN_OR_RETURN(const int32_t one, c.e().Scalar(1.0f));
  LS_ASSIGN_OR_RETURN(const int32_t same, c.e().CastTo(one, c.e().type(c.in())));
  return One(c.e().Binary(schema::BuiltinOperator_ADD, zeros, same));
}

// x / (bias + alpha * sum of x^2 over the channels c - r to c + r)^beta. TFLite's own operator
// leaves channel c + r out (its loop ends before it), so the sums are a product with a band of
// ones.
absl::StatusOr<Tensors> LocalResponse(NodeContext& c) {
  constexpr int32_t kMostChannels = 4096;
  const int32_t x = c.in();
  const Shape shape = c.e().shape(x);
  const int32_t channels = shape.empty() ? -1 : shape.back();
  if (channels < 1 || channels > kMostChannels) {
    return Unsupported("its input {} has an open or too large number of channels",
                       ShapeString(shape));
  }
  const int64_t radius = c.Int("depth_radius", 5);
  const float alpha = c.Float("alpha", 1.0f), beta = c.Float("beta", 0.5f);
  std::vector<float> band;
  for (int32_t to = 0; to < channels; ++to) {
    for (int32_t from = 0; from < channels; ++from) {
      band.push_back(std::abs(to - from) <= radius ? alpha : 0.0f);
    }
  }
  const std::vector<float> bias(static_cast<size_t>(channels), c.Float("bias", 1.0f));
  LS_ASSIGN_OR_RETURN(const int32_t weights, c.e().Constant(schema::TensorType_FLOAT32,
                                                            {channels, channels}, Blob::Of(band)));
  LS_ASSIGN_OR_RETURN(const int32_t first,
                      c.e().Constant(schema::TensorType_FLOAT32, {channels}, Blob::Of(bias)));
  LS_ASSIGN_OR_RETURN(const int32_t square, c.e().Emit(schema::BuiltinOperator_SQUARE, {x}));
  schema::FullyConnectedOptionsT options;
  options.keep_num_dims = true;
  LS_ASSIGN_OR_RETURN(int32_t y, c.e().Emit(schema::BuiltinOperator_FULLY_CONNECTED,
                                            Options(std::move(options)), {square, weights, first}));
  if (beta == 0.5f) {
    LS_ASSIGN_OR_RETURN(y, c.e().Emit(schema::BuiltinOperator_RSQRT, {y}));
  } else {
    LS_ASSIGN_OR_RETURN(y, With(c, schema::BuiltinOperator_POW, y, -double{beta}));
  }
  return One(c.e().Binary(schema::BuiltinOperator_MUL, x, y));
}

}  // namespace

std::vector<Lowering> ElementwiseLowerings() {
  using namespace schema;  // NOLINT: the operators' names
  return {{"Identity", 1, Identity},
          {"IdentityN", 0, AllInputs},
          {"StopGradient", 1, Identity},
          {"PreventGradient", 1, Identity},
          {"Snapshot", 1, Identity},
          {"CheckNumerics", 1, Identity},
          {"EnsureShape", 1, Identity},
          {"PlaceholderWithDefault", 1, Identity},
          {"Add", 2, Same<BuiltinOperator_ADD>},
          {"AddV2", 2, Same<BuiltinOperator_ADD>},
          {"AddN", 1, AddN},
          {"IsFinite", 1, IsFinite},
          {"IsInf", 1, IsInf},
          {"IsNan", 1, IsNan},
          {"Sub", 2, Same<BuiltinOperator_SUB>},
          {"Mul", 2, Mul},
          {"Div", 2, Divide},
          {"RealDiv", 2, Divide},
          {"DivNoNan", 2, DivNoNan},
          {"FloorDiv", 2, Same<BuiltinOperator_FLOOR_DIV>},
          {"FloorMod", 2, Same<BuiltinOperator_FLOOR_MOD>},
          {"Pow", 2, Same<BuiltinOperator_POW>},
          {"Maximum", 2, Maximum},
          {"Minimum", 2, Same<BuiltinOperator_MINIMUM>},
          {"SquaredDifference", 2, Same<BuiltinOperator_SQUARED_DIFFERENCE>},
          {"LogicalAnd", 2, Same<BuiltinOperator_LOGICAL_AND>},
          {"LogicalOr", 2, Same<BuiltinOperator_LOGICAL_OR>},
          {"LogicalNot", 1, Same<BuiltinOperator_LOGICAL_NOT>},
          {"Less", 2, Compare<BuiltinOperator_LESS>},
          {"LessEqual", 2, Compare<BuiltinOperator_LESS_EQUAL>},
          {"Greater", 2, Compare<BuiltinOperator_GREATER>},
          {"GreaterEqual", 2, Compare<BuiltinOperator_GREATER_EQUAL>},
          {"Equal", 2, Compare<BuiltinOperator_EQUAL>},
          {"NotEqual", 2, Compare<BuiltinOperator_NOT_EQUAL>},
          {"Abs", 1, Unary<BuiltinOperator_ABS>},
          {"Neg", 1, Unary<BuiltinOperator_NEG>},
          {"Exp", 1, Unary<BuiltinOperator_EXP>},
          {"Log", 1, Unary<BuiltinOperator_LOG>},
          {"Log1p", 1, LogExp<1>},
          {"Expm1", 1, LogExp<-1>},
          {"Sqrt", 1, Unary<BuiltinOperator_SQRT>},
          {"Rsqrt", 1, Unary<BuiltinOperator_RSQRT>},
          {"Square", 1, Unary<BuiltinOperator_SQUARE>},
          {"Reciprocal", 1, Reciprocal},
          {"Inv", 1, Reciprocal},
          {"Floor", 1, Unary<BuiltinOperator_FLOOR>},
          {"Ceil", 1, Unary<BuiltinOperator_CEIL>},
          {"Round", 1, Unary<BuiltinOperator_ROUND>},
          {"Rint", 1, Unary<BuiltinOperator_ROUND>},
          {"Sign", 1, Unary<BuiltinOperator_SIGN>},
          {"Sin", 1, Unary<BuiltinOperator_SIN>},
          {"Cos", 1, Unary<BuiltinOperator_COS>},
          {"Tan", 1, Tan},
          {"Sinh", 1, Hyperbolic<BuiltinOperator_SUB>},
          {"Cosh", 1, Hyperbolic<BuiltinOperator_ADD>},
          {"Relu", 1, Unary<BuiltinOperator_RELU>},
          {"Relu6", 1, Unary<BuiltinOperator_RELU6>},
          {"Elu", 1, Unary<BuiltinOperator_ELU>},
          {"Selu", 1, Selu},
          {"LeakyRelu", 1, LeakyRelu},
          {"Sigmoid", 1, Unary<BuiltinOperator_LOGISTIC>},
          {"Tanh", 1, Unary<BuiltinOperator_TANH>},
          {"Softplus", 1, Softplus},
          {"Softsign", 1, Softsign},
          {"Softmax", 1, Softmax},
          {"LogSoftmax", 1, Unary<BuiltinOperator_LOG_SOFTMAX>},
          {"Erf", 1, Erf},
          {"Erfc", 1, Erfc},
          {"Cast", 1, Cast},
          {"ClipByValue", 3, Clip},
          {"Select", 3, Select},
          {"SelectV2", 3, Choose<BuiltinOperator_SELECT_V2>},
          {"ZerosLike", 1, Unary<BuiltinOperator_ZEROS_LIKE>},
          {"OnesLike", 1, OnesLike},
          {"LRN", 1, LocalResponse},
          {"FakeQuantWithMinMaxArgs", 1, FakeQuant},
          {"FakeQuantWithMinMaxVars", 3, FakeQuant}};
}

}  // namespace litesmith::saved_model
