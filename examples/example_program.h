/* For the examples that are programs: options, a clock, Ctrl-C, the terminal's line, files that replace older ones only when they
   are complete.

   Define PROGRAM, the name that sentences begin with, and BADM_IMPLEMENTATION, and include this before any other header.
   Sections: running, options, terminal, files. */
#ifndef EXAMPLE_PROGRAM_H
#define EXAMPLE_PROGRAM_H

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

/* ------------------------------------------------------------------------------------------------------------------
   Running
   ----------------------------------------------------------------------------------------------------------------- */

/* Set by Ctrl-C; the trainers look at it between sub-batches. A second Ctrl-C ends the program the hard way. */
static volatile int cancelled;

static inline void on_interrupt(int sign)
{
    cancelled = 1;
    signal(sign, SIG_DFL);
}

/* Seconds since some moment, by a clock that nobody sets. */
static inline double now(void)
{
#ifdef _WIN32
    return (double)clock() / CLOCKS_PER_SEC;        /* the time of day on this system, not the processor's */
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
#endif
}

/* Always 0, so that a function that fails can end with it. */
static inline int complain(const char *sentence)
{
    fflush(stdout);
    fprintf(stderr, PROGRAM ": %s\n", sentence);
    return 0;
}

/* ------------------------------------------------------------------------------------------------------------------
   Options
   ----------------------------------------------------------------------------------------------------------------- */

/* COUNT: a uint32_t. POSITIVE, NUMBER: a float above 0; of 0 or more. TEXT: a const char *. FLAG: an int, which is set; it takes
   no value. */
typedef enum option_kind { COUNT, POSITIVE, NUMBER, TEXT, FLAG } option_kind;
typedef struct option { const char *name; option_kind kind; void *value; } option;

static inline int read_count(const char *text, uint32_t *out)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || v > 1000000000ul) return 0;
    *out = (uint32_t)v;
    return 1;
}

static inline int read_number(const char *text, double least, float *out)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !(v >= least && v < 1e12)) return 0;
    *out = (float)v;
    return 1;
}

/* NULL, or what is wrong with the value. */
static inline const char *set_option(const option *o, const char *value)
{
    if (!value) return "needs a value";
    switch (o->kind) {
    case COUNT: return read_count(value, (uint32_t *)o->value) ? NULL : "needs a whole number";
    case POSITIVE: return read_number(value, 1e-12, (float *)o->value) ? NULL : "needs a number above 0";
    case NUMBER: return read_number(value, 0, (float *)o->value) ? NULL : "needs a number of 0 or more";
    default: *(const char **)o->value = value;
    }
    return NULL;
}

/* `known` ends with a NULL name. What is no option is the data, a folder or a file; "" (a Makefile's unset variable) is none.
   0: a sentence has been printed. */
static inline int read_arguments(const option *known, int argc, char **argv, const char **data)
{
    char sentence[256], name[32];
    int i;
    *data = NULL;
    for (i = 1; i < argc; i++) {
        const char *arg = argv[i], *equals = strchr(arg, '='), *wrong = NULL;
        const option *o = known;
        if (arg[0] != '-') {
            if (*data) return complain("DATA is given more than once");
            if (arg[0]) *data = arg;
            continue;
        }
        snprintf(name, sizeof name, "%.*s", equals ? (int)(equals - arg) : 31, arg);
        while (o->name && strcmp(o->name, name)) o++;
        if (!o->name) wrong = "is no option; --help lists them";
        else if (o->kind == FLAG) *(int *)o->value = 1;
        else wrong = set_option(o, equals ? equals + 1 : i + 1 < argc ? argv[++i] : NULL);
        if (!wrong) continue;
        snprintf(sentence, sizeof sentence, "%s %s", name, wrong);
        return complain(sentence);
    }
    return 1;
}

