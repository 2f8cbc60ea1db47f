# Debian packages of another architecture without installing them; to be sourced.
#
#   foreign_apt ARCHITECTURE FOLDER      a package list of its own in FOLDER, so that the machine's stays as it is;
#                                        sets the array `apt`, options for apt-get, and `mirror`
#   foreign_unpack FOLDER SYSROOT NAME...  fetches into FOLDER and unpacks

foreign_apt() {
  local architecture=$1 folder=$2
  mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)}
  if [[ -z $mirror ]]; then
    echo "no package mirror is known to apt: run apt-get update, or set DEBIAN_MIRROR" >&2
    return 1
  fi
  mkdir -p "$folder/state/lists/partial" "$folder/cache/archives/partial"
  touch "$folder/state/status"
  printf 'deb %s bookworm main\ndeb-src %s bookworm main\n' "$mirror" "$mirror" > "$folder/sources.list"
  apt=(-q -o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts=/dev/null
       -o Dir::State="$folder/state" -o Dir::State::status="$folder/state/status" -o Dir::Cache="$folder/cache"
       -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" -o APT::Sandbox::User="$(id -un)")
}

foreign_unpack() (
  local folder=$1 sysroot=$2
  shift 2
  mkdir -p "$sysroot" && cd "$folder" || return 1
  apt-get "${apt[@]}" update && apt-get "${apt[@]}" download "$@" || return 1
  for deb in *.deb; do dpkg -x "$deb" "$sysroot" || return 1; done
)
