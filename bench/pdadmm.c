/* What methods.py measures of pdADMM.

       pdadmm serve FOLDER WORKERS      iterations, as worker.h says; numpy_pdadmm.py does the same
       pdadmm model FOLDER              what layers, barriers and exchanges take, and the speed-ups that follow
       pdadmm accuracy DATA OUT LAYERS GROW WIDTH IMAGES ITERATIONS
                                        pdADMM, SGD, Adam and BADM on images of 14 x 14, the same network; pdADMM begins with LAYERS,
                                        is grown by GROW, and does ITERATIONS before and after

   FOLDER has x.npy [samples,inputs] and w1.npy, w2.npy ... [out,in]; biases begin at 0, sample i is of class 7 i mod 10. DATA is a folder with mnist/'s or fashion-mnist's four IDX files. accuracy chooses step sizes on held-out images and looks at the test
   images once; OUT gets a CSV file of the curves. */
#define PROGRAM "bench/pdadmm"
#define BADM_IMPLEMENTATION
#include "../examples/example_images.h"     /* first: it asks for POSIX; includes badm.h */
#include "worker.h"

#define NU 1e-2f
enum { MAX_LAYERS = 128, ROUNDS = 7, EPOCHS = 10, BATCH = 128 };

typedef struct network { badm_linear layer[MAX_LAYERS]; uint32_t layers; const samples *of; } network;

static void add_layer(network *net, badm_model *m, uint32_t in, uint32_t out)
{
    char name[32];
    if (net->layers == MAX_LAYERS) worker_die(PROGRAM, "too many layers");
    snprintf(name, sizeof name, "fc%lu", (unsigned long)badm_param_count(m) / 2 + 1);
    net->layer[net->layers++] = badm_linear_new(m, name, (badm_dim)in, (badm_dim)out);
    if (badm_model_result(m) != BADM_OK) worker_die(PROGRAM, badm_model_error(m));
}

static badm_pdadmm *make_solver(badm_model *m, const network *net, const samples *s, uint32_t workers, float nu, float rho, double (*clock)(void))
{
    badm_pdadmm_desc d;
    badm_pdadmm *p;
    badm_error e;
    char why[EXAMPLE_SENTENCE];
    badm_pdadmm_defaults(&d);
    d.model = m; d.layer = net->layer; d.layers = net->layers; d.x = s->x; d.label = s->label; d.samples = s->n; d.workers = workers;
    d.nu = nu;
    d.rho = rho;
    d.clock = clock;
    if (badm_pdadmm_new(&p, &d, &e) != BADM_OK) { badm_error_text(&e, why, sizeof why); worker_die(PROGRAM, why); }
    return p;
}

static int load_array(badm_array *a, const char *folder, const char *name)
{
    char path[EXAMPLE_PATH];
    snprintf(path, sizeof path, "%s/%s.npy", folder, name);
    return badm_npy_load(a, path, NULL, NULL) == BADM_OK && a->type == BADM_F32 && a->rank == 2;
}

/* The problem in a folder: its network is added to the model. */
static void load_problem(const char *folder, samples *s, network *net, badm_model *m)
{
    badm_array a;
    char name[32];
    uint32_t i;
    if (!load_array(&a, folder, "x")) worker_die(folder, "there is no x.npy of two dimensions");
    s->n = a.shape[0];
    s->x = (float *)malloc((size_t)s->n * a.shape[1] * sizeof *s->x);
    s->label = (int32_t *)malloc(s->n * sizeof *s->label);
    if (!s->x || !s->label) worker_die(PROGRAM, "not enough memory");
    memcpy(s->x, a.data, (size_t)s->n * a.shape[1] * sizeof *s->x);
    badm_array_free(&a);
    for (i = 0; i < s->n; i++) s->label[i] = (int32_t)(i * 7 % CLASSES);
    net->layers = 0;
    for (i = 1; snprintf(name, sizeof name, "w%lu", (unsigned long)i), load_array(&a, folder, name); i++) {
        badm_linear *l = &net->layer[net->layers];
        add_layer(net, m, a.shape[1], a.shape[0]);
        memcpy(badm_param_data(l->weight), a.data, badm_param_size(l->weight) * sizeof(float));
        memset(badm_param_data(l->bias), 0, a.shape[0] * sizeof(float));
        badm_array_free(&a);
    }
}

