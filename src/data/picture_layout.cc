#include "data/picture_layout.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace litesmith {
namespace {

constexpr std::array<std::string_view, 8> kSplitNames = {
    "train", "training", "test", "testing", "validation", "val", "eval", "calibration"};

std::vector<std::string_view> FoldersOf(std::string_view name) {
  std::vector<std::string_view> out;
  for (size_t slash = name.find('/'); slash != std::string_view::npos; slash = name.find('/')) {
    out.push_back(name.substr(0, slash));
    name.remove_prefix(slash + 1);
  }
  return out;
}

// The sorted distinct values of column `k` and of `more`, and each row's index among them.
std::vector<std::string> Distinct(const std::vector<std::vector<std::string_view>>& rows, size_t k,
                                  std::vector<std::string> more, std::vector<int32_t>* index) {
  std::vector<std::string> values = std::move(more);
  for (const auto& row : rows) {
    // Neighbours mostly agree: this keeps the list short before it is sorted.
    if (values.empty() || values.back() != row[k]) values.emplace_back(row[k]);
  }
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  for (const auto& row : rows) {
    index->push_back(static_cast<int32_t>(std::lower_bound(values.begin(), values.end(), row[k]) -
                                          values.begin()));
  }
  return values;
}

// The names in column `k` of folders that lie beside those of the pictures, in their wrapping and
// in one of the splits.
std::vector<std::string> FoldersBeside(const std::vector<std::string>& folders,
                                       const std::vector<std::string_view>& row, size_t k,
                                       const std::vector<std::string>& splits) {
  std::vector<std::string> out;
  const size_t wrapping = splits.empty() ? k : k - 1;
  for (const std::string& folder : folders) {
    const size_t slash = folder.rfind('/');
    const std::string_view last =
        std::string_view(folder).substr(slash == std::string::npos ? 0 : slash + 1);
    std::vector<std::string_view> above = FoldersOf(folder);
    if (above.size() != k || last.starts_with('.') || last == "__MACOSX") continue;
    if (!std::equal(above.begin(), above.begin() + static_cast<ptrdiff_t>(wrapping), row.begin())) {
      continue;
    }
    if (!splits.empty() && !std::binary_search(splits.begin(), splits.end(), above[wrapping])) {
      continue;
    }
    out.emplace_back(last);
  }
  return out;
}

}  // namespace

bool IsSplitName(std::string_view name) {
  return std::find(kSplitNames.begin(), kSplitNames.end(), name) != kSplitNames.end();
}

bool IsPictureName(std::string_view name) {
  for (std::string_view folder : FoldersOf(name)) {
    if (folder.starts_with('.') || folder == "__MACOSX") return false;
  }
  std::string file(name.substr(name.rfind('/') + 1));  // npos + 1 is 0
  if (file.starts_with('.')) return false;
  std::transform(file.begin(), file.end(), file.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return file.ends_with(".jpg") || file.ends_with(".jpeg") || file.ends_with(".png");
}

absl::StatusOr<PictureLayout> FindPictureLayout(const std::vector<std::string>& names,
                                                const std::vector<std::string>& folders,
                                                const std::string& asked) {
  std::vector<std::vector<std::string_view>> rows;
  for (const std::string& name : names) {
    rows.push_back(FoldersOf(name));
    if (rows.back().size() != rows[0].size()) {
      return Invalid(
          "pictures lie at different depths ('{}' and '{}'); arrange them as SPLIT/CLASS/picture",
          Printable(names[0]), Printable(name));
    }
  }
  const size_t depth = rows[0].size();
  PictureLayout layout;
  layout.places.resize(names.size());
  size_t first = 0;  // folders before it only wrap
  const auto common = [&](size_t k) {
    return std::all_of(rows.begin(), rows.end(),
                       [&](const auto& row) { return row[k] == rows[0][k]; });
  };
  while (depth - first > 2 && common(first)) ++first;
  if (depth - first > 2) {
    return Invalid("pictures lie too deep ('{}'); arrange them as SPLIT/CLASS/picture",
                   Printable(names[0]));
  }
  if (depth - first == 2 && common(first) && !IsSplitName(rows[0][first]) &&
      rows[0][first] != asked) {
    ++first;
  }
  std::vector<int32_t> index;
  if (depth - first == 2) {
    layout.splits = Distinct(rows, first, {}, &index);
    for (size_t i = 0; i < names.size(); ++i) layout.places[i].split = index[i];
    ++first;
  }
  if (depth - first == 1) {
    const bool only_splits = layout.splits.empty() &&
                             std::all_of(rows.begin(), rows.end(),
                                         [&](const auto& row) { return IsSplitName(row[first]); });
    std::vector<std::string> empty;
    if (!only_splits) empty = FoldersBeside(folders, rows[0], first, layout.splits);
    index.clear();
    std::vector<std::string> values = Distinct(rows, first, std::move(empty), &index);
    for (size_t i = 0; i < names.size(); ++i) {
      (only_splits ? layout.places[i].split : layout.places[i].label) = index[i];
    }
    (only_splits ? layout.splits : layout.classes) = std::move(values);
  }
  return layout;
}

}  // namespace litesmith
