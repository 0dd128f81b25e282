/* Writes the valid files the fuzzers start from: fuzz_corpus FOLDER. The folder has safetensors, checkpoint, npy, idx,
   csv and libsvm in it. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "buffer.h"
#include "files.h"

static const char *folder;
static int failed;

static FILE *create(const char *kind, const char *name)
{
    char path[1000];
    FILE *f;
    snprintf(path, sizeof path, "%s/%s/%s", folder, kind, name);
    f = fopen(path, "wb");
    if (!f) { printf("%s cannot be written\n", path); failed = 1; }
    return f;
}

static void put(const char *kind, const char *name, const void *bytes, size_t n)
{
    FILE *f = create(kind, name);
    if (!f) return;
    if (fwrite(bytes, 1, n, f) != n) failed = 1;
    if (fclose(f)) failed = 1;
}

static void put_text(const char *kind, const char *name, const char *text) { put(kind, name, text, strlen(text)); }

/* A safetensors file of fc.weight [2,2] and fc.bias [2], all values .18. */
static void put_header(const char *name, const char *header, size_t n)
{
    unsigned char bytes[4096];
    size_t length = strlen(header), i;
    for (i = 0; i < 8; i++) bytes[i] = (unsigned char)(length >> 8 * i & 255);
    memcpy(bytes + 8, header, length);
    memset(bytes + 8 + length, 0x3e, n);
    put("safetensors", name, bytes, 8 + length + n);
}

static size_t write_file(const void *buf, size_t bytes, void *user) { return fwrite(buf, 1, bytes, (FILE *)user); }

/* The first `from` becomes `to`, which is as long. */
static void replace(buffer *b, const char *from, const char *to)
{
    size_t n = strlen(from), i;
    for (i = 0; i + n <= b->size; i++)
        if (memcmp(b->bytes + i, from, n) == 0) { memcpy(b->bytes + i, to, n); return; }
    printf("no \"%s\" to replace\n", from);
    failed = 1;
}

static void put_models(void)
{
    static buffer b;
    small_net net;
    badm_model *m = small_model(1, &net);
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_writer w;
    small_desc(&d, m, &net);
    d.form = BADM_PER_SLOT;
    d.metric = BADM_DIAGONAL;
    if (badm_trainer_new(&tr, &d) != BADM_OK) { puts(badm_model_error(m)); failed = 1; return; }
    badm_step(tr, NULL, 4, NULL);
    w.write = write_file;
    w.user = create("safetensors", "saved");
    if (!w.user || badm_save_to(m, &w) != BADM_OK || fclose((FILE *)w.user)) failed = 1;
    w.user = create("checkpoint", "saved");
    if (!w.user || badm_checkpoint_save_to(tr, &w) != BADM_OK || fclose((FILE *)w.user)) failed = 1;
    w.user = create("safetensors", "checkpoint");
    if (!w.user || badm_checkpoint_save_to(tr, &w) != BADM_OK || fclose((FILE *)w.user)) failed = 1;
    w = buffer_writer(&b);
    if (badm_checkpoint_save_to(tr, &w) != BADM_OK) failed = 1;
    replace(&b, "format", "\\u07ff");               /* escapes of the same length */
    replace(&b, "badm_version", "\\ud834\\udd1e");
    replace(&b, "0.2.0", "\\n\\\"0");
    put("checkpoint", "escapes", b.bytes, b.size);
    badm_trainer_free(tr);
    badm_model_free(m);
    put_header("escapes", "{\"__metadata__\":{\"a\":\"\\b\\\"\\u0041\\u07ff\\uffff\\uD834\\udd1E\",\"b\":\"\"},"
               "\"fc.weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
               "\"fc.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[16,24]}}", 24);
    put_header("order", "{ \"fc.bias\" : {\"data_offsets\":[0,8],\"dtype\":\"F32\",\"shape\":[2]},\n"
               "\"badm.x\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[8,8]},"
               "\"badm.y\":{\"dtype\":\"F16\",\"shape\":[1,1,1,1,2],\"data_offsets\":[24,28]},"
               "\"fc.weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[8,24]}}  ", 28);
    put_header("small", "{\"fc.weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
               "\"fc.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[16,24]}}", 24);
}

static void put_npy(const char *name, int version, const char *descr, const char *shape, size_t n)
{
    unsigned char bytes[400];
    int at = version == 1 ? 10 : 12, length;
    memset(bytes, descr[1] == 'f' ? 0x3e : 0, sizeof bytes);
    memcpy(bytes, "\x93NUMPY", 6);
    bytes[6] = (unsigned char)version;
    bytes[7] = bytes[9] = bytes[10] = bytes[11] = 0;
    length = sprintf((char *)bytes + at, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }\n", descr, shape);
    bytes[8] = (unsigned char)length;
    put("npy", name, bytes, (size_t)(at + length) + n);
}

static void put_idx(const char *name, unsigned char type, size_t bytes)
{
    unsigned char file[60] = { 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3 };
    size_t i;
    file[2] = type;
    for (i = 0; i < 6; i++) file[12 + i * bytes] = (unsigned char)(i + 62);
    put("idx", name, file, 12 + 6 * bytes);
}

int main(int argc, char **argv)
{
    if (argc != 2) { puts("fuzz_corpus FOLDER"); return 1; }
    folder = argv[1];
    put_models();

    put_npy("f4", 1, "<f4", "(2, 3)", 24);
    put_npy("f8", 2, ">f8", "(3,)", 24);
    put_npy("u1", 3, "|u1", "(1, 2, 3, 1)", 6);
    put_npy("i1", 1, "|i1", "(0,)", 0);
    put_npy("i2", 1, "<i2", "()", 2);
    put_npy("i4", 1, ">i4", "(2,)", 8);
    put_npy("i8", 1, "<i8", "(2,)", 16);

    put_idx("u8", 0x08, 1);
    put_idx("i8", 0x09, 1);
    put_idx("i16", 0x0b, 2);
    put_idx("i32", 0x0c, 4);
    put_idx("f32", 0x0d, 4);
    put_idx("f64", 0x0e, 8);

    put_text("csv", "commas", "1,2,3\n4.5,-5e-1,+6\n");
    put_text("csv", "heading", "a;b\r\n1;2\r\n\r\n3 ; 4\r\n");
    put_text("csv", "blanks", "\xef\xbb\xbf" "1 2\t3e30\r4 .5 1e-44\r");
    put_text("csv", "long", "0.00000000000000000000000000000001\n123456789012345678901234567890\n");

    put_text("libsvm", "rows", "+1 1:0.5 3:-2\n-1 2:1e1\n2.5\n");
    put_text("libsvm", "comments", "# all\r\n1 1:1 # one\r\n\r\n0 5:2 5:3\r\n");
    return failed;
}
