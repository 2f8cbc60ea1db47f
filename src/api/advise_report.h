#ifndef LITESMITH_API_ADVISE_REPORT_H_
#define LITESMITH_API_ADVISE_REPORT_H_

#include <string>
#include <vector>

#include "api/advise_choice.h"

namespace litesmith {

// What `advise` prints and writes as JSON (the form is in litesmith/advise.h).
Report AdviceReport(const Model& model, const AdviseRequest& request, Device device,
                    bool this_machine, const SystemInfo& system, const Decision& decision,
                    const std::vector<Candidate>& candidates);

// A shell script with the commands of every candidate that was made.
std::string CommandScript(const Model& model, const std::vector<Candidate>& candidates);

}  // namespace litesmith

#endif  // LITESMITH_API_ADVISE_REPORT_H_
