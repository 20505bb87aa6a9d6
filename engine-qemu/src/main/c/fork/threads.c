/*
 * Stops all threads of the monitor, forks it, and makes the threads again in the child.
 *
 * How a thread is stopped. It gets SIGFPE, which QEMU leaves unblocked in all of its threads, and waits in the handler.
 * The signal comes from a POSIX timer with SIGEV_THREAD_ID, which the kernel lets reach threads of this process only;
 * so the filter need not allow tgkill(2), by which processes of one user reach each other.
 *
 * Where it may be stopped. QEMU's recursive mutexes know their owner by its thread id, which is another one in the
 * child. So no thread may hold one: those that serve descriptors must be in poll(2) or ppoll(2), and all others must
 * wait in some system call. If one is elsewhere, all are let go, and it is tried again a moment later.
 *
 * How it is made again. The handler's argument is the thread's whole state, laid out for rt_sigreturn(2). A new thread
 * with the old thread-local storage, which calls that with this state, goes on where the old one was. The C library's
 * note of the thread id, which clone(2) writes for new threads, is found behind the thread-local storage by its value.
 *
 * The registry is locked by the control thread during a fork, and unlocked by it in both processes.
 */
#define _GNU_SOURCE
#include "fork.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { STOP_SIGNAL = SIGFPE, MOST_THREADS = 256, MOST_LEAVING = 64, KERNEL_SIGSET = 8 };

enum { PATIENCE_NANOS = 1000000000, PAUSE_NANOS = 100000 };

/* Where struct pthread has the thread id, in bytes behind the thread pointer: 0x2d0 in glibc 2.36. */
enum { TID_FROM = 0x200, TID_TO = 0x400 };

enum use { FREE, STARTING, RUNNING };

struct thread {
    _Atomic int use;
    pid_t tid;
    uintptr_t storage; /* its thread pointer, which is also its pthread_t */
    ucontext_t *state; /* while it is stopped */
    int error;         /* its errno then */
    int stop_timer, kick_timer;
    int kick_signal;
};

enum { NO_TIMER = -1 };

/* A word of the whole process: what the stopped threads wait for. */
enum phase { GOING, STOPPING, FORKING };

static struct thread threads[MOST_THREADS];
static pid_t leaving[MOST_LEAVING];
static int leaving_count;
static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t timers = PTHREAD_MUTEX_INITIALIZER;
static size_t tid_offset;
static bool unsupported;

static _Atomic int phase, stopped, restless;
static int expected;
static struct thread *main_thread, *control_thread;
static const struct descriptors *order;
static struct forked *report;
static bool is_child;

#define INITIAL_EXEC __attribute__((tls_model("initial-exec")))
static __thread struct thread *current INITIAL_EXEC;
static __thread volatile bool polls INITIAL_EXEC, in_poll INITIAL_EXEC;

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void futex_wait(_Atomic int *word, int while_it_is, int64_t nanos)
{
    struct timespec longest = {nanos / 1000000000, nanos % 1000000000};
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, while_it_is, nanos < 0 ? NULL : &longest, NULL, 0);
}

static void set_and_wake(_Atomic int *word, int value)
{
    atomic_store(word, value);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

/* ---- the registry ---- */

static void find_tid_offset(void)
{
    uintptr_t storage = (uintptr_t)__builtin_thread_pointer();
    pid_t tid = (pid_t)syscall(SYS_gettid);
    int found = 0;
    for (size_t offset = TID_FROM; offset < TID_TO; offset += sizeof(pid_t)) {
        if (*(pid_t *)(storage + offset) == tid) {
            tid_offset = offset;
            found++;
        }
    }
    unsupported = found != 1;
}

static pid_t *tid_in_library(const struct thread *thread)
{
    return (pid_t *)(thread->storage + tid_offset);
}

static void enter(struct thread *thread)
{
    thread->tid = (pid_t)syscall(SYS_gettid);
    thread->storage = (uintptr_t)__builtin_thread_pointer();
    thread->stop_timer = thread->kick_timer = NO_TIMER;
    if (*tid_in_library(thread) != thread->tid) {
        unsupported = true;
    }
    current = thread;
    atomic_store(&thread->use, RUNNING);
}

static struct thread *reserve(void)
{
    struct thread *found = NULL;
    pthread_mutex_lock(&registry);
    for (int i = 0; i < MOST_THREADS && found == NULL; i++) {
        if (atomic_load(&threads[i].use) == FREE) {
            found = &threads[i];
            atomic_store(&found->use, STARTING);
        }
    }
    pthread_mutex_unlock(&registry);
    return found;
}

static void delete_timer(int *timer)
{
    if (*timer != NO_TIMER) {
        syscall(SYS_timer_delete, *timer);
        *timer = NO_TIMER;
    }
}

static void leave(void *argument)
{
    struct thread *thread = argument;
    pthread_mutex_lock(&registry);
    pthread_mutex_lock(&timers);
    current = NULL;
    delete_timer(&thread->stop_timer);
    delete_timer(&thread->kick_timer);
    thread->storage = 0;
    pthread_mutex_unlock(&timers);
    if (leaving_count < MOST_LEAVING) {
        leaving[leaving_count++] = thread->tid;
    }
    atomic_store(&thread->use, FREE);
    pthread_mutex_unlock(&registry);
}

struct start {
    void *(*routine)(void *);
    void *argument;
    struct thread *thread;
};

static void *run(void *argument)
{
    struct start start = *(struct start *)argument;
    free(argument);
    enter(start.thread);
    void *result;
    pthread_cleanup_push(leave, start.thread);
    result = start.routine(start.argument);
    pthread_cleanup_pop(1);
    return result;
}

typedef int create_function(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static create_function *library_create(void)
{
    static create_function *_Atomic found;
    create_function *function = atomic_load(&found);
    if (function == NULL) {
        *(void **)&function = dlsym(RTLD_NEXT, "pthread_create");
        atomic_store(&found, function);
    }
    return function;
}

INTERPOSED int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*routine)(void *), void *argument)
{
    struct thread *slot = reserve();
    struct start *start = slot == NULL ? NULL : malloc(sizeof *start);
    int failure = EAGAIN;
    if (start != NULL) {
        *start = (struct start){routine, argument, slot};
        failure = library_create()(thread, attributes, run, start);
    }
    if (failure != 0) {
        free(start);
        if (slot != NULL) {
            atomic_store(&slot->use, FREE);
        }
    }
    return failure;
}

