/* Vision: a convolutional network learns handwritten digits, pieces of clothing (Fashion-MNIST) or small photographs (CIFAR-10).
   Shows how well it does on images that it does not learn from while it learns; looks at the test images once, at the end; saves
   the network and a picture: the filters of the first layer and what they make of an image, which classes it takes for which, and
   the images that it gets wrong.

       cc -O2 -I. examples/cnn.c -o build/cnn -lpthread && build/cnn [--set mnist|fashion|cifar] [DATA]

   DATA is a folder with the four IDX files of MNIST (in it or in mnist/ below it) or of Fashion-MNIST (in it or in fashion-mnist/),
   or with CIFAR-10's binary batches (in it or in cifar-10-batches-bin/), plain or .gz. Without it the program draws its own digits.

   Sections: options, data, the network, training, picture, main. */

#define PROGRAM "cnn"
#define BADM_IMPLEMENTATION
#include "example_images.h"         /* first: it asks for POSIX; includes badm.h */
#include "example_cifar.h"

enum { MAX_CONVS = 3, FEATURES = 128 };

/* ------------------------------------------------------------------------------------------------------------------
   Options
   ----------------------------------------------------------------------------------------------------------------- */

/* What there is to learn. The network of CIFAR-10 is wider and has batch norm. */
typedef struct image_set {
    const char *name, *title;
    badm_dim channels, side;
    float scale, offset;            /* from a byte to an input */
    int convs, normed;
    badm_dim width[MAX_CONVS];
    const char *classes[CLASSES];
} image_set;

