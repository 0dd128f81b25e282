/* Our side of tasks.py: trains a network on real data. bench/pytorch_tasks.py does the same work by the same protocol.

       cc -std=c99 -O2 -I. bench/tasks.c -lpthread
       tasks NET DATA key=value...      DATA: a folder of .npy files that tasks.py wrote; the keys are those of `settings` below

   Prints "ready", then answers every line of its input: "go" trains `every` steps and prints their seconds, the loss of the
   last, and the loss and accuracy on held-out training data; "test" prints 0 0, loss and accuracy on the test data; "memory" prints
   bytes of parameters, of the trainer, and of its tapes. Evaluation is never timed. -1: there is no such figure.

   Sections: settings, data, the four networks, training. */
#define WORKER_ANSWERS_ITSELF
#include "worker.h"

#define BADM_IMPLEMENTATION
#include "badm.h"       /* the implementation, as "memory" looks at a tape's size */

#include <math.h>

static const char *program = "tasks";

/* ---- settings: what may be given, and what is taken otherwise ---- */

typedef struct setting { const char *key; double number; const char *word; } setting;
static setting settings[] = {
    { "method", 0, "badm" },            /* badm, sgd, momentum, nesterov, rmsprop, adam, adamw, nadamw, muon */
    { "metric", 0, "diagonal" },        /* of badm: plain, diagonal, orthogonal; vae: mixed too */
    { "images", 0, "mnist" },           /* of cnn and vae: mnist, fashion */
    { "step", 1e-3, NULL },             /* the learning rate; badm: 1/sigma */
    { "beta", 0.9, NULL },              /* momentum; badm: rho/(rho+sigma) */
    { "beta2", 0.999, NULL }, { "eps", 1e-8, NULL }, { "decay", 0, NULL }, { "clip", 0, NULL },
    { "batch", 128, NULL }, { "slots", 1, NULL }, { "workers", 1, NULL }, { "seed", 1, NULL },
    { "every", 100, NULL },             /* steps a "go" */
    { "evaluate", 1, NULL },            /* 0: "go" does not evaluate */
    { "target", 0, NULL },              /* 1: "go" evaluates on what "test" uses; for text, whose parts are all training data */
    { "rows", 0, NULL },                /* of the training data, held out the rest; 0: what the network has by default */
    { "schedule", 0, "constant" },      /* constant, linear, cosine */
    { "steps", 0, NULL },               /* to the end of the schedule */
    { "warmup", 0, NULL }, { "last", 0, NULL }
};
enum { SETTINGS = sizeof settings / sizeof settings[0] };

static setting *find(const char *key, size_t length)
{
    int i;
    for (i = 0; i < SETTINGS; i++)
        if (strlen(settings[i].key) == length && memcmp(settings[i].key, key, length) == 0) return &settings[i];
    worker_die(key, "there is no such setting");
    return NULL;
}

static double number(const char *key) { return find(key, strlen(key))->number; }
static const char *word(const char *key) { return find(key, strlen(key))->word; }
static int is(const char *key, const char *value) { return strcmp(word(key), value) == 0; }

static void set(const char *text)
{
    const char *equals = strchr(text, '=');
    char *end;
    setting *s;
    if (!equals) worker_die(text, "key=value is expected");
    s = find(text, (size_t)(equals - text));
    if (s->word) { s->word = equals + 1; return; }
    s->number = strtod(equals + 1, &end);
    if (*end || end == equals + 1) worker_die(text, "a number is expected");
}

/* ---- data ---- */

static badm_array load(const char *folder, const char *what, const char *name)
{
    badm_array a;
    badm_error e;
    char path[1024], text[256];
    snprintf(path, sizeof path, "%s/%s%s.npy", folder, what, name);
    if (badm_npy_load(&a, path, NULL, &e) != BADM_OK) {
        badm_error_text(&e, text, sizeof text);
        worker_die(path, text);
    }
    return a;
}

static void *need(size_t count, size_t bytes)
{
    void *p = calloc(count, bytes);
    if (!p) worker_die(program, "not enough memory");
    return p;
}

/* A part of the data: samples first..first+n-1. What `user` of a loss is. */
typedef struct part { const struct task *task; uint32_t first, n; } part;

