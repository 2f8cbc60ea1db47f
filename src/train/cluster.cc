#include "train/cluster.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/random.h"

namespace litesmith {
namespace {

constexpr int kMostClusters = 4096;
constexpr int kMostRounds = 300;

std::vector<float> Distinct(std::vector<float> values) {
  for (float& v : values) v = v == 0.0f ? 0.0f : v;  // one zero
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

// k-means on a line: the values are sorted once, and a cluster is a range of them.
class Line {
 public:
  // REQUIRES: not empty.
  explicit Line(std::vector<float> sorted) : values_(std::move(sorted)) {
    sums_.reserve(values_.size() + 1);
    sums_.push_back(0.0);
    for (float v : values_) sums_.push_back(sums_.back() + static_cast<double>(v));
  }

  std::vector<double> Init(size_t count, ClusterInit init, uint64_t seed) const {
    std::vector<double> out;
    const double low = values_.front(), high = values_.back();
    if (init == ClusterInit::kKMeansPlusPlus) return PlusPlus(count, seed);
    for (size_t i = 0; i < count; ++i) {
      if (init == ClusterInit::kLinear) {
        const auto last = static_cast<double>(std::max<size_t>(count - 1, 1));
        out.push_back(low + (high - low) * static_cast<double>(i) / last);
      } else {
        out.push_back(values_[(2 * i + 1) * values_.size() / (2 * count)]);
      }
    }
    return out;
  }

  // Lloyd 1982 until no mean moves. Clusters that lose all their values are dropped.
  std::vector<double> Lloyd(std::vector<double> centroids) const {
    for (int round = 0; round < kMostRounds; ++round) {
      std::vector<double> next;
      size_t begin = 0;
      for (size_t c = 0; c < centroids.size(); ++c) {
        const size_t end = c + 1 == centroids.size()
                               ? values_.size()
                               : FirstAbove((centroids[c] + centroids[c + 1]) / 2);
        if (end > begin) {
          next.push_back((sums_[end] - sums_[begin]) / static_cast<double>(end - begin));
        }
        begin = std::max(begin, end);
      }
      if (next == centroids) break;
      centroids = std::move(next);
    }
    return centroids;
  }

 private:
  size_t FirstAbove(double border) const {
    return static_cast<size_t>(
        std::upper_bound(values_.begin(), values_.end(), border,
                         [](double a, float b) { return a < static_cast<double>(b); }) -
        values_.begin());
  }

  // Each next centroid is a value drawn with a chance of its squared distance to the nearest.
  std::vector<double> PlusPlus(size_t count, uint64_t seed) const {
    Random random = Random::ForKey(seed, values_.size());
    std::vector<double> out = {values_[random.Below(values_.size())]};
    std::vector<double> nearest(values_.size(), std::numeric_limits<double>::infinity());
    while (out.size() < count) {
      double total = 0.0;
      for (size_t i = 0; i < values_.size(); ++i) {
        const double d = values_[i] - out.back();
        nearest[i] = std::min(nearest[i], d * d);
        total += nearest[i];
      }
      if (!(total > 0.0)) break;
      double left = random.Uniform() * total;
      size_t pick = 0;
      for (size_t i = 0; i < values_.size(); ++i) {
        if (nearest[i] > 0.0) pick = i;
        left -= nearest[i];
        if (left < 0.0 && nearest[i] > 0.0) break;
      }
      out.push_back(values_[pick]);
    }
    std::sort(out.begin(), out.end());
    return out;
  }

  std::vector<float> values_;
  std::vector<double> sums_;
};

// Nearest of sorted centroids; of two equally near ones the lower.
float Nearest(const std::vector<float>& centroids, float value) {
  const auto above = std::lower_bound(centroids.begin(), centroids.end(), value);
  if (above == centroids.begin()) return *above;
  const float below = *(above - 1);
  if (above == centroids.end()) return below;
  return static_cast<double>(value) - below <= static_cast<double>(*above) - value ? below : *above;
}

// The elements of a tensor that share centroids: all, or those of one output channel.
struct Group {
  size_t first = 0;
  size_t run = 0;     // elements side by side
  size_t stride = 0;  // from one run to the next
  size_t runs = 0;

  template <typename F>
  void ForEach(const F& f) const {
    for (size_t r = 0; r < runs; ++r) {
      for (size_t i = 0; i < run; ++i) f(first + r * stride + i);
    }
  }
  std::vector<float> Read(std::span<const float> values) const {
    std::vector<float> out;
    out.reserve(run * runs);
    ForEach([&](size_t i) { out.push_back(values[i]); });
    return out;
  }
};

std::vector<Group> Groups(const Graph& graph, const Weights& w, bool per_channel) {
  if (!per_channel) return {{w.offset, w.count, w.count, 1}};
  const Shape& shape = graph.main().tensors[static_cast<size_t>(w.tensor)].shape;
  size_t inside = 1;
  for (size_t d = static_cast<size_t>(w.channel_axis) + 1; d < shape.size(); ++d) {
    inside *= static_cast<size_t>(shape[d]);
  }
  const auto channels = static_cast<size_t>(shape[static_cast<size_t>(w.channel_axis)]);
  std::vector<Group> out;
  for (size_t c = 0; c < channels; ++c) {
    out.push_back(
        {w.offset + c * inside, inside, inside * channels, w.count / (inside * channels)});
  }
  return out;
}

// Which element belongs to which centroid, read from the values: equal ones belong together.
class Members {
 public:
  Members(Group group, std::span<const float> values) : group_(group) { Read(values); }

  // Every member becomes the mean of all, zeros stay zeros.
  void Average(std::span<float> values) {
    std::vector<double> sums(centroids_.size(), 0.0);
    std::vector<int64_t> counts(centroids_.size(), 0);
    size_t at = 0;
    group_.ForEach([&](size_t i) {
      sums[index_[at]] += static_cast<double>(values[i]);
      ++counts[index_[at++]];
    });
    for (size_t c = 0; c < centroids_.size(); ++c) {
      if (centroids_[c] == 0.0f) continue;
      float mean = static_cast<float>(sums[c] / static_cast<double>(counts[c]));
      // A centroid that meets zero would be taken for the zeros that stay.
      if (mean == 0.0f) mean = std::copysign(std::numeric_limits<float>::min(), centroids_[c]);
      centroids_[c] = mean;
    }
    at = 0;
    group_.ForEach([&](size_t i) { values[i] = centroids_[index_[at++]]; });
    // Centroids that meet are one from now on, as they will be for a training that is resumed here.
    if (Distinct(centroids_).size() != centroids_.size()) Read(values);
  }

 private:
  void Read(std::span<const float> values) {
    const std::vector<float> own = group_.Read(values);
    centroids_ = Distinct(own);
    index_.clear();
    for (float v : own) {
      index_.push_back(static_cast<uint16_t>(
          std::lower_bound(centroids_.begin(), centroids_.end(), v) - centroids_.begin()));
    }
  }

  Group group_;
  std::vector<float> centroids_;
  std::vector<uint16_t> index_;
};

class Centroids : public TrainHook {
 public:
  absl::Status AfterStep(int64_t, std::span<float> values, ThreadPool* threads) override {
    ParallelFor(threads, members_.size(), 1, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) members_[i].Average(values);
    });
    return absl::OkStatus();
  }
  bool Settled(int64_t) const override { return true; }

