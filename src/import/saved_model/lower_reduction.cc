// Sums, means and extremes over axes.

#include <algorithm>

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
absl::StatusOr<Tensors> Reduce(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const auto axes, c.Axes(1));
  if (axes.empty()) return Tensors{c.in()};
  LS_ASSIGN_OR_RETURN(const int32_t t, c.e().Ints(axes));
  schema::ReducerOptionsT options;
  options.keep_dims = c.Bool("keep_dims", false);
  return One(c.e().Emit(kOp, Options(std::move(options)), {c.in(), t}));
}

template <BuiltinOperator kOp, typename T>
absl::StatusOr<Tensors> ArgExtreme(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const auto axes, c.Axes(1));
  if (axes.size() != 1) return Invalid("its axis must be one number");
  LS_ASSIGN_OR_RETURN(const int32_t axis, c.e().Scalar(axes[0]));
  T options;
  const int32_t type = c.Type("output_type");
  LS_ASSIGN_OR_RETURN(options.output_type, DenseType(type == 0 ? 9 : type));
  const TensorType out = options.output_type;
  return c.e().Emit(kOp, Options(std::move(options)), {c.in(), axis}, {out});
}

absl::StatusOr<Tensors> TopK(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t k, c.e().AsInt32(c.in(1)));
  return c.e().Emit(schema::BuiltinOperator_TOPK_V2, Options(), {c.in(), k},
                    {c.e().type(c.in()), schema::TensorType_INT32});
}

absl::StatusOr<Tensors> Cumsum(NodeContext& c) {
  schema::CumsumOptionsT options;
  options.exclusive = c.Bool("exclusive", false);
  options.reverse = c.Bool("reverse", false);
  LS_ASSIGN_OR_RETURN(const int32_t axis, c.e().AsInt32(c.in(1)));
  return One(
      c.e().Emit(schema::BuiltinOperator_CUMSUM, Options(std::move(options)), {c.in(), axis}));
}

// How many of the boundaries are not above x.
absl::StatusOr<Tensors> Bucketize(NodeContext& c) {
  const std::vector<float> bounds = c.Floats("boundaries");
  LS_ASSIGN_OR_RETURN(int32_t x, c.e().CastTo(c.in(), schema::TensorType_FLOAT32));
  std::vector<Emitter::Size> sizes;
  const Shape shape = c.e().shape(x);
  for (size_t d = 0; d < shape.size(); ++d) {
    sizes.push_back(shape[d] >= 0 ? Emitter::Size{shape[d], {}}
                                  : Emitter::Size{1, {{x, static_cast<int>(d)}}});
  }
  sizes.push_back({});
  LS_ASSIGN_OR_RETURN(x, c.e().Reshape(x, sizes));
  LS_ASSIGN_OR_RETURN(const int32_t limits,
                      c.e().Constant(schema::TensorType_FLOAT32,
                                     {static_cast<int32_t>(bounds.size())}, Blob::Of(bounds)));
  LS_ASSIGN_OR_RETURN(const auto passed,
                      c.e().Emit(schema::BuiltinOperator_GREATER_EQUAL, Options(), {x, limits},
                                 {schema::TensorType_BOOL}));
  LS_ASSIGN_OR_RETURN(const int32_t ones, c.e().CastTo(passed[0], schema::TensorType_INT32));
  LS_ASSIGN_OR_RETURN(const int32_t axis, c.e().Ints({static_cast<int32_t>(shape.size())}));
  return One(
      c.e().Emit(schema::BuiltinOperator_SUM, Options(schema::ReducerOptionsT{}), {ones, axis}));
}