static const image_set sets[] = {
    { "mnist", "MNIST", 1, 28, 1.0f / 255, 0, 2, 0, { 16, 32, 0 }, { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" } },
    { "fashion", "Fashion-MNIST", 1, 28, 1.0f / 255, 0, 2, 0, { 16, 32, 0 },
      { "top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot" } },
    { "cifar", "CIFAR-10", 3, 32, 1.0f / 64, -2, 3, 1, { 32, 64, 128 },
      { "plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck" } }
};
enum { SETS = sizeof sets / sizeof sets[0] };

typedef struct options {
    const char *data, *out, *method_name, *set_name, *load;         /* data NULL: draw the digits */
    uint32_t epochs, batch, sub_batches, workers, images, test_images, held_out, seed;
    float step;
    const image_set *set;
    const badm_method *method;      /* NULL: BADM */
    badm_metric metric;
    int help;
} options;

/* The step size each method uses when nothing else is asked for: BADM's 1/sigma, the others' learning rate. */
static const struct { const char *name; badm_metric metric; const badm_method *(*method)(void); float step; } methods[] = {
    { "badm",       BADM_DIAGONAL,   NULL,                 0.002f },
    { "orthogonal", BADM_ORTHOGONAL, NULL,                 0.02f },
    { "adam",       BADM_PLAIN,      badm_method_adam,     0.002f },
    { "adamw",      BADM_PLAIN,      badm_method_adamw,    0.002f },
    { "nesterov",   BADM_PLAIN,      badm_method_nesterov, 0.05f },
    { "muon",       BADM_ORTHOGONAL, badm_method_muon,     0.02f }
};
enum { METHODS = sizeof methods / sizeof methods[0] };

static const char usage[] =
    "usage: cnn [options] [DATA]\n"
    "Trains a convolutional network to tell images apart.\n"
    "DATA: a folder with the files of MNIST, Fashion-MNIST (IDX) or CIFAR-10 (binary batches), plain or .gz, in it or in mnist/,\n"
    "fashion-mnist/ or cifar-10-batches-bin/ below it. Without it, digits are drawn.\n"
    "\n"
    "  --set NAME        which of them: mnist, fashion or cifar (mnist)\n"
    "  --load FILE       no training: how well does this saved network do on the test images?\n"
    "  --method NAME     badm (its diagonal metric), orthogonal (BADM's other one), adam, adamw, nesterov or muon (badm)\n"
    "  --step X          the step size, BADM's 1/sigma; decays linearly (by method)\n"
    "  --epochs N        passes over the training images (5)\n"
    "  --batch N         images in a batch (64)\n"
    "  --sub-batches N   parts a batch is split into for the workers (2)\n"
    "  --workers N       threads; any number gives the same result (one a core)\n"
    "  --seed N          initial weights and order of the images (1)\n"
    "  --images N        learn from the first N training images only, for a quick look (all)\n"
    "  --held-out N      the last N of them are not learned from but show the progress (a twelfth)\n"
    "  --test-images N   look at the first N test images only (all)\n"
    "  --out DIR         where cnn.safetensors and cnn.png go (build if there is one, else .)\n"
    "  --help            this text\n";

/* After all options are read: what was left to the method, and values that only make sense together. NULL, or what is wrong. */
static const char *complete_options(options *o)
{
    size_t i = 0;
    while (i < METHODS && strcmp(o->method_name, methods[i].name)) i++;
    if (i == METHODS) return "--method needs badm, orthogonal, adam, adamw, nesterov or muon";
    o->metric = methods[i].metric;
    o->method = methods[i].method ? methods[i].method() : NULL;
    if (!(o->step > 0)) o->step = methods[i].step;
    for (i = 0; i < SETS && strcmp(o->set_name, sets[i].name); i++) { }
    if (i == SETS) return "--set needs mnist, fashion or cifar";
    o->set = &sets[i];
    if (i > 0 && !o->data) return "--set needs DATA, a folder; without one only digits can be drawn";
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
        { "--held-out", COUNT, &o->held_out },       { "--test-images", COUNT, &o->test_images }, { "--step", POSITIVE, &o->step },
        { "--method", TEXT, &o->method_name },       { "--set", TEXT, &o->set_name },             { "--load", TEXT, &o->load },
        { "--out", TEXT, &o->out },                  { "--help", FLAG, &o->help },                { "-h", FLAG, &o->help },
        { NULL, FLAG, NULL }
    };
    const char *wrong;
    memset(o, 0, sizeof *o);
    o->epochs = 5; o->batch = 64; o->sub_batches = 2; o->seed = 1;
    o->method_name = "badm"; o->set_name = "mnist"; o->out = default_out();
    if (!read_arguments(known, argc, argv, &o->data)) return 0;
    if (o->help) return 1;
    wrong = complete_options(o);
    return wrong ? complain(wrong) : 1;
}

/* ------------------------------------------------------------------------------------------------------------------
   Data
   ----------------------------------------------------------------------------------------------------------------- */

/* The images to learn from, those held out of them, those of the test, and what owns them. */
typedef struct pictures {
    images train, held_out, test;
    dataset idx;
    example_cifar cifar_train, cifar_test;
    char title[EXAMPLE_PATH + 64];
} pictures;

static int load_cifar(pictures *p, const char *dir)
{
    char why[EXAMPLE_SENTENCE], name[32];
    int i;
    if (!is_folder(dir)) {
        snprintf(why, sizeof why, "there is no folder %s", dir);
        return complain(why);
    }
    for (i = 1; i <= 5; i++) {
        snprintf(name, sizeof name, "data_batch_%d.bin", i);
        if (!example_load_cifar(&p->cifar_train, dir, name, why)) return complain(why);
    }
    if (!example_load_cifar(&p->cifar_test, dir, "test_batch.bin", why)) return complain(why);
    p->train.pixels = p->cifar_train.pixels;
    p->train.labels = p->cifar_train.labels;
    p->train.n = p->cifar_train.n;
    p->test.pixels = p->cifar_test.pixels;
    p->test.labels = p->cifar_test.labels;
    p->test.n = p->cifar_test.n;
    return 1;
}

static int load_idx(pictures *p, const options *o)
{
    char below[EXAMPLE_PATH];
    const char *dir = o->data;
    if (!strcmp(o->set->name, "fashion") && output_path(below, o->data, "fashion-mnist") && is_folder(below)) dir = below;
    if (!(dir ? load_mnist(&p->idx, dir) : draw_digits(&p->idx, o->load ? 1 : o->images))) return 0;
    p->train = p->idx.train;
    p->test = p->idx.test;
    return 1;
}

static size_t image_size(const image_set *s) { return (size_t)s->channels * s->side * s->side; }

/* 0: a sentence has been printed. */
static int get_pictures(pictures *p, const options *o)
{
    uint32_t held_out;
    memset(p, 0, sizeof *p);
    if (!(o->set->channels == 3 ? load_cifar(p, o->data) : load_idx(p, o))) return 0;
    if (o->data) snprintf(p->title, sizeof p->title, "%s from %s", o->set->title, o->data);
    else snprintf(p->title, sizeof p->title, "digits drawn by this program");
    if (o->test_images && o->test_images < p->test.n) p->test.n = o->test_images;
    if (o->images && o->images < p->train.n) p->train.n = o->images;
    held_out = o->held_out ? o->held_out : (p->train.n + 11) / 12;
    if (held_out >= p->train.n) return complain("--held-out leaves no training images");
    p->train.n -= held_out;
    p->held_out.pixels = p->train.pixels + p->train.n * image_size(o->set);
    p->held_out.labels = p->train.labels + p->train.n;
    p->held_out.n = held_out;
    return o->load || o->batch <= p->train.n ? 1 : complain("--batch is larger than the number of training images");
}

static void free_pictures(pictures *p)
{
    free_images(&p->idx);
    example_cifar_free(&p->cifar_train);
    example_cifar_free(&p->cifar_test);
}

/* ------------------------------------------------------------------------------------------------------------------
   The network
   ----------------------------------------------------------------------------------------------------------------- */

typedef struct network {
    badm_conv_layer conv[MAX_CONVS];
    badm_norm norm[MAX_CONVS];
    badm_linear hidden, output;
} network;

/* What a callback needs: the network, how it is built, and the images it looks at. */
typedef struct task { network net; const image_set *set; images data; } task;

static network new_network(badm_model *m, const image_set *s)
{
    network net;
    badm_dim in = s->channels, side = s->side;
    badm_conv conv = badm_conv_of(1, 1);
    char name[16];
    int i;
    memset(&net, 0, sizeof net);
    conv.bias = !s->normed;                     /* the norm has one */
    for (i = 0; i < s->convs; i++, side /= 2) {
        snprintf(name, sizeof name, "conv%d", i + 1);
        net.conv[i] = badm_conv2d_new(m, name, in, s->width[i], 3, conv);
        in = s->width[i];
        snprintf(name, sizeof name, "norm%d", i + 1);
        if (s->normed) net.norm[i] = badm_batch_norm_new(m, name, in);
    }
    net.hidden = badm_linear_new(m, "fc1", in * side * side, FEATURES);
    net.output = badm_linear_new(m, "fc2", FEATURES, CLASSES);
    return net;
}

/* [count,channels,side,side] */
static badm_tensor *inputs(badm_tape *t, const task *k, const badm_batch *b)
{
    const image_set *s = k->set;
    badm_dim shape[4];
    shape[0] = (badm_dim)b->count;
    shape[1] = s->channels;
    shape[2] = shape[3] = s->side;
    return badm_reshape(t, badm_rows_u8(t, k->data.pixels, (badm_dim)image_size(s), s->scale, s->offset, b), 4, shape);
}

/* Whatever has `width` numbers an image, as rows. */
static badm_tensor *rows_of(badm_tape *t, const badm_batch *b, badm_tensor *x, badm_dim width)
{
    badm_dim shape[2];
    shape[0] = (badm_dim)b->count;
    shape[1] = width;
    return badm_reshape(t, x, 2, shape);
}

/* Layer i before its activation. */
static badm_tensor *convolved(badm_tape *t, const task *k, int i, badm_tensor *x)
{
    x = badm_conv2d_forward(t, k->net.conv[i], x);
    return k->set->normed ? badm_batch_norm_forward(t, k->net.norm[i], x) : x;
}

static badm_tensor *logits(badm_tape *t, const badm_batch *b, void *user)
{
    const task *k = (const task *)user;
    badm_dim side = k->set->side;
    badm_tensor *x = inputs(t, k, b);
    int i;
    /* Pooling first leaves relu a quarter of the numbers, and the same result. */
    for (i = 0; i < k->set->convs; i++, side /= 2) x = badm_relu(t, badm_max_pool2d(t, convolved(t, k, i, x), 2, 2, 0));
    x = rows_of(t, b, x, k->set->width[i - 1] * side * side);
    return badm_linear_forward(t, k->net.output, badm_relu(t, badm_linear_forward(t, k->net.hidden, x)));
}

static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    const task *k = (const task *)user;
    return badm_cross_entropy(t, logits(t, b, user), badm_labels_u8(t, k->data.labels, b));
}

