/* >>files: safetensors, checkpoints, C arrays, .npy, IDX, CSV, LIBSVM: round trips, and what can be wrong with a file.
   Reads tests/golden (made by tests/golden/make_files.py), so it runs in the repository's folder. Linked with
   files_no_stdio.c. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"
#include "memory.h"
#include "buffer.h"
#include "files.h"

#if defined(__unix__) || (defined(__APPLE__) && defined(__MACH__))
#define HAS_POSIX
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#define GOLDEN "tests/golden/"

/* ---- helpers ---- */

/* A path of this process's own in build/; the last four stay valid. */
static const char *temporary(const char *name)
{
    static char path[4][200];
    static int next;
    long id = 0;
#ifdef HAS_POSIX
    id = (long)getpid();
#endif
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "build/test_files.%ld.%s", id, name);
    return path[next];
}

static int exists(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f) fclose(f);
    return f != NULL;
}

static void read_file(const char *path, buffer *b)
{
    FILE *f = fopen(path, "rb");
    b->size = b->at = b->room = 0;
    if (!f) { printf("%s cannot be opened\n", path); test_failures++; return; }
    b->size = fread(b->bytes, 1, sizeof b->bytes, f);
    fclose(f);
}

static void write_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n) { printf("%s cannot be written\n", path); test_failures++; }
    if (f) fclose(f);
}

static void set_bytes(buffer *b, const void *data, size_t n)
{
    memcpy(b->bytes, data, n);
    b->size = n;
    b->at = b->room = 0;
}

static void set_text(buffer *b, const char *text) { set_bytes(b, text, strlen(text)); }

static const char *sentence(const badm_error *e)
{
    static char text[300];
    badm_error_text(e, text, sizeof text);
    return text;
}

/* fc1 3->4, fc2 4->2, and a buffer of rank 0: what tests/golden/torch.safetensors is of. */
static badm_model *golden_model(uint64_t seed)
{
    badm_dim none = 0;
    badm_model *m = badm_model_new(seed);
    badm_linear_new(m, "fc1", 3, 4);
    badm_linear_new_without_bias(m, "fc2", 4, 2);
    badm_buffer_new(m, "scalar", 0, &none, 0.5f);
    return m;
}

static void save(badm_model *m, buffer *b)
{
    badm_writer w = buffer_writer(b);
    CHECK_INT(badm_save_to(m, &w), BADM_OK);
}

static badm_result load(badm_model *m, buffer *b)
{
    badm_reader r = buffer_reader(b);
    return badm_load_from(m, &r);
}

static badm_trainer *small_trainer(badm_model *m, small_net *net)
{
    badm_trainer_desc d;
    badm_trainer *tr = NULL;
    small_desc(&d, m, net);
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    return tr;
}

static void checkpoint(badm_trainer *tr, buffer *b)
{
    badm_writer w = buffer_writer(b);
    CHECK_INT(badm_checkpoint_save_to(tr, &w), BADM_OK);
}

static badm_result resume(badm_trainer *tr, buffer *b)
{
    badm_reader r = buffer_reader(b);
    return badm_checkpoint_load_from(tr, &r);
}

/* A safetensors file of this header and n bytes of data, each 0x3e: floats of about .18. */
static void safetensors(buffer *b, const char *header, size_t n)
{
    size_t length = strlen(header), i;
    for (i = 0; i < 8; i++) b->bytes[i] = (unsigned char)(length >> 8 * i & 255);
    memcpy(b->bytes + 8, header, length);
    memset(b->bytes + 8 + length, 0x3e, n);
    b->size = 8 + length + n;
    b->at = b->room = 0;
}

/* ---- models ---- */

TEST(a_model_comes_back_with_the_same_bits)
{
    static buffer b;
    badm_model *a = golden_model(1), *c = golden_model(2);
    const char *path = temporary("model");
    CHECK(badm_model_hash(a) != badm_model_hash(c));
    save(a, &b);
    CHECK_INT(load(c, &b), BADM_OK);
    CHECK(badm_model_hash(a) == badm_model_hash(c));
    badm_model_free(c);
    c = golden_model(3);
    CHECK_INT(badm_save(a, path), BADM_OK);
    CHECK_INT(badm_load(c, path), BADM_OK);
    CHECK_TEXT(badm_model_error(c), "");
    CHECK(badm_model_hash(a) == badm_model_hash(c));
    remove(path);
    badm_model_free(a);
    badm_model_free(c);
}

TEST(a_saved_model_is_a_safetensors_file_with_aligned_data)
{
    static buffer b;
    badm_model *m = golden_model(1);
    const float *w = badm_param_values(badm_param_at(m, 0));
    static const char expected[] = "{\"__metadata__\":{\"format\":\"pt\",\"badm_version\":\"" BADM_VERSION_STRING "\"},"
        "\"fc1.weight\":{\"dtype\":\"F32\",\"shape\":[4,3],\"data_offsets\":[0,48]},"
        "\"fc1.bias\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[48,64]},"
        "\"fc2.weight\":{\"dtype\":\"F32\",\"shape\":[2,4],\"data_offsets\":[64,96]},"
        "\"scalar\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[96,100]}}";
    size_t length, i;
    uint32_t bits;
    save(m, &b);
    length = b.bytes[0] + 256u * b.bytes[1];
    CHECK_INT((8 + length) % 64, 0);
    CHECK_INT(b.size, 8 + length + 100);
    CHECK(memcmp(b.bytes + 8, expected, sizeof expected - 1) == 0);
    for (i = sizeof expected - 1; i < length; i++) CHECK_INT(b.bytes[8 + i], ' ');
    memcpy(&bits, w, 4);
    for (i = 0; i < 4; i++) CHECK_INT(b.bytes[8 + length + i], bits >> 8 * i & 255);
    badm_model_free(m);
}

TEST(a_file_of_another_writer_loads)
{
    badm_model *m = golden_model(1);
    size_t i, k;
    CHECK_INT(badm_load(m, GOLDEN "torch.safetensors"), BADM_OK);
    CHECK_TEXT(badm_model_error(m), "");
    for (i = 0; i < badm_param_count(m); i++) {
        badm_param p = badm_param_at(m, i);
        for (k = 0; k < badm_param_size(p); k++) CHECK_NEAR(badm_param_values(p)[k], ((double)k - 3) / 4, 0);
    }
    badm_model_free(m);
}

TEST(names_with_quotes_and_control_characters_come_back)
{
    static buffer b;
    badm_dim n = 1;
    int i;
    badm_model *m[2];
    for (i = 0; i < 2; i++) {
        m[i] = badm_model_new(1);
        badm_param_new(m[i], "a\"b\\c\n\x1f/\xc3\xa9", 1, &n, badm_init_constant((float)i));
        CHECK_INT(badm_model_result(m[i]), BADM_OK);
    }
    save(m[0], &b);
    CHECK_INT(load(m[1], &b), BADM_OK);
    CHECK(badm_model_hash(m[0]) == badm_model_hash(m[1]));
    badm_model_free(m[0]);
    badm_model_free(m[1]);
}

/* What a header may look like, for the model fc.weight [2,2], fc.bias [2]; n bytes of data follow. */
#define W "\"fc.weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}"
#define B "\"fc.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[16,24]}"
#define IGNORED(what) "\"badm.x\":{" what "}"

TEST(every_form_the_format_allows_is_accepted)
{
    static const struct { const char *header; size_t n; } good[] = {
        { "{" W "," B "}", 24 },
        { "{" B "," W "}", 24 },
        { "{" W "," B ",\"__metadata__\":{}}", 24 },
        { "{\"__metadata__\":{\"a\":\"\\b\\f\\n\\r\\t\\/\\\\\\u0041\\uD834\\udd1E\\u07ff\\uffff\", \"b\" : \"\"},"
          W "," B "}", 24 },
        { "{\r\n\t\"fc.weight\" : { \"shape\" : [ 2 , 2 ] , \"dtype\":\"F32\",\"data_offsets\":[0,16] } , "
          B " }  \n", 24 },
        { "{" W "," B "," IGNORED("\"dtype\":\"BF16\",\"shape\":[1,1,1,1,1,3],\"data_offsets\":[24,30]") "}", 30 },
        { "{" W "," B "," IGNORED("\"dtype\":\"F64\",\"shape\":[2000],\"data_offsets\":[24,16024]") "}", 16024 },
        { "{" W "," B "," IGNORED("\"dtype\":\"U8\",\"shape\":[0,5],\"data_offsets\":[16,16]") "}", 24 },
    };
    static buffer b;
    small_net net;
    badm_model *m = small_model(1, &net);
    size_t i;
    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        safetensors(&b, good[i].header, good[i].n);
        CHECK_INT(load(m, &b), BADM_OK);
        CHECK_TEXT(badm_model_error(m), "");
        CHECK_NEAR(badm_param_values(net.fc.bias)[1], 0.185784, 1e-6);
    }
    badm_model_free(m);
}

