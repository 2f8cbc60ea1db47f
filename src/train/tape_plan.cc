#include <algorithm>
#include <functional>
#include <numeric>

#include "ops/batch_normalize.h"
#include "ops/fake_quantize.h"
#include "runtime/arena.h"
#include "train/tape.h"

namespace litesmith {
namespace {

bool IsFloat(const Subgraph& subgraph, int32_t tensor) {
  return tensor >= 0 &&
         subgraph.tensors[static_cast<size_t>(tensor)].type == schema::TensorType_FLOAT32;
}

// The graph with its parameters as further inputs, so that the kernels read them at run time.
std::shared_ptr<const Graph> WithParameterInputs(const Graph& graph, const Parameters& parameters,
                                                 const std::vector<Shape>& input_shapes) {
  auto copy = std::make_shared<Graph>(graph);
  FreeBatch(input_shapes, copy.get());
  for (const Parameter& p : parameters.items) {
    Tensor& tensor = copy->main().tensors[static_cast<size_t>(p.tensor)];
    tensor.data = {};
    tensor.shape_signature.clear();
    copy->main().inputs.push_back(p.tensor);
  }
  return copy;
}

// Whether the gradient of the node reads the values of input i (or of output 0, for -1): what need
// not be kept until then.
bool GradientReads(const Node& node, int i) {
  switch (node.op) {
    case schema::BuiltinOperator_ADD:
      return i < 0 && node.GetOptions<schema::AddOptionsT>().fused_activation_function !=
                          schema::ActivationFunctionType_NONE;
    case schema::BuiltinOperator_CONV_2D:
      return i >= 0 || node.GetOptions<schema::Conv2DOptionsT>().fused_activation_function !=
                           schema::ActivationFunctionType_NONE;
    case schema::BuiltinOperator_RESHAPE:
      return false;
    case schema::BuiltinOperator_CUSTOM:
      return i >= 0 ||
             (node.custom_code != kBatchNormalizeCode && node.custom_code != kFakeQuantizeCode);
    default:
      return true;
  }
}

// Whether the gradient of the node can be formed element by element in place of its result's, for
// input i. `shapes` are all tensors'.
bool GradientStays(const Node& node, size_t i, const std::vector<TensorState>& shapes) {
  const auto like_output = [&](size_t k) {
    return shapes[static_cast<size_t>(node.inputs[k])].shape ==
           shapes[static_cast<size_t>(node.outputs[0])].shape;
  };
  switch (node.op) {
    case schema::BuiltinOperator_ADD:
      return like_output(0) && like_output(1);
    case schema::BuiltinOperator_SUB:
      return i == 0 && like_output(0) && like_output(1);
    case schema::BuiltinOperator_RESHAPE:
      return i == 0;
    case schema::BuiltinOperator_CUSTOM:
      return i == 0 && like_output(0) &&
             (node.custom_code == kBatchNormalizeCode || node.custom_code == kFakeQuantizeCode);
    default:
      return false;
  }
}

}  // namespace

// Fills a Tape.
class TapePlanner {
 public:
  TapePlanner(Tape* tape, int32_t target)
      : tape_(*tape), subgraph_(tape->program_->subgraph()), target_(target) {}

  absl::Status Plan() {
    const size_t count = subgraph_.tensors.size();
    tape_.parameter_of_.assign(count, -1);
    for (const Parameter& p : tape_.parameters_.items) {
      tape_.parameter_of_[static_cast<size_t>(p.tensor)] = static_cast<int64_t>(p.offset);
    }
    FindForward();
    LS_RETURN_IF_ERROR(FindBackward());
    tape_.value_at_.assign(count, -1);
    tape_.gradient_at_.assign(count, -1);
    return PlaceAll();
  }

 private:
  // Steps whose results the target needs.
  void FindForward() {
    needed_.assign(subgraph_.tensors.size(), false);
    needed_[static_cast<size_t>(target_)] = true;
    const std::vector<Step>& steps = tape_.program_->steps;
    for (size_t s = steps.size(); s-- > 0;) {
      const Node& node = subgraph_.nodes[steps[s].node];
      const bool used = std::any_of(node.outputs.begin(), node.outputs.end(), [&](int32_t t) {
        return t >= 0 && needed_[static_cast<size_t>(t)];
      });
      if (!used) continue;
      for (int32_t t : node.inputs) {
        if (t >= 0) needed_[static_cast<size_t>(t)] = true;
      }
      tape_.forward_.push_back(s);
    }
    std::reverse(tape_.forward_.begin(), tape_.forward_.end());
  }

