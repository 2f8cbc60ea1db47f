#include <fmt/format.h>

#include "command.h"

namespace litesmith::cli {
namespace {

struct Flags {
  std::string input, output;
  LoadOptions load;
  QuantizeRequest request;
  bool dry_run = false;
  std::string write_recipe;
  ElementType input_type = ElementType::kFloat32, output_type = ElementType::kFloat32;
  CLI::Option *input_option = nullptr, *output_option = nullptr;  // whether the types are given
};

absl::Status WriteRecipe(const Flags& flags, const QuantizeRequest& request) {
  if (flags.write_recipe.empty()) return absl::OkStatus();
  const auto text = RecipeFile(request);
  if (!text.ok()) return text.status();
  return WriteText(flags.write_recipe, *text);
}

absl::Status DoQuantize(const Flags& flags, const Context& context) {
  QuantizeRequest request = flags.request;
  if (flags.input_option->count() > 0) request.input_type = flags.input_type;
  if (flags.output_option->count() > 0) request.output_type = flags.output_type;
  const auto model = Model::Load(flags.input, flags.load, context);
  if (!model.ok()) return model.status();
  if (flags.dry_run) {
    const auto plan = PlanQuantization(*model, request, context);
    if (!plan.ok()) return plan.status();
    std::fputs(plan->c_str(), stdout);
    return WriteRecipe(flags, request);
  }
  if (absl::Status status = model->CheckOutput(flags.output); !status.ok()) return status;
  const DataSource& data = flags.request.calibration;
  if (absl::Status status = CheckWritable(flags.output, {data.path, data.labels}); !status.ok()) {
    return status;
  }
  const auto quantized = Quantize(*model, request, context);
  if (!quantized.ok()) return quantized.status();
  if (absl::Status status = quantized->Save(flags.output); !status.ok()) return status;
  fmt::print("written: {}\n", flags.output);
  return WriteRecipe(flags, request);
}

// The methods, with what to expect of each.
std::string Methods() {
  TableView table{
      "Recipes:", {{"name"}, {"alias"}, {"data needed"}, {"size"}, {"accuracy"}, {"hardware"}}, {}};
  for (const RecipeInfo& r : Recipes()) {
    table.rows.push_back({r.name, r.alias, r.data, r.size, r.accuracy, r.hardware});
  }
  return ToText(table) +
         "\nWhere an integer recipe loses too much: more samples, then int16x8, then dynamic; "
         "quantization-aware\ntraining keeps most but needs labelled training data (litesmith "
         "train --qat). litesmith "
         "advise makes and\nmeasures them all.\n"
         "\nExamples:\n"
         "  litesmith quantize model.keras -o model_f16.tflite --recipe float16\n"
         "  litesmith quantize model.keras -o model_int8.tflite --recipe int8 \\\n"
         "      --calibration-data mnist/ --input-type int8 --output-type int8\n"
         "  litesmith quantize model.tflite --recipe int8 --calibration-data x.npy --dry-run\n"
         "  litesmith quantize model_int8.tflite -o model_u8.tflite --input-type uint8";
}

CLI::Option* AddType(CLI::App* sub, const char* flag, ElementType* type, const char* what) {
  return sub->add_option(flag, *type, what)
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, ElementType>{{"float32", ElementType::kFloat32},
                                             {"int8", ElementType::kInt8},
                                             {"uint8", ElementType::kUint8},
                                             {"int16", ElementType::kInt16}}))
      ->option_text("float32|int8|uint8|int16");
}

}  // namespace

void AddQuantize(CLI::App* app, CommonFlags* common, Action* chosen) {
  CLI::App* sub = app->add_subcommand("quantize", "Make a smaller .tflite after training");
  auto flags = Declare<Flags>(sub, chosen, DoQuantize);
  sub->add_option("IN", flags->input,
                  "Float model: .keras, .h5, architecture .json, .tflite; or an integer .tflite, "
                  "whose inputs and outputs get other types")
      ->required();
  auto* output = sub->add_option("-o,--output", flags->output, "The .tflite to write")
                     ->type_name("OUT.tflite");
  sub->add_option("--recipe", flags->request.recipe,
                  "See the table below; or a mixed recipe, a file in the LiteRT quantizer's form")
      ->type_name("NAME|FILE.json");
  sub->add_option("--keep-float", flags->request.keep_float,
                  "Leave layers in float: a regular expression, searched in the names of layers "
                  "and of the tensors they make; may be repeated")
      ->type_name("REGEX")
      ->allow_extra_args(false);
  sub->add_option("--write-recipe", flags->write_recipe,
                  "Write the recipe, with what stays float, as such a file")
      ->type_name("FILE.json");
  AddLoadFlags(sub, &flags->load);
  sub->add_option(
         "--calibration-data", flags->request.calibration.path,
         "Samples for integer recipes: IDX folder, picture folder or .tar[.gz], .npy, .npz")
      ->type_name("PATH");
  sub->add_option("--num-calibration-samples", flags->request.num_calibration_samples,
                  "How many of them to use (default 300)")
      ->check(CLI::PositiveNumber)
      ->option_text("N");
  sub->add_option("--seed", flags->request.seed, "Which of them, where they are drawn (default 0)")
      ->option_text("N");
  AddPreprocessing(sub, &flags->request.calibration);
  flags->input_option =
      AddType(sub, "--input-type", &flags->input_type, "Type of the model's inputs");
  flags->output_option =
      AddType(sub, "--output-type", &flags->output_type, "Type of the model's outputs");
  sub->add_option("--target", flags->request.target,
                  "What is to run the file (default litert); a model that it cannot run is refused")
      ->check(CLI::IsMember({"litert", "tflm", "litesmith"}))
      ->option_text("litert|tflm|litesmith");
  sub->add_option("--batch-size", flags->request.batch_size,
                  "Fix the free first dimension of the inputs at this size")
      ->check(CLI::PositiveNumber)
      ->option_text("N");
  sub->add_flag("--allow-float", flags->request.allow_float,
                "Leave operators that the recipe cannot quantize in float, instead of failing");
  auto* dry = sub->add_flag("--dry-run", flags->dry_run, "Print the plan, write nothing");
  AddThreads(sub, common);
  sub->footer("");
  sub->footer(Methods);
  sub->parse_complete_callback([output, dry] {
    if (output->count() == 0 && dry->count() == 0) throw CLI::RequiredError("--output");
  });
}

}  // namespace litesmith::cli
