#ifndef LITESMITH_TESTS_GRAPH_BUILDER_H_
#define LITESMITH_TESTS_GRAPH_BUILDER_H_

// Small graphs for tests, node by node.

#include <string>
#include <utility>
#include <vector>

#include "ir/graph.h"

namespace litesmith::testing {

class GraphBuilder {
 public:
  GraphBuilder() {
    graph_.subgraphs.resize(1);
    graph_.main().name = "main";
  }

  int32_t Value(const std::string& name, Shape shape,
                TensorType type = schema::TensorType_FLOAT32) {
    Tensor tensor;
    tensor.name = name;
    tensor.type = type;
    tensor.shape_signature = shape;
    for (int32_t& d : shape) d = d < 0 ? 1 : d;
    tensor.shape = std::move(shape);
    return graph_.main().AddTensor(std::move(tensor));
  }
  int32_t Input(const std::string& name, Shape shape,
                TensorType type = schema::TensorType_FLOAT32) {
    const int32_t t = Value(name, std::move(shape), type);
    graph_.main().inputs.push_back(t);
    return t;
  }
  int32_t Floats(const std::string& name, Shape shape, const std::vector<float>& values) {
    const int32_t t = Value(name, std::move(shape));
    graph_.main().tensors[static_cast<size_t>(t)].data = Blob::Of(values);
    return t;
  }
  int32_t Ints(const std::string& name, Shape shape, const std::vector<int32_t>& values) {
    const int32_t t = Value(name, std::move(shape), schema::TensorType_INT32);
    graph_.main().tensors[static_cast<size_t>(t)].data = Blob::Of(values);
    return t;
  }
  // A float constant with the values first, first + step …: enough to tell elements apart.
  int32_t Ramp(const std::string& name, Shape shape, float first, float step) {
    std::vector<float> values(static_cast<size_t>(NumElements(shape)));
    for (size_t i = 0; i < values.size(); ++i) values[i] = first + step * static_cast<float>(i);
    return Floats(name, std::move(shape), values);
  }

  // Adds a node making one new tensor of this shape; the node and the tensor have this name.
  int32_t Op(schema::BuiltinOperator op, const std::string& name, std::vector<int32_t> inputs,
             Shape shape, Options options = {}, TensorType type = schema::TensorType_FLOAT32) {
    Node node;
    node.op = op;
    node.name = name;
    node.inputs = std::move(inputs);
    node.outputs = {Value(name, std::move(shape), type)};
    node.options = std::move(options);
    graph_.main().nodes.push_back(node);
    return node.outputs[0];
  }
  void Output(int32_t t) { graph_.main().outputs.push_back(t); }

  Graph& graph() { return graph_; }

 private:
  Graph graph_;
};

}  // namespace litesmith::testing

#endif  // LITESMITH_TESTS_GRAPH_BUILDER_H_
