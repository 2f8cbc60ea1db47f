#include "evaluate/evaluate.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "base/threads.h"

namespace litesmith {
namespace {

constexpr int64_t kLargestBatch = 64;
// Batches are kept small where samples are large, so that the tensors stay in the cache.
constexpr int64_t kBatchElements = 1 << 16;

const Tensor& InputTensor(const Graph& graph, size_t i) {
  return graph.main().tensors[static_cast<size_t>(graph.main().inputs[i])];
}
const Tensor& OutputTensor(const Graph& graph, size_t i) {
  return graph.main().tensors[static_cast<size_t>(graph.main().outputs[i])];
}

// How many samples may go through the model at once, as far as its inputs tell.
int64_t BatchSize(const Graph& graph) {
  int64_t elements = 1;
  for (size_t i = 0; i < graph.main().inputs.size(); ++i) {
    const Shape& signature = InputTensor(graph, i).shape_signature;
    if (signature.empty() || signature[0] != -1) return 1;
    int64_t size = 1;
    for (size_t d = 1; d < signature.size(); ++d) {
      if (signature[d] < 0) return 1;
      size *= std::max(1, signature[d]);
    }
    elements = std::max(elements, size);
  }
  for (const Tensor& tensor : graph.main().tensors) {
    if (tensor.is_variable) return 1;
  }
  return std::clamp<int64_t>(kBatchElements / elements, 1, kLargestBatch);
}

struct Scores {
  int64_t correct = 0;
  double error = 0.0;
  int64_t values = 0;
};

// What all workers share. Reading and bookkeeping happen under the mutex; batches are numbered, so
// that sums do not depend on who takes which.
class Evaluation {
 public:
  Evaluation(std::shared_ptr<const Graph> graph, Dataset* data, const EvaluateOptions& options,
             const Context& context)
      : graph_(std::move(graph)), data_(data), options_(options), context_(context) {}

  absl::StatusOr<EvaluateResult> Run();

 private:
  struct Worker {
    std::unique_ptr<Executor> executor;
    std::vector<Shape> shapes;  // the executor's inputs
    std::vector<Sample> samples;
  };

  absl::Status CheckData();
  absl::Status CheckOutputs(const Executor& executor) const;
  absl::StatusOr<std::unique_ptr<Executor>> Make(std::vector<Shape> shapes) const;
  absl::Status ChooseBatch();
  bool TakeBatch(Worker* worker, int64_t* batch);
  absl::Status RunBatch(Worker* worker, Scores* scores);
  absl::Status Score(const Sample& sample, const std::vector<std::vector<float>>& outputs,
                     size_t index, size_t count, Scores* scores) const;
  void Fail(int64_t batch, const absl::Status& status);
  void Work(Worker* worker);

  std::shared_ptr<const Graph> graph_;
  Dataset* data_;
  EvaluateOptions options_;
  const Context& context_;
  int64_t batch_size_ = 1;
  std::unique_ptr<Executor> first_;
  std::vector<Shape> first_shapes_;

