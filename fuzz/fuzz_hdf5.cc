// The HDF5 reader: every object, attribute and dataset that can be reached.

#include <set>

#include "import/keras/hdf5.h"

namespace {

void Walk(litesmith::Hdf5File& file, const litesmith::Hdf5Object& object, int depth,
          std::set<const litesmith::Hdf5Object*>* seen) {
  if (depth > 8 || !seen->insert(&object).second) return;
  for (const litesmith::Hdf5Attribute& attribute : object.attributes) {
    (void)file.ReadStrings(attribute);
  }
  if (object.is_dataset) (void)file.ReadFloats(object);
  for (const auto& [name, address] : object.links) {
    const auto child = file.Find(object, name);
    if (child.ok() && *child != nullptr) Walk(file, **child, depth + 1, seen);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto file = litesmith::Hdf5File::Open(bytes, uint64_t{64} << 20);
  if (!file.ok()) return 0;
  const auto root = (*file)->Root();
  std::set<const litesmith::Hdf5Object*> seen;
  if (root.ok()) Walk(**file, **root, 0, &seen);
  return 0;
}