  absl::Status FindBackward() {
    moved_.assign(subgraph_.tensors.size(), false);  // changes with some parameter
    for (size_t t = 0; t < moved_.size(); ++t) moved_[t] = tape_.parameter_of_[t] >= 0;
    std::vector<size_t> on_way;
    for (size_t s : tape_.forward_) {
      const Node& node = subgraph_.nodes[tape_.program_->steps[s].node];
      const bool moves = std::any_of(node.inputs.begin(), node.inputs.end(), [&](int32_t t) {
        return IsFloat(subgraph_, t) && moved_[static_cast<size_t>(t)];
      });
      if (!moves) continue;
      on_way.push_back(tape_.program_->steps[s].node);
      for (int32_t t : node.outputs) {
        if (IsFloat(subgraph_, t)) moved_[static_cast<size_t>(t)] = true;
      }
    }
    if (!moved_[static_cast<size_t>(target_)]) {
      return Invalid("nothing to train: no float weight or bias leads to the loss");
    }
    LS_RETURN_IF_ERROR(CheckGradients(on_way));
    written_.assign(subgraph_.tensors.size(), false);
    written_[static_cast<size_t>(target_)] = true;
    for (size_t i = on_way.size(); i-- > 0;) AddBackward(on_way[i]);
    return absl::OkStatus();
  }

  absl::Status CheckGradients(const std::vector<size_t>& on_way) const {
    std::string missing;
    size_t last = 0;
    for (size_t n : on_way) {
      const OpRecord* op = FindOp(subgraph_.nodes[n]);
      if (op != nullptr && op->gradient != nullptr) continue;
      missing += (missing.empty() ? "" : ", ") + NodeLabel(subgraph_, n);
      last = n;
    }
    if (missing.empty()) return absl::OkStatus();
    return Unsupported(
        "no gradient for {}: the layers before it cannot be trained, freeze them: {}", missing,
        TrainedBefore(last));
  }

  // The nodes with parameters that node n depends on.
  std::string TrainedBefore(size_t n) const {
    constexpr size_t kNamed = 5;
    std::vector<bool> needed(subgraph_.tensors.size(), false);
    std::vector<std::string> names;
    for (size_t i = n + 1; i-- > 0;) {
      const Node& node = subgraph_.nodes[i];
      const bool on_way =
          i == n || std::any_of(node.outputs.begin(), node.outputs.end(),
                                [&](int32_t t) { return t >= 0 && needed[size_t(t)]; });
      if (!on_way) continue;
      bool trained = false;
      for (int32_t t : node.inputs) {
        if (t < 0) continue;
        needed[static_cast<size_t>(t)] = true;
        trained = trained || tape_.parameter_of_[static_cast<size_t>(t)] >= 0;
      }
      if (trained) names.push_back(NodeLabel(subgraph_, i));
    }
    std::reverse(names.begin(), names.end());
    const size_t named = std::min(names.size(), kNamed);
    const std::string rest =
        names.size() > named ? fmt::format(" and {} more", names.size() - named) : "";
    names.resize(named);
    return fmt::format("{}{}", fmt::join(names, ", "), rest);
  }

  void AddBackward(size_t n) {
    const Node& node = subgraph_.nodes[n];
    // A node whose results do not reach the target through the operators that are differentiated.
    const bool reached = std::any_of(node.outputs.begin(), node.outputs.end(), [&](int32_t t) {
      return t >= 0 && written_[static_cast<size_t>(t)];
    });
    if (!reached) return;
    Tape::BackwardStep step;
    step.node = n;
    step.gradient = FindOp(node)->gradient;
    for (int32_t t : node.outputs) {
      // Integer results (TOPK_V2's indices) have no gradient.
      if (t >= 0 && IsFloat(subgraph_, t) && !written_[static_cast<size_t>(t)]) {
        step.zero.push_back(t);
        written_[static_cast<size_t>(t)] = true;
      }
    }
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const int32_t t = node.inputs[i];
      const bool wants = IsFloat(subgraph_, t) && moved_[static_cast<size_t>(t)];
      bool first = wants && !written_[static_cast<size_t>(t)];
      if (first && std::count(node.inputs.begin(), node.inputs.end(), t) > 1) {
        step.zero.push_back(t);
        first = false;
      }
      if (wants) written_[static_cast<size_t>(t)] = true;
      step.wants.push_back(wants);
      step.first.push_back(first ? 1 : 0);
    }
    tape_.backward_.push_back(std::move(step));
  }

