#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "deploy/c_array.h"
#include "deploy/tflm.h"
#include "deploy/tflm_arena.h"
#include "deploy/tflm_kernels.h"
#include "deploy/tflm_templates.h"
#include "ops/target.h"

namespace litesmith {
namespace {

using Facts = std::map<std::string, std::string, std::less<>>;

// Replaces every @NAME@; what a fact brings in is not looked at again.
std::string Fill(std::string_view text, const Facts& facts) {
  std::string out;
  while (!text.empty()) {
    const size_t at = text.find('@');
    const size_t end = at == text.npos ? at : text.find('@', at + 1);
    const auto fact =
        end == text.npos ? facts.end() : facts.find(text.substr(at + 1, end - at - 1));
    const size_t taken = fact != facts.end() ? at : at == text.npos ? text.size() : at + 1;
    out += text.substr(0, taken);
    text.remove_prefix(taken);
    if (fact == facts.end()) continue;
    out += fact->second;
    text.remove_prefix(fact->first.size() + 2);
  }
  return out;
}

// Untrusted text as a string literal of C++: bytes beyond ASCII in octal, which cannot run on.
std::string Literal(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\' && c != '?') {
      out += c;
    } else {
      out += fmt::format("\\{:03o}", byte);
    }
  }
  return out + "\"";
}

