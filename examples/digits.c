/* Handwritten digits: trains 784-256-128-10 with BADM and, side by side, with Adam, from the same initial weights, on
   the same batches, with the same linear decay. Shows both while they learn, then a table and a few test images; saves
   the network and the curves.

       cc -O2 -I. examples/digits.c -o build/digits -lpthread && build/digits [DATA]

   DATA is a folder with MNIST's four IDX files (plain or .gz; in the folder or in mnist/ below it). Without it the
   program draws its own digits.

   Sections: options, network, training, results, files, main. */

#define PROGRAM "digits"
#define BADM_IMPLEMENTATION
#include "example_images.h"         /* first: it asks for POSIX; includes badm.h */

enum { MAX_LAYERS = 3 };

/* ------------------------------------------------------------------------------------------------------------------
   Options
   ----------------------------------------------------------------------------------------------------------------- */

typedef struct options {
    const char *data, *out, *metric_name;   /* data NULL: draw the digits */
    uint32_t epochs, batch, sub_batches, workers, images, held_out, seed;
    float lr, sigma, rho;
    badm_metric metric;
    int softmax, help;
} options;

/* What each metric uses when nothing else is asked for; the momentum is 0.9 throughout. On 5,000 training images of
   MNIST, held out, the orthogonal metric reached 98.8 %; Adam 98.2, 98.3, 98.4 % with steps of 0.001, 0.002, 0.004. */
static const struct { const char *name; badm_metric metric; float sigma, rho; } metrics[] = {
    { "plain",      BADM_PLAIN,      1.0f,    9.0f },       /* the library's defaults */
    { "diagonal",   BADM_DIAGONAL,   1000.0f, 9000.0f },    /* step 0.001, as Adam's usual one */
    { "orthogonal", BADM_ORTHOGONAL, 50.0f,   450.0f }      /* every direction of a matrix moves by 0.02 */
};
enum { METRICS = sizeof metrics / sizeof metrics[0] };

static const char usage[] =
    "usage: digits [options] [DATA]\n"
    "Trains a small network on handwritten digits with BADM and, side by side, with Adam.\n"
    "DATA: a folder with MNIST's IDX files, plain or .gz, in it or in mnist/ below it. Without it, digits are drawn.\n"
    "\n"
    "  --epochs N        passes over the training images (10)\n"
    "  --batch N         images in a batch (128)\n"
    "  --sub-batches N   parts a batch is split into for the workers (2)\n"
    "  --workers N       threads; any number gives the same result (one a core)\n"
    "  --seed N          initial weights and order of the images (1)\n"
    "  --lr X            Adam's step size (0.004)\n"
    "  --metric NAME     BADM's metric: plain, diagonal or orthogonal (orthogonal)\n"
    "  --sigma X         BADM's consensus weight; 1/sigma is the long-run step size (by metric)\n"
    "  --rho X           BADM's proximal weight; rho/(rho+sigma) is the momentum (by metric)\n"
    "  --images N        learn from the first N training images only, for a quick look (all)\n"
    "  --held-out N      test on the last N training images, not on the test images: for choosing the values above\n"
    "  --softmax         softmax regression (784-10) instead of the network, to see how hard the images are\n"
    "  --out DIR         where digits.safetensors, digits.csv and digits.svg go (build if there is one, else .)\n"
    "  --help            this text\n";

/* After all options are read: what was left to the metric, and values that only make sense together. */
static const char *complete_options(options *o)
{
    size_t i = 0;
    while (i < METRICS && strcmp(o->metric_name, metrics[i].name)) i++;
    if (i == METRICS) return "--metric needs plain, diagonal or orthogonal";
    o->metric = metrics[i].metric;
    if (!(o->sigma > 0)) o->sigma = metrics[i].sigma;
    if (!(o->rho > 0)) o->rho = metrics[i].rho;
    if (!o->epochs || !o->batch || !o->sub_batches) return "--epochs, --batch and --sub-batches need at least 1";
    if (o->epochs > 10000) return "--epochs needs at most 10000";
    if (o->sub_batches > o->batch) return "--sub-batches cannot be more than the images in a --batch";
    if (!*o->out) return "--out needs a folder";
    return NULL;
}

