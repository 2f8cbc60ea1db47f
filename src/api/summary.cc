#include "litesmith/summary.h"

#include "api/state.h"
#include "litesmith/evaluate.h"

namespace litesmith {
namespace {

Value TensorValue(const TensorInfo& info) {
  Value shape = Value::List{};
  for (int64_t d : info.shape) shape.Add(d);
  Value out;
  out.Set("name", info.name)
      .Set("type", ElementTypeName(info.type))
      .Set("shape", std::move(shape))
      .Set("scale", info.scale > 0.0f ? Value(double{info.scale}) : Value())
      .Set("zero_point", info.scale > 0.0f ? Value(info.zero_point) : Value());
  return out;
}

bool IsInt8(const std::vector<TensorInfo>& tensors) {
  for (const TensorInfo& info : tensors) {
    if (info.type != ElementType::kInt8 || !(info.scale > 0.0f)) return false;
  }
  return !tensors.empty();
}

class Summing {
 public:
  void Check(const std::string& what, const std::string& value, bool passed) {
    Value entry;
    entry.Set("check", what).Set("value", value).Set("passed", passed);
    checks_.Add(std::move(entry));
    table_.rows.push_back({what, value, passed ? "ok" : "FAILED"});
    all_ = all_ && passed;
  }

  Summary Finish(Value data) {
    Summary out;
    table_.title = "Checks";
    table_.columns = {{"check"}, {"value", true}, {"result"}};
    out.report.data = std::move(data);
    out.report.data.Set("checks", std::move(checks_)).Set("passed", all_);
    out.report.tables.push_back(std::move(table_));
    out.passed = all_;
    return out;
  }

 private:
  Value checks_ = Value::List{};
  TableView table_;
  bool all_ = true;
};

}  // namespace

absl::StatusOr<Summary> Summarise(const Model& keras, const Model& float32, const Model& int8,
                                  const SummaryRequest& request, const Context& context) {
  for (const Model* model : {&keras, &float32, &int8}) {
    LS_RETURN_IF_ERROR(ModelAccess::GraphOf(*model).status());
  }
  EvaluateRequest evaluation;
  evaluation.data = request.data;
  LS_ASSIGN_OR_RETURN(const EvaluateResult a, Evaluate(float32, evaluation, context));
  LS_ASSIGN_OR_RETURN(const EvaluateResult b, Evaluate(int8, evaluation, context));
  const auto size = [](const Model& m) { return Kilobytes(ModelAccess::State(m)->file_bytes); };
  const double k = size(keras), f = size(float32), q = size(int8);
  Value sizes, ratio, accuracy, quantization, header, data;
  sizes.Set("keras", k).Set("tflite_float32", f).Set("tflite_int8", q);
  ratio.Set("float32", k / f).Set("int8", k / q).Set("float32_to_int8", f / q);
  accuracy.Set("tflite_float32", a.accuracy).Set("tflite_int8", b.accuracy);
  const std::vector<TensorInfo> inputs = int8.inputs(), outputs = int8.outputs();
  if (!inputs.empty()) quantization.Set("input", TensorValue(inputs[0]));
  if (!outputs.empty()) quantization.Set("output", TensorValue(outputs[0]));
  const bool tfl3_float = ModelAccess::State(float32)->is_tflite;
  const bool tfl3_int8 = ModelAccess::State(int8)->is_tflite;
  header.Set("tflite_float32", tfl3_float).Set("tflite_int8", tfl3_int8);
  data.Set("model_sizes_kb", std::move(sizes))
      .Set("compression_ratio", std::move(ratio))
      .Set("accuracy", std::move(accuracy))
      .Set("accuracy_drop", a.accuracy - b.accuracy)
      .Set("quantization", std::move(quantization))
      .Set("tfl3_header", std::move(header));
  Summing sum;
  const auto percent = [](double share) { return fmt::format("{:.2f} %", 100.0 * share); };
  const double floor = request.lowest_accuracy;
  sum.Check(fmt::format("float32 accuracy above {}", percent(floor)), percent(a.accuracy),
            a.accuracy > floor);
  sum.Check(fmt::format("int8 accuracy above {}", percent(floor)), percent(b.accuracy),
            b.accuracy > floor);
  sum.Check(fmt::format("Keras file over int8 file above {:g}", request.lowest_ratio),
            fmt::format("{:.2f}", k / q), k / q > request.lowest_ratio);
  sum.Check("int8 inputs and outputs", inputs.empty() ? "" : ElementTypeName(inputs[0].type),
            IsInt8(inputs) && IsInt8(outputs));
  sum.Check("TFL3 headers", tfl3_float && tfl3_int8 ? "both" : "missing", tfl3_float && tfl3_int8);
  Summary out = sum.Finish(std::move(data));
  TableView table;
  table.columns = {{"file"}, {"KB", true}, {"Keras is", true}, {"accuracy", true}};
  table.rows = {
      {"Keras", fmt::format("{:.2f}", k), "1.00x", ""},
      {"float32", fmt::format("{:.2f}", f), fmt::format("{:.2f}x", k / f), percent(a.accuracy)},
      {"int8", fmt::format("{:.2f}", q), fmt::format("{:.2f}x", k / q), percent(b.accuracy)}};
  out.report.tables.insert(out.report.tables.begin(), std::move(table));
  if (!IsInt8(inputs) || !IsInt8(outputs)) {
    out.report.notes.push_back(
        "The int8 file takes or gives other types: make it with --input-type int8 --output-type "
        "int8.");
  }
  return out;
}

}  // namespace litesmith
