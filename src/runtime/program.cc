#include "runtime/program.h"

#include <algorithm>
#include <cstdint>

#include "ir/sparse.h"
#include "kernels/isa.h"
#include "runtime/arena.h"
#include "runtime/control_flow.h"
#include "runtime/fold_budget.h"

namespace litesmith {
namespace {

// A folded value is stored once; larger ones are better computed each time than kept beside their
// inputs.
constexpr size_t kLargestFold = size_t{1} << 30;

absl::Status CheckInputShape(const Graph& graph, size_t position, const Shape& wanted) {
  const Tensor& tensor = graph.main().tensors[static_cast<size_t>(graph.main().inputs[position])];
  const Shape& fixed = tensor.shape_signature.empty() ? tensor.shape : tensor.shape_signature;
  bool fits = fixed.size() == wanted.size();
  for (size_t d = 0; fits && d < fixed.size(); ++d) {
    fits = wanted[d] >= 0 && (fixed[d] < 0 || fixed[d] == wanted[d]);
  }
  if (fits) return absl::OkStatus();
  return Invalid("input '{}' takes the shape {}, not {}", Printable(InputName(graph, position)),
                 ShapeString(fixed), ShapeString(wanted));
}

// Runs a kernel once on known values, on the caller's thread.
absl::StatusOr<std::vector<Blob>> RunOnce(const Kernel& kernel, std::span<const TensorView> inputs,
                                          const std::vector<size_t>& output_bytes) {
  std::vector<const void*> in;
  for (const TensorView& v : inputs) in.push_back(v.data);
  std::vector<std::vector<std::byte>> results;
  std::vector<void*> out;
  for (size_t bytes : output_bytes) {
    results.emplace_back(bytes);
    out.push_back(results.back().data());
  }
  std::vector<std::byte> scratch(kernel.scratch_bytes + kArenaAlignment);
  const auto address = reinterpret_cast<uintptr_t>(scratch.data());
  RunArgs args{in, out, nullptr, nullptr};
  args.scratch = scratch.data() + (kArenaAlignment - address % kArenaAlignment) % kArenaAlignment;
  LS_RETURN_IF_ERROR(kernel.run(args));
  std::vector<Blob> blobs;
  for (auto& r : results) blobs.push_back(Blob::Own(std::move(r)));
  return blobs;
}

// Whether the node's result is known now: all inputs are, or their shapes suffice.
bool IsFoldable(const OpRecord& op, const Subgraph& subgraph, const Node& node,
                const std::vector<TensorState>& tensors) {
  if (op.stateful || node.outputs.empty()) return false;
  for (int32_t t : node.inputs) {
    if (t < 0) continue;
    const TensorState& state = tensors[static_cast<size_t>(t)];
    if (subgraph.tensors[static_cast<size_t>(t)].is_variable) return false;
    if (op.shape_only ? !state.shape_known : !state.has_value) return false;
  }
  for (int32_t t : node.outputs) {
    if (t < 0 || TypeSize(subgraph.tensors[static_cast<size_t>(t)].type) == 0) return false;
  }
  return op.shape_only || !node.inputs.empty();
}

// A tensor without elements that nothing makes (the shape operand of a reshape to a scalar) is a
// constant whose buffer the file leaves out.
void MarkEmptyConstants(const Subgraph& subgraph, std::vector<TensorState>* states) {
  std::vector<bool> made(states->size(), false);
  for (const Node& node : subgraph.nodes) {
    for (int32_t t : node.outputs) {
      if (t >= 0) made[static_cast<size_t>(t)] = true;
    }
  }
  for (size_t t = 0; t < states->size(); ++t) {
    TensorState& state = (*states)[t];
    const bool empty = std::find(state.shape.begin(), state.shape.end(), 0) != state.shape.end();
    if (!made[t] && empty && !subgraph.tensors[t].is_variable) {
      state.shape_known = true;
      state.has_value = true;
    }
  }
}

absl::Status CheckFits(uint64_t bytes, uint64_t budget) {
  // What one allocation can hold, which on 32-bit machines is less than the budget may be.
  const uint64_t most = std::min<uint64_t>(budget, PTRDIFF_MAX);
  if (bytes <= most) return absl::OkStatus();
  return Invalid("the tensors need {} MB, more than the {} MB allowed", bytes >> 20, most >> 20);
}

class Builder {
 public:
  // `visits`: see ExecutorNodeShapes. `budget`: of all nodes together.
  Builder(Program* program, size_t node, int* visits, FoldBudget* budget)
      : program_(*program),
        subgraph_(program->subgraph()),
        node_(subgraph_.nodes[node]),
        index_(node),
        visits_(visits),
        budget_(*budget) {}

