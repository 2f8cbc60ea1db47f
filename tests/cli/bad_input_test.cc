// Every bad input of the specification: one line that names the file, the fault and the next step,
// exit 1, and nothing written.

#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include "data/npy.h"
#include "tests/cli/process.h"
#include "tests/testing.h"

namespace litesmith::testing {
namespace {

void WriteBytes(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

// A .npy with a header of one's own.
std::string Npy(const std::string& header, size_t data_bytes) {
  std::string padded = header;
  while ((10 + padded.size() + 1) % 64 != 0) padded += ' ';
  padded += '\n';
  std::string out = "\x93NUMPY";
  out += '\x01';
  out += '\0';
  out += static_cast<char>(padded.size() & 0xff);
  out += static_cast<char>(padded.size() >> 8);
  return out + padded + std::string(data_bytes, '\0');
}

class BadInput : public ::testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_SHARED();
    dir_ = TempDir();
    mnist_ = SharedDir() + "/golden/mnist/";
    float_ = mnist_ + "mnist_model_float32.tflite";
    int8_ = mnist_ + "mnist_model_quant_int8.tflite";
    keras_ = mnist_ + "mnist_cnn_model.keras";
    data_ = SharedDir() + "/data/mnist";
    out_ = dir_ + "/out.tflite";
  }

  std::string File(const std::string& name) const { return dir_ + "/" + name; }

  std::string FloatArray(const std::string& name, std::vector<int64_t> shape, float value) const {
    Array array = Array::Zeros(ElementType::kFloat32, std::move(shape));
    for (float& v : array.mutable_data<float>()) v = value;
    EXPECT_OK(WriteNpy(File(name), array));
    return File(name);
  }

  void ExpectRunFails(const std::string& model, const std::string& input,
                      const std::vector<std::string>& parts) const {
    ExpectError(RunProgram({"run", model, "--input", input, "--output-dir", File("results")}), 1,
                parts);
    EXPECT_FALSE(std::filesystem::exists(File("results")));
  }

  void ExpectCalibrationFails(const std::string& data,
                              const std::vector<std::string>& parts) const {
    ExpectError(RunProgram({"quantize", keras_, "-o", out_, "--recipe", "int8",
                            "--calibration-data", data}),
                1, parts);
    EXPECT_FALSE(std::filesystem::exists(out_));
  }

  std::string dir_, mnist_, float_, int8_, keras_, data_, out_;
};

TEST_F(BadInput, MissingModels) {
  const std::string missing = File("no.tflite");
  const std::string x = FloatArray("x.npy", {1, 28, 28, 1}, 0.0f);
  ExpectError(RunProgram({"convert", missing, "-o", out_}), 1, {missing, "no such file"});
  ExpectError(RunProgram({"quantize", missing, "-o", out_, "--recipe", "f16"}), 1, {missing});
  ExpectError(RunProgram({"inspect", missing}), 1, {missing});
  ExpectError(RunProgram({"evaluate", missing, "--data", data_}), 1, {missing});
  ExpectError(RunProgram({"benchmark", missing}), 1, {missing});
  ExpectRunFails(missing, x, {missing});
  ExpectRunFails(float_, File("no.npy"), {File("no.npy"), "no such file"});
}

TEST_F(BadInput, BenchmarkNeedsAModelOneWayOrTheOther) {
  ExpectError(RunProgram({"benchmark"}), 2, {"MODEL", "--graph MODEL", "benchmark --help"});
}

TEST_F(BadInput, LitertsLibrary) {
  ExpectError(RunProgram({"benchmark", int8_, "--runtime", "litert", "--litert-library",
                          File("libLiteRt.so")}),
              1, {File("libLiteRt.so"), "pip install", "LITERT_LIBRARY"});
  ExpectError(RunProgram({"run", int8_, "--runtime", "litert", "--litert-library", float_}), 1,
              {float_, "pip install"});
}

TEST_F(BadInput, InspectsJsonStandsWhereItLikes) {
  const std::string printed = RunProgram({"inspect", int8_, "--json"}).out;
  EXPECT_EQ(RunProgram({"inspect", "--json", int8_}).out, printed);
  EXPECT_EQ(RunProgram({"inspect", int8_, "--json", "-"}).out, printed);
  EXPECT_EQ(RunProgram({"inspect", "--json=-", int8_}).out, printed);
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"inspect", int8_, "--json", File("a.json")},
                                             {"inspect", "--json", File("b.json"), int8_},
                                             {"inspect", int8_, "--json=" + File("c.json")}}) {
    EXPECT_EQ(RunProgram(words).exit_code, 0) << words[1];
  }
  for (const char* name : {"a.json", "b.json", "c.json"}) {
    EXPECT_EQ(ReadText(File(name)), printed) << name;
  }
}

TEST_F(BadInput, EmptyFiles) {
  for (const char* name : {"e.tflite", "e.keras", "e.h5"}) {
    WriteBytes(File(name), "");
    ExpectError(RunProgram({"convert", File(name), "-o", out_}), 1, {File(name), "empty"});
  }
  WriteBytes(File("e.npy"), "");
  ExpectRunFails(float_, File("e.npy"), {File("e.npy"), "empty"});
}

