#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "command.h"

namespace litesmith::cli {
namespace {

struct Flags {
  std::string model, output_dir;
  std::vector<std::string> inputs;
  RunRequest request;
  RuntimeFlags runtime;
  DataSource preprocessing;
  int top = 5;
};

void PrintClasses(const std::vector<ClassScore>& classes) {
  TableView table{"", {{"class"}, {"score", true}}, {}};
  for (const ClassScore& c : classes) {
    table.rows.push_back({c.name, fmt::format("{:.4f}", c.score)});
  }
  std::fputs(ToText(table).c_str(), stdout);
}

void PrintOutputs(const std::vector<NamedArray>& outputs, const std::string& folder) {
  TableView table{"", {{"output"}, {"name"}, {"type"}, {"shape"}, {"file"}}, {}};
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Array& array = outputs[i].array;
    table.rows.push_back({std::to_string(i), outputs[i].name, ElementTypeName(array.type),
                          ShapeString(array.shape),
                          folder.empty() ? "" : fmt::format("{}/out{}.npy", folder, i)});
  }
  std::fputs(ToText(table).c_str(), stdout);
}

absl::Status DoRun(const Flags& flags, const Context& context) {
  const auto model = Model::Load(flags.model, context);
  if (!model.ok()) return model.status();
  const auto inputs = ReadInputs(*model, flags.inputs, flags.preprocessing, context);
  if (!inputs.ok()) return inputs.status();
  RunRequest request = flags.request;
  request.litert = flags.runtime.Chosen();
  auto session = Session::Create(*model, request, context);
  if (!session.ok()) return session.status();
  const auto outputs = session->Run(*inputs);
  if (!outputs.ok()) return outputs.status();
  const bool picture = std::any_of(inputs->begin(), inputs->end(),
                                   [](const NamedArray& input) { return input.real; });
  std::vector<ClassScore> classes;
  if (picture && !outputs->empty()) {
    auto top = TopClasses(*model, outputs->front().array, flags.preprocessing.labels, flags.top);
    if (!top.ok()) return top.status();
    classes = *std::move(top);
  }
  if (!flags.output_dir.empty()) {
    std::vector<std::string> files = flags.inputs;
    files.push_back(flags.model);
    if (absl::Status s = WriteOutputs(flags.output_dir, *outputs, files); !s.ok()) return s;
  }
  if (picture) PrintClasses(classes);
  if (!picture || !flags.output_dir.empty()) PrintOutputs(*outputs, flags.output_dir);
  return absl::OkStatus();
}

}  // namespace

void AddRun(CLI::App* app, CommonFlags* common, Action* chosen) {
  CLI::App* sub = app->add_subcommand("run", "Run a model on arrays or on a picture");
  auto flags = Declare<Flags>(sub, chosen, DoRun);
  sub->add_option("MODEL", flags->model, ".tflite, .keras or .h5")->required();
  sub->add_option("--input", flags->inputs,
                  "FILE or NAME=FILE: a .npy, .npz, PNG or JPEG; once for each input, in order")
      ->allow_extra_args(false)
      ->type_name("[NAME=]FILE");
  sub->add_option("--output-dir", flags->output_dir, "Write out0.npy, out1.npy ... there")
      ->type_name("DIR");
  sub->add_flag("--quantize-input", flags->request.quantize_input,
                "Quantize float arrays for integer inputs, as the QUANTIZE operator does");
  sub->add_option("--top", flags->top, "Classes to print for a picture (default 5)")
      ->check(CLI::PositiveNumber)
      ->option_text("N");
  AddPreprocessing(sub, &flags->preprocessing);
  AddKernels(sub, &flags->request.kernels, &flags->request.arithmetic);
  AddRuntime(sub, "Who computes: litesmith (the default), or LiteRT beside it", &flags->runtime);
  AddThreads(sub, common);
  sub->footer(
      "Examples:\n"
      "  litesmith run model.tflite --input x.npy --output-dir out\n"
      "  litesmith run model.tflite --input left=a.npy --input right=b.npy --output-dir out\n"
      "  litesmith run model_int8.tflite --input x.npy --quantize-input --output-dir out\n"
      "  litesmith run model.tflite --input digit.png --top 3\n"
      "  litesmith run model.tflite --input x.npy --output-dir out --runtime litert \\\n"
      "      --litert-library ai_edge_litert/libLiteRt.so");
}

}  // namespace litesmith::cli
