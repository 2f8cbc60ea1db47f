#include "ir/verify.h"

#include <cmath>
#include <limits>

#include "base/bytes.h"

namespace litesmith {
namespace {

// Deep enough for any converter's output; an executor may recurse this far.
constexpr int kMaxCallDepth = 64;

// Node labels that are safe before the indices have been checked.
std::string NodePlace(const Subgraph& subgraph, size_t n) {
  return fmt::format("node {} ({})", n, OperatorName(subgraph.nodes[n]));
}

std::string TensorPlace(const Subgraph& subgraph, size_t t) {
  return fmt::format("tensor {} '{}'", t, Printable(subgraph.tensors[t].label()));
}

absl::Status CheckIndex(const Subgraph& subgraph, int32_t tensor, const char* what) {
  if (tensor < 0 || static_cast<size_t>(tensor) >= subgraph.tensors.size()) {
    return Invalid("{} is tensor {}, but there are only {} tensors", what, tensor,
                   subgraph.tensors.size());
  }
  return absl::OkStatus();
}

// TFLite's layout of string tensors: count, count + 1 offsets from the start, characters.
absl::Status CheckStrings(const Tensor& tensor) {
  const std::span<const std::byte> bytes = tensor.data.bytes;
  const uint64_t size = bytes.size();
  if (size < 4) return Invalid("its strings have no count");
  const auto count = LoadLE<int32_t>(bytes.data());
  if (count != NumElements(tensor.shape)) {
    return Invalid("it holds {} strings, its shape {} says otherwise", count,
                   ShapeString(tensor.shape));
  }
  uint64_t previous = 4 * (static_cast<uint64_t>(count) + 2);
  if (size < previous) return Invalid("its strings are cut short");
  for (int64_t i = 0; i <= count; ++i) {
    const auto offset = static_cast<uint64_t>(LoadLE<uint32_t>(bytes.data() + 4 * (i + 1)));
    if (offset < previous || offset > size) return Invalid("string {} lies outside its data", i);
    previous = offset;
  }
  return absl::OkStatus();
}

absl::Status CheckConstant(const Tensor& tensor) {
  if (reinterpret_cast<uintptr_t>(tensor.data.bytes.data()) % 16 != 0) {
    return Internal("its data does not start at a multiple of 16");
  }
  if (tensor.is_variable) return Invalid("it is a variable and a constant at once");
  if (tensor.sparsity != nullptr) return absl::OkStatus();
  if (tensor.type == schema::TensorType_STRING) return CheckStrings(tensor);
  if (tensor.type == schema::TensorType_RESOURCE || tensor.type == schema::TensorType_VARIANT) {
    return Invalid("a {} tensor cannot have constant data", TypeName(tensor.type));
  }
  LS_ASSIGN_OR_RETURN(const size_t wanted, TensorBytes(tensor.type, tensor.shape));
  if (wanted != tensor.data.bytes.size()) {
    return Invalid("its data has {} bytes, {} {} needs {}", tensor.data.bytes.size(),
                   TypeName(tensor.type), ShapeString(tensor.shape), wanted);
  }
  return absl::OkStatus();
}

struct Limits {
  int64_t low, high;
};

Limits ZeroPointLimits(TensorType type) {
  switch (type) {
    case schema::TensorType_INT2:
      return {-2, 1};
    case schema::TensorType_INT4:
      return {-8, 7};
    case schema::TensorType_UINT4:
      return {0, 15};
    case schema::TensorType_INT8:
      return {-128, 127};
    case schema::TensorType_UINT8:
      return {0, 255};
    case schema::TensorType_INT16:
      return {-32768, 32767};
    case schema::TensorType_UINT16:
      return {0, 65535};
    default:
      return {std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
  }
}

absl::Status CheckDetails(const Subgraph& subgraph, const schema::QuantizationDetailsUnion& details,
                          const Tensor& tensor) {
  int32_t scales = 0;
  int32_t zero_points = -1;
  int32_t block = 0;
  if (const auto* b = details.AsBlockwiseQuantization()) {
    scales = b->scales;
    zero_points = b->zero_points;
    block = b->block_size;
  } else if (const auto* m = details.AsMultiAxisQuantization()) {
    scales = m->scales;
    zero_points = m->zero_points;
    block = m->block_size;
    for (int32_t d : m->quantized_dimensions) {
      if (d < 0 || static_cast<size_t>(d) >= tensor.shape.size()) {
        return Invalid("its quantized dimension {} does not exist in shape {}", d,
                       ShapeString(tensor.shape));
      }
    }
  } else {
    return absl::OkStatus();
  }
  if (block < 0) return Invalid("its quantization block size {} is negative", block);
  LS_RETURN_IF_ERROR(CheckIndex(subgraph, scales, "its scales"));
  if (zero_points != -1) LS_RETURN_IF_ERROR(CheckIndex(subgraph, zero_points, "its zero points"));
  return absl::OkStatus();
}

absl::Status CheckQuant(const Subgraph& subgraph, const Tensor& tensor) {
  const QuantParams& q = tensor.quant;
  if (q.details != nullptr) LS_RETURN_IF_ERROR(CheckDetails(subgraph, *q.details, tensor));
  if (q.scale.empty() && q.zero_point.empty()) return absl::OkStatus();
  if (q.zero_point.size() != q.scale.size()) {
    return Invalid("it has {} scales and {} zero points", q.scale.size(), q.zero_point.size());
  }
  for (float scale : q.scale) {
    if (!std::isfinite(scale) || scale <= 0.0f) {
      return Invalid("its scale {} is not a positive number", scale);
    }
  }
  const Limits limits = ZeroPointLimits(tensor.type);
  for (int64_t z : q.zero_point) {
    if (z < limits.low || z > limits.high) {
      return Invalid("its zero point {} does not fit {}", z, TypeName(tensor.type));
    }
  }
  if (!q.per_channel()) return absl::OkStatus();
  if (q.axis < 0 || static_cast<size_t>(q.axis) >= tensor.shape.size()) {
    return Invalid("its quantized dimension {} does not exist in shape {}", q.axis,
                   ShapeString(tensor.shape));
  }
  const int32_t channels = tensor.shape[static_cast<size_t>(q.axis)];
  if (static_cast<size_t>(channels) != q.scale.size()) {
    return Invalid("it has {} scales for {} channels", q.scale.size(), channels);
  }
  return absl::OkStatus();
}

absl::Status CheckTensor(const Subgraph& subgraph, const Tensor& tensor) {
  if (tensor.type < schema::TensorType_MIN || tensor.type > schema::TensorType_MAX) {
    return Invalid("its type {} is unknown", static_cast<int>(tensor.type));
  }
  LS_RETURN_IF_ERROR(TensorBytes(tensor.type, tensor.shape).status());
  if (!tensor.shape_signature.empty()) {
    if (tensor.shape_signature.size() != tensor.shape.size()) {
      return Invalid("its shape {} and shape signature {} differ in rank",
                     ShapeString(tensor.shape), ShapeString(tensor.shape_signature));
    }
    for (int32_t d : tensor.shape_signature) {
      if (d < -1) {
        return Invalid("its shape signature {} has a dimension below -1",
                       ShapeString(tensor.shape_signature));
      }
    }
  }
  for (const auto& variant : tensor.variant_tensors) {
    if (variant == nullptr) return Internal("a variant type is missing");
  }
  if (tensor.is_constant()) LS_RETURN_IF_ERROR(CheckConstant(tensor));
  return CheckQuant(subgraph, tensor);
}

// Follows the nodes in order: which tensors have a value so far.
class Availability {
 public:
  explicit Availability(const Subgraph& subgraph)
      : subgraph_(subgraph), available_(subgraph.tensors.size()) {
    for (size_t t = 0; t < available_.size(); ++t) {
      const Tensor& tensor = subgraph.tensors[t];
      // Nothing needs to be stored for no elements at all.
      const bool nothing =
          std::find(tensor.shape.begin(), tensor.shape.end(), 0) != tensor.shape.end();
      available_[t] =
          tensor.is_constant() || tensor.is_variable || tensor.external_buffer != 0 || nothing;
    }
  }

  absl::Status AddInput(int32_t t) {
    LS_RETURN_IF_ERROR(CheckIndex(subgraph_, t, "an input of the subgraph"));
    const Tensor& tensor = subgraph_.tensors[Index(t)];
    if (tensor.is_constant() || tensor.is_variable) {
      return Invalid("{} is an input of the subgraph and has a value of its own",
                     TensorPlace(subgraph_, Index(t)));
    }
    return Make(t, "is twice among the inputs of the subgraph");
  }

  absl::Status Read(int32_t t, const char* what) const {
    LS_RETURN_IF_ERROR(CheckIndex(subgraph_, t, what));
    if (!available_[Index(t)]) {
      return Invalid("{} is {}, which has no value there: nothing before makes it", what,
                     TensorPlace(subgraph_, Index(t)));
    }
    return absl::OkStatus();
  }

  absl::Status Write(int32_t t) {
    LS_RETURN_IF_ERROR(CheckIndex(subgraph_, t, "an output"));
    const Tensor& tensor = subgraph_.tensors[Index(t)];
    if (tensor.is_constant() || tensor.is_variable || tensor.external_buffer != 0) {
      return Invalid("its output {} is a constant or variable", TensorPlace(subgraph_, Index(t)));
    }
    return Make(t, "is made twice");
  }

 private:
  static size_t Index(int32_t t) { return static_cast<size_t>(t); }

  absl::Status Make(int32_t t, const char* twice) {
    if (made_.empty()) made_.resize(available_.size());
    if (made_[Index(t)]) return Invalid("{} {}", TensorPlace(subgraph_, Index(t)), twice);
    made_[Index(t)] = true;
    available_[Index(t)] = true;
    return absl::OkStatus();
  }

  const Subgraph& subgraph_;
  std::vector<bool> available_;
  std::vector<bool> made_;
};

absl::Status CheckNode(const Graph& graph, const Subgraph& subgraph, const Node& node,
                       Availability* values) {
  if (node.op < schema::BuiltinOperator_MIN || node.op > schema::BuiltinOperator_MAX) {
    return Invalid("its operator code is unknown");
  }
  if (node.op == schema::BuiltinOperator_CUSTOM && node.custom_code.empty()) {
    return Invalid("the custom operator has no name");
  }
  for (int32_t t : node.inputs) {
    if (t != -1) LS_RETURN_IF_ERROR(values->Read(t, "an input"));
  }
  for (int32_t t : node.intermediates) {
    if (t != -1) LS_RETURN_IF_ERROR(CheckIndex(subgraph, t, "an intermediate"));
  }
  for (int32_t t : node.outputs) LS_RETURN_IF_ERROR(values->Write(t));
  for (int32_t called : CalledSubgraphs(node)) {
    if (called < 0 || static_cast<size_t>(called) >= graph.subgraphs.size()) {
      return Invalid("it runs subgraph {}, but there are only {}", called, graph.subgraphs.size());
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSubgraph(const Graph& graph, const Subgraph& subgraph) {
  if (subgraph.tensors.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    return Invalid("too many tensors");
  }
  for (size_t t = 0; t < subgraph.tensors.size(); ++t) {
    if (absl::Status s = CheckTensor(subgraph, subgraph.tensors[t]); !s.ok()) {
      return Annotate(s, TensorPlace(subgraph, t));
    }
  }
  Availability values(subgraph);
  for (int32_t t : subgraph.inputs) LS_RETURN_IF_ERROR(values.AddInput(t));
  for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
    if (absl::Status s = CheckNode(graph, subgraph, subgraph.nodes[n], &values); !s.ok()) {
      return Annotate(s, NodePlace(subgraph, n));
    }
  }
  for (int32_t t : subgraph.outputs) {
    LS_RETURN_IF_ERROR(values.Read(t, "an output of the subgraph"));
  }
  return absl::OkStatus();
}

// Depth of the calls below each subgraph, found bottom-up without recursion; an error on a cycle.
absl::Status CheckCalls(const Graph& graph) {
  const size_t count = graph.subgraphs.size();
  std::vector<std::vector<int32_t>> callees(count), callers(count);
  std::vector<size_t> open(count);
  for (size_t s = 0; s < count; ++s) {
    for (const Node& node : graph.subgraphs[s].nodes) {
      for (int32_t called : CalledSubgraphs(node)) callees[s].push_back(called);
    }
    std::sort(callees[s].begin(), callees[s].end());
    callees[s].erase(std::unique(callees[s].begin(), callees[s].end()), callees[s].end());
    open[s] = callees[s].size();
    for (int32_t called : callees[s])
      callers[static_cast<size_t>(called)].push_back(static_cast<int32_t>(s));
  }
  std::vector<size_t> ready;
  std::vector<int> depth(count, 0);
  for (size_t s = 0; s < count; ++s) {
    if (open[s] == 0) ready.push_back(s);
  }
  size_t done = 0;
  for (; done < ready.size(); ++done) {
    for (int32_t caller : callers[ready[done]]) {
      const auto c = static_cast<size_t>(caller);
      depth[c] = std::max(depth[c], depth[ready[done]] + 1);
      if (depth[c] > kMaxCallDepth) {
        return Invalid("subgraphs run each other more than {} deep", kMaxCallDepth);
      }
      if (--open[c] == 0) ready.push_back(c);
    }
  }
  if (done < count) return Invalid("a subgraph runs itself, directly or through others");
  return absl::OkStatus();
}

absl::Status CheckSignature(const Graph& graph, const Signature& signature) {
  if (signature.subgraph < 0 || static_cast<size_t>(signature.subgraph) >= graph.subgraphs.size()) {
    return Invalid("there is no subgraph {}", signature.subgraph);
  }
  const Subgraph& subgraph = graph.subgraphs[static_cast<size_t>(signature.subgraph)];
  for (const auto* entries : {&signature.inputs, &signature.outputs}) {
    for (const SignatureEntry& entry : *entries) {
      LS_RETURN_IF_ERROR_IN(CheckIndex(subgraph, entry.tensor, "it"),
                            fmt::format("'{}'", Printable(entry.name)));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Verify(const Graph& graph) {
  if (graph.subgraphs.empty()) return Invalid("the model has no subgraph");
  for (size_t s = 0; s < graph.subgraphs.size(); ++s) {
    absl::Status status = CheckSubgraph(graph, graph.subgraphs[s]);
    if (status.ok()) continue;
    return s == 0 ? status : Annotate(status, fmt::format("subgraph {}", s));
  }
  LS_RETURN_IF_ERROR(CheckCalls(graph));
  for (const Signature& signature : graph.signatures) {
    if (absl::Status s = CheckSignature(graph, signature); !s.ok()) {
      return Annotate(s, fmt::format("signature '{}'", Printable(signature.key)));
    }
  }
  return absl::OkStatus();
}

}  // namespace litesmith
