#include "import/keras/builder.h"

#include <algorithm>

namespace litesmith::keras {

GraphBuilder::GraphBuilder(uint64_t memory_budget) : memory_budget_(memory_budget) {
  graph_.subgraphs.emplace_back();
  graph_.main().name = "main";
}

std::string GraphBuilder::Unique(std::string_view name) {
  int& wanted = names_[std::string(name)];
  if (wanted++ == 0) return std::string(name);
  for (;; ++wanted) {
    std::string unique = fmt::format("{}_{}", name, wanted - 1);
    if (names_[unique]++ == 0) return unique;
  }
}

int32_t GraphBuilder::AddTensor(std::string name, TensorType type, Shape shape) {
  Tensor tensor;
  tensor.name = std::move(name);
  tensor.type = type;
  tensor.shape = shape;
  if (std::find(shape.begin(), shape.end(), -1) != shape.end()) {
    std::replace(tensor.shape.begin(), tensor.shape.end(), -1, 1);
    tensor.shape_signature = std::move(shape);
  }
  return graph_.main().AddTensor(std::move(tensor));
}

int32_t GraphBuilder::Input(std::string_view name, TensorType type, Shape shape) {
  const int32_t tensor = AddTensor(Unique(name), type, std::move(shape));
  graph_.main().inputs.push_back(tensor);
  return tensor;
}

absl::StatusOr<int32_t> GraphBuilder::Constant(std::string_view name, TensorType type, Shape shape,
                                               Blob data) {
  constant_bytes_ += data.bytes.size();
  if (constant_bytes_ > memory_budget_) {
    return absl::ResourceExhaustedError(
        fmt::format("the weights need more than the {} bytes of memory allowed", memory_budget_));
  }
  const int32_t tensor = AddTensor(Unique(name), type, std::move(shape));
  graph_.main().tensors[static_cast<size_t>(tensor)].data = std::move(data);
  return tensor;
}

absl::StatusOr<int32_t> GraphBuilder::Constant(std::string_view name, Shape shape,
                                               const std::vector<float>& values) {
  return Constant(name, schema::TensorType_FLOAT32, std::move(shape), Blob::Of(values));
}

int32_t GraphBuilder::Constant(std::string_view name, Shape shape,
                               const std::vector<int32_t>& values) {
  const int32_t tensor = AddTensor(Unique(name), schema::TensorType_INT32, std::move(shape));
  graph_.main().tensors[static_cast<size_t>(tensor)].data = Blob::Of(values);
  return tensor;
}

int32_t GraphBuilder::Scalar(std::string_view name, float value) {
  const int32_t tensor = AddTensor(Unique(name), schema::TensorType_FLOAT32, {});
  graph_.main().tensors[static_cast<size_t>(tensor)].data = Blob::Of(std::vector<float>{value});
  return tensor;
}

int32_t GraphBuilder::Intermediate(std::string_view layer, std::string_view what, Shape shape,
                                   TensorType type) {
  return AddTensor(Unique(fmt::format("{}/{}", layer, what)), type, std::move(shape));
}

int32_t GraphBuilder::AddNode(schema::BuiltinOperator op, Options options,
                              std::vector<int32_t> inputs, std::string_view layer,
                              std::string_view what, Shape shape, TensorType type) {
  Node node;
  node.op = op;
  node.options = std::move(options);
  node.inputs = std::move(inputs);
  node.outputs = {Intermediate(layer, what, std::move(shape), type)};
  node.name = layer;
  const int32_t output = node.outputs[0];
  graph_.main().nodes.push_back(std::move(node));
  return output;
}

Graph GraphBuilder::Finish(std::string_view model_name, const std::vector<std::string>& input_names,
                           const std::vector<int32_t>& outputs,
                           const std::vector<std::string>& output_names, std::string_view key) && {
  Subgraph& main = graph_.main();
  main.outputs = outputs;
  graph_.description = model_name;
  Signature signature;
  signature.key = key;
  for (size_t i = 0; i < main.inputs.size(); ++i) {
    signature.inputs.push_back({input_names[i], main.inputs[i]});
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    signature.outputs.push_back(
        {i < output_names.size() ? output_names[i] : fmt::format("output_{}", i), outputs[i]});
  }
  graph_.signatures.push_back(std::move(signature));
  return std::move(graph_);
}

int32_t KnownElements(const Shape& shape, size_t first) {
  int64_t product = 1;
  for (size_t i = first; i < shape.size(); ++i) {
    if (shape[i] < 0) return -1;
    product *= shape[i];
    if (product > INT32_MAX) return -1;
  }
  return static_cast<int32_t>(product);
}

}  // namespace litesmith::keras
