/*
 * The host's requests to a monitor. They come as packets through a connection that only the host can make, with
 * descriptors beside them. One connection is served at a time; the next host of this machine makes another one.
 *
 *     request:  u32 operation, u32 number, u64 value, then what the operation needs
 *     answer:   u32 operation, i32 errno, u32 attempts, i32 descriptor, i64 parking, i64 cloning (nanoseconds)
 *
 *     OFFER     number: a name; descriptors: to read, and perhaps one to write. QEMU finds them as /offered/NAME.
 *     WITHDRAW  number: a name
 *     STATE     descriptor: device state. The answer has the number at which QEMU may take it, and then closes it.
 *     MAP       value: address; number: of pieces, which follow. The guest must not run, and what it sees not change.
 *     FORK      descriptors: those of struct descriptors. The child sends HELLO through its own connection, with 1 as the
 *               descriptor if it has the connection to the agent.
 *     GO        to a child: number: what becomes of its user; value: that user; then u32 first, u32 count of a range
 *
 * All numbers are in the byte order of the machine. The host is trusted; lengths are checked all the same.
 */
#define _GNU_SOURCE
#include "filter.h"
#include "fork.h"

#include <errno.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum operation { OFFER = 1, WITHDRAW, STATE, MAP, FORK, GO, HELLO };

/* What becomes of a child's user. */
enum user { SAME, OWN, OWN_AND_RANGE };

enum { MOST_PIECES = 1024 };

struct request {
    uint32_t operation;
    uint32_t number;
    uint64_t value;
    union {
        struct piece pieces[MOST_PIECES];
        struct {
            uint32_t first, count;
        } range;
    };
};

struct answer {
    uint32_t operation;
    int32_t error;
    uint32_t attempts;
    int32_t descriptor;
    int64_t parking;
    int64_t cloning;
};

struct received {
    ssize_t length;
    int count;
    int descriptors[PASSED];
};

enum { HEAD = offsetof(struct request, pieces) };

static int connection = -1;

/* Length 0 at the connection's end. Too many descriptors are closed by the kernel: MSG_CTRUNC. */
static struct received receive(struct request *request)
{
    struct received received = {0};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof received.descriptors)];
    } control;
    struct iovec data = {request, sizeof *request};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    do {
        received.length = recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
    } while (received.length < 0 && errno == EINTR);
    if (received.length < HEAD) {
        received.length = 0;
        return received;
    }
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
        received.count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(received.descriptors, CMSG_DATA(header), (size_t)received.count * sizeof(int));
    }
    return received;
}

static void reply(const struct answer *answer)
{
    /* If nobody hears it, the connection's end is met next. */
    while (send(connection, answer, sizeof *answer, MSG_NOSIGNAL) < 0 && errno == EINTR) {
    }
}

static bool to_descriptors(const struct received *received, struct descriptors *descriptors)
{
    if (received->count != PASSED) {
        return false;
    }
    memcpy(descriptors, received->descriptors, sizeof *descriptors);
    return true;
}

static void close_all(const struct received *received)
{
    for (int i = 0; i < received->count; i++) {
        close(received->descriptors[i]);
    }
}

/* ---- a child, before it has threads ---- */

static int give_up_rights(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 || syscall(SYS_capset, &header, none) < 0) {
        return errno;
    }
    return filter_no_users() < 0 ? errno : 0;
}

/* Raw calls: the C library's would ask threads that are not there to do the same. */
static int change_user(const struct request *go)
{
    if (go->number == SAME) {
        return 0;
    }
    uid_t user = (uid_t)go->value;
    if (syscall(SYS_setresgid, user, user, user) < 0 || syscall(SYS_setresuid, user, user, user) < 0
        || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        return errno;
    }
    if (go->number == OWN) {
        return give_up_rights();
    }
    return filter_users(go->range.first, go->range.count) < 0 ? errno : 0;
}

static void begin_child(const struct descriptors *own)
{
    int failure = descriptors_adopt(own, connection);
    struct answer hello = {.operation = HELLO, .error = failure, .descriptor = descriptors_has_agent()};
    reply(&hello);
    if (failure != 0) {
        _exit(1);
    }
}

static void make_sibling(const struct received *received)
{
    struct descriptors for_sibling;
    struct answer answer = {.operation = FORK, .attempts = 1};
    if (!to_descriptors(received, &for_sibling)) {
        answer.error = EINVAL;
        close_all(received);
    } else {
        pid_t sibling = clone_process();
        if (sibling == 0) {
            begin_child(&for_sibling);
            return;
        }
        answer.error = sibling < 0 ? errno : 0;
        descriptors_close(&for_sibling);
    }
    reply(&answer);
}