TEST(every_damaged_header_is_refused_with_a_reason)
{
#define NUMBERS(offsets) "{\"fc.weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":" offsets "}," B "}"
#define SHAPE(shape) "{\"fc.weight\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[0,16]}," B "}"
#define META(meta) "{\"__metadata__\":" meta "," W "," B "}"
    static const struct { const char *header; badm_result code; const char *reason; } bad[] = {
        { " {" W "," B "}", BADM_ERR_FORMAT, "no safetensors header, or a damaged one (byte 8)" },
        { "[" W "," B "]", BADM_ERR_FORMAT, "byte 8" },
        { "{" W "," B, BADM_ERR_FORMAT, "damaged one" },
        { "{" W "," B "}}", BADM_ERR_FORMAT, "damaged one" },
        { "{" W "," B ",}", BADM_ERR_FORMAT, "damaged one" },
        { "{" W " " B "}", BADM_ERR_FORMAT, "damaged one" },
        { "{" W "," B ",\"x\"}", BADM_ERR_FORMAT, "damaged one" },
        { "{" W "," B ",\"x\":1}", BADM_ERR_FORMAT, "damaged one" },
        { "{" W "," B ",\"x\":{}}", BADM_ERR_FORMAT, "damaged one" },
        { "{" W "," B ",\"x\":{\"dtype\":\"F32\",\"shape\":[0]}}", BADM_ERR_FORMAT, "damaged one" },
        { "{" W "," B ",\"x\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[0]}}", BADM_ERR_FORMAT, "damaged one" },
        { "{" W "," B ",\"x\":{\"dtype\":\"F32\",\"device\":\"cpu\"}}", BADM_ERR_FORMAT, "damaged one" },
        { "{" W "," B ",\"x\":{\"dtype\":32}}", BADM_ERR_FORMAT, "damaged one" },
        { "{" W "," B ",\"x\":{\"dtype\":\"F31\"}}", BADM_ERR_FORMAT, "tensor \"x\": unknown type" },
        { "{" W "," W "," B "}", BADM_ERR_FORMAT, "tensor \"fc.weight\": is there twice" },
        { "{" W "," B "," IGNORED("\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]") ","
          IGNORED("\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]") "}", BADM_ERR_FORMAT,
          "tensor \"badm.x\": is there twice" },
        { NUMBERS("[0,15]"), BADM_ERR_FORMAT, "tensor \"fc.weight\": its shape does not take bytes 0..15" },
        { NUMBERS("[16,0]"), BADM_ERR_FORMAT, "bytes 16..0" },
        { NUMBERS("[8,24]"), BADM_ERR_FORMAT,
          "tensor \"fc.weight\": begins at byte 8, but the tensor before ends at 0" },
        { NUMBERS("[1,17]"), BADM_ERR_FORMAT, "begins at byte 1" },
        { NUMBERS("[24,40]"), BADM_ERR_FORMAT, "tensor \"fc.bias\": begins at byte 16" },
        { NUMBERS("[00,16]"), BADM_ERR_FORMAT, "damaged one" },
        { NUMBERS("[-0,16]"), BADM_ERR_FORMAT, "damaged one" },
        { NUMBERS("[0,16.0]"), BADM_ERR_FORMAT, "damaged one" },
        { NUMBERS("[0 16]"), BADM_ERR_FORMAT, "damaged one" },
        { NUMBERS("[0,16,0]"), BADM_ERR_FORMAT, "damaged one" },
        { NUMBERS("0,16"), BADM_ERR_FORMAT, "damaged one" },
        { NUMBERS("[0,18446744073709551616]"), BADM_ERR_FORMAT, "damaged one" },
        { NUMBERS("[18446744073709551600,18446744073709551615]"), BADM_ERR_FORMAT, "does not take bytes" },
        { SHAPE("[2,2"), BADM_ERR_FORMAT, "damaged one" },
        { SHAPE("[2,]"), BADM_ERR_FORMAT, "damaged one" },
        { SHAPE("2"), BADM_ERR_FORMAT, "damaged one" },
        { SHAPE("[4294967296,4294967296]"), BADM_ERR_FORMAT, "does not take bytes" },
        { SHAPE("[4611686018427387908]"), BADM_ERR_FORMAT, "does not take bytes" },     /* 2^62 + 4: times 4 it is 16 */
        { SHAPE("[4]"), BADM_ERR_MODEL, "tensor \"fc.weight\": is [4] in the file, [2,2] in the model" },
        { SHAPE("[4,1]"), BADM_ERR_MODEL, "is [4,1] in the file" },
        { SHAPE("[2,2,1]"), BADM_ERR_MODEL, "is [2,2,1] in the file" },
        { SHAPE("[1,1,1,1,4]"), BADM_ERR_MODEL, "another shape than the model's [2,2]" },
        { META("\"a\""), BADM_ERR_FORMAT, "damaged one" },
        { META("{\"a\":1}"), BADM_ERR_FORMAT, "damaged one" },
        { META("{\"a\"}"), BADM_ERR_FORMAT, "damaged one" },
        { META("{\"a\":\"b\",}"), BADM_ERR_FORMAT, "damaged one" },
        { META("{},\"__metadata__\":{}"), BADM_ERR_FORMAT, "damaged one" },
        { META("{\"a\":\"\\x\"}"), BADM_ERR_FORMAT, "damaged one" },
        { META("{\"a\":\"\n\"}"), BADM_ERR_FORMAT, "damaged one" },
        { META("{\"a\":\"\\u12g4\"}"), BADM_ERR_FORMAT, "damaged one" },
        { META("{\"a\":\"\\udc00\"}"), BADM_ERR_FORMAT, "damaged one" },
        { META("{\"a\":\"\\ud800x\"}"), BADM_ERR_FORMAT, "damaged one" },
        { META("{\"a\":\"\\ud800\\u0041\"}"), BADM_ERR_FORMAT, "damaged one" },
        { META("{\"a\":\"\\ud800\\n\"}"), BADM_ERR_FORMAT, "damaged one" },
        { "{\"a", BADM_ERR_FORMAT, "damaged one" },
        { "{\"a\\", BADM_ERR_FORMAT, "damaged one" },
        { "{\"a\\u12", BADM_ERR_FORMAT, "damaged one" },
        { "{\"a\\ud800\\u", BADM_ERR_FORMAT, "damaged one" },
        { "{}", BADM_ERR_MODEL, "tensor \"fc.weight\": is missing in the file" },
        { "{" W "}", BADM_ERR_MODEL, "tensor \"fc.bias\": is missing" },
        { "{" W "," B ",\"fc.x\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}", BADM_ERR_MODEL,
          "tensor \"fc.x\": the model has none of this name" },
        { "{\"fc.weight\":{\"dtype\":\"F16\",\"shape\":[2,4],\"data_offsets\":[0,16]}," B "}", BADM_ERR_MODEL,
          "tensor \"fc.weight\": is not of type F32" },
    };
    static buffer b;
    small_net net;
    badm_model *m = small_model(1, &net);
    uint64_t before = badm_model_hash(m);
    size_t i;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        safetensors(&b, bad[i].header, 24);
        CHECK_INT(load(m, &b), bad[i].code);
        CHECK_TEXT(badm_model_error(m), bad[i].reason);
        CHECK_TEXT(badm_model_error(m), "badm_load_from: ");
        CHECK(badm_model_hash(m) == before);
    }
    badm_model_free(m);
}

TEST(a_header_longer_than_any_model_needs_is_refused_unread)
{
    static buffer b;
    small_net net;
    badm_model *m = small_model(1, &net);
    set_bytes(&b, "\0\0\0\1\0\0\0\0xxxx", 12);
    CHECK_INT(load(m, &b), BADM_ERR_FORMAT);
    CHECK_TEXT(badm_model_error(m), "ends early, after 12 bytes");
    set_bytes(&b, "\1\0\0\1\0\0\0\0xxxx", 12);
    CHECK_INT(load(m, &b), BADM_ERR_FORMAT);
    CHECK_TEXT(badm_model_error(m), "no safetensors file: a header of 16777217 bytes");
    CHECK_INT(b.at, 8);
    set_bytes(&b, "\1\0\0\0\0\0\0\0{", 9);
    CHECK_INT(load(m, &b), BADM_ERR_FORMAT);
    CHECK_TEXT(badm_model_error(m), "a header of 1 bytes");
    badm_model_free(m);
}

TEST(many_tensors_are_sorted_whatever_their_order)
{
    enum { N = 200 };
    static buffer b;
    static char header[30000];
    badm_model *m = badm_model_new(1);
    badm_dim n = 1;
    char name[16];
    int i, order;
    for (i = 0; i < N; i++) {
        sprintf(name, "t%d", i);
        badm_param_new(m, name, 1, &n, badm_init_constant(0));
    }
    for (order = 0; order < 3; order++) {       /* rising, falling, mixed */
        size_t at = 0;
        for (i = 0; i < N; i++) {
            int k = order == 0 ? i : order == 1 ? N - 1 - i : i * 77 % N;
            at += (size_t)sprintf(header + at, "%c\"t%d\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[%d,%d]}",
                                  i ? ',' : '{', i, 4 * k, 4 * k + 4);
        }
        sprintf(header + at, "}");
        safetensors(&b, header, 4 * N);
        for (i = 0; i < N; i++) b.bytes[b.size - 4 * N + 4 * (size_t)i] = (unsigned char)i;     /* its lowest byte */
        CHECK_INT(load(m, &b), BADM_OK);
        for (i = 0; i < N; i++) {
            int k = order == 0 ? i : order == 1 ? N - 1 - i : i * 77 % N;
            uint32_t bits;
            memcpy(&bits, badm_param_values(badm_param_at(m, (size_t)i)), 4);
            CHECK_INT(bits & 255, k);
        }
    }
    badm_model_free(m);
}

TEST(a_value_that_is_not_finite_is_neither_saved_nor_loaded)
{
    static buffer b;
    small_net net;
    badm_model *m = small_model(1, &net);
    badm_writer w;
    uint64_t before = badm_model_hash(m);
    save(m, &b);
    b.bytes[b.size - 1] = 0x7f;
    b.bytes[b.size - 2] = 0x80;
    CHECK_INT(load(m, &b), BADM_ERR_NONFINITE);
    CHECK_TEXT(badm_model_error(m), "tensor \"fc.bias\": value 1 is infinite or not a number");
    CHECK(badm_model_hash(m) == before);
    badm_param_data(net.fc.weight)[3] = HUGE_VALF;
    w = buffer_writer(&b);
    CHECK_INT(badm_save_to(m, &w), BADM_ERR_NONFINITE);
    CHECK_TEXT(badm_model_error(m), "badm_save_to: tensor \"fc.weight\": value 3 is infinite or not a number; nothing");
    CHECK_INT(b.size, 0);
    CHECK_INT(badm_save_c_to(m, "w", &w), BADM_ERR_NONFINITE);
    CHECK_INT(b.size, 0);
    badm_model_free(m);
}

TEST(a_mapped_parameter_is_saved_but_not_loaded_into)
{
    static const float values[6] = { 1, 2, 3, 4, 5, 6 };
    static buffer b;
    badm_model *mapped = badm_model_new(1), *copy;
    small_net net;
    badm_model_map(mapped, values, 6);
    badm_linear_new(mapped, "fc", 2, 2);
    copy = small_model(1, &net);
    save(mapped, &b);
    CHECK_INT(load(copy, &b), BADM_OK);
    CHECK_NEAR(badm_param_values(net.fc.bias)[1], 6, 0);
    CHECK_INT(load(mapped, &b), BADM_ERR_STATE);
    CHECK_TEXT(badm_model_error(mapped), "tensor \"fc.weight\": is mapped to an array that cannot be written");
    badm_model_free(mapped);
    badm_model_free(copy);
}

TEST(a_model_with_an_error_is_neither_saved_nor_loaded_and_keeps_its_sentence)
{
    static buffer b;
    small_net net;
    badm_model *m = small_model(1, &net);
    badm_writer w = buffer_writer(&b);
    badm_reader r = buffer_reader(&b);
    badm_linear_new(m, "fc", 2, 2);                 /* the name is used already */
    CHECK_INT(badm_save_to(m, &w), BADM_ERR_STATE);
    CHECK_INT(badm_load_from(m, &r), BADM_ERR_STATE);
    CHECK_INT(badm_save(m, temporary("unsaved")), BADM_ERR_STATE);
    CHECK_INT(badm_load(m, temporary("unsaved")), BADM_ERR_STATE);
    CHECK_INT(badm_save_c(m, "w", temporary("unsaved")), BADM_ERR_STATE);
    CHECK_INT(badm_save_c_to(m, "w", &w), BADM_ERR_STATE);
    CHECK_TEXT(badm_model_error(m), "fc.weight");
    CHECK_INT(b.size, 0);
    badm_model_free(m);
}

