#include "base/regex.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

namespace litesmith {
namespace {

constexpr size_t kMostInstructions = 20000;
constexpr int kDeepest = 100;  // groups within groups
constexpr int kMostRepeats = 1000;

bool IsWord(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

using Set = std::bitset<256>;

void AddRange(uint8_t low, uint8_t high, Set* set) {
  for (int c = low; c <= high; ++c) set->set(static_cast<size_t>(c));
}

// The classes \d \w \s and their opposites.
std::optional<Set> ClassOf(char c) {
  Set set;
  switch (c) {
    case 'd':
    case 'D':
      AddRange('0', '9', &set);
      break;
    case 'w':
    case 'W':
      for (int b = 0; b < 256; ++b) set.set(static_cast<size_t>(b), IsWord(static_cast<char>(b)));
      break;
    case 's':
    case 'S':
      for (char b : {' ', '\t', '\n', '\v', '\f', '\r'}) set.set(static_cast<uint8_t>(b));
      break;
    default:
      return std::nullopt;
  }
  return c >= 'a' ? set : ~set;
}

}  // namespace

// Recursive descent into a tree, then code for it: repeated parts are emitted several times.
class RegexCompiler {
 public:
  explicit RegexCompiler(std::string_view pattern) : pattern_(pattern) {}

  absl::StatusOr<Regex> Run() {
    LS_ASSIGN_OR_RETURN(const std::unique_ptr<Tree> tree, Alternatives(0));
    if (at_ < pattern_.size()) return Invalid("a ')' closes nothing at character {}", at_ + 1);
    LS_RETURN_IF_ERROR(Emit(*tree));
    LS_RETURN_IF_ERROR(Add({}).status());
    return std::move(out_);
  }

 private:
  using Code = Regex::Code;
  using Place = Regex::Place;

  struct Tree {
    enum class Kind { kEmpty, kSet, kPlace, kSequence, kChoice, kRepeat } kind = Kind::kEmpty;
    uint32_t set = 0;
    Place place = Place::kStart;
    int least = 0, most = -1;  // kRepeat; -1: any number
    std::vector<std::unique_ptr<Tree>> parts;
  };
  using TreePtr = absl::StatusOr<std::unique_ptr<Tree>>;

  bool More() const { return at_ < pattern_.size(); }
  char Peek() const { return pattern_[at_]; }
  bool Take(std::string_view text) {
    if (pattern_.substr(at_, text.size()) != text) return false;
    at_ += text.size();
    return true;
  }

  std::unique_ptr<Tree> Leaf(const Set& set) {
    auto tree = std::make_unique<Tree>();
    tree->kind = Tree::Kind::kSet;
    const auto known = std::find(out_.sets_.begin(), out_.sets_.end(), set);
    tree->set = static_cast<uint32_t>(known - out_.sets_.begin());
    if (known == out_.sets_.end()) out_.sets_.push_back(set);
    return tree;
  }
  std::unique_ptr<Tree> Leaf(Place place) {
    auto tree = std::make_unique<Tree>();
    tree->kind = Tree::Kind::kPlace;
    tree->place = place;
    return tree;
  }

  TreePtr Alternatives(int depth) {
    if (depth > kDeepest) return Invalid("groups are nested more than {} deep", kDeepest);
    auto choice = std::make_unique<Tree>();
    choice->kind = Tree::Kind::kChoice;
    do {
      LS_ASSIGN_OR_RETURN(auto sequence, Sequence(depth));
      choice->parts.push_back(std::move(sequence));
    } while (Take("|"));
    if (choice->parts.size() == 1) return std::move(choice->parts[0]);
    return choice;
  }

  TreePtr Sequence(int depth) {
    auto sequence = std::make_unique<Tree>();
    sequence->kind = Tree::Kind::kSequence;
    while (More() && Peek() != '|' && Peek() != ')') {
      LS_ASSIGN_OR_RETURN(auto atom, Atom(depth));
      LS_ASSIGN_OR_RETURN(atom, Repeated(std::move(atom)));
      sequence->parts.push_back(std::move(atom));
    }
    return sequence;
  }