enum { LAYERS = 4, WIDTH = 128, HEADS = 4, CONTEXT = 64, LATENT = 20, MAX_BATCH = 512 };

typedef struct task {
    badm_model *model;
    badm_loss_fn loss, held_out_loss;   /* held_out_loss NULL: the same */
    part train, held_out, test;
    uint32_t batch;
    /* images */
    badm_array x, labels, test_x, test_labels;
    badm_conv_layer conv[2];
    badm_linear fc[5];
    /* text */
    int32_t *text;
    badm_dim characters;
    badm_param token, position;
    struct { badm_norm norm1, norm2; badm_linear qkv, out, up, down; } block[LAYERS];
    badm_norm norm;
    badm_linear head;
    /* graph */
    badm_csr *graph, *features;
    badm_linear gcn[2];
    int32_t *node_labels;
    /* training */
    badm_trainer *trainer;
    badm_report report;
    uint32_t *order, at, epoch;
} task;

/* ---- vision: 16 and 32 channels, 3x3, pooled, 128 ---- */

static badm_tensor *images_of(badm_tape *t, const badm_batch *b, const part *p, const uint8_t **labels)
{
    const task *k = p->task;
    const badm_array *x = p == &k->test ? &k->test_x : &k->x;
    *labels = (const uint8_t *)(p == &k->test ? &k->test_labels : &k->labels)->data + p->first;
    return badm_rows_u8(t, (const uint8_t *)x->data + (size_t)p->first * 784, 784, 1.0f / 255, 0, b);
}

static badm_tensor *cnn_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const part *p = (const part *)user;
    const task *k = p->task;
    const uint8_t *labels;
    badm_dim image[4] = { 0, 1, 28, 28 }, flat[2] = { 0, 32 * 7 * 7 };
    badm_tensor *x = images_of(t, b, p, &labels);
    image[0] = flat[0] = (badm_dim)b->count;
    x = badm_reshape(t, x, 4, image);
    x = badm_relu(t, badm_max_pool2d(t, badm_conv2d_forward(t, k->conv[0], x), 2, 2, 0));
    x = badm_relu(t, badm_max_pool2d(t, badm_conv2d_forward(t, k->conv[1], x), 2, 2, 0));
    x = badm_relu(t, badm_linear_forward(t, k->fc[0], badm_reshape(t, x, 2, flat)));
    return badm_cross_entropy(t, badm_linear_forward(t, k->fc[1], x), badm_labels_u8(t, labels, b));
}

static void load_images(task *k, const char *data, uint32_t train_rows)
{
    k->x = load(data, word("images"), "_train_images");
    k->labels = load(data, word("images"), "_train_labels");
    k->test_x = load(data, word("images"), "_test_images");
    k->test_labels = load(data, word("images"), "_test_labels");
    k->train.n = train_rows;
    k->held_out.first = train_rows < k->x.shape[0] ? train_rows : 0;        /* all of it is trained on: then nothing is held out */
    k->held_out.n = k->x.shape[0] - k->held_out.first;
    k->test.n = k->test_x.shape[0];
}

static void make_cnn(task *k, const char *data)
{
    badm_model *m = k->model;
    load_images(k, data, number("rows") > 0 ? (uint32_t)number("rows") : 55000);
    k->conv[0] = badm_conv2d_new(m, "conv1", 1, 16, 3, badm_conv_of(1, 1));
    k->conv[1] = badm_conv2d_new(m, "conv2", 16, 32, 3, badm_conv_of(1, 1));
    k->fc[0] = badm_linear_new(m, "fc1", 32 * 7 * 7, 128);
    k->fc[1] = badm_linear_new(m, "fc2", 128, 10);
    k->loss = cnn_loss;
}

/* ---- image generation: VAE 784-256-20-256-784, Bernoulli; the loss is -ELBO in nats an image ---- */

