#!/bin/sh
# Runs test programs, JOBS at a time, and adds up their results.
#
#   sh tests/run.sh DIR [DATA] [NAME...]
#
# the program DIR/test_x of every tests/test_x.c, or DIR/NAME for the names given, with DATA (may be '') as its argument. A program's
# last line is "name: N passed, N failed, N skipped"; one that is missing, crashes, hangs or prints no such line is a failure.
# The last line here is "N passed, N failed, N skipped"; exit 1 if anything failed.
#
# In the environment: JOBS (1); WRAP, a command to put before each program (valgrind ...); TEST_SECONDS (600), after which a
# program counts as hung (where there is a `timeout` command).
. tests/parallel.sh

dir=$1 data=${2-}
shift; [ $# -eq 0 ] || shift
logs=$dir/logs
limit=
if command -v timeout >/dev/null 2>&1; then limit="timeout ${TEST_SECONDS:-600}"; fi

[ $# -gt 0 ] || set -- $(for file in tests/test_*.c; do basename "$file" .c; done)

run_one()
{
    log=$logs/$1/log
    # A program gets no argument at all without data, and its name without a path stays readable in the log.
    $limit $WRAP "$dir/$1" ${data:+"$data"} >"$log" 2>&1 </dev/null
    status=$?
    result=$(grep -E '^[^ ]+: [0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log" | tail -n 1)
    case $result in
        '') result="$1: 0 passed, 1 failed, 0 skipped" why="ended with status $status before its result" ;;
        *' 0 failed,'*) why=
            if [ $status -ne 0 ]; then
                why="ended with status $status after its result"
                result=$(echo "$result" | sed 's/ 0 failed/ 1 failed/')
            fi ;;
        *) why= ;;
    esac
    echo "$result" >"$logs/$1/result"
    # One write a program, so that programs running side by side do not mix their lines.
    report=$(
        case $result in
            *' 0 failed,'*) grep '^skipped: ' "$log" | sort -u ;;
            *) tail -n 60 "$log" | grep -v ': [0-9]* passed, '; [ -z "$why" ] || echo "$1 $why" ;;
        esac
        echo "$result")
    printf '%s\n' "$report"
}

in_parallel "${JOBS:-1}" "$logs" run_one "$@"

# Every program must have left a result, also if the worker that ran it died.
for name; do
    cat "$logs/$name/result" 2>/dev/null || echo "$name: 0 passed, 1 failed, 0 skipped"
done | awk '{ passed += $2; failed += $4; skipped += $6 }
            END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped; exit failed != 0 }'
