# Sourced: installs Debian packages without starting what they bring. Callers name themselves in $me.

policy=/usr/sbin/policy-rc.d

say() { printf '%s: %s\n' "$me" "$*" >&2; }

# Installing a server must not start it: tests start their own, in places of their own.
forbid_services() {
  [ -e "$policy" ] && return 0
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
}

can_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

install_packages() {
  local packages=("$@") apt=(apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
  [ "${#packages[@]}" -gt 0 ] || return 0
  if ! can_install; then
    say "not installed here, and not ours to install (no root or no apt): ${packages[*]}"
    return 0
  fi
  say "installing ${packages[*]}"
  export DEBIAN_FRONTEND=noninteractive
  forbid_services
  "${apt[@]}" update </dev/null >&2 || say "the package lists could not be renewed; trying with the old ones"
  local package
  for package in "${packages[@]}"; do
    "${apt[@]}" install --yes --no-install-recommends "$package" </dev/null >&2 || say "could not install $package"
  done
}

# Prints the packages, of those named as tool=package, whose tool is not there.
packages_missing() {
  local pair path=$PATH
  for pair in "$@"; do
    PATH=$path:/usr/sbin:/sbin command -v "${pair%%=*}" >/dev/null || printf '%s\n' "${pair#*=}"
  done | sort -u
}
