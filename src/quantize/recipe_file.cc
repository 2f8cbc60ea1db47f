#include "quantize/recipe_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/regex.h"
#include "ops/op.h"
#include "quantize/rules.h"

namespace litesmith {
namespace {

using Json = nlohmann::json;
// Keeps the order of members, but looks for each among all others: for writing only.
using OrderedJson = nlohmann::ordered_json;

constexpr size_t kLongestText = size_t{4} << 20;
constexpr size_t kMostEntries = 10000;
constexpr size_t kLongestRegex = 1000;
constexpr size_t kLongestScope = 2000;

constexpr char kUniform[] = "min_max_uniform_quantize";
constexpr char kCasting[] = "float_casting";
constexpr char kNoQuantize[] = "no_quantize";

// A member that may be missing; an error where it has another type.
template <typename T>
absl::StatusOr<T> Member(const Json& object, const char* key, T missing) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return missing;
  const bool fits = std::is_same_v<T, bool>          ? found->is_boolean()
                    : std::is_same_v<T, std::string> ? found->is_string()
                                                     : found->is_number_integer();
  if (!fits) return Invalid("'{}' has a wrong type", key);
  return found->get<T>();
}

// {num_bits, symmetric, granularity, dtype} against what there are kernels for.
absl::Status CheckTensorConfig(const Json& config, const char* which, int64_t bits, bool symmetric,
                               const char* granularity, const char* dtype) {
  LS_ASSIGN_OR_RETURN(const bool is_symmetric, Member<bool>(config, "symmetric", symmetric));
  LS_ASSIGN_OR_RETURN(const std::string grain,
                      Member<std::string>(config, "granularity", granularity));
  LS_ASSIGN_OR_RETURN(const std::string type, Member<std::string>(config, "dtype", dtype));
  if (type != dtype)
    return Unsupported("{} of {} bits have dtype {}, not {}", which, bits, dtype, Printable(type));
  if (is_symmetric != symmetric) {
    return Unsupported("{} of {} bits are {}", which, bits, symmetric ? "symmetric" : "asymmetric");
  }
  if (grain != granularity) {
    return Unsupported("{} of {} bits have granularity {}, not {}", which, bits, granularity,
                       Printable(grain));
  }
  return absl::OkStatus();
}

// `activation_bits` is 0 where they stay float.
absl::Status CheckWeightBits(int64_t weight_bits, int64_t activation_bits) {
  if (weight_bits == 8 || activation_bits != 16) return absl::OkStatus();
  return Unsupported(
      "weights of {} bits go with activations of 8 bits or float ones only; take activations of 8 "
      "bits, or weights of 8 bits",
      weight_bits);
}

// Sets treatment, weight_bits and symmetric.
absl::Status ReadTreatment(const Json& config, RecipeEntry* entry) {
  const Json none = Json::object();
  const auto object = [&](const char* key) -> absl::StatusOr<const Json*> {
    const auto found = config.find(key);
    if (found == config.end() || found->is_null()) return &none;
    if (!found->is_object()) return Invalid("'{}' is no object", key);
    return &*found;
  };
  LS_ASSIGN_OR_RETURN(const Json* activations, object("activation_tensor_config"));
  LS_ASSIGN_OR_RETURN(const Json* weights, object("weight_tensor_config"));
  LS_ASSIGN_OR_RETURN(const std::string precision,
                      Member<std::string>(config, "compute_precision", "FLOAT"));
  LS_ASSIGN_OR_RETURN(const bool explicit_dequantize,
                      Member<bool>(config, "explicit_dequantize", false));
  LS_ASSIGN_OR_RETURN(const int64_t weight_bits, Member<int64_t>(*weights, "num_bits", 8));
  if (weight_bits != 8 && weight_bits != 4)
    return Unsupported("weights of {} bits are not supported; take 8 or 4", weight_bits);
  // Only a float operator does not mind zero points.
  entry->symmetric = true;
  if (precision == "FLOAT" && explicit_dequantize && activations->empty()) {
    LS_ASSIGN_OR_RETURN(entry->symmetric, Member<bool>(*weights, "symmetric", true));
  }
  LS_RETURN_IF_ERROR(
      CheckTensorConfig(*weights, "weights", weight_bits, entry->symmetric, "CHANNELWISE", "INT"));
  entry->weight_bits = static_cast<int>(weight_bits);
  const bool integer = precision == "INTEGER";
  if (integer == explicit_dequantize || (!integer && precision != "FLOAT") ||
      (!integer && !activations->empty())) {
    return Unsupported(
        "compute_precision {} with explicit_dequantize {} is not supported{}; take INTEGER without "
        "it, FLOAT with it (weights alone are quantized), or the algorithm {}",
        Printable(precision), explicit_dequantize ? "true" : "false",
        activations->empty() ? "" : " for quantized activations", kCasting);
  }
  if (activations->empty()) {
    entry->treatment = integer ? Treatment::kDynamic : Treatment::kWeightOnly;
    return absl::OkStatus();
  }
  LS_ASSIGN_OR_RETURN(const int64_t bits, Member<int64_t>(*activations, "num_bits", 8));
  if (bits != 8 && bits != 16) {
    return Unsupported("activations of {} bits are not supported; take 8 or 16", bits);
  }
  LS_RETURN_IF_ERROR(
      CheckTensorConfig(*activations, "activations", bits, bits == 16, "TENSORWISE", "INT"));
  LS_RETURN_IF_ERROR(CheckWeightBits(weight_bits, bits));
  entry->treatment = bits == 8 ? Treatment::kInt8 : Treatment::kInt16x8;
  return absl::OkStatus();
}

// The quantizer's names of operators that TFLite calls otherwise.
std::string OperatorOf(const std::string& operation) {
  if (operation == "CONV_2D_TRANSPOSE") return "TRANSPOSE_CONV";
  if (operation == "CUSTOM_OP") return "CUSTOM";
  return operation;
}
std::string OperationOf(const std::string& op) {
  if (op == "TRANSPOSE_CONV") return "CONV_2D_TRANSPOSE";
  if (op == "CUSTOM") return "CUSTOM_OP";
  return op;
}

absl::Status CheckOperation(const std::string& name) {
  if (name == "*" || name == "CUSTOM") return absl::OkStatus();
  if (name == "INPUT" || name == "OUTPUT") {
    return Unsupported(
        "the operation {} is set by --input-type and --output-type; remove the entry", name);
  }
  for (const char* const* known = schema::EnumNamesBuiltinOperator(); *known != nullptr; ++known) {
    if (name == *known) return absl::OkStatus();
  }
  return Invalid("there is no operation '{}'", Printable(name));
}

absl::StatusOr<Regex> Compile(const std::string& pattern) {
  if (pattern.size() > kLongestRegex) {
    return Invalid("the regular expression has {} characters; {} are possible", pattern.size(),
                   kLongestRegex);
  }
  absl::StatusOr<Regex> regex = Regex::Compile(pattern);
  if (regex.ok()) return regex;
  return Annotate(regex.status(), fmt::format("'{}' is no regular expression that can be used",
                                              Printable(pattern)));
}

absl::StatusOr<RecipeEntry> ParseEntry(const Json& json) {
  if (!json.is_object()) return Invalid("it is no object");
  RecipeEntry out;
  LS_ASSIGN_OR_RETURN(out.regex, Member<std::string>(json, "regex", ""));
  if (!json.contains("regex")) return Invalid("it has no 'regex'");
  LS_RETURN_IF_ERROR(Compile(out.regex).status());
  LS_ASSIGN_OR_RETURN(const std::string operation, Member<std::string>(json, "operation", "*"));
  out.operation = OperatorOf(operation);
  LS_RETURN_IF_ERROR(CheckOperation(out.operation));
  LS_ASSIGN_OR_RETURN(const std::string algorithm,
                      Member<std::string>(json, "algorithm_key", kUniform));
  if (algorithm == kNoQuantize) return out;
  const auto config = json.find("op_config");
  if (config == json.end() || !config->is_object()) return Invalid("it has no 'op_config'");
  if (algorithm == kCasting) {
    out.treatment = Treatment::kFloat16;
    return out;
  }
  if (algorithm != kUniform) {
    return Unsupported("the algorithm '{}' is not supported; take {}, {} or {}",
                       Printable(algorithm), kUniform, kCasting, kNoQuantize);
  }
  LS_RETURN_IF_ERROR(ReadTreatment(*config, &out));
  LS_ASSIGN_OR_RETURN(out.min_weight_elements, Member<int64_t>(*config, "min_weight_elements", 0));
  return out;
}

OrderedJson TensorConfig(int bits, bool symmetric, const char* granularity, const char* dtype) {
  return OrderedJson{
      {"num_bits", bits}, {"symmetric", symmetric}, {"granularity", granularity}, {"dtype", dtype}};
}

OrderedJson EntryJson(const RecipeEntry& entry) {
  OrderedJson out;
  out["regex"] = entry.regex;
  out["operation"] = OperationOf(entry.operation);
  const Treatment treatment = entry.treatment;
  out["algorithm_key"] = treatment == Treatment::kFloat     ? kNoQuantize
                         : treatment == Treatment::kFloat16 ? kCasting
                                                            : kUniform;
  OrderedJson config = OrderedJson::object();
  if (treatment == Treatment::kInt8) {
    config["activation_tensor_config"] = TensorConfig(8, false, "TENSORWISE", "INT");
  } else if (treatment == Treatment::kInt16x8) {
    config["activation_tensor_config"] = TensorConfig(16, true, "TENSORWISE", "INT");
  }
  if (treatment == Treatment::kFloat16) {
    config["weight_tensor_config"] = TensorConfig(16, true, "TENSORWISE", "FLOAT");
  } else if (treatment != Treatment::kFloat) {
    config["weight_tensor_config"] =
        TensorConfig(entry.weight_bits, entry.symmetric, "CHANNELWISE", "INT");
  }
  const bool real = treatment == Treatment::kFloat || treatment == Treatment::kFloat16;
  const bool behind = treatment == Treatment::kFloat16 || treatment == Treatment::kWeightOnly;
  config["compute_precision"] = real || behind ? "FLOAT" : "INTEGER";
  config["explicit_dequantize"] = behind;
  config["skip_checks"] = false;
  config["min_weight_elements"] = entry.min_weight_elements;
  out["op_config"] = std::move(config);
  return out;
}

// Entries in the order in which the LiteRT quantizer tries them: those of one regex together, where
// it was named first; one for all operations drops those before it.
std::vector<size_t> Order(const std::vector<RecipeEntry>& entries) {
  std::vector<std::vector<size_t>> groups;
  for (size_t e = 0; e < entries.size(); ++e) {
    const auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& g) {
      return entries[g.front()].regex == entries[e].regex;
    });
    if (group == groups.end()) {
      groups.push_back({e});
      continue;
    }
    if (entries[e].operation == "*") group->clear();
    std::erase_if(*group, [&](size_t g) { return entries[g].operation == entries[e].operation; });
    group->push_back(e);
  }
  std::vector<size_t> out;
  for (const auto& group : groups) out.insert(out.end(), group.begin(), group.end());
  return out;
}