static badm_tensor *vae(badm_tape *t, const badm_batch *b, const part *p, badm_tensor *noise)
{
    const task *k = p->task;
    const uint8_t *labels;
    badm_tensor *x = images_of(t, b, p, &labels), *h, *mean, *log_var, *z, *kl;
    h = badm_relu(t, badm_linear_forward(t, k->fc[0], x));
    mean = badm_linear_forward(t, k->fc[1], h);
    log_var = badm_linear_forward(t, k->fc[2], h);
    z = badm_add(t, mean, badm_mul(t, noise, badm_exp(t, badm_scale(t, log_var, 0.5f))));
    /* KL = -1/2 sum (1 + log var - mean^2 - var), a mean over images */
    kl = badm_sub(t, badm_shift(t, log_var, 1), badm_add(t, badm_mul(t, mean, mean), badm_exp(t, log_var)));
    kl = badm_scale(t, badm_mean(t, kl), -0.5f * LATENT);
    h = badm_linear_forward(t, k->fc[4], badm_relu(t, badm_linear_forward(t, k->fc[3], z)));
    return badm_add(t, badm_scale(t, badm_bce_with_logits(t, h, x), 784), kl);
}

static badm_tensor *vae_loss(badm_tape *t, const badm_batch *b, void *user)
{
    badm_dim shape[2] = { 0, LATENT };
    shape[0] = (badm_dim)b->count;
    return vae(t, b, (const part *)user, badm_randn(t, 2, shape));
}

static void normal_row(float *row, badm_dim width, uint32_t index, void *user)
{
    badm_rng r;
    badm_dim i;
    (void)user;
    badm_rng_init(&r, 7, index);
    for (i = 0; i < width; i++) row[i] = badm_rng_normal(&r);
}

/* Each held-out image with the same noise every time. */
static badm_tensor *vae_held_out(badm_tape *t, const badm_batch *b, void *user)
{
    return vae(t, b, (const part *)user, badm_rows_fill(t, normal_row, NULL, LATENT, b));
}

static void make_vae(task *k, const char *data)
{
    badm_model *m = k->model;
    load_images(k, data, number("rows") > 0 ? (uint32_t)number("rows") : 55000);
    k->fc[0] = badm_linear_new(m, "encoder", 784, 256);
    k->fc[1] = badm_linear_new(m, "mean", 256, LATENT);
    k->fc[2] = badm_linear_new(m, "log_var", 256, LATENT);
    k->fc[3] = badm_linear_new(m, "decoder1", LATENT, 256);
    k->fc[4] = badm_linear_new(m, "decoder2", 256, 784);
    if (is("metric", "mixed")) {        /* diagonal, but orthogonal where that costs next to nothing */
        badm_set_metric(m, "mean.weight", BADM_ORTHOGONAL);
        badm_set_metric(m, "log_var.weight", BADM_ORTHOGONAL);
        badm_set_metric(m, "decoder1.weight", BADM_ORTHOGONAL);
        badm_set_step_scale(m, "mean.weight", 2.5f);
        badm_set_step_scale(m, "log_var.weight", 2.5f);
        badm_set_step_scale(m, "decoder1.weight", 2.5f);
    }
    k->loss = vae_loss;
    k->held_out_loss = vae_held_out;
}

/* ---- language: 4 layers, 4 heads, width 128, context 64. A sample of a part is a place in the text ---- */

static badm_tensor *gpt(badm_tape *t, const badm_batch *b, const part *p, uint32_t stride)
{
    const task *k = p->task;
    int32_t tokens[MAX_BATCH * CONTEXT], targets[MAX_BATCH * CONTEXT];
    badm_dim shape[2] = { 0, CONTEXT };
    badm_tensor *x, *position = badm_param_use(t, k->position);
    uint32_t i, j;
    for (i = 0; b->index && i < b->count; i++)
        for (j = 0; j < CONTEXT; j++) {
            size_t at = p->first + (size_t)b->index[i] * stride + j;
            tokens[i * CONTEXT + j] = k->text[at];
            targets[i * CONTEXT + j] = k->text[at + 1];
        }
    shape[0] = (badm_dim)b->count;
    x = badm_add(t, badm_gather_rows(t, badm_param_use(t, k->token), badm_ints_input(t, 2, shape, tokens)), position);
    for (i = 0; i < LAYERS; i++) {
        badm_tensor *h = badm_linear_forward(t, k->block[i].qkv, badm_layer_norm_forward(t, k->block[i].norm1, x));
        x = badm_add(t, x, badm_linear_forward(t, k->block[i].out, badm_self_attention(t, h, HEADS, 1)));
        h = badm_gelu(t, badm_linear_forward(t, k->block[i].up, badm_layer_norm_forward(t, k->block[i].norm2, x)));
        x = badm_add(t, x, badm_linear_forward(t, k->block[i].down, h));
    }
    x = badm_linear_forward(t, k->head, badm_layer_norm_forward(t, k->norm, x));
    return badm_cross_entropy(t, x, badm_ints_input(t, 2, shape, targets));
}