/* What the first layer makes of an image, for the picture. */
static badm_tensor *first_maps(badm_tape *t, const badm_batch *b, void *user)
{
    const task *k = (const task *)user;
    const image_set *s = k->set;
    return rows_of(t, b, badm_relu(t, convolved(t, k, 0, inputs(t, k, b))), s->width[0] * s->side * s->side);
}

/* ------------------------------------------------------------------------------------------------------------------
   Training
   ----------------------------------------------------------------------------------------------------------------- */

typedef struct run {
    const options *o;
    const pictures *data;
    terminal term;
    badm_model *model;
    badm_trainer *trainer;
    task train, held_out, test;
    uint32_t done;                  /* epochs completed and measured */
    double seconds, started;        /* of training, before this epoch; when this epoch began */
    float accuracy;                 /* of the images held out, after the last epoch */
    float *answers;                 /* of the test images: CLASSES logits each */
} run;

static int new_run(run *r, const options *o, const pictures *data)
{
    badm_trainer_desc d;
    memset(r, 0, sizeof *r);
    r->o = o;
    r->data = data;
    r->term = find_terminal();
    r->answers = (float *)malloc((size_t)data->test.n * CLASSES * sizeof *r->answers);
    r->model = badm_model_new(o->seed);
    if (!r->model || !r->answers) return complain("there is not enough memory");
    r->train.net = new_network(r->model, o->set);
    r->train.set = o->set;
    r->held_out = r->test = r->train;
    r->train.data = data->train;
    r->held_out.data = data->held_out;
    r->test.data = data->test;
    if (o->load && badm_load(r->model, o->load) != BADM_OK) return complain(badm_model_error(r->model));

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
    d.sigma = 1 / o->step;
    d.rho = 9 / o->step;            /* momentum 0.9, as the others' */
    d.lr = o->step;
    d.weight_decay = o->method == badm_method_adamw() || o->method == badm_method_muon() ? 0.01f : 0;
    d.schedule.kind = BADM_LINEAR_DECAY;
    d.schedule.total = o->load ? 1 : (data->train.n + o->batch - 1) / o->batch * o->epochs;
    d.cancel = &cancelled;
    return badm_trainer_new(&r->trainer, &d) == BADM_OK ? 1 : complain(badm_model_error(r->model));
}

