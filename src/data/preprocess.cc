#include "data/preprocess.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "base/bytes.h"
#include "base/half.h"

namespace litesmith {
namespace {

// Calls f(T{}) with the C++ type of an integer element type.
template <typename F>
absl::Status WithInteger(ElementType type, F f) {
  switch (type) {
    case ElementType::kInt8:
      return f(int8_t{});
    case ElementType::kInt16:
      return f(int16_t{});
    case ElementType::kInt32:
      return f(int32_t{});
    case ElementType::kInt64:
      return f(int64_t{});
    case ElementType::kBool:
    case ElementType::kUint8:
      return f(uint8_t{});
    case ElementType::kUint16:
      return f(uint16_t{});
    case ElementType::kUint32:
      return f(uint32_t{});
    case ElementType::kUint64:
      return f(uint64_t{});
    default:
      return Invalid("{} is not an integer type", ElementTypeName(type));
  }
}

template <typename T>
void LoadAll(std::span<const std::byte> in, std::span<float> out) {
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<float>(LoadLE<T>(in.data() + i * sizeof(T)));
  }
}

bool Matches(std::span<const int64_t> stored, std::span<const int64_t> wanted) {
  return std::equal(stored.begin(), stored.end(), wanted.begin(), wanted.end(),
                    [](int64_t s, int64_t w) { return w < 0 || s == w; });
}

}  // namespace

absl::StatusOr<Normalizer> Normalizer::Make(const Preprocessing& options, int64_t channels,
                                            float std) {
  const auto bad_size = [&](size_t n) { return n > 1 && n != static_cast<size_t>(channels); };
  if (bad_size(options.mean.size()) || bad_size(options.std.size())) {
    return Invalid(
        "mean has {} values and std {}, but the data has {} channels; give one value, or one a "
        "channel",
        options.mean.size(), options.std.size(), channels);
  }
  Normalizer n;
  n.used_.mean = options.mean.empty() ? std::vector<float>{0.0f} : options.mean;
  n.used_.std = options.std.empty() ? std::vector<float>{std} : options.std;
  for (float m : n.used_.mean) {
    if (!std::isfinite(m)) return Invalid("mean has the value {}; give finite numbers", m);
  }
  for (float s : n.used_.std) {
    if (!std::isfinite(s) || s == 0.0f) {
      return Invalid("std has the value {}; give finite numbers other than 0", s);
    }
  }
  n.table_.resize(std::max(n.used_.mean.size(), n.used_.std.size()));
  for (size_t c = 0; c < n.table_.size(); ++c) {
    const float mean = n.used_.mean[std::min(c, n.used_.mean.size() - 1)];
    const float divisor = n.used_.std[std::min(c, n.used_.std.size() - 1)];
    for (int x = 0; x < 256; ++x) n.table_[c][x] = (static_cast<float>(x) - mean) / divisor;
  }
  return n;
}

absl::StatusOr<Normalizer> Normalizer::ForPixels(const Preprocessing& options, int64_t channels) {
  return Make(options, channels, 255.0f);
}

absl::StatusOr<Normalizer> Normalizer::ForNumbers(const Preprocessing& options, int64_t channels) {
  if (options.mean.empty() && options.std.empty()) return Normalizer();
  return Make(options, channels, 1.0f);
}

void Normalizer::Apply(std::span<const std::byte> pixels, std::span<float> out) const {
  const std::byte* in = pixels.data();
  // Samples lie anywhere in memory: all lines of one are fetched at once.
  constexpr size_t kLine = 64, kMost = 4096;
  for (size_t at = 0; at < std::min(pixels.size(), kMost); at += kLine) {
    __builtin_prefetch(in + at);
  }
  if (table_.size() == 1) {
    const std::array<float, 256>& table = table_[0];
    for (size_t i = 0; i < out.size(); ++i) out[i] = table[std::to_integer<size_t>(in[i])];
    return;
  }
  for (size_t i = 0; i < out.size(); i += table_.size()) {
    for (size_t c = 0; c < table_.size(); ++c) {
      out[i + c] = table_[c][std::to_integer<size_t>(in[i + c])];
    }
  }
}

