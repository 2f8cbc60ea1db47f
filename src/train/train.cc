#include "train/train.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/random.h"
#include "train/checkpoint.h"
#include "train/trainer.h"
#include "train/unfold.h"

namespace litesmith {
namespace {

absl::Status CheckOptions(const TrainOptions& options) {
  if (options.epochs <= 0)
    return Invalid("the number of epochs is {}, it must be 1 or more", options.epochs);
  if (options.batch_size <= 0) {
    return Invalid("the batch size is {}, it must be 1 or more", options.batch_size);
  }
  if (options.patience < 0)
    return Invalid("the patience is {}, it must be 0 or more", options.patience);
  if (options.resume && options.checkpoint_dir.empty()) {
    return Invalid("to resume, name the folder with the checkpoint");
  }
  return CheckOptimizer(options.optimizer);
}

// Samples whose statistics stand for a batch's, and those that stand for the data set's.
constexpr int kNormChunk = 16;
constexpr size_t kStatisticSamples = 4096;

// One training: graph, data and state.
class Training {
 public:
  Training(Graph* graph, Dataset* data, const TrainOptions& options, const Context& context)
      : result_(*graph),
        graph_(*graph),
        data_(data),
        options_(options),
        context_(context),
        crew_(context.Threads()) {}

  absl::Status Run(const std::function<void(const EpochResult&)>& on_epoch) {
    LS_RETURN_IF_ERROR(CheckOptions(options_));
    if (context_.Threads() > 1) threads_ = std::make_unique<ThreadPool>(context_.Threads());
    LS_RETURN_IF_ERROR(Prepare());
    int epoch = 0;
    if (options_.resume) {
      LS_ASSIGN_OR_RETURN(epoch, Resume());
    }
    LS_RETURN_IF_ERROR(BeginHooks());
    // What a resumed training that was at its end already leaves.
    if (epoch > 0) LS_RETURN_IF_ERROR(Deliver(state_.values));
    // The last whole epoch's values also stay when this one fails.
    while (epoch < options_.epochs && !Stopped()) {
      EpochResult result;
      result.epoch = ++epoch;
      LS_RETURN_IF_ERROR(RunEpoch(&result));
      Judge(result);
      LS_RETURN_IF_ERROR(SaveCheckpoint(epoch));
      if (on_epoch) on_epoch(result);
    }
    if (options_.keep_best && std::isfinite(state_.best_loss)) {
      LS_RETURN_IF_ERROR(Deliver(state_.best));
    }
    return absl::OkStatus();
  }

 private:
  int64_t StepsPerEpoch() const {
    return (samples_->size() + options_.batch_size - 1) / options_.batch_size;
  }

  absl::Status BeginHooks() {
    const TrainHook::Start start{graph_, parameters_, optimizer_->steps(), StepsPerEpoch(),
                                 StepsPerEpoch() * options_.epochs};
    for (TrainHook* hook : options_.hooks) {
      LS_RETURN_IF_ERROR(hook->Begin(start, state_.values));
    }
    return absl::OkStatus();
  }

  absl::Status Prepare() {
    LS_ASSIGN_OR_RETURN(loss_, PlanLoss(graph_, options_.loss));
    parameters_ = FindTrained();
    if (parameters_.items.empty()) {
      if (options_.freeze) return Invalid("all weights are frozen: nothing is left to train");
      return Invalid(
          "the model has no float weights to train (an already quantized model cannot be trained)");
    }
    if (options_.batch_norm) LS_RETURN_IF_ERROR(Unfold());
    state_.values = ReadParameters(graph_, parameters_);
    state_.best = state_.values;
    optimizer_ = std::make_unique<Optimizer>(options_.optimizer, parameters_.floats);
    LS_ASSIGN_OR_RETURN(runner_,
                        BatchRunner::Create(graph_, loss_, parameters_, state_.values.data(),
                                            options_.batch_size, context_, LeastChunk()));
    runner_->Collect(unfolded_.StatisticTensors());
    runner_->SetForward(options_.forward);
    for (BatchRunner* runner : {runner_.get(), folded_runner_.get()}) {
      if (runner == nullptr || options_.teacher == nullptr) continue;
      LS_RETURN_IF_ERROR(runner->SetTeacher(options_.teacher, options_.distillation));
    }
    fingerprint_ = Fingerprint(graph_, parameters_, options_, data_->size());
    LS_RETURN_IF_ERROR(CheckAugmentation(options_.augment, runner_->input_shapes()));
    if (samples_ == nullptr) {
      LS_ASSIGN_OR_RETURN(samples_, OpenSamples(data_));
    }
    WarnOfEmptyClasses();
    if (options_.validation != nullptr) {
      LS_ASSIGN_OR_RETURN(validation_, OpenSamples(options_.validation));
    }
    return absl::OkStatus();
  }

