/* Handwritten digits: trains 784-256-128-10 with BADM and, side by side, with Adam, from the same initial weights, on
   the same batches, with the same linear decay. Shows both while they learn, then a table and a few test images; saves
   the network and the curves.

       cc -O2 -I. examples/digits.c -o build/digits -lpthread && build/digits [DATA]

   DATA is a folder with MNIST's four IDX files (plain or .gz; in the folder or in mnist/ below it). Without it the
   program draws its own digits.

   Sections: options, MNIST, drawn digits, network, terminal, training, results, files, main. */

#include "example_data.h"           /* first: it asks for POSIX */

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#ifdef _WIN32
#include <io.h>
#else
#include <sys/ioctl.h>
#include <unistd.h>
#endif

#define BADM_IMPLEMENTATION
#include "badm.h"

enum { SIDE = 28, PIXELS = SIDE * SIDE, CLASSES = 10, MAX_LAYERS = 3 };

/* Set by Ctrl-C; the trainers look at it between sub-batches. A second Ctrl-C ends the program the hard way. */
static volatile int cancelled;

static void on_interrupt(int sign)
{
    cancelled = 1;
    signal(sign, SIG_DFL);
}

/* Seconds since some moment, by a clock that nobody sets. */
static double now(void)
{
#ifdef _WIN32
    return (double)clock() / CLOCKS_PER_SEC;        /* the time of day on this system, not the processor's */
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
#endif
}

static int complain(const char *sentence)
{
    fflush(stdout);
    fprintf(stderr, "digits: %s\n", sentence);
    return 0;
}

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

static int read_count(const char *text, uint32_t *out)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || v > 1000000000ul) return 0;
    *out = (uint32_t)v;
    return 1;
}

static int read_positive(const char *text, float *out)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !(v > 1e-12 && v < 1e12)) return 0;
    *out = (float)v;
    return 1;
}

/* Sets the option `name`. NULL, or what is wrong with it. */
static const char *read_option(options *o, const char *name, const char *value)
{
    const struct { const char *name; uint32_t *count; float *number; const char **text; } known[] = {
        { "--epochs", &o->epochs, NULL, NULL },           { "--batch", &o->batch, NULL, NULL },
        { "--sub-batches", &o->sub_batches, NULL, NULL }, { "--workers", &o->workers, NULL, NULL },
        { "--seed", &o->seed, NULL, NULL },               { "--images", &o->images, NULL, NULL },
        { "--held-out", &o->held_out, NULL, NULL },       { "--lr", NULL, &o->lr, NULL },
        { "--sigma", NULL, &o->sigma, NULL },             { "--rho", NULL, &o->rho, NULL },
        { "--metric", NULL, NULL, &o->metric_name },      { "--out", NULL, NULL, &o->out }
    };
    size_t i;
    for (i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(name, known[i].name)) continue;
        if (!value) return "needs a value";
        if (known[i].count) return read_count(value, known[i].count) ? NULL : "needs a whole number";
        if (known[i].number) return read_positive(value, known[i].number) ? NULL : "needs a number above 0";
        *known[i].text = value;
        return NULL;
    }
    return "is no option; --help lists them";
}

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

