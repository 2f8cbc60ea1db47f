#ifndef LITESMITH_EVALUATE_LITERT_MODEL_H_
#define LITESMITH_EVALUATE_LITERT_MODEL_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "ir/graph.h"
#include "litesmith/litert.h"
#include "runtime/executor.h"

namespace litesmith {

// A .tflite file prepared by LiteRT, with memory for its inputs and outputs. One thread at a time.
class LitertModel {
 public:
  struct Request {
    LitertOptions litert;
    int num_threads = 1;  // at least 1
    std::vector<Shape> input_shapes, output_shapes;
  };
  // `graph` is what was read from `file`: its main subgraph is what runs, and its types and shapes
  // check what LiteRT says. Errors do not name the file.
  static absl::StatusOr<std::unique_ptr<LitertModel>> Create(const std::string& file,
                                                             const Graph& graph,
                                                             const Request& request);
  ~LitertModel();
  LitertModel(const LitertModel&) = delete;
  LitertModel& operator=(const LitertModel&) = delete;

  size_t num_inputs() const;
  size_t num_outputs() const;
  // Filled before Run, and kept by it.
  std::span<std::byte> input(size_t i);
  // Valid until the next Run.
  std::span<const std::byte> output(size_t i) const;
  const Shape& output_shape(size_t i) const;

  absl::Status Run();

  // "LiteRT 2.3.0".
  std::string Name() const;

 private:
  struct State;
  explicit LitertModel(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// The shapes that an executor of the same graph has.
void SetRequestShapes(const Executor& executor, LitertModel::Request* request);

}  // namespace litesmith

#endif  // LITESMITH_EVALUATE_LITERT_MODEL_H_
