#include "evaluate/compare.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "evaluate/evaluate.h"
#include "runtime/executor.h"

namespace litesmith {
namespace {

const Tensor& TensorOf(const Graph& graph, int32_t t) {
  return graph.main().tensors[static_cast<size_t>(t)];
}

using NameOf = std::string (*)(const Graph&, size_t);

// For each of the reference's inputs (or outputs) the position of the other's.
absl::StatusOr<std::vector<size_t>> Pair(const Graph& reference, const std::vector<int32_t>& a,
                                         const Graph& other, const std::vector<int32_t>& b,
                                         NameOf name, const char* what) {
  if (a.size() != b.size()) {
    return Invalid("one model has {} {}s and the other {}: they are no pair", a.size(), what,
                   b.size());
  }
  std::map<std::string, size_t> positions;
  for (size_t i = 0; i < b.size(); ++i) positions[name(other, i)] = i;
  std::vector<size_t> by_name, by_position;
  for (size_t i = 0; i < a.size(); ++i) {
    by_position.push_back(i);
    const auto it = positions.find(name(reference, i));
    if (it != positions.end()) by_name.push_back(it->second);
  }
  const std::vector<size_t>& pairs = by_name.size() == a.size() ? by_name : by_position;
  for (size_t i = 0; i < a.size(); ++i) {
    const Shape& x = TensorOf(reference, a[i]).shape;
    const Shape& y = TensorOf(other, b[pairs[i]]).shape;
    if (NumElements(x) != NumElements(y)) {
      return Invalid("{} '{}' has the shape {} in one model and {} in the other: they are no pair",
                     what, Printable(name(reference, i)), ShapeString(x), ShapeString(y));
    }
  }
  return pairs;
}

// Whether a tensor's values can be taken as real numbers.
bool IsReal(const Tensor& tensor) {
  switch (tensor.type) {
    case schema::TensorType_FLOAT32:
    case schema::TensorType_FLOAT16:
      return true;
    case schema::TensorType_INT8:
    case schema::TensorType_UINT8:
    case schema::TensorType_INT16:
      return tensor.quant.scale.size() == 1 && tensor.quant.scale[0] > 0.0f;
    default:
      return false;
  }
}

bool OnlyConverts(const Node& node) {
  return node.op == schema::BuiltinOperator_QUANTIZE ||
         node.op == schema::BuiltinOperator_DEQUANTIZE;
}

// Activations by name: what nodes make, except mere conversions of a value that is there already.
std::map<std::string, std::pair<int32_t, size_t>> Activations(const Graph& graph) {
  std::map<std::string, std::pair<int32_t, size_t>> out;
  for (const bool conversions : {false, true}) {
    for (size_t n = 0; n < graph.main().nodes.size(); ++n) {
      const Node& node = graph.main().nodes[n];
      if (OnlyConverts(node) != conversions) continue;
      for (int32_t t : node.outputs) {
        if (t < 0 || !IsReal(TensorOf(graph, t))) continue;
        out.try_emplace(TensorOf(graph, t).label(), t, n);
      }
    }
  }
  return out;
}

// The real values that a quantized tensor can hold, half a step beyond its ends included.
struct Limits {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
};

Limits LimitsOf(const Tensor& tensor) {
  double low = 0.0, high = 0.0;
  switch (tensor.type) {
    case schema::TensorType_INT8:
      low = -128.0, high = 127.0;
      break;
    case schema::TensorType_UINT8:
      low = 0.0, high = 255.0;
      break;
    case schema::TensorType_INT16:
      low = -32768.0, high = 32767.0;
      break;
    default:
      return {};
  }
  const double scale = double{tensor.quant.scale[0]};
  const auto zero =
      tensor.quant.zero_point.empty() ? 0.0 : static_cast<double>(tensor.quant.zero_point[0]);
  return {scale * (low - zero - 0.5), scale * (high - zero + 0.5)};
}

struct Sums {
  double signal = 0.0, error = 0.0, product = 0.0, other = 0.0, max_error = 0.0;
  double min = std::numeric_limits<double>::infinity();
  double max = -std::numeric_limits<double>::infinity();
  int64_t saturated = 0, values = 0;
};

struct Matched {
  int32_t reference, other;
  size_t node;  // of the other
  Sums sums;
  std::vector<int64_t> histogram, other_histogram;
};

class Comparer {
 public:
  Comparer(std::shared_ptr<const Graph> reference, std::shared_ptr<const Graph> other,
           Dataset* data, const CompareOptions& options, const Context& context)
      : reference_(std::move(reference)),
        other_(std::move(other)),
        data_(*data),
        options_(options),
        context_(context) {}