  // Infers, folds or prepares the node. Sets *dynamic where the shapes depend on values.
  absl::Status Build(bool* dynamic) {
    LS_ASSIGN_OR_RETURN(const OpRecord* op, RunnableOp(node_));
    if (op->run_by_executor) return BuildCall(dynamic);
    const auto inputs = InputViews(subgraph_, node_, program_.tensors);
    auto outputs = OutputViews(subgraph_, node_, program_.tensors);
    std::vector<Shape> shapes;
    const absl::Status inferred = InferNode(*op, node_, inputs, outputs, &shapes);
    if (IsNeedsValue(inferred)) {
      *dynamic = true;
      return absl::OkStatus();
    }
    LS_RETURN_IF_ERROR(inferred);
    for (size_t i = 0; i < shapes.size(); ++i) outputs[i].shape = shapes[i];
    SetShapes(shapes);
    // Before kernels make lists of rows or columns.
    for (const TensorView& output : outputs) {
      if (!output.present || TypeSize(output.type) == 0) continue;
      LS_ASSIGN_OR_RETURN(const size_t bytes, TensorBytes(output.type, output.shape));
      LS_RETURN_IF_ERROR(CheckFits(bytes, program_.options.memory_budget));
    }
    PrepareArgs args{node_,
                     inputs,
                     outputs,
                     program_.options.kernels,
                     program_.options.arithmetic,
                     std::max(1, program_.options.num_threads)};
    const std::vector<TensorView> intermediates = IntermediateViews(subgraph_, node_);
    args.intermediates = intermediates;
    LS_ASSIGN_OR_RETURN(Kernel kernel, PrepareKernel(*op, args));
    if (IsFoldable(*op, subgraph_, node_, program_.tensors)) {
      bool folded = false;
      LS_RETURN_IF_ERROR(Fold(*op, kernel, inputs, outputs, &folded));
      if (folded) return absl::OkStatus();
    }
    program_.steps.push_back({index_, std::move(kernel), false});
    return absl::OkStatus();
  }

 private:
  void SetShapes(const std::vector<Shape>& shapes) {
    for (size_t i = 0; i < shapes.size(); ++i) {
      if (node_.outputs[i] < 0) continue;
      TensorState& state = program_.tensors[static_cast<size_t>(node_.outputs[i])];
      state.shape = shapes[i];
      state.shape_known = true;
    }
  }

  // A node that the executor runs itself.
  absl::Status BuildCall(bool* dynamic) {
    LS_RETURN_IF_ERROR(CheckExecutorNode(*program_.graph, subgraph_, node_));
    const auto shapes =
        ExecutorNodeShapes(*program_.graph, subgraph_, node_, program_.tensors, visits_);
    if (!shapes.has_value()) {
      *dynamic = true;
      return absl::OkStatus();
    }
    SetShapes(*shapes);
    program_.steps.push_back({index_, {}, true});
    return absl::OkStatus();
  }

  absl::Status Fold(const OpRecord& op, const Kernel& kernel, std::span<const TensorView> inputs,
                    std::span<const TensorView> outputs, bool* folded) {
    std::vector<size_t> sizes;
    uint64_t total = 0;
    for (const TensorView& output : outputs) {
      LS_ASSIGN_OR_RETURN(const size_t bytes, TensorBytes(output.type, output.shape));
      sizes.push_back(bytes);
      if (bytes > kLargestFold) return absl::OkStatus();
      total += bytes;
    }
    if (!budget_.Take(WorkOf(op, node_, inputs, outputs), total)) return absl::OkStatus();
    LS_ASSIGN_OR_RETURN(std::vector<Blob> values, RunOnce(kernel, inputs, sizes));
    for (size_t i = 0; i < values.size(); ++i) {
      TensorState& state = program_.tensors[static_cast<size_t>(node_.outputs[i])];
      state.value = std::move(values[i]);
      state.has_value = true;
    }
    *folded = true;
    return absl::OkStatus();
  }

