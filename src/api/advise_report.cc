#include "api/advise_report.h"

#include "api/benchmark_tables.h"
#include "api/state.h"

namespace litesmith {
namespace {

Value Names(const std::vector<std::string>& names) {
  Value out = Value::List{};
  for (const std::string& name : names) out.Add(name);
  return out;
}

// Null where nothing could be ranked.
Value Ranking(const std::vector<std::string>& names) {
  return names.empty() ? Value() : Names(names);
}

Value PathOrNull(const std::string& path) { return path.empty() ? Value() : Value(path); }

Value FitValue(const TargetFit& fit) {
  Value obstacles = Value::List{};
  for (const Obstacle& o : fit.obstacles) {
    obstacles.Add(
        Value().Set("node", o.node).Set("operator", o.op).Set("name", o.name).Set("why", o.why));
  }
  return Value()
      .Set("taken", fit.taken)
      .Set("nodes", fit.nodes)
      .Set("obstacles", std::move(obstacles));
}

Value CandidateValue(const Model& model, const Candidate& c, const Candidate& baseline) {
  Value out;
  const auto made = [&](Value value) { return c.made() ? std::move(value) : Value(); };
  out.Set("name", c.name)
      .Set("about", c.about)
      .Set("file", c.file())
      .Set("size_kb", made(Kilobytes(c.bytes.size())))
      .Set("gzip_kb", made(Kilobytes(c.gzip_bytes)))
      .Set("accuracy", c.accuracy)
      .Set("accuracy_change", ChangeOf(c, baseline))
      .Set("latency_ms", c.latency ? LatencyValue(*c.latency) : Value())
      .Set("on_target", made(FitValue(c.fit)))
      .Set("refused", Names(c.refused))
      .Set("warnings", Names(c.warnings))
      .Set("commands", Names(CommandsOf(model, c)));
  return out;
}

Value DataValue(const AdviseRequest& request) {
  return Value()
      .Set("evaluation", PathOrNull(request.data.path))
      .Set("calibration", PathOrNull(request.calibration))
      .Set("training", PathOrNull(request.training));
}

TableView QuestionTable(const std::vector<Question>& questions) {
  TableView out{"Questions", {{"question"}, {"answer"}, {"because"}}, {}};
  for (const Question& q : questions) out.rows.push_back({q.question, q.answer, q.because});
  return out;
}

std::string Verdict(const Candidate& c, const Decision& decision) {
  if (&c == decision.choice) return "chosen";
  return c.refused.empty() ? "possible" : "refused";
}

TableView CandidateTable(const std::vector<Candidate>& candidates, bool this_machine,
                         const Decision& decision) {
  TableView out{"Candidates",
                {{"candidate"},
                 {"KB", true},
                 {"gzip KB", true},
                 {"accuracy", true},
                 {"change", true},
                 {"ms", true},
                 {"on target", true},
                 {"verdict"}},
                {}};
  for (const Candidate& c : candidates) {
    if (!c.made()) {
      out.rows.push_back({c.name, "-", "-", "-", "-", "-", "-", "refused"});
      continue;
    }
    const std::optional<double> change = ChangeOf(c, candidates.front());
    const bool baseline = &c == &candidates.front();
    out.rows.push_back(
        {c.name, fmt::format("{:.1f}", Kilobytes(c.bytes.size())),
         fmt::format("{:.1f}", Kilobytes(c.gzip_bytes)),
         c.accuracy ? fmt::format("{:.2f} %", 100.0 * *c.accuracy) : "not measured",
         baseline || !change ? "" : fmt::format("{:+.2f}", *change),
         this_machine && c.latency ? fmt::format("{:.3f}", c.latency->median) : "not measured",
         fmt::format("{} of {}", c.fit.taken, c.fit.nodes), Verdict(c, decision)});
  }
  return out;
}

TableView RankingTable(const std::vector<Candidate>& candidates) {
  TableView out{"Rankings, the best first", {{"by"}, {"candidates"}}, {}};
  const auto row = [&](const char* by, const std::vector<std::string>& names) {
    out.rows.push_back(
        {by, names.empty() ? "not measured" : fmt::format("{}", fmt::join(names, ", "))});
  };
  row("size", BySize(candidates));
  row("gzip size", ByGzip(candidates));
  row("speed", BySpeed(candidates));
  row("accuracy", ByAccuracy(candidates));
  return out;
}

// A reason holds names of a file and may be long.
std::string OneLine(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
  }
  return text;
}

TableView RefusedTable(const std::vector<Candidate>& candidates) {
  TableView out{"Refused", {{"candidate"}, {"because"}}, {}};
  for (const Candidate& c : candidates) {
    for (const std::string& why : c.refused) out.rows.push_back({c.name, OneLine(why)});
  }
  return out;
}

// The operators of the chosen file, or of int8 where none is, that stay off the target.
TableView ObstacleTable(const std::vector<Candidate>& candidates, Device device,
                        const Decision& decision) {
  constexpr size_t kShown = 40;
  const Candidate* of = decision.choice;
  for (const Candidate& c : candidates) {
    if (of == nullptr && c.made() && c.name == "int8") of = &c;
  }
  TableView out;
  if (of == nullptr || of->fit.obstacles.empty()) return out;
  out.title = fmt::format("Operators of {} that {} does not take", of->name, DeviceTitle(device));
  out.columns = {{"#", true}, {"operator"}, {"layer"}, {"because"}};
  for (const Obstacle& o : of->fit.obstacles) {
    if (out.rows.size() == kShown) {
      out.rows.push_back(
          {"", fmt::format("and {} more (--json has all)", of->fit.obstacles.size() - kShown), "",
           ""});
      break;
    }
    out.rows.push_back({std::to_string(o.node), Printable(o.op), Printable(o.name), o.why});
  }
  return out;
}

void AddNotes(const Model& model, const Decision& decision, Report* report) {
  std::vector<std::string>& notes = report->notes;
  notes.push_back(fmt::format("the tree recommends: {}", fmt::join(decision.tree, ", ")));
  for (const std::string& unknown : decision.unknown) notes.push_back("not known: " + unknown);
  if (decision.choice == nullptr) {
    notes.push_back("choice: none; " + decision.why);
    return;
  }
  const Candidate& c = *decision.choice;
  notes.push_back(fmt::format("choice: {} ({}): {}", c.name, c.about, decision.why));
  if (std::find(decision.tree.begin(), decision.tree.end(), c.name) == decision.tree.end()) {
    notes.push_back("the measurements and limits decide against the tree here");
  }
  notes.push_back("to make it:");
  for (const std::string& line : CommandsOf(model, c)) notes.push_back("  " + line);
}

}  // namespace

