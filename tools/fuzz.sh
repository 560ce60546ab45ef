#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# tools/fuzz.sh [TARGET...]: builds the fuzz targets (all files src/**/fuzz-*.c) with clang in build-fuzz and lets each run for
# FUZZ_RUNS executions, one after the other, beginning with the corpus of test/fuzz/TARGET. New inputs go to build-fuzz/corpus/TARGET,
# findings to build-fuzz/findings. Prints a line for each target; exit status 0 when nothing was found.
#
#   FUZZ_RUNS=10000000   executions of each target
#   FUZZ_ARGS=           further arguments of libFuzzer, e.g. -jobs=4
#
# tools/fuzz.sh --merge [TARGET...]: brings what build-fuzz/corpus holds and test/fuzz does not cover into test/fuzz, see docs/fuzzing.md.
set -eu

cd "$(dirname "$0")/.."
: "${FUZZ_RUNS:=10000000}" "${FUZZ_ARGS:=}"
build=build-fuzz
merge=false
if [ "${1-}" = --merge ]; then
        merge=true
        shift
fi

sources=$(find src -name 'fuzz-*.c' | sort)
targets=${*:-$(for s in $sources; do basename "$s" .c | sed s/^fuzz-//; done)}

if [ ! -f $build/build.ninja ]; then
        CC=clang meson setup $build -Dfuzz=true -Dtests=false > /dev/null
fi
for t in $targets; do
        s=$(printf '%s\n' "$sources" | grep "/fuzz-$t\.c$") || { echo "$t: no such target" >&2; exit 2; }
        # it is built in the folder of the meson.build that names it, which may be one above its source
        p=$(ninja -C $build -t targets all | sed -n "s,^\(src/.*/fuzz-$t\): .*,\1,p")
        programs="${programs-} $p"
        folders="${folders-} $(basename "$(dirname "$s")")"
done
# shellcheck disable=SC2086
ninja -C $build --quiet $programs > $build/build.log 2>&1 || { cat $build/build.log >&2; exit 1; }

mkdir -p $build/findings
folders=${folders# }
status=0
for p in $programs; do
        t=${p##*/fuzz-}
        corpus=$build/corpus/$t
        log=$build/fuzz-$t.log
        mkdir -p "$corpus"
        if $merge; then
                $build/"$p" -set_cover_merge=1 -use_counters=0 -max_len=512 test/fuzz/"$t" "$corpus" > "$log" 2>&1
                echo "$t: $(find test/fuzz/"$t" -type f | wc -l) inputs"
                continue
        fi
        dict=
        for d in "$t" "${folders%% *}"; do # words for the target, or for all targets of its folder
                if [ -z "$dict" ] && [ -f "test/fuzz/$d.dict" ]; then dict=-dict=test/fuzz/$d.dict; fi
        done
        folders=${folders#* }
        start=$(date +%s)
        # shellcheck disable=SC2086
        if $build/"$p" -runs="$FUZZ_RUNS" -max_len=512 $dict -artifact_prefix=$build/findings/"$t"- \
                -verbosity=0 -print_final_stats=1 $FUZZ_ARGS "$corpus" test/fuzz/"$t" > "$log" 2>&1; then
                found=nothing
        else
                found="a finding: $log"
                status=1
        fi
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
        echo "$t: ${runs:-0} executions in $(($(date +%s) - start)) s, $(find "$corpus" -type f | wc -l) inputs, found $found"
done
exit $status
