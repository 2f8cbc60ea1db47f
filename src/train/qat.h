#ifndef LITESMITH_TRAIN_QAT_H_
#define LITESMITH_TRAIN_QAT_H_

// Quantization-aware training: the float model is calibrated and a plan is made as for
// post-training quantization; a training graph holds what the planned integer model computes, in
// floats that stand for its integers; Train changes that graph's weights and ranges; the plan is
// made again with these and applied:
//
//   LS_ASSIGN_OR_RETURN(auto qat, QatModel::Create(model, data, options, context));
//   train_options.hooks.push_back(qat->hook());
//   train_options.forward = qat->forward();
//   LS_RETURN_IF_ERROR(Train(qat->graph(), data, train_options, context, on_epoch));
//   LS_ASSIGN_OR_RETURN(Graph integer, qat->Export(context));

#include <memory>
#include <vector>

#include "base/status.h"
#include "data/dataset.h"
#include "ir/graph.h"
#include "litesmith/context.h"
#include "quantize/quantize.h"
#include "train/hook.h"
#include "train/tape.h"

namespace litesmith {

enum class QatRanges {
  // The scales of activations and weights are trained with everything else (learnt step size,
  // arXiv:1902.08153): as logarithms, so that the optimizer's steps are relative to them.
  kLearnt,
  // Activations: moving averages of each batch's least and greatest values, from the calibrated
  // ones on, frozen after `freeze_at` of the training. Weights: of their values at every step.
  kAveraged,
};

struct QatOptions {
  QuantizeOptions quantize;  // a static recipe
  QatRanges ranges = QatRanges::kLearnt;
  float momentum = 0.99f;   // kAveraged: the old range's part
  double freeze_at = 0.75;  // kAveraged: share of the steps
};

// What a tensor's integers of one training graph stand for: tensors that a plan gives the same
// scale by rule have one entry.
struct FakeQuantGroup {
  QuantParams quant;             // as planned at first
  std::vector<int32_t> tensors;  // of the prepared graph
  bool fixed = false;            // by the operator, a constant, or an input, whose data stays
  int32_t learnt = -1;           // tensor of the training graph; -1: fixed
};
struct FakeQuantWeight {
  int32_t tensor = 0;         // of both graphs
  int32_t learnt = -1;        // tensor of the training graph; -1: scales come from the values
  std::vector<float> scales;  // that `learnt` multiplies
};
// A tensor of the training graph that stands for integers: those of the prepared graph's tensor,
// in this type, with the scale that is planned for `owner`.
struct FakeQuantPlace {
  int32_t made = -1;
  int32_t tensor = -1, owner = -1;
  TensorType type = schema::TensorType_INT8;
};
struct FakeQuantGraph {
  Graph graph;  // tensors of the prepared graph keep their numbers
  std::vector<FakeQuantPlace> places;
  std::vector<FakeQuantGroup> groups;
  std::vector<FakeQuantWeight> weights;
};

// The range that makes this scale and zero point of an activation.
Ranges::Range RangeOf(RecipeKind kind, float scale, int64_t zero);

// `graph`, for which `plan` was made, with FakeQuantize (ops/fake_quantize.h) wherever the plan
// quantizes: after the fused activation of the node that makes a tensor, before a node that reads
// it otherwise, on weights, and on int32 biases in units of the operands' scales. A result with
// fixed parameters that only leaves the graph stays float: losses read what comes before it. With
// learnt ranges a RELU is left out where storing cuts at 0 just so, and what only a maximum pooling
// reads is stored behind that.
absl::StatusOr<FakeQuantGraph> MakeFakeQuantGraph(const Graph& graph, const Plan& plan,
                                                  QatRanges ranges);

// An error for recipes without static activations.
absl::Status CheckQatRecipe(const Recipe& recipe);

class QatModel {
 public:
  // Prepares `graph`, calibrates on `data` and plans. Errors are those of post-training
  // quantization.
  static absl::StatusOr<std::unique_ptr<QatModel>> Create(const Graph& graph, Dataset* data,
                                                          const QatOptions& options,
                                                          const Context& context);

  // To be trained, with hook() among the hooks, and forward(): what its forward passes compute are
  // then the integers of the model that Export would make at that moment. Without it they are
  // what the same quantization gives in floats, a rounding off here and there. Gradients are formed
  // on the floats in both cases, straight through.
  Graph* graph() { return &training_.graph; }
  TrainHook* hook() { return hook_.get(); }
  ForwardModel* forward() { return forward_.get(); }
  const Plan& plan() const { return plan_; }  // as calibrated

  // The integer model of what graph() now holds.
  absl::StatusOr<Graph> Export(const Context& context) const;

  // The prepared graph and its plan with the weights and ranges of `trained`, a training graph.
  struct Planned {
    Graph graph;
    Plan plan;
  };
  absl::StatusOr<Planned> PlanFor(const Graph& trained, const Context& context) const;
  const FakeQuantGraph& training() const { return training_; }

 private:
  QatOptions options_;
  Graph prepared_;
  Ranges ranges_;
  Plan plan_;
  FakeQuantGraph training_;
  std::unique_ptr<TrainHook> hook_;
  std::unique_ptr<ForwardModel> forward_;
};

}  // namespace litesmith

#endif  // LITESMITH_TRAIN_QAT_H_
