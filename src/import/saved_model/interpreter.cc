#include "import/saved_model/interpreter.h"

#include <algorithm>

#include "import/saved_model/lower.h"
#include "import/saved_model/types.h"

namespace litesmith::saved_model {
namespace {

constexpr int kDeepestCall = 100;
constexpr size_t kMostSteps = 2'000'000;
constexpr size_t kStepBytes = 2048;  // what a lowered node takes, about
constexpr size_t kMostListed = 20;   // nodes in one message

std::string FunctionName(const proto::Node& node, const char* attribute) {
  const auto found = node.attr().find(attribute);
  return found == node.attr().end() ? "" : found->second.func().name();
}

bool IsCall(std::string_view op) {
  return op == "PartitionedCall" || op == "StatefulPartitionedCall" || op == "RemoteCall";
}

bool StartsWith(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

// An operator that there is a lowering for, or that the interpreter handles itself.
bool IsKnown(std::string_view op) {
  constexpr std::string_view kOwn[] = {"ReadVariableOp", "DisableCopyOnRead", "ResourceGather",
                                       "While",          "StatelessWhile",    "If",
                                       "StatelessIf",    "EmptyTensorList"};
  return FindLowering(op) != nullptr || StartsWith(op, "TensorList") ||
         std::find(std::begin(kOwn), std::end(kOwn), op) != std::end(kOwn);
}

}  // namespace

Interpreter::Interpreter(const proto::MetaGraph& model,
                         const std::map<std::string, std::string, std::less<>>& keys,
                         Bundle* bundle, Emitter* emitter)
    : model_(model), keys_(keys), bundle_(*bundle), e_(*emitter) {
  for (const proto::FunctionDef& f : model.graph_def().library().function()) {
    functions_.emplace(f.signature().name(), &f);
  }
  for (const proto::Op& op : model.meta_info_def().stripped_op_list().op()) {
    ops_.emplace(op.name(), &op);
  }
  main_scope_ = MakeScope(model.graph_def().node());
  main_.scope = &main_scope_;
  most_steps_ =
      static_cast<size_t>(std::min<uint64_t>(kMostSteps, e_.context().memory_budget / kStepBytes));
}

void Interpreter::SetInput(std::string_view name, int32_t tensor) {
  inputs_.emplace(ParseInput(name).node, tensor);
}

Interpreter::Scope Interpreter::MakeScope(const Nodes& nodes) const {
  Scope scope;
  for (const proto::Node& node : nodes) {
    scope.nodes.emplace(node.name(), &node);
    if (StartsWith(node.op(), "Assign")) scope.assigns.push_back(&node);
  }
  return scope;
}

absl::StatusOr<const Interpreter::Scope*> Interpreter::FunctionScope(const std::string& name) {
  if (const auto found = scopes_.find(name); found != scopes_.end()) return &found->second;
  const auto function = functions_.find(name);
  if (function == functions_.end()) {
    return Invalid("the model has no function '{}'; save it again", Printable(name));
  }
  const proto::FunctionDef& f = *function->second;
  Scope scope = MakeScope(f.node_def());
  for (int i = 0; i < f.signature().input_arg_size(); ++i) {
    scope.arguments.emplace(f.signature().input_arg(i).name(), static_cast<size_t>(i));
  }
  for (const auto& result : f.signature().output_arg()) {
    const auto ret = f.ret().find(result.name());
    if (ret == f.ret().end()) {
      return Invalid("function '{}' does not return '{}'", Printable(name),
                     Printable(result.name()));
    }
    scope.results.push_back(ret->second);
  }
  return &scopes_.emplace(name, std::move(scope)).first->second;
}

absl::StatusOr<int32_t> Interpreter::Evaluate(const std::string& name) {
  LS_ASSIGN_OR_RETURN(const Value value, Get(&main_, name));
  if (value.kind == Value::Kind::kTensor) return value.tensor;
  if (value.kind == Value::Kind::kFailed) return -1;
  return Unsupported("output '{}' is no tensor", Printable(name));
}

absl::Status Interpreter::Problems() const {
  if (problems_.empty()) return absl::OkStatus();
  std::string list;
  for (size_t i = 0; i < std::min(problems_.size(), kMostListed); ++i) {
    if (i > 0) list += "; ";
    list += problems_[i];
  }
  if (problems_.size() > kMostListed) {
    list += fmt::format(" and {} more", problems_.size() - kMostListed);
  }
  return Unsupported("{} node{} cannot be imported: {}", problems_.size(),
                     problems_.size() == 1 ? "" : "s", list);
}

void Interpreter::NoteProblem(const proto::Node& node, std::string_view reason) {
  if (!with_problem_.insert(&node).second) return;
  std::string text = fmt::format("{} '{}'", Printable(node.op()), Printable(node.name()));
  if (!reason.empty()) text += fmt::format(" ({})", reason);
  problems_.push_back(std::move(text));
}

// ---- The walk

int Interpreter::FirstOutput(const proto::Node& node, std::string_view output) const {
  const auto found = ops_.find(node.op());
  if (output.empty() || found == ops_.end()) return 0;
  int64_t first = 0;
  for (const auto& arg : found->second->output_arg()) {
    if (arg.name() == output) break;
    int64_t count = 1;
    if (!arg.number_attr().empty()) {
      const auto attr = node.attr().find(arg.number_attr());
      count = attr == node.attr().end() ? 0 : attr->second.i();
    } else if (!arg.type_list_attr().empty()) {
      const auto attr = node.attr().find(arg.type_list_attr());
      count = attr == node.attr().end() ? 0 : attr->second.list().type_size();
    }
    first = std::clamp<int64_t>(first + std::clamp<int64_t>(count, 0, 1 << 20), 0, 1 << 20);
  }
  return static_cast<int>(first);
}

Value Interpreter::Done(const Frame& frame, const InputName& name) const {
  const auto node = frame.scope->nodes.find(name.node);
  if (node == frame.scope->nodes.end()) return {};
  const auto done = frame.done.find(node->second);
  if (done == frame.done.end()) return {};
  const Values& values = done->second;
  if (!values.empty() && values[0].kind == Value::Kind::kFailed) return Value::Failed();
  const auto index = static_cast<size_t>(name.index + FirstOutput(*node->second, name.output));
  return index < values.size() ? values[index] : Value{};
}

absl::StatusOr<Value> Interpreter::Get(Frame* frame, std::string_view reference) {
  const InputName name = ParseInput(reference);
  if (const auto argument = frame->scope->arguments.find(name.node);
      argument != frame->scope->arguments.end()) {
    if (argument->second >= frame->arguments.size()) {
      return Invalid("a function is called with too few arguments; save the model again");
    }
    return frame->arguments[argument->second];
  }
  const auto node = frame->scope->nodes.find(name.node);
  if (node == frame->scope->nodes.end()) {
    return Invalid("there is no node '{}', which is referred to; save the model again",
                   Printable(name.node));
  }
  if (!frame->done.contains(node->second)) LS_RETURN_IF_ERROR(Walk(frame, node->second));
  return Done(*frame, name);
}

// Depth first without recursion: graphs may be as deep as they have nodes.
absl::Status Interpreter::Walk(Frame* frame, const proto::Node* target) {
  struct Visit {
    const proto::Node* node;
    int next_input;
  };
  std::vector<Visit> stack = {{target, 0}};
  frame->open.insert(target);
  while (!stack.empty()) {
    Visit& visit = stack.back();
    const proto::Node& node = *visit.node;
    if (visit.next_input < node.input_size()) {
      const InputName input = ParseInput(node.input(visit.next_input++));
      if (input.control || frame->scope->arguments.contains(input.node)) continue;
      const auto producer = frame->scope->nodes.find(input.node);
      if (producer == frame->scope->nodes.end()) {
        return Invalid("node '{}' reads '{}', which is not there; save the model again",
                       Printable(node.name()), Printable(input.node));
      }
      if (frame->done.contains(producer->second)) continue;
      if (!frame->open.insert(producer->second).second) {
        return Unsupported(
            "node '{}' is part of a cycle (a loop of TensorFlow 1); save the model "
            "with TensorFlow 2",
            Printable(producer->second->name()));
      }
      stack.push_back({producer->second, 0});
      continue;
    }
    LS_ASSIGN_OR_RETURN(Values values, Run(frame, node));
    frame->done.emplace(&node, std::move(values));
    frame->open.erase(&node);
    stack.pop_back();
  }
  return absl::OkStatus();
}

absl::StatusOr<Values> Interpreter::Run(Frame* frame, const proto::Node& node) {
  if (++steps_ > most_steps_) {
    return Unsupported("the model is too large: more than {} nodes after inlining and unrolling",
                       most_steps_);
  }
  if (steps_ % 64 == 0) LS_RETURN_IF_ERROR(e_.context().Check());
  Values in;
  bool failed = false;
  for (const std::string& input : node.input()) {
    const InputName name = ParseInput(input);
    if (name.control) continue;
    LS_ASSIGN_OR_RETURN(Value value, Get(frame, input));
    failed = failed || value.kind == Value::Kind::kFailed;
    in.push_back(std::move(value));
  }
  // What follows a node that cannot be imported is only looked at, so that all of them are listed.
  if (failed && !IsCall(node.op())) {
    if (!IsKnown(node.op())) NoteProblem(node, "");
    return Values{Value::Failed()};
  }
  e_.SetSource(node.name());
  auto values = RunUnchecked(node, in);
  if (values.ok()) return values;
  if (absl::IsUnimplemented(values.status())) {
    NoteProblem(node, Message(values.status()));
    return Values{Value::Failed()};
  }
  // Called functions have named the node already.
  if (IsCall(node.op()) || !absl::IsInvalidArgument(values.status())) return values.status();
  return Annotate(values.status(),
                  fmt::format("{} '{}'", Printable(node.op()), Printable(node.name())));
}

absl::StatusOr<Values> Interpreter::RunUnchecked(const proto::Node& node, const Values& in) {
  const std::string_view op = node.op();
  if (op == "NoOp" || op == "ControlTrigger") return Values{};
  if (op == "Const") return RunConst(node);
  if (const auto input = inputs_.find(node.name());
      input != inputs_.end() && StartsWith(op, "Placeholder")) {
    return Values{Value::Of(input->second)};
  }
  if (op == "Placeholder") return Unsupported("it is no input of the signature");
  if (op == "VarHandleOp" || op == "VariableV2") {
    const Value handle{Value::Kind::kVariable, -1, &node, nullptr};
    return Values{handle};
  }
  if (op == "ReadVariableOp" && in.size() == 1) {
    LS_ASSIGN_OR_RETURN(Value value, ReadVariable(in[0]));
    return Values{std::move(value)};
  }
  if ((op == "Identity" || op == "DisableCopyOnRead") && in.size() == 1) return in;
  if (op == "IdentityN") return in;
  if (IsCall(op)) return Call(FunctionName(node, "f"), in);
  if (functions_.contains(op)) return Call(node.op(), in);
  if (op == "While" || op == "StatelessWhile") return RunWhile(node, in);
  if (op == "If" || op == "StatelessIf") return RunIf(node, in);
  if (StartsWith(op, "TensorList") || op == "EmptyTensorList") return RunList(node, in);
  return RunLowering(node, in);
}

absl::StatusOr<Values> Interpreter::RunLowering(const proto::Node& node, const Values& in) {
  const bool gather = node.op() == "ResourceGather";
  const Lowering* lowering = FindLowering(gather ? "Gather" : node.op());
  if (lowering == nullptr) return absl::UnimplementedError("");
  Tensors tensors;
  for (const Value& value : in) {
    Value read = value;
    if (value.kind == Value::Kind::kVariable) {
      LS_ASSIGN_OR_RETURN(read, ReadVariable(value));
    }
    if (read.kind != Value::Kind::kTensor) return Unsupported("one of its inputs is no tensor");
    tensors.push_back(read.tensor);
  }
  if (tensors.size() < lowering->inputs) {
    return Invalid("it has {} inputs, not {}", tensors.size(), lowering->inputs);
  }
  NodeContext context(node, std::move(tensors), &e_);
  LS_ASSIGN_OR_RETURN(const Tensors outputs, lowering->lower(context));
  Values out;
  for (int32_t t : outputs) out.push_back(Value::Of(t));
  return out;
}

absl::StatusOr<Values> Interpreter::RunConst(const proto::Node& node) {
  if (const auto found = constants_.find(&node); found != constants_.end()) return found->second;
  const auto attr = node.attr().find("value");
  if (attr == node.attr().end()) return Invalid("it has no value");
  const proto::Tensor& tensor = attr->second.tensor();
  if (tensor.dtype() == kString) return Values{Value{}};
  LS_ASSIGN_OR_RETURN(const TensorType type, DenseType(tensor.dtype()));
  LS_ASSIGN_OR_RETURN(Shape shape, ReadShape(tensor.tensor_shape(), false));
  LS_ASSIGN_OR_RETURN(Blob data, ReadConstant(tensor, type, shape, e_.context().memory_budget));
  LS_ASSIGN_OR_RETURN(const int32_t t, e_.Constant(type, std::move(shape), std::move(data)));
  return constants_.emplace(&node, Values{Value::Of(t)}).first->second;
}

absl::StatusOr<Value> Interpreter::ReadVariable(const Value& handle) {
  if (handle.kind != Value::Kind::kVariable) return Unsupported("it reads no variable");
  const std::string& name = handle.variable->name();
  read_.insert(name);
  if (const auto found = variables_.find(name); found != variables_.end()) {
    return Value::Of(found->second);
  }
  const auto key = keys_.find(name);
  if (key == keys_.end()) {
    return Invalid(
        "the value of variable '{}' is not found in the checkpoint; save the model again",
        Printable(name));
  }
  LS_ASSIGN_OR_RETURN(StoredTensor stored, bundle_.Read(key->second));
  LS_ASSIGN_OR_RETURN(const int32_t t, e_.Constant(stored.type, std::move(stored.shape),
                                                   std::move(stored.data), name));
  variables_.emplace(name, t);
  return Value::Of(t);
}

// ---- Functions, loops, branches

void Interpreter::NoteAssigned(const Scope& scope, const Values& arguments) {
  for (const proto::Node* node : scope.assigns) {
    assigns_ = true;
    if (node->input_size() == 0) continue;
    const auto argument = scope.arguments.find(ParseInput(node->input(0)).node);
    if (argument == scope.arguments.end() || argument->second >= arguments.size()) continue;
    const Value& handle = arguments[argument->second];
    if (handle.kind == Value::Kind::kVariable) assigned_.insert(handle.variable->name());
  }
}

absl::Status Interpreter::CheckStateless() const {
  for (const std::string& name : assigned_) {
    if (!read_.contains(name)) continue;
    return Unsupported(
        "the model keeps a state: it reads the variable '{}' and changes it while it runs; save it "
        "without (Keras' stateful=False), the .tflite keeps nothing between calls",
        Printable(name));
  }
  return absl::OkStatus();
}

absl::StatusOr<Values> Interpreter::Call(const std::string& function, const Values& arguments) {
  LS_ASSIGN_OR_RETURN(const Scope* scope, FunctionScope(function));
  if (depth_ >= kDeepestCall) return Invalid("functions call each other without end");
  NoteAssigned(*scope, arguments);
  ++depth_;
  Frame frame;
  frame.scope = scope;
  frame.arguments = arguments;
  Values out;
  absl::Status status;
  for (const std::string& result : scope->results) {
    auto value = Get(&frame, result);
    status = value.status();
    if (!status.ok()) break;
    out.push_back(std::move(*value));
  }
  --depth_;
  if (!status.ok()) return status;
  return out;
}

absl::StatusOr<int64_t> Interpreter::KnownNumber(const Value& value, const char* what) const {
  const auto known = value.kind == Value::Kind::kTensor ? e_.KnownInts(value.tensor) : std::nullopt;
  if (!known || known->size() != 1 || (*known)[0] == kOpen) {
    return Unsupported("{} is not known before the model runs; save it with fixed input shapes",
                       what);
  }
  return (*known)[0];
}

absl::StatusOr<Values> Interpreter::RunWhile(const proto::Node& node, Values state) {
  const std::string cond = FunctionName(node, "cond"), body = FunctionName(node, "body");
  for (;;) {
    LS_ASSIGN_OR_RETURN(const Values go_on, Call(cond, state));
    if (go_on.size() != 1) return Invalid("its condition is no single value");
    if (go_on[0].kind == Value::Kind::kFailed) return Values{Value::Failed()};
    LS_ASSIGN_OR_RETURN(const int64_t more, KnownNumber(go_on[0], "the number of its rounds"));
    if (more == 0) return state;
    const size_t count = state.size();
    const size_t problems = problems_.size();
    LS_ASSIGN_OR_RETURN(state, Call(body, state));
    if (state.size() != count) return Invalid("its body returns {} values", state.size());
    if (problems_.size() != problems) return Values{Value::Failed()};
  }
}

// A branch that is known is taken; otherwise both are computed and one result is chosen.
absl::StatusOr<Values> Interpreter::RunIf(const proto::Node& node, const Values& in) {
  if (in.empty() || in[0].kind != Value::Kind::kTensor) return Invalid("it has no condition");
  const std::string yes = FunctionName(node, "then_branch");
  const std::string no = FunctionName(node, "else_branch");
  const Values arguments(in.begin() + 1, in.end());
  const int32_t condition = in[0].tensor;
  if (const auto known = e_.KnownInts(condition); known && known->size() == 1) {
    if (e_.IsConstant(condition)) return Call((*known)[0] != 0 ? yes : no, arguments);
  }
  LS_ASSIGN_OR_RETURN(const Values a, Call(yes, arguments));
  LS_ASSIGN_OR_RETURN(const Values b, Call(no, arguments));
  if (a.size() != b.size()) return Invalid("its branches differ in the number of results");
  e_.SetSource(node.name());
  Values out;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].kind == Value::Kind::kFailed || b[i].kind == Value::Kind::kFailed) {
      return Values{Value::Failed()};
    }
    if (a[i].kind != Value::Kind::kTensor || b[i].kind != Value::Kind::kTensor ||
        e_.shape(a[i].tensor) != e_.shape(b[i].tensor) ||
        e_.type(condition) != schema::TensorType_BOOL) {
      return Unsupported("its branches differ in the shapes of their results");
    }
    LS_ASSIGN_OR_RETURN(const auto chosen,
                        e_.Emit(schema::BuiltinOperator_SELECT_V2, Options(),
                                {condition, a[i].tensor, b[i].tensor}, {e_.type(a[i].tensor)}));
    out.push_back(Value::Of(chosen[0]));
  }
  return out;
}