// TFLite sums up along an axis, but does not multiply: one product per step.
absl::StatusOr<Tensors> Cumprod(NodeContext& c) {
  constexpr int32_t kLongest = 1024;
  LS_ASSIGN_OR_RETURN(const auto axes, c.Axes(1));
  if (axes.size() != 1) return Invalid("its axis must be one number");
  const int32_t size = c.e().shape(c.in())[static_cast<size_t>(axes[0])];
  if (size < 1 || size > kLongest) {
    return Unsupported("its axis has {} elements, at most {} are supported", size, kLongest);
  }
  schema::UnpackOptionsT unpack;
  unpack.num = size;
  unpack.axis = axes[0];
  LS_ASSIGN_OR_RETURN(
      auto parts,
      c.e().Emit(schema::BuiltinOperator_UNPACK, Options(std::move(unpack)), {c.in()},
                 std::vector<TensorType>(static_cast<size_t>(size), c.e().type(c.in()))));
  const bool reverse = c.Bool("reverse", false);
  if (reverse) std::reverse(parts.begin(), parts.end());
  Tensors products = {parts[0]};
  if (c.Bool("exclusive", false)) {
    LS_ASSIGN_OR_RETURN(const int32_t one, c.e().Scalar(1.0f));
    LS_ASSIGN_OR_RETURN(const int32_t same, c.e().CastTo(one, c.e().type(c.in())));
    LS_ASSIGN_OR_RETURN(const int32_t zeros,
                        c.e().Emit(schema::BuiltinOperator_ZEROS_LIKE, {parts[0]}));
    LS_ASSIGN_OR_RETURN(products[0], c.e().Binary(schema::BuiltinOperator_ADD, zeros, same));
    parts.insert(parts.begin(), products[0]);
    parts.pop_back();
  }
  for (size_t i = 1; i < parts.size(); ++i) {
    LS_ASSIGN_OR_RETURN(products.emplace_back(),
                        c.e().Binary(schema::BuiltinOperator_MUL, products.back(), parts[i]));
  }
  if (reverse) std::reverse(products.begin(), products.end());
  schema::PackOptionsT pack;
  pack.values_count = size;
  pack.axis = axes[0];
  return One(c.e().Emit(schema::BuiltinOperator_PACK, Options(std::move(pack)), products));
}

// sum(x^2) / 2.
absl::StatusOr<Tensors> L2Loss(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t square, c.e().Emit(schema::BuiltinOperator_SQUARE, {c.in()}));
  std::vector<int32_t> all(c.e().rank(c.in()));
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int32_t>(i);
  LS_ASSIGN_OR_RETURN(const int32_t axes, c.e().Ints(all));
  LS_ASSIGN_OR_RETURN(
      const int32_t sum,
      c.e().Emit(schema::BuiltinOperator_SUM, Options(schema::ReducerOptionsT{}), {square, axes}));
  LS_ASSIGN_OR_RETURN(const int32_t half, c.e().Scalar(0.5f));
  return One(c.e().Binary(schema::BuiltinOperator_MUL, sum, half));
}

}  // namespace

std::vector<Lowering> ReductionLowerings() {
  using namespace schema;  // NOLINT: the operators' names
  return {{"Mean", 2, Reduce<BuiltinOperator_MEAN>},
          {"Sum", 2, Reduce<BuiltinOperator_SUM>},
          {"Prod", 2, Reduce<BuiltinOperator_REDUCE_PROD>},
          {"Max", 2, Reduce<BuiltinOperator_REDUCE_MAX>},
          {"Min", 2, Reduce<BuiltinOperator_REDUCE_MIN>},
          {"Any", 2, Reduce<BuiltinOperator_REDUCE_ANY>},
          {"All", 2, Reduce<BuiltinOperator_REDUCE_ALL>},
          {"ArgMax", 2, ArgExtreme<BuiltinOperator_ARG_MAX, ArgMaxOptionsT>},
          {"ArgMin", 2, ArgExtreme<BuiltinOperator_ARG_MIN, ArgMinOptionsT>},
          {"TopKV2", 2, TopK},
          {"Cumsum", 2, Cumsum},
          {"Cumprod", 2, Cumprod},
          {"Bucketize", 1, Bucketize},
          {"L2Loss", 1, L2Loss}};
}

}  // namespace litesmith::saved_model
