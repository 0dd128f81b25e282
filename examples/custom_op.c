/* An operation of your own: Huber's loss, written outside the library, checked, and used.
       cc -O2 -I. examples/custom_op.c -o build/custom_op -lpthread && build/custom_op

   Huber's loss is quadratic near zero and linear beyond delta, so that a few wild measurements cannot pull a fit far
   away. The data are y = 2 x + 1 with noise, and every eighth measurement is badly wrong. */
#include <stdio.h>
#define BADM_IMPLEMENTATION
#include "badm.h"

/* ---- huber: the mean of h(x - target);  h(e) = e^2/2 for |e| <= delta, else delta (|e| - delta/2);
        dh/de = e, but not below -delta nor above delta ---- */

static void huber_forward(badm_tape *t, badm_tensor *y)
{
    const float *x = badm_data(t, y->in[0]), *target = badm_data(t, y->in[1]);
    float delta = *(const float *)y->args, sum = 0;
    size_t i, n = badm_size(y->in[0]);
    for (i = 0; i < n; i++) {
        float e = x[i] - target[i], size = e < 0 ? -e : e;
        sum += size <= delta ? e * e / 2 : delta * (size - delta / 2);
    }
    badm_data(t, y)[0] = sum / (float)n;
}

static void huber_backward(badm_tape *t, badm_tensor *y)
{
    const float *x = badm_data(t, y->in[0]), *target = badm_data(t, y->in[1]);
    float *dx = badm_grad(t, y->in[0]), *dtarget = badm_grad(t, y->in[1]);     /* NULL where nobody wants one */
    float delta = *(const float *)y->args;
    size_t i, n = badm_size(y->in[0]);
    float dy = badm_grad(t, y)[0] / (float)n;
    for (i = 0; i < n; i++) {
        float e = x[i] - target[i], slope = e > delta ? delta : e < -delta ? -delta : e;
        if (dx) dx[i] += dy * slope;                /* += : a tensor may be used more than once */
        if (dtarget) dtarget[i] -= dy * slope;
    }
}

static badm_tensor *huber(badm_tape *t, badm_tensor *x, badm_tensor *target, float delta)
{
    static const badm_op op = { "huber", huber_forward, huber_backward };
    badm_tensor *in[2];
    unsigned i;
    for (i = 0; i < BADM_MAX_RANK; i++)
        if (x->rank != target->rank || (i < x->rank && x->shape[i] != target->shape[i]))
            return badm_fail(t, BADM_ERR_SHAPE, "huber", "%a and %b differ", x, target, 0, 0);
    in[0] = x;
    in[1] = target;
    return badm_record(t, &op, 0, NULL, 2, in, &delta, sizeof delta);          /* rank 0: a scalar */
}

/* ---- a straight line through bad data, fitted twice ---- */

enum { POINTS = 200, BATCH = 40, EPOCHS = 60 };
static float xs[POINTS], ys[POINTS];

typedef struct { badm_linear line; float delta; } fit;      /* delta 0: mean square error instead */

static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    const fit *f = (const fit *)user;
    badm_tensor *guess = badm_linear_forward(t, f->line, badm_rows(t, xs, 1, b)), *y = badm_rows(t, ys, 1, b);
    return f->delta > 0 ? huber(t, guess, y, f->delta) : badm_mse(t, guess, y);
}

static int failed(const char *why)
{
    fprintf(stderr, "custom_op: %s\n", why);
    return 0;
}

/* Fits with the given delta; writes the line found. */
static int train(float delta, float *slope, float *constant)
{
    badm_model *m = badm_model_new(3);
    badm_trainer *tr = NULL;
    badm_trainer_desc d;
    badm_gradient_check check;
    badm_result r;
    fit f;
    int epoch;

    if (!m) return failed("not enough memory");
    f.line = badm_linear_new(m, "line", 1, 1);
    f.delta = delta;

    /* 16 of the points; the step of the differences is small enough not to cross Huber's corners often. */
    r = badm_check_gradients(m, loss, &f, 16, 0, 1e-3f, &check);
    if (r != BADM_OK) return failed(badm_model_error(m));
    printf("  gradients: backward against differences, worst relative error %.1e\n", (double)check.worst);
    if (!(check.worst < 1e-2f)) return failed("the backward function is wrong");

    badm_trainer_defaults(&d);
    d.model = m; d.loss = loss; d.user = &f; d.max_batch = BATCH;
    d.sigma = 5; d.rho = 45;
    d.schedule.kind = BADM_LINEAR_DECAY; d.schedule.total = EPOCHS * POINTS / BATCH; d.schedule.last = 0.01f;
    if (badm_trainer_new(&tr, &d) != BADM_OK) return failed(badm_model_error(m));
    for (epoch = 0; epoch < EPOCHS; epoch++)
        if (badm_epoch(tr, POINTS, BATCH, NULL, NULL) != BADM_OK) return failed(badm_trainer_error(tr));
    *slope = badm_param_values(f.line.weight)[0];
    *constant = badm_param_values(f.line.bias)[0];
    badm_trainer_free(tr);
    badm_model_free(m);
    return 1;
}

static float off(float slope, float constant)       /* distance to the true line's slope and constant */
{
    float a = slope - 2, b = constant - 1;
    return badm_sqrtf(a * a + b * b);
}

int main(void)
{
    float square_slope, square_constant, huber_slope, huber_constant;
    badm_rng g;
    int i;

    badm_rng_init(&g, 11, 0);
    for (i = 0; i < POINTS; i++) {
        xs[i] = 2 * badm_rng_uniform(&g) - 1;
        ys[i] = 2 * xs[i] + 1 + 0.1f * badm_rng_normal(&g);
        if (i % 8 == 0) ys[i] += xs[i] > 0 ? -8.0f : 2.0f;         /* a sensor that sticks */
    }
    puts("mean square error");
    if (!train(0, &square_slope, &square_constant)) return 1;
    puts("huber, delta 0.2");
    if (!train(0.2f, &huber_slope, &huber_constant)) return 1;

    printf("\nthe truth                y = 2.000 x + 1.000\n");
    printf("mean square error        y = %.3f x + %.3f\n", (double)square_slope, (double)square_constant);
    printf("huber, an own operation  y = %.3f x + %.3f\n", (double)huber_slope, (double)huber_constant);
    return off(huber_slope, huber_constant) < 0.1f && off(square_slope, square_constant) > 0.3f ? 0 : 1;
}
