# shellcheck shell=sh
# Gives OpenBLAS, and PyTorch and NumPy that use it, their best. OpenBLAS tells processors apart by model number, and one that is newer
# than it gets the kernels of a Pentium 4, four to five times slower. It is then told what the processor can do.
# To be sourced, with $out set to a directory for a small program; exports OPENBLAS_CORETYPE if it was not set and has to be.

cat > "$out/openblas_core.c" << 'END'
#include <stdio.h>
char *openblas_get_corename(void);
int main(void) { puts(openblas_get_corename()); return 0; }
END
if [ -z "${OPENBLAS_CORETYPE:-}" ]; then
    unset OPENBLAS_CORETYPE     # empty is not the same as not set
    openblas_core=
    if ${CC:-cc} "$out/openblas_core.c" -o "$out/openblas_core" -lopenblas 2> /dev/null; then
        openblas_core=$("$out/openblas_core")
    fi
    case $openblas_core in
    Prescott | Core2 | Katmai | Coppermine | Northwood | Banias)
        if grep -qw avx512vl /proc/cpuinfo; then
            export OPENBLAS_CORETYPE=SkylakeX
        elif grep -qw avx2 /proc/cpuinfo; then
            export OPENBLAS_CORETYPE=Haswell
        fi
        [ -z "${OPENBLAS_CORETYPE:-}" ] ||
            echo "OpenBLAS takes this processor for a $openblas_core: told $OPENBLAS_CORETYPE (OPENBLAS_CORETYPE)"
        ;;
    esac
fi
