#ifndef LITESMITH_BASE_REGEX_H_
#define LITESMITH_BASE_REGEX_H_

// Regular expressions from strangers: searching takes at most (size of the program) x (length of
// the text) steps and no recursion, whatever the expression. What needs backtracking (references
// back, look-ahead, look-behind) is refused by name. Otherwise the syntax that ECMAScript and
// Python share, on bytes: literals, ., [a-z], \d \w \s \b and their opposites, ^ $, (…), (?:…), |,
// * + ? {m,n} (lazy forms too: whether something is found does not depend on them).

#include <bitset>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace litesmith {

// A compiled expression; immutable, may be used from several threads.
class Regex {
 public:
  // Errors say what is wrong, without the expression itself.
  static absl::StatusOr<Regex> Compile(std::string_view pattern);

  // Whether the expression is found anywhere in `text`. Each step is taken from `*steps`; where
  // they do not suffice, false, and *steps is 0.
  bool Search(std::string_view text, uint64_t* steps) const;

 private:
  friend class RegexCompiler;

  enum class Code : uint8_t { kByte, kSplit, kJump, kAssert, kFound };
  enum class Place : uint8_t { kStart, kEnd, kWordBorder, kNoWordBorder };
  struct Instruction {
    Code code = Code::kFound;
    Place place = Place::kStart;  // kAssert
    uint32_t set = 0;             // kByte: index of the set of bytes that fit
    uint32_t x = 0, y = 0;        // kSplit: both ways; kJump: x
  };

  struct Threads;
  static bool Holds(Place place, std::string_view text, size_t at);
  bool Follow(uint32_t start, std::string_view text, size_t at, Threads* threads) const;

  std::vector<Instruction> program_;
  std::vector<std::bitset<256>> sets_;
};

}  // namespace litesmith

#endif  // LITESMITH_BASE_REGEX_H_
