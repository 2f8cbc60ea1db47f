#include "import/saved_model/lower.h"

#include <algorithm>
#include <map>

namespace litesmith::saved_model {

const proto::Attribute* NodeContext::Find(const char* name) const {
  const auto found = node_.attr().find(name);
  return found == node_.attr().end() ? nullptr : &found->second;
}

int64_t NodeContext::Int(const char* name, int64_t otherwise) const {
  const proto::Attribute* a = Find(name);
  return a != nullptr && a->has_i() ? a->i() : otherwise;
}
float NodeContext::Float(const char* name, float otherwise) const {
  const proto::Attribute* a = Find(name);
  return a != nullptr && a->has_f() ? a->f() : otherwise;
}
bool NodeContext::Bool(const char* name, bool otherwise) const {
  const proto::Attribute* a = Find(name);
  return a != nullptr && a->has_b() ? a->b() : otherwise;
}
std::string NodeContext::String(const char* name, std::string_view otherwise) const {
  const proto::Attribute* a = Find(name);
  if (moved_ && std::string_view(name) == "data_format") return std::string(otherwise);
  return a != nullptr && a->has_s() ? a->s() : std::string(otherwise);
}
std::vector<int64_t> NodeContext::List(const char* name) const {
  const proto::Attribute* a = Find(name);
  if (a == nullptr) return {};
  std::vector<int64_t> out(a->list().i().begin(), a->list().i().end());
  // One number per dimension, or two.
  const size_t each = std::string_view(name) == "explicit_paddings" ? 2 : 1;
  if (moved_ && out.size() >= 3 * each) {
    const auto second = out.begin() + static_cast<std::ptrdiff_t>(each);
    std::rotate(second, second + static_cast<std::ptrdiff_t>(each), out.end());
  }
  return out;
}
std::vector<float> NodeContext::Floats(const char* name) const {
  const proto::Attribute* a = Find(name);
  if (a == nullptr) return {};
  return {a->list().f().begin(), a->list().f().end()};
}
int32_t NodeContext::Type(const char* name) const {
  const proto::Attribute* a = Find(name);
  return a != nullptr && a->has_type() ? a->type() : 0;
}

absl::StatusOr<std::vector<int32_t>> NodeContext::Known(size_t input) const {
  const auto known = emitter_.KnownInts(in(input));
  std::vector<int32_t> out;
  for (int64_t x : known.value_or(std::vector<int64_t>{kOpen})) {
    if (x < INT32_MIN || x > INT32_MAX) {
      return Unsupported("its input {} must be a constant, but depends on the model's inputs",
                         input);
    }
    out.push_back(static_cast<int32_t>(x));
  }
  return out;
}

absl::StatusOr<int32_t> NodeContext::KnownScalar(size_t input) const {
  LS_ASSIGN_OR_RETURN(const auto values, Known(input));
  if (values.size() != 1) return Invalid("its input {} must be one number", input);
  return values[0];
}

absl::StatusOr<int32_t> NodeContext::Axis(int64_t axis, size_t rank) const {
  const auto end = static_cast<int64_t>(rank);
  if (axis < -end || axis >= end)
    return Invalid("there is no axis {} in {} dimensions", axis, rank);
  return static_cast<int32_t>(axis < 0 ? axis + end : axis);
}

absl::StatusOr<std::vector<int32_t>> NodeContext::Axes(size_t input, size_t of) const {
  LS_ASSIGN_OR_RETURN(auto axes, Known(input));
  for (int32_t& axis : axes) {
    LS_ASSIGN_OR_RETURN(axis, Axis(axis, emitter_.rank(in(of))));
  }
  return axes;
}

const Lowering* FindLowering(std::string_view op) {
  static const auto* const kAll = [] {
    auto* all = new std::map<std::string_view, Lowering>;
    for (const auto& table : {ElementwiseLowerings(), ConvolutionLowerings(), ShapeLowerings(),
                              ReductionLowerings(), ProductLowerings(), VolumeLowerings()}) {
      for (const Lowering& lowering : table) all->emplace(lowering.op, lowering);
    }
    return all;
  }();
  const auto found = kAll->find(op);
  return found == kAll->end() ? nullptr : &found->second;
}

}  // namespace litesmith::saved_model
