#include "import/keras/hdf5.h"

#include "base/bytes.h"
#include "import/keras/hdf5_format.h"

namespace litesmith {
namespace {

constexpr std::string_view kSignature("\x89HDF\r\n\x1a\n", 8);
constexpr size_t kMaxMessages = 1 << 16;
constexpr int kMaxTreeLevel = 32;

// Message types of an object header (specification, IV.A.2).
enum : uint16_t {
  kDataspace = 0x01,
  kLinkInfo = 0x02,
  kDatatype = 0x03,
  kLink = 0x06,
  kLayout = 0x08,
  kFilterPipeline = 0x0b,
  kAttribute = 0x0c,
  kContinuation = 0x10,
  kSymbolTable = 0x11,
  kAttributeInfo = 0x15,
};

bool HasSignature(std::span<const std::byte> bytes, uint64_t offset) {
  return offset <= bytes.size() && bytes.size() - offset >= kSignature.size() &&
         std::memcmp(bytes.data() + offset, kSignature.data(), kSignature.size()) == 0;
}

}  // namespace

bool LooksLikeHdf5(std::span<const std::byte> bytes) { return HasSignature(bytes, 0); }

const Hdf5Attribute* Hdf5Object::FindAttribute(std::string_view name) const {
  for (const Hdf5Attribute& attribute : attributes) {
    if (attribute.name == name) return &attribute;
  }
  return nullptr;
}

absl::StatusOr<std::unique_ptr<Hdf5File>> Hdf5File::Open(std::span<const std::byte> bytes,
                                                         uint64_t memory_budget) {
  std::unique_ptr<Hdf5File> file(new Hdf5File(bytes, memory_budget));
  LS_RETURN_IF_ERROR(file->ReadSuperblock());
  return file;
}

absl::Status Hdf5File::ReadSuperblock() {
  // A user block of 512 * 2^n bytes may stand before the superblock.
  uint64_t start = 0;
  while (!HasSignature(bytes_, start)) {
    start = start == 0 ? 512 : start * 2;
    if (start >= bytes_.size()) return Invalid("this is no HDF5 file: the signature is missing");
  }
  ByteReader in(bytes_.subspan(start));
  LS_RETURN_IF_ERROR(in.Skip(8));
  LS_ASSIGN_OR_RETURN(const uint8_t version, in.Read<uint8_t>());
  if (version > 3) return Damaged("superblock version {} is not known", version);
  LS_RETURN_IF_ERROR(in.Skip(version < 2 ? 4 : 0));
  LS_ASSIGN_OR_RETURN(const uint8_t offset_size, in.Read<uint8_t>());
  LS_ASSIGN_OR_RETURN(const uint8_t length_size, in.Read<uint8_t>());
  if (offset_size != 8 || length_size != 8) {
    return Damaged("offsets of {} and lengths of {} bytes are not supported (h5py writes 8)",
                   offset_size, length_size);
  }
  LS_RETURN_IF_ERROR(in.Skip(version == 0 ? 9 : version == 1 ? 13 : 1));
  LS_ASSIGN_OR_RETURN(const uint64_t base, in.Read<uint64_t>());
  LS_RETURN_IF_ERROR(in.Skip(8));
  LS_ASSIGN_OR_RETURN(const uint64_t end, in.Read<uint64_t>());
  if (version < 2) LS_RETURN_IF_ERROR(in.Skip(16));  // driver info, then the root entry's name
  LS_ASSIGN_OR_RETURN(root_, in.Read<uint64_t>());
  // The end counts from the start of the file, whatever the base is.
  if (base > bytes_.size() || end > bytes_.size()) {
    return Invalid("the file ends too early: it should have {} bytes and has {}; copy it again",
                   std::max(base, end), bytes_.size());
  }
  bytes_ = bytes_.subspan(base);
  return absl::OkStatus();
}

absl::Status Hdf5File::Charge(uint64_t bytes) {
  // Every structure is read once, data at most a few times; more means that they refer to each
  // other in circles.
  work_ += bytes;
  if (work_ > 16 * bytes_.size() + (uint64_t{1} << 20)) {
    return Damaged("its structures refer to each other endlessly");
  }
  return absl::OkStatus();
}

absl::Status Hdf5File::Allocate(uint64_t bytes) {
  if (bytes > memory_budget_ || allocated_ > memory_budget_ - bytes) {
    return absl::ResourceExhaustedError(
        fmt::format("the weights need more than the {} bytes of memory allowed", memory_budget_));
  }
  allocated_ += bytes;
  return absl::OkStatus();
}

absl::StatusOr<std::span<const std::byte>> Hdf5File::From(uint64_t address) const {
  if (address >= bytes_.size()) {
    return Damaged("address {:#x} lies beyond its end ({:#x})", address, bytes_.size());
  }
  return bytes_.subspan(address);
}

absl::StatusOr<std::span<const std::byte>> Hdf5File::At(uint64_t address, uint64_t size) {
  if (size > bytes_.size() || address > bytes_.size() - size) {
    return Damaged("{} bytes at address {:#x} lie beyond its end ({:#x})", size, address,
                   bytes_.size());
  }
  LS_RETURN_IF_ERROR(Charge(size));
  return bytes_.subspan(address, size);
}

absl::StatusOr<const Hdf5Object*> Hdf5File::ObjectAt(uint64_t address) {
  if (auto it = objects_.find(address); it != objects_.end()) return it->second.get();
  std::vector<Message> messages;
  LS_RETURN_IF_ERROR(ReadHeader(address, &messages));
  auto object = std::make_unique<Hdf5Object>();
  LS_RETURN_IF_ERROR(Interpret(messages, object.get()));
  return (objects_[address] = std::move(object)).get();
}

absl::StatusOr<const Hdf5Object*> Hdf5File::Find(const Hdf5Object& group, std::string_view path) {
  const Hdf5Object* object = &group;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    if (name.empty()) continue;
    const auto link = object->links.find(name);
    if (link == object->links.end()) return nullptr;
    LS_ASSIGN_OR_RETURN(object, ObjectAt(link->second));
  }
  return object;
}

