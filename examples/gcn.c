/* Which field is a paper of? A two-layer graph convolution (Kipf and Welling, arXiv 1609.02907) learns it from few papers with a
   label and from who cites whom. Trains with BADM and with Adam, on the same graph from the same initial weights, over several
   seeds; shows both, saves the best network and a picture of the graph.

       cc -O2 -I. examples/gcn.c -o build/gcn -lpthread -lm && build/gcn [DATA]

   DATA is a folder with cora.content and cora.cites, plain or .gz, in it, in cora/ or in graphs/cora/ below it (the LINQS group's
   form of Cora; --name for another graph of this form). Without it the program makes up a graph of communities.

   The graph is one batch: S = 1, and the rows of sparse products are spread over the workers, with the same bits for any number
   of them. */
#define PROGRAM "gcn"
#define BADM_IMPLEMENTATION
#include "example_program.h"        /* first: it asks for POSIX; includes badm.h */

#include <math.h>

enum { MAX_CLASSES = 64, MAX_SEEDS = 100 };

/* ------------------------------------------------------------------------------------------------------------------
   Options
   ----------------------------------------------------------------------------------------------------------------- */

typedef struct options {
    const char *data, *name, *out;          /* data NULL: make up a graph */
    uint32_t epochs, hidden, seed, seeds, workers;
    float dropout, decay, lr, step, momentum;
    int tune, help;
} options;

static const char usage[] =
    "usage: gcn [options] [DATA]\n"
    "Learns the classes of a graph's nodes by graph convolution, with BADM and with Adam.\n"
    "DATA: a folder with cora.content and cora.cites, plain or .gz, in it, in cora/ or in graphs/cora/ below it.\n"
    "Without it, a graph is made up.\n"
    "\n"
    "  --name NAME     another graph: NAME.content and NAME.cites (cora)\n"
    "  --epochs N      steps over the whole graph (200)\n"
    "  --seeds N       runs from different initial weights (10)\n"
    "  --seed N        the first of them (1)\n"
    "  --hidden N      hidden features (16)\n"
    "  --dropout X     share of features and hidden features left out at random (0.5)\n"
    "  --decay X       L2 penalty of the first layer's weights (0.0005)\n"
    "  --lr X          Adam's step size (0.01)\n"
    "  --step X        BADM's long-run step size, 1/sigma (0.01)\n"
    "  --momentum X    BADM's momentum, rho/(rho+sigma) (0.9)\n"
    "  --tune          find both step sizes by the validation nodes, on grids of equal size\n"
    "  --workers N     threads; any number gives the same result (one a core)\n"
    "  --out DIR       where gcn.safetensors and gcn.svg go (build if there is one, else .)\n"
    "  --help          this text\n";

/* 0: a sentence has been printed. */
static int read_options(options *o, int argc, char **argv)
{
    const option known[] = {
        { "--epochs", COUNT, &o->epochs },      { "--seeds", COUNT, &o->seeds },        { "--seed", COUNT, &o->seed },
        { "--hidden", COUNT, &o->hidden },      { "--workers", COUNT, &o->workers },    { "--dropout", NUMBER, &o->dropout },
        { "--decay", NUMBER, &o->decay },       { "--lr", POSITIVE, &o->lr },           { "--step", POSITIVE, &o->step },
        { "--momentum", NUMBER, &o->momentum }, { "--name", TEXT, &o->name },           { "--out", TEXT, &o->out },
        { "--tune", FLAG, &o->tune },           { "--help", FLAG, &o->help },           { "-h", FLAG, &o->help },
        { NULL, FLAG, NULL }
    };
    memset(o, 0, sizeof *o);
    o->name = "cora";
    o->epochs = 200; o->seeds = 10; o->seed = 1; o->hidden = 16;
    o->dropout = 0.5f; o->decay = 5e-4f; o->lr = 0.01f; o->step = 0.01f; o->momentum = 0.9f;
    o->workers = badm_cpu_count();
    o->out = default_out();
    if (!read_arguments(known, argc, argv, &o->data)) return 0;
    if (!o->epochs || !o->hidden || !o->workers) return complain("--epochs, --hidden and --workers need at least 1");
    if (!o->seeds || o->seeds > MAX_SEEDS) return complain("--seeds needs 1 to 100");
    if (!(o->momentum < 1) || !(o->dropout < 1)) return complain("--momentum and --dropout need numbers below 1");
    if (!*o->out) return complain("--out needs a folder");
    return 1;
}

/* ------------------------------------------------------------------------------------------------------------------
   The graph: from files, or made up
   ----------------------------------------------------------------------------------------------------------------- */

/* Entries of the feature matrix and edges, as lists that grow. */
typedef struct list { uint32_t *a, *b; float *value; size_t n, room; } list;

