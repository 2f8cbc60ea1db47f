#include <algorithm>
#include <utility>

#include "passes/passes.h"
#include "passes/rewrite.h"
#include "runtime/executor.h"

namespace litesmith {

absl::Status FixBatchSize(Graph* graph, int64_t batch_size) {
  if (batch_size < 1 || batch_size > INT32_MAX) {
    return Invalid("the batch size is {}; it must be at least 1", batch_size);
  }
  const auto batch = static_cast<int32_t>(batch_size);
  Subgraph& subgraph = graph->main();
  std::vector<Shape> shapes;
  bool all_known = true;
  for (size_t i = 0; i < subgraph.inputs.size(); ++i) {
    const Tensor& input = subgraph.tensors[static_cast<size_t>(subgraph.inputs[i])];
    Shape shape = KnownShape(input);
    if (shape.empty() || (shape[0] != -1 && shape[0] != batch)) {
      return Invalid("input '{}' has the shape {}: its first dimension is not free",
                     Printable(InputName(*graph, i)), ShapeString(shape));
    }
    shape[0] = batch;
    for (int32_t& d : shape) {
      all_known = all_known && d >= 0;
      d = std::max(d, 1);
    }
    shapes.push_back(std::move(shape));
  }
  LS_ASSIGN_OR_RETURN_IN(const InferredShapes inferred, InferAllShapes(*graph, shapes),
                         fmt::format("a batch of {}", batch));
  for (size_t t = 0; t < subgraph.tensors.size(); ++t) {
    Tensor& tensor = subgraph.tensors[t];
    if (tensor.is_constant() || !inferred.known[t]) continue;
    const Shape& shape = inferred.shapes[t];
    if (all_known || tensor.shape_signature.size() != shape.size()) {
      tensor.shape_signature.clear();
    } else if (!shape.empty() && tensor.shape_signature[0] == -1) {
      // Other dimensions of the inputs stay free.
      tensor.shape_signature[0] = shape[0];
    }
    tensor.shape = shape;
    if (std::count(tensor.shape_signature.begin(), tensor.shape_signature.end(), -1) == 0) {
      tensor.shape_signature.clear();
    }
  }
  return absl::OkStatus();
}

}  // namespace litesmith
