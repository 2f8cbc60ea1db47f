// Data sets of NumPy arrays: .npy and .npz, axis 0 is the sample.

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "base/file.h"
#include "data/npy.h"
#include "data/open.h"
#include "data/preprocess.h"

namespace litesmith {
namespace {

// A stack of samples of one input or target.
struct Stack {
  ElementType stored = ElementType::kFloat32;
  std::span<const std::byte> elements;  // unaligned
  std::shared_ptr<const void> owner;
  int64_t count = 0;                         // samples
  std::vector<int64_t> shape;                // of a sample as given out
  ElementType type = ElementType::kFloat32;  // as given out
  Normalizer normalizer;

  size_t values() const {
    size_t n = 1;
    for (int64_t d : shape) n *= static_cast<size_t>(d);
    return n;
  }
  std::span<const std::byte> sample(int64_t i) const {
    const size_t bytes = values() * ElementSize(stored);
    return elements.subspan(static_cast<size_t>(i) * bytes, bytes);
  }
  absl::Status ReadFloats(int64_t i, std::span<float> out) const {
    if (stored == ElementType::kUint8 && !normalizer.is_identity()) {
      normalizer.Apply(sample(i), out);
      return absl::OkStatus();
    }
    LS_RETURN_IF_ERROR(ToFloat32(stored, sample(i), out));
    normalizer.ApplyInPlace(out);
    return absl::OkStatus();
  }
  absl::Status Read(int64_t i, Array* array) const {
    Reshape(type, shape, array);
    if (type == ElementType::kFloat32) return ReadFloats(i, array->mutable_data<float>());
    return ToIntegers(stored, sample(i), type, array->bytes);
  }
};

class ArrayDataset : public Dataset {
 public:
  std::vector<Stack> inputs, targets;
  std::vector<int64_t> labels;
  std::vector<std::string> names;
  std::string what;

  int64_t size() const override { return inputs[0].count; }
  bool has_labels() const override { return !labels.empty(); }
  bool has_targets() const override { return !targets.empty(); }
  const std::vector<std::string>& class_names() const override { return names; }
  int64_t label(int64_t i) const override { return labels[static_cast<size_t>(i)]; }
  Preprocessing preprocessing() const override { return inputs[0].normalizer.used(); }
  bool is_array() const override { return true; }
  bool reads_concurrently() const override { return true; }
  std::vector<int64_t> sample_shape(size_t input) const override { return inputs[input].shape; }
  std::string Describe() const override { return fmt::format("{}, {} samples", what, size()); }

  absl::Status Read(int64_t i, Sample* sample) override {
    LS_RETURN_IF_ERROR(CheckSampleIndex(i, size()));
    sample->inputs.resize(inputs.size());
    sample->targets.resize(targets.size());
    sample->label = has_labels() ? std::optional<int64_t>(label(i)) : std::nullopt;
    for (size_t k = 0; k < inputs.size(); ++k) {
      LS_RETURN_IF_ERROR_IN(inputs[k].Read(i, &sample->inputs[k]), fmt::format("sample {}", i));
    }
    for (size_t k = 0; k < targets.size(); ++k) {
      LS_RETURN_IF_ERROR_IN(targets[k].Read(i, &sample->targets[k]), fmt::format("sample {}", i));
    }
    return absl::OkStatus();
  }

