// .keras, whole-model .h5, or an architecture JSON with its weights: the parser of Keras models.

#include <cstdlib>
#include <cstring>

#include "import/keras/keras.h"
#include "ir/verify.h"

// An input that starts with '{' is JSON up to the HDF5 signature, if there is one: the weights
// follow there.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  litesmith::Context context;
  context.memory_budget = uint64_t{64} << 20;
  absl::StatusOr<litesmith::Graph> graph;
  constexpr std::string_view kSignature("\x89HDF\r\n\x1a\n", 8);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t weights = text.find(kSignature);
  if (litesmith::keras::LooksLikeJson(bytes) && weights != std::string_view::npos) {
    graph =
        litesmith::keras::ParseKeras(bytes.subspan(0, weights), bytes.subspan(weights), context);
  } else {
    graph = litesmith::keras::ParseKeras(bytes, std::nullopt, context);
  }
  if (graph.ok() && !litesmith::Verify(*graph).ok()) std::abort();
  return 0;
}
