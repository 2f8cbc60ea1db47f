#include "train/tape.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>

#include "runtime/arena.h"

namespace litesmith {
namespace {

constexpr size_t kParameterAlignment = 16;  // floats

size_t RoundUp(size_t value, size_t step) { return (value + step - 1) / step * step; }

struct FreeDeleter {
  void operator()(std::byte* p) const { std::free(p); }
};
using AlignedBytes = std::unique_ptr<std::byte, FreeDeleter>;

AlignedBytes Allocate(size_t bytes) {
  const size_t rounded = RoundUp(std::max<size_t>(bytes, 1), kArenaAlignment);
  return AlignedBytes(static_cast<std::byte*>(std::aligned_alloc(kArenaAlignment, rounded)));
}

// Files made for one sample often spell the batch out in a RESHAPE: [1, 64]. There the first
// dimension is left open.
void FreeBatchInReshapes(Subgraph* subgraph) {
  if (subgraph->inputs.empty()) return;
  const Shape& input = subgraph->tensors[static_cast<size_t>(subgraph->inputs[0])].shape;
  const int32_t batch = input.empty() ? 0 : input[0];
  for (Node& node : subgraph->nodes) {
    if (node.op != schema::BuiltinOperator_RESHAPE || node.input(1) < 0) continue;
    const Tensor& wanted = subgraph->tensors[static_cast<size_t>(node.inputs[1])];
    if (!wanted.is_constant() || wanted.type != schema::TensorType_INT32) continue;
    const auto old = wanted.data.As<int32_t>();
    std::vector<int32_t> sizes(old.begin(), old.end());
    const bool fixed = std::all_of(sizes.begin(), sizes.end(), [](int32_t d) { return d > 0; });
    if (sizes.empty() || !fixed || sizes[0] != batch) continue;
    sizes[0] = -1;
    Tensor open = wanted;
    open.data = Blob::Of(sizes);
    node.inputs[1] = subgraph->AddTensor(std::move(open));
  }
}

}  // namespace

void FreeBatch(const std::vector<Shape>& input_shapes, Graph* graph) {
  Subgraph& main = graph->main();
  FreeBatchInReshapes(&main);
  if (!input_shapes.empty() && !input_shapes[0].empty() && !main.inputs.empty()) {
    const Shape in = main.tensors[static_cast<size_t>(main.inputs[0])].shape;
    for (Tensor& tensor : main.tensors) {
      if (!tensor.is_variable || tensor.shape.empty() || in.empty()) continue;
      if (tensor.shape[0] == in[0]) tensor.shape[0] = input_shapes[0][0];
    }
  }
  for (int32_t t : main.inputs) {
    Tensor& tensor = main.tensors[static_cast<size_t>(t)];
    if (tensor.shape_signature.empty()) tensor.shape_signature = tensor.shape;
    if (!tensor.shape_signature.empty()) tensor.shape_signature[0] = -1;
  }
}

namespace {

bool IsFloatConstant(const Tensor& tensor) {
  return tensor.type == schema::TensorType_FLOAT32 && tensor.is_constant() && !tensor.is_variable;
}

// Whether constant input i of the node is a parameter although its record calls it an activation.
// `moved`: which tensors depend on a parameter; what comes before them all is preprocessing.
bool IsTrainedOperand(const Node& node, size_t i, const Subgraph& subgraph,
                      const std::vector<bool>& moved) {
  if (NumElements(subgraph.tensors[static_cast<size_t>(node.inputs[i])].shape) < 2) return false;
  switch (node.op) {
    case schema::BuiltinOperator_GATHER:
    case schema::BuiltinOperator_EMBEDDING_LOOKUP:
      return i == (node.op == schema::BuiltinOperator_GATHER ? 0u : 1u);
    case schema::BuiltinOperator_PRELU:
      return i == 1;
    case schema::BuiltinOperator_MUL:
    case schema::BuiltinOperator_ADD:
    case schema::BuiltinOperator_SUB: {
      const int32_t other = node.input(1 - i);
      return other >= 0 && moved[static_cast<size_t>(other)];
    }
    default:
      return false;
  }
}

}  // namespace

Parameters FindParameters(const Graph& graph, const std::function<bool(const Tensor&)>& keep,
                          bool operands) {
  const Subgraph& subgraph = graph.main();
  std::vector<bool> trained(subgraph.tensors.size(), false), moved = trained;
  for (const Node& node : subgraph.nodes) {
    const OpRecord* op = FindOp(node);
    if (op == nullptr) continue;
    bool moves = false;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const int32_t t = node.inputs[i];
      if (t < 0) continue;
      moves = moves || moved[static_cast<size_t>(t)];
      const Tensor& tensor = subgraph.tensors[static_cast<size_t>(t)];
      if (!IsFloatConstant(tensor)) continue;
      const Role role = op->quant.input(i).role;
      if (role != Role::kWeight && role != Role::kBias &&
          !(operands && IsTrainedOperand(node, i, subgraph, moved))) {
        continue;
      }
      moves = true;
      trained[static_cast<size_t>(t)] = keep == nullptr || keep(tensor);
    }
    for (int32_t t : node.outputs) {
      if (t >= 0 && moves) moved[static_cast<size_t>(t)] = true;
    }
  }
  Parameters out;
  for (size_t t = 0; t < trained.size(); ++t) {
    if (!trained[t]) continue;
    const auto count = static_cast<size_t>(NumElements(subgraph.tensors[t].shape));
    out.items.push_back({static_cast<int32_t>(t), out.floats, count});
    out.floats += RoundUp(count, kParameterAlignment);
  }
  return out;
}

