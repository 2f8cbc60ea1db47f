#include "import/saved_model/bundle.h"

#include "base/bytes.h"
#include "import/saved_model/types.h"

namespace litesmith::saved_model {
namespace {

constexpr std::string_view kObjectGraph = "_CHECKPOINTABLE_OBJECT_GRAPH";
constexpr int32_t kMostShards = 1 << 16;

template <typename T>
bool Parse(std::span<const std::byte> bytes, T* message) {
  return bytes.size() <= INT32_MAX &&
         message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

}  // namespace

absl::StatusOr<Bundle> Bundle::Open(std::span<const std::byte> index, OpenShard open_shard,
                                    uint64_t memory_budget) {
  Bundle bundle;
  LS_ASSIGN_OR_RETURN(bundle.entries_, ReadTable(index, memory_budget));
  bundle.open_shard_ = std::move(open_shard);
  bundle.memory_budget_ = memory_budget;
  const auto header = bundle.entries_.find("");
  proto::BundleHeader message;
  if (header == bundle.entries_.end() || !Parse(header->second, &message)) {
    return Invalid("the index has no header; save the model again");
  }
  if (message.endianness() != 0) {
    return Unsupported("the variables are big-endian; save the model on a little-endian machine");
  }
  if (message.num_shards() < 1 || message.num_shards() > kMostShards) {
    return Invalid("the index speaks of {} shards; save the model again", message.num_shards());
  }
  bundle.shards_.resize(static_cast<size_t>(message.num_shards()));
  return bundle;
}

absl::StatusOr<proto::BundleEntry> Bundle::Entry(std::string_view key) const {
  const auto found = entries_.find(key);
  proto::BundleEntry entry;
  if (found == entries_.end()) {
    return Invalid("the checkpoint has no '{}'; save the model again", Printable(key));
  }
  if (!Parse(found->second, &entry)) {
    return Invalid("its entry '{}' is damaged; save the model again", Printable(key));
  }
  return entry;
}

absl::StatusOr<std::span<const std::byte>> Bundle::Content(const proto::BundleEntry& entry) {
  const auto shard_id = static_cast<size_t>(entry.shard_id());
  if (entry.shard_id() < 0 || shard_id >= shards_.size()) {
    return Invalid("it lies in shard {} of {}; save the model again", entry.shard_id(),
                   shards_.size());
  }
  if (shards_[shard_id].empty()) {
    LS_ASSIGN_OR_RETURN(shards_[shard_id],
                        open_shard_(entry.shard_id(), static_cast<int32_t>(shards_.size())));
  }
  const std::span<const std::byte> shard = shards_[shard_id];
  if (entry.offset() < 0 || entry.size() < 0 ||
      static_cast<uint64_t>(entry.offset()) > shard.size() ||
      static_cast<uint64_t>(entry.size()) > shard.size() - static_cast<uint64_t>(entry.offset())) {
    return Invalid("it lies beyond the end of its shard; copy all of the model's folder again");
  }
  return shard.subspan(static_cast<size_t>(entry.offset()), static_cast<size_t>(entry.size()));
}

absl::StatusOr<StoredTensor> Bundle::Read(std::string_view key) {
  LS_ASSIGN_OR_RETURN(const proto::BundleEntry entry, Entry(key));
  const std::string where = fmt::format("variable '{}'", Printable(key));
  if (entry.slices_size() > 0) {
    return Unsupported("{} is stored in slices; save the model without partitioned variables",
                       where);
  }
  StoredTensor out;
  LS_ASSIGN_OR_RETURN_IN(out.type, DenseType(entry.dtype()), where);
  LS_ASSIGN_OR_RETURN_IN(out.shape, ReadShape(entry.shape(), false), where);
  LS_ASSIGN_OR_RETURN_IN(const auto content, Content(entry), where);
  LS_ASSIGN_OR_RETURN_IN(const size_t bytes, TensorBytes(out.type, out.shape), where);
  if (bytes != content.size()) {
    return Invalid("{} has {} bytes where its shape needs {}; save the model again", where,
                   content.size(), bytes);
  }
  if (bytes > memory_budget_) {
    return absl::ResourceExhaustedError(
        fmt::format("{} needs more than the {} bytes of memory allowed", where, memory_budget_));
  }
  if (MaskCrc(Crc32c(content)) != entry.crc32c()) {
    return Invalid("{} is damaged (its checksum differs); copy all of the model's folder again",
                   where);
  }
  if (bytes > 0) out.data = Blob::Copy(content);
  return out;
}

// A scalar string is stored as its length, four bytes of checksum of the length, and the bytes.
absl::StatusOr<proto::TrackableObjectGraph> Bundle::Objects() {
  proto::TrackableObjectGraph graph;
  if (!Has(kObjectGraph)) return graph;
  LS_ASSIGN_OR_RETURN(const proto::BundleEntry entry, Entry(kObjectGraph));
  LS_ASSIGN_OR_RETURN_IN(std::span<const std::byte> content, Content(entry), "the object graph");
  uint64_t length = 0;
  unsigned shift = 0;
  bool ended = false;
  while (!ended && !content.empty() && shift < 64) {
    length |= (static_cast<uint64_t>(content.front()) & 127) << shift;
    ended = static_cast<uint8_t>(content.front()) < 128;
    content = content.subspan(1);
    shift += 7;
  }
  if (!ended || content.size() < 4 || content.size() - 4 != length ||
      length > memory_budget_ / 48 || !Parse(content.subspan(4), &graph)) {
    return Invalid("the object graph of the checkpoint is damaged; save the model again");
  }
  return graph;
}

}  // namespace litesmith::saved_model
