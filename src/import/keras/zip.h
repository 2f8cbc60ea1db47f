#ifndef LITESMITH_IMPORT_KERAS_ZIP_H_
#define LITESMITH_IMPORT_KERAS_ZIP_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace litesmith::keras {

// True when the bytes start as a zip archive does.
bool LooksLikeZip(std::span<const std::byte> bytes);

// Reads the named entries of an untrusted archive into memory; those that it lacks are missing from
// the result. Nothing is ever written to disk. Refused: names that leave the archive ("../",
// absolute), entries that are named twice, encrypted, larger than the budget, or larger than what
// deflate can pack into the archive's size.
absl::StatusOr<std::map<std::string, std::vector<std::byte>>> ReadZip(
    std::span<const std::byte> bytes, const std::vector<std::string>& names,
    uint64_t memory_budget);

}  // namespace litesmith::keras

#endif  // LITESMITH_IMPORT_KERAS_ZIP_H_