static void free_run(run *r)
{
    if (r->trainer) badm_trainer_free(r->trainer);
    if (r->model) badm_model_free(r->model);
    free(r->answers);
}

/* Called after every step: redraws the line, ten times a second at most. */
static int on_progress(const badm_progress *p, void *user)
{
    run *r = (run *)user;
    char line[512], head[32], bar[128], tail[128];
    double t = now();
    int columns;
    if (!r->term.live || t - r->term.last < 0.1) return cancelled;
    r->term.last = t;
    snprintf(head, sizeof head, "%2lu/%lu ", (unsigned long)p->epoch + 1, (unsigned long)r->o->epochs);
    snprintf(tail, sizeof tail, " loss %.4f  accuracy %5.2f %%  %.0f images/s", (double)p->loss, 100 * (double)p->accuracy,
             p->sample / (t - r->started + 1e-9));
    columns = r->term.columns - 1 - (int)strlen(head) - (int)strlen(tail);
    make_bar(bar, sizeof bar, (double)p->sample / p->samples, columns > 30 ? 30 : columns, r->term.utf8);
    snprintf(line, sizeof line, "%s%s%s", head, bar, tail);
    if (columns < 0) line[r->term.columns - 1] = 0;        /* too narrow even without a bar: no line may wrap */
    show_line(&r->term, line);
    return cancelled;
}

/* Keeps the last step's means of the epoch for the table. */
typedef struct watch { run *r; float loss, accuracy; } watch;

static int on_step(const badm_progress *p, void *user)
{
    watch *w = (watch *)user;
    w->loss = p->loss;
    w->accuracy = p->accuracy;
    return on_progress(p, w->r);
}

/* One epoch, and how well the network then does on the images held out. 0: stopped, by the user or by an error. */
static int run_epoch(run *r)
{
    watch w;
    badm_score score;
    badm_result result;
    double seconds;
    w.r = r;
    w.loss = w.accuracy = 0;
    r->started = now();
    result = badm_epoch(r->trainer, r->train.data.n, r->o->batch, on_step, &w);
    seconds = now() - r->started;
    if (result == BADM_OK) result = badm_evaluate(r->trainer, NULL, &r->held_out, r->held_out.data.n, &score);
    clear_line(&r->term);
    if (result != BADM_OK) return cancelled ? 0 : complain(badm_trainer_error(r->trainer));
    r->seconds += seconds;
    r->accuracy = score.accuracy;
    r->done++;
    printf("%5lu   %8.4f   %7.2f %%   %7.2f %%   %8.1f s   %6.0f images/s\n", (unsigned long)r->done, (double)w.loss,
           100 * (double)w.accuracy, 100 * (double)score.accuracy, r->seconds, r->train.data.n / (seconds + 1e-9));
    fflush(stdout);
    return 1;
}

