#!/bin/sh
# `make check`: every compiler, build option, sanitizer and analyser, each a named item.
#
#   sh tests/check.sh [NAME...]       all items, or those whose name contains one of the words (make check ONLY="tsan gcc")
#
# An item is a function check_NAME below (tests/items.sh). Logs and objects are left in build/check/NAME/. A missing tool skips the
# item and names its Debian package; with CHECK_ALL=1 (as .ci/run sets) it fails the item instead.
. tests/items.sh

out=build/check
version=$(sed -n 's/^#define BADM_VERSION_STRING "\(.*\)"/\1/p' badm.h)

strict="-std=c99 -pedantic-errors -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wdouble-promotion -Wstrict-prototypes -Werror"
strict_cxx="-Wall -Wextra -Wpedantic -Werror"

# compiles_with "COMPILER FLAGS" FILE...: each file alone, for its warnings.
compiles_with()
{
    how=$1 bad=0
    shift
    for file; do
        $how -I. -fsyntax-only "$file" || { bad=1; echo "not clean: $how $file"; }
    done
    return $bad
}

# write NAME: standard input as a source file of this item.
write() { cat >"$dir/$1"; }

# suite COMPILER "FLAGS": builds all test programs into the item's folder and runs them. $wrap goes before each program,
# $only names the programs to run (all if empty), $libs is what they are linked with instead of the usual.
suite()
{
    programs=
    for name in ${only-}; do programs="$programs $dir/tests/$name"; done
    make -s BUILD="$dir" CC="$1" CFLAGS="$2" ${libs:+"LIBS=$libs"} ${programs:-tests} && WRAP=${wrap-} JOBS=1 sh tests/run.sh "$dir/tests" '' ${only-}
}

# The test programs that take a second at most, for tools that slow them down thirtyfold.
quick=$(for file in tests/test_*.c; do basename "$file" .c; done | grep -vE '^test_(workers|kernels)$')

# ---- sanitizers and memory checkers over the test suite ------------------------------------------------------------------

# The programs that train, with as many workers as there are processors or as they say.
check_tsan()
{
    need gcc gcc
    only=$(for file in $(grep -lE 'workers|trainer' tests/test_*.c); do basename "$file" .c; done)
    suite gcc "-O1 -g -fsanitize=thread"
}

check_asan_ubsan()
{
    need gcc gcc
    UBSAN_OPTIONS=print_stacktrace=1 suite gcc "-Og -g -fsanitize=address,undefined -fno-sanitize-recover=all"
}

# The same programs twice: as they are, and under valgrind. valgrind 3.19 does not know AVX-512, so the plain kernels run; the others
# are covered by the sanitizers.
check_tests_no_simd_and_valgrind()
{
    only=$quick suite gcc "-O1 -g -DBADM_NO_SIMD" || return 1
    need valgrind valgrind
    only=$quick wrap="valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite" suite gcc "-O1 -g -DBADM_NO_SIMD"
}

# The programs that handle what comes from outside; valgrind looks at the others.
check_msan()
{
    need clang clang
    only="test_files test_model test_tape test_data test_errors" suite clang "-O1 -g -fsanitize=memory -fno-sanitize-recover=all"
}

# ---- other compilers and flags run the suite -----------------------------------------------------------------------------

check_tests_tcc() { need tcc tcc; only=$quick suite tcc ""; }
check_tests_musl() { need musl-gcc musl-tools; only=$quick suite "musl-gcc -static" "-O0"; }
check_tests_O0() { only=$quick suite gcc "-O0"; }
check_tests_clang() { need clang clang; suite clang "-O1"; }

# Fused multiply-add wherever the compiler may: the tests of bits must still hold.
check_tests_native_contract()
{
    need gcc gcc
    only="test_math test_random test_kernels test_autodiff test_methods test_workers" suite gcc "-O3 -march=native -ffp-contract=fast"
}

check_tests_no_threads() { need tcc tcc; only=$quick suite tcc "-DBADM_NO_THREADS"; }      # compiles fastest

# ---- warnings ------------------------------------------------------------------------------------------------------------

