#include "ir/print.h"

#include <flatbuffers/flatbuffers.h>

#include <algorithm>

#include "ir/schema_facts.h"

namespace litesmith {
namespace {

// A union of option tables, printed through the schema.
template <typename Union>
std::string PrintUnion(const Union* options, const char* enumeration) {
  if (options == nullptr || options->value == nullptr) return "";
  const SchemaFacts& facts = SchemaFacts::Get();
  const auto& members = facts.enums[static_cast<size_t>(facts.FindEnum(enumeration))].members;
  const auto member = members.find(static_cast<int64_t>(options->type));
  if (member == members.end() || member->second.table < 0) return "";
  flatbuffers::FlatBufferBuilder builder;
  const auto offset = options->Pack(builder);
  return PrintSchemaTable(builder.GetCurrentBufferPointer() + builder.GetSize() - offset.o,
                          member->second.table);
}

std::string Quoted(std::string_view name) { return "'" + Printable(name) + "'"; }

std::string PrintOperands(const std::vector<int32_t>& tensors) {
  std::string out;
  for (int32_t t : tensors) {
    if (!out.empty()) out += ", ";
    out += t < 0 ? std::string("-") : fmt::format("%{}", t);
  }
  return "(" + out + ")";
}

template <typename T>
std::string PrintRange(const std::vector<T>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return *low == *high ? fmt::format("{}", *low) : fmt::format("{}..{}", *low, *high);
}

std::string PrintSubgraph(const Subgraph& subgraph, size_t number) {
  std::string out = fmt::format(
      "graph {}(", subgraph.name.empty() ? fmt::format("#{}", number) : Printable(subgraph.name));
  for (size_t i = 0; i < subgraph.inputs.size(); ++i) {
    if (i > 0) out += ", ";
    out += PrintTensor(subgraph, subgraph.inputs[i]);
  }
  out += ") -> " + PrintOperands(subgraph.outputs) + "\n";
  std::vector<bool> shown(subgraph.tensors.size());
  for (int32_t t : subgraph.inputs) shown[static_cast<size_t>(t)] = true;
  for (const Node& node : subgraph.nodes) {
    for (int32_t t : node.outputs) {
      if (t >= 0) shown[static_cast<size_t>(t)] = true;
    }
  }
  for (size_t t = 0; t < shown.size(); ++t) {
    if (!shown[t]) out += "  " + PrintTensor(subgraph, static_cast<int32_t>(t)) + "\n";
  }
  for (const Node& node : subgraph.nodes) {
    for (int32_t t : node.outputs) out += "  " + PrintTensor(subgraph, t) + "\n";
    out += "     = " + PrintNode(node);
    if (!node.name.empty()) out += " from " + Quoted(node.name);
    out += "\n";
  }
  return out;
}

std::string PrintEntries(const std::vector<SignatureEntry>& entries) {
  std::string out;
  for (const SignatureEntry& entry : entries) {
    if (!out.empty()) out += ", ";
    out += fmt::format("{} %{}", Quoted(entry.name), entry.tensor);
  }
  return "(" + out + ")";
}

}  // namespace

std::string PrintQuant(const QuantParams& q) {
  std::string out;
  if (q.scale.size() == 1) {
    out = fmt::format("scale {}, zero point {}", q.scale[0],
                      q.zero_point.empty() ? 0 : q.zero_point[0]);
  } else if (!q.scale.empty()) {
    out = fmt::format("scale {} ({} on dimension {})", PrintRange(q.scale), q.scale.size(), q.axis);
    const bool symmetric =
        std::all_of(q.zero_point.begin(), q.zero_point.end(), [](int64_t z) { return z == 0; });
    if (!symmetric) out += fmt::format(", zero point {}", PrintRange(q.zero_point));
  }
  if (q.details != nullptr) {
    if (!out.empty()) out += ", ";
    out += fmt::format("{} {{{}}}", schema::EnumNameQuantizationDetails(q.details->type),
                       PrintUnion(q.details.get(), "QuantizationDetails"));
  }
  return out;
}

std::string PrintTensor(const Subgraph& subgraph, int32_t index) {
  if (index < 0) return "-";
  const Tensor& tensor = subgraph.tensors[static_cast<size_t>(index)];
  std::string out = fmt::format(
      "%{} {} {} {}", index, Quoted(tensor.label()), TypeName(tensor.type),
      ShapeString(tensor.shape_signature.empty() ? tensor.shape : tensor.shape_signature));
  if (tensor.is_constant()) out += fmt::format(" constant, {} bytes", tensor.data.bytes.size());
  if (tensor.is_variable) out += ", variable";
  if (tensor.sparsity != nullptr) out += ", sparse";
  if (tensor.external_buffer != 0)
    out += fmt::format(", external buffer {}", tensor.external_buffer);
  const std::string quant = PrintQuant(tensor.quant);
  if (!quant.empty()) out += ", " + quant;
  return out;
}

std::string PrintOptions(const Node& node) {
  std::string out = PrintUnion(node.options.get(), "BuiltinOptions");
  const std::string second = PrintUnion(node.options2.get(), "BuiltinOptions2");
  if (!out.empty() && !second.empty()) out += ", ";
  return out + second;
}

std::string PrintNode(const Node& node) {
  std::string out =
      fmt::format("{} v{} {}", OperatorName(node), node.version, PrintOperands(node.inputs));
  const std::string options = PrintOptions(node);
  if (!options.empty()) out += " {" + options + "}";
  if (!node.custom_options.empty()) {
    out += fmt::format(" custom options of {} bytes", node.custom_options.size());
  }
  return out;
}

std::string Print(const Graph& graph) {
  std::string out;
  for (size_t s = 0; s < graph.subgraphs.size(); ++s) out += PrintSubgraph(graph.subgraphs[s], s);
  for (const Signature& signature : graph.signatures) {
    out += fmt::format("signature {} of graph #{} {} -> {}\n", Quoted(signature.key),
                       signature.subgraph, PrintEntries(signature.inputs),
                       PrintEntries(signature.outputs));
  }
  for (const Metadata& m : graph.metadata) {
    out += fmt::format("metadata {} of {} bytes\n", Quoted(m.name), m.data.bytes.size());
  }
  return out;
}

}  // namespace litesmith
