#include "runtime/control_flow.h"

#include <algorithm>
#include <cstring>

namespace litesmith {
namespace {

using schema::BuiltinOperator;

size_t Index(int32_t i) { return static_cast<size_t>(i); }

// A value between two subgraphs.
struct Value {
  Shape shape;
  std::vector<std::byte> bytes;
  int32_t resource = -1;
};

absl::Status CheckCounts(const char* what, size_t has, size_t wants) {
  if (has == wants) return absl::OkStatus();
  return Invalid("its {} has {}, the node has {}", what, wants, has);
}

// The node's tensors against the called subgraph's, pairwise.
absl::Status CheckTypes(const Subgraph& subgraph, std::span<const int32_t> here,
                        const Subgraph& callee, std::span<const int32_t> there) {
  for (size_t i = 0; i < here.size(); ++i) {
    if (here[i] < 0) return Invalid("its operand {} is left out", i);
    const TensorType a = subgraph.tensors[Index(here[i])].type;
    const TensorType b = callee.tensors[Index(there[i])].type;
    if (a != b) {
      return Invalid("it passes {} where its subgraph has {}", TypeName(a), TypeName(b));
    }
    if (TypeSize(a) == 0 && a != schema::TensorType_RESOURCE) {
      return Unsupported("values of type {} cannot be passed to a subgraph", TypeName(a));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckCallee(const Graph& graph, const Subgraph& subgraph, const char* what,
                         int32_t index, std::span<const int32_t> inputs,
                         std::span<const int32_t> outputs) {
  const Subgraph& callee = graph.subgraphs[Index(index)];
  LS_RETURN_IF_ERROR_IN(CheckCounts("inputs", inputs.size(), callee.inputs.size()), what);
  LS_RETURN_IF_ERROR_IN(CheckCounts("outputs", outputs.size(), callee.outputs.size()), what);
  LS_RETURN_IF_ERROR_IN(CheckTypes(subgraph, inputs, callee, callee.inputs), what);
  LS_RETURN_IF_ERROR_IN(CheckTypes(subgraph, outputs, callee, callee.outputs), what);
  return absl::OkStatus();
}

absl::Status CheckIf(const Graph& graph, const Subgraph& subgraph, const Node& node) {
  const auto& o = node.GetOptions<schema::IfOptionsT>();
  if (node.input(0) < 0) return Invalid("the condition is missing");
  if (subgraph.tensors[Index(node.inputs[0])].type != schema::TensorType_BOOL) {
    return Unsupported("a condition that is not BOOL has no kernel");
  }
  const auto inputs = std::span(node.inputs).subspan(1);
  LS_RETURN_IF_ERROR(
      CheckCallee(graph, subgraph, "then", o.then_subgraph_index, inputs, node.outputs));
  return CheckCallee(graph, subgraph, "else", o.else_subgraph_index, inputs, node.outputs);
}

absl::Status CheckWhile(const Graph& graph, const Subgraph& subgraph, const Node& node) {
  const auto& o = node.GetOptions<schema::WhileOptionsT>();
  if (node.inputs.size() != node.outputs.size()) {
    return Invalid("it has {} inputs and {} outputs", node.inputs.size(), node.outputs.size());
  }
  LS_RETURN_IF_ERROR(
      CheckCallee(graph, subgraph, "body", o.body_subgraph_index, node.inputs, node.outputs));
  const Subgraph& condition = graph.subgraphs[Index(o.cond_subgraph_index)];
  LS_RETURN_IF_ERROR(
      CheckCounts("condition's inputs", node.inputs.size(), condition.inputs.size()));
  LS_RETURN_IF_ERROR(CheckTypes(subgraph, node.inputs, condition, condition.inputs));
  if (condition.outputs.size() != 1 ||
      condition.tensors[Index(condition.outputs[0])].type != schema::TensorType_BOOL) {
    return Invalid("its condition must have one output of type BOOL");
  }
  return absl::OkStatus();
}

absl::Status CheckResourceNode(const Subgraph& subgraph, const Node& node, size_t inputs,
                               size_t outputs) {
  if (node.inputs.size() != inputs || node.outputs.size() != outputs) {
    return Invalid("it has {} inputs and {} outputs, {} and {} are needed", node.inputs.size(),
                   node.outputs.size(), inputs, outputs);
  }
  const int32_t handle = inputs > 0 ? node.inputs[0] : node.outputs[0];
  if (handle < 0 || subgraph.tensors[Index(handle)].type != schema::TensorType_RESOURCE) {
    return Invalid("its handle is no RESOURCE");
  }
  const int32_t value = inputs == 2 ? node.inputs[1] : inputs == 1 ? node.outputs[0] : -1;
  if (inputs > 0 && (value < 0 || TypeSize(subgraph.tensors[Index(value)].type) == 0)) {
    return Unsupported("variables of this type have no kernel");
  }
  return absl::OkStatus();
}

bool BoolOf(std::span<const std::byte> bytes) { return !bytes.empty() && bytes[0] != std::byte{0}; }

std::vector<Shape> ShapesOf(const std::vector<Value>& values) {
  std::vector<Shape> shapes;
  for (const Value& v : values) shapes.push_back(v.shape);
  return shapes;
}

Value ValueOf(const TensorFrame& frame, int32_t tensor) {
  const std::span<const std::byte> bytes = frame.Bytes(tensor);
  return {frame.ShapeOf(tensor), {bytes.begin(), bytes.end()}, frame.Resource(tensor)};
}

// Runs a subgraph on `values`.
absl::StatusOr<SubgraphExecutor*> Call(CallSession* session, int32_t subgraph,
                                       const std::vector<Value>& values, const Context* context) {
  const std::string place = fmt::format("subgraph {}", subgraph);
  LS_ASSIGN_OR_RETURN_IN(SubgraphExecutor * callee,
                         session->Callee(Index(subgraph), ShapesOf(values)), place);
  for (size_t i = 0; i < values.size(); ++i) {
    const std::span<std::byte> to = callee->input(i);
    const std::vector<std::byte>& from = values[i].bytes;
    if (to.size() != from.size()) return Internal("an input of {} has another size", place);
    if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
    callee->SetInputResource(i, values[i].resource);
  }
  LS_RETURN_IF_ERROR_IN(callee->Run(context), place);
  return callee;
}

absl::Status CopyOut(const SubgraphExecutor& callee, const Node& node, TensorFrame* frame) {
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    const int32_t t = node.outputs[i];
    LS_RETURN_IF_ERROR(frame->SetShape(t, callee.output_shape(i)));
    const std::span<const std::byte> from = callee.output(i);
    const std::span<std::byte> to = frame->Bytes(t);
    if (to.size() != from.size()) return Internal("an output has another size");
    if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
    frame->SetResource(t, callee.output_resource(i));
  }
  return absl::OkStatus();
}

absl::Status RunIf(const Node& node, TensorFrame* frame, CallSession* session,
                   const Context* context) {
  const auto& o = node.GetOptions<schema::IfOptionsT>();
  const std::span<const std::byte> condition = frame->Bytes(node.inputs[0]);
  if (condition.size() != 1) return Invalid("the condition must have one element");
  const int32_t branch = BoolOf(condition) ? o.then_subgraph_index : o.else_subgraph_index;
  std::vector<Value> values;
  for (size_t i = 1; i < node.inputs.size(); ++i) {
    values.push_back(ValueOf(*frame, node.inputs[i]));
  }
  LS_ASSIGN_OR_RETURN(const SubgraphExecutor* callee, Call(session, branch, values, context));
  return CopyOut(*callee, node, frame);
}

// The next iteration's values, within the memory budget.
absl::Status TakeOutputs(const SubgraphExecutor& callee, uint64_t budget,
                         std::vector<Value>* values) {
  uint64_t total = 0;
  for (size_t i = 0; i < values->size(); ++i) {
    const std::span<const std::byte> bytes = callee.output(i);
    total += bytes.size();
    if (total > budget) {
      return absl::ResourceExhaustedError("the loop's values need more memory than is allowed");
    }
    Value& v = (*values)[i];
    v.shape = callee.output_shape(i);
    v.bytes.assign(bytes.begin(), bytes.end());
    v.resource = callee.output_resource(i);
  }
  return absl::OkStatus();
}

absl::Status RunWhile(const Node& node, TensorFrame* frame, CallSession* session,
                      const Context* context) {
  const auto& o = node.GetOptions<schema::WhileOptionsT>();
  std::vector<Value> values;
  for (int32_t t : node.inputs) values.push_back(ValueOf(*frame, t));
  while (true) {
    if (context != nullptr) LS_RETURN_IF_ERROR(context->Check());
    LS_ASSIGN_OR_RETURN(const SubgraphExecutor* condition,
                        Call(session, o.cond_subgraph_index, values, context));
    if (condition->output(0).size() != 1) return Invalid("the condition must have one element");
    if (!BoolOf(condition->output(0))) break;
    LS_ASSIGN_OR_RETURN(const SubgraphExecutor* body,
                        Call(session, o.body_subgraph_index, values, context));
    LS_RETURN_IF_ERROR(TakeOutputs(*body, session->memory_budget(), &values));
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const int32_t t = node.outputs[i];
    LS_RETURN_IF_ERROR(frame->SetShape(t, values[i].shape));
    const std::span<std::byte> to = frame->Bytes(t);
    if (to.size() != values[i].bytes.size()) return Internal("an output has another size");
    if (!to.empty()) std::memcpy(to.data(), values[i].bytes.data(), to.size());
    frame->SetResource(t, values[i].resource);
  }
  return absl::OkStatus();
}

absl::Status RunCallOnce(const Node& node, CallSession* session, const Context* context) {
  const int32_t init = node.GetOptions<schema::CallOnceOptionsT>().init_subgraph_index;
  if (!session->FirstCall(Index(init))) return absl::OkStatus();
  return Call(session, init, {}, context).status();
}

absl::Status ReadVariable(const Subgraph& subgraph, const Node& node, TensorFrame* frame,
                          CallSession* session) {
  const CallSession::Resource* r = session->FindResource(frame->Resource(node.inputs[0]));
  if (r == nullptr) return Internal("its handle names no variable");
  if (!r->assigned) return Invalid("the variable '{}' has no value yet", Printable(r->name));
  const Tensor& to = subgraph.tensors[Index(node.outputs[0])];
  if (r->type != to.type) {
    return Invalid("the variable '{}' is {}, the output {}", Printable(r->name), TypeName(r->type),
                   TypeName(to.type));
  }
  LS_RETURN_IF_ERROR(frame->SetShape(node.outputs[0], r->shape));
  const std::span<std::byte> bytes = frame->Bytes(node.outputs[0]);
  if (bytes.size() != r->bytes.size()) return Internal("the variable has another size");
  if (!bytes.empty()) std::memcpy(bytes.data(), r->bytes.data(), bytes.size());
  return absl::OkStatus();
}

// A file that leaves the rank open, or a dimension, promises nothing.
bool DeclaresShape(const Tensor& tensor) {
  const Shape& s = tensor.shape_signature;
  return tensor.has_rank && std::find(s.begin(), s.end(), -1) == s.end() &&
         std::find(tensor.shape.begin(), tensor.shape.end(), -1) == tensor.shape.end();
}

std::optional<std::vector<Shape>> CalleeShapes(const Graph& graph, int32_t index,
                                               std::span<const int32_t> inputs,
                                               const std::vector<TensorState>& tensors,
                                               int* visits) {
  std::vector<Shape> shapes;
  for (int32_t t : inputs) {
    if (t < 0 || !tensors[Index(t)].shape_known) return std::nullopt;
    shapes.push_back(tensors[Index(t)].shape);
  }
  const Subgraph& callee = graph.subgraphs[Index(index)];
  if (callee.inputs.size() != shapes.size()) return std::nullopt;
  if (*visits <= 0) return std::nullopt;
  auto states = InitialStates(graph, shapes, 0, Index(index));
  if (!states.ok() || !InferSubgraph(graph, Index(index), &*states, visits).ok())
    return std::nullopt;
  std::vector<Shape> out;
  for (int32_t t : callee.outputs) {
    if (!(*states)[Index(t)].shape_known) return std::nullopt;
    out.push_back((*states)[Index(t)].shape);
  }
  return out;
}

}  // namespace

CallSession::CallSession(std::shared_ptr<const Graph> graph, ExecutorOptions options)
    : graph_(std::move(graph)),
      options_(std::move(options)),
      callees_(graph_->subgraphs.size()),
      called_(graph_->subgraphs.size(), false) {
  options_.keep_all = false;
}

CallSession::~CallSession() = default;

absl::StatusOr<SubgraphExecutor*> CallSession::Callee(size_t subgraph,
                                                      const std::vector<Shape>& shapes) {
  Entry& entry = callees_[subgraph];
  if (entry.executor != nullptr && entry.shapes == shapes) return entry.executor.get();
  entry.executor.reset();
  ExecutorOptions options = options_;
  options.input_shapes = shapes;
  uint64_t used = 0;
  for (const Entry& other : callees_) {
    if (other.executor != nullptr) used += other.executor->arena_bytes();
  }
  options.memory_budget -= std::min(used, options.memory_budget);
  LS_ASSIGN_OR_RETURN(auto program, BuildProgram(graph_, options, subgraph));
  LS_ASSIGN_OR_RETURN(entry.executor, CreateSubgraphExecutor(std::move(program), this));
  entry.shapes = shapes;
  return entry.executor.get();
}

void CallSession::Reset() {
  for (Entry& entry : callees_) {
    if (entry.executor != nullptr) entry.executor->ResetVariables();
  }
  called_.assign(called_.size(), false);
  for (Resource& r : resources_) {
    r.assigned = false;
    r.bytes.clear();
  }
}

int32_t CallSession::ResourceNumber(const std::string& container, const std::string& name) {
  const auto [at, fresh] =
      numbers_.try_emplace({container, name}, static_cast<int32_t>(resources_.size()));
  if (fresh) {
    resources_.emplace_back();
    resources_.back().name = name;
  }
  return at->second;
}

CallSession::Resource* CallSession::FindResource(int32_t number) {
  return number < 0 || Index(number) >= resources_.size() ? nullptr : &resources_[Index(number)];
}

absl::Status CallSession::Assign(int32_t number, TensorType type, const Shape& shape,
                                 std::span<const std::byte> bytes) {
  Resource* r = FindResource(number);
  if (r == nullptr) return Internal("its handle names no variable");
  uint64_t total = bytes.size();
  for (const Resource& other : resources_) total += &other == r ? 0 : other.bytes.size();
  if (total > options_.memory_budget) {
    return absl::ResourceExhaustedError("the variables need more memory than is allowed");
  }
  r->assigned = true;
  r->type = type;
  r->shape = shape;
  r->bytes.assign(bytes.begin(), bytes.end());
  return absl::OkStatus();
}

bool CallSession::FirstCall(size_t subgraph) {
  const bool first = !called_[subgraph];
  called_[subgraph] = true;
  return first;
}

absl::Status CheckExecutorNode(const Graph& graph, const Subgraph& subgraph, const Node& node) {
  switch (node.op) {
    case schema::BuiltinOperator_IF:
      return CheckIf(graph, subgraph, node);
    case schema::BuiltinOperator_WHILE:
      return CheckWhile(graph, subgraph, node);
    case schema::BuiltinOperator_CALL_ONCE:
      if (!node.inputs.empty() || !node.outputs.empty()) {
        return Invalid("it takes no inputs and has no outputs");
      }
      return CheckCallee(graph, subgraph, "init subgraph",
                         node.GetOptions<schema::CallOnceOptionsT>().init_subgraph_index, {}, {});
    case schema::BuiltinOperator_VAR_HANDLE:
      return CheckResourceNode(subgraph, node, 0, 1);
    case schema::BuiltinOperator_READ_VARIABLE:
      return CheckResourceNode(subgraph, node, 1, 1);
    case schema::BuiltinOperator_ASSIGN_VARIABLE:
      return CheckResourceNode(subgraph, node, 2, 0);
    default:
      return Internal("the executor does not run this operator");
  }
}

absl::Status RunExecutorNode(const Subgraph& subgraph, const Node& node, TensorFrame* frame,
                             CallSession* session, const Context* context) {
  switch (node.op) {
    case schema::BuiltinOperator_IF:
      return RunIf(node, frame, session, context);
    case schema::BuiltinOperator_WHILE:
      return RunWhile(node, frame, session, context);
    case schema::BuiltinOperator_CALL_ONCE:
      return RunCallOnce(node, session, context);
    case schema::BuiltinOperator_VAR_HANDLE: {
      const auto& o = node.GetOptions<schema::VarHandleOptionsT>();
      LS_RETURN_IF_ERROR(frame->SetShape(node.outputs[0], frame->ShapeOf(node.outputs[0])));
      frame->SetResource(node.outputs[0], session->ResourceNumber(o.container, o.shared_name));
      return absl::OkStatus();
    }
    case schema::BuiltinOperator_READ_VARIABLE:
      return ReadVariable(subgraph, node, frame, session);
    case schema::BuiltinOperator_ASSIGN_VARIABLE: {
      const int32_t value = node.inputs[1];
      return session->Assign(frame->Resource(node.inputs[0]), subgraph.tensors[Index(value)].type,
                             frame->ShapeOf(value), frame->Bytes(value));
    }
    default:
      return Internal("the executor does not run this operator");
  }
}

std::optional<std::vector<Shape>> ExecutorNodeShapes(const Graph& graph, const Subgraph& subgraph,
                                                     const Node& node,
                                                     const std::vector<TensorState>& tensors,
                                                     int* visits) {
  switch (node.op) {
    case schema::BuiltinOperator_IF: {
      const auto& o = node.GetOptions<schema::IfOptionsT>();
      const auto inputs = std::span(node.inputs).subspan(std::min<size_t>(1, node.inputs.size()));
      auto yes = CalleeShapes(graph, o.then_subgraph_index, inputs, tensors, visits);
      auto no = CalleeShapes(graph, o.else_subgraph_index, inputs, tensors, visits);
      return yes == no ? yes : std::nullopt;
    }
    case schema::BuiltinOperator_WHILE: {
      const auto& o = node.GetOptions<schema::WhileOptionsT>();
      auto out = CalleeShapes(graph, o.body_subgraph_index, node.inputs, tensors, visits);
      for (size_t i = 0; out.has_value() && i < out->size(); ++i) {
        if ((*out)[i] != tensors[Index(node.inputs[i])].shape) out.reset();
      }
      return out;
    }
    case schema::BuiltinOperator_READ_VARIABLE: {
      const Tensor& to = subgraph.tensors[Index(node.outputs[0])];
      if (!DeclaresShape(to)) return std::nullopt;
      return std::vector<Shape>{to.shape};
    }
    case schema::BuiltinOperator_VAR_HANDLE:
      return std::vector<Shape>{subgraph.tensors[Index(node.outputs[0])].shape};
    default:
      return std::vector<Shape>();
  }
}

absl::Status InferSubgraph(const Graph& graph, size_t index, std::vector<TensorState>* states,
                           int* visits) {
  const Subgraph& subgraph = graph.subgraphs[index];
  *visits =
      std::max(-1, *visits - static_cast<int>(std::min<size_t>(states->size(), kShapeVisits)));
  for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
    if (*visits <= 0) return absl::ResourceExhaustedError("too many nodes to follow the shapes");
    --*visits;
    const Node& node = subgraph.nodes[n];
    const OpRecord* op = FindOp(node);
    if (op == nullptr) continue;
    std::vector<Shape> shapes;
    if (op->run_by_executor) {
      LS_RETURN_IF_ERROR_IN(CheckExecutorNode(graph, subgraph, node), NodeLabel(subgraph, n));
      auto sure = ExecutorNodeShapes(graph, subgraph, node, *states, visits);
      if (!sure.has_value()) continue;
      shapes = *std::move(sure);
    } else {
      const bool ready = std::all_of(node.inputs.begin(), node.inputs.end(), [&](int32_t t) {
        return t < 0 || (*states)[Index(t)].shape_known;
      });
      if (op->infer_shapes == nullptr || !ready) continue;
      const auto inputs = InputViews(subgraph, node, *states);
      const auto outputs = OutputViews(subgraph, node, *states);
      const absl::Status status = InferNode(*op, node, inputs, outputs, &shapes);
      if (IsNeedsValue(status)) continue;
      LS_RETURN_IF_ERROR_IN(status, NodeLabel(subgraph, n));
    }
    for (size_t i = 0; i < shapes.size(); ++i) {
      if (node.outputs[i] < 0) continue;
      TensorState& state = (*states)[Index(node.outputs[i])];
      state.shape = shapes[i];
      state.shape_known = true;
    }
  }
  return absl::OkStatus();
}

}  // namespace litesmith
