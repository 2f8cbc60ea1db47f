#ifndef LITESMITH_API_ADVISE_CHOICE_H_
#define LITESMITH_API_ADVISE_CHOICE_H_

// The decision of `advise`: the seed's tree, the limits, and what the measurements leave.

#include <string>
#include <vector>

#include "api/advise_candidates.h"

namespace litesmith {

struct Question {
  std::string question, answer, because;
};

struct Decision {
  std::vector<Question> questions;
  std::vector<std::string> tree;     // what the tree recommends, the best first
  std::vector<std::string> unknown;  // what could not be found out, and how it could
  const Candidate* choice = nullptr;
  std::string why;
};

// Refuses what breaks a limit or cannot run on the device (the reasons go into each candidate's
// `refused`), walks the tree, and chooses. REQUIRES: the first candidate is the float model.
Decision Decide(const Model& model, const AdviseRequest& request, Device device, bool this_machine,
                std::vector<Candidate>* candidates);

// The names of the candidates that were made, the best first; empty where it was not measured.
std::vector<std::string> BySize(const std::vector<Candidate>& candidates);
std::vector<std::string> ByGzip(const std::vector<Candidate>& candidates);
std::vector<std::string> BySpeed(const std::vector<Candidate>& candidates);
std::vector<std::string> ByAccuracy(const std::vector<Candidate>& candidates);

// Points of accuracy against the float model; nothing where one of the two is not known.
std::optional<double> ChangeOf(const Candidate& candidate, const Candidate& baseline);

// The limits in force; the drop's default is 1 point.
double AllowedDrop(const AdviseRequest& request);

}  // namespace litesmith

#endif  // LITESMITH_API_ADVISE_CHOICE_H_