  Program& program_;
  const Subgraph& subgraph_;
  const Node& node_;
  size_t index_;
  int* visits_;
  FoldBudget& budget_;
};

// Lifetimes, in-place sharing and offsets of everything whose shape is known.
class MemoryPlanner {
 public:
  explicit MemoryPlanner(Program* program) : program_(*program), subgraph_(program->subgraph()) {}

  absl::Status Plan() {
    const size_t count = subgraph_.tensors.size();
    first_.assign(count, -1);
    last_.assign(count, -1);
    alias_.resize(count);
    for (size_t t = 0; t < count; ++t) alias_[t] = t;
    FindLifetimes();
    if (!program_.options.keep_all) ShareInPlace();
    return Place();
  }

 private:
  int LastStep() const { return static_cast<int>(program_.steps.size()); }

  void Touch(int32_t tensor, int step) {
    if (tensor < 0) return;
    const auto t = static_cast<size_t>(tensor);
    if (first_[t] < 0) first_[t] = step;
    last_[t] = std::max(last_[t], step);
  }

  void FindLifetimes() {
    for (int32_t t : subgraph_.inputs) {
      Touch(t, 0);
      Touch(t, LastStep());
    }
    for (size_t s = 0; s < program_.steps.size(); ++s) {
      const Node& node = subgraph_.nodes[program_.steps[s].node];
      const int step = static_cast<int>(s);
      for (int32_t t : node.inputs) Touch(t, step);
      for (int32_t t : node.outputs) Touch(t, step);
    }
    for (int32_t t : subgraph_.outputs) Touch(t, LastStep());
    for (size_t t = 0; t < subgraph_.tensors.size(); ++t) {
      // A tensor may also be read by name afterwards, and variables live on.
      const bool kept = program_.options.keep_all || subgraph_.tensors[t].is_variable;
      if (kept && (first_[t] >= 0 || subgraph_.tensors[t].is_variable)) {
        first_[t] = 0;
        last_[t] = LastStep();
      }
    }
  }

  bool IsGraphInput(size_t t) const {
    return std::find(subgraph_.inputs.begin(), subgraph_.inputs.end(), static_cast<int32_t>(t)) !=
           subgraph_.inputs.end();
  }

  void ShareInPlace() {
    for (size_t s = 0; s < program_.first_dynamic; ++s) {
      const Step& step = program_.steps[s];
      const Node& node = subgraph_.nodes[step.node];
      const int which = step.kernel.in_place_input;
      if (which < 0 || node.outputs.size() != 1 || node.output(0) < 0) continue;
      const int32_t input = node.input(static_cast<size_t>(which));
      if (input < 0 || std::count(node.inputs.begin(), node.inputs.end(), input) != 1) continue;
      const size_t root = alias_[static_cast<size_t>(input)];
      const auto out = static_cast<size_t>(node.output(0));
      const Tensor& in_tensor = subgraph_.tensors[static_cast<size_t>(input)];
      if (program_.tensors[static_cast<size_t>(input)].has_value || in_tensor.is_variable ||
          subgraph_.tensors[out].is_variable || IsGraphInput(root) ||
          last_[root] != static_cast<int>(s)) {
        continue;
      }
      const auto a = Bytes(static_cast<size_t>(input));
      const auto b = Bytes(out);
      if (!a.ok() || !b.ok() || *a != *b) continue;
      alias_[out] = root;
      last_[root] = last_[out];
    }
  }

  absl::StatusOr<size_t> Bytes(size_t t) const {
    return TensorBytes(subgraph_.tensors[t].type, program_.tensors[t].shape);
  }

