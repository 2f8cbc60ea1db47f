#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "data/gzip.h"
#include "data/idx.h"
#include "data/limits.h"
#include "data/open.h"
#include "data/preprocess.h"

namespace litesmith {
namespace {

class IdxDataset : public Dataset {
 public:
  IdxDataset(IdxArray images, std::vector<int64_t> shape, Normalizer normalizer, std::string what)
      : images_(std::move(images)),
        shape_(std::move(shape)),
        normalizer_(std::move(normalizer)),
        what_(std::move(what)) {
    elements_ = 1;
    for (int64_t d : shape_) elements_ *= static_cast<size_t>(d);
    if (!images_.packed.empty()) stream_ = std::make_unique<GzipStream>(images_.packed);
  }

  absl::Status SetLabels(const IdxArray& labels, std::vector<std::string> names) {
    labels_ = labels.elements;
    labels_owner_ = labels.owner;
    const auto largest = std::max_element(labels_.begin(), labels_.end());
    if (!names.empty() && std::to_integer<size_t>(*largest) >= names.size()) {
      return Invalid("sample {} has label {}, but the labels file has {} names",
                     largest - labels_.begin(), std::to_integer<int>(*largest), names.size());
    }
    names_ = std::move(names);
    return absl::OkStatus();
  }

  int64_t size() const override { return images_.shape[0]; }
  bool has_labels() const override { return !labels_.empty(); }
  bool has_targets() const override { return false; }
  const std::vector<std::string>& class_names() const override { return names_; }
  int64_t label(int64_t i) const override { return std::to_integer<int64_t>(labels_[i]); }
  Preprocessing preprocessing() const override { return normalizer_.used(); }
  bool is_array() const override { return false; }
  bool reads_concurrently() const override { return stream_ == nullptr; }
  std::vector<int64_t> sample_shape(size_t) const override { return shape_; }
  std::string Describe() const override { return fmt::format("{}, {} samples", what_, size()); }

  absl::Status Read(int64_t i, Sample* sample) override {
    LS_RETURN_IF_ERROR(CheckSampleIndex(i, size()));
    sample->inputs.resize(1);
    sample->targets.clear();
    sample->label = has_labels() ? std::optional<int64_t>(label(i)) : std::nullopt;
    Reshape(ElementType::kFloat32, shape_, &sample->inputs[0]);
    return ReadInto(i, 0, sample->inputs[0].mutable_data<float>());
  }

  absl::Status ReadInto(int64_t i, size_t input, std::span<float> out) override {
    LS_RETURN_IF_ERROR(CheckSampleIndex(i, size()));
    if (input != 0 || out.size() != elements_) {
      return Invalid("a sample has one input of {} values, not input {} of {}", elements_, input,
                     out.size());
    }
    if (stream_ != nullptr) {
      LS_RETURN_IF_ERROR_IN(Unpack(i), fmt::format("{}, sample {}", what_, i));
      normalizer_.Apply(scratch_, out);
      return absl::OkStatus();
    }
    normalizer_.Apply(images_.elements.subspan(static_cast<size_t>(i) * elements_, elements_), out);
    return absl::OkStatus();
  }

 private:
  // Sample i into scratch_, by unpacking up to it.
  absl::Status Unpack(int64_t i) {
    const uint64_t wanted = images_.offset + static_cast<uint64_t>(i) * elements_;
    if (stream_->position() > wanted) stream_->Rewind();
    // Piece by piece of a sample's size, but not in crumbs where samples are small.
    scratch_.resize(std::max<size_t>(elements_, 4096));
    for (uint64_t left = wanted - stream_->position(); left > 0;) {
      const size_t piece = static_cast<size_t>(std::min<uint64_t>(left, scratch_.size()));
      LS_ASSIGN_OR_RETURN(const size_t got, stream_->Read(std::span(scratch_).first(piece)));
      if (got < piece) return Short();
      left -= got;
    }
    scratch_.resize(elements_);
    LS_ASSIGN_OR_RETURN(const size_t got, stream_->Read(scratch_));
    if (got < elements_) return Short();
    if (i + 1 < size()) return absl::OkStatus();
    std::byte extra;
    LS_ASSIGN_OR_RETURN(const size_t more, stream_->Read({&extra, 1}));
    if (more != 0) return Invalid("the file unpacks to more than its shape says");
    return absl::OkStatus();
  }
  absl::Status Short() const {
    return Invalid("the file ends before its shape {} is full; download it again",
                   ShapeString(images_.shape));
  }

  IdxArray images_;
  std::vector<int64_t> shape_;  // of a sample, as the model takes it
  Normalizer normalizer_;
  std::string what_;
  size_t elements_ = 0;                 // of a sample
  std::unique_ptr<GzipStream> stream_;  // where the images stay packed
  std::vector<std::byte> scratch_;
  std::span<const std::byte> labels_;
  std::shared_ptr<const void> labels_owner_;
  std::vector<std::string> names_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Dataset>> MakeIdxDataset(IdxArray images, const IdxArray* labels,
                                                        const std::string& what,
                                                        const DatasetOptions& options,
                                                        const std::vector<InputSpec>& inputs,
                                                        const Context& context) {
  if (images.elements.empty() && images.packed.empty()) {
    return Invalid("holds no samples (shape {})", ShapeString(images.shape));
  }
  LS_ASSIGN_OR_RETURN(const InputSpec* spec, PictureInput(inputs));
  std::vector<int64_t> shape(images.shape.begin() + 1, images.shape.end());
  if (spec != nullptr) {
    LS_ASSIGN_OR_RETURN(shape, FitShape(shape, spec->shape, /*channel_axis=*/true));
  } else if (shape.size() == 2) {
    shape.push_back(1);  // grey pictures have one channel
  }
  uint64_t sample_bytes = 1;  // the header's product has been checked
  for (int64_t d : shape) sample_bytes *= static_cast<uint64_t>(d);
  LS_RETURN_IF_ERROR(CheckBudget(sample_bytes * sizeof(float), "a sample", context));
  const int64_t channels = shape.size() < 3 ? 1 : shape.back();
  LS_ASSIGN_OR_RETURN(Normalizer normalizer,
                      Normalizer::ForPixels(PixelPreprocessing(options), channels));
  auto dataset = std::make_unique<IdxDataset>(std::move(images), std::move(shape),
                                              std::move(normalizer), what);
  LS_ASSIGN_OR_RETURN(std::vector<std::string> names, GivenClassNames(options));
  if (labels != nullptr) LS_RETURN_IF_ERROR(dataset->SetLabels(*labels, std::move(names)));
  LS_RETURN_IF_ERROR(context.Check());
  return dataset;
}

}  // namespace litesmith