  Parameters FindTrained() const {
    if (!options_.freeze) return FindParameters(graph_, nullptr, options_.train_operands);
    // A tensor is frozen by its own names or by those of a node that reads it.
    std::vector<bool> frozen(graph_.main().tensors.size(), false);
    for (const Node& node : graph_.main().nodes) {
      for (int32_t t : node.inputs) {
        if (t >= 0 && !node.name.empty() && options_.freeze(node.name)) {
          frozen[static_cast<size_t>(t)] = true;
        }
      }
    }
    const Tensor* first = graph_.main().tensors.data();
    return FindParameters(
        graph_,
        [&](const Tensor& t) {
          return !frozen[static_cast<size_t>(&t - first)] && !options_.freeze(t.name) &&
                 !options_.freeze(t.label());
        },
        options_.train_operands);
  }

  int LeastChunk() const { return unfolded_.convs.empty() ? BatchRunner::kChunk : kNormChunk; }

  // graph_ becomes the training graph; result_ stays what it is but for missing biases.
  absl::Status Unfold() {
    const Parameters trained = parameters_;
    LS_ASSIGN_OR_RETURN(unfolded_, UnfoldBatchNorm(
                                       [&](int32_t t) {
                                         return std::any_of(
                                             trained.items.begin(), trained.items.end(),
                                             [&](const Parameter& p) { return p.tensor == t; });
                                       },
                                       &result_));
    if (unfolded_.convs.empty()) return absl::OkStatus();
    const Parameters all = FindParameters(unfolded_.graph);
    const std::vector<float> values = ReadParameters(unfolded_.graph, all);
    LS_ASSIGN_OR_RETURN(runner_, BatchRunner::Create(unfolded_.graph, loss_, all, values.data(),
                                                     options_.batch_size, context_, kNormChunk));
    runner_->Collect(unfolded_.StatisticTensors());
    LS_ASSIGN_OR_RETURN(samples_, OpenSamples(data_));
    LS_ASSIGN_OR_RETURN(const std::vector<ChannelStats> stats, MeasureStatistics());
    StartNormalising(stats, &unfolded_);
    graph_ = unfolded_.graph;
    // What was trained, with the normalisations in place of the biases.
    std::vector<bool> keep(graph_.main().tensors.size(), false);
    for (const Parameter& p : trained.items) keep[static_cast<size_t>(p.tensor)] = true;
    for (const UnfoldedConv& conv : unfolded_.convs) {
      keep[static_cast<size_t>(conv.bias)] = false;
      keep[static_cast<size_t>(conv.gamma)] = keep[static_cast<size_t>(conv.beta)] = true;
    }
    const Tensor* first = graph_.main().tensors.data();
    parameters_ = FindParameters(
        graph_, [&](const Tensor& t) { return keep[static_cast<size_t>(&t - first)]; },
        options_.train_operands);
    folded_parameters_ = FindParameters(result_, nullptr, options_.train_operands);
    folded_ = ReadParameters(result_, folded_parameters_);
    LS_ASSIGN_OR_RETURN(folded_runner_,
                        BatchRunner::Create(result_, loss_, folded_parameters_, folded_.data(),
                                            options_.batch_size, context_));
    return absl::OkStatus();
  }