  absl::StatusOr<Comparison> Run() {
    if (data_.size() == 0) return Invalid("there are no samples; check --data and --split");
    LS_ASSIGN_OR_RETURN(inputs_, Pair(*reference_, reference_->main().inputs, *other_,
                                      other_->main().inputs, InputName, "input"));
    LS_ASSIGN_OR_RETURN(outputs_, Pair(*reference_, reference_->main().outputs, *other_,
                                       other_->main().outputs, OutputName, "output"));
    Match();
    Context quiet = context_;  // fewer samples than asked for are no news here
    quiet.warn = nullptr;
    const std::vector<int64_t> order = CalibrationIndices(data_, options_.num_samples, 0, quiet);
    result_.samples = static_cast<int64_t>(order.size());
    // The second round has the ranges for the histograms.
    for (const bool histograms : {false, true}) {
      for (int64_t i = 0; i < result_.samples; ++i) {
        LS_RETURN_IF_ERROR(context_.Check());
        const int64_t sample = order[static_cast<size_t>(i)];
        LS_RETURN_IF_ERROR_IN(RunSample(sample, histograms), fmt::format("sample {}", sample));
        context_.Report("comparing", i + 1 + (histograms ? result_.samples : 0),
                        2 * result_.samples);
      }
    }
    Finish();
    return std::move(result_);
  }

 private:
  void Match() {
    const auto ours = Activations(*reference_);
    for (const auto& [name, place] : Activations(*other_)) {
      const auto it = ours.find(name);
      if (it == ours.end()) continue;
      matched_.push_back({it->second.first, place.first, place.second, {}, {}, {}});
    }
    std::stable_sort(matched_.begin(), matched_.end(),
                     [](const Matched& a, const Matched& b) { return a.node < b.node; });
  }

  absl::StatusOr<std::unique_ptr<Executor>> Make(const std::shared_ptr<const Graph>& graph,
                                                 const std::vector<Shape>& shapes) const {
    ExecutorOptions options;
    options.kernels = options_.kernels;
    options.num_threads = context_.Threads();
    options.keep_all = true;
    options.input_shapes = shapes;
    options.memory_budget = context_.memory_budget;
    return Executor::Create(graph, options);
  }

  // A sample's input with the leading 1 that the graph's tensor has and the sample lacks.
  static Shape ShapeOf(const Tensor& tensor, const Array& array) {
    Shape shape(array.shape.begin(), array.shape.end());
    if (shape.size() + 1 == tensor.shape.size()) shape.insert(shape.begin(), 1);
    return shape;
  }

  absl::Status EnsureExecutors(const Sample& sample) {
    std::vector<Shape> shapes(inputs_.size()), others(inputs_.size());
    for (size_t i = 0; i < inputs_.size(); ++i) {
      shapes[i] = ShapeOf(TensorOf(*reference_, reference_->main().inputs[i]), sample.inputs[i]);
      others[inputs_[i]] =
          ShapeOf(TensorOf(*other_, other_->main().inputs[inputs_[i]]), sample.inputs[i]);
    }
    if (first_ != nullptr && shapes == shapes_) return absl::OkStatus();
    LS_ASSIGN_OR_RETURN(first_, Make(reference_, shapes));
    LS_ASSIGN_OR_RETURN(second_, Make(other_, others));
    shapes_ = std::move(shapes);
    return absl::OkStatus();
  }

  absl::Status RunSample(int64_t index, bool histograms) {
    LS_RETURN_IF_ERROR(data_.Read(index, &sample_));
    LS_RETURN_IF_ERROR(EnsureExecutors(sample_));
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const auto a = reference_->main().inputs[i], b = other_->main().inputs[inputs_[i]];
      LS_RETURN_IF_ERROR(StoreInput(sample_.inputs[i], TensorOf(*reference_, a), first_->input(i)));
      LS_RETURN_IF_ERROR(
          StoreInput(sample_.inputs[i], TensorOf(*other_, b), second_->input(inputs_[i])));
    }
    for (Executor* executor : {first_.get(), second_.get()}) {
      executor->ResetVariables();
      LS_RETURN_IF_ERROR(executor->Run(&context_));
    }
    for (Matched& m : matched_) LS_RETURN_IF_ERROR(AddTensor(histograms, &m));
    return histograms ? absl::OkStatus() : AddAnswer();
  }

  absl::Status AddTensor(bool histograms, Matched* m) const {
    LS_ASSIGN_OR_RETURN(const auto a, LoadOutput(first_->tensor(m->reference),
                                                 TensorOf(*reference_, m->reference)));
    LS_ASSIGN_OR_RETURN(const auto b,
                        LoadOutput(second_->tensor(m->other), TensorOf(*other_, m->other)));
    if (a.size() != b.size()) return absl::OkStatus();  // another layout: not comparable
    if (histograms) {
      Count(m->sums, a, &m->histogram);
      Count(m->sums, b, &m->other_histogram);
      return absl::OkStatus();
    }
    Sums& s = m->sums;
    const Limits limits = LimitsOf(TensorOf(*other_, m->other));
    for (size_t i = 0; i < a.size(); ++i) {
      const double x = a[i], y = b[i], d = std::abs(x - y);
      s.signal += x * x;
      s.other += y * y;
      s.product += x * y;
      s.error += d * d;
      s.max_error = std::max(s.max_error, d);
      s.min = std::min(s.min, x);
      s.max = std::max(s.max, x);
      s.saturated += x < limits.low || x > limits.high;
    }
    s.values += static_cast<int64_t>(a.size());
    return absl::OkStatus();
  }

