#include "ops/fast_transpose_conv.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/aligned.h"
#include "kernels/conv_f32.h"
#include "kernels/reference/copy.h"
#include "ops/matrix_support.h"

namespace litesmith {
namespace {

using reference::ConvGeometry;

size_t Rounded(size_t bytes) { return (bytes + 63) / 64 * 64; }

// One dimension of a phase: its output positions are first, first + stride, ...; its taps
// first_tap, first_tap + stride, ... of the filter.
struct PhaseAxis {
  int32_t first = 0, count = 0, first_tap = 0, taps = 0, pad = 0;
};

// False where no tap meets the phase, or its first window begins behind the first input.
bool FindAxis(int32_t first, int32_t out, int32_t filter, int32_t stride, int32_t pad,
              PhaseAxis* axis) {
  const int64_t at = int64_t{first} + pad;
  axis->first = first;
  axis->count = (out - first + stride - 1) / stride;
  axis->first_tap = static_cast<int32_t>(at % stride);
  if (axis->first_tap >= filter) return false;
  axis->taps = (filter - 1 - axis->first_tap) / stride + 1;
  axis->pad = axis->taps - 1 - static_cast<int32_t>(at / stride);
  return axis->pad >= 0;
}

struct Phase {
  PhaseAxis y, x;
  ConvGeometry g;  // the convolution
};

std::optional<std::vector<Phase>> FindPhases(const ConvGeometry& g) {
  // More would be slower than the plain loops, and weights beyond memory.
  constexpr int64_t kMostPhases = 64;
  const int32_t rows = std::min(g.stride_h, g.out_h), columns = std::min(g.stride_w, g.out_w);
  if (rows <= 0 || columns <= 0 || int64_t{rows} * columns > kMostPhases) return std::nullopt;
  std::vector<Phase> phases;
  for (int32_t y = 0; y < rows; ++y) {
    for (int32_t x = 0; x < columns; ++x) {
      Phase p;
      if (!FindAxis(y, g.out_h, g.filter_h, g.stride_h, g.pad_h, &p.y) ||
          !FindAxis(x, g.out_w, g.filter_w, g.stride_w, g.pad_w, &p.x)) {
        return std::nullopt;
      }
      p.g = g;
      p.g.stride_h = p.g.stride_w = 1;
      p.g.filter_h = p.y.taps;
      p.g.filter_w = p.x.taps;
      p.g.out_h = p.y.count;
      p.g.out_w = p.x.count;
      p.g.pad_h = p.y.pad;
      p.g.pad_w = p.x.pad;
      if (!ConvF32Fits(p.g)) return std::nullopt;
      phases.push_back(p);
    }
  }
  return phases;
}

// The phase's filters, OHWI.
template <typename W>
std::vector<W> PhaseWeights(const ConvGeometry& g, const Phase& p, const W* weights) {
  std::vector<W> out;
  const auto depth = static_cast<size_t>(g.in_c);
  out.reserve(size_t(g.out_c) * p.y.taps * p.x.taps * depth);
  for (int32_t o = 0; o < g.out_c; ++o) {
    for (int32_t y = p.y.taps; y-- > 0;) {
      for (int32_t x = p.x.taps; x-- > 0;) {
        const size_t fy = size_t(p.y.first_tap) + size_t(y) * g.stride_h;
        const size_t fx = size_t(p.x.first_tap) + size_t(x) * g.stride_w;
        const W* from = weights + ((size_t(o) * g.filter_h + fy) * g.filter_w + fx) * depth;
        out.insert(out.end(), from, from + depth);
      }
    }
  }
  return out;
}

// What the kernels of all types share.
struct Phases {
  ConvGeometry g;
  std::vector<Phase> phases;
  size_t element = 1;
  size_t dense_bytes = 0;  // of the scratch memory: a phase's results; none with one phase
  size_t conv_bytes = 0;   // after these: the convolution's

  void AddScratch(size_t i, size_t conv) {
    const ConvGeometry& p = phases[i].g;
    conv_bytes = std::max(conv_bytes, conv);
    if (phases.size() == 1) return;
    dense_bytes = std::max(dense_bytes,
                           Rounded(size_t(p.batches) * p.out_h * p.out_w * p.out_c * element + 64));
  }

  // run(phase, where its results go, scratch) for all of them.
  template <typename Run>
  void ForEach(const RunArgs& args, const Run& run) const {
    auto* out = args.out<std::byte>(0);
    for (size_t i = 0; i < phases.size(); ++i) {
      std::byte* dense = phases.size() == 1 ? out : args.scratch;
      run(i, dense, args.scratch + dense_bytes);
      if (phases.size() > 1) Place(phases[i], dense, out, args.threads);
    }
  }

