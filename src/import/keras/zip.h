#ifndef LITESMITH_IMPORT_KERAS_ZIP_H_
#define LITESMITH_IMPORT_KERAS_ZIP_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace litesmith::keras {

// Reads the named entries of an untrusted archive into memory; those that it lacks are missing from
// the result. Refused beside what ZipReader refuses: entries larger than the budget, and such as
// unpack to more than any weights or configuration do.
absl::StatusOr<std::map<std::string, std::vector<std::byte>>> ReadZip(
    std::span<const std::byte> bytes, const std::vector<std::string>& names,
    uint64_t memory_budget);

}  // namespace litesmith::keras

#endif  // LITESMITH_IMPORT_KERAS_ZIP_H_