/* 0: a sentence has been printed. */
static int read_options(options *o, int argc, char **argv)
{
    const option known[] = {
        { "--epochs", COUNT, &o->epochs },           { "--batch", COUNT, &o->batch },             { "--sub-batches", COUNT, &o->sub_batches },
        { "--workers", COUNT, &o->workers },         { "--seed", COUNT, &o->seed },               { "--images", COUNT, &o->images },
        { "--held-out", COUNT, &o->held_out },       { "--lr", POSITIVE, &o->lr },                { "--sigma", POSITIVE, &o->sigma },
        { "--rho", POSITIVE, &o->rho },              { "--metric", TEXT, &o->metric_name },       { "--out", TEXT, &o->out },
        { "--softmax", FLAG, &o->softmax },          { "--help", FLAG, &o->help },                { "-h", FLAG, &o->help },
        { NULL, FLAG, NULL }
    };
    const char *wrong;
    memset(o, 0, sizeof *o);
    o->epochs = 10; o->batch = 128; o->sub_batches = 2; o->seed = 1; o->lr = 0.004f;
    o->metric_name = "orthogonal";
    o->out = default_out();
    if (!read_arguments(known, argc, argv, &o->data)) return 0;
    wrong = complete_options(o);
    return wrong ? complain(wrong) : 1;
}

/* ------------------------------------------------------------------------------------------------------------------
   The network
   ----------------------------------------------------------------------------------------------------------------- */

typedef struct network { badm_linear layer[MAX_LAYERS]; int layers; } network;

/* What a loss callback needs: a network and the images it looks at. */
typedef struct task { network net; images data; } task;

static network new_network(badm_model *m, int softmax)
{
    network net;
    memset(&net, 0, sizeof net);
    if (softmax) {
        net.layer[net.layers++] = badm_linear_new(m, "fc", PIXELS, CLASSES);
        return net;
    }
    net.layer[net.layers++] = badm_linear_new(m, "fc1", PIXELS, 256);
    net.layer[net.layers++] = badm_linear_new(m, "fc2", 256, 128);
    net.layer[net.layers++] = badm_linear_new(m, "fc3", 128, CLASSES);
    return net;
}

static badm_tensor *logits(badm_tape *t, const badm_batch *b, void *user)
{
    const task *k = (const task *)user;
    badm_tensor *x = badm_rows_u8(t, k->data.pixels, PIXELS, 1.0f / 255, 0, b);
    int i;
    for (i = 0; i < k->net.layers; i++) {
        if (i > 0) x = badm_relu(t, x);
        x = badm_linear_forward(t, k->net.layer[i], x);
    }
    return x;
}

static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    const task *k = (const task *)user;
    return badm_cross_entropy(t, logits(t, b, user), badm_labels_u8(t, k->data.labels, b));
}

/* ------------------------------------------------------------------------------------------------------------------
   Training
   ----------------------------------------------------------------------------------------------------------------- */

/* After an epoch: over all training images, over all test images, and seconds of training up to here. */
typedef struct point { badm_score train, test; double seconds; } point;

typedef struct contestant {
    const char *name;
    badm_model *model;
    badm_trainer *trainer;
    task train, test;
    point *curve;                   /* one per epoch */
    uint32_t done;                  /* epochs completed and measured */
} contestant;

typedef struct race {
    const options *o;
    const dataset *data;
    terminal term;
    contestant badm, adam;
    double started, epoch_started;
    uint64_t steps_done, steps_total;   /* of both */
} race;

/* The orthogonal metric is for matrices. Biases follow the diagonal metric, where a matrix's 1/sigma would be too long
   a step: they take a twentieth of it, about the usual 1/1000. */
static void scale_biases(badm_model *m, const network *net)
{
    int i;
    for (i = 0; i < net->layers; i++) badm_set_step_scale(m, badm_param_name(net->layer[i].bias), 0.05f);
}