  void Place(const Phase& p, const std::byte* dense, std::byte* out, ThreadPool* threads) const {
    const auto pixel = static_cast<int64_t>(size_t(g.out_c) * element);
    const auto body = [&](size_t begin, size_t end) {
      for (size_t row = begin; row < end; ++row) {
        const size_t image = row / p.y.count;
        const size_t y = p.y.first + row % p.y.count * g.stride_h;
        std::byte* to = out + ((image * g.out_h + y) * g.out_w + p.x.first) * pixel;
        const std::byte* from = dense + row * p.x.count * pixel;
        reference::internal::CopyRow(from, pixel, to, pixel * g.stride_w, p.x.count, pixel);
      }
    };
    constexpr size_t kLeastBytes = 16384;
    const size_t row_bytes = size_t(p.x.count) * pixel;
    ParallelFor(threads, size_t(g.batches) * p.y.count, kLeastBytes / row_bytes + 1,
                std::cref(body));
  }
};

std::optional<Phases> MakePhases(const PrepareArgs& args, const ConvGeometry& g,
                                 const TransposeConvOperands& operands) {
  if (args.mode != KernelMode::kBest || args.in(operands.weights).data == nullptr) {
    return std::nullopt;
  }
  std::optional<std::vector<Phase>> phases = FindPhases(g);
  if (!phases.has_value()) return std::nullopt;
  Phases out;
  out.g = g;
  out.phases = std::move(*phases);
  out.element = TypeSize(args.out(0).type);
  return out;
}

struct FloatState {
  Phases phases;
  std::vector<AlignedVector<float>> packed;
};

struct IntState {
  Phases phases;
  std::vector<IntProduct> products;
  int32_t input_zero = 0;
};

template <typename In>
Kernel IntKernelOf(std::shared_ptr<const IntState> s, size_t input) {
  Kernel kernel;
  kernel.scratch_bytes = s->phases.dense_bytes + s->phases.conv_bytes;
  kernel.run = [s, input](const RunArgs& args) {
    s->phases.ForEach(args, [&](size_t i, std::byte* dense, std::byte* scratch) {
      const IntProduct& p = s->products[i];
      const ConvGeometry& g = s->phases.phases[i].g;
      ConvInt<In>(g, p.conv, {args.in<In>(input), &s->input_zero, false},
                  p.init.empty() ? nullptr : p.init.data(), p.wide_sums, p.StageTo(dense, g.out_c),
                  scratch, args.threads);
    });
    return absl::OkStatus();
  };
  return kernel;
}

template <typename W>
IntConv PackPhase(const Phases& all, const Phase& p, const W* weights, bool bytes, size_t element,
                  int32_t offset) {
  const std::vector<W> own = PhaseWeights(all.g, p, weights);
  return IntConv::Prepare(p.g, IntKernels()[0], bytes, element, own.data(), offset);
}

}  // namespace

std::optional<Kernel> FastTransposeConvF32(const PrepareArgs& args, const ConvGeometry& g,
                                           const TransposeConvOperands& operands,
                                           FloatRange range) {
  std::optional<Phases> phases = MakePhases(args, g, operands);
  if (!phases.has_value()) return std::nullopt;
  auto s = std::make_shared<FloatState>();
  s->phases = std::move(*phases);
  for (size_t i = 0; i < s->phases.phases.size(); ++i) {
    const Phase& p = s->phases.phases[i];
    const std::vector<float> own = PhaseWeights(g, p, args.in(operands.weights).As<float>());
    AlignedVector<float> packed(PackedConvFloats(p.g));
    PackConvF32(p.g, own.data(), packed.data());
    s->packed.push_back(std::move(packed));
    s->phases.AddScratch(i, ConvF32ScratchBytes(p.g));
  }
  Kernel kernel;
  kernel.scratch_bytes = s->phases.dense_bytes + s->phases.conv_bytes;
  kernel.run = [s, operands, range](const RunArgs& run) {
    s->phases.ForEach(run, [&](size_t i, std::byte* dense, std::byte* scratch) {
      const ConvF32Output out{reinterpret_cast<float*>(dense), run.in<float>(operands.bias),
                              range.low, range.high, false};
      ConvF32(s->phases.phases[i].g, run.in<float>(operands.input), s->packed[i].data(), out,
              scratch, run.threads);
    });
    return absl::OkStatus();
  };
  return kernel;
}

std::optional<Kernel> FastTransposeConvInt(const PrepareArgs& args, const ConvGeometry& g,
                                           const TransposeConvOperands& operands,
                                           const IntProductArgs& what, int32_t weight_offset) {
  std::optional<Phases> phases = MakePhases(args, g, operands);
  if (!phases.has_value()) return std::nullopt;
  auto s = std::make_shared<IntState>();
  s->phases = std::move(*phases);
  s->input_zero = what.input_zero;
  const TensorView& weights = args.in(operands.weights);
  const bool bytes = UseBytes(what.input, weights.type, weight_offset);
  const size_t element = s->phases.element;
  for (size_t i = 0; i < s->phases.phases.size(); ++i) {
    const Phase& p = s->phases.phases[i];
    IntProduct product;
    if (weights.type == schema::TensorType_UINT8) {
      product.conv = PackPhase(s->phases, p, weights.As<uint8_t>(), bytes, element, weight_offset);
    } else {
      product.conv = PackPhase(s->phases, p, weights.As<int8_t>(), bytes, element, weight_offset);
    }
    if (!FinishInteger(args, what, g.out_c, &product)) return std::nullopt;
    s->phases.AddScratch(i, product.conv.scratch_bytes);
    s->products.push_back(std::move(product));
  }
  if (what.input == schema::TensorType_INT8) return IntKernelOf<int8_t>(s, operands.input);
  if (what.input == schema::TensorType_UINT8) return IntKernelOf<uint8_t>(s, operands.input);
  return IntKernelOf<int16_t>(s, operands.input);
}

}  // namespace litesmith
