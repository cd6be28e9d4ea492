#!/usr/bin/env bash
# eventsift's front door: makes its own Python environment, then runs what was asked.
# Works with bash 3.2 (macOS) and newer. tests/project/test_run_sh*.py say what it promises.
# shellcheck disable=SC2030,SC2031 # test_pythons changes VENV in a subshell on purpose
set -euo pipefail

ROOT="$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)"
VENV="${EVENTSIFT_VENV:-$ROOT/.venv}"
[[ "$VENV" == /* ]] || VENV="$PWD/$VENV"
PYTHONS="3.13 3.12 3.11 3.10" # the tested versions, newest first

usage() {
  cat >&2 <<'END'
Usage: ./run.sh [COMMAND [ARGUMENT...]]

  (nothing)      the demonstration: make sample events, deduplicate them, show the report
  run ...        the job:         run --input 'my/*.jsonl' --output my-table   (run --help)
  generate ...   sample events:   generate --events 1000 --output my           (generate --help)
  verify ...     check a published table, independently of the job
  compact ...    merge a table's small files
  plan ...       tell what a run with the same options would do, without doing it
  status ...     tell how a table is doing                                    (status --help)
  catalogue ...  tell what is in data, of every type                       (catalogue --help)
  views ...      print SQL: a view of each type, with a column for each field (views --help)
  page ...       show a table and its runs as one HTML file
  test ...       the tests, on all cores if no arguments are given (these go to pytest)
  test-pythons   the tests on every Python from 3.10 to 3.13 that is here, or on those named first
  test-page      the tests of the page in Chromium (arguments go to pytest)
  test-engines   the tests on Flink, Spark, Prism, S3, ... (arguments go to pytest)
  soak [N]       deliveries, crashes, compactions at random, N long examples (default: 200)
  lint           ruff, mypy, and which package imports which
  draw           draw the job's graph into docs/architecture.md
  pictures       make the pictures of docs/ from real runs (needs Chromium)
  story          run docs/story.ipynb, and keep what it shows
  bench ...      the benchmarks
  --version      the version
  help           this text

Paths given to run, generate, verify, compact, plan, status, catalogue, views, page and bench are
relative to where you are.

Environment:
  PYTHON           the interpreter to build the environment with (default: the newest here)
  EVENTSIFT_VENV   use this Python environment as it is; nothing gets installed
END
}

say() { printf '%s\n' "$*" >&2; }

# nearest WORD: asks whether the command was meant that begins most like the word.
nearest() {
  local name found="" length=0 same
  for name in run generate verify compact plan status catalogue views page test test-pythons test-page test-engines soak lint draw pictures story bench help; do
    same=0
    while [[ -n "${name:same:1}" && "${name:same:1}" == "${1:same:1}" ]]; do same=$((same + 1)); done
    ((same <= length)) || { found="; did you mean ./run.sh $name?" && length=$same; }
  done
  printf '%s' "$found"
}

die() {
  say "run.sh: $*"
  exit 1
}

# "3.12" for an interpreter that runs, nothing otherwise (a pyenv shim may exist and not run).
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }

# Prints the path of the interpreter to build with: $PYTHON, or the newest that is new enough.
find_python() {
  local candidates="python3.13 python3.12 python3.11 python3.10 python3 python"
  local candidate version found=""
  local IFS=' '
  if [[ -n "${PYTHON:-}" ]]; then
    candidates="$PYTHON"
    IFS='' # it may be a path with spaces
  fi
  for candidate in $candidates; do
    version="$(version_of "$candidate")"
    case "$version" in
      "") ;;
      2.* | 3.[0-9]) found="$found, $candidate ($version)" ;;
      *)
        command -v "$candidate"
        return
        ;;
    esac
  done
  found="${found#, }"
  die "Python 3.10 or newer is needed; found ${found:-none}${PYTHON:+ for PYTHON=$PYTHON}."
}

# folder PATH: makes the folder, or says why it cannot.
folder() {
  local why
  why="$(mkdir -p -- "$1" 2>&1)" || die "cannot make the folder $1 (${why##*: })."
  [[ -w "$1" ]] || die "cannot write to the folder $1."
}

# is_ready NAME CHECKSUM: whether exactly this was installed, to the end.
is_ready() { [[ "$(cat "$VENV/.ready-$1" 2>/dev/null)" == "$2" ]]; }

pip_install() {
  cd "$ROOT"
  exec "$VENV/bin/python" -m pip install --quiet --no-input --disable-pip-version-check "$@" \
    </dev/null
}

# install NAME CHECKSUM PIP-ARGUMENT...: the stamp goes first and comes back last.
install() {
  local stamp="$VENV/.ready-$1" checksum="$2" log="$VENV/install.log"
  shift 2
  rm -f -- "$stamp"
  step pip_install "$@" >"$log" 2>&1 || {
    say "run.sh: installing the requirements failed (is the network there?); pip's last words:"
    tail -n 5 -- "$log" | sed 's/^/  /' >&2
    exit 1
  }
  printf '%s' "$checksum" >"$stamp"
}

# What an installation depends on: the interpreter, the requirements, where the checkout lies.
checksum_of() {
  { printf '%s\n' "$ROOT" && "$1" -VV && cat "$ROOT/requirements.txt" "$ROOT/pyproject.toml"; } | cksum
}

# prepare [test|page|engines|bench]: makes $VENV hold the requirements, and those of the named extra.
# Each step that fails says why and exits, since `set -e` is off where `prepare && ...` stands.
prepare() {
  local extra="${1:-}" python version checksum
  if [[ -n "${EVENTSIFT_VENV:-}" ]]; then
    [[ -x "$VENV/bin/python" ]] || die "EVENTSIFT_VENV has no bin/python: $VENV"
    return
  fi
  if [[ -z "${PYTHON:-}" && -n "$(version_of "$VENV/bin/python")" ]]; then
    checksum="$(checksum_of "$VENV/bin/python")" # stay with what it was made with
  else
    python="$(find_python)" || exit 1
    checksum="$(checksum_of "$python")"
  fi

  if ! is_ready base "$checksum"; then
    python="$(find_python)" || exit 1
    version="$(version_of "$python")"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
      die "$python cannot make environments; on Debian and Ubuntu install python$version-venv."
    folder "$VENV"
    say "Installing the requirements for Python $version into ${VENV##*/} (once, about a minute) ..."
    step "$python" -m venv --clear "$VENV" || die "could not make the environment $VENV."
    checksum="$(checksum_of "$python")"
    install base "$checksum" -r requirements.txt
  fi
  case "$extra" in
    test)
      is_ready test "$checksum" || {
        say "Installing the test tools (once, some seconds) ..."
        install test "$checksum" --no-build-isolation -c requirements.txt -e '.[test]'
      }
      ;;
    page)
      is_ready page "$checksum" || {
        say "Installing the test tools and what drives the browser (once) ..."
        install page "$checksum" --no-build-isolation -c requirements.txt -e '.[test,page]'
      }
      ;;
    engines)
      is_ready engines "$checksum" || {
        say "Installing the test tools and what Dataflow and Spark need (once) ..."
        install engines "$checksum" -c requirements.txt -e '.[test,aws,gcp,spark]'
      }
      ;;
    bench)
      [[ -f "$ROOT/benchmarks/requirements.txt" ]] || return 0
      checksum="$checksum $(cksum <"$ROOT/benchmarks/requirements.txt")"
      is_ready bench "$checksum" || {
        say "Installing the benchmarks' requirements (once) ..."
        install bench "$checksum" -c requirements.txt -r benchmarks/requirements.txt
      }
      ;;
  esac
}