static int new_contestant(contestant *c, const char *name, const badm_method *method, const race *r)
{
    const options *o = r->o;
    uint32_t steps = (r->data->train.n + o->batch - 1) / o->batch;
    badm_trainer_desc d;
    c->name = name;
    c->curve = (point *)calloc(o->epochs, sizeof *c->curve);
    c->model = badm_model_new(o->seed);
    if (!c->curve || !c->model) return complain("there is not enough memory");
    c->train.net = c->test.net = new_network(c->model, o->softmax);
    c->train.data = r->data->train;
    c->test.data = r->data->test;
    if (!method && o->metric == BADM_ORTHOGONAL) scale_biases(c->model, &c->train.net);

    badm_trainer_defaults(&d);
    d.model = c->model;
    d.loss = loss;
    d.user = &c->train;
    d.seed = o->seed;
    d.max_batch = o->batch;
    d.sub_batches = o->sub_batches;
    if (o->workers) d.workers = o->workers;
    d.method = method;
    d.metric = o->metric;
    d.sigma = o->sigma;
    d.rho = o->rho;
    d.lr = o->lr;
    d.schedule.kind = BADM_LINEAR_DECAY;
    d.schedule.total = steps * o->epochs;
    d.schedule.last = 0;
    d.cancel = &cancelled;
    return badm_trainer_new(&c->trainer, &d) == BADM_OK ? 1 : complain(badm_model_error(c->model));
}

static void free_contestant(contestant *c)
{
    if (c->trainer) badm_trainer_free(c->trainer);
    if (c->model) badm_model_free(c->model);
    free(c->curve);
}

/* Called after every step: redraws the line, ten times a second at most. */
typedef struct watch { race *r; const contestant *c; } watch;

static int on_progress(const badm_progress *p, void *user)
{
    const watch *w = (const watch *)user;
    race *r = w->r;
    char line[512], head[64], bar[128], tail[256], primal[32] = "";
    double t = now(), done, left;
    int columns;
    r->steps_done++;
    if (!r->term.live || t - r->term.last < 0.1) return cancelled;
    r->term.last = t;
    done = (double)r->steps_done / (double)r->steps_total;
    left = (t - r->started) * (1 - done) / done + 0.5;
    if (w->c == &r->badm) snprintf(primal, sizeof primal, " primal %.1e", (double)p->last.primal_residual);
    snprintf(tail, sizeof tail, " loss %.4f acc %5.2f%% %5.0f/s%s %lu:%02lu left", (double)p->loss,
             100 * (double)p->accuracy, p->sample / (t - r->epoch_started + 1e-9), primal, (unsigned long)left / 60,
             (unsigned long)left % 60);
    snprintf(head, sizeof head, "%2lu/%lu %s ", (unsigned long)p->epoch + 1, (unsigned long)r->o->epochs, w->c->name);
    columns = r->term.columns - 1 - (int)strlen(head) - (int)strlen(tail);
    make_bar(bar, sizeof bar, (double)p->sample / p->samples, columns > 30 ? 30 : columns, r->term.utf8);
    snprintf(line, sizeof line, "%s%s%s", head, bar, tail);
    if (columns < 0) line[r->term.columns - 1] = 0;        /* too narrow even without a bar: no line may wrap */
    show_line(&r->term, line);
    return cancelled;
}

/* One epoch of one of the two, and where it then stands. 0: stopped, by the user or by an error. */
static int run_epoch(race *r, contestant *c)
{
    watch w;
    point *p = &c->curve[c->done];
    char sentence[512];
    badm_result result;
    w.r = r;
    w.c = c;
    r->epoch_started = now();
    result = badm_epoch(c->trainer, c->train.data.n, r->o->batch, on_progress, &w);
    p->seconds = (c->done ? p[-1].seconds : 0) + now() - r->epoch_started;
    if (result == BADM_OK) result = badm_evaluate(c->trainer, loss, &c->train, c->train.data.n, &p->train);
    if (result == BADM_OK) result = badm_evaluate(c->trainer, loss, &c->test, c->test.data.n, &p->test);
    if (result != BADM_OK) {
        clear_line(&r->term);
        snprintf(sentence, sizeof sentence, "%s: %s", c->name, badm_trainer_error(c->trainer));
        if (!cancelled) complain(sentence);
        return 0;
    }
    c->done++;
    return 1;
}

