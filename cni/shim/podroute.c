/*
 * The CNI plugin as a container runtime executes it. It decides nothing: it packs the CNI_*
 * environment and standard input into one request, hands it with the open sandbox to the CNI
 * server, prints the answer. It must not know JSON, addresses or netlink, and needs nothing from
 * the host but a kernel: static, no locale, no resolver, no Python.
 *
 * Framing: cni/wire.py, from which the limits below are generated (cni/shim/build.py).
 *
 * When no server answers:
 *   VERSION             is answered here, always;
 *   ADD                 waits CONNECT_WAIT_MS for a server, then fails with code 11. If a server took
 *                       the request and never answered, the ADD may have happened: a DEL for the
 *                       same attachment is spooled, so that a failed ADD leaves nothing behind;
 *   DEL                 spools the request and succeeds: the server replays it at its next start;
 *   CHECK, GC, STATUS   fail with code 11 (STATUS: 50).
 */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CODE_IO = 5, CODE_DECODE = 6, CODE_TRY_AGAIN = 11, CODE_NOT_AVAILABLE = 50 };

/* The request's, for the answers that are given here; empty if it named none. */
static char cni_version[VERSION_CHARS];

/* Print an error object and return the exit code. `text` and `details` need no JSON escapes. */
static int fail(int code, const char *text, const char *details)
{
    char object[1024];
    int size = snprintf(object, sizeof object,
                        "{\"cniVersion\":\"%s\",\"code\":%d,\"msg\":\"%s\",\"details\":\"%s\"}",
                        cni_version[0] ? cni_version : NEWEST_VERSION, code, text, details);
    if (size > 0 && (size_t)size < sizeof object)
        write_all(STDOUT_FILENO, object, (size_t)size);
    return 1;
}

static const char *error_name(int number)
{
    /* strerror's texts are plain words in musl and in glibc's C locale: no JSON escapes needed. */
    return strerror(number);
}

static int answer_version(void)
{
    char object[512];
    int size = snprintf(object, sizeof object, "{\"cniVersion\":\"%s\",\"supportedVersions\":[%s]}",
                        cni_version[0] ? cni_version : NEWEST_VERSION, SUPPORTED_VERSIONS);
    return size > 0 && write_all(STDOUT_FILENO, object, (size_t)size) == 0 ? 0 : 1;
}

/* What a call ends with when no server answered it. */
static int without_server(const char *command, enum outcome outcome, const struct buffer *request,
                          const struct buffer *input)
{
    if (strcmp(command, "DEL") == 0) {
        if (spool(request) == 0)
            return 0;
        return fail(CODE_TRY_AGAIN, "try again later: no CNI server, and the request cannot be kept",
                    error_name(errno));
    }
    if (strcmp(command, "ADD") == 0 && outcome == UNKNOWN) {
        struct buffer undo = {0};
        int kept = build_request(&undo, input, "DEL") == 0 && spool(&undo) == 0;
        return fail(CODE_TRY_AGAIN, "try again later: the CNI server did not answer",
                    kept ? "a DEL of this attachment is kept for its next start"
                         : "no DEL of this attachment can be kept: what was made of it stays "
                           "until the runtime's DEL or GC");
    }
    if (strcmp(command, "STATUS") == 0)
        return fail(CODE_NOT_AVAILABLE, "plugin not available: no CNI server answers",
                    "nobody serves " SOCKET_PATH);
    return fail(CODE_TRY_AGAIN, "try again later: no CNI server answers", "nobody serves " SOCKET_PATH);
}

/* Take the place of a closed standard descriptor: a socket must not get its number. */
static int fill_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    return fd < 0 ? -1 : close(fd);
}

int main(void)
{
    const char *command = getenv("CNI_COMMAND");
    struct buffer input = {0}, request = {0};
    (void)fill_standard_descriptors();
    if (!command)
        command = "";
    int64_t deadline_ms = now_ms() + TOTAL_WAIT_MS;
    if (strcmp(command, "VERSION") == 0) {
        if (!isatty(STDIN_FILENO))
            (void)read_input(&input, MAX_STDIN_BYTES, VERSION_STDIN_MS);
        find_version(&input, cni_version);
        return answer_version();
    }
    if (read_input(&input, MAX_STDIN_BYTES, TOTAL_WAIT_MS / 2) < 0)
        return fail(CODE_IO, "I/O failure: cannot read standard input", error_name(errno));
    find_version(&input, cni_version);
    if (input.size > MAX_STDIN_BYTES)
        return fail(CODE_DECODE, "cannot decode the request: network configuration too large",
                    "standard input is limited to 4 MiB");
    if (build_request(&request, &input, NULL) < 0)
        return fail(CODE_IO, "I/O failure: cannot build the request", error_name(errno));

    int is_add = strcmp(command, "ADD") == 0, sandbox = -1;
    const char *netns = getenv("CNI_NETNS");
    if (netns && *netns && (is_add || strcmp(command, "CHECK") == 0))
        /* O_NONBLOCK: the path may be anything, a FIFO included. */
        sandbox = open(netns, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int exit_code = 1;
    enum outcome outcome = ask(&request, sandbox, is_add ? CONNECT_WAIT_MS : 0, deadline_ms,
                               &exit_code);
    if (outcome == ANSWERED)
        return exit_code;
    return without_server(command, outcome, &request, &input);
}
