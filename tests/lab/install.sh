#!/usr/bin/env bash
# Installs what the lab needs besides Python, on Debian and as root; starts nothing. tests/lab/conftest.py checks for it.
set -euo pipefail
me=tests/lab/install.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../.ci/apt.sh"

mapfile -t packages < <(packages_missing \
  unshare=util-linux nsenter=util-linux ip=iproute2 sshd=openssh-server ssh=openssh-client sudo=sudo \
  systemd-nspawn=systemd-container debootstrap=debootstrap)
install_packages "${packages[@]}"
