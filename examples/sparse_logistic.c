/* Logistic or least-squares regression on sparse data, from the command line: trains on any LIBSVM file, by SGD with large batches
   whose rare features do not starve (AdaBatch of Defossez and Bach, arXiv 1711.01761), or by SVRG; tests, saves, predicts.

       cc -O2 -I. examples/sparse_logistic.c -o build/sparse_logistic -lpthread
       build/sparse_logistic --test a9a.t a9a
       build/sparse_logistic --load build/sparse_logistic.safetensors --predict new.svm

   Files may be gzipped. Without any, the program makes up documents of words that are common or rare. */
#define PROGRAM "sparse_logistic"
#define BADM_IMPLEMENTATION
#include "example_program.h"        /* first: it asks for POSIX; includes badm.h */

typedef struct options {
    const char *train, *test, *predict, *load, *rule, *out;
    uint32_t epochs, batch, workers, seed, features;
    float lr, l2;
    badm_aggregation aggregation;
    int svrg, squared, no_intercept, help;
} options;

static const char usage[] =
    "usage: sparse_logistic [options] [TRAIN]\n"
    "Learns to tell the two classes of a LIBSVM file apart (labels above 0 are one class).\n"
    "TRAIN: lines \"label index:value index:value ...\", plain or .gz. Without it, made-up documents.\n"
    "\n"
    "  --test FILE      reports loss and accuracy on these lines as well\n"
    "  --predict FILE   writes a probability (or value) for each of these lines to predictions.txt\n"
    "  --load FILE      no training: the weights of an earlier run\n"
    "  --rule NAME      what becomes of a batch's gradients in each feature: presence (the mean over the samples that have it),\n"
    "                   frequency (the same in expectation), mean (presence)\n"
    "  --batch N        samples in a batch (64)\n"
    "  --lr X           step size (0.5)\n"
    "  --l2 X           weight of |w|^2/2 (0.00001)\n"
    "  --epochs N       passes over the samples (20)\n"
    "  --svrg           steps relative to the gradient of all samples, renewed every epoch: to the exact minimum\n"
    "  --squared        least squares instead of logistic loss\n"
    "  --no-intercept   no constant term\n"
    "  --features N     of the model; default: the largest index in TRAIN\n"
    "  --workers N      threads; any number gives the same result (one a core)\n"
    "  --seed N         order of the samples (1)\n"
    "  --out DIR        where sparse_logistic.safetensors and predictions.txt go (build if there is one, else .)\n"
    "  --help           this text\n";

/* 0: a sentence has been printed. */
static int read_options(options *o, int argc, char **argv)
{
    const option known[] = {
        { "--test", TEXT, &o->test },         { "--predict", TEXT, &o->predict },   { "--load", TEXT, &o->load },
        { "--rule", TEXT, &o->rule },         { "--batch", COUNT, &o->batch },      { "--lr", POSITIVE, &o->lr },
        { "--l2", NUMBER, &o->l2 },           { "--epochs", COUNT, &o->epochs },    { "--svrg", FLAG, &o->svrg },
        { "--squared", FLAG, &o->squared },   { "--features", COUNT, &o->features }, { "--no-intercept", FLAG, &o->no_intercept },
        { "--workers", COUNT, &o->workers },  { "--seed", COUNT, &o->seed },        { "--out", TEXT, &o->out },
        { "--help", FLAG, &o->help },         { "-h", FLAG, &o->help },             { NULL, FLAG, NULL }
    };
    memset(o, 0, sizeof *o);
    o->rule = "presence"; o->out = default_out();
    o->epochs = 20; o->batch = 64; o->workers = badm_cpu_count(); o->seed = 1; o->lr = 0.5f; o->l2 = 1e-5f;
    if (!read_arguments(known, argc, argv, &o->train)) return 0;
    if (!strcmp(o->rule, "presence")) o->aggregation = BADM_BY_PRESENCE;
    else if (!strcmp(o->rule, "frequency")) o->aggregation = BADM_BY_FREQUENCY;
    else if (!strcmp(o->rule, "mean")) o->aggregation = BADM_BY_MEAN;
    else return complain("--rule needs presence, frequency or mean");
    if (!o->batch || !o->workers) return complain("--batch and --workers need at least 1");
    if (o->load && o->train) return complain("--load and TRAIN: one of the two is expected");
    if (!*o->out) return complain("--out needs a folder");
    return 1;
}

/* Rows and labels of a file, or made up. */
typedef struct samples { badm_csr *x; badm_array y; } samples;

static void free_samples(samples *s)
{
    badm_csr_free(s->x);
    badm_array_free(&s->y);
}

