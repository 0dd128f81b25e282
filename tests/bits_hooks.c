/* For tests/bits.sh: stands between an example and the library (the linker's --wrap) and writes the bits of its results to
   standard error: of the score and the model whenever it evaluates, of what it predicts, and of every model that it frees. */
#include "badm.h"
#include <stdio.h>

void __real_badm_model_free(badm_model *m);
void __wrap_badm_model_free(badm_model *m);
badm_result __real_badm_evaluate(badm_trainer *tr, badm_loss_fn loss, void *user, uint32_t n, badm_score *out);
badm_result __wrap_badm_evaluate(badm_trainer *tr, badm_loss_fn loss, void *user, uint32_t n, badm_score *out);
badm_result __real_badm_predict(badm_trainer *tr, badm_loss_fn graph, void *user, uint32_t n, badm_dim width, float *out);
badm_result __wrap_badm_predict(badm_trainer *tr, badm_loss_fn graph, void *user, uint32_t n, badm_dim width, float *out);

static void print_model(const badm_model *m)
{
    if (m) fprintf(stderr, "BITS model %016llx\n", (unsigned long long)badm_model_hash(m));
}

void __wrap_badm_model_free(badm_model *m)
{
    print_model(m);
    __real_badm_model_free(m);
}

badm_result __wrap_badm_evaluate(badm_trainer *tr, badm_loss_fn loss, void *user, uint32_t n, badm_score *out)
{
    badm_result r = __real_badm_evaluate(tr, loss, user, n, out);
    print_model(badm_trainer_model(tr));
    if (r == BADM_OK) fprintf(stderr, "BITS score %a %a\n", (double)out->loss, (double)out->accuracy);
    return r;
}

badm_result __wrap_badm_predict(badm_trainer *tr, badm_loss_fn graph, void *user, uint32_t n, badm_dim width, float *out)
{
    badm_result r = __real_badm_predict(tr, graph, user, n, width, out);
    size_t i;
    for (i = 0; r == BADM_OK && i < (size_t)n * width; i++) fprintf(stderr, "BITS output %a\n", (double)out[i]);
    return r;
}
