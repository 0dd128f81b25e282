/* Image generation: a variational autoencoder (arXiv 1312.6114), 784-256-20-256-784, learns to draw digits or pieces of clothing.
   Shows the evidence lower bound (ELBO) of images that it does not learn from while it learns; saves the network, the curve, and a
   picture of what it makes of images, of what it draws by itself, and of the way from one image to another.

       cc -O2 -I. examples/vae.c -o build/vae -lpthread && build/vae [DATA]

   DATA is a folder with the four IDX files of MNIST or Fashion-MNIST (plain or .gz; in the folder or in mnist/ below it).
   Without it the program draws its own digits.

   Sections: options, the network, training, results, main. */

#define PROGRAM "vae"
#define BADM_IMPLEMENTATION
#include "example_images.h"         /* first: it asks for POSIX; includes badm.h */

enum { HIDDEN = 256, LATENT = 20, COLUMNS = 20 };

/* ------------------------------------------------------------------------------------------------------------------
   Options
   ----------------------------------------------------------------------------------------------------------------- */

typedef struct options {
    const char *data, *out, *method_name, *schedule_name;
    uint32_t epochs, batch, sub_batches, workers, images, held_out, seed;
    float lr, sigma, rho, beta2;
    const char *goal;               /* stop at this ELBO; NULL: after all epochs */
    double goal_elbo;
    const badm_method *method;      /* NULL: BADM */
    badm_metric metric;
    badm_schedule_kind schedule;
    int mixed, help;
} options;

/* What each method uses when nothing else is asked for. */
static const struct { const char *name; badm_metric metric; const badm_method *(*method)(void); float sigma, lr; } methods[] = {
    { "mixed",      BADM_DIAGONAL,   NULL,                125.0f,  0 },
    { "diagonal",   BADM_DIAGONAL,   NULL,                125.0f,  0 },
    { "orthogonal", BADM_ORTHOGONAL, NULL,                35.0f,   0 },
    { "plain",      BADM_PLAIN,      NULL,                1000.0f, 0 },
    { "adam",       BADM_PLAIN,      badm_method_adam,    1,       0.002f },
    { "adamw",      BADM_PLAIN,      badm_method_adamw,   1,       0.002f },
    { "rmsprop",    BADM_PLAIN,      badm_method_rmsprop, 1,       0.001f },
    { "muon",       BADM_ORTHOGONAL, badm_method_muon,    1,       0.02f }
};
enum { METHODS = sizeof methods / sizeof methods[0] };

static const char usage[] =
    "usage: vae [options] [DATA]\n"
    "Trains a variational autoencoder and lets it draw.\n"
    "DATA: a folder with MNIST's or Fashion-MNIST's IDX files, plain or .gz, in it or in mnist/ below it. Without it, digits are\n"
    "drawn.\n"
    "\n"
    "  --method NAME     BADM's metrics: diagonal, orthogonal, plain, or mixed: diagonal, but orthogonal for the small matrices;\n"
    "                    adam, adamw, rmsprop or muon (mixed)\n"
    "  --sigma X         BADM's consensus weight; 1/sigma is the long-run step size (by method)\n"
    "  --rho X           BADM's proximal weight; rho/(rho+sigma) is the momentum (9 sigma)\n"
    "  --lr X            step size of the other methods (by method)\n"
    "  --beta2 X         of the averages of squares (0.99)\n"
    "  --schedule NAME   of the steps: constant, linear or cosine (linear)\n"
    "  --epochs N        passes over the training images; the schedule ends with them (8)\n"
    "  --goal X          stop after the first epoch with this ELBO or a better one\n"
    "  --batch N         images in a batch (128)\n"
    "  --sub-batches N   parts a batch is split into for the workers (2)\n"
    "  --workers N       threads; any number gives the same result (one a core)\n"
    "  --seed N          initial weights, order of the images and noise (1)\n"
    "  --images N        learn from the first N training images only, for a quick look (all)\n"
    "  --held-out N      judge by the last N training images, which are not learned from (5000)\n"
    "  --out DIR         where vae.safetensors, vae.csv and vae.png go (build if there is one, else .)\n"
    "  --help            this text\n";