TEST(a_failed_load_does_not_stick)
{
    static buffer b;
    small_net net;
    badm_model *m = small_model(1, &net);
    CHECK_INT(badm_load(m, temporary("missing")), BADM_ERR_FILE);
    CHECK_INT(badm_model_result(m), BADM_OK);
    save(m, &b);
    CHECK_TEXT(badm_model_error(m), "");
    CHECK_INT(strlen(badm_model_error(m)), 0);
    CHECK_INT(load(m, &b), BADM_OK);
    badm_model_free(m);
}

/* ---- checkpoints ---- */

TEST(going_on_from_a_checkpoint_gives_the_bits_of_never_having_stopped)
{
    static buffer b;
    int form, metric, middle;
    for (form = 0; form < 2; form++)
        for (metric = BADM_PLAIN; metric <= BADM_DIAGONAL; metric++)
            for (middle = 0; middle < 2; middle++) {
                small_net net[2];
                badm_model *m[2];
                badm_trainer *tr[2];
                badm_trainer_desc d;
                int i;
                for (i = 0; i < 2; i++) {
                    m[i] = small_model(1 + (uint64_t)i, &net[i]);
                    small_desc(&d, m[i], &net[i]);
                    d.form = (badm_form)form;
                    d.metric = (badm_metric)metric;
                    d.workers = (uint32_t)(1 + i);
                    CHECK_INT(badm_trainer_new(&tr[i], &d), BADM_OK);
                }
                for (i = 0; i < 3; i++) CHECK_INT(badm_step(tr[0], NULL, 4, NULL), BADM_OK);
                if (middle) CHECK_INT(badm_epoch(tr[0], 6, 4, NULL, NULL), BADM_OK);
                checkpoint(tr[0], &b);
                CHECK_INT(resume(tr[1], &b), BADM_OK);
                CHECK_TEXT(badm_trainer_error(tr[1]), "");
                CHECK_INT(badm_trainer_step(tr[1]), badm_trainer_step(tr[0]));
                CHECK_INT(badm_trainer_epoch(tr[1]), badm_trainer_epoch(tr[0]));
                CHECK(badm_model_hash(m[0]) == badm_model_hash(m[1]));
                for (i = 0; i < 2; i++) {
                    CHECK_INT(badm_step(tr[i], NULL, 4, NULL), BADM_OK);
                    CHECK_INT(badm_epoch(tr[i], 8, 4, NULL, NULL), BADM_OK);
                }
                CHECK(badm_model_hash(m[0]) == badm_model_hash(m[1]));
                for (i = 0; i < 2; i++) { badm_trainer_free(tr[i]); badm_model_free(m[i]); }
            }
}

TEST(a_checkpoint_goes_through_a_path_and_loads_as_a_model)
{
    const char *path = temporary("checkpoint");
    small_net net[2];
    badm_model *m[2];
    badm_trainer *tr;
    m[0] = small_model(1, &net[0]);
    m[1] = small_model(2, &net[1]);
    tr = small_trainer(m[0], &net[0]);
    CHECK_INT(badm_step(tr, NULL, 4, NULL), BADM_OK);
    CHECK_INT(badm_checkpoint_save(tr, path), BADM_OK);
    CHECK_INT(badm_step(tr, NULL, 4, NULL), BADM_OK);
    CHECK_INT(badm_checkpoint_load(tr, path), BADM_OK);
    CHECK_INT(badm_trainer_step(tr), 1);
    CHECK_INT(badm_load(m[1], path), BADM_OK);
    CHECK(badm_model_hash(m[0]) == badm_model_hash(m[1]));
    CHECK_INT(badm_checkpoint_load(tr, temporary("missing")), BADM_ERR_FILE);
    CHECK_TEXT(badm_trainer_error(tr), "badm_checkpoint_load: ");
    CHECK_TEXT(badm_trainer_error(tr), "no such file");
    badm_trainer_free(tr);
    remove(path);
    badm_model_free(m[0]);
    badm_model_free(m[1]);
}

TEST(a_checkpoint_of_another_trainer_is_refused_by_what_differs)
{
    static const char *const differs[] = { "method 0, the trainer 6", "form 0, the trainer 1",
        "metric 0, the trainer 1", "sub_batches 2, the trainer 3", "seed 0, the trainer 7",
        "seed (high half) 0, the trainer 1", "micro_batch 0, the trainer 1" };
    static buffer b;
    small_net net;
    badm_model *m = small_model(1, &net);
    badm_trainer *tr = small_trainer(m, &net);
    badm_trainer_desc d;
    size_t i;
    CHECK_INT(badm_step(tr, NULL, 4, NULL), BADM_OK);
    checkpoint(tr, &b);
    badm_trainer_free(tr);
    for (i = 0; i < sizeof differs / sizeof differs[0]; i++) {
        uint64_t before = badm_model_hash(m);
        small_desc(&d, m, &net);
        if (i == 0) d.method = badm_method_adam();
        if (i == 1) d.form = BADM_PER_SLOT;
        if (i == 2) d.metric = BADM_DIAGONAL;
        if (i == 3) d.sub_batches = 3;
        if (i == 4) d.seed = 7;
        if (i == 5) d.seed = (uint64_t)1 << 32;
        if (i == 6) d.micro_batch = 1;
        CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
        CHECK_INT(resume(tr, &b), BADM_ERR_MODEL);
        CHECK_TEXT(badm_trainer_error(tr), differs[i]);
        CHECK_INT(badm_trainer_step(tr), 0);
        CHECK(badm_model_hash(m) == before);
        badm_trainer_free(tr);
    }
    badm_model_free(m);
}

TEST(a_model_file_is_no_checkpoint)
{
    static buffer b;
    small_net net;
    badm_model *m = small_model(1, &net);
    badm_trainer *tr = small_trainer(m, &net);
    save(m, &b);
    CHECK_INT(resume(tr, &b), BADM_ERR_MODEL);
    CHECK_TEXT(badm_trainer_error(tr), "tensor \"badm.settings\": is missing in the file");
    badm_trainer_free(tr);
    badm_model_free(m);
}

TEST(a_trainer_whose_model_was_frozen_later_is_not_saved)
{
    static buffer b;
    small_net net;
    badm_model *m = small_model(1, &net);
    badm_trainer *tr = small_trainer(m, &net);
    badm_writer w = buffer_writer(&b);
    badm_reader r = buffer_reader(&b);
    badm_set_frozen(m, "fc.bias", 1);
    CHECK_INT(badm_checkpoint_save_to(tr, &w), BADM_ERR_STATE);
    CHECK_INT(badm_checkpoint_load_from(tr, &r), BADM_ERR_STATE);
    CHECK_INT(badm_checkpoint_save(tr, temporary("unsaved")), BADM_ERR_STATE);
    CHECK_INT(badm_checkpoint_load(tr, temporary("unsaved")), BADM_ERR_STATE);
    CHECK_TEXT(badm_trainer_error(tr), "after the trainer was made");
    badm_trainer_free(tr);
    badm_model_free(m);
}

TEST(frozen_parameters_have_no_state_in_a_checkpoint)
{
    static buffer b;
    small_net net;
    badm_model *m = small_model(1, &net);
    badm_trainer *tr;
    badm_set_frozen(m, "fc.bias", 1);
    tr = small_trainer(m, &net);
    checkpoint(tr, &b);
    b.bytes[b.bytes[0] + 256u * b.bytes[1] + 8] = 0;        /* the header as a string */
    CHECK_TEXT((const char *)b.bytes + 8, "\"badm.m.fc.weight\"");
    CHECK(!strstr((const char *)b.bytes + 8, "\"badm.m.fc.bias\""));
    badm_trainer_free(tr);
    badm_model_free(m);
}

/* ---- damage: every truncation and every change of one byte ---- */

typedef badm_result (*load_fn)(buffer *b, void *user);

static badm_result load_npy(buffer *b, void *user)
{
    badm_array a;
    badm_error e;
    badm_reader r = buffer_reader(b);
    badm_result code = badm_npy_load_from(&a, &r, NULL, &e);
    (void)user;
    CHECK((a.data != NULL) == (code == BADM_OK));
    CHECK((strlen(sentence(&e)) > 20) == (code != BADM_OK));
    badm_array_free(&a);
    return code;
}

static badm_result load_idx(buffer *b, void *user)
{
    badm_array a;
    badm_error e;
    badm_reader r = buffer_reader(b);
    badm_result code = badm_idx_load_from(&a, &r, NULL, &e);
    (void)user;
    CHECK((a.data != NULL) == (code == BADM_OK));
    CHECK((strlen(sentence(&e)) > 20) == (code != BADM_OK));
    badm_array_free(&a);
    return code;
}

/* Refused: with a sentence, and the model is as it was. Accepted: its values are finite. */
static badm_result load_model(buffer *b, void *user)
{
    badm_model *m = (badm_model *)user;
    uint64_t before = badm_model_hash(m);
    badm_result code = load(m, b);
    CHECK((strlen(badm_model_error(m)) > 20) == (code != BADM_OK));
    if (code != BADM_OK) CHECK(badm_model_hash(m) == before);
    CHECK(model_is_finite(m));
    return code;
}

/* The same, and training goes on with what was accepted without a crash. */
static badm_result load_checkpoint(buffer *b, void *user)
{
    badm_trainer *tr = (badm_trainer *)user;
    badm_model *m = badm_trainer_model(tr);
    uint64_t before = badm_model_hash(m), step = badm_trainer_step(tr);
    badm_result code = resume(tr, b);
    CHECK((strlen(badm_trainer_error(tr)) > 20) == (code != BADM_OK));
    if (code != BADM_OK) {
        CHECK(badm_model_hash(m) == before);
        CHECK_INT(badm_trainer_step(tr), step);
    }
    CHECK(model_is_finite(m));
    if (code == BADM_OK) badm_epoch(tr, 8, 4, NULL, NULL);  /* whatever comes of a multiplier of 1e38 */
    return code;
}

static void every_damage(const buffer *whole, load_fn read, void *user)
{
    static buffer b;
    size_t n, i;
    unsigned change;
    for (n = 0; n < whole->size; n++) {
        set_bytes(&b, whole->bytes, n);
        CHECK(read(&b, user) != BADM_OK);
    }
    set_bytes(&b, whole->bytes, whole->size);
    b.bytes[b.size++] = 0;
    CHECK(read(&b, user) != BADM_OK);
    for (i = 0; i < whole->size; i++)
        for (change = 1; change < 256; change++) {
            set_bytes(&b, whole->bytes, whole->size);
            b.bytes[i] = (unsigned char)(b.bytes[i] ^ change);
            read(&b, user);
        }
    set_bytes(&b, whole->bytes, whole->size);
    CHECK_INT(read(&b, user), BADM_OK);
}

TEST(damaged_models_are_refused_or_harmless)
{
    static buffer b;
    small_net net;
    badm_model *m = small_model(1, &net);
    save(m, &b);
    every_damage(&b, load_model, m);
    badm_model_free(m);
}