/* ---- signals within the process ---- */

/* Sends a thread a signal. The timer stays, as one that is deleted takes its signal with it. */
static int send_signal(struct thread *thread, int *timer, int signal)
{
    if (*timer == NO_TIMER) {
        struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = signal};
        event._sigev_un._tid = thread->tid;
        if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, timer) < 0) {
            *timer = NO_TIMER;
            return errno;
        }
    }
    struct itimerspec at_once = {.it_value = {.tv_nsec = 1}};
    return syscall(SYS_timer_settime, *timer, 0, &at_once, NULL) < 0 ? errno : 0;
}

/* QEMU interrupts virtual processors by it. The C library's own would need tgkill(2). */
INTERPOSED int pthread_kill(pthread_t of, int signal)
{
    int failure = ESRCH;
    pthread_mutex_lock(&timers);
    for (int i = 0; i < MOST_THREADS; i++) {
        struct thread *thread = &threads[i];
        if (atomic_load(&thread->use) == RUNNING && thread->storage == (uintptr_t)of) {
            if (thread->kick_signal != signal) {
                delete_timer(&thread->kick_timer);
                thread->kick_signal = signal;
            }
            failure = signal == 0 ? 0 : send_signal(thread, &thread->kick_timer, signal);
            break;
        }
    }
    pthread_mutex_unlock(&timers);
    return failure;
}

INTERPOSED int ppoll(struct pollfd *descriptors, nfds_t count, const struct timespec *longest, const sigset_t *mask)
{
    struct timespec copy = longest == NULL ? (struct timespec){0} : *longest; /* the kernel writes to it */
    polls = true;
    in_poll = true;
    long result =
        syscall(SYS_ppoll, descriptors, count, longest == NULL ? NULL : &copy, mask, KERNEL_SIGSET);
    in_poll = false;
    return (int)result;
}

INTERPOSED int poll(struct pollfd *descriptors, nfds_t count, int milliseconds)
{
    polls = true;
    in_poll = true;
    long result = syscall(SYS_poll, descriptors, count, milliseconds);
    in_poll = false;
    return (int)result;
}

/* glibc's fortified forms. */
INTERPOSED int __ppoll_chk(struct pollfd *descriptors, nfds_t count, const struct timespec *longest, const sigset_t *mask,
                size_t size)
{
    (void)size;
    return ppoll(descriptors, count, longest, mask);
}

INTERPOSED int __poll_chk(struct pollfd *descriptors, nfds_t count, int milliseconds, size_t size)
{
    (void)size;
    return poll(descriptors, count, milliseconds);
}

/* ---- stopping ---- */

static bool is_in_system_call(const ucontext_t *state)
{
    const unsigned char *at = (const unsigned char *)state->uc_mcontext.gregs[REG_RIP];
    /* Before it, where the kernel restarts the call, or behind it. */
    return (at[0] == 0x0f && at[1] == 0x05) || (at[-2] == 0x0f && at[-1] == 0x05);
}

static bool is_at_rest(const ucontext_t *state)
{
    return current == control_thread || (polls ? in_poll : is_in_system_call(state));
}

