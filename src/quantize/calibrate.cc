#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/threads.h"
#include "quantize/lstm_plan.h"
#include "quantize/quantize.h"
#include "quantize/rules.h"
#include "quantize/svdf_plan.h"
#include "runtime/executor.h"

namespace litesmith {
namespace {

// Elements that one run of a model with a free batch takes at a time, and at most so many samples:
// enough to feed the kernels, little enough to keep the memory of a small model small.
constexpr int64_t kElementsPerRun = 32768;
constexpr int64_t kSamplesPerRun = 16;
// Elements that are read ahead before the threads start on them.
constexpr int64_t kElementsPerRound = int64_t{1} << 20;

using Range = Ranges::Range;

void Merge(const Range& from, Range* to) {
  if (!from.seen) return;
  to->min = to->seen ? std::min(to->min, from.min) : from.min;
  to->max = to->seen ? std::max(to->max, from.max) : from.max;
  to->seen = true;
  to->second = std::max({std::min(from.most, to->most), from.second, to->second});
  to->most = std::max(from.most, to->most);
}

// Adds the values to `range`. False when one is NaN or infinite.
bool Observe(std::span<const std::byte> bytes, Range* range) {
  const auto* values = reinterpret_cast<const float*>(bytes.data());
  const size_t count = bytes.size() / sizeof(float);
  if (count == 0) return true;
  float low = values[0], high = values[0], poison = 0.0f;
  for (size_t i = 0; i < count; ++i) {
    low = values[i] < low ? values[i] : low;
    high = values[i] > high ? values[i] : high;
    poison += values[i] * 0.0f;  // NaN as soon as one value is not finite
  }
  Merge({low, high, true, std::max(std::abs(low), std::abs(high)), 0.0f}, range);
  return !std::isnan(poison);
}

// Whether all nodes of each subgraph can run, those of the subgraphs they call included.
class Runnables {
 public:
  explicit Runnables(const Graph& graph) : graph_(graph), known_(graph.subgraphs.size(), -1) {}

  // REQUIRES: Verify(graph), so that no subgraph calls itself.
  bool Runs(const Node& node) {
    const OpRecord* op = FindOp(node);
    if (op == nullptr) return false;
    if (!op->run_by_executor) return op->prepare != nullptr && op->infer_shapes != nullptr;
    const std::vector<int32_t> called = CalledSubgraphs(node);
    return std::all_of(called.begin(), called.end(), [this](int32_t s) { return RunsAll(s); });
  }

 private:
  bool RunsAll(int32_t subgraph) {
    const auto s = static_cast<size_t>(subgraph);
    if (known_[s] < 0) {
      const auto& nodes = graph_.subgraphs[s].nodes;
      known_[s] =
          std::all_of(nodes.begin(), nodes.end(), [this](const Node& n) { return Runs(n); });
    }
    return known_[s] != 0;
  }

  const Graph& graph_;
  std::vector<int> known_;  // -1: not yet
};

// The graph without the nodes that cannot run, or that read what those would make.
std::shared_ptr<const Graph> RunnablePart(const Graph& graph) {
  auto part = std::make_shared<Graph>(graph);
  Subgraph& subgraph = part->main();
  std::vector<bool> missing(subgraph.tensors.size(), false);
  auto is_missing = [&](int32_t t) { return t >= 0 && missing[static_cast<size_t>(t)]; };
  std::vector<Node> runnable;
  Runnables runnables(graph);
  for (const Node& node : subgraph.nodes) {
    const bool runs =
        runnables.Runs(node) && std::none_of(node.inputs.begin(), node.inputs.end(), is_missing);
    if (runs) {
      runnable.push_back(node);
      continue;
    }
    for (int32_t t : node.outputs) {
      if (t >= 0) missing[static_cast<size_t>(t)] = true;
    }
  }
  subgraph.nodes = std::move(runnable);
  std::erase_if(subgraph.outputs, is_missing);
  part->signatures.clear();
  return part;
}

// One executor and what it has seen.
class Observer {
 public:
  Observer(std::unique_ptr<Executor> executor, std::vector<Range>* ranges)
      : executor_(std::move(executor)), ranges_(*ranges) {
    executor_->SetObserver([this](size_t n) {
      const Node& node = executor_->graph().main().nodes[n];
      if (node.op == schema::BuiltinOperator_RSQRT) {
        LookAtRoots(node.outputs[0]);
      } else {
        for (int32_t t : node.outputs) Look(t);
      }
      if (IsSequenceLstm(node)) LookInside(n);
      if (IsSvdf(node) && SvdfState(node) >= 0) Look(SvdfState(node));
    });
  }

