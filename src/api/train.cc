#include "litesmith/train.h"

#include <regex.h>

#include <algorithm>
#include <filesystem>

#include "api/state.h"
#include "api/train_compress.h"
#include "api/train_stages.h"
#include "ir/sparse.h"
#include "passes/passes.h"

namespace litesmith {
namespace {

// A POSIX extended regular expression: the standard library's matcher recurses once per character.
class Pattern {
 public:
  static absl::StatusOr<std::shared_ptr<const Pattern>> Compile(const std::string& text) {
    auto out = std::make_shared<Pattern>();
    const int error = ::regcomp(&out->compiled_, text.c_str(), REG_EXTENDED | REG_NOSUB);
    if (error != 0) {
      char why[256];
      ::regerror(error, &out->compiled_, why, sizeof(why));
      return Invalid("--freeze '{}' is not a regular expression: {}", Printable(text), why);
    }
    out->ready_ = true;
    return std::shared_ptr<const Pattern>(std::move(out));
  }
  Pattern() = default;
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;
  ~Pattern() {
    if (ready_) ::regfree(&compiled_);
  }

  bool Matches(const std::string& name) const {
    return ::regexec(&compiled_, name.c_str(), 0, nullptr, 0) == 0;
  }

 private:
  regex_t compiled_{};
  bool ready_ = false;
};

absl::Status CheckFreeze(const Graph& graph, const TrainRequest& request, const Pattern& pattern) {
  const Subgraph& subgraph = graph.main();
  const bool some =
      std::any_of(subgraph.nodes.begin(), subgraph.nodes.end(),
                  [&](const Node& node) { return pattern.Matches(node.name); }) ||
      std::any_of(subgraph.tensors.begin(), subgraph.tensors.end(), [&](const Tensor& tensor) {
        return pattern.Matches(tensor.name) || pattern.Matches(tensor.label());
      });
  if (some) return absl::OkStatus();
  return Invalid("--freeze '{}' matches the name of no layer and no tensor; 'inspect' lists them",
                 Printable(request.freeze));
}

absl::StatusOr<TrainOptions> MakeOptions(const TrainRequest& request) {
  TrainOptions out;
  out.epochs = request.epochs;
  out.batch_size = request.batch_size;
  out.seed = request.seed;
  out.patience = request.patience;
  out.keep_best = request.keep_best;
  out.augment = {request.flip, request.crop};
  out.resume = request.resume;
  out.optimizer.clip_norm = request.clip_norm;
  switch (request.optimizer) {
    case TrainOptimizer::kAdam:
      break;
    case TrainOptimizer::kAdamW:
      out.optimizer.kind = OptimizerKind::kAdamW;
      out.optimizer.weight_decay = 0.004f;  // Keras' default
      break;
    case TrainOptimizer::kSgd:
      out.optimizer.kind = OptimizerKind::kSgd;
      out.optimizer.learning_rate = 0.01f;
      break;
  }
  if (request.learning_rate) out.optimizer.learning_rate = *request.learning_rate;
  if (request.weight_decay) out.optimizer.weight_decay = *request.weight_decay;
  constexpr ScheduleKind kSchedules[] = {ScheduleKind::kConstant, ScheduleKind::kCosine,
                                         ScheduleKind::kStep};
  if (request.schedule) out.schedule.kind = kSchedules[static_cast<size_t>(*request.schedule)];
  constexpr LossKind kLosses[] = {LossKind::kAuto, LossKind::kCrossEntropy,
                                  LossKind::kBinaryCrossEntropy, LossKind::kMeanSquaredError};
  out.loss = kLosses[static_cast<size_t>(request.loss)];
  if (request.resume && request.checkpoint.empty()) {
    return Invalid("--resume needs the folder of the checkpoint: --checkpoint DIR");
  }
  LS_RETURN_IF_ERROR(CheckOptimizer(out.optimizer));
  return out;
}

// A Keras import has its normalisation as nodes that can be folded, a converted file in its names.
absl::StatusOr<bool> HadBatchNorm(const Graph& source) {
  Graph graph = source;
  LS_ASSIGN_OR_RETURN(const bool folds, FoldBatchNorm(&graph));
  const std::vector<Tensor>& tensors = source.main().tensors;
  return folds || std::any_of(tensors.begin(), tensors.end(), [](const Tensor& tensor) {
           return tensor.name.find("batch_norm") != std::string::npos ||
                  tensor.name.find("FusedBatchNorm") != std::string::npos;
         });
}

// Plain float weights, or an error that says what is not.
absl::StatusOr<Graph> FloatGraph(const Graph& source, const Context& context) {
  Graph graph = source;
  LS_RETURN_IF_ERROR(DensifyConstants(&graph, context.memory_budget));
  LS_RETURN_IF_ERROR(Optimise(&graph, context, /*unpack_weights=*/true));
  for (const Tensor& tensor : graph.main().tensors) {
    if (tensor.quant.empty() || tensor.type == schema::TensorType_FLOAT32) continue;
    return Invalid(
        "the model is quantized ('{}' is {}): only float models are trained; take the float model "
        "it was made from",
        Printable(tensor.label()), TypeName(tensor.type));
  }
  return graph;
}

absl::Status LoadTeacher(const TrainRequest& request, const Context& context,
                         TrainOptions* options) {
  if (request.teacher.empty()) return absl::OkStatus();
  if (!(request.teacher_weight > 0.0f && request.teacher_weight <= 1.0f)) {
    return Invalid("--teacher-weight is {}; it must be more than 0 and at most 1",
                   request.teacher_weight);
  }
  if (!(request.temperature > 0.0f && request.temperature <= 1000.0f)) {
    return Invalid("--temperature is {}; it must be more than 0 and at most 1000",
                   request.temperature);
  }
  LS_ASSIGN_OR_RETURN(const Model teacher, Model::Load(request.teacher, context));
  LS_ASSIGN_OR_RETURN(const Model optimised, Optimise(teacher, context));
  LS_ASSIGN_OR_RETURN(options->teacher, ModelAccess::GraphOf(optimised));
  options->distillation = {request.teacher_weight, request.temperature};
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Dataset>> OpenValidation(const TrainRequest& request,
                                                        const Graph& graph, const Dataset& data,
                                                        const Context& context) {
  DataSource source = request.data;
  if (!request.validation.empty()) {
    source.path = request.validation;
    source.split = "";
    return OpenSource(source, graph, DataUse::kEvaluation, context);
  }
  for (const char* name : {"val", "validation", "test", "testing"}) {
    const std::vector<std::string>& splits = data.splits();
    if (data.split() == name || std::find(splits.begin(), splits.end(), name) == splits.end()) {
      continue;
    }
    source.split = name;
    return OpenSource(source, graph, DataUse::kEvaluation, context);
  }
  return std::unique_ptr<Dataset>();
}

Value ToValue(const EpochSummary& e) {
  Value out;
  out.Set("stage", e.stage).Set("epoch", e.epoch).Set("loss", e.loss);
  if (e.has_accuracy) out.Set("accuracy", e.accuracy);
  out.Set("seconds", e.seconds);
  if (e.validated) {
    out.Set("validation_loss", e.validation_loss);
    if (e.has_accuracy) out.Set("validation_accuracy", e.validation_accuracy);
  }
  return out;
}

absl::Status RunStages(const TrainRequest& request, const TrainOptions& options, Dataset* data,
                       const Context& context,
                       const std::function<void(const EpochSummary&)>& on_epoch, Graph* graph,
                       Report* report) {
  std::vector<Value> epochs;
  bool others = false;  // some stage has run
  for (const Stage& stage : TrainStages()) {
    const bool plain = stage.name == std::string_view("train");
    if (!stage.wanted(request) || (plain && others)) continue;
    others = true;
    StageArgs args{request, data, options, context, nullptr, report};
    // Clusters and integers are those of the weights that are written; a zero stays one when a
    // normalisation is folded into it.
    const bool folds = plain || stage.name == std::string_view("prune");
    args.options.batch_norm = folds && options.batch_norm;
    if (!request.checkpoint.empty()) {
      args.options.checkpoint_dir =
          (std::filesystem::path(request.checkpoint) / stage.name).string();
    }
    const std::vector<std::unique_ptr<TrainHook>> keeping = KeepingHooks(request, stage.name);
    for (const auto& hook : keeping) args.options.hooks.push_back(hook.get());
    args.on_epoch = [&](const EpochResult& result) {
      const EpochSummary summary = Summarise(result, stage.name, options);
      epochs.push_back(ToValue(summary));
      if (on_epoch) on_epoch(summary);
    };
    LS_RETURN_IF_ERROR(stage.run(graph, args));
  }
  report->data.Set("epochs", std::move(epochs));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TrainedModel> Train(const Model& model, const TrainRequest& request,
                                   const Context& context,
                                   const std::function<void(const EpochSummary&)>& on_epoch) {
  LS_ASSIGN_OR_RETURN(const auto source, ModelAccess::GraphOf(model));
  LS_RETURN_IF_ERROR(CheckStages(request));
  LS_ASSIGN_OR_RETURN(TrainOptions options, MakeOptions(request));
  LS_ASSIGN_OR_RETURN_IN(Graph graph, FloatGraph(*source, context), model.path());
  if (request.batch_norm) {
    options.batch_norm = *request.batch_norm;
  } else {
    LS_ASSIGN_OR_RETURN_IN(options.batch_norm, HadBatchNorm(*source), model.path());
  }
  if (!request.freeze.empty()) {
    LS_ASSIGN_OR_RETURN(const std::shared_ptr<const Pattern> pattern,
                        Pattern::Compile(request.freeze));
    LS_RETURN_IF_ERROR_IN(CheckFreeze(graph, request, *pattern), model.path());
    options.freeze = [pattern](const std::string& name) { return pattern->Matches(name); };
  }
  LS_RETURN_IF_ERROR(LoadTeacher(request, context, &options));
  LS_ASSIGN_OR_RETURN(const auto data,
                      OpenSource(request.data, graph, DataUse::kTraining, context));
  LS_ASSIGN_OR_RETURN(const auto validation, OpenValidation(request, graph, *data, context));
  options.validation = validation.get();
  TrainedModel out;
  const Graph before = graph;
  LS_RETURN_IF_ERROR_IN(
      RunStages(request, options, data.get(), context, on_epoch, &graph, &out.report),
      model.path());
  NotePreprocessing(request.data, *data, &graph);
  LS_RETURN_IF_ERROR(NoteSource(request.data, &graph));
  LS_RETURN_IF_ERROR(FinishCompression(request, before, context, &graph, &out.report));
  out.model = ModelAccess::Make(std::move(graph), &model);
  return out;
}

}  // namespace litesmith