check_warnings_gcc() { need gcc gcc; gcc $strict -O2 -c badm.c -o "$dir/badm.o" && compiles_with "gcc $strict" examples/*.c examples/gesture/train.c; }
check_warnings_gcc_tests() { need gcc gcc; compiles_with "gcc $strict -DFUZZ_SAFETENSORS" tests/*.c bench/*.c; }
check_warnings_clang() { need clang clang; clang $strict -O2 -c badm.c -o "$dir/badm.o" && compiles_with "clang $strict" examples/*.c examples/gesture/train.c; }
check_warnings_clang_tests() { need clang clang; compiles_with "clang $strict -DFUZZ_SAFETENSORS" tests/*.c bench/*.c; }

check_warnings_clang_everything()
{
    need clang clang
    # padded: a struct's padding is no defect.
    # float-equal: comparing with exactly 0, an option that is off, is meant.
    # covered-switch-default: an enumeration may hold a number that is none of its names; callers cast.
    # switch-enum: "all others" is what default is for.
    # declaration-after-statement: C99 has it.
    clang -std=c99 -pedantic-errors -Weverything -Werror -Wno-padded -Wno-float-equal -Wno-covered-switch-default -Wno-switch-enum \
        -Wno-declaration-after-statement -I. -fsyntax-only badm.c
}

check_warnings_tcc() { need tcc tcc; tcc -std=c99 -Wall -Werror -c badm.c -o "$dir/badm.o"; }
check_warnings_musl() { need musl-gcc musl-tools; musl-gcc $strict -O1 -c badm.c -o "$dir/badm.o"; }

cxx()
{
    need "$1" "$1"
    "$1" -x c++ -std=$2 $strict_cxx -I. -O1 -c badm.c -o "$dir/badm.o" && compiles_with "$1 -x c++ -std=$2 $strict_cxx" examples/*.c
}
check_cxx11_gxx() { cxx g++ c++11; }
check_cxx17_gxx() { cxx g++ c++17; }
check_cxx11_clangxx() { need clang++ clang; cxx clang++ c++11; }
check_cxx17_clangxx() { need clang++ clang; cxx clang++ c++17; }

check_headers_before()
{
    write before.c <<'END'
#include <stdio.h>
#include <pthread.h>
#include <math.h>
#include <complex.h>
#include <unistd.h>
#define BADM_IMPLEMENTATION
#include "badm.h"
int main(void) { return badm_version() != BADM_VERSION; }
END
    for compiler in "gcc -std=c99" "clang -std=c99" "gcc -std=gnu11" "g++ -x c++ -std=c++17"; do
        need ${compiler%% *} ${compiler%% *}
        flags=$strict
        case $compiler in g++*) flags=$strict_cxx ;; *gnu11) flags="-Wall -Wextra -Werror" ;; esac
        $compiler $flags ${compiler#* } -O0 -I. "$dir/before.c" -o "$dir/before" -lpthread && "$dir/before" || { echo "$compiler"; return 1; }
    done
}

# ---- one header, many translation units ----------------------------------------------------------------------------------

two_units()
{
    write a.c <<'END'
#define BADM_IMPLEMENTATION
#include "badm.h"
long other(void);
int main(void) { return badm_version() != BADM_VERSION || other() != BADM_VERSION; }
END
    write b.c <<'END'
#include "badm.h"
long other(void);
long other(void) { return badm_version(); }
END
}

check_two_units() { two_units; gcc $strict -O0 -I. "$dir/a.c" "$dir/b.c" -o "$dir/two" -lpthread && "$dir/two"; }

check_two_units_c_and_cxx()
{
    need g++ g++
    two_units
    printf '#include "badm.h"\nextern "C" long other(void);\nlong other(void) { return badm_version(); }\n' | write b.cpp
    gcc -std=c99 -I. -c "$dir/a.c" -o "$dir/a.o" && g++ -std=c++11 $strict_cxx -I. "$dir/b.cpp" "$dir/a.o" -o "$dir/two" -lpthread && "$dir/two"
}

check_static_in_two_units()
{
    two_units
    { echo '#define BADM_IMPLEMENTATION'; cat "$dir/b.c"; } | write c.c
    gcc $strict -DBADM_STATIC -O0 -I. "$dir/a.c" "$dir/c.c" -o "$dir/two" -lpthread && "$dir/two" || return 1
    gcc -std=c99 -DBADM_STATIC -O0 -I. -c "$dir/c.c" -o "$dir/c.o" || return 1
    if nm -g --defined-only "$dir/c.o" | grep badm_; then echo "global in spite of BADM_STATIC"; return 1; fi
}

check_implementation_twice()
{
    write twice.c <<'END'
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "badm.h"
#define BADM_IMPLEMENTATION
#include "badm.h"
int main(void) { return badm_version() != BADM_VERSION; }
END
    gcc $strict -O0 -I. "$dir/twice.c" -o "$dir/twice" -lpthread && "$dir/twice"
}

check_other_version_does_not_link()
{
    two_units
    old=$(echo "$version" | tr . _)
    gcc -std=c99 -O0 -I. -c "$dir/a.c" -o "$dir/a.o" && gcc -std=c99 -O0 -I. -c "$dir/b.c" -o "$dir/b.o" || return 1
    gcc "$dir/a.o" "$dir/b.o" -o "$dir/same" -lpthread || return 1
    mkdir -p "$dir/other"
    sed "s/badm_version_$old/badm_version_9_9_9/" badm.h >"$dir/other/badm.h"
    gcc -std=c99 -O0 -I"$dir/other" -c "$dir/b.c" -o "$dir/b9.o" || return 1
    if gcc "$dir/a.o" "$dir/b9.o" -o "$dir/mixed" -lpthread 2>"$dir/message"; then echo "two versions were linked together"; return 1; fi
    grep badm_version_9_9_9 "$dir/message"
}

check_version_is_one()
{
    major=$(sed -n 's/^#define BADM_VERSION_MAJOR //p' badm.h)
    minor=$(sed -n 's/^#define BADM_VERSION_MINOR //p' badm.h)
    patch=$(sed -n 's/^#define BADM_VERSION_PATCH //p' badm.h)
    [ "$major.$minor.$patch" = "$version" ] || { echo "numbers $major.$minor.$patch, string $version"; return 1; }
    head -n 1 badm.h | grep "v$version " || { echo "line 1 of badm.h is of another version"; return 1; }
    grep "badm_version_$(echo "$version" | tr . _)\$" badm.h || { echo "badm_version is renamed to another version"; return 1; }
    for line in 'library.json:s/^ *"version": "\(.*\)",$/\1/p' 'clib.json:s/^ *"version": "\(.*\)",$/\1/p' \
        'library.properties:s/^version=//p' 'idf_component.yml:s/^version: "\(.*\)"$/\1/p' 'conanfile.py:s/^    version = "\(.*\)"$/\1/p'; do
        [ "$(sed -n "${line#*:}" "${line%%:*}")" = "$version" ] || { echo "${line%%:*} is of another version"; return 1; }
    done
    sed -n 's/^## \[*\([0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1 | grep -Fx "$version" || { echo "CHANGELOG.md begins with another version"; return 1; }
}

# ---- build options -------------------------------------------------------------------------------------------------------

options="BADM_NO_STDIO BADM_NO_THREADS BADM_NO_STDLIB BADM_NO_TEXT BADM_NO_SIMD BADM_REPRODUCIBLE BADM_STATIC"

# option_sets FIRST STEP: every STEP-th of the 128 sets of options as a line of flags.
option_sets()
{
    awk -v options="$options" -v first="$1" -v step="$2" 'BEGIN {
        n = split(options, o, " ")
        for (set = first; set < 2 ^ n; set += step) {
            line = ""
            for (i = 0; i < n; i++) if (int(set / 2 ^ i) % 2) line = line " -D" o[i + 1]
            print line
        }
    }'
}

# each_option_set FIRST STEP "COMPILER FLAGS"
each_option_set()
{
    option_sets "$1" "$2" >"$dir/sets"
    while read -r flags; do
        $3 $flags -I. -fsyntax-only badm.c </dev/null || { echo "not clean: $3 $flags"; return 1; }
    done <"$dir/sets"
}

check_options_all_128() { need gcc gcc; each_option_set 0 1 "gcc $strict"; }
check_options_cxx() { need g++ g++; each_option_set 5 9 "g++ -x c++ -std=c++11 $strict_cxx"; }
check_options_clang() { need clang clang; each_option_set 3 7 "clang $strict"; }
check_options_fewer_methods()
{
    for left_out in BADM_NO_PDADMM BADM_NO_SPARSE_SGD BADM_NO_GROWTH "BADM_NO_PDADMM -DBADM_NO_SPARSE_SGD -DBADM_NO_GROWTH" \
        BADM_SMALL "BADM_SMALL -DBADM_NO_TEXT"; do
        gcc $strict -D$left_out -I. -fsyntax-only badm.c || return 1
    done
}
check_options_self_test() { gcc $strict -DBADM_SELF_TEST -fsyntax-only badm.c; }
check_options_ndebug() { gcc $strict -DNDEBUG -O2 -c badm.c -o "$dir/badm.o"; }

check_options_own_memory_and_assert()
{
    write own.c <<'END'
#include <stdlib.h>
static long mallocs, frees, asserts;
static void *my_malloc(size_t n) { mallocs++; return malloc(n); }
static void my_free(void *p) { if (p) frees++; free(p); }
#define BADM_MALLOC(n) my_malloc(n)
#define BADM_FREE(p) my_free(p)
#define BADM_ASSERT(x) ((x) ? (void)0 : (void)asserts++)
#define BADM_IMPLEMENTATION
#include "badm.h"
int main(void)
{
    badm_model *m = badm_model_new(1);
    badm_linear_new(m, "fc", 3, 4);
    badm_model_free(m);
    return !(mallocs > 0 && mallocs == frees && asserts == 0);
}
END
    gcc $strict -O0 -I. "$dir/own.c" -o "$dir/own" -lpthread && "$dir/own" || return 1
    # Only one of the two is a mistake, and says so.
    for half in "-DBADM_MALLOC(n)=malloc(n)" "-DBADM_FREE(p)=free(p)"; do
        if gcc -std=c99 "$half" -fsyntax-only badm.c 2>"$dir/message"; then echo "$half alone was accepted"; return 1; fi
        grep '#error' "$dir/message" || { cat "$dir/message"; echo "$half alone is refused without a reason"; return 1; }
    done
}

# with_blas NAME HEADER "LIBRARY": what tolerates another order of sums, with every product BLAS's; digits with the large ones only.
with_blas()
(
    item=$dir dir=$dir/$1 libs="$3 -lpthread -lm"
    mkdir -p "$dir/plain_c" "$dir/1" "$dir/2"
    printf '#define BADM_USE_CBLAS\n#define BADM_CBLAS_HEADER %s\n' "$2" | write use.h
    use="-include $dir/use.h" cxx="g++ -x c++ -std=c++11 $strict_cxx"
    for compiler in "gcc $strict" "clang $strict" "$cxx"; do
        for more in -DBADM_NO_SIMD -DBADM_NO_THREADS "-DBADM_NO_STDLIB -DBADM_NO_STDIO"; do
            $compiler $use $more -I. -fsyntax-only badm.c || { echo "not clean: $compiler $use $more"; return 1; }
        done
    done
    for compiler in "gcc $strict" "$cxx"; do
        $compiler $use -O0 -I. -c "$item/blas.c" -o "$dir/blas.o" && gcc "$dir/blas.o" -o "$dir/blas" $libs && "$dir/blas" ||
            { echo "$compiler: another BLAS, or its threads are not as they should be"; return 1; }
    done

    all="$use -DBADM_CBLAS_LEAST=0"
    gcc -std=c99 -I. -O0 $all tests/test_kernels.c "$item"/kernels/*.o -o "$dir/test_kernels" $libs && "$dir/test_kernels" || return 1
    only="test_autodiff test_workers" suite gcc "-O0 $all" || return 1
    ( dir=$dir/plain_c only="test_autodiff test_methods" suite gcc "-O0 -DBADM_NO_SIMD $all" ) || return 1

    gcc -std=c99 -O2 -I. $use examples/digits.c -o "$dir/digits" $libs || return 1
    for workers in 1 2; do
        "$dir/digits" --images 2000 --epochs 2 --workers $workers --out "$dir/$workers" >"$dir/$workers/log" || return 1
    done
    cmp "$dir/1/digits.safetensors" "$dir/2/digits.safetensors" || { echo "two workers compute other bits than one"; return 1; }
    if cmp -s "$dir/1/digits.safetensors" "$item/digits.safetensors"; then echo "the very bits of no BLAS: it was not called"; return 1; fi
    awk '$1 == "RESULT" && $2 == "badm_test_accuracy" { n++; x = $3 - x }
         END { print "accuracies differ by", x; exit !(n == 2 && x * x < 0.0004) }' "$item/log_of_digits" "$dir/1/log"
)

check_cblas()
{
    need gcc gcc; need g++ g++; need clang clang
    # The library is the one that was meant, and only more than one worker sets OpenBLAS to one thread.
    write blas.c <<'END'
#define BADM_IMPLEMENTATION
#include "badm.h"
static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    static const float x[4] = { 1, 2, 3, 4 };
    return badm_mse(t, badm_linear_forward(t, *(const badm_linear *)user, badm_rows(t, x, 1, b)), badm_rows(t, x, 1, b));
}
static int trains(uint32_t workers)
{
    badm_model *m = badm_model_new(1);
    badm_linear layer = badm_linear_new(m, "layer", 1, 1);
    badm_trainer_desc d;
    badm_trainer *tr;
    int ok;
    badm_trainer_defaults(&d);
    d.model = m; d.loss = loss; d.user = &layer; d.max_batch = 4; d.sub_batches = 2; d.workers = workers;
    ok = badm_trainer_new(&tr, &d) == BADM_OK && badm_step(tr, NULL, 4, NULL) == BADM_OK;
    badm_trainer_free(tr);
    badm_model_free(m);
    return ok;
}
int main(void)
{
#ifdef OPENBLAS_VERSION
    openblas_set_num_threads(2);
    return !(trains(1) && openblas_get_num_threads() == 2 && trains(2) && openblas_get_num_threads() == 1);
#else
    return !(trains(1) && trains(2) && !openblas_set_num_threads);
#endif
}
END
    export OPENBLAS_NUM_THREADS=1           # so that one worker computes as several do
    mkdir -p "$dir/kernels"
    for file in tests/kernels_*.c; do gcc -std=c99 -I. -O0 -c "$file" -o "$dir/kernels/$(basename "$file" .c).o" || return 1; done
    gcc -std=c99 -O2 -I. examples/digits.c -o "$dir/digits" -lpthread -lm &&
        "$dir/digits" --images 2000 --epochs 2 --out "$dir" >"$dir/log_of_digits" || return 1

    missing=
    echo 'int main(void) { return 0; }' | write there.c
    if gcc -include cblas-openblas.h "$dir/there.c" -o "$dir/there" -lopenblas; then
        with_blas openblas '<cblas-openblas.h>' -lopenblas || return 1
    else
        missing="$missing libopenblas-dev"
    fi
    # Debian keeps the reference BLAS in a folder of its own; but for the rpath, the system's choice would take its place.
    blas=$(gcc -print-file-name=blas/libblas.so)
    if gcc -include cblas-netlib.h "$dir/there.c" -o "$dir/there" "$blas"; then
        with_blas reference '<cblas-netlib.h>' "$blas -Wl,-rpath,$(dirname "$blas")" || return 1
    else
        missing="$missing libblas-dev"
    fi
    [ -z "$missing" ] || { echo "skipped: BLAS not found (Debian package:$missing)"; return 77; }
}

# What is left without stdio, stdlib, threads and assert: a few functions of <string.h>.
check_options_bare_needs_string_h_only()
{
    gcc -std=c99 -O2 -ffreestanding -fno-stack-protector -DBADM_NO_STDIO -DBADM_NO_STDLIB -DBADM_NO_THREADS -c badm.c -o "$dir/bare.o" || return 1
    if nm -u "$dir/bare.o" | awk '{ print $2 }' | grep -vE '^(mem(cpy|move|set|cmp)|strlen|_GLOBAL_OFFSET_TABLE_)$'; then echo "is undefined"; return 1; fi
}

# ---- names, symbols, sizes -----------------------------------------------------------------------------------------------

# Macros that badm.h itself defines and leaves: -dD keeps definitions, #undef and the files they come from.
macros_left()
{
    "$@" -dD -E -I. "$dir/unit.c" | awk '
        /^# [0-9]+ "/ { file = $3; next }
        $1 == "#define" && file ~ /badm\.h"$/ { sub(/\(.*/, "", $2); left[$2] = 1 }
        $1 == "#undef" { delete left[$2]; if (file ~ /badm\.h"$/ && $2 !~ /^BADM_/) print "undefined by badm.h: " $2 }
        END { for (name in left) print name }' | sort
}

check_macros_do_not_leak()
{
    printf '#define BADM_IMPLEMENTATION\n#include "badm.h"\n' | write unit.c
    bad=0
    for flags in "" $(for o in $options; do echo "-D$o"; done); do
        macros_left gcc -std=c99 $flags >"$dir/left"
        grep -q '^BADM_VERSION$' "$dir/left" || { echo "the list of macros is empty"; return 1; }
        # badm_version is the one lower-case macro: it carries the version into the symbol's name.
        if grep -vE '^BADM_[A-Z0-9_]+$|^badm_version$' "$dir/left" || grep -E '^BADM_(I_|X$)' "$dir/left"; then bad=1; echo "left behind by badm.h $flags"; fi
    done
    return $bad
}

# The functions of the API part, by their declarations.
declared() { sed '/^#endif \/\* BADM_H \*\//q' badm.h | sed -n 's/^BADM_API [^(]*[ *]\(badm_[a-z0-9_]*\)(.*/\1/p' | sort -u; }

check_symbols()
{
    gcc -std=c99 -fno-pie -O1 -c badm.c -o "$dir/badm.o" || return 1
    renamed=badm_version_$(echo "$version" | tr . _)
    nm -g --defined-only "$dir/badm.o" | awk '{ print $3 }' | sed "s/^$renamed\$/badm_version/" | sort >"$dir/defined"
    declared >"$dir/declared"
    [ "$(wc -l <"$dir/declared")" -gt 3 ] || { echo "no declarations found in badm.h"; return 1; }
    if ! diff "$dir/declared" "$dir/defined"; then echo "< declared but not defined, > global but not declared"; return 1; fi
    # No global mutable state: nothing of badm.h is in a writable section.
    if nm "$dir/badm.o" | grep -E ' [bBdDcC] '; then echo "is writable"; return 1; fi
}

check_unused_is_not_linked()
{
    write small.c <<'END'
#define BADM_IMPLEMENTATION
#include "badm.h"
typedef struct { badm_linear layer; } net;
static const float x[4] = { 0, 1, 2, 3 }, y[4] = { 1, 1, 2, 3 };
static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    badm_tensor *h = badm_relu(t, badm_linear_forward(t, ((const net *)user)->layer, badm_rows(t, x, 1, b)));
    return badm_mse(t, h, badm_rows(t, y, 1, b));
}
int main(void)
{
    badm_model *m = badm_model_new(1);
    badm_trainer_desc d;
    badm_trainer *tr;
    net n;
    n.layer = badm_linear_new(m, "layer", 1, 1);
    badm_trainer_defaults(&d);
    d.model = m; d.loss = loss; d.user = &n; d.max_batch = 4; d.sub_batches = 1; d.workers = 1;
    if (badm_trainer_new(&tr, &d) != BADM_OK) return 1;
    if (badm_step(tr, NULL, 4, NULL) != BADM_OK) return 1;
    badm_trainer_free(tr);
    badm_model_free(m);
    return 0;
}
END
    # -O0: what is inlined has no symbol and would pass unseen.
    gcc -std=c99 -O0 -ffunction-sections -fdata-sections -I. "$dir/small.c" -o "$dir/small" -Wl,--gc-sections -lpthread && "$dir/small" || return 1
    gcc -std=c99 -O0 -c badm.c -o "$dir/badm.o" || return 1
    nm "$dir/small" >"$dir/small.nm"
    nm "$dir/badm.o" >"$dir/badm.nm"
    bad=0
    for word in adam rmsprop adagrad muon safetensors checkpoint npy idx csv libsvm softmax gelu tanh cross_entropy embedding dropout summary self_test; do
        grep -q "badm_.*$word" "$dir/badm.nm" || { bad=1; echo "no symbol of the whole implementation is named $word: this check looks for nothing"; }
        if grep "badm_.*$word" "$dir/small.nm"; then bad=1; echo "is linked though it is not used"; fi
    done
    return $bad
}

