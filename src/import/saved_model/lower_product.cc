// Products of matrices, and Einstein's summation as products.

#include <algorithm>
#include <map>

#include "import/saved_model/lower.h"

namespace litesmith::saved_model {
namespace {

using schema::BuiltinOperator;

absl::StatusOr<Tensors> One(absl::StatusOr<int32_t> t) {
  if (!t.ok()) return t.status();
  return Tensors{*t};
}

absl::StatusOr<int32_t> SwapLast(NodeContext& c, int32_t t) {
  const auto rank = static_cast<int32_t>(c.e().rank(t));
  std::vector<int32_t> order;
  for (int32_t i = 0; i < rank; ++i) order.push_back(i);
  std::swap(order[order.size() - 1], order[order.size() - 2]);
  return c.e().Transpose(t, order);
}

// x [..., K] times weights [K, N], or [N, K] where they are transposed.
absl::StatusOr<int32_t> Dense(NodeContext& c, int32_t x, int32_t weights, bool transposed) {
  int32_t filter = weights;
  if (!transposed) {
    LS_ASSIGN_OR_RETURN(filter, SwapLast(c, weights));
  }
  schema::FullyConnectedOptionsT options;
  options.keep_num_dims = c.e().rank(x) != 2;
  return c.e().Emit(schema::BuiltinOperator_FULLY_CONNECTED, Options(std::move(options)),
                    {x, filter, -1});
}

absl::StatusOr<int32_t> BatchProduct(NodeContext& c, int32_t a, int32_t b, bool adj_a, bool adj_b) {
  if (c.e().rank(a) < 2 || c.e().rank(b) < 2) return Invalid("its inputs are no matrices");
  const bool floats = c.e().type(a) == schema::TensorType_FLOAT32;
  if (floats && c.e().rank(b) == 2 && c.e().IsConstant(b) && !c.e().IsConstant(a)) {
    if (adj_a) {
      LS_ASSIGN_OR_RETURN(a, SwapLast(c, a));
    }
    return Dense(c, a, b, adj_b);
  }
  schema::BatchMatMulOptionsT options;
  options.adj_x = adj_a;
  options.adj_y = adj_b;
  return c.e().Emit(schema::BuiltinOperator_BATCH_MATMUL, Options(std::move(options)), {a, b});
}

absl::StatusOr<Tensors> MatMul(NodeContext& c) {
  if (c.e().rank(c.in(0)) != 2 || c.e().rank(c.in(1)) != 2) {
    return Invalid("its inputs are no matrices");
  }
  return One(BatchProduct(c, c.in(0), c.in(1), c.Bool("transpose_a", false),
                          c.Bool("transpose_b", false)));
}

absl::StatusOr<Tensors> BatchMatMul(NodeContext& c) {
  return One(BatchProduct(c, c.in(0), c.in(1), c.Bool("adj_x", false), c.Bool("adj_y", false)));
}

// ---- Einsum

// The dimensions of one operand, a letter each; those of an ellipsis are 0, 1 … from the right.
using Labels = std::vector<int>;

bool Has(const Labels& labels, int label) {
  return std::find(labels.begin(), labels.end(), label) != labels.end();
}

// `ellipsis`: how many dimensions "..." stands for.
absl::StatusOr<Labels> ParseLabels(std::string_view text, size_t ellipsis) {
  Labels out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '.') {
      if (text.substr(i, 3) != "...") return Invalid("its equation is wrong");
      for (size_t k = ellipsis; k-- > 0;) out.push_back(static_cast<int>(k));
      i += 2;
      continue;
    }
    const int label = static_cast<unsigned char>(text[i]);
    if (label <= ' ' || Has(out, label)) {
      return Unsupported("diagonals (one letter twice) are not supported");
    }
    out.push_back(label);
  }
  return out;
}

struct Equation {
  std::vector<Labels> inputs;
  Labels output;
};

