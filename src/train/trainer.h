#ifndef LITESMITH_TRAIN_TRAINER_H_
#define LITESMITH_TRAIN_TRAINER_H_

// The machinery under Train: batches cut into fixed chunks, each run forward and backward by one
// thread in its own memory, their gradients summed in the order of the chunks.

#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/status.h"
#include "ir/graph.h"
#include "litesmith/context.h"
#include "runtime/executor.h"
#include "train/augment.h"
#include "train/crew.h"
#include "train/loss.h"
#include "train/samples.h"
#include "train/tape.h"

namespace litesmith {

class BatchRunner {
 public:
  // `parameters_data` is read by every run and must outlive this object. REQUIRES: batch_size > 0.
  static absl::StatusOr<std::unique_ptr<BatchRunner>> Create(const Graph& graph,
                                                             const LossPlan& loss,
                                                             const Parameters& parameters,
                                                             const float* parameters_data,
                                                             int batch_size, const Context& context,
                                                             int least_chunk = kChunk);

  // Every Run takes values from this model, as the parameters were at the last Run before which
  // UpdateForward was called. Before the first Run; null: none.
  void SetForward(ForwardModel* forward) { forward_ = forward; }
  // The next Run hands it the parameters as they are then.
  void UpdateForward() { forward_is_old_ = forward_ != nullptr; }

  // Every Run also asks this model. Before the first Run.
  absl::Status SetTeacher(std::shared_ptr<const Graph> teacher, const Distillation& distillation);

  // Samples a thread takes at a time: few, so that their activations stay in its cache from the
  // forward to the backward pass.
  static constexpr int kChunk = 8;

  // Runs the samples `batch` (at most batch_size), changed by `augmenter` where it is given. With
  // `gradients` non-null, leaves there one array per chunk whose sum is the gradient of the mean
  // loss over the batch; valid until the next call.
  absl::Status Run(const Samples& samples, std::span<const int64_t> batch,
                   const Augmenter* augmenter, Crew* crew, LossSum* sum,
                   std::vector<float*>* gradients);

  // Of a sample, without the batch.
  const std::vector<Shape>& input_shapes() const { return input_shapes_; }

  // From now on every Run keeps these tensors' values, which collected() gives chunk by chunk, one
  // tensor after the other.
  void Collect(std::vector<int32_t> tensors) { collect_ = std::move(tensors); }
  size_t chunks_run() const { return chunks_run_; }
  std::span<const float> collected(size_t chunk) const { return chunks_[chunk].collected; }

  // Floats per sample of each input, and of the loss's row.
  const std::vector<size_t>& input_sizes() const { return input_sizes_; }
  size_t width() const { return width_; }

 private:
  struct Chunk {
    LossSum sum;
    absl::Status status;
    std::vector<float> gradients, collected;
    std::vector<std::vector<float>> inputs;  // where they are read ahead
    std::vector<float> picture;              // before augmentation
  };
  // One thread's memory, for each chunk size that occurs.
  struct Slot {
    std::vector<std::unique_ptr<TapeMemory>> memories;  // by samples
    std::vector<std::unique_ptr<Executor>> teachers;    // likewise
    std::vector<std::unique_ptr<GivenValues>> given;    // likewise, and made at:
    std::vector<int64_t> given_at;
    std::vector<int32_t> labels;
    std::vector<float> targets;
  };

  absl::StatusOr<std::shared_ptr<const Tape>> MakeTape(int samples) const;
  absl::Status EnsureTape(int samples);
  // Begin of chunk c of `count` in a batch of `size`.
  size_t ChunkBegin(size_t c, size_t count, size_t size) const;
  absl::Status EnsureTapes(size_t count, size_t size);
  // Renews the forward model, which takes one thread, while the others read the inputs.
  absl::Status RenewForward(const Samples& samples, std::span<const int64_t> batch, size_t count,
                            const Augmenter* augmenter, Crew* crew);
  // Null without a forward model.
  absl::StatusOr<GivenValues*> GivenFor(size_t samples, Slot* slot) const;
  absl::Status RunChunk(const Samples& samples, std::span<const int64_t> rows,
                        const Augmenter* augmenter, float weight, bool backward, bool read_ahead,
                        Slot* slot, Chunk* chunk) const;
  // `to`: per input of the model, for all rows.
  absl::Status ReadRows(const Samples& samples, std::span<const int64_t> rows,
                        const Augmenter* augmenter, std::span<const std::span<float>> to,
                        std::vector<float>* picture) const;
  absl::Status AddLoss(const Samples& samples, std::span<const int64_t> rows, float weight,
                       std::span<float> gradient, Slot* slot, TapeMemory* memory,
                       LossSum* sum) const;
  absl::Status AddDistilledLoss(size_t rows, float weight, std::span<float> gradient, Slot* slot,
                                TapeMemory* memory, LossSum* sum) const;
  absl::StatusOr<std::unique_ptr<Executor>> MakeTeacher(int samples) const;

  Graph graph_;
  LossPlan loss_;
  Parameters parameters_;
  const float* parameters_data_ = nullptr;
  int chunk_size_ = 1;
  uint64_t memory_budget_ = 0;
  std::vector<int32_t> collect_;
  size_t chunks_run_ = 0;
  std::vector<size_t> input_sizes_;
  std::vector<Shape> input_shapes_;
  size_t width_ = 0;
  std::shared_ptr<const Graph> teacher_;
  Distillation distillation_;
  std::vector<std::shared_ptr<const Tape>> tapes_;   // by samples
  std::vector<std::unique_ptr<Executor>> teachers_;  // likewise; cloned for the slots
  ForwardModel* forward_ = nullptr;
  bool forward_is_old_ = false;
  int64_t forward_updates_ = 0;
  std::vector<std::unique_ptr<GivenValues>> given_;  // by samples; cloned for the slots
  std::vector<Chunk> chunks_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<Slot*> free_slots_;
  std::mutex slots_mutex_;
};

}  // namespace litesmith

#endif  // LITESMITH_TRAIN_TRAINER_H_