static int is_folder(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

/* 0: a sentence has been printed. */
static int read_options(options *o, int argc, char **argv)
{
    char sentence[256], name[32];
    const char *wrong = NULL;
    int i;
    memset(o, 0, sizeof *o);
    o->epochs = 10; o->batch = 128; o->sub_batches = 2; o->seed = 1; o->lr = 0.004f;
    o->metric_name = "orthogonal";
    o->out = is_folder("build") ? "build" : ".";
    for (i = 1; i < argc && !wrong; i++) {
        const char *arg = argv[i], *equals = strchr(arg, '=');
        if (!strcmp(arg, "--help") || !strcmp(arg, "-h")) { o->help = 1; continue; }
        if (!strcmp(arg, "--softmax")) { o->softmax = 1; continue; }
        if (arg[0] != '-') {
            if (o->data) return complain("more than one data folder is given");
            if (arg[0]) o->data = arg;              /* "" as a Makefile passes an unset variable */
            continue;
        }
        snprintf(name, sizeof name, "%.*s", equals ? (int)(equals - arg) : 31, arg);
        wrong = read_option(o, name, equals ? equals + 1 : i + 1 < argc ? argv[++i] : NULL);
        if (wrong) snprintf(sentence, sizeof sentence, "%s %s", name, wrong);
    }
    if (wrong) return complain(sentence);
    wrong = complete_options(o);
    return wrong ? complain(wrong) : 1;
}

/* ------------------------------------------------------------------------------------------------------------------
   MNIST
   ----------------------------------------------------------------------------------------------------------------- */

typedef struct images { const uint8_t *pixels, *labels; uint32_t n; } images;

/* Training and test images, and what owns them: four arrays from files, or one piece of memory. */
typedef struct dataset {
    images train, test;
    badm_array file[4];
    uint8_t *drawn;
    char title[EXAMPLE_PATH + 64];
} dataset;

static int check_images(const badm_array *pixels, const badm_array *labels, const char *which, images *out)
{
    char sentence[256];
    uint32_t i;
    out->pixels = (const uint8_t *)pixels->data;
    out->labels = (const uint8_t *)labels->data;
    out->n = pixels->shape[0];
    if (pixels->type != BADM_U8 || pixels->rank != 3 || pixels->shape[1] != SIDE || pixels->shape[2] != SIDE) {
        snprintf(sentence, sizeof sentence, "the %s images are not bytes of %d x %d", which, SIDE, SIDE);
        return complain(sentence);
    }
    if (labels->type != BADM_U8 || labels->rank != 1 || labels->shape[0] != out->n || !out->n) {
        snprintf(sentence, sizeof sentence, "the %s labels are not one byte for each image", which);
        return complain(sentence);
    }
    for (i = 0; i < out->n; i++)
        if (out->labels[i] >= CLASSES) {
            snprintf(sentence, sizeof sentence, "label %lu of the %s images is %d, not 0..9", (unsigned long)i, which,
                     out->labels[i]);
            return complain(sentence);
        }
    return 1;
}

static int load_mnist(dataset *d, const char *dir)
{
    static const char *const which[4] = { "train-images", "train-labels", "t10k-images", "t10k-labels" };
    char why[EXAMPLE_SENTENCE];
    int i;
    if (!is_folder(dir)) {
        snprintf(why, sizeof why, "there is no folder %s", dir);
        return complain(why);
    }
    for (i = 0; i < 4; i++)
        if (!example_load_mnist(&d->file[i], dir, which[i], why)) return complain(why);
    snprintf(d->title, sizeof d->title, "MNIST from %s", dir);
    return check_images(&d->file[0], &d->file[1], "training", &d->train)
        && check_images(&d->file[2], &d->file[3], "test", &d->test);
}

/* ------------------------------------------------------------------------------------------------------------------
   Drawn digits: strokes of a pen in several styles, turned, slanted, stretched, moved, bent, then disturbed. Image i
   is a function of i alone, so that every run draws the same ones.
   ----------------------------------------------------------------------------------------------------------------- */

enum { DRAWN_TRAIN = 40000, DRAWN_TEST = 4000, DRAWN = DRAWN_TRAIN + DRAWN_TEST, STYLES = 4, MAX_POINTS = 32 };

/* Points "xy" on a grid of 0..6 by 0..9, y downwards, joined by a smooth curve; a point given twice is a corner;
   "/" lifts the pen. */
static const char *const glyphs[CLASSES][STYLES] = {
    { "30 11 03 06 18 39 58 66 63 51 30", "41 20 03 06 29 48 65 62 41 20",
      "30 12 04 05 17 39 57 55 54 52 30", "50 20 02 07 29 49 67 63 40 20" },
    { "30 39", "12 30 30 39",
      "12 30 30 39 39/19 59", "21 40 40 29" },
    { "02 10 40 62 53 26 09 09 69", "12 30 51 53 27 09 18 28 49 68",
      "01 30 62 44 08 08 38 69", "01 20 50 63 35 09 09 59 68" },
    { "01 30 52 34 24 24 45 67 39 08", "00 60 60 33 33 55 67 39 08",
      "02 20 51 53 34 34 65 67 39 07", "11 40 62 44 34 34 56 47 28 09" },
    { "10 05 05 65/42 49", "59 50 50 06 06 66",
      "40 06 06 66/43 49", "20 14 25 54/60 54 49" },
    { "60 10 10 04 04 34 66 48 29 08", "10 04 04 34 66 48 29 08/10 60",
      "60 20 20 13 34 56 48 19 08", "61 11 11 15 15 43 65 58 39 09" },
    { "50 21 04 07 29 58 66 44 14 06", "40 13 06 18 39 57 55 34 06",
      "61 30 03 07 39 67 65 34 05", "30 12 06 29 49 67 55 25 07" },
    { "00 60 60 29", "00 60 60 29/15 55",
      "02 00 00 60 60 34 29", "01 20 41 60 60 43 39" },
    { "51 20 02 14 45 67 39 07 15 44 62 51", "30 12 34 52 30/34 07 39 67 34",
      "60 20 12 45 67 39 07 34 61", "40 21 23 44 57 29 07 25 52 40" },
    { "61 20 03 25 54 61 61 58 39", "62 30 02 25 54 62 62 59",
      "51 20 03 25 62 51 51 59 39 18", "50 20 03 24 52 50 50 39" }
};

/* How one image differs from the glyph: a matrix and a shift, two waves that bend it, and the pen. */
typedef struct hand {
    float xx, xy, yx, yy, x, y;
    struct { float x, y, phase, dx, dy; } wave[2];
    float radius, ink;
} hand;

static float between(badm_rng *r, float low, float high) { return low + (high - low) * badm_rng_uniform(r); }
static float sine(float x) { return badm_cosf(x - 1.57079633f); }

static hand new_hand(badm_rng *r)
{
    hand h;
    float angle = 0.2f * badm_rng_normal(r), slant = 0.25f * badm_rng_normal(r);
    float wide = between(r, 1.6f, 2.3f), tall = between(r, 1.6f, 2.3f);         /* pixels for one step of the grid */
    int i;
    h.xx = wide * badm_cosf(angle);
    h.yx = wide * sine(angle);
    h.xy = tall * (-sine(angle) - slant * badm_cosf(angle));
    h.yy = tall * (badm_cosf(angle) - slant * sine(angle));
    h.x = 13.5f + between(r, -1.25f, 1.25f);
    h.y = 13.5f + between(r, -1.25f, 1.25f);
    for (i = 0; i < 2; i++) {
        h.wave[i].x = between(r, -0.35f, 0.35f);
        h.wave[i].y = between(r, -0.35f, 0.35f);
        h.wave[i].phase = between(r, 0, 6.2831853f);
        h.wave[i].dx = 0.8f * badm_rng_normal(r);
        h.wave[i].dy = 0.8f * badm_rng_normal(r);
    }
    h.radius = between(r, 0.7f, 1.9f);
    h.ink = between(r, 0.6f, 1.0f);
    return h;
}

/* From the grid to pixels. */
static void place(const hand *h, float *x, float *y)
{
    float u = *x - 3.0f, v = *y - 4.5f;
    int i;
    *x = h->x + h->xx * u + h->xy * v;
    *y = h->y + h->yx * u + h->yy * v;
    for (i = 0; i < 2; i++) {
        float bend = badm_cosf(h->wave[i].x * *x + h->wave[i].y * *y + h->wave[i].phase);
        *x += h->wave[i].dx * bend;
        *y += h->wave[i].dy * bend;
    }
}

static float clamp(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

/* Inks a straight piece from a to b with a round pen; ink does not add up where strokes cross. */
static void ink_line(float *canvas, float ax, float ay, float bx, float by, float radius, float ink)
{
    float dx = bx - ax, dy = by - ay, length2 = dx * dx + dy * dy + 1e-6f, reach = radius + 1;
    int left = (int)clamp((ax < bx ? ax : bx) - reach, 0, SIDE);
    int right = (int)clamp((ax > bx ? ax : bx) + reach + 1, 0, SIDE);
    int top = (int)clamp((ay < by ? ay : by) - reach, 0, SIDE);
    int bottom = (int)clamp((ay > by ? ay : by) + reach + 1, 0, SIDE);
    int x, y;
    for (y = top; y < bottom; y++)
        for (x = left; x < right; x++) {
            float px = (float)x - ax, py = (float)y - ay, along = clamp((px * dx + py * dy) / length2, 0, 1);
            float ex = px - along * dx, ey = py - along * dy;
            float covered = ink * clamp(radius + 0.5f - badm_sqrtf(ex * ex + ey * ey), 0, 1);
            if (covered > canvas[y * SIDE + x]) canvas[y * SIDE + x] = covered;
        }
}

/* The smooth curve (Catmull-Rom) between p[1] and p[2], t in 0..1. */
static float curve(float p0, float p1, float p2, float p3, float t)
{
    return p1 + 0.5f * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)));
}

