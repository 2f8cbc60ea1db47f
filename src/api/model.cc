#include "litesmith/model.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "api/state.h"
#include "base/file.h"
#include "import/import.h"
#include "litesmith/files.h"
#include "passes/passes.h"
#include "tflite/notes.h"
#include "tflite/tflite.h"

namespace litesmith {
namespace {

absl::Status EmptyModel() { return absl::FailedPreconditionError("this Model holds no network"); }

std::vector<TensorInfo> Infos(const Graph& graph, const std::vector<int32_t>& tensors,
                              std::string (*name)(const Graph&, size_t)) {
  std::vector<TensorInfo> out;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& tensor = graph.main().tensors[static_cast<size_t>(tensors[i])];
    const Shape& shape = tensor.shape_signature.empty() ? tensor.shape : tensor.shape_signature;
    TensorInfo info{name(graph, i), tensor.name, ToElementType(tensor.type), {}, 0.0f, 0};
    info.shape.assign(shape.begin(), shape.end());
    if (tensor.quant.scale.size() == 1) {
      info.scale = tensor.quant.scale[0];
      if (!tensor.quant.zero_point.empty()) info.zero_point = tensor.quant.zero_point[0];
    }
    out.push_back(std::move(info));
  }
  return out;
}

// Numbers from notes; a stranger wrote them, so anything odd counts as absent.
std::vector<float> Numbers(const nlohmann::json& parent, const char* key) {
  std::vector<float> out;
  const auto found = parent.find(key);
  if (found == parent.end() || !found->is_array()) return out;
  for (const auto& element : *found) {
    if (!element.is_number() || !std::isfinite(element.get<float>())) return {};
    out.push_back(element.get<float>());
  }
  return out;
}

// Of all files in it; what cannot be read counts as nothing.
uint64_t FolderBytes(const std::string& path) {
  uint64_t bytes = 0;
  std::error_code error;
  std::filesystem::recursive_directory_iterator entry(path, error), end;
  while (!error && entry != end) {
    std::error_code none;
    if (entry->is_regular_file(none)) bytes += entry->file_size(none);
    entry.increment(error);
  }
  return bytes;
}

}  // namespace

absl::Status FuseLstmLayers(const std::string& path, int64_t batch_size, Graph* graph,
                            const Context& context) {
  Graph fused = *graph;
  if (batch_size != 0) LS_RETURN_IF_ERROR(FixBatchSize(&fused, batch_size));
  LS_ASSIGN_OR_RETURN(const bool any, FuseLstm(&fused));
  if (!any) return absl::OkStatus();
  *graph = std::move(fused);
  context.Warn(fmt::format(
      "{}: its LSTM layers keep their state from call to call: reset the variables before every "
      "new sequence (reset_all_variables() in LiteRT, Reset() in tflite-micro), or convert with "
      "--unroll-lstm",
      path));
  return absl::OkStatus();
}

Model ModelAccess::Make(ModelState state) {
  Model out;
  out.state_ = std::make_shared<const ModelState>(std::move(state));
  return out;
}

Model ModelAccess::Make(Graph graph, const Model* origin) {
  ModelState state;
  if (origin != nullptr && origin->state_ != nullptr) {
    state.path = origin->state_->path;
    state.weights = origin->state_->weights;
  }
  state.graph = std::make_shared<const Graph>(std::move(graph));
  return Make(std::move(state));
}

absl::Status RequireTflite(const Model& model) {
  const ModelState* state = ModelAccess::State(model);
  if (state != nullptr && state->is_tflite && !state->path.empty()) return absl::OkStatus();
  return Invalid("{}: LiteRT runs .tflite files; make one first: litesmith convert",
                 Printable(model.path()));
}

absl::StatusOr<std::shared_ptr<const Graph>> ModelAccess::GraphOf(const Model& model) {
  if (model.state_ == nullptr) return EmptyModel();
  return model.state_->graph;
}

ModelNotes NotesOf(const Graph& graph) {
  ModelNotes out;
  const nlohmann::json notes = ReadNotes(graph);
  if (const auto recipe = notes.find("recipe"); recipe != notes.end() && recipe->is_string()) {
    out.recipe = recipe->get<std::string>();
  }
  const auto preprocessing = notes.find("preprocessing");
  if (preprocessing == notes.end() || !preprocessing->is_object()) return out;
  out.mean = Numbers(*preprocessing, "mean");
  out.std = Numbers(*preprocessing, "std");
  if (std::any_of(out.std.begin(), out.std.end(), [](float s) { return s == 0.0f; })) {
    out.std.clear();
  }
  const auto labels = preprocessing->find("labels");
  if (labels == preprocessing->end() || !labels->is_array()) return out;
  for (const auto& label : *labels) {
    if (label.is_string()) out.labels.push_back(label.get<std::string>());
  }
  if (out.labels.size() != labels->size()) out.labels.clear();
  return out;
}

