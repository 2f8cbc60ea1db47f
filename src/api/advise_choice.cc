#include "api/advise_choice.h"

#include <algorithm>
#include <functional>

#include "api/state.h"

namespace litesmith {
namespace {

constexpr double kDefaultDrop = 1.0;
// Times and sizes this close count as equal: a timing of microseconds is no better.
constexpr double kEqual = 1.05;

using Candidates = std::vector<const Candidate*>;

double KilobytesOf(const Candidate& c) { return Kilobytes(c.bytes.size()); }

const Candidate* Find(const std::vector<Candidate>& candidates, std::string_view name) {
  for (const Candidate& c : candidates) {
    if (c.name == name && c.made()) return &c;
  }
  return nullptr;
}

std::vector<std::string> Sorted(const std::vector<Candidate>& candidates,
                                const std::function<std::optional<double>(const Candidate&)>& key) {
  std::vector<std::pair<double, std::string>> keyed;
  for (const Candidate& c : candidates) {
    const std::optional<double> value = c.made() ? key(c) : std::nullopt;
    if (value) keyed.emplace_back(*value, c.name);
  }
  std::stable_sort(keyed.begin(), keyed.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> out;
  for (auto& [value, name] : keyed) out.push_back(std::move(name));
  return out;
}

// Those whose key is within the factor of the smallest.
Candidates Near(const Candidates& from, double factor,
                const std::function<double(const Candidate&)>& key) {
  double least = key(*from.front());
  for (const Candidate* c : from) least = std::min(least, key(*c));
  Candidates out;
  for (const Candidate* c : from) {
    if (key(*c) <= least * factor) out.push_back(c);
  }
  return out;
}

void Refuse(const AdviseRequest& request, const Candidate& baseline, Candidate* c) {
  if (!c->made()) return;
  if (!c->fit.refused.empty()) c->refused.push_back(c->fit.refused);
  if (request.max_size_kb && KilobytesOf(*c) > *request.max_size_kb) {
    c->refused.push_back(
        fmt::format("{:.1f} KB are more than {:g}", KilobytesOf(*c), *request.max_size_kb));
  }
  if (request.max_latency_ms && c->latency && c->latency->median > *request.max_latency_ms) {
    c->refused.push_back(
        fmt::format("{:.3f} ms are more than {:g}", c->latency->median, *request.max_latency_ms));
  }
  const std::optional<double> change = ChangeOf(*c, baseline);
  if (change && -*change > AllowedDrop(request) + 1e-9) {
    c->refused.push_back(
        fmt::format("loses {:.2f} points, more than {:g}", -*change, AllowedDrop(request)));
  }
}

// The tree of the quantization guide (docs/advise.md), each question with what answers it.
class Tree {
 public:
  Tree(const Model& model, const AdviseRequest& request, Device device,
       const std::vector<Candidate>& candidates, Decision* out)
      : model_(model), request_(request), device_(device), candidates_(candidates), out_(*out) {}

  void Walk() {
    Ask("Is there a float model to quantize?", "yes",
        fmt::format("{}: {:.1f} KB as float32", Printable(model_.path()),
                    KilobytesOf(candidates_.front())));
    const bool edge = device_ == Device::kEdgeTpu;
    Ask("Is it for an Edge TPU?", edge ? "yes" : "no", fmt::format("--target {}", request_.target));
    if (edge) {
      out_.tree = {"qat", "int8"};
      if (request_.training.empty()) out_.tree = {"int8"};
      return;
    }
    if (AskDevice()) return;
    const bool training = !request_.training.empty();
    Ask("Is there labelled data to train with?", training ? "yes" : "no",
        training ? fmt::format("{}: {}", Printable(request_.training), Gain())
                 : "no --train-data; training for int8 keeps the most accuracy");
    if (training) {
      out_.tree = {"qat"};
      return;
    }
    AskAccuracy();
  }

 private:
  void Ask(std::string question, std::string answer, std::string because) {
    out_.questions.push_back({std::move(question), std::move(answer), std::move(because)});
  }

  // Devices of which the tree does not know, but TensorFlow's table of methods and hardware.
  bool AskDevice() {
    if (device_ == Device::kGpu) {
      Ask("Does the device compute in floats?", "yes",
          "the GPU delegate dequantizes integers: float16 is the recipe for GPUs");
      out_.tree = {"float16"};
      return true;
    }
    if (!TakesIntegersOnly(device_)) return false;
    const bool hexagon = device_ == Device::kHexagon;
    Ask("Does the device compute in integers?", "yes",
        hexagon ? "the Hexagon delegate takes 8-bit operators only"
                : "microcontrollers: int8 is the smallest and the fastest there");
    out_.tree = {"int8"};
    if (!request_.training.empty()) out_.tree = {"qat", "int8"};
    return true;
  }

  std::string Gain() const {
    const Candidate* qat = Find(candidates_, "qat");
    const Candidate* int8 = Find(candidates_, "int8");
    if (qat == nullptr) return "training for int8 did not work, see below";
    if (int8 == nullptr || !qat->accuracy || !int8->accuracy) return "trained for int8";
    return fmt::format("trained for int8 {:.2f} %, int8 without {:.2f} %", 100.0 * *qat->accuracy,
                       100.0 * *int8->accuracy);
  }

  // "Is accuracy very important?" is a question of how much may be lost, and how much is.
  void AskAccuracy() {
    const char* question = "Is accuracy more important than size?";
    const Candidate* dynamic = Find(candidates_, "dynamic");
    const std::optional<double> change =
        dynamic == nullptr ? std::nullopt : ChangeOf(*dynamic, candidates_.front());
    if (!change) {
      const bool asked = request_.max_accuracy_drop.has_value();
      Ask(question, asked ? "yes" : "unknown",
          asked ? "--max-accuracy-drop is given, and no accuracy was measured"
                : "no accuracy was measured");
      out_.tree = asked ? std::vector<std::string>{"float16"} : std::vector<std::string>{"dynamic"};
      return;
    }
    const bool loses = -*change > AllowedDrop(request_) + 1e-9;
    Ask(question, loses ? "yes" : "no",
        fmt::format("dynamic changes accuracy by {:+.2f} points; {:g} may be lost", *change,
                    AllowedDrop(request_)));
    out_.tree = loses ? std::vector<std::string>{"int16x8", "float16"}
                      : std::vector<std::string>{"dynamic"};
  }

  const Model& model_;
  const AdviseRequest& request_;
  Device device_;
  const std::vector<Candidate>& candidates_;
  Decision& out_;
};

void SayUnknown(const AdviseRequest& request, Device device, bool this_machine,
                const std::vector<Candidate>& candidates, Decision* out) {
  if (!candidates.front().accuracy) {
    out->unknown.push_back(
        request.data.path.empty()
            ? "accuracy: not measured without --data; the limit on its loss was not checked"
            : fmt::format("accuracy: {} has no labels", Printable(request.data.path)));
  }
  if (!this_machine) {
    out->unknown.push_back(
        fmt::format("latency on {}: not measured, this machine is none{}", DeviceTitle(device),
                    device == Device::kPi4 ? "; run `litesmith benchmark` there" : ""));
    if (request.max_latency_ms) {
      out->unknown.push_back(
          fmt::format("whether {:g} ms are met (--max-latency-ms)", *request.max_latency_ms));
    }
  }
  if (request.training.empty() && device != Device::kGpu) {
    out->unknown.push_back("what training for int8 would keep: no --train-data");
  }
}

// Narrows down, and says by what.
class Chooser {
 public:
  Chooser(const std::vector<Candidate>& candidates, Device device, Decision* out)
      : candidates_(candidates), device_(device), out_(*out) {
    for (const Candidate& c : candidates) {
      if (c.refused.empty()) left_.push_back(&c);
    }
  }

  void Choose() {
    if (left_.empty()) {
      out_.why = "no candidate meets the limits and the target's rules";
      return;
    }
    PreferDevice();
    PreferTree();
    PreferSpeed();
    left_ = Near(left_, kEqual, [](const Candidate& c) { return double(c.bytes.size()); });
    const Candidate* best = left_.front();
    for (const Candidate* c : left_) {
      if (c->accuracy.value_or(0.0) > best->accuracy.value_or(0.0)) best = c;
    }
    reasons_.push_back(left_.size() > 1 && best->accuracy
                           ? "of the smallest (within 5 %) the most accurate"
                           : "the smallest of these");
    out_.choice = best;
    out_.why = fmt::format("{}", fmt::join(reasons_, "; "));
  }

 private:
  void Keep(Candidates kept, std::string reason) {
    if (kept.empty() || kept.size() == left_.size()) return;
    left_ = std::move(kept);
    reasons_.push_back(std::move(reason));
  }

  void PreferDevice() {
    if (device_ == Device::kCpu || device_ == Device::kPi4 || device_ == Device::kMcu) return;
    const auto share = [](const Candidate& c) {
      return c.fit.nodes == 0 ? 0.0 : double(c.fit.taken) / double(c.fit.nodes);
    };
    double most = 0.0;
    for (const Candidate* c : left_) most = std::max(most, share(*c));
    Candidates kept;
    for (const Candidate* c : left_) {
      if (share(*c) >= most) kept.push_back(c);
    }
    Keep(std::move(kept), fmt::format("most operators on {}", DeviceTitle(device_)));
    if (device_ != Device::kGpu) return;
    kept.clear();
    for (const Candidate* c : left_) {
      const bool half = c->name == "float16" || c->name.find("_f16") != std::string::npos;
      if (half) kept.push_back(c);
    }
    Keep(std::move(kept), "float16, which the GPU computes in");
  }

  // Where something decisive is not known, the tree's word counts.
  void PreferTree() {
    const char* unknown = !candidates_.front().accuracy  ? "accuracy"
                          : !candidates_.front().latency ? "speed"
                                                         : nullptr;
    if (unknown == nullptr) return;
    Candidates kept;
    for (const Candidate* c : left_) {
      if (std::find(out_.tree.begin(), out_.tree.end(), c->name) != out_.tree.end()) {
        kept.push_back(c);
      }
    }
    Keep(std::move(kept), fmt::format("what the tree recommends, as {} is not known", unknown));
  }

  void PreferSpeed() {
    const auto timed = [](const Candidate* c) { return c->latency.has_value(); };
    if (!std::all_of(left_.begin(), left_.end(), timed)) return;
    const auto fast = Near(left_, kEqual, [](const Candidate& c) { return c.latency->median; });
    reasons_.push_back(fast.size() > 1 ? "within 5 % of the fastest" : "the fastest");
    left_ = fast;
  }

  const std::vector<Candidate>& candidates_;
  Device device_;
  Decision& out_;
  Candidates left_;
  std::vector<std::string> reasons_;
};

}  // namespace

double AllowedDrop(const AdviseRequest& request) {
  return request.max_accuracy_drop.value_or(kDefaultDrop);
}

std::optional<double> ChangeOf(const Candidate& candidate, const Candidate& baseline) {
  if (!candidate.accuracy || !baseline.accuracy) return std::nullopt;
  return 100.0 * (*candidate.accuracy - *baseline.accuracy);
}

std::vector<std::string> BySize(const std::vector<Candidate>& candidates) {
  return Sorted(candidates,
                [](const Candidate& c) -> std::optional<double> { return double(c.bytes.size()); });
}

std::vector<std::string> ByGzip(const std::vector<Candidate>& candidates) {
  return Sorted(candidates,
                [](const Candidate& c) -> std::optional<double> { return double(c.gzip_bytes); });
}

std::vector<std::string> BySpeed(const std::vector<Candidate>& candidates) {
  return Sorted(candidates, [](const Candidate& c) -> std::optional<double> {
    if (!c.latency) return std::nullopt;
    return c.latency->median;
  });
}

std::vector<std::string> ByAccuracy(const std::vector<Candidate>& candidates) {
  return Sorted(candidates, [](const Candidate& c) -> std::optional<double> {
    if (!c.accuracy) return std::nullopt;
    return -*c.accuracy;
  });
}

Decision Decide(const Model& model, const AdviseRequest& request, Device device, bool this_machine,
                std::vector<Candidate>* candidates) {
  Decision out;
  for (Candidate& c : *candidates) Refuse(request, candidates->front(), &c);
  Tree(model, request, device, *candidates, &out).Walk();
  SayUnknown(request, device, this_machine, *candidates, &out);
  Chooser(*candidates, device, &out).Choose();
  return out;
}

}  // namespace litesmith