check_install()
{
    root=$PWD/$dir/root
    rm -rf "$root"
    make -s install DESTDIR="$root" PREFIX=/usr || return 1
    write use.c <<'END'
#include "badm.h"
int main(void) { return badm_version() != BADM_VERSION; }
END
    [ "$(sed -n 's/^Version: //p' "$root/usr/share/pkgconfig/badm.pc")" = "$version" ] || { echo "badm.pc is of another version"; return 1; }
    if command -v pkg-config >/dev/null 2>&1; then
        flags=$(PKG_CONFIG_PATH=$root/usr/share/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 pkg-config --cflags --libs badm) || return 1
    else
        flags="-I$root/usr/include -lpthread"
    fi
    gcc -std=c99 -O0 "$dir/use.c" "$root/usr/share/badm/badm.c" $flags -o "$dir/use" && "$dir/use" || return 1
    make -s uninstall DESTDIR="$root" PREFIX=/usr
    if find "$root" -type f | grep .; then echo "is left after uninstall"; return 1; fi
}

# Found in all three ways: installed, as a folder of a project, and fetched.
check_cmake()
{
    need cmake cmake
    root=$PWD/$dir/root source=$PWD
    rm -rf "$root" "$dir"/build-*
    cmake -S . -B "$dir/build-badm" -DCMAKE_INSTALL_PREFIX="$root" >/dev/null && cmake --install "$dir/build-badm" >/dev/null || return 1
    mkdir -p "$dir/use"
    write use/use.c <<'END'
#ifdef HEADER_ONLY
#define BADM_IMPLEMENTATION
#endif
#include "badm.h"
int main(void) { return badm_version() != BADM_VERSION; }
END
    write use/CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.14)
