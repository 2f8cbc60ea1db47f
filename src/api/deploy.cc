#include "litesmith/deploy.h"

#include <filesystem>

#include "api/state.h"
#include "base/file.h"
#include "data/open.h"
#include "deploy/c_array.h"
#include "deploy/tflm.h"
#include "litesmith/version.h"
#include "tflite/tflite.h"

namespace litesmith {
namespace {

absl::StatusOr<std::vector<std::byte>> FileOf(const Model& model) {
  const ModelState* state = ModelAccess::State(model);
  if (state == nullptr || !state->is_tflite || state->path.empty()) return model.Serialize();
  LS_ASSIGN_OR_RETURN(const auto file, FileBytes::Open(state->path));
  return std::vector<std::byte>(file->bytes().begin(), file->bytes().end());
}

absl::StatusOr<std::vector<std::string>> LabelsOf(const Model& model, const std::string& file) {
  if (file.empty()) return model.notes().labels;
  return ReadLabelsFile(file);
}

absl::StatusOr<std::vector<ProjectFile>> DeployTflm(const Model& model,
                                                    const std::vector<std::byte>& bytes,
                                                    const DeployRequest& request,
                                                    TflmOptions options, const Context& context) {
  // What is deployed are the bytes, not the graph that they were written from.
  LS_ASSIGN_OR_RETURN(const Graph graph, ParseTflite(bytes, nullptr, context));
  LS_ASSIGN_OR_RETURN(options.labels, LabelsOf(model, request.labels));
  options.allow_float = request.allow_float;
  LS_ASSIGN_OR_RETURN(auto files, MakeTflmProject(graph, bytes, options));
  if (!request.labels.empty()) {
    const Tensor& output = graph.main().tensors[static_cast<size_t>(graph.main().outputs[0])];
    if (NumElements(output.shape) != static_cast<int64_t>(options.labels.size())) {
      return Invalid("--labels: {} has {} names, the first output {} values", request.labels,
                     options.labels.size(), NumElements(output.shape));
    }
  }
  for (const std::string& warning : TflmWarnings(graph)) context.Warn(warning);
  return files;
}

}  // namespace

absl::StatusOr<std::vector<ProjectFile>> Deploy(const Model& model, const DeployRequest& request,
                                                const Context& context) {
  LS_RETURN_IF_ERROR(context.Check());
  LS_RETURN_IF_ERROR_IN(CheckSymbol(request.symbol), "--symbol");
  LS_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, FileOf(model));
  const std::string about =
      fmt::format("{}, {} bytes; written by litesmith {}",
                  std::filesystem::path(model.path()).filename().string(), bytes.size(), Version());
  if (request.format == DeployFormat::kTflm) {
    return DeployTflm(model, bytes, request, {request.symbol, about, {}, false}, context);
  }
  CArray array = MakeCArray(bytes, request.symbol, "model.h", about);
  std::vector<ProjectFile> files;
  files.emplace_back("model.h", std::move(array.header));
  files.emplace_back("model.cc", std::move(array.source));
  return files;
}

absl::Status WriteProject(const std::string& folder, const std::vector<ProjectFile>& files) {
  std::error_code error;
  if (FileExists(folder) && !IsDirectory(folder)) {
    return Invalid("{}: is a file; name a new folder", folder);
  }
  if (IsDirectory(folder) && !std::filesystem::is_empty(folder, error)) {
    return Invalid("{}: the folder is not empty; name a new one, so that nothing is overwritten",
                   folder);
  }
  LS_RETURN_IF_ERROR(MakeDirectories(folder));
  for (const auto& [name, text] : files) {
    const std::filesystem::path path = std::filesystem::path(folder) / name;
    LS_RETURN_IF_ERROR(MakeDirectories(path.parent_path().string()));
    LS_RETURN_IF_ERROR(WriteFileAtomically(path.string(), text));
  }
  return absl::OkStatus();
}

}  // namespace litesmith
