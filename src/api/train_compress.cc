#include "api/train_compress.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "data/gzip.h"
#include "evaluate/evaluate.h"
#include "ir/schema_facts.h"
#include "ir/sparse.h"
#include "ops/op.h"
#include "tflite/tflite.h"
#include "train/channels.h"
#include "train/cluster.h"
#include "train/prune.h"
#include "train/sparse_weights.h"
#include "train/weights.h"

namespace litesmith {
namespace {

// A smaller change of the median is noise.
constexpr double kFaster = 0.95;

// Steps to find other weights for those that go are as long as any; centroids move many weights at
// once.
constexpr float kPruneRate = 1.0f, kClusterRate = 0.1f;

absl::Status TrainWith(std::unique_ptr<TrainHook> hook, float rate, Graph* graph,
                       const StageArgs& args) {
  TrainOptions options = StageOptions(args, rate);
  options.hooks.push_back(hook.get());
  return Train(graph, args.data, options, args.context, args.on_epoch);
}

void ReportCuts(const std::vector<ChannelCut>& cuts, Report* report) {
  TableView table{"Channels", {{"layer"}, {"before", true}, {"after", true}, {"kept because"}}, {}};
  std::vector<Value> list;
  for (const ChannelCut& cut : cuts) {
    table.rows.push_back(
        {cut.layer, fmt::format("{}", cut.before), fmt::format("{}", cut.after), cut.why});
    Value value;
    value.Set("layer", cut.layer).Set("before", cut.before).Set("after", cut.after);
    value.Set("why", cut.why);
    list.push_back(std::move(value));
  }
  report->tables.push_back(std::move(table));
  report->data.Set("channels", std::move(list));
}

// One weight tensor as it will be written.
struct LayerFacts {
  std::string layer, tensor, type, stored;
  int64_t elements = 0, zeros = 0;
  int64_t distinct = 0, distinct_per_channel = 0;  // of the whole tensor; the most of a channel
  uint64_t bytes = 0;
  bool behind_densify = false;
};

// Elements of up to eight bytes as numbers that are equal where the bytes are.
std::vector<uint64_t> Elements(std::span<const std::byte> bytes, size_t size) {
  std::vector<uint64_t> out(size > 0 ? bytes.size() / size : 0, 0);
  for (size_t i = 0; i < out.size(); ++i) std::memcpy(&out[i], bytes.data() + i * size, size);
  return out;
}

absl::StatusOr<LayerFacts> Measure(const Tensor& tensor, int channel_axis, const std::string& layer,
                                   const Context& context) {
  LayerFacts out;
  out.layer = layer;
  out.tensor = tensor.label();
  out.type = TypeName(tensor.type);
  out.stored = StoredAs(tensor);
  out.bytes = StoredBytes(tensor);
  Blob dense = tensor.data;
  if (tensor.sparsity != nullptr) {
    LS_ASSIGN_OR_RETURN(dense, Densify(tensor, context.memory_budget));
  }
  const std::vector<uint64_t> values = Elements(dense.bytes, TypeSize(tensor.type));
  size_t inside = 1;
  for (size_t d = static_cast<size_t>(channel_axis) + 1; d < tensor.shape.size(); ++d) {
    inside *= static_cast<size_t>(tensor.shape[d]);
  }
  const auto channels = static_cast<size_t>(tensor.shape[static_cast<size_t>(channel_axis)]);
  std::vector<std::set<uint64_t>> of_channel(channels);
  std::set<uint64_t> all;
  for (size_t i = 0; i < values.size(); ++i) {
    out.zeros += values[i] == 0 ? 1 : 0;
    all.insert(values[i]);
    of_channel[i / inside % channels].insert(values[i]);
  }
  out.elements = static_cast<int64_t>(values.size());
  out.distinct = static_cast<int64_t>(all.size());
  for (const auto& channel : of_channel) {
    out.distinct_per_channel =
        std::max(out.distinct_per_channel, static_cast<int64_t>(channel.size()));
  }
  return out;
}

// The weights of the layers, behind DENSIFY where they are.
absl::StatusOr<std::vector<LayerFacts>> MeasureLayers(const Graph& graph, const Context& context) {
  const Subgraph& subgraph = graph.main();
  const Uses uses = FindUses(subgraph);
  std::vector<LayerFacts> out;
  std::set<int32_t> seen;
  for (const Node& node : subgraph.nodes) {
    const std::optional<size_t> operand = WeightsOperand(node);
    int32_t t = operand ? node.input(*operand) : -1;
    if (t < 0) continue;
    const int32_t maker = uses.producer[static_cast<size_t>(t)];
    const bool densify = maker >= 0 && subgraph.nodes[static_cast<size_t>(maker)].op ==
                                           schema::BuiltinOperator_DENSIFY;
    if (densify) t = subgraph.nodes[static_cast<size_t>(maker)].input(0);
    if (t < 0 || !seen.insert(t).second) continue;
    const Tensor& tensor = subgraph.tensors[static_cast<size_t>(t)];
    if (!tensor.is_constant() || tensor.shape.size() < 2) continue;
    const int axis = std::max(FindOp(node)->quant.input(*operand).axis, 0);
    if (axis >= static_cast<int>(tensor.shape.size()) || NumElements(tensor.shape) == 0) continue;
    LS_ASSIGN_OR_RETURN(
        LayerFacts facts,
        Measure(tensor, axis, node.name.empty() ? tensor.label() : node.name, context));
    facts.behind_densify = densify;
    out.push_back(std::move(facts));
  }
  return out;
}

struct FileFacts {
  uint64_t bytes = 0, gzip_bytes = 0;
  double latency_ms = 0.0;
};

absl::StatusOr<FileFacts> MeasureFile(Graph graph, const Context& context) {
  FinishForWriting(&graph);
  LS_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, SerializeTflite(graph));
  FileFacts out;
  out.bytes = bytes.size();
  out.gzip_bytes = GzipSize(bytes);
  Context quiet = context;
  quiet.progress = nullptr;
  LS_ASSIGN_OR_RETURN(
      const Latency latency,
      MeasureLatency(std::make_shared<const Graph>(std::move(graph)), BenchmarkOptions{}, quiet));
  out.latency_ms = latency.median;
  return out;
}

std::string Percent(double share) { return fmt::format("{:.1f} %", 100.0 * share); }

void AddLayers(const std::vector<LayerFacts>& layers, Report* report, Value* data) {
  TableView table{"Weights",
                  {{"layer"},
                   {"type"},
                   {"elements", true},
                   {"zeros", true},
                   {"distinct values", true},
                   {"per channel", true},
                   {"bytes", true},
                   {"stored"}},
                  {}};
  std::vector<Value> list;
  int64_t elements = 0, zeros = 0;
  for (const LayerFacts& f : layers) {
    const double share =
        f.elements > 0 ? static_cast<double>(f.zeros) / static_cast<double>(f.elements) : 0.0;
    elements += f.elements;
    zeros += f.zeros;
    const std::string stored = f.behind_densify ? f.stored + ", DENSIFY" : f.stored;
    table.rows.push_back({f.layer, f.type, fmt::format("{}", f.elements), Percent(share),
                          fmt::format("{}", f.distinct), fmt::format("{}", f.distinct_per_channel),
                          fmt::format("{}", f.bytes), stored});
    Value value;
    value.Set("layer", f.layer)
        .Set("tensor", f.tensor)
        .Set("type", f.type)
        .Set("elements", f.elements)
        .Set("zeros", f.zeros)
        .Set("sparsity", share)
        .Set("distinct_values", f.distinct)
        .Set("distinct_values_per_channel", f.distinct_per_channel)
        .Set("bytes", static_cast<int64_t>(f.bytes))
        .Set("stored", f.stored)
        .Set("densify", f.behind_densify);
    list.push_back(std::move(value));
  }
  report->tables.push_back(std::move(table));
  data->Set("layers", std::move(list));
  data->Set("sparsity",
            elements > 0 ? static_cast<double>(zeros) / static_cast<double>(elements) : 0.0);
}

Value FileValue(const FileFacts& f) {
  Value out;
  out.Set("bytes", static_cast<int64_t>(f.bytes))
      .Set("gzip_bytes", static_cast<int64_t>(f.gzip_bytes))
      .Set("latency_ms", f.latency_ms);
  return out;
}

void AddGains(const FileFacts& before, const FileFacts& after, Report* report, Value* data) {
  const auto row = [](const char* what, const FileFacts& f) -> std::vector<std::string> {
    return {what, fmt::format("{}", f.bytes), fmt::format("{}", f.gzip_bytes),
            fmt::format("{:.3f}", f.latency_ms)};
  };
  report->tables.push_back(
      {"File",
       {{"model"}, {"bytes", true}, {"gzip bytes", true}, {"latency (ms)", true}},
       {row("before", before), row("after", after)}});
  const bool smaller = after.bytes < before.bytes, packs = after.gzip_bytes < before.gzip_bytes;
  const bool faster = after.latency_ms < kFaster * before.latency_ms;
  data->Set("before", FileValue(before)).Set("after", FileValue(after));
  data->Set("gains", Value().Set("bytes", smaller).Set("gzip_bytes", packs).Set("latency", faster));
  std::vector<std::string> gains, none;
  (smaller ? gains : none).push_back("bytes");
  (packs ? gains : none).push_back("gzip bytes");
  (faster ? gains : none).push_back("time");
  if (!gains.empty()) report->notes.push_back(fmt::format("gained: {}", fmt::join(gains, ", ")));
  if (!none.empty()) report->notes.push_back(fmt::format("not gained: {}", fmt::join(none, ", ")));
}

}  // namespace

