#ifndef LITESMITH_OPS_FAST_INTEGER_H_
#define LITESMITH_OPS_FAST_INTEGER_H_

// The fast integer kernel (KernelMode::kBest) of DEPTHWISE_CONV_2D, put under the same output
// stages as the reference loops. It needs constant weights. (CONV_2D and FULLY_CONNECTED:
// ops/int_product.h.)

#include <optional>
#include <type_traits>
#include <vector>

#include "kernels/depthwise.h"
#include "kernels/gemm_s16.h"
#include "kernels/reference/stage.h"
#include "ops/op.h"

namespace litesmith {

// Per-channel arrays of the vectorised requantization; empty where there is none.
struct S16Channels {
  std::vector<int32_t> multiplier, left_shift, right_shift, bias;

  bool empty() const { return multiplier.empty(); }
};
// `multipliers` has one entry or one per channel. Empty where the bias is neither absent nor a
// constant INT32.
S16Channels MakeS16Channels(const std::vector<Multiplier>& multipliers, int32_t channels,
                            const PrepareArgs& args, size_t bias);

// Hands the sums of the fast kernels to a reference stage. `positions` rows share a stage row (an
// image).
template <typename Stage>
struct StageRows {
  const Stage& stage;
  size_t columns = 0;
  size_t positions = 1;

  template <typename Sum>
  static void Take(const void* context, size_t m, size_t n, const Sum* sums, size_t count) {
    const auto& rows = *static_cast<const StageRows*>(context);
    const auto stage_row = static_cast<int32_t>(m / rows.positions);
    for (size_t i = 0; i < count; ++i) {
      rows.stage(m * rows.columns + n + i, static_cast<int32_t>(n + i), stage_row,
                 static_cast<std::make_unsigned_t<Sum>>(sums[i]));
    }
  }
};

// Calls run(S16Result) with a result that does what `stage` does. Acc is the reference's
// accumulator.
template <typename Acc, typename Stage, typename Run>
void RunWithStage(const S16Channels& channels, const Stage& stage, size_t columns, size_t positions,
                  const Run& run) {
  S16Result out;
  if constexpr (std::is_same_v<Stage, reference::FixedPointStage<int32_t, int8_t>> ||
                std::is_same_v<Stage, reference::FixedPointStage<int32_t, uint8_t>> ||
                std::is_same_v<Stage, reference::FixedPointStage<int32_t, int16_t>>) {
    using Out = std::remove_pointer_t<decltype(stage.output.out)>;
    if (std::is_same_v<Acc, uint32_t> && !channels.empty()) {
      S16FixedPoint f;
      f.bias = channels.bias.empty() ? nullptr : channels.bias.data();
      f.multiplier = channels.multiplier.data();
      f.left_shift = channels.left_shift.data();
      f.right_shift = channels.right_shift.data();
      f.zero_point = stage.output.zero_point;
      f.low = stage.output.low;
      f.high = stage.output.high;
      f.type = std::is_same_v<Out, int8_t>    ? S16FixedPoint::Type::kInt8
               : std::is_same_v<Out, uint8_t> ? S16FixedPoint::Type::kUint8
                                              : S16FixedPoint::Type::kInt16;
      f.out = stage.output.out;
      f.stride = columns;
      out.fixed_point = &f;
      run(out);
      return;
    }
  }
  const StageRows<Stage> rows{stage, columns, positions};
  out.context = &rows;
  if constexpr (std::is_same_v<Acc, uint64_t>) {
    out.wide_rows = StageRows<Stage>::template Take<int64_t>;
  } else {
    out.rows = StageRows<Stage>::template Take<int32_t>;
  }
  run(out);
}

// What a depthwise convolution prepares.
struct FastConv {
  std::vector<int32_t> depthwise;
  S16Channels channels;
};

// None where the fast kernel cannot do it. Weights are int8 or uint8, `values` constant; `wide`
// says 64-bit sums.
template <typename Weight>
std::optional<FastConv> MakeFastDepthwise(const reference::ConvGeometry& g, const Weight* values,
                                          int32_t offset, bool wide);

template <typename Acc, typename In, typename Stage>
void RunFastDepthwise(const FastConv& fast, const reference::ConvGeometry& g,
                      const reference::ConvOffsets& offsets, const In* input, const Stage& stage,
                      ThreadPool* threads) {
  const size_t positions = size_t(g.out_h) * g.out_w;
  RunWithStage<Acc>(fast.channels, stage, g.out_c, positions, [&](const S16Result& out) {
    DepthwiseInteger(g, offsets, input, fast.depthwise.data(), out, threads);
  });
}

}  // namespace litesmith

#endif  // LITESMITH_OPS_FAST_INTEGER_H_
