/*
 * KVM for a child. A virtual machine in the kernel belongs to the address space that made it, so a child makes a new one:
 * what QEMU asked the kernel for is noted as it goes by, the state of processors and chips is read before the fork, and
 * the child plays the notes again and sets the state, all under the descriptor numbers that QEMU knows.
 *
 * The page that a processor shares with QEMU (struct kvm_run) is mapped at its old address, with its old content.
 * While a machine is stopped QEMU has taken its ioeventfds and irqfds away, so there is none to make again.
 *
 * The order in which state is set is that of QEMU, docs/devel and target/i386/kvm: CPUID first, as registers depend on
 * it; the APIC before its deadline (MSR 0x6e0), which is armed when it is written.
 *
 * Nothing is allocated at the time of a fork: buffers are made when QEMU makes what they are for. Without KVM nothing
 * is noted, and both calls do nothing.
 */
#define _GNU_SOURCE
#include "fork.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST_PROCESSORS = 64, MOST_CALLS = 64, MOST_CALL_BYTES = 512, MOST_SLOTS = 512, MOST_MSRS = 2048 };

enum { LEAST_XSAVE = 4096, RUN_PAGE = 4096, RUN_HEAD = 2048, CHIPS = 3 };

enum { MSR_TSC_DEADLINE = 0x6e0 };

/* Of struct kvm_userspace_memory_region, and of the second one, which begins with the same fields. */
enum { NR_SET_MEMORY = 0x46, NR_SET_MEMORY_2 = 0x49 };

struct call {
    unsigned long request;
    unsigned long argument; /* if it has no data */
    size_t length;
    char data[MOST_CALL_BYTES];
};

struct calls {
    struct call call[MOST_CALLS];
    int count;
};

struct processor {
    int fd;
    void *run;
    size_t run_length;
    struct calls calls;
    void *cpuid;
    struct {
        struct kvm_signal_mask head;
        unsigned char set[64];
    } signal_mask;
    bool has_signal_mask;
    /* State, from just before the fork. */
    char run_head[RUN_HEAD];
    struct kvm_mp_state mp_state;
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_xcrs xcrs;
    struct kvm_lapic_state lapic;
    struct kvm_vcpu_events events;
    struct kvm_debugregs debugregs;
    char *xsave;
    struct kvm_msrs *msrs;
};

static int kvm = -1, vm = -1;
static unsigned long vm_type;
static struct calls vm_calls;
static struct kvm_userspace_memory_region slots[MOST_SLOTS];
static void *routing;
static bool has_irqchip, has_pit, too_much;
static struct kvm_irqchip chips[CHIPS];
static struct kvm_pit_state2 pit;
static struct kvm_clock_data vm_clock;
static size_t xsave_length = LEAST_XSAVE;
static struct processor *processors[MOST_PROCESSORS];
static int processor_count;

static void *buffer(size_t length)
{
    void *made = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED) {
        too_much = true;
        return NULL;
    }
    return made;
}

static long call_kernel(int fd, unsigned long request, const void *argument)
{
    return syscall(SYS_ioctl, fd, request, argument);
}

/* ---- what QEMU asks for ---- */

/* The last one of its kind counts, but a capability is a kind of its own. */
static bool replaces(const struct call *call, unsigned long request, const void *argument)
{
    return call->request == request
        && (request != KVM_ENABLE_CAP
            || ((const struct kvm_enable_cap *)call->data)->cap == ((const struct kvm_enable_cap *)argument)->cap);
}

static void note(struct calls *calls, unsigned long request, unsigned long argument)
{
    size_t length = _IOC_SIZE(request);
    int at = 0;
    while (at < calls->count && !replaces(&calls->call[at], request, (const void *)argument)) {
        at++;
    }
    if (at == MOST_CALLS || length > MOST_CALL_BYTES) {
        too_much = true;
        return;
    }
    struct call *call = &calls->call[at];
    *call = (struct call){.request = request, .argument = argument, .length = length};
    memcpy(call->data, (const void *)argument, length);
    calls->count += at == calls->count;
}

