#include "ops/fake_quantize.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/gradient/elementwise_f32.h"
#include "kernels/gradient/fake_quant_f32.h"
#include "ops/gradient.h"
#include "ops/op_support.h"

namespace litesmith {
namespace {

using gradient::FakeQuant;

// Weights smaller than this in a whole channel get the scale of this, as when they are quantized.
constexpr float kSmallest = 0.5e-6f;
constexpr int32_t kBiasLimit = 1 << 30;

// Settings and sizes of one node.
struct Form {
  FakeQuantMode mode = FakeQuantMode::kFixed;
  float low = 0.0f, high = 0.0f, zero = 0.0f;
  bool average = false;
  // x as [outer][channels][inner].
  size_t outer = 1, channels = 1, inner = 1;
  size_t per_scale = 1;  // elements that share one, of one sample

  // Floats for scales and their inverses.
  size_t scratch() const { return (channels * 2 * sizeof(float) + 63) / 64 * 64; }
};

absl::Status CheckSettings(std::span<const int32_t> s, int rank) {
  const bool fits = s[kFakeQuantMode] >= 0 &&
                    s[kFakeQuantMode] <= static_cast<int32_t>(FakeQuantMode::kProduct) &&
                    s[kFakeQuantAxis] >= -1 && s[kFakeQuantAxis] < rank &&
                    s[kFakeQuantLow] >= -kBiasLimit && s[kFakeQuantHigh] <= kBiasLimit &&
                    s[kFakeQuantZero] >= s[kFakeQuantLow] && s[kFakeQuantZero] <= s[kFakeQuantHigh];
  return fits ? absl::OkStatus() : Invalid("its settings are out of range");
}

template <typename Args>
absl::StatusOr<Form> FormOf(const Args& args) {
  if (args.inputs[2].data == nullptr || args.inputs[2].elements() != kFakeQuantSettings) {
    return Unsupported("its settings must be {} constants", size_t{kFakeQuantSettings});
  }
  const std::span<const int32_t> s(args.inputs[2].template As<int32_t>(), kFakeQuantSettings);
  const Shape& shape = args.inputs[0].shape;
  LS_RETURN_IF_ERROR(CheckSettings(s, static_cast<int>(shape.size())));
  Form form;
  form.mode = static_cast<FakeQuantMode>(s[kFakeQuantMode]);
  form.zero = static_cast<float>(s[kFakeQuantZero]);
  form.low = static_cast<float>(s[kFakeQuantLow]);
  form.high = static_cast<float>(s[kFakeQuantHigh]);
  form.average = s[kFakeQuantAverage] != 0;
  const int axis = s[kFakeQuantAxis];
  for (int d = 0; d < static_cast<int>(shape.size()); ++d) {
    size_t& part = d < axis ? form.outer : d == axis ? form.channels : form.inner;
    part *= static_cast<size_t>(shape[static_cast<size_t>(d)]);
  }
  form.per_scale = form.outer * form.inner;
  if (axis < 0 && !shape.empty() && shape[0] > 0) form.per_scale /= static_cast<size_t>(shape[0]);
  if (args.inputs[1].elements() != static_cast<int64_t>(form.channels)) {
    return Invalid("it has {} scales for {} channels", args.inputs[1].elements(), form.channels);
  }
  const int64_t learnt =
      args.inputs.size() > 3 && args.inputs[3].present ? args.inputs[3].elements() : 0;
  const bool fits = form.mode == FakeQuantMode::kLearnt
                        ? learnt == static_cast<int64_t>(form.channels)
                    : form.mode == FakeQuantMode::kAveraged ? learnt == kAveragedSize && axis < 0
                    : form.mode == FakeQuantMode::kProduct  ? learnt == 1
                                                            : learnt == 0;
  if (!fits) return Invalid("it has {} learnt values", learnt);
  return form;
}

absl::Status Infer(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 3, 4, std::clamp<size_t>(args.outputs.size(), 1, 2)));
  outputs->assign(1, args.in(0).shape);
  if (args.outputs.size() > 1) outputs->push_back(args.in(1).shape);
  return absl::OkStatus();
}

