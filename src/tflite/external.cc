#include "tflite/external.h"

#include <filesystem>
#include <map>
#include <memory>
#include <system_error>

#include "base/file.h"
#include "base/folder.h"
#include "ir/verify.h"

namespace litesmith {
namespace {

namespace fs = std::filesystem;

// A file that a model names, where it lies in the model's folder or below.
absl::StatusOr<std::string> PathOf(const std::string& model, const std::string& name) {
  const fs::path relative(name);
  bool leaves = name.find('\0') != std::string::npos || relative.is_absolute();
  for (const fs::path& part : relative) leaves = leaves || part == "..";
  if (name.empty() || name.find("://") != std::string::npos) {
    return Invalid("'{}' is no name of a file in the model's folder", Printable(name));
  }
  const fs::path folder = fs::path(model).parent_path();
  const fs::path path = folder / relative;
  std::error_code error;
  if (!leaves && fs::exists(path, error)) {
    LS_ASSIGN_OR_RETURN(const bool inside, LiesInside(folder.string(), path.string()));
    leaves = !inside;
  }
  if (leaves) {
    return Invalid("'{}' lies outside the model's folder and is not read; put the file there",
                   Printable(name));
  }
  return path.string();
}

class Loader {
 public:
  Loader(const std::string& path, const Context& context, Graph* graph)
      : path_(path), budget_(context.memory_budget), graph_(*graph) {}

  absl::Status Run() {
    for (const auto& buffer : graph_.external_buffers) {
      if (!buffers_.emplace(buffer->id, buffer.get()).second) {
        return Invalid("there are two external buffers {}", buffer->id);
      }
    }
    for (Subgraph& subgraph : graph_.subgraphs) {
      for (Tensor& tensor : subgraph.tensors) {
        if (tensor.external_buffer == 0) continue;
        LS_RETURN_IF_ERROR_IN(Load(&tensor),
                              fmt::format("the values of '{}'", Printable(tensor.label())));
      }
    }
    graph_.external_buffers.clear();
    graph_.external_groups.clear();
    return Verify(graph_);
  }

 private:
  absl::Status Load(Tensor* tensor) {
    const auto found = buffers_.find(tensor->external_buffer);
    if (found == buffers_.end()) {
      return Invalid("there is no external buffer {}", tensor->external_buffer);
    }
    const schema::ExternalBufferT& buffer = *found->second;
    if (tensor->is_constant() || tensor->is_variable) {
      return Invalid("they are in external buffer {} and in the model as well", buffer.id);
    }
    if (!buffer.packing.empty() && buffer.packing != "unpacked" && buffer.packing != "none") {
      return Unsupported("their packing '{}' is not known", Printable(buffer.packing));
    }
    LS_ASSIGN_OR_RETURN(const std::span<const std::byte> file, File(buffer.group));
    if (buffer.offset > file.size() || buffer.length > file.size() - buffer.offset) {
      return Invalid(
          "{} bytes at offset {} lie beyond the end of '{}' ({} bytes); was its download or copy "
          "cut short?",
          buffer.length, buffer.offset, Printable(graph_.external_groups[buffer.group]),
          file.size());
    }
    LS_ASSIGN_OR_RETURN(const size_t needed, TensorBytes(tensor->type, tensor->shape));
    if (buffer.length != needed) {
      return Invalid("{} bytes in '{}' for {} of shape {}, which takes {}", buffer.length,
                     Printable(graph_.external_groups[buffer.group]), TypeName(tensor->type),
                     ShapeString(tensor->shape), needed);
    }
    const auto bytes = file.subspan(static_cast<size_t>(buffer.offset), needed);
    LS_ASSIGN_OR_RETURN(tensor->data, Hold(bytes, buffer.group));
    tensor->external_buffer = 0;
    return absl::OkStatus();
  }

  // Kernels want their constants aligned; others are copied.
  absl::StatusOr<Blob> Hold(std::span<const std::byte> bytes, uint32_t group) {
    if (bytes.empty()) return Blob::Own({});
    if (reinterpret_cast<uintptr_t>(bytes.data()) % 16 == 0) return Blob{files_.at(group), bytes};
    if (bytes.size() > budget_) return Invalid("they need more memory than allowed");
    budget_ -= bytes.size();
    return Blob::Copy(bytes);
  }

  absl::StatusOr<std::span<const std::byte>> File(uint32_t group) {
    if (const auto open = files_.find(group); open != files_.end()) return open->second->bytes();
    if (group >= graph_.external_groups.size()) {
      return Invalid("they are in file {}, but the model names only {}", group,
                     graph_.external_groups.size());
    }
    LS_ASSIGN_OR_RETURN(const std::string path, PathOf(path_, graph_.external_groups[group]));
    LS_ASSIGN_OR_RETURN(files_[group], FileBytes::Open(path));
    return files_[group]->bytes();
  }

  const std::string path_;
  uint64_t budget_;
  Graph& graph_;
  std::map<uint32_t, const schema::ExternalBufferT*> buffers_;
  std::map<uint32_t, std::shared_ptr<const FileBytes>> files_;
};

}  // namespace

absl::Status LoadExternalBuffers(const std::string& path, const Context& context, Graph* graph) {
  bool any = false;
  for (const Subgraph& subgraph : graph->subgraphs) {
    for (const Tensor& tensor : subgraph.tensors) any = any || tensor.external_buffer != 0;
  }
  return any ? Loader(path, context, graph).Run() : absl::OkStatus();
}

}  // namespace litesmith
