#ifndef LITESMITH_TFLITE_TFLITE_H_
#define LITESMITH_TFLITE_TFLITE_H_

// .tflite bytes <-> Graph. What this schema does not know of a newer file is refused by name, never
// dropped.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "ir/graph.h"
#include "litesmith/context.h"

namespace litesmith {

// True when the bytes carry the TFL3 file identifier.
bool LooksLikeTflite(std::span<const std::byte> bytes);

// Reads and verifies an untrusted model; constants point into `bytes`, kept alive by `owner`. The
// result satisfies Verify(). Errors do not name the file.
absl::StatusOr<Graph> ParseTflite(std::span<const std::byte> bytes,
                                  std::shared_ptr<const void> owner, const Context& context);

// Maps and parses a file; errors name it. Constants in other files (external buffers) are mapped from
// there and belong to the graph like all others; ParseTflite leaves them out.
absl::StatusOr<Graph> ReadTflite(const std::string& path, const Context& context);

// The bytes of a .tflite file: buffers deduplicated, aligned to 16. REQUIRES: Verify(graph) is OK.
absl::StatusOr<std::vector<std::byte>> SerializeTflite(const Graph& graph);

// Sets operator versions from the records, the default signature where there is none,
// `min_runtime_version` and LITESMITH_METADATA: what every file written by a command gets.
void FinishForWriting(Graph* graph);

// Serializes and writes atomically; errors name the path.
absl::Status WriteTflite(const std::string& path, const Graph& graph);

}  // namespace litesmith

#endif  // LITESMITH_TFLITE_TFLITE_H_
