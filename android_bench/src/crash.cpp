#include "crash.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

namespace bench {

static const int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
static const size_t kStackBytes = 64 * 1024;

static char g_activity[512] = "starting";
static volatile sig_atomic_t g_exit_code = static_cast<int>(ExitCode::inference_failed);
// A handler of its own stack can report a stack that has overflowed.
static char g_stack[kStackBytes];

static const char* signal_name(int signal)
{
    switch (signal) {
    case SIGSEGV: return "SIGSEGV";
    case SIGBUS: return "SIGBUS";
    case SIGFPE: return "SIGFPE";
    case SIGILL: return "SIGILL";
    default: return "SIGABRT";
    }
}

static void write_text(const char* text)
{
    const ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written;
}

// Async-signal-safe calls only (signal-safety(7)).
static void report_and_exit(int signal)
{
    write_text("android_bench: error: ");
    write_text(signal_name(signal));
    write_text(" while ");
    write_text(g_activity);
    write_text(signal == SIGILL ? "; the CPU lacks an instruction of this build\n"
                                : "; the model's files may be corrupt\n");
    _exit(g_exit_code);
}

void install_crash_handler()
{
    stack_t stack;
    memset(&stack, 0, sizeof(stack));
    stack.ss_sp = g_stack;
    stack.ss_size = sizeof(g_stack);
    sigaltstack(&stack, nullptr);

    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = report_and_exit;
    action.sa_flags = SA_ONSTACK | SA_RESETHAND;
    for (const int signal : kSignals) sigaction(signal, &action, nullptr);

    // A reader that goes away makes the write fail, which is reported like any other.
    ::signal(SIGPIPE, SIG_IGN);
}

void set_activity(ExitCode code, const std::string& activity)
{
    strncpy(g_activity, activity.c_str(), sizeof(g_activity) - 1);
    g_exit_code = static_cast<int>(code);
}

}  // namespace bench
