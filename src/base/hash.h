#ifndef LITESMITH_BASE_HASH_H_
#define LITESMITH_BASE_HASH_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace litesmith {

// SHA-256 (FIPS 180-4), fed in pieces.
class Sha256 {
 public:
  void Update(std::span<const std::byte> bytes);
  // The digest in lower-case hexadecimal. The object is used up.
  std::string Finish();

 private:
  void Block(const std::byte* p);

  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> pending_;
  uint64_t length_ = 0;
};

std::string Sha256Hex(std::span<const std::byte> bytes);

}  // namespace litesmith

#endif  // LITESMITH_BASE_HASH_H_
