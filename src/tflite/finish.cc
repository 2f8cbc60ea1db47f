#include <algorithm>
#include <set>

#include "litesmith/version.h"
#include "ops/op.h"
#include "tflite/notes.h"
#include "tflite/runtime_version.h"
#include "tflite/source_names.h"
#include "tflite/tflite.h"

namespace litesmith {
namespace {

constexpr char kRuntimeVersionName[] = "min_runtime_version";
constexpr size_t kRuntimeVersionBytes = 16;
constexpr char kDefaultSignature[] = "serving_default";

TensorView View(const Subgraph& subgraph, int32_t index) {
  static const QuantParams none;
  TensorView view;
  view.quant = &none;
  if (index < 0) return view;
  const Tensor& tensor = subgraph.tensors[static_cast<size_t>(index)];
  view.type = tensor.type;
  view.shape = tensor.shape;
  view.quant = &tensor.quant;
  view.data = tensor.is_constant() ? tensor.data.bytes.data() : nullptr;
  view.name = tensor.name;
  view.present = true;
  view.is_variable = tensor.is_variable;
  return view;
}

// FULLY_CONNECTED is the one operator that reads weights stored sparse, from this version on.
constexpr int32_t kSparseVersion = 8;

bool HasSparseWeights(const Subgraph& subgraph, const Node& node) {
  return node.op == schema::BuiltinOperator_FULLY_CONNECTED && node.input(1) >= 0 &&
         subgraph.tensors[static_cast<size_t>(node.input(1))].sparsity != nullptr;
}

void SetVersions(Subgraph* subgraph) {
  for (Node& node : subgraph->nodes) {
    const OpRecord* record = FindOp(node);
    if (record == nullptr || record->version == nullptr) continue;
    std::vector<TensorView> inputs, outputs;
    for (int32_t t : node.inputs) inputs.push_back(View(*subgraph, t));
    for (int32_t t : node.outputs) outputs.push_back(View(*subgraph, t));
    node.version = record->version(VersionArgs{node, inputs, outputs});
    if (HasSparseWeights(*subgraph, node)) node.version = std::max(node.version, kSparseVersion);
  }
}

// Entries for the tensors by their own names, made unique; "input_0" where one has none.
std::vector<SignatureEntry> Entries(const Subgraph& subgraph, const std::vector<int32_t>& tensors,
                                    const char* kind) {
  std::vector<SignatureEntry> out;
  std::set<std::string> taken;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const std::string& own = subgraph.tensors[static_cast<size_t>(tensors[i])].name;
    const std::string base = own.empty() ? fmt::format("{}_{}", kind, i) : own;
    std::string name = base;
    for (int n = 1; !taken.insert(name).second; ++n) name = fmt::format("{}_{}", base, n);
    out.push_back({name, tensors[i]});
  }
  return out;
}

void AddSignature(Graph* graph) {
  const Subgraph& main = graph->main();
  Signature signature;
  signature.key = kDefaultSignature;
  signature.inputs = Entries(main, main.inputs, "input");
  signature.outputs = Entries(main, main.outputs, "output");
  graph->signatures.push_back(std::move(signature));
}

void SetNotes(Graph* graph) {
  nlohmann::json notes = ReadNotes(*graph);
  notes["version"] = Version();
  nlohmann::json sources = CollectSourceNames(*graph);
  if (sources.is_null()) {
    notes.erase("sources");
  } else {
    notes["sources"] = std::move(sources);
  }
  WriteNotes(notes, graph);
}

}  // namespace

void FinishForWriting(Graph* graph) {
  for (Subgraph& subgraph : graph->subgraphs) SetVersions(&subgraph);
  if (graph->signatures.empty()) AddSignature(graph);
  std::string release = MinRuntimeVersion(*graph);
  release.resize(kRuntimeVersionBytes, '\0');
  graph->SetMetadata(kRuntimeVersionName, release);
  SetNotes(graph);
}

}  // namespace litesmith