typedef struct graph {
    uint32_t nodes, features, classes;
    int32_t *labels, *numbers;              /* numbers[i] = i */
    char (*class_name)[32];
    list entries, edges;
    badm_csr *x, *adjacency;                /* rows of x add up to 1 */
} graph;

static int list_add(list *l, uint32_t a, uint32_t b, float value)
{
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 4096;
        uint32_t *more_a = (uint32_t *)realloc(l->a, room * sizeof *more_a), *more_b;
        float *more_value;
        if (more_a) l->a = more_a;
        more_b = (uint32_t *)realloc(l->b, room * sizeof *more_b);
        if (more_b) l->b = more_b;
        more_value = (float *)realloc(l->value, room * sizeof *more_value);
        if (more_value) l->value = more_value;
        if (!more_a || !more_b || !more_value) return complain("not enough memory for the graph");
        l->room = room;
    }
    l->a[l->n] = a;
    l->b[l->n] = b;
    l->value[l->n++] = value;
    return 1;
}

static void list_free(list *l) { free(l->a); free(l->b); free(l->value); memset(l, 0, sizeof *l); }

static void free_graph(graph *g)
{
    badm_csr_free(g->x);
    badm_csr_free(g->adjacency);
    list_free(&g->entries);
    list_free(&g->edges);
    free(g->labels); free(g->numbers); free(g->class_name);
    memset(g, 0, sizeof *g);
}

static int new_nodes(graph *g, uint32_t nodes)
{
    uint32_t i;
    g->nodes = nodes;
    g->labels = (int32_t *)malloc(nodes * sizeof *g->labels);
    g->numbers = (int32_t *)malloc(nodes * sizeof *g->numbers);
    if (!g->class_name) g->class_name = (char (*)[32])calloc(MAX_CLASSES, sizeof *g->class_name);
    if (!g->labels || !g->numbers || !g->class_name) return complain("not enough memory for the graph");
    for (i = 0; i < nodes; i++) g->numbers[i] = (int32_t)i;
    return 1;
}

/* A whole text file, closed by 0. */
typedef struct text { char *bytes, path[EXAMPLE_PATH]; size_t n; } text;

static int wrong_line(const text *t, size_t line, const char *what, const char *word)
{
    fflush(stdout);
    fprintf(stderr, "gcn: %s, line %lu: %s", t->path, (unsigned long)line, what);
    if (word) fprintf(stderr, " \"%.60s\"", word);
    fputc('\n', stderr);
    return 0;
}

static int read_text(text *t, const options *o, const char *ending)
{
    char plain[EXAMPLE_PATH], folder[EXAMPLE_PATH], folders[EXAMPLE_PATH], why[EXAMPLE_SENTENCE];
    const char *names[4];
    example_file f;
    badm_error none;
    size_t room = 0, got;
    memset(t, 0, sizeof *t);
    memset(&none, 0, sizeof none);
    if (strlen(o->name) > 200) return complain("--name: at most 200 letters are expected");
    snprintf(plain, sizeof plain, "%s.%s", o->name, ending);
    snprintf(folder, sizeof folder, "%s/%s.%s", o->name, o->name, ending);
    snprintf(folders, sizeof folders, "graphs/%s/%s.%s", o->name, o->name, ending);
    names[0] = plain; names[1] = folder; names[2] = folders; names[3] = NULL;
    if (!example_open(&f, o->data, names, why)) return complain(why);
    snprintf(t->path, sizeof t->path, "%s", f.path);
    do {
        if (room - t->n < 2) {
            char *more;
            room = room ? 2 * room : 65536;
            more = (char *)realloc(t->bytes, room);
            if (!more) {
                free(t->bytes);
                t->bytes = NULL;
                example_close(&f, BADM_ERR_MEMORY, &none, why);
                return complain("not enough memory");
            }
            t->bytes = more;
        }
        got = f.reader.read(t->bytes + t->n, room - t->n - 1, f.reader.user);
        t->n += got;
    } while (got > 0);
    t->bytes[t->n] = 0;
    if (!example_close(&f, BADM_OK, &none, why)) { free(t->bytes); t->bytes = NULL; return complain(why); }
    if (memchr(t->bytes, 0, t->n)) {
        fprintf(stderr, "gcn: %s is not a text file\n", t->path);
        free(t->bytes);
        t->bytes = NULL;
        return 0;
    }
    return 1;
}

static int is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

/* The next word of the line at *at, closed by 0 in place; NULL at the line's end, where *at then stands. */
static char *next_word(char **at)
{
    char *word;
    while (is_blank(**at)) ++*at;
    if (!**at || **at == '\n') return NULL;
    word = *at;
    while (**at && **at != '\n' && !is_blank(**at)) ++*at;
    if (is_blank(**at)) *(*at)++ = 0;
    return word;
}

/* A word that ends where the line does is closed when the line has been read. */
static void end_line(char **at) { if (**at == '\n') *(*at)++ = 0; }

