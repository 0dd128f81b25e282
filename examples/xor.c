#include <stdio.h>
#define BADM_IMPLEMENTATION
#include "badm.h"

typedef struct { badm_linear hidden, output; } net;
static const float inputs[4][2] = { {0, 0}, {0, 1}, {1, 0}, {1, 1} }, targets[4] = { 0, 1, 1, 0 };

static badm_tensor *forward(badm_tape *t, const badm_batch *b, void *user)  /* 2 inputs, 8 tanh, 1 logit */
{
    const net *n = (const net *)user;
    badm_tensor *h = badm_tanh(t, badm_linear_forward(t, n->hidden, badm_rows(t, inputs[0], 2, b)));
    return badm_linear_forward(t, n->output, h);
}
static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    return badm_bce_with_logits(t, forward(t, b, user), badm_rows(t, targets, 1, b));
}
int main(void)
{
    badm_model *m = badm_model_new(1);                   /* 1: the seed of the first weights */
    net n = { badm_linear_new(m, "hidden", 2, 8), badm_linear_new(m, "output", 8, 1) };
    badm_trainer *tr; badm_trainer_desc d; badm_report r; float y[4]; int i;
    badm_trainer_defaults(&d); d.model = m; d.loss = loss; d.user = &n;
    d.max_batch = 4; d.sub_batches = 1; d.sigma = 0.5f; d.rho = 4.5f;  /* step 2, momentum 0.9 */
    if (badm_trainer_new(&tr, &d) != BADM_OK) { puts(badm_model_error(m)); return 1; }
    for (i = 0; i < 500; i++) if (badm_step(tr, NULL, 4, &r) != BADM_OK) { puts(badm_trainer_error(tr)); return 1; }
    if (badm_predict(tr, forward, &n, 4, 1, y) != BADM_OK) { puts(badm_trainer_error(tr)); return 1; }
    for (i = 0; i < 4; i++) printf("%g xor %g = %d\n", (double)inputs[i][0], (double)inputs[i][1], y[i] > 0);
    badm_trainer_free(tr); badm_model_free(m); return r.loss < 0.01f ? 0 : 1;
}
