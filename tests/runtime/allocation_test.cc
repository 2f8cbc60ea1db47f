// Run must not allocate: counted in operator new, which this program replaces.

#include <dlfcn.h>
#include <pthread.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <new>
#include <string>

#include "litesmith/context.h"
#include "runtime/executor.h"
#include "tests/graph_builder.h"
#include "tests/testing.h"
#include "tflite/tflite.h"

namespace {

thread_local bool counting = false;
thread_local int64_t allocations = 0, allocated_bytes = 0, locks = 0;

void* Allocate(size_t size, size_t alignment) {
  if (counting) {
    ++allocations;
    allocated_bytes += static_cast<int64_t>(size);
  }
  void* p = alignment > alignof(std::max_align_t)
                ? std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment)
                : std::malloc(size == 0 ? 1 : size);
  if (p == nullptr) std::abort();
  return p;
}

}  // namespace

void* operator new(size_t size) { return Allocate(size, 1); }
void* operator new[](size_t size) { return Allocate(size, 1); }
void* operator new(size_t size, std::align_val_t alignment) {
  return Allocate(size, static_cast<size_t>(alignment));
}
void* operator new[](size_t size, std::align_val_t alignment) {
  return Allocate(size, static_cast<size_t>(alignment));
}
// std::stable_sort's buffer comes from here.
void* operator new(size_t size, const std::nothrow_t&) noexcept { return Allocate(size, 1); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return Allocate(size, 1); }
void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t, std::align_val_t) noexcept { std::free(p); }

// std::mutex and all others lock here. Sanitizers have one of their own.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define LITESMITH_COUNTS_LOCKS
extern "C" int pthread_mutex_lock(pthread_mutex_t* mutex) {
  using Lock = int (*)(pthread_mutex_t*);
  static Lock real = nullptr;
  if (real == nullptr) real = reinterpret_cast<Lock>(::dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  if (counting) ++locks;
  return real(mutex);
}
#endif

namespace litesmith {
namespace {

using testing::GraphBuilder;

// Allocations of a second Run.
int64_t AllocationsOfRun(std::shared_ptr<const Graph> graph, KernelMode kernels) {
  ExecutorOptions options;
  options.kernels = kernels;
  auto executor = Executor::Create(std::move(graph), options);
  EXPECT_OK(executor);
  if (!executor.ok()) return -1;
  EXPECT_OK((*executor)->Run());
  allocations = locks = 0;
  counting = true;
  const bool ok = (*executor)->Run().ok();
  counting = false;
  EXPECT_TRUE(ok);
  EXPECT_EQ(locks, 0) << "on one thread";
  return allocations;
}

TEST(Allocation, TheCounterCounts) {
  allocations = 0;
  counting = true;
  auto p = std::make_unique<std::string>(100, 'x');
  counting = false;
  EXPECT_GE(allocations, 2);
}

#ifdef LITESMITH_COUNTS_LOCKS
TEST(Allocation, LocksAreCounted) {
  std::mutex mutex;
  locks = 0;
  counting = true;
  mutex.lock();
  counting = false;
  mutex.unlock();
  EXPECT_EQ(locks, 1);
}
#endif

// 1 MB of weights, packed once.
TEST(Allocation, ClonesShareWhatIsPacked) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 512});
  b.Output(b.Op(schema::BuiltinOperator_FULLY_CONNECTED, "y",
                {x, b.Ramp("w", {512, 512}, -0.5f, 1e-5f), -1}, {1, 512},
                Options(schema::FullyConnectedOptionsT{})));
  constexpr int64_t kWeights = 512 * 512 * 4;
  const auto graph = std::make_shared<const Graph>(b.graph());
  allocated_bytes = 0;
  counting = true;
  auto executor = Executor::Create(graph, {});
  counting = false;
  ASSERT_OK(executor);
  EXPECT_GT(allocated_bytes, kWeights) << "nothing was packed: the test needs another operator";
  allocated_bytes = 0;
  counting = true;
  auto clone = (*executor)->Clone();
  counting = false;
  ASSERT_OK(clone);
  EXPECT_LT(allocated_bytes, kWeights / 4);
}

TEST(Allocation, RunOfAFloatGraphMakesNone) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 12, 12, 8});
  schema::Conv2DOptionsT conv;
  conv.padding = schema::Padding_SAME;
  conv.stride_h = conv.stride_w = 1;
  const int32_t c =
      b.Op(schema::BuiltinOperator_CONV_2D, "conv", {x, b.Ramp("cw", {16, 3, 3, 8}, -0.5f, 0.001f)},
           {1, 12, 12, 16}, Options(conv));
  schema::DepthwiseConv2DOptionsT depthwise;
  depthwise.padding = schema::Padding_SAME;
  depthwise.stride_h = depthwise.stride_w = depthwise.depth_multiplier = 1;
  const int32_t d =
      b.Op(schema::BuiltinOperator_DEPTHWISE_CONV_2D, "depthwise",
           {c, b.Ramp("dw", {1, 3, 3, 16}, -0.5f, 0.01f)}, {1, 12, 12, 16}, Options(depthwise));
  const int32_t sum = b.Op(schema::BuiltinOperator_ADD, "sum", {c, d}, {1, 12, 12, 16},
                           Options(schema::AddOptionsT{}));
  schema::Pool2DOptionsT pool;
  pool.padding = schema::Padding_VALID;
  pool.stride_h = pool.stride_w = pool.filter_height = pool.filter_width = 2;
  const int32_t p =
      b.Op(schema::BuiltinOperator_AVERAGE_POOL_2D, "pool", {sum}, {1, 6, 6, 16}, Options(pool));
  const int32_t m = b.Op(schema::BuiltinOperator_MEAN, "mean", {p, b.Ints("axes", {2}, {1, 2})},
                         {1, 16}, Options(schema::ReducerOptionsT{}));
  b.Output(b.Op(schema::BuiltinOperator_LOGISTIC, "logistic", {m}, {1, 16}));
  const auto graph = std::make_shared<const Graph>(b.graph());
  for (KernelMode kernels : {KernelMode::kBest, KernelMode::kReference}) {
    EXPECT_EQ(AllocationsOfRun(graph, kernels), 0);
  }
}

TEST(Allocation, RunOfTheBenchmarksModelsMakesNone) {
  REQUIRE_SHARED();
  const std::string folder = testing::SharedDir() + "/models/bench/";
  for (const char* network : {"mnist", "resnet8", "ds_cnn", "vww"}) {
    for (const char* mode : {"float32", "dynamic", "int8", "int16x8"}) {
      const std::string path = folder + network + "_" + mode + ".tflite";
      if (!std::filesystem::exists(path)) continue;
      SCOPED_TRACE(path);
      ASSERT_OK_AND_ASSIGN(Graph graph, ReadTflite(path, Context{}));
      EXPECT_EQ(
          AllocationsOfRun(std::make_shared<const Graph>(std::move(graph)), KernelMode::kBest), 0);
    }
  }
}

}  // namespace
}  // namespace litesmith