// The names by which users know a node: its results' and its own.
std::vector<std::string> Scopes(const Subgraph& subgraph, const Node& node) {
  std::string joined;
  std::vector<std::string> out;
  for (int32_t t : node.outputs) {
    if (t < 0) continue;
    const Tensor& tensor = subgraph.tensors[static_cast<size_t>(t)];
    joined += tensor.name + ";";
    out.push_back(tensor.name);
    if (tensor.label() != tensor.name) out.push_back(tensor.label());
  }
  out.push_back(joined);
  if (!node.name.empty()) out.push_back(node.name);
  for (std::string& name : out) name.resize(std::min(name.size(), kLongestScope));
  return out;
}

// Entries for weights skip nodes without such a kernel, so that an earlier one may count.
bool Applies(const RecipeEntry& entry, const Node& node) {
  const OpRecord* op = FindOp(node);
  if (entry.treatment == Treatment::kDynamic) {
    return op != nullptr && op->quant.dynamic && (entry.weight_bits == 8 || TakesInt4Dynamic(*op));
  }
  if (entry.treatment == Treatment::kWeightOnly) {
    return op != nullptr && TakesWeightOnly(*op, entry.weight_bits);
  }
  return true;
}

}  // namespace

absl::StatusOr<std::vector<RecipeEntry>> ParseRecipe(std::string_view json) {
  if (json.size() > kLongestText) {
    return Invalid("a recipe has at most {} MB; this one has {} bytes", kLongestText >> 20,
                   json.size());
  }
  const Json parsed = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded() || !parsed.is_array()) {
    return Invalid(
        "a recipe is a JSON list of entries {{\"regex\", \"operation\", \"algorithm_key\", "
        "\"op_config\"}}; this is none");
  }
  if (parsed.size() > kMostEntries) {
    return Invalid("the recipe has {} entries; {} are possible", parsed.size(), kMostEntries);
  }
  std::vector<RecipeEntry> out;
  for (size_t e = 0; e < parsed.size(); ++e) {
    const bool named =
        parsed[e].is_object() && parsed[e].contains("regex") && parsed[e]["regex"].is_string();
    const std::string where = fmt::format(
        "entry {}{}", e + 1,
        named ? fmt::format(" ('{}')", Printable(parsed[e]["regex"].get<std::string>())) : "");
    LS_ASSIGN_OR_RETURN_IN(RecipeEntry entry, ParseEntry(parsed[e]), where);
    out.push_back(std::move(entry));
  }
  return out;
}

