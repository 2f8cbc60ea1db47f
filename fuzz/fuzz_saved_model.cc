// A SavedModel: saved_model.pb, the index of its variables, and their values.

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "import/saved_model/saved_model.h"
#include "ir/verify.h"

// The input is the sizes of the first two files (little-endian, 32 bits each), then the three files
// one after the other. Sizes that do not fit take what is there; without an index there are no
// variables.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::span<const std::byte> rest(reinterpret_cast<const std::byte*>(data), size);
  uint32_t sizes[2];
  if (rest.size() < sizeof(sizes)) return 0;
  std::memcpy(sizes, rest.data(), sizeof(sizes));
  rest = rest.subspan(sizeof(sizes));
  const auto take = [&](uint32_t wanted) {
    const auto part = rest.first(std::min<size_t>(wanted, rest.size()));
    rest = rest.subspan(part.size());
    return part;
  };
  litesmith::saved_model::Files files;
  files.model = take(sizes[0]);
  const auto index = take(sizes[1]);
  if (!index.empty()) files.index = index;
  files.open_shard = [&](int32_t, int32_t) { return rest; };
  litesmith::Context context;
  context.memory_budget = uint64_t{64} << 20;
  const auto graph = litesmith::saved_model::ParseSavedModel(files, "", context);
  if (graph.ok() && !litesmith::Verify(*graph).ok()) std::abort();
  return 0;
}
