#include "litesmith/data_tools.h"

#include "data/download.h"
#include "data/synthetic.h"

namespace litesmith {

absl::Status WriteSyntheticDigits(const std::string& folder, int64_t train_count,
                                  int64_t test_count, uint64_t seed, const Context& context) {
  if (train_count < 1 || test_count < 1) {
    return Invalid("{} training and {} test digits; at least one of each is needed", train_count,
                   test_count);
  }
  return WriteSyntheticIdx(folder, train_count, test_count, seed, context);
}

absl::Status DownloadMnist(const std::string& folder, const std::string& url,
                           const Context& context) {
  std::vector<std::string> urls;
  if (!url.empty()) urls.push_back(url.ends_with("/") ? url : url + "/");
  return DownloadMnist(folder, urls, context);
}

}  // namespace litesmith