project(use LANGUAGES C)
enable_testing()
if(WAY STREQUAL installed)
  find_package(badm ${WANTED} REQUIRED)
elseif(WAY STREQUAL folder)
  add_subdirectory(${SOURCE} badm)
else()
  include(FetchContent)
  FetchContent_Declare(badm SOURCE_DIR ${SOURCE})
  FetchContent_MakeAvailable(badm)
endif()
add_executable(use use.c)
target_compile_definitions(use PRIVATE HEADER_ONLY)
target_link_libraries(use PRIVATE badm::badm)
add_test(NAME use COMMAND use)
if(NOT WAY STREQUAL installed)
  add_executable(linked use.c)
  target_link_libraries(linked PRIVATE badm::badm_static)
  add_test(NAME linked COMMAND linked)
endif()
END
    for way in installed folder fetched; do
        cmake -S "$dir/use" -B "$dir/build-$way" -DWAY=$way -DSOURCE="$source" -DCMAKE_PREFIX_PATH="$root" -DWANTED="$version" >/dev/null &&
            cmake --build "$dir/build-$way" >/dev/null && ( cd "$dir/build-$way" && ctest >log ) || { echo "$way"; return 1; }
    done
    if cmake -S "$dir/use" -B "$dir/build-newer" -DWAY=installed -DCMAKE_PREFIX_PATH="$root" -DWANTED=9.0 >"$dir/newer" 2>&1; then
        echo "version 9.0 was found"; return 1
    fi
}