static void print_epoch(race *r)
{
    const point *b = &r->badm.curve[r->badm.done - 1], *a = &r->adam.curve[r->adam.done - 1];
    clear_line(&r->term);
    if (r->adam.done == 1)
        printf("           training loss         test accuracy\n"
               "epoch      BADM       Adam       BADM      Adam       time\n");
    printf("%5lu   %8.3g   %8.3g    %5.2f %%   %5.2f %%   %6.1f s\n", (unsigned long)r->adam.done,
           (double)b->train.loss, (double)a->train.loss, 100 * (double)b->test.accuracy, 100 * (double)a->test.accuracy,
           now() - r->started);
    fflush(stdout);
}

/* 0: stopped before the end. */
static int run_race(race *r)
{
    uint32_t i, steps = (r->data->train.n + r->o->batch - 1) / r->o->batch;
    r->started = now();
    r->steps_total = (uint64_t)2 * steps * r->o->epochs;
    for (i = 0; i < r->o->epochs; i++) {
        if (!run_epoch(r, &r->badm) || !run_epoch(r, &r->adam)) return 0;
        print_epoch(r);
    }
    return 1;
}

/* ------------------------------------------------------------------------------------------------------------------
   Results
   ----------------------------------------------------------------------------------------------------------------- */

static const char *network_name(const options *o) { return o->softmax ? "784-10" : "784-256-128-10"; }

static void print_setup(const race *r)
{
    const options *o = r->o;
    uint32_t workers = o->workers ? o->workers : badm_cpu_count();
    printf("badm " BADM_VERSION_STRING ": %s, BADM and Adam from the same initial weights\n", network_name(o));
    printf("images  %s: %lu to train, %lu %s\n", r->data->title, (unsigned long)r->data->train.n,
           (unsigned long)r->data->test.n, o->held_out ? "more, held out, to test" : "to test");
    printf("BADM    %s metric, sigma %g, rho %g (momentum %.2f)\n", o->metric_name, (double)o->sigma, (double)o->rho,
           (double)(o->rho / (o->rho + o->sigma)));
    printf("Adam    step size %g\n", (double)o->lr);
    printf("both    epochs %lu, batch %lu, sub-batches %lu, linear decay, seed %lu, workers %lu\n\n",
           (unsigned long)o->epochs, (unsigned long)o->batch, (unsigned long)o->sub_batches, (unsigned long)o->seed,
           (unsigned long)workers);
    fflush(stdout);
}

/* The first epoch after which c's training loss is at most `goal`; 0: none. */
static uint32_t epochs_to(const contestant *c, float goal)
{
    uint32_t i;
    for (i = 0; i < c->done; i++)
        if (c->curve[i].train.loss <= goal) return i + 1;
    return 0;
}

static void print_row(const char *what, const char *format, double badm, double adam)
{
    char left[32], right[32];
    snprintf(left, sizeof left, format, badm);
    snprintf(right, sizeof right, format, adam);
    printf("%-30s%10s   %10s\n", what, left, right);
}

static void print_table(const race *r)
{
    const contestant *both[2];
    const point *end[2];
    uint32_t reached[2];
    double speed[2];
    int i;
    both[0] = &r->badm;
    both[1] = &r->adam;
    for (i = 0; i < 2; i++) {
        end[i] = &both[i]->curve[both[i]->done - 1];
        reached[i] = epochs_to(both[i], r->adam.curve[r->adam.done - 1].train.loss);
        speed[i] = both[i]->done * (double)r->data->train.n / end[i]->seconds;
    }
    printf("\n                                    BADM         Adam\n");
    print_row("test accuracy, %", "%.2f", 100 * (double)end[0]->test.accuracy, 100 * (double)end[1]->test.accuracy);
    print_row("test loss", "%.3g", (double)end[0]->test.loss, (double)end[1]->test.loss);
    print_row("training accuracy, %", "%.2f", 100 * (double)end[0]->train.accuracy,
              100 * (double)end[1]->train.accuracy);
    print_row("training loss", "%.3g", (double)end[0]->train.loss, (double)end[1]->train.loss);
    printf("%-30s", "epochs to Adam's training loss");
    for (i = 0; i < 2; i++) reached[i] ? printf("%10lu   ", (unsigned long)reached[i]) : printf("%10s   ", "never");
    printf("\n");
    print_row("images a second", "%.0f", speed[0], speed[1]);
    print_row("memory of the trainer, MB", "%.1f", 1e-6 * (double)badm_trainer_memory(r->badm.trainer),
              1e-6 * (double)badm_trainer_memory(r->adam.trainer));
}

