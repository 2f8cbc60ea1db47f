#include "import/keras/json.h"

#include <cmath>

namespace litesmith::keras {
namespace {

constexpr int kMaxDepth = 128;
constexpr size_t kMaxRank = 8;
constexpr uint64_t kBytesPerCharacter =
    48;  // what a parsed document takes at most, measured on "[[],[],…"

// Whether brackets nest deeper than kMaxDepth.
bool TooDeep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

// Integers come as integers, or as floats without a fraction.
std::optional<int64_t> AsInt(const Json& value) {
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number_float()) return {};
  const double number = value.get<double>();
  if (!(std::abs(number) < 1e15) || number != std::floor(number)) return {};
  return static_cast<int64_t>(number);
}

void Flatten(const Json& value, std::vector<float>* out, bool* ok) {
  if (value.is_number()) {
    out->push_back(value.get<float>());
  } else if (value.is_array()) {
    for (const Json& item : value) Flatten(item, out, ok);
  } else {
    *ok = false;
  }
}

}  // namespace

absl::StatusOr<Json> ParseJson(std::span<const std::byte> bytes, uint64_t memory_budget) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.size() > memory_budget / kBytesPerCharacter) {
    return absl::ResourceExhaustedError(fmt::format(
        "the model's configuration ({} bytes) is too large for the memory allowed", text.size()));
  }
  if (TooDeep(text)) return Invalid("the model's configuration is nested too deeply");
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    return Invalid("the model's configuration is not valid JSON; save the model again");
  }
  return json;
}

const Json* Member(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(std::string(key));
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

std::string StringMember(const Json& object, std::string_view key) {
  const Json* value = Member(object, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

std::string ObjectName(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  const std::string class_name = StringMember(value, "class_name");
  if (class_name == "function") return StringMember(value, "config");
  return class_name;
}

void ConfigReader::Fail(std::string_view key, std::string_view what) {
  if (status_.ok()) status_ = Invalid("its '{}' {}", key, what);
}

int32_t ConfigReader::Int(std::string_view key, int64_t low, int64_t high,
                          std::optional<int64_t> otherwise) {
  const Json* value = Find(key);
  if (value == nullptr) {
    if (!otherwise) Fail(key, "is missing");
    return static_cast<int32_t>(otherwise.value_or(low));
  }
  const std::optional<int64_t> number = AsInt(*value);
  if (!number || *number < low || *number > high) {
    Fail(key, fmt::format("should be an integer from {} to {}", low, high));
    return static_cast<int32_t>(low);
  }
  return static_cast<int32_t>(*number);
}

double ConfigReader::Number(std::string_view key, std::optional<double> otherwise) {
  const Json* value = Find(key);
  if (value == nullptr) {
    if (!otherwise) Fail(key, "is missing");
    return otherwise.value_or(0.0);
  }
  if (!value->is_number()) {
    // Keras 2 writes some scalars as {"class_name": "__numpy__" …} or in a list of one.
    const Json* inner = value->is_array() && value->size() == 1 ? &(*value)[0] : nullptr;
    if (inner == nullptr || !inner->is_number()) {
      Fail(key, "should be a number");
      return otherwise.value_or(0.0);
    }
    value = inner;
  }
  const double number = value->get<double>();
  if (!std::isfinite(number)) Fail(key, "should be finite");
  return number;
}

bool ConfigReader::Bool(std::string_view key, bool otherwise) {
  const Json* value = Find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) {
    Fail(key, "should be true or false");
    return otherwise;
  }
  return value->get<bool>();
}

std::string ConfigReader::String(std::string_view key, std::string_view otherwise) {
  const Json* value = Find(key);
  if (value == nullptr) return std::string(otherwise);
  if (!value->is_string()) {
    Fail(key, "should be text");
    return std::string(otherwise);
  }
  return value->get<std::string>();
}

std::vector<int32_t> ConfigReader::Ints(std::string_view key, size_t count, int64_t low,
                                        int64_t high, std::optional<int64_t> otherwise) {
  const Json* value = Find(key);
  if (value == nullptr || !value->is_array()) {
    return std::vector<int32_t>(count, Int(key, low, high, otherwise));
  }
  std::vector<int32_t> out = List(key, low, high);
  if (out.size() != count) {
    Fail(key, fmt::format("should have {} numbers", count));
    out.assign(count, static_cast<int32_t>(low));
  }
  return out;
}

std::vector<int32_t> ConfigReader::List(std::string_view key, int64_t low, int64_t high) {
  std::vector<int32_t> out;
  const Json* value = Find(key);
  if (value == nullptr || !value->is_array()) {
    Fail(key, "should be a list of integers");
    return out;
  }
  for (const Json& item : *value) {
    const std::optional<int64_t> number = AsInt(item);
    if (!number || *number < low || *number > high) {
      Fail(key, fmt::format("should hold integers from {} to {}", low, high));
      return out;
    }
    out.push_back(static_cast<int32_t>(*number));
  }
  return out;
}

std::vector<float> ConfigReader::Numbers(std::string_view key) {
  std::vector<float> out;
  const Json* value = Find(key);
  bool ok = value != nullptr;
  if (ok) Flatten(*value, &out, &ok);
  if (!ok) Fail(key, "should hold numbers");
  return out;
}

absl::StatusOr<std::vector<int32_t>> ReadShape(const Json& value) {
  if (!value.is_array() || value.size() > kMaxRank) {
    return Invalid("a shape should be a list of at most {} numbers", kMaxRank);
  }
  std::vector<int32_t> shape;
  for (const Json& item : value) {
    const std::optional<int64_t> dim = item.is_null() ? int64_t{-1} : AsInt(item);
    if (!dim || *dim < -1 || *dim == 0 || *dim > (1 << 28)) {
      return Invalid("a shape holds a number that is no size");
    }
    shape.push_back(static_cast<int32_t>(*dim));
  }
  return shape;
}

}  // namespace litesmith::keras
