/* For the examples: finds a data file under a folder, plain or gzipped, and reads it through a badm_reader.

   Include this before any other header: POSIX declares popen() only to programs that ask for it. */
#ifndef EXAMPLE_DATA_H
#define EXAMPLE_DATA_H

#ifndef _WIN32
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#ifndef _DARWIN_C_SOURCE
#define _DARWIN_C_SOURCE            /* macOS: POSIX and all else, as without the line above */
#endif
#endif

#include <stdio.h>
#include <string.h>
#ifndef _WIN32
#include <sys/wait.h>
#endif

#include "badm.h"

#define EXAMPLE_PATH 1024
#define EXAMPLE_SENTENCE 1600       /* bytes of every `why` below */

/* An open data file. `reader` is what the badm_..._load_from functions want. */
typedef struct example_file {
    badm_reader reader;
    FILE *stream;
    int gzipped;
    char path[EXAMPLE_PATH];
} example_file;

static inline size_t example_read(void *buf, size_t bytes, void *user)
{
    return fread(buf, 1, bytes, (FILE *)user);
}

/* Is there a file of this name that can be read? */
static inline int example_readable(const char *path)
{
    FILE *f = fopen(path, "rb");
    int readable = f && fgetc(f) != EOF;        /* a folder opens, but has no bytes */
    if (f) fclose(f);
    return readable;
}

/* Writes text in single quotes for the shell. 0 if it does not fit. */
static inline int example_quote(char *out, size_t n, const char *text)
{
    size_t used = 0;
    if (n < 3) return 0;
    out[used++] = '\'';
    for (; *text; text++) {
        if (used + 6 > n) return 0;
        if (*text == '\'') { memcpy(out + used, "'\\''", 4); used += 4; }
        else out[used++] = *text;
    }
    out[used++] = '\'';
    out[used] = 0;
    return 1;
}

/* Starts gzip on f->path. NULL if it cannot be started; that gzip is not there shows only when it has ended. */
static inline FILE *example_gunzip(example_file *f)
{
#ifdef _WIN32
    (void)f;
    return NULL;
#else
    char quoted[2 * EXAMPLE_PATH], command[2 * EXAMPLE_PATH + 64];
    if (!example_quote(quoted, sizeof quoted, f->path)) return NULL;
    snprintf(command, sizeof command, "gzip -dc < %s 2>/dev/null", quoted);
    return popen(command, "r");
#endif
}

/* Opens dir/name or dir/name.gz for the first of the names (a list that ends in NULL; "folder/file" is a name too) that
   exists. 1: open. 0: `why` says in a sentence what was looked for, or what stands in the way. */
static inline int example_open(example_file *f, const char *dir, const char *const *names, char *why)
{
    const char *const *name;
    int packed;
    f->stream = NULL;
    for (name = names; *name; name++)
        for (packed = 0; packed <= 1; packed++) {
            int length = snprintf(f->path, sizeof f->path, "%s/%s%s", dir, *name, packed ? ".gz" : "");
            if (length < 0 || (size_t)length >= sizeof f->path || !example_readable(f->path)) continue;
            f->gzipped = packed;
            f->stream = packed ? example_gunzip(f) : fopen(f->path, "rb");
            f->reader.read = example_read;
            f->reader.user = f->stream;
            if (f->stream) return 1;
            snprintf(why, EXAMPLE_SENTENCE, packed ? "%s cannot be unpacked from here: run  gunzip -k  on it first"
                                                   : "%s cannot be opened", f->path);
            return 0;
        }
    snprintf(why, EXAMPLE_SENTENCE, "%s/%s is missing (plain or as .gz)", dir, names[0]);
    return 0;
}

/* Closes f. `loaded` is what the load function returned for it, `error` its reason. 1: all is well. 0: `why` says in a
   sentence what was not, gzip's own trouble first. */
