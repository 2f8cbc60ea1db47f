#include <algorithm>

#include "quantize/quantize.h"

namespace litesmith {
namespace {

using Row = std::vector<std::string>;

// Columns as wide as their longest cell, two spaces between, nothing after the last.
std::string Table(const std::vector<Row>& rows) {
  std::vector<size_t> width;
  for (const Row& row : rows) {
    width.resize(std::max(width.size(), row.size()), 0);
    for (size_t c = 0; c < row.size(); ++c) width[c] = std::max(width[c], row[c].size());
  }
  std::string out;
  for (const Row& row : rows) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) line += fmt::format("{:<{}}  ", row[c], width[c]);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

// One value, or the least and greatest of several.
std::string Scales(const QuantParams& quant) {
  if (quant.empty()) return "-";
  if (!quant.per_channel()) return fmt::format("{:.6g}", quant.scale[0]);
  const auto [low, high] = std::minmax_element(quant.scale.begin(), quant.scale.end());
  return fmt::format("{:.6g}..{:.6g} ({} channels)", *low, *high, quant.scale.size());
}

const char* ModeName(NodeMode mode) {
  switch (mode) {
    case NodeMode::kFloat:
      return "float";
    case NodeMode::kInteger:
      return "integer";
    case NodeMode::kDynamic:
      return "dynamic";
    case NodeMode::kFloat16:
      return "float16";
    case NodeMode::kWeightOnly:
      return "weight-only";
  }
  return "";
}

}  // namespace

std::string FormatPlan(const Graph& graph, const Plan& plan) {
  const Subgraph& subgraph = graph.main();
  std::vector<Row> tensors = {
      {"tensor", "name", "shape", "type", "scale", "zero point", "range", "why"}};
  for (size_t t = 0; t < plan.tensors.size() && t < subgraph.tensors.size(); ++t) {
    const TensorPlan& p = plan.tensors[t];
    const Tensor& tensor = subgraph.tensors[t];
    const bool ranged = p.min != 0.0f || p.max != 0.0f;
    tensors.push_back({std::to_string(t), Printable(tensor.label()), ShapeString(tensor.shape),
                       TypeName(p.type), Scales(p.quant),
                       p.quant.zero_point.empty() ? "-" : std::to_string(p.quant.zero_point[0]),
                       ranged ? fmt::format("[{:.6g}, {:.6g}]", p.min, p.max) : "-", p.why});
  }
  std::vector<Row> nodes = {{"node", "operator", "name", "mode", "why"}};
  for (size_t n = 0; n < plan.nodes.size() && n < subgraph.nodes.size(); ++n) {
    const Node& node = subgraph.nodes[n];
    std::string name = node.name;
    if (name.empty() && node.output(0) >= 0) {
      name = subgraph.tensors[static_cast<size_t>(node.output(0))].label();
    }
    nodes.push_back({std::to_string(n), OperatorName(node), Printable(name),
                     ModeName(plan.nodes[n].mode), plan.nodes[n].why});
  }
  return fmt::format("recipe {}, input {}, output {}\n\n{}\n{}", plan.recipe.name,
                     ElementTypeName(plan.input_type), ElementTypeName(plan.output_type),
                     Table(tensors), Table(nodes));
}

}  // namespace litesmith