static void print_diagnosis(contestant *c)
{
    char text[1024];
    if (badm_diagnose(c->trainer, text, sizeof text)) printf("\nWhat %s's trainer has seen:\n%s", c->name, text);
}

/* ---- a few test images in characters ---- */

enum { A_ROW = 3, MARGIN = 2, WIDTH = SIDE - 2 * MARGIN };

/* One line of characters: two rows of pixels, as half blocks or as shades. */
static void print_pixels(const uint8_t *image, int row, int utf8)
{
    static const char *const halves[4] = { " ", "\xe2\x96\x80", "\xe2\x96\x84", "\xe2\x96\x88" };
    static const char shades[] = " .:-=+*#%@";
    int x;
    for (x = MARGIN; x < MARGIN + WIDTH; x++) {
        int upper = image[(MARGIN + row) * SIDE + x], lower = image[(MARGIN + row + 1) * SIDE + x];
        if (utf8) printf("%s", halves[(upper > 100) + 2 * (lower > 100)]);
        else printf("%c", shades[(upper + lower) * 9 / 510]);
    }
}

static void answer(const float *logit, int *digit, double *certainty)
{
    double sum = 0;
    int i;
    *digit = 0;
    for (i = 1; i < CLASSES; i++)
        if (logit[i] > logit[*digit]) *digit = i;
    for (i = 0; i < CLASSES; i++) sum += (double)badm_expf(logit[i] - logit[*digit]);
    *certainty = 1 / sum;
}

static void draw_images(const images *data, const float *output, const uint32_t *which, int n, int utf8)
{
    char caption[64];
    double certainty;
    int i, row, digit;
    printf("\n");
    for (row = 0; row < WIDTH; row += 2) {
        for (i = 0; i < n; i++) {
            print_pixels(data->pixels + (size_t)which[i] * PIXELS, row, utf8);
            printf(i + 1 < n ? "  " : "\n");
        }
    }
    for (i = 0; i < n; i++) {
        answer(output + (size_t)which[i] * CLASSES, &digit, &certainty);
        snprintf(caption, sizeof caption, "says %d (%.0f %%), is %d", digit, 100 * certainty, data->labels[which[i]]);
        printf("%-*s%s", WIDTH, caption, i + 1 < n ? "  " : "\n");
    }
}

/* The first test images that BADM's network gets right, and the first it gets wrong. */
static void print_images(race *r)
{
    const images *data = &r->data->test;
    float *output = (float *)malloc((size_t)data->n * CLASSES * sizeof *output);
    uint32_t right[A_ROW], wrong[A_ROW], i;
    int rights = 0, wrongs = 0, digit;
    double certainty;
    if (!output || badm_predict(r->badm.trainer, logits, &r->badm.test, data->n, CLASSES, output) != BADM_OK) {
        complain(output ? badm_trainer_error(r->badm.trainer) : "there is not enough memory to show test images");
        free(output);
        return;
    }
    for (i = 0; i < data->n; i++) {
        answer(output + (size_t)i * CLASSES, &digit, &certainty);
        if (digit == data->labels[i] && rights < A_ROW) right[rights++] = i;
        if (digit != data->labels[i] && wrongs < A_ROW) wrong[wrongs++] = i;
    }
    printf("\nTest images and what BADM's network says: the first it gets right, and the first it gets wrong\n");
    if (rights) draw_images(data, output, right, rights, r->term.utf8);
    if (wrongs) draw_images(data, output, wrong, wrongs, r->term.utf8);
    free(output);
}

/* ------------------------------------------------------------------------------------------------------------------
   Files
   ----------------------------------------------------------------------------------------------------------------- */