static inline int example_close(example_file *f, badm_result loaded, const badm_error *error, char *why)
{
    int length;
#ifndef _WIN32
    if (f->gzipped) {
        char rest[4096];
        int status, code;
        while (loaded == BADM_OK && fread(rest, 1, sizeof rest, f->stream) > 0) { }     /* gzip's checksum comes last */
        status = pclose(f->stream);
        code = status != -1 && WIFEXITED(status) ? WEXITSTATUS(status) : 0;
        if (code == 127) {
            snprintf(why, EXAMPLE_SENTENCE, "%s: gzip is not installed; unpack the file by other means first", f->path);
            return 0;
        }
        if (code == 1) {
            snprintf(why, EXAMPLE_SENTENCE, "%s: gzip says that the file is damaged or cut short", f->path);
            return 0;
        }
    } else
#endif
    fclose(f->stream);
    if (loaded == BADM_OK) return 1;
    length = snprintf(why, EXAMPLE_SENTENCE, "%s: ", f->path);
    badm_error_text(error, why + length, EXAMPLE_SENTENCE - (size_t)length);
    return 0;
}

/* An IDX file (MNIST's format) as an array; free it with badm_array_free. 0: `why` says what is wrong. */
static inline int example_load_idx(badm_array *out, const char *dir, const char *const *names, char *why)
{
    example_file f;
    badm_error error;
    badm_result loaded;
    if (!example_open(&f, dir, names, why)) return 0;
    loaded = badm_idx_load_from(out, &f.reader, NULL, &error);
    if (example_close(&f, loaded, &error, why)) return 1;
    if (loaded == BADM_OK) badm_array_free(out);
    return 0;
}

/* A LIBSVM text file as rows and labels. 0: `why` says what is wrong. */
static inline int example_load_libsvm(badm_array *x, badm_array *y, uint32_t features, const char *dir,
                                      const char *const *names, char *why)
{
    example_file f;
    badm_error error;
    badm_result loaded;
    if (!example_open(&f, dir, names, why)) return 0;
    loaded = badm_libsvm_load_from(x, y, features, &f.reader, NULL, &error);
    if (example_close(&f, loaded, &error, why)) return 1;
    if (loaded == BADM_OK) { badm_array_free(x); badm_array_free(y); }
    return 0;
}

/* A LIBSVM text file, given by its path with or without .gz, as compressed rows and labels. */
static inline int example_load_libsvm_csr(badm_csr **x, badm_array *y, uint32_t features, const char *path, char *why)
{
    char dir[EXAMPLE_PATH], file[EXAMPLE_PATH];
    const char *slash = strrchr(path, '/'), *names[2];
    size_t length = strlen(path);
    example_file f;
    badm_error error;
    badm_result loaded;
    if (length >= EXAMPLE_PATH) { snprintf(why, EXAMPLE_SENTENCE, "the name of a file is too long"); return 0; }
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    if (slash == path) snprintf(dir, sizeof dir, "/");
    snprintf(file, sizeof file, "%s", slash ? slash + 1 : path);
    length = strlen(file);
    if (length > 3 && !strcmp(file + length - 3, ".gz")) file[length - 3] = 0;
    names[0] = file;
    names[1] = NULL;
    if (!example_open(&f, dir, names, why)) return 0;
    loaded = badm_libsvm_load_csr_from(x, y, features, &f.reader, NULL, &error);
    if (example_close(&f, loaded, &error, why)) return 1;
    if (loaded == BADM_OK) { badm_csr_free(*x); badm_array_free(y); }
    return 0;
}

/* One of MNIST's four files, "train-images", "train-labels", "t10k-images" or "t10k-labels", in dir or dir/mnist.
   Images are of rank 3, labels of rank 1. */
static inline int example_load_mnist(badm_array *out, const char *dir, const char *which, char *why)
{
    const char *rank = strstr(which, "images") ? "3" : "1";
    char dash[64], dot[64], dash_in_folder[80], dot_in_folder[80];
    const char *names[5];
    snprintf(dash, sizeof dash, "%s-idx%s-ubyte", which, rank);
    snprintf(dot, sizeof dot, "%s.idx%s-ubyte", which, rank);      /* as some mirrors name it */
    snprintf(dash_in_folder, sizeof dash_in_folder, "mnist/%s", dash);
    snprintf(dot_in_folder, sizeof dot_in_folder, "mnist/%s", dot);
    names[0] = dash; names[1] = dash_in_folder; names[2] = dot; names[3] = dot_in_folder; names[4] = NULL;
    return example_load_idx(out, dir, names, why);
}

#endif
