// Rate of the float matrix product, in multiply-adds a second (GFLOP/s is twice that), on one
// thread unless the last argument says more.
#include <benchmark/benchmark.h>

#include <vector>

#include "kernels/gemm_f32.h"

namespace litesmith {
namespace {

void Gemm(benchmark::State& state) {
  const auto m = static_cast<size_t>(state.range(0)), n = static_cast<size_t>(state.range(1)),
             k = static_cast<size_t>(state.range(2));
  ThreadPool pool(static_cast<int>(state.range(3)));
  std::vector<float> a(m * k, 0.5f), b(k * n, 0.25f), c(m * n), packed(PackedFloats(k, n));
  PackRowMajor(b.data(), k, n, n, packed.data());
  GemmResult result;
  result.data = c.data();
  result.stride = n;
  for (auto _ : state) {
    GemmF32(m, n, GemmLeft::RowMajor(a.data(), k, k), GemmRight::Packed(packed.data(), k), result,
            &pool);
    benchmark::DoNotOptimize(c.data());
    benchmark::ClobberMemory();
  }
  state.counters["GFLOP/s"] = benchmark::Counter(2e-9 * static_cast<double>(m * n * k),
                                                 benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(Gemm)
    ->ArgNames({"M", "N", "K", "threads"})
    ->Args({512, 512, 512, 1})
    ->Args({512, 512, 512, 2})
    ->Args({1024, 1024, 1024, 1})
    ->Args({1024, 1024, 1024, 2})
    ->Args({64, 16, 1352, 1})
    ->Args({1, 512, 512, 1})
    ->Args({1, 16, 1352, 1})
    ->Args({676, 8, 9, 1})
    ->Args({1024, 16, 144, 1})
    ->UseRealTime();

}  // namespace
}  // namespace litesmith