static void fork_in_main_thread(void);

static void on_stop_signal(int signal, siginfo_t *info, void *state)
{
    if (info->si_code != SI_TIMER) { /* a fault of this thread's own */
        struct sigaction usual = {.sa_handler = SIG_DFL};
        sigaction(signal, &usual, NULL);
        return;
    }
    struct thread *thread = current;
    if (thread == NULL || atomic_load(&phase) != STOPPING) {
        return; /* late: the fork was given up */
    }
    thread->error = errno;
    thread->state = state;
    if (!is_at_rest(state)) {
        atomic_fetch_add(&restless, 1);
    }
    if (atomic_fetch_add(&stopped, 1) + 1 == expected) {
        syscall(SYS_futex, &stopped, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
    }
    if (thread == main_thread) {
        fork_in_main_thread();
    } else {
        for (int is = atomic_load(&phase); is != GOING; is = atomic_load(&phase)) {
            futex_wait(&phase, is, -1);
        }
    }
    if (atomic_fetch_sub(&stopped, 1) == 1) {
        syscall(SYS_futex, &stopped, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
    }
    errno = thread->error;
}

/* False if some thread does not stop in time. */
static bool await_stopped(int count, int64_t until)
{
    for (int is = atomic_load(&stopped); is != count; is = atomic_load(&stopped)) {
        int64_t left = until - now();
        if (left <= 0) {
            return false;
        }
        futex_wait(&stopped, is, left);
    }
    return true;
}

/* Raw, so that the C library neither runs its handlers nor takes its locks. The child is the host's, not ours. */
pid_t clone_process(void)
{
    return (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, 0);
}

static void make_threads_again(void);

static void fork_in_main_thread(void)
{
    int64_t begin = now();
    int stopping = STOPPING;
    if (!await_stopped(expected, begin + PATIENCE_NANOS)) {
        report->error = EBUSY;
    } else if (atomic_load(&restless) > 0) {
        report->error = EAGAIN;
    } else if (atomic_compare_exchange_strong(&phase, &stopping, FORKING)) {
        int64_t at_rest = now();
        report->parking = at_rest - begin;
        report->error = kvm_save();
        pid_t child = report->error == 0 ? clone_process() : -1;
        if (child == 0) {
            is_child = true;
            child_before_threads(order);
            make_threads_again();
        } else if (child < 0 && report->error == 0) {
            report->error = errno;
        }
        report->cloning = now() - at_rest;
    }
    set_and_wake(&phase, GOING);
}

/* ---- the child ---- */

static void register_rseq(const struct thread *thread)
{
    extern __attribute__((weak)) const ptrdiff_t __rseq_offset;
    extern __attribute__((weak)) const unsigned int __rseq_size;
    enum { LEAST_SIZE = 32, SIGNATURE = 0x53053053 };
    if (&__rseq_offset == NULL || __rseq_size == 0) {
        return;
    }
    unsigned long size = getauxval(AT_RSEQ_FEATURE_SIZE);
    size = size < LEAST_SIZE ? LEAST_SIZE : (size + LEAST_SIZE - 1) / LEAST_SIZE * LEAST_SIZE;
    syscall(SYS_rseq, thread->storage + __rseq_offset, size, 0, SIGNATURE);
}

/* What a new thread does first: it goes on where the old one was stopped. */
static __attribute__((noreturn, used)) void go_on(struct thread *thread)
{
    register_rseq(thread);
    errno = thread->error;
    __asm__ volatile("mov %0, %%rsp\n"
                     "mov %1, %%eax\n"
                     "syscall\n"
                     "ud2\n"
                     :
                     : "r"(thread->state), "i"(SYS_rt_sigreturn)
                     : "memory");
    __builtin_unreachable();
}

/*
 * The new thread's stack is the old one's, from below its saved state: what the handler had there is not needed.
 * Nothing of it is robust, in the sense of pthread_mutexattr_setrobust(3), so the kernel is not told of a list.
 */
static long make_again(struct thread *thread)
{
    enum { BELOW = 512, ALIGNMENT = 16 };
    unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM
        | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
    uintptr_t top = ((uintptr_t)thread->state - BELOW) & ~(uintptr_t)(ALIGNMENT - 1);
    *(struct thread **)(top - 2 * sizeof(void *)) = thread;
    long result;
    register pid_t *cleared __asm__("r10") = tid_in_library(thread);
    register uintptr_t storage __asm__("r8") = thread->storage;
    __asm__ volatile("syscall\n"
                     "test %%rax, %%rax\n"
                     "jnz 1f\n"
                     "xor %%ebp, %%ebp\n"
                     "mov (%%rsp), %%rdi\n"
                     "call go_on_in_thread\n"
                     "ud2\n"
                     "1:\n"
                     : "=a"(result)
                     : "0"(SYS_clone), "D"(flags), "S"(top - 2 * sizeof(void *)), "d"(tid_in_library(thread)),
                       "r"(cleared), "r"(storage)
                     : "rcx", "r11", "memory", "cc");
    return result;
}

__attribute__((noreturn, used, visibility("hidden"))) void go_on_in_thread(struct thread *thread)
{
    go_on(thread);
}

static void make_threads_again(void)
{
    for (int i = 0; i < MOST_THREADS; i++) {
        struct thread *thread = &threads[i];
        if (atomic_load(&thread->use) != RUNNING) {
            continue;
        }
        /* Timers are not inherited: timer_create(2). */
        thread->stop_timer = thread->kick_timer = NO_TIMER;
        if (thread == main_thread) {
            thread->tid = (pid_t)syscall(SYS_gettid);
            *tid_in_library(thread) = thread->tid;
            continue;
        }
        long tid = make_again(thread);
        if (tid < 0) {
            dprintf(STDERR_FILENO, "podflare: a thread can't be made again: %s\n", strerror((int)-tid));
            _exit(1);
        }
        thread->tid = (pid_t)tid;
    }
    /* Those that are made again do not come by the handler's end. */
    atomic_store(&stopped, 1);
}

/* ---- a fork, as the control thread has it ---- */

static bool exists(pid_t tid)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = STOP_SIGNAL};
    event._sigev_un._tid = tid;
    int timer;
    if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) < 0) {
        return false;
    }
    syscall(SYS_timer_delete, timer);
    return true;
}

