/* A malloc that hands out a static block and counts, for test_no_malloc.c: with glibc and without sanitizers. In a
   file of its own, because compilers take what they know of malloc for granted where they see its inside. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

long no_malloc_calls(void);

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED
#endif
#endif

#if defined(__GLIBC__) && (defined(__GNUC__) || defined(__clang__)) && !defined(__TINYC__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(SANITIZED)

#define HEAP_BYTES ((size_t)128 << 20)
static union { unsigned char bytes[HEAP_BYTES]; long double align; } heap;
static size_t heap_used;
static long calls;

/* Blocks are never reused; 16 bytes before each hold its size. */
static void *take(size_t bytes, size_t align)
{
    size_t start;
    __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
    if (bytes > HEAP_BYTES / 2) return NULL;
    start = __atomic_fetch_add(&heap_used, bytes + align + 32, __ATOMIC_SEQ_CST);
    if (start + bytes + align + 32 > HEAP_BYTES) return NULL;
    start = (start + 16 + align - 1) / align * align;
    memcpy(heap.bytes + start - 16, &bytes, sizeof bytes);
    return heap.bytes + start;
}

void *malloc(size_t bytes) { return take(bytes, 16); }
void free(void *p) { (void)p; }
/* the block is zero */
void *calloc(size_t n, size_t size) { return size && n > HEAP_BYTES / size ? NULL : take(n * size, 16); }
void *aligned_alloc(size_t align, size_t bytes) { return take(bytes, align < 16 ? 16 : align); }
void *memalign(size_t align, size_t bytes);
void *memalign(size_t align, size_t bytes) { return take(bytes, align < 16 ? 16 : align); }
int posix_memalign(void **out, size_t align, size_t bytes);
int posix_memalign(void **out, size_t align, size_t bytes)
{
    *out = take(bytes, align < 16 ? 16 : align);
    return *out ? 0 : ENOMEM;
}

void *realloc(void *p, size_t bytes)
{
    void *q = take(bytes, 16);
    size_t old;
    if (!p || !q) return q;
    memcpy(&old, (unsigned char *)p - 16, sizeof old);
    memcpy(q, p, old < bytes ? old : bytes);
    return q;
}

long no_malloc_calls(void) { return __atomic_load_n(&calls, __ATOMIC_SEQ_CST); }
#else
long no_malloc_calls(void) { return 0; }
#endif