 protected:
  std::vector<Members> members_;
};

void ClusterGroup(const ClusterSpec& spec, const Group& group, std::span<float> values) {
  std::vector<float> own = group.Read(values);
  ClusterValues(own, spec.clusters, spec.init, spec.seed);
  size_t at = 0;
  group.ForEach([&](size_t i) { values[i] = own[at++]; });
}

class Clustering : public Centroids {
 public:
  explicit Clustering(const ClusterSpec& spec) : spec_(spec) {}

  absl::Status Begin(const Start& start, std::span<float> values) override {
    const std::vector<Weights> weights = FindWeights(start.graph, start.parameters);
    if (weights.empty()) {
      return Invalid("--cluster {}: the model has no float weights that are trained",
                     spec_.ToString());
    }
    for (const Weights& w : weights) {
      for (const Group& group : Groups(start.graph, w, spec_.per_channel)) {
        if (start.step == 0) ClusterGroup(spec_, group, values);
        members_.emplace_back(group, values);
      }
    }
    return absl::OkStatus();
  }
  std::string Describe() const override {
    return fmt::format("cluster {} seed {}", spec_.ToString(), spec_.seed);
  }

 private:
  ClusterSpec spec_;
};

class KeepClusters : public Centroids {
 public:
  explicit KeepClusters(int most) : most_(static_cast<size_t>(most)) {}

