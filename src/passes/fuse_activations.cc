#include "passes/passes.h"
#include "passes/rewrite.h"

namespace litesmith {
namespace {

// The fused form of an activation operator; NONE for every other operator.
schema::ActivationFunctionType AsActivation(schema::BuiltinOperator op) {
  switch (op) {
    case schema::BuiltinOperator_RELU:
      return schema::ActivationFunctionType_RELU;
    case schema::BuiltinOperator_RELU6:
      return schema::ActivationFunctionType_RELU6;
    case schema::BuiltinOperator_RELU_N1_TO_1:
      return schema::ActivationFunctionType_RELU_N1_TO_1;
    default:
      return schema::ActivationFunctionType_NONE;
  }
}

void FuseOne(Rewriter& rewriter, int32_t n) {
  const Node& node = rewriter.node(n);
  const schema::ActivationFunctionType activation = AsActivation(node.op);
  if (activation == schema::ActivationFunctionType_NONE) return;
  if (node.inputs.size() != 1 || node.outputs.size() != 1 || node.outputs[0] < 0) return;
  const int32_t before = rewriter.PrivateProducer(node.inputs[0]);
  if (before < 0 || rewriter.node(before).outputs.size() != 1) return;
  if (FusedActivation(rewriter.node(before)) != schema::ActivationFunctionType_NONE) return;
  const Tensor& from = rewriter.tensor(node.inputs[0]);
  const int32_t output = node.outputs[0];
  if (from.type != schema::TensorType_FLOAT32 || from.type != rewriter.tensor(output).type) return;
  SetFusedActivation(&rewriter.node(before), activation);
  rewriter.Kill(n);
  rewriter.SetOutput(before, output);
}

}  // namespace

absl::StatusOr<bool> FuseActivations(Graph* graph) { return RewriteNodes(graph, FuseOne); }

}  // namespace litesmith