static badm_tensor *gpt_loss(badm_tape *t, const badm_batch *b, void *user) { return gpt(t, b, (const part *)user, 1); }

static badm_tensor *gpt_held_out(badm_tape *t, const badm_batch *b, void *user) { return gpt(t, b, (const part *)user, CONTEXT); }

/* As nanoGPT: weights N(0, 0.02), what leads back into the residual stream divided by sqrt(2 layers), biases 0. */
static void start_like_gpt(badm_model *m)
{
    badm_rng r;
    size_t p, i;
    badm_rng_init(&r, (uint64_t)number("seed"), 3);
    for (p = 0; p < badm_param_count(m); p++) {
        badm_param at = badm_param_at(m, p);
        const char *name = badm_param_name(at);
        float *w = badm_param_data(at), std = strstr(name, ".out.") || strstr(name, ".down.") ? 0.02f / badm_sqrtf(2 * LAYERS) : 0.02f;
        if (strstr(name, "norm")) continue;
        for (i = 0; i < badm_param_size(at); i++) w[i] = badm_param_shape(at).rank == 2 ? std * badm_rng_normal(&r) : 0;
    }
}

static void make_gpt(task *k, const char *data)
{
    badm_array text = load(data, "text", "");
    uint32_t n = text.shape[0], i;
    char name[32];
    badm_model *m = k->model;
    k->text = (int32_t *)need(n, sizeof *k->text);
    for (i = 0; i < n; i++) {
        k->text[i] = ((const uint8_t *)text.data)[i];
        if (k->text[i] >= (int32_t)k->characters) k->characters = (badm_dim)(k->text[i] + 1);
    }
    badm_array_free(&text);
    /* the first 90 % for training, 5 % for tuning, 5 % for the target */
    k->train.n = n / 10 * 9 - CONTEXT - 1;
    k->held_out.first = n / 10 * 9;
    k->held_out.n = (n / 20 - 1) / CONTEXT;
    k->test.first = n / 20 * 19;
    k->test.n = (n / 20 - 1) / CONTEXT;
    k->token = badm_embedding_new(m, "token", k->characters, WIDTH).weight;
    k->position = badm_embedding_new(m, "position", CONTEXT, WIDTH).weight;
#define LAYER(what) (snprintf(name, sizeof name, "block%u." what, (unsigned)i), name)
    for (i = 0; i < LAYERS; i++) {
        k->block[i].norm1 = badm_layer_norm_new(m, LAYER("norm1"), WIDTH);
        k->block[i].qkv = badm_linear_new(m, LAYER("qkv"), WIDTH, 3 * WIDTH);
        k->block[i].out = badm_linear_new(m, LAYER("out"), WIDTH, WIDTH);
        k->block[i].norm2 = badm_layer_norm_new(m, LAYER("norm2"), WIDTH);
        k->block[i].up = badm_linear_new(m, LAYER("up"), WIDTH, 4 * WIDTH);
        k->block[i].down = badm_linear_new(m, LAYER("down"), 4 * WIDTH, WIDTH);
    }
    k->norm = badm_layer_norm_new(m, "norm", WIDTH);
    k->head = badm_linear_new(m, "head", WIDTH, k->characters);
    if (badm_model_result(m) == BADM_OK) start_like_gpt(m);
    k->loss = gpt_loss;
    k->held_out_loss = gpt_held_out;
}

/* ---- graphs: two graph convolutions, hidden 16, dropout 0.5, L2 on the first. One sample: the graph ---- */

