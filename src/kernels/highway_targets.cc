// What Highway's dispatch asks of its library, for x86-64: which instruction sets the processor
// has. Debian's libhwy.so carries its benchmark's clock, which measures its own resolution (3 ms)
// whenever the library is loaded; with these definitions no program needs it.

#include "kernels/simd.h"

// After simd.h, which sets what Highway compiles.
#include "hwy/targets.h"

#if defined(__x86_64__)

#include <cpuid.h>

#include <atomic>
#include <cstdint>
#include <initializer_list>

namespace hwy {
namespace {

std::atomic<int64_t> disabled{0};
std::atomic<int64_t> for_test{0};

struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

Registers CpuId(unsigned leaf, unsigned subleaf) {
  Registers r;
  static_cast<void>(__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d));
  return r;
}

bool Has(unsigned word, std::initializer_list<int> bits) {
  for (int bit : bits) {
    if ((word >> bit & 1) == 0) return false;
  }
  return true;
}

// Which register files the system saves: XCR0. REQUIRES: OSXSAVE.
unsigned SavedRegisters() {
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

// Bits of CPUID by Intel's manual, volume 2, "CPUID". Each set includes the ones before.
int64_t Detect() {
  int64_t targets = HWY_SCALAR | HWY_EMU128;
  const Registers basic = CpuId(1, 0), more = CpuId(7, 0), extended = CpuId(0x80000001, 0);
  // SSE3, SSSE3
  if (!Has(basic.c, {0, 9})) return targets;
  targets |= HWY_SSSE3;
  // SSE4.1, SSE4.2, PCLMULQDQ, AES
  if (!Has(basic.c, {19, 20, 1, 25})) return targets;
  targets |= HWY_SSE4;
  // OSXSAVE, AVX, FMA, F16C; AVX2, BMI1, BMI2; LZCNT
  if (!Has(basic.c, {27, 28, 12, 29}) || !Has(more.b, {5, 3, 8}) || !Has(extended.c, {5})) {
    return targets;
  }
  const unsigned saved = SavedRegisters();
  // xmm, ymm
  if (!Has(saved, {1, 2})) return targets;
  targets |= HWY_AVX2;
  // AVX512F, DQ, CD, BW, VL; masks, the upper halves, zmm16 and above
  if (!Has(more.b, {16, 17, 28, 30, 31}) || !Has(saved, {5, 6, 7})) return targets;
  return targets | HWY_AVX3;
}

}  // namespace

int64_t SupportedTargets() {
  static const int64_t detected = Detect();
  const int64_t forced = for_test.load();
  const int64_t targets = (forced != 0 ? forced : detected) & ~disabled.load();
  return targets != 0 ? targets : int64_t{HWY_STATIC_TARGET};
}

void DisableTargets(int64_t targets) {
  disabled.store(targets);
  GetChosenTarget().DeInit();
}

void SetSupportedTargetsForTest(int64_t targets) {
  for_test.store(targets);
  GetChosenTarget().DeInit();
}

ChosenTarget& GetChosenTarget() {
  static ChosenTarget chosen;
  return chosen;
}

}  // namespace hwy

#endif  // __x86_64__