# The library as Arduino's IDE compiles it, and the sketch, which is C++, against the least there is of an Arduino.h.
check_arduino()
{
    need g++ g++
    write Arduino.h <<'END'
struct serial { void begin(long); operator bool(); void print(const char *); };
extern serial Serial;
END
    write gesture_weights.h <<'END'
static const float gesture_weights[1] = { 0 };
END
    write gesture_recordings.h <<'END'
enum { GESTURE_HELD_OUT = 2 };
static const uint8_t gesture_labels[GESTURE_HELD_OUT] = { 0, 1 };
static const int16_t gesture_recordings[GESTURE_HELD_OUT][714] = { { 0 }, { 0 } };
END
    gcc $strict -DARDUINO=10819 -O1 -c badm.c -o "$dir/badm.o" &&
        g++ -x c++ -std=gnu++11 $strict_cxx -DARDUINO=10819 -I. -I"$dir" -Iexamples/gesture -include Arduino.h -c examples/gesture/sketch/sketch.ino \
            -o "$dir/sketch.o"
}

# ---- programs ------------------------------------------------------------------------------------------------------------

check_readme_programs() { sh tests/readme.sh "$dir"; }
check_bits() { need gcc gcc; need clang clang; JOBS=2 sh tests/bits.sh "$dir"; }