// ---- Object headers
// ------------------------------------------------------------------------------------

absl::Status Hdf5File::ReadHeader(uint64_t address, std::vector<Message>* messages) {
  LS_ASSIGN_OR_RETURN(const auto head, From(address));
  if (head.size() < 16) return Damaged("the object header at {:#x} is cut off", address);
  LS_RETURN_IF_ERROR(Charge(16));
  if (std::memcmp(head.data(), "OHDR", 4) == 0) return ReadHeaderV2(head, address, messages);
  return ReadHeaderV1(head, address, messages);
}

absl::Status Hdf5File::ReadHeaderV1(std::span<const std::byte> head, uint64_t address,
                                    std::vector<Message>* messages) {
  if (LoadLE<uint8_t>(head.data()) != 1) {
    return Damaged("there is no object header at {:#x}", address);
  }
  size_t left = LoadLE<uint16_t>(head.data() + 2);
  struct Block {
    uint64_t address, size;
  };
  std::vector<Block> blocks = {{address + 16, LoadLE<uint32_t>(head.data() + 8)}};
  for (size_t b = 0; b < blocks.size(); ++b) {
    LS_ASSIGN_OR_RETURN(const auto block, At(blocks[b].address, blocks[b].size));
    ByteReader in(block);
    while (left > 0 && in.remaining() >= 8) {
      LS_ASSIGN_OR_RETURN(const uint16_t type, in.Read<uint16_t>());
      LS_ASSIGN_OR_RETURN(const uint16_t size, in.Read<uint16_t>());
      LS_ASSIGN_OR_RETURN(const uint8_t flags, in.Read<uint8_t>());
      LS_RETURN_IF_ERROR(in.Skip(3));
      LS_ASSIGN_OR_RETURN(const auto data, in.ReadBytes(size));
      --left;
      if (type == kContinuation && size >= 16) {
        blocks.push_back({LoadLE<uint64_t>(data.data()), LoadLE<uint64_t>(data.data() + 8)});
        LS_RETURN_IF_ERROR(Charge(16));
      } else {
        messages->push_back({type, flags, data});
      }
    }
  }
  return absl::OkStatus();
}

