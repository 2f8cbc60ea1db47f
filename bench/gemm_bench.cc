// Rates of the float matrix product in GFLOP/s and of the integer one in multiply-adds a second, on
// one thread unless the last argument says more, and which part of the core's measured peak they
// are. The integer kernels are those of this CPU within LITESMITH_ISA.
#include <benchmark/benchmark.h>

#include <vector>

#include "kernels/gemm_f32.h"
#include "kernels/gemm_int.h"
#include "kernels/peak.h"

namespace litesmith {
namespace {

const PeakRates& Peak() {
  static const PeakRates rates = MeasurePeakRates(0.1);
  return rates;
}

// `rate`: multiply-adds a second at most, in 10^9.
void CountPeak(benchmark::State& state, double macs, double rate) {
  state.counters["of_peak"] =
      benchmark::Counter(1e-9 * macs / rate, benchmark::Counter::kIsIterationInvariantRate);
}

// Rows, columns and depth of ResNet50's layers (224 x 224 pixels) as matrix products.
const std::vector<std::vector<int64_t>>& ResNet50() {
  static const std::vector<std::vector<int64_t>> layers = {
      {12544, 64, 147}, {3136, 64, 64},   {3136, 64, 576},  {3136, 256, 64}, {3136, 64, 256},
      {784, 128, 512},  {784, 128, 1152}, {784, 512, 128},  {784, 512, 256}, {196, 256, 1024},
      {196, 256, 2304}, {196, 1024, 256}, {196, 1024, 512}, {49, 512, 2048}, {49, 512, 4608},
      {49, 2048, 512},  {49, 2048, 1024},
  };
  return layers;
}
void ResNet50Layers(benchmark::internal::Benchmark* bench, int64_t last) {
  for (std::vector<int64_t> layer : ResNet50()) {
    layer.push_back(last);
    bench->Args(layer);
  }
}

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
  CountPeak(state, static_cast<double>(m * n * k), Peak().float32);
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
    ->Args({1, 1000, 1280, 1})
    ->Args({1, 16, 1352, 1})
    ->Args({676, 8, 9, 1})
    ->Args({1024, 16, 144, 1})
    ->UseRealTime();
// The first 1x1 layers of MobileNetV2 as they are, and with so few rows that the second-level cache
// holds everything: what lies between the two is the price of memory.
BENCHMARK(Gemm)
    ->ArgNames({"M", "N", "K", "threads"})
    ->ArgsProduct({{12544, 256}, {16}, {32}, {1}})
    ->ArgsProduct({{12544, 256}, {96}, {16}, {1}})
    ->ArgsProduct({{3136, 256}, {24}, {96, 144}, {1}})
    ->ArgsProduct({{3136, 256}, {144}, {24}, {1}})
    ->ArgsProduct({{256}, {8, 16}, {96}, {1}})
    ->UseRealTime();

BENCHMARK(Gemm)
    ->Name("ResNet50")
    ->ArgNames({"M", "N", "K", "threads"})
    ->Apply([](benchmark::internal::Benchmark* bench) { ResNet50Layers(bench, 1); })
    ->UseRealTime();

// bytes: 1 is int8 times int8, 2 is int16 times int8.
void IntegerGemm(benchmark::State& state) {
  const auto m = static_cast<size_t>(state.range(0)), n = static_cast<size_t>(state.range(1)),
             k = static_cast<size_t>(state.range(2));
  const bool wide = state.range(3) == 2;
  const IntKernel& kernel = IntKernels()[0];
  const bool bytes = !wide && kernel.bytes != nullptr;
  const std::vector<int8_t> values(n * k, 3);
  const IntWeights weights = IntWeights::Pack(kernel, bytes, values.data(), n, 1, k, 0);
  const size_t columns = weights.sums.size();
  const AlignedVector<int8_t> a(m * k * 2, 1);
  const std::vector<int32_t> init(columns), multiplier(columns, 1 << 30), none(columns),
      shift(columns, 16);
  std::vector<int16_t> out(m * n);
  IntStage stage;
  stage.kind = wide ? IntStage::Kind::kWide : IntStage::Kind::kFixed;
  stage.type = wide ? IntStage::Out::kInt16 : IntStage::Out::kInt8;
  stage.multiplier = multiplier.data();
  stage.left_shift = none.data();
  stage.right_shift = shift.data();
  stage.low = wide ? -32768 : -128;
  stage.high = wide ? 32767 : 127;
  stage.bounded = true;
  stage.out = out.data();
  stage.stride = n;
  IntLeft left;
  left.data = a.data();
  left.step = static_cast<ptrdiff_t>(k * weights.element_size());
  left.flip = bytes ? kSignedFlip : 0;
  for (auto _ : state) {
    GemmInt(m, left, weights, init.data(), false, stage, nullptr);
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  state.SetLabel(kernel.name);
  CountPeak(state, static_cast<double>(m * n * k), wide ? Peak().int16 : Peak().int8);
  state.counters["GMAC/s"] = benchmark::Counter(1e-9 * static_cast<double>(m * n * k),
                                                benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(IntegerGemm)
    ->ArgNames({"M", "N", "K", "bytes"})
    ->ArgsProduct({{784}, {128}, {1152}, {1, 2}})
    ->ArgsProduct({{1024}, {16}, {144}, {1, 2}})
    ->ArgsProduct({{784}, {144}, {24}, {1, 2}})
    ->ArgsProduct({{1}, {1000}, {1280}, {1, 2}})
    ->UseRealTime();
BENCHMARK(IntegerGemm)
    ->Name("ResNet50Integer")
    ->ArgNames({"M", "N", "K", "bytes"})
    ->Apply([](benchmark::internal::Benchmark* bench) {
      ResNet50Layers(bench, 1);
      ResNet50Layers(bench, 2);
    })
    ->UseRealTime();

}  // namespace
}  // namespace litesmith
