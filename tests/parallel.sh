# in_parallel N DIR FUNCTION ITEM...  calls FUNCTION ITEM once for every item, N at a time, in this order.
# Each item gets an empty DIR/ITEM; a worker claims an item by making it (mkdir fails for all but one).
in_parallel()
{
    parallel_n=$1 parallel_dir=$2 parallel_call=$3
    shift 3
    mkdir -p "$parallel_dir"
    for item; do rm -rf "${parallel_dir:?}/$item"; done
    trap 'trap - TERM; kill 0' INT TERM
    while [ "$parallel_n" -gt 0 ]; do
        ( for item; do if mkdir "$parallel_dir/$item" 2>/dev/null; then "$parallel_call" "$item"; fi; done ) &
        parallel_n=$((parallel_n - 1))
    done
    wait
    trap - INT TERM
}
