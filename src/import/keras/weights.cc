#include "import/keras/weights.h"

#include <algorithm>

namespace litesmith::keras {
namespace {

bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsWord(char c) { return IsUpper(c) || IsLower(c) || (c >= '0' && c <= '9') || c == '_'; }

std::vector<std::string> Split(const std::string& path) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t end; (end = path.find('/', begin)) != std::string::npos; begin = end + 1) {
    parts.push_back(path.substr(begin, end - begin));
  }
  parts.push_back(path.substr(begin));
  return parts;
}

// The weights of layer `layer` among the names of a nested model: those with the layer's name right
// before the variable's, or else anywhere on the way (a cell stands in between).
std::vector<std::string> NamesOf(const std::vector<std::string>& names, const std::string& layer) {
  std::vector<std::string> direct, anywhere;
  for (const std::string& name : names) {
    std::vector<std::string> parts = Split(name);
    parts.pop_back();
    if (!parts.empty() && parts.back() == layer) direct.push_back(name);
    if (std::find(parts.begin(), parts.end(), layer) != parts.end()) anywhere.push_back(name);
  }
  return direct.empty() ? anywhere : direct;
}

// Keras splits long lists of names: weight_names, or weight_names0, weight_names1 …
absl::StatusOr<std::vector<std::string>> NameList(Hdf5File* file, const Hdf5Object& group,
                                                  const std::string& attribute) {
  if (const Hdf5Attribute* whole = group.FindAttribute(attribute)) return file->ReadStrings(*whole);
  std::vector<std::string> names;
  for (int i = 0;; ++i) {
    const Hdf5Attribute* part = group.FindAttribute(fmt::format("{}{}", attribute, i));
    if (part == nullptr) return names;
    LS_ASSIGN_OR_RETURN(const auto more, file->ReadStrings(*part));
    names.insert(names.end(), more.begin(), more.end());
  }
}

bool HasNameList(const Hdf5Object& group, const std::string& attribute) {
  return group.FindAttribute(attribute) != nullptr ||
         group.FindAttribute(attribute + "0") != nullptr;
}

}  // namespace

std::string SnakeCase(std::string_view name) {
  // Keras: "(.)([A-Z][a-z]+)" and then "([a-z])([A-Z])" get an underscore between their groups.
  std::string words;
  for (char c : name) {
    if (IsWord(c)) words += c;
  }
  std::string first;
  for (size_t i = 0; i < words.size();) {
    if (i + 2 < words.size() && IsUpper(words[i + 1]) && IsLower(words[i + 2])) {
      first += words[i];
      first += '_';
      first += words[i + 1];
      for (i += 2; i < words.size() && IsLower(words[i]); ++i) first += words[i];
    } else {
      first += words[i++];
    }
  }
  std::string out;
  for (size_t i = 0; i < first.size(); ++i) {
    if (i > 0 && IsUpper(first[i]) && IsLower(first[i - 1])) out += '_';
    out += IsUpper(first[i]) ? static_cast<char>(first[i] - 'A' + 'a') : first[i];
  }
  return out;
}

absl::StatusOr<WeightScope> WeightScope::Open(Hdf5File* file) {
  WeightScope scope;
  scope.file_ = file;
  LS_ASSIGN_OR_RETURN(const Hdf5Object* root, file->Root());
  LS_ASSIGN_OR_RETURN(const Hdf5Object* model_weights, file->Find(*root, "model_weights"));
  scope.top_ = model_weights != nullptr ? model_weights : root;
  scope.by_names_ = HasNameList(*scope.top_, "layer_names");
  if (scope.by_names_) return scope;
  // Files of TensorFlow 2.12 and 2.13 call the folder otherwise.
  if (!root->links.contains("layers") && root->links.contains("_layer_checkpoint_dependencies")) {
    scope.layers_ = "_layer_checkpoint_dependencies";
  }
  return scope;
}