TEST(damaged_checkpoints_are_refused_or_harmless)
{
    static buffer b;
    small_net net;
    badm_model *m = small_model(1, &net);
    badm_trainer *tr = small_trainer(m, &net);
    CHECK_INT(badm_step(tr, NULL, 4, NULL), BADM_OK);
    checkpoint(tr, &b);
    every_damage(&b, load_checkpoint, tr);
    badm_trainer_free(tr);
    badm_model_free(m);
}

TEST(damaged_npy_files_are_refused_or_harmless)
{
    static buffer b;
    read_file(GOLDEN "f4.npy", &b);
    every_damage(&b, load_npy, NULL);
    read_file(GOLDEN "i8.npy", &b);
    every_damage(&b, load_npy, NULL);
}

TEST(damaged_idx_files_are_refused_or_harmless)
{
    static buffer b;
    read_file(GOLDEN "idx08", &b);
    every_damage(&b, load_idx, NULL);
    read_file(GOLDEN "idx0e", &b);
    every_damage(&b, load_idx, NULL);
}

/* ---- what fails outside: disks, readers, memory ---- */

TEST(a_writer_failing_at_any_byte_is_an_error)
{
    static buffer b;
    static const float values[6] = { 1, 2, 3, 4, 5, 6 };
    badm_dim shape[2] = { 2, 3 };
    small_net net;
    badm_model *m = small_model(1, &net);
    badm_trainer *tr = small_trainer(m, &net);
    badm_error e;
    int what;
    for (what = 0; what < 4; what++) {
        size_t whole = 0, room;
        for (room = 0; room == 0 || room < whole; room++) {
            badm_writer w = buffer_writer(&b);
            badm_result code = BADM_OK;
            const char *text = "";
            b.room = room;                          /* 0: none, to learn the length */
            if (what == 0) { code = badm_save_to(m, &w); text = badm_model_error(m); }
            if (what == 1) { code = badm_checkpoint_save_to(tr, &w); text = badm_trainer_error(tr); }
            if (what == 2) { code = badm_save_c_to(m, "w", &w); text = badm_model_error(m); }
            if (what == 3) { code = badm_npy_save_to(values, 2, shape, &w, &e); text = sentence(&e); }
            CHECK_INT(code, room ? BADM_ERR_FILE : BADM_OK);
            if (room) CHECK_TEXT(text, "cannot be written after byte ");
            else whole = b.size;
        }
    }
    badm_trainer_free(tr);
    badm_model_free(m);
}

TEST(a_full_disk_is_an_error)
{
    static const float values[1] = { 1 };
    badm_dim shape[1] = { 1 };
    FILE *f = fopen("/dev/full", "wb");
    small_net net;
    badm_model *m;
    badm_trainer *tr;
    badm_error e;
    if (!f) SKIP("there is no /dev/full");
    fclose(f);
    m = small_model(1, &net);
    tr = small_trainer(m, &net);
    CHECK_INT(badm_save(m, "/dev/full"), BADM_ERR_FILE);
    CHECK_TEXT(badm_model_error(m), "badm_save: full: the disk is full");
    CHECK_INT(badm_save_c(m, "w", "/dev/full"), BADM_ERR_FILE);
    CHECK_INT(badm_checkpoint_save(tr, "/dev/full"), BADM_ERR_FILE);
    CHECK_TEXT(badm_trainer_error(tr), "the disk is full");
    CHECK_INT(badm_npy_save(values, 1, shape, "/dev/full", &e), BADM_ERR_FILE);
    CHECK_TEXT(sentence(&e), "the disk is full");
    f = fopen("/dev/full", "wb");                   /* it is still the device, not a file renamed over it */
    CHECK(f && fputc('x', f) != EOF && fclose(f) == EOF);
    badm_trainer_free(tr);
    badm_model_free(m);
}

TEST(a_failed_save_leaves_the_old_file_and_no_other)
{
#ifdef HAS_POSIX
    static buffer old, b;
    const char *path = temporary("kept"), *left = temporary("kept.tmp000");
    struct rlimit limit, small;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    badm_model *a = golden_model(1), *c = golden_model(2);
    CHECK_INT(badm_save(a, path), BADM_OK);
    CHECK(!exists(left));
    read_file(path, &old);
    CHECK_INT(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = 100;                           /* bytes a file may have */
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &small), 0);
    CHECK_INT(badm_save(c, path), BADM_ERR_FILE);
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
    signal(SIGXFSZ, handler);
    CHECK_TEXT(badm_model_error(c), "kept: cannot be written after byte ");
    CHECK(!exists(left));
    read_file(path, &b);
    CHECK(b.size == old.size && memcmp(b.bytes, old.bytes, b.size) == 0);
    badm_param_data(badm_param_at(c, 0))[0] = HUGE_VALF;    /* refused before a byte is written */
    CHECK_INT(badm_save(c, path), BADM_ERR_NONFINITE);
    CHECK(!exists(left));
    read_file(path, &b);
    CHECK(b.size == old.size && memcmp(b.bytes, old.bytes, b.size) == 0);
    remove(path);
    badm_model_free(a);
    badm_model_free(c);
#else
    SKIP("needs setrlimit");
#endif
}

TEST(a_leftover_of_a_crash_does_not_stop_saving)
{
#ifdef HAS_POSIX
    const char *path = temporary("again"), *left = temporary("again.tmp000");
    badm_model *m = golden_model(1);
    write_file(left, "half", 4);
    CHECK_INT(badm_save(m, path), BADM_OK);
    CHECK(exists(path));
    CHECK(exists(left));                            /* it may be another process's, at work */
    CHECK(!exists(temporary("again.tmp001")));
    CHECK_INT(badm_load(m, path), BADM_OK);
    remove(path);
    remove(left);
    badm_model_free(m);
#else
    SKIP("needs exclusive creation");
#endif
}