static int write_csv(const race *r)
{
    output_file out;
    uint32_t i;
    int k;
    if (!open_output(&out, r->o->out, "digits.csv")) return 0;
    fprintf(out.f, "epoch,badm_train_loss,badm_train_accuracy,badm_test_loss,badm_test_accuracy,badm_seconds,"
                   "adam_train_loss,adam_train_accuracy,adam_test_loss,adam_test_accuracy,adam_seconds\n");
    for (i = 0; i < r->adam.done; i++) {
        fprintf(out.f, "%lu", (unsigned long)i + 1);
        for (k = 0; k < 2; k++) {
            const point *p = k ? &r->adam.curve[i] : &r->badm.curve[i];
            fprintf(out.f, ",%.9g,%.9g,%.9g,%.9g,%.3f", (double)p->train.loss, (double)p->train.accuracy,
                    (double)p->test.loss, (double)p->test.accuracy, p->seconds);
        }
        fprintf(out.f, "\n");
    }
    return close_output(&out);
}

/* ---- the curves as a picture ---- */

/* A panel of the picture: epochs to the right, a value upwards from low to high. */
typedef struct panel {
    double x, y, width, height, low, high;
    int logarithmic;
    uint32_t epochs;
} panel;

static const char *const colours[2] = { "#0067b1", "#d55e00" };     /* BADM, Adam; also for colour-blind eyes */

static double logarithm(double v) { return (double)badm_logf((float)v); }

static double across(const panel *p, double epoch)
{
    return p->epochs > 1 ? p->x + p->width * (epoch - 1) / (p->epochs - 1) : p->x + p->width / 2;
}

static double upwards(const panel *p, double v)
{
    double share = p->logarithmic ? logarithm(v / p->low) / logarithm(p->high / p->low)
                                  : (v - p->low) / (p->high - p->low);
    return p->y + p->height * (1 - share);
}

static void draw_line(FILE *f, double ax, double ay, double bx, double by, const char *colour, const char *style)
{
    fprintf(f, "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='%s' %s/>\n", ax, ay, bx, by, colour, style);
}

static void value_tick(FILE *f, const panel *p, double v)
{
    double y = upwards(p, v);
    draw_line(f, p->x, y, p->x + p->width, y, "#e3e3e3", "");
    fprintf(f, "<text x='%.1f' y='%.1f' text-anchor='end'>%g</text>\n", p->x - 8, y + 4, v);
}

/* 1, 2 and 5 of every power of ten; over three powers or more the powers alone. */
static void logarithmic_ticks(FILE *f, const panel *p)
{
    static const double steps[3] = { 1, 2, 5 };
    double power, v;
    int k, wide = p->high / p->low >= 1000;
    for (power = 1e-9; power <= p->high; power *= 10)
        for (k = 0; k < (wide ? 1 : 3); k++) {
            v = power * steps[k];
            if (v >= 0.999 * p->low && v <= 1.001 * p->high) value_tick(f, p, v);
        }
}

/* The step of a linear axis: a round number that gives at most seven ticks. */
static double round_step(double range)
{
    static const double steps[] = { 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10 };
    size_t i = 0;
    while (i + 1 < sizeof steps / sizeof steps[0] && range / steps[i] > 6) i++;
    return steps[i];
}

static void linear_ticks(FILE *f, const panel *p, double step)
{
    long k, first = (long)(p->low / step + 0.5), last = (long)(p->high / step + 0.5);
    for (k = first; k <= last; k++) value_tick(f, p, (double)k * step);
}

static void draw_frame(FILE *f, const panel *p, const char *title)
{
    uint32_t i, every = (p->epochs + 11) / 12;
    fprintf(f, "<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' fill='none' stroke='#555'/>\n", p->x, p->y, p->width,
            p->height);
    fprintf(f, "<text x='%.1f' y='%.1f' font-size='15'>%s</text>\n", p->x, p->y - 12, title);
    for (i = 1; i <= p->epochs; i += every) {
        double x = across(p, i), y = p->y + p->height;
        draw_line(f, x, y, x, y + 5, "#555", "");
        fprintf(f, "<text x='%.1f' y='%.1f' text-anchor='middle'>%lu</text>\n", x, y + 20, (unsigned long)i);
    }
    fprintf(f, "<text x='%.1f' y='%.1f' text-anchor='middle'>epoch</text>\n", p->x + p->width / 2,
            p->y + p->height + 40);
}

