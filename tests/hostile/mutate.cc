#include "tests/hostile/mutate.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "base/status.h"

namespace litesmith::testing {
namespace {

constexpr size_t kEveryByteUpTo = 4096;
constexpr size_t kOffsets = 2000;
constexpr size_t kEnds = 200;

void Attempt(const std::vector<std::byte>& mutant, const std::string& label,
             const TryMutant& attempt) {
  static const bool trace = std::getenv("LITESMITH_HOSTILE_TRACE") != nullptr;
  if (trace) {
    std::fprintf(stderr, "%s\n", label.c_str());
    std::fflush(stderr);
  }
  attempt(mutant, label);
}

template <typename T>
void SetWord(Random* random, std::vector<std::byte>* bytes) {
  if (bytes->size() < sizeof(T)) return;
  const T candidates[] = {T{0},
                          T{1},
                          static_cast<T>(-1),
                          std::numeric_limits<T>::max(),
                          std::numeric_limits<T>::min(),
                          static_cast<T>(bytes->size()),
                          static_cast<T>(random->Next()),
                          static_cast<T>(random->Below(256))};
  const T value = candidates[random->Below(std::size(candidates))];
  size_t at = random->Below(bytes->size() - sizeof(T) + 1);
  if (random->Below(4) != 0) at -= at % sizeof(T);  // most formats align their numbers
  std::memcpy(bytes->data() + at, &value, sizeof(T));
}

// A random stretch, mostly short.
std::span<std::byte> Stretch(Random* random, std::vector<std::byte>* bytes) {
  const size_t begin = random->Below(bytes->size());
  const size_t most = std::min<size_t>(bytes->size() - begin, random->Below(4) == 0 ? 4096 : 32);
  return std::span(*bytes).subspan(begin, 1 + random->Below(most));
}

void EditStretch(Random* random, std::vector<std::byte>* bytes) {
  const std::span<std::byte> from = Stretch(random, bytes);
  const auto begin = bytes->begin() + (from.data() - bytes->data());
  switch (random->Below(4)) {
    case 0: {  // over another place
      const size_t to = random->Below(bytes->size() - from.size() + 1);
      std::memmove(bytes->data() + to, from.data(), from.size());
      break;
    }
    case 1:
      std::fill(from.begin(), from.end(), std::byte{0});
      break;
    case 2:
      if (from.size() < bytes->size()) bytes->erase(begin, begin + from.size());
      break;
    default: {
      const std::vector<std::byte> copy(from.begin(), from.end());
      bytes->insert(begin, copy.begin(), copy.end());
    }
  }
}

}  // namespace

void Mutate(Random* random, std::vector<std::byte>* bytes) {
  if (bytes->empty()) return;
  switch (random->Below(8)) {
    case 0:
    case 1:
    case 2:
      (*bytes)[random->Below(bytes->size())] ^= std::byte{1} << random->Below(8);
      break;
    case 3:
      SetWord<uint8_t>(random, bytes);
      break;
    case 4:
      SetWord<uint16_t>(random, bytes);
      break;
    case 5:
      SetWord<uint32_t>(random, bytes);
      break;
    case 6:
      SetWord<uint64_t>(random, bytes);
      break;
    default:
      EditStretch(random, bytes);
  }
}

size_t ForEachTruncation(std::span<const std::byte> file, const TryMutant& attempt) {
  size_t tried = 0;
  const auto cut = [&](size_t size) {
    const std::vector<std::byte> mutant(file.begin(), file.begin() + size);
    Attempt(mutant, fmt::format("cut to {} bytes", size), attempt);
    ++tried;
  };
  if (file.size() <= kEveryByteUpTo) {
    for (size_t size = 0; size < file.size(); ++size) cut(size);
    return tried;
  }
  for (size_t size = 0; size < kEnds; ++size) cut(size);
  const size_t middle = kOffsets - 2 * kEnds;
  for (size_t i = 0; i < middle; ++i) cut(kEnds + i * (file.size() - 2 * kEnds) / middle);
  for (size_t size = file.size() - kEnds; size < file.size(); ++size) cut(size);
  return tried;
}

size_t ForEachMutation(std::span<const std::byte> file, size_t count, uint64_t seed,
                       const TryMutant& attempt) {
  const char* factor = std::getenv("LITESMITH_HOSTILE_FACTOR");
  if (factor != nullptr) count *= std::strtoul(factor, nullptr, 10);
  for (size_t i = 0; i < count; ++i) {
    Random random = Random::ForKey(seed, i);
    std::vector<std::byte> mutant(file.begin(), file.end());
    const uint64_t faults = random.Below(3) == 0 ? 1 + random.Below(8) : 1;
    for (uint64_t f = 0; f < faults; ++f) Mutate(&random, &mutant);
    mutant.shrink_to_fit();
    Attempt(mutant, fmt::format("mutation {} of seed {}", i, seed), attempt);
  }
  return count;
}

bool IsClearError(const absl::Status& status) {
  const std::string_view text = Message(status);
  return !status.ok() && !absl::IsInternal(status) && !text.empty() && text.size() <= 1000 &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
}

}  // namespace litesmith::testing