TEST_F(BadInput, TruncatedModels) {
  for (const char* name :
       {"mnist_model_quant_int8.tflite", "mnist_cnn_model.keras", "mnist_cnn_model.h5"}) {
    const std::string whole = ReadText(mnist_ + name);
    for (size_t eighths : {1, 3, 5, 7}) {
      WriteBytes(File(name), whole.substr(0, whole.size() * eighths / 8));
      ExpectError(RunProgram({"convert", File(name), "-o", out_}), 1, {File(name)});
      EXPECT_FALSE(std::filesystem::exists(out_));
    }
  }
}

TEST_F(BadInput, WrongHeader) {
  std::string bytes = ReadText(float_);
  bytes[4] = 'X';
  WriteBytes(File("x.tflite"), bytes);
  ExpectError(RunProgram({"inspect", File("x.tflite")}), 1, {File("x.tflite"), "format"});
}

TEST_F(BadInput, FolderWithoutModels) {
  ExpectError(RunProgram({"evaluate", dir_, "--data", data_}), 1, {dir_, ".tflite"});
  ExpectError(RunProgram({"benchmark", dir_}), 1, {dir_, ".tflite"});
}

TEST_F(BadInput, ArraysOfTheWrongKind) {
  const std::string shape = "'shape': (1, 28, 28, 1), }";
  const std::string x = File("x.npy");
  WriteBytes(x, Npy("{'descr': '<f8', 'fortran_order': False, " + shape, 8 * 784));
  ExpectRunFails(float_, x, {"FLOAT32", "FLOAT64"});
  WriteBytes(x, Npy("{'descr': '<f4', 'fortran_order': True, " + shape, 4 * 784));
  ExpectRunFails(float_, x, {x, "Fortran"});
  WriteBytes(x, Npy("{'descr': '>f4', 'fortran_order': False, " + shape, 4 * 784));
  ExpectRunFails(float_, x, {x, "endian"});
  WriteBytes(x, Npy("{'descr': '|O', 'fortran_order': False, " + shape, 4 * 784));
  ExpectRunFails(float_, x, {x, "pickle"});
  WriteBytes(x, Npy("{'descr': '<f4', 'fortran_order': False, " + shape, 4 * 700));
  ExpectRunFails(float_, x, {x});
  ExpectRunFails(float_, FloatArray("s.npy", {1, 28, 27, 1}, 0.0f),
                 {"[-1, 28, 28, 1]", "[1, 28, 27, 1]"});
}

TEST_F(BadInput, FloatsForAnIntegerInput) {
  ExpectRunFails(int8_, FloatArray("x.npy", {1, 28, 28, 1}, 0.5f),
                 {int8_, "INT8", "FLOAT32", "--quantize-input"});
}

TEST_F(BadInput, InputNames) {
  const std::string x = FloatArray("x.npy", {1, 28, 28, 1}, 0.5f);
  ExpectError(RunProgram({"run", float_, "--input", "wrong=" + x}), 1, {"wrong"});
  ExpectError(RunProgram({"run", float_, "--input", x, "--input", x}), 1, {"2 inputs"});
}

TEST_F(BadInput, FixedBatchNamesTheShape) {
  const std::string model = SharedDir() + "/golden/ops/conv2d_3x3_same_relu/float32.tflite";
  if (!std::filesystem::exists(model)) GTEST_SKIP() << "skipped: no golden case";
  const RunResult inspect = RunProgram({"inspect", model, "--json"});
  const nlohmann::json input = ParseJson(inspect.out)["inputs"][0];
  std::vector<int64_t> shape = input["shape"];
  if (shape[0] < 0) GTEST_SKIP() << "skipped: the batch is open";
  shape[0] += 4;
  ExpectRunFails(model, FloatArray("x.npy", shape, 0.0f), {ShapeString(shape)});
}

TEST_F(BadInput, CalibrationData) {
  ExpectError(RunProgram({"quantize", keras_, "-o", out_, "--recipe", "int8"}), 1,
              {keras_, "--calibration-data"});
  ExpectCalibrationFails(File("no.npy"), {File("no.npy"), "no such file"});
  ExpectCalibrationFails(FloatArray("none.npy", {0, 28, 28, 1}, 0.0f), {File("none.npy")});
  ExpectCalibrationFails(FloatArray("shape.npy", {10, 28, 27, 1}, 0.0f),
                         {File("shape.npy"), "28, 27"});
  ExpectCalibrationFails(
      FloatArray("nan.npy", {10, 28, 28, 1}, std::numeric_limits<float>::quiet_NaN()),
      {File("nan.npy"), "NaN"});
  ExpectCalibrationFails(FloatArray("constant.npy", {10, 28, 28, 1}, 0.0f), {File("constant.npy")});
  std::filesystem::create_directory(File("empty"));
  ExpectCalibrationFails(File("empty"), {File("empty")});
}

TEST_F(BadInput, UnknownRecipe) {
  ExpectError(RunProgram({"quantize", keras_, "-o", out_, "--recipe", "int3"}), 1,
              {"int3", "int8", "float16"});
}