  absl::StatusOr<size_t> Bytes(size_t t) const {
    return TensorBytes(subgraph_.tensors[t].type, tape_.program_->tensors[t].shape);
  }

  // Values and gradients share an arena, in which each has its place from the step that first
  // writes it to the one that reads it last: the forward steps, the loss, the backward steps.
  absl::Status PlaceAll() {
    const size_t count = subgraph_.tensors.size();
    values_.assign(count, {});
    gradients_.assign(count, {});
    FindValueLives();
    FindGradientLives();
    std::vector<ArenaBlock> blocks;
    std::vector<int64_t*> places;
    for (size_t t = 0; t < count; ++t) {
      LS_RETURN_IF_ERROR(Place(t, values_, &tape_.value_at_, &blocks, &places));
      if (!IsFloat(subgraph_, static_cast<int32_t>(t))) continue;
      LS_RETURN_IF_ERROR(Place(t, gradients_, &tape_.gradient_at_, &blocks, &places));
    }
    tape_.bytes_ = PlanArena(&blocks);
    for (size_t i = 0; i < blocks.size(); ++i) {
      *places[i] = static_cast<int64_t>(blocks[i].offset);
    }
    for (size_t t = 0; t < count; ++t) tape_.gradient_at_[t] = tape_.gradient_at_[place_of_[t]];
    return absl::OkStatus();
  }

  // First and last step.
  struct Life {
    int first = -1, last = -1;
  };
  static void Touch(Life* life, int step) {
    if (life->first < 0) life->first = step;
    life->last = std::max(life->last, step);
  }
  int LossStep() const { return static_cast<int>(tape_.forward_.size()); }

  absl::Status Place(size_t t, const std::vector<Life>& lives, std::vector<int64_t>* at,
                     std::vector<ArenaBlock>* blocks, std::vector<int64_t*>* places) const {
    if (lives[t].first < 0) return absl::OkStatus();
    LS_ASSIGN_OR_RETURN(const size_t bytes, Bytes(t));
    blocks->push_back({bytes, lives[t].first, lives[t].last, 0});
    places->push_back(&(*at)[t]);
    return absl::OkStatus();
  }

  void TouchValue(int32_t t, int step) {
    if (t < 0) return;
    const auto i = static_cast<size_t>(t);
    if (tape_.parameter_of_[i] >= 0 || tape_.program_->tensors[i].has_value) return;
    Touch(&values_[i], step);
  }

  void FindValueLives() {
    // What is there before the first step, and what the loss and others look at after the last.
    for (int32_t t : subgraph_.inputs) {
      TouchValue(t, 0);
      TouchValue(t, LossStep());
    }
    for (size_t f = 0; f < tape_.forward_.size(); ++f) {
      const Node& node = subgraph_.nodes[tape_.program_->steps[tape_.forward_[f]].node];
      for (int32_t t : node.inputs) {
        TouchValue(t, static_cast<int>(f));
        if (t >= 0 && values_[static_cast<size_t>(t)].first >= 0 &&
            subgraph_.tensors[static_cast<size_t>(t)].is_variable) {
          AddVariable(t);
        }
      }
      for (size_t i = 0; i < node.outputs.size(); ++i) {
        TouchValue(node.outputs[i], static_cast<int>(f));
        if (i > 0) TouchValue(node.outputs[i], LossStep());
      }
    }
    TouchValue(target_, LossStep());
    for (size_t b = 0; b < tape_.backward_.size(); ++b) {
      const int step = LossStep() + 1 + static_cast<int>(b);
      const Node& node = subgraph_.nodes[tape_.backward_[b].node];
      for (size_t i = 0; i < node.inputs.size(); ++i) {
        if (GradientReads(node, static_cast<int>(i))) TouchValue(node.inputs[i], step);
      }
      for (size_t i = 0; i < node.outputs.size(); ++i) {
        if (i > 0 || GradientReads(node, -1)) TouchValue(node.outputs[i], step);
      }
    }
  }

