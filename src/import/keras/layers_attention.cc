// Attention, and the products it is made of.

#include <algorithm>
#include <cmath>

#include "import/keras/convolution.h"

namespace litesmith::keras {
namespace {

constexpr float kMasked = -1e9f;  // what Keras' Softmax adds to masked scores

// [..., A, B] times [..., B, C], either operand transposed first.
absl::StatusOr<int32_t> MatMul(LayerContext& c, int32_t a, int32_t b, bool adj_a, bool adj_b) {
  const Shape x = c.shape(a), y = c.shape(b);
  const size_t rank = x.size();
  if (rank < 2 || y.size() != rank) return Invalid("its inputs differ in rank");
  const int32_t inner_a = x[rank - (adj_a ? 2 : 1)], inner_b = y[rank - (adj_b ? 1 : 2)];
  if (inner_a > 0 && inner_b > 0 && inner_a != inner_b) {
    return Invalid("its inputs have shapes {} and {}, which do not go together", ShapeString(x),
                   ShapeString(y));
  }
  LS_ASSIGN_OR_RETURN(Shape shape,
                      Broadcast(Shape(x.begin(), x.end() - 2), Shape(y.begin(), y.end() - 2)));
  shape.push_back(x[rank - (adj_a ? 1 : 2)]);
  shape.push_back(y[rank - (adj_b ? 2 : 1)]);
  schema::BatchMatMulOptionsT options;
  options.adj_x = adj_a;
  options.adj_y = adj_b;
  return c.Add(schema::BuiltinOperator_BATCH_MATMUL, std::move(options), {a, b}, "MatMul",
               std::move(shape));
}

struct Projection {
  int32_t weights = -1, bias = -1;
};

// A kernel of any rank as the [outputs, inputs] of FULLY_CONNECTED.
absl::StatusOr<Projection> TakeProjection(LayerContext& c, const std::string& part,
                                          const Shape& kernel_shape, const Shape& bias_shape,
                                          int32_t inputs, int32_t outputs, bool use_bias) {
  LS_ASSIGN_OR_RETURN(
      const auto constants, c.Constants(part, [&]() -> absl::StatusOr<std::vector<int32_t>> {
        WeightScope scope = c.weights.Part(part);
        LS_ASSIGN_OR_RETURN(const auto kernel, scope.Take({part + "/kernel"}));
        LS_RETURN_IF_ERROR(CheckWeight(kernel[0], kernel_shape, part + "/kernel"));
        LS_ASSIGN_OR_RETURN(
            const int32_t weights,
            c.Constant(part + "/kernel", {outputs, inputs},
                       OutputFirst(kernel[0].values, static_cast<size_t>(outputs))));
        if (!use_bias) return std::vector<int32_t>{weights, -1};
        LS_ASSIGN_OR_RETURN(const auto bias, scope.Take({part + "/bias"}));
        LS_RETURN_IF_ERROR(CheckWeight(bias[0], bias_shape, part + "/bias"));
        LS_ASSIGN_OR_RETURN(const int32_t b, c.Constant(part + "/bias", {outputs}, bias[0].values));
        return std::vector<int32_t>{weights, b};
      }));
  return Projection{constants[0], constants[1]};
}

int32_t Project(LayerContext& c, int32_t x, const Projection& p, std::string_view what) {
  schema::FullyConnectedOptionsT options;
  options.keep_num_dims = true;
  Shape shape = c.shape(x);
  shape.back() = c.shape(p.weights)[0];
  return c.Add(schema::BuiltinOperator_FULLY_CONNECTED, std::move(options), {x, p.weights, p.bias},
               what, std::move(shape));
}

// The settings of a MultiHeadAttention, and the sizes that follow.
struct Heads {
  int32_t count = 1, key_dim = 1, value_dim = 1;
  bool use_bias = true;