  // Of a few batches of the training samples, always the same ones, with the runner's values.
  absl::StatusOr<std::vector<ChannelStats>> MeasureStatistics() {
    std::vector<int64_t> order(static_cast<size_t>(samples_->size()));
    std::iota(order.begin(), order.end(), int64_t{0});
    Random random = Random::ForKey(options_.seed, 0);
    random.Shuffle(std::span(order));
    order.resize(std::min<size_t>(order.size(), kStatisticSamples));
    const Augmenter augmenter(options_.augment, options_.seed, 0);
    const auto batch_size = static_cast<size_t>(options_.batch_size);
    std::vector<double> sum, squares;  // of collected values; of means, squared
    double chunks = 0.0;
    for (size_t at = 0; at < order.size(); at += batch_size) {
      LS_RETURN_IF_ERROR(context_.Check());
      const auto batch =
          std::span<const int64_t>(order).subspan(at, std::min(batch_size, order.size() - at));
      LossSum unused;
      LS_RETURN_IF_ERROR(runner_->Run(*samples_, batch, &augmenter, &crew_, &unused, nullptr));
      for (size_t c = 0; c < runner_->chunks_run(); ++c) {
        const std::span<const float> values = runner_->collected(c);
        sum.resize(values.size());
        squares.resize(values.size());
        for (size_t i = 0; i < values.size(); ++i) {
          sum[i] += values[i];
          squares[i] += double{values[i]} * values[i];
        }
      }
      chunks += static_cast<double>(runner_->chunks_run());
    }
    std::vector<ChannelStats> out;
    size_t at = 0;
    for (const UnfoldedConv& conv : unfolded_.convs) {
      ChannelStats& stats = out.emplace_back();
      const auto channels = static_cast<size_t>(conv.channels);
      for (size_t c = at; c < at + channels; ++c) {
        // The variance of all: the mean variance of the chunks and the variance of their means.
        const double mean = sum[c] / chunks;
        stats.mean.push_back(mean);
        stats.variance.push_back(sum[c + channels] / chunks +
                                 std::max(0.0, squares[c] / chunks - mean * mean));
      }
      at += 2 * channels;
    }
    return out;
  }

  // These parameters into the caller's graph.
  absl::Status Deliver(std::span<const float> values) {
    if (unfolded_.convs.empty()) {
      WriteParameters(parameters_, values, &graph_);
      WriteParameters(parameters_, values, &result_);
      return absl::OkStatus();
    }
    // The runner reads state_.values.
    if (values.data() != state_.values.data()) {
      std::copy(values.begin(), values.end(), state_.values.begin());
    }
    LS_ASSIGN_OR_RETURN(const std::vector<ChannelStats> stats, MeasureStatistics());
    FoldParameters(unfolded_, stats, parameters_, values, folded_parameters_, folded_);
    WriteParameters(folded_parameters_, folded_, &result_);
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Samples>> OpenSamples(Dataset* data) {
    const size_t width = runner_->width();
    const bool cross = loss_.kind == LossKind::kCrossEntropy;
    const bool targets = !cross && data->has_targets();
    const bool unlabelled = options_.teacher != nullptr && !data->has_labels();
    int64_t classes = cross && !unlabelled ? static_cast<int64_t>(width) : 0;
    if (loss_.kind == LossKind::kBinaryCrossEntropy && !targets) {
      if (width != 1) {
        return Invalid("binary cross-entropy over {} outputs needs targets, {} has none", width,
                       data->Describe());
      }
      classes = 2;
    }
    LS_ASSIGN_OR_RETURN(std::unique_ptr<Samples> samples,
                        Samples::Open(data, runner_->input_sizes(), targets, classes, context_));
    if (targets && samples->target_size() != width) {
      return Invalid("the targets of {} have {} values, the model's output has {}",
                     data->Describe(), samples->target_size(), width);
    }
    if (loss_.kind == LossKind::kMeanSquaredError && !targets &&
        runner_->input_sizes()[0] != width) {
      return Invalid("{} has no targets, and the model's output has another size than its input",
                     data->Describe());
    }
    return samples;
  }

  absl::Status RunEpoch(EpochResult* result) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<int64_t> order(static_cast<size_t>(samples_->size()));
    std::iota(order.begin(), order.end(), int64_t{0});
    Random random = Random::ForKey(options_.seed, static_cast<uint64_t>(result->epoch));
    random.Shuffle(std::span(order));
    LossSum sum;
    LS_RETURN_IF_ERROR(RunBatches(*result, order, &sum));
    // Rectifiers and pooling can hide a NaN from the loss.
    for (float value : state_.values) {
      if (!std::isfinite(value)) {
        return Diverged(
            fmt::format("a weight is {} after epoch {}", ValueName(value), result->epoch),
            result->epoch);
      }
    }
    const auto count = static_cast<double>(samples_->size());
    result->loss = sum.loss / count;
    result->has_accuracy = loss_.kind != LossKind::kMeanSquaredError;
    result->accuracy = static_cast<double>(sum.correct) / count;
    LS_RETURN_IF_ERROR(Deliver(state_.values));
    if (validation_ != nullptr) LS_RETURN_IF_ERROR(Validate(result));
    result->seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return absl::OkStatus();
  }

