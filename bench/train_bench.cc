// Trains the MNIST network: train_bench IDX_FOLDER [epochs] [threads] [seeds] [batch]. One JSON
// line per epoch.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "tflite/tflite.h"
#include "train/train.h"

int main(int argc, char** argv) {
  using namespace litesmith;
  if (argc < 2) {
    fmt::print(stderr,
               "usage: train_bench DATA [epochs] [threads] [seeds] [batch] [MODEL.tflite]\n");
    return 2;
  }
  const auto argument = [&](int i, int standard) {
    return argc > i ? std::atoi(argv[i]) : standard;
  };
  Context context;
  context.num_threads = argument(3, 0);
  std::vector<double> accuracies;
  for (int seed = 0; seed < argument(4, 1); ++seed) {
    Graph graph = MnistNetwork(static_cast<uint64_t>(seed));
    if (argc > 6) {
      auto read = ReadTflite(argv[6], context);
      if (!read.ok()) {
        fmt::print(stderr, "{}\n", Message(read.status()));
        return 1;
      }
      graph = std::move(read).value();
    }
    const Tensor& input = graph.main().tensors[static_cast<size_t>(graph.main().inputs[0])];
    const std::vector<int64_t> shape(input.shape.begin() + 1, input.shape.end());
    const std::vector<InputSpec> inputs = {
        {InputName(graph, 0), input.name, shape, ElementType::kFloat32}};
    DatasetOptions train, test;
    train.split = "train";
    test.split = "test";
    auto data = OpenDataset(argv[1], train, DataUse::kTraining, inputs, context);
    auto held_out = OpenDataset(argv[1], test, DataUse::kEvaluation, inputs, context);
    if (!data.ok() || !held_out.ok()) {
      const absl::Status& status = data.ok() ? held_out.status() : data.status();
      fmt::print(stderr, "{}\n", Message(status));
      return 1;
    }
    TrainOptions options;
    options.epochs = argument(2, 5);
    options.batch_size = argument(5, 64);
    options.seed = static_cast<uint64_t>(seed);
    options.validation = held_out->get();
    const absl::Status status =
        TrainClassifier(&graph, data->get(), options, context, [&](const EpochResult& r) {
          fmt::print(
              "{{\"seed\": {}, \"epoch\": {}, \"seconds\": {:.3f}, \"loss\": {:.4f}, \"accuracy\": "
              "{:.4f}, "
              "\"test_accuracy\": {:.4f}}}\n",
              seed, r.epoch, r.seconds, r.loss, r.accuracy, r.validation_accuracy);
          if (r.epoch == options.epochs) accuracies.push_back(r.validation_accuracy);
        });
    if (!status.ok()) {
      fmt::print(stderr, "{}\n", Message(status));
      return 1;
    }
  }
  std::sort(accuracies.begin(), accuracies.end());
  fmt::print("{{\"median_test_accuracy\": {:.4f}}}\n", accuracies[accuracies.size() / 2]);
  return 0;
}