static void iterate(void *user, size_t times)
{
    while (times--) if (badm_pdadmm_step((badm_pdadmm *)user, NULL) != BADM_OK) worker_die(PROGRAM, "an iteration failed");
}

static void serve(const char *folder, uint32_t workers)
{
    samples s;
    network net;
    badm_model *m = badm_model_new(1);
    badm_pdadmm *p;
    badm_pdadmm_report r;
    load_problem(folder, &s, &net, m);
    p = make_solver(m, &net, &s, workers, NU, 4 * NU, NULL);
    worker_serve(iterate, p, badm_pdadmm_memory(p));
    if (badm_pdadmm_step(p, &r) == BADM_OK) printf("loss %g\n", (double)r.loss);
    badm_pdadmm_free(p);
    badm_model_free(m);
    free_samples(&s);
}

/* ---------------------------------------------------------------------------------------------------------------------
   The critical path
   --------------------------------------------------------------------------------------------------------------------- */

/* Seconds until `cores` have done all jobs, each the next one when it is free. */
static double schedule(const double *job, uint32_t jobs, uint32_t cores)
{
    double busy[MAX_LAYERS] = { 0 }, last = 0;
    uint32_t i, c, first;
    for (i = 0; i < jobs; i++) {
        for (first = 0, c = 1; c < cores; c++) if (busy[c] < busy[first]) first = c;
        busy[first] += job[i];
        if (busy[first] > last) last = busy[first];
    }
    return last;
}

/* Bytes a second of copying what does not fit the caches: the bandwidth of an exchange. */
static double copying(void)
{
    size_t bytes = (size_t)64 << 20;
    char *a = (char *)malloc(bytes), *b = (char *)malloc(bytes);
    double t[ROUNDS];
    int i;
    if (!a || !b) worker_die(PROGRAM, "not enough memory");
    memset(a, 1, bytes);
    memset(b, 2, bytes);
    for (i = 0; i < ROUNDS; i++) {
        double began = now();
        memcpy(i % 2 ? a : b, i % 2 ? b : a, bytes);
        t[i] = now() - began;
    }
    free(a);
    free(b);
    return (double)bytes / worker_median(t, ROUNDS);
}

static void nothing(void *of, uint32_t worker, uint32_t job) { (void)of; (void)worker; (void)job; }

/* Seconds that it takes two workers to begin and end jobs that do nothing. */
static double barrier(badm_pdadmm *p)
{
    double t[ROUNDS];
    int i, k;
    for (i = 0; i < ROUNDS; i++) {
        double began = now();
        for (k = 0; k < 1000; k++) badm_i_jobs(&p->pool, nothing, 2, 2, 0);
        t[i] = (now() - began) / 1000;
    }
    return worker_median(t, ROUNDS);
}

typedef struct times { double fit[MAX_LAYERS], link[MAX_LAYERS], whole; } times;

/* Medians of each layer's two jobs, the longest fits first as they are begun, and of an iteration. */
static void measure(times *t, badm_pdadmm *p, uint32_t layers)
{
    static double fit[MAX_LAYERS][ROUNDS], link[MAX_LAYERS][ROUNDS], whole[ROUNDS];
    uint32_t l;
    int i;
    iterate(p, 1);
    for (i = 0; i < ROUNDS; i++) {
        whole[i] = worker_seconds(iterate, p, 1);
        for (l = 0; l < layers; l++) badm_pdadmm_seconds(p, p->order[l], &fit[l][i], &link[l][i]);
    }
    t->whole = worker_median(whole, ROUNDS);
    for (l = 0; l < layers; l++) {
        t->fit[l] = worker_median(fit[l], ROUNDS);
        t->link[l] = worker_median(link[l], ROUNDS);
    }
}

