/*
 * The guest's memory out of layers: files that nobody writes to. A machine that is started from a snapshot gets them
 * mapped privately over its own, still untouched memory, piece by piece: mmap(2) with MAP_FIXED replaces what was
 * there in one step, and a page is copied when it is first written to.
 */
#define _GNU_SOURCE
#include "fork.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const uint32_t ZERO = UINT32_MAX;

static int map_piece(uint64_t base, const struct piece *piece)
{
    void *address = (void *)(uintptr_t)(base + piece->offset);
    int flags = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE | (piece->layer == ZERO ? MAP_ANONYMOUS : 0);
    int fd = piece->layer == ZERO ? -1 : descriptors_offered(piece->layer);
    if (piece->layer != ZERO && fd < 0) {
        return ENOENT;
    }
    if (mmap64(address, piece->length, PROT_READ | PROT_WRITE, flags, fd, (off64_t)piece->offset_in_layer)
        == MAP_FAILED) {
        return errno;
    }
    /* A guest that writes one byte shall not get 2 MiB, which every fork would copy. A kernel may have no such pages. */
    if (piece->layer == ZERO && madvise(address, piece->length, MADV_NOHUGEPAGE) < 0 && errno != EINVAL) {
        return errno;
    }
    return 0;
}

int memory_map(uint64_t base, const struct piece *pieces, uint32_t count)
{
    int failure = 0;
    for (uint32_t i = 0; i < count && failure == 0; i++) {
        failure = map_piece(base, &pieces[i]);
    }
    return failure;
}
