#include "litesmith/compare.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "api/state.h"
#include "evaluate/compare.h"
#include "report/page.h"

namespace litesmith {
namespace {

constexpr size_t kShownRows = 20;
constexpr size_t kShownConfusions = 10;

std::string FileName(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

Value Counts(const std::vector<int64_t>& counts) {
  Value out = Value::List{};
  for (int64_t c : counts) out.Add(c);
  return out;
}

Value Matrix(const std::vector<int64_t>& counts, int64_t classes) {
  Value out = Value::List{};
  for (auto row = counts.begin(); row != counts.end(); row += classes) {
    out.Add(Counts(std::vector<int64_t>(row, row + classes)));
  }
  return out;
}

Value TensorValue(const TensorComparison& t) {
  Value out;
  out.Set("name", t.name)
      .Set("operator", t.op)
      .Set("type", t.type)
      .Set("tensor", int64_t{t.tensor})
      .Set("sqnr_db", t.sqnr_db)
      .Set("cosine", t.cosine)
      .Set("max_error", t.max_error)
      .Set("saturation", t.saturation)
      .Set("min", t.min)
      .Set("max", t.max)
      .Set("scale", t.scale > 0.0 ? Value(t.scale) : Value())
      .Set("reference_histogram", Counts(t.histogram))
      .Set("histogram", Counts(t.other_histogram));
  return out;
}

// Names of fused layers are long lists; the JSON has them whole.
std::string Short(const std::string& name) {
  constexpr size_t kLongest = 48;
  std::string out = Printable(name.substr(0, name.find(';')));
  const bool cut = out.size() > kLongest;
  if (cut) out.resize(kLongest);
  return cut || name.find(';') != std::string::npos ? out + "..." : out;
}

std::string Decibel(double db) { return std::isfinite(db) ? fmt::format("{:.1f}", db) : "equal"; }

TableView TensorTable(const std::vector<const TensorComparison*>& ranked) {
  TableView table;
  table.title = "Tensors, the worst first";
  table.columns = {{"tensor"},          {"operator"},     {"type"},
                   {"SQNR dB", true},   {"cosine", true}, {"max error", true},
                   {"saturated", true}, {"range", true}};
  for (const TensorComparison* t : ranked) {
    if (table.rows.size() == kShownRows) break;
    table.rows.push_back({Short(t->name), t->op, t->type, Decibel(t->sqnr_db),
                          fmt::format("{:.5f}", t->cosine), fmt::format("{:.4g}", t->max_error),
                          t->scale > 0.0 ? fmt::format("{:.2f} %", 100.0 * t->saturation) : "",
                          fmt::format("{:.4g} .. {:.4g}", t->min, t->max)});
  }
  return table;
}

// The pairs of classes that the model confuses and the reference does not.
TableView ConfusionTable(const Comparison& c, const std::vector<std::string>& names) {
  struct Pair {
    int64_t row, column, reference, model;
  };
  std::vector<Pair> pairs;
  for (int64_t i = 0; i < c.classes * c.classes; ++i) {
    const Pair p{i / c.classes, i % c.classes, c.confusion[static_cast<size_t>(i)],
                 c.other_confusion[static_cast<size_t>(i)]};
    if (p.row != p.column && p.model > p.reference) pairs.push_back(p);
  }
  std::stable_sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) {
    return a.model - a.reference > b.model - b.reference;
  });
  if (pairs.size() > kShownConfusions) pairs.resize(kShownConfusions);
  const auto name = [&](int64_t k) {
    const auto i = static_cast<size_t>(k);
    return i < names.size() ? Printable(names[i]) : std::to_string(k);
  };
  TableView table;
  table.title = "Confusions that the model adds";
  table.columns = {{c.labelled ? "label" : "reference says"},
                   {"model says"},
                   {"reference", true},
                   {"model", true}};
  for (const Pair& p : pairs) {
    table.rows.push_back(
        {name(p.row), name(p.column), std::to_string(p.reference), std::to_string(p.model)});
  }
  return table;
}

// Model Explorer's form: results by the names of output tensors, and the colours from bad to good.
Report NodeData(const Comparison& c, const Graph& graph) {
  constexpr double kEqual = 150.0;  // dB: JSON has no infinity
  Value results = Value::Object{}, gradient = Value::List{};
  for (const TensorComparison& t : c.tensors) {
    Value value;
    value.Set("value", std::isfinite(t.sqnr_db) ? t.sqnr_db : kEqual);
    results.Set(t.tensor_name, std::move(value));
  }
  const std::pair<double, const char*> stops[] = {
      {0.0, "#d73027"}, {0.5, "#fee08b"}, {1.0, "#1a9850"}};
  for (const auto& [stop, colour] : stops) {
    Value step;
    step.Set("stop", stop).Set("bgColor", colour);
    gradient.Add(std::move(step));
  }
  Value data;
  data.Set("results", std::move(results)).Set("gradient", std::move(gradient));
  Report out;
  out.data.Set(graph.main().name.empty() ? "main" : graph.main().name, std::move(data));
  return out;
}

void AddAnswers(const Comparison& c, const std::vector<std::string>& names, Report* report) {
  if (c.classes == 0) return;
  const auto share = [&](int64_t n) {
    return static_cast<double>(n) / static_cast<double>(c.samples);
  };
  report->data.Set("agreement", share(c.agree));
  report->notes.push_back(fmt::format("Both choose the same class for {} of {} samples ({:.2f} %).",
                                      c.agree, c.samples, 100.0 * share(c.agree)));
  if (c.labelled) {
    report->data.Set("reference_accuracy", share(c.correct))
        .Set("accuracy", share(c.other_correct));
    report->notes.push_back(fmt::format("Right answers: reference {:.2f} %, model {:.2f} %.",
                                        100.0 * share(c.correct), 100.0 * share(c.other_correct)));
  }
  report->data.Set("reference_confusion", Matrix(c.confusion, c.classes))
      .Set("confusion", Matrix(c.other_confusion, c.classes));
  TableView table = ConfusionTable(c, names);
  if (!table.rows.empty()) report->tables.push_back(std::move(table));
}

}  // namespace