  absl::Status Place() {
    std::vector<ArenaBlock> blocks;
    std::vector<size_t> owner;
    program_.placements.resize(subgraph_.tensors.size());
    for (size_t t = 0; t < subgraph_.tensors.size(); ++t) {
      Placement& place = program_.placements[t];
      const TensorState& state = program_.tensors[t];
      if (state.has_value) {
        place = {Placement::Kind::kValue, 0, state.value.bytes.size()};
      } else if (first_[t] < 0) {
        continue;
      } else if (!state.shape_known) {
        place.kind = Placement::Kind::kHeap;
      } else {
        LS_ASSIGN_OR_RETURN_IN(place.bytes, Bytes(t), Printable(subgraph_.tensors[t].label()));
        place.kind = Placement::Kind::kArena;
        if (alias_[t] == t) {
          blocks.push_back({place.bytes, first_[t], last_[t], 0});
          owner.push_back(t);
        }
      }
    }
    size_t scratch = 0;
    for (const Step& step : program_.steps) scratch = std::max(scratch, step.kernel.scratch_bytes);
    program_.scratch_bytes = scratch;
    program_.arena_bytes = PlanArena(&blocks);
    LS_RETURN_IF_ERROR(
        CheckFits(uint64_t{program_.arena_bytes} + scratch, program_.options.memory_budget));
    for (size_t i = 0; i < blocks.size(); ++i)
      program_.placements[owner[i]].offset = blocks[i].offset;
    for (size_t t = 0; t < alias_.size(); ++t) {
      if (alias_[t] != t) program_.placements[t].offset = program_.placements[alias_[t]].offset;
    }
    return absl::OkStatus();
  }

