// Activations that TensorFlow writes as several operators and TFLite has one for.

#include <cmath>

#include "import/saved_model/lower.h"

namespace litesmith::saved_model {
namespace {

bool Near(double a, double b) { return std::abs(a - b) <= 1e-4 * std::abs(b); }

// A product taken apart: a number, and tensors.
struct Factors {
  double number = 1.0;
  std::vector<int32_t> tensors;
};

void TakeApart(const Emitter& e, int32_t t, int depth, Factors* out) {
  if (const auto number = e.KnownFloat(t)) {
    out->number *= *number;
    return;
  }
  const Node* node = e.Producer(t);
  const bool product = node != nullptr && node->op == schema::BuiltinOperator_MUL;
  const bool quotient = node != nullptr && node->op == schema::BuiltinOperator_DIV &&
                        e.KnownFloat(node->input(1)).has_value();
  const bool negated = node != nullptr && node->op == schema::BuiltinOperator_NEG;
  if (depth == 0 || e.FindErf(t) != nullptr || (!product && !quotient && !negated)) {
    out->tensors.push_back(t);
    return;
  }
  TakeApart(e, node->input(0), depth - 1, out);
  if (product) TakeApart(e, node->input(1), depth - 1, out);
  if (quotient) out->number /= *e.KnownFloat(node->input(1));
  if (negated) out->number = -out->number;
}

Factors TakeApart(const Emitter& e, int32_t t) {
  Factors out;
  TakeApart(e, t, 4, &out);
  return out;
}

// t == number * x.
bool IsMultiple(const Emitter& e, int32_t t, double number, int32_t x) {
  const Factors f = TakeApart(e, t);
  return f.tensors == std::vector<int32_t>{x} && Near(f.number, number);
}

// The other term where t is a sum with `number`, else -1.
int32_t SumWith(const Emitter& e, int32_t t, double number) {
  const Node* node = e.Producer(t);
  if (node == nullptr || node->op != schema::BuiltinOperator_ADD) return -1;
  for (size_t i = 0; i < 2; ++i) {
    const auto known = e.KnownFloat(node->input(i));
    if (known && Near(*known, number)) return node->input(1 - i);
  }
  return -1;
}

// 1 + erf(x / sqrt(2)).
bool IsExactGate(const Emitter& e, int32_t t, int32_t x) {
  if (const Emitter::Erf* erf = e.FindErf(t); erf != nullptr) {
    return erf->complement && IsMultiple(e, erf->x, -std::sqrt(0.5), x);
  }
  const int32_t term = SumWith(e, t, 1.0);
  const Emitter::Erf* erf = term < 0 ? nullptr : e.FindErf(term);
  return erf != nullptr && !erf->complement && IsMultiple(e, erf->x, std::sqrt(0.5), x);
}

// x^3 times a number.
bool IsCube(const Emitter& e, int32_t t, double number, int32_t x) {
  const Factors f = TakeApart(e, t);
  if (!Near(f.number, number)) return false;
  if (f.tensors == std::vector<int32_t>{x, x, x}) return true;
  if (f.tensors.size() != 1) return false;
  const Node* node = e.Producer(f.tensors[0]);
  if (node == nullptr || node->op != schema::BuiltinOperator_POW || node->input(0) != x) {
    return false;
  }
  const auto power = e.KnownFloat(node->input(1));
  return power && *power == 3.0f;
}

// 1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)): Hendrycks and Gimpel 2016.
bool IsTanhGate(const Emitter& e, int32_t t, int32_t x) {
  const int32_t term = SumWith(e, t, 1.0);
  const Node* tanh = term < 0 ? nullptr : e.Producer(term);
  if (tanh == nullptr || tanh->op != schema::BuiltinOperator_TANH) return false;
  const Factors f = TakeApart(e, tanh->input(0));
  if (f.tensors.size() != 1 || !Near(f.number, std::sqrt(2.0 / M_PI))) return false;
  const Node* sum = e.Producer(f.tensors[0]);
  if (sum == nullptr || sum->op != schema::BuiltinOperator_ADD) return false;
  for (size_t i = 0; i < 2; ++i) {
    if (sum->input(i) == x && IsCube(e, sum->input(1 - i), 0.044715, x)) return true;
  }
  return false;
}

// relu6(x + 3).
bool IsHardGate(const Emitter& e, int32_t t, int32_t x) {
  const Node* node = e.Producer(t);
  return node != nullptr && node->op == schema::BuiltinOperator_RELU6 &&
         SumWith(e, node->input(0), 3.0) == x;
}

}  // namespace

absl::StatusOr<std::optional<int32_t>> RecogniseActivation(Emitter& e, int32_t a, int32_t b) {
  if (e.type(a) != schema::TensorType_FLOAT32) return std::nullopt;
  Factors f;
  TakeApart(e, a, 4, &f);
  TakeApart(e, b, 4, &f);
  if (f.tensors.size() != 2) return std::nullopt;
  for (size_t i = 0; i < 2; ++i) {
    const int32_t x = f.tensors[i], gate = f.tensors[1 - i];
    if (e.shape(x) != e.shape(gate)) continue;
    if (Near(f.number, 0.5) && (IsExactGate(e, gate, x) || IsTanhGate(e, gate, x))) {
      schema::GeluOptionsT options;
      options.approximate = IsTanhGate(e, gate, x);
      LS_ASSIGN_OR_RETURN(const int32_t y,
                          e.Emit(schema::BuiltinOperator_GELU, Options(std::move(options)), {x}));
      return y;
    }
    if (Near(f.number, 1.0 / 6.0) && IsHardGate(e, gate, x)) {
      LS_ASSIGN_OR_RETURN(const int32_t y, e.Emit(schema::BuiltinOperator_HARD_SWISH, {x}));
      return y;
    }
  }
  return std::nullopt;
}

absl::StatusOr<std::optional<int32_t>> RecogniseLeakyRelu(Emitter& e, int32_t a, int32_t b) {
  if (e.type(a) != schema::TensorType_FLOAT32) return std::nullopt;
  for (const auto& [x, scaled] : {std::pair(a, b), std::pair(b, a)}) {
    const Node* node = e.Producer(scaled);
    if (node == nullptr || node->op != schema::BuiltinOperator_MUL) continue;
    for (size_t i = 0; i < 2; ++i) {
      const auto slope = e.KnownFloat(node->input(i));
      if (!slope || *slope < 0.0f || *slope >= 1.0f || node->input(1 - i) != x) continue;
      schema::LeakyReluOptionsT options;
      options.alpha = *slope;
      LS_ASSIGN_OR_RETURN(const int32_t y, e.Emit(schema::BuiltinOperator_LEAKY_RELU,
                                                  Options(std::move(options)), {x}));
      return y;
    }
  }
  return std::nullopt;
}

}  // namespace litesmith::saved_model