/* 0: stopped before the end. */
static int train(run *r)
{
    printf("           while learning           held out\n"
           "epoch       loss    accuracy    accuracy      seconds\n");
    while (r->done < r->o->epochs)
        if (!run_epoch(r)) return 0;
    return 1;
}

static uint32_t answer(const run *r, uint32_t image)
{
    const float *a = r->answers + (size_t)image * CLASSES;
    uint32_t k, best = 0;
    for (k = 1; k < CLASSES; k++)
        if (a[k] > a[best]) best = k;
    return best;
}

/* The test images, all at once: how many are right. 0: an error, in a sentence, or Ctrl-C. */
static int test(run *r, uint32_t *right)
{
    uint32_t i;
    if (badm_predict(r->trainer, logits, &r->test, r->test.data.n, CLASSES, r->answers) != BADM_OK)
        return cancelled ? 0 : complain(badm_trainer_error(r->trainer));
    for (*right = i = 0; i < r->test.data.n; i++) *right += answer(r, i) == r->test.data.labels[i];
    return 1;
}

/* ------------------------------------------------------------------------------------------------------------------
   Picture: a canvas of red, green and blue, with letters of 3 x 5 points
   ----------------------------------------------------------------------------------------------------------------- */

typedef struct colour { uint8_t red, green, blue; } colour;
static const colour black = { 30, 30, 30 }, grey = { 130, 130, 130 }, red = { 190, 30, 45 };

static colour mix(colour a, colour b, float share)
{
    a.red = (uint8_t)((float)a.red + share * ((float)b.red - (float)a.red) + 0.5f);
    a.green = (uint8_t)((float)a.green + share * ((float)b.green - (float)a.green) + 0.5f);
    a.blue = (uint8_t)((float)a.blue + share * ((float)b.blue - (float)a.blue) + 0.5f);
    return a;
}

static void fill(grid *p, uint32_t x, uint32_t y, uint32_t width, uint32_t height, colour c)
{
    uint32_t i, j;
    for (j = y; j < y + height && j < p->height; j++)
        for (i = x; i < x + width && i < p->width; i++) {
            uint8_t *to = p->pixels + 3 * ((size_t)j * p->width + i);
            to[0] = c.red;
            to[1] = c.green;
            to[2] = c.blue;
        }
}

/* Five rows of three points for each character, a digit of 0..7 a row. */
static const char *letter(char c)
{
    static const char *const digits[10] = {
        "75557", "26227", "71747", "71717", "55711", "74717", "74757", "71222", "75757", "75717"
    };
    static const char *const letters[26] = {
        "25755", "65656", "34443", "65556", "74647", "74644", "34553", "55755", "72227", "11152", "55655", "44447", "57755",
        "65555", "25552", "65644", "25573", "65655", "34216", "72222", "55557", "55522", "55775", "55255", "55222", "71247"
    };
    static const char *const marks = ".,:-%()", *const shapes[] = { "00002", "00024", "02020", "00700", "51245", "12221", "42224" };
    const char *mark = c ? strchr(marks, c) : NULL;
    if (c >= '0' && c <= '9') return digits[c - '0'];
    if (c >= 'a' && c <= 'z') return letters[c - 'a'];
    if (c >= 'A' && c <= 'Z') return letters[c - 'A'];
    return mark ? shapes[mark - marks] : "00000";
}

enum { POINT = 2, LETTER = 4 * POINT, LINE = 7 * POINT };      /* pixels of a letter's point, a letter, a line of text */

static uint32_t text_width(const char *text) { return (uint32_t)strlen(text) * LETTER; }

static void put_text(grid *p, uint32_t x, uint32_t y, const char *text, colour c)
{
    uint32_t i, j;
    for (; *text; text++, x += LETTER) {
        const char *shape = letter(*text);
        for (j = 0; j < 5; j++)
            for (i = 0; i < 3; i++)
                if ((shape[j] - '0') >> (2 - i) & 1) fill(p, x + i * POINT, y + j * POINT, POINT, POINT, c);
    }
}