  TreePtr Repeated(std::unique_ptr<Tree> atom) {
    int least = 0, most = -1;
    if (Take("*")) {
    } else if (Take("+")) {
      least = 1;
    } else if (Take("?")) {
      most = 1;
    } else {
      LS_ASSIGN_OR_RETURN(const bool counted, Count(&least, &most));
      if (!counted) return atom;
    }
    Take("?");  // lazy
    if (More() && (Peek() == '*' || Peek() == '+' || Peek() == '?')) {
      return Invalid("a repetition is repeated at character {}; put it into a group", at_ + 1);
    }
    if (atom->kind == Tree::Kind::kPlace) {
      return Invalid("a repetition of no characters at character {}", at_);
    }
    auto repeat = std::make_unique<Tree>();
    repeat->kind = Tree::Kind::kRepeat;
    repeat->least = least;
    repeat->most = most;
    repeat->parts.push_back(std::move(atom));
    return repeat;
  }

  // {m}, {m,}, {,n} or {m,n}; anything else in braces is text, as in Python.
  absl::StatusOr<bool> Count(int* least, int* most) {
    const size_t start = at_;
    const auto number = [&]() -> int {
      int value = -1;
      while (More() && Peek() >= '0' && Peek() <= '9') {
        value = std::min(std::max(value, 0) * 10 + (Peek() - '0'), kMostRepeats + 1);
        ++at_;
      }
      return value;
    };
    if (!Take("{")) return false;
    *least = number();
    *most = *least;
    if (Take(",")) {
      *most = number();
      if (*least < 0 && *most >= 0) *least = 0;
    }
    if (*least < 0 || !Take("}")) {
      at_ = start;
      return false;
    }
    if (std::max(*least, *most) > kMostRepeats) {
      return Invalid("a part is repeated more than {} times", kMostRepeats);
    }
    if (*most >= 0 && *most < *least) return Invalid("{{{},{}}} is no range", *least, *most);
    return true;
  }

  TreePtr Atom(int depth) {
    const char c = Peek();
    ++at_;
    switch (c) {
      case '(':
        return Group(depth);
      case '[':
        return Brackets();
      case '\\':
        return Escape();
      case '^':
        return Leaf(Place::kStart);
      case '$':
        return Leaf(Place::kEnd);
      case '.': {
        Set set;
        set.set().reset('\n');
        return Leaf(set);
      }
      case '*':
      case '+':
      case '?':
        return Invalid("'{}' repeats nothing at character {}", c, at_);
      default:
        return Leaf(Set().set(static_cast<uint8_t>(c)));
    }
  }

  TreePtr Group(int depth) {
    if (Take("?")) {
      const bool name = Take("P<") || (pattern_.substr(at_, 2) != "<=" &&
                                       pattern_.substr(at_, 2) != "<!" && Take("<"));
      if (name) {
        while (More() && Peek() != '>') ++at_;
        if (!Take(">")) return Invalid("the name of a group has no end");
      } else if (!Take(":")) {
        return Unsupported(
            "look-ahead, look-behind and flags ('(?' at character {}) are not supported", at_ - 1);
      }
    }
    LS_ASSIGN_OR_RETURN(auto inside, Alternatives(depth + 1));
    if (!Take(")")) return Invalid("a '(' is not closed");
    return inside;
  }

  // A character written as \n, \x41 … `at_` is behind the backslash's letter, which is `c`.
  absl::StatusOr<uint8_t> Character(char c) {
    switch (c) {
      case 'n':
        return '\n';
      case 't':
        return '\t';
      case 'r':
        return '\r';
      case 'f':
        return '\f';
      case 'v':
        return '\v';
      case '0':
        return 0;
      case 'x': {
        int value = 0;
        for (int i = 0; i < 2; ++i) {
          const size_t digit =
              More() ? std::string_view("0123456789abcdefABCDEF").find(Peek()) : 22;
          if (digit >= 22) return Invalid("\\x needs two hexadecimal digits");
          value = value * 16 + static_cast<int>(digit > 15 ? digit - 6 : digit);
          ++at_;
        }
        return static_cast<uint8_t>(value);
      }
      default:
        break;
    }
    if (c >= '1' && c <= '9') return Unsupported("references back (\\{}) are not supported", c);
    if (IsWord(c)) return Invalid("\\{} means nothing", c);
    return static_cast<uint8_t>(c);
  }

