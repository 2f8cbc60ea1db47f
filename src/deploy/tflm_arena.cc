#include "deploy/tflm_arena.h"

#include <algorithm>
#include <set>
#include <utility>

#include "deploy/tflm_kernels.h"
#include "ops/target.h"
#include "runtime/arena.h"

namespace litesmith {
namespace {

// tflite-micro's structures, in bytes.
struct Layout {
  size_t pointer;
  size_t tensor, eval_tensor, affine;  // TfLiteTensor, TfLiteEvalTensor, TfLiteAffineQuantization
  size_t node, subgraph;               // NodeAndRegistration, SubgraphAllocations
  size_t handle, request, info;        // of scratch buffers; AllocationInfo
  size_t planner, arena, allocator, builtins;  // the allocator's own objects
  size_t variables, variable;                  // MicroResourceVariables and one of them
};
constexpr Layout k32 = {4, 40, 12, 12, 32, 12, 4, 12, 24, 44, 36, 36, 8, 12, 20};
// A PC may use the allocator that records, as the Python package does: 104 and 272 instead of 72
// each.
constexpr Layout k64 = {8, 64, 24, 24, 64, 24, 8, 16, 32, 72, 104, 272, 16, 16, 40};

constexpr size_t kAlignment = 16;
constexpr size_t kRequestsAhead = 12;  // requests for scratch that one kernel may make
constexpr size_t kPerPlanned = 40;     // what the planner writes down for each buffer
constexpr int kNever = -1;
constexpr int kMostSteps = 1000000;
// The planner counts in int.
constexpr size_t kMost = size_t{1} << 30;

size_t RoundUp(size_t bytes, size_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

// Follows the interpreter through AllocateTensors and counts.
class Interpreter {
 public:
  Interpreter(const Graph& graph, const Layout& layout) : graph_(graph), layout_(layout) {}

  absl::StatusOr<size_t> Arena() {
    LS_RETURN_IF_ERROR(ListTensors());
    KeepStructures();
    LS_RETURN_IF_ERROR(PrepareNodes());
    Keep(layout_.handle * scratch_.size(), layout_.pointer);
    KeepVariables();
    LS_RETURN_IF_ERROR(MarkLifetimes(0, 0));
    NotePlanning();
    KeepEnds(graph_.main().inputs);
    KeepEnds(graph_.main().outputs);
    std::vector<ArenaBlock> blocks = blocks_;
    blocks.insert(blocks.end(), scratch_.begin(), scratch_.end());
    const size_t planned = PlanArena(&blocks, kAlignment, ArenaTies::kLaterFirst);
    const size_t total = RoundUp(std::max(peak_, kept_ + planned), kAlignment);
    if (total > kMost) {
      return Unsupported("the arena would take {} bytes, more than tflm can count", total);
    }
    return total;
  }

 private:
  // At the arena's end, growing downwards.
  void Keep(size_t bytes, size_t alignment) { kept_ = RoundUp(kept_ + bytes, alignment); }
  void KeepAligned(size_t bytes) { Keep(bytes, kAlignment); }

  absl::Status ListTensors() {
    for (const Subgraph& subgraph : graph_.subgraphs) {
      first_.push_back(blocks_.size());
      for (const Tensor& tensor : subgraph.tensors) {
        const size_t element = TflmElementBytes(tensor.type);
        if (element == 0) {
          return Unsupported("tflm has no tensors of type {} ('{}')", TypeName(tensor.type),
                             Printable(tensor.label()));
        }
        LS_ASSIGN_OR_RETURN(const size_t dense, TensorBytes(schema::TensorType_INT8, tensor.shape));
        if (dense > kMost / element) {
          return Unsupported("'{}' is larger than tflm can count", Printable(tensor.label()));
        }
        const bool planned = !tensor.is_constant() && !tensor.is_variable;
        blocks_.push_back({planned ? dense * element : 0, kNever, kNever, 0});
      }
    }
    return absl::OkStatus();
  }

  void KeepStructures() {
    Keep(layout_.arena, layout_.pointer);
    Keep(layout_.planner, layout_.pointer);
    Keep(layout_.allocator, layout_.pointer);
    if (const size_t variables = CountVariables(graph_); variables > 0) {
      KeepAligned(layout_.variables);
      KeepAligned(layout_.variable * variables);
    }
    Keep(layout_.builtins, layout_.pointer);
    Keep(layout_.subgraph * graph_.subgraphs.size(), layout_.pointer);
    for (const Subgraph& s : graph_.subgraphs) {
      Keep(layout_.eval_tensor * s.tensors.size(), layout_.pointer);
    }
    for (const Subgraph& s : graph_.subgraphs) Keep(layout_.node * s.nodes.size(), layout_.pointer);
  }

  bool is_64() const { return layout_.pointer == 8; }

  // Options of all nodes, then user data of all, then what the kernels ask for.
  absl::Status PrepareNodes() {
    for (const Subgraph& s : graph_.subgraphs) {
      for (const Node& node : s.nodes) {
        const TflmKernel& kernel = *FindTflmKernel(node);
        Keep(static_cast<size_t>(is_64() ? kernel.params_64 : kernel.params_32), layout_.pointer);
      }
    }
    for (const Subgraph& s : graph_.subgraphs) {
      for (const Node& node : s.nodes) {
        const TflmKernel& kernel = *FindTflmKernel(node);
        KeepAligned(static_cast<size_t>(is_64() ? kernel.data_64 : kernel.data_32));
      }
    }
    for (size_t i = 0; i < graph_.subgraphs.size(); ++i) {
      const Subgraph& s = graph_.subgraphs[i];
      for (size_t n = 0; n < s.nodes.size(); ++n) {
        const TflmRequests requests = RequestsOf(s, s.nodes[n], layout_.pointer);
        for (size_t bytes : requests.persistent) KeepAligned(bytes);
        for (size_t bytes : requests.scratch) {
          if (bytes > kMost) {
            return Unsupported("the scratch memory of {} is larger than tflm can count",
                               NodeLabel(s, n));
          }
          scratch_.push_back({bytes, kNever, kNever, 0});
          owner_.emplace_back(i, n);
        }
        NotePeak(Requested() + Temporary(s, s.nodes[n]));
      }
    }
    return absl::OkStatus();
  }

  size_t Requested() const { return layout_.request * (scratch_.size() + kRequestsAhead); }
  void NotePeak(size_t head) { peak_ = std::max(peak_, kept_ + RoundUp(head, kAlignment)); }

  size_t QuantizationBytes(const Tensor& tensor) const {
    return tensor.quant.empty() ? 0 : layout_.affine + 4 + 4 * tensor.quant.scale.size();
  }
  // Kernels look at their tensors through temporary copies, many of them twice.
  size_t Temporary(const Subgraph& subgraph, const Node& node) const {
    size_t bytes = 0;
    const auto add = [&](int32_t index) {
      if (index < 0) return;
      const Tensor& tensor = subgraph.tensors[static_cast<size_t>(index)];
      bytes += RoundUp(layout_.tensor + QuantizationBytes(tensor), layout_.pointer);
    };
    for (int32_t index : node.inputs) add(index);
    for (int32_t index : node.outputs) add(index);
    return 2 * bytes;
  }

  void KeepVariables() {
    for (const Subgraph& s : graph_.subgraphs) {
      for (const Tensor& tensor : s.tensors) {
        if (!tensor.is_variable) continue;
        KeepAligned(static_cast<size_t>(NumElements(tensor.shape)) * TflmElementBytes(tensor.type));
      }
    }
  }

  void Use(ArenaBlock* block) const {
    if (block->first == kNever) block->first = step_;
    block->last = step_;
  }

  // One step per node; a node that calls subgraphs lives as long as they run.
  absl::Status MarkLifetimes(size_t index, size_t depth) {
    if (depth > graph_.subgraphs.size() || step_ > kMostSteps) {
      return Unsupported("the subgraphs call each other in a circle, or too often");
    }
    const Subgraph& subgraph = graph_.subgraphs[index];
    const auto block = [&](int32_t tensor) {
      return &blocks_[first_[index] + static_cast<size_t>(tensor)];
    };
    for (int32_t tensor : subgraph.inputs) Use(block(tensor));
    for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
      const Node& node = subgraph.nodes[n];
      ++step_;
      const auto use_outputs = [&] {
        for (int32_t tensor : node.outputs) {
          if (tensor >= 0) Use(block(tensor));
        }
      };
      use_outputs();
      const auto mine = std::make_pair(index, n);
      const auto range = std::equal_range(owner_.begin(), owner_.end(), mine);
      const auto use_scratch = [&] {
        for (auto it = range.first; it != range.second; ++it) {
          Use(&scratch_[static_cast<size_t>(it - owner_.begin())]);
        }
      };
      use_scratch();
      for (int32_t called : CalledSubgraphs(node)) {
        ++step_;
        if (called < 0 || static_cast<size_t>(called) >= graph_.subgraphs.size()) {
          return Invalid("{} calls subgraph {}, which is not there", NodeLabel(subgraph, n),
                         called);
        }
        LS_RETURN_IF_ERROR(MarkLifetimes(static_cast<size_t>(called), depth + 1));
      }
      for (int32_t tensor : node.inputs) {
        if (tensor >= 0) block(tensor)->last = step_;
      }
      use_outputs();
      use_scratch();
    }
    for (int32_t tensor : subgraph.outputs) Use(block(tensor));
    return absl::OkStatus();
  }

  // The plan is made in the arena's free part.
  void NotePlanning() {
    const size_t all = blocks_.size() + scratch_.size();
    NotePeak(RoundUp(Requested() + layout_.pointer * graph_.subgraphs.size() + layout_.info * all,
                     kAlignment) +
             kPerPlanned * all);
  }

  void KeepEnds(const std::vector<int32_t>& tensors) {
    KeepAligned(layout_.pointer * tensors.size());
    for (int32_t index : tensors) {
      const Tensor& tensor = graph_.main().tensors[static_cast<size_t>(index)];
      Keep(layout_.tensor + QuantizationBytes(tensor), layout_.pointer);
    }
  }

  const Graph& graph_;
  const Layout& layout_;
  size_t kept_ = 0, peak_ = 0;
  int step_ = 0;
  std::vector<size_t> first_;                     // of each subgraph in blocks_
  std::vector<ArenaBlock> blocks_, scratch_;      // tensors of all subgraphs; requests in order
  std::vector<std::pair<size_t, size_t>> owner_;  // subgraph and node of each request
};

}  // namespace

size_t CountVariables(const Graph& graph) {
  std::set<std::pair<std::string, std::string>> names;
  for (const Subgraph& subgraph : graph.subgraphs) {
    for (const Node& node : subgraph.nodes) {
      if (node.op != schema::BuiltinOperator_VAR_HANDLE) continue;
      const auto& options = node.GetOptions<schema::VarHandleOptionsT>();
      names.emplace(options.container, options.shared_name);
    }
  }
  return names.size();
}

absl::StatusOr<TflmArena> PlanTflmArena(const Graph& graph) {
  if (graph.FindMetadata("OfflineMemoryAllocation") != nullptr) {
    return Unsupported(
        "the file brings a memory plan of its own (metadata OfflineMemoryAllocation), which "
        "litesmith does "
        "not read; convert it to drop the plan");
  }
  TflmArena arena;
  LS_ASSIGN_OR_RETURN(arena.bytes_32, Interpreter(graph, k32).Arena());
  LS_ASSIGN_OR_RETURN(arena.bytes_64, Interpreter(graph, k64).Arena());
  return arena;
}

}  // namespace litesmith
