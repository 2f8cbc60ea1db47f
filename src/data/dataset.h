#ifndef LITESMITH_DATA_DATASET_H_
#define LITESMITH_DATA_DATASET_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "litesmith/array.h"
#include "litesmith/context.h"

namespace litesmith {

// How stored values become model inputs: x' = (x - mean) / std, one value for all channels or one
// per channel (last axis). Unset: 0 and 255 for 8-bit pixels (IDX, images, uint8 arrays); float
// arrays as they are.
struct Preprocessing {
  std::vector<float> mean;
  std::vector<float> std;
};

struct DatasetOptions {
  std::string split;  // "test", "train"; empty: the only one, or the format's default for the use
  Preprocessing preprocessing;
  std::string labels_file;  // one class name a line; empty: folder names or numbers

  // What the model's file notes, used where the fields above are unset: for pixels instead of 0 and
  // 255 (other numbers stay as they are), and the names of the classes.
  Preprocessing pixel_defaults;
  std::vector<std::string> labels;
};

// What the model wants of one input; the dataset converts to it (channels, size of pictures,
// leading 1).
struct InputSpec {
  std::string signature_name;  // used first for .npz keys
  std::string tensor_name;     // then this
  std::vector<int64_t> shape;  // without the batch axis; -1: any
  ElementType type =
      ElementType::kFloat32;  // float32 for quantized inputs: samples are real values
};

// One sample: an array per model input (without the batch axis) and what is known of its answer.
struct Sample {
  std::vector<Array> inputs;
  std::optional<int64_t> label;
  std::vector<Array> targets;
};

// Streamed samples. Random access where the format allows it; otherwise Read in increasing order is
// efficient and going back is not. Not thread-safe; errors name file and entry.
class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual int64_t size() const = 0;
  virtual bool has_labels() const = 0;
  virtual bool has_targets() const = 0;
  // Names of the classes, empty when unknown; its size is the number of classes otherwise.
  virtual const std::vector<std::string>& class_names() const = 0;
  // The label of sample i without reading the sample. REQUIRES: has_labels().
  virtual int64_t label(int64_t i) const = 0;
  // Reads sample i into *sample (its buffers are reused where they fit).
  virtual absl::Status Read(int64_t i, Sample* sample) = 0;
  // Reads input `input` of sample i as float32 into `out`, whose size must be the sample's; the way
  // for training: IDX data sets do it without an allocation and at memory speed, in any order, and
  // may be read by several threads at once (see reads_concurrently). An error where the input is
  // not float32.
  virtual absl::Status ReadInto(int64_t i, size_t input, std::span<float> out);
  // True where ReadInto may be called by several threads at once.
  virtual bool reads_concurrently() const { return false; }
  // Gives back memory that only makes reading in any order fast (an unpacked archive): for readers
  // who go through all samples once, in order, and keep what they need.
  virtual void ForgetUnpacked() {}
  // The shape of every sample's input, without the batch axis; a -1 where pictures differ.
  virtual std::vector<int64_t> sample_shape(size_t input) const = 0;
  // The preprocessing in use (empty vectors: values are taken as they are).
  virtual Preprocessing preprocessing() const = 0;
  // True for .npy and .npz, whose calibration samples are their first N instead of a seeded draw.
  virtual bool is_array() const = 0;
  // "IDX folder, 10000 samples" for messages.
  virtual std::string Describe() const = 0;

  // The split that is read, and all that the data has; empty where it has none.
  const std::string& split() const { return split_; }
  const std::vector<std::string>& splits() const { return splits_; }
  void SetSplits(std::string used, std::vector<std::string> present) {
    split_ = std::move(used);
    splits_ = std::move(present);
  }

 private:
  std::string split_;
  std::vector<std::string> splits_;
};

enum class DataUse { kTraining, kCalibration, kEvaluation };

// Opens an IDX folder or file, an image folder SPLIT/CLASS/*.jpg|png (or CLASS/*), the same inside
// .tar or .tar.gz, a folder of such archives with names of splits (train.tar.gz, test.tar.gz), a
// .npy or a .npz, told apart by content. `inputs` describes the model's inputs
// in order; empty: one input of the stored shape (training from scratch).
absl::StatusOr<std::unique_ptr<Dataset>> OpenDataset(const std::string& path,
                                                     const DatasetOptions& options, DataUse use,
                                                     const std::vector<InputSpec>& inputs,
                                                     const Context& context);

// The samples a calibration uses: arrays give their first `count`; others a seeded draw balanced
// over the classes. Fewer than `count`: all, and context.Warn says so. Indices in the order to
// read.
std::vector<int64_t> CalibrationIndices(const Dataset& dataset, int64_t count, uint64_t seed,
                                        const Context& context);

}  // namespace litesmith

#endif  // LITESMITH_DATA_DATASET_H_
