#ifndef LITESMITH_IMPORT_SAVED_MODEL_INTERPRETER_H_
#define LITESMITH_IMPORT_SAVED_MODEL_INTERPRETER_H_

// Walks a TensorFlow graph from the wanted outputs and lowers what it meets: functions are inlined
// where they are called, variables are frozen, loops with a known number of rounds are unrolled,
// and lists of tensors exist at this time only.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "import/saved_model/bundle.h"
#include "import/saved_model/emitter.h"
#include "import/saved_model/names.h"
#include "saved_model.pb.h"

namespace litesmith::saved_model {

// What a node's output is while the graph is walked.
struct Value {
  enum class Kind {
    kNothing,   // no value: an order, a string
    kTensor,    // a tensor of the graph
    kVariable,  // a handle
    kList,      // a TensorList
    kFailed,    // it depends on a node that cannot be imported, which is noted
  };
  Kind kind = Kind::kNothing;
  int32_t tensor = -1;
  const proto::Node* variable = nullptr;
  std::shared_ptr<const std::vector<Value>> list;  // kNothing where nothing was set yet

  static Value Of(int32_t t) { return {Kind::kTensor, t, nullptr, nullptr}; }
  static Value Failed() { return {Kind::kFailed, -1, nullptr, nullptr}; }
};
using Values = std::vector<Value>;

class Interpreter {
 public:
  // All must outlive the interpreter. `keys`: VarHandleOp's name to the checkpoint's key.
  Interpreter(const proto::MetaGraph& model,
              const std::map<std::string, std::string, std::less<>>& keys, Bundle* bundle,
              Emitter* emitter);

  // The main graph's output `name` ("Placeholder:0") is this tensor of the result.
  void SetInput(std::string_view name, int32_t tensor);

  // The tensor behind an output of the main graph; -1 where it cannot be imported (see Problems).
  absl::StatusOr<int32_t> Evaluate(const std::string& name);

  // One sentence about all nodes that cannot be imported; OK when there are none.
  absl::Status Problems() const;

  // True when a function on the way assigns to variables, which are constants in the result.
  bool assigns() const { return assigns_; }

  // An error where the model reads a variable that it assigns to: a state between calls.
  absl::Status CheckStateless() const;

 private:
  using Nodes = google::protobuf::RepeatedPtrField<proto::Node>;
  struct Scope {
    std::unordered_map<std::string_view, const proto::Node*> nodes;
    std::unordered_map<std::string_view, size_t> arguments;
    std::vector<std::string> results;         // references, in the order of the function's outputs
    std::vector<const proto::Node*> assigns;  // nodes that change a variable
  };
  struct Frame {
    const Scope* scope = nullptr;
    Values arguments;
    std::unordered_map<const proto::Node*, Values> done;
    std::set<const proto::Node*> open;  // being worked on: a second visit is a cycle
  };

  Scope MakeScope(const Nodes& nodes) const;
  absl::StatusOr<const Scope*> FunctionScope(const std::string& name);
  absl::StatusOr<Value> Get(Frame* frame, std::string_view reference);
  absl::Status Walk(Frame* frame, const proto::Node* target);
  // The value of a reference whose node is done.
  Value Done(const Frame& frame, const InputName& name) const;
  int FirstOutput(const proto::Node& node, std::string_view output) const;

  absl::StatusOr<Values> Run(Frame* frame, const proto::Node& node);
  absl::StatusOr<Values> RunUnchecked(const proto::Node& node, const Values& in);
  absl::StatusOr<Values> RunLowering(const proto::Node& node, const Values& in);
  absl::StatusOr<Values> RunConst(const proto::Node& node);
  absl::StatusOr<Value> ReadVariable(const Value& handle);
  absl::StatusOr<Values> Call(const std::string& function, const Values& arguments);
  void NoteAssigned(const Scope& scope, const Values& arguments);
  absl::StatusOr<Values> RunWhile(const proto::Node& node, Values state);
  absl::StatusOr<Values> RunIf(const proto::Node& node, const Values& in);
  absl::StatusOr<Values> RunList(const proto::Node& node, const Values& in);
  absl::StatusOr<Value> Stack(const std::vector<Value>& items);
  absl::StatusOr<int64_t> KnownNumber(const Value& value, const char* what) const;
  void NoteProblem(const proto::Node& node, std::string_view reason);

  const proto::MetaGraph& model_;
  const std::map<std::string, std::string, std::less<>>& keys_;
  Bundle& bundle_;
  Emitter& e_;
  std::unordered_map<std::string_view, const proto::FunctionDef*> functions_;
  std::unordered_map<std::string_view, const proto::Op*> ops_;
  std::map<std::string, Scope, std::less<>> scopes_;
  Frame main_;
  Scope main_scope_;
  std::map<std::string, int32_t, std::less<>> inputs_;  // by node name
  std::map<std::string, int32_t, std::less<>> variables_;
  std::unordered_map<const proto::Node*, Values> constants_;
  std::set<std::string, std::less<>> assigned_, read_;  // names of variables
  std::vector<std::string> problems_;
  std::set<const proto::Node*> with_problem_;
  bool assigns_ = false;
  size_t steps_ = 0, most_steps_ = 0;
  int depth_ = 0;
};

}  // namespace litesmith::saved_model

#endif  // LITESMITH_IMPORT_SAVED_MODEL_INTERPRETER_H_
