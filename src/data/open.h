#ifndef LITESMITH_DATA_OPEN_H_
#define LITESMITH_DATA_OPEN_H_

// What the makers of data sets share; users call OpenDataset (dataset.h).

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "data/dataset.h"

namespace litesmith {

// The split to use of those present: the one asked for; the only one; else "test" for evaluation
// and "train" for the other uses. An error lists what there is. REQUIRES: present is not empty.
absl::StatusOr<std::string> PickSplit(const std::vector<std::string>& present,
                                      const std::string& asked, DataUse use);

// The names in a labels file, one a line; blank lines at the end are no names. Errors name the
// path.
absl::StatusOr<std::vector<std::string>> ReadLabelsFile(const std::string& path);

// The names that the options give: the labels file's, else the noted ones, else none.
absl::StatusOr<std::vector<std::string>> GivenClassNames(const DatasetOptions& options);

// What the options say for pixels; unset: 0 and 255 (Normalizer::ForPixels).
Preprocessing PixelPreprocessing(const DatasetOptions& options);

// The one picture input of the model (or null: no model), or why it cannot take a picture.
absl::StatusOr<const InputSpec*> PictureInput(const std::vector<InputSpec>& inputs);

// "input 'x'" or "input 0".
std::string InputLabel(const InputSpec& spec, size_t position);

// "no sample 12: there are 10".
absl::Status CheckSampleIndex(int64_t i, int64_t size);

// Makes *array an array of that type and shape; its memory is reused where it fits.
void Reshape(ElementType type, const std::vector<int64_t>& shape, Array* array);

// A .npy ([samples, ...], unlabelled) or .npz data set; `path` names it in messages.
absl::StatusOr<std::unique_ptr<Dataset>> OpenNpyDataset(const std::string& path,
                                                        const DatasetOptions& options,
                                                        const std::vector<InputSpec>& inputs,
                                                        const Context& context);
absl::StatusOr<std::unique_ptr<Dataset>> OpenNpzDataset(const std::string& path,
                                                        const DatasetOptions& options,
                                                        const std::vector<InputSpec>& inputs,
                                                        const Context& context);

// Pictures in a folder, a .tar or a .tar.gz; see dataset.h for the layouts.
absl::StatusOr<std::unique_ptr<Dataset>> OpenPictureFolder(const std::string& path,
                                                           const DatasetOptions& options,
                                                           DataUse use,
                                                           const std::vector<InputSpec>& inputs,
                                                           const Context& context);
absl::StatusOr<std::unique_ptr<Dataset>> OpenPictureArchive(const std::string& path,
                                                            const DatasetOptions& options,
                                                            DataUse use,
                                                            const std::vector<InputSpec>& inputs,
                                                            const Context& context);

}  // namespace litesmith

#endif  // LITESMITH_DATA_OPEN_H_