# module NAME ARGUMENT...: runs the checkout's module, wherever the user is. A folder of the
# user's that happens to be called "pipeline" is not taken for ours (Python 3.11 and newer).
# It replaces this script, so that signals sent to the script's process id reach the module. Until
# the module can deal with them they wait, where `env` can arrange that: Python would show a traceback.
module() {
  local python=("$VENV/bin/python")
  if env --block-signal=INT,TERM true 2>/dev/null; then
    python=(env --block-signal=INT,TERM "${python[@]}")
  fi
  PYTHONSAFEPATH=1 PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}" exec "${python[@]}" -m "$@"
}

# step COMMAND...: one of several things this script does. A signal ends both: bash alone would
# end, or wait for the command to end, and leave that running.
step() {
  local number="" status=0 child
  "$@" &
  child=$!
  trap 'number=15; kill -TERM "$child" 2>/dev/null' TERM
  trap 'number=2; kill -TERM "$child" 2>/dev/null' INT
  wait "$child" || status=$?
  [[ -z "$number" ]] || wait "$child" || true # the first one ended when the signal came
  trap - TERM INT
  [[ "$number" != 2 ]] || kill -INT "$$"
  [[ -z "$number" ]] || exit "$((128 + number))"
  return "$status"
}

demo() {
  local from="$PWD" python
  prepare
  cd "$ROOT"
  rm -rf demo || die "cannot remove the last demonstration: $ROOT/demo"
  folder "$ROOT/demo"
  say "Generating 200,000 events in 12 files: demo/input"
  step module generator --events 200000 --files 12 --seed 1 --broken 0.0005 --output demo/input
  say "Running the job: ./run.sh run --input 'demo/input/*' --output demo/table"
  step module pipeline --input 'demo/input/*' --output demo/table

  printf -v python '%q' "${VENV#"$ROOT"/}/bin/python"
  printf '\nThe table is in demo/table: plain Parquet, and a Delta table. To look at it:\n\n'
  [[ "$from" -ef "$ROOT" ]] || printf '  cd %q\n' "$ROOT"
  cat <<END
  $python -c "import pandas; print(pandas.read_parquet('demo/table').groupby(['domain', 'event_type'], observed=True).size())"
  $python -c "import duckdb; print(duckdb.sql('''FROM read_parquet('demo/table/domain=*/**/*.parquet', hive_types={domain: VARCHAR, event_type: VARCHAR}) SELECT domain, event_type, count(*) AS events GROUP BY ALL ORDER BY ALL'''))"

To run it on files of your own:

  ./run.sh run --input 'path/to/*.jsonl' --output path/to/table
END
}

