#ifndef LITESMITH_RUNTIME_CONTROL_FLOW_H_
#define LITESMITH_RUNTIME_CONTROL_FLOW_H_

// The operators that the executor runs itself: IF, WHILE, CALL_ONCE (they run other subgraphs) and
// VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE (they use values that live as long as the executor).
// Internal to the runtime.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/executor.h"
#include "runtime/program.h"

namespace litesmith {

class CallSession;

// An executor of any subgraph, as another one calls it. A resource is handed over as its number in
// the session.
class SubgraphExecutor : public Executor {
 public:
  virtual void SetInputResource(size_t input, int32_t resource) = 0;
  virtual int32_t output_resource(size_t output) const = 0;
};

// What an executor shows of its tensors to the operators here.
class TensorFrame {
 public:
  virtual ~TensorFrame() = default;
  virtual std::span<std::byte> Bytes(int32_t tensor) const = 0;
  virtual const Shape& ShapeOf(int32_t tensor) const = 0;
  // Gives the tensor memory for this shape. Where the shape was known before, it must be this one.
  virtual absl::Status SetShape(int32_t tensor, const Shape& shape) = 0;
  virtual int32_t Resource(int32_t tensor) const = 0;
  virtual void SetResource(int32_t tensor, int32_t resource) = 0;
};

// What the executors of one graph share: an executor for each subgraph (subgraphs never run
// themselves, so one is enough), resources, and which subgraphs have run once. One per root
// executor; not synchronised.
class CallSession {
 public:
  CallSession(std::shared_ptr<const Graph> graph, ExecutorOptions options);
  ~CallSession();

  // An executor of this subgraph for these input shapes. Kept; made anew when the shapes change.
  absl::StatusOr<SubgraphExecutor*> Callee(size_t subgraph, const std::vector<Shape>& shapes);

  // Resources and variables back to the beginning.
  void Reset();

  // The number of the resource with this name; new ones have no value.
  int32_t ResourceNumber(const std::string& container, const std::string& name);

  struct Resource {
    std::string name;
    bool assigned = false;
    TensorType type = schema::TensorType_FLOAT32;
    Shape shape;
    std::vector<std::byte> bytes;
  };
  Resource* FindResource(int32_t number);
  absl::Status Assign(int32_t number, TensorType type, const Shape& shape,
                      std::span<const std::byte> bytes);

  // True the first time it is asked of a subgraph.
  bool FirstCall(size_t subgraph);

  void SetThreads(ThreadPool* threads) { threads_ = threads; }
  ThreadPool* threads() const { return threads_; }
  const Graph& graph() const { return *graph_; }
  uint64_t memory_budget() const { return options_.memory_budget; }

 private:
  struct Entry {
    std::vector<Shape> shapes;
    std::unique_ptr<SubgraphExecutor> executor;
  };

  std::shared_ptr<const Graph> graph_;
  ExecutorOptions options_;
  std::vector<Entry> callees_;
  std::vector<bool> called_;
  std::map<std::pair<std::string, std::string>, int32_t> numbers_;
  std::vector<Resource> resources_;
  ThreadPool* threads_ = nullptr;
};

// In executor.cc.
absl::StatusOr<std::unique_ptr<SubgraphExecutor>> CreateSubgraphExecutor(
    std::shared_ptr<const Program> program, CallSession* session);

// Arity, types and the counts of the called subgraphs' inputs and outputs.
absl::Status CheckExecutorNode(const Graph& graph, const Subgraph& subgraph, const Node& node);

absl::Status RunExecutorNode(const Subgraph& subgraph, const Node& node, TensorFrame* frame,
                             CallSession* session, const Context* context);

// The output shapes where they are sure before anything runs; nothing where they may depend on
// values. `visits` bounds the nodes looked at.
std::optional<std::vector<Shape>> ExecutorNodeShapes(const Graph& graph, const Subgraph& subgraph,
                                                     const Node& node,
                                                     const std::vector<TensorState>& tensors,
                                                     int* visits);

// Follows the shapes through a subgraph whose initial states are given. RESOURCE_EXHAUSTED when `visits` are used
// up: what is not known by then stays unknown.
absl::Status InferSubgraph(const Graph& graph, size_t subgraph, std::vector<TensorState>* states,
                           int* visits);
// For one program: subgraphs that call each other many times must not take forever.
constexpr int kShapeVisits = 1 << 18;

}  // namespace litesmith

#endif  // LITESMITH_RUNTIME_CONTROL_FLOW_H_
