#ifndef LITESMITH_API_BENCHMARK_TABLES_H_
#define LITESMITH_API_BENCHMARK_TABLES_H_

#include <string>
#include <vector>

#include "litesmith/benchmark.h"

namespace litesmith {

// The machine and a latency as JSON, and the machine as the line below a table.
Value SystemValue(const SystemInfo& system);
Value LatencyValue(const Latency& latency);
std::string SystemLine(const SystemInfo& system);

// The times beside LiteRT as JSON, and of all rows that have them as a table in `report`.
// REQUIRES: row.litert.
Value LitertValue(const BenchmarkRow& row);
void AddLitertTable(const std::vector<BenchmarkRow>& rows, Report* report);

// A quantized model's nodes beside those of the float one, as JSON and as a table with a note.
Value FloatComparisonValue(const FloatComparison& comparison);
void AddFloatComparison(const std::string& name, const FloatComparison& comparison, Report* report);

// A profile as JSON, and as tables in `report`: operators by their share, and each node.
Value ProfileValue(const ModelProfile& profile);
void AddProfileTables(const std::string& name, const ModelProfile& profile, Report* report);

}  // namespace litesmith

#endif  // LITESMITH_API_BENCHMARK_TABLES_H_
