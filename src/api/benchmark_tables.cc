#include "api/benchmark_tables.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "base/status.h"
#include "ir/print.h"

namespace litesmith {
namespace {

std::string Number(const std::optional<double>& value, const char* unit = "") {
  return value ? fmt::format("{:.1f}{}", *value, unit) : "";
}

std::string Kilobytes(int64_t bytes) { return fmt::format("{:.0f} KB", double(bytes) / 1024.0); }

struct Share {
  double ms = 0, percent = 0;
  int64_t nodes = 0;
};

TableView KernelTable(const std::string& name, const ModelProfile& profile) {
  std::map<std::string, Share> shares;
  for (const NodeProfile& node : profile.nodes) {
    Share& share = shares[node.kernel.empty() ? "(none: " + node.op + ")" : node.kernel];
    share.ms += node.ms;
    share.percent += node.percent;
    ++share.nodes;
  }
  std::vector<std::pair<std::string, Share>> sorted(shares.begin(), shares.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second.ms > b.second.ms; });
  TableView table{fmt::format("{}: kernels", name),
                  {{"kernel"}, {"nodes", true}, {"ms", true}, {"%", true}},
                  {}};
  for (const auto& [kernel, share] : sorted) {
    table.rows.push_back({Printable(kernel), std::to_string(share.nodes),
                          fmt::format("{:.4f}", share.ms), fmt::format("{:.1f}", share.percent)});
  }
  return table;
}

TableView NodeTable(const std::string& name, const ModelProfile& profile) {
  TableView table{fmt::format("{}: nodes", name),
                  {{"#", true},
                   {"operator"},
                   {"kernel"},
                   {"ms", true},
                   {"%", true},
                   {"GMAC/s", true},
                   {"of peak", true}},
                  {}};
  for (const NodeProfile& node : profile.nodes) {
    table.rows.push_back({std::to_string(node.node), Printable(node.op), Printable(node.kernel),
                          fmt::format("{:.4f}", node.ms), fmt::format("{:.1f}", node.percent),
                          Number(node.gmacs), Number(node.percent_of_peak, " %")});
  }
  return table;
}

}  // namespace

Value SystemValue(const SystemInfo& system) {
  Value out;
  out.Set("device", system.device)
      .Set("arch", system.arch)
      .Set("cpu_model", system.cpu_model)
      .Set("cores", system.cores)
      .Set("total_memory_gb", system.total_memory_gb)
      .Set("available_memory_gb", system.available_memory_gb)
      .Set("cpu_usage_percent", system.cpu_usage_percent)
      .Set("isa", system.isa)
      .Set("governor", system.governor)
      .Set("temperature_c", system.temperature_c)
      .Set("throttled", system.throttled);
  return out;
}

Value LatencyValue(const Latency& latency) {
  Value out;
  out.Set("avg", latency.avg)
      .Set("std", latency.std)
      .Set("min", latency.min)
      .Set("max", latency.max)
      .Set("median", latency.median)
      .Set("p95", latency.p95);
  return out;
}

std::string SystemLine(const SystemInfo& system) {
  std::string out = fmt::format("machine: {}", system.cpu_model.value_or("unknown CPU"));
  if (system.cores) out += fmt::format(", {} cores", *system.cores);
  if (system.total_memory_gb) out += fmt::format(", {:.1f} GB", *system.total_memory_gb);
  if (system.temperature_c) out += fmt::format(", {:.0f} °C", *system.temperature_c);
  if (system.throttled.value_or(false)) out += "; THROTTLED: these times are too long";
  return Printable(out);
}

namespace {

// Above 1: litesmith is ahead.
double Ratio(const BenchmarkRow& row) {
  return row.latency.median > 0 ? row.litert->latency.median / row.latency.median : 0;
}

}  // namespace

Value LitertValue(const BenchmarkRow& row) {
  const LitertComparison& litert = *row.litert;
  Value out;
  out.Set("runtime", litert.runtime)
      .Set("prepare_ms", litert.prepare_ms)
      .Set("first_run_ms", litert.first_run_ms)
      .Set("latency_ms", LatencyValue(litert.latency))
      .Set("ratio", Ratio(row))
      .Set("values", litert.values)
      .Set("different", litert.different)
      .Set("greatest_difference", litert.greatest_difference);
  return out;
}

void AddLitertTable(const std::vector<BenchmarkRow>& rows, Report* report) {
  TableView table{"",
                  {{"model"},
                   {"litesmith ms", true},
                   {"LiteRT ms", true},
                   {"ratio", true},
                   {"outputs that differ", true},
                   {"by at most", true}},
                  {}};
  double logs = 0;
  for (const BenchmarkRow& row : rows) {
    if (!row.litert) continue;
    logs += std::log(std::max(Ratio(row), 1e-9));
    table.title = fmt::format(
        "beside {} (medians of runs in turns; ratio above 1: litesmith is "
        "ahead)",
        row.litert->runtime);
    table.rows.push_back({Printable(row.name), fmt::format("{:.4f}", row.latency.median),
                          fmt::format("{:.4f}", row.litert->latency.median),
                          fmt::format("{:.2f}", Ratio(row)),
                          fmt::format("{} of {}", row.litert->different, row.litert->values),
                          fmt::format("{:.3g}", row.litert->greatest_difference)});
  }
  if (table.rows.size() > 1) {
    report->notes.push_back(fmt::format("geometric mean of the ratios: {:.2f}",
                                        std::exp(logs / static_cast<double>(table.rows.size()))));
  }
  if (!table.rows.empty()) report->tables.push_back(std::move(table));
}