absl::StatusOr<Equation> ParseEquation(NodeContext& c) {
  std::string text = c.String("equation", "");
  std::erase(text, ' ');
  const size_t arrow = text.find("->");
  if (arrow == std::string::npos || text.size() > 256) return Invalid("its equation is wrong");
  Equation equation;
  std::string_view left = std::string_view(text).substr(0, arrow);
  size_t longest = 0;
  for (size_t i = 0; i < c.count(); ++i) {
    const size_t comma = left.find(',');
    const std::string_view part = left.substr(0, comma);
    if ((comma == std::string_view::npos) != (i + 1 == c.count())) {
      return Invalid("its equation has another number of operands");
    }
    const size_t rank = c.e().rank(c.in(i));
    size_t ellipsis = 0;
    if (part.find("...") != std::string_view::npos) {
      if (rank + 3 < part.size()) return Invalid("its equation has more letters than dimensions");
      ellipsis = rank + 3 - part.size();
    }
    longest = std::max(longest, ellipsis);
    LS_ASSIGN_OR_RETURN(Labels labels, ParseLabels(part, ellipsis));
    if (labels.size() != rank) return Invalid("its equation does not fit the inputs' dimensions");
    equation.inputs.push_back(std::move(labels));
    left.remove_prefix(comma == std::string_view::npos ? left.size() : comma + 1);
  }
  LS_ASSIGN_OR_RETURN(equation.output,
                      ParseLabels(std::string_view(text).substr(arrow + 2), longest));
  return equation;
}

// An operand with the labels of its dimensions.
struct Operand {
  int32_t t = -1;
  Labels labels;

  int Place(int label) const {
    return static_cast<int>(std::find(labels.begin(), labels.end(), label) - labels.begin());
  }
};

// Without the dimensions that nobody else has.
absl::StatusOr<Operand> SumAlone(NodeContext& c, Operand x, const Labels& other,
                                 const Labels& output) {
  std::vector<int32_t> axes;
  Labels kept;
  for (size_t d = 0; d < x.labels.size(); ++d) {
    if (Has(other, x.labels[d]) || Has(output, x.labels[d])) {
      kept.push_back(x.labels[d]);
    } else {
      axes.push_back(static_cast<int32_t>(d));
    }
  }
  if (axes.empty()) return x;
  LS_ASSIGN_OR_RETURN(const int32_t t, c.e().Ints(axes));
  LS_ASSIGN_OR_RETURN(
      x.t, c.e().Emit(schema::BuiltinOperator_SUM, Options(schema::ReducerOptionsT{}), {x.t, t}));
  x.labels = std::move(kept);
  return x;
}

absl::StatusOr<Operand> InOrder(NodeContext& c, Operand x, const Labels& order) {
  std::vector<int32_t> permutation;
  for (int label : order) {
    const int place = x.Place(label);
    if (place >= static_cast<int>(x.labels.size())) return Invalid("its equation is wrong");
    permutation.push_back(place);
  }
  if (permutation.size() != x.labels.size()) return Invalid("its equation is wrong");
  LS_ASSIGN_OR_RETURN(x.t, c.e().Transpose(x.t, permutation));
  x.labels = order;
  return x;
}

Emitter::Size SizeOf(NodeContext& c, int32_t t, int dimension) {
  const int32_t size = c.e().shape(t)[static_cast<size_t>(dimension)];
  if (size >= 0) return {size, {}};
  return {1, {{t, dimension}}};
}

// One size per dimension, but each group of dimensions (by number of members) as one.
absl::StatusOr<int32_t> Grouped(NodeContext& c, int32_t t, const std::vector<size_t>& groups) {
  if (std::all_of(groups.begin(), groups.end(), [](size_t n) { return n == 1; })) return t;
  std::vector<Emitter::Size> sizes;
  int dimension = 0;
  for (size_t members : groups) {
    Emitter::Size size;
    for (size_t i = 0; i < members; ++i, ++dimension) {
      const Emitter::Size one = SizeOf(c, t, dimension);
      int32_t product = 0;
      if (__builtin_mul_overflow(size.known, one.known, &product)) {
        return Invalid("its dimensions are too large");
      }
      size.known = product;
      size.dims.insert(size.dims.end(), one.dims.begin(), one.dims.end());
    }
    sizes.push_back(std::move(size));
  }
  return c.e().Reshape(t, sizes);
}

