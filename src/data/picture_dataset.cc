// Data sets of pictures in a folder, a .tar or a .tar.gz.

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "base/file.h"
#include "data/image.h"
#include "data/limits.h"
#include "data/open.h"
#include "data/picture_layout.h"
#include "data/tar.h"

namespace litesmith {
namespace {

// What lies before the last '/'.
std::string_view FolderOf(std::string_view name) {
  const size_t slash = name.rfind('/');
  return name.substr(0, slash == std::string_view::npos ? 0 : slash);
}

constexpr uint64_t kLargestPicture = uint64_t{1} << 30;  // a file's bytes

// Where pictures come from. Picture `i` of `names`.
class PictureSource {
 public:
  virtual ~PictureSource() = default;
  // The file's bytes, valid until the next call. Errors name the entry.
  virtual absl::StatusOr<std::span<const std::byte>> Bytes(size_t i) = 0;

  // See Dataset.
  virtual void ForgetUnpacked() {}

  std::vector<std::string> names;    // relative
  std::vector<std::string> folders;  // the empty ones, likewise
};

class FolderSource : public PictureSource {
 public:
  explicit FolderSource(std::string root) : root_(std::move(root)) {}

  absl::Status Scan(const Context& context) {
    namespace fs = std::filesystem;
    std::error_code error;
    uint64_t held = 0;
    fs::recursive_directory_iterator it(root_, fs::directory_options::follow_directory_symlink,
                                        error);
    for (const fs::recursive_directory_iterator end; !error && it != end; it.increment(error)) {
      LS_RETURN_IF_ERROR(context.Check());
      constexpr int kDeepest = 8;
      if (it.depth() >= kDeepest) it.disable_recursion_pending();
      std::error_code ignored;
      const bool folder = it->is_directory(ignored);
      if (folder ? !fs::is_empty(it->path(), ignored) : !it->is_regular_file(ignored)) continue;
      std::string name = it->path().lexically_relative(root_).generic_string();
      if (!folder && !IsPictureName(name)) continue;
      held += name.size() + 64;
      LS_RETURN_IF_ERROR(CheckBudget(held, "the list of pictures", context));
      (folder ? folders : names).push_back(std::move(name));
    }
    if (error) return IoError("cannot list the folder: {}", error.message());
    // The order of a directory is the file system's; ours is that of the names.
    std::sort(names.begin(), names.end());
    return absl::OkStatus();
  }

  absl::StatusOr<std::span<const std::byte>> Bytes(size_t i) override {
    LS_ASSIGN_OR_RETURN(file_, FileBytes::Open((std::filesystem::path(root_) / names[i]).string()));
    return file_->bytes();
  }

 private:
  std::string root_;
  std::shared_ptr<const FileBytes> file_;
};

// A .tar in memory or mapped, or a .tar.gz: unpacked into memory while it fits a quarter of the
// budget and 512 MB, else unpacked again as far as needed (reading in increasing order goes through
// it once).
class ArchiveSource : public PictureSource {
 public:
  explicit ArchiveSource(std::string path) : path_(std::move(path)) {}

  absl::Status Open(const Context& context) {
    LS_ASSIGN_OR_RETURN(file_, FileBytes::Open(path_));
    memory_ = file_->bytes();
    if (LooksLikeGzip(memory_)) LS_RETURN_IF_ERROR_IN(Unpack(context), path_);
    stream_ = memory_.empty() ? StreamOfGzip(file_->bytes()) : StreamOfMemory(memory_);
    return Annotate(Scan(context), path_);
  }

  void ForgetUnpacked() override {
    if (unpacked_.empty()) return;
    std::vector<std::byte>().swap(unpacked_);  // "= {}" would keep the memory
    memory_ = {};
    stream_ = StreamOfGzip(file_->bytes());
  }

  absl::StatusOr<std::span<const std::byte>> Bytes(size_t i) override {
    const Place& place = places_[i];
    if (!memory_.empty()) return memory_.subspan(place.offset, place.size);
    const std::string where = fmt::format("{}: '{}'", path_, Printable(names[i]));
    if (stream_->position() > place.offset) stream_->Rewind();
    LS_ASSIGN_OR_RETURN_IN(const bool there, stream_->Skip(place.offset - stream_->position()),
                           where);
    LS_RETURN_IF_ERROR_IN(ResizeWithin(&scratch_, place.size, "the picture file", Context()),
                          where);
    LS_ASSIGN_OR_RETURN_IN(const size_t got, stream_->Read(scratch_), where);
    if (!there || got < place.size) return Invalid("{}: the archive has changed", where);
    return scratch_;
  }

 private:
  struct Place {
    uint64_t offset;
    uint64_t size;
  };