static inline int is_folder(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

/* Where results go unless --out says otherwise. */
static inline const char *default_out(void) { return is_folder("build") ? "build" : "."; }

/* ------------------------------------------------------------------------------------------------------------------
   Terminal
   ----------------------------------------------------------------------------------------------------------------- */

typedef struct terminal {
    int live, utf8, columns;
    int shown;                      /* columns of the line that is up, 0: none */
    double last;                    /* when it was drawn */
} terminal;

static inline int environment_says_utf8(void)
{
    const char *v = getenv("LC_ALL");
    if (!v || !*v) v = getenv("LC_CTYPE");
    if (!v || !*v) v = getenv("LANG");
    return v && (strstr(v, "UTF-8") || strstr(v, "utf-8") || strstr(v, "UTF8") || strstr(v, "utf8"));
}

static inline terminal find_terminal(void)
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
static inline int text_columns(const char *text)
{
    int n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

/* Replaces the line that is up. */
static inline void show_line(terminal *t, const char *text)
{
    int n = text_columns(text);
    printf("\r%s%*s", text, t->shown > n ? t->shown - n : 0, "");
    fflush(stdout);
    t->shown = n;
}

static inline void clear_line(terminal *t)
{
    if (!t->shown) return;
    show_line(t, "");
    printf("\r");
}

static inline void make_bar(char *out, size_t size, double share, int columns, int utf8)
{
    size_t used = 0;
    const char *done = utf8 ? "\xe2\x96\x88" : "#", *open = utf8 ? "\xe2\x96\x91" : ".";
    int i, full = (int)(share * columns + 0.5);
    out[0] = 0;
    for (i = 0; i < columns && used + 4 < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s", i < full ? done : open);
}

/* ------------------------------------------------------------------------------------------------------------------
   Files
   ----------------------------------------------------------------------------------------------------------------- */

/* A file that replaces an older one only when it is complete. */
typedef struct output_file { FILE *f; char path[EXAMPLE_PATH], temporary[EXAMPLE_PATH + 8]; } output_file;

static inline int output_path(char path[EXAMPLE_PATH], const char *dir, const char *name)
{
    int length = snprintf(path, EXAMPLE_PATH, "%s/%s", dir, name);
    return length > 0 && length < EXAMPLE_PATH;
}

static inline int cannot_write(const char *path)
{
    char sentence[EXAMPLE_PATH + 64];
    snprintf(sentence, sizeof sentence, "%s cannot be written", path);
    return complain(sentence);
}

static inline int open_output(output_file *out, const char *dir, const char *name)
{
    if (!output_path(out->path, dir, name)) return complain("the output folder's name is too long");
    snprintf(out->temporary, sizeof out->temporary, "%s.part", out->path);
    out->f = fopen(out->temporary, "wb");
    return out->f ? 1 : cannot_write(out->path);
}

static inline int close_output(output_file *out)
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

static inline int save_model(badm_model *m, const char *dir, const char *name)
{
    char path[EXAMPLE_PATH];
    if (!output_path(path, dir, name)) return complain("the output folder's name is too long");
    return badm_save(m, path) == BADM_OK ? 1 : complain(badm_model_error(m));
}

/* Dimensions of tensor `name` as the safetensors header has them; 0 if there is no such tensor of rank 2. */
static inline int shape_in(const char *header, const char *name, badm_dim shape[2])
{
    char quoted[80];
    const char *p;
    char *end;
    unsigned i;
    snprintf(quoted, sizeof quoted, "\"%s\"", name);
    p = strstr(header, quoted);
    if (p) p = strstr(p, "\"shape\"");
    if (p) p = strchr(p, '[');
    for (i = 0; p && i < 2; i++) {
        unsigned long v = strtoul(p + 1, &end, 10);
        if (end == p + 1 || v < 1 || v > 0x7FFFFFFFul) return 0;
        shape[i] = (badm_dim)v;
        p = end + strspn(end, " ");
        if (*p != (i ? ']' : ',')) return 0;
    }
    return p != NULL;
}

/* The header of a safetensors file, to be freed; NULL: there is none. */
static inline char *read_header(const char *path)
{
    unsigned char size[8];
    FILE *f = fopen(path, "rb");
    char *header = NULL;
    unsigned long n = 0;
    int i;
    if (!f) return NULL;
    if (fread(size, 1, 8, f) == 8)
        for (i = 7; i >= 0 && n < 0x10000ul; i--) n = n << 8 | size[i];
    if (n > 0 && n < 0x1000000ul) header = (char *)calloc(n + 1, 1);
    if (header && fread(header, 1, n, f) != n) header[0] = 0;
    fclose(f);
    return header;
}

/* Better to hear of it before the training than after. */
static inline int can_write_to(const char *dir)
{
    output_file probe;
    char sentence[EXAMPLE_PATH + 64];
    if (!output_path(probe.path, dir, PROGRAM ".probe")) return complain("the output folder's name is too long");
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

#endif