WeightScope WeightScope::Layer(std::string_view name, std::string_view counted_name) const {
  WeightScope scope = *this;
  scope.private_path_.clear();
  scope.resolved_ = false;
  scope.next_ = 0;
  if (by_names_) {
    scope.list_ = std::make_shared<List>();
    if (is_layer_) {
      scope.inner_.emplace_back(name);
    } else {
      scope.path_ = name;
    }
  } else {
    scope.path_ += (path_.empty() ? "" : "/") + layers_ + "/" + std::string(counted_name);
  }
  scope.is_layer_ = true;
  return scope;
}

WeightScope WeightScope::Part(std::string_view attribute) const {
  WeightScope scope = *this;
  scope.is_its_part_ = false;
  if (by_names_ || is_its_part_) return scope;  // goes on in the shared list
  scope.private_path_ = fmt::format("{}/_{}", path_, attribute);
  scope.path_ += "/" + std::string(attribute);
  scope.resolved_ = false;
  scope.next_ = 0;
  return scope;
}

WeightScope WeightScope::Itself() const {
  WeightScope scope = *this;
  scope.is_its_part_ = true;
  return scope;
}

absl::Status WeightScope::Resolve() {
  if (!by_names_) {
    if (resolved_) return absl::OkStatus();
    resolved_ = true;
    LS_ASSIGN_OR_RETURN(vars_, file_->Find(*top_, path_ + "/vars"));
    if (vars_ == nullptr && !private_path_.empty()) {
      LS_ASSIGN_OR_RETURN(vars_, file_->Find(*top_, private_path_ + "/vars"));
    }
    return absl::OkStatus();
  }
  if (list_->resolved) return absl::OkStatus();
  list_->resolved = true;
  LS_ASSIGN_OR_RETURN(list_->group, file_->Find(*top_, path_));
  if (list_->group == nullptr) return absl::OkStatus();
  LS_ASSIGN_OR_RETURN(list_->names, NameList(file_, *list_->group, "weight_names"));
  for (size_t i = 0; i < inner_.size(); ++i) {
    std::vector<std::string> names = NamesOf(list_->names, inner_[i]);
    // The name of a nested model need not be on the way to its layers' weights.
    if (names.empty() && i + 1 < inner_.size()) continue;
    list_->names = std::move(names);
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> WeightScope::Count() {
  LS_RETURN_IF_ERROR(Resolve());
  if (by_names_) return list_->names.size() - list_->next;
  return vars_ == nullptr ? 0 : vars_->links.size() - std::min(next_, vars_->links.size());
}

absl::StatusOr<Weight> WeightScope::Read(const Hdf5Object* dataset, std::string_view name) {
  Weight weight;
  for (uint64_t d : dataset->shape) {
    if (d > INT32_MAX) return Invalid("weight '{}' has an impossible shape", name);
    weight.shape.push_back(static_cast<int32_t>(d));
  }
  LS_ASSIGN_OR_RETURN_IN(weight.values, file_->ReadFloats(*dataset),
                         fmt::format("weight '{}'", name));
  return weight;
}

absl::StatusOr<std::vector<Weight>> WeightScope::Take(const std::vector<std::string>& names) {
  LS_RETURN_IF_ERROR(Resolve());
  std::vector<Weight> out;
  for (const std::string& name : names) {
    const Hdf5Object* dataset = nullptr;
    if (by_names_ && list_->next < list_->names.size()) {
      LS_ASSIGN_OR_RETURN(dataset, file_->Find(*list_->group, list_->names[list_->next++]));
    } else if (!by_names_ && vars_ != nullptr) {
      LS_ASSIGN_OR_RETURN(dataset, file_->Find(*vars_, std::to_string(next_++)));
    }
    if (dataset == nullptr) {
      return Invalid(
          "its weight '{}' is not in the weights file at '{}'; "
          "give the weights that were saved with this architecture",
          name, Printable(by_names_ ? path_ : path_ + "/vars"));
    }
    LS_ASSIGN_OR_RETURN(Weight weight, Read(dataset, name));
    out.push_back(std::move(weight));
  }
  return out;
}

}  // namespace litesmith::keras
