#ifndef LITESMITH_RUN_H_
#define LITESMITH_RUN_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "litesmith/array.h"
#include "litesmith/context.h"
#include "litesmith/dataset.h"
#include "litesmith/kernels.h"
#include "litesmith/litert.h"
#include "litesmith/model.h"

namespace litesmith {

struct RunRequest {
  KernelMode kernels = KernelMode::kBest;
  Arithmetic arithmetic = Arithmetic::kLitert;

  // Float arrays for quantized inputs are converted, as the QUANTIZE operator would. Otherwise they
  // are an error.
  bool quantize_input = false;

  // Compute with LiteRT instead; the model must be a .tflite file. `kernels` and `arithmetic` have
  // no effect then.
  std::optional<LitertOptions> litert;
};

// A model made ready to run. One thread at a time; make one Session per thread. Memory is planned
// on the first Run and reused while the inputs keep their shapes.
class Session {
 public:
  static absl::StatusOr<Session> Create(const Model& model, const RunRequest& request = {},
                                        const Context& context = {});
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // One inference. Inputs by name or by position, each of the input's type and shape; where the
  // model leaves the batch open (-1) it takes the array's. Returns all outputs in the model's
  // order. Variables of the model are reset first. `context` given to Create is obeyed
  // (cancellation, threads, memory).
  absl::StatusOr<std::vector<NamedArray>> Run(const std::vector<NamedArray>& inputs);

 private:
  struct State;
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Inputs from files: each of `files` is FILE or NAME=FILE, a .npy, a .npz or a picture (PNG, JPEG).
// Pictures are scaled to the input's size and preprocessed as `preprocessing` and the model's notes
// say (its path and split are not used).
absl::StatusOr<std::vector<NamedArray>> ReadInputs(const Model& model,
                                                   const std::vector<std::string>& files,
                                                   const DataSource& preprocessing,
                                                   const Context& context = {});

// True when the file starts as a PNG or JPEG does.
bool IsPicture(const std::string& path);

// Writes each output as FOLDER/out0.npy, out1.npy …; the folder is made where missing. Refuses to
// overwrite one of the `inputs` (in the form that ReadInputs takes).
absl::Status WriteOutputs(const std::string& folder, const std::vector<NamedArray>& outputs,
                          const std::vector<std::string>& inputs);

struct ClassScore {
  int64_t index = 0;
  std::string name;  // from `labels`, the model's notes, or the number
  double score = 0.0;
};

// The `top` highest values of one output row, highest first; `output` is output 0 of `model`.
// `labels`: a file of names, may be "".
absl::StatusOr<std::vector<ClassScore>> TopClasses(const Model& model, const Array& output,
                                                   const std::string& labels, int top);

}  // namespace litesmith

#endif  // LITESMITH_RUN_H_