static void note_copy(void **copy, const void *of, size_t length)
{
    free(*copy);
    *copy = malloc(length);
    if (*copy == NULL) {
        too_much = true;
    } else {
        memcpy(*copy, of, length);
    }
}

static void note_processor(int fd)
{
    struct processor *made = processor_count < MOST_PROCESSORS ? buffer(sizeof *made) : NULL;
    long length = syscall(SYS_ioctl, vm, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
    if (length > (long)xsave_length) {
        xsave_length = (size_t)length;
    }
    if (made == NULL) {
        too_much = true;
        return;
    }
    made->fd = fd;
    made->xsave = buffer(xsave_length);
    made->msrs = buffer(sizeof *made->msrs + MOST_MSRS * sizeof made->msrs->entries[0]);
    processors[processor_count++] = made;
}

static void note_memory(const struct kvm_userspace_memory_region *region)
{
    if (region->slot >= MOST_SLOTS) {
        too_much = true;
        return;
    }
    slots[region->slot] = (struct kvm_userspace_memory_region){
        .slot = region->slot,
        .flags = region->flags & (KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY),
        .guest_phys_addr = region->guest_phys_addr,
        .memory_size = region->memory_size,
        .userspace_addr = region->userspace_addr,
    };
}

static void note_vm(unsigned long request, unsigned long argument, long result)
{
    const void *data = (const void *)argument;
    if (_IOC_NR(request) == NR_SET_MEMORY || _IOC_NR(request) == NR_SET_MEMORY_2) {
        note_memory(data);
        return;
    }
    switch (request) {
    case KVM_CREATE_VCPU:
        note_processor((int)result);
        break;
    case KVM_SET_GSI_ROUTING: {
        const struct kvm_irq_routing *table = data;
        note_copy(&routing, table, sizeof *table + table->nr * sizeof table->entries[0]);
        break;
    }
    case KVM_CREATE_IRQCHIP:
        has_irqchip = true;
        note(&vm_calls, request, argument);
        break;
    case KVM_CREATE_PIT2:
        has_pit = true;
        note(&vm_calls, request, argument);
        break;
    case KVM_SET_TSS_ADDR:
    case KVM_SET_IDENTITY_MAP_ADDR:
    case KVM_SET_BOOT_CPU_ID:
    case KVM_ENABLE_CAP:
    case KVM_REGISTER_COALESCED_MMIO:
    case KVM_REINJECT_CONTROL:
        note(&vm_calls, request, argument);
        break;
    default:
        break;
    }
}

static void note_for_processor(struct processor *processor, unsigned long request, unsigned long argument)
{
    const void *data = (const void *)argument;
    switch (request) {
    case KVM_SET_CPUID2: {
        const struct kvm_cpuid2 *table = data;
        note_copy(&processor->cpuid, table, sizeof *table + table->nent * sizeof table->entries[0]);
        break;
    }
    case KVM_SET_SIGNAL_MASK: {
        const struct kvm_signal_mask *mask = data;
        if (mask->len <= sizeof processor->signal_mask.set) {
            memcpy(&processor->signal_mask, mask, sizeof *mask + mask->len);
            processor->has_signal_mask = true;
        }
        break;
    }
    case KVM_ENABLE_CAP:
    case KVM_SET_TSC_KHZ:
    case KVM_X86_SETUP_MCE:
    case KVM_TPR_ACCESS_REPORTING:
    case KVM_SET_VAPIC_ADDR:
        note(&processor->calls, request, argument);
        break;
    default:
        break;
    }
}

void kvm_note(int fd, unsigned long request, unsigned long argument, long result)
{
    if (_IOC_TYPE(request) != KVMIO || request == KVM_RUN) {
        return;
    }
    if (request == KVM_CREATE_VM) {
        kvm = fd;
        vm = (int)result;
        vm_type = argument;
    } else if (fd == vm) {
        note_vm(request, argument, result);
    } else {
        for (int i = 0; i < processor_count; i++) {
            if (processors[i]->fd == fd) {
                note_for_processor(processors[i], request, argument);
            }
        }
    }
}

void kvm_note_mapping(int fd, void *address, size_t length)
{
    for (int i = 0; i < processor_count; i++) {
        if (processors[i]->fd == fd) {
            processors[i]->run = address;
            processors[i]->run_length = length;
        }
    }
}

/* ---- before the fork ---- */

static struct kvm_msr_list *known_msrs(void)
{
    static struct {
        struct kvm_msr_list head;
        uint32_t indices[MOST_MSRS];
    } list;
    if (list.head.nmsrs == 0) {
        list.head.nmsrs = MOST_MSRS;
        if (call_kernel(kvm, KVM_GET_MSR_INDEX_LIST, &list) < 0) {
            list.head.nmsrs = 0;
        }
    }
    return &list.head;
}

/* The kernel lists some that this processor does not have. Those that can be read are the same each time. */
static void find_msrs(struct processor *of)
{
    const struct kvm_msr_list *known = known_msrs();
    for (uint32_t i = 0; i < known->nmsrs; i++) {
        struct {
            struct kvm_msrs head;
            struct kvm_msr_entry entry;
        } one = {.head = {.nmsrs = 1}, .entry = {.index = known->indices[i]}};
        if (call_kernel(of->fd, KVM_GET_MSRS, &one) == 1) {
            of->msrs->entries[of->msrs->nmsrs++] = one.entry;
        }
    }
}

static bool save_msrs(struct processor *of)
{
    if (of->msrs->nmsrs == 0) {
        find_msrs(of);
        return of->msrs->nmsrs > 0;
    }
    return call_kernel(of->fd, KVM_GET_MSRS, of->msrs) == of->msrs->nmsrs;
}

static bool save_processor(struct processor *of)
{
    memcpy(of->run_head, of->run, RUN_HEAD);
    return call_kernel(of->fd, KVM_GET_MP_STATE, &of->mp_state) >= 0
        && call_kernel(of->fd, KVM_GET_REGS, &of->regs) >= 0 && call_kernel(of->fd, KVM_GET_SREGS, &of->sregs) >= 0
        && call_kernel(of->fd, KVM_GET_XCRS, &of->xcrs) >= 0
        && call_kernel(of->fd, xsave_length > LEAST_XSAVE ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, of->xsave) >= 0
        && call_kernel(of->fd, KVM_GET_LAPIC, &of->lapic) >= 0
        && call_kernel(of->fd, KVM_GET_VCPU_EVENTS, &of->events) >= 0
        && call_kernel(of->fd, KVM_GET_DEBUGREGS, &of->debugregs) >= 0 && save_msrs(of);
}

/* Reads the state of a stopped machine. Answers an errno. */
int kvm_save(void)
{
    if (vm < 0) {
        return 0;
    }
    if (too_much || !has_irqchip) {
        return ENOTSUP;
    }
    for (uint32_t chip = 0; chip < CHIPS; chip++) {
        chips[chip].chip_id = chip;
        if (call_kernel(vm, KVM_GET_IRQCHIP, &chips[chip]) < 0) {
            return errno;
        }
    }
    if ((has_pit && call_kernel(vm, KVM_GET_PIT2, &pit) < 0) || call_kernel(vm, KVM_GET_CLOCK, &vm_clock) < 0) {
        return errno;
    }
    for (int i = 0; i < processor_count; i++) {
        if (processors[i]->run == NULL || !save_processor(processors[i])) {
            return errno == 0 ? ENOTSUP : errno;
        }
    }
    return 0;
}

/* ---- in the child ---- */

static bool play(int fd, const struct calls *calls)
{
    for (int i = 0; i < calls->count; i++) {
        const struct call *call = &calls->call[i];
        const void *argument = call->length > 0 ? call->data : (const void *)call->argument;
        if (call_kernel(fd, call->request, argument) < 0) {
            return false;
        }
    }
    return true;
}

static bool put(int descriptor, int number)
{
    if (descriptor < 0) {
        return false;
    }
    bool done = syscall(SYS_dup3, descriptor, number, O_CLOEXEC) >= 0;
    syscall(SYS_close, descriptor);
    return done;
}

static bool restore_memory(void)
{
    for (int i = 0; i < MOST_SLOTS; i++) {
        if (slots[i].memory_size > 0 && call_kernel(vm, KVM_SET_USER_MEMORY_REGION, &slots[i]) < 0) {
            return false;
        }
    }
    return true;
}

/* One by one: some that can be read can't be written, and those are the kernel's own to set. */
static void restore_msrs(const struct processor *of, bool deadline)
{
    for (uint32_t i = 0; i < of->msrs->nmsrs; i++) {
        struct {
            struct kvm_msrs head;
            struct kvm_msr_entry entry;
        } one = {.head = {.nmsrs = 1}, .entry = of->msrs->entries[i]};
        if ((one.entry.index == MSR_TSC_DEADLINE) == deadline) {
            call_kernel(of->fd, KVM_SET_MSRS, &one);
        }
    }
}

static bool restore_state(struct processor *of)
{
    if (call_kernel(of->fd, KVM_SET_SREGS, &of->sregs) < 0 || call_kernel(of->fd, KVM_SET_XCRS, &of->xcrs) < 0
        || call_kernel(of->fd, KVM_SET_XSAVE, of->xsave) < 0 || call_kernel(of->fd, KVM_SET_REGS, &of->regs) < 0) {
        return false;
    }
    restore_msrs(of, false);
    if (call_kernel(of->fd, KVM_SET_LAPIC, &of->lapic) < 0) {
        return false;
    }
    restore_msrs(of, true);
    bool done = call_kernel(of->fd, KVM_SET_VCPU_EVENTS, &of->events) >= 0
        && call_kernel(of->fd, KVM_SET_DEBUGREGS, &of->debugregs) >= 0
        && call_kernel(of->fd, KVM_SET_MP_STATE, &of->mp_state) >= 0;
    /* Tells the guest that it stood still, or its watchdog would complain. Refused where it has no such clock. */
    call_kernel(of->fd, KVM_KVMCLOCK_CTRL, NULL);
    return done;
}

static bool restore_processor(struct processor *of, int number)
{
    if (!put((int)syscall(SYS_ioctl, vm, KVM_CREATE_VCPU, (long)number), of->fd)) {
        return false;
    }
    void *run =
        (void *)syscall(SYS_mmap, of->run, of->run_length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, of->fd, 0);
    if (run == MAP_FAILED) {
        return false;
    }
    memcpy(run, of->run_head, RUN_HEAD);
    return (of->cpuid == NULL || call_kernel(of->fd, KVM_SET_CPUID2, of->cpuid) >= 0) && play(of->fd, &of->calls)
        && (!of->has_signal_mask || call_kernel(of->fd, KVM_SET_SIGNAL_MASK, &of->signal_mask) >= 0)
        && restore_state(of);
}

static bool restore_chips(void)
{
    for (int chip = 0; chip < CHIPS; chip++) {
        if (call_kernel(vm, KVM_SET_IRQCHIP, &chips[chip]) < 0) {
            return false;
        }
    }
    vm_clock.flags = 0; /* what the clock said then is what it says now */
    return (!has_pit || call_kernel(vm, KVM_SET_PIT2, &pit) >= 0) && call_kernel(vm, KVM_SET_CLOCK, &vm_clock) >= 0;
}

/* Makes the virtual machine again. Answers an errno. */
int kvm_restore(void)
{
    if (vm < 0) {
        return 0;
    }
    bool done = put((int)syscall(SYS_ioctl, kvm, KVM_CREATE_VM, vm_type), vm) && play(vm, &vm_calls)
        && restore_memory() && (routing == NULL || call_kernel(vm, KVM_SET_GSI_ROUTING, routing) >= 0);
    for (int i = 0; i < processor_count && done; i++) {
        done = restore_processor(processors[i], i);
    }
    return done && restore_chips() ? 0 : errno;
}