Value FloatComparisonValue(const FloatComparison& comparison) {
  Value slower = Value::List{};
  for (const SlowNode& slow : comparison.slow) {
    Value reasons = Value::List{};
    for (const std::string& reason : slow.reasons) reasons.Add(reason);
    Value entry;
    entry.Set("node", slow.node)
        .Set("op", slow.op)
        .Set("kernel", slow.kernel)
        .Set("ms", slow.ms)
        .Set("float_node", slow.float_node)
        .Set("float_ms", slow.float_ms)
        .Set("reasons", std::move(reasons));
    slower.Add(std::move(entry));
  }
  Value out;
  out.Set("ms", comparison.ms)
      .Set("float_ms", comparison.float_ms)
      .Set("nodes", comparison.nodes)
      .Set("paired", comparison.paired)
      .Set("slower", std::move(slower));
  return out;
}

void AddFloatComparison(const std::string& name, const FloatComparison& comparison,
                        Report* report) {
  TableView table{
      fmt::format("{}: slower than in float", Printable(name)),
      {{"#", true}, {"operator"}, {"kernel"}, {"ms", true}, {"float ms", true}, {"why"}},
      {}};
  for (const SlowNode& slow : comparison.slow) {
    std::string why = fmt::format("{}", fmt::join(slow.reasons, "; "));
    if (why.empty()) why = "nothing that is known of it says why";
    table.rows.push_back({std::to_string(slow.node), Printable(slow.op), Printable(slow.kernel),
                          fmt::format("{:.4f}", slow.ms),
                          slow.float_ms ? fmt::format("{:.4f}", *slow.float_ms) : "-",
                          Printable(why)});
  }
  if (!table.rows.empty()) report->tables.push_back(std::move(table));
  report->notes.push_back(fmt::format(
      "{}: its nodes take {:.4f} ms, those of the float model {:.4f}; {} of {} have a counterpart, "
      "{} "
      "{} slower",
      Printable(name), comparison.ms, comparison.float_ms, comparison.paired, comparison.nodes,
      comparison.slow.size(), comparison.slow.size() == 1 ? "is" : "are"));
}

Value ProfileValue(const ModelProfile& profile) {
  Value nodes = Value::List{};
  for (const NodeProfile& node : profile.nodes) {
    Value entry;
    entry.Set("node", node.node)
        .Set("op", node.op)
        .Set("kernel", node.kernel)
        .Set("ms", node.ms)
        .Set("percent", node.percent)
        .Set("gmacs", node.gmacs)
        .Set("percent_of_peak", node.percent_of_peak);
    nodes.Add(std::move(entry));
  }
  Value out;
  out.Set("prepare_ms", profile.prepare_ms)
      .Set("first_run_ms", profile.first_run_ms)
      .Set("peak_gmacs", Value()
                             .Set("float32", profile.peak_float32_gmacs)
                             .Set("int16", profile.peak_int16_gmacs)
                             .Set("int8", profile.peak_int8_gmacs))
      .Set("peak_scaling", profile.peak_scaling)
      .Set("arena_bytes", profile.arena_bytes)
      .Set("prepared_bytes", profile.prepared_bytes)
      .Set("rss_growth_bytes", profile.rss_growth_bytes)
      .Set("peak_rss_bytes", profile.peak_rss_bytes)
      .Set("nodes", std::move(nodes));
  return out;
}

void AddProfileTables(const std::string& name, const ModelProfile& profile, Report* report) {
  report->tables.push_back(KernelTable(Printable(name), profile));
  report->tables.push_back(NodeTable(Printable(name), profile));
  report->notes.push_back(fmt::format(
      "{}: prepared in {:.2f} ms, first run {:.3f} ms; activations {}, packed weights and tables "
      "{}, resident memory grew by {}, at most {} in the process",
      Printable(name), profile.prepare_ms, profile.first_run_ms, Kilobytes(profile.arena_bytes),
      Kilobytes(profile.prepared_bytes), Kilobytes(profile.rss_growth_bytes),
      Kilobytes(profile.peak_rss_bytes)));
  report->notes.push_back(
      fmt::format("peak of one core, measured: {:.0f} GMAC/s in float32, {:.0f} in int16, {:.0f} "
                  "in int8",
                  profile.peak_float32_gmacs, profile.peak_int16_gmacs, profile.peak_int8_gmacs));
  if (profile.peak_scaling) {
    report->notes.back() += fmt::format(
        "; the threads in use, each on a CPU of its own: {:.2f} times", *profile.peak_scaling);
  }
}

}  // namespace litesmith
