#include "kernels/peak.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/peak_neon.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/peak.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Sums that are independent of each other: enough to hide the latency of two units.
constexpr size_t kChains = 10;

// `rounds` products per chain; returns the MACs of all, and a number that depends on them.
double FloatLoop(size_t rounds, float* result) {
  const hn::ScalableTag<float> d;
  const auto x = hn::Set(d, *result), y = hn::Set(d, 0.5f);
  hn::Vec<decltype(d)> sums[kChains];
#pragma GCC unroll 16
  for (size_t c = 0; c < kChains; ++c) sums[c] = hn::Set(d, static_cast<float>(c));
  for (size_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
    for (size_t c = 0; c < kChains; ++c) sums[c] = hn::MulAdd(sums[c], y, x);
  }
#pragma GCC unroll 16
  for (size_t c = 1; c < kChains; ++c) sums[0] = hn::Add(sums[0], sums[c]);
  *result = hn::GetLane(sums[0]);
  return static_cast<double>(rounds * kChains * hn::Lanes(d));
}

double Int16Loop(size_t rounds, int32_t* result) {
#if HWY_TARGET == HWY_SCALAR
  uint32_t sum = static_cast<uint32_t>(*result);
  for (size_t r = 0; r < rounds; ++r) sum += static_cast<uint32_t>(r) * sum;
  *result = static_cast<int32_t>(sum);
  return static_cast<double>(rounds);
#else
  const hn::ScalableTag<int32_t> d;
  const hn::Repartition<int16_t, decltype(d)> d16;
  auto x = hn::BitCast(d16, hn::Set(d, *result));
  hn::Vec<decltype(d)> sums[kChains], more[kChains];
#pragma GCC unroll 16
  for (size_t c = 0; c < kChains; ++c) sums[c] = more[c] = hn::Zero(d);
  for (size_t r = 0; r < rounds; ++r) {
    x = hn::Add(x, x);
#pragma GCC unroll 16
    for (size_t c = 0; c < kChains; ++c) {
      const auto y = hn::BitCast(d16, sums[c]);
      sums[c] = hn::ReorderWidenMulAccumulate(d, x, c % 2 == 0 ? x : y, sums[c], more[c]);
    }
  }
#pragma GCC unroll 16
  for (size_t c = 1; c < kChains; ++c) sums[0] = hn::Add(sums[0], sums[c]);
  *result = hn::GetLane(sums[0]);
  return static_cast<double>(rounds * kChains * hn::Lanes(d16));
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace litesmith {
namespace {

HWY_EXPORT(FloatLoop);
HWY_EXPORT(Int16Loop);

#if defined(__x86_64__)

// vpdpwssd and vpdpbusd, which Highway's AVX3 does not use.
constexpr size_t kDotChains = 10;

template <bool kBytes>
__attribute__((target("avx512f,avx512vnni"))) double DotLoop(size_t rounds, int32_t* result) {
  __m512i sums[kDotChains];
  const __m512i x = _mm512_set1_epi32(*result);
#pragma GCC unroll 16
  for (size_t c = 0; c < kDotChains; ++c) sums[c] = _mm512_set1_epi32(static_cast<int32_t>(c));
  for (size_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
    for (size_t c = 0; c < kDotChains; ++c) {
      sums[c] = kBytes ? _mm512_dpbusd_epi32(sums[c], x, x) : _mm512_dpwssd_epi32(sums[c], x, x);
    }
    // The products are constant: this keeps the compiler from knowing it.
    __asm__ volatile("" : "+v"(sums[0]));
  }
#pragma GCC unroll 16
  for (size_t c = 1; c < kDotChains; ++c) sums[0] = _mm512_add_epi32(sums[0], sums[c]);
  *result = _mm512_cvtsi512_si32(sums[0]);
  return static_cast<double>(rounds * kDotChains * (kBytes ? 64 : 32));
}

bool HasDot() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vnni"); }

#endif  // __x86_64__

template <typename T>
double Rate(double (*loop)(size_t, T*), double seconds) {
  using Clock = std::chrono::steady_clock;
  T value = static_cast<T>(1);
  double best = 0, spent = 0;
  size_t rounds = 1000;
  while (spent < seconds) {
    const auto start = Clock::now();
    const double macs = loop(rounds, &value);
    volatile T sink = value;
    (void)sink;
    const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    spent += std::max(elapsed, 1e-7);
    if (elapsed < 1e-4) {
      rounds *= 2;  // too short for the clock
    } else {
      best = std::max(best, macs / elapsed);
    }
  }
  return best * 1e-9;
}

}  // namespace

PeakRates MeasurePeakRates(double seconds) {
  PeakRates out;
  out.float32 = Rate<float>(HWY_DYNAMIC_DISPATCH(FloatLoop), seconds);
#if defined(__x86_64__)
  if (HasDot()) {
    out.int16 = Rate<int32_t>(DotLoop<false>, seconds);
    out.int8 = Rate<int32_t>(DotLoop<true>, seconds);
    return out;
  }
#endif
  out.int16 = Rate<int32_t>(HWY_DYNAMIC_DISPATCH(Int16Loop), seconds);
  out.int8 = out.int16;
#if defined(__aarch64__)
  const bool dot = HasDotIsa(DotIsa::kNeonDot);
  out.int8 = Rate<int32_t>(dot ? NeonDotLoop : NeonByteLoop, seconds);
#elif defined(__ARM_NEON)
  out.int8 = Rate<int32_t>(NeonByteLoop, seconds);
#endif
  return out;
}

}  // namespace litesmith
#endif  // HWY_ONCE