static double plotted_loss(const point *p) { return p->train.loss > 1e-7f ? (double)p->train.loss : 1e-7; }
static double plotted_accuracy(const point *p) { return 100 * (double)p->test.accuracy; }

static void draw_curve(FILE *f, const panel *p, const contestant *c, double (*value)(const point *), const char *colour)
{
    uint32_t i;
    fprintf(f, "<polyline fill='none' stroke='%s' stroke-width='2.2' points='", colour);
    for (i = 0; i < p->epochs; i++) fprintf(f, "%.1f,%.1f ", across(p, i + 1), upwards(p, value(&c->curve[i])));
    fprintf(f, "'/>\n");
    for (i = 0; i < p->epochs; i++) {
        double v = value(&c->curve[i]);
        fprintf(f, "<circle cx='%.1f' cy='%.1f' r='3.5' fill='%s'>", across(p, i + 1), upwards(p, v), colour);
        fprintf(f, "<title>%s, epoch %lu: %.6g</title></circle>\n", c->name, (unsigned long)i + 1, v);
    }
}

static void value_range(const race *r, double (*value)(const point *), panel *p)
{
    uint32_t i;
    int k;
    p->low = p->high = value(&r->badm.curve[0]);
    for (i = 0; i < p->epochs; i++)
        for (k = 0; k < 2; k++) {
            double v = value(k ? &r->adam.curve[i] : &r->badm.curve[i]);
            if (v < p->low) p->low = v;
            if (v > p->high) p->high = v;
        }
}

static void draw_losses(FILE *f, const race *r, panel p)
{
    double goal = plotted_loss(&r->adam.curve[p.epochs - 1]);
    value_range(r, plotted_loss, &p);
    p.low /= 1.3;
    p.high *= 1.3;
    p.logarithmic = 1;
    logarithmic_ticks(f, &p);
    draw_frame(f, &p, "training loss, over all training images");
    draw_line(f, p.x, upwards(&p, goal), p.x + p.width, upwards(&p, goal), colours[1], "stroke-dasharray='5 4'");
    draw_curve(f, &p, &r->adam, plotted_loss, colours[1]);
    draw_curve(f, &p, &r->badm, plotted_loss, colours[0]);
}

static void draw_accuracies(FILE *f, const race *r, panel p)
{
    double step;
    value_range(r, plotted_accuracy, &p);
    step = round_step(p.high - p.low + 1e-3);
    p.low = step * (double)(long)(p.low / step);
    p.high = step * (double)(long)(p.high / step + 1);
    p.logarithmic = 0;
    linear_ticks(f, &p, step);
    draw_frame(f, &p, r->o->held_out ? "accuracy on images held out, %" : "test accuracy, %");
    draw_curve(f, &p, &r->adam, plotted_accuracy, colours[1]);
    draw_curve(f, &p, &r->badm, plotted_accuracy, colours[0]);
}

static void draw_legend(FILE *f, const race *r, double x, double y)
{
    const contestant *both[2];
    int k;
    both[0] = &r->badm;
    both[1] = &r->adam;
    for (k = 0; k < 2; k++, x += 90) {
        draw_line(f, x, y, x + 28, y, colours[k], "stroke-width='2.2'");
        fprintf(f, "<circle cx='%.1f' cy='%.1f' r='3.5' fill='%s'/>", x + 14, y, colours[k]);
        fprintf(f, "<text x='%.1f' y='%.1f'>%s</text>\n", x + 36, y + 4, both[k]->name);
    }
    draw_line(f, x, y, x + 28, y, colours[1], "stroke-dasharray='5 4'");
    fprintf(f, "<text x='%.1f' y='%.1f'>Adam's last training loss</text>\n", x + 36, y + 4);
}

