#ifndef LITESMITH_DATA_PICTURE_LAYOUT_H_
#define LITESMITH_DATA_PICTURE_LAYOUT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace litesmith {

// True for names that end in .jpg, .jpeg or .png (in any case), of which no part is hidden (.x,
// __MACOSX).
bool IsPictureName(std::string_view relative_name);

// Names that folders and archives of a split have: train, test, val …
bool IsSplitName(std::string_view name);

// What the folders of a set of pictures mean. Names are relative with '/'.
//   picture                no split, no classes
//   CLASS/picture          classes; or splits without classes, where all folders have names of
//   splits (train,
//                          test, val, validation, eval)
//   SPLIT/CLASS/picture    both; where there is one first folder whose name is none of a split's
//   and not
//                          `asked`, it is only the wrapping of CLASS/picture
// An empty folder among those of classes is a class.
// Folders that wrap everything else are passed over. Classes are numbered in the order of their
// names over all splits.
struct PictureLayout {
  std::vector<std::string> splits;   // sorted; empty: no splits
  std::vector<std::string> classes;  // sorted; empty: no classes
  struct Place {
    int32_t split = -1;
    int32_t label = -1;
  };
  std::vector<Place> places;  // of each name
};

// `folders`: those without content. An error where pictures lie at different depths.
// REQUIRES: names is not empty.
absl::StatusOr<PictureLayout> FindPictureLayout(const std::vector<std::string>& names,
                                                const std::vector<std::string>& folders,
                                                const std::string& asked);

}  // namespace litesmith

#endif  // LITESMITH_DATA_PICTURE_LAYOUT_H_