  absl::Status RunBatches(const EpochResult& result, std::span<const int64_t> order, LossSum* sum) {
    const auto batch_size = static_cast<size_t>(options_.batch_size);
    const size_t batches = (order.size() + batch_size - 1) / batch_size;
    const auto total = static_cast<int64_t>(batches) * options_.epochs;
    const size_t report = std::max<size_t>(1, batches * static_cast<size_t>(options_.epochs) / 200);
    for (size_t b = 0; b < batches; ++b) {
      LS_RETURN_IF_ERROR(context_.Check());
      const auto batch =
          order.subspan(b * batch_size, std::min(batch_size, order.size() - b * batch_size));
      const Augmenter augmenter(options_.augment, options_.seed, result.epoch);
      runner_->UpdateForward();
      LS_RETURN_IF_ERROR(runner_->Run(*samples_, batch, &augmenter, &crew_, sum, &gradients_));
      if (!std::isfinite(sum->loss)) {
        return Diverged(fmt::format("the loss is {} in batch {} of epoch {}", ValueName(sum->loss),
                                    b + 1, result.epoch),
                        result.epoch);
      }
      const double factor = options_.schedule.Factor(optimizer_->steps(), total);
      const int64_t step = optimizer_->steps();
      for (TrainHook* hook : options_.hooks) {
        LS_RETURN_IF_ERROR(hook->BeforeStep(step, gradients_));
      }
      optimizer_->Step(gradients_, factor, state_.values, threads_.get());
      for (TrainHook* hook : options_.hooks) {
        LS_RETURN_IF_ERROR(hook->AfterStep(step, state_.values, threads_.get()));
      }
      if (b % report == 0) {
        context_.Report(
            "training",
            static_cast<int64_t>(b) + static_cast<int64_t>(batches) * (result.epoch - 1), total,
            fmt::format(
                "epoch {}/{}, loss {:.4f}", result.epoch, options_.epochs,
                sum->loss / static_cast<double>(std::min((b + 1) * batch_size, order.size()))));
      }
    }
    return absl::OkStatus();
  }

  // A class without samples is forgotten; its folder may have been left empty by mistake.
  void WarnOfEmptyClasses() const {
    if (loss_.kind != LossKind::kCrossEntropy || !samples_->has_labels()) return;
    std::vector<bool> seen(runner_->width(), false);
    for (int64_t i = 0; i < samples_->size(); ++i) {
      seen[static_cast<size_t>(samples_->label(i))] = true;
    }
    constexpr size_t kNamed = 10;
    const std::vector<std::string>& names = data_->class_names();
    std::vector<std::string> empty;
    size_t count = 0;
    for (size_t c = 0; c < seen.size(); ++c) {
      if (seen[c] || count++ >= kNamed) continue;
      empty.push_back(c < names.size() ? fmt::format("{} ('{}')", c, Printable(names[c]))
                                       : fmt::format("{}", c));
    }
    if (count == 0) return;
    context_.Warn(fmt::format(
        "{} has no samples of {} of the model's {} classes ({}{}): they will not be recognised any "
        "more",
        data_->Describe(), count, seen.size(), fmt::join(empty, ", "),
        count > empty.size() ? ", …" : ""));
  }

  static std::string ValueName(double value) {
    return std::isnan(value) ? "not a number" : "infinite";
  }
  // Where the state before it can be found.
  std::string StateBefore(int epoch) const {
    if (epoch <= 1 || options_.checkpoint_dir.empty()) return "";
    return fmt::format("; the state after epoch {} is in {}", epoch - 1,
                       Printable(options_.checkpoint_dir));
  }