  TreePtr Escape() {
    if (!More()) return Invalid("it ends in a backslash");
    const char c = Peek();
    ++at_;
    if (c == 'b') return Leaf(Place::kWordBorder);
    if (c == 'B') return Leaf(Place::kNoWordBorder);
    if (const std::optional<Set> set = ClassOf(c)) return Leaf(*set);
    LS_ASSIGN_OR_RETURN(const uint8_t byte, Character(c));
    return Leaf(Set().set(byte));
  }

  // One member of [...]: a class, or a character that may begin a range.
  absl::StatusOr<std::optional<uint8_t>> Member(Set* set) {
    char c = Peek();
    ++at_;
    if (c != '\\') return static_cast<uint8_t>(c);
    if (!More()) return Invalid("a '[' is not closed");
    c = Peek();
    ++at_;
    if (const std::optional<Set> known = ClassOf(c)) {
      *set |= *known;
      return std::nullopt;
    }
    if (c == 'b') return uint8_t{8};
    LS_ASSIGN_OR_RETURN(const uint8_t byte, Character(c));
    return byte;
  }

  TreePtr Brackets() {
    Set set;
    const bool negated = Take("^");
    for (bool first = true; !More() || Peek() != ']' || first; first = false) {
      if (!More()) return Invalid("a '[' is not closed");
      LS_ASSIGN_OR_RETURN(const std::optional<uint8_t> low, Member(&set));
      if (!low) continue;
      uint8_t high = *low;
      if (More() && Peek() == '-' && at_ + 1 < pattern_.size() && pattern_[at_ + 1] != ']') {
        ++at_;
        LS_ASSIGN_OR_RETURN(const std::optional<uint8_t> end, Member(&set));
        if (!end || *end < *low) return Invalid("a range in '[…]' goes backwards");
        high = *end;
      }
      AddRange(*low, high, &set);
    }
    ++at_;
    return Leaf(negated ? ~set : set);
  }

  absl::StatusOr<uint32_t> Add(Regex::Instruction instruction) {
    if (out_.program_.size() >= kMostInstructions) {
      return Invalid("it is too large: its repetitions make more than {} parts", kMostInstructions);
    }
    out_.program_.push_back(instruction);
    return static_cast<uint32_t>(out_.program_.size() - 1);
  }
  uint32_t Here() const { return static_cast<uint32_t>(out_.program_.size()); }
  Regex::Instruction& At(uint32_t index) { return out_.program_[index]; }

  absl::Status EmitChoice(const Tree& tree) {
    std::vector<uint32_t> ends;
    for (size_t i = 0; i + 1 < tree.parts.size(); ++i) {
      LS_ASSIGN_OR_RETURN(const uint32_t split, Add({.code = Code::kSplit}));
      At(split).x = Here();
      LS_RETURN_IF_ERROR(Emit(*tree.parts[i]));
      LS_ASSIGN_OR_RETURN(const uint32_t jump, Add({.code = Code::kJump}));
      ends.push_back(jump);
      At(split).y = Here();
    }
    LS_RETURN_IF_ERROR(Emit(*tree.parts.back()));
    for (uint32_t jump : ends) At(jump).x = Here();
    return absl::OkStatus();
  }

  absl::Status EmitRepeat(const Tree& tree) {
    const Tree& part = *tree.parts[0];
    for (int i = 0; i < tree.least; ++i) {
      // What emits nothing would make a loop over nothing endless.
      const uint32_t before = Here();
      LS_RETURN_IF_ERROR(Emit(part));
      if (Here() == before) return absl::OkStatus();
    }
    if (tree.most < 0) {
      LS_ASSIGN_OR_RETURN(const uint32_t split, Add({.code = Code::kSplit}));
      At(split).x = Here();
      LS_RETURN_IF_ERROR(Emit(part));
      LS_ASSIGN_OR_RETURN(const uint32_t jump, Add({.code = Code::kJump}));
      At(jump).x = split;
      At(split).y = Here();
      return absl::OkStatus();
    }
    std::vector<uint32_t> splits;
    for (int i = tree.least; i < tree.most; ++i) {
      LS_ASSIGN_OR_RETURN(const uint32_t split, Add({.code = Code::kSplit}));
      At(split).x = Here();
      splits.push_back(split);
      LS_RETURN_IF_ERROR(Emit(part));
    }
    for (uint32_t split : splits) At(split).y = Here();
    return absl::OkStatus();
  }

