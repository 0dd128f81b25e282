/* The library with multiplications and additions kept apart, for test_kernels.c. */
#ifndef BADM_REPRODUCIBLE
#define BADM_REPRODUCIBLE
#endif
#include "other_build.h"
#include "badm.h"
#include "kernels.h"

KERNELS_BUILD(kernels_reproducible)