static double sum(const double *x, uint32_t n) { double s = 0; while (n--) s += x[n]; return s; }

static void model(const char *folder)
{
    static const uint32_t more[3] = { 10, 50, 100 };
    samples s[2];
    network net;
    badm_model *m[2];
    badm_pdadmm *p[2];
    times t[2];
    uint32_t w, i, l, layers = 0;
    double wait, bandwidth = copying(), exchange, longest = 0;
    for (w = 0; w < 2; w++) {
        m[w] = badm_model_new(1);
        load_problem(folder, &s[w], &net, m[w]);
        layers = net.layers;
        p[w] = make_solver(m[w], &net, &s[w], w + 1, NU, 4 * NU, now);
        measure(&t[w], p[w], layers);
    }
    wait = barrier(p[1]);
    exchange = 3.0 * badm_param_shape(net.layer[0].weight).dim[0] * s[0].n * 4 / bandwidth;
    for (l = 0; l < layers; l++) {
        printf("%2lu: %.4f + %.4f s with one worker, %.4f + %.4f with two\n", (unsigned long)p[0]->order[l] + 1, t[0].fit[l], t[0].link[l],
               t[1].fit[l], t[1].link[l]);
        if (t[0].fit[l] + t[0].link[l] > longest) longest = t[0].fit[l] + t[0].link[l];
    }
    printf("barrier %.3g s, exchange %.3g s a layer at %.3g GB/s\n", wait, exchange, bandwidth * 1e-9);
    {   /* two workers of one machine exchange nothing, but share its memory: their jobs' own times */
        double predicted = (sum(t[0].fit, layers) + sum(t[0].link, layers))
            / (schedule(t[1].fit, layers, 2) + schedule(t[1].link, layers, 2) + 2 * wait), measured = t[0].whole / t[1].whole;
        printf("two workers: predicted %.4f, measured %.4f\n", predicted, measured);
        printf("RESULT pdadmm_predicted_over_measured_2 %.4f\n", predicted / measured);
    }
    for (i = 0; i < 3; i++) {       /* as many layers and machines, those between the first and the last like one of these */
        double one = sum(t[0].fit, layers) + sum(t[0].link, layers) + (more[i] - layers) * (t[0].fit[0] + t[0].link[0]);
        printf("RESULT pdadmm_predicted_speedup_%lu %.4f\n", (unsigned long)more[i], one / (longest + exchange + 2 * wait));
    }
    for (w = 0; w < 2; w++) {
        badm_pdadmm_free(p[w]);
        badm_model_free(m[w]);
        free_samples(&s[w]);
    }
}

/* ---------------------------------------------------------------------------------------------------------------------
   Accuracy beside SGD, Adam and BADM
   --------------------------------------------------------------------------------------------------------------------- */

static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    const network *net = (const network *)user;
    badm_tensor *x = badm_rows(t, net->of->x, HALF_PIXELS, b);
    uint32_t l;
    for (l = 0; l < net->layers; l++) x = badm_linear_forward(t, net->layer[l], l > 0 ? badm_relu(t, x) : x);
    return badm_cross_entropy(t, x, badm_labels(t, net->of->label, b));
}

/* What is compared; step sizes (nu for pdADMM): `first` and four more, each four times the one before. */
typedef struct way { const char *name; const badm_method *(*method)(void); badm_metric metric; float first; } way;
typedef struct shape { uint32_t layers, grow, width, iterations; } shape;

