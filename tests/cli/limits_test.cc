// --time-limit and --max-memory: execution of a stranger's model ends when it was told to.

#include <cstdlib>
#include <filesystem>

#include "data/npy.h"
#include "tests/cli/process.h"
#include "tests/graph_builder.h"
#include "tests/testing.h"
#include "tflite/tflite.h"

namespace litesmith::testing {
namespace {

// One convolution of `size` x `size` pixels with a window of `window` x `window`, in one file of a
// few hundred kilobytes.
std::string WriteConvolution(const std::string& path, int32_t size, int32_t window) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, size, size, 1});
  const int32_t w = b.Ramp("w", {1, window, window, 1}, 0.0f, 1e-6f);
  const int32_t bias = b.Floats("b", {1}, {0.0f});
  schema::Conv2DOptionsT options;
  options.stride_h = options.stride_w = 1;
  options.dilation_h_factor = options.dilation_w_factor = 1;
  options.padding = schema::Padding_SAME;
  b.Output(b.Op(schema::BuiltinOperator_CONV_2D, "y", {x, w, bias}, {1, size, size, 1},
                Options(options)));
  EXPECT_OK(WriteTflite(path, b.graph()));
  return path;
}

TEST(Limits, ALongConvolutionEndsAtTheTimeLimit) {
  const std::string dir = TempDir();
  // 7e10 products, which the plain loops need a minute or more for.
  const std::string model = WriteConvolution(dir + "/long.tflite", 1024, 256);
  const Array input = Array::Zeros(ElementType::kFloat32, {1, 1024, 1024, 1});
  ASSERT_OK(WriteNpy(dir + "/x.npy", input));
  const RunResult result =
      RunProgram({"run", model, "--input", dir + "/x.npy", "--output-dir", dir + "/out",
                  "--kernels", "reference", "--time-limit", "0.2"});
  ExpectError(result, 1, {"the time limit is over", "--time-limit"});
  EXPECT_FALSE(std::filesystem::exists(dir + "/out/out0.npy"));
}

TEST(Limits, MemoryIsRefusedBeforeItIsTaken) {
  const std::string dir = TempDir();
  const std::string model = WriteConvolution(dir + "/large.tflite", 2048, 1);
  const RunResult result =
      RunProgram({"benchmark", model, "--num_runs", "1", "--max-memory", "8MB"});
  ExpectError(result, 1, {"large.tflite", "MB"});
  // A sanitizer's own memory would be measured.
  const uint64_t bound = std::getenv("LITESMITH_SANITIZED") == nullptr ? 64 << 10 : 1 << 20;
  EXPECT_LT(result.peak_kilobytes, bound);
}

TEST(Limits, BadValues) {
  for (const char* value : {"0", "-1", "lots"}) {
    ExpectError(RunProgram({"inspect", "m.tflite", "--max-memory", value}), 2, {"--max-memory"});
    ExpectError(RunProgram({"inspect", "m.tflite", "--time-limit", value}), 2, {"--time-limit"});
  }
}

}  // namespace
}  // namespace litesmith::testing
