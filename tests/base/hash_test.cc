#include "base/hash.h"

#include "tests/testing.h"

namespace litesmith {
namespace {

std::string HashOf(std::string_view text) {
  return Sha256Hex(std::as_bytes(std::span(text.data(), text.size())));
}

// The examples of FIPS 180-4.
TEST(Sha256, StandardsExamples) {
  EXPECT_EQ(HashOf(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(HashOf("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(HashOf("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(HashOf(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesDoNotMatter) {
  const std::string text(1000, 'x');
  for (size_t piece : {1u, 7u, 63u, 64u, 65u, 999u}) {
    Sha256 sha;
    for (size_t at = 0; at < text.size(); at += piece) {
      const size_t n = std::min(piece, text.size() - at);
      sha.Update(std::as_bytes(std::span(text.data() + at, n)));
    }
    EXPECT_EQ(sha.Finish(), HashOf(text));
  }
}

}  // namespace
}  // namespace litesmith