run_tests() {
  cd "$ROOT"
  exec "$VENV/bin/python" -m pytest "$@"
}

test_pythons() {
  local version python wanted="" missing="" failed="" passed=""
  unset EVENTSIFT_VENV
  while [[ "${1:-}" =~ ^3\.[0-9]+$ ]]; do
    wanted="$wanted $1"
    shift
  done
  for version in ${wanted:-$PYTHONS}; do
    python=""
    for python in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
      [[ "$(version_of "$python")" != "$version" ]] || break
      python=""
    done
    if [[ -z "$python" ]]; then
      missing="$missing $version"
      continue
    fi
    say "Python $version:"
    if (
      PYTHON="$python" VENV="$ROOT/.venv-$version"
      prepare test
      run_tests "$@"
    ); then passed="$passed $version"; else failed="$failed $version"; fi
  done
  say "Passed:${passed:- none}. Failed:${failed:- none}. Not here:${missing:- none}."
  [[ -z "$failed" && -n "$passed" ]]
}

lint() {
  local status=0
  cd "$ROOT"
  "$VENV/bin/python" -m ruff check . || status=1
  "$VENV/bin/python" -m ruff format --check . || status=1
  "$VENV/bin/python" -m mypy || status=1
  PYTHONPATH="$ROOT" "$VENV/bin/lint-imports" || status=1
  return "$status"
}

command="${1:-demo}"
[[ $# -eq 0 ]] || shift
case "$command" in
  demo) demo ;;
  run | generate | verify | compact | plan | status | catalogue | views | page)
    prepare
    EVENTSIFT_PROGRAM=./run.sh module pipeline.cli "$command" "$@"
    ;;
  --version) prepare && EVENTSIFT_PROGRAM=./run.sh module pipeline.cli --version ;;
  test)
    prepare test
    # All of them on all cores; but not with arguments, such as --pdb, or in somebody else's
    # environment. The tests of a file stay together: they share what takes long to make. In the
    # order of their names the longest ones are not the last.
    [[ $# -gt 0 || -n "${EVENTSIFT_VENV:-}" ]] || set -- -n auto --dist loadfile --no-loadscope-reorder
    run_tests "$@"
    ;;
  test-pythons) test_pythons "$@" ;;
  test-page) prepare page && run_tests tests/page -m browser "$@" ;;
  test-engines)
    # An environment of its own: what engines and stores need must not change what is tested.
    [[ -n "${EVENTSIFT_VENV:-}" ]] || VENV="$ROOT/.venv-engines"
    prepare engines && run_tests tests/engines -m engines "$@"
    ;;
  soak) prepare test && EVENTSIFT_SOAK="${1:-200}" run_tests tests/whole/test_convergence.py -o faulthandler_timeout=0 ;;
  lint) prepare test && lint ;;
  draw) prepare test && module tests.project.drawing ;;
  pictures) prepare page && module tests.project.pictures ;;
  story) prepare test && module tests.project.notebook ;;
  bench)
    # An environment of its own: what is compared against must not change what is tested.
    [[ -n "${EVENTSIFT_VENV:-}" ]] || VENV="$ROOT/.venv-bench"
    prepare bench && module benchmarks "$@"
    ;;
  help | -h | --help) usage ;;
  *)
    usage
    say "
run.sh: unknown command: $command$(nearest "$command")"
    exit 2
    ;;
esac