static void ink_stroke(float *canvas, const hand *h, const float *x, const float *y, int n)
{
    enum { PIECES = 5 };
    float ax = x[0], ay = y[0];
    int i, k;
    place(h, &ax, &ay);
    for (i = 0; i + 1 < n; i++) {
        int before = i > 0 ? i - 1 : i, after = i + 2 < n ? i + 2 : i + 1;
        for (k = 1; k <= PIECES; k++) {
            float t = (float)k / PIECES;
            float bx = curve(x[before], x[i], x[i + 1], x[after], t);
            float by = curve(y[before], y[i], y[i + 1], y[after], t);
            place(h, &bx, &by);
            ink_line(canvas, ax, ay, bx, by, h->radius, h->ink);
            ax = bx;
            ay = by;
        }
    }
}

static void ink_glyph(float *canvas, const hand *h, const char *glyph, badm_rng *r)
{
    float x[MAX_POINTS], y[MAX_POINTS];
    int n = 0;
    for (;; glyph++) {
        if (*glyph >= '0' && *glyph <= '9') {
            int corner = n > 0 && glyph[0] == glyph[-3] && glyph[1] == glyph[-2];
            x[n] = corner ? x[n - 1] : (float)(glyph[0] - '0') + 0.2f * badm_rng_normal(r);
            y[n] = corner ? y[n - 1] : (float)(glyph[1] - '0') + 0.2f * badm_rng_normal(r);
            n++;
            glyph++;
        } else if (*glyph == '/' || !*glyph) {
            ink_stroke(canvas, h, x, y, n);
            n = 0;
            if (!*glyph) return;
        }
    }
}