static void put_picture(grid *p, uint32_t x, uint32_t y, uint32_t zoom, const image_set *s, const uint8_t *pixels)
{
    uint32_t i, j, plane = s->channels == 3 ? s->side * s->side : 0;       /* one channel stands for all */
    for (j = 0; j < s->side; j++)
        for (i = 0; i < s->side; i++) {
            const uint8_t *from = pixels + j * s->side + i;
            colour c;
            c.red = from[0];
            c.green = from[plane];
            c.blue = from[2 * plane];
            fill(p, x + i * zoom, y + j * zoom, zoom, zoom, c);
        }
}

static float largest(const float *x, size_t n)
{
    float most = 1e-12f;
    size_t i;
    for (i = 0; i < n; i++) {
        if (x[i] > most) most = x[i];
        if (-x[i] > most) most = -x[i];
    }
    return most;
}

/* A filter: of colours as such, around grey; of one channel from blue (negative) over white to orange. */
static void put_filter(grid *p, uint32_t x, uint32_t y, uint32_t zoom, const float *w, uint32_t channels)
{
    static const colour white = { 248, 248, 248 }, low = { 33, 82, 160 }, high = { 214, 96, 10 };
    float most = largest(w, (size_t)9 * channels);
    uint32_t i;
    for (i = 0; i < 9; i++) {
        float v = w[i] / most;
        colour c = v < 0 ? mix(white, low, -v) : mix(white, high, v);
        if (channels == 3) {
            c.red = (uint8_t)(127.5f + 127 * v);
            c.green = (uint8_t)(127.5f + 127 * w[9 + i] / most);
            c.blue = (uint8_t)(127.5f + 127 * w[18 + i] / most);
        }
        fill(p, x + i % 3 * zoom, y + i / 3 * zoom, zoom, zoom, c);
    }
}

/* The largest positive value is black. */
static void put_map(grid *p, uint32_t x, uint32_t y, uint32_t zoom, const float *map, uint32_t side)
{
    static const colour white = { 248, 248, 248 };
    float most = largest(map, (size_t)side * side);
    uint32_t i;
    for (i = 0; i < side * side; i++)
        fill(p, x + i % side * zoom, y + i / side * zoom, zoom, zoom, mix(white, black, map[i] / most));
}

enum {
    EDGE = 16, MATRIX_TOP = 80, CELL = 44, MATRIX = CELL * CLASSES, NAMES = 9 * LETTER, FILTERS_X = EDGE + NAMES + MATRIX + 60,
    MISTAKE = 76, MISTAKES_X = 14, MISTAKES_Y = 5, WIDTH = 2 * EDGE + MISTAKES_X * MISTAKE, MISTAKES_TOP = MATRIX_TOP + MATRIX + 60
};

/* Rows: what an image is; columns: what the network takes it for. */
static void put_matrix(grid *p, const run *r)
{
    static const colour white = { 255, 255, 255 }, right = { 66, 133, 110 };
    uint32_t count[CLASSES][CLASSES], of[CLASSES], i, j;
    char text[32];
    memset(count, 0, sizeof count);
    memset(of, 0, sizeof of);
    for (i = 0; i < r->test.data.n; i++) {
        count[r->test.data.labels[i]][answer(r, i)]++;
        of[r->test.data.labels[i]]++;
    }
    put_text(p, EDGE + NAMES, MATRIX_TOP - 2 * LINE - 4, "What it is (rows), what it is taken for (columns)", black);
    for (i = 0; i < CLASSES; i++) {
        const char *name = r->o->set->classes[i];
        uint32_t y = MATRIX_TOP + i * CELL, x = EDGE + NAMES + i * CELL;
        put_text(p, EDGE + NAMES - LETTER - text_width(name), y + (CELL - 10) / 2, name, black);
        snprintf(text, sizeof text, "%.5s", name);
        put_text(p, x + (CELL - text_width(text)) / 2, MATRIX_TOP - LINE - 2, text, black);
        for (j = 0; j < CLASSES; j++) {
            uint32_t n = count[i][j];
            float share = of[i] ? (float)n / (float)of[i] : 0;
            /* mistakes are few: a tenth of a class is as red as it gets, and the root shows a single one */
            colour c = i == j ? mix(white, right, share) : mix(white, red, badm_sqrtf(share < 0.1f ? 10 * share : 1));
            x = EDGE + NAMES + j * CELL;
            fill(p, x, y, CELL - 1, CELL - 1, c);
            snprintf(text, sizeof text, "%lu", (unsigned long)n);
            if (n) put_text(p, x + (CELL - text_width(text)) / 2, y + (CELL - 10) / 2, text, c.green < 150 ? white : black);
        }
    }
}