/* After all options are read: what was left to the method, and values that only make sense together. NULL, or what is wrong. */
static const char *complete_options(options *o)
{
    char *end = NULL;
    size_t i = 0;
    while (i < METHODS && strcmp(o->method_name, methods[i].name)) i++;
    if (i == METHODS) return "--method needs mixed, diagonal, orthogonal, plain, adam, adamw, rmsprop or muon";
    o->metric = methods[i].metric;
    o->method = methods[i].method ? methods[i].method() : NULL;
    o->mixed = !strcmp(o->method_name, "mixed");
    if (!(o->sigma > 0)) o->sigma = methods[i].sigma;
    if (!(o->rho > 0)) o->rho = 9 * o->sigma;
    if (!(o->lr > 0)) o->lr = methods[i].lr;
    if (!strcmp(o->schedule_name, "constant")) o->schedule = BADM_CONSTANT_RATE;
    else if (!strcmp(o->schedule_name, "linear")) o->schedule = BADM_LINEAR_DECAY;
    else if (!strcmp(o->schedule_name, "cosine")) o->schedule = BADM_COSINE_DECAY;
    else return "--schedule needs constant, linear or cosine";
    if (o->goal) {
        o->goal_elbo = strtod(o->goal, &end);
        if (end == o->goal || *end) return "--goal needs a number";
    }
    if (!o->epochs || !o->batch || !o->sub_batches) return "--epochs, --batch and --sub-batches need at least 1";
    if (o->epochs > 10000) return "--epochs needs at most 10000";
    if (o->sub_batches > o->batch) return "--sub-batches cannot be more than the images in a --batch";
    if (o->held_out < COLUMNS) return "--held-out needs at least 20";
    if (o->beta2 >= 1) return "--beta2 needs less than 1";
    if (!*o->out) return "--out needs a folder";
    return NULL;
}

/* 0: a sentence has been printed. */
static int read_options(options *o, int argc, char **argv)
{
    const option known[] = {
        { "--epochs", COUNT, &o->epochs },           { "--batch", COUNT, &o->batch },             { "--sub-batches", COUNT, &o->sub_batches },
        { "--workers", COUNT, &o->workers },         { "--seed", COUNT, &o->seed },               { "--images", COUNT, &o->images },
        { "--held-out", COUNT, &o->held_out },       { "--goal", TEXT, &o->goal },                { "--lr", POSITIVE, &o->lr },
        { "--sigma", POSITIVE, &o->sigma },          { "--rho", POSITIVE, &o->rho },              { "--beta2", POSITIVE, &o->beta2 },
        { "--method", TEXT, &o->method_name },       { "--schedule", TEXT, &o->schedule_name },   { "--out", TEXT, &o->out },
        { "--help", FLAG, &o->help },                { "-h", FLAG, &o->help },                    { NULL, FLAG, NULL }
    };
    const char *wrong;
    memset(o, 0, sizeof *o);
    o->epochs = 8; o->batch = 128; o->sub_batches = 2; o->seed = 1; o->held_out = 5000; o->beta2 = 0.99f;
    o->method_name = "mixed"; o->schedule_name = "linear"; o->out = default_out();
    if (!read_arguments(known, argc, argv, &o->data)) return 0;
    wrong = complete_options(o);
    return wrong ? complain(wrong) : 1;
}

/* ------------------------------------------------------------------------------------------------------------------
   The network
   ----------------------------------------------------------------------------------------------------------------- */

typedef struct vae { badm_linear fc1, mean, logvar, fc2, fc3; } vae;

/* What the loss and the graphs need: the network, the images they look at, or codes to draw from. */
typedef struct task { vae net; images data; const float *codes; } task;

