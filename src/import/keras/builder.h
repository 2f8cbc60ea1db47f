#ifndef LITESMITH_IMPORT_KERAS_BUILDER_H_
#define LITESMITH_IMPORT_KERAS_BUILDER_H_

// Puts a Graph together, node by node, and knows the shape of every tensor with -1 for sizes that
// are not known before the model runs.

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/graph.h"

namespace litesmith::keras {

class GraphBuilder {
 public:
  explicit GraphBuilder(uint64_t memory_budget);

  // Graph inputs, in the order of the calls.
  int32_t Input(std::string_view name, TensorType type, Shape shape);

  // Constants. `name` is made unique.
  absl::StatusOr<int32_t> Constant(std::string_view name, Shape shape,
                                   const std::vector<float>& values);
  int32_t Constant(std::string_view name, Shape shape, const std::vector<int32_t>& values);
  int32_t Scalar(std::string_view name, float value);
  // Of any type. REQUIRES: the content has the bytes that type and shape ask for.
  absl::StatusOr<int32_t> Constant(std::string_view name, TensorType type, Shape shape, Blob data);

  // A node with one output tensor, of that shape (may hold -1). `layer` is the node's provenance,
  // the tensor is called "layer/what".
  template <typename T>
  int32_t Add(schema::BuiltinOperator op, T options, std::vector<int32_t> inputs,
              std::string_view layer, std::string_view what, Shape shape,
              TensorType type = schema::TensorType_FLOAT32) {
    return AddNode(op, Options(std::move(options)), std::move(inputs), layer, what,
                   std::move(shape), type);
  }
  int32_t Add(schema::BuiltinOperator op, std::vector<int32_t> inputs, std::string_view layer,
              std::string_view what, Shape shape, TensorType type = schema::TensorType_FLOAT32) {
    return AddNode(op, Options(), std::move(inputs), layer, what, std::move(shape), type);
  }

  int32_t AddNode(schema::BuiltinOperator op, Options options, std::vector<int32_t> inputs,
                  std::string_view layer, std::string_view what, Shape shape, TensorType type);

  // A tensor of its own for a node with several outputs.
  int32_t Intermediate(std::string_view layer, std::string_view what, Shape shape, TensorType type);
  Subgraph& subgraph() { return graph_.main(); }
  const Graph& graph() const { return graph_; }

  Shape shape(int32_t tensor) const {
    const Tensor& t = graph_.main().tensors[static_cast<size_t>(tensor)];
    return t.shape_signature.empty() ? t.shape : t.shape_signature;
  }
  TensorType type(int32_t tensor) const {
    return graph_.main().tensors[static_cast<size_t>(tensor)].type;
  }

  // Closes the graph: outputs and the signature `key`. Outputs without names are called
  // as the official converter calls them, output_0, output_1 …
  Graph Finish(std::string_view model_name, const std::vector<std::string>& input_names,
               const std::vector<int32_t>& outputs, const std::vector<std::string>& output_names,
               std::string_view key = "serving_default") &&;

 private:
  std::string Unique(std::string_view name);
  int32_t AddTensor(std::string name, TensorType type, Shape shape);

  Graph graph_;
  uint64_t memory_budget_;
  uint64_t constant_bytes_ = 0;
  std::map<std::string, int, std::less<>> names_;  // and how often each was wanted
};

// The product of `shape` from dimension `first` on, -1 when one of them is not known or it is too
// large.
int32_t KnownElements(const Shape& shape, size_t first);

}  // namespace litesmith::keras

#endif  // LITESMITH_IMPORT_KERAS_BUILDER_H_