/* Serves the host until the child may have its threads. Ends the child if the host goes away, or if it can't go on. */
void child_before_threads(const struct descriptors *own)
{
    struct request request;
    begin_child(own);
    while (true) {
        struct received received = receive(&request);
        if (received.length == 0) {
            _exit(0);
        }
        if (request.operation == FORK) {
            make_sibling(&received);
            continue;
        }
        close_all(&received);
        struct answer answer = {.operation = request.operation, .error = EINVAL};
        if (request.operation == GO) {
            answer.error = kvm_restore();
            answer.error = answer.error != 0 ? answer.error : change_user(&request);
        }
        reply(&answer);
        if (request.operation == GO) {
            if (answer.error != 0) {
                _exit(1);
            }
            return;
        }
    }
}

/* ---- a monitor that has its threads ---- */

static void offer(const struct request *request, const struct received *received, struct answer *answer)
{
    if (received->count < 1 || received->count > 2) {
        close_all(received);
        answer->error = EINVAL;
        return;
    }
    int writable = received->count == 2 ? received->descriptors[1] : -1;
    answer->error = descriptors_offer(request->number, received->descriptors[0], writable);
}

static void take_state(const struct received *received, struct answer *answer)
{
    if (received->count == 1) {
        answer->descriptor = received->descriptors[0];
    } else {
        close_all(received);
        answer->error = EINVAL;
    }
}

static void map(const struct request *request, const struct received *received, struct answer *answer)
{
    close_all(received);
    size_t needed = HEAD + (size_t)request->number * sizeof(struct piece);
    answer->error = request->number > MOST_PIECES || (size_t)received->length != needed
        ? EINVAL
        : memory_map(request->value, request->pieces, request->number);
}

/* True in the child, which has nothing to answer: the host has heard it already. */
static bool fork_for_host(const struct received *received, struct answer *answer)
{
    struct descriptors for_child;
    if (!to_descriptors(received, &for_child)) {
        close_all(received);
        answer->error = EINVAL;
        return false;
    }
    struct forked forked;
    if (threads_fork(&for_child, &forked)) {
        return true;
    }
    descriptors_close(&for_child);
    answer->error = forked.error;
    answer->attempts = forked.attempts;
    answer->parking = forked.parking;
    answer->cloning = forked.cloning;
    return false;
}

static void serve(const struct request *request, const struct received *received)
{
    struct answer answer = {.operation = request->operation, .descriptor = -1};
    switch (request->operation) {
    case OFFER:
        offer(request, received, &answer);
        break;
    case WITHDRAW:
        close_all(received);
        descriptors_withdraw(request->number);
        break;
    case STATE:
        take_state(received, &answer);
        break;
    case MAP:
        map(request, received, &answer);
        break;
    case FORK:
        if (fork_for_host(received, &answer)) {
            return;
        }
        break;
    default:
        close_all(received);
        answer.error = ENOSYS;
    }
    reply(&answer);
}

static void *control(void *unused)
{
    static struct request request;
    (void)unused;
    prctl(PR_SET_NAME, "fork-control");
    threads_register_control();
    while (true) {
        if (connection < 0) {
            connection = accept4(FORK_LISTENER, NULL, NULL, SOCK_CLOEXEC);
            if (connection < 0 && errno != EINTR && errno != ECONNABORTED) {
                return NULL;
            }
            continue;
        }
        struct received received = receive(&request);
        if (received.length == 0) {
            close(connection);
            connection = -1;
        } else {
            serve(&request, &received);
        }
    }
}

/* The monitor's signals are for its own threads; this one takes only those that stop it. */
void control_start(void)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t others, before;
    sigfillset(&others);
    sigdelset(&others, SIGFPE);
    sigdelset(&others, SIGSYS);
    pthread_sigmask(SIG_SETMASK, &others, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 256 << 10);
    int failure = pthread_create(&thread, &attributes, control, NULL);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure != 0) {
        fprintf(stderr, "podflare: no thread: %s\n", strerror(failure));
        exit(1);
    }
}

/* Before the monitor's main(). The filter comes first, so that it holds for all threads. */
__attribute__((constructor)) static void start(void)
{
    filter_before_main();
    threads_start();
    control_start();
}
