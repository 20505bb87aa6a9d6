/*
 * The descriptors of a monitor, and of its child.
 *
 * A child inherits all of them, and most may be shared: files that are only read, and by offset. Those that would carry
 * something from one machine to the other are replaced, under the same numbers, which QEMU knows:
 *
 *   eventfd, epoll     by new ones. An eventfd begins readable: who waits for it looks once without need. QEMU uses
 *                      epoll only for more descriptors than a machine has here, so none is registered.
 *   sockets, tap, log  by those that the host made for the child. The tap gets the settings that QEMU made.
 *   the disk           by the host's copy, wherever the file is open, as QEMU opens it more than once.
 *
 * A kind of descriptor that is not known to be safe is refused when it is made. So the numbers of the first two are
 * noted here, by functions that stand in for the C library's.
 *
 * Files come from the host: nothing that a monitor could write to has a path. QEMU, which wants names, is told
 * /offered/NAME, and gets a duplicate of what was offered under that name.
 */
#define _GNU_SOURCE
#include "fork.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum kind { ORDINARY, EVENT, POLL };

enum { MOST_OFFERED = 128, NONE = -1 };

static _Atomic unsigned char kinds[MOST_DESCRIPTORS];
static _Atomic int protocol_connection = NONE, agent_connection = NONE;

static struct {
    _Atomic int read_only, writable; /* 0, or the number + 1 */
} offered[MOST_OFFERED];

static struct {
    unsigned long request, argument;
    int value;
    bool is_set, is_pointer;
} tap_settings[2];

/* ---- noted ---- */

static int noted(long fd, enum kind kind)
{
    if (fd >= MOST_DESCRIPTORS) {
        syscall(SYS_close, fd);
        errno = EMFILE;
        return -1;
    }
    if (fd >= 0) {
        kinds[fd] = kind;
    }
    return (int)fd;
}

INTERPOSED int eventfd(unsigned int count, int flags)
{
    return noted(syscall(SYS_eventfd2, count, flags), EVENT);
}

INTERPOSED int epoll_create1(int flags)
{
    return noted(syscall(SYS_epoll_create1, flags), POLL);
}

/* A timer in a descriptor would be shared. QEMU falls back on others, or does not need one. */
INTERPOSED int timerfd_create(int clock, int flags)
{
    (void)clock;
    (void)flags;
    errno = ENOSYS;
    return -1;
}

INTERPOSED int close(int fd)
{
    if (fd >= 0 && fd < MOST_DESCRIPTORS) {
        kinds[fd] = ORDINARY;
        int closed = fd;
        atomic_compare_exchange_strong(&protocol_connection, &closed, NONE);
        closed = fd;
        atomic_compare_exchange_strong(&agent_connection, &closed, NONE);
    }
    return (int)syscall(SYS_close, fd);
}

INTERPOSED int accept4(int listener, struct sockaddr *address, socklen_t *length, int flags)
{
    int fd = (int)syscall(SYS_accept4, listener, address, length, flags);
    if (fd >= 0 && listener == CONTROL_PROTOCOL_LISTENER) {
        protocol_connection = fd;
    } else if (fd >= 0 && listener == AGENT_LISTENER) {
        agent_connection = fd;
    }
    return fd;
}

INTERPOSED int accept(int listener, struct sockaddr *address, socklen_t *length)
{
    return accept4(listener, address, length, 0);
}

/* ---- calls whose arguments have to be known ---- */

static void note_tap(unsigned long request, unsigned long argument)
{
    if (request == TUNSETVNETHDRSZ || request == TUNSETOFFLOAD) {
        int at = request == TUNSETOFFLOAD;
        bool is_pointer = request == TUNSETVNETHDRSZ;
        tap_settings[at].request = request;
        tap_settings[at].argument = argument;
        tap_settings[at].value = is_pointer ? *(int *)argument : 0;
        tap_settings[at].is_pointer = is_pointer;
        tap_settings[at].is_set = true;
    }
}

INTERPOSED int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    unsigned long argument = va_arg(arguments, unsigned long);
    va_end(arguments);
    int result = (int)syscall(SYS_ioctl, fd, request, argument);
    if (result >= 0) {
        int error = errno;
        if (fd == TAP) {
            note_tap(request, argument);
        } else {
            kvm_note(fd, request, argument, result);
        }
        errno = error;
    }
    return result;
}

INTERPOSED void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset)
{
    void *mapped = (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
    if (mapped != MAP_FAILED && fd >= 0) {
        kvm_note_mapping(fd, mapped, length);
    }
    return mapped;
}

INTERPOSED void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    return mmap64(address, length, protection, flags, fd, offset);
}

/* QEMU asks that a child shall not have the guest's memory. It is all that the child is made for. */
INTERPOSED int madvise(void *address, size_t length, int advice)
{
    return advice == MADV_DONTFORK ? 0 : (int)syscall(SYS_madvise, address, length, advice);
}

INTERPOSED int posix_madvise(void *address, size_t length, int advice)
{
    return syscall(SYS_madvise, address, length, advice) < 0 ? errno : 0;
}

/* ---- offered ---- */

static int name_of(const char *path)
{
    static const char prefix[] = "/offered/";
    if (strncmp(path, prefix, sizeof prefix - 1) != 0) {
        return NONE;
    }
    char *end;
    unsigned long name = strtoul(path + sizeof prefix - 1, &end, 10);
    return *end == '\0' && name < MOST_OFFERED ? (int)name : NONE;
}