/* A patch without ink, a stray line, grain. */
static void disturb(float *canvas, badm_rng *r)
{
    float grain = between(r, 0, 0.1f);
    int i;
    if (badm_rng_below(r, 12) == 0) {
        int wide = 3 + (int)badm_rng_below(r, 6), tall = 3 + (int)badm_rng_below(r, 6);
        int left = 4 + (int)badm_rng_below(r, 15), top = 4 + (int)badm_rng_below(r, 15), x, y;
        for (y = top; y < top + tall && y < SIDE; y++)
            for (x = left; x < left + wide && x < SIDE; x++) canvas[y * SIDE + x] = 0;
    }
    if (badm_rng_below(r, 12) == 0) {
        float x = between(r, 0, SIDE), dx = between(r, -9, 9);
        float y = between(r, 0, SIDE), dy = between(r, -9, 9), ink = between(r, 0.3f, 0.9f);
        ink_line(canvas, x, y, x + dx, y + dy, 0.6f, ink);
    }
    for (i = 0; i < PIXELS; i++) canvas[i] += between(r, -grain, grain);
}

static void draw_digit(uint8_t *pixels, int digit, uint32_t number)
{
    enum { SEED = 28 };
    float canvas[PIXELS] = { 0 };
    badm_rng r;
    hand h;
    int i;
    badm_rng_init(&r, SEED, number);
    h = new_hand(&r);
    ink_glyph(canvas, &h, glyphs[digit][badm_rng_below(&r, STYLES)], &r);
    disturb(canvas, &r);
    for (i = 0; i < PIXELS; i++) pixels[i] = (uint8_t)(255 * clamp(canvas[i], 0, 1) + 0.5f);
}

