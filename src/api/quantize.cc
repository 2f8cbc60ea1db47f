#include "quantize/quantize.h"

#include "api/state.h"
#include "base/file.h"
#include "litesmith/quantize.h"
#include "ops/target.h"
#include "passes/passes.h"
#include "quantize/recipe_file.h"
#include "quantize/retype.h"
#include "tflite/notes.h"
#include "tflite/tflite.h"

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
    case RecipeKind::kWeightOnly:
      out.data = "none";
      out.size = recipe.weight_bits == 4 ? "about 13 %" : "about 25 %";
      out.accuracy = recipe.weight_bits == 4 ? "some loss" : "small loss";
      out.hardware = "CPU";
      break;
    case RecipeKind::kInt8:
      out.data = "unlabelled samples";
      out.size = "about 25 %";
      out.accuracy = "small loss";
      out.hardware = "CPU, Edge TPU, DSP, microcontroller";
      if (recipe.weight_bits == 4) {
        out.size = "about 13 %";
        out.accuracy = "some loss; train for it";
        out.hardware = "CPU";
      }
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

bool IsRecipeFile(const std::string& recipe) {
  return recipe.size() > 5 && recipe.compare(recipe.size() - 5, 5, ".json") == 0;
}

absl::StatusOr<QuantizeOptions> OptionsOf(const QuantizeRequest& request) {
  QuantizeOptions options;
  LS_RETURN_IF_ERROR(ReadRecipe(request.recipe, &options));
  options.keep_float = request.keep_float;
  options.input_type = request.input_type.value_or(ElementType::kFloat32);
  options.output_type = request.output_type.value_or(ElementType::kFloat32);
  options.allow_float = request.allow_float;
  LS_ASSIGN_OR_RETURN(options.target, FindTarget(request.target));
  options.num_calibration_samples = request.num_calibration_samples;
  options.seed = request.seed;
  if (options.num_calibration_samples <= 0) {
    return Invalid("--num-calibration-samples is {}; at least one is needed",
                   options.num_calibration_samples);
  }
  return options;
}

// The file as it will be written, versions included, against the target's table.
absl::Status CheckRuns(const Graph& graph, const std::string& target) {
  LS_ASSIGN_OR_RETURN(const Target found, FindTarget(target));
  Graph finished = graph;
  FinishForWriting(&finished);
  return CheckTarget(finished, found);
}

// Everything up to the plan, which a dry run prints and a real one applies.
struct Prepared {
  QuantizeOptions options;
  Graph graph;
  std::unique_ptr<Dataset> data;
  Plan plan;
};

absl::StatusOr<Prepared> Prepare(const Model& model, const QuantizeRequest& request,
                                 const Context& context) {
  LS_ASSIGN_OR_RETURN(const auto source, ModelAccess::GraphOf(model));
  Prepared out;
  LS_ASSIGN_OR_RETURN(out.options, OptionsOf(request));
  const QuantizeOptions& options = out.options;
  const bool calibrate = options.recipe.needs_calibration();
  if (calibrate && request.calibration.path.empty()) {
    // Samples would not help a model that is quantized already.
    LS_RETURN_IF_ERROR_IN(PrepareForQuantization(*source, options, context).status(), model.path());
    return Invalid("{}: the recipe {} needs samples; name them with --calibration-data PATH",
                   model.path(), options.recipe.name);
  }
  if (!calibrate && !request.calibration.path.empty()) {
    context.Warn(fmt::format("{}: not used, the recipe {} needs no data", request.calibration.path,
                             options.recipe.name));
  }
  Graph graph = *source;
  // Before calibrating, which observes that operator's own values. Larger batches are fixed in the
  // result only: samples come one at a time.
  if (request.batch_size == 1 && ModelAccess::State(model)->fuse_lstm) {
    LS_RETURN_IF_ERROR_IN(FuseLstmLayers(model.path(), 1, &graph, context), model.path());
  }
  LS_ASSIGN_OR_RETURN_IN(out.graph, PrepareForQuantization(graph, options, context), model.path());
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

// Whether the request is to give a quantized model other inputs and outputs: no recipe, or its own.
absl::StatusOr<bool> IsRetyping(const Graph& graph, const QuantizeRequest& request,
                                const std::string& path) {
  const std::optional<RecipeKind> kind = QuantizedAs(graph);
  if (request.recipe.empty()) {
    if (kind) return true;
    return Invalid(
        "{}: --recipe is missing; without one, quantize only changes the types of a "
        "quantized model's inputs and outputs",
        path);
  }
  if (!kind || IsRecipeFile(request.recipe)) return false;
  LS_ASSIGN_OR_RETURN(const Recipe recipe, FindRecipe(request.recipe));
  return recipe.kind == *kind && (request.input_type || request.output_type);
}

absl::StatusOr<Model> RetypeModel(const Model& model, const Graph& graph,
                                  const QuantizeRequest& request, const Context& context) {
  if (!request.input_type && !request.output_type && request.batch_size == 0) {
    return Invalid(
        "{}: the model is quantized already; give --input-type or --output-type to "
        "change the types of its inputs and outputs",
        model.path());
  }
  if (!request.calibration.path.empty()) {
    context.Warn(
        fmt::format("{}: not used, the model is quantized already", request.calibration.path));
  }
  if (!request.keep_float.empty()) {
    return Unsupported("{}: the model is quantized already; --keep-float needs the float model",
                       model.path());
  }
  LS_ASSIGN_OR_RETURN_IN(Graph out, Retype(graph, request.input_type, request.output_type),
                         model.path());
  if (request.batch_size != 0) {
    LS_RETURN_IF_ERROR_IN(FixBatchSize(&out, request.batch_size), model.path());
  }
  LS_RETURN_IF_ERROR_IN(CheckRuns(out, request.target), model.path());
  return ModelAccess::Make(std::move(out), &model);
}

}  // namespace

