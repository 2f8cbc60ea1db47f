// The recorded one-operator models of the shared golden files: every mode whose operators all have
// a record runs in the executor and is compared with the recorded outputs.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "data/npy.h"
#include "nlohmann/json.hpp"
#include "runtime/executor.h"
#include "tests/testing.h"
#include "tflite/tflite.h"

namespace litesmith {
namespace {

struct Case {
  std::string name, mode;
};

std::vector<Case> GoldenCases(const std::string& folder) {
  std::ifstream file(folder + "/index.json");
  const nlohmann::json index = nlohmann::json::parse(file);
  std::vector<Case> cases;
  for (const auto& [name, modes] : index.items()) {
    for (const auto& [mode, state] : modes.items()) {
      if (state.get<std::string>().rfind("ok", 0) == 0) cases.push_back({name, mode});
    }
  }
  return cases;
}

// Operators of the graph that have no kernel here.
std::set<std::string> MissingOperators(const Graph& graph) {
  std::set<std::string> missing;
  for (const Subgraph& subgraph : graph.subgraphs) {
    for (const Node& node : subgraph.nodes) {
      const OpRecord* record = FindOp(node);
      if (record == nullptr || record->prepare == nullptr) missing.insert(OperatorName(node));
    }
  }
  return missing;
}

struct Tolerance {
  double relative = 1e-5, absolute = 1e-6;
  double of_largest = 0.0;  // times the largest magnitude of the output
  double least_sqnr = 0.0;  // dB; when set, the only demand
};

Tolerance ToleranceFor(KernelMode kernels, const std::string& mode) {
  if (kernels == KernelMode::kReference) return {};
  if (mode == "dynamic") return {0, 0, 0, 50.0};
  return {0, 0, 1e-4, 0.0};
}

// "" where the outputs agree, else what differs.
std::string CompareFloats(std::span<const float> ours, std::span<const float> theirs,
                          const Tolerance& t) {
  double largest = 0.0, signal = 0.0, noise = 0.0;
  for (size_t i = 0; i < theirs.size(); ++i) {
    largest = std::max(largest, std::abs(double{theirs[i]}));
    signal += double{theirs[i]} * theirs[i];
    const double error = double{ours[i]} - theirs[i];
    noise += error * error;
  }
  if (t.least_sqnr > 0.0) {
    const double sqnr = noise == 0.0 ? 1e3 : 10.0 * std::log10(signal / noise);
    return sqnr >= t.least_sqnr ? "" : fmt::format("SQNR {:.1f} dB", sqnr);
  }
  for (size_t i = 0; i < theirs.size(); ++i) {
    if (ours[i] == theirs[i] || (std::isnan(ours[i]) && std::isnan(theirs[i]))) continue;
    const double allowed =
        t.absolute + t.relative * std::abs(double{theirs[i]}) + t.of_largest * largest;
    const double error = std::abs(double{ours[i]} - theirs[i]);
    if (!(error <= allowed)) {
      return fmt::format("element {} is {}, recorded {}", i, ours[i], theirs[i]);
    }
  }
  return "";
}

std::string CompareOutput(std::span<const std::byte> ours, const Array& theirs,
                          const Tolerance& t) {
  if (ours.size() != theirs.bytes.size()) {
    return fmt::format("{} bytes, recorded {}", ours.size(), theirs.bytes.size());
  }
  if (theirs.type == ElementType::kFloat32) {
    return CompareFloats({reinterpret_cast<const float*>(ours.data()), ours.size() / sizeof(float)},
                         theirs.data<float>(), t);
  }
  size_t differing = 0, first = 0;
  for (size_t i = ours.size(); i-- > 0;) {
    if (ours[i] != theirs.bytes[i]) {
      ++differing;
      first = i;
    }
  }
  if (differing == 0) return "";
  const size_t size = ElementSize(theirs.type);
  return fmt::format("{} of {} bytes differ, first in element {}", differing, ours.size(),
                     first / size);
}

// Runs one recorded model; "" where all outputs agree.
std::string RunCase(std::shared_ptr<const Graph> graph, const std::string& base, KernelMode kernels,
                    int threads, const Tolerance& tolerance) {
  const Context context;
  ExecutorOptions options;
  options.kernels = kernels;
  options.num_threads = threads;
  std::vector<Array> inputs;
  for (size_t i = 0; i < graph->main().inputs.size(); ++i) {
    auto input = ReadNpy(fmt::format("{}.in{}.npy", base, i), context);
    if (!input.ok()) return input.status().ToString();
    Shape shape(input->shape.begin(), input->shape.end());
    options.input_shapes.push_back(std::move(shape));
    inputs.push_back(std::move(*input));
  }
  auto executor = Executor::Create(graph, options);
  if (!executor.ok()) return executor.status().ToString();
  for (size_t i = 0; i < inputs.size(); ++i) {
    if ((*executor)->input(i).size() != inputs[i].bytes.size()) return "the input has another size";
    std::copy(inputs[i].bytes.begin(), inputs[i].bytes.end(), (*executor)->input(i).begin());
  }
  if (absl::Status status = (*executor)->Run(); !status.ok()) return status.ToString();
  for (size_t i = 0; i < (*executor)->num_outputs(); ++i) {
    auto recorded = ReadNpy(fmt::format("{}.out{}.npy", base, i), context);
    if (!recorded.ok()) return recorded.status().ToString();
    const Shape shape(recorded->shape.begin(), recorded->shape.end());
    if ((*executor)->output_shape(i) != shape) {
      return fmt::format("output {} has the shape {}, recorded {}", i,
                         ShapeString((*executor)->output_shape(i)), ShapeString(shape));
    }
    std::string difference = CompareOutput((*executor)->output(i), *recorded, tolerance);
    if (!difference.empty()) return fmt::format("output {}: {}", i, difference);
  }
  return "";
}

TEST(GoldenOps, AllModesWithRecordsAgree) {
  REQUIRE_SHARED();
  const std::string folder = testing::SharedDir() + "/golden/ops";
  const std::vector<Case> cases = GoldenCases(folder);
  size_t compared = 0;
  std::map<std::string, int> lacking;
  const int threads = testing::ThreadCounts({2}).back();
  for (const Case& c : cases) {
    const std::string base = folder + "/" + c.name + "/" + c.mode;
    auto parsed = ReadTflite(base + ".tflite", Context());
    if (!parsed.ok()) {
      ADD_FAILURE() << parsed.status().ToString();
      continue;
    }
    auto graph = std::make_shared<const Graph>(*std::move(parsed));
    const std::set<std::string> missing = MissingOperators(*graph);
    for (const std::string& op : missing) ++lacking[op];
    if (!missing.empty()) continue;
    if (c.name == "sum" && c.mode == "int16x8") {
      // LiteRT's kernel writes half of the output and leaves the rest undefined: every run records
      // another.
      fmt::print("not compared: sum/int16x8, whose recording is undefined memory\n");
      continue;
    }
    ++compared;
    EXPECT_EQ(RunCase(graph, base, KernelMode::kReference, 1,
                      ToleranceFor(KernelMode::kReference, c.mode)),
              "")
        << c.name << "/" << c.mode << " with reference kernels";
    EXPECT_EQ(
        RunCase(graph, base, KernelMode::kBest, threads, ToleranceFor(KernelMode::kBest, c.mode)),
        "")
        << c.name << "/" << c.mode << " with the best kernels";
  }
  fmt::print("golden/ops: {} of {} recorded models compared\n", compared, cases.size());
  for (const auto& [op, count] : lacking) fmt::print("  no kernel for {}: {} models\n", op, count);
}

}  // namespace
}  // namespace litesmith