// A .npz from Python's zipfile would do; here a labelled IDX set of our own.
class BadLabels : public BadInput {
 protected:
  void WriteIdx(unsigned char label) const {
    std::string images("\0\0\x08\x03\0\0\0\x02\0\0\0\x1c\0\0\0\x1c", 16);
    images += std::string(2 * 784, '\x10');
    std::string labels("\0\0\x08\x01\0\0\0\x02\x01", 9);
    labels += static_cast<char>(label);
    WriteBytes(File("t10k-images-idx3-ubyte"), images);
    WriteBytes(File("t10k-labels-idx1-ubyte"), labels);
  }
};

TEST_F(BadLabels, BeyondTheOutputs) {
  WriteIdx(10);
  ExpectError(RunProgram({"evaluate", float_, "--data", dir_}), 1, {float_, "label 10", "0 to 9"});
  WriteIdx(9);
  EXPECT_EQ(RunProgram({"evaluate", float_, "--data", dir_}).exit_code, 0);
}

TEST_F(BadLabels, ClassCountIsNotTheOutputs) {
  WriteIdx(9);
  WriteBytes(File("labels.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\n");
  ExpectError(RunProgram({"evaluate", float_, "--data", dir_, "--labels", File("labels.txt")}), 1,
              {"11 classes", "10 outputs"});
}

TEST_F(BadLabels, MissingSplit) {
  WriteIdx(9);
  ExpectError(RunProgram({"evaluate", float_, "--data", dir_, "--split", "val"}), 1,
              {dir_, "val", "--split"});
}

TEST_F(BadLabels, NoLabelsAndNoTargets) {
  const std::string x = FloatArray("x.npy", {2, 28, 28, 1}, 0.5f);
  ExpectError(RunProgram({"evaluate", float_, "--data", x}), 1, {"labels"});
  ExpectError(RunProgram({"evaluate", float_, "--data", x, "--metric", "mse"}), 1, {"targets"});
}

TEST_F(BadInput, OutputIsTheInput) {
  const std::string copy = File("m.tflite");
  std::filesystem::copy_file(float_, copy);
  const std::string before = ReadText(copy);
  ExpectError(RunProgram({"convert", copy, "-o", copy}), 1, {copy, "input"});
  ExpectError(RunProgram({"quantize", copy, "-o", copy, "--recipe", "f16"}), 1, {copy, "input"});
  std::filesystem::create_symlink(copy, File("link.tflite"));
  ExpectError(RunProgram({"convert", copy, "-o", File("link.tflite")}), 1, {"link.tflite"});
  ExpectError(RunProgram({"evaluate", copy, "--data", data_, "--json", copy}), 1, {copy});
  ExpectError(RunProgram({"inspect", copy, "--json=" + copy}), 1, {copy});
  EXPECT_EQ(ReadText(copy), before);
  const std::string x = FloatArray("out0.npy", {1, 28, 28, 1}, 0.5f);
  ExpectError(RunProgram({"run", float_, "--input", x, "--output-dir", dir_}), 1, {x});
}

TEST_F(BadInput, UnwritableOutput) {
  ExpectError(RunProgram({"convert", keras_, "-o", File("no/such/folder.tflite")}), 1,
              {"folder.tflite", "does not exist"});
  ExpectError(RunProgram({"convert", keras_, "-o", dir_}), 1, {dir_, "folder"});
  WriteBytes(File("plain"), "x");
  ExpectError(RunProgram({"convert", keras_, "-o", File("plain/out.tflite")}), 1, {"plain"});
  ExpectError(RunProgram({"convert", keras_, "-o", "/proc/out.tflite"}), 1, {"/proc/out.tflite"});
  ExpectError(RunProgram({"evaluate", float_, "--data", data_, "--json", "/nowhere/r.json"}), 1,
              {"/nowhere/r.json"});
  ExpectError(RunProgram({"demo", "--output", File("plain"), "--epochs", "1"}), 1, {"plain"});
}

TEST_F(BadInput, FullDisk) {
  RunOptions full;
  full.file_size_limit = 4096;
  ExpectError(RunProgram({"convert", keras_, "-o", out_}, full), 1, {out_, "cannot write"});
  EXPECT_FALSE(std::filesystem::exists(out_));
  ExpectError(RunProgram({"quantize", keras_, "-o", out_, "--recipe", "f16"}, full), 1, {out_});
  EXPECT_EQ(ListFolder(dir_), std::vector<std::string>{});
  RunOptions pipe;
  pipe.stdout_to = "/dev/full";
  const RunResult result = RunProgram({"inspect", float_}, pipe);
  ExpectError(result, 1, {"standard output", "cannot write"});
}

TEST_F(BadInput, PicturesThatAreNone) {
  WriteBytes(File("p.png"), std::string("\x89PNG\r\n\x1a\n") + std::string(40, 'x'));
  ExpectRunFails(float_, File("p.png"), {File("p.png")});
  WriteBytes(File("p.jpg"), "\xff\xd8\xff not a picture");
  ExpectRunFails(float_, File("p.jpg"), {File("p.jpg")});
}

}  // namespace
}  // namespace litesmith::testing
