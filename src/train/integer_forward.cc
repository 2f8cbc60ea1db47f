#include "train/integer_forward.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/elementwise_rows.h"
#include "quantize/forms.h"
#include "runtime/executor.h"

namespace litesmith {
namespace {

// Where the integer model holds what a tensor of the training graph stands for.
struct Place {
  int32_t index = -1;  // -1: nowhere, it is computed in floats
  TensorType type = schema::TensorType_INT8;
  float scale = 1.0f;
  int32_t zero = 0;
};
using Places = std::vector<Place>;  // per tensor of the training graph

class IntegerValues final : public GivenValues {
 public:
  IntegerValues(std::unique_ptr<Executor> executor, std::shared_ptr<const Places> places)
      : executor_(std::move(executor)), places_(std::move(places)) {
    for (const Tensor& tensor : executor_->graph().main().tensors) {
      stateful_ = stateful_ || tensor.is_variable;
    }
  }

  absl::StatusOr<std::unique_ptr<GivenValues>> Clone() const override {
    LS_ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor, executor_->Clone());
    return std::make_unique<IntegerValues>(std::move(executor), places_);
  }

  bool Has(int32_t tensor) const override { return place(tensor).index >= 0; }

  absl::Status Run(std::span<const std::span<const float>> inputs) override {
    for (size_t i = 0; i < inputs.size(); ++i) {
      const std::span<std::byte> to = executor_->input(i);
      if (to.size() != inputs[i].size_bytes()) return Internal("input {} differs in size", i);
      std::memcpy(to.data(), inputs[i].data(), to.size());
    }
    if (stateful_) executor_->ResetVariables();
    return executor_->Run();
  }

  void Give(int32_t tensor, std::span<float> values, float* scale) const override {
    const Place& from = place(tensor);
    const void* data = executor_->tensor(from.index).data();
    if (from.type == schema::TensorType_INT16) {
      DequantizeRow(static_cast<const int16_t*>(data), values.size(), from.scale, from.zero,
                    values.data());
    } else {
      DequantizeRow(static_cast<const int8_t*>(data), values.size(), from.scale, from.zero,
                    values.data());
    }
    if (scale != nullptr) *scale = from.scale;
  }

 private:
  const Place& place(int32_t tensor) const { return (*places_)[static_cast<size_t>(tensor)]; }

  std::unique_ptr<Executor> executor_;
  std::shared_ptr<const Places> places_;
  bool stateful_ = false;
};

class IntegerForward final : public ForwardModel {
 public:
  IntegerForward(const QatModel& model, const Context& context)
      : model_(model), memory_budget_(context.memory_budget) {}

  absl::Status Update(const Parameters& parameters, std::span<const float> values) override {
    if (trained_.subgraphs.empty()) trained_ = model_.training().graph;
    WriteParameters(parameters, values, &trained_);
    LS_ASSIGN_OR_RETURN(QatModel::Planned planned, model_.PlanFor(trained_, Context{}));
    // The training graph's inputs and outputs are floats.
    planned.plan.input_type = planned.plan.output_type = ElementType::kFloat32;
    LS_ASSIGN_OR_RETURN(AppliedPlan applied, ApplyPlanTraced(planned.graph, planned.plan));
    places_ = FindPlaces(planned.plan, applied);
    integer_ = std::move(applied.graph);
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<GivenValues>> Open(
      const std::vector<Shape>& input_shapes) const override {
    auto graph = std::make_shared<Graph>(integer_);
    FreeBatch(input_shapes, graph.get());
    ExecutorOptions options;
    options.input_shapes = input_shapes;
    options.keep_all = true;
    options.memory_budget = memory_budget_;
    LS_ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                        Executor::Create(std::move(graph), options));
    return std::make_unique<IntegerValues>(std::move(executor), places_);
  }

 private:
  std::shared_ptr<const Places> FindPlaces(const Plan& plan, const AppliedPlan& applied) const {
    auto out = std::make_shared<Places>(model_.training().graph.main().tensors.size());
    for (const FakeQuantPlace& place : model_.training().places) {
      const QuantParams& quant = plan.tensors[static_cast<size_t>(place.owner)].quant;
      const Form form{place.type, quant};
      for (const TensorVersion& version : applied.versions[static_cast<size_t>(place.tensor)]) {
        if (!(version.form == form)) continue;
        (*out)[static_cast<size_t>(place.made)] = {version.index, place.type, quant.scale[0],
                                                   static_cast<int32_t>(quant.zero_point[0])};
      }
    }
    return out;
  }

  const QatModel& model_;
  uint64_t memory_budget_;
  Graph trained_;  // the training graph with the latest values
  Graph integer_;
  std::shared_ptr<const Places> places_;
};

}  // namespace

std::unique_ptr<ForwardModel> MakeIntegerForward(const QatModel& model, const Context& context) {
  return std::make_unique<IntegerForward>(model, context);
}

}  // namespace litesmith