/* All of them; with `first`, only so many of those to learn from, and all of the test. */
static int draw_digits(dataset *d, uint32_t first)
{
    uint8_t *labels;
    uint32_t i;
    d->drawn = (uint8_t *)malloc((size_t)DRAWN * (PIXELS + 1));
    if (!d->drawn) return complain("there is not enough memory for the images");
    labels = d->drawn + (size_t)DRAWN * PIXELS;
    for (i = 0; i < DRAWN; i++) {
        labels[i] = (uint8_t)(i % CLASSES);
        if (first && i >= first && i < DRAWN_TRAIN) continue;
        draw_digit(d->drawn + (size_t)i * PIXELS, labels[i], i);
    }
    d->train.pixels = d->drawn;
    d->train.labels = labels;
    d->train.n = DRAWN_TRAIN;
    d->test.pixels = d->drawn + (size_t)DRAWN_TRAIN * PIXELS;
    d->test.labels = labels + DRAWN_TRAIN;
    d->test.n = DRAWN_TEST;
    snprintf(d->title, sizeof d->title, "digits drawn by this program");
    return 1;
}

static int get_images(dataset *d, const options *o)
{
    memset(d, 0, sizeof *d);
    if (!(o->data ? load_mnist(d, o->data) : draw_digits(d, o->images))) return 0;
    if (o->images && o->images < d->train.n) d->train.n = o->images;
    if (o->held_out) {
        if (o->held_out >= d->train.n) return complain("--held-out leaves no training images");
        d->train.n -= o->held_out;
        d->test.pixels = d->train.pixels + (size_t)d->train.n * PIXELS;
        d->test.labels = d->train.labels + d->train.n;
        d->test.n = o->held_out;
    }
    return o->batch <= d->train.n ? 1 : complain("--batch is larger than the number of training images");
}