  static void Count(const Sums& sums, const std::vector<float>& values,
                    std::vector<int64_t>* histogram) {
    histogram->resize(Comparison::kBins);
    const double width = (sums.max - sums.min) / Comparison::kBins;
    for (float v : values) {
      const double at = width > 0.0 ? (v - sums.min) / width : 0.0;
      const double bin = std::isfinite(at) ? std::clamp(at, 0.0, Comparison::kBins - 1.0) : 0.0;
      ++(*histogram)[static_cast<size_t>(bin)];
    }
  }

  // Which class each model chooses, where there is one output of classes.
  absl::Status AddAnswer() {
    if (outputs_.size() != 1) return absl::OkStatus();
    const auto a = reference_->main().outputs[0], b = other_->main().outputs[0];
    if (!IsReal(TensorOf(*reference_, a)) || !IsReal(TensorOf(*other_, b))) return absl::OkStatus();
    LS_ASSIGN_OR_RETURN(const auto x, LoadOutput(first_->output(0), TensorOf(*reference_, a)));
    LS_ASSIGN_OR_RETURN(const auto y, LoadOutput(second_->output(0), TensorOf(*other_, b)));
    constexpr size_t kMostClasses = 10000;
    const Shape& shape = first_->output_shape(0);
    if (shape.empty() || x.size() < 2 || x.size() > kMostClasses || x.size() != y.size() ||
        static_cast<size_t>(shape.back()) != x.size()) {
      return absl::OkStatus();
    }
    result_.classes = static_cast<int64_t>(x.size());
    const int64_t chosen = std::max_element(x.begin(), x.end()) - x.begin();
    const int64_t other = std::max_element(y.begin(), y.end()) - y.begin();
    result_.labelled = sample_.label.has_value();
    const int64_t row = sample_.label.value_or(chosen);
    if (row < 0 || row >= result_.classes) {
      return Invalid("its label is {}, but the model has the outputs 0 to {}", row,
                     result_.classes - 1);
    }
    result_.agree += chosen == other;
    result_.correct += chosen == row;
    result_.other_correct += other == row;
    const auto size = static_cast<size_t>(result_.classes);
    result_.confusion.resize(size * size);
    result_.other_confusion.resize(size * size);
    ++result_.confusion[static_cast<size_t>(row) * size + static_cast<size_t>(chosen)];
    ++result_.other_confusion[static_cast<size_t>(row) * size + static_cast<size_t>(other)];
    return absl::OkStatus();
  }

  void Finish() {
    for (Matched& m : matched_) {
      const Sums& s = m.sums;
      if (s.values == 0) continue;
      const Tensor& tensor = TensorOf(*other_, m.other);
      TensorComparison out;
      out.name = TensorOf(*reference_, m.reference).label();
      out.tensor_name = tensor.name;
      out.op = OperatorName(other_->main().nodes[m.node]);
      out.type = TypeName(tensor.type);
      out.tensor = m.other;
      out.sqnr_db = s.error > 0.0 ? 10.0 * std::log10(s.signal / s.error)
                                  : std::numeric_limits<double>::infinity();
      const double norms = std::sqrt(s.signal) * std::sqrt(s.other);
      out.cosine = norms > 0.0 ? s.product / norms : (s.error > 0.0 ? 0.0 : 1.0);
      out.max_error = s.max_error;
      out.saturation = static_cast<double>(s.saturated) / static_cast<double>(s.values);
      out.min = s.min;
      out.max = s.max;
      if (tensor.type != schema::TensorType_FLOAT32 && !tensor.quant.empty()) {
        out.scale = double{tensor.quant.scale[0]};
      }
      out.histogram = std::move(m.histogram);
      out.other_histogram = std::move(m.other_histogram);
      result_.tensors.push_back(std::move(out));
    }
  }

  std::shared_ptr<const Graph> reference_, other_;
  Dataset& data_;
  CompareOptions options_;
  const Context& context_;
  std::vector<size_t> inputs_, outputs_;
  std::vector<Matched> matched_;
  std::unique_ptr<Executor> first_, second_;
  std::vector<Shape> shapes_;
  Sample sample_;
  Comparison result_;
};

}  // namespace

absl::StatusOr<Comparison> Compare(std::shared_ptr<const Graph> reference,
                                   std::shared_ptr<const Graph> other, Dataset* data,
                                   const CompareOptions& options, const Context& context) {
  return Comparer(std::move(reference), std::move(other), data, options, context).Run();
}

}  // namespace litesmith