TEST(a_private_file_stays_private_when_it_is_replaced)
{
#ifdef HAS_POSIX
    const char *path = temporary("private");
    struct stat st;
    badm_model *m = golden_model(1);
    write_file(path, "old", 3);
    CHECK_INT(chmod(path, 0600), 0);
    CHECK_INT(badm_save(m, path), BADM_OK);
    CHECK_INT(stat(path, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0600);
    remove(path);
    badm_model_free(m);
#else
    SKIP("needs POSIX");
#endif
}

TEST(paths_that_cannot_be_used_are_named)
{
    static const float values[1] = { 1 };
    static buffer b;
    badm_dim shape[1] = { 1 };
    badm_array x, y;
    badm_error e;
    small_net net;
    badm_model *m = small_model(1, &net);
    CHECK_INT(badm_load(m, "tests/golden/no_such.safetensors"), BADM_ERR_FILE);
    CHECK_TEXT(badm_model_error(m), "badm_load: no_such.safetensors: no such file or folder");
    CHECK_INT(badm_save(m, "tests/no_such_folder/x"), BADM_ERR_FILE);
    CHECK_TEXT(badm_model_error(m), "badm_save: x: no such file or folder");
    CHECK_INT(badm_npy_load(&x, "no_such", NULL, &e), BADM_ERR_FILE);
    CHECK_TEXT(sentence(&e), "badm_npy_load: no_such: no such file");
    CHECK_INT(badm_idx_load(&x, "no_such", NULL, &e), BADM_ERR_FILE);
    CHECK_INT(badm_csv_load(&x, "no_such", NULL, &e), BADM_ERR_FILE);
    CHECK_INT(badm_libsvm_load(&x, &y, 0, "no_such", NULL, &e), BADM_ERR_FILE);
    CHECK_TEXT(sentence(&e), "badm_libsvm_load: no_such: no such file");
    CHECK_INT(badm_npy_save(values, 1, shape, "tests/no_such_folder/x", NULL), BADM_ERR_FILE);
    set_text(&b, "1\n");
    CHECK_INT(badm_load(m, "tests/golden/torch.safetensors"), BADM_ERR_MODEL);
    CHECK_TEXT(badm_model_error(m), "badm_load: torch.safetensors: tensor \"fc2.weight\": the model has none of this");
#ifdef HAS_POSIX
    CHECK_INT(badm_load(m, "tests/golden"), BADM_ERR_FILE);
    CHECK_TEXT(badm_model_error(m), "badm_load: golden: is a folder");
    CHECK_INT(badm_csv_load(&x, "tests/golden", NULL, &e), BADM_ERR_FILE);
    CHECK_TEXT(sentence(&e), "badm_csv_load: golden: is a folder");
    CHECK_INT(badm_save(m, "tests/golden"), BADM_ERR_FILE);
    CHECK_TEXT(badm_model_error(m), "is a folder");
#endif
    badm_model_free(m);
}

TEST(a_name_too_long_for_an_error_is_cut_not_lost)
{
    static buffer b;
    badm_dim n = 1;
    char name[121];
    badm_model *m = badm_model_new(1);
    memset(name, 'n', 120);
    name[120] = 0;
    badm_param_new(m, name, 1, &n, badm_init_constant(1));
    safetensors(&b, "{}", 0);
    write_file(temporary("empty"), b.bytes, b.size);
    CHECK_INT(badm_load(m, temporary("empty")), BADM_ERR_MODEL);
    CHECK_TEXT(badm_model_error(m), "badm_load: tensor \"nnnnnnnn");
    CHECK_TEXT(badm_model_error(m), "nnn\": is missing in the file");
    remove(temporary("empty"));
    memset(name, 'f', 120);
    CHECK_INT(badm_load(m, name), BADM_ERR_FILE);
    CHECK_TEXT(badm_model_error(m), "badm_load: fffffff");
    CHECK_TEXT(badm_model_error(m), "fff: no such file");
    badm_model_free(m);
}

static size_t boasting_read(void *buf, size_t bytes, void *user)
{
    (void)buf; (void)user;
    return bytes + 1;
}

TEST(a_reader_that_returns_more_than_asked_is_an_error)
{
    small_net net;
    badm_model *m = small_model(1, &net);
    badm_array a;
    badm_error e;
    badm_reader r;
    r.read = boasting_read;
    r.user = NULL;
    CHECK_INT(badm_load_from(m, &r), BADM_ERR_FILE);
    CHECK_TEXT(badm_model_error(m), "cannot be read after byte 0");
    CHECK_INT(badm_csv_load_from(&a, &r, NULL, &e), BADM_ERR_FILE);
    CHECK_TEXT(sentence(&e), "cannot be read after byte 0");
    badm_model_free(m);
}

int files_no_stdio(char *saving, char *reading, size_t n);

TEST(without_stdio_paths_are_refused_and_callbacks_work)
{
    char saving[200], reading[200];
    CHECK_INT(files_no_stdio(saving, reading, sizeof saving), 0);
    CHECK_TEXT(saving, "badm_save: BADM_NO_STDIO leaves file names out: use a writer");
    CHECK_TEXT(reading, "badm_npy_load: BADM_NO_STDIO leaves file names out: use a reader");
}

/* What is done with memory failing at the k-th call; returns the result. */
typedef badm_result (*memory_fn)(badm_memory *mem, buffer *b, badm_error *e);

static badm_result memory_npy(badm_memory *mem, buffer *b, badm_error *e)
{
    badm_array a;
    badm_reader r = buffer_reader(b);
    badm_result code = badm_npy_load_from(&a, &r, mem, e);
    badm_array_free(&a);
    return code;
}

static badm_result memory_idx(badm_memory *mem, buffer *b, badm_error *e)
{
    badm_array a;
    badm_reader r = buffer_reader(b);
    badm_result code = badm_idx_load_from(&a, &r, mem, e);
    badm_array_free(&a);
    return code;
}

static badm_result memory_csv(badm_memory *mem, buffer *b, badm_error *e)
{
    badm_array a;
    badm_reader r = buffer_reader(b);
    badm_result code = badm_csv_load_from(&a, &r, mem, e);
    badm_array_free(&a);
    return code;
}

static badm_result memory_libsvm(badm_memory *mem, buffer *b, badm_error *e)
{
    badm_array x, y;
    badm_reader r = buffer_reader(b);
    badm_result code = badm_libsvm_load_from(&x, &y, 0, &r, mem, e);
    CHECK((x.data != NULL) == (code == BADM_OK) && (y.data != NULL) == (code == BADM_OK));
    badm_array_free(&x);
    badm_array_free(&y);
    return code;
}

static long every_memory_failure(memory_fn f, buffer *b)
{
    test_heap heap;
    badm_memory mem = test_heap_memory(&heap);
    badm_error e;
    long calls, k;
    CHECK_INT(f(&mem, b, &e), BADM_OK);
    CHECK_INT(heap.live, 0);
    calls = heap.calls;
    for (k = 1; k <= calls; k++) {
        mem = test_heap_memory(&heap);
        heap.fail_at = k;
        CHECK_INT(f(&mem, b, &e), BADM_ERR_MEMORY);
        CHECK_TEXT(sentence(&e), "no memory for ");
        CHECK_INT(heap.live, 0);
    }
    return calls;
}

TEST(memory_that_ends_at_any_call_loses_nothing_when_data_are_read)
{
    static buffer b;
    int i;
    read_file(GOLDEN "f4.npy", &b);
    CHECK(every_memory_failure(memory_npy, &b) >= 2);
    read_file(GOLDEN "idx0d", &b);
    CHECK(every_memory_failure(memory_idx, &b) >= 1);
    for (b.size = 0, i = 0; i < 100; i++) b.size += (size_t)sprintf((char *)b.bytes + b.size, "%d,%d\n", i, -i);
    CHECK(every_memory_failure(memory_csv, &b) >= 3);
    for (b.size = 0, i = 0; i < 100; i++)
        b.size += (size_t)sprintf((char *)b.bytes + b.size, "%d %d:1 9:2\n", i, 1 + i % 8);
    CHECK(every_memory_failure(memory_libsvm, &b) >= 5);
}

TEST(memory_that_ends_at_any_call_loses_nothing_when_models_are_read_or_written)
{
    static buffer b, c;
    test_heap heap;
    badm_memory mem = test_heap_memory(&heap);
    badm_model *m = badm_model_new_in(&mem, 1);
    badm_trainer_desc d;
    badm_trainer *tr = NULL;
    small_net net;
    long live, k;
    int what;
    net.fc = badm_linear_new(m, "fc", 2, 2);
    small_desc(&d, m, &net);
    d.memory = &mem;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    save(m, &b);
    checkpoint(tr, &c);
    live = heap.live;
    for (what = 0; what < 4; what++, remove(temporary("memory")))
        for (k = 1; ; k++) {
            uint64_t before = badm_model_hash(m);
            badm_result code = BADM_OK;
            heap.calls = 0;
            heap.fail_at = k;
            if (what == 0) code = load(m, &b);
            if (what == 1) code = resume(tr, &c);
            if (what == 2) code = badm_save(m, temporary("memory"));
            if (what == 3) code = badm_checkpoint_save(tr, temporary("memory"));
            CHECK_INT(heap.live, live);
            if (heap.calls < k) { CHECK_INT(code, BADM_OK); break; }
            CHECK_INT(code, BADM_ERR_MEMORY);
            CHECK_TEXT(what % 2 ? badm_trainer_error(tr) : badm_model_error(m), "no memory for ");
            CHECK(badm_model_hash(m) == before);
            if (what > 1) CHECK(!exists(temporary("memory")));
        }
    heap.fail_at = 0;
    badm_trainer_free(tr);
    badm_model_free(m);
    CHECK_INT(heap.live, 0);
}

/* ---- weights as C ---- */

TEST(weights_as_c_source_come_back_with_the_same_bits)
{
    static buffer b;
    small_net net;
    badm_model *m = small_model(1, &net);
    badm_writer w = buffer_writer(&b);
    static const char beginning[] = "/* Weights for badm_model_map(), written by badm.h " BADM_VERSION_STRING ". */\n"
        "enum { digits_count = 6 };\nstatic const float digits_weights[6] = {\n    -0.0f, ";
    const char *text;
    char *end;
    uint32_t odd[6] = { 0x80000000u, 1, 0x00800000u, 0x7f7fffffu, 0x3dcccccdu, 0xff7fffffu }, bits;
    size_t i;
    memcpy(badm_param_data(net.fc.weight), odd, 16);
    memcpy(badm_param_data(net.fc.bias), odd + 4, 8);
    CHECK_INT(badm_save_c_to(m, "digits", &w), BADM_OK);
    b.bytes[b.size] = 0;
    text = (const char *)b.bytes;
    CHECK(memcmp(text, beginning, sizeof beginning - 1) == 0);
    CHECK_TEXT(text, "1.40129846e-45f, 1.17549435e-38f, 3.40282347e38f, 1.00000001e-1f, -3.40282347e38f,\n};\n");
    text = strchr(text, '{') + 1;
    text = strchr(text, '{') + 1;
    for (i = 0; i < 6; i++, text = end + 2) {
        float v = strtof(text, &end);
        memcpy(&bits, &v, 4);
        CHECK_INT(bits, odd[i]);
        CHECK_INT(*end, 'f');
    }
    badm_model_free(m);
}

TEST(weights_as_c_source_map_onto_the_same_model)
{
    static buffer b;
    float values[25];
    badm_model *m = golden_model(1), *mapped = badm_model_new(2);
    badm_writer w = buffer_writer(&b);
    badm_dim none = 0;
    char *next;
    size_t i;
    CHECK_INT(badm_model_size(m), 25);
    CHECK_INT(badm_save_c_to(m, "w", &w), BADM_OK);
    b.bytes[b.size] = 0;
    CHECK_TEXT((const char *)b.bytes, "enum { w_count = 25 };");
    next = strchr(strchr((char *)b.bytes, '{') + 1, '{') + 1;
    for (i = 0; i < 25; i++, next += 2) values[i] = strtof(next, &next);
    badm_model_map(mapped, values, 25);
    badm_linear_new(mapped, "fc1", 3, 4);
    badm_linear_new_without_bias(mapped, "fc2", 4, 2);
    badm_buffer_new(mapped, "scalar", 0, &none, 0);
    CHECK_TEXT(badm_model_error(mapped), "");
    CHECK_INT(badm_model_result(mapped), BADM_OK);
    CHECK(badm_model_hash(mapped) == badm_model_hash(m));
    badm_model_free(m);
    badm_model_free(mapped);
}

TEST(every_float_is_written_so_that_it_is_read_back)
{
    enum { N = 9000 };
    static buffer b;
    badm_dim n = N;
    badm_model *m = badm_model_new(1);
    badm_param p = badm_param_new(m, "p", 1, &n, badm_init_constant(0));
    badm_writer w = buffer_writer(&b);
    badm_reader r;
    badm_rng random;
    badm_array a;
    badm_error e;
    char *text, *next, *end;
    size_t i;
    badm_rng_init(&random, 1, 2);
    for (i = 0; i < N; i++) {
        uint32_t bits = badm_rng_u32(&random);
        if ((bits & 0x7f800000u) == 0x7f800000u) bits ^= 0x40000000u;
        memcpy(badm_param_data(p) + i, &bits, 4);
    }
    CHECK_INT(badm_save_c_to(m, "w", &w), BADM_OK);
    b.bytes[b.size] = 0;
    text = strchr(strchr((char *)b.bytes, '{') + 1, '{') + 1;
    for (i = 0, next = text; i < N; i++, next = end + 2) {
        float v = strtof(next, &end);
        CHECK(memcmp(&v, badm_param_values(p) + i, 4) == 0);
    }
    /* The library's own reader: the same numbers between blanks, 8 a line. */
    for (next = text; *next != '}'; next++)
        if (*next == 'f' || *next == ',') *next = ' ';
    *next = 0;
    memmove(b.bytes, text, strlen(text));
    b.size = strlen(text);
    r = buffer_reader(&b);
    CHECK_INT(badm_csv_load_from(&a, &r, NULL, &e), BADM_OK);
    CHECK_TEXT(sentence(&e), "");
    CHECK_INT(a.shape[0], N / 8);
    if (a.data) CHECK(memcmp(a.data, badm_param_values(p), N * sizeof(float)) == 0);
    badm_array_free(&a);
    badm_model_free(m);
}

TEST(a_name_that_is_no_c_identifier_is_refused)
{
    static const char *const bad[] = { "", "1a", "a-b", "a b", "\xc3\xa9" };
    static buffer b;
    small_net net;
    badm_model *m = small_model(1, &net);
    badm_writer w = buffer_writer(&b);
    size_t i;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_INT(badm_save_c_to(m, bad[i], &w), BADM_ERR_ARGUMENT);
        CHECK_TEXT(badm_model_error(m), "is no C identifier");
        CHECK_INT(b.size, 0);
    }
    CHECK_INT(badm_save_c(m, "_Az09", temporary("weights.h")), BADM_OK);
    remove(temporary("weights.h"));
    badm_model_free(m);
}

/* ---- .npy ---- */

static void check_values(const badm_array *a, double first, double step, size_t n)
{
    size_t i;
    CHECK(a->data != NULL);
    for (i = 0; a->data && i < n; i++) {
        double v = a->type == BADM_F32 ? (double)((const float *)a->data)[i] :
                   a->type == BADM_U8 ? (double)((const uint8_t *)a->data)[i] :
                   a->type == BADM_I8 ? (double)((const int8_t *)a->data)[i] :
                   a->type == BADM_I16 ? (double)((const int16_t *)a->data)[i] : (double)((const int32_t *)a->data)[i];
        CHECK_NEAR(v, first + step * (double)i, 0);
    }
}

