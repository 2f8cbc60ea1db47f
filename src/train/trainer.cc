#include "train/trainer.h"

#include <algorithm>
#include <functional>

namespace litesmith {
absl::StatusOr<std::unique_ptr<BatchRunner>> BatchRunner::Create(
    const Graph& graph, const LossPlan& loss, const Parameters& parameters,
    const float* parameters_data, int batch_size, const Context& context, int least_chunk) {
  auto runner = std::make_unique<BatchRunner>();
  runner->graph_ = graph;
  runner->loss_ = loss;
  runner->parameters_ = parameters;
  runner->parameters_data_ = parameters_data;
  runner->memory_budget_ = context.memory_budget;
  // Every chunk has gradients of its own; with many parameters there are fewer chunks, whatever the
  // number of threads.
  const uint64_t gradient_bytes = std::max<uint64_t>(parameters.floats * sizeof(float), 1);
  const auto most_chunks =
      static_cast<int>(std::clamp<uint64_t>(context.memory_budget / 8 / gradient_bytes, 1, 64));
  runner->chunk_size_ =
      std::min(batch_size, std::max(least_chunk, (batch_size + most_chunks - 1) / most_chunks));
  runner->tapes_.resize(static_cast<size_t>(runner->chunk_size_) + 1);
  const int chunks = (batch_size + runner->chunk_size_ - 1) / runner->chunk_size_;
  runner->chunks_.resize(static_cast<size_t>(chunks));
  LS_RETURN_IF_ERROR(runner->EnsureTape(runner->chunk_size_));
  const Tape& tape = *runner->tapes_.back();
  const auto samples = static_cast<size_t>(runner->chunk_size_);
  for (size_t i = 0; i < graph.main().inputs.size(); ++i) {
    const int32_t t = graph.main().inputs[i];
    if (graph.main().tensors[static_cast<size_t>(t)].type != schema::TensorType_FLOAT32) {
      return Invalid("input '{}' is not FLOAT32: only float models are trained",
                     Printable(InputName(graph, i)));
    }
    runner->input_sizes_.push_back(static_cast<size_t>(NumElements(tape.shape(t))) / samples);
    runner->input_shapes_.emplace_back(tape.shape(t).begin() + 1, tape.shape(t).end());
  }
  const Shape& shape = tape.shape(loss.target);
  if (shape.empty() || shape[0] != runner->chunk_size_) {
    return Invalid("output '{}' has shape {} for {} samples: it needs one row per sample",
                   Printable(OutputName(graph, 0)), ShapeString(shape), runner->chunk_size_);
  }
  if (loss.kind == LossKind::kCrossEntropy && shape.size() != 2) {
    return Invalid("output '{}' has shape {}: cross-entropy needs one row of classes per sample",
                   Printable(OutputName(graph, 0)), ShapeString(shape));
  }
  runner->width_ = static_cast<size_t>(NumElements(shape)) / samples;
  for (int i = 0; i < context.Threads(); ++i) {
    runner->slots_.push_back(std::make_unique<Slot>());
    runner->slots_.back()->memories.resize(runner->tapes_.size());
    runner->free_slots_.push_back(runner->slots_.back().get());
  }
  return runner;
}

absl::StatusOr<std::shared_ptr<const Tape>> BatchRunner::MakeTape(int samples) const {
  std::vector<Shape> shapes;
  for (int32_t t : graph_.main().inputs) {
    const Tensor& tensor = graph_.main().tensors[static_cast<size_t>(t)];
    Shape shape = tensor.shape;
    if (shape.empty())
      return Invalid("input '{}' has no batch dimension", Printable(tensor.label()));
    shape[0] = samples;
    for (int32_t& d : shape) d = d < 0 ? 1 : d;
    shapes.push_back(std::move(shape));
  }
  return Tape::Create(graph_, parameters_, loss_.target, shapes, memory_budget_);
}

absl::StatusOr<std::unique_ptr<Executor>> BatchRunner::MakeTeacher(int samples) const {
  const Tape& tape = *tapes_[static_cast<size_t>(samples)];
  const auto first = static_cast<ptrdiff_t>(graph_.main().inputs.size());
  ExecutorOptions options;
  options.memory_budget = memory_budget_;
  for (int32_t t : graph_.main().inputs) options.input_shapes.push_back(tape.shape(t));
  const Subgraph& main = teacher_->main();
  const auto is_float = [&](int32_t t) {
    return main.tensors[static_cast<size_t>(t)].type == schema::TensorType_FLOAT32;
  };
  if (static_cast<ptrdiff_t>(main.inputs.size()) != first || main.outputs.empty() ||
      !std::all_of(main.inputs.begin(), main.inputs.end(), is_float) ||
      !is_float(main.outputs[0])) {
    return Invalid("the teacher needs the model's {} float inputs and a float output", first);
  }
  LS_ASSIGN_OR_RETURN_IN(std::unique_ptr<Executor> executor, Executor::Create(teacher_, options),
                         "the teacher");
  const size_t wanted = static_cast<size_t>(samples) * width_ * sizeof(float);
  if (executor->output(0).size() != wanted) {
    return Invalid("the teacher has {} outputs a sample, the model {}",
                   executor->output(0).size() / sizeof(float) / static_cast<size_t>(samples),
                   width_);
  }
  for (size_t i = 0; i < input_sizes_.size(); ++i) {
    if (executor->input(i).size() != static_cast<size_t>(samples) * input_sizes_[i] * sizeof(float))
      return Invalid("the teacher's input {} has another size than the model's", i);
  }
  return executor;
}

absl::Status BatchRunner::SetTeacher(std::shared_ptr<const Graph> teacher,
                                     const Distillation& distillation) {
  if (loss_.kind != LossKind::kCrossEntropy) {
    return Invalid("a teacher needs a model that ends with a SOFTMAX over classes");
  }
  teacher_ = std::move(teacher);
  distillation_ = distillation;
  teachers_.resize(tapes_.size());
  for (const auto& slot : slots_) slot->teachers.resize(tapes_.size());
  LS_ASSIGN_OR_RETURN(teachers_[static_cast<size_t>(chunk_size_)], MakeTeacher(chunk_size_));
  return absl::OkStatus();
}

absl::StatusOr<GivenValues*> BatchRunner::GivenFor(size_t samples, Slot* slot) const {
  if (forward_ == nullptr) return nullptr;
  slot->given.resize(tapes_.size());
  slot->given_at.resize(tapes_.size(), -1);
  if (slot->given_at[samples] != forward_updates_) {
    LS_ASSIGN_OR_RETURN(slot->given[samples], given_[samples]->Clone());
    slot->given_at[samples] = forward_updates_;
  }
  return slot->given[samples].get();
}

absl::Status BatchRunner::EnsureTape(int samples) {
  auto& tape = tapes_[static_cast<size_t>(samples)];
  if (tape == nullptr) {
    LS_ASSIGN_OR_RETURN(tape, MakeTape(samples));
  }
  if (forward_ != nullptr && given_[static_cast<size_t>(samples)] == nullptr) {
    std::vector<Shape> shapes;
    for (int32_t t : graph_.main().inputs) shapes.push_back(tape->shape(t));
    LS_ASSIGN_OR_RETURN(given_[static_cast<size_t>(samples)], forward_->Open(shapes));
  }
  if (teacher_ != nullptr && teachers_[static_cast<size_t>(samples)] == nullptr) {
    LS_ASSIGN_OR_RETURN(teachers_[static_cast<size_t>(samples)], MakeTeacher(samples));
  }
  return absl::OkStatus();
}

// Chunks of a short batch differ by one sample at most: none has too few for its statistics.
size_t BatchRunner::ChunkBegin(size_t c, size_t count, size_t size) const {
  const auto step = static_cast<size_t>(chunk_size_);
  return size % step == 0 ? c * step : size * c / count;
}

absl::Status BatchRunner::EnsureTapes(size_t count, size_t size) {
  for (size_t c = 0; c < count; ++c) {
    const size_t samples = ChunkBegin(c + 1, count, size) - ChunkBegin(c, count, size);
    LS_RETURN_IF_ERROR(EnsureTape(static_cast<int>(samples)));
  }
  return absl::OkStatus();
}

absl::Status BatchRunner::RenewForward(const Samples& samples, std::span<const int64_t> batch,
                                       size_t count, const Augmenter* augmenter, Crew* crew) {
  absl::Status renewed;
  const auto renew = [&]() -> absl::Status {
    ++forward_updates_;
    given_.clear();
    given_.resize(tapes_.size());
    LS_RETURN_IF_ERROR(forward_->Update(parameters_, {parameters_data_, parameters_.floats}));
    return EnsureTapes(count, batch.size());
  };
  const auto read = [&](size_t c) {
    Chunk& chunk = chunks_[c];
    const size_t begin = ChunkBegin(c, count, batch.size());
    const size_t rows = ChunkBegin(c + 1, count, batch.size()) - begin;
    chunk.inputs.resize(input_sizes_.size());
    std::vector<std::span<float>> to;
    for (size_t k = 0; k < input_sizes_.size(); ++k) {
      chunk.inputs[k].resize(rows * input_sizes_[k]);
      to.emplace_back(chunk.inputs[k]);
    }
    chunk.status = ReadRows(samples, batch.subspan(begin, rows), augmenter, to, &chunk.picture);
  };
  const auto body = [&](size_t i) {
    if (i == 0) {
      renewed = renew();
    } else {
      read(i - 1);
    }
  };
  crew->ForEach(count + 1, std::cref(body));
  LS_RETURN_IF_ERROR(renewed);
  for (size_t c = 0; c < count; ++c) LS_RETURN_IF_ERROR(chunks_[c].status);
  forward_is_old_ = false;
  return absl::OkStatus();
}

absl::Status BatchRunner::Run(const Samples& samples, std::span<const int64_t> batch,
                              const Augmenter* augmenter, Crew* crew, LossSum* sum,
                              std::vector<float*>* gradients) {
  const auto step = static_cast<size_t>(chunk_size_);
  const size_t count = (batch.size() + step - 1) / step;
  const bool backward = gradients != nullptr;
  const bool read_ahead = forward_is_old_;
  if (read_ahead) {
    LS_RETURN_IF_ERROR(RenewForward(samples, batch, count, augmenter, crew));
  } else {
    LS_RETURN_IF_ERROR(EnsureTapes(count, batch.size()));
  }
  const float weight = 1.0f / static_cast<float>(batch.size());
  const auto body = [&](size_t c) {
    Slot* slot = nullptr;
    {
      const std::lock_guard<std::mutex> lock(slots_mutex_);
      slot = free_slots_.back();
      free_slots_.pop_back();
    }
    const size_t begin = ChunkBegin(c, count, batch.size());
    const size_t rows = ChunkBegin(c + 1, count, batch.size()) - begin;
    chunks_[c].status = RunChunk(samples, batch.subspan(begin, rows), augmenter, weight, backward,
                                 read_ahead, slot, &chunks_[c]);
    const std::lock_guard<std::mutex> lock(slots_mutex_);
    free_slots_.push_back(slot);
  };
  crew->ForEach(count, std::cref(body));
  chunks_run_ = count;
  if (backward) gradients->clear();
  for (size_t c = 0; c < count; ++c) {
    LS_RETURN_IF_ERROR(chunks_[c].status);
    sum->loss += chunks_[c].sum.loss;
    sum->correct += chunks_[c].sum.correct;
    if (backward) gradients->push_back(chunks_[c].gradients.data());
  }
  return absl::OkStatus();
}

absl::Status BatchRunner::ReadRows(const Samples& samples, std::span<const int64_t> rows,
                                   const Augmenter* augmenter, std::span<const std::span<float>> to,
                                   std::vector<float>* picture) const {
  // Augmentation is of the one picture that CheckAugmentation asked for.
  const bool change = augmenter != nullptr && augmenter->changes();
  for (size_t k = 0; k < to.size(); ++k) {
    if (change) picture->resize(input_sizes_[k]);
    for (size_t i = 0; i < rows.size(); ++i) {
      const std::span<float> row = to[k].subspan(i * input_sizes_[k], input_sizes_[k]);
      LS_RETURN_IF_ERROR(samples.Read(rows[i], k, change ? std::span(*picture) : row));
      if (change) augmenter->Apply(rows[i], input_shapes_[k], *picture, row);
    }
  }
  return absl::OkStatus();
}

absl::Status BatchRunner::AddDistilledLoss(size_t rows, float weight, std::span<float> gradient,
                                           Slot* slot, TapeMemory* memory, LossSum* sum) const {
  std::unique_ptr<Executor>& teacher = slot->teachers[rows];
  if (teacher == nullptr) {
    LS_ASSIGN_OR_RETURN(teacher, teachers_[rows]->Clone());
  }
  for (size_t i = 0; i < input_sizes_.size(); ++i) {
    const auto bytes = std::as_bytes(memory->input(i));
    std::copy(bytes.begin(), bytes.end(), teacher->input(i).begin());
  }
  LS_RETURN_IF_ERROR_IN(teacher->Run(), "the teacher");
  const std::span<const std::byte> bytes = teacher->output(0);
  const std::span<const float> probabilities(reinterpret_cast<const float*>(bytes.data()),
                                             bytes.size() / sizeof(float));
  DistilledCrossEntropy(distillation_, memory->target(), width_, loss_.beta, probabilities,
                        slot->labels, weight, gradient, sum);
  return absl::OkStatus();
}

absl::Status BatchRunner::AddLoss(const Samples& samples, std::span<const int64_t> rows,
                                  float weight, std::span<float> gradient, Slot* slot,
                                  TapeMemory* memory, LossSum* sum) const {
  if (loss_.kind == LossKind::kCrossEntropy) {
    slot->labels.resize(samples.has_labels() ? rows.size() : 0);
    for (size_t i = 0; i < slot->labels.size(); ++i) slot->labels[i] = samples.label(rows[i]);
    if (teacher_ != nullptr) {
      return AddDistilledLoss(rows.size(), weight, gradient, slot, memory, sum);
    }
    CrossEntropy(memory->target(), width_, loss_.beta, slot->labels, weight, gradient, sum);
    return absl::OkStatus();
  }
  std::span<const float> targets;
  if (samples.target_size() > 0) {
    slot->targets.resize(rows.size() * width_);
    for (size_t i = 0; i < rows.size(); ++i) {
      const std::span<const float> from = samples.target(rows[i]);
      std::copy(from.begin(), from.end(),
                slot->targets.begin() + static_cast<ptrdiff_t>(i * width_));
    }
    targets = slot->targets;
  } else if (loss_.kind == LossKind::kBinaryCrossEntropy) {
    slot->targets.resize(rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      slot->targets[i] = static_cast<float>(samples.label(rows[i]));
    }
    targets = slot->targets;
  } else {
    targets = memory->input(0);
  }
  const auto function =
      loss_.kind == LossKind::kBinaryCrossEntropy ? BinaryCrossEntropy : SquaredError;
  function(memory->target(), width_, targets, weight, gradient, sum);
  return absl::OkStatus();
}

absl::Status BatchRunner::RunChunk(const Samples& samples, std::span<const int64_t> rows,
                                   const Augmenter* augmenter, float weight, bool backward,
                                   bool read_ahead, Slot* slot, Chunk* chunk) const {
  auto& memory = slot->memories[rows.size()];
  if (memory == nullptr) {
    memory = std::make_unique<TapeMemory>(tapes_[rows.size()], parameters_data_);
  }
  // Parameters that do not lead to the loss keep these zeros.
  if (backward && chunk->gradients.empty()) chunk->gradients.assign(parameters_.floats, 0.0f);
  std::vector<std::span<float>> inputs;
  for (size_t k = 0; k < input_sizes_.size(); ++k) inputs.push_back(memory->input(k));
  if (read_ahead) {
    for (size_t k = 0; k < inputs.size(); ++k) {
      std::copy(chunk->inputs[k].begin(), chunk->inputs[k].end(), inputs[k].begin());
    }
  } else {
    LS_RETURN_IF_ERROR(ReadRows(samples, rows, augmenter, inputs, &chunk->picture));
  }
  LS_ASSIGN_OR_RETURN(GivenValues * given, GivenFor(rows.size(), slot));
  LS_RETURN_IF_ERROR(memory->Forward(nullptr, given, backward || !collect_.empty()));
  chunk->sum = {};
  const std::span<float> gradient = backward ? memory->target_gradient() : std::span<float>();
  LS_RETURN_IF_ERROR(AddLoss(samples, rows, weight, gradient, slot, memory.get(), &chunk->sum));
  chunk->collected.clear();
  for (int32_t t : collect_) {
    const std::span<const float> values = memory->value(t);
    chunk->collected.insert(chunk->collected.end(), values.begin(), values.end());
  }
  if (!backward) return absl::OkStatus();
  return memory->Backward(chunk->gradients.data(), nullptr);
}

}  // namespace litesmith