Labels Joined(std::initializer_list<const Labels*> parts) {
  Labels out;
  for (const Labels* part : parts) out.insert(out.end(), part->begin(), part->end());
  return out;
}

std::vector<size_t> Groups(size_t singles, size_t second_last, size_t last) {
  std::vector<size_t> out(singles, 1);
  out.push_back(second_last);
  out.push_back(last);
  return out;
}

absl::StatusOr<int32_t> Product(NodeContext& c, Operand a, Operand b, const Labels& output) {
  Labels batch, contracted, free_a, free_b;
  for (int label : a.labels) {
    const bool shared = Has(b.labels, label);
    (shared ? (Has(output, label) ? batch : contracted) : free_a).push_back(label);
  }
  for (int label : b.labels) {
    if (!Has(a.labels, label)) free_b.push_back(label);
  }
  LS_ASSIGN_OR_RETURN(a, InOrder(c, a, Joined({&batch, &free_a, &contracted})));
  LS_ASSIGN_OR_RETURN(b, InOrder(c, b, Joined({&batch, &contracted, &free_b})));
  // The sizes of the result, taken from the operands as they are now.
  std::vector<Emitter::Size> sizes;
  for (size_t i = 0; i < batch.size(); ++i) {
    // Dimensions of an ellipsis may be 1 in one of them.
    const bool from_b = c.e().shape(a.t)[i] == 1;
    sizes.push_back(SizeOf(c, from_b ? b.t : a.t, static_cast<int>(i)));
  }
  for (int label : free_a) sizes.push_back(SizeOf(c, a.t, a.Place(label)));
  for (int label : free_b) sizes.push_back(SizeOf(c, b.t, b.Place(label)));
  const bool dense = batch.empty() && c.e().IsConstant(b.t) && !free_a.empty();
  LS_ASSIGN_OR_RETURN(
      const int32_t x,
      Grouped(c, a.t,
              dense ? [&] {
                std::vector<size_t> groups(free_a.size(), 1);
                groups.push_back(contracted.size());
                return groups;
              }()
                    : Groups(batch.size(), free_a.size(), contracted.size())));
  LS_ASSIGN_OR_RETURN(const int32_t y,
                      Grouped(c, b.t, Groups(batch.size(), contracted.size(), free_b.size())));
  LS_ASSIGN_OR_RETURN(int32_t z, BatchProduct(c, x, y, false, false));
  const bool as_it_is = free_b.size() == 1 && (dense || free_a.size() == 1);
  if (!as_it_is) {
    LS_ASSIGN_OR_RETURN(z, c.e().Reshape(z, sizes));
  }
  LS_ASSIGN_OR_RETURN(const Operand out,
                      InOrder(c, {z, Joined({&batch, &free_a, &free_b})}, output));
  return out.t;
}

absl::StatusOr<Tensors> Einsum(NodeContext& c) {
  if (c.count() > 2) return Unsupported("more than two operands are not supported");
  LS_ASSIGN_OR_RETURN(const Equation equation, ParseEquation(c));
  const Labels none;
  LS_ASSIGN_OR_RETURN(Operand a,
                      SumAlone(c, {c.in(0), equation.inputs[0]},
                               c.count() > 1 ? equation.inputs[1] : none, equation.output));
  if (c.count() == 1) {
    LS_ASSIGN_OR_RETURN(a, InOrder(c, a, equation.output));
    return Tensors{a.t};
  }
  LS_ASSIGN_OR_RETURN(
      Operand b, SumAlone(c, {c.in(1), equation.inputs[1]}, equation.inputs[0], equation.output));
  return One(Product(c, a, b, equation.output));
}

}  // namespace

std::vector<Lowering> ProductLowerings() {
  return {{"MatMul", 2, MatMul},
          {"BatchMatMul", 2, BatchMatMul},
          {"BatchMatMulV2", 2, BatchMatMul},
          {"BatchMatMulV3", 2, BatchMatMul},
          {"Einsum", 1, Einsum}};
}

}  // namespace litesmith::saved_model
