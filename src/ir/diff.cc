#include "ir/diff.h"

#include <flatbuffers/flatbuffers.h>

#include <algorithm>
#include <cstring>

#include "ir/print.h"

namespace litesmith {
namespace {

// The packed form of a generated object; equal objects pack to equal bytes.
template <typename Pack>
std::string Packed(const Pack& pack) {
  flatbuffers::FlatBufferBuilder builder;
  pack(builder);
  return {reinterpret_cast<const char*>(builder.GetCurrentBufferPointer()), builder.GetSize()};
}

template <typename Union>
std::string PackedUnion(const Union* u) {
  if (u == nullptr || u->value == nullptr) return "";
  return fmt::format("{} ", static_cast<int>(u->type)) +
         Packed([&](flatbuffers::FlatBufferBuilder& builder) { u->Pack(builder); });
}

std::string Indices(const std::vector<int32_t>& v) {
  return fmt::format("({})", fmt::join(v, ", "));
}

class Differ {
 public:
  explicit Differ(const DiffOptions& options) : options_(options) {}

  void Graphs(const Graph& a, const Graph& b);
  std::vector<std::string> Take() { return std::move(lines_); }

 private:
  void Line(const std::string& what, const std::string& from, const std::string& to) {
    if (lines_.size() > options_.max_lines) return;
    if (lines_.size() == options_.max_lines) {
      lines_.push_back("… more");
      return;
    }
    lines_.push_back(fmt::format("{}{}: {} -> {}", place_, what, from, to));
  }
  template <typename T>
  void Value(const char* what, const T& a, const T& b) {
    if (!(a == b)) Line(what, fmt::format("{}", a), fmt::format("{}", b));
  }
  void Text(const char* what, const std::string& a, const std::string& b) {
    if (a != b) Line(what, "'" + Printable(a) + "'", "'" + Printable(b) + "'");
  }
  // Things whose text may be the same although they differ.
  void Opaque(const char* what, bool equal, const std::string& a, const std::string& b) {
    if (!equal) Line(what, a, a == b ? b + " (other values)" : b);
  }
  void Bytes(const char* what, std::span<const std::byte> a, std::span<const std::byte> b);
  void Tensors(const Tensor& a, const Tensor& b);
  void Nodes(const Node& a, const Node& b);
  void Subgraphs(const Subgraph& a, const Subgraph& b);
  void Signatures(const Graph& a, const Graph& b);
  void AllMetadata(const Graph& a, const Graph& b);

