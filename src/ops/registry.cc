#include <array>
#include <map>
#include <string>
#include <vector>

#include "ops/op.h"

namespace litesmith {

#define LITESMITH_OP(Function) const OpRecord& Function();
#include "ops/ops.def"
#undef LITESMITH_OP

namespace {

struct Registry {
  std::vector<const OpRecord*> all;
  std::map<int, const OpRecord*> builtin;
  std::map<std::string, const OpRecord*> custom;

  Registry() {
#define LITESMITH_OP(Function) all.push_back(&Function());
#include "ops/ops.def"
#undef LITESMITH_OP
    for (const OpRecord* record : all) {
      if (record->op == schema::BuiltinOperator_CUSTOM) {
        custom[record->custom_code] = record;
      } else {
        builtin[static_cast<int>(record->op)] = record;
      }
    }
  }
};

const Registry& GetRegistry() {
  static const Registry registry;
  return registry;
}

constexpr std::string_view kNeedsValue = "needs the value of input ";

}  // namespace

absl::Status NeedsValue(size_t input) {
  return absl::UnavailableError(fmt::format("{}{}", kNeedsValue, input));
}

bool IsNeedsValue(const absl::Status& status) {
  return absl::IsUnavailable(status) && Message(status).substr(0, kNeedsValue.size()) == kNeedsValue;
}

const OpRecord* FindOp(const Node& node) {
  const Registry& registry = GetRegistry();
  if (node.op == schema::BuiltinOperator_CUSTOM) {
    auto it = registry.custom.find(node.custom_code);
    return it == registry.custom.end() ? nullptr : it->second;
  }
  return FindOp(node.op);
}

const OpRecord* FindOp(schema::BuiltinOperator op) {
  const Registry& registry = GetRegistry();
  auto it = registry.builtin.find(static_cast<int>(op));
  return it == registry.builtin.end() ? nullptr : it->second;
}

std::span<const OpRecord* const> AllOps() { return GetRegistry().all; }

}  // namespace litesmith