static vae new_vae(badm_model *m)
{
    vae net;
    net.fc1 = badm_linear_new(m, "fc1", PIXELS, HIDDEN);
    net.mean = badm_linear_new(m, "mean", HIDDEN, LATENT);
    net.logvar = badm_linear_new(m, "logvar", HIDDEN, LATENT);
    net.fc2 = badm_linear_new(m, "fc2", LATENT, HIDDEN);
    net.fc3 = badm_linear_new(m, "fc3", HIDDEN, PIXELS);
    return net;
}

/* Normal numbers that belong to a number: the same whenever they are asked for. */
static void numbered_noise(float *row, badm_dim width, uint32_t number, void *user)
{
    badm_rng r;
    badm_dim i;
    (void)user;
    badm_rng_init(&r, LATENT, number);
    for (i = 0; i < width; i++) row[i] = badm_rng_normal(&r);
}

/* [count,20]: new noise while training; else each image's own, so that two evaluations can be compared. */
static badm_tensor *noise_of(badm_tape *t, const badm_batch *b)
{
    badm_dim shape[2];
    shape[0] = (badm_dim)b->count;
    shape[1] = LATENT;
    return badm_training(t) ? badm_randn(t, 2, shape) : badm_rows_fill(t, numbered_noise, NULL, LATENT, b);
}

static badm_tensor *pixels_of(badm_tape *t, const task *k, const badm_batch *b)
{
    return badm_rows_u8(t, k->data.pixels, PIXELS, 1.0f / 255, 0, b);
}

static badm_tensor *hidden(badm_tape *t, const vae *net, badm_tensor *x)
{
    return badm_relu(t, badm_linear_forward(t, net->fc1, x));
}

/* From codes to the logits of the pixels. */
static badm_tensor *decode(badm_tape *t, const vae *net, badm_tensor *z)
{
    return badm_linear_forward(t, net->fc3, badm_relu(t, badm_linear_forward(t, net->fc2, z)));
}

/* -ELBO, mean over the images: how badly the grey values, taken for probabilities, are told from a code drawn from N(mean,
   deviation^2), plus how far that distribution is from N(0, 1) (the Kullback-Leibler divergence):
   sum over pixels of the cross entropy + 1/2 sum over the code of mean^2 + deviation^2 - log deviation^2 - 1. */
static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    const task *k = (const task *)user;
    badm_tensor *x = pixels_of(t, k, b), *h = hidden(t, &k->net, x);
    badm_tensor *mean = badm_linear_forward(t, k->net.mean, h), *logvar = badm_linear_forward(t, k->net.logvar, h);
    badm_tensor *deviation = badm_exp(t, badm_scale(t, logvar, 0.5f));
    badm_tensor *code = badm_add(t, mean, badm_mul(t, deviation, noise_of(t, b)));
    badm_tensor *entropy = badm_bce_with_logits(t, decode(t, &k->net, code), x);
    badm_tensor *squares = badm_add(t, badm_mul(t, mean, mean), badm_mul(t, deviation, deviation));
    badm_tensor *divergence = badm_mean(t, badm_sub(t, squares, badm_shift(t, logvar, 1)));
    return badm_add(t, badm_scale(t, entropy, PIXELS), badm_scale(t, divergence, 0.5f * LATENT));
}

/* For badm_predict: the mean codes of images [count,20], and what codes are drawn as [count,784]. */
static badm_tensor *codes_of_images(badm_tape *t, const badm_batch *b, void *user)
{
    const task *k = (const task *)user;
    return badm_linear_forward(t, k->net.mean, hidden(t, &k->net, pixels_of(t, k, b)));
}

static badm_tensor *images_of_codes(badm_tape *t, const badm_batch *b, void *user)
{
    const task *k = (const task *)user;
    return badm_sigmoid(t, decode(t, &k->net, badm_rows(t, k->codes, LATENT, b)));
}

/* ------------------------------------------------------------------------------------------------------------------
   Training
   ----------------------------------------------------------------------------------------------------------------- */

