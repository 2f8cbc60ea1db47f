#ifndef LITESMITH_API_BENCHMARK_TABLES_H_
#define LITESMITH_API_BENCHMARK_TABLES_H_

#include <string>

#include "litesmith/benchmark.h"

namespace litesmith {

// A profile as JSON, and as tables in `report`: operators by their share, and each node.
Value ProfileValue(const ModelProfile& profile);
void AddProfileTables(const std::string& name, const ModelProfile& profile, Report* report);

}  // namespace litesmith

#endif  // LITESMITH_API_BENCHMARK_TABLES_H_
