#ifndef LITESMITH_API_ADVISE_CANDIDATES_H_
#define LITESMITH_API_ADVISE_CANDIDATES_H_

// The models that `advise` compares: what each is, how it is made, and what was measured of it.

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "api/advise_target.h"
#include "litesmith/advise.h"
#include "litesmith/quantize.h"
#include "litesmith/train.h"

namespace litesmith {

struct ConvertStep {};

// One command: the request that this program would make of it.
struct CandidateStep {
  std::variant<ConvertStep, QuantizeRequest, TrainRequest> request;
  std::string file;  // what it writes
};

struct Candidate {
  std::string name, about;
  std::vector<CandidateStep> steps;  // each works on the file of the one before; the first on the model

  // Of one that was made:
  std::vector<std::byte> bytes;
  uint64_t gzip_bytes = 0;
  TargetFit fit;
  std::optional<double> accuracy;
  std::optional<Latency> latency;
  std::vector<std::string> warnings;

  std::vector<std::string> refused;  // why it is no choice; of one that was not made, why not

  bool made() const { return !bytes.empty(); }
  const std::string& file() const { return steps.back().file; }
};

// What can be made of the model for the device with the request's data, in the order of the tables.
// The baseline, float32, comes first.
std::vector<Candidate> PlanCandidates(const Model& model, const AdviseRequest& request,
                                      Device device);

// Runs the steps and stores the last one's bytes. Where the recipe cannot quantize an operator, it
// is kept in float; what fails all the same is refused with the reason. Errors: only what ends the
// command (cancelled, late, no memory).
absl::Status MakeCandidate(const Model& model, const Context& context, Candidate* candidate);

// The command lines of its steps.
std::vector<std::string> CommandsOf(const Model& model, const Candidate& candidate);

}  // namespace litesmith

#endif  // LITESMITH_API_ADVISE_CANDIDATES_H_
