/* The model of tests/golden/make_pytorch.py in this library's layers. Include after badm.h and golden.h. */
#ifndef TEST_PYTORCH_NET_H
#define TEST_PYTORCH_NET_H

enum { PYTORCH_SAMPLES = 5, PYTORCH_TOKENS = 4, PYTORCH_OUTPUTS = 4 };

typedef struct {
    badm_conv_layer conv;
    badm_norm norm1, norm2, norm3;
    badm_linear fc, out;
    badm_embedding embedding;
    badm_multihead attention;
    badm_gru cell;
    float images[PYTORCH_SAMPLES * 50];
    int32_t tokens[PYTORCH_SAMPLES * PYTORCH_TOKENS], labels[PYTORCH_SAMPLES];
} pytorch_net;

static void pytorch_open(pytorch_net *n, badm_model *m)
{
    int i;
    n->conv = badm_conv2d_new(m, "conv", 2, 6, 3, badm_conv_of(2, 1));
    n->norm1 = badm_batch_norm_new(m, "norm1", 6);
    n->norm2 = badm_group_norm_new(m, "norm2", 3, 6);
    n->fc = badm_linear_new(m, "fc", 54, 12);
    n->embedding = badm_embedding_new(m, "embedding", 11, 12);
    n->norm3 = badm_layer_norm_new(m, "norm3", 12);
    n->attention = badm_multihead_new(m, "attention", 12, 3);
    n->cell = badm_gru_new(m, "cell", 12, 8);
    n->out = badm_linear_new(m, "out", 8, 4);
    golden_fill(GOLDEN_REAL, 1, n->images, PYTORCH_SAMPLES * 50);
    for (i = 0; i < PYTORCH_SAMPLES * PYTORCH_TOKENS; i++) n->tokens[i] = (7 * i + i / 4) % 11;
    for (i = 0; i < PYTORCH_SAMPLES; i++) n->labels[i] = i % PYTORCH_OUTPUTS;
}

static badm_tensor *pytorch_output(badm_tape *t, const badm_batch *b, void *user)
{
    const pytorch_net *n = (const pytorch_net *)user;
    badm_dim image[4], flat[2], row[2];
    badm_tensor *x, *words, *state;
    badm_dim i;
    image[0] = flat[0] = row[0] = (badm_dim)b->count;
    image[1] = 2; image[2] = image[3] = 5;
    flat[1] = 54;
    row[1] = 12;
    x = badm_conv2d_forward(t, n->conv, badm_reshape(t, badm_rows(t, n->images, 50, b), 4, image));
    x = badm_group_norm_forward(t, n->norm2, badm_relu(t, badm_batch_norm_forward(t, n->norm1, x)));
    x = badm_tanh(t, badm_linear_forward(t, n->fc, badm_reshape(t, x, 2, flat)));
    words = badm_embedding_forward(t, n->embedding, badm_tokens(t, n->tokens, PYTORCH_TOKENS, b));
    words = badm_layer_norm_forward(t, n->norm3, words);
    words = badm_add(t, words, badm_multihead_forward(t, n->attention, words, 1));
    state = badm_slice(t, x, 1, 0, 8);
    for (i = 0; i < PYTORCH_TOKENS; i++)
        state = badm_gru_forward(t, n->cell, badm_reshape(t, badm_slice(t, words, 1, i, (badm_dim)(i + 1)), 2, row), state);
    return badm_linear_forward(t, n->out, state);
}

static badm_tensor *pytorch_loss(badm_tape *t, const badm_batch *b, void *user)
{
    return badm_cross_entropy(t, pytorch_output(t, b, user), badm_labels(t, ((const pytorch_net *)user)->labels, b));
}

static badm_trainer *pytorch_trainer(badm_model *m, pytorch_net *n)
{
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_trainer_defaults(&d);
    d.model = m; d.loss = pytorch_loss; d.user = n; d.max_batch = PYTORCH_SAMPLES; d.sub_batches = 2; d.workers = 2;
    return badm_trainer_new(&tr, &d) == BADM_OK ? tr : NULL;
}

#endif
