#include "litesmith/benchmark.h"

#include <cmath>
#include <ctime>
#include <filesystem>
#include <set>

#include "api/benchmark_tables.h"
#include "api/process.h"
#include "api/state.h"
#include "evaluate/evaluate.h"
#include "litesmith/board.h"
#include "passes/passes.h"

namespace litesmith {
namespace {

// A loss that is worth a word: one point.
constexpr double kNoticeableLoss = 0.01;

std::string Timestamp() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &local);
  return text;
}

std::string Percent(const std::optional<double>& accuracy) {
  return accuracy ? fmt::format("{:.2f} %", 100.0 * *accuracy) : "-";
}

// Points of accuracy won or lost against the baseline.
std::string Change(const BenchmarkRow& row, const BenchmarkRow* baseline) {
  if (baseline == nullptr || !row.accuracy || !baseline->accuracy) return "-";
  if (&row == baseline) return "";
  return fmt::format("{:+.2f}", 100.0 * (*row.accuracy - *baseline->accuracy));
}

std::vector<std::string> Advice(const std::vector<BenchmarkRow>& rows,
                                const BenchmarkRow* baseline) {
  std::vector<std::string> out;
  if (baseline == nullptr || !baseline->accuracy) return out;
  for (const BenchmarkRow& row : rows) {
    if (!row.accuracy || *baseline->accuracy - *row.accuracy <= kNoticeableLoss) continue;
    out.push_back(fmt::format("{} loses {:.2f} points against {}.", row.name,
                              100.0 * (*baseline->accuracy - *row.accuracy), baseline->name));
  }
  if (!out.empty()) {
    out.push_back(
        "Next steps: more calibration samples (--num-calibration-samples 1000); 16-bit activations "
        "(--recipe int16x8); float activations (--recipe dynamic); quantization-aware training.");
  }
  return out;
}

absl::StatusOr<std::shared_ptr<const Graph>> GraphToRun(const Model& model,
                                                        const BenchmarkRequest& request) {
  LS_ASSIGN_OR_RETURN(auto graph, ModelAccess::GraphOf(model));
  if (request.kernels != KernelMode::kBest) return graph;
  return FuseForRunning(std::move(graph));
}

BenchmarkOptions OptionsOf(const BenchmarkRequest& request) {
  return {request.num_runs, request.warmup_runs, request.num_threads, request.kernels,
          request.min_seconds};
}

// The float model that quantized ones are compared with; null where none is asked for.
absl::StatusOr<std::shared_ptr<const Graph>> FloatGraph(const BenchmarkRequest& request,
                                                        const Context& context) {
  if (request.float_model.empty()) return std::shared_ptr<const Graph>();
  LS_ASSIGN_OR_RETURN(const Model model, Model::Load(request.float_model, context));
  if (!IsFloatModel(*ModelAccess::State(model)->graph)) {
    return Invalid("{}: is quantized itself; give the float model that the others were made of",
                   request.float_model);
  }
  return GraphToRun(model, request);
}

// `litert` null: ours alone.
absl::StatusOr<Latency> Measure(const Model& model, const BenchmarkRequest& request,
                                const Context& context, ModelProfile* profile,
                                LitertComparison* litert) {
  LS_ASSIGN_OR_RETURN(const auto graph, GraphToRun(model, request));
  if (request.num_runs < 1 || request.warmup_runs < 0) {
    return Invalid("--num-runs is {} and --warmup-runs {}; at least 1 and 0 are needed",
                   request.num_runs, request.warmup_runs);
  }
  const BenchmarkOptions options = OptionsOf(request);
  if (litert == nullptr) {
    LS_ASSIGN_OR_RETURN_IN(const Latency latency, MeasureLatency(graph, options, context, profile),
                           model.path());
    return latency;
  }
  LS_RETURN_IF_ERROR(RequireTflite(model));
  LS_ASSIGN_OR_RETURN_IN(
      const Latency latency,
      MeasureBesideLitert(graph, model.path(), *request.litert, options, context, litert, profile),
      model.path());
  return latency;
}

}  // namespace

absl::StatusOr<Latency> MeasureLatency(const Model& model, const BenchmarkRequest& request,
                                       const Context& context) {
  return Measure(model, request, context, nullptr, nullptr);
}