// Text on one line without Markdown's own signs.
std::string Plain(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|' || c == '`' || c == '<' || c == '>') {
      out += '_';
    } else {
      out += c;
    }
  }
  return out;
}

// For a cell of a Markdown table.
std::string Cell(std::string_view text) { return Plain(Printable(text)); }

const char* TypeConstant(TensorType type) {
  switch (type) {
    case schema::TensorType_FLOAT32:
      return "kFloat32";
    case schema::TensorType_INT8:
      return "kInt8";
    case schema::TensorType_UINT8:
      return "kUint8";
    case schema::TensorType_INT16:
      return "kInt16";
    case schema::TensorType_INT32:
      return "kInt32";
    default:
      return "kOther";
  }
}

// A float that reads back as the same number.
std::string FloatLiteral(float value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".en") == text.npos) text += ".0";
  return text + "f";
}

struct End {
  std::string name;
  const Tensor* tensor;
  size_t elements, bytes;
  float scale;
  int64_t zero_point;
};

std::vector<End> EndsOf(const Graph& graph, const std::vector<int32_t>& indices, bool outputs) {
  std::vector<End> ends;
  for (size_t i = 0; i < indices.size(); ++i) {
    const Tensor& tensor = graph.main().tensors[static_cast<size_t>(indices[i])];
    const auto elements = static_cast<size_t>(NumElements(tensor.shape));
    const bool quantized =
        tensor.quant.scale.size() == 1 && tensor.type != schema::TensorType_FLOAT32;
    ends.push_back(
        {outputs ? OutputName(graph, i) : InputName(graph, i), &tensor, elements,
         elements * TflmElementBytes(tensor.type), quantized ? tensor.quant.scale[0] : 0.0f,
         quantized && !tensor.quant.zero_point.empty() ? tensor.quant.zero_point[0] : 0});
  }
  return ends;
}

std::string Table(const std::vector<End>& ends) {
  std::string out;
  for (const End& end : ends) {
    out += fmt::format("    {{{}, Type::{}, {}, {}, {}, {}}},\n", Literal(end.name),
                       TypeConstant(end.tensor->type), end.elements, end.bytes,
                       FloatLiteral(end.scale), end.zero_point);
  }
  return out;
}

std::string MarkdownRows(const std::vector<End>& ends, const char* what) {
  std::string out;
  for (size_t i = 0; i < ends.size(); ++i) {
    const End& end = ends[i];
    out += fmt::format("| {} {} `{}` | {} [{}] | {} | {} | {} | {} |\n", what, i, Cell(end.name),
                       TypeName(end.tensor->type), fmt::join(end.tensor->shape, ","), end.elements,
                       end.bytes, end.scale == 0 ? "-" : fmt::format("{}", end.scale),
                       end.scale == 0 ? "-" : fmt::format("{}", end.zero_point));
  }
  return out;
}

std::string LabelFunction(const std::vector<std::string>& labels) {
  if (labels.empty()) return "const char* Label(size_t) { return \"\"; }";
  std::string out = "const char* Label(size_t index) {\n  static const char* const kNames[] = {\n";
  for (const std::string& label : labels) out += fmt::format("      {},\n", Literal(label));
  return out + "  };\n  return index < kLabelCount ? kNames[index] : \"\";\n}";
}

// The registrations, alphabetically, each once.
struct Registrations {
  std::set<std::string> methods, operators;
};
Registrations RegistrationsOf(const Graph& graph) {
  Registrations out;
  for (const Subgraph& subgraph : graph.subgraphs) {
    for (const Node& node : subgraph.nodes) {
      out.methods.insert(FindTflmKernel(node)->add);
      out.operators.insert(Printable(OperatorName(node)));
    }
  }
  return out;
}

std::string WarningLines(const Graph& graph) {
  std::string out;
  for (const std::string& warning : TflmWarnings(graph)) {
    out += fmt::format("**Mind:** {}.\n\n", Plain(warning));
  }
  return out;
}

constexpr char kPlainInterpreter[] =
    "  auto* made = new (interpreter_memory)\n"
    "      tflite::MicroInterpreter(model, *resolver, arena, kArenaBytes);";
// Variables are registered before the interpreter is made, in the same arena.
constexpr char kInterpreterWithVariables[] =
    "  tflite::MicroAllocator* allocator = tflite::MicroAllocator::Create(arena, kArenaBytes);\n"
    "  auto* variables = tflite::MicroResourceVariables::Create(allocator, {});\n"
    "  auto* made = new (interpreter_memory)\n"
    "      tflite::MicroInterpreter(model, *resolver, allocator, variables);";

void AddInterpreterFacts(const Graph& graph, Facts* facts) {
  const Registrations registrations = RegistrationsOf(graph);
  std::string lines;
  for (const std::string& method : registrations.methods) {
    lines += fmt::format("  if (resolver->{}() != kTfLiteOk) return false;\n", method);
  }
  const size_t variables = CountVariables(graph);
  facts->insert(
      {{"OPERATORS", lines},
       {"OPERATOR_COUNT", std::to_string(registrations.methods.size())},
       {"OPERATOR_NAMES", fmt::format("{}", fmt::join(registrations.operators, ", "))},
       {"MAKE_INTERPRETER", variables == 0 ? std::string(kPlainInterpreter)
                                           : fmt::format(kInterpreterWithVariables, variables)},
       {"INCLUDES",
        variables == 0 ? "" : "#include \"tensorflow/lite/micro/micro_allocator.h\"\n"}});
  if (variables > 0) {
    facts->insert(
        {"INCLUDES_VARIABLES", "#include \"tensorflow/lite/micro/micro_resource_variable.h\"\n"});
  } else {
    facts->insert({"INCLUDES_VARIABLES", ""});
  }
}

// "g_digits" -> "digits"; names are built of it.
std::string Stem(const std::string& symbol) {
  const std::string stem = symbol.substr(0, 2) == "g_" ? symbol.substr(2) : symbol;
  return stem.empty() || std::isdigit(static_cast<unsigned char>(stem[0])) != 0 ? symbol : stem;
}

std::string Upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

Facts FactsOf(const Graph& graph, size_t bytes, const TflmOptions& options,
              const TflmArena& arena) {
  const std::vector<End> inputs = EndsOf(graph, graph.main().inputs, false);
  const std::vector<End> outputs = EndsOf(graph, graph.main().outputs, true);
  const std::string stem = Stem(options.symbol);
  size_t largest = 1;
  for (const End& end : outputs) largest = std::max(largest, end.elements);
  Facts facts = {{"ABOUT", CommentText(options.about)},
                 {"FILE", Cell(options.about.substr(0, options.about.find(',')))},
                 {"SENTENCE", Cell(options.about)},
                 {"NAMESPACE", stem + "_inference"},
                 {"LIBRARY", stem + "_inference"},
                 {"MACRO", Upper(stem)},
                 {"GUARD", "LITESMITH_" + Upper(stem)},
                 {"SYMBOL", options.symbol},
                 {"INPUT_COUNT", std::to_string(inputs.size())},
                 {"OUTPUT_COUNT", std::to_string(outputs.size())},
                 {"INPUTS", Table(inputs)},
                 {"OUTPUTS", Table(outputs)},
                 {"LABELS", LabelFunction(options.labels)},
                 {"LABEL_COUNT", std::to_string(options.labels.size())},
                 {"LARGEST_OUTPUT", std::to_string(largest)},
                 {"FIRST_INPUT", std::to_string(inputs[0].elements)},
                 {"FIRST_OUTPUT", std::to_string(outputs[0].elements)},
                 {"MODEL_BYTES", std::to_string(bytes)},
                 {"ARENA_32", std::to_string(arena.bytes_32)},
                 {"ARENA_64", std::to_string(arena.bytes_64)},
                 {"INTERPRETER", "200"},
                 {"WARNINGS", WarningLines(graph)},
                 {"TENSORS", MarkdownRows(inputs, "input") + MarkdownRows(outputs, "output")}};
  AddInterpreterFacts(graph, &facts);
  return facts;
}

}  // namespace

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> MakeTflmProject(
    const Graph& graph, std::span<const std::byte> bytes, const TflmOptions& options) {
  LS_RETURN_IF_ERROR(CheckTflm(graph, options.allow_float));
  LS_ASSIGN_OR_RETURN(const TflmArena arena, PlanTflmArena(graph));
  const Facts facts = FactsOf(graph, bytes.size(), options, arena);
  CArray array = MakeCArray(bytes, options.symbol, "model_data.h", options.about);
  const std::pair<const char*, const char*> files[] = {
      {"src/model_values.h", tflm::kValuesHeader},
      {"src/model_values.cc", tflm::kValuesSource},
      {"src/model_inference.h", tflm::kInferenceHeader},
      {"src/model_inference.cc", tflm::kInferenceSource},
      {"examples/host/main.cc", tflm::kHostExample},
      {"examples/model_inference/model_inference.ino", tflm::kArduinoSketch},
      {"library.properties", tflm::kArduinoLibrary},
      {"CMakeLists.txt", tflm::kCMake},
      {"esp-idf/CMakeLists.txt", tflm::kIdfProject},
      {"esp-idf/main/CMakeLists.txt", tflm::kIdfComponent},
      {"esp-idf/main/idf_component.yml", tflm::kIdfDependencies},
      {"esp-idf/main/main.cc", tflm::kIdfMain},
      {"README.md", tflm::kReadme},
  };
  std::vector<std::pair<std::string, std::string>> out;
  out.emplace_back("src/model_data.h", std::move(array.header));
  out.emplace_back("src/model_data.cc", std::move(array.source));
  for (const auto& [name, text] : files) out.emplace_back(name, Fill(text, facts));
  return out;
}

}  // namespace litesmith