typedef struct named { const char *name; uint32_t node; } named;

static int by_name(const void *a, const void *b) { return strcmp(((const named *)a)->name, ((const named *)b)->name); }

static const named *find_name(const named *names, uint32_t n, const char *name)
{
    named key;
    key.name = name;
    key.node = 0;
    return (const named *)bsearch(&key, names, n, sizeof *names, by_name);
}

/* Classes are numbered as they come. */
static int class_of(graph *g, const char *name)
{
    uint32_t i;
    char cut[sizeof *g->class_name];
    snprintf(cut, sizeof cut, "%s", name);
    for (i = 0; i < g->classes; i++) if (!strcmp(g->class_name[i], cut)) return (int)i;
    if (g->classes == MAX_CLASSES) return -1;
    memcpy(g->class_name[g->classes], cut, sizeof cut);
    return (int)g->classes++;
}

/* A node a line: its name, its features (numbers), its class. */
static int read_content(graph *g, text *t, named *names)
{
    char *at = t->bytes, *word, *before;
    size_t line = 1;
    uint32_t node = 0, place;
    for (; *at; line++) {
        char *name = next_word(&at), *end;
        size_t first = g->entries.n;
        double sum = 0;
        int label;
        if (!name) { end_line(&at); continue; }
        for (before = NULL, place = 0; (word = next_word(&at)) != NULL; before = word) {
            double v;
            if (!before) continue;
            v = strtod(before, &end);
            if (*end || !(fabs(v) <= 1e30)) return wrong_line(t, line, "a number is expected, not", before);
            if (v != 0 && !list_add(&g->entries, node, place, (float)v)) return 0;
            sum += fabs(v);
            place++;
        }
        end_line(&at);
        if (!before || place == 0) return wrong_line(t, line, "a name, features and a class are expected", NULL);
        if (node == 0) g->features = place;
        if (place != g->features) {
            char what[100];
            snprintf(what, sizeof what, "%lu features, the first line has %lu", (unsigned long)place, (unsigned long)g->features);
            return wrong_line(t, line, what, NULL);
        }
        for (; first < g->entries.n; first++) g->entries.value[first] = (float)((double)g->entries.value[first] / sum);
        label = class_of(g, before);
        if (label < 0) return wrong_line(t, line, "more than 64 classes, the last one", before);
        g->labels[node] = label;
        names[node].name = name;
        names[node].node = node;
        node++;
    }
    g->nodes = node;
    return 1;
}

static int read_cites(graph *g, text *t, const named *names)
{
    char *at = t->bytes;
    size_t line = 1;
    for (; *at; line++) {
        char *from = next_word(&at), *to = next_word(&at), *more = next_word(&at);
        const named *a, *b;
        end_line(&at);
        if (!from) continue;
        if (!to || more) return wrong_line(t, line, "two names are expected", NULL);
        a = find_name(names, g->nodes, from);
        b = find_name(names, g->nodes, to);
        if (!a || !b) return wrong_line(t, line, "no node has the name", a ? to : from);
        if (!list_add(&g->edges, a->node, b->node, 1)) return 0;
    }
    if (g->edges.n == 0) { fprintf(stderr, "gcn: %s names no edge\n", t->path); return 0; }
    return 1;
}

static int read_files(graph *g, const options *o)
{
    text content, cites;
    named *names = NULL;
    uint32_t lines = 1, i;
    size_t at;
    int ok = 0;
    if (!read_text(&content, o, "content")) return 0;
    if (!read_text(&cites, o, "cites")) { free(content.bytes); return 0; }
    for (at = 0; at < content.n; at++) if (content.bytes[at] == '\n') lines++;
    names = (named *)malloc(lines * sizeof *names);
    if (!names) complain("not enough memory for the graph");
    else if (new_nodes(g, lines) && read_content(g, &content, names)) {
        qsort(names, g->nodes, sizeof *names, by_name);
        for (ok = 1, i = 1; i < g->nodes && ok; i++)
            if (!strcmp(names[i - 1].name, names[i].name)) {
                fprintf(stderr, "gcn: %s: two nodes have the name \"%.60s\"\n", content.path, names[i].name);
                ok = 0;
            }
        if (ok && g->classes < 2) {
            fprintf(stderr, "gcn: %s: %lu nodes of %lu classes; at least two classes are expected\n", content.path,
                    (unsigned long)g->nodes, (unsigned long)g->classes);
            ok = 0;
        }
        ok = ok && read_cites(g, &cites, names);
    }
    free(names);
    free(content.bytes);
    free(cites.bytes);
    return ok;
}

/* 1500 nodes of 6 communities with about 4 edges each, one in five to anywhere, and 18 of 300 words, of which each community
   prefers 50. */