std::vector<float> ReadParameters(const Graph& graph, const Parameters& parameters) {
  std::vector<float> values(parameters.floats, 0.0f);
  for (const Parameter& p : parameters.items) {
    const Blob& data = graph.main().tensors[static_cast<size_t>(p.tensor)].data;
    std::memcpy(values.data() + p.offset, data.bytes.data(), p.count * sizeof(float));
  }
  return values;
}

void WriteParameters(const Parameters& parameters, std::span<const float> values, Graph* graph) {
  for (const Parameter& p : parameters.items) {
    graph->main().tensors[static_cast<size_t>(p.tensor)].data =
        Blob::Copy(std::as_bytes(values.subspan(p.offset, p.count)));
  }
}

// The memory, and the tables that kernels and gradients get.
struct TapeMemory::Bound {
  struct Run {
    std::vector<const void*> inputs;
    std::vector<void*> outputs;
  };
  struct Back {
    std::vector<TensorView> inputs, outputs;
    std::vector<const float*> out_grads;
    std::vector<float*> in_grads;
    std::unique_ptr<bool[]> first;
    std::vector<std::pair<size_t, int64_t>> parameters;  // input, offset
    std::vector<std::byte> scratch;
  };
  AlignedBytes memory, scratch;
  std::vector<Run> forward;
  std::vector<char> wanted;  // per forward step: the target needs it; empty: not known yet
  std::vector<Back> backward;
};

TapeMemory::TapeMemory(std::shared_ptr<const Tape> tape, const float* parameters)
    : tape_(std::move(tape)), parameters_(parameters), bound_(std::make_unique<Bound>()) {
  const Subgraph& subgraph = tape_->subgraph();
  const Program& program = *tape_->program_;
  bound_->memory = Allocate(tape_->bytes_);
  bound_->scratch = Allocate(program.scratch_bytes);
  for (size_t s : tape_->forward_) {
    const Node& node = subgraph.nodes[program.steps[s].node];
    Bound::Run& run = bound_->forward.emplace_back();
    for (int32_t t : node.inputs) run.inputs.push_back(Value(t));
    for (int32_t t : node.outputs) run.outputs.push_back(Value(t));
  }
  for (const Tape::BackwardStep& step : tape_->backward_) {
    const Node& node = subgraph.nodes[step.node];
    Bound::Back& back = bound_->backward.emplace_back();
    back.inputs = InputViews(subgraph, node, program.tensors);
    back.outputs = OutputViews(subgraph, node, program.tensors);
    back.first = std::make_unique<bool[]>(node.inputs.size());
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const int32_t t = node.inputs[i];
      if (t >= 0) back.inputs[i].data = Value(t);
      back.first[i] = step.first[i] != 0;
      back.in_grads.push_back(step.wants[i] ? GradientOf(t, nullptr) : nullptr);
      if (step.wants[i] && tape_->parameter_of_[static_cast<size_t>(t)] >= 0) {
        back.parameters.emplace_back(i, tape_->parameter_of_[static_cast<size_t>(t)]);
      }
    }
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] >= 0) back.outputs[i].data = Value(node.outputs[i]);
      back.out_grads.push_back(node.outputs[i] < 0 ? nullptr
                                                   : GradientOf(node.outputs[i], nullptr));
    }
  }
}

TapeMemory::~TapeMemory() = default;

void* TapeMemory::Value(int32_t tensor) const {
  if (tensor < 0) return nullptr;
  const auto t = static_cast<size_t>(tensor);
  if (tape_->parameter_of_[t] >= 0)
    return const_cast<float*>(parameters_) + tape_->parameter_of_[t];
  if (tape_->value_at_[t] >= 0) return bound_->memory.get() + tape_->value_at_[t];
  static std::byte no_bytes[16] = {};
  const TensorState& state = tape_->program_->tensors[t];
  if (!state.has_value) return nullptr;
  return state.value.empty() ? no_bytes : const_cast<std::byte*>(state.value.bytes.data());
}