absl::Status Hdf5File::ReadHeaderV2(std::span<const std::byte> head, uint64_t address,
                                    std::vector<Message>* messages) {
  ByteReader in(head);
  LS_RETURN_IF_ERROR(in.Skip(4));
  LS_ASSIGN_OR_RETURN(const uint8_t version, in.Read<uint8_t>());
  LS_ASSIGN_OR_RETURN(const uint8_t flags, in.Read<uint8_t>());
  if (version != 2) return Damaged("object header version {} is not known", version);
  LS_RETURN_IF_ERROR(in.Skip((flags & 0x20 ? 16 : 0) + (flags & 0x10 ? 4 : 0)));
  LS_ASSIGN_OR_RETURN(uint64_t size, ReadUint(&in, 1u << (flags & 3)));
  struct Block {
    uint64_t address, size;
  };
  std::vector<Block> blocks = {{address + in.position(), size}};
  for (size_t b = 0; b < blocks.size(); ++b) {
    LS_ASSIGN_OR_RETURN(auto block, At(blocks[b].address, blocks[b].size));
    if (b > 0) {  // continuation blocks have a signature and a checksum
      if (block.size() < 8 || std::memcmp(block.data(), "OCHK", 4) != 0) {
        return Damaged("the object header at {:#x} has a broken continuation", address);
      }
      block = block.subspan(4, block.size() - 8);
    }
    ByteReader part(block);
    const size_t message_head = flags & 4 ? 6 : 4;
    while (part.remaining() >= message_head) {
      LS_ASSIGN_OR_RETURN(const uint8_t type, part.Read<uint8_t>());
      LS_ASSIGN_OR_RETURN(const uint16_t message_size, part.Read<uint16_t>());
      LS_ASSIGN_OR_RETURN(const uint8_t message_flags, part.Read<uint8_t>());
      if (flags & 4) LS_RETURN_IF_ERROR(part.Skip(2));
      LS_ASSIGN_OR_RETURN(const auto data, part.ReadBytes(message_size));
      if (type == kContinuation && message_size >= 16) {
        blocks.push_back({LoadLE<uint64_t>(data.data()), LoadLE<uint64_t>(data.data() + 8)});
        LS_RETURN_IF_ERROR(Charge(16));
      } else {
        messages->push_back({type, message_flags, data});
      }
    }
    if (messages->size() > kMaxMessages) {
      return Damaged("the object header at {:#x} has too many messages", address);
    }
  }
  return absl::OkStatus();
}

absl::Status Hdf5File::Interpret(const std::vector<Message>& messages, Hdf5Object* object) {
  bool has_type = false;
  for (const Message& m : messages) {
    // Flag 2: the content stands elsewhere (a committed datatype), which Keras never writes.
    if ((m.flags & 2) != 0 && (m.type == kDatatype || m.type == kDataspace)) {
      return Damaged("it uses committed datatypes, which are not supported");
    }
    switch (m.type) {
      case kDataspace:
        LS_RETURN_IF_ERROR(ReadSpace(m.data, &object->shape));
        break;
      case kDatatype:
        LS_RETURN_IF_ERROR(ReadType(m.data, &object->type));
        has_type = true;
        break;
      case kLayout:
        LS_RETURN_IF_ERROR(ReadLayout(m.data, object));
        object->is_dataset = true;
        break;
      case kFilterPipeline:
        LS_RETURN_IF_ERROR(ReadFilters(m.data, object));
        break;
      case kAttribute:
        LS_RETURN_IF_ERROR(ReadAttribute(m.data, object));
        break;
      case kSymbolTable:
        object->is_group = true;
        LS_RETURN_IF_ERROR(ReadSymbolTable(m.data, object));
        break;
      case kLink:
        object->is_group = true;
        LS_RETURN_IF_ERROR(ReadLink(m.data, object));
        break;
      case kLinkInfo:
      case kAttributeInfo: {
        ByteReader in(m.data);
        LS_RETURN_IF_ERROR(in.Skip(1));
        LS_ASSIGN_OR_RETURN(const uint8_t flags, in.Read<uint8_t>());
        const bool links = m.type == kLinkInfo;
        LS_RETURN_IF_ERROR(in.Skip(flags & 1 ? (links ? 8 : 2) : 0));
        LS_ASSIGN_OR_RETURN(const uint64_t heap, in.Read<uint64_t>());
        LS_ASSIGN_OR_RETURN(const uint64_t tree, in.Read<uint64_t>());
        if (links) object->is_group = true;
        if (heap != kUndefinedAddress && tree != kUndefinedAddress) {
          LS_RETURN_IF_ERROR(ReadDense(heap, tree, links, object));
        }
        break;
      }
      default:
        break;  // times, fill values, comments …: nothing that changes the numbers
    }
  }
  object->is_dataset = object->is_dataset && has_type;
  // Keras keeps bfloat16 as opaque pairs of bytes, with an attribute.
  const Hdf5Attribute* dtype = object->FindAttribute("dtype");
  if (object->is_dataset && object->type.is_bfloat16 && dtype != nullptr) {
    const auto name = ReadStrings(*dtype);
    if (name.ok() && name->size() == 1 && name->front() == "bfloat16") {
      object->type.kind = Hdf5Type::Kind::kFloat;
    }
  }
  return absl::OkStatus();
}

