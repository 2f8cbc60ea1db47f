#include "quantize/quantize.h"

#include "api/state.h"
#include "litesmith/quantize.h"
#include "tflite/notes.h"

namespace litesmith {
namespace {

// What the seed of this project's documentation says of the methods (TensorFlow's model
// optimisation guide): data needed, size, accuracy, hardware.
RecipeInfo Describe(const Recipe& recipe) {
  RecipeInfo out{recipe.name, recipe.alias, recipe.needs_calibration(), "", "", "", ""};
  switch (recipe.kind) {
    case RecipeKind::kFloat16:
      out.data = "none";
      out.size = "about 50 %";
      out.accuracy = "insignificant loss";
      out.hardware = "CPU, GPU";
      break;
    case RecipeKind::kDynamic:
      out.data = "none";
      out.size = "about 25 %";
      out.accuracy = "small loss";
      out.hardware = "CPU";
      break;
    case RecipeKind::kInt8:
      out.data = "unlabelled samples";
      out.size = "about 25 %";
      out.accuracy = "small loss";
      out.hardware = "CPU, Edge TPU, DSP, microcontroller";
      break;
    case RecipeKind::kInt16x8:
      out.data = "unlabelled samples";
      out.size = "about 25-30 %";
      out.accuracy = "close to float";
      out.hardware = "CPU, some DSPs and microcontrollers";
      break;
  }
  return out;
}

// Everything up to the plan, which a dry run prints and a real one applies.
struct Prepared {
  Graph graph;
  std::unique_ptr<Dataset> data;
  Plan plan;
};

absl::StatusOr<Prepared> Prepare(const Model& model, const QuantizeRequest& request,
                                 const Context& context) {
  LS_ASSIGN_OR_RETURN(const auto source, ModelAccess::GraphOf(model));
  QuantizeOptions options;
  LS_ASSIGN_OR_RETURN(options.recipe, FindRecipe(request.recipe));
  options.input_type = request.input_type;
  options.output_type = request.output_type;
  options.allow_float = request.allow_float;
  options.num_calibration_samples = request.num_calibration_samples;
  options.seed = request.seed;
  if (options.num_calibration_samples <= 0) {
    return Invalid("--num-calibration-samples is {}; at least one is needed",
                   options.num_calibration_samples);
  }
  const bool calibrate = options.recipe.needs_calibration();
  if (calibrate && request.calibration.path.empty()) {
    return Invalid("{}: the recipe {} needs samples; name them with --calibration-data PATH",
                   model.path(), options.recipe.name);
  }
  if (!calibrate && !request.calibration.path.empty()) {
    context.Warn(fmt::format("{}: not used, the recipe {} needs no data", request.calibration.path,
                             options.recipe.name));
  }
  Prepared out;
  LS_ASSIGN_OR_RETURN_IN(out.graph, PrepareForQuantization(*source, options.recipe, context),
                         model.path());
  Ranges ranges;
  if (calibrate) {
    LS_ASSIGN_OR_RETURN(out.data,
                        OpenSource(request.calibration, out.graph, DataUse::kCalibration, context));
    LS_ASSIGN_OR_RETURN_IN(ranges, Calibrate(out.graph, out.data.get(), options, context),
                           request.calibration.path);
  }
  LS_ASSIGN_OR_RETURN_IN(
      out.plan, MakePlan(out.graph, calibrate ? &ranges : nullptr, options, context), model.path());
  return out;
}

}  // namespace

std::vector<RecipeInfo> Recipes() {
  std::vector<RecipeInfo> out;
  for (const Recipe& recipe : AllRecipes()) out.push_back(Describe(recipe));
  return out;
}

absl::StatusOr<Model> Quantize(const Model& model, const QuantizeRequest& request,
                               const Context& context) {
  LS_ASSIGN_OR_RETURN(const Prepared prepared, Prepare(model, request, context));
  LS_ASSIGN_OR_RETURN_IN(Graph out, ApplyPlan(prepared.graph, prepared.plan), model.path());
  nlohmann::json notes = ReadNotes(out);
  notes["recipe"] = prepared.plan.recipe.name;
  WriteNotes(notes, &out);
  if (prepared.data != nullptr) NotePreprocessing(request.calibration, *prepared.data, &out);
  LS_RETURN_IF_ERROR(NoteSource(request.calibration, &out));
  return ModelAccess::Make(std::move(out), &model);
}

absl::StatusOr<std::string> PlanQuantization(const Model& model, const QuantizeRequest& request,
                                             const Context& context) {
  LS_ASSIGN_OR_RETURN(const Prepared prepared, Prepare(model, request, context));
  return FormatPlan(prepared.graph, prepared.plan);
}

}  // namespace litesmith