absl::StatusOr<Model> Model::Load(const std::string& path, const Context& context,
                                  const std::string& weights) {
  LoadOptions options;
  options.weights = weights;
  return Load(path, options, context);
}

absl::StatusOr<Model> Model::Load(const std::string& path, const LoadOptions& options,
                                  const Context& context) {
  LS_ASSIGN_OR_RETURN(
      Graph graph, ImportModel(path, ImportOptions{options.weights, options.signature}, context));
  ModelState state;
  state.path = path;
  state.weights = options.weights;
  if (IsDirectory(path)) {
    state.file_bytes = FolderBytes(path);
  } else {
    LS_ASSIGN_OR_RETURN(const auto file, FileBytes::Open(path));
    state.file_bytes = file->bytes().size();
    state.is_tflite = LooksLikeTflite(file->bytes());
  }
  if (options.batch_size != 0) {
    LS_RETURN_IF_ERROR_IN(FixBatchSize(&graph, options.batch_size), path);
  }
  state.fuse_lstm = !state.is_tflite && !options.unroll_lstm;
  if (state.fuse_lstm) LS_RETURN_IF_ERROR_IN(FuseLstmLayers(path, 0, &graph, context), path);
  state.graph = std::make_shared<const Graph>(std::move(graph));
  return ModelAccess::Make(std::move(state));
}

absl::StatusOr<Model> Model::FromTflite(std::span<const std::byte> bytes, const Context& context) {
  const Blob copy = Blob::Copy(bytes);
  LS_ASSIGN_OR_RETURN(Graph graph, ParseTflite(copy.bytes, copy.owner, context));
  ModelState state;
  state.graph = std::make_shared<const Graph>(std::move(graph));
  state.file_bytes = bytes.size();
  state.is_tflite = true;
  return ModelAccess::Make(std::move(state));
}

absl::Status Model::CheckOutput(const std::string& path) const {
  if (state_ == nullptr) return EmptyModel();
  return CheckWritable(path, {state_->path, state_->weights});
}

absl::StatusOr<std::vector<std::byte>> Model::Serialize() const {
  LS_ASSIGN_OR_RETURN(const auto graph, ModelAccess::GraphOf(*this));
  Graph finished = *graph;
  FinishForWriting(&finished);
  return SerializeTflite(finished);
}

absl::Status Model::Save(const std::string& path) const {
  LS_RETURN_IF_ERROR(CheckOutput(path));
  Graph finished = *state_->graph;
  FinishForWriting(&finished);
  return WriteTflite(path, finished);
}

std::vector<TensorInfo> Model::inputs() const {
  if (state_ == nullptr) return {};
  return Infos(*state_->graph, state_->graph->main().inputs, InputName);
}

std::vector<TensorInfo> Model::outputs() const {
  if (state_ == nullptr) return {};
  return Infos(*state_->graph, state_->graph->main().outputs, OutputName);
}

ModelNotes Model::notes() const {
  if (state_ == nullptr) return {};
  return NotesOf(*state_->graph);
}

const std::string& Model::path() const {
  static const std::string none;
  return state_ == nullptr ? none : state_->path;
}

absl::StatusOr<Model> Optimise(const Model& model, const Context& context) {
  LS_ASSIGN_OR_RETURN(const auto graph, ModelAccess::GraphOf(model));
  Graph out = *graph;
  LS_RETURN_IF_ERROR_IN(Optimise(&out, context), model.path());
  return ModelAccess::Make(std::move(out), &model);
}

absl::StatusOr<std::vector<std::string>> FindModels(const std::vector<std::string>& paths) {
  std::vector<std::string> out;
  for (const std::string& path : paths) {
    if (!IsDirectory(path)) {
      out.push_back(path);
      continue;
    }
    std::vector<std::string> found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
      if (entry.path().extension() == ".tflite" && !IsDirectory(entry.path().string())) {
        found.push_back(entry.path().string());
      }
    }
    if (error) return IoError("{}: cannot read the folder: {}", path, error.message());
    if (found.empty()) {
      return Invalid("{}: the folder holds no .tflite file; name a model or another folder", path);
    }
    std::sort(found.begin(), found.end());
    out.insert(out.end(), found.begin(), found.end());
  }
  return out;
}

}  // namespace litesmith
