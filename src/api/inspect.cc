#include "litesmith/inspect.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "api/state.h"
#include "base/status.h"
#include "quantize/warnings.h"

namespace litesmith {
namespace {

constexpr size_t kLongestText = 200;

std::string Signature(const Tensor& tensor) {
  return ShapeString(tensor.shape_signature.empty() ? tensor.shape : tensor.shape_signature);
}

Value ShapeValue(const Shape& shape) {
  Value out = Value::List{};
  for (int32_t d : shape) out.Add(int64_t{d});
  return out;
}

std::string QuantText(const QuantParams& quant) {
  if (quant.details != nullptr) return "custom";
  if (quant.empty()) return "";
  const int64_t zero_point = quant.zero_point.empty() ? 0 : quant.zero_point[0];
  if (!quant.per_channel()) return fmt::format("{:.6g} * (q - {})", quant.scale[0], zero_point);
  const auto [low, high] = std::minmax_element(quant.scale.begin(), quant.scale.end());
  return fmt::format("{} channels on axis {}, scales {:.4g} to {:.4g}", quant.scale.size(),
                     quant.axis, *low, *high);
}

Value QuantValue(const QuantParams& quant) {
  if (quant.empty()) return {};
  Value scales = Value::List{}, zero_points = Value::List{};
  for (float s : quant.scale) scales.Add(double{s});
  for (int64_t z : quant.zero_point) zero_points.Add(z);
  Value out;
  out.Set("scale", std::move(scales)).Set("zero_point", std::move(zero_points));
  if (quant.per_channel()) out.Set("axis", int64_t{quant.axis});
  return out;
}

// Metadata that is text is shown as such.
std::optional<std::string> AsText(const Blob& blob) {
  std::string text(reinterpret_cast<const char*>(blob.bytes.data()), blob.bytes.size());
  while (!text.empty() && text.back() == '\0') text.pop_back();
  const bool printable = std::all_of(text.begin(), text.end(), [](char c) {
    return std::isprint(static_cast<unsigned char>(c)) != 0 || c == '\n';
  });
  if (text.empty() || !printable) return std::nullopt;
  return text;
}

class Inspector {
 public:
  Inspector(const ModelState& state) : state_(state), graph_(*state.graph) {}

  Report Make() {
    File();
    Operators();
    Borders();
    for (const Subgraph& subgraph : graph_.subgraphs) AddSubgraph(subgraph);
    report_.data.Set("subgraphs", std::move(subgraphs_));
    Bytes();
    Signatures();
    MetadataEntries();
    Warnings();
    return std::move(report_);
  }

 private:
  void File();
  void Operators();
  void Borders();
  void AddSubgraph(const Subgraph& subgraph);
  Value Nodes(const Subgraph& subgraph, const std::string& title);
  Value Tensors(const Subgraph& subgraph, const std::string& title);
  void Bytes();
  void Signatures();
  void MetadataEntries();
  void Warnings();

