/* A model of two small tensors and its training, for what reads and writes files. Include after badm.h. */
#ifndef TEST_FILES_H
#define TEST_FILES_H

typedef struct small_net { badm_linear fc; } small_net;

static inline badm_model *small_model(uint64_t seed, small_net *net)
{
    badm_model *m = badm_model_new(seed);
    net->fc = badm_linear_new(m, "fc", 2, 2);
    return m;
}

static inline badm_tensor *small_loss(badm_tape *t, const badm_batch *b, void *user)
{
    static const float x[8][2] = { {0, 0}, {0, 1}, {1, 0}, {1, 1}, {0.5f, 0}, {0, 0.5f}, {0.5f, 1}, {1, 0.5f} };
    static const int32_t labels[8] = { 0, 1, 1, 0, 0, 1, 1, 0 };
    const small_net *net = (const small_net *)user;
    badm_tensor *y = badm_linear_forward(t, net->fc, badm_rows(t, &x[0][0], 2, b));
    return badm_cross_entropy(t, y, badm_labels(t, labels, b));
}

/* 8 samples in batches of 4. */
static inline void small_desc(badm_trainer_desc *d, badm_model *m, small_net *net)
{
    badm_trainer_defaults(d);
    d->model = m;
    d->loss = small_loss;
    d->user = net;
    d->max_batch = 4;
    d->sub_batches = 2;
    d->workers = 1;
}

/* All values of a model are finite. */
static inline int model_is_finite(badm_model *m)
{
    size_t i, k;
    for (i = 0; i < badm_param_count(m); i++) {
        badm_param p = badm_param_at(m, i);
        for (k = 0; k < badm_param_size(p); k++)
            if (!(badm_param_values(p)[k] - badm_param_values(p)[k] == 0.0f)) return 0;
    }
    return 1;
}

#endif