static badm_tensor *gcn_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const part *p = (const part *)user;
    const task *k = p->task;
    badm_tensor *w = badm_param_use(t, k->gcn[0].weight), *x, *l2 = badm_scale(t, badm_sum(t, badm_mul(t, w, w)), 2.5e-4f);
    badm_dim nodes = k->graph->rows;
    int32_t *labels = k->node_labels + (p == &k->train ? 0 : p == &k->held_out ? 1 : 2) * (size_t)nodes;
    (void)b;
    x = badm_sparse_matmul(t, badm_csr_dropout(t, k->features, 0.5f), w);
    x = badm_relu(t, badm_add(t, badm_sparse_matmul(t, k->graph, x), badm_param_use(t, k->gcn[0].bias)));
    x = badm_matmul(t, badm_dropout(t, x, 0.5f), badm_param_use(t, k->gcn[1].weight));
    x = badm_add(t, badm_sparse_matmul(t, k->graph, x), badm_param_use(t, k->gcn[1].bias));
    return badm_add(t, badm_cross_entropy(t, x, badm_ints_input(t, 1, &nodes, labels)), l2);
}

static badm_linear graph_convolution(badm_model *m, const char *weight, const char *bias, badm_dim in, badm_dim out)
{
    badm_linear l;
    badm_dim shape[2];
    shape[0] = in;
    shape[1] = out;
    l.weight = badm_param_new(m, weight, 2, shape, badm_init_xavier_uniform(1));
    l.bias = badm_param_new(m, bias, 1, shape + 1, badm_init_constant(0));
    return l;
}

/* Row-normalised features; rows 0..139 for training, 200..499 held out, 500..1499 test. */
static void make_gcn(task *k, const char *data)
{
    badm_array row = load(data, "cora", "_row"), column = load(data, "cora", "_column"), from = load(data, "cora", "_from"),
        to = load(data, "cora", "_to"), labels = load(data, "cora", "_labels");
    uint32_t nodes = labels.shape[0], n = row.shape[0], i, *in_row = (uint32_t *)need(nodes, sizeof *in_row), features = 0;
    float *value = (float *)need(n, sizeof *value);
    const uint32_t *r = (const uint32_t *)row.data, *c = (const uint32_t *)column.data;
    int split;
    for (i = 0; i < n; i++) {
        in_row[r[i]]++;
        if (c[i] >= features) features = c[i] + 1;
    }
    for (i = 0; i < n; i++) value[i] = 1.0f / (float)in_row[r[i]];
    if (badm_csr_new(&k->features, NULL, nodes, features, n, r, c, value, NULL) != BADM_OK
        || badm_csr_graph(&k->graph, NULL, nodes, from.shape[0], (const uint32_t *)from.data, (const uint32_t *)to.data, NULL) != BADM_OK)
        worker_die(program, "the graph cannot be made");
    k->node_labels = (int32_t *)need(3 * (size_t)nodes, sizeof(int32_t));
    for (split = 0; split < 3; split++)
        for (i = 0; i < nodes; i++) {
            int member = split == 0 ? i < 140 : split == 1 ? i >= 200 && i < 500 : i >= 500 && i < 1500;
            k->node_labels[(size_t)split * nodes + i] = member ? ((const int32_t *)labels.data)[i] : BADM_IGNORE;
        }
    k->gcn[0] = graph_convolution(k->model, "gc1.weight", "gc1.bias", (badm_dim)features, 16);
    k->gcn[1] = graph_convolution(k->model, "gc2.weight", "gc2.bias", 16, 7);
    k->train.n = k->held_out.n = k->test.n = 1;
    k->batch = 1;
    k->loss = gcn_loss;
    free(in_row); free(value);
    badm_array_free(&row); badm_array_free(&column); badm_array_free(&from); badm_array_free(&to); badm_array_free(&labels);
}

/* ---- training ---- */

static const struct { const char *name; const badm_method *(*method)(void); } methods[] = {
    { "sgd", badm_method_sgd }, { "momentum", badm_method_momentum }, { "nesterov", badm_method_nesterov },
    { "rmsprop", badm_method_rmsprop }, { "adam", badm_method_adam }, { "adamw", badm_method_adamw },
    { "nadamw", badm_method_nadamw }, { "muon", badm_method_muon }
};