  Program& program_;
  const Subgraph& subgraph_;
  std::vector<int> first_, last_;
  std::vector<size_t> alias_;
};

}  // namespace

TensorView MakeView(const Subgraph& subgraph, int32_t index, const Shape* shape, const void* data) {
  static const QuantParams kNoQuant;
  TensorView view;
  view.quant = &kNoQuant;
  if (index < 0) return view;
  const Tensor& tensor = subgraph.tensors[static_cast<size_t>(index)];
  view.type = tensor.type;
  view.shape = shape != nullptr ? *shape : tensor.shape;
  view.quant = &tensor.quant;
  view.data = data;
  view.name = tensor.name;
  view.present = true;
  view.is_variable = tensor.is_variable;
  view.stored_sparse = tensor.sparsity != nullptr;
  return view;
}

std::vector<TensorView> InputViews(const Subgraph& subgraph, const Node& node,
                                   const std::vector<TensorState>& tensors) {
  // A constant without elements has a value, too: kernels only need a non-null address.
  static const std::byte kNoBytes[16] = {};
  std::vector<TensorView> views;
  for (int32_t t : node.inputs) {
    const TensorState* state = t >= 0 ? &tensors[static_cast<size_t>(t)] : nullptr;
    const void* data = nullptr;
    if (state != nullptr && state->has_value) {
      data = state->value.bytes.empty() ? kNoBytes : state->value.bytes.data();
    }
    views.push_back(MakeView(subgraph, t, state != nullptr ? &state->shape : nullptr, data));
  }
  return views;
}

std::vector<TensorView> OutputViews(const Subgraph& subgraph, const Node& node,
                                    const std::vector<TensorState>& tensors) {
  std::vector<TensorView> views;
  for (int32_t t : node.outputs) {
    views.push_back(
        MakeView(subgraph, t, t >= 0 ? &tensors[static_cast<size_t>(t)].shape : nullptr, nullptr));
  }
  return views;
}

std::vector<TensorView> IntermediateViews(const Subgraph& subgraph, const Node& node) {
  std::vector<TensorView> views;
  for (int32_t t : node.intermediates) views.push_back(MakeView(subgraph, t, nullptr, nullptr));
  return views;
}

absl::StatusOr<const OpRecord*> RunnableOp(const Node& node) {
  const OpRecord* op = FindOp(node);
  if (op != nullptr && op->run_by_executor) return op;
  if (op == nullptr || op->infer_shapes == nullptr || op->prepare == nullptr) {
    return Unsupported("litesmith has no kernel for this operator");
  }
  return op;
}

absl::Status InferNode(const OpRecord& op, const Node& node, std::span<const TensorView> inputs,
                       std::span<const TensorView> outputs, std::vector<Shape>* shapes) {
  shapes->clear();
  LS_RETURN_IF_ERROR(op.infer_shapes(ShapeArgs{node, inputs, outputs}, shapes));
  if (shapes->size() != outputs.size()) {
    return Internal("{} shapes inferred for {} outputs", shapes->size(), outputs.size());
  }
  for (size_t i = 0; i < shapes->size(); ++i) {
    LS_RETURN_IF_ERROR(TensorBytes(outputs[i].type, (*shapes)[i]).status());
  }
  return absl::OkStatus();
}

absl::StatusOr<Kernel> PrepareKernel(const OpRecord& op, const PrepareArgs& args) {
  LS_ASSIGN_OR_RETURN(Kernel kernel, op.prepare(args));
  const auto writes = [](const TensorView& out) { return out.present && out.elements() > 0; };
  if (op.stateful || std::any_of(args.outputs.begin(), args.outputs.end(), writes)) return kernel;
  kernel.run = [](const RunArgs&) { return absl::OkStatus(); };
  kernel.scratch_bytes = 0;
  return kernel;
}

absl::StatusOr<std::vector<TensorState>> InitialStates(const Graph& graph,
                                                       const std::vector<Shape>& input_shapes,
                                                       uint64_t memory_budget, size_t index) {
  const Subgraph& subgraph = graph.subgraphs[index];
  if (!input_shapes.empty() && input_shapes.size() != subgraph.inputs.size()) {
    return Invalid("{} input shapes given, the model has {} inputs", input_shapes.size(),
                   subgraph.inputs.size());
  }
  std::vector<TensorState> states(subgraph.tensors.size());
  for (size_t t = 0; t < states.size(); ++t) {
    const Tensor& tensor = subgraph.tensors[t];
    if (tensor.external_buffer != 0 && !tensor.is_constant()) {
      return Invalid(
          "the values of '{}' are in another file (external buffers), which is not read with a "
          "model from memory; open the model by its path",
          Printable(tensor.label()));
    }
    states[t].shape = tensor.shape;
    states[t].shape_known = tensor.is_constant() || tensor.is_variable;
    states[t].has_value = tensor.is_constant() && !tensor.is_variable;
    if (!states[t].has_value) continue;
    states[t].value = tensor.data;
    if (tensor.sparsity != nullptr) {
      LS_ASSIGN_OR_RETURN_IN(states[t].value, Densify(tensor, memory_budget),
                             fmt::format("tensor '{}'", Printable(tensor.label())));
    }
  }
  MarkEmptyConstants(subgraph, &states);
  for (size_t i = 0; i < subgraph.inputs.size(); ++i) {
    TensorState& state = states[static_cast<size_t>(subgraph.inputs[i])];
    state.has_value = false;
    if (!input_shapes.empty()) {
      if (index == 0) LS_RETURN_IF_ERROR(CheckInputShape(graph, i, input_shapes[i]));
      state.shape = input_shapes[i];
    }
    for (int32_t& d : state.shape) d = d < 0 ? 1 : d;
    state.shape_known = true;
  }
  return states;
}

absl::StatusOr<std::shared_ptr<const Program>> BuildProgram(std::shared_ptr<const Graph> graph,
                                                            const ExecutorOptions& options,
                                                            size_t index) {
  LS_RETURN_IF_ERROR(LimitIsa());
  auto program = std::make_shared<Program>();
  program->graph = std::move(graph);
  program->subgraph_index = index;
  program->options = options;
  LS_ASSIGN_OR_RETURN(program->tensors, InitialStates(*program->graph, options.input_shapes,
                                                      options.memory_budget, index));
  const Subgraph& subgraph = program->subgraph();
  bool dynamic = false;
  int visits = kShapeVisits;
  FoldBudget budget(options.memory_budget);
  for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
    if (!dynamic) {
      LS_RETURN_IF_ERROR_IN(Builder(program.get(), n, &visits, &budget).Build(&dynamic),
                            NodeLabel(subgraph, n));
      if (dynamic) program->first_dynamic = program->steps.size();
    }
    if (dynamic) {
      LS_ASSIGN_OR_RETURN_IN(const OpRecord* op, RunnableOp(subgraph.nodes[n]),
                             NodeLabel(subgraph, n));
      if (op->run_by_executor) {
        LS_RETURN_IF_ERROR_IN(CheckExecutorNode(*program->graph, subgraph, subgraph.nodes[n]),
                              NodeLabel(subgraph, n));
      }
      program->steps.push_back({n, {}, op->run_by_executor});
    }
  }
  if (!dynamic) program->first_dynamic = program->steps.size();
  LS_RETURN_IF_ERROR(MemoryPlanner(program.get()).Plan());
  return std::shared_ptr<const Program>(std::move(program));
}

}  // namespace litesmith
