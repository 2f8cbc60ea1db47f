#ifndef LITESMITH_IR_DIFF_H_
#define LITESMITH_IR_DIFF_H_

#include <string>
#include <vector>

#include "ir/graph.h"

namespace litesmith {

struct DiffOptions {
  bool names = true;       // of tensors, nodes and subgraphs
  bool metadata = true;    // also the description
  bool versions = true;    // of operators
  size_t max_lines = 100;  // then "… more"
};

// What differs between two graphs, tensors and nodes compared number by number; one line each, the
// first graph's value before the second's: "node 3 (CONV_2D): padding: VALID -> padding: SAME".
// Empty: the graphs are equal in everything that is written to a file (and the source names).
std::vector<std::string> Diff(const Graph& a, const Graph& b, const DiffOptions& options = {});

}  // namespace litesmith

#endif  // LITESMITH_IR_DIFF_H_