  absl::Status ReadInto(int64_t i, size_t input, std::span<float> out) override {
    LS_RETURN_IF_ERROR(CheckSampleIndex(i, size()));
    if (input >= inputs.size() || inputs[input].type != ElementType::kFloat32 ||
        out.size() != inputs[input].values()) {
      return Invalid("the samples have no float input {} of {} values", input, out.size());
    }
    return inputs[input].ReadFloats(i, out);
  }
};

// An array cut into samples of the input's shape and type; `spec` null: as stored.
absl::StatusOr<Stack> MakeStack(ElementType stored, const std::vector<int64_t>& shape,
                                std::span<const std::byte> elements,
                                std::shared_ptr<const void> owner, const InputSpec* spec,
                                const DatasetOptions& options) {
  if (shape.empty()) return Invalid("is a single number; axis 0 must be the sample");
  if (shape[0] == 0 || elements.empty()) {
    return Invalid("holds no samples (shape {})", ShapeString(shape));
  }
  Stack stack;
  stack.stored = stored;
  stack.elements = elements;
  stack.owner = std::move(owner);
  stack.count = shape[0];
  stack.shape.assign(shape.begin() + 1, shape.end());
  if (spec != nullptr) {
    LS_ASSIGN_OR_RETURN_IN(stack.shape, FitShape(stack.shape, spec->shape, false),
                           fmt::format("an array of shape {}", ShapeString(shape)));
    stack.type = spec->type;
  }
  if (stack.type != ElementType::kFloat32) {
    if (!IsInteger(stored) || !IsInteger(stack.type)) {
      return Invalid("the model's input is {}, but the array is {}; give {}",
                     ElementTypeName(stack.type), ElementTypeName(stored),
                     IsInteger(stack.type) ? "integers" : "a model with plain numbers");
    }
    return stack;
  }
  const int64_t channels = stack.shape.empty() ? 1 : stack.shape.back();
  if (stored == ElementType::kUint8) {
    LS_ASSIGN_OR_RETURN(stack.normalizer,
                        Normalizer::ForPixels(PixelPreprocessing(options), channels));
  } else {
    LS_ASSIGN_OR_RETURN(stack.normalizer, Normalizer::ForNumbers(options.preprocessing, channels));
  }
  return stack;
}

absl::StatusOr<Stack> MakeStack(const std::shared_ptr<const Array>& array, const InputSpec* spec,
                                const DatasetOptions& options) {
  return MakeStack(array->type, array->shape, array->bytes, array, spec, options);
}

// Targets are compared with the model's outputs as they are.
absl::StatusOr<Stack> MakeTargets(const std::shared_ptr<const Array>& array) {
  LS_ASSIGN_OR_RETURN(Stack stack, MakeStack(array, nullptr, {}));
  stack.normalizer = Normalizer();
  return stack;
}

class NpzKeys {
 public:
  explicit NpzKeys(NamedArrays arrays) {
    for (auto& [key, array] : arrays) {
      arrays_[key] = std::make_shared<const Array>(std::move(array));
    }
  }
  std::shared_ptr<const Array> Take(const std::string& key) {
    const auto it = arrays_.find(key);
    if (it == arrays_.end()) return nullptr;
    taken_.insert(key);
    return it->second;
  }
  bool Has(const std::string& key) const { return arrays_.count(key) != 0; }
  std::string List() const {
    std::vector<std::string> keys;
    for (const auto& [key, array] : arrays_) keys.push_back(key);
    return Printable(fmt::format("'{}'", fmt::join(keys, "', '")));
  }
  std::vector<std::string> Unused() const {
    std::vector<std::string> keys;
    for (const auto& [key, array] : arrays_) {
      if (taken_.count(key) == 0) keys.push_back(key);
    }
    return keys;
  }

