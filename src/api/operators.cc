#include "litesmith/operators.h"

#include <algorithm>

#include "ops/batch_normalize.h"
#include "ops/fake_quantize.h"
#include "ops/op.h"
#include "ops/target.h"
#include "quantize/decompose.h"
#include "quantize/lowering.h"
#include "quantize/rules.h"

namespace litesmith {
namespace {

bool HasWeights(const OpRecord& record) {
  return std::any_of(record.quant.inputs.begin(), record.quant.inputs.end(),
                     [](const InputRule& rule) { return rule.role == Role::kWeight; });
}

// How a static recipe makes it compute on integers: "yes", with TFLite's kernel; "others", by other
// operators, on int32 or by a table; "", not at all.
std::string IntegerForm(const OpRecord& record, bool own) {
  if (own) return "yes";
  const bool others = MayDecompose(record.op) || PossibleLowering(record.op) != Lowering::kNone;
  return others ? "others" : "";
}

bool Runs(const OpRecord& record) { return record.prepare != nullptr || record.run_by_executor; }

std::string NameOf(const OpRecord& record) {
  return record.op == schema::BuiltinOperator_CUSTOM ? record.custom_code
                                                     : schema::EnumNameBuiltinOperator(record.op);
}

std::vector<std::string> ModesOf(const OpRecord& record, Target target) {
  if (record.op == schema::BuiltinOperator_CUSTOM) return {};
  return TargetModes(record.op, target);
}

// Which recipes give it int4 weights.
std::string Int4Form(const OpRecord& record) {
  const bool fixed = TakesInt4Weights(record), dynamic = TakesInt4Dynamic(record);
  return fixed && dynamic ? "yes" : fixed ? "static" : dynamic ? "dynamic" : "";
}

// "f 8 16 4" keeps the table narrow.
std::string Short(const std::vector<std::string>& modes) {
  std::string out;
  for (const std::string& mode : modes) {
    const char* name = mode == "float32"   ? "f"
                       : mode == "int8"    ? "8"
                       : mode == "int16x8" ? "16"
                       : mode == "int4"    ? "4"
                                           : "i";
    out += fmt::format("{}{}", out.empty() ? "" : " ", name);
  }
  return out;
}

Value ListOf(const std::vector<std::string>& modes) {
  Value out = Value::List{};
  for (const std::string& mode : modes) out.Add(mode);
  return out;
}

}  // namespace

Report OperatorSupport() {
  Report report;
  TableView table;
  table.columns = {{"operator"}, {"Keras"},   {"TensorFlow"}, {"ONNX"},    {"runs"},
                   {"float16"},  {"dynamic"}, {"int8"},       {"int16x8"}, {"int4"},
                   {"gradient"}, {"litert"},  {"tflm"}};
  Value list = Value::List{};
  size_t int8 = 0, int16x8 = 0, gradients = 0;
  for (const OpRecord* record : AllOps()) {
    if (NameOf(*record) == kBatchNormalizeCode) continue;
    // Stands in training graphs only.
    if (NameOf(*record) == kFakeQuantizeCode) continue;
    const bool float16 = record->prepare != nullptr && HasWeights(*record);
    const std::vector<std::string> litert = ModesOf(*record, Target::kLitert);
    const std::vector<std::string> tflm = ModesOf(*record, Target::kTflm);
    const std::string int8_form = IntegerForm(*record, record->quant.int8);
    const std::string int16_form = IntegerForm(*record, record->quant.int16x8);
    const auto yes = [](bool b) { return std::string(b ? "yes" : ""); };
    table.rows.push_back({NameOf(*record), record->names.keras, record->names.tf,
                          record->names.onnx, yes(Runs(*record)), yes(float16),
                          yes(record->quant.dynamic), int8_form, int16_form, Int4Form(*record),
                          yes(record->gradient != nullptr), Short(litert), Short(tflm)});
    Value row;
    row.Set("operator", NameOf(*record))
        .Set("keras", record->names.keras)
        .Set("tensorflow", record->names.tf)
        .Set("onnx", record->names.onnx)
        .Set("runs", Runs(*record))
        .Set("float16", float16)
        .Set("dynamic", record->quant.dynamic)
        .Set("int8", record->quant.int8)
        .Set("int16x8", record->quant.int16x8)
        .Set("int8_by_others", int8_form == "others")
        .Set("int16x8_by_others", int16_form == "others")
        .Set("int4", TakesInt4Weights(*record))
        .Set("int4_dynamic", TakesInt4Dynamic(*record))
        .Set("gradient", record->gradient != nullptr)
        .Set("litert", ListOf(litert))
        .Set("tflm", ListOf(tflm));
    list.Add(std::move(row));
    int8 += !int8_form.empty();
    int16x8 += !int16_form.empty();
    gradients += record->gradient != nullptr;
  }
  std::sort(table.rows.begin(), table.rows.end());
  report.notes.push_back(fmt::format(
      "{} operators: {} have an int8 form, {} a 16x8 form, {} a gradient. float16 and dynamic mark "
      "those whose weights these recipes store smaller; the other operators compute in float "
      "there. int4 marks those that static_wi4_ai8 and dynamic_wi4_afp32, or one of them, give "
      "int4 "
      "weights. litert and tflm say in which "
      "activations --target lets a file use the operator there: f float32, 8 int8, 16 int16, 4 "
      "int4 "
      "weights beside int8, i plain integers or booleans alone; --target litesmith takes whatever "
      "runs here. "
      "others: quantized into other operators, on int32 or by a table, as far as its operands "
      "allow; 'litesmith quantize --dry-run' shows into what.",
      table.rows.size(), int8, int16x8, gradients));
  report.tables.push_back(std::move(table));
  report.data.Set("operators", std::move(list));
  return report;
}

}  // namespace litesmith
