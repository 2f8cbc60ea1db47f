#ifndef LITESMITH_TFLITE_WRITER_H_
#define LITESMITH_TFLITE_WRITER_H_

#include <flatbuffers/flatbuffers.h>

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "ir/graph.h"

namespace litesmith {

// A file ready to be written: the flatbuffer, then pieces behind it. Pieces point into the graph,
// which must live as long.
struct TfliteFile {
  flatbuffers::DetachedBuffer flatbuffer;
  std::vector<std::span<const std::byte>> parts;  // the whole file, in order
  uint64_t size = 0;
};

// A flatbuffer holds at most 2 GB. Where the constants sum up to more than this, they go behind it.
inline constexpr uint64_t kMaxConstantsInside = uint64_t{1900} << 20;

absl::StatusOr<TfliteFile> LayOutTflite(const Graph& graph,
                                        uint64_t max_constants_inside = kMaxConstantsInside);

}  // namespace litesmith

#endif  // LITESMITH_TFLITE_WRITER_H_