bool WantsPruning(const TrainRequest& request) { return !request.prune.empty(); }
bool WantsClustering(const TrainRequest& request) { return !request.cluster.empty(); }

absl::Status CheckCompression(const TrainRequest& request) {
  if (WantsPruning(request)) LS_RETURN_IF_ERROR(ParsePrune(request.prune).status());
  if (WantsClustering(request)) LS_RETURN_IF_ERROR(ParseCluster(request.cluster).status());
  return absl::OkStatus();
}

absl::Status PruneStage(Graph* graph, const StageArgs& args) {
  LS_ASSIGN_OR_RETURN(const PruneSpec spec, ParsePrune(args.request.prune));
  if (spec.kind != PruneKind::kChannels)
    return TrainWith(MakePruning(spec), kPruneRate, graph, args);
  LS_ASSIGN_OR_RETURN_IN(const std::vector<ChannelCut> cuts, CutChannels(spec.sparsity, graph),
                         fmt::format("--prune {}", spec.ToString()));
  ReportCuts(cuts, args.report);
  return Train(graph, args.data, StageOptions(args, kPruneRate), args.context, args.on_epoch);
}

absl::Status ClusterStage(Graph* graph, const StageArgs& args) {
  LS_ASSIGN_OR_RETURN(ClusterSpec spec, ParseCluster(args.request.cluster));
  spec.seed = args.request.seed;
  LS_RETURN_IF_ERROR(CheckClusterable(*graph));
  return TrainWith(MakeClustering(spec), kClusterRate, graph, args);
}