/* After an epoch: seconds of training up to here, and the ELBO of the images held out. */
typedef struct point { double seconds, elbo; } point;

typedef struct run {
    const options *o;
    terminal term;
    badm_model *model;
    badm_trainer *trainer;
    task train, test;
    point *curve;
    uint32_t done;                  /* epochs completed and measured */
    double started;
} run;

/* mixed: the three matrices beside the code are small, so that orthogonal steps cost next to nothing there; each is 2.5/sigma long.
   orthogonal: biases follow the diagonal metric, where 1/sigma of a matrix would be too long a step. */
static void set_groups(badm_model *m, const options *o)
{
    static const char *const small[] = { "mean.weight", "logvar.weight", "fc2.weight" };
    static const char *const biases[] = { "fc1.bias", "mean.bias", "logvar.bias", "fc2.bias", "fc3.bias" };
    size_t i;
    for (i = 0; o->mixed && i < sizeof small / sizeof small[0]; i++) {
        badm_set_metric(m, small[i], BADM_ORTHOGONAL);
        badm_set_step_scale(m, small[i], 2.5f);
    }
    for (i = 0; !o->method && o->metric == BADM_ORTHOGONAL && i < sizeof biases / sizeof biases[0]; i++)
        badm_set_step_scale(m, biases[i], 0.3f);
}

static int new_run(run *r, const options *o, const dataset *data)
{
    uint32_t steps = (data->train.n + o->batch - 1) / o->batch;
    badm_trainer_desc d;
    memset(r, 0, sizeof *r);
    r->o = o;
    r->term = find_terminal();
    r->curve = (point *)calloc(o->epochs, sizeof *r->curve);
    r->model = badm_model_new(o->seed);
    if (!r->curve || !r->model) return complain("there is not enough memory");
    r->train.net = r->test.net = new_vae(r->model);
    r->train.data = data->train;
    r->test.data = data->test;
    set_groups(r->model, o);

    badm_trainer_defaults(&d);
    d.model = r->model;
    d.loss = loss;
    d.user = &r->train;
    d.seed = o->seed;
    d.max_batch = o->batch;
    d.sub_batches = o->sub_batches;
    if (o->workers) d.workers = o->workers;
    d.method = o->method;
    d.metric = o->metric;
    d.sigma = o->sigma;
    d.rho = o->rho;
    d.lr = o->lr;
    d.beta2 = o->beta2;
    d.schedule.kind = o->schedule;
    d.schedule.total = steps * o->epochs;
    d.monitors = 0;                     /* nothing here looks at them */
    d.cancel = &cancelled;
    return badm_trainer_new(&r->trainer, &d) == BADM_OK ? 1 : complain(badm_model_error(r->model));
}

static void free_run(run *r)
{
    if (r->trainer) badm_trainer_free(r->trainer);
    if (r->model) badm_model_free(r->model);
    free(r->curve);
}

/* Called after every step: redraws the line, ten times a second at most. */
static int on_progress(const badm_progress *p, void *user)
{
    run *r = (run *)user;
    char line[256], bar[128];
    double t = now();
    if (!r->term.live || t - r->term.last < 0.1) return cancelled;
    r->term.last = t;
    make_bar(bar, sizeof bar, (double)p->sample / p->samples, 20, r->term.utf8);
    snprintf(line, sizeof line, "%5lu %s  ELBO while learning %.2f  %.0f/s", (unsigned long)p->epoch + 1, bar, -(double)p->loss,
             p->sample / (t - r->started + 1e-9));
    show_line(&r->term, line);
    return cancelled;
}