static int make_up(graph *g)
{
    enum { NODES = 1500, COMMUNITIES = 6, WORDS = 300, EACH = 18 };
    badm_rng r;
    uint32_t i, j, k;
    badm_rng_init(&r, 1609, 2907);
    if (!new_nodes(g, NODES)) return 0;
    g->features = WORDS;
    g->classes = COMMUNITIES;
    for (i = 0; i < COMMUNITIES; i++) snprintf(g->class_name[i], sizeof g->class_name[i], "community %lu", (unsigned long)i + 1);
    for (i = 0; i < NODES; i++) g->labels[i] = (int32_t)badm_rng_below(&r, COMMUNITIES);
    for (i = 0; i < NODES; i++) {
        for (j = 0; j < EACH; j++) {        /* a word twice counts twice */
            uint32_t own = (uint32_t)g->labels[i] * (WORDS / COMMUNITIES) + badm_rng_below(&r, WORDS / COMMUNITIES);
            k = badm_rng_below(&r, WORDS);
            if (!list_add(&g->entries, i, badm_rng_below(&r, 5) == 0 ? own : k, 1.0f / EACH)) return 0;
        }
        for (j = 0; j < 2; ) {
            k = badm_rng_below(&r, NODES);
            if (g->labels[k] != g->labels[i] && badm_rng_below(&r, 20) != 0) continue;
            if (!list_add(&g->edges, i, k, 1)) return 0;
            j++;
        }
    }
    return 1;
}

static int get_graph(graph *g, const options *o)
{
    badm_error e;
    char why[EXAMPLE_SENTENCE];
    memset(g, 0, sizeof *g);
    if (!(o->data ? read_files(g, o) : make_up(g))) return 0;
    if (badm_csr_new(&g->x, NULL, g->nodes, g->features, g->entries.n, g->entries.a, g->entries.b, g->entries.value, &e) == BADM_OK
        && badm_csr_graph(&g->adjacency, NULL, g->nodes, g->edges.n, g->edges.a, g->edges.b, &e) == BADM_OK) return 1;
    badm_error_text(&e, why, sizeof why);
    return complain(why);
}

/* ------------------------------------------------------------------------------------------------------------------
   The network
   ----------------------------------------------------------------------------------------------------------------- */

/* Nodes first..first+n-1. */
typedef struct part { uint32_t first, n; } part;

typedef struct network {
    const graph *g;
    badm_param weight1, bias1, weight2, bias2;
    float dropout, decay;
    part nodes;                     /* the samples: which nodes are asked for their class */
} network;

static network new_network(badm_model *m, const graph *g, const options *o)
{
    network net;
    badm_dim shape[2];
    net.g = g;
    net.dropout = o->dropout;
    net.decay = o->decay;
    shape[0] = (badm_dim)g->features;
    shape[1] = (badm_dim)o->hidden;
    net.weight1 = badm_param_new(m, "conv1.weight", 2, shape, badm_init_xavier_uniform(1));
    net.bias1 = badm_param_new(m, "conv1.bias", 1, shape + 1, badm_init_constant(0));
    shape[0] = (badm_dim)o->hidden;
    shape[1] = (badm_dim)g->classes;
    net.weight2 = badm_param_new(m, "conv2.weight", 2, shape, badm_init_xavier_uniform(1));
    net.bias2 = badm_param_new(m, "conv2.bias", 1, shape + 1, badm_init_constant(0));
    net.nodes.first = 0;
    net.nodes.n = g->nodes;
    return net;
}

/* [nodes,classes]: A relu(A X W1 + b1) W2 + b2, A being the normalised adjacency; of the samples' nodes. */
static badm_tensor *logits(badm_tape *t, const badm_batch *b, void *user)
{
    const network *net = (const network *)user;
    const graph *g = net->g;
    const badm_ints *which = badm_labels(t, g->numbers + net->nodes.first, b);
    badm_tensor *h = badm_sparse_matmul(t, badm_csr_dropout(t, g->x, net->dropout), badm_param_use(t, net->weight1));
    h = badm_add(t, badm_sparse_matmul(t, g->adjacency, h), badm_param_use(t, net->bias1));
    h = badm_dropout(t, badm_relu(t, h), net->dropout);
    h = badm_sparse_matmul(t, g->adjacency, badm_matmul(t, h, badm_param_use(t, net->weight2)));
    return badm_add(t, badm_gather_rows(t, h, which), badm_param_use(t, net->bias2));
}

/* Cross entropy and, while training, decay/2 |W1|^2: the same for every method. */
static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    const network *net = (const network *)user;
    badm_tensor *l = badm_cross_entropy(t, logits(t, b, user), badm_labels(t, net->g->labels + net->nodes.first, b)), *w;
    if (!badm_training(t) || !(net->decay > 0)) return l;
    w = badm_param_use(t, net->weight1);
    return badm_add(t, l, badm_scale(t, badm_sum(t, badm_mul(t, w, w)), 0.5f * net->decay));
}

