#ifndef LITESMITH_TESTS_KERNELS_TARGETS_H_
#define LITESMITH_TESTS_KERNELS_TARGETS_H_

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cstdint>

#include "kernels/isa.h"

namespace litesmith::testing {

// Calls body(name) once for each instruction set that is both in `compiled` (a mask of Highway's
// target bits) and on this CPU, with the dispatch set to it. Fails the test when there is none.
template <typename Body>
void ForEachTarget(int64_t compiled, const Body& body) {
  int count = 0;
  // Before the loop: what LITESMITH_ISA disables is none of these targets.
  ASSERT_TRUE(LimitIsa().ok()) << LimitIsa();
#if HWY_ARCH_ARM
  // What the compiler was told is compiled in, whatever Highway finds (kernels/simd.h).
  int64_t targets = compiled;
#else
  hwy::SetSupportedTargetsForTest(0);
  // The plain code runs everywhere, though SupportedTargets does not list it.
  int64_t targets = (hwy::SupportedTargets() | HWY_SCALAR | HWY_EMU128) & compiled;
#endif
  for (; targets != 0; targets &= targets - 1) {
    const int64_t target = targets & -targets;
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(target);
    SCOPED_TRACE(hwy::TargetName(target));
    body(hwy::TargetName(target));
    ++count;
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().DeInit();
  ASSERT_GT(count, 0) << "no instruction set was tested";
}

}  // namespace litesmith::testing

#endif  // LITESMITH_TESTS_KERNELS_TARGETS_H_