// The largest |x| of every channel.
void HalfRanges(const Form& form, const float* x, float* half) {
  std::fill_n(half, form.channels, 0.0f);
  for (size_t o = 0; o < form.outer; ++o) {
    for (size_t c = 0; c < form.channels; ++c) {
      float low = 0.0f, high = half[c];
      gradient::Extend(x, form.inner, &low, &high);
      half[c] = std::max(high, -low);
      x += form.inner;
    }
  }
}

// Scales and inverses of all channels, and the limits.
struct Scales {
  const float* scale;
  const float* inverse;
  float low, high, zero;
  bool average;
};
Scales MakeScales(const Form& form, const float* x, const float* base, const float* learnt,
                  float* scratch) {
  float *scale = scratch, *inverse = scratch + form.channels;
  float zero = form.zero;
  switch (form.mode) {
    case FakeQuantMode::kFixed:
      std::copy_n(base, form.channels, scale);
      break;
    case FakeQuantMode::kLearnt:
      for (size_t c = 0; c < form.channels; ++c) scale[c] = LearntScale(base[c], learnt[c]);
      break;
    case FakeQuantMode::kAveraged:
      scale[0] = learnt[0];
      zero = learnt[1];
      break;
    case FakeQuantMode::kProduct:
      for (size_t c = 0; c < form.channels; ++c) scale[c] = learnt[0] * base[c];
      break;
    case FakeQuantMode::kValues:
      HalfRanges(form, x, scale);
      for (size_t c = 0; c < form.channels; ++c) {
        scale[c] = std::max(scale[c], kSmallest) / form.high;
      }
      break;
  }
  for (size_t c = 0; c < form.channels; ++c) {
    inverse[c] = scale[c] > 0.0f ? static_cast<float>(1.0 / static_cast<double>(scale[c])) : 0.0f;
  }
  return {scale, inverse, form.low - zero, form.high - zero, zero, form.average};
}

FakeQuant Channel(const Scales& s, size_t c) {
  return {s.scale[c], s.inverse[c], s.low, s.high, s.average, s.zero};
}

void RunForm(const Form& form, const float* x, const Scales& s, float* y) {
  if (form.channels > 1 && form.inner == 1) {
    gradient::FakeQuantizeColumns(s.scale, s.inverse, s.low, s.high, x, form.outer, form.channels,
                                  y);
    return;
  }
  for (size_t o = 0; o < form.outer; ++o) {
    for (size_t c = 0; c < form.channels; ++c) {
      gradient::FakeQuantize(Channel(s, c), x, form.inner, y);
      x += form.inner;
      y += form.inner;
    }
  }
}

absl::StatusOr<Kernel> PrepareFakeQuantize(const PrepareArgs& args) {
  for (size_t i : {size_t{0}, size_t{1}, size_t{3}}) {
    if (args.has(i) && args.in(i).type != schema::TensorType_FLOAT32) return NoKernel(args);
  }
  if (args.in(2).type != schema::TensorType_INT32 ||
      args.out(0).type != schema::TensorType_FLOAT32) {
    return NoKernel(args);
  }
  LS_ASSIGN_OR_RETURN(const Form form, FormOf(args));
  Kernel kernel;
  kernel.name = "f32-f32-fake_quantize";
  kernel.scratch_bytes = form.scratch();
  kernel.run = [form](const RunArgs& run) {
    const auto* x = run.in<float>(0);
    const Scales s = MakeScales(form, x, run.in<float>(1), run.in<float>(3),
                                reinterpret_cast<float*>(run.scratch));
    RunForm(form, x, s, run.out<float>(0));
    if (run.outputs.size() > 1) std::copy_n(s.scale, form.channels, run.out<float>(1));
    return absl::OkStatus();
  };
  return kernel;
}

// The gradients of the scales become those of what is learnt: the logarithm of a factor on them,
// less 1 / sqrt(elements * levels), which balances them with the weights' (section 2.2 there).
void LearntGradient(const Form& form, const Scales& s, const float* sums, bool first, float* to) {
  const float balance =
      1.0f / std::sqrt(static_cast<float>(std::max<size_t>(form.per_scale, 1)) * s.high);
  for (size_t c = 0; c < form.channels; ++c) {
    const float g = sums[c] * s.scale[c] * balance;
    to[c] = first ? g : to[c] + g;
  }
}

