/* A TCG plugin of QEMU's: counts the instructions that an emulated program executes, and writes how
 * many there were at each of the program's marks (../src/marks.h) into a file:
 *
 *     qemu-aarch64 -plugin count_instructions.so,out=FILE PROGRAM
 *
 * One line a mark: its kind, its number, and the instructions so far. A block of code counts when it
 * is entered; a system call ends its block, so at a mark the count is exact. All threads add to one
 * count without a lock: it is for programs that run one.
 *
 * The declarations are those of the API that docs/devel/tcg-plugins.rst of QEMU describes, as far as
 * this needs it. QEMU 9 refuses plugins of an API before 2, and earlier ones those after 1; what is
 * used here is the same in both, so that only the number differs, given as PLUGIN_API.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
enum { QEMU_PLUGIN_CB_NO_REGS = 0 };

typedef void (*on_translation)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*on_execution)(unsigned int vcpu, void *data);
typedef void (*on_system_call)(qemu_plugin_id_t, unsigned int vcpu, int64_t number, uint64_t a1, uint64_t a2,
                               uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8);

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, on_translation);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, on_execution, int flags, void *data);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, on_system_call);

EXPORT int qemu_plugin_version = PLUGIN_API;

/* Of ../src/marks.cpp. */
static const uint32_t first_word = 0x6d6f6269, second_word = 0x6c656465;

static uint64_t executed;
static FILE *out;

static void count(unsigned int vcpu, void *instructions)
{
    (void)vcpu;
    executed += (uintptr_t)instructions;
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    (void)id;
    const uintptr_t instructions = qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_cb(block, count, QEMU_PLUGIN_CB_NO_REGS, (void *)instructions);
}

static void system_call(qemu_plugin_id_t id, unsigned int vcpu, int64_t call, uint64_t a1, uint64_t a2, uint64_t a3,
                        uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)vcpu, (void)call, (void)a5, (void)a6, (void)a7, (void)a8;
    if ((uint32_t)a1 != first_word || (uint32_t)a2 != second_word) return;
    fprintf(out, "%" PRIu32 " %" PRIu32 " %" PRIu64 "\n", (uint32_t)a3, (uint32_t)a4, executed);
    fflush(out);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int count_of_arguments, char **arguments)
{
    (void)info;
    if (count_of_arguments != 1 || strncmp(arguments[0], "out=", 4) != 0) {
        fputs("count_instructions: takes out=FILE\n", stderr);
        return -1;
    }
    out = fopen(arguments[0] + 4, "w");
    if (!out) {
        perror(arguments[0] + 4);
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_vcpu_syscall_cb(id, system_call);
    return 0;
}