absl::Status ReadRecipe(const std::string& recipe, QuantizeOptions* options) {
  if (!IsRecipeFile(recipe)) {
    LS_ASSIGN_OR_RETURN(options->recipe, FindRecipe(recipe));
    return absl::OkStatus();
  }
  LS_ASSIGN_OR_RETURN(const auto file, FileBytes::Open(recipe));
  const std::string_view text(reinterpret_cast<const char*>(file->bytes().data()),
                              file->bytes().size());
  LS_ASSIGN_OR_RETURN_IN(options->entries, ParseRecipe(text), recipe);
  LS_ASSIGN_OR_RETURN_IN(options->recipe, LeadingRecipe(options->entries), recipe);
  return absl::OkStatus();
}

std::vector<RecipeInfo> Recipes() {
  std::vector<RecipeInfo> out;
  for (const Recipe& recipe : AllRecipes()) out.push_back(Describe(recipe));
  return out;
}

absl::StatusOr<Model> Quantize(const Model& model, const QuantizeRequest& request,
                               const Context& context) {
  LS_ASSIGN_OR_RETURN(const auto source, ModelAccess::GraphOf(model));
  LS_ASSIGN_OR_RETURN(const bool retype, IsRetyping(*source, request, model.path()));
  if (retype) return RetypeModel(model, *source, request, context);
  LS_ASSIGN_OR_RETURN(const Prepared prepared, Prepare(model, request, context));
  LS_ASSIGN_OR_RETURN_IN(Graph out, ApplyPlan(prepared.graph, prepared.plan), model.path());
  LS_RETURN_IF_ERROR_IN(QuantizeOtherSubgraphs(prepared.options, context, &out), model.path());
  if (request.batch_size != 0) {
    LS_RETURN_IF_ERROR_IN(FixBatchSize(&out, request.batch_size), model.path());
  }
  LS_RETURN_IF_ERROR_IN(CheckRuns(out, request.target), model.path());
  nlohmann::json notes = ReadNotes(out);
  notes["recipe"] = prepared.plan.recipe.name;
  WriteNotes(notes, &out);
  if (prepared.data != nullptr) NotePreprocessing(request.calibration, *prepared.data, &out);
  LS_RETURN_IF_ERROR(NoteSource(request.calibration, &out));
  return ModelAccess::Make(std::move(out), &model);
}

absl::StatusOr<std::string> RecipeFile(const QuantizeRequest& request) {
  LS_ASSIGN_OR_RETURN(const QuantizeOptions options, OptionsOf(request));
  return RecipeText(EntriesOf(options));
}

absl::StatusOr<std::string> PlanQuantization(const Model& model, const QuantizeRequest& request,
                                             const Context& context) {
  LS_ASSIGN_OR_RETURN(const auto source, ModelAccess::GraphOf(model));
  LS_ASSIGN_OR_RETURN(const bool retype, IsRetyping(*source, request, model.path()));
  if (retype) {
    LS_RETURN_IF_ERROR(RetypeModel(model, *source, request, context).status());
    return std::string("only the types of inputs and outputs change\n");
  }
  LS_ASSIGN_OR_RETURN(const Prepared prepared, Prepare(model, request, context));
  return FormatPlan(prepared.graph, prepared.plan);
}

}  // namespace litesmith