TEST(npy_files_of_every_type_version_and_byte_order_load)
{
    static const struct {
        const char *name; badm_type type; uint8_t rank; uint32_t shape[4]; size_t n; double first, step;
    } good[] = {
        { "f4", BADM_F32, 2, { 2, 3, 0, 0 }, 6, -0.75, 0.25 },
        { "f8_big", BADM_F32, 2, { 2, 3, 0, 0 }, 6, -0.75, 0.25 },
        { "f4_scalar", BADM_F32, 0, { 1, 0, 0, 0 }, 1, 0.25, 0 },
        { "u1", BADM_U8, 4, { 1, 2, 3, 1 }, 6, 0, 1 },
        { "i1", BADM_I8, 1, { 6, 0, 0, 0 }, 6, -3, 1 },
        { "i2_big", BADM_I16, 1, { 6, 0, 0, 0 }, 6, -3000, 1000 },
        { "i4", BADM_I32, 1, { 6, 0, 0, 0 }, 6, -300000, 100000 },
        { "i8", BADM_I32, 1, { 6, 0, 0, 0 }, 6, -300000, 100000 },
    };
    size_t i, k;
    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        badm_array a;
        badm_error e;
        char path[100];
        snprintf(path, sizeof path, GOLDEN "%s.npy", good[i].name);
        CHECK_INT(badm_npy_load(&a, path, NULL, &e), BADM_OK);
        CHECK_TEXT(sentence(&e), "");
        CHECK_INT(a.type, good[i].type);
        CHECK_INT(a.rank, good[i].rank);
        for (k = 0; k < 4; k++) CHECK_INT(a.shape[k], good[i].shape[k]);
        check_values(&a, good[i].first, good[i].step, good[i].n);
        badm_array_free(&a);
        CHECK(a.data == NULL);
    }
}

TEST(npy_files_that_cannot_be_read_say_why)
{
    static const struct { const char *name, *reason; } bad[] = {
        { "f2.npy", "f2.npy: numbers of another type than f4 f8 u1 i1 i2 i4 i8" },
        { "fortran.npy", "in Fortran order" },
        { "rank5.npy", "its shape is not one of at most 4 dimensions" },
        { "records.npy", "an array of records" },
        { "i8_large.npy", "value 1 does not fit in int32" },
        { "idx08", "idx08: no .npy file" },
    };
    size_t i;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        badm_array a;
        badm_error e;
        char path[100];
        snprintf(path, sizeof path, GOLDEN "%s", bad[i].name);
        CHECK_INT(badm_npy_load(&a, path, NULL, &e), BADM_ERR_FORMAT);
        CHECK_TEXT(sentence(&e), bad[i].reason);
        CHECK(a.data == NULL);
        CHECK_INT(badm_npy_load(&a, path, NULL, NULL), BADM_ERR_FORMAT);
    }
}

/* A version 1 file of this header and n bytes of data. */
static badm_result npy(const char *header, size_t n, badm_array *a, badm_error *e)
{
    static buffer b;
    size_t length = strlen(header);
    badm_reader r;
    memcpy(b.bytes, "\x93NUMPY\1\0", 8);
    b.bytes[8] = (unsigned char)(length & 255);
    b.bytes[9] = (unsigned char)(length >> 8);
    memcpy(b.bytes + 10, header, length);
    memset(b.bytes + 10 + length, 1, n);
    b.size = 10 + length + n;
    r = buffer_reader(&b);
    return badm_npy_load_from(a, &r, NULL, e);
}

TEST(npy_headers_are_read_as_python_writes_them_and_no_further)
{
    static const struct { const char *header; size_t n; const char *reason; } headers[] = {
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", 8, NULL },
        { "{\"shape\":(2,),\"fortran_order\":False,\"descr\":\"|u1\"}", 2, NULL },
        { "{'descr': '>i2', 'fortran_order': False, 'shape': (1, 2, 1, 1,)}  \n", 4, NULL },
        { "{'descr': '<i4', 'fortran_order': False, 'shape': ()}", 4, NULL },
        { "{'descr': '<i4', 'fortran_order': False, 'shape': (0, 7)}", 0, NULL },
        { "", 0, "a .npy header of 0 bytes" },
        { "descr", 0, "damaged .npy header" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)", 8, "damaged .npy header" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x", 8, "damaged .npy header" },
        { "{'descr': '<f4', 'fortran_order': False}", 8, "damaged .npy header" },
        { "{'descr': '<f4', 'descr': '<f4'}", 8, "damaged .npy header" },
        { "{'descr': '<f4' 'fortran_order': False}", 8, "damaged .npy header" },
        { "{'descr': '<f4", 8, "damaged .npy header" },
        { "{'descr' '<f4'}", 8, "damaged .npy header" },
        { "{descr: '<f4'}", 8, "damaged .npy header" },
        { "{'colour': 1}", 8, "damaged .npy header" },
        { "{'fortran_order': 0}", 8, "damaged .npy header" },
        { "{'fortran_order': True}", 8, "Fortran order" },
        { "{'descr': [('a', '<f4')]}", 8, "records" },
        { "{'descr': '|O'}", 8, "another type" },
        { "{'descr': '=f4'}", 8, "another type" },
        { "{'descr': '|f4'}", 8, "another type" },
        { "{'descr': '<u2'}", 8, "another type" },
        { "{'descr': '<f9'}", 8, "another type" },
        { "{'descr': '<f40'}", 8, "another type" },
        { "{'descr': '<c8'}", 8, "another type" },
        { "{'shape': 2}", 8, "its shape is not one of" },
        { "{'shape': (2)}", 8, "its shape is not one of" },
        { "{'shape': (,)}", 8, "its shape is not one of" },
        { "{'shape': (-2,)}", 8, "its shape is not one of" },
        { "{'shape': (2 2)}", 8, "its shape is not one of" },
        { "{'shape': (2L,)}", 8, "its shape is not one of" },
        { "{'shape': (4294967296,)}", 8, "its shape is not one of" },
        { "{'shape': (1,1,1,1,1)}", 8, "its shape is not one of" },
        { "{'shape': (1,", 8, "its shape is not one of" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 9, "goes on after byte" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 7, "ends early" },
        { "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967295, 4294967295, 4294967295)}", 8, "no memory" },
    };
    size_t i;
    for (i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        badm_array a;
        badm_error e;
        badm_result code = npy(headers[i].header, headers[i].n, &a, &e);
        CHECK((code == BADM_OK) == (headers[i].reason == NULL));
        CHECK((a.data != NULL) == (code == BADM_OK));
        CHECK_TEXT(sentence(&e), headers[i].reason ? headers[i].reason : "");
        badm_array_free(&a);
    }
}

TEST(npy_versions_above_3_and_huge_headers_are_refused)
{
    static buffer b;
    badm_array a;
    badm_error e;
    badm_reader r;
    set_bytes(&b, "\x93NUMPY\4\0\0\0\0\0", 12);
    r = buffer_reader(&b);
    CHECK_INT(badm_npy_load_from(&a, &r, NULL, &e), BADM_ERR_FORMAT);
    CHECK_TEXT(sentence(&e), ".npy version 4.0 is not known");
    set_bytes(&b, "\x93NUMPY\2\0\1\0\1\0", 12);
    r = buffer_reader(&b);
    CHECK_INT(badm_npy_load_from(&a, &r, NULL, &e), BADM_ERR_FORMAT);
    CHECK_TEXT(sentence(&e), "a .npy header of 65537 bytes");
}

TEST(a_saved_npy_file_is_numpys_and_comes_back)
{
    static buffer b, golden;
    static const float values[6] = { -0.75f, -0.5f, -0.25f, 0, 0.25f, 0.5f };
    badm_dim shape[4] = { 2, 3, 1, 1 };
    const char *path = temporary("npy");
    badm_array a;
    badm_error e;
    badm_writer w = buffer_writer(&b);
    unsigned rank;
    CHECK_INT(badm_npy_save_to(values, 2, shape, &w, &e), BADM_OK);
    read_file(GOLDEN "f4.npy", &golden);
    CHECK(b.size == golden.size && memcmp(b.bytes, golden.bytes, b.size) == 0);
    for (rank = 0; rank <= 4; rank++) {
        size_t n = rank == 0 ? 1 : rank == 1 ? 2 : 6;
        CHECK_INT(badm_npy_save(values, rank, shape, path, &e), BADM_OK);
        CHECK_INT(badm_npy_load(&a, path, NULL, &e), BADM_OK);
        CHECK_INT(a.rank, rank);
        check_values(&a, -0.75, 0.25, n);
        badm_array_free(&a);
    }
    remove(path);
    CHECK_INT(badm_npy_save_to(values, 5, shape, &w, &e), BADM_ERR_ARGUMENT);
    CHECK_TEXT(sentence(&e), "5 dimensions; at most 4 are possible");
    shape[0] = shape[1] = shape[2] = shape[3] = (badm_dim)-1;
    CHECK_INT(badm_npy_save_to(values, 4, shape, &w, NULL), BADM_ERR_ARGUMENT);
}

TEST(float64_is_rounded_to_the_nearest_float32_or_refused)
{
    static const double values[] = { 0, -0.0, 1, 0.1, -1e-300, 1e-45, -7e-46, 7.1e-46, 1.1754943508222875e-38,
        3.4028234663852886e38, 1.0000000596046448, 1.00000005960464455, 1.0000001788139343, 4.9e-324, HUGE_VAL };
    static unsigned char bytes[8 * sizeof values / sizeof values[0]];
    static buffer b;
    badm_array a;
    badm_error e;
    badm_reader r;
    size_t n = sizeof values / sizeof values[0], i, k;
    int round;
    for (round = 0; round < 3; round++) {           /* as they are; one too large; not a number */
        b.bytes[0] = b.bytes[1] = b.bytes[4] = b.bytes[5] = b.bytes[6] = 0;
        b.bytes[2] = 0x0e; b.bytes[3] = 1; b.bytes[7] = (unsigned char)n;
        for (i = 0; i < n; i++) {
            double v = values[i];
            uint64_t bits;
            if (round == 1 && i == 2) v = 3.5e38;
            if (round == 2 && i == 2) v = HUGE_VAL - HUGE_VAL;
            memcpy(&bits, &v, 8);
            for (k = 0; k < 8; k++) bytes[8 * i + k] = (unsigned char)(bits >> 8 * (7 - k) & 255);
        }
        memcpy(b.bytes + 8, bytes, sizeof bytes);
        b.size = 8 + sizeof bytes;
        r = buffer_reader(&b);
        if (round == 1) {
            CHECK_INT(badm_idx_load_from(&a, &r, NULL, &e), BADM_ERR_FORMAT);
            CHECK_TEXT(sentence(&e), "value 2 does not fit in float32");
            continue;
        }
        CHECK_INT(badm_idx_load_from(&a, &r, NULL, &e), BADM_OK);
        for (i = 0; a.data && i < n; i++) {
            float expected = (float)values[i], got = ((const float *)a.data)[i];
            if (round == 2 && i == 2) CHECK(got != got);
            else CHECK(memcmp(&got, &expected, 4) == 0);
        }
        badm_array_free(&a);
    }
}