 private:
  std::map<std::string, std::shared_ptr<const Array>> arrays_;
  std::set<std::string> taken_;
};

// The keys of the inputs: all by signature name, else all by tensor name, else all by position.
absl::StatusOr<std::vector<std::string>> InputKeys(const NpzKeys& keys,
                                                   const std::vector<InputSpec>& inputs) {
  std::vector<std::vector<std::string>> schemes(3);
  for (size_t i = 0; i < inputs.size(); ++i) {
    schemes[0].push_back(inputs[i].signature_name);
    schemes[1].push_back(inputs[i].tensor_name);
    schemes[2].push_back(fmt::format("in{}", i));
  }
  for (const std::vector<std::string>& scheme : schemes) {
    if (std::all_of(scheme.begin(), scheme.end(), [&](const auto& key) { return keys.Has(key); })) {
      return scheme;
    }
  }
  std::vector<std::string> wanted;
  for (const std::vector<std::string>& scheme : schemes) {
    if (scheme[0].empty()) continue;
    wanted.push_back(Printable(fmt::format("'{}'", fmt::join(scheme, "', '"))));
  }
  return Invalid("has the arrays {}, but the model's inputs are {}; use one way of naming for all",
                 keys.List(), fmt::join(wanted, " or "));
}

// Without a model: in0, in1 … or the only array that is no answer.
absl::StatusOr<std::vector<std::string>> KeysAlone(const NpzKeys& keys) {
  std::vector<std::string> out;
  while (keys.Has(fmt::format("in{}", out.size()))) out.push_back(fmt::format("in{}", out.size()));
  if (!out.empty()) return out;
  for (const std::string& key : keys.Unused()) {
    if (key != "labels" && !key.starts_with("target")) out.push_back(key);
  }
  if (out.size() == 1) return out;
  return Invalid("has the arrays {}; name the inputs in0, in1 and so on", keys.List());
}

absl::Status TakeLabels(const std::shared_ptr<const Array>& array, ArrayDataset* dataset) {
  const auto samples = static_cast<size_t>(dataset->size());
  const bool column = array->shape.size() == 2 && array->shape[1] == 1;
  if (!IsInteger(array->type)) {
    return Invalid(
        "'labels' are {}, integers are needed; for real answers call the array 'targets'",
        ElementTypeName(array->type));
  }
  if ((array->shape.size() != 1 && !column) || array->shape[0] != dataset->size()) {
    return Invalid("'labels' has shape {}, but there are {} samples", ShapeString(array->shape),
                   samples);
  }
  dataset->labels.resize(samples);
  for (size_t i = 0; i < samples; ++i) {
    const int64_t label = IntegerAt(array->type, array->bytes, i);
    if (label < 0) return Invalid("'labels' has the value {} at sample {}", label, i);
    if (!dataset->names.empty() && label >= static_cast<int64_t>(dataset->names.size())) {
      return Invalid("sample {} has label {}, but the labels file has {} names", i, label,
                     dataset->names.size());
    }
    dataset->labels[i] = label;
  }
  return absl::OkStatus();
}

absl::Status TakeTargets(NpzKeys* keys, ArrayDataset* dataset) {
  std::vector<std::string> names;
  if (keys->Has("targets")) names.push_back("targets");
  for (size_t i = 0; names.empty() || names[0] != "targets"; ++i) {
    const std::string key = fmt::format("target{}", i);
    if (!keys->Has(key)) break;
    names.push_back(key);
  }
  for (const std::string& name : names) {
    LS_ASSIGN_OR_RETURN_IN(Stack stack, MakeTargets(keys->Take(name)), fmt::format("'{}'", name));
    if (stack.count != dataset->size()) {
      return Invalid("'{}' has {} samples, but the inputs have {}", name, stack.count,
                     dataset->size());
    }
    dataset->targets.push_back(std::move(stack));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Dataset>> FromNpz(NamedArrays arrays, const DatasetOptions& options,
                                                 const std::vector<InputSpec>& inputs,
                                                 const Context& context) {
  NpzKeys keys(std::move(arrays));
  LS_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                      inputs.empty() ? KeysAlone(keys) : InputKeys(keys, inputs));
  auto dataset = std::make_unique<ArrayDataset>();
  dataset->what = "NumPy arrays (.npz)";
  for (size_t i = 0; i < names.size(); ++i) {
    LS_ASSIGN_OR_RETURN_IN(
        Stack stack, MakeStack(keys.Take(names[i]), inputs.empty() ? nullptr : &inputs[i], options),
        fmt::format("'{}'", Printable(names[i])));
    if (!dataset->inputs.empty() && stack.count != dataset->size()) {
      return Invalid("'{}' has {} samples, but '{}' has {}", Printable(names[i]), stack.count,
                     Printable(names[0]), dataset->size());
    }
    dataset->inputs.push_back(std::move(stack));
  }
  LS_ASSIGN_OR_RETURN(dataset->names, GivenClassNames(options));
  if (const auto labels = keys.Take("labels")) {
    LS_RETURN_IF_ERROR(TakeLabels(labels, dataset.get()));
  }
  LS_RETURN_IF_ERROR(TakeTargets(&keys, dataset.get()));
  if (const std::vector<std::string> unused = keys.Unused(); !unused.empty()) {
    context.Warn(fmt::format("arrays that nothing uses: {}",
                             Printable(fmt::format("'{}'", fmt::join(unused, "', '")))));
  }
  return dataset;
}

void WarnOfSplit(const std::string& path, const DatasetOptions& options, const Context& context) {
  if (options.split.empty()) return;
  context.Warn(fmt::format("{}: arrays have no splits; all of it is used", path));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Dataset>> OpenNpyDataset(const std::string& path,
                                                        const DatasetOptions& options,
                                                        const std::vector<InputSpec>& inputs,
                                                        const Context& context) {
  LS_ASSIGN_OR_RETURN(const std::shared_ptr<const FileBytes> file, FileBytes::Open(path));
  LS_ASSIGN_OR_RETURN_IN(const NpyHeader header, CheckNpy(file->bytes()), path);
  if (inputs.size() > 1) {
    return Invalid(
        "{}: a .npy feeds one input, but the model has {}; give a .npz with in0, in1 ...", path,
        inputs.size());
  }
  LS_ASSIGN_OR_RETURN_IN(
      Stack stack,
      MakeStack(header.type, header.shape, file->bytes().subspan(header.offset, header.size), file,
                inputs.empty() ? nullptr : &inputs[0], options),
      path);
  auto dataset = std::make_unique<ArrayDataset>();
  dataset->what = "NumPy array (.npy)";
  dataset->inputs.push_back(std::move(stack));
  LS_ASSIGN_OR_RETURN(dataset->names, GivenClassNames(options));
  WarnOfSplit(path, options, context);
  return dataset;
}

absl::StatusOr<std::unique_ptr<Dataset>> OpenNpzDataset(const std::string& path,
                                                        const DatasetOptions& options,
                                                        const std::vector<InputSpec>& inputs,
                                                        const Context& context) {
  LS_ASSIGN_OR_RETURN(NamedArrays arrays, ReadNpz(path, context));
  LS_ASSIGN_OR_RETURN_IN(std::unique_ptr<Dataset> dataset,
                         FromNpz(std::move(arrays), options, inputs, context), path);
  WarnOfSplit(path, options, context);
  return dataset;
}

}  // namespace litesmith