// dx, and the range seen in this pass, where a gradient would stand; both may be null.
void AveragedGradient(const FakeQuant& quant, const float* x, const float* dy, size_t count,
                      bool accumulate, float* dx, bool first, float* to) {
  float low = to == nullptr || first || count == 0 ? std::numeric_limits<float>::infinity() : to[2];
  float high =
      to == nullptr || first || count == 0 ? -std::numeric_limits<float>::infinity() : to[3];
  if (dx != nullptr) {
    gradient::FakeQuantizeStraight(quant, x, dy, count, accumulate, dx, &low, &high);
  } else if (to != nullptr) {
    gradient::Extend(x, count, &low, &high);
  }
  if (to == nullptr) return;
  to[0] = to[1] = 0.0f;
  to[2] = low;
  to[3] = high;
}

absl::Status FakeQuantizeGradientOf(const GradArgs& args) {
  LS_ASSIGN_OR_RETURN(const Form form, FormOf(args));
  const auto* x = args.inputs[0].As<float>();
  const float* dy = args.out_grads[0];
  const auto* learnt = args.inputs.size() > 3 ? args.inputs[3].As<float>() : nullptr;
  float* dx = args.in_grads[0];
  float* d_learnt = args.in_grads.size() > 3 ? args.in_grads[3] : nullptr;
  const bool accumulate = !args.first[0];
  if (form.mode == FakeQuantMode::kValues || form.mode == FakeQuantMode::kProduct) {
    // Nothing lies beyond the limits.
    if (dx != nullptr) {
      gradient::AddOrCopy(dy, form.outer * form.channels * form.inner, accumulate, dx);
    }
    for (size_t i = 1; i < args.in_grads.size(); ++i) {
      if (args.in_grads[i] != nullptr && args.first[i]) {
        std::fill_n(args.in_grads[i], args.inputs[i].elements(), 0.0f);
      }
    }
    return absl::OkStatus();
  }
  auto* scratch =
      reinterpret_cast<float*>(GradScratch(args, form.scratch() + form.channels * sizeof(float)));
  const Scales s = MakeScales(form, x, args.inputs[1].As<float>(), learnt, scratch);
  if (form.mode == FakeQuantMode::kAveraged) {
    AveragedGradient(Channel(s, 0), x, dy, form.inner, accumulate, dx,
                     d_learnt != nullptr && args.first[3], d_learnt);
    return absl::OkStatus();
  }
  float* sums = scratch + form.scratch() / sizeof(float);
  std::fill_n(sums, form.channels, 0.0f);
  if (form.channels > 1 && form.inner == 1) {
    gradient::FakeQuantizeColumnsGradient(s.inverse, s.low, s.high, x, dy, form.outer,
                                          form.channels, accumulate, dx, sums);
  } else {
    for (size_t i = 0, at = 0; i < form.outer * form.channels; ++i, at += form.inner) {
      const size_t c = i % form.channels;
      sums[c] += gradient::FakeQuantizeGradient(Channel(s, c), x + at, dy + at, form.inner,
                                                accumulate, dx == nullptr ? dx : dx + at);
    }
  }
  if (d_learnt == nullptr) return absl::OkStatus();
  LearntGradient(form, s, sums, args.first[3], d_learnt);
  return absl::OkStatus();
}

int Version(const VersionArgs&) { return 1; }

}  // namespace

float LearntScale(float scale, float learnt) {
  return static_cast<float>(static_cast<double>(scale) * std::exp(static_cast<double>(learnt)));
}

const OpRecord& FakeQuantizeOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_CUSTOM;
    r.custom_code = kFakeQuantizeCode;
    r.infer_shapes = Infer;
    r.prepare = PrepareFakeQuantize;
    r.version = Version;
    r.gradient = FakeQuantizeGradientOf;
    // What training may change: x where it is constant, and what is learnt.
    r.quant.inputs = {
        {Role::kWeight, -1}, {Role::kIndex, -1}, {Role::kIndex, -1}, {Role::kWeight, -1}};
    return r;
  }();
  return record;
}

}  // namespace litesmith