// ---- Groups
// --------------------------------------------------------------------------------------------

absl::Status Hdf5File::ReadSymbolTable(std::span<const std::byte> message, Hdf5Object* object) {
  ByteReader in(message);
  LS_ASSIGN_OR_RETURN(const uint64_t tree, in.Read<uint64_t>());
  LS_ASSIGN_OR_RETURN(const uint64_t heap, in.Read<uint64_t>());
  LS_ASSIGN_OR_RETURN(const auto head, At(heap, 32));
  if (std::memcmp(head.data(), "HEAP", 4) != 0) return Damaged("a group has no name heap");
  LS_ASSIGN_OR_RETURN(const auto names,
                      At(LoadLE<uint64_t>(head.data() + 24), LoadLE<uint64_t>(head.data() + 8)));
  return ReadSymbolNodes(tree, -1, names, object);
}

absl::Status Hdf5File::ReadSymbolNodes(uint64_t address, int level,
                                       std::span<const std::byte> names, Hdf5Object* object) {
  LS_ASSIGN_OR_RETURN(const auto head, At(address, 24));
  const int own_level = LoadLE<uint8_t>(head.data() + 5);
  if (std::memcmp(head.data(), "TREE", 4) != 0 || LoadLE<uint8_t>(head.data() + 4) != 0 ||
      own_level > kMaxTreeLevel || (level >= 0 && own_level != level)) {
    return Damaged("a group's B-tree is broken at {:#x}", address);
  }
  const size_t entries = LoadLE<uint16_t>(head.data() + 6);
  LS_ASSIGN_OR_RETURN(const auto body, At(address + 24, entries * 16));
  for (size_t i = 0; i < entries; ++i) {
    const auto child = LoadLE<uint64_t>(body.data() + i * 16 + 8);
    LS_RETURN_IF_ERROR(own_level > 0 ? ReadSymbolNodes(child, own_level - 1, names, object)
                                     : ReadSymbols(child, names, object));
  }
  return absl::OkStatus();
}

absl::Status Hdf5File::ReadSymbols(uint64_t address, std::span<const std::byte> names,
                                   Hdf5Object* object) {
  LS_ASSIGN_OR_RETURN(const auto head, At(address, 8));
  if (std::memcmp(head.data(), "SNOD", 4) != 0) {
    return Damaged("a group's symbol node is missing at {:#x}", address);
  }
  const size_t count = LoadLE<uint16_t>(head.data() + 6);
  LS_ASSIGN_OR_RETURN(const auto body, At(address + 8, count * 40));
  for (size_t i = 0; i < count; ++i) {
    const std::byte* entry = body.data() + i * 40;
    const auto name_offset = LoadLE<uint64_t>(entry);
    if (LoadLE<uint32_t>(entry + 16) == 2) continue;  // a symbolic link
    if (name_offset >= names.size()) return Damaged("a group's name lies outside its heap");
    const std::string_view name = UntilNull(names.subspan(name_offset));
    LS_RETURN_IF_ERROR(Charge(name.size()));
    object->links.emplace(name, LoadLE<uint64_t>(entry + 8));
  }
  return absl::OkStatus();
}

absl::Status Hdf5File::ReadLink(std::span<const std::byte> message, Hdf5Object* object) {
  ByteReader in(message);
  LS_RETURN_IF_ERROR(in.Skip(1));
  LS_ASSIGN_OR_RETURN(const uint8_t flags, in.Read<uint8_t>());
  uint8_t type = 0;
  if (flags & 8) {
    LS_ASSIGN_OR_RETURN(type, in.Read<uint8_t>());
  }
  LS_RETURN_IF_ERROR(in.Skip((flags & 4 ? 8 : 0) + (flags & 0x10 ? 1 : 0)));
  LS_ASSIGN_OR_RETURN(const uint64_t length, ReadUint(&in, 1u << (flags & 3)));
  LS_ASSIGN_OR_RETURN(const auto name, in.ReadBytes(length));
  if (type != 0) return absl::OkStatus();  // soft or external: nothing Keras stores behind them
  LS_ASSIGN_OR_RETURN(const uint64_t address, in.Read<uint64_t>());
  object->links.emplace(AsText(name), address);
  return absl::OkStatus();
}

}  // namespace litesmith
