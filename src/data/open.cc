#include "data/open.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <span>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "data/gzip.h"
#include "data/idx.h"
#include "data/image.h"
#include "data/npy.h"
#include "data/picture_layout.h"
#include "data/tar.h"

namespace litesmith {
namespace {

constexpr const char* kKnown =
    "data sets are an IDX folder or file, a folder or .tar[.gz] of pictures "
    "(SPLIT/CLASS/*.jpg|png), a folder of SPLIT.tar[.gz], a .npy or a .npz";

bool StartsWith(std::span<const std::byte> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

absl::StatusOr<std::unique_ptr<Dataset>> OpenIdx(const std::string& images,
                                                 const std::string& labels, const std::string& what,
                                                 const DatasetOptions& options, DataUse use,
                                                 const std::vector<InputSpec>& inputs,
                                                 const Context& context) {
  // Training reads everything, often and in any order; the other uses go through the file once.
  constexpr uint64_t kSmall = 16 << 20;
  LS_ASSIGN_OR_RETURN(IdxArray pixels,
                      ReadIdx(images, context, use == DataUse::kTraining ? kUnpackAll : kSmall));
  if (pixels.shape.size() < 2) {
    return Invalid("{}: holds one value a sample (labels?); give the file of the images", images);
  }
  if (labels.empty()) {
    LS_ASSIGN_OR_RETURN_IN(
        auto dataset, MakeIdxDataset(std::move(pixels), nullptr, what, options, inputs, context),
        images);
    return dataset;
  }
  LS_ASSIGN_OR_RETURN(const IdxArray classes, ReadIdx(labels, context));
  if (classes.shape.size() != 1 || classes.shape[0] != pixels.shape[0]) {
    return Invalid("{}: has shape {}, but {} has {} images; the two files must belong together",
                   labels, ShapeString(classes.shape), images, pixels.shape[0]);
  }
  LS_ASSIGN_OR_RETURN_IN(
      auto dataset, MakeIdxDataset(std::move(pixels), &classes, what, options, inputs, context),
      images);
  return dataset;
}

absl::StatusOr<std::unique_ptr<Dataset>> OpenIdxFolder(const std::string& path,
                                                       const std::vector<IdxSplit>& splits,
                                                       const DatasetOptions& options, DataUse use,
                                                       const std::vector<InputSpec>& inputs,
                                                       const Context& context) {
  std::vector<std::string> present;
  for (const IdxSplit& s : splits) present.push_back(s.name);
  LS_ASSIGN_OR_RETURN_IN(const std::string name, PickSplit(present, options.split, use), path);
  const auto split =
      std::find_if(splits.begin(), splits.end(), [&](const IdxSplit& s) { return s.name == name; });
  LS_ASSIGN_OR_RETURN(
      std::unique_ptr<Dataset> dataset,
      OpenIdx(split->images, split->labels, fmt::format("IDX folder, split '{}'", name), options,
              use, inputs, context));
  dataset->SetSplits(name, std::move(present));
  return dataset;
}

// train.tar.gz, test.tar … in a folder: split -> path.
std::map<std::string, std::string> FindArchiveSplits(const std::string& folder) {
  std::map<std::string, std::string> out;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    for (const char* suffix : {".tar", ".tar.gz", ".tgz"}) {
      if (!name.ends_with(suffix)) continue;
      const std::string split = name.substr(0, name.size() - std::strlen(suffix));
      if (IsSplitName(split)) out.try_emplace(split, entry.path().string());
    }
  }
  return out;
}

absl::StatusOr<std::unique_ptr<Dataset>> OpenArchiveFolder(
    const std::string& path, const std::map<std::string, std::string>& archives,
    const DatasetOptions& options, DataUse use, const std::vector<InputSpec>& inputs,
    const Context& context) {
  std::vector<std::string> present;
  for (const auto& [name, archive] : archives) present.push_back(name);
  LS_ASSIGN_OR_RETURN_IN(const std::string name, PickSplit(present, options.split, use), path);
  DatasetOptions inner = options;
  inner.split = "";
  LS_ASSIGN_OR_RETURN(std::unique_ptr<Dataset> dataset,
                      OpenPictureArchive(archives.at(name), inner, use, inputs, context));
  dataset->SetSplits(name, std::move(present));
  return dataset;
}

absl::StatusOr<std::unique_ptr<Dataset>> OpenFile(const std::string& path,
                                                  const DatasetOptions& options, DataUse use,
                                                  const std::vector<InputSpec>& inputs,
                                                  const Context& context) {
  LS_ASSIGN_OR_RETURN(const std::shared_ptr<const FileBytes> file, FileBytes::Open(path));
  const std::span<const std::byte> bytes = file->bytes();
  if (StartsWith(bytes, "\x93NUMPY")) return OpenNpyDataset(path, options, inputs, context);
  if (StartsWith(bytes, "PK\x03\x04") || StartsWith(bytes, "PK\x05\x06")) {
    return OpenNpzDataset(path, options, inputs, context);
  }
  if (LooksLikeIdx(bytes)) {
    return OpenIdx(path, LabelsBeside(path) == path ? "" : LabelsBeside(path), "IDX file", options,
                   use, inputs, context);
  }
  if (LooksLikeTar(bytes)) return OpenPictureArchive(path, options, use, inputs, context);
  if (LooksLikePicture(bytes)) {
    return Invalid("{}: is a single picture; give the folder or archive that holds the pictures",
                   path);
  }
  return Invalid("{}: is not a data set; {}", path, kKnown);
}

}  // namespace

absl::StatusOr<std::string> PickSplit(const std::vector<std::string>& present,
                                      const std::string& asked, DataUse use) {
  const auto has = [&](const std::string& name) {
    return std::find(present.begin(), present.end(), name) != present.end();
  };
  if (asked.empty() && present.size() == 1) return present[0];
  const std::string wanted =
      !asked.empty() ? asked : (use == DataUse::kEvaluation ? "test" : "train");
  if (has(wanted)) return wanted;
  return Invalid("has no split '{}'; there is {}: choose with --split", Printable(wanted),
                 Printable(fmt::format("'{}'", fmt::join(present, "', '"))));
}

absl::StatusOr<std::vector<std::string>> ReadLabelsFile(const std::string& path) {
  constexpr size_t kLargest = 16 << 20;
  LS_ASSIGN_OR_RETURN(const std::shared_ptr<const FileBytes> file, FileBytes::Open(path));
  const std::span<const std::byte> bytes = file->bytes();
  if (bytes.size() > kLargest) {
    return Invalid("{}: is too large for a list of class names ({} MB)", path, bytes.size() >> 20);
  }
  std::vector<std::string> names(1);
  for (std::byte b : bytes) {
    const char c = static_cast<char>(b);
    if (c == '\0') return Invalid("{}: is not text; a labels file has one class name a line", path);
    if (c == '\n') {
      names.emplace_back();
    } else if (c != '\r') {
      names.back() += c;
    }
  }
  while (!names.empty() && names.back().empty()) names.pop_back();
  if (names.empty()) return Invalid("{}: has no class names; write one a line", path);
  return names;
}

absl::StatusOr<std::vector<std::string>> GivenClassNames(const DatasetOptions& options) {
  if (options.labels_file.empty()) return options.labels;
  return ReadLabelsFile(options.labels_file);
}

Preprocessing PixelPreprocessing(const DatasetOptions& options) {
  Preprocessing out = options.preprocessing;
  if (out.mean.empty()) out.mean = options.pixel_defaults.mean;
  if (out.std.empty()) out.std = options.pixel_defaults.std;
  return out;
}

std::string InputLabel(const InputSpec& spec, size_t position) {
  const std::string& name = spec.signature_name.empty() ? spec.tensor_name : spec.signature_name;
  return name.empty() ? fmt::format("input {}", position)
                      : fmt::format("input '{}'", Printable(name));
}

absl::StatusOr<const InputSpec*> PictureInput(const std::vector<InputSpec>& inputs) {
  if (inputs.empty()) return nullptr;
  if (inputs.size() > 1) {
    return Invalid(
        "pictures feed one input, but the model has {}; give a .npz with an array for each",
        inputs.size());
  }
  if (inputs[0].type != ElementType::kFloat32) {
    return Invalid("pictures become real numbers, but the model's {} is {}; give a .npy or .npz",
                   InputLabel(inputs[0], 0), ElementTypeName(inputs[0].type));
  }
  return &inputs[0];
}

absl::Status CheckSampleIndex(int64_t i, int64_t size) {
  if (i >= 0 && i < size) return absl::OkStatus();
  return Invalid("there is no sample {}: the data set has {}", i, size);
}

void Reshape(ElementType type, const std::vector<int64_t>& shape, Array* array) {
  array->type = type;
  array->shape = shape;
  array->bytes.resize(static_cast<size_t>(array->elements()) * ElementSize(type));
}

absl::StatusOr<std::unique_ptr<Dataset>> OpenDataset(const std::string& path,
                                                     const DatasetOptions& options, DataUse use,
                                                     const std::vector<InputSpec>& inputs,
                                                     const Context& context) {
  LS_RETURN_IF_ERROR(context.Check());
  if (!IsDirectory(path)) return OpenFile(path, options, use, inputs, context);
  LS_ASSIGN_OR_RETURN(const std::vector<IdxSplit> splits, FindIdxSplits(path));
  if (!splits.empty()) return OpenIdxFolder(path, splits, options, use, inputs, context);
  const std::map<std::string, std::string> archives = FindArchiveSplits(path);
  if (!archives.empty()) return OpenArchiveFolder(path, archives, options, use, inputs, context);
  return OpenPictureFolder(path, options, use, inputs, context);
}

}  // namespace litesmith