std::string RecipeText(const std::vector<RecipeEntry>& entries) {
  OrderedJson out = OrderedJson::array();
  for (const RecipeEntry& entry : entries) out.push_back(EntryJson(entry));
  return out.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

absl::StatusOr<Recipe> LeadingRecipe(const std::vector<RecipeEntry>& entries) {
  const auto has = [&](Treatment treatment) {
    return std::any_of(entries.begin(), entries.end(),
                       [&](const RecipeEntry& e) { return e.treatment == treatment; });
  };
  const bool int8 = has(Treatment::kInt8), int16 = has(Treatment::kInt16x8);
  if (int8 && int16) {
    return Unsupported(
        "the recipe mixes activations of 8 and of 16 bits; one of them can be mixed with dynamic, "
        "float16 and float");
  }
  // Whether all its weights are to be int4.
  const auto int4 = [&](Treatment treatment) {
    return std::all_of(entries.begin(), entries.end(), [&](const RecipeEntry& e) {
      return e.treatment != treatment || e.weight_bits == 4;
    });
  };
  if (int8) return FindRecipe(int4(Treatment::kInt8) ? "int8w4" : "int8");
  if (int16) return FindRecipe("int16x8");
  if (has(Treatment::kDynamic)) {
    return FindRecipe(int4(Treatment::kDynamic) ? "dynamicw4" : "dynamic");
  }
  if (has(Treatment::kWeightOnly)) {
    return FindRecipe(int4(Treatment::kWeightOnly) ? "weightsw4" : "weights");
  }
  if (has(Treatment::kFloat16)) return FindRecipe("float16");
  return Invalid("the recipe quantizes nothing: every entry is {}", kNoQuantize);
}

absl::StatusOr<std::vector<int32_t>> MatchEntries(const Graph& graph,
                                                  const std::vector<RecipeEntry>& entries,
                                                  uint64_t max_steps) {
  std::vector<Regex> compiled;
  for (const RecipeEntry& entry : entries) {
    LS_ASSIGN_OR_RETURN(Regex regex, Compile(entry.regex));
    compiled.push_back(std::move(regex));
  }
  const std::vector<size_t> order = Order(entries);
  const Subgraph& subgraph = graph.main();
  std::vector<int32_t> out(subgraph.nodes.size(), -1);
  uint64_t steps = max_steps;
  for (size_t n = 0; n < out.size(); ++n) {
    const Node& node = subgraph.nodes[n];
    const std::vector<std::string> scopes = Scopes(subgraph, node);
    const std::string name = OperatorName(node);
    for (auto e = order.rbegin(); e != order.rend() && out[n] < 0; ++e) {
      const RecipeEntry& entry = entries[*e];
      const bool named = entry.operation == "*" || entry.operation == name ||
                         (entry.operation == "CUSTOM" && node.op == schema::BuiltinOperator_CUSTOM);
      if (!named || !Applies(entry, node)) continue;
      const bool found = std::any_of(scopes.begin(), scopes.end(), [&](const std::string& s) {
        return compiled[*e].Search(s, &steps);
      });
      if (found) out[n] = static_cast<int32_t>(*e);
      if (steps == 0) {
        return Invalid(
            "the recipe's regular expressions take too long on this model (at '{}'); use fewer, "
            "or simpler ones",
            Printable(entry.regex));
      }
    }
  }
  return out;
}

std::vector<RecipeEntry> EntriesOf(const QuantizeOptions& options) {
  std::vector<RecipeEntry> out = options.entries;
  if (out.empty()) {
    RecipeEntry all;
    all.regex = ".*";
    all.weight_bits = options.recipe.weight_bits;
    switch (options.recipe.kind) {
      case RecipeKind::kFloat16:
        all.treatment = Treatment::kFloat16;
        break;
      case RecipeKind::kDynamic:
        all.treatment = Treatment::kDynamic;
        // As the converter for int8; int4 is the LiteRT quantizer's, which has no such limit.
        if (options.recipe.weight_bits == 8) all.min_weight_elements = kSmallestDynamic;
        break;
      case RecipeKind::kWeightOnly:
        all.treatment = Treatment::kWeightOnly;
        break;
      case RecipeKind::kInt8:
        all.treatment = Treatment::kInt8;
        break;
      case RecipeKind::kInt16x8:
        all.treatment = Treatment::kInt16x8;
        break;
    }
    out.push_back(all);
  }
  for (const std::string& regex : options.keep_float) {
    RecipeEntry entry;
    entry.regex = regex;
    out.push_back(entry);
  }
  return out;
}

}  // namespace litesmith