  // The error for a training that left the finite numbers, with the sample that is to blame if one
  // is.
  absl::Status Diverged(const std::string& what, int epoch) {
    std::vector<float> values;
    for (int64_t i = 0; i < samples_->size(); ++i) {
      for (size_t k = 0; k < runner_->input_sizes().size(); ++k) {
        values.resize(runner_->input_sizes()[k]);
        LS_RETURN_IF_ERROR(samples_->Read(i, k, values));
        if (!std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); })) {
          return Invalid("{}: sample {} of {} has values that are not finite numbers{}", what, i,
                         data_->Describe(), StateBefore(epoch));
        }
      }
    }
    return Invalid("{}: use a lower learning rate{}", what, StateBefore(epoch));
  }

  absl::Status Validate(EpochResult* result) {
    std::vector<int64_t> order(static_cast<size_t>(validation_->size()));
    std::iota(order.begin(), order.end(), int64_t{0});
    const auto batch_size = static_cast<size_t>(options_.batch_size);
    BatchRunner* runner = folded_runner_ != nullptr ? folded_runner_.get() : runner_.get();
    LossSum sum;
    runner->UpdateForward();
    for (size_t at = 0; at < order.size(); at += batch_size) {
      LS_RETURN_IF_ERROR(context_.Check());
      const auto batch =
          std::span<const int64_t>(order).subspan(at, std::min(batch_size, order.size() - at));
      LS_RETURN_IF_ERROR(runner->Run(*validation_, batch, nullptr, &crew_, &sum, nullptr));
    }
    const auto count = static_cast<double>(order.size());
    result->validated = true;
    result->validation_loss = sum.loss / count;
    result->validation_accuracy = static_cast<double>(sum.correct) / count;
    return absl::OkStatus();
  }

  void Judge(const EpochResult& result) {
    for (const TrainHook* hook : options_.hooks) {
      if (!hook->Settled(optimizer_->steps())) return;
    }
    const double loss = result.validated ? result.validation_loss : result.loss;
    if (loss < state_.best_loss) {
      state_.best_loss = loss;
      state_.best = state_.values;
      state_.epochs_without_gain = 0;
    } else {
      ++state_.epochs_without_gain;
    }
  }
  bool Stopped() const {
    return options_.patience > 0 && state_.epochs_without_gain >= options_.patience;
  }

  absl::Status SaveCheckpoint(int epoch) {
    if (options_.checkpoint_dir.empty()) return absl::OkStatus();
    state_.epoch = epoch;
    state_.optimizer_steps = optimizer_->steps();
    state_.optimizer.assign(optimizer_->state().begin(), optimizer_->state().end());
    state_.fingerprint = fingerprint_;
    return WriteCheckpoint(options_.checkpoint_dir, state_);
  }

  absl::StatusOr<int> Resume() {
    LS_ASSIGN_OR_RETURN(std::optional<TrainState> saved,
                        ReadCheckpoint(options_.checkpoint_dir, context_));
    if (!saved.has_value()) return 0;
    if (saved->fingerprint != fingerprint_ || saved->values.size() != state_.values.size() ||
        saved->best.size() != state_.values.size() ||
        saved->optimizer.size() != optimizer_->state().size()) {
      return Invalid(
          "the checkpoint in {} is of another model or of other training options: name another "
          "folder, or "
          "start again without resuming",
          Printable(options_.checkpoint_dir));
    }
    // The runner holds the address of the values: copy into place.
    std::copy(saved->values.begin(), saved->values.end(), state_.values.begin());
    state_.best = std::move(saved->best);
    state_.best_loss = saved->best_loss;
    state_.epochs_without_gain = saved->epochs_without_gain;
    optimizer_->Restore(saved->optimizer_steps, saved->optimizer);
    return saved->epoch;
  }

  Graph& result_;  // the caller's
  Graph graph_;    // what is trained: the same, or unfolded
  Dataset* data_;
  const TrainOptions& options_;
  const Context& context_;
  LossPlan loss_;
  Parameters parameters_;
  UnfoldedGraph unfolded_;  // no convolutions: nothing is unfolded
  Parameters folded_parameters_;
  std::vector<float> folded_;
  std::unique_ptr<BatchRunner> folded_runner_;
  TrainState state_;
  uint64_t fingerprint_ = 0;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<BatchRunner> runner_;
  std::unique_ptr<Samples> samples_, validation_;
  Crew crew_;                            // for batches
  std::unique_ptr<ThreadPool> threads_;  // for what is done with many parameters
  std::vector<float*> gradients_;
};

}  // namespace

absl::Status Train(Graph* graph, Dataset* data, const TrainOptions& options, const Context& context,
                   const std::function<void(const EpochResult&)>& on_epoch) {
  return Training(graph, data, options, context).Run(on_epoch);
}

absl::Status TrainClassifier(Graph* graph, Dataset* data, const TrainOptions& options,
                             const Context& context,
                             const std::function<void(const EpochResult&)>& on_epoch) {
  TrainOptions with_loss = options;
  with_loss.loss = LossKind::kCrossEntropy;
  return Train(graph, data, with_loss, context, on_epoch);
}

}  // namespace litesmith
