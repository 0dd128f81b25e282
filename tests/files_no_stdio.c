/* The library without <stdio.h>, for test_files.c: paths are refused, readers and writers work. */
#ifndef BADM_NO_STDIO
#define BADM_NO_STDIO
#endif
#include "other_build.h"
#include "badm.h"
#include "buffer.h"
#include "files.h"

/* How many functions with a path did not return BADM_ERR_BUILD; 100 more when a model did not come back through memory.
   Two of their sentences are written to saving[n] and reading[n]. */
int files_no_stdio(char *saving, char *reading, size_t n);
int files_no_stdio(char *saving, char *reading, size_t n)
{
    static buffer b;
    static const float value = 1;
    badm_model *m, *copy;
    badm_trainer_desc d;
    badm_trainer *tr = NULL;
    badm_array x, y;
    badm_writer w = buffer_writer(&b);
    badm_reader r;
    badm_error e;
    small_net net, other;
    int wrong = 0;
    m = small_model(1, &net);
    copy = small_model(2, &other);
    small_desc(&d, m, &net);
    if (badm_trainer_new(&tr, &d) != BADM_OK) return -1;
    wrong += badm_load(m, "tests/golden/torch.safetensors") != BADM_ERR_BUILD;
    wrong += badm_save_c(m, "w", "build/no_stdio") != BADM_ERR_BUILD;
    wrong += badm_save(m, "build/no_stdio") != BADM_ERR_BUILD;
    strncpy(saving, badm_model_error(m), n - 1);
    saving[n - 1] = 0;
    wrong += badm_checkpoint_save(tr, "build/no_stdio") != BADM_ERR_BUILD;
    wrong += badm_checkpoint_load(tr, "build/no_stdio") != BADM_ERR_BUILD;
    wrong += badm_npy_save(&value, 0, NULL, "build/no_stdio", &e) != BADM_ERR_BUILD;
    wrong += badm_idx_load(&x, "tests/golden/idx08", NULL, &e) != BADM_ERR_BUILD;
    wrong += badm_csv_load(&x, "tests/golden/idx08", NULL, &e) != BADM_ERR_BUILD;
    wrong += badm_libsvm_load(&x, &y, 0, "tests/golden/idx08", NULL, &e) != BADM_ERR_BUILD;
    wrong += badm_npy_load(&x, "tests/golden/f4.npy", NULL, &e) != BADM_ERR_BUILD;
    badm_error_text(&e, reading, n);
    if (badm_save_to(m, &w) != BADM_OK) wrong += 100;
    r = buffer_reader(&b);
    if (badm_load_from(copy, &r) != BADM_OK || badm_model_hash(copy) != badm_model_hash(m)) wrong += 100;
    badm_trainer_free(tr);
    badm_model_free(copy);
    badm_model_free(m);
    return wrong;
}
