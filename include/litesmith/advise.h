#ifndef LITESMITH_ADVISE_H_
#define LITESMITH_ADVISE_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "litesmith/context.h"
#include "litesmith/dataset.h"
#include "litesmith/model.h"
#include "litesmith/report.h"

namespace litesmith {

struct AdviseRequest {
  // Labelled samples to measure accuracy with; path empty: it stays unknown. Preprocessing and
  // labels hold for the other two as well.
  DataSource data;
  // Path of labelled samples to train with (for int8, with zeros, with few values); empty: none is.
  std::string training;
  // Path of samples that the integer recipes calibrate with; empty: those to train with, else those
  // to measure with.
  std::string calibration;

  // cpu: this machine. pi4, mcu (tflite-micro), edgetpu, hexagon, gpu: their rules; how fast they
  // are is known only where this machine is one.
  std::string target = "cpu";

  std::optional<double> max_size_kb;        // of the file, in 1,024 bytes
  std::optional<double> max_latency_ms;     // of the median inference on one thread
  std::optional<double> max_accuracy_drop;  // in points against float32; empty: 1

  int epochs = 3;      // of each stage of training
  std::string output;  // a folder for the files and commands.sh; empty: nothing is written
};

struct Advice {
  Report report;
  std::string choice;  // a candidate's name; empty: none meets the limits
};

// Makes the candidates (float32, float16, dynamic, int8, int16x8, and with data to train on qat,
// pruned and clustered ones), evaluates and times them, refuses what breaks a limit or a rule of
// the target, and chooses: of those within 5 % of the fastest the smallest (within 5 %), of these
// the most accurate. Each comes with the commands that make the same bytes.
//
// report.data: {"model", "target", "this_machine", "limits": {"max_size_kb", "max_latency_ms",
// "max_accuracy_drop"}, "data": {"evaluation", "calibration", "training"}, "questions":
// [{"question", "answer", "because"}], "tree_recommends": [name], "candidates": [{"name", "about",
// "file", "size_kb", "gzip_kb", "accuracy", "accuracy_change" (points), "latency_ms", "on_target":
// {"taken", "nodes", "obstacles": [{"node", "operator", "name", "why"}]}, "refused": [sentence],
// "warnings": [sentence], "commands": [line]}], "rankings": {"size", "gzip", "speed", "accuracy":
// [name] or null}, "choice": name or null, "why", "unknown": [sentence], "system_info"}.
absl::StatusOr<Advice> Advise(const Model& model, const AdviseRequest& request,
                              const Context& context = {});

}  // namespace litesmith

#endif  // LITESMITH_ADVISE_H_