enum { SGD, ADAM, BADM_DIAGONAL_WAY, PDADMM, WAYS, GRID = 5 };
static const way ways[WAYS] = {
    { "sgd", badm_method_sgd, BADM_PLAIN, 1.6e-2f }, { "adam", badm_method_adam, BADM_PLAIN, 2.5e-4f },
    { "badm", NULL, BADM_DIAGONAL, 2.5e-4f }, { "pdadmm", NULL, BADM_PLAIN, 6.25e-5f }
};

/* The network as it begins; its seed is the model's. */
static void begin(network *net, badm_model *m, uint32_t layers, uint32_t width, const samples *train)
{
    uint32_t l;
    net->layers = 0;
    for (l = 0; l < layers; l++) add_layer(net, m, l > 0 ? width : (uint32_t)HALF_PIXELS, l + 1 < layers ? width : (uint32_t)CLASSES);
    net->of = train;
}

static badm_trainer *make_trainer(badm_model *m, network *net, const way *w, float step)
{
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_trainer_defaults(&d);
    d.model = m; d.loss = loss; d.user = net; d.max_batch = BATCH; d.sub_batches = 2; d.workers = 2; d.method = w->method ? w->method() : NULL; d.metric = w->metric;
    d.lr = step; d.sigma = 1.0f / step; d.rho = 9.0f / step; d.monitors = 0;
    d.schedule.kind = BADM_LINEAR_DECAY;
    d.schedule.total = EPOCHS * ((net->of->n + BATCH - 1) / BATCH);
    if (badm_trainer_new(&tr, &d) != BADM_OK) worker_die(PROGRAM, badm_model_error(m));
    return tr;
}

/* Share of right answers about other images. */
static double accuracy(badm_trainer *tr, network *net, const samples *of)
{
    badm_score score;
    const samples *train = net->of;
    net->of = of;
    if (badm_evaluate(tr, NULL, NULL, of->n, &score) != BADM_OK) worker_die(PROGRAM, badm_trainer_error(tr));
    net->of = train;
    return (double)score.accuracy;
}

/* As many more layers before the last, as identities. */
static void grow(badm_pdadmm *p, badm_model *m, network *net, const shape *s)
{
    badm_linear last = net->layer[--net->layers];
    uint32_t first = net->layers, l;
    for (l = 0; l < s->grow; l++) add_layer(net, m, s->width, s->width);
    if (badm_pdadmm_grow(p, net->layer + first, s->grow) != BADM_OK) worker_die(PROGRAM, badm_pdadmm_error(p));
    net->layer[net->layers++] = last;
}

/* One training; 0 where it diverges. `step` is nu for pdADMM. seconds: of training alone. */
static double learn(const way *w, float step, const shape *s, const samples *train, const samples *test, FILE *csv, double *seconds)
{
    badm_model *m = badm_model_new(1);
    badm_trainer *tr = NULL;
    badm_pdadmm *p = NULL;
    badm_pdadmm_report r;
    network net;
    double right = 0;
    uint32_t k, turns = w == &ways[PDADMM] ? s->iterations * (s->grow > 0 ? 2u : 1u) : (uint32_t)EPOCHS;
    int fine = 1;
    *seconds = 0;
    begin(&net, m, w == &ways[PDADMM] ? s->layers : s->layers + s->grow, s->width, train);
    if (w == &ways[PDADMM]) p = make_solver(m, &net, train, 2, step, 0.2f * step, NULL);
    else tr = make_trainer(m, &net, w, step);
    for (k = 0; fine && k < turns; k++) {
        double began = now();
        memset(&r, 0, sizeof r);
        if (p && k == s->iterations) grow(p, m, &net, s);
        fine = (p ? badm_pdadmm_step(p, &r) : badm_epoch(tr, train->n, BATCH, NULL, NULL)) == BADM_OK;
        *seconds += now() - began;
        if (!fine || (p && (k + 1) % 10 != 0)) continue;
        if (p) { badm_trainer_free(tr); tr = make_trainer(m, &net, &ways[SGD], 1); }         /* it only evaluates */
        right = accuracy(tr, &net, test);
        if (csv) fprintf(csv, "%s,%lu,%lu,%g,%lu,%.3f,%.9g,%.9g,%.6g\n", w->name, (unsigned long)s->layers + s->grow, (unsigned long)s->width,
                         (double)step, (unsigned long)k + 1, *seconds, (double)r.lagrangian, (double)r.change, right);
    }
    badm_pdadmm_free(p);
    badm_trainer_free(tr);
    badm_model_free(m);
    return fine ? right : 0;
}