static void put_filters(grid *p, const run *r, const float *maps)
{
    const image_set *s = r->o->set;
    const float *w = badm_param_values(r->test.net.conv[0].weight);
    uint32_t i, tall = MATRIX / (s->width[0] / 4), zoom = (tall - 8) / s->side, size = 10;
    put_text(p, FILTERS_X, MATRIX_TOP - 2 * LINE - 4, "Filters of the first layer,", black);
    put_text(p, FILTERS_X, MATRIX_TOP - LINE - 4, "and what they see in this image", black);
    put_picture(p, FILTERS_X + 33 * LETTER, MATRIX_TOP - 2 * s->side - 8, 2, s, r->test.data.pixels);
    for (i = 0; i < s->width[0]; i++) {
        uint32_t x = FILTERS_X + i % 4 * 122, y = MATRIX_TOP + i / 4 * tall;
        put_filter(p, x, y + (s->side * zoom - 3 * size) / 2, size, w + (size_t)i * 9 * s->channels, s->channels);
        put_map(p, x + 3 * size + 2, y, zoom, maps + (size_t)i * s->side * s->side, s->side);
    }
}

/* By how much the network prefers its answer to the truth. */
static float surety(const run *r, uint32_t image)
{
    const float *a = r->answers + (size_t)image * CLASSES;
    return a[answer(r, image)] - a[r->test.data.labels[image]];
}

/* Numbers of the mistakes it is surest of, the surest first; returns how many. */
static uint32_t find_mistakes(const run *r, uint32_t *found, uint32_t room)
{
    uint32_t i, j, n = 0;
    for (i = 0; i < r->test.data.n; i++) {
        float s;
        if (answer(r, i) == r->test.data.labels[i]) continue;
        s = surety(r, i);
        for (j = n; j > 0 && s > surety(r, found[j - 1]); j--)
            if (j < room) found[j] = found[j - 1];
        if (j < room) found[j] = i;
        if (j < room && n < room) n++;
    }
    return n;
}

static void put_mistakes(grid *p, const run *r, const uint32_t *found, uint32_t n)
{
    const image_set *s = r->o->set;
    uint32_t i;
    if (n) {
        put_text(p, EDGE, MISTAKES_TOP - LINE - 8, "Mistakes, the surest first: taken for", black);
        put_text(p, EDGE + 38 * LETTER, MISTAKES_TOP - LINE - 8, "this", red);
        put_text(p, EDGE + 43 * LETTER, MISTAKES_TOP - LINE - 8, "but it is this", grey);
    }
    for (i = 0; i < n; i++) {
        uint32_t x = EDGE + i % MISTAKES_X * MISTAKE, y = MISTAKES_TOP + i / MISTAKES_X * (MISTAKE + 2 * LINE), k = found[i];
        put_picture(p, x, y, 2, s, r->test.data.pixels + k * image_size(s));
        put_text(p, x, y + 2 * s->side + 4, s->classes[answer(r, k)], red);
        put_text(p, x, y + 2 * s->side + 4 + LINE, s->classes[r->test.data.labels[k]], grey);
    }
}

static int draw(grid *p, run *r, uint32_t right, const uint32_t *mistakes, uint32_t n)
{
    const image_set *s = r->o->set;
    badm_dim width = s->width[0] * s->side * s->side;
    float *maps = (float *)malloc(width * sizeof *maps);
    char title[256];
    if (!maps) return complain("there is not enough memory for the picture");
    if (badm_predict(r->trainer, first_maps, &r->test, 1, width, maps) != BADM_OK) {
        free(maps);
        return complain(badm_trainer_error(r->trainer));
    }
    snprintf(title, sizeof title, "%s: %.2f %% of %lu test images are right", r->o->data ? s->title : "Drawn digits",
             100.0 * right / r->test.data.n, (unsigned long)r->test.data.n);
    memset(p->pixels, 255, (size_t)3 * p->width * p->height);
    put_text(p, EDGE, EDGE, title, black);
    put_matrix(p, r);
    put_filters(p, r, maps);
    put_mistakes(p, r, mistakes, n);
    free(maps);
    return 1;
}