/* ------------------------------------------------------------------------------------------------------------------
   Training
   ----------------------------------------------------------------------------------------------------------------- */

/* Nodes in the order of the file. */
typedef struct split { part train, validation, test; } split;

static split split_of(const graph *g)
{
    split s;
    if (g->nodes >= 1500) {         /* as Cora is usually split: rows 0-139, 200-499, 500-1499 */
        s.train.first = 0;        s.train.n = 140;
        s.validation.first = 200; s.validation.n = 300;
        s.test.first = 500;       s.test.n = 1000;
    } else {
        uint32_t tenth = (g->nodes + 9) / 10;
        s.train.first = 0;              s.train.n = tenth;
        s.validation.first = tenth;     s.validation.n = 2 * tenth;
        s.test.first = 3 * tenth;       s.test.n = g->nodes - 3 * tenth;
    }
    return s;
}

/* What came of one run; step: Adam's lr or BADM's 1/sigma. */
typedef struct outcome { float loss, train, validation, test; } outcome;

typedef struct experiment {
    const options *o;
    const graph *g;
    split s;
    terminal screen;
    double *seconds;                /* of every epoch of BADM's, for the median */
    size_t epochs;
} experiment;

static int score(badm_trainer *tr, network *net, part nodes, badm_score *out)
{
    net->nodes = nodes;
    return badm_evaluate(tr, NULL, net, nodes.n, out) == BADM_OK || complain(badm_trainer_error(tr));
}

/* One run from the weights of `seed`. keep (may be NULL) gets the parameters if their validation accuracy is above *best. */
static int run(experiment *x, int adam, float step, uint32_t seed, outcome *out, badm_model *keep, float *best)
{
    const options *o = x->o;
    badm_model *m = badm_model_new(seed);
    badm_trainer_desc d;
    badm_trainer *tr = NULL;
    network net, held_out;
    badm_report report;
    badm_score train, validation, test;
    uint32_t epoch;
    char line[128];
    int ok = 0;
    memset(&report, 0, sizeof report);
    if (!m) return complain("not enough memory for the network");
    net = new_network(m, x->g, o);
    net.nodes = x->s.train;
    badm_trainer_defaults(&d);
    d.model = m; d.loss = loss; d.user = &net; d.seed = seed;
    d.max_batch = x->g->nodes; d.sub_batches = 1; d.workers = o->workers;
    d.cancel = &cancelled;
    d.monitors = 0;
    if (adam) { d.method = badm_method_adam(); d.lr = step; }
    else {
        d.metric = BADM_DIAGONAL;           /* the Adam-like metric: 1/sigma is a step in units of the weights */
        d.sigma = 1 / step;
        d.rho = d.sigma * o->momentum / (1 - o->momentum);
    }
    if (badm_trainer_new(&tr, &d) != BADM_OK) { complain(badm_model_error(m)); badm_model_free(m); return 0; }
    held_out = net;
    for (epoch = 0; epoch < o->epochs; epoch++) {
        double begin = now();
        if (badm_step(tr, NULL, x->s.train.n, &report) != BADM_OK) {
            if (!cancelled) complain(badm_trainer_error(tr));
            goto done;
        }
        if (!adam && x->seconds) x->seconds[x->epochs++] = now() - begin;
        if (x->screen.live && (epoch + 1) % 20 == 0) {
            if (!score(tr, &held_out, x->s.validation, &validation)) goto done;
            snprintf(line, sizeof line, "%s, seed %lu: epoch %3lu of %lu   loss %.3f   validation %.3f", adam ? "Adam" : "BADM",
                     (unsigned long)seed, (unsigned long)epoch + 1, (unsigned long)o->epochs, (double)report.loss,
                     (double)validation.accuracy);
            show_line(&x->screen, line);
        }
    }
    if (!score(tr, &held_out, x->s.train, &train) || !score(tr, &held_out, x->s.validation, &validation)
        || !score(tr, &held_out, x->s.test, &test)) goto done;
    out->loss = report.loss;
    out->train = train.accuracy;
    out->validation = validation.accuracy;
    out->test = test.accuracy;
    ok = 1;
    if (keep && validation.accuracy > *best) {
        *best = validation.accuracy;
        ok = badm_model_copy(keep, m) == BADM_OK || complain(badm_model_error(keep));
    }
done:
    badm_trainer_free(tr);
    badm_model_free(m);
    return ok;
}

/* Mean and deviation of test accuracies; validation's mean decides when tuning. */
typedef struct summary { double validation, test, deviation; } summary;

