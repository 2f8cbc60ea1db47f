#include "tests/run_graph.h"

#include <cmath>
#include <cstring>

#include "base/file.h"
#include "base/random.h"
#include "data/npy.h"

namespace litesmith::testing {

absl::StatusOr<std::vector<Array>> RunGraph(const Graph& graph, const std::vector<Array>& inputs,
                                            KernelMode mode) {
  ExecutorOptions options;
  options.kernels = mode;
  for (const Array& input : inputs) {
    options.input_shapes.emplace_back(input.shape.begin(), input.shape.end());
  }
  LS_ASSIGN_OR_RETURN(const auto executor,
                      Executor::Create(std::make_shared<const Graph>(graph), options));
  if (executor->num_inputs() != inputs.size()) {
    return Invalid("{} inputs given, the graph has {}", inputs.size(), executor->num_inputs());
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto to = executor->input(i);
    if (to.size() != inputs[i].bytes.size()) return Invalid("input {} differs in size", i);
    if (!to.empty()) std::memcpy(to.data(), inputs[i].bytes.data(), to.size());
  }
  LS_RETURN_IF_ERROR(executor->Run());
  std::vector<Array> outputs;
  for (size_t i = 0; i < executor->num_outputs(); ++i) {
    const Shape& shape = executor->output_shape(i);
    const auto tensor = static_cast<size_t>(graph.main().outputs[i]);
    Array array;
    array.type = ToElementType(graph.main().tensors[tensor].type);
    array.shape.assign(shape.begin(), shape.end());
    array.bytes.assign(executor->output(i).begin(), executor->output(i).end());
    outputs.push_back(std::move(array));
  }
  return outputs;
}

absl::StatusOr<std::vector<Array>> ReadArrays(const std::string& prefix) {
  std::vector<Array> out;
  for (int i = 0;; ++i) {
    const std::string path = fmt::format("{}{}.npy", prefix, i);
    if (!FileExists(path)) return out;
    LS_ASSIGN_OR_RETURN(Array array, ReadNpy(path, Context()));
    out.push_back(std::move(array));
  }
}

absl::StatusOr<double> Disagreement(const std::vector<Array>& a, const std::vector<Array>& b,
                                    double relative, double absolute) {
  if (a.size() != b.size()) return Invalid("{} outputs, {} expected", a.size(), b.size());
  double worst = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].shape != b[i].shape || a[i].type != b[i].type) {
      return Invalid("output {} is {} {}, expected {} {}", i, ElementTypeName(a[i].type),
                     ShapeString(a[i].shape), ElementTypeName(b[i].type), ShapeString(b[i].shape));
    }
    const auto x = a[i].data<float>();
    const auto y = b[i].data<float>();
    for (size_t j = 0; j < x.size(); ++j) {
      const double d = std::abs(static_cast<double>(x[j]) - y[j]);
      if (!std::isfinite(d)) return Invalid("output {} holds a value that is no number", i);
      worst = std::max(worst, d / (absolute + relative * std::abs(static_cast<double>(y[j]))));
    }
  }
  return worst;
}

Array RandomArray(TensorType type, const Shape& shape, uint64_t seed) {
  Array array = Array::Zeros(ToElementType(type), std::vector<int64_t>(shape.begin(), shape.end()));
  Random random(seed);
  if (type == schema::TensorType_FLOAT32) {
    for (float& x : array.mutable_data<float>()) x = static_cast<float>(random.Uniform(-1, 1));
  } else if (type == schema::TensorType_INT32) {
    for (int32_t& x : array.mutable_data<int32_t>()) x = static_cast<int32_t>(random.Below(4));
  }
  return array;
}

absl::StatusOr<double> DisagreementOnNoise(const Graph& graph, const Graph& other, int count,
                                           double relative, double absolute) {
  double worst = 0.0;
  for (int i = 0; i < count; ++i) {
    std::vector<Array> inputs;
    for (int32_t input : graph.main().inputs) {
      const Tensor& tensor = graph.main().tensors[static_cast<size_t>(input)];
      inputs.push_back(
          RandomArray(tensor.type, tensor.shape, static_cast<uint64_t>(100 * i) + inputs.size()));
    }
    LS_ASSIGN_OR_RETURN(const auto a, RunGraph(graph, inputs));
    LS_ASSIGN_OR_RETURN(const auto b, RunGraph(other, inputs));
    LS_ASSIGN_OR_RETURN(const double d, Disagreement(a, b, relative, absolute));
    worst = std::max(worst, d);
  }
  return worst;
}

}  // namespace litesmith::testing
