#!/bin/sh
# Fuzzes every reader of badm.h from valid files, under ASan and UBSan, and measures how much of it was reached.
#
#   sh tests/fuzz.sh [RUNS] [FOLDER]        1000000 inputs each; everything is left in FOLDER (build/fuzz)
#
# Two items a reader: no finding in RUNS inputs (seed 1, so that a finding comes back), and at least 90 % of its own
# lines run by what the fuzzer kept. The last line is "N passed, N failed, N skipped"; exit 1 if anything failed.
runs=${1:-1000000} dir=${2:-build/fuzz}
bar=90
passed=0 failed=0

# llvm's tools may carry the compiler's version in their names.
version=$(clang -dumpversion 2>/dev/null | cut -d. -f1)
tool() { command -v "$1-$version" || command -v "$1"; }
cov=$(tool llvm-cov) profdata=$(tool llvm-profdata)
if ! command -v clang >/dev/null 2>&1 || [ -z "$cov" ] || [ -z "$profdata" ]; then
    echo "skipped: clang, llvm-cov or llvm-profdata not found (Debian packages: clang, llvm)"
    echo "0 passed, 0 failed, 12 skipped"
    exit 0
fi

# The functions of one reader, by name after badm_i_: what it calls to read, not what puts its sentences together.
array='element_type|convert|float_of_double|float_nearest|read_elements|array_start|array_done|bytes_value'
array="$array|checked_product|read|read_end|vec_reserve|vec_free"
lines='read_byte|read_char|lines_.*|is_digit|parse_float|normalise|times_ten|over_ten|float_nearest'
lines="$lines|push_float|vec_reserve|vec_push|vec_free|array_start|array_done"
tensors='json_.*|entry_fail|item_fail|same_text|by_name|by_place|sort|find_item|same_shape_in_file|match'
tensors="$tensors|first_nonfinite|read_entry|read_header|read|read_end|read_claimed|load_items"
tensors="$tensors|safetensors_load|item_of_param|bytes_value|checked_product|vec_reserve|vec_push|vec_free"
trainer='checkpoint_item|checkpoint_check|checkpoint_source|checkpoint_loaded|state_set|state_move'
functions_of()
{
    case $1 in
        safetensors) echo "$tensors|model_item|model_source" ;;
        checkpoint) echo "$tensors|$trainer" ;;
        npy) echo "$array|read_claimed|same_text|python_.*|npy_header|npy_read" ;;
        idx) echo "$array|idx_read" ;;
        csv) echo "$lines|csv_read|csv_row" ;;
        libsvm) echo "$lines|checked_product|libsvm_.*|csr_alloc|csr_begin|csr_rewind|csr_merge" ;;
    esac
}

# result STATUS ITEM
result()
{
    if [ "$1" -eq 0 ]; then passed=$((passed + 1)); echo "passed $2"; else failed=$((failed + 1)); echo "FAILED $2"; fi
}

rm -rf "$dir"
for kind in safetensors checkpoint npy idx csv libsvm; do mkdir -p "$dir/valid/$kind" "$dir/found/$kind"; done
if ! clang -g -O1 -I. tests/fuzz_corpus.c -o "$dir/fuzz_corpus" -lpthread || ! "$dir/fuzz_corpus" "$dir/valid"; then
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
fi

# The implementation is compiled once for each of the two questions, with what the harness adds.
finding="-g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined"
covering="-g -O0 -fsanitize=fuzzer -fprofile-instr-generate -fcoverage-mapping"
readers="-DBADM_IMPLEMENTED -I. tests/fuzz_readers.c"
if ! clang $finding -c badm.c -o "$dir/finding.o" || ! clang $covering -c badm.c -o "$dir/covering.o"; then
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
fi

for kind in safetensors checkpoint npy idx csv libsvm; do
    macro=FUZZ_$(echo $kind | tr a-z A-Z)
    clang $finding -D$macro $readers "$dir/finding.o" -o "$dir/$kind" -lpthread &&
        "$dir/$kind" -runs="$runs" -seed=1 -max_len=4096 -artifact_prefix="$dir/$kind." \
            "$dir/found/$kind" "$dir/valid/$kind" >"$dir/$kind.log" 2>&1
    status=$?
    [ $status -eq 0 ] || tail -n 30 "$dir/$kind.log"
    result $status "$kind: $runs inputs without a finding"

    clang $covering -D$macro $readers "$dir/covering.o" -o "$dir/$kind.coverage" -lpthread &&
        LLVM_PROFILE_FILE="$dir/$kind.raw" "$dir/$kind.coverage" -runs=0 "$dir/found/$kind" "$dir/valid/$kind" \
            >/dev/null 2>&1 &&
        "$profdata" merge -o "$dir/$kind.profile" "$dir/$kind.raw" &&
        "$cov" report -show-functions -instr-profile="$dir/$kind.profile" "$dir/$kind.coverage" badm.h \
            >"$dir/$kind.functions"
    awk -v kind=$kind -v bar=$bar -v names="^(.*:)?badm_i_($(functions_of $kind))\$" '
        $1 ~ names && $5 > 0 {
            lines += $5
            missed += $6
            if ($6) { name = $1; sub(/.*:/, "", name); print "  not reached in " name ": " $6 " of " $5 " lines" }
        }
        END {
            percent = lines ? 100 * (lines - missed) / lines : 0
            printf "RESULT fuzz_coverage_%s %.1f\n", kind, percent
            exit !(percent >= bar)
        }' "$dir/$kind.functions"
    result $? "$kind: at least $bar % of its lines reached"
done
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
