/* The library without threads, for test_workers.c. */
#ifndef BADM_NO_THREADS
#define BADM_NO_THREADS
#endif
#include "other_build.h"
#include "badm.h"
#include "problems.h"
#include "workers.h"

uint64_t workers_no_threads(const workers_run *run) { return workers_train(run); }