/* ---- IDX ---- */

TEST(idx_files_of_every_type_load)
{
    static const struct { const char *name; badm_type type; } good[] = { { "idx08", BADM_U8 }, { "idx09", BADM_I8 },
        { "idx0b", BADM_I16 }, { "idx0c", BADM_I32 }, { "idx0d", BADM_F32 }, { "idx0e", BADM_F32 } };
    size_t i;
    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        badm_array a;
        badm_error e;
        char path[100];
        snprintf(path, sizeof path, GOLDEN "%s", good[i].name);
        CHECK_INT(badm_idx_load(&a, path, NULL, &e), BADM_OK);
        CHECK_TEXT(sentence(&e), "");
        CHECK_INT(a.type, good[i].type);
        CHECK_INT(a.rank, 2);
        CHECK_INT(a.shape[0], 2);
        CHECK_INT(a.shape[1], 3);
        check_values(&a, 0, 1, 6);
        badm_array_free(&a);
    }
}

TEST(idx_files_that_cannot_be_read_say_why)
{
    static const struct { const char *bytes; size_t n; const char *reason; } bad[] = {
        { "\x1f\x8b\x08\x00", 4, "gzipped: gunzip it first" },
        { "\0\0\x0a\1", 4, "no IDX file" },
        { "\0\1\x08\1", 4, "no IDX file" },
        { "\1\0\x08\1", 4, "no IDX file" },
        { "\0\0\x08\0", 4, "0 dimensions; 1 to 4 are possible" },
        { "\0\0\x08\5", 4, "5 dimensions" },
        { "\0\0\x08\2\0\0\0\1\0\0", 10, "ends early, after 10 bytes" },
        { "\0\0\x08\1\0\0\0\1xx", 10, "goes on after byte 9, where it should end" },
        { "\0\0\x08\4\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 20, "no memory" },
    };
    static buffer b;
    size_t i;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        badm_array a;
        badm_error e;
        badm_reader r;
        set_bytes(&b, bad[i].bytes, bad[i].n);
        r = buffer_reader(&b);
        CHECK(badm_idx_load_from(&a, &r, NULL, &e) != BADM_OK);
        CHECK_TEXT(sentence(&e), bad[i].reason);
        CHECK(a.data == NULL);
    }
}

TEST(memory_follows_what_arrives_not_what_a_header_claims)
{
    static buffer b;
    test_heap heap;
    badm_memory mem = test_heap_memory(&heap);
    badm_array a;
    badm_error e;
    badm_reader r;
    memset(b.bytes, 7, sizeof b.bytes);
    memcpy(b.bytes, "\0\0\x08\1\xff\xff\xff\xff", 8);      /* 4 GB of pixels, in 200 KB */
    b.size = sizeof b.bytes;
    b.room = 0;
    r = buffer_reader(&b);
    CHECK_INT(badm_idx_load_from(&a, &r, &mem, &e), BADM_ERR_FORMAT);
    CHECK_TEXT(sentence(&e), "ends early, after 200000 bytes");
    CHECK(heap.peak <= 1048576 + 256);              /* the first piece, and what aligning takes */
    CHECK_INT(heap.live, 0);
}

/* 8 bytes of header, then fives. */
typedef struct { const unsigned char *header; size_t at, n; } fives;

static size_t fives_read(void *buf, size_t bytes, void *user)
{
    fives *f = (fives *)user;
    size_t i;
    for (i = 0; i < bytes && f->at < f->n; i++, f->at++) ((unsigned char *)buf)[i] = f->at < 8 ? f->header[f->at] : 5;
    return i;
}

TEST(arrays_larger_than_the_first_piece_of_memory_load)
{
    static const unsigned char header[8] = { 0, 0, 8, 1, 0, 0x30, 0, 3 };       /* 3 MB and 3 bytes */
    size_t size = 0x300003u, i, fail;
    for (fail = 0; fail < 5; fail++) {
        test_heap heap;
        badm_memory mem = test_heap_memory(&heap);
        badm_array a;
        badm_error e;
        badm_reader r;
        fives f;
        f.header = header;
        f.at = 0;
        f.n = 8 + size;
        r.read = fives_read;
        r.user = &f;
        heap.fail_at = (long)fail;
        CHECK_INT(badm_idx_load_from(&a, &r, &mem, &e), fail && fail < 4 ? BADM_ERR_MEMORY : BADM_OK);
        if (fail == 0 || fail == 4) {
            CHECK_INT(heap.calls, 3);               /* 1 MB, 2 MB, all */
            CHECK_INT(a.shape[0], size);
            for (i = 0; a.data && i < size && ((const uint8_t *)a.data)[i] == 5; i++) continue;
            CHECK_INT(i, size);
            CHECK_INT(f.at, f.n);
        }
        badm_array_free(&a);
        CHECK_INT(heap.live, 0);
    }
}

/* ---- CSV ---- */

static badm_result csv(const char *text, badm_array *a, badm_error *e)
{
    static buffer b;
    badm_reader r;
    set_text(&b, text);
    r = buffer_reader(&b);
    return badm_csv_load_from(a, &r, NULL, e);
}

TEST(csv_of_every_form_is_read)
{
    static const char *const good[] = {         /* all of them are 1 2 3 / 4 5 6 */
        "1,2,3\n4,5,6\n", "1,2,3\n4,5,6", "1;2;3\r\n4;5;6\r\n", "1\t2\t3\r4\t5\t6\r", " 1  2 3 \n\n 4 5\t6 \n\n",
        "1 , 2,3\n4, 5 ,6", "a,b,c\n1,2,3\n4,5,6", "\n\n\"x, y\";z\n1;2;3\n4;5;6\n",
        "\357\273\2771,2,3\n4,5,6", "# 1 2 3\n1 2 3\n4 5 6\n",
        "+1,2.,30e-1\n.4e+1,05,6.000000000000000000000000000000000000\n", ",name\n1,2,3\n4,5,6",
        "1,2,3\n\r\n4,5,6\r\r\n",
        "\357\273\277name\n1,2,3\n4,5,6", "\xefname\n1,2,3\n4,5,6"
    };
    size_t i;
    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        badm_array a;
        badm_error e;
        CHECK_INT(csv(good[i], &a, &e), BADM_OK);
        CHECK_TEXT(sentence(&e), "");
        CHECK_INT(a.type, BADM_F32);
        CHECK_INT(a.rank, 2);
        CHECK_INT(a.shape[0], 2);
        CHECK_INT(a.shape[1], 3);
        check_values(&a, 1, 1, a.shape[0] == 2 ? 6 : 0);
        badm_array_free(&a);
    }
}

TEST(csv_that_cannot_be_read_says_in_which_line)
{
    static const struct { const char *text; badm_result code; const char *reason; } bad[] = {
        { "", BADM_ERR_FORMAT, "there are no numbers in it" },
        { "\n \n", BADM_ERR_FORMAT, "there are no numbers in it" },
        { "heading\n", BADM_ERR_FORMAT, "there are no numbers in it" },
        { "1,2\n3,x\n", BADM_ERR_FORMAT, "line 2: value 2 is no number" },
        { "a\nb\n", BADM_ERR_FORMAT, "line 2: value 1 is no number" },
        { "1,2\n\r\n3\n", BADM_ERR_FORMAT, "line 3: 1 numbers, unlike the rows before" },
        { "1,2\n3,4,5\n", BADM_ERR_FORMAT, "line 2: 3 numbers" },
        { "1,,2\n", BADM_ERR_FORMAT, "line 1: value 2 is no number" },
        { "1,2,\n", BADM_ERR_FORMAT, "line 1: value 3 is no number" },
        { "1,5;2,5\n", BADM_ERR_FORMAT, "line 1: both , and ; between numbers: decimal commas?" },
        { "nan,1\n", BADM_ERR_NONFINITE, "line 1: value 1 is infinite or not a number" },
        { "1\n-Inf\n", BADM_ERR_NONFINITE, "line 2: value 1 is infinite or not a number" },
        { "1\n1e39\n", BADM_ERR_FORMAT, "line 2: value 1 does not fit in float32" },
        { "3.4028236e38\n", BADM_ERR_FORMAT, "line 1: value 1 does not fit in float32" },
        { "1,1e\n", BADM_ERR_FORMAT, "line 1: value 2 is no number" },
        { "1,1e+\n", BADM_ERR_FORMAT, "line 1: value 2 is no number" },
        { "1,1..2\n", BADM_ERR_FORMAT, "line 1: value 2 is no number" },
        { "1,--1\n", BADM_ERR_FORMAT, "line 1: value 2 is no number" },
        { "1,.\n", BADM_ERR_FORMAT, "line 1: value 2 is no number" },
        { "1,0x10\n", BADM_ERR_FORMAT, "line 1: value 2 is no number" },
        { "1,\"2\"\n", BADM_ERR_FORMAT, "line 1: value 2 is no number" },
    };
    static char text[400];
    badm_array a;
    badm_error e;
    size_t i;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_INT(csv(bad[i].text, &a, &e), bad[i].code);
        CHECK_TEXT(sentence(&e), bad[i].reason);
        CHECK(a.data == NULL);
    }
    memset(text, '1', 200);                         /* more digits than any number needs */
    memcpy(text + 200, "\n1\n", 4);
    CHECK_INT(csv(text, &a, &e), BADM_OK);          /* a first line that is no number */
    badm_array_free(&a);
    memmove(text + 2, text, 203);
    memcpy(text, "1\n", 2);
    CHECK_INT(csv(text, &a, &e), BADM_ERR_FORMAT);
    CHECK_TEXT(sentence(&e), "line 2: value 1 is no number");
}

TEST(a_csv_file_is_read_from_a_path)
{
    const char *path = temporary("csv");
    badm_array a;
    badm_error e;
    write_file(path, "x\n1.5\n2.5\n", 10);
    CHECK_INT(badm_csv_load(&a, path, NULL, &e), BADM_OK);
    CHECK_INT(a.shape[0], 2);
    check_values(&a, 1.5, 1, 2);
    badm_array_free(&a);
    write_file(path, "1\nx\n", 4);
    CHECK_INT(badm_csv_load(&a, path, NULL, &e), BADM_ERR_FORMAT);
    CHECK_TEXT(sentence(&e), ".csv: line 2: value 1 is no number");
    remove(path);
}