  Executor& executor() { return *executor_; }

  // Runs on what the inputs hold. `*poisoned` is the first tensor with NaN or infinity, -1: none.
  absl::Status Run(const Context& context, int32_t* poisoned) {
    poisoned_ = -1;
    for (int32_t t : executor_->graph().main().inputs) Look(t);
    if (poisoned_ < 0) LS_RETURN_IF_ERROR(executor_->Run(&context));
    LS_RETURN_IF_ERROR(inside_);
    *poisoned = poisoned_;
    return absl::OkStatus();
  }

 private:
  void Look(int32_t t) {
    if (poisoned_ >= 0 || !IsActivation(executor_->graph().main(), t)) return;
    if (!Observe(executor_->tensor(t), &ranges_[static_cast<size_t>(t)])) poisoned_ = t;
  }

  // The root at the epsilon of a normalization stands beside zeros, whose product with it is zero:
  // it does not take the steps from the others.
  void LookAtRoots(int32_t t) {
    constexpr float kAtEpsilon = 0.999e6f;
    if (poisoned_ >= 0 || !IsActivation(executor_->graph().main(), t)) return;
    const std::span<const std::byte> bytes = executor_->tensor(t);
    const std::span<const float> all(reinterpret_cast<const float*>(bytes.data()),
                                     bytes.size() / sizeof(float));
    std::vector<float> counted;
    std::copy_if(all.begin(), all.end(), std::back_inserter(counted),
                 [](float v) { return !(v >= kAtEpsilon) || std::isinf(v); });
    if (counted.empty()) counted.push_back(0.0f);
    Range& range = ranges_[static_cast<size_t>(t)];
    if (!Observe(std::as_bytes(std::span<const float>(counted)), &range)) poisoned_ = t;
  }

  void LookInside(size_t n) {
    const Node& node = executor_->graph().main().nodes[n];
    const auto look = [this](int32_t t, std::span<const float> values) {
      if (poisoned_ >= 0) return;
      if (!Observe(std::as_bytes(values), &ranges_[static_cast<size_t>(t)])) poisoned_ = t;
    };
    if (inside_.ok()) inside_ = ObserveLstmNode(*executor_, node, look, &states_[n]);
  }

  std::unique_ptr<Executor> executor_;
  std::vector<Range>& ranges_;
  absl::Status inside_;
  std::map<size_t, LstmMemory> states_;  // of the LSTM nodes, as the executor's variables
  int32_t poisoned_ = -1;
};

// Samples that run together, as they were read.
struct Batch {
  std::vector<int64_t> indices;  // in the data set
  std::vector<Sample> samples;
};

class Calibration {
 public:
  Calibration(const Graph& graph, Dataset* data, const QuantizeOptions& options,
              const Context& context)
      : graph_(graph), part_(RunnablePart(graph)), data_(*data), context_(context) {
    order_ = CalibrationIndices(*data, options.num_calibration_samples, options.seed, context);
  }

  absl::StatusOr<Ranges> Run() {
    if (order_.empty()) return Invalid("there are no calibration samples; give at least one");
    fixed_batch_ = FixedBatch();
    per_run_ = fixed_batch_ > 1 ? fixed_batch_ : SamplesPerRun();
    // States pass from sample to sample, as they do in LiteRT, whose Invoke keeps them, and in
    // TensorFlow's calibrator; so there is one order, and one worker.
    const bool stateful = HasStates();
    const auto runs =
        (order_.size() + static_cast<size_t>(per_run_) - 1) / static_cast<size_t>(per_run_);
    const int threads = stateful ? 1 : std::max(1, context_.Threads());
    workers_.resize(std::min<size_t>(static_cast<size_t>(threads), runs));
    for (Worker& worker : workers_) worker.ranges.resize(graph_.main().tensors.size());
    ThreadPool pool(static_cast<int>(workers_.size()));
    for (size_t next = 0; next < order_.size();) {
      LS_RETURN_IF_ERROR(context_.Check());
      LS_RETURN_IF_ERROR(ReadRound(&next));
      pool.ParallelFor(workers_.size(), 1, [&](size_t begin, size_t end) {
        for (size_t w = begin; w < end; ++w) workers_[w].status = RunShare(w);
      });
      // The workers' shares are in order, so the first error is the first sample's whatever the
      // threads.
      for (const Worker& worker : workers_) LS_RETURN_IF_ERROR(worker.status);
      context_.Report("calibrating", static_cast<int64_t>(next),
                      static_cast<int64_t>(order_.size()));
    }
    return Collect();
  }