  // Variables live all the time.
  void AddVariable(int32_t t) {
    auto& variables = tape_.variables_;
    if (std::find(variables.begin(), variables.end(), t) == variables.end()) variables.push_back(t);
    values_[static_cast<size_t>(t)] = {0, LossStep() + static_cast<int>(tape_.backward_.size())};
  }

  // A gradient lives from the step that first writes it to the backward step of the tensor's
  // producer. From there one of an operand may go on in its place.
  void FindGradientLives() {
    place_of_.resize(subgraph_.tensors.size());
    std::iota(place_of_.begin(), place_of_.end(), size_t{0});
    const auto touch = [&](int32_t t, int step) {
      if (t < 0 || tape_.parameter_of_[static_cast<size_t>(t)] >= 0) return;
      Touch(&gradients_[place_of_[static_cast<size_t>(t)]], step);
    };
    touch(target_, LossStep());
    for (size_t b = 0; b < tape_.backward_.size(); ++b) {
      const Tape::BackwardStep& step = tape_.backward_[b];
      const Node& node = subgraph_.nodes[step.node];
      const int at = LossStep() + 1 + static_cast<int>(b);
      for (int32_t t : node.outputs) touch(t, at);
      SharePlace(step, node);
      for (size_t i = 0; i < node.inputs.size(); ++i) {
        if (step.wants[i]) touch(node.inputs[i], at);
      }
    }
  }

  void SharePlace(const Tape::BackwardStep& step, const Node& node) {
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (!step.wants[i] || step.first[i] == 0) continue;
      const auto t = static_cast<size_t>(node.inputs[i]);
      if (tape_.parameter_of_[t] >= 0 || !GradientStays(node, i, tape_.program_->tensors)) continue;
      place_of_[t] = place_of_[static_cast<size_t>(node.outputs[0])];
      return;
    }
  }

  Tape& tape_;
  const Subgraph& subgraph_;
  int32_t target_;
  std::vector<bool> needed_, moved_, written_;
  std::vector<Life> values_, gradients_;
  std::vector<size_t> place_of_;  // per tensor: the one in whose place its gradient is
};

absl::StatusOr<std::shared_ptr<const Tape>> Tape::Create(const Graph& graph,
                                                         const Parameters& parameters,
                                                         int32_t target,
                                                         const std::vector<Shape>& input_shapes,
                                                         uint64_t memory_budget) {
  ExecutorOptions options;
  options.kernels = KernelMode::kBest;
  options.num_threads = 1;
  options.keep_all = true;
  options.memory_budget = memory_budget;
  options.input_shapes = input_shapes;
  for (const Parameter& p : parameters.items) {
    options.input_shapes.push_back(graph.main().tensors[static_cast<size_t>(p.tensor)].shape);
  }
  auto tape = std::make_shared<Tape>();
  LS_ASSIGN_OR_RETURN(tape->program_,
                      BuildProgram(WithParameterInputs(graph, parameters, input_shapes), options));
  const Program& program = *tape->program_;
  if (program.first_dynamic < program.steps.size()) {
    return Unsupported("{} has a shape that depends on values: it cannot be trained",
                       NodeLabel(program.subgraph(), program.steps[program.first_dynamic].node));
  }
  tape->parameters_ = parameters;
  tape->model_inputs_ = graph.main().inputs.size();
  tape->target_ = target;
  LS_RETURN_IF_ERROR(TapePlanner(tape.get(), target).Plan());
  if (tape->memory_bytes() > memory_budget) {
    return Invalid(
        "training needs {} MB per thread, more than the {} MB allowed: use a smaller batch",
        tape->memory_bytes() >> 20, memory_budget >> 20);
  }
  return std::shared_ptr<const Tape>(std::move(tape));
}

}  // namespace litesmith
