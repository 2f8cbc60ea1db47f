#include <algorithm>
#include <cmath>
#include <memory>

#include "deploy/tflm.h"
#include "ops/target.h"
#include "runtime/program.h"

namespace litesmith {
namespace {

// "CONV_2D 'a' (node 3): why; …", the first twenty.
class Complaints {
 public:
  void Add(const Subgraph& subgraph, size_t node, std::string_view why) {
    constexpr int kListed = 20;
    if (++count_ <= kListed) {
      list_ += fmt::format("{}{}{}{}", count_ == 1 ? "" : "; ", NodeLabel(subgraph, node),
                           why.empty() ? "" : ": ", why);
    } else if (count_ == kListed + 1) {
      list_ += "; …";
    }
  }
  int count() const { return count_; }
  const std::string& list() const { return list_; }

 private:
  int count_ = 0;
  std::string list_;
};

bool ComputesInFloat(const Subgraph& subgraph, const Node& node) {
  if (node.op == schema::BuiltinOperator_DEQUANTIZE) return false;
  return std::any_of(node.outputs.begin(), node.outputs.end(), [&](int32_t t) {
    return t >= 0 && subgraph.tensors[static_cast<size_t>(t)].type == schema::TensorType_FLOAT32;
  });
}

absl::Status CheckOperators(const Graph& graph, bool allow_float) {
  Complaints missing, floats;
  for (const Subgraph& subgraph : graph.subgraphs) {
    for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
      const Node& node = subgraph.nodes[n];
      std::string why = TargetObstacle(subgraph, node, Target::kTflm);
      if (why.empty() && FindTflmKernel(node) == nullptr) why = "tflm has no such operator";
      if (!why.empty()) missing.Add(subgraph, n, why);
      if (ComputesInFloat(subgraph, node)) floats.Add(subgraph, n, "");
    }
  }
  if (missing.count() > 0) {
    return Unsupported("tflite-micro cannot run {}: {}; quantize with --target tflm",
                       missing.count() == 1 ? "one node" : fmt::format("{} nodes", missing.count()),
                       missing.list());
  }
  if (floats.count() > 0 && !allow_float) {
    return Invalid(
        "{} of {} operators compute in float: {}; quantize the model first, or allow it with "
        "--allow-float",
        floats.count(), graph.main().nodes.size(), floats.list());
  }
  return absl::OkStatus();
}

// tflite-micro takes the shapes that the file says; they must be those of a run.
absl::Status CheckShapes(const Graph& graph) {
  ExecutorOptions options;
  options.kernels = KernelMode::kReference;  // nothing is packed, because nothing is run
  options.arithmetic = Arithmetic::kTflm;
  LS_ASSIGN_OR_RETURN(const std::shared_ptr<const Program> program,
                      BuildProgram(std::make_shared<const Graph>(graph), options));
  const Subgraph& main = graph.main();
  const auto text = [](const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ",")); };
  for (size_t n = 0; n < main.nodes.size(); ++n) {
    for (int32_t output : main.nodes[n].outputs) {
      if (output < 0) continue;
      const auto t = static_cast<size_t>(output);
      const TensorState& state = program->tensors[t];
      if (!state.shape_known) {
        return Unsupported(
            "the shape of what {} makes depends on the values; tflite-micro has no dynamic shapes",
            NodeLabel(main, n));
      }
      if (state.shape != main.tensors[t].shape) {
        return Unsupported(
            "{} makes {}, the file says {}; tflite-micro has no dynamic shapes: write the file "
            "anew with convert or quantize, with --batch-size where the batch is open",
            NodeLabel(main, n), text(state.shape), text(main.tensors[t].shape));
      }
    }
  }
  return absl::OkStatus();
}

// What is written into the code as numbers.
absl::Status CheckEnds(const Subgraph& main, const std::vector<int32_t>& ends) {
  for (int32_t index : ends) {
    const Tensor& tensor = main.tensors[static_cast<size_t>(index)];
    if (NumElements(tensor.shape) == 0) {
      return Invalid("the input or output '{}' is empty", Printable(tensor.label()));
    }
    if (tensor.quant.scale.size() != 1) continue;
    const float scale = tensor.quant.scale[0];
    const int64_t zero = tensor.quant.zero_point.empty() ? 0 : tensor.quant.zero_point[0];
    if (!std::isfinite(scale) || scale < 0.0f || zero != static_cast<int32_t>(zero)) {
      return Invalid("the input or output '{}' has the scale {} and the zero point {}",
                     Printable(tensor.label()), scale, zero);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckTflm(const Graph& graph, bool allow_float) {
  const Subgraph& main = graph.main();
  if (main.nodes.empty() || main.inputs.empty() || main.outputs.empty()) {
    return Invalid("the model needs operators, an input and an output to be deployed");
  }
  LS_RETURN_IF_ERROR(CheckOperators(graph, allow_float));
  LS_RETURN_IF_ERROR(CheckEnds(main, main.inputs));
  LS_RETURN_IF_ERROR(CheckEnds(main, main.outputs));
  return CheckShapes(graph);
}

std::vector<std::string> TflmWarnings(const Graph& graph) {
  constexpr int32_t kMostClasses = 511;
  std::vector<std::string> out;
  for (const Subgraph& subgraph : graph.subgraphs) {
    for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
      const Node& node = subgraph.nodes[n];
      if (node.op != schema::BuiltinOperator_SOFTMAX || node.input(0) < 0) continue;
      const Tensor& in = subgraph.tensors[static_cast<size_t>(node.inputs[0])];
      if (in.type != schema::TensorType_INT8 || in.shape.empty() ||
          in.shape.back() <= kMostClasses) {
        continue;
      }
      out.push_back(fmt::format(
          "{} has {} classes: tflite-micro stops the program there when more than {} of them are "
          "nearly equal, as an untrained network makes them",
          NodeLabel(subgraph, n), in.shape.back(), kMostClasses));
    }
  }
  return out;
}

}  // namespace litesmith