 private:
  struct Worker {
    std::vector<Range> ranges;
    std::unique_ptr<Observer> observer;
    std::vector<Shape> shapes;  // that the observer's executor was made for
    absl::Status status;
  };

  const Tensor& InputTensor(size_t i) const {
    return part_->main().tensors[static_cast<size_t>(part_->main().inputs[i])];
  }
  size_t num_inputs() const { return part_->main().inputs.size(); }

  // The batch that all inputs of the file have, more than one sample; else 1. The last run repeats
  // samples to fill it.
  int64_t FixedBatch() const {
    int64_t batch = 0;
    for (size_t i = 0; i < num_inputs(); ++i) {
      const Tensor& tensor = InputTensor(i);
      const Shape& shape = tensor.shape_signature.empty() ? tensor.shape : tensor.shape_signature;
      if (shape.empty() || shape[0] <= 1 || (batch != 0 && shape[0] != batch)) return 1;
      const std::vector<int64_t> sample = data_.sample_shape(i);
      if (sample.size() == shape.size() && sample[0] == shape[0]) return 1;  // a sample is a batch
      batch = shape[0];
    }
    return std::max<int64_t>(batch, 1);
  }

  bool HasStates() const {
    const auto keeps = [](const Subgraph& subgraph) {
      return std::any_of(subgraph.tensors.begin(), subgraph.tensors.end(),
                         [](const Tensor& tensor) { return tensor.is_variable; }) ||
             std::any_of(subgraph.nodes.begin(), subgraph.nodes.end(), [](const Node& node) {
               return node.op == schema::BuiltinOperator_VAR_HANDLE;
             });
    };
    return std::any_of(part_->subgraphs.begin(), part_->subgraphs.end(), keeps);
  }

  // Models whose inputs all have a free first dimension run on several samples at once.
  int64_t SamplesPerRun() const {
    int64_t elements = 1;
    for (size_t i = 0; i < num_inputs(); ++i) {
      const Tensor& tensor = InputTensor(i);
      const Shape& shape = tensor.shape_signature;
      const bool only_batch_free =
          !shape.empty() && shape[0] == -1 && std::count(shape.begin(), shape.end(), -1) == 1;
      if (!only_batch_free || tensor.shape[0] != 1) return 1;
      elements = std::max(elements, NumElements(tensor.shape));
    }
    if (HasStates()) return 1;
    return std::clamp<int64_t>(kElementsPerRun / elements, 1, kSamplesPerRun);
  }

  absl::Status ReadRound(size_t* next) {
    round_.clear();
    int64_t elements = 0;
    while (*next < order_.size() &&
           (elements < kElementsPerRound || round_.size() < workers_.size())) {
      Batch& batch = round_.emplace_back();
      LS_RETURN_IF_ERROR(ReadBatch(next, &batch));
      for (const Sample& sample : batch.samples) {
        for (const Array& array : sample.inputs) elements += array.elements();
      }
    }
    return absl::OkStatus();
  }

  // Worker w's part of the round, in order.
  absl::Status RunShare(size_t w) {
    const size_t begin = round_.size() * w / workers_.size();
    const size_t end = round_.size() * (w + 1) / workers_.size();
    for (size_t b = begin; b < end; ++b) LS_RETURN_IF_ERROR(RunBatch(&workers_[w], round_[b]));
    return absl::OkStatus();
  }

  absl::Status ReadBatch(size_t* next, Batch* batch) {
    batch->indices.clear();
    while (static_cast<int64_t>(batch->indices.size()) < per_run_ && *next < order_.size()) {
      batch->indices.push_back(order_[(*next)++]);
    }
    batch->samples.resize(batch->indices.size());
    for (size_t i = 0; i < batch->indices.size(); ++i) {
      LS_RETURN_IF_ERROR(data_.Read(batch->indices[i], &batch->samples[i]));
      LS_RETURN_IF_ERROR_IN(CheckSample(batch->samples[i]),
                            fmt::format("calibration sample {}", batch->indices[i]));
    }
    return absl::OkStatus();
  }