  // Leaves memory_ empty where the archive is too large.
  absl::Status Unpack(const Context& context) {
    const uint64_t most = std::min<uint64_t>(512 << 20, context.memory_budget / 4);
    const std::unique_ptr<ByteStream> stream = StreamOfGzip(file_->bytes());
    memory_ = {};
    std::vector<std::byte>& held = unpacked_;
    size_t used = 0;
    for (;;) {
      LS_RETURN_IF_ERROR(context.Check());
      if (used == held.size()) {
        if (used >= most) {
          std::vector<std::byte>().swap(held);
          return absl::OkStatus();
        }
        const uint64_t next = std::min<uint64_t>(most, std::max<uint64_t>(4 << 20, used * 2));
        LS_RETURN_IF_ERROR(ResizeWithin(&held, next, "the unpacked archive", context));
      }
      LS_ASSIGN_OR_RETURN(const size_t got, stream->Read(std::span(held).subspan(used)));
      if (got == 0) break;
      used += got;
    }
    held.resize(used);
    held.shrink_to_fit();
    memory_ = held;
    return absl::OkStatus();
  }

  absl::Status Scan(const Context& context) {
    TarReader reader(stream_.get());
    TarEntry entry;
    uint64_t held = 0;
    std::set<std::string, std::less<>> filled;  // folders
    std::string_view last;
    for (;;) {
      LS_RETURN_IF_ERROR(context.Check());
      LS_ASSIGN_OR_RETURN(const bool more, reader.Next(&entry));
      if (!more) break;
      const std::string_view above = FolderOf(entry.name);
      if (above != last) {
        const auto [it, added] = filled.emplace(above);
        if (added) held += above.size() + 80;
        LS_RETURN_IF_ERROR(CheckBudget(held, "the list of pictures", context));
        last = *it;
      }
      if (!entry.folder && !IsPictureName(entry.name)) continue;
      if (entry.size > kLargestPicture) {
        return Invalid("the picture '{}' has {} bytes", Printable(entry.name), entry.size);
      }
      held += entry.name.size() + 80;
      LS_RETURN_IF_ERROR(CheckBudget(held, "the list of pictures", context));
      if (entry.folder) {
        folders.push_back(entry.name);
        continue;
      }
      names.push_back(entry.name);
      places_.push_back({entry.offset, entry.size});
    }
    std::erase_if(folders, [&](const std::string& name) { return filled.contains(name); });
    // To the end: the checksum of gzip comes last.
    std::array<std::byte, 4096> rest;
    for (size_t got = 1; got > 0;) {
      LS_ASSIGN_OR_RETURN(got, stream_->Read(rest));
    }
    return absl::OkStatus();
  }

  std::string path_;
  std::shared_ptr<const FileBytes> file_;
  std::vector<std::byte> unpacked_;
  std::span<const std::byte> memory_;  // the tar's bytes; empty: read through stream_
  std::unique_ptr<ByteStream> stream_;
  std::vector<Place> places_;
  std::vector<std::byte> scratch_;
};

class PictureDataset : public Dataset {
 public:
  struct Entry {
    size_t source;
    int64_t label;
  };

  PictureDataset(std::unique_ptr<PictureSource> source, PictureReader reader, std::string where,
                 std::string what, const Context& context)
      : source_(std::move(source)),
        reader_(std::move(reader)),
        where_(std::move(where)),
        what_(std::move(what)) {
    context_.memory_budget = context.memory_budget;
  }

  std::vector<Entry> samples;
  std::vector<std::string> names;
  bool labelled = false;

  int64_t size() const override { return static_cast<int64_t>(samples.size()); }
  bool has_labels() const override { return labelled; }
  bool has_targets() const override { return false; }
  const std::vector<std::string>& class_names() const override { return names; }
  int64_t label(int64_t i) const override { return samples[static_cast<size_t>(i)].label; }
  Preprocessing preprocessing() const override { return reader_.preprocessing(); }
  bool is_array() const override { return false; }
  std::vector<int64_t> sample_shape(size_t) const override { return reader_.shape(); }
  std::string Describe() const override { return fmt::format("{}, {} samples", what_, size()); }

  void ForgetUnpacked() override { source_->ForgetUnpacked(); }

  absl::Status Read(int64_t i, Sample* sample) override {
    LS_RETURN_IF_ERROR(CheckSampleIndex(i, size()));
    const Entry& s = samples[static_cast<size_t>(i)];
    sample->inputs.resize(1);
    sample->targets.clear();
    sample->label = labelled ? std::optional<int64_t>(s.label) : std::nullopt;
    LS_ASSIGN_OR_RETURN(const std::span<const std::byte> bytes, source_->Bytes(s.source));
    LS_RETURN_IF_ERROR_IN(reader_.Read(bytes, context_, &sample->inputs[0]),
                          fmt::format("{}: '{}'", where_, Printable(source_->names[s.source])));
    return absl::OkStatus();
  }