float* TapeMemory::GradientOf(int32_t tensor, float* gradients) const {
  const auto t = static_cast<size_t>(tensor);
  if (tape_->parameter_of_[t] >= 0) {
    return gradients == nullptr ? nullptr : gradients + tape_->parameter_of_[t];
  }
  if (tape_->gradient_at_[t] < 0) return nullptr;
  return reinterpret_cast<float*>(bound_->memory.get() + tape_->gradient_at_[t]);
}

std::span<float> TapeMemory::input(size_t i) {
  const int32_t t = tape_->subgraph().inputs[i];
  return {static_cast<float*>(Value(t)), static_cast<size_t>(NumElements(tape_->shape(t)))};
}

std::span<const float> TapeMemory::target() const { return value(tape_->target_); }

std::span<const float> TapeMemory::value(int32_t tensor) const {
  return {static_cast<const float*>(Value(tensor)),
          static_cast<size_t>(NumElements(tape_->shape(tensor)))};
}

std::span<float> TapeMemory::target_gradient() {
  return {GradientOf(tape_->target_, nullptr),
          static_cast<size_t>(NumElements(tape_->shape(tape_->target_)))};
}

bool TapeMemory::Take(const Step& step, const GivenValues& given) {
  const std::vector<int32_t>& outputs = tape_->subgraph().nodes[step.node].outputs;
  const int32_t t = outputs.empty() ? -1 : outputs[0];
  if (t < 0 || !given.Has(t)) return false;
  // The second result of a FakeQuantize is the scale.
  float* scale = outputs.size() > 1 ? static_cast<float*>(Value(outputs[1])) : nullptr;
  given.Give(t, {static_cast<float*>(Value(t)), static_cast<size_t>(NumElements(tape_->shape(t)))},
             scale);
  return true;
}

void TapeMemory::FindWanted(const GivenValues& given) {
  std::vector<char> tensors(tape_->subgraph().tensors.size());
  tensors[static_cast<size_t>(tape_->target_)] = 1;
  bound_->wanted.assign(tape_->forward_.size(), 0);
  for (size_t i = tape_->forward_.size(); i-- > 0;) {
    const Node& node = tape_->subgraph().nodes[tape_->program_->steps[tape_->forward_[i]].node];
    const bool wanted = std::any_of(node.outputs.begin(), node.outputs.end(), [&](int32_t t) {
      return t >= 0 && tensors[static_cast<size_t>(t)] != 0;
    });
    if (!wanted) continue;
    bound_->wanted[i] = 1;
    if (!node.outputs.empty() && node.outputs[0] >= 0 && given.Has(node.outputs[0])) continue;
    for (int32_t t : node.inputs) {
      if (t >= 0) tensors[static_cast<size_t>(t)] = 1;
    }
  }
}

absl::Status TapeMemory::Forward(ThreadPool* threads, GivenValues* given, bool all) {
  const bool few = !all && given != nullptr;
  if (few && bound_->wanted.empty()) FindWanted(*given);
  if (given != nullptr) {
    std::vector<std::span<const float>> inputs;
    for (size_t i = 0; i < tape_->model_inputs_; ++i) inputs.push_back(input(i));
    LS_RETURN_IF_ERROR(given->Run(inputs));
  }
  for (int32_t t : tape_->variables_) {
    const TensorType type = tape_->subgraph().tensors[static_cast<size_t>(t)].type;
    LS_ASSIGN_OR_RETURN(const size_t bytes, TensorBytes(type, tape_->shape(t)));
    std::memset(Value(t), 0, bytes);
  }
  for (size_t i = 0; i < tape_->forward_.size(); ++i) {
    if (few && bound_->wanted[i] == 0) continue;
    const Step& step = tape_->program_->steps[tape_->forward_[i]];
    if (given != nullptr && Take(step, *given)) continue;
    const Bound::Run& run = bound_->forward[i];
    const absl::Status status =
        step.kernel.run(RunArgs{run.inputs, run.outputs, bound_->scratch.get(), threads});
    if (!status.ok()) return Annotate(status, NodeLabel(tape_->subgraph(), step.node));
  }
  return absl::OkStatus();
}

absl::Status TapeMemory::Backward(float* gradients, ThreadPool* threads) {
  for (size_t b = 0; b < tape_->backward_.size(); ++b) {
    const Tape::BackwardStep& step = tape_->backward_[b];
    Bound::Back& back = bound_->backward[b];
    for (const auto& [input, offset] : back.parameters) back.in_grads[input] = gradients + offset;
    for (int32_t t : step.zero) {
      std::fill_n(GradientOf(t, gradients), NumElements(tape_->shape(t)), 0.0f);
    }
    const Node& node = tape_->subgraph().nodes[step.node];
    const absl::Status status = step.gradient(GradArgs{
        node, back.inputs, back.outputs, back.out_grads, back.in_grads,
        std::span<const bool>(back.first.get(), node.inputs.size()), &back.scratch, threads});
    if (!status.ok()) return Annotate(status, NodeLabel(tape_->subgraph(), step.node));
  }
  return absl::OkStatus();
}

}  // namespace litesmith