bool Normalizer::Revert(std::span<const float> values, std::span<std::byte> pixels) const {
  const size_t channels = table_.size();
  for (size_t c = 0; c < channels; ++c) {
    const std::array<float, 256>& table = table_[c];
    const float mean = used_.mean[std::min(c, used_.mean.size() - 1)];
    const float divisor = used_.std[std::min(c, used_.std.size() - 1)];
    for (size_t i = c; i < values.size(); i += channels) {
      const float pixel = values[i] * divisor + mean + 0.5f;
      if (!(pixel >= 0.0f && pixel < 256.0f)) return false;
      const auto byte = static_cast<uint8_t>(pixel);
      if (table[byte] != values[i]) return false;
      pixels[i] = std::byte{byte};
    }
  }
  return true;
}

void Normalizer::ApplyInPlace(std::span<float> values) const {
  if (is_identity()) return;
  const size_t channels = table_.size();
  for (size_t c = 0; c < channels; ++c) {
    const float mean = used_.mean[std::min(c, used_.mean.size() - 1)];
    const float divisor = used_.std[std::min(c, used_.std.size() - 1)];
    for (size_t i = c; i < values.size(); i += channels) values[i] = (values[i] - mean) / divisor;
  }
}

absl::StatusOr<std::vector<int64_t>> FitShape(const std::vector<int64_t>& stored,
                                              const std::vector<int64_t>& wanted,
                                              bool channel_axis) {
  const std::span<const int64_t> s = stored, w = wanted;
  std::vector<int64_t> out = stored;
  if (Matches(s, w)) return out;
  if (!s.empty() && s[0] == 1 && Matches(s.subspan(1), w)) {
    out.erase(out.begin());
    return out;
  }
  if (!w.empty() && (w[0] == 1 || w[0] == -1) && Matches(s, w.subspan(1))) {
    out.insert(out.begin(), 1);
    return out;
  }
  if (channel_axis && !w.empty() && (w.back() == 1 || w.back() == -1) &&
      Matches(s, w.first(w.size() - 1))) {
    out.push_back(1);
    return out;
  }
  if (channel_axis && !s.empty() && s.back() == 1 && Matches(s.first(s.size() - 1), w)) {
    out.pop_back();
    return out;
  }
  return Invalid(
      "a sample has shape {}, but the model's input takes {}; prepare the data in that shape",
      ShapeString(stored), ShapeString(wanted));
}

absl::Status ToFloat32(ElementType type, std::span<const std::byte> in, std::span<float> out) {
  switch (type) {
    case ElementType::kFloat32:
      std::memcpy(out.data(), in.data(), out.size_bytes());
      return absl::OkStatus();
    case ElementType::kFloat64:
      LoadAll<double>(in, out);
      return absl::OkStatus();
    case ElementType::kFloat16:
      for (size_t i = 0; i < out.size(); ++i)
        out[i] = HalfToFloat(LoadLE<uint16_t>(in.data() + 2 * i));
      return absl::OkStatus();
    default:
      return WithInteger(type, [&](auto t) {
        LoadAll<decltype(t)>(in, out);
        return absl::OkStatus();
      });
  }
}

absl::Status ToIntegers(ElementType from, std::span<const std::byte> in, ElementType to,
                        std::span<std::byte> out) {
  if (!IsInteger(from)) {
    return Invalid("the model's input is {}, but the array is {}; give integers",
                   ElementTypeName(to), ElementTypeName(from));
  }
  return WithInteger(from, [&](auto source) {
    using From = decltype(source);
    return WithInteger(to, [&](auto target) -> absl::Status {
      using To = decltype(target);
      const size_t count = out.size() / sizeof(To);
      for (size_t i = 0; i < count; ++i) {
        const From value = LoadLE<From>(in.data() + i * sizeof(From));
        if (!std::in_range<To>(value) || (to == ElementType::kBool && value > 1)) {
          return Invalid("the value {} does not fit the model's input type {}", value,
                         ElementTypeName(to));
        }
        const To stored = static_cast<To>(value);
        std::memcpy(out.data() + i * sizeof(To), &stored, sizeof(To));
      }
      return absl::OkStatus();
    });
  });
}

bool IsInteger(ElementType type) {
  return WithInteger(type, [](auto) { return absl::OkStatus(); }).ok();
}

int64_t IntegerAt(ElementType type, std::span<const std::byte> elements, size_t i) {
  int64_t value = 0;
  WithInteger(type, [&](auto t) {
    value = static_cast<int64_t>(LoadLE<decltype(t)>(elements.data() + i * sizeof(t)));
    return absl::OkStatus();
  }).IgnoreError();
  return value;
}

}  // namespace litesmith
