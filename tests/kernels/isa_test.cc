#include "kernels/isa.h"

#include <cstdlib>
#include <cstring>
#include <limits>

#include "base/random.h"
#include "kernels/gemm_int.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

// Emulators know which processor they play: scripts/ci/cross.sh says what must be chosen there.
TEST(Isa, IsWhatTheEmulatedProcessorHas) {
  const char* expected = std::getenv("LITESMITH_TEST_ISA");
  if (expected == nullptr) GTEST_SKIP() << "LITESMITH_TEST_ISA is not set";
  EXPECT_EQ(ActiveIsa(), expected);
  EXPECT_EQ(HasDotIsa(DotIsa::kNeonDot), std::strcmp(expected, "neondot") == 0);
  EXPECT_EQ(IntKernels()[0].isa,
            std::strcmp(expected, "neondot") == 0 ? DotIsa::kNeonDot : DotIsa::kNeon);
}

TEST(Isa, KernelsAreThoseOfThisProcessor) {
  ASSERT_FALSE(IntKernels().empty());
  for (const IntKernel& kernel : IntKernels()) EXPECT_TRUE(HasDotIsa(kernel.isa)) << kernel.name;
  EXPECT_EQ(IntKernels().back().isa, DotIsa::kNone);
#if defined(__ARM_NEON)
  EXPECT_TRUE(HasDotIsa(DotIsa::kNeon));
#else
  EXPECT_FALSE(HasDotIsa(DotIsa::kNeon) || HasDotIsa(DotIsa::kNeonDot));
#endif
}

// Kernels may add two products in 16 bits where no weight is -128: the largest such sums, and the
// weight that forbids it.
TEST(IntTile, SumsOfExtremesAreExact) {
  constexpr size_t kRun = 44;
  Random random(7);
  for (const IntKernel& kernel : IntKernels()) {
    SCOPED_TRACE(kernel.name);
    if (kernel.bytes == nullptr) continue;
    for (const int lowest : {-127, -128}) {
      for (size_t rows = 1; rows <= 9; ++rows) {
        std::vector<int8_t> a(rows * kRun), w(kIntPanel * kRun);
        for (size_t i = 0; i < a.size(); ++i) a[i] = i < kRun || random.Below(2) == 0 ? -128 : 127;
        for (size_t i = 0; i < w.size(); ++i) {
          w[i] = static_cast<int8_t>(i < kRun || random.Below(2) == 0 ? lowest : 127);
        }
        const IntWeights packed = IntWeights::Pack(kernel, true, w.data(), kIntPanel, 1, kRun, 0);
        EXPECT_EQ(packed.no_lowest, lowest == -127);
        std::vector<const std::byte*> starts;
        for (size_t r = 0; r < rows; ++r) {
          starts.push_back(reinterpret_cast<const std::byte*>(a.data() + r * kRun));
        }
        alignas(64) int32_t init[kIntTileColumns] = {}, sums[9 * kIntTileColumns];
        for (size_t n = 0; n < kIntPanel; ++n) {
          init[n] = kernel.signed_left ? 0 : -128 * packed.sums[n];
        }
        IntTile t{};
        t.rows = starts.data();
        t.num_rows = rows;
        t.panels[0] = packed.panels.data();
        t.num_panels = 1;
        t.num_taps = 1;
        t.groups = packed.groups;
        t.flip = kernel.signed_left ? 0 : kSignedFlip;
        t.no_lowest = packed.no_lowest;
        t.init = init;
        t.sums = sums;
        kernel.bytes(t);
        for (size_t r = 0; r < rows; ++r) {
          for (size_t n = 0; n < kIntPanel; ++n) {
            int32_t expected = 0;
            for (size_t k = 0; k < kRun; ++k) expected += a[r * kRun + k] * w[n * kRun + k];
            ASSERT_EQ(sums[r * kIntTileColumns + n], expected) << rows << " " << r << " " << n;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace litesmith
