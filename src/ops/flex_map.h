#ifndef LITESMITH_OPS_FLEX_MAP_H_
#define LITESMITH_OPS_FLEX_MAP_H_

// The options of custom operators: a FlexBuffer whose root is a map of names to numbers. Untrusted
// bytes; every offset is checked. Entries that are no numbers are passed over.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace litesmith {

class FlexMap {
 public:
  static absl::StatusOr<FlexMap> Read(std::span<const uint8_t> bytes);

  // The entry as an integer (a real number loses its fraction) or as a real number; the default
  // where there is none.
  int64_t Integer(std::string_view name, int64_t otherwise) const;
  double Real(std::string_view name, double otherwise = 0.0) const;

 private:
  struct Number {
    bool is_real = false;
    int64_t integer = 0;
    double real = 0.0;
  };
  std::map<std::string, Number, std::less<>> numbers_;
};

}  // namespace litesmith

#endif  // LITESMITH_OPS_FLEX_MAP_H_
