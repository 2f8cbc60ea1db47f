#include "ops/int_product.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "kernels/copy_int.h"

namespace litesmith {
namespace {

// Vectors read whole panels, from a group's first column on.
constexpr size_t kSlack = 2 * kIntPanel;

template <typename To, typename From>
void Spread(const std::vector<From>& from, size_t columns, To (*get)(const From&),
            std::vector<To>* to) {
  to->resize(columns + kSlack);
  for (size_t n = 0; n < columns; ++n) (*to)[n] = get(from[from.size() == 1 ? 0 : n]);
}

// Where the sums start: the bias, less what the zero point `zero` adds to every sum.
template <typename Bias>
void SetInit(const Bias* bias, int32_t zero, IntProduct* p) {
  size_t column = 0;
  for (const IntWeights& w : p->conv.groups) {
    for (size_t n = 0; n < w.sums.size(); ++n) {
      uint32_t start = 0;
      if (n < w.columns) {
        if (bias != nullptr) start = static_cast<uint32_t>(bias[column]);
        start -= static_cast<uint32_t>(zero) * static_cast<uint32_t>(w.sums[n]);
        ++column;
      }
      p->init.push_back(static_cast<int32_t>(start));
    }
  }
}

// An upper bound of |sum with bias|.
template <typename Bias>
double LargestSum(const IntProduct& p, double left, const Bias* bias) {
  double most = 0.0;
  size_t n = 0;
  for (const IntWeights& w : p.conv.groups) {
    for (int64_t absolute : w.absolute) {
      const double start = bias == nullptr ? 0.0 : std::abs(static_cast<double>(bias[n]));
      most = std::max(most, left * static_cast<double>(absolute) + start);
      ++n;
    }
  }
  return most;
}

void SetShifts(const IntProductArgs& what, size_t columns, IntProduct* p) {
  const bool wide = p->stage.kind == IntStage::Kind::kWide;
  Spread<int32_t, Multiplier>(
      *what.multipliers, columns, [](const Multiplier& m) { return m.multiplier; }, &p->multiplier);
  if (wide) {
    Spread<int32_t, Multiplier>(
        *what.multipliers, columns, [](const Multiplier& m) { return 15 - m.shift; },
        &p->right_shift);
    // Beyond the columns too the shifts must be in range.
    std::fill(p->right_shift.begin() + static_cast<ptrdiff_t>(columns), p->right_shift.end(), 15);
    return;
  }
  Spread<int32_t, Multiplier>(
      *what.multipliers, columns, [](const Multiplier& m) { return std::max(m.shift, 0); },
      &p->left_shift);
  Spread<int32_t, Multiplier>(
      *what.multipliers, columns, [](const Multiplier& m) { return std::max(-m.shift, 0); },
      &p->right_shift);
  std::fill(p->right_shift.begin() + static_cast<ptrdiff_t>(columns), p->right_shift.end(), 1);
}

// IntStage::bounded for kFixed.
bool IsBounded(const IntProductArgs& what, double largest) {
  const double zero = std::abs(what.output_zero) + 1.0;
  return largest < 0x1p30 &&
         std::all_of(what.multipliers->begin(), what.multipliers->end(), [&](const Multiplier& m) {
           return m.shift <= -1 && m.shift >= -22 && std::ldexp(zero, -m.shift) <= 0x1p29;
         });
}

// The same for kWide.
bool HasMiddleShifts(const std::vector<Multiplier>& multipliers) {
  return std::all_of(multipliers.begin(), multipliers.end(), [](const Multiplier& m) {
    return (m.shift <= -2 && m.shift >= -17) || m.multiplier == 0;
  });
}

// Inputs, their zero point taken off, are at most 255 in magnitude.
template <typename Bias>
void SetLines(const Bias* bias, size_t columns, IntProduct* p) {
  const IntStage& s = p->stage;
  const int64_t most = std::max(int64_t{s.high} - s.zero_point, int64_t{s.zero_point} - s.low);
  if (s.type == IntStage::Out::kInt16 || most > 255 || !UsesLines()) return;
  LineSpec spec;
  spec.most = static_cast<int32_t>(most);
  spec.positive = s.low >= s.zero_point;
  size_t n = 0;
  for (const IntWeights& w : p->conv.groups) {
    for (int64_t absolute : w.absolute) {
      spec.multiplier = {p->multiplier[n], p->left_shift[n] - p->right_shift[n]};
      spec.middle = bias == nullptr ? 0 : static_cast<int64_t>(bias[n]);
      spec.reach = 255 * absolute;
      p->lines.Add(FitLine(spec));
      ++n;
    }
  }
  for (; n < columns + kSlack; ++n) p->lines.Add({LineKind::kOne});
}

template <typename Bias>
void Finish(const IntProductArgs& what, const Bias* bias, size_t columns, IntProduct* p) {
  const bool int16 = what.input == schema::TensorType_INT16;
  const double largest = LargestSum(*p, int16 ? 32768.0 : 255.0, bias);
  const bool exact = int16 && !what.narrow;  // in 64 bits
  p->wide_sums = exact && largest > 0x1p31 - 1.0;
  if (what.multipliers != nullptr) {
    p->stage.kind = exact ? IntStage::Kind::kWide : IntStage::Kind::kFixed;
    SetShifts(what, columns, p);
    p->stage.bounded = exact ? HasMiddleShifts(*what.multipliers) : IsBounded(what, largest);
    if (!exact) SetLines(bias, columns, p);
  } else {
    p->stage.kind = IntStage::Kind::kDouble;
    Spread<double, double>(
        *what.factors, columns, [](const double& f) { return f; }, &p->factor);
    p->stage.bounded = std::all_of(what.factors->begin(), what.factors->end(),
                                   [](double factor) { return factor < 1.0; });
  }
  if (p->wide_sums) {
    if (bias != nullptr) p->wide_bias.assign(bias, bias + columns);
    return;
  }
  const bool flipped = p->weights().bytes && what.input == schema::TensorType_INT8;
  SetInit(bias, what.input_zero + (flipped ? 128 : 0), p);
}

template <typename T>
const T* DataOf(const std::vector<T>& v) {
  return v.empty() ? nullptr : v.data();
}

}  // namespace

IntStage IntProduct::StageTo(void* out, size_t columns) const {
  IntStage s = stage;
  s.out = out;
  s.stride = columns;
  s.multiplier = DataOf(multiplier);
  s.left_shift = DataOf(left_shift);
  s.right_shift = DataOf(right_shift);
  s.lines = lines.kind.empty() ? nullptr : &lines;
  s.factor = DataOf(factor);
  s.wide_bias = DataOf(wide_bias);
  s.column_scale = DataOf(column_scale);
  s.column_sum = weights().sums.data();
  s.bias = DataOf(bias);
  return s;
}

bool UseBytes(TensorType input, TensorType weights, int32_t weight_offset) {
  return IntKernels()[0].bytes != nullptr && input != schema::TensorType_INT16 &&
         weights != schema::TensorType_UINT8 && weight_offset == 0;
}

bool FinishInteger(const PrepareArgs& args, const IntProductArgs& what, size_t columns,
                   IntProduct* product) {
  const bool has_bias = args.has(what.bias);
  if (has_bias && args.in(what.bias).data == nullptr) return false;
  if (what.input == schema::TensorType_INT16 && what.input_zero != 0) return false;
  IntStage& s = product->stage;
  s.type = what.input == schema::TensorType_INT8    ? IntStage::Out::kInt8
           : what.input == schema::TensorType_UINT8 ? IntStage::Out::kUint8
                                                    : IntStage::Out::kInt16;
  s.zero_point = what.output_zero;
  s.low = what.low;
  s.high = what.high;
  if (has_bias && args.in(what.bias).type == schema::TensorType_INT64) {
    Finish(what, args.in(what.bias).As<int64_t>(), columns, product);
  } else {
    Finish(what, has_bias ? args.in(what.bias).As<int32_t>() : nullptr, columns, product);
  }
  return true;
}

bool FinishHybrid(const PrepareArgs& args, const std::vector<float>& column_scales,
                  bool columns_first, float low, float high, size_t columns, IntProduct* product) {
  const bool has_bias = args.has(2);
  if (has_bias && args.in(2).data == nullptr) return false;
  // The kernels' column sums are those of one group.
  if (product->conv.groups.size() != 1) return false;
  IntStage& s = product->stage;
  s.kind = IntStage::Kind::kFloat;
  s.type = IntStage::Out::kFloat;
  s.columns_first = columns_first;
  s.float_low = low;
  s.float_high = high;
  if (!column_scales.empty()) {
    product->column_scale = column_scales;
    product->column_scale.resize(columns + kSlack);
  }
  if (has_bias) {
    const auto* values = args.in(2).As<float>();
    product->bias.assign(values, values + columns);
    product->bias.resize(columns + kSlack);
  }
  SetInit<int32_t>(nullptr, product->weights().bytes ? 128 : 0, product);
  return true;
}

size_t ProductScratchBytes(const IntWeights& w, size_t rows, size_t element) {
  const bool direct = element == w.element_size() && w.run * element % 4 == 0;
  return direct ? 0 : rows * w.run * w.element_size() + 4;
}

template <typename In>
void RunProduct(const IntProduct& p, size_t rows, const In* input, const IntStage& stage,
                std::byte* scratch, ThreadPool* threads) {
  const IntWeights& w = p.weights();
  IntLeft a;
  a.data = input;
  if (ProductScratchBytes(w, rows, sizeof(In)) != 0) {
    const size_t count = rows * w.run;
    if (sizeof(In) == w.element_size()) {
      std::memcpy(scratch, input, count * sizeof(In));
    } else if constexpr (sizeof(In) == 1) {
      WidenInt(input, count, reinterpret_cast<int16_t*>(scratch));
    }
    std::memset(scratch + count * w.element_size(), 0, 4);
    a.data = scratch;
  }
  a.step = static_cast<ptrdiff_t>(w.run * w.element_size());
  a.flip = w.bytes && std::is_same_v<In, int8_t> ? kSignedFlip : 0;
  GemmInt(rows, a, w, p.init.empty() ? nullptr : p.init.data(), p.wide_sums, stage, threads);
}
template void RunProduct(const IntProduct&, size_t, const int8_t*, const IntStage&, std::byte*,
                         ThreadPool*);
template void RunProduct(const IntProduct&, size_t, const uint8_t*, const IntStage&, std::byte*,
                         ThreadPool*);
template void RunProduct(const IntProduct&, size_t, const int16_t*, const IntStage&, std::byte*,
                         ThreadPool*);

}  // namespace litesmith