static int write_picture(run *r, uint32_t right)
{
    output_file out;
    grid p;
    uint32_t mistakes[MISTAKES_X * MISTAKES_Y], n = find_mistakes(r, mistakes, MISTAKES_X * MISTAKES_Y);
    int ok;
    p.width = WIDTH;
    p.height = n ? MISTAKES_TOP + (n + MISTAKES_X - 1) / MISTAKES_X * (MISTAKE + 2 * LINE) : MATRIX_TOP + MATRIX + EDGE;
    p.pixels = (uint8_t *)malloc((size_t)3 * p.width * p.height);
    if (!p.pixels) return complain("there is not enough memory for the picture");
    ok = draw(&p, r, right, mistakes, n) && open_output(&out, r->o->out, "cnn.png");
    if (ok) write_png_of(out.f, &p, 3);
    free_grid(&p);
    return ok && close_output(&out);
}

/* ------------------------------------------------------------------------------------------------------------------
   main
   ----------------------------------------------------------------------------------------------------------------- */

static void print_setup(const run *r)
{
    const options *o = r->o;
    const image_set *s = o->set;
    const pictures *d = r->data;
    int i;
    printf("badm " BADM_VERSION_STRING ": convolutions ");
    for (i = 0; i < s->convs; i++) printf("%s%lu", i ? "-" : "", (unsigned long)s->width[i]);
    printf("%s, linear %d-%d, %lu parameters\n", s->normed ? " with batch norm" : "", (int)FEATURES, (int)CLASSES,
           (unsigned long)badm_model_size(r->model));
    if (o->load) {
        printf("images  %s: %lu to test\nnetwork %s\n\n", d->title, (unsigned long)d->test.n, o->load);
        return;
    }
    printf("images  %s: %lu to train, %lu held out, %lu to test\n", d->title, (unsigned long)d->train.n,
           (unsigned long)d->held_out.n, (unsigned long)d->test.n);
    if (o->method) printf("method  %s, step size %g\n", o->method_name, (double)o->step);
    else
        printf("method  BADM, %s metric, sigma %g, rho %g (step %g, momentum 0.9)\n",
               o->metric == BADM_DIAGONAL ? "diagonal" : "orthogonal", 1 / (double)o->step, 9 / (double)o->step, (double)o->step);
    printf("        epochs %lu, batch %lu, sub-batches %lu, linear decay, seed %lu, workers %lu\n\n", (unsigned long)o->epochs,
           (unsigned long)o->batch, (unsigned long)o->sub_batches, (unsigned long)o->seed,
           (unsigned long)(o->workers ? o->workers : badm_cpu_count()));
    fflush(stdout);
}

/* The exit code: 0 done, 1 an error, 130 ended by Ctrl-C (as shells count it). What was interrupted keeps its network, but has not
   seen the test images. */
static int run_and_report(run *r)
{
    const options *o = r->o;
    uint32_t right = 0;
    int finished, saved = 1, drawn;
    print_setup(r);
    signal(SIGINT, on_interrupt);
    finished = o->load || train(r);
    if (!finished)
        printf("\nStopped by %s after %lu of %lu epochs. %s\n", cancelled ? "Ctrl-C" : "the error above", (unsigned long)r->done,
               (unsigned long)o->epochs, r->done ? "What it has learned is kept:" : "Nothing is saved.");
    if (!finished && !r->done) return cancelled ? 130 : 1;
    if (!o->load) {
        saved = save_model(r->model, o->out, "cnn.safetensors");
        if (saved) printf("%ssaved %s/cnn.safetensors: the network, for --load\n", finished ? "\n" : "", o->out);
    }
    if (!finished || !test(r, &right)) return cancelled ? 130 : 1;
    drawn = write_picture(r, right);
    if (drawn) printf("saved %s/cnn.png: filters, confusions and mistakes\n", o->out);
    printf("test images: %lu of %lu are right, %.2f %%\n\n", (unsigned long)right, (unsigned long)r->test.data.n,
           100.0 * right / r->test.data.n);
    printf("RESULT cnn_test_accuracy %.4f\n", (double)right / r->test.data.n);
    if (!o->load) printf("RESULT cnn_held_out_accuracy %.4f\nRESULT cnn_seconds %.2f\n", (double)r->accuracy, r->seconds);
    return saved && drawn ? 0 : cancelled ? 130 : 1;
}

int main(int argc, char **argv)
{
    options o;
    pictures data;
    run r;
    int code = 1;
    if (!read_options(&o, argc, argv)) return 1;
    if (o.help) {
        printf("%s", usage);
        return 0;
    }
    if (!can_write_to(o.out)) return 1;
    if (get_pictures(&data, &o)) {
        if (new_run(&r, &o, &data)) code = run_and_report(&r);
        free_run(&r);
    }
    free_pictures(&data);
    return code;
}
