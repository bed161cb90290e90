#!/bin/sh
# Installs what benchmarks/ssh_fanout.py compares with: ansible-core and pyinfra into a virtual environment of their
# own, pdsh and the OpenSSH server by apt where they are missing (root only).
#
#   benchmarks/install_fanout_tools.sh [DIRECTORY]     default: .venv-fanout; remove it when done
set -eu
venv=${1:-.venv-fanout}
python=${PYTHON:-python3}

test -x "$venv/bin/pip" || "$python" -m venv --clear "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check 'ansible-core>=2.17' 'pyinfra>=3.5'

missing=
command -v pdsh >/dev/null || missing=pdsh
PATH=$PATH:/usr/sbin command -v sshd >/dev/null || missing="$missing openssh-server"
test -z "$missing" && exit 0
if [ "$(id -u)" != 0 ]; then
  echo "missing: $missing. As root: apt-get install $missing" >&2
  exit 0
fi
# shellcheck disable=SC2086 # a list of words
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
