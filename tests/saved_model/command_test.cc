// SavedModels on the command line.

#include <cstdlib>

#include "base/file.h"
#include "import/import.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using ::testing::HasSubstr;

int Execute(const std::string& arguments, const std::string& errors) {
  const std::string command = testing::Program() + " " + arguments + " > /dev/null 2> " + errors;
  return std::system(command.c_str());
}

TEST(SavedModelCommand, ConvertAndQuantize) {
  const std::string folder = testing::TempDir();
  const std::string out = folder + "/out.tflite", errors = folder + "/errors.txt";
  const std::string model = testing::SourceDir() + "/tests/saved_model/data/two_signatures";
  ASSERT_EQ(Execute("convert " + model + " -o " + out, errors), 0);
  ASSERT_OK_AND_ASSIGN(const Graph graph, ImportModel(out, {}, Context()));
  EXPECT_EQ(OutputName(graph, 0), "y");
  ASSERT_EQ(Execute("convert " + model + " -o " + out + " --signature hidden", errors), 0);
  ASSERT_OK_AND_ASSIGN(const Graph other, ImportModel(out, {}, Context()));
  EXPECT_EQ(other.signatures[0].key, "hidden");
  EXPECT_EQ(OutputName(other, 0), "h");
  for (const char* more : {" --recipe float16", " --recipe float16 --signature hidden"}) {
    ASSERT_EQ(Execute("quantize " + model + " -o " + out + more, errors), 0) << more;
    EXPECT_OK(ImportModel(out, {}, Context()));
  }
  EXPECT_NE(Execute("convert " + model + " -o " + out + " --signature nothing", errors), 0);
  ASSERT_OK_AND_ASSIGN(const auto text, FileBytes::Open(errors));
  EXPECT_THAT(
      std::string(reinterpret_cast<const char*>(text->bytes().data()), text->bytes().size()),
      HasSubstr("there is no signature 'nothing'; there are: hidden, serving_default"));
}

}  // namespace
}  // namespace litesmith