Report AdviceReport(const Model& model, const AdviseRequest& request, Device device,
                    bool this_machine, const SystemInfo& system, const Decision& decision,
                    const std::vector<Candidate>& candidates) {
  Report out;
  Value questions = Value::List{}, list = Value::List{};
  for (const Question& q : decision.questions) {
    questions.Add(
        Value().Set("question", q.question).Set("answer", q.answer).Set("because", q.because));
  }
  for (const Candidate& c : candidates) list.Add(CandidateValue(model, c, candidates.front()));
  out.data.Set("model", model.path())
      .Set("target", request.target)
      .Set("this_machine", this_machine)
      .Set("limits", Value()
                         .Set("max_size_kb", request.max_size_kb)
                         .Set("max_latency_ms", request.max_latency_ms)
                         .Set("max_accuracy_drop", AllowedDrop(request)))
      .Set("data", DataValue(request))
      .Set("questions", std::move(questions))
      .Set("tree_recommends", Names(decision.tree))
      .Set("candidates", std::move(list))
      .Set("rankings", Value()
                           .Set("size", Ranking(BySize(candidates)))
                           .Set("gzip", Ranking(ByGzip(candidates)))
                           .Set("speed", Ranking(BySpeed(candidates)))
                           .Set("accuracy", Ranking(ByAccuracy(candidates))))
      .Set("choice", decision.choice == nullptr ? Value() : Value(decision.choice->name))
      .Set("why", decision.why)
      .Set("unknown", Names(decision.unknown))
      .Set("system_info", SystemValue(system));
  out.tables = {QuestionTable(decision.questions),
                CandidateTable(candidates, this_machine, decision), RankingTable(candidates)};
  for (TableView table : {RefusedTable(candidates), ObstacleTable(candidates, device, decision)}) {
    if (!table.rows.empty()) out.tables.push_back(std::move(table));
  }
  AddNotes(model, decision, &out);
  if (this_machine) out.notes.push_back(SystemLine(system));
  return out;
}

std::string CommandScript(const Model& model, const std::vector<Candidate>& candidates) {
  std::string out = "#!/bin/sh\n# The commands that make these files, byte for byte.\nset -e\n";
  for (const Candidate& c : candidates) {
    if (!c.made()) continue;
    out += fmt::format("\n# {}: {}\n", c.name, c.about);
    for (const std::string& line : CommandsOf(model, c)) out += line + "\n";
  }
  return out;
}

}  // namespace litesmith
