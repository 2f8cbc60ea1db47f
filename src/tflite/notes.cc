#include "tflite/notes.h"

#include "tflite/source_names.h"

namespace litesmith {
namespace {

// A hint is not worth more memory than this.
constexpr size_t kMaxNotes = size_t{16} << 20;
constexpr int kMaxDepth = 32;

// nlohmann's parser recurses into nested arrays when it destroys them.
bool IsShallow(std::string_view text) {
  int depth = 0;
  for (char c : text) {
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if (depth > kMaxDepth) return false;
  }
  return true;
}

}  // namespace

nlohmann::json ReadNotes(const Graph& graph) {
  const Metadata* found = graph.FindMetadata(kNotesName);
  if (found == nullptr || found->data.bytes.size() > kMaxNotes) return nlohmann::json::object();
  std::string_view text(reinterpret_cast<const char*>(found->data.bytes.data()),
                        found->data.bytes.size());
  while (!text.empty() && text.back() == '\0') text.remove_suffix(1);
  if (!IsShallow(text)) return nlohmann::json::object();
  nlohmann::json notes = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  return notes.is_object() ? notes : nlohmann::json::object();
}

void WriteNotes(const nlohmann::json& notes, Graph* graph) {
  graph->SetMetadata(kNotesName,
                     notes.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

nlohmann::json CollectSourceNames(const Graph& graph) {
  nlohmann::json out;
  for (size_t s = 0; s < graph.subgraphs.size(); ++s) {
    const Subgraph& subgraph = graph.subgraphs[s];
    nlohmann::json tensors, nodes;
    for (const Tensor& tensor : subgraph.tensors) {
      if (tensor.name.empty() || tensor.source.empty() || tensor.source == tensor.name) continue;
      tensors[tensor.name] = tensor.source;
    }
    for (const Node& node : subgraph.nodes) {
      if (node.name.empty() || node.output(0) < 0) continue;
      const Tensor& output = subgraph.tensors[static_cast<size_t>(node.output(0))];
      if (!output.name.empty() && output.label() != node.name) nodes[output.name] = node.name;
    }
    if (!tensors.is_null()) out[std::to_string(s)]["tensors"] = std::move(tensors);
    if (!nodes.is_null()) out[std::to_string(s)]["nodes"] = std::move(nodes);
  }
  return out;
}

void ApplySourceNames(const nlohmann::json& notes, Graph* graph) {
  const auto sources = notes.find("sources");
  if (sources == notes.end() || !sources->is_object()) return;
  const auto lookup = [](const nlohmann::json& names, const char* kind, const std::string& key) {
    const auto group = names.find(kind);
    if (group == names.end() || !group->is_object()) return std::string();
    const auto name = group->find(key);
    return name != group->end() && name->is_string() ? name->get<std::string>() : std::string();
  };
  for (size_t s = 0; s < graph->subgraphs.size(); ++s) {
    const auto names = sources->find(std::to_string(s));
    if (names == sources->end() || !names->is_object()) continue;
    Subgraph& subgraph = graph->subgraphs[s];
    for (Tensor& tensor : subgraph.tensors) {
      if (!tensor.name.empty()) tensor.source = lookup(*names, "tensors", tensor.name);
    }
    for (Node& node : subgraph.nodes) {
      if (node.output(0) < 0) continue;
      const Tensor& output = subgraph.tensors[static_cast<size_t>(node.output(0))];
      if (!output.name.empty()) node.name = lookup(*names, "nodes", output.name);
    }
  }
}

}  // namespace litesmith