  const ModelState& state_;
  const Graph& graph_;
  Report report_;
  Value subgraphs_ = Value::List{};
};

// What ruins an integer model, as far as the file shows it.
void Inspector::Warnings() {
  TableView table{"Warnings", {{"warning"}}, {}};
  Value list = Value::List{};
  for (const std::string& warning : FileWarnings(graph_)) {
    table.rows.push_back({warning});
    list.Add(warning);
  }
  report_.data.Set("warnings", std::move(list));
  if (!table.rows.empty()) report_.tables.push_back(std::move(table));
}

void Inspector::File() {
  TableView table{"File", {{"what"}, {"value"}}, {}};
  const auto row = [&](const char* what, std::string value) {
    table.rows.push_back({what, std::move(value)});
  };
  row("path", Printable(state_.path));
  row("bytes", std::to_string(state_.file_bytes));
  row("TFL3 header", state_.is_tflite ? "yes" : "no: not a .tflite, shown as imported");
  row("schema version", std::to_string(graph_.version));
  if (!graph_.description.empty()) row("description", Printable(graph_.description));
  row("subgraphs", std::to_string(graph_.subgraphs.size()));
  report_.tables.push_back(std::move(table));
  Value file;
  file.Set("path", state_.path)
      .Set("bytes", static_cast<int64_t>(state_.file_bytes))
      .Set("tfl3_header", state_.is_tflite)
      .Set("schema_version", int64_t{graph_.version})
      .Set("description", graph_.description);
  report_.data.Set("file", std::move(file));
}

void Inspector::Operators() {
  std::map<std::pair<std::string, int32_t>, int64_t> counts;
  for (const Subgraph& subgraph : graph_.subgraphs) {
    for (const Node& node : subgraph.nodes) ++counts[{OperatorName(node), node.version}];
  }
  TableView table{"Operators", {{"operator"}, {"version", true}, {"count", true}}, {}};
  Value list = Value::List{};
  for (const auto& [key, count] : counts) {
    table.rows.push_back({Printable(key.first), std::to_string(key.second), std::to_string(count)});
    Value entry;
    entry.Set("op", key.first).Set("version", int64_t{key.second}).Set("count", count);
    list.Add(std::move(entry));
  }
  report_.tables.push_back(std::move(table));
  report_.data.Set("operators", std::move(list));
}

void Inspector::Borders() {
  TableView table{
      "Inputs and outputs", {{""}, {"name"}, {"type"}, {"shape"}, {"quantization"}}, {}};
  const Subgraph& main = graph_.main();
  const auto add = [&](const char* kind, const std::vector<int32_t>& tensors, auto name) {
    Value list = Value::List{};
    for (size_t i = 0; i < tensors.size(); ++i) {
      const Tensor& tensor = main.tensors[static_cast<size_t>(tensors[i])];
      table.rows.push_back({fmt::format("{} {}", kind, i), Printable(name(graph_, i)),
                            TypeName(tensor.type), Signature(tensor), QuantText(tensor.quant)});
      Value entry;
      entry.Set("name", name(graph_, i))
          .Set("tensor", int64_t{tensors[i]})
          .Set("type", TypeName(tensor.type))
          .Set("shape",
               ShapeValue(tensor.shape_signature.empty() ? tensor.shape : tensor.shape_signature))
          .Set("quantization", QuantValue(tensor.quant));
      list.Add(std::move(entry));
    }
    report_.data.Set(std::string(kind) + "s", std::move(list));
  };
  add("input", main.inputs, InputName);
  add("output", main.outputs, OutputName);
  report_.tables.push_back(std::move(table));
}

void Inspector::AddSubgraph(const Subgraph& subgraph) {
  std::string suffix;
  if (graph_.subgraphs.size() > 1) {
    suffix = fmt::format(" of subgraph {} '{}'", &subgraph - graph_.subgraphs.data(),
                         Printable(subgraph.name));
  }
  Value entry;
  entry.Set("name", subgraph.name);
  entry.Set("nodes", Nodes(subgraph, "Nodes" + suffix));
  entry.Set("tensors", Tensors(subgraph, "Tensors" + suffix));
  subgraphs_.Add(std::move(entry));
}

Value Inspector::Nodes(const Subgraph& subgraph, const std::string& title) {
  TableView table{title, {{"#", true}, {"operator"}, {"inputs"}, {"outputs"}, {"layer"}}, {}};
  Value list = Value::List{};
  for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
    const Node& node = subgraph.nodes[n];
    table.rows.push_back({std::to_string(n), Printable(OperatorName(node)),
                          fmt::format("{}", fmt::join(node.inputs, " ")),
                          fmt::format("{}", fmt::join(node.outputs, " ")), Printable(node.name)});
    Value entry;
    entry.Set("op", OperatorName(node))
        .Set("version", int64_t{node.version})
        .Set("name", node.name)
        .Set("inputs", ShapeValue(node.inputs))
        .Set("outputs", ShapeValue(node.outputs));
    list.Add(std::move(entry));
  }
  report_.tables.push_back(std::move(table));
  return list;
}

Value Inspector::Tensors(const Subgraph& subgraph, const std::string& title) {
  TableView table{
      title, {{"#", true}, {"name"}, {"type"}, {"shape"}, {"bytes", true}, {"quantization"}}, {}};
  Value list = Value::List{};
  for (size_t t = 0; t < subgraph.tensors.size(); ++t) {
    const Tensor& tensor = subgraph.tensors[t];
    const size_t bytes = tensor.data.bytes.size();
    table.rows.push_back({std::to_string(t), Printable(tensor.name), TypeName(tensor.type),
                          Signature(tensor), bytes > 0 ? std::to_string(bytes) : "",
                          QuantText(tensor.quant)});
    Value entry;
    entry.Set("name", tensor.name)
        .Set("type", TypeName(tensor.type))
        .Set("shape", ShapeValue(tensor.shape))
        .Set("constant_bytes", static_cast<int64_t>(bytes))
        .Set("quantization", QuantValue(tensor.quant));
    if (!tensor.shape_signature.empty()) {
      entry.Set("shape_signature", ShapeValue(tensor.shape_signature));
    }
    if (tensor.is_variable) entry.Set("variable", true);
    list.Add(std::move(entry));
  }
  report_.tables.push_back(std::move(table));
  return list;
}

// Constants by type, metadata, and what is left for the structure. Tensors may share one constant.
void Inspector::Bytes() {
  std::map<std::string, int64_t> parts;
  std::set<const void*> seen;
  int64_t rest = static_cast<int64_t>(state_.file_bytes);
  const auto add = [&](const std::string& part, const Blob& blob) {
    if (blob.empty() || !seen.insert(blob.bytes.data()).second) return;
    parts[part] += static_cast<int64_t>(blob.bytes.size());
    rest -= static_cast<int64_t>(blob.bytes.size());
  };
  for (const Subgraph& subgraph : graph_.subgraphs) {
    for (const Tensor& tensor : subgraph.tensors) {
      add(fmt::format("constants {}", TypeName(tensor.type)), tensor.data);
    }
  }
  for (const Metadata& metadata : graph_.metadata) add("metadata", metadata.data);
  if (state_.is_tflite) parts["structure"] = std::max<int64_t>(rest, 0);
  TableView table{"Bytes by part", {{"part"}, {"bytes", true}, {"%", true}}, {}};
  Value entry = Value::Object{};
  int64_t total = 0;
  for (const auto& [part, bytes] : parts) total += bytes;
  for (const auto& [part, bytes] : parts) {
    table.rows.push_back(
        {part, std::to_string(bytes),
         fmt::format("{:.1f}", 100.0 * static_cast<double>(bytes) /
                                   static_cast<double>(std::max<int64_t>(total, 1)))});
    entry.Set(part, bytes);
  }
  report_.tables.push_back(std::move(table));
  report_.data.Set("bytes", std::move(entry));
}

void Inspector::Signatures() {
  TableView table{"Signatures", {{"key"}, {"inputs"}, {"outputs"}}, {}};
  Value list = Value::List{};
  for (const litesmith::Signature& signature : graph_.signatures) {
    const auto names = [&](const std::vector<SignatureEntry>& entries, Value* values) {
      std::vector<std::string> out;
      for (const SignatureEntry& e : entries) {
        out.push_back(Printable(e.name));
        values->Add(e.name);
      }
      return fmt::format("{}", fmt::join(out, ", "));
    };
    Value inputs = Value::List{}, outputs = Value::List{};
    table.rows.push_back({Printable(signature.key), names(signature.inputs, &inputs),
                          names(signature.outputs, &outputs)});
    Value entry;
    entry.Set("key", signature.key)
        .Set("inputs", std::move(inputs))
        .Set("outputs", std::move(outputs));
    list.Add(std::move(entry));
  }
  if (!table.rows.empty()) report_.tables.push_back(std::move(table));
  report_.data.Set("signatures", std::move(list));
}

void Inspector::MetadataEntries() {
  TableView table{"Metadata", {{"name"}, {"bytes", true}, {"content"}}, {}};
  Value list = Value::List{};
  for (const Metadata& metadata : graph_.metadata) {
    const std::optional<std::string> text = AsText(metadata.data);
    std::string shown = text.value_or("");
    if (shown.size() > kLongestText) shown = shown.substr(0, kLongestText) + "...";
    std::replace(shown.begin(), shown.end(), '\n', ' ');
    table.rows.push_back(
        {Printable(metadata.name), std::to_string(metadata.data.bytes.size()), shown});
    Value entry;
    entry.Set("name", metadata.name)
        .Set("bytes", static_cast<int64_t>(metadata.data.bytes.size()))
        .Set("text", text);
    list.Add(std::move(entry));
  }
  if (!table.rows.empty()) report_.tables.push_back(std::move(table));
  report_.data.Set("metadata", std::move(list));
}

}  // namespace

absl::StatusOr<Report> Inspect(const Model& model, const Context& context) {
  LS_RETURN_IF_ERROR(context.Check());
  const ModelState* state = ModelAccess::State(model);
  if (state == nullptr) return absl::FailedPreconditionError("this Model holds no network");
  return Inspector(*state).Make();
}

}  // namespace litesmith
