#ifndef LITESMITH_IMPORT_KERAS_JSON_H_
#define LITESMITH_IMPORT_KERAS_JSON_H_

// Keras configurations: JSON from strangers, read without exceptions.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace litesmith::keras {

using Json = nlohmann::json;

// Parses a whole text; refuses broken or deeply nested JSON and what would not fit the budget.
absl::StatusOr<Json> ParseJson(std::span<const std::byte> text, uint64_t memory_budget);

// The member `key` of an object, null where it is missing or null.
const Json* Member(const Json& object, std::string_view key);

// The string member `key`, empty where there is none.
std::string StringMember(const Json& object, std::string_view key);

// The registered name of a class or function: "relu" from "relu", {"class_name": "function",
// "config": "relu"} or {"class_name": "relu"}. Empty where it cannot be told.
std::string ObjectName(const Json& value);

// Reads the members of a layer's configuration. The first wrong one is remembered in status(), and
// defaults are returned from there on, so that a layer reads everything and checks once.
class ConfigReader {
 public:
  // `config` must outlive the reader.
  explicit ConfigReader(const Json& config) : config_(&config) {}

  const absl::Status& status() const { return status_; }
  const Json& json() const { return *config_; }
  const Json* Find(std::string_view key) const { return Member(*config_, key); }
  bool Has(std::string_view key) const { return Find(key) != nullptr; }

  // Integers are within [low, high], or an error.
  int32_t Int(std::string_view key, int64_t low, int64_t high,
              std::optional<int64_t> otherwise = {});
  double Number(std::string_view key, std::optional<double> otherwise = {});
  bool Bool(std::string_view key, bool otherwise);
  std::string String(std::string_view key, std::string_view otherwise);
  // `count` integers; one integer stands for all of them.
  std::vector<int32_t> Ints(std::string_view key, size_t count, int64_t low, int64_t high,
                            std::optional<int64_t> otherwise = {});
  // As many integers as there are.
  std::vector<int32_t> List(std::string_view key, int64_t low, int64_t high);
  // A number or nested lists of numbers, flattened.
  std::vector<float> Numbers(std::string_view key);

  void Fail(std::string_view key, std::string_view what);

 private:
  const Json* config_;
  absl::Status status_;
};

// Reads [null, 28, 28, 1]: null becomes -1.
absl::StatusOr<std::vector<int32_t>> ReadShape(const Json& value);

}  // namespace litesmith::keras

#endif  // LITESMITH_IMPORT_KERAS_JSON_H_
