#ifndef LITESMITH_REPORT_PAGE_H_
#define LITESMITH_REPORT_PAGE_H_

#include <string>

#include "litesmith/report.h"

namespace litesmith {

// One self-contained HTML page (no network) that shows a model: the graph as SVG, a panel with what
// the chosen operator has, where the bytes and the multiply-adds are. `data` is what
// report/assets/model.html reads; its strings may be anything (names in a file are untrusted).
std::string ModelPage(const Value& data);

// One such page that shows a benchmark: accuracy, size and latency of its models as plots, and a
// table. `data` is the benchmark's JSON form with "title", "machine" and "command" beside it (what
// report/assets/report.html reads).
std::string BenchmarkPage(const Value& data);

}  // namespace litesmith

#endif  // LITESMITH_REPORT_PAGE_H_
