#include "evaluate/evaluate.h"

#include <cmath>
#include <filesystem>

#include "api/state.h"
#include "litesmith/evaluate.h"
#include "passes/passes.h"

namespace litesmith {

bool IsFloatModel(const Graph& graph) {
  for (const Subgraph& subgraph : graph.subgraphs) {
    for (const Tensor& tensor : subgraph.tensors) {
      if (!tensor.quant.empty() || tensor.type == schema::TensorType_FLOAT16 ||
          tensor.type == schema::TensorType_BFLOAT16) {
        return false;
      }
    }
  }
  return true;
}

double Kilobytes(uint64_t bytes) {
  return std::round(static_cast<double>(bytes) / 1024.0 * 100.0) / 100.0;
}

absl::StatusOr<EvaluateResult> Evaluate(const Model& model, const EvaluateRequest& request,
                                        const Context& context) {
  LS_ASSIGN_OR_RETURN(const auto graph, ModelAccess::GraphOf(model));
  LS_ASSIGN_OR_RETURN(const auto data,
                      OpenSource(request.data, *graph, DataUse::kEvaluation, context));
  const EvaluateOptions options{request.metric, request.kernels, request.arithmetic};
  std::shared_ptr<const Graph> runs = graph;
  if (request.kernels == KernelMode::kBest) {
    LS_ASSIGN_OR_RETURN(runs, FuseForRunning(graph));
  }
  LS_ASSIGN_OR_RETURN_IN(const EvaluateResult result, Evaluate(runs, data.get(), options, context),
                         model.path());
  return result;
}

absl::StatusOr<Report> EvaluateFiles(const std::vector<std::string>& models,
                                     const EvaluateRequest& request, const Context& context) {
  LS_ASSIGN_OR_RETURN(const std::vector<std::string> paths, FindModels(models));
  const bool accuracy = request.metric == Metric::kAccuracy;
  const char* error_name = request.metric == Metric::kMse ? "mse" : "mae";
  Report report;
  TableView table;
  if (accuracy) {
    table.columns = {{"model"}, {"KB", true}, {"accuracy", true}, {"correct", true}, {"of", true}};
  } else {
    table.columns = {{"model"}, {"KB", true}, {error_name, true}, {"samples", true}};
  }
  Value list = Value::List{};
  for (const std::string& path : paths) {
    LS_ASSIGN_OR_RETURN(const Model model, Model::Load(path, context));
    Context named = context;
    named.progress = [&](const Context::Progress& p) {
      context.Report(p.what, p.done, p.total, std::filesystem::path(path).filename().string());
    };
    LS_ASSIGN_OR_RETURN(const EvaluateResult result, Evaluate(model, request, named));
    const double kilobytes = Kilobytes(ModelAccess::State(model)->file_bytes);
    Value entry;
    entry.Set("path", path);
    std::vector<std::string> row = {std::filesystem::path(path).filename().string(),
                                    fmt::format("{:.1f}", kilobytes)};
    if (accuracy) {
      entry.Set("accuracy", result.accuracy).Set("correct", result.correct);
      row.push_back(fmt::format("{:.2f} %", 100.0 * result.accuracy));
      row.push_back(std::to_string(result.correct));
    } else {
      entry.Set(error_name, result.error);
      row.push_back(fmt::format("{:.6g}", result.error));
    }
    entry.Set("total", result.total).Set("size_kb", kilobytes);
    row.push_back(std::to_string(result.total));
    list.Add(std::move(entry));
    table.rows.push_back(std::move(row));
  }
  report.data.Set("models", std::move(list));
  report.tables.push_back(std::move(table));
  return report;
}

}  // namespace litesmith
