#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "base/random.h"
#include "evaluate/evaluate.h"
#include "evaluate/litert_library.h"
#include "evaluate/litert_model.h"
#include "litesmith/benchmark.h"
#include "litesmith/litesmith.h"
#include "tests/testing.h"
#include "tflite/tflite.h"

namespace litesmith {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

#define REQUIRE_LITERT()                              \
  REQUIRE_SHARED();                                   \
  if (std::getenv("LITERT_LIBRARY") == nullptr)       \
  GTEST_SKIP() << "skipped: LITERT_LIBRARY names no " \
                  "libLiteRt.so; nothing was compared with LiteRT"

std::vector<std::string> BenchModels() {
  std::vector<std::string> out;
  for (const char* network : {"mnist", "resnet8", "ds_cnn", "vww"}) {
    for (const char* mode : {"float32", "dynamic", "int8", "int16x8"}) {
      out.push_back(
          fmt::format("{}/models/bench/{}_{}.tflite", testing::SharedDir(), network, mode));
    }
  }
  return out;
}

// Every fifth of the golden operators, so that the whole takes a second.
// The library's mode "reference" computes with the optimised kernels (2.3.0), which depart from
// LiteRT's own specification in these operators; ours have the bits of the latter, which the golden
// files hold.
bool Departs(const std::string& path) {
  for (const char* name :
       {"/depthwise_3x3_stride2/int8", "/dyn_depthwise/int8", "/dyn_depthwise_batch3/int8",
        "/mean_hw_keep/int8", "/pad_then_conv/int8", "/sum/int8"}) {
    if (path.find(name) != std::string::npos) return true;
  }
  return false;
}

std::vector<std::string> OperatorModels() {
  std::vector<std::string> all;
  for (const auto& entry : fs::recursive_directory_iterator(testing::SharedDir() + "/golden/ops")) {
    if (entry.path().extension() == ".tflite") all.push_back(entry.path().string());
  }
  std::sort(all.begin(), all.end());
  return all;
}

void Fill(TensorType type, std::span<std::byte> out, Random* random) {
  if (type == schema::TensorType_FLOAT32) {
    for (size_t i = 0; i + 4 <= out.size(); i += 4) {
      const auto value = static_cast<float>(random->Uniform() * 2 - 1);
      std::memcpy(out.data() + i, &value, 4);
    }
  } else if (type == schema::TensorType_INT8 || type == schema::TensorType_UINT8 ||
             type == schema::TensorType_INT16) {
    for (std::byte& b : out) b = static_cast<std::byte>(random->Next() & 0xff);
  } else {
    std::fill(out.begin(), out.end(), std::byte{0});
  }
}

bool IsReal(TensorType type) { return type == schema::TensorType_FLOAT32; }

// Runs both on equal inputs. OK where LiteRT cannot run the file either; `compared` counts the
// others.
absl::Status Compare(const std::string& path, KernelMode kernels, float float_tolerance,
                     int* compared) {
  LS_ASSIGN_OR_RETURN(Graph read, ReadTflite(path, Context{}));
  const auto graph = std::make_shared<const Graph>(std::move(read));
  ExecutorOptions options;
  options.kernels = kernels;
  const auto executor = Executor::Create(graph, options);
  if (!executor.ok()) return absl::OkStatus();
  LitertModel::Request request;
  request.litert.kernels = LitertKernels::kReference;
  SetRequestShapes(**executor, &request);
  const auto litert = LitertModel::Create(path, *graph, request);
  if (!litert.ok()) return absl::OkStatus();
  Random random(7);
  for (size_t i = 0; i < (*executor)->num_inputs(); ++i) {
    const auto t = static_cast<size_t>(graph->main().inputs[i]);
    const std::span<std::byte> input = (*litert)->input(i);
    Fill(graph->main().tensors[t].type, input, &random);
    if (input.size() != (*executor)->input(i).size())
      return Invalid("input {} has another size", i);
    if (!input.empty()) std::memcpy((*executor)->input(i).data(), input.data(), input.size());
  }
  if (!(*litert)->Run().ok()) return absl::OkStatus();
  LS_RETURN_IF_ERROR((*executor)->Run());
  ++*compared;
  for (size_t o = 0; o < (*executor)->num_outputs(); ++o) {
    const Tensor& tensor = graph->main().tensors[static_cast<size_t>(graph->main().outputs[o])];
    const auto ours = (*executor)->output(o);
    const auto theirs = (*litert)->output(o);
    if ((*executor)->output_shape(o) != (*litert)->output_shape(o) ||
        ours.size() != theirs.size()) {
      return Invalid("output {} has another shape", o);
    }
    if (!IsReal(tensor.type)) {
      if (ours.empty() || std::memcmp(ours.data(), theirs.data(), ours.size()) == 0) continue;
      return Invalid("output {} has other bits", o);
    }
    LS_ASSIGN_OR_RETURN(const std::vector<float> a, LoadOutput(ours, tensor));
    LS_ASSIGN_OR_RETURN(const std::vector<float> b, LoadOutput(theirs, tensor));
    for (size_t i = 0; i < a.size(); ++i) {
      const float tolerance = float_tolerance * std::max(1.0f, std::abs(b[i]));
      if (!(std::abs(a[i] - b[i]) <= tolerance) && !(std::isnan(a[i]) && std::isnan(b[i]))) {
        return Invalid("output {}: {} instead of {} at {}", o, a[i], b[i], i);
      }
    }
  }
  return absl::OkStatus();
}

TEST(Litert, KernelsAgreeOnNetworks) {
  REQUIRE_LITERT();
  int compared = 0;
  for (const std::string& path : BenchModels()) {
    for (KernelMode kernels : {KernelMode::kReference, KernelMode::kBest}) {
      // Optimised kernels scale what is quantized at run time in another order.
      const float tolerance = path.ends_with("_dynamic.tflite") ? 2e-3f : 1e-5f;
      const absl::Status status = Compare(path, kernels, tolerance, &compared);
      EXPECT_TRUE(status.ok()) << path << ": " << status.ToString();
    }
  }
  EXPECT_EQ(compared, 32);
}

TEST(Litert, KernelsAgreeOnOperators) {
  REQUIRE_LITERT();
  const std::vector<std::string> models = OperatorModels();
  int compared = 0;
  for (const std::string& path : models) {
    if (Departs(path)) continue;
    const absl::Status status = Compare(path, KernelMode::kBest, 1e-4f, &compared);
    EXPECT_TRUE(status.ok()) << path << ": " << status.ToString();
  }
  EXPECT_GT(compared, static_cast<int>(models.size() * 9 / 10));
}

TEST(Litert, BesideInABenchmark) {
  REQUIRE_LITERT();
  BenchmarkRequest request;
  request.num_runs = 3;
  request.litert.emplace();
  request.litert->kernels = LitertKernels::kReference;
  ASSERT_OK_AND_ASSIGN(
      const Report report,
      BenchmarkFiles({testing::SharedDir() + "/models/bench/mnist_int8.tflite"}, request));
  const std::string json = ToJson(report);
  EXPECT_THAT(json, HasSubstr("\"runtime\": \"LiteRT"));
  EXPECT_THAT(json, HasSubstr("\"values\": 10"));
  EXPECT_THAT(json, HasSubstr("\"different\": 0"));
  EXPECT_THAT(ToText(report), HasSubstr("outputs that differ"));
}

TEST(Litert, SessionsRunBatches) {
  REQUIRE_LITERT();
  const std::string path = testing::SharedDir() + "/golden/mnist/mnist_model_quant_int8.tflite";
  ASSERT_OK_AND_ASSIGN(const Model model, Model::Load(path));
  RunRequest request;
  ASSERT_OK_AND_ASSIGN(Session ours, Session::Create(model, request));
  request.litert.emplace();
  request.litert->kernels = LitertKernels::kReference;
  ASSERT_OK_AND_ASSIGN(Session theirs, Session::Create(model, request));
  for (int64_t batch : {1, 3, 1}) {
    NamedArray input;
    input.array = Array::Zeros(ElementType::kInt8, {batch, 28, 28, 1});
    Random random(static_cast<uint64_t>(batch));
    Fill(schema::TensorType_INT8, input.array.bytes, &random);
    ASSERT_OK_AND_ASSIGN(const auto a, ours.Run({input}));
    ASSERT_OK_AND_ASSIGN(const auto b, theirs.Run({input}));
    ASSERT_EQ(a.size(), b.size());
    EXPECT_EQ(a[0].array.shape, b[0].array.shape);
    EXPECT_EQ(a[0].array.bytes, b[0].array.bytes);
  }
}

// What is wrong with a library is told before any model is read.
std::string WhyNot(const std::string& library) {
  const absl::Status status = CheckLitert({library, LitertKernels::kDelegate});
  EXPECT_FALSE(status.ok()) << library;
  return std::string(status.message().data(), status.message().size());
}

TEST(Litert, ErrorsSayWhatToDo) {
  const std::string folder = testing::TempDir();
  const std::string missing = folder + "/libLiteRt.so";
  EXPECT_THAT(WhyNot(missing), HasSubstr(missing + ": "));
  EXPECT_THAT(WhyNot(missing), HasSubstr("pip install ai-edge-litert"));
  const std::string text = folder + "/text.so";
  ASSERT_OK(WriteFileAtomically(text, "no library"));
  EXPECT_THAT(WhyNot(text), HasSubstr("--litert-library"));
  // Any other library will do.
  Dl_info loaded;
  ASSERT_NE(::dladdr(reinterpret_cast<void*>(&std::getenv), &loaded), 0);
  EXPECT_THAT(WhyNot(loaded.dli_fname), HasSubstr("is not LiteRT's library"));
}

}  // namespace
}  // namespace litesmith