static int open_offered(int name, int flags)
{
    int held = (flags & O_ACCMODE) == O_RDONLY ? offered[name].read_only : offered[name].writable;
    if (held == 0) {
        errno = ENOENT;
        return -1;
    }
    return (int)syscall(SYS_fcntl, held - 1, F_DUPFD_CLOEXEC, 0);
}

static int open_any(const char *path, int flags, mode_t mode)
{
    int name = name_of(path);
    return name == NONE ? (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode) : open_offered(name, flags);
}

INTERPOSED int open64(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if ((flags & (O_CREAT | O_TMPFILE)) != 0) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    return open_any(path, flags, mode);
}

INTERPOSED int __open64_2(const char *path, int flags)
{
    return open_any(path, flags, 0);
}

int descriptors_offer(uint32_t name, int read_only, int writable)
{
    if (name >= MOST_OFFERED || offered[name].read_only != 0 || offered[name].writable != 0) {
        close(read_only);
        if (writable >= 0) {
            close(writable);
        }
        return name >= MOST_OFFERED ? EINVAL : EEXIST;
    }
    offered[name].read_only = read_only + 1;
    offered[name].writable = writable + 1;
    return 0;
}

int descriptors_offered(uint32_t name)
{
    return name < MOST_OFFERED ? offered[name].read_only - 1 : NONE;
}

void descriptors_withdraw(uint32_t name)
{
    if (name >= MOST_OFFERED) {
        return;
    }
    if (offered[name].read_only != 0) {
        close(offered[name].read_only - 1);
    }
    if (offered[name].writable != 0) {
        close(offered[name].writable - 1);
    }
    offered[name].read_only = offered[name].writable = 0;
}

/* ---- a child's ---- */

/* Puts a descriptor in the place of another one, with the flags that QEMU had set on that. */
static bool put(int descriptor, int number)
{
    int flags = (int)syscall(SYS_fcntl, number, F_GETFL);
    if (flags < 0 || syscall(SYS_fcntl, descriptor, F_SETFL, flags & (O_NONBLOCK | O_APPEND)) < 0) {
        return false;
    }
    return syscall(SYS_dup3, descriptor, number, O_CLOEXEC) >= 0;
}

static bool renew(int number)
{
    int flags = (int)syscall(SYS_fcntl, number, F_GETFL);
    int own = kinds[number] == EVENT
        ? (int)syscall(SYS_eventfd2, 1, EFD_CLOEXEC | ((flags & O_NONBLOCK) != 0 ? EFD_NONBLOCK : 0))
        : (int)syscall(SYS_epoll_create1, EPOLL_CLOEXEC);
    if (flags < 0 || own < 0) {
        return false;
    }
    bool done = syscall(SYS_dup3, own, number, O_CLOEXEC) >= 0;
    syscall(SYS_close, own);
    return done;
}

/* By what is open, not by numbers: QEMU opens its disk more than once, and what was offered is held as well. */
static bool replace_disk(const struct descriptors *own)
{
    struct stat disk, open;
    if (fstat(own->disk, &disk) < 0) {
        return false;
    }
    for (int fd = FORK_LISTENER + 1; fd < MOST_DESCRIPTORS; fd++) {
        bool passed = fd == own->disk || fd == own->own_disk || fd == own->own_disk_read_only;
        if (passed || kinds[fd] != ORDINARY || fstat(fd, &open) < 0 || open.st_dev != disk.st_dev
            || open.st_ino != disk.st_ino) {
            continue;
        }
        int flags = (int)syscall(SYS_fcntl, fd, F_GETFL);
        int with = (flags & O_ACCMODE) == O_RDONLY ? own->own_disk_read_only : own->own_disk;
        if (flags < 0 || syscall(SYS_dup3, with, fd, O_CLOEXEC) < 0) {
            return false;
        }
    }
    return true;
}

static bool furnish_tap(int tap)
{
    for (size_t i = 0; i < sizeof tap_settings / sizeof tap_settings[0]; i++) {
        unsigned long argument =
            tap_settings[i].is_pointer ? (unsigned long)&tap_settings[i].value : tap_settings[i].argument;
        if (tap_settings[i].is_set && syscall(SYS_ioctl, tap, tap_settings[i].request, argument) < 0) {
            return false;
        }
    }
    return put(tap, TAP);
}

bool descriptors_has_agent(void)
{
    return agent_connection != NONE;
}

/* Of a machine that has no connection, the child has none either, and the host makes one by the listener. */
static bool put_connection(int descriptor, int number)
{
    return number == NONE || put(descriptor, number);
}

void descriptors_close(const struct descriptors *passed)
{
    const int *each = (const int *)passed;
    for (int i = 0; i < PASSED; i++) {
        syscall(SYS_close, each[i]);
    }
}

/* Takes a child's own in place of the inherited ones. Answers an errno. */
int descriptors_adopt(const struct descriptors *own, int fork_connection)
{
    for (int fd = 0; fd < MOST_DESCRIPTORS; fd++) {
        if (kinds[fd] != ORDINARY && !renew(fd)) {
            return errno;
        }
    }
    bool done = put(own->fork_connection, fork_connection) && put(own->fork_listener, FORK_LISTENER)
        && put(own->protocol_listener, CONTROL_PROTOCOL_LISTENER) && put(own->agent_listener, AGENT_LISTENER)
        && put_connection(own->protocol_connection, protocol_connection)
        && put_connection(own->agent_connection, agent_connection) && furnish_tap(own->tap)
        && put(own->log, STDOUT_FILENO) && put(own->log, STDERR_FILENO) && replace_disk(own);
    int failure = done ? 0 : errno;
    descriptors_close(own);
    return failure;
}