/* 0: stopped, by the user or by an error. */
static int run_epoch(run *r)
{
    point *p = &r->curve[r->done];
    badm_score score;
    badm_result result;
    r->started = now();
    result = badm_epoch(r->trainer, r->train.data.n, r->o->batch, on_progress, r);
    p->seconds = (r->done ? p[-1].seconds : 0) + now() - r->started;
    if (result == BADM_OK) result = badm_evaluate(r->trainer, NULL, &r->test, r->test.data.n, &score);
    clear_line(&r->term);
    if (result != BADM_OK) return cancelled ? 0 : complain(badm_trainer_error(r->trainer));
    p->elbo = -(double)score.loss;
    r->done++;
    printf("%5lu   %8.2f   %6.2f s\n", (unsigned long)r->done, p->elbo, p->seconds);
    fflush(stdout);
    return 1;
}

/* 0: stopped before the end. */
static int run_epochs(run *r)
{
    printf("epoch       ELBO     seconds\n");
    while (r->done < r->o->epochs) {
        if (!run_epoch(r)) return 0;
        if (r->o->goal && r->curve[r->done - 1].elbo >= r->o->goal_elbo) break;
    }
    return 1;
}

/* ------------------------------------------------------------------------------------------------------------------
   Results
   ----------------------------------------------------------------------------------------------------------------- */

/* Rows of the picture: two of images held out, each over what the network makes of them; what it draws from noise; and the way
   from one image's code to another's. */
enum { PAIRS = 2, DRAWN_ROWS = 6, WAYS = 2, ROWS = 2 * PAIRS + DRAWN_ROWS + WAYS, DECODED = (PAIRS + DRAWN_ROWS + WAYS) * COLUMNS };

/* `codes` begin with those of the images held out. */
static void choose_codes(float *codes)
{
    uint32_t row, i, k;
    float *to = codes + (size_t)PAIRS * COLUMNS * LATENT;
    for (i = 0; i < DRAWN_ROWS * COLUMNS; i++, to += LATENT) numbered_noise(to, LATENT, i, NULL);
    for (row = 0; row < WAYS; row++)
        for (i = 0; i < COLUMNS; i++, to += LATENT) {
            const float *a = codes + (size_t)2 * row * LATENT, *b = a + LATENT;
            float share = (float)i / (COLUMNS - 1);
            for (k = 0; k < LATENT; k++) to[k] = (1 - share) * a[k] + share * b[k];
        }
}

static int draw(run *r, float *codes, float *drawn, grid *p)
{
    task decoding = r->test;
    uint32_t i, n = PAIRS * COLUMNS < r->test.data.n ? PAIRS * COLUMNS : r->test.data.n;
    memset(codes, 0, (size_t)PAIRS * COLUMNS * LATENT * sizeof *codes);
    decoding.codes = codes;
    if (badm_predict(r->trainer, codes_of_images, &r->test, n, LATENT, codes) != BADM_OK) return 0;
    choose_codes(codes);
    if (badm_predict(r->trainer, images_of_codes, &decoding, DECODED, PIXELS, drawn) != BADM_OK) return 0;
    for (i = 0; i < n; i++) put_image(p, i % COLUMNS, i / COLUMNS * 2, r->test.data.pixels + (size_t)i * PIXELS, NULL);
    for (i = 0; i < DECODED; i++) {
        uint32_t row = i / COLUMNS;
        put_image(p, i % COLUMNS, row < PAIRS ? 2 * row + 1 : row + PAIRS, NULL, drawn + (size_t)i * PIXELS);
    }
    return 1;
}

static int write_picture(run *r)
{
    float *codes = (float *)malloc((size_t)DECODED * (LATENT + PIXELS) * sizeof *codes);
    grid p;
    int drawn;
    if (!codes) return complain("there is not enough memory for the picture");
    drawn = new_grid(&p, COLUMNS, ROWS);
    if (drawn && !draw(r, codes, codes + (size_t)DECODED * LATENT, &p)) {
        drawn = complain(badm_trainer_error(r->trainer));
        free_grid(&p);
    }
    free(codes);
    return drawn && save_grid(&p, r->o->out, "vae.png");
}