  static absl::StatusOr<Heads> Read(LayerContext& c) {
    Heads h;
    h.count = c.config.Int("num_heads", 1, 1 << 12);
    h.key_dim = c.config.Int("key_dim", 1, 1 << 16);
    h.value_dim = c.config.Int("value_dim", 1, 1 << 16, h.key_dim);
    h.use_bias = c.config.Bool("use_bias", true);
    LS_RETURN_IF_ERROR(c.status());
    const Json* axes = c.config.Find("attention_axes");
    const bool middle =
        axes == nullptr || *axes == Json(1) || *axes == Json::array({1}) || *axes == Json(-2);
    if (!middle || c.config.Bool("use_gate", false) || c.config.Has("sliding_window")) {
      return Unsupported(
          "only attention over the second axis, without gate or window, is supported");
    }
    return h;
  }
};

// [B, T, heads * size] to [B, heads, T, size].
absl::StatusOr<int32_t> SplitHeads(LayerContext& c, int32_t x, int32_t heads, int32_t size) {
  const Shape in = c.shape(x);
  LS_ASSIGN_OR_RETURN(const int32_t split, c.Reshape(x, {in[0], in[1], heads, size}));
  return c.Transpose(split, {0, 2, 1, 3});
}

// The last two dimensions of scores, which a constant mask must know.
absl::StatusOr<Shape> CausalSize(const LayerContext& c, int32_t scores) {
  const Shape shape = c.shape(scores);
  const int32_t rows = shape[shape.size() - 2], columns = shape.back();
  if (rows < 0 || columns < 0 || int64_t{rows} * columns > 1 << 24) {
    return Unsupported(
        "a causal mask needs a known length; save the model with a fixed input shape");
  }
  return Shape{rows, columns};
}

// Scores that may not look ahead get a large negative number added.
absl::StatusOr<int32_t> CausalMask(LayerContext& c, int32_t scores) {
  LS_ASSIGN_OR_RETURN(const Shape size, CausalSize(c, scores));
  const int32_t rows = size[0], columns = size[1];
  std::vector<float> mask(static_cast<size_t>(rows) * static_cast<size_t>(columns), 0.0f);
  for (int32_t r = 0; r < rows; ++r) {
    for (int32_t k = r + 1; k < columns; ++k) {
      mask[static_cast<size_t>(r) * static_cast<size_t>(columns) + static_cast<size_t>(k)] =
          kMasked;
    }
  }
  LS_ASSIGN_OR_RETURN(const int32_t constant, c.Constant("causal_mask", {rows, columns}, mask));
  return c.Binary(schema::BuiltinOperator_ADD, scores, constant, "mask");
}

bool KeywordIsTrue(const LayerContext& c, std::string_view name) {
  const Operand* operand = c.Keyword(name);
  return operand != nullptr && (operand->constant == nullptr || *operand->constant == Json(true));
}

// a and b, where -1 is a mask that lets everything through.
absl::StatusOr<int32_t> Both(LayerContext& c, int32_t a, int32_t b) {
  if (a < 0 || b < 0) return a < 0 ? b : a;
  return c.Binary(schema::BuiltinOperator_LOGICAL_AND, a, b, "mask");
}

// A mask of steps [batch, steps] over the last dimension of scores with `rank` dimensions, or over
// the one before it.
absl::StatusOr<int32_t> AlongScores(LayerContext& c, int32_t mask, size_t rank, bool last) {
  const Shape from = c.shape(mask);
  if (from.size() != 2) return Unsupported("its mask has shape {}", ShapeString(from));
  Shape shape(rank, 1);
  shape[0] = from[0];
  shape[rank - (last ? 1 : 2)] = from[1];
  return c.Reshape(mask, shape, "mask");
}

// No score looks ahead: a constant of booleans.
absl::StatusOr<int32_t> CausalTruths(LayerContext& c, int32_t scores) {
  LS_ASSIGN_OR_RETURN(const Shape size, CausalSize(c, scores));
  const int32_t rows = size[0], columns = size[1];
  std::vector<uint8_t> truths;
  for (int32_t r = 0; r < rows; ++r) {
    for (int32_t k = 0; k < columns; ++k) truths.push_back(k <= r ? 1 : 0);
  }
  return c.graph().Constant(c.Named("causal"), schema::TensorType_BOOL, {rows, columns},
                            Blob::Of(truths));
}

// Scores that do not count become so low that they are nothing beside one that does.
absl::StatusOr<int32_t> Masked(LayerContext& c, int32_t scores, int32_t mask, bool causal) {
  if (mask < 0) return causal ? CausalMask(c, scores) : scores;
  return c.Add(schema::BuiltinOperator_SELECT_V2, schema::SelectV2OptionsT{},
               {mask, scores, c.Scalar("masked", kMasked)}, "masked", c.shape(scores));
}

// The masks of a multi-head attention's call, those of `sources` (query, key, value) among them.
absl::StatusOr<int32_t> HeadMask(LayerContext& c, const int32_t (&sources)[3], int32_t scores,
                                 bool causal) {
  int32_t all = -1;
  const char* const names[3] = {"query", "key", "value"};
  const size_t positions[3] = {0, 2, 1};
  for (int i = 0; i < 3; ++i) {
    const Operand* given = c.Keyword(fmt::format("{}_mask", names[i]));
    int32_t mask = -1;
    if (given != nullptr && given->constant == nullptr) {
      mask = c.CastTo(given->tensor, schema::TensorType_BOOL);
    } else {
      const Operand* source = c.Keyword(names[i]);
      const MaskRef ref = source != nullptr ? source->mask : c.mask(positions[i]);
      if (ref != nullptr && sources[i] >= 0) {
        LS_ASSIGN_OR_RETURN(mask, MaskTensor(c, ref));
      }
    }
    if (mask < 0) continue;
    LS_ASSIGN_OR_RETURN(mask, AlongScores(c, mask, 4, i != 0));
    LS_ASSIGN_OR_RETURN(all, Both(c, all, mask));
  }
  if (const Operand* given = c.Keyword("attention_mask");
      given != nullptr && given->constant == nullptr) {
    int32_t mask = c.CastTo(given->tensor, schema::TensorType_BOOL);
    Shape shape = c.shape(mask);
    if (shape.size() < 2 || shape.size() > 4) {
      return Unsupported("its attention_mask has shape {}", ShapeString(shape));
    }
    const bool reshape = shape.size() < 4;
    while (shape.size() < 4) shape.insert(shape.end() - 2, 1);
    if (reshape) {
      LS_ASSIGN_OR_RETURN(mask, c.Reshape(mask, shape, "mask"));
    }
    LS_ASSIGN_OR_RETURN(all, Both(c, all, mask));
  }
  if (all < 0 || !causal) return all;
  LS_ASSIGN_OR_RETURN(const int32_t truths, CausalTruths(c, scores));
  return Both(c, all, truths);
}

// Keras 3 computes attention in two ways. They differ where a query has no score that counts: the
// mean of all values in one, zeros in the other, which is taken with dropout or when the scores are
// asked for.
bool ZerosWithoutScores(LayerContext& c) {
  return !c.inner().keras2() &&
         (c.config.Number("dropout", 0.0) > 0.0 || KeywordIsTrue(c, "return_attention_scores"));
}

// Vaswani et al. 2017, "Attention Is All You Need".
absl::StatusOr<std::vector<int32_t>> MultiHeadAttention(LayerContext& c) {
  LS_ASSIGN_OR_RETURN(const Heads h, Heads::Read(c));
  const auto tensor = [&](const char* name, size_t position, int32_t otherwise) {
    const Operand* operand = c.Keyword(name);
    if (operand != nullptr && operand->constant == nullptr) return operand->tensor;
    return position < c.inputs().size() ? c.inputs()[position] : otherwise;
  };
  const int32_t query = tensor("query", 0, -1);
  const int32_t value = tensor("value", 1, query);
  const int32_t key = tensor("key", 2, value);
  int32_t depth[3];
  const int32_t sources[3] = {query, key, value};
  for (int i = 0; i < 3; ++i) {
    const Shape shape = c.shape(sources[i]);
    if (shape.size() != 3 || shape[2] < 0) {
      return Unsupported("its inputs should have the shape [batch, length, features]");
    }
    depth[i] = shape[2];
  }
  int32_t split[3];
  const char* const parts[3] = {"query_dense", "key_dense", "value_dense"};
  for (int i = 0; i < 3; ++i) {
    const int32_t size = i == 2 ? h.value_dim : h.key_dim;
    LS_ASSIGN_OR_RETURN(const Projection p,
                        TakeProjection(c, parts[i], {depth[i], h.count, size}, {h.count, size},
                                       depth[i], h.count * size, h.use_bias));
    int32_t x = Project(c, sources[i], p, parts[i]);
    if (i == 0) {
      LS_ASSIGN_OR_RETURN(x, c.Binary(schema::BuiltinOperator_MUL, x,
                                      c.Scalar("scale", 1.0 / std::sqrt(h.key_dim)), "scale_mul"));
    }
    LS_ASSIGN_OR_RETURN(split[i], SplitHeads(c, x, h.count, size));
  }
  LS_ASSIGN_OR_RETURN(int32_t scores, MatMul(c, split[0], split[1], false, true));
  const bool causal = KeywordIsTrue(c, "use_causal_mask");
  LS_ASSIGN_OR_RETURN(const int32_t mask, HeadMask(c, sources, scores, causal));
  LS_ASSIGN_OR_RETURN(scores, Masked(c, scores, mask, causal));
  LS_ASSIGN_OR_RETURN(int32_t weights, Softmax(c, scores, -1));
  if (mask >= 0 && ZerosWithoutScores(c)) {
    LS_ASSIGN_OR_RETURN(weights, c.Binary(schema::BuiltinOperator_MUL, weights,
                                          c.CastTo(mask, schema::TensorType_FLOAT32), "mask_mul"));
  }
  LS_ASSIGN_OR_RETURN(const int32_t mixed, MatMul(c, weights, split[2], false, false));
  const int32_t back = c.Transpose(mixed, {0, 2, 1, 3});
  const Shape shape = c.shape(back);
  const int32_t joined = h.count * h.value_dim;
  LS_ASSIGN_OR_RETURN(const int32_t flat, c.Reshape(back, {shape[0], shape[1], joined}));
  int32_t outputs = depth[0];
  if (c.config.Has("output_shape")) {
    outputs = c.config.Ints("output_shape", 1, 1, kMaxWindow)[0];
    LS_RETURN_IF_ERROR(c.status());
  }
  LS_ASSIGN_OR_RETURN(const Projection p,
                      TakeProjection(c, "output_dense", {h.count, h.value_dim, outputs}, {outputs},
                                     joined, outputs, h.use_bias));
  std::vector<int32_t> results = {Project(c, flat, p, "output_dense")};
  if (KeywordIsTrue(c, "return_attention_scores")) results.push_back(weights);
  return results;
}

// The scale of an attention layer, a weight of its own.
absl::StatusOr<int32_t> TakeScale(LayerContext& c, const Shape& shape) {
  LS_ASSIGN_OR_RETURN(
      const auto constants, c.Constants("", [&]() -> absl::StatusOr<std::vector<int32_t>> {
        LS_ASSIGN_OR_RETURN(const auto scale, c.weights.Take({"scale"}));
        LS_RETURN_IF_ERROR(CheckWeight(scale[0], shape, "scale"));
        LS_ASSIGN_OR_RETURN(const int32_t t, c.Constant("scale", shape, scale[0].values));
        return std::vector<int32_t>{t};
      }));
  return constants[0];
}

// query key^T.
absl::StatusOr<int32_t> DotScores(LayerContext& c, int32_t query, int32_t key) {
  LS_ASSIGN_OR_RETURN(const int32_t scores, MatMul(c, query, key, false, true));
  if (!c.config.Bool("use_scale", false)) return scores;
  LS_ASSIGN_OR_RETURN(const int32_t scale, TakeScale(c, {}));
  return c.Binary(schema::BuiltinOperator_MUL, scores, scale, "scale_mul");
}

// The sum over the features of scale * tanh(query + key) (Bahdanau et al. 2014).
absl::StatusOr<int32_t> SumScores(LayerContext& c, int32_t query, int32_t key) {
  const Shape q = c.shape(query), k = c.shape(key);
  if (q.size() != 3 || k.size() != 3 || q[1] < 0 || k[1] < 0 || q[2] < 0) {
    return Unsupported("its inputs should have the shape [batch, length, features]");
  }
  LS_ASSIGN_OR_RETURN(const int32_t rows, c.Reshape(query, {q[0], q[1], 1, q[2]}, "ExpandDims"));
  LS_ASSIGN_OR_RETURN(const int32_t columns, c.Reshape(key, {k[0], 1, k[1], k[2]}, "ExpandDims"));
  LS_ASSIGN_OR_RETURN(const int32_t sums,
                      c.Binary(schema::BuiltinOperator_ADD, rows, columns, "add"));
  int32_t x = c.Unary(schema::BuiltinOperator_TANH, sums, "Tanh");
  if (c.config.Bool("use_scale", true)) {
    LS_ASSIGN_OR_RETURN(const int32_t scale, TakeScale(c, {q[2]}));
    LS_ASSIGN_OR_RETURN(x, c.Binary(schema::BuiltinOperator_MUL, x, scale, "scale_mul"));
  }
  return c.Add(schema::BuiltinOperator_SUM, schema::ReducerOptionsT{}, {x, c.Indices("axes", {3})},
               "Sum", {q[0], q[1], k[1]});
}

// softmax(scores) value, the attention layers without projections of their own.
template <bool kAdditive>
absl::StatusOr<std::vector<int32_t>> Attention(LayerContext& c) {
  if (!kAdditive && c.config.String("score_mode", "dot") != "dot") {
    return Unsupported("of the score modes, only 'dot' is supported");
  }
  if (c.inputs().size() < 2) return Invalid("it should have a query and a value");
  const int32_t query = c.input(), value = c.inputs()[1];
  const int32_t key = c.inputs().size() > 2 ? c.inputs()[2] : value;
  std::vector<int32_t> masks(2, -1);  // of query and value
  size_t given = 0;
  for (const Operand& operand : c.operands()) {
    if (operand.name != "mask") continue;
    if (operand.constant != nullptr || given == 2) {
      return Unsupported("only a query mask and a value mask are supported");
    }
    masks[given++] = c.CastTo(operand.tensor, schema::TensorType_BOOL);
  }
  if (given == 1) return Unsupported("it is called with one mask of two");
  for (size_t i = 0; i < 2 && given == 0; ++i) {
    if (c.mask(i) == nullptr) continue;
    LS_ASSIGN_OR_RETURN(masks[i], MaskTensor(c, c.mask(i)));
  }
  LS_ASSIGN_OR_RETURN(int32_t scores,
                      kAdditive ? SumScores(c, query, key) : DotScores(c, query, key));
  LS_RETURN_IF_ERROR(c.status());
  const bool causal = KeywordIsTrue(c, "use_causal_mask");
  int32_t mask = -1;
  if (masks[1] >= 0) {
    LS_ASSIGN_OR_RETURN(mask, AlongScores(c, masks[1], 3, true));
    if (causal) {
      LS_ASSIGN_OR_RETURN(const int32_t truths, CausalTruths(c, scores));
      LS_ASSIGN_OR_RETURN(mask, Both(c, mask, truths));
    }
  }
  LS_ASSIGN_OR_RETURN(scores, Masked(c, scores, mask, causal));
  LS_ASSIGN_OR_RETURN(const int32_t weights, Softmax(c, scores, -1));
  LS_ASSIGN_OR_RETURN(int32_t y, MatMul(c, weights, value, false, false));
  if (masks[0] >= 0) {
    const Shape shape = c.shape(masks[0]);
    if (shape.size() != 2) return Unsupported("its mask has shape {}", ShapeString(shape));
    LS_ASSIGN_OR_RETURN(const int32_t rows, c.Reshape(masks[0], {shape[0], shape[1], 1}, "mask"));
    LS_ASSIGN_OR_RETURN(y, c.Binary(schema::BuiltinOperator_MUL, y,
                                    c.CastTo(rows, schema::TensorType_FLOAT32), "mask_mul"));
  }
  std::vector<int32_t> results = {y};
  if (KeywordIsTrue(c, "return_attention_scores")) results.push_back(weights);
  return results;
}

// keras.ops.matmul.
absl::StatusOr<int32_t> Product(LayerContext& c) {
  if (c.inputs().size() != 2) return Unsupported("it should have two tensors");
  return MatMul(c, c.input(), c.inputs()[1], false, false);
}

// The sizes of a tensor but for the batch and `axis`, which must be known.
absl::StatusOr<Shape> OtherSizes(const LayerContext& c, int32_t t, int32_t axis) {
  Shape sizes;
  const Shape& shape = c.shape(t);
  for (size_t d = 1; d < shape.size(); ++d) {
    if (shape[d] < 0) return Unsupported("its inputs' sizes must be known");
    if (static_cast<int32_t>(d) != axis) sizes.push_back(shape[d]);
  }
  return sizes;
}

// As matrices: [batch, others, axis], or with the axis in front of the others.
absl::StatusOr<int32_t> AsMatrices(LayerContext& c, int32_t t, int32_t axis, bool last) {
  LS_ASSIGN_OR_RETURN(const Shape others, OtherSizes(c, t, axis));
  std::vector<int32_t> order = {0};
  int64_t count = 1;
  if (!last) order.push_back(axis);
  for (int32_t d = 1; d < static_cast<int32_t>(c.shape(t).size()); ++d) {
    if (d != axis) order.push_back(d);
  }
  if (last) order.push_back(axis);
  for (const int32_t size : others) count = c.Size(count * size);
  const int32_t batch = c.shape(t)[0], depth = c.shape(t)[axis];
  const auto columns = static_cast<int32_t>(count);
  LS_RETURN_IF_ERROR(c.status());
  const int32_t turned = c.Transpose(t, order, "matrices");
  return c.Reshape(turned, last ? Shape{batch, columns, depth} : Shape{batch, depth, columns},
                   "matrices");
}

// Tensors of any dimensions: the result has those of both, but for the axes.
absl::StatusOr<int32_t> DotOfMatrices(LayerContext& c, int32_t x, int32_t y,
                                      const std::vector<int32_t>& axes) {
  LS_ASSIGN_OR_RETURN(Shape out, OtherSizes(c, x, axes[0]));
  LS_ASSIGN_OR_RETURN(const Shape rest, OtherSizes(c, y, axes[1]));
  out.insert(out.begin(), c.shape(x)[0]);
  out.insert(out.end(), rest.begin(), rest.end());
  LS_ASSIGN_OR_RETURN(x, AsMatrices(c, x, axes[0], true));
  LS_ASSIGN_OR_RETURN(y, AsMatrices(c, y, axes[1], false));
  LS_ASSIGN_OR_RETURN(const int32_t product, MatMul(c, x, y, false, false));
  return c.Reshape(product, out, "products");
}

// The product of two inputs along one axis of each.
absl::StatusOr<int32_t> Dot(LayerContext& c) {
  if (c.inputs().size() != 2) return Invalid("it should have two inputs");
  int32_t x = c.input(), y = c.inputs()[1];
  const bool normalize = c.config.Bool("normalize", false);
  const auto rank = static_cast<int32_t>(c.shape(x).size());
  const auto other = static_cast<int32_t>(c.shape(y).size());
  if (rank < 2 || other < 2) return Invalid("its inputs should have at least two dimensions");
  auto axes = c.config.Ints("axes", 2, -std::max(rank, other), std::max(rank, other) - 1);
  LS_RETURN_IF_ERROR(c.status());
  axes[0] += axes[0] < 0 ? rank : 0;
  axes[1] += axes[1] < 0 ? other : 0;
  if (axes[0] < 1 || axes[1] < 1 || axes[0] >= rank || axes[1] >= other) {
    return Invalid("its 'axes' name the batch, or dimensions that its inputs do not have");
  }
  if (normalize) {
    LS_ASSIGN_OR_RETURN(x, UnitLength(c, x, {axes[0]}));
    LS_ASSIGN_OR_RETURN(y, UnitLength(c, y, {axes[1]}));
  }
  if (rank == 3 && other == 3) return MatMul(c, x, y, axes[0] == 1, axes[1] == 2);
  if (rank > 2 || other > 2) return DotOfMatrices(c, x, y, axes);
  LS_ASSIGN_OR_RETURN(const int32_t product, c.Binary(schema::BuiltinOperator_MUL, x, y, "mul"));
  schema::ReducerOptionsT options;
  options.keep_dims = true;
  return c.Add(schema::BuiltinOperator_SUM, std::move(options), {product, c.Indices("axes", {1})},
               "Sum", {c.in_shape()[0], 1});
}

}  // namespace

std::vector<LayerKind> AttentionLayers() {
  return {{.class_name = "MultiHeadAttention",
           .convert_many = MultiHeadAttention,
           .takes_mask = true,
           .masks = MaskRule::kPass},
          {.class_name = "Attention",
           .convert_many = Attention<false>,
           .takes_mask = true,
           .masks = MaskRule::kPass},
          {.class_name = "AdditiveAttention",
           .convert_many = Attention<true>,
           .takes_mask = true,
           .masks = MaskRule::kPass},
          {.class_name = "Dot", .convert = Dot},
          {.class_name = "Matmul", .convert = Product}};
}

}  // namespace litesmith::keras
