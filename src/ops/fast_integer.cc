#include "ops/fast_integer.h"

#include <algorithm>

#include "kernels/conv_f32.h"

namespace litesmith {

S16Channels MakeS16Channels(const std::vector<Multiplier>& multipliers, int32_t channels,
                            const PrepareArgs& args, size_t bias) {
  S16Channels out;
  const bool has_bias = args.has(bias);
  if (multipliers.empty() || (has_bias && (args.in(bias).data == nullptr ||
                                           args.in(bias).type != schema::TensorType_INT32))) {
    return out;
  }
  // The kernels read whole vectors.
  const size_t size = static_cast<size_t>(channels) + kGemmS16Panel;
  out.multiplier.resize(size);
  out.left_shift.resize(size);
  out.right_shift.resize(size);
  for (size_t c = 0; c < static_cast<size_t>(channels); ++c) {
    const Multiplier m = multipliers[multipliers.size() == 1 ? 0 : c];
    out.multiplier[c] = m.multiplier;
    out.left_shift[c] = std::max(m.shift, 0);
    out.right_shift[c] = std::max(-m.shift, 0);
  }
  if (has_bias) {
    const auto* values = args.in(bias).As<int32_t>();
    out.bias.assign(values, values + channels);
    out.bias.resize(size);
  }
  return out;
}

template <typename Weight>
std::optional<FastConv> MakeFastConv(const reference::ConvGeometry& g, bool is_depthwise,
                                     const Weight* values, int32_t offset, bool wide) {
  FastConv fast;
  if (is_depthwise) {
    if (!HasDepthwise(g) || (wide && !HasWideDepthwise(g))) return std::nullopt;
    fast.depthwise.resize(size_t(g.filter_h) * g.filter_w * g.out_c);
    for (size_t i = 0; i < fast.depthwise.size(); ++i) fast.depthwise[i] = values[i] + offset;
    return fast;
  }
  if (!ConvF32Fits(g)) return std::nullopt;
  fast.packed.resize(PackedConvS16(g));
  PackConvS16(g, values, offset, fast.packed.data());
  fast.scratch_bytes = ConvS16ScratchBytes(g);
  return fast;
}
template std::optional<FastConv> MakeFastConv(const reference::ConvGeometry&, bool, const int8_t*,
                                              int32_t, bool);
template std::optional<FastConv> MakeFastConv(const reference::ConvGeometry&, bool, const uint8_t*,
                                              int32_t, bool);

template <typename Weight>
FastProduct MakeFastProduct(size_t rows, size_t depth, size_t units, const Weight* values,
                            int32_t offset) {
  FastProduct p;
  p.rows = rows;
  p.depth = depth;
  p.units = units;
  p.packed.resize(PackedS16(1, depth, units));
  PackS16(values, 1, depth, units, offset, p.packed.data());
  return p;
}
template FastProduct MakeFastProduct(size_t, size_t, size_t, const int8_t*, int32_t);
template FastProduct MakeFastProduct(size_t, size_t, size_t, const uint8_t*, int32_t);

}  // namespace litesmith