absl::StatusOr<CompareResult> Compare(const Model& reference, const Model& model,
                                      const CompareRequest& request, const Context& context) {
  LS_ASSIGN_OR_RETURN(const auto first, ModelAccess::GraphOf(reference));
  LS_ASSIGN_OR_RETURN(const auto second, ModelAccess::GraphOf(model));
  LS_ASSIGN_OR_RETURN(const auto data,
                      OpenSource(request.data, *first, DataUse::kEvaluation, context));
  const CompareOptions options{request.num_samples, request.kernels};
  LS_ASSIGN_OR_RETURN_IN(
      const Comparison c, Compare(first, second, data.get(), options, context),
      fmt::format("{} and {}", FileName(reference.path()), FileName(model.path())));
  std::vector<const TensorComparison*> ranked;
  for (const TensorComparison& t : c.tensors) ranked.push_back(&t);
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto* a, const auto* b) { return a->sqnr_db < b->sqnr_db; });
  Report report;
  report.data.Set("reference", reference.path()).Set("model", model.path());
  report.data.Set("samples", c.samples);
  Value tensors = Value::List{};
  for (const TensorComparison* t : ranked) tensors.Add(TensorValue(*t));
  report.data.Set("tensors", std::move(tensors));
  if (!ranked.empty()) report.tables.push_back(TensorTable(ranked));
  AddAnswers(c, data->class_names(), &report);
  if (ranked.size() > kShownRows) {
    report.notes.push_back(
        fmt::format("{} more tensors are in the JSON (--json FILE).", ranked.size() - kShownRows));
  }
  if (ranked.empty()) {
    report.notes.push_back(
        "No tensor of one model has the name of one of the other's: only the outputs were "
        "compared.");
  }
  return CompareResult{std::move(report), NodeData(c, *second)};
}

absl::StatusOr<std::string> ComparePage(const Model& model, const CompareResult& result,
                                        const Context& context) {
  LS_ASSIGN_OR_RETURN(Value data, ModelPageData(model, context));
  data.Set("comparison", result.report.data);
  return ModelPage(data);
}

}  // namespace litesmith
