#ifndef LITESMITH_DATASET_H_
#define LITESMITH_DATASET_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "litesmith/array.h"
#include "litesmith/context.h"

namespace litesmith {

// Where samples come from and how they become a model's inputs. The same five values, with the same
// meaning and defaults, in every request that reads data.
//
// `path` is a folder of IDX files (MNIST's form, gzipped or not), a folder of pictures
// SPLIT/CLASS/*.jpg|png, a .tar or .tar.gz of such a folder, a .npy (one input; axis 0 is the
// sample) or a .npz. Keys of a .npz are the inputs' signature names, else tensor names, else in0,
// in1 …; `labels` (integers) or `targets`, `target0` … beside them hold the answers. Data are
// streamed: memory does not grow with the set.
struct DataSource {
  std::string path;

  // "train", "test" …: which part of the data. Empty: the training split for calibration and
  // training, the test split for evaluation, or the only one there is.
  std::string split;

  // Inputs are (stored value - mean) / std: one number, or one per channel. Empty: what the model's
  // file notes, else 0 and 255 for 8-bit pixels; float arrays are taken as they are.
  std::vector<float> mean, std;

  // A text file with one class name a line, in the order of the outputs. Empty: what the model's
  // file notes, else the folders' names, else numbers.
  std::string labels;
};

// A named array. In a list of inputs an empty name means "by position".
struct NamedArray {
  std::string name;
  Array array;
  // The values are real numbers: where the model's input is a quantized integer they are converted,
  // as the QUANTIZE operator would. Pictures and preprocessed samples have this set.
  bool real = false;
};

// A .npy gives one array without a name, a .npz all of its arrays. Little-endian numbers in C
// order; anything else (pickled objects, Fortran order) is an error that says how to store it
// instead.
absl::StatusOr<std::vector<NamedArray>> ReadArrays(const std::string& path,
                                                   const Context& context = {});

// Writes a .npy through a temporary file.
absl::Status WriteArray(const std::string& path, const Array& array);

}  // namespace litesmith

#endif  // LITESMITH_DATASET_H_