std::vector<std::unique_ptr<TrainHook>> KeepingHooks(const TrainRequest& request,
                                                     std::string_view stage) {
  std::vector<std::unique_ptr<TrainHook>> out;
  if (stage == "prune") return out;
  if (WantsPruning(request)) out.push_back(MakeKeepZeros());
  const absl::StatusOr<ClusterSpec> spec = ParseCluster(request.cluster);
  if (stage != "cluster" && spec.ok()) out.push_back(MakeKeepClusters(spec->clusters));
  return out;
}

void StoreSparse(const TrainRequest& request, Graph* graph) {
  if (!WantsPruning(request) || !request.sparse_encoding) return;
  const absl::StatusOr<PruneSpec> spec = ParsePrune(request.prune);
  // 2:4 is for hardware that reads dense rows.
  if (!spec.ok() || spec->kind == PruneKind::kGroups || spec->kind == PruneKind::kChannels) return;
  EncodeSparseWeights(graph);
}

absl::Status FinishCompression(const TrainRequest& request, const Graph& before,
                               const Context& context, Graph* graph, Report* report) {
  if (!WantsPruning(request) && !WantsClustering(request)) return absl::OkStatus();
  StoreSparse(request, graph);
  LS_ASSIGN_OR_RETURN(const std::vector<LayerFacts> layers, MeasureLayers(*graph, context));
  LS_ASSIGN_OR_RETURN(const FileFacts old, MeasureFile(before, context));
  LS_ASSIGN_OR_RETURN(const FileFacts now, MeasureFile(*graph, context));
  Value data;
  if (WantsPruning(request)) data.Set("prune", request.prune);
  if (WantsClustering(request)) data.Set("cluster", request.cluster);
  AddLayers(layers, report, &data);
  AddGains(old, now, report, &data);
  report->data.Set("compression", std::move(data));
  return absl::OkStatus();
}

}  // namespace litesmith