static int write_picture(const race *r)
{
    panel p = { 75, 110, 400, 300, 0, 1, 0, 0 };
    output_file out;
    p.epochs = r->adam.done;
    if (!open_output(&out, r->o->out, "digits.svg")) return 0;
    fprintf(out.f, "<svg xmlns='http://www.w3.org/2000/svg' width='1000' height='470' viewBox='0 0 1000 470' "
                   "font-family='Helvetica, Arial, sans-serif' font-size='13' fill='#222'>\n"
                   "<rect width='1000' height='470' fill='white'/>\n");
    fprintf(out.f, "<text x='75' y='32' font-size='18'>%s, %s: BADM (%s metric) and Adam</text>\n",
            r->o->data ? "MNIST" : "Drawn digits", network_name(r->o), r->o->metric_name);
    draw_legend(out.f, r, 75, 58);
    draw_losses(out.f, r, p);
    p.x = 575;
    draw_accuracies(out.f, r, p);
    fprintf(out.f, "</svg>\n");
    return close_output(&out);
}

/* Every file is tried, whatever became of the others. */
static int save_all(const race *r)
{
    int curves = r->adam.done > 0, model = save_model(r->badm.model, r->o->out, "digits.safetensors");
    int csv = curves && write_csv(r), drawn = curves && write_picture(r);
    if (model) printf("saved %s/digits.safetensors: BADM's network\n", r->o->out);
    if (csv) printf("saved %s/digits.csv: the curves\n", r->o->out);
    if (drawn) printf("saved %s/digits.svg: the curves as a picture\n", r->o->out);
    return model && (!curves || (csv && drawn));
}

/* ------------------------------------------------------------------------------------------------------------------
   main
   ----------------------------------------------------------------------------------------------------------------- */

/* For scripts. An Adam's loss that BADM has not reached counts as one epoch more than there were. */
static void print_result(const race *r, double seconds)
{
    const point *b = &r->badm.curve[r->badm.done - 1], *a = &r->adam.curve[r->adam.done - 1];
    uint32_t reached = epochs_to(&r->badm, a->train.loss);
    printf("RESULT badm_test_accuracy %.4f\n", (double)b->test.accuracy);
    printf("RESULT adam_test_accuracy %.4f\n", (double)a->test.accuracy);
    printf("RESULT badm_epochs_to_adam_loss %lu\n", (unsigned long)(reached ? reached : r->o->epochs + 1));
    printf("RESULT adam_epochs %lu\n", (unsigned long)r->adam.done);
    printf("RESULT seconds %.1f\n", seconds);
}

/* The exit code: 0 done, 1 an error, 130 ended by Ctrl-C (as shells count it). */
static int race_and_report(race *r, double started)
{
    int finished, saved, kept;
    if (!new_contestant(&r->badm, "BADM", NULL, r)) return 1;
    if (!new_contestant(&r->adam, "Adam", badm_method_adam(), r)) return 1;
    if (badm_model_copy(r->adam.model, r->badm.model) != BADM_OK) {
        complain(badm_model_error(r->adam.model));
        return 1;
    }
    print_setup(r);
    signal(SIGINT, on_interrupt);
    finished = run_race(r);
    kept = cancelled || r->badm.done > 0;       /* an error in the first epoch leaves an earlier run's files alone */
    if (finished) {
        print_table(r);
        print_diagnosis(&r->badm);
        print_images(r);
        printf("\n");
    } else {
        printf("\nStopped by %s after %lu of %lu epochs. %s\n", cancelled ? "Ctrl-C" : "the error above",
               (unsigned long)r->adam.done, (unsigned long)r->o->epochs,
               kept ? "What there is so far is kept:" : "Nothing is saved.");
    }
    saved = kept && save_all(r);
    if (finished) print_result(r, now() - started);
    return finished && saved ? 0 : cancelled && saved ? 130 : 1;
}

int main(int argc, char **argv)
{
    double started = now();
    options o;
    dataset data;
    race r;
    int code = 1;
    if (!read_options(&o, argc, argv)) return 1;
    if (o.help) {
        printf("%s", usage);
        return 0;
    }
    if (!can_write_to(o.out)) return 1;
    if (get_images(&data, o.data, o.images, o.held_out, o.batch)) {
        memset(&r, 0, sizeof r);
        r.o = &o;
        r.data = &data;
        r.term = find_terminal();
        code = race_and_report(&r, started);
        free_contestant(&r.badm);
        free_contestant(&r.adam);
    }
    free_images(&data);
    return code;
}