// ---- Lists of tensors

// Items that were never set are zeros, like the others.
absl::StatusOr<Value> Interpreter::Stack(const std::vector<Value>& items) {
  const auto set = std::find_if(items.begin(), items.end(),
                                [](const Value& v) { return v.kind == Value::Kind::kTensor; });
  if (set == items.end()) return Unsupported("it stacks a list of which nothing was set");
  Tensors tensors;
  for (const Value& item : items) {
    int32_t t = item.tensor;
    if (item.kind != Value::Kind::kTensor) {
      LS_ASSIGN_OR_RETURN(t, e_.Emit(schema::BuiltinOperator_ZEROS_LIKE, {set->tensor}));
    }
    tensors.push_back(t);
  }
  schema::PackOptionsT options;
  options.values_count = static_cast<int32_t>(tensors.size());
  LS_ASSIGN_OR_RETURN(const int32_t t,
                      e_.Emit(schema::BuiltinOperator_PACK, Options(std::move(options)), tensors));
  return Value::Of(t);
}

absl::StatusOr<Values> Interpreter::RunList(const proto::Node& node, const Values& in) {
  constexpr int64_t kLongest = 1 << 14;
  const std::string_view op = node.op();
  const auto is_list = [&](size_t i) { return i < in.size() && in[i].kind == Value::Kind::kList; };
  const auto make = [](std::vector<Value> items) {
    return Values{Value{Value::Kind::kList, -1, nullptr,
                        std::make_shared<const std::vector<Value>>(std::move(items))}};
  };
  if (op == "EmptyTensorList") return make({});
  if (op == "TensorListReserve" && in.size() == 2) {
    LS_ASSIGN_OR_RETURN(const int64_t count, KnownNumber(in[1], "the length of the list"));
    if (count < 0 || count > kLongest) return Unsupported("a list of {} tensors", count);
    return make(std::vector<Value>(static_cast<size_t>(count)));
  }
  if (op == "TensorListFromTensor" && !in.empty() && in[0].kind == Value::Kind::kTensor) {
    const Shape shape = e_.shape(in[0].tensor);
    if (shape.empty() || shape[0] < 0 || shape[0] > kLongest) {
      return Unsupported(
          "the number of steps must be known; save the model with a fixed input shape");
    }
    schema::UnpackOptionsT options;
    options.num = shape[0];
    LS_ASSIGN_OR_RETURN(
        const auto parts,
        e_.Emit(schema::BuiltinOperator_UNPACK, Options(std::move(options)), {in[0].tensor},
                std::vector<TensorType>(static_cast<size_t>(shape[0]), e_.type(in[0].tensor))));
    std::vector<Value> items;
    for (int32_t t : parts) items.push_back(Value::Of(t));
    return make(std::move(items));
  }
  if (!is_list(0)) return absl::UnimplementedError("");
  const std::vector<Value>& list = *in[0].list;
  if (op == "TensorListStack") {
    LS_ASSIGN_OR_RETURN(Value stacked, Stack(list));
    return Values{std::move(stacked)};
  }
  if (op == "TensorListLength") {
    LS_ASSIGN_OR_RETURN(const int32_t t, e_.Scalar(static_cast<int32_t>(list.size())));
    return Values{Value::Of(t)};
  }
  if (op == "TensorListPushBack" && in.size() == 2) {
    std::vector<Value> items = list;
    items.push_back(in[1]);
    if (items.size() > static_cast<size_t>(kLongest)) return Unsupported("the list is too long");
    return make(std::move(items));
  }
  const bool get = op == "TensorListGetItem" && in.size() >= 2;
  const bool set = op == "TensorListSetItem" && in.size() >= 3;
  if (!get && !set) return absl::UnimplementedError("");
  LS_ASSIGN_OR_RETURN(const int64_t index, KnownNumber(in[1], "the place in the list"));
  if (index < 0 || static_cast<size_t>(index) >= list.size()) {
    return Invalid("item {} of a list of {}", index, list.size());
  }
  const auto at = static_cast<size_t>(index);
  if (get) {
    if (list[at].kind != Value::Kind::kTensor) return Unsupported("the item was never set");
    return Values{list[at]};
  }
  std::vector<Value> items = list;
  items[at] = in[2];
  return make(std::move(items));
}

}  // namespace litesmith::saved_model