static int load_samples(samples *s, const char *path, uint32_t features)
{
    char why[EXAMPLE_SENTENCE];
    if (!example_load_libsvm_csr(&s->x, &s->y, features, path, why)) return complain(why);
    printf("%s: %lu samples, %lu features, %lu of them in a sample\n", path, (unsigned long)s->x->rows, (unsigned long)s->x->cols,
           (unsigned long)(s->x->start[s->x->rows] / s->x->rows));
    return 1;
}

/* Documents of twenty words; word k comes up about 1/k as often as the first. Every word speaks for a class, the rare ones louder. */
static int make_samples(samples *s, uint32_t documents, uint64_t seed)
{
    enum { WORDS = 2000, LENGTH = 20 };
    uint32_t *row = (uint32_t *)malloc((size_t)documents * LENGTH * sizeof *row);
    uint32_t *word = (uint32_t *)malloc((size_t)documents * LENGTH * sizeof *word), i, k;
    float *y = (float *)malloc(documents * sizeof *y);
    badm_rng r, taste;
    int fine;
    badm_rng_init(&r, seed, 0);
    for (i = 0; row && word && y && i < documents; i++) {
        float margin = 0;
        for (k = 0; k < LENGTH; k++) {
            uint32_t w = (uint32_t)badm_expf(badm_rng_uniform(&r) * badm_logf((float)WORDS + 1.0f)) - 1;
            if (w >= WORDS) w = WORDS - 1;
            row[i * LENGTH + k] = i;
            word[i * LENGTH + k] = w;
            badm_rng_init(&taste, 7, w);
            margin += badm_rng_normal(&taste) * (w < 20 ? 0.3f : 1.0f);
        }
        y[i] = margin + badm_rng_normal(&r) > 0 ? 1.0f : -1.0f;
    }
    memset(s, 0, sizeof *s);
    fine = row && word && y
        && badm_csr_new(&s->x, NULL, documents, WORDS, (size_t)documents * LENGTH, row, word, NULL, NULL) == BADM_OK;
    free(row);
    free(word);
    s->y.data = y;                      /* freed by hand: not an array of the library's */
    return fine ? 1 : complain("not enough memory");
}

/* Mean loss and share of right answers of margins. */
static void judge(const options *o, const float *margin, const float *y, uint32_t n, double *loss, double *right)
{
    uint32_t i;
    *loss = *right = 0;
    for (i = 0; i < n; i++) {
        double m = (double)margin[i], t = (double)y[i];
        if (o->squared) *loss += 0.5 * (m - t) * (m - t);
        else *loss += (double)badm_log1pf(badm_expf((float)-(m < 0 ? -m : m))) + ((m > 0) == (t > 0) ? 0 : m < 0 ? -m : m);
        *right += (m > 0) == (t > 0);
    }
    *loss /= n;
    *right /= n;
}

static int report(const options *o, badm_sparse_sgd *s, const samples *test, float *margin)
{
    double loss, right;
    if (badm_sparse_margins(s, test->x, margin) != BADM_OK) return complain(badm_sparse_error(s));
    judge(o, margin, (const float *)test->y.data, test->x->rows, &loss, &right);
    if (o->squared) printf("   test loss %.5f", loss);
    else printf("   test loss %.5f, right %.4f", loss, right);
    return 1;
}

/* Trains on x and leaves the weights in the model's layer. */
static int train(const options *o, const samples *data, const samples *test, badm_linear layer)
{
    badm_sparse_desc d;
    badm_sparse_sgd *s;
    badm_error e;
    char why[EXAMPLE_SENTENCE];
    uint32_t epoch;
    double began = now(), spent = 0;
    float *margin = NULL;
    int fine = 1;
    badm_sparse_defaults(&d);
    d.x = data->x; d.y = (const float *)data->y.data;
    d.loss = o->squared ? BADM_SQUARED : BADM_LOGISTIC;
    d.aggregation = o->aggregation;
    d.batch = o->batch; d.lr = o->lr; d.l2 = o->l2; d.intercept = !o->no_intercept; d.svrg = o->svrg;
    d.seed = o->seed; d.workers = o->workers; d.cancel = &cancelled;
    if (badm_sparse_new(&s, &d, &e) != BADM_OK) { badm_error_text(&e, why, sizeof why); return complain(why); }
    if (test) margin = (float *)malloc(test->x->rows * sizeof *margin);
    if (test && !margin) fine = complain("not enough memory");
    for (epoch = 0; fine && epoch < o->epochs && !cancelled; epoch++) {
        double value, norm;
        began = now();
        if (badm_sparse_epoch(s) != BADM_OK) { if (!cancelled) fine = complain(badm_sparse_error(s)); break; }
        spent += now() - began;
        badm_sparse_objective(s, &value, &norm);
        printf("epoch %3lu   objective %.7f   |gradient| %.2e", (unsigned long)epoch + 1, value, norm);
        if (test) fine = report(o, s, test, margin);
        printf("   %.3f s\n", spent);
        fflush(stdout);
    }
    if (fine) {
        memcpy(badm_param_data(layer.weight), badm_sparse_weights(s), data->x->cols * sizeof(float));
        *badm_param_data(layer.bias) = badm_sparse_weights(s)[data->x->cols];
    }
    free(margin);
    badm_sparse_free(s);
    return fine;
}