 private:
  std::unique_ptr<PictureSource> source_;
  PictureReader reader_;
  std::string where_, what_;
  Context context_;  // the budget only
};

// Class numbers by the labels file, or by the noted labels where they name all the folders, instead
// of by the folders' names.
absl::Status Renumber(const DatasetOptions& options, std::vector<std::string>* classes,
                      std::vector<int64_t>* numbers) {
  const std::string& labels_file = options.labels_file;
  LS_ASSIGN_OR_RETURN(std::vector<std::string> listed, GivenClassNames(options));
  std::vector<std::string> missing;
  for (size_t c = 0; c < classes->size(); ++c) {
    const auto it = std::find(listed.begin(), listed.end(), (*classes)[c]);
    if (it == listed.end()) {
      missing.push_back((*classes)[c]);
    } else {
      (*numbers)[c] = it - listed.begin();
    }
  }
  if (labels_file.empty() && !missing.empty()) {
    for (size_t c = 0; c < classes->size(); ++c) (*numbers)[c] = static_cast<int64_t>(c);
    return absl::OkStatus();
  }
  if (missing.size() == classes->size() && listed.size() == classes->size()) {
    // Other names for the same classes (n01440764: tench): by position.
    for (size_t c = 0; c < classes->size(); ++c) (*numbers)[c] = static_cast<int64_t>(c);
  } else if (!missing.empty()) {
    return Invalid(
        "{}: does not list the class folders {}; name them, or as many classes as folders",
        labels_file, Printable(fmt::format("'{}'", fmt::join(missing, "', '"))));
  }
  *classes = std::move(listed);
  return absl::OkStatus();
}

// Without a model, all pictures take the first one's size and channels.
absl::StatusOr<std::vector<int64_t>> ShapeOfFirst(PictureSource* source, const Context& context) {
  LS_ASSIGN_OR_RETURN(const std::span<const std::byte> bytes, source->Bytes(0));
  Picture first;
  LS_RETURN_IF_ERROR_IN(DecodePicture(bytes, 0, context, &first), Printable(source->names[0]));
  return std::vector<int64_t>{first.height, first.width, first.channels};
}

absl::StatusOr<std::unique_ptr<Dataset>> MakePictureDataset(
    const std::string& path, std::unique_ptr<PictureSource> source, const char* kind,
    const DatasetOptions& options, DataUse use, const std::vector<InputSpec>& inputs,
    const Context& context) {
  if (source->names.empty()) {
    return Invalid(
        "holds no data: neither IDX files (train-images-idx3-ubyte[.gz]) nor pictures "
        "(SPLIT/CLASS/*.jpg|png)");
  }
  LS_ASSIGN_OR_RETURN(const InputSpec* spec, PictureInput(inputs));
  LS_ASSIGN_OR_RETURN(PictureLayout layout,
                      FindPictureLayout(source->names, source->folders, options.split));
  std::string split;
  if (!layout.splits.empty()) {
    LS_ASSIGN_OR_RETURN(split, PickSplit(layout.splits, options.split, use));
  } else if (!options.split.empty()) {
    context.Warn(fmt::format("{}: has no splits; all of it is used", path));
  }
  std::vector<int64_t> shape;
  if (spec != nullptr) {
    shape = spec->shape;
  } else {
    LS_ASSIGN_OR_RETURN(shape, ShapeOfFirst(source.get(), context));
  }
  LS_ASSIGN_OR_RETURN(PictureReader reader,
                      PictureReader::Make(shape, PixelPreprocessing(options)));
  const std::string what = split.empty() ? kind : fmt::format("{}, split '{}'", kind, split);
  auto dataset =
      std::make_unique<PictureDataset>(std::move(source), std::move(reader), path, what, context);
  dataset->labelled = !layout.classes.empty();
  dataset->names = std::move(layout.classes);
  std::vector<int64_t> numbers(dataset->names.size());
  for (size_t c = 0; c < numbers.size(); ++c) numbers[c] = static_cast<int64_t>(c);
  if (!options.labels_file.empty() || !options.labels.empty()) {
    LS_RETURN_IF_ERROR(Renumber(options, &dataset->names, &numbers));
  }
  for (size_t i = 0; i < layout.places.size(); ++i) {
    const PictureLayout::Place& place = layout.places[i];
    if (place.split >= 0 && layout.splits[static_cast<size_t>(place.split)] != split) continue;
    dataset->samples.push_back(
        {i, place.label < 0 ? -1 : numbers[static_cast<size_t>(place.label)]});
  }
  dataset->SetSplits(std::move(split), std::move(layout.splits));
  return dataset;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Dataset>> OpenPictureFolder(const std::string& path,
                                                           const DatasetOptions& options,
                                                           DataUse use,
                                                           const std::vector<InputSpec>& inputs,
                                                           const Context& context) {
  auto source = std::make_unique<FolderSource>(path);
  LS_RETURN_IF_ERROR_IN(source->Scan(context), path);
  LS_ASSIGN_OR_RETURN_IN(
      auto dataset,
      MakePictureDataset(path, std::move(source), "image folder", options, use, inputs, context),
      path);
  return dataset;
}

absl::StatusOr<std::unique_ptr<Dataset>> OpenPictureArchive(const std::string& path,
                                                            const DatasetOptions& options,
                                                            DataUse use,
                                                            const std::vector<InputSpec>& inputs,
                                                            const Context& context) {
  auto source = std::make_unique<ArchiveSource>(path);
  LS_RETURN_IF_ERROR(source->Open(context));
  LS_ASSIGN_OR_RETURN_IN(
      auto dataset,
      MakePictureDataset(path, std::move(source), "image archive", options, use, inputs, context),
      path);
  return dataset;
}

}  // namespace litesmith