/* A thread that has just begun or is about to end can't be stopped, and would be missing in the child. */
static bool await_settled(int64_t until)
{
    while (true) {
        bool settled = true;
        for (int i = 0; i < MOST_THREADS; i++) {
            settled &= atomic_load(&threads[i].use) != STARTING;
        }
        for (int i = leaving_count - 1; i >= 0; i--) {
            if (exists(leaving[i])) {
                settled = false;
            } else {
                leaving[i] = leaving[--leaving_count];
            }
        }
        if (settled || now() > until) {
            return settled;
        }
        sched_yield();
    }
}

static void stop_all(void)
{
    expected = 0;
    for (int i = 0; i < MOST_THREADS; i++) {
        expected += atomic_load(&threads[i].use) == RUNNING;
    }
    atomic_store(&restless, 0);
    atomic_store(&phase, STOPPING);
    pthread_mutex_lock(&timers);
    for (int i = 0; i < MOST_THREADS; i++) {
        if (atomic_load(&threads[i].use) == RUNNING && &threads[i] != control_thread) {
            send_signal(&threads[i], &threads[i].stop_timer, STOP_SIGNAL);
        }
    }
    pthread_mutex_unlock(&timers);
    /* This thread last: it has to be stopped as the others are, so that the child has it too. */
    send_signal(control_thread, &control_thread->stop_timer, STOP_SIGNAL);
    int64_t until = now() + 2 * (int64_t)PATIENCE_NANOS;
    while (atomic_load(&phase) != GOING) {
        int stopping = STOPPING;
        if (now() > until && atomic_compare_exchange_strong(&phase, &stopping, GOING)) {
            report->error = EBUSY;
            set_and_wake(&phase, GOING);
        }
        sched_yield();
    }
    /* Nobody of this round may be met in the next. In the child nobody is left. */
    await_stopped(0, now() + PATIENCE_NANOS);
}

/*
 * Forks the monitor. Returns in both: true in the child. Of the descriptors, the parent keeps none.
 * Only the control thread may call it.
 */
bool threads_fork(const struct descriptors *for_child, struct forked *forked)
{
    static struct forked result; /* the child's control thread finds it where the parent's had it */
    int64_t until = now() + PATIENCE_NANOS;
    result = (struct forked){.error = unsupported ? ENOTSUP : EAGAIN};
    order = for_child;
    report = &result;
    is_child = false;
    pthread_mutex_lock(&registry);
    while (result.error == EAGAIN && now() < until) {
        result.attempts++;
        if (!await_settled(until)) {
            break;
        }
        stop_all();
        if (result.error == EAGAIN) {
            nanosleep(&(struct timespec){.tv_nsec = PAUSE_NANOS}, NULL);
        }
    }
    pthread_mutex_unlock(&registry);
    if (result.error == EAGAIN) {
        result.error = EBUSY;
    }
    *forked = result;
    return is_child;
}

void threads_register_control(void)
{
    control_thread = current;
}

/* In the main thread, before all others. */
void threads_start(void)
{
    find_tid_offset();
    main_thread = &threads[0];
    enter(main_thread);
    struct sigaction action = {.sa_sigaction = on_stop_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigfillset(&action.sa_mask);
    sigaction(STOP_SIGNAL, &action, NULL);
}