/* The C library's strtof is right to the last bit. */
TEST(decimal_numbers_are_read_as_the_nearest_float)
{
    static const char *const chosen[] = { "0", "-0", "1e-45", "7e-46", "7.1e-46", "1.17549435e-38",
        "3.40282346638528859e38", "16777217", "16777219", "0.1", "1e-999999999999", "8388608.5", "8388609.5",
        "123456789012345678901234567890",
        "0.000000000000000000000000000000000000000000001", "1.00000005960464477539062", "1.000000059604644775390625",
        "1.00000005960464478", "9007199254740993e-9" };
    char text[64];
    badm_rng random;
    badm_array a;
    badm_error e;
    size_t i;
    badm_rng_init(&random, 3, 4);
    for (i = 0; i < 4000; i++) {
        float expected, got = 0;
        if (i < sizeof chosen / sizeof chosen[0]) snprintf(text, sizeof text, "%s", chosen[i]);
        else {
            int exponent = (int)badm_rng_below(&random, 80) - 45, digits = (int)badm_rng_below(&random, 17);
            snprintf(text, sizeof text, "%.*fe%d", digits, badm_rng_u32(&random) / 4294967296.0 * 9.0, exponent);
        }
        expected = strtof(text, NULL);
        if (!(expected - expected == 0.0f)) continue;
        CHECK_INT(csv(text, &a, &e), BADM_OK);
        if (a.data) got = ((const float *)a.data)[0];
        if (memcmp(&got, &expected, 4) != 0) { printf("\"%s\" is read as %.9g\n", text, (double)got); test_failures++; }
        badm_array_free(&a);
    }
}

TEST(digits_beyond_the_19th_move_a_number_by_one_unit_at_most)
{
    static const char *const ties[] = {
        "1.00000005960464477539063", "1.00000017881393432617187499", "33554434.0000000000001" };
    badm_array a;
    badm_error e;
    size_t i;
    for (i = 0; i < sizeof ties / sizeof ties[0]; i++) {
        float expected = strtof(ties[i], NULL);
        uint32_t x, y = 0;
        CHECK_INT(csv(ties[i], &a, &e), BADM_OK);
        memcpy(&x, &expected, 4);
        if (a.data) memcpy(&y, a.data, 4);
        CHECK(x == y || x + 1 == y || x == y + 1);
        badm_array_free(&a);
    }
}

/* ---- LIBSVM ---- */

static badm_result libsvm(const char *text, uint32_t features, badm_array *x, badm_array *y, badm_error *e)
{
    static buffer b;
    badm_reader r;
    set_text(&b, text);
    r = buffer_reader(&b);
    return badm_libsvm_load_from(x, y, features, &r, NULL, e);
}

TEST(libsvm_rows_become_dense)
{
    static const char text[] = "+1 1:0.5 3:-2\r\n# a comment\n\n-1 2:1e1 # the rest\n2.5\n3 3:1 1:7 3:4";
    static const float expected[2][4][5] = {
        { { 0.5f, 0, -2 }, { 0, 10, 0 }, { 0, 0, 0 }, { 7, 0, 4 } },
        { { 0.5f, 0, -2, 0, 0 }, { 0, 10, 0, 0, 0 }, { 0, 0, 0, 0, 0 }, { 7, 0, 4, 0, 0 } } };
    static const float labels[4] = { 1, -1, 2.5f, 3 };
    const char *path = temporary("libsvm");
    badm_array x, y;
    badm_error e;
    uint32_t i, k;
    int given;
    write_file(path, text, sizeof text - 1);
    for (given = 0; given < 3; given++) {
        uint32_t columns = given == 1 ? 5 : 3;
        if (given < 2) CHECK_INT(libsvm(text, given ? 5 : 0, &x, &y, &e), BADM_OK);
        else CHECK_INT(badm_libsvm_load(&x, &y, 0, path, NULL, &e), BADM_OK);
        CHECK_TEXT(sentence(&e), "");
        CHECK_INT(x.rank, 2);
        CHECK_INT(x.shape[0], 4);
        CHECK_INT(x.shape[1], columns);
        CHECK_INT(y.rank, 1);
        CHECK_INT(y.shape[0], 4);
        CHECK(x.type == BADM_F32 && y.type == BADM_F32);
        for (i = 0; x.data && i < 4; i++) {
            CHECK_NEAR(((const float *)y.data)[i], labels[i], 0);
            for (k = 0; k < columns; k++)
                CHECK_NEAR(((const float *)x.data)[i * columns + k], expected[given == 1][i][k], 0);
        }
        badm_array_free(&x);
        badm_array_free(&y);
    }
    remove(path);
}

TEST(libsvm_that_cannot_be_read_says_in_which_line)
{
    static const struct { const char *text; uint32_t features; badm_result code; const char *reason; } bad[] = {
        { "", 0, BADM_ERR_FORMAT, "there are no numbers in it" },
        { "# 1 1:1\n", 0, BADM_ERR_FORMAT, "there are no numbers in it" },
        { "1\n2\n", 0, BADM_ERR_FORMAT, "there are no numbers in it" },
        { "1 1:1\nx 1:1\n", 0, BADM_ERR_FORMAT, "line 2: value 0 is no number" },
        { "1 1:1\n1:1\n", 0, BADM_ERR_FORMAT, "line 2: no label before the first index:value" },
        { "1 1:1 2\n", 0, BADM_ERR_FORMAT, "line 1: feature 2 is not of the form index:value" },
        { "1 x:1\n", 0, BADM_ERR_FORMAT, "feature 1 is not of the form" },
        { "1 -1:1\n", 0, BADM_ERR_FORMAT, "feature 1 is not of the form" },
        { "1 qid:1 1:1\n", 0, BADM_ERR_FORMAT, "feature 1 is not of the form" },
        { "1 :1\n", 0, BADM_ERR_FORMAT, "line 1: no label before" },
        { "1 1:1 :1\n", 0, BADM_ERR_FORMAT, "feature 2 is not of the form" },
        { "1 0:1\n", 0, BADM_ERR_FORMAT, "line 1: index 0 is out of range (the first is 1)" },
        { "1 3:1\n2 4:1", 3, BADM_ERR_FORMAT, "line 2: index 4 is out of range" },
        { "1 4294967296:1\n", 0, BADM_ERR_FORMAT, "index 4294967296 is out of range" },
        { "1 42949672960:1\n", 0, BADM_ERR_FORMAT, "is not of the form" },
        { "1 1:\n", 0, BADM_ERR_FORMAT, "line 1: value 1 is no number" },
        { "1 1:x\n", 0, BADM_ERR_FORMAT, "line 1: value 1 is no number" },
        { "1 1:1:1\n", 0, BADM_ERR_FORMAT, "feature 2 is not of the form" },
        { "1 2:1 1:inf\n", 0, BADM_ERR_NONFINITE, "line 1: value 2 is infinite or not a number" },
        { "nan 1:1\n", 0, BADM_ERR_NONFINITE, "line 1: value 0 is infinite" },
        { "1 1:1e99\n", 0, BADM_ERR_FORMAT, "does not fit in float32" },
        { "1 4294967295:1\n", 0, BADM_ERR_FORMAT, "1 rows of 4294967295 features, nearly all zero" },
    };
    badm_array x, y;
    badm_error e;
    size_t i;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_INT(libsvm(bad[i].text, bad[i].features, &x, &y, &e), bad[i].code);
        CHECK_TEXT(sentence(&e), bad[i].reason);
        CHECK(x.data == NULL && y.data == NULL);
    }
}

TEST_MAIN(
    RUN(a_model_comes_back_with_the_same_bits)
    RUN(a_saved_model_is_a_safetensors_file_with_aligned_data)
    RUN(a_file_of_another_writer_loads)
    RUN(names_with_quotes_and_control_characters_come_back)
    RUN(every_form_the_format_allows_is_accepted)
    RUN(every_damaged_header_is_refused_with_a_reason)
    RUN(a_header_longer_than_any_model_needs_is_refused_unread)
    RUN(many_tensors_are_sorted_whatever_their_order)
    RUN(a_value_that_is_not_finite_is_neither_saved_nor_loaded)
    RUN(a_mapped_parameter_is_saved_but_not_loaded_into)
    RUN(a_model_with_an_error_is_neither_saved_nor_loaded_and_keeps_its_sentence)
    RUN(a_failed_load_does_not_stick)
    RUN(going_on_from_a_checkpoint_gives_the_bits_of_never_having_stopped)
    RUN(a_checkpoint_goes_through_a_path_and_loads_as_a_model)
    RUN(a_checkpoint_of_another_trainer_is_refused_by_what_differs)
    RUN(a_model_file_is_no_checkpoint)
    RUN(a_trainer_whose_model_was_frozen_later_is_not_saved)
    RUN(frozen_parameters_have_no_state_in_a_checkpoint)
    RUN(damaged_models_are_refused_or_harmless)
    RUN(damaged_checkpoints_are_refused_or_harmless)
    RUN(damaged_npy_files_are_refused_or_harmless)
    RUN(damaged_idx_files_are_refused_or_harmless)
    RUN(a_writer_failing_at_any_byte_is_an_error)
    RUN(a_full_disk_is_an_error)
    RUN(a_failed_save_leaves_the_old_file_and_no_other)
    RUN(a_leftover_of_a_crash_does_not_stop_saving)
    RUN(a_private_file_stays_private_when_it_is_replaced)
    RUN(paths_that_cannot_be_used_are_named)
    RUN(a_name_too_long_for_an_error_is_cut_not_lost)
    RUN(a_reader_that_returns_more_than_asked_is_an_error)
    RUN(without_stdio_paths_are_refused_and_callbacks_work)
    RUN(memory_that_ends_at_any_call_loses_nothing_when_data_are_read)
    RUN(memory_that_ends_at_any_call_loses_nothing_when_models_are_read_or_written)
    RUN(weights_as_c_source_come_back_with_the_same_bits)
    RUN(weights_as_c_source_map_onto_the_same_model)
    RUN(every_float_is_written_so_that_it_is_read_back)
    RUN(a_name_that_is_no_c_identifier_is_refused)
    RUN(npy_files_of_every_type_version_and_byte_order_load)
    RUN(npy_files_that_cannot_be_read_say_why)
    RUN(npy_headers_are_read_as_python_writes_them_and_no_further)
    RUN(npy_versions_above_3_and_huge_headers_are_refused)
    RUN(a_saved_npy_file_is_numpys_and_comes_back)
    RUN(float64_is_rounded_to_the_nearest_float32_or_refused)
    RUN(idx_files_of_every_type_load)
    RUN(idx_files_that_cannot_be_read_say_why)
    RUN(memory_follows_what_arrives_not_what_a_header_claims)
    RUN(arrays_larger_than_the_first_piece_of_memory_load)
    RUN(csv_of_every_form_is_read)
    RUN(csv_that_cannot_be_read_says_in_which_line)
    RUN(a_csv_file_is_read_from_a_path)
    RUN(decimal_numbers_are_read_as_the_nearest_float)
    RUN(digits_beyond_the_19th_move_a_number_by_one_unit_at_most)
    RUN(libsvm_rows_become_dense)
    RUN(libsvm_that_cannot_be_read_says_in_which_line)
)