Report BenchmarkReport(const std::vector<BenchmarkRow>& rows, const SystemInfo& system) {
  const BenchmarkRow* baseline = nullptr;
  for (const BenchmarkRow& row : rows) {
    if (row.is_baseline && baseline == nullptr) baseline = &row;
  }
  Report report;
  TableView table;
  table.columns = {{"model"},        {"KB", true}, {"% of float", true}, {"accuracy", true},
                   {"change", true}, {"ms", true}, {"speed-up", true}};
  Value models = Value::Object{};
  for (const BenchmarkRow& row : rows) {
    const double kilobytes = Kilobytes(row.bytes);
    const bool compare = baseline != nullptr && baseline->bytes > 0;
    table.rows.push_back({row.name, fmt::format("{:.1f}", kilobytes),
                          compare ? fmt::format("{:.1f}", 100.0 * static_cast<double>(row.bytes) /
                                                              static_cast<double>(baseline->bytes))
                                  : "-",
                          Percent(row.accuracy), Change(row, baseline),
                          fmt::format("{:.3f}", row.latency.avg),
                          compare && row.latency.avg > 0
                              ? fmt::format("{:.2f}x", baseline->latency.avg / row.latency.avg)
                              : "-"});
    Value entry;
    entry.Set("accuracy", row.accuracy)
        .Set("size_kb", kilobytes)
        .Set("latency_ms", LatencyValue(row.latency))
        .Set("fps", row.latency.avg > 0 ? Value(1000.0 / row.latency.avg) : Value());
    if (row.litert) entry.Set("litert", LitertValue(row));
    if (row.compare_float) entry.Set("compare_float", FloatComparisonValue(*row.compare_float));
    if (row.profile) entry.Set("profile", ProfileValue(*row.profile));
    models.Set(row.name, std::move(entry));
  }
  report.data.Set("timestamp", Timestamp())
      .Set("system_info", SystemValue(system))
      .Set("baseline_accuracy", baseline != nullptr ? Value(baseline->accuracy) : Value())
      .Set("models", std::move(models));
  report.tables.push_back(std::move(table));
  AddLitertTable(rows, &report);
  for (const BenchmarkRow& row : rows) {
    if (row.profile) AddProfileTables(row.name, *row.profile, &report);
    if (row.compare_float) AddFloatComparison(row.name, *row.compare_float, &report);
  }
  for (std::string& line : Advice(rows, baseline)) report.notes.push_back(std::move(line));
  report.notes.push_back(SystemLine(system));
  return report;
}

absl::StatusOr<Report> BenchmarkFiles(const std::vector<std::string>& models,
                                      const BenchmarkRequest& request, const Context& context) {
  LS_ASSIGN_OR_RETURN(const std::vector<std::string> paths, FindModels(models));
  if (request.litert) LS_RETURN_IF_ERROR(CheckLitert(*request.litert));
  LS_ASSIGN_OR_RETURN(const auto affinity, CpuAffinity::Set(request.cpus));
  LS_ASSIGN_OR_RETURN(const auto float_graph, FloatGraph(request, context));
  const SystemInfo system = ReadSystemInfo();
  const BoardState before = ReadBoardState();
  std::vector<BenchmarkRow> rows;
  std::set<std::string> names;
  for (const std::string& path : paths) {
    const int64_t resident = ResidentBytes();
    LS_ASSIGN_OR_RETURN(const Model model, Model::Load(path, context));
    const ModelState& state = *ModelAccess::State(model);
    BenchmarkRow row;
    // Two files of one name in different folders go by their paths.
    row.name = std::filesystem::path(path).stem().string();
    if (!names.insert(row.name).second) row.name = path;
    row.bytes = state.file_bytes;
    row.is_baseline = IsFloatModel(*state.graph);
    if (request.profile) row.profile.emplace();
    ModelProfile* profile = row.profile ? &*row.profile : nullptr;
    if (request.litert) row.litert.emplace();
    LitertComparison* litert = row.litert ? &*row.litert : nullptr;
    LS_ASSIGN_OR_RETURN(row.latency, Measure(model, request, context, profile, litert));
    if (profile != nullptr) {
      profile->rss_growth_bytes = ResidentBytes() - resident;
      profile->peak_rss_bytes = PeakResidentBytes();
    }
    if (float_graph != nullptr && !row.is_baseline) {
      LS_ASSIGN_OR_RETURN(const auto graph, GraphToRun(model, request));
      LS_ASSIGN_OR_RETURN_IN(row.compare_float,
                             CompareWithFloat(graph, float_graph, OptionsOf(request), context),
                             path);
    }
    if (!request.data.path.empty()) {
      EvaluateRequest evaluate;
      evaluate.data = request.data;
      evaluate.kernels = request.kernels;
      LS_ASSIGN_OR_RETURN(const EvaluateResult result, Evaluate(model, evaluate, context));
      row.accuracy = result.accuracy;
    }
    rows.push_back(std::move(row));
  }
  Report report = BenchmarkReport(rows, system);
  AddBoardStates(before, ReadBoardState(), &report);
  return report;
}

}  // namespace litesmith
