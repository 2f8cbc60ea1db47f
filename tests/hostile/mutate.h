#ifndef LITESMITH_TESTS_HOSTILE_MUTATE_H_
#define LITESMITH_TESTS_HOSTILE_MUTATE_H_

// Damaged copies of a good file, the same ones in every run. A parser is given each and must
// return: a value or one clear line, no crash, no hang, no memory beyond its budget. Each copy is
// an allocation of exactly its size, so that AddressSanitizer sees every read beyond its end. With
// LITESMITH_HOSTILE_TRACE set, each copy's label is printed before it is tried: the last one is the
// culprit of a crash.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/random.h"

namespace litesmith::testing {

// `label` tells how the copy was made ("cut to 17 bytes").
using TryMutant = std::function<void(std::span<const std::byte> mutant, const std::string& label)>;

// The file cut short: at every byte for files up to 4 KB, at 2,000 offsets spread evenly over
// larger ones (the first and the last 200 bytes one by one). Returns how many copies were tried.
size_t ForEachTruncation(std::span<const std::byte> file, const TryMutant& attempt);

// `count` copies with one to eight faults each: flipped bits, bytes and 16-, 32- and 64-bit words
// set to values that parsers trip over (0, -1, the limits, the file's size), a stretch copied over
// another, removed, doubled or zeroed.
size_t ForEachMutation(std::span<const std::byte> file, size_t count, uint64_t seed,
                       const TryMutant& attempt);

// One mutation of `bytes`; what ForEachMutation applies.
void Mutate(Random* random, std::vector<std::byte>* bytes);

// True where an error message keeps the project's promise: not empty, one line, printable, no
// longer than 1,000 characters, and not INTERNAL (which stands for a defect).
bool IsClearError(const absl::Status& status);

}  // namespace litesmith::testing

#endif  // LITESMITH_TESTS_HOSTILE_MUTATE_H_