static void free_images(dataset *d)
{
    int i;
    for (i = 0; i < 4; i++) badm_array_free(&d->file[i]);
    free(d->drawn);
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
   Terminal
   ----------------------------------------------------------------------------------------------------------------- */

typedef struct terminal {
    int live, utf8, columns;
    int shown;                      /* columns of the line that is up, 0: none */
    double last;                    /* when it was drawn */
} terminal;

static int environment_says_utf8(void)
{
    const char *v = getenv("LC_ALL");
    if (!v || !*v) v = getenv("LC_CTYPE");
    if (!v || !*v) v = getenv("LANG");
    return v && (strstr(v, "UTF-8") || strstr(v, "utf-8") || strstr(v, "UTF8") || strstr(v, "utf8"));
}

static terminal find_terminal(void)
{
    terminal t;
#ifdef _WIN32
    t.live = _isatty(1);
#else
    t.live = isatty(1);
#endif
    t.utf8 = environment_says_utf8();
    t.columns = 80;
    t.shown = 0;
    t.last = 0;
#ifdef TIOCGWINSZ
    if (t.live) {
        struct winsize size;
        if (ioctl(1, TIOCGWINSZ, &size) == 0 && size.ws_col) t.columns = size.ws_col;
    }
#endif
    return t;
}

/* Columns that text takes: bytes that do not continue a character. */
static int text_columns(const char *text)
{
    int n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

/* Replaces the line that is up. */
static void show_line(terminal *t, const char *text)
{
    int n = text_columns(text);
    printf("\r%s%*s", text, t->shown > n ? t->shown - n : 0, "");
    fflush(stdout);
    t->shown = n;
}

static void clear_line(terminal *t)
{
    if (!t->shown) return;
    show_line(t, "");
    printf("\r");
}

static void make_bar(char *out, size_t size, double share, int columns, int utf8)
{
    size_t used = 0;
    const char *done = utf8 ? "\xe2\x96\x88" : "#", *open = utf8 ? "\xe2\x96\x91" : ".";
    int i, full = (int)(share * columns + 0.5);
    out[0] = 0;
    for (i = 0; i < columns && used + 4 < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s", i < full ? done : open);
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

/* A text file that replaces an older one only when it is complete. */
typedef struct output { FILE *f; char path[EXAMPLE_PATH], temporary[EXAMPLE_PATH + 8]; } output;

static int output_path(char path[EXAMPLE_PATH], const char *dir, const char *name)
{
    int length = snprintf(path, EXAMPLE_PATH, "%s/%s", dir, name);
    return length > 0 && length < EXAMPLE_PATH;
}

static int cannot_write(const char *path)
{
    char sentence[EXAMPLE_PATH + 64];
    snprintf(sentence, sizeof sentence, "%s cannot be written", path);
    return complain(sentence);
}

static int open_output(output *out, const char *dir, const char *name)
{
    if (!output_path(out->path, dir, name)) return complain("the output folder's name is too long");
    snprintf(out->temporary, sizeof out->temporary, "%s.part", out->path);
    out->f = fopen(out->temporary, "w");
    return out->f ? 1 : cannot_write(out->path);
}

static int close_output(output *out)
{
    int bad = ferror(out->f);
    bad = fclose(out->f) != 0 || bad;
#ifdef _WIN32
    if (!bad) remove(out->path);
#endif
    if (!bad && rename(out->temporary, out->path) == 0) return 1;
    remove(out->temporary);
    return cannot_write(out->path);
}

/* Better to hear of it before the training than after. */
static int can_write_to(const char *dir)
{
    output probe;
    char sentence[EXAMPLE_PATH + 64];
    if (!output_path(probe.path, dir, "digits.csv")) return complain("the output folder's name is too long");
    snprintf(probe.temporary, sizeof probe.temporary, "%s.part", probe.path);
    probe.f = fopen(probe.temporary, "w");
    if (probe.f) {
        fclose(probe.f);
        remove(probe.temporary);
        return 1;
    }
    snprintf(sentence, sizeof sentence, "the output folder %s is missing or cannot be written to", dir);
    return complain(sentence);
}

static int write_csv(const race *r)
{
    output out;
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
    output out;
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

static int save_model(const race *r)
{
    char path[EXAMPLE_PATH];
    if (!output_path(path, r->o->out, "digits.safetensors")) return complain("the output folder's name is too long");
    return badm_save(r->badm.model, path) == BADM_OK ? 1 : complain(badm_model_error(r->badm.model));
}

/* Every file is tried, whatever became of the others. */
static int save_all(const race *r)
{
    int curves = r->adam.done > 0, model = save_model(r);
    int csv = curves && write_csv(r), picture = curves && write_picture(r);
    if (model) printf("saved %s/digits.safetensors: BADM's network\n", r->o->out);
    if (csv) printf("saved %s/digits.csv: the curves\n", r->o->out);
    if (picture) printf("saved %s/digits.svg: the curves as a picture\n", r->o->out);
    return model && (!curves || (csv && picture));
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
    if (get_images(&data, &o)) {
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