# What badm_save wrote loads strictly in PyTorch; tests/test_pytorch.c looks at the other direction.
check_pytorch()
{
    python=
    for name in python3 /usr/bin/python3; do
        [ -z "$python" ] && "$name" -c 'import torch, numpy' >/dev/null 2>&1 && python=$name
    done
    [ -n "$python" ] || { echo "skipped: no python3 with torch and numpy (Debian package: python3-torch)"; return 77; }
    cc -std=c99 -O1 -I. -Itests tests/write_pytorch.c -o "$dir/write" -lpthread -lm && "$dir/write" "$dir" && "$python" tests/pytorch.py "$dir"
}

check_fuzz()
{
    need clang clang
    sh tests/fuzz.sh 20000 "$dir/work" >"$dir/fuzz"
    status=$?
    cat "$dir/fuzz"
    if grep '^skipped: ' "$dir/fuzz"; then return 77; fi
    return $status
}

# ---- static analysis -----------------------------------------------------------------------------------------------------

check_clang_tidy()
{
    need clang-tidy clang-tidy
    # easily-swappable-parameters: (m, n, k) are the words of the field.
    # macro-parentheses: the kernels' macros take types and names, which cannot stand in parentheses.
    # implicit-widening-of-multiplication-result: it means products of lane counts, which are small.
    # narrowing-conversions: -Wconversion of two compilers looks after these.
    # sizeof-expression: arrays of pointers to tensors are meant.
    # not-null-terminated-result: strings are put together from pieces by memcpy.
    clang-tidy --quiet --warnings-as-errors='*' --header-filter='badm\.h' --checks='-*,bugprone-*,-bugprone-easily-swappable-parameters,
        -bugprone-macro-parentheses,-bugprone-implicit-widening-of-multiplication-result,-bugprone-narrowing-conversions,
        -bugprone-sizeof-expression,-bugprone-not-null-terminated-result' badm.c -- -std=c99 -I.
}

check_cppcheck()
{
    need cppcheck cppcheck
    # uninitvar: cppcheck does not see that a loop fills an array; memory sanitizer and valgrind watch the real thing.
    # autoVariables: the reader's record points to the reason of the file that is open, while it is open.
    # ctunullpointer: reported for a call that a test for NULL guards.
    cppcheck --quiet --std=c99 --enable=warning,performance,portability --error-exitcode=1 --suppress=missingIncludeSystem \
        --suppress=uninitvar --suppress=autoVariables --suppress=ctunullpointer -DBADM_IMPLEMENTATION -UBADM_API -UBADM_ASSERT -D__x86_64__ -D__GNUC__=12 badm.c
}

check_gcc_analyzer()
{
    need gcc gcc
    # analyzer-null-argument: it does not see that an error which is set keeps a reader from its empty buffer.
    gcc -std=c99 -O0 -fanalyzer -Werror -Wno-analyzer-null-argument -DBADM_NO_SIMD -c badm.c -o "$dir/badm.o"
}

# ---- run them ------------------------------------------------------------------------------------------------------------

# In the order of this file: the suites under sanitizers, which take longest, come first.
run_items check $(items_of check tests/check.sh "$@")
