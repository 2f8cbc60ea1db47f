#include "ops/fast_integer.h"

#include <algorithm>

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
std::optional<FastConv> MakeFastDepthwise(const reference::ConvGeometry& g, const Weight* values,
                                          int32_t offset, bool wide) {
  if (!HasDepthwise(g) || (wide && !HasWideDepthwise(g))) return std::nullopt;
  FastConv fast;
  fast.depthwise.resize(size_t(g.filter_h) * g.filter_w * g.out_c);
  for (size_t i = 0; i < fast.depthwise.size(); ++i) fast.depthwise[i] = values[i] + offset;
  return fast;
}
template std::optional<FastConv> MakeFastDepthwise(const reference::ConvGeometry&, const int8_t*,
                                                   int32_t, bool);
template std::optional<FastConv> MakeFastDepthwise(const reference::ConvGeometry&, const uint8_t*,
                                                   int32_t, bool);

}  // namespace litesmith
