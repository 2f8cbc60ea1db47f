// NON_MAX_SUPPRESSION_V4 and V5.

#include <cstring>

#include "kernels/reference/suppression.h"
#include "ops/movement.h"

namespace litesmith {
namespace {

using schema::TensorType_FLOAT32;
using schema::TensorType_INT32;

bool IsSoft(const Node& node) { return node.op == schema::BuiltinOperator_NON_MAX_SUPPRESSION_V5; }

absl::Status SuppressionShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  const size_t inputs = IsSoft(args.node) ? 6 : 5;
  LS_RETURN_IF_ERROR(CheckOperands(args, inputs, inputs, IsSoft(args.node) ? 3 : 2));
  const Shape &boxes = args.in(0).shape, &scores = args.in(1).shape;
  if (boxes.size() != 2 || boxes[1] != 4 || scores != Shape{boxes[0]}) {
    return Invalid("boxes of shape {} and scores of shape {} do not fit", ShapeString(boxes),
                   ShapeString(scores));
  }
  for (size_t i = 3; i < inputs; ++i) {
    if (args.in(i).elements() != 1) return Invalid("input {} is not a single value", i);
  }
  LS_ASSIGN_OR_RETURN(const int64_t most, IntegerScalarInput(args, 2));
  LS_ASSIGN_OR_RETURN(const int32_t size, CheckedDimension(most));
  *outputs = {{size}};
  if (IsSoft(args.node)) outputs->push_back({size});
  outputs->push_back({});
  return absl::OkStatus();
}

absl::StatusOr<Kernel> PrepareSuppression(const PrepareArgs& args) {
  const bool soft = IsSoft(args.node);
  for (size_t i = 0; i < args.inputs.size(); ++i) {
    if (args.in(i).type != (i == 2 ? TensorType_INT32 : TensorType_FLOAT32)) return NoKernel(args);
  }
  for (size_t i = 0; i < args.outputs.size(); ++i) {
    const TensorType wanted = soft && i == 1 ? TensorType_FLOAT32 : TensorType_INT32;
    if (args.out(i).type != wanted) return NoKernel(args);
  }
  const int32_t boxes = args.in(0).shape[0];
  const int32_t most = args.out(0).shape[0];
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.scratch_bytes = static_cast<size_t>(boxes) * sizeof(reference::SuppressionCandidate);
  kernel.run = [soft, boxes, most](const RunArgs& run) -> absl::Status {
    reference::Suppression params{boxes, most, *run.in<float>(3), *run.in<float>(4), 0.0f};
    if (soft) params.sigma = *run.in<float>(5);
    if (!(params.sigma >= 0.0f)) return Invalid("sigma is {}", params.sigma);
    auto* heap = reinterpret_cast<reference::SuppressionCandidate*>(run.scratch);
    auto* selected = run.out<int32_t>(0);
    float* scores = soft ? run.out<float>(1) : nullptr;
    const int32_t count =
        reference::Suppress(params, run.in<float>(0), run.in<float>(1), heap, selected, scores);
    for (int32_t i = count; i < most; ++i) {
      selected[i] = 0;
      if (soft) scores[i] = 0.0f;
    }
    *run.out<int32_t>(soft ? 2 : 1) = count;
    return absl::OkStatus();
  };
  return kernel;
}

int VersionOne(const VersionArgs&) { return 1; }

OpRecord MakeRecord(schema::BuiltinOperator op, const char* tf, const char* onnx) {
  OpRecord record;
  record.op = op;
  record.names = {"", tf, onnx};
  record.infer_shapes = SuppressionShape;
  record.prepare = PrepareSuppression;
  record.version = VersionOne;
  return record;
}

}  // namespace

const OpRecord& NonMaxSuppressionV4Op() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_NON_MAX_SUPPRESSION_V4, "NonMaxSuppressionV4", "");
  return record;
}

const OpRecord& NonMaxSuppressionV5Op() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_NON_MAX_SUPPRESSION_V5, "NonMaxSuppressionV5", "");
  return record;
}

}  // namespace litesmith
