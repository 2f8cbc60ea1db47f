#ifndef LITESMITH_DEPLOY_C_ARRAY_H_
#define LITESMITH_DEPLOY_C_ARRAY_H_

// A file's bytes as source code, for machines without a file system.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace litesmith {

// OK when `symbol` can name a variable in C and in C++: letters, digits and '_', no digit first, no
// keyword of either, and none of the names that the languages keep for themselves.
absl::Status CheckSymbol(std::string_view symbol);

// What a comment may hold: nothing that ends it or the line.
std::string CommentText(std::string_view text);

struct CArray {
  std::string header;  // declares SYMBOL and SYMBOL_len
  std::string source;  // defines them
};

// The bytes as an array of unsigned char at an address aligned to 16, and its length as an unsigned
// int, in the subset that is C11 as well as C++11. `header_name` is what the source includes;
// `about` (one line) goes into a comment. REQUIRES: CheckSymbol(symbol) was OK.
CArray MakeCArray(std::span<const std::byte> bytes, std::string_view symbol,
                  std::string_view header_name, std::string_view about);

}  // namespace litesmith

#endif  // LITESMITH_DEPLOY_C_ARRAY_H_
