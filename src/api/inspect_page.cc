// The data behind `inspect --html`: what Inspect reports, and options, kernels, work and
// histograms.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "api/state.h"
#include "base/half.h"
#include "evaluate/profile.h"
#include "ir/print.h"
#include "litesmith/inspect.h"
#include "report/page.h"
#include "runtime/executor.h"

namespace litesmith {
namespace {

constexpr size_t kBins = 48;
constexpr size_t kFewestValues = 16;  // fewer make no histogram

// A member of an object; null where it has none.
const Value& Member(const Value& object, std::string_view key) {
  static const Value nothing;
  const auto* members = std::get_if<Value::Object>(&object.data());
  if (members == nullptr) return nothing;
  const auto it = std::find_if(members->begin(), members->end(),
                               [&](const auto& member) { return member.first == key; });
  return it == members->end() ? nothing : it->second;
}

const Value::List& ListOf(const Value& value) {
  static const Value::List empty;
  const auto* list = std::get_if<Value::List>(&value.data());
  return list == nullptr ? empty : *list;
}

// Element i of a constant as a real number, per-channel scales included.
class RealValues {
 public:
  explicit RealValues(const Tensor& tensor) : tensor_(tensor) {
    const QuantParams& quant = tensor.quant;
    if (!quant.per_channel()) return;
    const auto axis = static_cast<size_t>(quant.axis);
    for (size_t d = axis + 1; d < tensor.shape.size(); ++d) {
      inner_ *= static_cast<size_t>(tensor.shape[d]);
    }
  }

  bool ok() const {
    const size_t scales = tensor_.quant.scale.size();
    switch (tensor_.type) {
      case schema::TensorType_FLOAT32:
      case schema::TensorType_FLOAT16:
        return true;
      case schema::TensorType_INT8:
      case schema::TensorType_INT16:
      case schema::TensorType_UINT8:
        return scales == 1 || (scales > 1 && tensor_.quant.axis >= 0 &&
                               static_cast<size_t>(tensor_.quant.axis) < tensor_.shape.size());
      default:
        return false;
    }
  }
  size_t size() const { return static_cast<size_t>(NumElements(tensor_.shape)); }

  double At(size_t i) const {
    switch (tensor_.type) {
      case schema::TensorType_FLOAT32:
        return double{tensor_.data.As<float>()[i]};
      case schema::TensorType_FLOAT16:
        return double{HalfToFloat(tensor_.data.As<uint16_t>()[i])};
      case schema::TensorType_INT8:
        return Scaled(tensor_.data.As<int8_t>()[i], i);
      case schema::TensorType_UINT8:
        return Scaled(tensor_.data.As<uint8_t>()[i], i);
      default:
        return Scaled(tensor_.data.As<int16_t>()[i], i);
    }
  }

 private:
  double Scaled(int value, size_t i) const {
    const QuantParams& quant = tensor_.quant;
    const size_t c = quant.per_channel() ? i / inner_ % quant.scale.size() : 0;
    const int64_t zero = c < quant.zero_point.size() ? quant.zero_point[c] : 0;
    return double{quant.scale[c]} * static_cast<double>(value - zero);
  }

  const Tensor& tensor_;
  size_t inner_ = 1;
};

// The values of a constant in equal parts of their range; null for what is none.
Value Histogram(const Tensor& tensor) {
  const RealValues values(tensor);
  if (tensor.data.empty() || !values.ok() || values.size() < kFewestValues) return {};
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (size_t i = 0; i < values.size(); ++i) {
    const double v = values.At(i);
    if (!std::isfinite(v)) continue;
    low = std::min(low, v);
    high = std::max(high, v);
  }
  if (!(high > low)) return {};
  std::vector<int64_t> counts(kBins);
  for (size_t i = 0; i < values.size(); ++i) {
    const double at = (values.At(i) - low) / (high - low) * static_cast<double>(kBins);
    if (!std::isfinite(at)) continue;
    ++counts[std::min(static_cast<size_t>(at), kBins - 1)];
  }
  Value list = Value::List{}, out;
  for (int64_t c : counts) list.Add(c);
  out.Set("min", low).Set("max", high).Set("counts", std::move(list));
  if (!tensor.quant.empty()) {
    const auto& scales = tensor.quant.scale;
    out.Set("step", double{*std::max_element(scales.begin(), scales.end())})
        .Set("per_channel", tensor.quant.per_channel());
  }
  return out;
}

Value Indices(const Value& borders) {
  Value out = Value::List{};
  for (const Value& entry : ListOf(borders)) out.Add(Member(entry, "tensor"));
  return out;
}

Value Tensors(const Subgraph& subgraph, const Value& list, const Context& context) {
  Value out = Value::List{};
  for (size_t t = 0; t < subgraph.tensors.size(); ++t) {
    Value entry = ListOf(list)[t];
    if (context.Check().ok()) {
      if (Value histogram = Histogram(subgraph.tensors[t]);
          !std::holds_alternative<std::monostate>(histogram.data())) {
        entry.Set("histogram", std::move(histogram));
      }
    }
    out.Add(std::move(entry));
  }
  return out;
}

}  // namespace

absl::StatusOr<Value> ModelPageData(const Model& model, const Context& context) {
  LS_ASSIGN_OR_RETURN(const Report report, Inspect(model, context));
  LS_ASSIGN_OR_RETURN(const auto graph, ModelAccess::GraphOf(model));
  ExecutorOptions options;
  options.memory_budget = context.memory_budget;
  // A model that cannot be run is shown without kernels.
  const auto executor = Executor::Create(graph, options);
  const Subgraph& main = graph->main();
  const Value& shown = ListOf(Member(report.data, "subgraphs")).front();
  Value nodes = Value::List{};
  int64_t total = 0;
  for (size_t n = 0; n < main.nodes.size(); ++n) {
    Value entry = ListOf(Member(shown, "nodes"))[n];
    entry.Set("options", PrintOptions(main.nodes[n]));
    if (executor.ok()) {
      entry.Set("kernel", (*executor)->kernel_name(n));
      const auto macs = MultiplyAdds(*graph, **executor, n);
      if (macs) entry.Set("macs", *macs);
      total += macs.value_or(0);
    }
    nodes.Add(std::move(entry));
  }
  Value data;
  data.Set("title", std::filesystem::path(model.path()).filename().string())
      .Set("file_bytes", Member(Member(report.data, "file"), "bytes"))
      .Set("total_macs", total)
      .Set("inputs", Indices(Member(report.data, "inputs")))
      .Set("outputs", Indices(Member(report.data, "outputs")))
      .Set("operators", Member(report.data, "operators"))
      .Set("bytes", Member(report.data, "bytes"))
      .Set("nodes", std::move(nodes))
      .Set("tensors", Tensors(main, Member(shown, "tensors"), context));
  return data;
}

absl::StatusOr<std::string> InspectPage(const Model& model, const Context& context) {
  LS_ASSIGN_OR_RETURN(const Value data, ModelPageData(model, context));
  return ModelPage(data);
}

}  // namespace litesmith