static void compare(const char *folder, const char *out, const shape *s, uint32_t count)
{
    dataset data;
    samples all, rest, held_out, test;
    output_file csv;
    char name[64];
    const char *slash = strrchr(folder, '/');
    shape brief = *s;
    uint32_t w, i;
    if (!get_images(&data, folder, count, 0, BATCH) || !halve(&all, &data.train) || !halve(&test, &data.test)) exit(1);
    centre(&all, &test);
    brief.iterations = s->iterations / 4 < 100 ? s->iterations / 4 : 100;
    snprintf(name, sizeof name, "pdadmm_%s_%lu.csv", slash ? slash + 1 : folder, (unsigned long)s->layers + s->grow);
    if (!open_output(&csv, out, name)) exit(1);
    fprintf(csv.f, "who,layers,width,step,turn,seconds,lagrangian,change,accuracy\n");
    rest = held_out = all;
    rest.n = all.n - all.n / 6;
    held_out.n = all.n / 6;
    held_out.x += (size_t)rest.n * HALF_PIXELS;
    held_out.label += rest.n;
    printf("%s: %lu images, %lu test; %lu + %lu layers, width %lu\n", folder, (unsigned long)all.n, (unsigned long)test.n,
           (unsigned long)s->layers, (unsigned long)s->grow, (unsigned long)s->width);
    for (w = 0; w < WAYS; w++) {
        double best = -1, right, seconds;
        uint32_t chosen = 0;
        printf("%s, held-out accuracy:", ways[w].name);
        for (i = 0; i < GRID; i++) {
            float step = ways[w].first * (float)(1u << (2 * i));
            right = learn(&ways[w], step, w == PDADMM ? &brief : s, &rest, &held_out, csv.f, &seconds);
            printf("  %g: %.4f", (double)step, right);
            fflush(stdout);
            if (right > best) { best = right; chosen = i; }
        }
        right = learn(&ways[w], ways[w].first * (float)(1u << (2 * chosen)), s, &all, &test, csv.f, &seconds);
        printf("%s; test %.4f in %.1f s\n", chosen == 0 || chosen + 1 == GRID ? ", at the end of the grid" : "", right, seconds);
        printf("RESULT %s_%s_accuracy_%lu %.4f\n", ways[w].name, slash ? slash + 1 : folder, (unsigned long)s->layers + s->grow, right);
        fflush(stdout);
    }
    if (!close_output(&csv)) exit(1);
    free_samples(&all);
    free_samples(&test);
    free_images(&data);
}

static uint32_t number(const char *text)
{
    uint32_t n;
    if (!read_count(text, &n)) worker_die(text, "a number is expected");
    return n;
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    if (!strcmp(what, "serve") && argc == 4) serve(argv[2], number(argv[3]));
    else if (!strcmp(what, "model") && argc == 3) model(argv[2]);
    else if (!strcmp(what, "accuracy") && argc == 9) {
        shape s;
        s.layers = number(argv[4]);
        s.grow = number(argv[5]);
        s.width = number(argv[6]);
        s.iterations = number(argv[8]);
        if (s.layers < 2 || !s.width) worker_die(PROGRAM, "at least two layers of at least one unit are expected");
        compare(argv[2], argv[3], &s, number(argv[7]));
    } else worker_die("usage", "pdadmm serve FOLDER WORKERS | model FOLDER | accuracy DATA OUT LAYERS GROW WIDTH IMAGES ITERATIONS");
    return 0;
}
