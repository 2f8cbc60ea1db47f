#include "kernels/isa.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

#include "kernels/simd.h"

// After simd.h, which sets what Highway compiles.
#include "hwy/targets.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace litesmith {
namespace {

struct Level {
  std::string_view word;
  int64_t targets;  // of Highway, that it allows
  bool avx_vnni, avx512_vnni;
  bool neon_dot = false;
};

#if defined(__x86_64__)
constexpr int64_t kScalar = HWY_SCALAR | HWY_EMU128;
constexpr int64_t kSse4 = kScalar | HWY_SSE4 | HWY_SSSE3;
constexpr int64_t kAvx2 = kSse4 | HWY_AVX2;
constexpr int64_t kAvx512 = kAvx2 | HWY_AVX3;
constexpr std::array<Level, 5> kLevels = {{{"scalar", kScalar, false, false},
                                           {"sse4", kSse4, false, false},
                                           {"avx2", kAvx2, true, false},
                                           {"avx512", kAvx512, true, false},
                                           {"avx512vnni", kAvx512, true, true}}};
#else
// Highway's NEON is what the compiler was told: nothing to choose.
constexpr std::array<Level, 2> kLevels = {
    {{"neon", ~int64_t{0}, false, false, false}, {"neondot", ~int64_t{0}, false, false, true}}};
#endif

struct Choice {
  absl::Status status;
  Level level = kLevels.back();
};

Choice Choose() {
  Choice choice;
  const char* word = std::getenv("LITESMITH_ISA");
  if (word == nullptr || *word == '\0') return choice;
  const auto* found = std::find_if(kLevels.begin(), kLevels.end(),
                                   [&](const Level& level) { return level.word == word; });
  if (found == kLevels.end()) {
    std::string known;
    for (const Level& level : kLevels)
      known += (known.empty() ? "" : ", ") + std::string(level.word);
    choice.status = Invalid("LITESMITH_ISA is '{}', this build knows {}", Printable(word), known);
    return choice;
  }
  choice.level = *found;
#if defined(__x86_64__)
  hwy::DisableTargets(hwy::SupportedTargets() & ~found->targets);
#endif
  return choice;
}

const Choice& Chosen() {
  static const Choice choice = Choose();
  return choice;
}

struct Dots {
  bool avx_vnni = false, avx512_vnni = false, avx512_bytes = false, neon_dot = false;
};

Dots FindDots() {
  Dots dots;
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  // The builtin also asks whether the system saves the registers.
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) != 0) {
    dots.avx512_vnni = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       (c & (1u << 11)) != 0;
    dots.avx512_bytes = dots.avx512_vnni && (c & (1u << 1)) != 0;
    const unsigned subleaves = a;
    if (subleaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0) {
      dots.avx_vnni = __builtin_cpu_supports("avx2") && (a & (1u << 4)) != 0;
    }
  }
#elif defined(__aarch64__)
  dots.neon_dot = (::getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#endif
  return dots;
}

}  // namespace

const absl::Status& LimitIsa() { return Chosen().status; }

bool HasDotIsa(DotIsa isa) {
  static const Dots dots = FindDots();
  switch (isa) {
    case DotIsa::kNone:
      return true;
    case DotIsa::kAvxVnni:
      return dots.avx_vnni && Chosen().level.avx_vnni;
    case DotIsa::kAvx512Vnni:
      return dots.avx512_vnni && Chosen().level.avx512_vnni;
    case DotIsa::kAvx512Bytes:
      return dots.avx512_bytes && Chosen().level.avx512_vnni;
    case DotIsa::kNeon:
#if defined(__ARM_NEON)
      return true;
#else
      return false;
#endif
    case DotIsa::kNeonDot:
      return dots.neon_dot && Chosen().level.neon_dot;
  }
  return false;
}

std::string ActiveIsa() {
  static_cast<void>(LimitIsa());
#if defined(__x86_64__)
  if (HasDotIsa(DotIsa::kAvx512Vnni)) return "avx512vnni";
  const int64_t targets = hwy::SupportedTargets();
  if ((targets & HWY_AVX3) != 0) return "avx512";
  if ((targets & HWY_AVX2) != 0) return "avx2";
  if ((targets & HWY_SSE4) != 0) return "sse4";
  return "scalar";
#else
  return HasDotIsa(DotIsa::kNeonDot) ? "neondot" : "neon";
#endif
}

}  // namespace litesmith