static int run_seeds(experiment *x, int adam, float step, badm_model *keep, summary *out, int shown)
{
    static outcome runs[MAX_SEEDS];
    uint32_t i, n = x->o->seeds;
    float best = -1;
    double squares = 0;
    memset(out, 0, sizeof *out);
    for (i = 0; i < n; i++) {
        if (!run(x, adam, step, x->o->seed + i, &runs[i], keep, &best)) { clear_line(&x->screen); return 0; }
        clear_line(&x->screen);
        if (shown)
            printf("  %-4s  seed %3lu   loss %.3f   training %.3f   validation %.3f   test %.3f\n", adam ? "Adam" : "BADM",
                   (unsigned long)(x->o->seed + i), (double)runs[i].loss, (double)runs[i].train, (double)runs[i].validation,
                   (double)runs[i].test);
        out->validation += (double)runs[i].validation / n;
        out->test += (double)runs[i].test / n;
    }
    for (i = 0; i < n; i++) squares += pow((double)runs[i].test - out->test, 2);
    out->deviation = n > 1 ? sqrt(squares / (n - 1)) : 0;
    return 1;
}

/* The step size whose mean validation accuracy is best, of as many for either method. */
static int tune(experiment *x, int adam, float *step)
{
    static const float grid[] = { 0.001f, 0.002f, 0.005f, 0.01f, 0.02f, 0.05f, 0.1f };
    size_t i;
    double best = -1;
    for (i = 0; i < sizeof grid / sizeof grid[0]; i++) {
        summary s;
        if (!run_seeds(x, adam, grid[i], NULL, &s, 0)) return 0;
        printf("  %-4s  step %.3f   validation %.4f\n", adam ? "Adam" : "BADM", (double)grid[i], s.validation);
        fflush(stdout);
        if (s.validation > best) { best = s.validation; *step = grid[i]; }
    }
    return 1;
}

/* ------------------------------------------------------------------------------------------------------------------
   The picture: hidden features in the plane of their two principal components
   ----------------------------------------------------------------------------------------------------------------- */

/* The same as logits(), up to the hidden features. */
static badm_tensor *hidden(badm_tape *t, const badm_batch *b, void *user)
{
    const network *net = (const network *)user;
    badm_tensor *h = badm_sparse_matmul(t, net->g->x, badm_param_use(t, net->weight1));
    h = badm_add(t, badm_sparse_matmul(t, net->g->adjacency, h), badm_param_use(t, net->bias1));
    return badm_gather_rows(t, badm_relu(t, h), badm_labels(t, net->g->numbers + net->nodes.first, b));
}

/* Rows of h [n,width], made equally long and centred, in terms of the directions in which they vary most: power iteration. */
static int principal_plane(float *h, uint32_t n, uint32_t width, float *xy)
{
    double *direction = (double *)calloc(3 * (size_t)width, sizeof *direction), *mean, *next, dot, norm;
    uint32_t i, j, axis, round;
    if (!direction) return complain("not enough memory for the picture");
    mean = direction + width;
    next = mean + width;
    for (i = 0; i < n; i++) {               /* a node of many edges is no longer far out */
        for (norm = 1e-30, j = 0; j < width; j++) norm += (double)h[i * width + j] * (double)h[i * width + j];
        for (j = 0; j < width; j++) h[i * width + j] = (float)((double)h[i * width + j] / sqrt(norm));
    }
    for (i = 0; i < n; i++) for (j = 0; j < width; j++) mean[j] += (double)h[i * width + j] / n;
    for (i = 0; i < n; i++) for (j = 0; j < width; j++) h[i * width + j] -= (float)mean[j];
    for (axis = 0; axis < 2; axis++) {
        for (j = 0; j < width; j++) direction[j] = 1.0 + 0.1 * j;
        for (round = 0; round < 200; round++) {
            for (j = 0; j < width; j++) next[j] = 0;
            for (i = 0; i < n; i++) {
                for (dot = 0, j = 0; j < width; j++) dot += (double)h[i * width + j] * direction[j];
                for (j = 0; j < width; j++) next[j] += dot * (double)h[i * width + j];
            }
            for (norm = 1e-300, j = 0; j < width; j++) norm += next[j] * next[j];
            for (j = 0; j < width; j++) direction[j] = next[j] / sqrt(norm);
        }
        for (i = 0; i < n; i++) {
            for (dot = 0, j = 0; j < width; j++) dot += (double)h[i * width + j] * direction[j];
            xy[2 * i + axis] = (float)dot;
            for (j = 0; j < width; j++) h[i * width + j] -= (float)(dot * direction[j]);        /* the next axis: what is left */
        }
    }
    free(direction);
    return 1;
}

static void write_escaped(FILE *f, const char *s)
{
    for (; *s; s++) {
        if (*s == '&') fputs("&amp;", f);
        else if (*s == '<') fputs("&lt;", f);
        else if ((unsigned char)*s >= 32) fputc(*s == '_' ? ' ' : *s, f);
    }
}

