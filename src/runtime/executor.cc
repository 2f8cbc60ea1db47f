#include "runtime/executor.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>

#include "base/thread_team.h"
#include "runtime/arena.h"
#include "runtime/control_flow.h"
#include "runtime/program.h"

namespace litesmith {
namespace {

struct FreeDeleter {
  void operator()(std::byte* p) const { std::free(p); }
};
using AlignedBytes = std::unique_ptr<std::byte, FreeDeleter>;

AlignedBytes Allocate(size_t bytes) {
  const size_t rounded = (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
  if (rounded == 0) return nullptr;
  return AlignedBytes(static_cast<std::byte*>(std::aligned_alloc(kArenaAlignment, rounded)));
}

// Memory that grows and is kept from run to run.
struct HeapBlock {
  AlignedBytes memory;
  size_t capacity = 0;

  bool Reserve(size_t bytes) {
    if (bytes <= capacity) return true;
    memory = Allocate(bytes);
    capacity = memory ? bytes : 0;
    return memory != nullptr;
  }
};

class ExecutorImpl final : public SubgraphExecutor, private TensorFrame {
 public:
  // `session` is the caller's; null: this is the root and has one of its own.
  explicit ExecutorImpl(std::shared_ptr<const Program> program, CallSession* session = nullptr)
      : program_(std::move(program)),
        session_(session),
        subgraph_(program_->subgraph()),
        shapes_(subgraph_.tensors.size()),
        pointers_(subgraph_.tensors.size(), nullptr),
        sizes_(subgraph_.tensors.size(), 0),
        resources_(subgraph_.tensors.size(), -1) {}

  absl::Status Init() {
    InitThreads();
    arena_ = Allocate(program_->arena_bytes);
    if (arena_ == nullptr && program_->arena_bytes > 0) {
      return absl::ResourceExhaustedError(
          fmt::format("cannot allocate {} MB for the tensors", program_->arena_bytes >> 20));
    }
    if (arena_ != nullptr) std::memset(arena_.get(), 0, program_->arena_bytes);
    if (!scratch_.Reserve(program_->scratch_bytes)) {
      return absl::ResourceExhaustedError("cannot allocate the kernels' scratch memory");
    }
    heap_.resize(pointers_.size());
    for (size_t t = 0; t < pointers_.size(); ++t) {
      const Placement& place = program_->placements[t];
      const TensorState& state = program_->tensors[t];
      shapes_[t] = state.shape;
      sizes_[t] = place.bytes;
      if (place.kind == Placement::Kind::kValue) {
        pointers_[t] = const_cast<std::byte*>(state.value.bytes.data());
      } else if (place.kind == Placement::Kind::kArena && arena_ != nullptr) {
        pointers_[t] = arena_.get() + place.offset;
      }
    }
    BindSteps();
    ResetVariables();
    seconds_.assign(subgraph_.nodes.size(), 0.0);
    return absl::OkStatus();
  }

  const Graph& graph() const override { return *program_->graph; }
  size_t num_inputs() const override { return subgraph_.inputs.size(); }
  size_t num_outputs() const override { return subgraph_.outputs.size(); }

  std::span<std::byte> input(size_t i) override { return Bytes(subgraph_.inputs[i]); }
  const Shape& input_shape(size_t i) const override { return tensor_shape(subgraph_.inputs[i]); }
  std::span<const std::byte> output(size_t i) const override { return Bytes(subgraph_.outputs[i]); }
  const Shape& output_shape(size_t i) const override { return tensor_shape(subgraph_.outputs[i]); }

  absl::Status Run(const Context* context) override {
    if (team_ == nullptr) return RunSteps(context);
    const size_t before = ThreadTeam::SharedLoops();
    absl::Status status;
    const auto run = [&] { status = RunSteps(context); };
    // Calling the team together costs as much as a few loops.
    constexpr size_t kLeastLoops = 4;
    if (shared_loops_ < kLeastLoops) {
      run();
    } else {
      team_->Run(std::cref(run));
    }
    shared_loops_ = ThreadTeam::SharedLoops() - before;
    return status;
  }

  void ResetVariables() override {
    for (size_t t = 0; t < pointers_.size(); ++t) {
      const Tensor& tensor = subgraph_.tensors[t];
      if (!tensor.is_variable || pointers_[t] == nullptr) continue;
      // Real zero, as TFLite's interpreter resets them.
      const int zero = tensor.type == schema::TensorType_INT8 && !tensor.quant.zero_point.empty()
                           ? static_cast<int>(tensor.quant.zero_point[0])
                           : 0;
      std::memset(pointers_[t], zero, sizes_[t]);
    }
    if (own_session_ != nullptr) own_session_->Reset();
  }

  void SetInputResource(size_t i, int32_t resource) override {
    SetResource(subgraph_.inputs[i], resource);
  }
  int32_t output_resource(size_t i) const override { return Resource(subgraph_.outputs[i]); }

  std::span<const std::byte> tensor(int32_t index) const override { return Bytes(index); }
  const Shape& tensor_shape(int32_t index) const override {
    return shapes_[static_cast<size_t>(index)];
  }
  void SetObserver(Observer observer) override { observer_ = std::move(observer); }

  std::string kernel_name(size_t node) const override {
    for (const Step& step : program_->steps) {
      if (step.node == node) return step.kernel.name;
    }
    return "";
  }
  size_t arena_bytes() const override { return program_->arena_bytes; }

  void EnableProfile(bool on) override {
    profile_ = on;
    if (on) seconds_.assign(subgraph_.nodes.size(), 0.0);
  }
  std::vector<double> profile_seconds() const override { return seconds_; }

  absl::StatusOr<std::unique_ptr<Executor>> Clone() const override {
    auto clone = std::make_unique<ExecutorImpl>(program_);
    LS_RETURN_IF_ERROR(clone->Init());
    return std::unique_ptr<Executor>(std::move(clone));
  }

 private:
  using Clock = std::chrono::steady_clock;

  absl::Status RunSteps(const Context* context) {
    for (size_t s = 0; s < program_->steps.size(); ++s) {
      if (context != nullptr) LS_RETURN_IF_ERROR(context->Check());
      const Step& step = program_->steps[s];
      const auto start = profile_ ? Clock::now() : Clock::time_point();
      const bool dynamic = s >= program_->first_dynamic;
      absl::Status status = step.by_executor ? RunCall(step.node, dynamic, context)
                            : dynamic        ? RunDynamic(step.node, s)
                                             : RunKernel(step.kernel, s);
      if (!status.ok()) return Annotate(status, NodeLabel(subgraph_, step.node));
      if (profile_) {
        seconds_[step.node] += std::chrono::duration<double>(Clock::now() - start).count();
      }
      if (observer_) observer_(step.node);
    }
    return absl::OkStatus();
  }

  // The pointer tables that kernels get, made once.
  struct Binding {
    size_t first_input, num_inputs, first_output, num_outputs;
  };

  // A callee uses its caller's threads.
  void InitThreads() {
    if (session_ == nullptr) {
      own_session_ = std::make_unique<CallSession>(program_->graph, program_->options);
      session_ = own_session_.get();
      const int threads = Context{.num_threads = program_->options.num_threads}.Threads();
      if (threads > 1) {
        own_threads_ = std::make_unique<ThreadPool>(threads);
        team_ = std::make_unique<ThreadTeam>(own_threads_.get());
      }
      session_->SetThreads(own_threads_.get());
    }
    threads_ = session_->threads();
  }

  // TensorFrame.
  std::span<std::byte> Bytes(int32_t index) const override {
    const auto t = static_cast<size_t>(index);
    if (pointers_[t] == nullptr) return {};
    return {static_cast<std::byte*>(pointers_[t]), sizes_[t]};
  }

  const Shape& ShapeOf(int32_t index) const override { return tensor_shape(index); }
  absl::Status SetShape(int32_t index, const Shape& shape) override {
    if (call_is_dynamic_) return Resize(index, shape);
    if (tensor_shape(index) == shape) return absl::OkStatus();
    return Invalid("an output has the shape {} where {} was expected", ShapeString(shape),
                   ShapeString(tensor_shape(index)));
  }
  int32_t Resource(int32_t index) const override { return resources_[static_cast<size_t>(index)]; }
  void SetResource(int32_t index, int32_t resource) override {
    resources_[static_cast<size_t>(index)] = resource;
  }

  absl::Status RunCall(size_t n, bool dynamic, const Context* context) {
    call_is_dynamic_ = dynamic;
    return RunExecutorNode(subgraph_, subgraph_.nodes[n], this, session_, context);
  }

  void BindSteps() {
    for (const Step& step : program_->steps) {
      const Node& node = subgraph_.nodes[step.node];
      Binding b{input_table_.size(), node.inputs.size(), output_table_.size(), node.outputs.size()};
      for (int32_t t : node.inputs) input_table_.push_back(Pointer(t));
      for (int32_t t : node.outputs) output_table_.push_back(Pointer(t));
      bindings_.push_back(b);
    }
  }

  void* Pointer(int32_t t) const { return t < 0 ? nullptr : pointers_[static_cast<size_t>(t)]; }

  absl::Status RunKernel(const Kernel& kernel, size_t s) {
    const Binding& b = bindings_[s];
    return kernel.run(RunArgs{{input_table_.data() + b.first_input, b.num_inputs},
                              {output_table_.data() + b.first_output, b.num_outputs},
                              scratch_.memory.get(),
                              threads_});
  }

  // Infers, allocates, prepares and runs a node whose shapes, or whose inputs' shapes, depend on
  // values.
  absl::Status RunDynamic(size_t n, size_t s) {
    const Node& node = subgraph_.nodes[n];
    LS_ASSIGN_OR_RETURN(const OpRecord* op, RunnableOp(node));
    static const std::byte kNoBytes[16] = {};
    std::vector<TensorView> inputs, outputs;
    for (int32_t t : node.inputs) {
      const void* data = Pointer(t) != nullptr ? Pointer(t) : kNoBytes;
      inputs.push_back(MakeView(subgraph_, t, t >= 0 ? &tensor_shape(t) : nullptr, data));
    }
    for (int32_t t : node.outputs) {
      outputs.push_back(MakeView(subgraph_, t, t >= 0 ? &tensor_shape(t) : nullptr, nullptr));
    }
    std::vector<Shape> shapes;
    LS_RETURN_IF_ERROR(InferNode(*op, node, inputs, outputs, &shapes));
    for (size_t i = 0; i < shapes.size(); ++i) {
      outputs[i].shape = shapes[i];
      if (node.outputs[i] >= 0) LS_RETURN_IF_ERROR(Resize(node.outputs[i], shapes[i]));
    }
    PrepareArgs args{node,
                     inputs,
                     outputs,
                     program_->options.kernels,
                     program_->options.arithmetic,
                     threads_ ? threads_->num_threads() : 1};
    const std::vector<TensorView> intermediates = IntermediateViews(subgraph_, node);
    args.intermediates = intermediates;
    LS_ASSIGN_OR_RETURN(Kernel kernel, PrepareKernel(*op, args));
    if (kernel.scratch_bytes > program_->options.memory_budget ||
        !scratch_.Reserve(kernel.scratch_bytes)) {
      return absl::ResourceExhaustedError("the kernel's scratch memory is more than is allowed");
    }
    const Binding& b = bindings_[s];
    for (size_t i = 0; i < b.num_inputs; ++i)
      input_table_[b.first_input + i] = Pointer(node.inputs[i]);
    for (size_t i = 0; i < b.num_outputs; ++i)
      output_table_[b.first_output + i] = Pointer(node.outputs[i]);
    return RunKernel(kernel, s);
  }

  absl::Status Resize(int32_t index, const Shape& shape) {
    const auto t = static_cast<size_t>(index);
    LS_ASSIGN_OR_RETURN(const size_t bytes, TensorBytes(subgraph_.tensors[t].type, shape));
    if (bytes > program_->options.memory_budget || !heap_[t].Reserve(std::max<size_t>(bytes, 1))) {
      return absl::ResourceExhaustedError(fmt::format(
          "an output of shape {} needs more memory than is allowed", ShapeString(shape)));
    }
    shapes_[t] = shape;
    pointers_[t] = heap_[t].memory.get();
    sizes_[t] = bytes;
    return absl::OkStatus();
  }

  std::shared_ptr<const Program> program_;
  std::unique_ptr<ThreadPool> own_threads_;  // outlives the session's callees
  std::unique_ptr<ThreadTeam> team_;         // of these
  std::unique_ptr<CallSession> own_session_;
  CallSession* session_;
  const Subgraph& subgraph_;
  std::vector<Shape> shapes_;
  std::vector<void*> pointers_;
  std::vector<size_t> sizes_;
  std::vector<int32_t> resources_;
  bool call_is_dynamic_ = false;
  AlignedBytes arena_;
  HeapBlock scratch_;
  std::vector<HeapBlock> heap_;
  std::vector<const void*> input_table_;
  std::vector<void*> output_table_;
  std::vector<Binding> bindings_;
  ThreadPool* threads_ = nullptr;
  size_t shared_loops_ = 0;  // of the last Run
  Observer observer_;
  bool profile_ = false;
  std::vector<double> seconds_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Executor>> Executor::Create(std::shared_ptr<const Graph> graph,
                                                           const ExecutorOptions& options) {
  LS_ASSIGN_OR_RETURN(auto program, BuildProgram(std::move(graph), options));
  auto executor = std::make_unique<ExecutorImpl>(std::move(program));
  LS_RETURN_IF_ERROR(executor->Init());
  return std::unique_ptr<Executor>(std::move(executor));
}

absl::StatusOr<std::unique_ptr<SubgraphExecutor>> CreateSubgraphExecutor(
    std::shared_ptr<const Program> program, CallSession* session) {
  auto executor = std::make_unique<ExecutorImpl>(std::move(program), session);
  LS_RETURN_IF_ERROR(executor->Init());
  return std::unique_ptr<SubgraphExecutor>(std::move(executor));
}

absl::StatusOr<InferredShapes> InferAllShapes(const Graph& graph,
                                              const std::vector<Shape>& input_shapes) {
  LS_ASSIGN_OR_RETURN(std::vector<TensorState> states,
                      InitialStates(graph, input_shapes, ExecutorOptions().memory_budget));
  int visits = kShapeVisits;
  const absl::Status inferred = InferSubgraph(graph, 0, &states, &visits);
  if (!absl::IsResourceExhausted(inferred)) LS_RETURN_IF_ERROR(inferred);
  InferredShapes out;
  for (TensorState& state : states) {
    out.shapes.push_back(std::move(state.shape));
    out.known.push_back(state.shape_known);
  }
  return out;
}

absl::StatusOr<std::vector<Tensor>> EvaluateConstantNode(const Graph& graph, const Node& node) {
  // A graph of this node alone: the program builder folds it.
  auto small = std::make_shared<Graph>();
  small->subgraphs.resize(1);
  Subgraph& subgraph = small->main();
  Node copy = node;
  std::vector<int32_t> renamed(graph.main().tensors.size(), -1);
  auto take = [&](int32_t& t) {
    if (t < 0) return;
    int32_t& to = renamed[static_cast<size_t>(t)];
    if (to < 0) to = subgraph.AddTensor(graph.main().tensors[static_cast<size_t>(t)]);
    t = to;
  };
  for (int32_t& t : copy.inputs) take(t);
  for (int32_t& t : copy.outputs) take(t);
  subgraph.outputs = copy.outputs;
  subgraph.nodes.push_back(copy);
  LS_ASSIGN_OR_RETURN(auto program,
                      BuildProgram(small, ExecutorOptions{.kernels = KernelMode::kReference}));
  std::vector<Tensor> out;
  for (int32_t t : copy.outputs) {
    const TensorState* state = t >= 0 ? &program->tensors[static_cast<size_t>(t)] : nullptr;
    if (state == nullptr || !state->has_value) {
      return Invalid("{} cannot be computed ahead: not all of its inputs are constant",
                     NodeLabel(subgraph, 0));
    }
    Tensor tensor = subgraph.tensors[static_cast<size_t>(t)];
    tensor.shape = state->shape;
    tensor.shape_signature.clear();
    tensor.data = state->value;
    out.push_back(std::move(tensor));
  }
  return out;
}

}  // namespace litesmith