  absl::Status Emit(const Tree& tree) {
    switch (tree.kind) {
      case Tree::Kind::kEmpty:
        return absl::OkStatus();
      case Tree::Kind::kSet:
        return Add({.code = Code::kByte, .set = tree.set}).status();
      case Tree::Kind::kPlace:
        return Add({.code = Code::kAssert, .place = tree.place}).status();
      case Tree::Kind::kSequence:
        for (const auto& part : tree.parts) LS_RETURN_IF_ERROR(Emit(*part));
        return absl::OkStatus();
      case Tree::Kind::kChoice:
        return EmitChoice(tree);
      case Tree::Kind::kRepeat:
        return EmitRepeat(tree);
    }
    return absl::OkStatus();
  }

  std::string_view pattern_;
  size_t at_ = 0;
  Regex out_;
};

absl::StatusOr<Regex> Regex::Compile(std::string_view pattern) {
  return RegexCompiler(pattern).Run();
}

// The places in the program that are alive before a byte; each counts once.
struct Regex::Threads {
  explicit Threads(size_t size) : seen(size, 0) {}
  std::vector<uint32_t> now, next;  // kByte instructions
  std::vector<size_t> seen;         // the position (plus one) at which each was last reached
  std::vector<uint32_t> stack;
  uint64_t steps = 0;
};

bool Regex::Holds(Place place, std::string_view text, size_t at) {
  const bool before = at > 0 && IsWord(text[at - 1]);
  const bool after = at < text.size() && IsWord(text[at]);
  switch (place) {
    case Place::kStart:
      return at == 0;
    case Place::kEnd:
      return at == text.size();
    case Place::kWordBorder:
      return before != after;
    case Place::kNoWordBorder:
      return before == after;
  }
  return false;
}

// Adds to threads->next what is reached from `start` before byte `at`; true where it is found.
bool Regex::Follow(uint32_t start, std::string_view text, size_t at, Threads* threads) const {
  threads->stack.push_back(start);
  while (!threads->stack.empty()) {
    const uint32_t i = threads->stack.back();
    threads->stack.pop_back();
    if (threads->seen[i] == at + 1) continue;
    threads->seen[i] = at + 1;
    ++threads->steps;
    const Instruction& instruction = program_[i];
    switch (instruction.code) {
      case Code::kFound:
        return true;
      case Code::kByte:
        threads->next.push_back(i);
        break;
      case Code::kSplit:
        threads->stack.push_back(instruction.y);
        threads->stack.push_back(instruction.x);
        break;
      case Code::kJump:
        threads->stack.push_back(instruction.x);
        break;
      case Code::kAssert:
        if (Holds(instruction.place, text, at)) threads->stack.push_back(i + 1);
        break;
    }
  }
  return false;
}

bool Regex::Search(std::string_view text, uint64_t* steps) const {
  Threads threads(program_.size());
  threads.steps = program_.size();
  for (size_t at = 0; at <= text.size(); ++at) {
    threads.next.clear();
    bool found = false;
    if (at > 0) {
      const auto byte = static_cast<uint8_t>(text[at - 1]);
      for (const uint32_t i : threads.now) {
        ++threads.steps;
        if (!sets_[program_[i].set].test(byte)) continue;
        found = found || Follow(i + 1, text, at, &threads);
      }
    }
    found = found || Follow(0, text, at, &threads);
    if (threads.steps > *steps) {
      *steps = 0;
      return false;
    }
    if (found) {
      *steps -= threads.steps;
      return true;
    }
    threads.now.swap(threads.next);
  }
  *steps -= threads.steps;
  return false;
}

}  // namespace litesmith
