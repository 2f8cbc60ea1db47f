#include "train/checkpoint.h"

#include <cstring>

#include "base/bytes.h"
#include "base/file.h"
#include "train/train.h"

namespace litesmith {
namespace {

constexpr uint64_t kMagic = 0x3150434b54534c00u;  // "\0LSTKCP1"

// FNV-1a.
class Hash {
 public:
  void Add(const void* data, size_t count) {
    const auto* bytes = static_cast<const unsigned char*>(data);
    for (size_t i = 0; i < count; ++i) value_ = (value_ ^ bytes[i]) * 0x100000001b3u;
  }
  template <typename T>
  void Add(const T& value) {
    static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
    Add(&value, sizeof(value));
  }
  void Add(const std::string& text) {
    Add(text.size());
    Add(text.data(), text.size());
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325u;
};

// The fixed part of the file; then the three arrays.
struct Header {
  uint64_t magic, fingerprint;
  int64_t epoch, optimizer_steps, epochs_without_gain;
  double best_loss;
  uint64_t values, best, optimizer;  // elements
  uint64_t check;                    // of everything else
};

uint64_t Check(const Header& header, const TrainState& state) {
  Hash hash;
  hash.Add(&header, offsetof(Header, check));
  for (const auto* array : {&state.values, &state.best, &state.optimizer}) {
    hash.Add(array->data(), array->size() * sizeof(float));
  }
  return hash.value();
}

std::string PathIn(const std::string& directory) { return directory + "/checkpoint.lsc"; }

}  // namespace

uint64_t Fingerprint(const Graph& graph, const Parameters& parameters, const TrainOptions& options,
                     int64_t samples) {
  Hash hash;
  hash.Add(samples);
  for (const Node& node : graph.main().nodes) {
    hash.Add(OperatorName(node));
    for (int32_t t : node.inputs) hash.Add(t);
    for (int32_t t : node.outputs) hash.Add(t);
  }
  for (const Parameter& p : parameters.items) {
    const Tensor& tensor = graph.main().tensors[static_cast<size_t>(p.tensor)];
    hash.Add(tensor.name);
    for (int32_t d : tensor.shape) hash.Add(d);
    hash.Add(tensor.data.bytes.data(), tensor.data.bytes.size());
  }
  hash.Add(options.batch_norm);
  hash.Add(options.train_operands);
  if (options.teacher != nullptr) {
    hash.Add(options.distillation.weight);
    hash.Add(options.distillation.temperature);
    for (const Tensor& tensor : options.teacher->main().tensors) {
      hash.Add(tensor.data.bytes.data(), tensor.data.bytes.size());
    }
  }
  hash.Add(options.augment.flip);
  hash.Add(options.augment.crop);
  const OptimizerOptions& o = options.optimizer;
  hash.Add(options.batch_size);
  hash.Add(options.seed);
  hash.Add(options.loss);
  hash.Add(o.kind);
  for (float x :
       {o.learning_rate, o.beta1, o.beta2, o.epsilon, o.momentum, o.weight_decay, o.clip_norm}) {
    hash.Add(x);
  }
  hash.Add(o.nesterov);
  const Schedule& s = options.schedule;
  hash.Add(s.kind);
  hash.Add(s.warmup);
  if (s.kind != ScheduleKind::kConstant || s.warmup > 0.0) hash.Add(options.epochs);
  hash.Add(s.final_factor);
  hash.Add(s.step_factor);
  for (double at : s.step_at) hash.Add(at);
  // What a hook does may depend on the length of the training.
  if (!options.hooks.empty()) hash.Add(options.epochs);
  for (const TrainHook* hook : options.hooks) hash.Add(hook->Describe());
  return hash.value();
}

absl::Status WriteCheckpoint(const std::string& directory, const TrainState& state) {
  LS_RETURN_IF_ERROR(MakeDirectories(directory));
  Header header{kMagic,
                state.fingerprint,
                state.epoch,
                state.optimizer_steps,
                state.epochs_without_gain,
                state.best_loss,
                state.values.size(),
                state.best.size(),
                state.optimizer.size(),
                0};
  header.check = Check(header, state);
  const std::span<const std::byte> parts[] = {
      std::as_bytes(std::span(&header, 1)), std::as_bytes(std::span(state.values)),
      std::as_bytes(std::span(state.best)), std::as_bytes(std::span(state.optimizer))};
  return WriteFileAtomically(PathIn(directory), parts);
}

absl::StatusOr<std::optional<TrainState>> ReadCheckpoint(const std::string& directory,
                                                         const Context& context) {
  const std::string path = PathIn(directory);
  if (!FileExists(path)) return std::optional<TrainState>();
  LS_ASSIGN_OR_RETURN(const std::shared_ptr<const FileBytes> file, FileBytes::Open(path));
  const absl::Status damaged =
      Invalid("{}: this is not a whole checkpoint: remove it to start again", Printable(path));
  ByteReader reader(file->bytes());
  const auto bytes = reader.ReadBytes(sizeof(Header));
  if (!bytes.ok()) return damaged;
  Header header;
  std::memcpy(&header, bytes->data(), sizeof(header));
  uint64_t floats = 0, size = 0;
  if (header.magic != kMagic || __builtin_add_overflow(header.values, header.best, &floats) ||
      __builtin_add_overflow(floats, header.optimizer, &floats) ||
      !Multiply(floats, sizeof(float), &size) || size != reader.remaining() ||
      size > context.memory_budget || header.epoch < 0 ||
      header.epoch > std::numeric_limits<int>::max() || header.epochs_without_gain < 0 ||
      header.epochs_without_gain > header.epoch || header.optimizer_steps < 0) {
    return damaged;
  }
  TrainState state;
  state.fingerprint = header.fingerprint;
  state.epoch = static_cast<int>(header.epoch);
  state.optimizer_steps = header.optimizer_steps;
  state.epochs_without_gain = static_cast<int>(header.epochs_without_gain);
  state.best_loss = header.best_loss;
  state.values.resize(header.values);
  state.best.resize(header.best);
  state.optimizer.resize(header.optimizer);
  for (auto* array : {&state.values, &state.best, &state.optimizer}) {
    LS_ASSIGN_OR_RETURN(const auto part, reader.ReadBytes(array->size() * sizeof(float)));
    if (!part.empty()) std::memcpy(array->data(), part.data(), part.size());
  }
  if (Check(header, state) != header.check) return damaged;
  return std::optional<TrainState>(std::move(state));
}

}  // namespace litesmith
