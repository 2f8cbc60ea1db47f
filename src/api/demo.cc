#include "litesmith/demo.h"

#include <filesystem>

#include "api/benchmark_tables.h"
#include "api/shell.h"
#include "api/state.h"
#include "api/train_compress.h"
#include "api/train_stages.h"
#include "base/file.h"
#include "data/synthetic.h"
#include "evaluate/evaluate.h"
#include "litesmith/benchmark.h"
#include "litesmith/files.h"
#include "passes/passes.h"
#include "quantize/quantize.h"
#include "report/page.h"
#include "tflite/notes.h"
#include "tflite/tflite.h"
#include "train/qat.h"
#include "train/train.h"

namespace litesmith {
namespace {

constexpr char kFolder[] = "mnist_tflite_models";
constexpr char kResults[] = "benchmark_results.json";
constexpr char kPage[] = "report.html";
constexpr uint64_t kSyntheticSeed = 0;

// A file of the demo: what is written, and the graph as it is read back from there.
struct Product {
  std::string name;
  std::vector<std::byte> bytes;
  std::shared_ptr<const Graph> graph;
};

// The name in DemoRequest::recipes of the int8 model that is trained for.
constexpr std::string_view kQat = "qat";
constexpr int kQatEpochs = 2;
constexpr float kQatLearningRate = 1e-4f;

const char* Suffix(const Recipe& recipe) {
  const bool int4 = recipe.weight_bits == 4;
  switch (recipe.kind) {
    case RecipeKind::kFloat16:
      return "quant_f16";
    case RecipeKind::kDynamic:
      return int4 ? "quant_dynamicw4" : "quant_dynamic";
    case RecipeKind::kWeightOnly:
      return int4 ? "quant_weightsw4" : "quant_weights";
    case RecipeKind::kInt8:
      return int4 ? "quant_int8w4" : "quant_int8";
    case RecipeKind::kInt16x8:
      return "quant_16x8";
  }
  return "";
}

absl::StatusOr<std::unique_ptr<Dataset>> OpenDigits(const DataSource& source, const Graph& graph,
                                                    DataUse use, const Context& context) {
  if (!source.path.empty()) return OpenSource(source, graph, use, context);
  const bool test = use == DataUse::kEvaluation;
  return SyntheticDigits(test ? DigitSplit::kTest : DigitSplit::kTrain,
                         test ? kSyntheticTestCount : kSyntheticTrainCount, kSyntheticSeed,
                         context);
}

absl::Status CheckTraining(const DigitsRequest& request) {
  if (request.epochs < 1) {
    return Invalid("--epochs is {}; at least 1 is needed", request.epochs);
  }
  if (request.batch_size < 1) {
    return Invalid("the batch size is {}; at least 1 is needed", request.batch_size);
  }
  return absl::OkStatus();
}

absl::StatusOr<Graph> Train(const DigitsRequest& request, Dataset* data, const Context& context,
                            const std::function<void(const EpochSummary&)>& on_epoch) {
  Graph graph = MnistNetwork(request.seed);
  TrainOptions options;
  options.epochs = request.epochs;
  options.batch_size = request.batch_size;
  options.seed = request.seed;
  const auto forward = [&](const EpochResult& r) {
    if (on_epoch) on_epoch(Summarise(r, "train", options));
  };
  const std::string where = request.data.path.empty() ? "drawn digits" : request.data.path;
  LS_RETURN_IF_ERROR_IN(TrainClassifier(&graph, data, options, context, forward), where);
  NotePreprocessing(request.data, *data, &graph);
  return graph;
}

absl::StatusOr<Product> MakeProduct(const std::string& suffix, Graph graph,
                                    const Context& context) {
  Product out;
  out.name = "mnist_model_" + suffix;
  FinishForWriting(&graph);
  LS_ASSIGN_OR_RETURN(out.bytes, SerializeTflite(graph));
  // What is measured is what is written.
  const Blob copy = Blob::Copy(out.bytes);
  LS_ASSIGN_OR_RETURN(Graph read, ParseTflite(copy.bytes, copy.owner, context));
  out.graph = std::make_shared<const Graph>(std::move(read));
  return out;
}

absl::StatusOr<std::vector<Product>> MakeProducts(const Graph& trained,
                                                  const std::vector<Recipe>& recipes,
                                                  Dataset* calibration, const Context& context) {
  std::vector<Product> out;
  Graph graph = trained;
  LS_RETURN_IF_ERROR(Optimise(&graph, context));
  LS_ASSIGN_OR_RETURN(Product float32, MakeProduct("float32", std::move(graph), context));
  out.push_back(std::move(float32));
  for (const Recipe& recipe : recipes) {
    QuantizeOptions options;
    options.recipe = recipe;
    if (recipe.kind == RecipeKind::kInt8) {
      options.input_type = options.output_type = ElementType::kInt8;
    }
    LS_ASSIGN_OR_RETURN_IN(Graph quantized, Quantize(trained, calibration, options, context),
                           recipe.name);
    nlohmann::json notes = ReadNotes(quantized);
    notes["recipe"] = recipe.name;
    WriteNotes(notes, &quantized);
    LS_ASSIGN_OR_RETURN(Product product,
                        MakeProduct(Suffix(recipe), std::move(quantized), context));
    out.push_back(std::move(product));
  }
  return out;
}

// The pruned and clustered models: a file's name, and what `train` would be asked for.
struct Compressed {
  const char* name;
  const char* prune;
  const char* cluster;
};
constexpr Compressed kCompressed[] = {{"pruned", "0.8", ""},
                                      {"pruned_2x4", "2:4", ""},
                                      {"channels", "channels=0.5", ""},
                                      {"clustered", "", "16"}};

absl::Status AddCompressed(const Graph& trained, const DigitsRequest& digits, Dataset* data,
                           const Context& context, std::vector<Product>* products) {
  Graph before = trained;
  LS_RETURN_IF_ERROR(Optimise(&before, context));
  for (const Compressed& wanted : kCompressed) {
    TrainRequest request;
    request.prune = wanted.prune;
    request.cluster = wanted.cluster;
    TrainOptions options;
    options.epochs = digits.epochs;
    options.batch_size = digits.batch_size;
    options.seed = digits.seed;
    options.loss = LossKind::kCrossEntropy;
    Report report;
    Graph graph = before;
    const StageArgs args{request, data, options, context, nullptr, &report};
    if (WantsPruning(request)) LS_RETURN_IF_ERROR_IN(PruneStage(&graph, args), wanted.name);
    if (WantsClustering(request)) LS_RETURN_IF_ERROR_IN(ClusterStage(&graph, args), wanted.name);
    if (WantsClustering(request)) {
      QuantizeOptions int8;
      LS_ASSIGN_OR_RETURN(int8.recipe, FindRecipe("int8"));
      int8.input_type = int8.output_type = ElementType::kInt8;
      LS_ASSIGN_OR_RETURN(Graph quantized, Quantize(graph, data, int8, context));
      LS_ASSIGN_OR_RETURN(Product product, MakeProduct(fmt::format("{}_int8", wanted.name),
                                                       std::move(quantized), context));
      products->push_back(std::move(product));
    }
    StoreSparse(request, &graph);
    LS_ASSIGN_OR_RETURN(Product product, MakeProduct(wanted.name, std::move(graph), context));
    products->push_back(std::move(product));
  }
  return absl::OkStatus();
}

absl::StatusOr<Product> TrainForInt8(const DigitsRequest& request, const Graph& trained,
                                     Dataset* data, const Context& context,
                                     const std::function<void(const EpochSummary&)>& on_epoch) {
  QatOptions options;
  LS_ASSIGN_OR_RETURN(options.quantize.recipe, FindRecipe("int8"));
  LS_ASSIGN_OR_RETURN(const auto qat, QatModel::Create(trained, data, options, context));
  TrainOptions training;
  training.epochs = kQatEpochs;
  training.batch_size = request.batch_size;
  training.seed = request.seed;
  training.optimizer.learning_rate = kQatLearningRate;
  training.schedule.kind = ScheduleKind::kCosine;
  training.hooks = {qat->hook()};
  training.forward = qat->forward();
  const auto forward = [&](const EpochResult& r) {
    if (on_epoch) on_epoch(Summarise(r, "qat", training));
  };
  LS_RETURN_IF_ERROR(TrainClassifier(qat->graph(), data, training, context, forward));
  LS_ASSIGN_OR_RETURN(Graph integer, qat->Export(context));
  nlohmann::json notes = ReadNotes(integer);
  notes["recipe"] = options.quantize.recipe.name;
  WriteNotes(notes, &integer);
  return MakeProduct("quant_qat", std::move(integer), context);
}

// The command line of a request.
std::string CommandOf(const DemoRequest& request) {
  const DataSource& data = request.train.data;
  std::string out = "litesmith demo";
  if (!data.path.empty()) out += " --data " + ShellWord(data.path);
  if (!data.split.empty()) out += " --split " + ShellWord(data.split);
  if (!data.mean.empty()) out += fmt::format(" --mean={}", fmt::join(data.mean, ","));
  if (!data.std.empty()) out += fmt::format(" --std={}", fmt::join(data.std, ","));
  if (!data.labels.empty()) out += " --labels " + ShellWord(data.labels);
  if (request.output != DemoRequest().output) out += " --output " + ShellWord(request.output);
  out += fmt::format(" --epochs {} --seed {}", request.train.epochs, request.train.seed);
  if (request.recipes != DemoRequest().recipes) {
    out += fmt::format(" --recipes {}", fmt::join(request.recipes, ","));
  }
  if (request.all) out += " --all";
  return out;
}

std::string PageOf(const DemoRequest& request, const Report& report, const SystemInfo& system) {
  const std::string& data = request.train.data.path;
  Value out = report.data;
  out.Set("title", fmt::format("Digit models, trained on {}", data.empty() ? "drawn digits" : data))
      .Set("machine", SystemLine(system))
      .Set("command", CommandOf(request));
  return BenchmarkPage(out);
}

absl::StatusOr<std::vector<BenchmarkRow>> Measure(const std::vector<Product>& products,
                                                  Dataset* test, const Context& context) {
  std::vector<BenchmarkRow> rows;
  for (const Product& product : products) {
    Context named = context;
    named.progress = [&](const Context::Progress& p) {
      context.Report(p.what, p.done, p.total, product.name);
    };
    BenchmarkRow row;
    row.name = product.name;
    row.bytes = product.bytes.size();
    row.is_baseline = rows.empty();
    LS_ASSIGN_OR_RETURN(row.latency, MeasureLatency(product.graph, BenchmarkOptions{}, named));
    LS_ASSIGN_OR_RETURN(const EvaluateResult result,
                        Evaluate(product.graph, test, EvaluateOptions{}, named));
    row.accuracy = result.accuracy;
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

absl::StatusOr<Model> TrainDigits(const DigitsRequest& request, const Context& context,
                                  const std::function<void(const EpochSummary&)>& on_epoch) {
  LS_RETURN_IF_ERROR(CheckTraining(request));
  LS_ASSIGN_OR_RETURN(const auto data, OpenDigits(request.data, MnistNetwork(request.seed),
                                                  DataUse::kTraining, context));
  LS_ASSIGN_OR_RETURN(Graph graph, Train(request, data.get(), context, on_epoch));
  return ModelAccess::Make(std::move(graph), nullptr);
}

absl::StatusOr<Report> RunDemo(const DemoRequest& request, const Context& context,
                               const std::function<void(const EpochSummary&)>& on_epoch) {
  LS_RETURN_IF_ERROR(CheckTraining(request.train));
  std::vector<Recipe> recipes;
  bool trains_for_int8 = false;
  for (const std::string& name : request.recipes) {
    if (name == kQat) {
      trains_for_int8 = true;
      continue;
    }
    LS_ASSIGN_OR_RETURN(Recipe recipe, FindRecipe(name));
    recipes.push_back(std::move(recipe));
  }
  const std::filesystem::path output = request.output;
  const std::string folder = (output / kFolder).lexically_normal().string();
  LS_RETURN_IF_ERROR(CheckFolder(folder));
  const Graph untrained = MnistNetwork(request.train.seed);
  const DataSource& source = request.train.data;
  DataSource test_source = source;
  test_source.split = "";
  LS_ASSIGN_OR_RETURN(const auto train, OpenDigits(source, untrained, DataUse::kTraining, context));
  LS_ASSIGN_OR_RETURN(const auto test,
                      OpenDigits(test_source, untrained, DataUse::kEvaluation, context));
  LS_ASSIGN_OR_RETURN(const Graph trained, Train(request.train, train.get(), context, on_epoch));
  LS_ASSIGN_OR_RETURN(std::vector<Product> products,
                      MakeProducts(trained, recipes, train.get(), context));
  if (request.all) {
    LS_RETURN_IF_ERROR(AddCompressed(trained, request.train, train.get(), context, &products));
  }
  if (trains_for_int8) {
    LS_ASSIGN_OR_RETURN(Product product,
                        TrainForInt8(request.train, trained, train.get(), context, on_epoch));
    products.push_back(std::move(product));
  }
  LS_ASSIGN_OR_RETURN(const std::vector<BenchmarkRow> rows, Measure(products, test.get(), context));
  const SystemInfo system = ReadSystemInfo();
  Report report = BenchmarkReport(rows, system);
  LS_RETURN_IF_ERROR(MakeDirectories(folder));
  for (const Product& product : products) {
    LS_RETURN_IF_ERROR(
        WriteFileAtomically(fmt::format("{}/{}.tflite", folder, product.name), product.bytes));
  }
  const std::string results = (output / kResults).lexically_normal().string();
  const std::string page = (output / kPage).lexically_normal().string();
  LS_RETURN_IF_ERROR(WriteText(results, ToJson(report)));
  LS_RETURN_IF_ERROR(WriteText(page, PageOf(request, report, system)));
  report.notes.push_back(
      fmt::format("written: {} models in {}; {} and {}", products.size(), folder, results, page));
  return report;
}

}  // namespace litesmith
