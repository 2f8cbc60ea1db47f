#include "data/gzip.h"

#include <zlib.h>

#include <algorithm>

namespace litesmith {

struct GzipStream::State {
  z_stream z = {};
  size_t fed = 0;  // packed bytes handed to zlib
  bool ready = false;
  bool ended = false;
};

bool LooksLikeGzip(std::span<const std::byte> bytes) {
  return bytes.size() >= 3 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b} &&
         bytes[2] == std::byte{8};
}

GzipStream::GzipStream(std::span<const std::byte> packed)
    : state_(std::make_unique<State>()), packed_(packed) {
  // 15 bits of window, and 16 for gzip's header and trailer.
  state_->ready = inflateInit2(&state_->z, 15 + 16) == Z_OK;
}

GzipStream::~GzipStream() {
  if (state_->ready) inflateEnd(&state_->z);
}

void GzipStream::Rewind() {
  inflateReset(&state_->z);
  state_->z.avail_in = 0;
  state_->fed = 0;
  state_->ended = false;
  position_ = 0;
}

absl::StatusOr<size_t> GzipStream::Read(std::span<std::byte> out) {
  constexpr size_t kLargest = 1 << 30;  // zlib counts in 32 bits
  State& s = *state_;
  if (!s.ready) return absl::ResourceExhaustedError("no memory to unpack gzip");
  size_t done = 0;
  while (done < out.size() && !s.ended) {
    if (s.z.avail_in == 0) {
      const size_t feed = std::min(packed_.size() - s.fed, kLargest);
      s.z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed_.data() + s.fed));
      s.z.avail_in = static_cast<uInt>(feed);
      s.fed += feed;
    }
    const size_t room = std::min(out.size() - done, kLargest);
    s.z.next_out = reinterpret_cast<Bytef*>(out.data() + done);
    s.z.avail_out = static_cast<uInt>(room);
    const int result = inflate(&s.z, Z_NO_FLUSH);
    const size_t made = room - s.z.avail_out;
    done += made;
    position_ += made;
    if (result == Z_STREAM_END) {
      // Zeros after the last member are padding.
      const auto rest = packed_.subspan(s.fed - s.z.avail_in);
      if (LooksLikeGzip(rest)) {
        inflateReset(&s.z);
      } else if (std::all_of(rest.begin(), rest.end(),
                             [](std::byte b) { return b == std::byte{0}; })) {
        s.ended = true;
      } else {
        return Invalid("the gzip data is followed by {} bytes of something else", rest.size());
      }
    } else if (result == Z_BUF_ERROR || (result == Z_OK && made == 0 && s.z.avail_in == 0)) {
      if (s.fed == packed_.size() && s.z.avail_in == 0) {
        return Invalid("the gzip data is cut short; copy or download the file again");
      }
    } else if (result != Z_OK) {
      return Invalid("the gzip data is damaged ({}); copy or download the file again",
                     s.z.msg != nullptr ? s.z.msg : "no such stream");
    }
  }
  return done;
}

uint64_t GzipSize(std::span<const std::byte> bytes) {
  z_stream z{};
  constexpr int kGzipWindow = 15 + 16;
  if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) !=
      Z_OK) {
    return bytes.size();
  }
  std::vector<Bytef> out(1 << 16);
  uint64_t made = 0;
  for (size_t at = 0;;) {
    const size_t part = std::min<size_t>(bytes.size() - at, 1 << 20);
    // zlib does not write to its input.
    z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data() + at));
    z.avail_in = static_cast<uInt>(part);
    at += part;
    const bool last = at == bytes.size();
    do {
      z.next_out = out.data();
      z.avail_out = static_cast<uInt>(out.size());
      deflate(&z, last ? Z_FINISH : Z_NO_FLUSH);
      made += out.size() - z.avail_out;
    } while (z.avail_out == 0);
    if (last) break;
  }
  deflateEnd(&z);
  return made;
}

}  // namespace litesmith
