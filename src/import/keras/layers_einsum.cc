// EinsumDense and keras.ops.einsum: products along named dimensions.

#include <algorithm>

#include "import/keras/convolution.h"

namespace litesmith::keras {
namespace {

constexpr size_t kMostLetters = 12;

bool Has(const std::string& labels, char label) { return labels.find(label) != std::string::npos; }

struct Equation {
  std::string a, b, out;
};

// "..." becomes capital letters that the rest does not use, as many as the first operand has
// dimensions there.
absl::StatusOr<Equation> ReadEquation(std::string text, size_t rank) {
  std::erase(text, ' ');
  const size_t dots = text.find("...");
  if (dots != std::string::npos && text.find(',') != std::string::npos) {
    const size_t named = text.find(',') - (dots < text.find(',') ? 3 : 0);
    if (named > rank || dots > text.find(',')) return Unsupported("its equation is not supported");
    std::string letters;
    for (char c = 'A'; c <= 'Z' && letters.size() < rank - named; ++c) {
      if (!Has(text, c)) letters += c;
    }
    for (size_t at; (at = text.find("...")) != std::string::npos;) text.replace(at, 3, letters);
  }
  const size_t comma = text.find(','), arrow = text.find("->");
  if (comma == std::string::npos || arrow == std::string::npos || comma > arrow) {
    return Unsupported("its equation '{}' is not supported", Printable(text));
  }
  Equation e{text.substr(0, comma), text.substr(comma + 1, arrow - comma - 1),
             text.substr(arrow + 2)};
  for (const std::string* labels : {&e.a, &e.b, &e.out}) {
    std::string sorted = *labels;
    std::sort(sorted.begin(), sorted.end());
    const bool letters = std::all_of(sorted.begin(), sorted.end(), [](char x) {
      return (x >= 'a' && x <= 'z') || (x >= 'A' && x <= 'Z');
    });
    if (!letters || std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end() ||
        labels->size() > kMostLetters) {
      return Unsupported("its equation '{}' is not supported", Printable(text));
    }
  }
  return e;
}

// The dimensions of x in another order.
int32_t InOrder(LayerContext& c, int32_t x, const std::string& from, const std::string& to) {
  if (from == to) return x;
  std::vector<int32_t> permutation;
  for (char label : to) permutation.push_back(static_cast<int32_t>(from.find(label)));
  return c.Transpose(x, permutation);
}

// The product of the sizes of `labels`; -1 where one is not known.
int32_t Product(LayerContext& c, const Shape& shape, const std::string& labels,
                const std::string& group) {
  int64_t product = 1;
  for (char label : group) {
    const int32_t size = shape[labels.find(label)];
    if (size < 0) return -1;
    product = c.Size(product * size);
  }
  return static_cast<int32_t>(product);
}

// `dense`: b is constant, so that a product without common dimensions is a FULLY_CONNECTED.
absl::StatusOr<int32_t> Einsum(LayerContext& c, const Equation& e, int32_t a, int32_t b,
                               bool dense) {
  const Shape x = c.shape(a), y = c.shape(b);
  if (x.size() != e.a.size() || y.size() != e.b.size()) {
    return Invalid("its equation does not fit its inputs {} and {}", ShapeString(x),
                   ShapeString(y));
  }
  std::string batch, contracted, free_a, free_b;
  for (char l : e.a) (!Has(e.b, l) ? free_a : Has(e.out, l) ? batch : contracted) += l;
  for (char l : e.b) {
    if (!Has(e.a, l)) free_b += l;
  }
  std::string all = batch + free_a + free_b, out = e.out;
  std::sort(all.begin(), all.end());
  std::sort(out.begin(), out.end());
  if (all != out || contracted.empty()) return Unsupported("its equation is not supported");
  for (char l : batch + contracted) {
    const int32_t n = x[e.a.find(l)], m = y[e.b.find(l)];
    if (n >= 0 && m >= 0 && n != m) {
      return Invalid("its inputs {} and {} do not go together", ShapeString(x), ShapeString(y));
    }
  }
  // [batch…, free of a, contracted] times [batch…, contracted, free of b].
  Shape left, right, result;
  for (char l : batch) {
    const int32_t size = std::max(x[e.a.find(l)], y[e.b.find(l)]);
    left.push_back(size), right.push_back(size), result.push_back(size);
  }
  const int32_t rows = Product(c, x, e.a, free_a), columns = Product(c, y, e.b, free_b);
  const int32_t inner = std::max(Product(c, x, e.a, contracted), Product(c, y, e.b, contracted));
  LS_RETURN_IF_ERROR(c.status());
  left.insert(left.end(), {rows, inner});
  right.insert(right.end(), {inner, columns});
  for (char l : free_a) result.push_back(x[e.a.find(l)]);
  for (char l : free_b) result.push_back(y[e.b.find(l)]);
  LS_ASSIGN_OR_RETURN(const int32_t p,
                      c.Reshape(InOrder(c, a, e.a, batch + free_a + contracted), left, "left"));
  Shape product = left;
  product.back() = columns;
  int32_t z = -1;
  if (dense && batch.empty()) {
    LS_ASSIGN_OR_RETURN(const int32_t q, c.Reshape(InOrder(c, b, e.b, free_b + contracted),
                                                   {columns, inner}, "weights"));
    z = c.Add(schema::BuiltinOperator_FULLY_CONNECTED, schema::FullyConnectedOptionsT{}, {p, q, -1},
              "MatMul", product);
  } else {
    LS_ASSIGN_OR_RETURN(const int32_t q,
                        c.Reshape(InOrder(c, b, e.b, batch + contracted + free_b), right, "right"));
    z = c.Add(schema::BuiltinOperator_BATCH_MATMUL, schema::BatchMatMulOptionsT{}, {p, q}, "MatMul",
              product);
  }
  LS_ASSIGN_OR_RETURN(z, c.Reshape(z, result, "parts"));
  return InOrder(c, z, batch + free_a + free_b, e.out);
}

absl::StatusOr<int32_t> EinsumDense(LayerContext& c) {
  LS_ASSIGN_OR_RETURN(const Equation e,
                      ReadEquation(c.config.String("equation", ""), c.in_shape().size()));
  const bool use_bias = c.config.Has("bias_axes");
  LS_RETURN_IF_ERROR(c.status());
  LS_ASSIGN_OR_RETURN(const auto constants,
                      c.Constants("", [&]() -> absl::StatusOr<std::vector<int32_t>> {
                        std::vector<int32_t> out;
                        for (const char* name : {"kernel", "bias"}) {
                          if (name[0] == 'b' && !use_bias) continue;
                          LS_ASSIGN_OR_RETURN(const auto weight, c.weights.Take({name}));
                          LS_ASSIGN_OR_RETURN(out.emplace_back(),
                                              c.Constant(name, weight[0].shape, weight[0].values));
                        }
                        return out;
                      }));
  LS_ASSIGN_OR_RETURN(int32_t y, Einsum(c, e, c.input(), constants[0], true));
  if (use_bias) {
    LS_ASSIGN_OR_RETURN(y, c.Binary(schema::BuiltinOperator_ADD, y, constants[1], "bias_add"));
  }
  return ActivateByConfig(c, y);
}

absl::StatusOr<int32_t> EinsumCall(LayerContext& c) {
  if (c.inputs().size() != 2) return Unsupported("only the product of two tensors is supported");
  LS_ASSIGN_OR_RETURN(const Equation e,
                      ReadEquation(c.config.String("subscripts", ""), c.in_shape().size()));
  LS_RETURN_IF_ERROR(c.status());
  return Einsum(c, e, c.inputs()[0], c.inputs()[1], false);
}

}  // namespace

std::vector<LayerKind> EinsumLayers() {
  return {{.class_name = "EinsumDense", .convert = EinsumDense},
          {.class_name = "Einsum", .convert = EinsumCall}};
}

}  // namespace litesmith::keras