  absl::Status CheckSample(const Sample& sample) const {
    if (sample.inputs.size() != num_inputs()) {
      return Invalid("it has {} inputs, the model has {}", sample.inputs.size(), num_inputs());
    }
    for (size_t i = 0; i < num_inputs(); ++i) {
      const Array& array = sample.inputs[i];
      const TensorType type = InputTensor(i).type;
      if (ToTensorType(array.type) != type) {
        return Invalid("input '{}' is {}, the sample has {}", Printable(InputName(graph_, i)),
                       TypeName(type), ElementTypeName(array.type));
      }
      LS_RETURN_IF_ERROR(ShapeFor(i, array).status());
    }
    return absl::OkStatus();
  }

  // The input's shape for one sample: the array's, perhaps without the leading 1.
  absl::StatusOr<Shape> ShapeFor(size_t i, const Array& array) const {
    const Tensor& tensor = InputTensor(i);
    Shape wanted = tensor.shape_signature.empty() ? tensor.shape : tensor.shape_signature;
    if (fixed_batch_ > 1) wanted[0] = 1;
    Shape shape(array.shape.begin(), array.shape.end());
    if (shape.size() + 1 == wanted.size()) shape.insert(shape.begin(), 1);
    bool fits = shape.size() == wanted.size();
    for (size_t d = 0; fits && d < shape.size(); ++d)
      fits = wanted[d] == -1 || wanted[d] == shape[d];
    if (fits) return shape;
    return Invalid("input '{}' takes the shape {}, the sample has {}",
                   Printable(InputName(graph_, i)), ShapeString(wanted), ShapeString(array.shape));
  }

  absl::Status MakeObserver(const std::vector<Shape>& shapes, Worker* worker) {
    if (worker->observer != nullptr && worker->shapes == shapes) return absl::OkStatus();
    ExecutorOptions options;
    options.input_shapes = shapes;
    options.memory_budget = context_.memory_budget;
    // Executors for the same shapes share their packed weights.
    const std::lock_guard<std::mutex> lock(observers_);
    std::unique_ptr<Executor> executor;
    for (const Worker& other : workers_) {
      if (other.observer == nullptr || other.shapes != shapes) continue;
      LS_ASSIGN_OR_RETURN(executor, other.observer->executor().Clone());
      break;
    }
    if (executor == nullptr) {
      LS_ASSIGN_OR_RETURN(executor, Executor::Create(part_, options));
    }
    worker->observer = std::make_unique<Observer>(std::move(executor), &worker->ranges);
    worker->shapes = shapes;
    return absl::OkStatus();
  }

  // Runs samples [begin, begin + count) of the worker's batch at once.
  absl::Status RunSamples(Worker* worker, const Batch& batch, size_t begin, size_t count,
                          int32_t* poisoned) {
    std::vector<Shape> shapes;
    for (size_t i = 0; i < num_inputs(); ++i) {
      LS_ASSIGN_OR_RETURN(Shape shape, ShapeFor(i, batch.samples[begin].inputs[i]));
      if (count > 1 || fixed_batch_ > 1) {
        shape[0] =
            static_cast<int32_t>(std::max<int64_t>(static_cast<int64_t>(count), fixed_batch_));
      }
      shapes.push_back(std::move(shape));
    }
    LS_RETURN_IF_ERROR(MakeObserver(shapes, worker));
    for (size_t i = 0; i < num_inputs(); ++i) {
      const std::span<std::byte> to = worker->observer->executor().input(i);
      size_t offset = 0;
      const size_t rows = std::max(count, static_cast<size_t>(fixed_batch_));
      for (size_t row = 0; row < rows; ++row) {
        const size_t s = begin + row % count;
        const std::vector<std::byte>& from = batch.samples[s].inputs[i].bytes;
        if (offset + from.size() > to.size()) return Internal("calibration sample of a wrong size");
        if (!from.empty()) std::memcpy(to.data() + offset, from.data(), from.size());
        offset += from.size();
      }
    }
    return worker->observer->Run(context_, poisoned);
  }