  absl::Status Begin(const Start& start, std::span<float> values) override {
    for (const Weights& w : FindWeights(start.graph, start.parameters)) {
      for (const bool per_channel : {false, true}) {
        const std::vector<Group> groups = Groups(start.graph, w, per_channel);
        if (!std::all_of(groups.begin(), groups.end(),
                         [&](const Group& g) { return IsClustered(g, values); })) {
          continue;
        }
        for (const Group& group : groups) members_.emplace_back(group, values);
        break;
      }
    }
    return absl::OkStatus();
  }
  std::string Describe() const override { return fmt::format("keep clusters {}", most_); }

 private:
  bool IsClustered(const Group& group, std::span<const float> values) const {
    return Distinct(group.Read(values)).size() <= most_;
  }

  size_t most_;
};

const char* InitName(ClusterInit init) {
  switch (init) {
    case ClusterInit::kKMeansPlusPlus:
      return "k-means++";
    case ClusterInit::kDensity:
      return "density";
    case ClusterInit::kLinear:
      return "linear";
  }
  return "";
}

}  // namespace

std::string ClusterSpec::ToString() const {
  std::string out = fmt::format("{}", clusters);
  if (init != ClusterInit::kKMeansPlusPlus) out += fmt::format(",{}", InitName(init));
  if (per_channel) out += ",per-channel";
  return out;
}

absl::StatusOr<ClusterSpec> ParseCluster(std::string_view text) {
  ClusterSpec spec;
  std::string_view rest = text;
  const auto next = [&] {
    const size_t comma = rest.find(',');
    const std::string_view word = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    return word;
  };
  const std::string_view count = next();
  const auto [end, error] =
      std::from_chars(count.data(), count.data() + count.size(), spec.clusters);
  if (error != std::errc() || end != count.data() + count.size()) {
    return Invalid(
        "--cluster {}: give a number of clusters (16), then density, linear or "
        "per-channel if wanted, with commas between",
        Printable(text));
  }
  if (spec.clusters < 2 || spec.clusters > kMostClusters) {
    return Invalid("--cluster {}: the number of clusters must lie between 2 and {}",
                   Printable(text), kMostClusters);
  }
  while (!rest.empty()) {
    const std::string_view word = next();
    if (word == "per-channel") {
      spec.per_channel = true;
    } else if (word == "k-means++") {
      spec.init = ClusterInit::kKMeansPlusPlus;
    } else if (word == "density") {
      spec.init = ClusterInit::kDensity;
    } else if (word == "linear") {
      spec.init = ClusterInit::kLinear;
    } else {
      return Invalid("--cluster {}: '{}' is none of k-means++, density, linear and per-channel",
                     Printable(text), Printable(word));
    }
  }
  return spec;
}

absl::Status CheckClusterable(const Graph& graph) {
  if (!FindWeights(graph).empty()) return absl::OkStatus();
  return Invalid("--cluster: the model has no float weights to cluster");
}

void ClusterValues(std::span<float> values, int clusters, ClusterInit init, uint64_t seed) {
  std::vector<float> sorted(values.begin(), values.end());
  if (Distinct(sorted).size() <= static_cast<size_t>(clusters)) return;
  const size_t zeros = std::erase(sorted, 0.0f);
  std::sort(sorted.begin(), sorted.end());
  const auto count = static_cast<size_t>(clusters) - (zeros > 0 ? 1 : 0);
  const Line line(std::move(sorted));
  std::vector<float> centroids;
  for (double c : line.Lloyd(line.Init(count, init, seed))) {
    centroids.push_back(static_cast<float>(c));
  }
  for (float& c : centroids) {
    // Zero means pruned.
    if (c == 0.0f) c = std::numeric_limits<float>::min();
  }
  std::sort(centroids.begin(), centroids.end());
  for (float& v : values) {
    if (v != 0.0f) v = Nearest(centroids, v);
  }
}

std::unique_ptr<TrainHook> MakeClustering(const ClusterSpec& spec) {
  return std::make_unique<Clustering>(spec);
}

std::unique_ptr<TrainHook> MakeKeepClusters(int most) {
  return std::make_unique<KeepClusters>(most);
}

absl::Status ClusterNow(const ClusterSpec& spec, Graph* graph) {
  LS_RETURN_IF_ERROR(CheckClusterable(*graph));
  const Parameters parameters = FindParameters(*graph);
  std::vector<float> values = ReadParameters(*graph, parameters);
  for (const Weights& w : FindWeights(*graph, parameters)) {
    for (const Group& group : Groups(*graph, w, spec.per_channel)) {
      ClusterGroup(spec, group, values);
    }
  }
  WriteParameters(parameters, values, graph);
  return absl::OkStatus();
}

}  // namespace litesmith