  const DiffOptions& options_;
  std::string place_;
  std::vector<std::string> lines_;
};

void Differ::Bytes(const char* what, std::span<const std::byte> a, std::span<const std::byte> b) {
  if (a.size() != b.size()) {
    Line(what, fmt::format("{} bytes", a.size()), fmt::format("{} bytes", b.size()));
    return;
  }
  size_t count = 0;
  size_t first = 0;
  for (size_t i = a.size(); i-- > 0;) {
    if (a[i] == b[i]) continue;
    ++count;
    first = i;
  }
  if (count == 0) return;
  Line(what, fmt::format("{} bytes", a.size()),
       fmt::format("{} of them differ, the first at {}", count, first));
}

// Bit by bit: a range that a file carries may be NaN, which differs from itself.
bool SameFloats(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

bool SameQuant(const QuantParams& a, const QuantParams& b) {
  return SameFloats(a.scale, b.scale) && a.zero_point == b.zero_point && a.axis == b.axis &&
         SameFloats(a.min, b.min) && SameFloats(a.max, b.max) &&
         PackedUnion(a.details.get()) == PackedUnion(b.details.get());
}

std::string PackedSparsity(const Tensor& t) {
  if (t.sparsity == nullptr) return "";
  return Packed([&](flatbuffers::FlatBufferBuilder& builder) {
    schema::CreateSparsityParameters(builder, t.sparsity.get());
  });
}

std::string PackedVariants(const Tensor& t) {
  std::string out;
  for (const auto& v : t.variant_tensors) {
    out += Packed([&](flatbuffers::FlatBufferBuilder& builder) {
      schema::CreateVariantSubType(builder, v.get());
    });
  }
  return out;
}

void Differ::Tensors(const Tensor& a, const Tensor& b) {
  if (options_.names) {
    Text("name", a.name, b.name);
    Text("source", a.label(), b.label());
  }
  Text("type", TypeName(a.type), TypeName(b.type));
  Text("shape", ShapeString(a.shape), ShapeString(b.shape));
  const Shape& a_signature = a.shape_signature.empty() ? a.shape : a.shape_signature;
  const Shape& b_signature = b.shape_signature.empty() ? b.shape : b.shape_signature;
  Text("shape signature", ShapeString(a_signature), ShapeString(b_signature));
  Value("has_rank", a.has_rank, b.has_rank);
  Value("variable", a.is_variable, b.is_variable);
  Value("external buffer", a.external_buffer, b.external_buffer);
  Opaque("quantization", SameQuant(a.quant, b.quant), PrintQuant(a.quant), PrintQuant(b.quant));
  Opaque("sparsity", PackedSparsity(a) == PackedSparsity(b), a.sparsity ? "some" : "none",
         b.sparsity ? "some" : "none");
  Opaque("variant types", PackedVariants(a) == PackedVariants(b),
         fmt::format("{}", a.variant_tensors.size()), fmt::format("{}", b.variant_tensors.size()));
  Bytes("data", a.data.bytes, b.data.bytes);
}

void Differ::Nodes(const Node& a, const Node& b) {
  if (options_.names) Text("name", a.name, b.name);
  Text("operator", OperatorName(a), OperatorName(b));
  if (options_.versions) Value("version", a.version, b.version);
  Text("inputs", Indices(a.inputs), Indices(b.inputs));
  Text("outputs", Indices(a.outputs), Indices(b.outputs));
  Text("intermediates", Indices(a.intermediates), Indices(b.intermediates));
  const bool same_options = PackedUnion(a.options.get()) == PackedUnion(b.options.get()) &&
                            PackedUnion(a.options2.get()) == PackedUnion(b.options2.get());
  Opaque("options", same_options, "{" + PrintOptions(a) + "}", "{" + PrintOptions(b) + "}");
  Bytes("custom options", std::as_bytes(std::span(a.custom_options)),
        std::as_bytes(std::span(b.custom_options)));
  Value("custom options format", static_cast<int>(a.custom_options_format),
        static_cast<int>(b.custom_options_format));
  Bytes("large custom options", a.large_custom_options, b.large_custom_options);
  Opaque("mutating inputs", a.mutating_variable_inputs == b.mutating_variable_inputs,
         fmt::format("{}", a.mutating_variable_inputs.size()),
         fmt::format("{}", b.mutating_variable_inputs.size()));
  Value("debug metadata", a.debug_metadata_index, b.debug_metadata_index);
}

void Differ::Subgraphs(const Subgraph& a, const Subgraph& b) {
  const std::string outer = place_;
  if (options_.names) Text("name", a.name, b.name);
  Text("inputs", Indices(a.inputs), Indices(b.inputs));
  Text("outputs", Indices(a.outputs), Indices(b.outputs));
  Value("debug metadata", a.debug_metadata_index, b.debug_metadata_index);
  Value("tensors", a.tensors.size(), b.tensors.size());
  for (size_t t = 0; t < std::min(a.tensors.size(), b.tensors.size()); ++t) {
    place_ = fmt::format("{}tensor {} '{}': ", outer, t, Printable(a.tensors[t].label()));
    Tensors(a.tensors[t], b.tensors[t]);
  }
  place_ = outer;
  Value("nodes", a.nodes.size(), b.nodes.size());
  for (size_t n = 0; n < std::min(a.nodes.size(), b.nodes.size()); ++n) {
    place_ = fmt::format("{}node {} ({}): ", outer, n, OperatorName(a.nodes[n]));
    Nodes(a.nodes[n], b.nodes[n]);
  }
  place_ = outer;
}

void Differ::Signatures(const Graph& a, const Graph& b) {
  Value("signatures", a.signatures.size(), b.signatures.size());
  const auto entries = [](const std::vector<SignatureEntry>& all) {
    std::string out;
    for (const SignatureEntry& e : all) out += fmt::format("{}=%{} ", e.name, e.tensor);
    return out;
  };
  for (size_t i = 0; i < std::min(a.signatures.size(), b.signatures.size()); ++i) {
    const Signature& x = a.signatures[i];
    const Signature& y = b.signatures[i];
    place_ = fmt::format("signature '{}': ", Printable(x.key));
    Text("key", x.key, y.key);
    Value("subgraph", x.subgraph, y.subgraph);
    Text("inputs", entries(x.inputs), entries(y.inputs));
    Text("outputs", entries(x.outputs), entries(y.outputs));
    Text("tag", x.deprecated_tag, y.deprecated_tag);
  }
  place_.clear();
}

void Differ::AllMetadata(const Graph& a, const Graph& b) {
  Value("version", a.version, b.version);
  Text("description", a.description, b.description);
  Value("metadata", a.metadata.size(), b.metadata.size());
  for (size_t i = 0; i < std::min(a.metadata.size(), b.metadata.size()); ++i) {
    place_ = fmt::format("metadata '{}': ", Printable(a.metadata[i].name));
    Text("name", a.metadata[i].name, b.metadata[i].name);
    Bytes("data", a.metadata[i].data.bytes, b.metadata[i].data.bytes);
  }
  place_.clear();
  Value("metadata buffers", a.legacy_metadata.size(), b.legacy_metadata.size());
  for (size_t i = 0; i < std::min(a.legacy_metadata.size(), b.legacy_metadata.size()); ++i) {
    Bytes("metadata buffer", a.legacy_metadata[i].bytes, b.legacy_metadata[i].bytes);
  }
}

void Differ::Graphs(const Graph& a, const Graph& b) {
  if (options_.metadata) AllMetadata(a, b);
  Value("subgraphs", a.subgraphs.size(), b.subgraphs.size());
  for (size_t s = 0; s < std::min(a.subgraphs.size(), b.subgraphs.size()); ++s) {
    place_ = s == 0 ? "" : fmt::format("subgraph {}: ", s);
    Subgraphs(a.subgraphs[s], b.subgraphs[s]);
  }
  place_.clear();
  Signatures(a, b);
  Text("external buffer groups", fmt::format("{}", fmt::join(a.external_groups, ", ")),
       fmt::format("{}", fmt::join(b.external_groups, ", ")));
  const auto external = [](const Graph& graph) {
    std::string out;
    for (const auto& e : graph.external_buffers) {
      out += fmt::format("{}:{} {}+{} {}; ", e->id, e->group, e->offset, e->length, e->packing);
    }
    return out;
  };
  Text("external buffers", external(a), external(b));
}

}  // namespace

std::vector<std::string> Diff(const Graph& a, const Graph& b, const DiffOptions& options) {
  Differ differ(options);
  differ.Graphs(a, b);
  return differ.Take();
}

}  // namespace litesmith