static void make_trainer(task *k)
{
    badm_trainer_desc d;
    size_t i;
    badm_trainer_defaults(&d);
    d.model = k->model; d.loss = k->loss; d.user = &k->train;
    d.max_batch = k->batch; d.sub_batches = (uint32_t)number("slots"); d.workers = (uint32_t)number("workers");
    d.seed = (uint64_t)number("seed");
    d.lr = (float)number("step"); d.beta1 = (float)number("beta");
    d.sigma = (float)(1 / number("step")); d.rho = (float)(number("beta") / (1 - number("beta")) / number("step"));
    d.beta2 = (float)number("beta2"); d.eps = (float)number("eps");
    d.weight_decay = (float)number("decay"); d.clip = (float)number("clip");
    d.metric = is("metric", "orthogonal") ? BADM_ORTHOGONAL : is("metric", "diagonal") || is("metric", "mixed") ? BADM_DIAGONAL : BADM_PLAIN;
    d.monitors = 0;
    d.schedule.kind = is("schedule", "linear") ? BADM_LINEAR_DECAY : is("schedule", "cosine") ? BADM_COSINE_DECAY : BADM_CONSTANT_RATE;
    d.schedule.total = (uint32_t)number("steps"); d.schedule.warmup = (uint32_t)number("warmup");
    d.schedule.last = (float)number("last");
    for (i = 0; i < sizeof methods / sizeof *methods && !is("method", methods[i].name); i++) { }
    if (i < sizeof methods / sizeof *methods) d.method = methods[i].method();
    else if (!is("method", "badm")) worker_die(word("method"), "there is no such method");
    if (badm_trainer_new(&k->trainer, &d) != BADM_OK) worker_die(program, badm_model_error(k->model));
    k->order = (uint32_t *)need(k->train.n, sizeof *k->order);
    k->at = k->train.n;
}

static void run(void *user, size_t steps)
{
    task *k = (task *)user;
    uint32_t i, n = k->train.n;
    for (; steps > 0; steps--, k->at += k->batch) {
        if (k->at + k->batch > n) {
            for (i = 0; i < n; i++) k->order[i] = badm_shuffle((uint64_t)number("seed"), k->epoch, n, i);
            k->at = 0;
            k->epoch++;
        }
        if (badm_step(k->trainer, k->order + k->at, k->batch, &k->report) != BADM_OK)
            worker_die(program, badm_trainer_error(k->trainer));
    }
}

static void answer(task *k, double seconds, double loss, part *p)
{
    badm_score score = { -1, -1, 0 };
    if (p && badm_evaluate(k->trainer, k->held_out_loss ? k->held_out_loss : k->loss, p, p->n, &score) != BADM_OK)
        worker_die(program, badm_trainer_error(k->trainer));
    printf("%.9g %.9g %.9g %.9g\n", seconds, loss, (double)score.loss, (double)score.accuracy);
}

int main(int argc, char **argv)
{
    static const struct { const char *name; void (*make)(task *k, const char *data); } nets[] = {
        { "gpt", make_gpt }, { "cnn", make_cnn }, { "vae", make_vae }, { "gcn", make_gcn }
    };
    static task k;
    char line[16];
    int i;
    if (argc < 3) worker_die("usage", "tasks NET DATA [key=value]...");
    for (i = 3; i < argc; i++) set(argv[i]);
    for (i = 0; i < 4 && strcmp(argv[1], nets[i].name) != 0; i++) { }
    if (i == 4) worker_die(argv[1], "NET is gpt, cnn, vae or gcn");
    k.model = badm_model_new((uint64_t)number("seed"));
    if (!k.model) worker_die(program, "not enough memory");
    k.train.task = k.held_out.task = k.test.task = &k;
    k.batch = (uint32_t)number("batch");
    if (k.batch < 1 || k.batch > MAX_BATCH) worker_die("batch", "1 to 512 is expected");
    nets[i].make(&k, argv[2]);
    make_trainer(&k);
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (strcmp(line, "test\n") == 0) answer(&k, 0, 0, &k.test);
        else if (strcmp(line, "memory\n") == 0) {
            size_t tapes = k.trainer->workers * k.trainer->tape_bytes;
            printf("%lu %lu %lu -1\n", (unsigned long)(badm_model_size(k.model) * sizeof(float)),
                   (unsigned long)badm_trainer_memory(k.trainer), (unsigned long)tapes);
        } else {
            part *shown = number("evaluate") == 0 ? NULL : number("target") == 0 ? &k.held_out : &k.test;
            double seconds = worker_seconds(run, &k, (size_t)number("every"));
            answer(&k, seconds, (double)k.report.loss, shown);
        }
        fflush(stdout);
    }
    badm_trainer_free(k.trainer);
    badm_model_free(k.model);
    return 0;
}
