#ifndef LITESMITH_IMPORT_SAVED_MODEL_BUNDLE_H_
#define LITESMITH_IMPORT_SAVED_MODEL_BUNDLE_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "import/saved_model/table.h"
#include "ir/graph.h"
#include "saved_model.pb.h"

namespace litesmith::saved_model {

// The bytes of shard `index` of `count`; they must stay valid as long as the bundle.
using OpenShard =
    std::function<absl::StatusOr<std::span<const std::byte>>(int32_t index, int32_t count)>;

struct StoredTensor {
  TensorType type = schema::TensorType_FLOAT32;
  Shape shape;
  Blob data;
};

// The values of a checkpoint: an index and its data shards. Untrusted. Errors do not name files.
class Bundle {
 public:
  // No checkpoint: every Find fails.
  Bundle() = default;
  static absl::StatusOr<Bundle> Open(std::span<const std::byte> index, OpenShard open_shard,
                                     uint64_t memory_budget);

  bool Has(std::string_view key) const { return entries_.find(key) != entries_.end(); }

  // The tensor under `key`, with its checksum checked.
  absl::StatusOr<StoredTensor> Read(std::string_view key);

  // Which object owns which key, as the checkpoint itself tells it; empty where it does not.
  absl::StatusOr<proto::TrackableObjectGraph> Objects();

 private:
  absl::StatusOr<std::span<const std::byte>> Content(const proto::BundleEntry& entry);
  absl::StatusOr<proto::BundleEntry> Entry(std::string_view key) const;

  TableEntries entries_;
  OpenShard open_shard_;
  uint64_t memory_budget_ = 0;
  std::vector<std::span<const std::byte>> shards_;  // empty until opened
};

}  // namespace litesmith::saved_model

#endif  // LITESMITH_IMPORT_SAVED_MODEL_BUNDLE_H_
