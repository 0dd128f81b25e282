# Named items that pass, fail or are skipped, side by side: for check.sh and ports.sh.
# An item is a function PREFIX_NAME: it returns 0 (passed), 77 (skipped, its last line says why) or anything else (failed). It has
# the folder $dir, $out/NAME, to itself; its log is $dir/log.
. tests/parallel.sh

# need TOOL PACKAGE: leaves the item, as skipped, where there is no such command.
need()
{
    command -v "$1" >/dev/null 2>&1 && return
    echo "skipped: $1 not found (Debian package: $2)"
    exit 77
}

# items_of PREFIX FILE [WORD...]: names of the items defined in FILE, in its order; those that contain one of the words, if any.
items_of()
{
    prefix=$1 file=$2
    shift 2
    for item in $(sed -n "s/^${prefix}_\([a-zA-Z0-9_]*\)().*/\1/p" "$file"); do
        [ $# -gt 0 ] || echo "$item"
        for word; do case $item in *"$word"*) echo "$item"; break ;; esac; done
    done
}

run_item()
{
    dir=$out/$1 began=$(date +%s)
    ( "${item_prefix}_$1" ) >"$dir/log" 2>&1 </dev/null
    status=$?
    if [ $status -eq 77 ] && [ "${CHECK_ALL:-0}" = 1 ]; then status=1; fi
    case $status in
        0) echo passed >"$dir/result"; echo "passed  $1 ($(($(date +%s) - began)) s)" ;;
        77 | 78) echo skipped >"$dir/result"; echo "skipped $1: $(tail -n 1 "$dir/log")" ;;
        *)  echo failed >"$dir/result"
            printf '%s\n' "$(echo "FAILED  $1"; tail -n 40 "$dir/log" | sed 's/^/    /')" ;;
    esac
}

# run_items PREFIX NAME...: JOBS at a time, in this order. Ends with the line `N passed, N failed, N skipped`; fails if any did.
run_items()
{
    item_prefix=$1
    shift
    in_parallel "${JOBS:-1}" "$out" run_item "$@"
    for item; do cat "$out/$item/result" 2>/dev/null || echo failed; done |
        awk '{ n[$1]++ }
             END { printf "%d passed, %d failed, %d skipped\n", n["passed"], n["failed"], n["skipped"]; exit n["failed"] != 0 || NR == 0 }'
}
