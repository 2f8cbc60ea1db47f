// Runs a model on zeros and prints the shapes of what comes out.
#include <cstdio>

#include "litesmith/model.h"
#include "litesmith/run.h"
#include "litesmith/version.h"

int main(int argc, char** argv) {
  std::printf("litesmith %s\n", litesmith::Version());
  if (argc < 2) return 0;
  auto model = litesmith::Model::Load(argv[1]);
  if (!model.ok()) {
    std::fprintf(stderr, "%s\n", model.status().ToString().c_str());
    return 1;
  }
  auto session = litesmith::Session::Create(*model);
  if (!session.ok()) {
    std::fprintf(stderr, "%s\n", session.status().ToString().c_str());
    return 1;
  }
  std::vector<litesmith::NamedArray> inputs;
  for (const litesmith::TensorInfo& info : model->inputs()) {
    std::vector<int64_t> shape = info.shape;
    for (int64_t& d : shape) d = d < 0 ? 1 : d;
    inputs.push_back({info.name, litesmith::Array::Zeros(info.type, shape)});
  }
  auto outputs = session->Run(inputs);
  if (!outputs.ok()) {
    std::fprintf(stderr, "%s\n", outputs.status().ToString().c_str());
    return 1;
  }
  for (const litesmith::NamedArray& output : *outputs) {
    std::printf("%s %s\n", output.name.c_str(), litesmith::ShapeString(output.array.shape).c_str());
  }
  return 0;
}
