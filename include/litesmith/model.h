#ifndef LITESMITH_MODEL_H_
#define LITESMITH_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "litesmith/array.h"
#include "litesmith/context.h"

namespace litesmith {

struct ModelState;

// One input or output of a model.
struct TensorInfo {
  std::string name;         // the signature's name, else the tensor's
  std::string tensor_name;  // the name in the file
  ElementType type = ElementType::kFloat32;
  std::vector<int64_t> shape;  // -1: any size
  float scale = 0.0f;          // real = scale * (q - zero_point); 0: not quantized
  int64_t zero_point = 0;
};

// How stored values became the inputs a model was trained or calibrated on, as its file notes it.
// Later commands take these as defaults for the file. Empty: nothing is noted.
struct ModelNotes {
  std::string recipe;
  std::vector<float> mean, std;
  std::vector<std::string> labels;
};

// How a model is read; all but `batch_size` concern Keras files and SavedModels only.
struct LoadOptions {
  std::string weights;    // the .weights.h5 beside an architecture .json
  std::string signature;  // of a SavedModel; "": "serving_default", or the only one
  // Fixes the free first dimension of all inputs; 0 leaves it free.
  int64_t batch_size = 0;
  // An LSTM layer whose batch is fixed becomes one UNIDIRECTIONAL_SEQUENCE_LSTM, which keeps its
  // state from call to call until the variables are reset. True: it stays written out step by step,
  // without state, as it is where the batch is free.
  bool unroll_lstm = false;
};

// A network. A small handle on an immutable graph: copies are cheap and share it, and may be used
// from several threads. Every operation that changes a network returns another Model.
class Model {
 public:
  // An empty model: only good for being assigned to.
  Model() = default;

  // Reads a .tflite, .keras, .h5, a SavedModel's folder, or an architecture .json with its weights.
  // The format is told by the content, not by the name. Files are untrusted: a damaged one gives an
  // error of one line that names it, never more memory than context.memory_budget. The file must
  // not change while the model is in use (large constants stay mapped).
  static absl::StatusOr<Model> Load(const std::string& path, const Context& context = {},
                                    const std::string& weights = "");
  static absl::StatusOr<Model> Load(const std::string& path, const LoadOptions& options,
                                    const Context& context);

  // A .tflite that is in memory already; the bytes are copied.
  static absl::StatusOr<Model> FromTflite(std::span<const std::byte> bytes,
                                          const Context& context = {});

  // Fails when `path` is one of the files this model was read from, a folder, or in a folder that
  // is not there or not writable: call it before long work.
  absl::Status CheckOutput(const std::string& path) const;

  // Writes a .tflite through a temporary file in the same folder: `path` holds the whole file or
  // what it held before. Refuses what CheckOutput refuses.
  absl::Status Save(const std::string& path) const;

  // The bytes that Save would write.
  absl::StatusOr<std::vector<std::byte>> Serialize() const;

  // In the order of the main subgraph, which is that of the source model.
  std::vector<TensorInfo> inputs() const;
  std::vector<TensorInfo> outputs() const;
  ModelNotes notes() const;

  // The file it was read from, "" for a model made in memory.
  const std::string& path() const;

 private:
  friend struct ModelAccess;
  std::shared_ptr<const ModelState> state_;
};

// The same function in fewer operators: constants folded, batch normalisation and activations
// fused, dead nodes dropped. What `litesmith convert` does between reading and writing.
absl::StatusOr<Model> Optimise(const Model& model, const Context& context = {});

// A file is itself; a folder becomes every .tflite in it, by name. An error when there is none.
absl::StatusOr<std::vector<std::string>> FindModels(const std::vector<std::string>& paths);

}  // namespace litesmith

#endif  // LITESMITH_MODEL_H_