/* A margin for each row, by a model's layer; columns the layer does not know count nothing. */
static void margins(const badm_csr *x, badm_linear layer, float *margin)
{
    const float *w = badm_param_values(layer.weight);
    uint32_t i, k, features = (uint32_t)badm_param_size(layer.weight);
    for (i = 0; i < x->rows; i++) {
        margin[i] = *badm_param_values(layer.bias);
        for (k = x->start[i]; k < x->start[i + 1]; k++) if (x->column[k] < features) margin[i] += x->value[k] * w[x->column[k]];
    }
}

static int predict(const options *o, badm_linear layer)
{
    samples s;
    output_file out;
    float *margin;
    uint32_t i;
    double loss, right;
    int fine;
    if (!load_samples(&s, o->predict, 0)) return 0;
    margin = (float *)malloc(s.x->rows * sizeof *margin);
    fine = margin ? open_output(&out, o->out, "predictions.txt") : complain("not enough memory");
    if (fine) {
        margins(s.x, layer, margin);
        for (i = 0; i < s.x->rows; i++)
            fprintf(out.f, "%.9g\n", o->squared ? (double)margin[i] : 1 / (1 + (double)badm_expf(-margin[i])));
        fine = close_output(&out);
    }
    if (fine) {
        judge(o, margin, (const float *)s.y.data, s.x->rows, &loss, &right);
        printf("%s: %lu lines", out.path, (unsigned long)s.x->rows);
        if (o->squared) printf("; by the labels in %s the loss is %.5f\n", o->predict, loss);
        else printf("; by the labels in %s %.4f are right\n", o->predict, right);
    }
    free(margin);
    free_samples(&s);
    return fine;
}

/* Features of a saved model; 0: it is not one of this program's. */
static uint32_t features_of(const char *path)
{
    char *header = read_header(path);
    badm_dim shape[2];
    int fine = header && shape_in(header, "linear.weight", shape) && shape[0] == 1;
    free(header);
    return fine ? shape[1] : 0;
}

int main(int argc, char **argv)
{
    options o;
    samples data, test;
    badm_model *m;
    badm_linear layer;
    uint32_t features;
    int fine = 1, made;
    if (!read_options(&o, argc, argv)) return 2;
    if (o.help) { fputs(usage, stdout); return 0; }
    signal(SIGINT, on_interrupt);
    memset(&data, 0, sizeof data);
    memset(&test, 0, sizeof test);
    made = !o.load && !o.train;
    if (o.load) {
        features = features_of(o.load);
        if (!features) { complain("--load needs a file that this program has saved"); return 1; }
    } else {
        if (!can_write_to(o.out)) return 1;
        if (!(o.train ? load_samples(&data, o.train, o.features) : make_samples(&data, 4000, 1))) return 1;
        features = data.x->cols;
        if (made) fine = make_samples(&test, 1000, 2);
        else if (o.test) fine = load_samples(&test, o.test, features);
    }
    m = badm_model_new(o.seed);
    if (!m || !fine) return 1;
    layer = badm_linear_new(m, "linear", features, 1);
    if (badm_model_result(m) != BADM_OK) fine = complain(badm_model_error(m));
    else if (o.load) fine = badm_load(m, o.load) == BADM_OK || complain(badm_model_error(m));
    else fine = train(&o, &data, test.x ? &test : NULL, layer) && (cancelled || save_model(m, o.out, "sparse_logistic.safetensors"));
    if (fine && !o.load && !cancelled) printf("saved %s/sparse_logistic.safetensors\n", o.out);
    if (fine && o.predict && !cancelled) fine = predict(&o, layer);
    badm_model_free(m);
    if (made) {
        badm_csr_free(data.x);
        badm_csr_free(test.x);
        free(data.y.data);
        free(test.y.data);
    } else {
        free_samples(&data);
        free_samples(&test);
    }
    if (cancelled) return 130;
    return fine ? 0 : 1;
}
