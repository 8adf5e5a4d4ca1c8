#!/usr/bin/env bash
# Runs both README commands on a bare Debian: a chroot with Python, make and git, and no
# Java, made by debootstrap and kept in .cache/fresh. The repository's HEAD is cloned there.
#
#   tests/fresh/run.sh            (or: make fresh)
#
#   DEBIAN=trixie     Debian 13 with Python 3.13; forky has Python 3.14
#   FRESH="…"         the make targets, in order: run-all demo down test
#   PYTEST_ADDOPTS    options of the tests, such as tests/unit
#
# Exits with 77 and the reason where it can't run. Settings of the shop, such as
# GATEWAY_PORT, and those of pip are passed on: the chroot shares the network.
set -euo pipefail
cd "$(dirname "$0")/../.."
DEBIAN=${DEBIAN:-trixie}
FRESH=${FRESH:-run-all demo down test}
BASE=$PWD/.cache/fresh/$DEBIAN
BUNDLE=/etc/ssl/certs/ca-certificates.crt
PACKAGES=python3,python3-venv,make,git,ca-certificates  # the last: git recommends it
SETTINGS='PIP_|PYTEST_|SSL_CERT_|(http|https|no|all)_proxy=|(HTTP|HTTPS|NO)_PROXY=|.*_PORT='

cannot() { echo "fresh: cannot run here: $*" >&2; exit 77; }
say() { printf 'fresh: %5ss  %s\n' "$SECONDS" "$*"; }

install_debootstrap() {
  command -v debootstrap >/dev/null && return
  command -v apt-get >/dev/null || cannot "debootstrap is missing, and so is apt-get"
  apt-get install -y -qq --no-install-recommends debootstrap >/dev/null 2>&1 \
    || cannot "debootstrap is missing, and apt-get can't install it (apt-get update?)"
}

make_base() {
  local log=$BASE.log script=()
  mkdir -p "${BASE%/*}"
  # An older debootstrap does not have the newest releases; all are made alike.
  [ -e "/usr/share/debootstrap/scripts/$DEBIAN" ] || script=("" sid)
  rm -rf "$BASE.new"
  debootstrap --variant=minbase --include="$PACKAGES" "$DEBIAN" "$BASE.new" "${script[@]}" \
    >"$log" 2>&1 || { tail -n 3 "$log" >&2; cannot "debootstrap failed; see $log"; }
  rm -rf "$BASE.new"/var/cache/apt/archives/*.deb
  mv "$BASE.new" "$BASE"
}

# What the machine needs to reach the package index, the chroot needs too.
configure() { # configure ROOT
  local file
  cp -L /etc/hosts /etc/resolv.conf "$1/etc/"
  for file in /etc/pip.conf ~/.config/pip/pip.conf ~/.pip/pip.conf \
    "${PIP_CONFIG_FILE:-}" "${PIP_CERT:-}" "${SSL_CERT_FILE:-}" "$BUNDLE"; do
    [ -f "$file" ] && install -D -m 644 "$file" "$1$file"
  done
  env -0 | grep -zE "^($SETTINGS)" >"$1/root/settings" || true
}

# The mounts of a container. They end with their namespace, as do all processes.
mount_all() { # mount_all ROOT
  local device
  mount -t tmpfs -o mode=755 tmpfs "$1/dev"
  mkdir "$1/dev/pts" "$1/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$1/dev/pts"
  mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
  for device in null zero full random urandom tty; do
    cp -a "/dev/$device" "$1/dev/"
  done
  ln -s pts/ptmx "$1/dev/ptmx"
  ln -s /proc/self/fd "$1/dev/fd"
  mount -t proc proc "$1/proc"
}

shop() { # shop ROOT: what runs inside
  local target settings=()
  mount_all "$1"
  mapfile -d '' settings <"$1/root/settings"
  for target in $FRESH; do
    say "make $target"
    chroot "$1" env -i PATH=/usr/bin:/bin HOME=/root LANG=C.UTF-8 \
      REQUESTS_CA_BUNDLE="$BUNDLE" "${settings[@]}" make -C /root/shop "$target" </dev/null
  done
}

if [ "${1:-}" = inside ]; then
  shop "$2"
  exit
fi

[ "$(uname -s)" = Linux ] || cannot "this is not Linux"
[ "$(id -u)" = 0 ] || cannot "only root can make a chroot"
unshare --mount --pid --fork true 2>/dev/null || cannot "no namespaces can be made"
install_debootstrap
[ -d "$BASE" ] || make_base

clean_up() {
  set +e
  [ -n "${CHILD:-}" ] && kill "$CHILD" 2>/dev/null && wait "$CHILD"
  rm -rf --one-file-system "$WORK"
}

WORK=$(mktemp -d)
trap clean_up EXIT
trap 'exit 130' INT TERM
cp -a --reflink=auto "$BASE/." "$WORK"
configure "$WORK"
git clone -q --no-hardlinks . "$WORK/root/shop"
say "$DEBIAN with $(chroot "$WORK" python3 --version) is ready"
# In the background of a script SIGINT is ignored, and tests send it.
env --default-signal=INT unshare --mount --pid --fork --kill-child \
  "$PWD/tests/fresh/run.sh" inside "$WORK" &
CHILD=$!
wait "$CHILD"
CHILD=
say "passed: $FRESH"