  std::mutex mutex_;
  int64_t next_ = 0;
  int64_t failed_batch_ = -1;
  absl::Status status_;
  std::vector<Scores> scores_;  // per batch
};

absl::Status Evaluation::CheckData() {
  if (data_->size() == 0) return Invalid("there are no samples; check --data and --split");
  if (graph_->main().outputs.empty()) return Invalid("the model has no output");
  if (options_.metric == Metric::kAccuracy && !data_->has_labels()) {
    return Invalid("{} has no labels, which accuracy needs; add them or use --metric mse",
                   data_->Describe());
  }
  if (options_.metric != Metric::kAccuracy && !data_->has_targets()) {
    return Invalid("{} has no targets, which --metric mse and mae need", data_->Describe());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Executor>> Evaluation::Make(std::vector<Shape> shapes) const {
  ExecutorOptions options;
  options.kernels = options_.kernels;
  options.arithmetic = options_.arithmetic;
  options.num_threads = 1;  // the batches are what runs in parallel
  options.input_shapes = std::move(shapes);
  options.memory_budget = context_.memory_budget;
  return Executor::Create(graph_, options);
}

// A model may leave its batch open and still be made for one sample (a RESHAPE to [1, N]): try,
// then look whether every output has one row per sample.
absl::Status Evaluation::ChooseBatch() {
  batch_size_ = std::min(BatchSize(*graph_), data_->size());
  if (batch_size_ > 1) {
    std::vector<Shape> shapes;
    for (size_t i = 0; i < graph_->main().inputs.size(); ++i) {
      Shape shape = InputTensor(*graph_, i).shape_signature;
      shape[0] = static_cast<int32_t>(batch_size_);
      shapes.push_back(std::move(shape));
    }
    auto executor = Make(shapes);
    bool rows = executor.ok();
    for (size_t o = 0; rows && o < (*executor)->num_outputs(); ++o) {
      const Shape& shape = (*executor)->output_shape(o);
      rows = !shape.empty() && shape[0] == batch_size_;
    }
    if (rows) {
      first_ = std::move(executor).value();
      first_shapes_ = std::move(shapes);
      return absl::OkStatus();
    }
    batch_size_ = 1;
  }
  return absl::OkStatus();
}

absl::Status Evaluation::CheckOutputs(const Executor& executor) const {
  if (options_.metric != Metric::kAccuracy) return absl::OkStatus();
  const Shape& shape = executor.output_shape(0);
  const int64_t classes = NumElements(shape) / batch_size_;
  const auto named = static_cast<int64_t>(data_->class_names().size());
  if (classes < 2) {
    return Invalid("the model has one output value; accuracy needs one per class");
  }
  if (named != 0 && named != classes) {
    return Invalid("the data has {} classes and the model {} outputs; are model and data a pair?",
                   named, classes);
  }
  return absl::OkStatus();
}

bool Evaluation::TakeBatch(Worker* worker, int64_t* batch) {
  const std::lock_guard lock(mutex_);
  if (failed_batch_ >= 0 || next_ >= data_->size()) return false;
  *batch = next_ / batch_size_;
  const int64_t count = std::min(batch_size_, data_->size() - next_);
  worker->samples.resize(static_cast<size_t>(count));
  absl::Status status = context_.Check();
  for (int64_t i = 0; status.ok() && i < count; ++i) {
    status = data_->Read(next_ + i, &worker->samples[static_cast<size_t>(i)]);
  }
  if (!status.ok()) {
    failed_batch_ = *batch;
    status_ = status;
    return false;
  }
  const int64_t percent = 100 * next_ / data_->size();
  next_ += count;
  if (100 * next_ / data_->size() != percent) {
    context_.Report("evaluating", next_, data_->size());
  }
  return true;
}

void Evaluation::Fail(int64_t batch, const absl::Status& status) {
  const std::lock_guard lock(mutex_);
  if (failed_batch_ >= 0 && failed_batch_ < batch) return;
  failed_batch_ = batch;
  status_ = status;
}

absl::Status Evaluation::RunBatch(Worker* worker, Scores* scores) {
  const size_t count = worker->samples.size();
  const size_t inputs = graph_->main().inputs.size();
  std::vector<Shape> shapes(inputs);
  for (size_t i = 0; i < inputs; ++i) {
    const Tensor& tensor = InputTensor(*graph_, i);
    const auto& sample = worker->samples[0].inputs[i].shape;
    if (tensor.shape.size() == sample.size() + 1) shapes[i].push_back(static_cast<int32_t>(count));
    for (int64_t d : sample) shapes[i].push_back(static_cast<int32_t>(d));
  }
  if (worker->executor == nullptr || shapes != worker->shapes) {
    LS_ASSIGN_OR_RETURN(worker->executor, Make(shapes));
    worker->shapes = shapes;
  }
  Executor& executor = *worker->executor;
  for (size_t i = 0; i < inputs; ++i) {
    const size_t size = executor.input(i).size() / count;
    for (size_t s = 0; s < count; ++s) {
      LS_RETURN_IF_ERROR(StoreInput(worker->samples[s].inputs[i], InputTensor(*graph_, i),
                                    executor.input(i).subspan(s * size, size)));
    }
  }
  executor.ResetVariables();
  LS_RETURN_IF_ERROR(executor.Run(&context_));
  const size_t used = options_.metric == Metric::kAccuracy ? 1 : executor.num_outputs();
  std::vector<std::vector<float>> outputs(used);
  for (size_t o = 0; o < used; ++o) {
    LS_ASSIGN_OR_RETURN(outputs[o], LoadOutput(executor.output(o), OutputTensor(*graph_, o)));
  }
  for (size_t s = 0; s < count; ++s) {
    LS_RETURN_IF_ERROR(Score(worker->samples[s], outputs, s, count, scores));
  }
  return absl::OkStatus();
}

absl::Status Evaluation::Score(const Sample& sample, const std::vector<std::vector<float>>& outputs,
                               size_t index, size_t count, Scores* scores) const {
  if (options_.metric == Metric::kAccuracy) {
    const size_t classes = outputs[0].size() / count;
    const float* row = outputs[0].data() + index * classes;
    const int64_t label = sample.label.value_or(-1);
    if (label < 0 || label >= static_cast<int64_t>(classes)) {
      return Invalid("a sample has the label {}, but the model has the outputs 0 to {}", label,
                     classes - 1);
    }
    scores->correct += std::max_element(row, row + classes) - row == label;
    return absl::OkStatus();
  }
  if (sample.targets.size() != outputs.size()) {
    return Invalid("the data has {} targets and the model {} outputs", sample.targets.size(),
                   outputs.size());
  }
  for (size_t o = 0; o < outputs.size(); ++o) {
    const size_t size = outputs[o].size() / count;
    const Array& target = sample.targets[o];
    if (target.type != ElementType::kFloat32 || static_cast<size_t>(target.elements()) != size) {
      return Invalid("target {} is {} {}, but output '{}' has {} values a sample", o,
                     ElementTypeName(target.type), ShapeString(target.shape),
                     Printable(OutputTensor(*graph_, o).label()), size);
    }
    for (size_t i = 0; i < size; ++i) {
      const double d = double{outputs[o][index * size + i]} - double{target.data<float>()[i]};
      scores->error += options_.metric == Metric::kMse ? d * d : std::abs(d);
    }
    scores->values += static_cast<int64_t>(size);
  }
  return absl::OkStatus();
}

void Evaluation::Work(Worker* worker) {
  int64_t batch = 0;
  while (TakeBatch(worker, &batch)) {
    const absl::Status status = RunBatch(worker, &scores_[static_cast<size_t>(batch)]);
    if (!status.ok()) {
      Fail(batch, status);
      return;
    }
  }
}

absl::StatusOr<EvaluateResult> Evaluation::Run() {
  LS_RETURN_IF_ERROR(CheckData());
  LS_RETURN_IF_ERROR(ChooseBatch());
  if (first_ == nullptr) {
    LS_ASSIGN_OR_RETURN(first_, Make({}));
    for (size_t i = 0; i < first_->num_inputs(); ++i)
      first_shapes_.push_back(first_->input_shape(i));
  }
  LS_RETURN_IF_ERROR(CheckOutputs(*first_));
  const int64_t batches = (data_->size() + batch_size_ - 1) / batch_size_;
  scores_.resize(static_cast<size_t>(batches));
  const auto threads = static_cast<size_t>(std::min<int64_t>(context_.Threads(), batches));
  std::vector<Worker> workers(threads);
  for (Worker& worker : workers) {
    LS_ASSIGN_OR_RETURN(worker.executor, first_->Clone());
    worker.shapes = first_shapes_;
  }
  ThreadPool pool(static_cast<int>(threads));
  pool.ParallelFor(threads, 1, [&](size_t begin, size_t end) {
    for (size_t w = begin; w < end; ++w) Work(&workers[w]);
  });
  LS_RETURN_IF_ERROR(status_);
  EvaluateResult result;
  result.total = data_->size();
  int64_t values = 0;
  for (const Scores& s : scores_) {
    result.correct += s.correct;
    result.error += s.error;
    values += s.values;
  }
  result.accuracy = static_cast<double>(result.correct) / static_cast<double>(result.total);
  if (values > 0) result.error /= static_cast<double>(values);
  return result;
}

}  // namespace

absl::StatusOr<EvaluateResult> Evaluate(std::shared_ptr<const Graph> graph, Dataset* data,
                                        const EvaluateOptions& options, const Context& context) {
  return Evaluation(std::move(graph), data, options, context).Run();
}

}  // namespace litesmith
