#ifndef LITESMITH_TESTS_TFLITE_TREE_DUMP_H_
#define LITESMITH_TESTS_TFLITE_TREE_DUMP_H_

#include <cstddef>
#include <span>
#include <string>

namespace litesmith::testing {

// Everything a .tflite file says, as text, made from the schema alone (no Graph, no reader of
// ours): one line per value. References to buffers and operator codes are replaced by what they
// refer to, so that two files that number them differently read the same; empty vectors, empty
// tables and default values are left out. REQUIRES: a well-formed file.
std::string DumpTree(std::span<const std::byte> file);

}  // namespace litesmith::testing

#endif  // LITESMITH_TESTS_TFLITE_TREE_DUMP_H_