  absl::Status RunBatch(Worker* worker, const Batch& batch) {
    int32_t poisoned = -1;
    LS_RETURN_IF_ERROR(RunSamples(worker, batch, 0, batch.samples.size(), &poisoned));
    if (poisoned < 0) return absl::OkStatus();
    // One by one, to name the sample.
    for (size_t s = 0; s < batch.samples.size(); ++s) {
      int32_t tensor = -1;
      LS_RETURN_IF_ERROR(RunSamples(worker, batch, s, 1, &tensor));
      if (tensor >= 0) return NotFinite(tensor, batch.indices[s]);
    }
    return NotFinite(poisoned, batch.indices[0]);
  }

  absl::Status NotFinite(int32_t tensor, int64_t sample) const {
    const std::string name = Printable(graph_.main().tensors[static_cast<size_t>(tensor)].label());
    const auto& inputs = graph_.main().inputs;
    if (std::find(inputs.begin(), inputs.end(), tensor) != inputs.end()) {
      return Invalid("calibration sample {} holds NaN or infinity for input '{}'; remove it",
                     sample, name);
    }
    return Invalid(
        "calibration sample {} makes NaN or infinity in tensor '{}'; check the sample and the "
        "model",
        sample, name);
  }

  absl::StatusOr<Ranges> Collect() {
    Ranges out;
    out.tensors.resize(graph_.main().tensors.size());
    for (const Worker& worker : workers_) {
      for (size_t t = 0; t < out.tensors.size(); ++t) Merge(worker.ranges[t], &out.tensors[t]);
    }
    LS_RETURN_IF_ERROR(AddFolded(&out));
    for (size_t t = 0; t < out.tensors.size(); ++t) {
      if (!std::isfinite(out.tensors[t].max - out.tensors[t].min)) {
        return Invalid(
            "tensor '{}' ranges from {} to {}, which no scale covers; check the model and the data",
            Printable(graph_.main().tensors[t].label()), out.tensors[t].min, out.tensors[t].max);
      }
    }
    LS_RETURN_IF_ERROR(CheckInputs(out));
    return out;
  }

  Observer& FirstObserver() const {
    return *std::find_if(workers_.begin(), workers_.end(), [](const Worker& w) {
              return w.observer != nullptr;
            })->observer;
  }

  // Tensors that the executor computed ahead were never observed.
  absl::Status AddFolded(Ranges* out) {
    // With a single round of few batches a worker may have had nothing to do.
    Executor& executor = FirstObserver().executor();
    for (const Node& node : part_->main().nodes) {
      for (int32_t t : node.outputs) {
        if (!IsActivation(part_->main(), t) || out->tensors[static_cast<size_t>(t)].seen) continue;
        if (!Observe(executor.tensor(t), &out->tensors[static_cast<size_t>(t)])) {
          return Invalid("the constant part of the model makes NaN or infinity in tensor '{}'",
                         Printable(graph_.main().tensors[static_cast<size_t>(t)].label()));
        }
      }
    }
    return absl::OkStatus();
  }

  // Data that never changes says nothing about the ranges.
  absl::Status CheckInputs(const Ranges& ranges) const {
    size_t real = 0, constant = 0;
    std::string names;
    for (size_t i = 0; i < num_inputs(); ++i) {
      if (InputTensor(i).type != schema::TensorType_FLOAT32) continue;
      ++real;
      const Range& range = ranges.tensors[static_cast<size_t>(part_->main().inputs[i])];
      if (!range.seen || range.min != range.max) continue;
      ++constant;
      names += fmt::format("{}'{}' is always {}", names.empty() ? "" : ", ",
                           Printable(InputName(graph_, i)), range.min);
    }
    if (constant == 0) return absl::OkStatus();
    if (constant == real) {
      return Invalid(
          "the calibration data is constant (input {}); give samples as the model will see them",
          names);
    }
    context_.Warn(fmt::format("the calibration data is constant in part: input {}", names));
    return absl::OkStatus();
  }

  const Graph& graph_;
  std::shared_ptr<const Graph> part_;
  Dataset& data_;
  const Context& context_;
  std::vector<int64_t> order_;
  int64_t per_run_ = 1;
  int64_t fixed_batch_ = 1;
  std::vector<Batch> round_;
  std::vector<Worker> workers_;
  std::mutex observers_;  // guards the workers' observers and shapes while one is made
};

}  // namespace

absl::StatusOr<Ranges> Calibrate(const Graph& graph, Dataset* data, const QuantizeOptions& options,
                                 const Context& context) {
  if (data == nullptr) {
    return Invalid("recipe {} needs calibration data; give some", options.recipe.name);
  }
  return Calibration(graph, data, options, context).Run();
}

}  // namespace litesmith