static void write_svg(FILE *f, const experiment *x, const float *xy, const int32_t *guess, const char *title)
{
    static const char *const colours[] = { "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#edc948", "#76b7b2", "#ff9da7",
                                           "#9c755f", "#79706e" };
    enum { COLOURS = sizeof colours / sizeof colours[0], WIDTH = 900, HEIGHT = 700, LEGEND = 230, TOP = 50, EDGE = 20 };
    const graph *g = x->g;
    float low[2], high[2], unit;
    uint32_t i, c;
    size_t k;
    for (i = 0; i < 2; i++) low[i] = high[i] = xy[i];
    for (i = 0; i < 2 * g->nodes; i++) {
        if (xy[i] < low[i % 2]) low[i % 2] = xy[i];
        if (xy[i] > high[i % 2]) high[i % 2] = xy[i];
    }
    fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\""
               " font-family=\"sans-serif\" font-size=\"14\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
               "<text x=\"%d\" y=\"32\" font-size=\"18\">",
            WIDTH + LEGEND, HEIGHT, WIDTH + LEGEND, HEIGHT, EDGE);
    write_escaped(f, title);
    fputs("</text>\n", f);
#define AT_X(node) ((double)EDGE + (double)((xy[2 * (node)] - low[0]) / (high[0] > low[0] ? high[0] - low[0] : 1)) \
                    * (WIDTH - 2 * EDGE))
#define AT_Y(node) ((double)(HEIGHT - EDGE) - (double)((xy[2 * (node) + 1] - low[1]) / (high[1] > low[1] ? high[1] - low[1] : 1)) \
                    * (HEIGHT - TOP - 2 * EDGE))
    fputs("<path fill=\"none\" stroke=\"#999\" stroke-width=\"0.4\" stroke-opacity=\"0.25\" d=\"", f);
    for (k = 0; k < g->edges.n; k++)
        fprintf(f, "M%.1f %.1fL%.1f %.1f", AT_X(g->edges.a[k]), AT_Y(g->edges.a[k]), AT_X(g->edges.b[k]), AT_Y(g->edges.b[k]));
    fputs("\"/>\n", f);
    for (c = 0; c < g->classes; c++) {
        fprintf(f, "<g fill=\"%s\" fill-opacity=\"0.75\">\n", colours[c % COLOURS]);
        for (i = 0; i < g->nodes; i++) {
            if (g->labels[i] != (int32_t)c) continue;
            fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%s\"", AT_X(i), AT_Y(i),
                    i >= x->s.train.first && i < x->s.train.first + x->s.train.n ? "4.5" : "2.6");
            if (i >= x->s.train.first && i < x->s.train.first + x->s.train.n) fputs(" stroke=\"black\" stroke-width=\"1.2\"", f);
            fputs("/>\n", f);
        }
        fputs("</g>\n", f);
    }
    for (c = 0; c < g->classes; c++) {
        uint32_t n = 0, right = 0;
        for (i = x->s.test.first; i < x->s.test.first + x->s.test.n; i++)
            if (g->labels[i] == (int32_t)c) { n++; right += guess[i] == (int32_t)c; }
        unit = (float)(TOP + 30 + 26 * (int)c);
        fprintf(f, "<circle cx=\"%d\" cy=\"%.0f\" r=\"6\" fill=\"%s\"/><text x=\"%d\" y=\"%.0f\">", WIDTH + 14, (double)unit - 5,
                colours[c % COLOURS], WIDTH + 28, (double)unit);
        write_escaped(f, g->class_name[c]);
        if (n) fprintf(f, " %.0f %%", 100.0 * right / n);
        fputs("</text>\n", f);
    }
    unit = (float)(TOP + 44 + 26 * (int)g->classes);
    fprintf(f, "<text x=\"%d\" y=\"%.0f\" font-size=\"12\" fill=\"#555\">ringed: labelled while training</text>\n"
               "<text x=\"%d\" y=\"%.0f\" font-size=\"12\" fill=\"#555\">%%: test nodes classified right</text>\n</svg>\n",
            WIDTH + 8, (double)unit, WIDTH + 8, (double)unit + 18);
#undef AT_X
#undef AT_Y
}

