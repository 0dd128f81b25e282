/* The library without sentences, for test_errors.c: codes remain. */
#ifndef BADM_NO_TEXT
#define BADM_NO_TEXT
#endif
#include "other_build.h"
#include "badm.h"
#include <string.h>

/* The codes of a bad product, of a bad parameter name and of an unfilled desc; the length of all their sentences is
   added to *text. */
void errors_no_text(badm_result code[3], size_t *text);
void errors_no_text(badm_result code[3], size_t *text)
{
    static const badm_dim shape[2] = { 2, 3 };
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_tape *t = NULL;
    badm_model *m = badm_model_new(1), *good = badm_model_new(1);
    badm_tensor *x;
    char buf[100];
    *text = 0;
    code[0] = badm_tape_new(&t, NULL, 10000);
    if (code[0] == BADM_OK) {
        x = badm_input(t, 2, shape, NULL);
        (void)badm_matmul(t, x, x);
        code[0] = badm_tape_error(t)->code;
        /* whatever it writes, it is short */
        *text += badm_error_text(badm_tape_error(t), buf, sizeof buf) > sizeof buf;
        badm_tape_free(t);
    }
    badm_param_new(m, "", 2, shape, badm_init_constant(0));
    code[1] = badm_model_result(m);
    badm_param_new(good, "w", 2, shape, badm_init_constant(0));
    memset(&d, 0, sizeof d);
    d.model = good;
    code[2] = badm_trainer_new(&tr, &d);
    *text += strlen(badm_result_text(BADM_ERR_SHAPE)) + strlen(badm_result_text(BADM_OK));
    badm_model_free(m);
    badm_model_free(good);
}