static int write_csv(const run *r)
{
    output_file out;
    uint32_t i;
    if (!open_output(&out, r->o->out, "vae.csv")) return 0;
    fprintf(out.f, "epoch,seconds,elbo\n");
    for (i = 0; i < r->done; i++) fprintf(out.f, "%lu,%.3f,%.6f\n", (unsigned long)i + 1, r->curve[i].seconds, r->curve[i].elbo);
    return close_output(&out);
}

/* Every file is tried, whatever became of the others. */
static int save_all(run *r)
{
    int model = save_model(r->model, r->o->out, "vae.safetensors"), csv = write_csv(r), drawn = write_picture(r);
    if (model) printf("saved %s/vae.safetensors: the network\n", r->o->out);
    if (csv) printf("saved %s/vae.csv: the curve\n", r->o->out);
    if (drawn)
        printf("saved %s/vae.png: images and what becomes of them (twice), drawings from noise, ways from one image to another\n",
               r->o->out);
    return model && csv && drawn;
}

static void print_setup(const run *r, const dataset *data)
{
    const options *o = r->o;
    uint32_t workers = o->workers ? o->workers : badm_cpu_count();
    printf("badm " BADM_VERSION_STRING ": variational autoencoder 784-256-20-256-784\n");
    printf("images  %s: %lu to train, %lu more, held out, to judge by\n", data->title, (unsigned long)data->train.n,
           (unsigned long)data->test.n);
    if (o->method) printf("method  %s, step size %g\n", o->method_name, (double)o->lr);
    else
        printf("method  BADM, %s metric, sigma %g, rho %g (momentum %.2f)\n", o->method_name, (double)o->sigma, (double)o->rho,
               (double)(o->rho / (o->rho + o->sigma)));
    printf("        epochs %lu, batch %lu, sub-batches %lu, %s schedule, seed %lu, workers %lu\n\n", (unsigned long)o->epochs,
           (unsigned long)o->batch, (unsigned long)o->sub_batches, o->schedule_name, (unsigned long)o->seed,
           (unsigned long)workers);
    fflush(stdout);
}

/* ------------------------------------------------------------------------------------------------------------------
   main
   ----------------------------------------------------------------------------------------------------------------- */

/* The exit code: 0 done, 1 an error or the goal not reached, 130 ended by Ctrl-C (as shells count it). */
static int run_and_report(run *r, const dataset *data)
{
    int finished, saved, kept;
    const point *last;
    print_setup(r, data);
    signal(SIGINT, on_interrupt);
    finished = run_epochs(r);
    kept = r->done > 0;
    if (!finished)
        printf("\nStopped by %s after %lu of %lu epochs. %s\n", cancelled ? "Ctrl-C" : "the error above", (unsigned long)r->done,
               (unsigned long)r->o->epochs, kept ? "What there is so far is kept:" : "Nothing is saved.");
    if (!kept) return cancelled ? 130 : 1;
    cancelled = 0;                      /* the picture is made by the trainer */
    printf("\n");
    saved = save_all(r);
    if (!finished) return saved ? 130 : 1;
    last = &r->curve[r->done - 1];
    printf("RESULT vae_elbo %.3f\n", last->elbo);
    printf("RESULT vae_epochs %lu\n", (unsigned long)r->done);
    printf("RESULT vae_seconds %.2f\n", last->seconds);
    if (r->o->goal && last->elbo < r->o->goal_elbo) return !complain("the goal was not reached");
    return saved ? 0 : 1;
}

int main(int argc, char **argv)
{
    options o;
    dataset data;
    run r;
    int code = 1;
    if (!read_options(&o, argc, argv)) return 1;
    if (o.help) {
        printf("%s", usage);
        return 0;
    }
    if (!can_write_to(o.out)) return 1;
    if (get_images(&data, o.data, o.images, o.held_out, o.batch)) {
        if (new_run(&r, &o, &data)) code = run_and_report(&r, &data);
        free_run(&r);
    }
    free_images(&data);
    return code;
}