/* Predicts with the parameters of m; whoever interrupts leaves the old picture. */
static int draw(const experiment *x, badm_model *m, network *net, const char *title)
{
    const graph *g = x->g;
    badm_trainer_desc d;
    badm_trainer *tr;
    float *h = (float *)malloc((size_t)g->nodes * x->o->hidden * sizeof *h);
    float *out = (float *)malloc((size_t)g->nodes * g->classes * sizeof *out);
    float *xy = (float *)malloc(2 * (size_t)g->nodes * sizeof *xy);
    int32_t *guess = (int32_t *)malloc(g->nodes * sizeof *guess);
    uint32_t i, c;
    output_file svg;
    int ok = 0;
    badm_trainer_defaults(&d);
    d.model = m; d.loss = loss; d.user = net; d.max_batch = g->nodes; d.sub_batches = 1; d.workers = x->o->workers;
    if (!h || !out || !xy || !guess) complain("not enough memory for the picture");
    else if (badm_trainer_new(&tr, &d) != BADM_OK) complain(badm_model_error(m));
    else {
        if (badm_predict(tr, hidden, net, g->nodes, (badm_dim)x->o->hidden, h) != BADM_OK
            || badm_predict(tr, logits, net, g->nodes, (badm_dim)g->classes, out) != BADM_OK) complain(badm_trainer_error(tr));
        else ok = principal_plane(h, g->nodes, x->o->hidden, xy);
        badm_trainer_free(tr);
    }
    if (ok) {
        for (i = 0; i < g->nodes; i++)
            for (guess[i] = 0, c = 1; c < g->classes; c++)
                if (out[i * g->classes + c] > out[i * g->classes + (uint32_t)guess[i]]) guess[i] = (int32_t)c;
        ok = open_output(&svg, x->o->out, "gcn.svg");
        if (ok) {
            write_svg(svg.f, x, xy, guess, title);
            ok = close_output(&svg);
        }
    }
    free(h); free(out); free(xy); free(guess);
    return ok;
}

/* ------------------------------------------------------------------------------------------------------------------
   main
   ----------------------------------------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int compare(experiment *x, options *o)
{
    badm_model *m = badm_model_new(o->seed);
    network net;
    summary badm, adam;
    char title[256];
    int ok = 0;
    if (!m) return complain("not enough memory for the network");
    net = new_network(m, x->g, o);
    if (badm_model_result(m) != BADM_OK) { complain(badm_model_error(m)); badm_model_free(m); return 0; }
    if (o->tune) {
        puts("choosing step sizes by the validation nodes");
        if (!tune(x, 0, &o->step) || !tune(x, 1, &o->lr)) goto done;
    }
    x->seconds = (double *)malloc((size_t)o->seeds * o->epochs * sizeof *x->seconds);
    if (!run_seeds(x, 0, o->step, m, &badm, 1) || !run_seeds(x, 1, o->lr, NULL, &adam, 1)) goto done;
    printf("\nmean test accuracy of %lu seeds after %lu epochs\n", (unsigned long)o->seeds, (unsigned long)o->epochs);
    printf("  BADM, step %-6.4g  %.4f  +- %.4f   (validation %.4f)\n", (double)o->step, badm.test, badm.deviation, badm.validation);
    printf("  Adam, step %-6.4g  %.4f  +- %.4f   (validation %.4f)\n", (double)o->lr, adam.test, adam.deviation, adam.validation);
    if (x->seconds && x->epochs) {
        qsort(x->seconds, x->epochs, sizeof *x->seconds, by_size);
        printf("an epoch takes %.3f ms, %.3f at best (BADM, %lu workers)\n", 1e3 * x->seconds[x->epochs / 2], 1e3 * x->seconds[0],
               (unsigned long)o->workers);
    }
    snprintf(title, sizeof title, "%s: %lu nodes, test accuracy %.1f %% (mean of %lu seeds)",
             o->data ? o->name : "made-up communities", (unsigned long)x->g->nodes, 100 * badm.test, (unsigned long)o->seeds);
    if (!save_model(m, o->out, "gcn.safetensors") || !draw(x, m, &net, title)) goto done;
    printf("saved %s/gcn.safetensors and gcn.svg\n", o->out);
    ok = 1;
done:
    free(x->seconds);
    badm_model_free(m);
    return ok;
}

int main(int argc, char **argv)
{
    options o;
    graph g;
    experiment x;
    int ok;
    if (!read_options(&o, argc, argv)) return 2;
    if (o.help) { fputs(usage, stdout); return 0; }
    signal(SIGINT, on_interrupt);
    ok = get_graph(&g, &o);
    memset(&x, 0, sizeof x);
    x.o = &o;
    x.g = &g;
    x.s = split_of(&g);
    x.screen = find_terminal();
    if (ok && (x.s.train.n == 0 || x.s.validation.first + x.s.validation.n > g.nodes || x.s.test.n == 0 || x.s.test.n > g.nodes))
        ok = complain("the graph has too few nodes to split: at least 10 are expected");
    if (ok) {
        printf("%s: %lu nodes of %lu classes, %lu edges, %lu features (%lu not 0)\n", o.data ? o.name : "a made-up graph",
               (unsigned long)g.nodes, (unsigned long)g.classes, (unsigned long)(g.adjacency->start[g.nodes] - g.nodes) / 2,
               (unsigned long)g.features, (unsigned long)g.x->start[g.nodes]);
        printf("learns from %lu nodes, tested on %lu others; %lu hidden features\n", (unsigned long)x.s.train.n,
               (unsigned long)x.s.test.n, (unsigned long)o.hidden);
        ok = compare(&x, &o);
    }
    free_graph(&g);
    if (cancelled) { fprintf(stderr, "gcn: interrupted; nothing was saved\n"); return 130; }
    return ok ? 0 : 1;
}
