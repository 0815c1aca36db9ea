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
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#if !defined(SUPPORTED_VERSIONS) || !defined(NEWEST_VERSION) || !defined(MAGIC) \
    || !defined(MAX_ENVIRONMENT_BYTES) || !defined(MAX_STDIN_BYTES) || !defined(MAX_REPLY_BYTES)
#error "compile through cni/shim/build.py"
#endif

#ifndef RUN_DIR
#define RUN_DIR "/run/podroute"
#endif
#define SOCKET_PATH RUN_DIR "/cni.sock"
#define SPOOL_DIR RUN_DIR "/spool"

enum {
    HEADER_BYTES = 12,
    REPLY_HEADER_BYTES = 8,
    CONNECT_WAIT_MS = 10000,  /* how long an ADD waits for a server to appear */
    CONNECT_PAUSE_MS = 10,
    TOTAL_WAIT_MS = 60000,    /* the longest a call may take in all */
    VERSION_STDIN_MS = 1000,
};

enum { CODE_IO = 5, CODE_DECODE = 6, CODE_TRY_AGAIN = 11, CODE_NOT_AVAILABLE = 50 };

extern char **environ;

struct buffer {
    char *bytes;
    size_t size;
};

enum outcome {
    ANSWERED,     /* the reply is printed */
    UNREACHABLE,  /* no server took the request: nothing has happened */
    UNKNOWN,      /* a server took it, or part of it, and did not answer */
};

static char cni_version[16];
static int64_t deadline_ms;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void pause_ms(int64_t milliseconds)
{
    struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        continue;
}

/* Write everything, whatever the descriptor is: 0, or -1 with errno. */
static int write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, bytes, size);
        if (written < 0) {
            if (errno == EINTR)
                continue;
            if (errno == EAGAIN) {
                struct pollfd ready = {.fd = fd, .events = POLLOUT};
                if (poll(&ready, 1, -1) < 0 && errno != EINTR)
                    return -1;
                continue;
            }
            return -1;
        }
        bytes += written;
        size -= (size_t)written;
    }
    return 0;
}

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

/*
 * Find the text of "cniVersion" without a JSON parser: the answers given here must carry the
 * version of the request. Only digits and dots are taken, at most 15 of them.
 */
static void find_version(const struct buffer *input)
{
    static const char key[] = "\"cniVersion\"";
    const char *end = input->bytes + input->size;
    const char *at = input->size ? memmem(input->bytes, input->size, key, sizeof key - 1) : NULL;
    if (!at)
        return;
    at += sizeof key - 1;
    int colons = 0, quotes = 0;
    while (at < end && !quotes && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'
                                   || (*at == ':' && !colons) || (*at == '"' && colons))) {
        colons += *at == ':';
        quotes += *at == '"';
        at++;
    }
    if (!quotes)
        return;
    char found[sizeof cni_version] = "";
    size_t length = 0;
    while (at < end && length < sizeof found - 1 && (*at == '.' || (*at >= '0' && *at <= '9')))
        found[length++] = *at++;
    if (length > 0 && at < end && *at == '"')
        memcpy(cni_version, found, length + 1);
}

/*
 * Read standard input to its end, or to `limit` + 1 bytes: 0, or -1 with errno. `wait_ms` bounds
 * the wait for a writer that never closes its end (ETIMEDOUT; what came so far is kept).
 */
static int read_input(struct buffer *input, size_t limit, int64_t wait_ms)
{
    int64_t until = now_ms() + wait_ms;
    size_t room = 0;
    while (input->size <= limit) {
        if (room == input->size) {
            room = room ? room * 2 : 16384;
            char *larger = realloc(input->bytes, room);
            if (!larger)
                return -1;
            input->bytes = larger;
        }
        int64_t left = until - now_ms();
        struct pollfd ready = {.fd = STDIN_FILENO, .events = POLLIN};
        int found = left > 0 ? poll(&ready, 1, (int)left) : 0;
        if (found < 0 && errno == EINTR)
            continue;
        if (found == 0)
            errno = ETIMEDOUT;
        if (found <= 0)
            return -1;
        ssize_t got = read(STDIN_FILENO, input->bytes + input->size, room - input->size);
        if (got < 0) {
            if (errno == EINTR || errno == EAGAIN)
                continue;
            return -1;
        }
        if (got == 0)
            return 0;
        input->size += (size_t)got;
    }
    return 0;
}

static void put_u32le(char *at, uint32_t value)
{
    for (int byte = 0; byte < 4; byte++)
        at[byte] = (char)(value >> (8 * byte) & 0xff);
}

static uint32_t get_u32le(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Build the request. `command`, if given, replaces the value of CNI_COMMAND. */
static int build_request(struct buffer *request, const struct buffer *input, const char *command)
{
    size_t environment = 0;
    for (char **item = environ; item && *item; item++)
        if (strncmp(*item, "CNI_", 4) == 0 && strchr(*item, '='))
            environment += strlen(*item) + 1 + (command ? strlen(command) : 0);
    if (environment > MAX_ENVIRONMENT_BYTES) {
        errno = E2BIG;
        return -1;
    }
    request->bytes = malloc(HEADER_BYTES + environment + input->size);
    if (!request->bytes)
        return -1;
    char *at = request->bytes + HEADER_BYTES;
    for (char **item = environ; item && *item; item++) {
        if (strncmp(*item, "CNI_", 4) != 0 || !strchr(*item, '='))
            continue;
        if (command && strncmp(*item, "CNI_COMMAND=", 12) == 0) {
            memcpy(at, *item, 12);
            memcpy(at + 12, command, strlen(command) + 1);
            at += 12 + strlen(command) + 1;
            continue;
        }
        size_t length = strlen(*item) + 1;
        memcpy(at, *item, length);
        at += length;
    }
    memcpy(request->bytes, MAGIC, 4);
    put_u32le(request->bytes + 4, (uint32_t)(at - request->bytes - HEADER_BYTES));
    put_u32le(request->bytes + 8, (uint32_t)input->size);
    if (input->size)
        memcpy(at, input->bytes, input->size);
    request->size = (size_t)(at - request->bytes) + input->size;
    return 0;
}

/* Wait for the socket until the deadline: 1, or 0 when the time is over. */
static int wait_socket(int fd, short events)
{
    for (;;) {
        int64_t left = deadline_ms - now_ms();
        struct pollfd ready = {.fd = fd, .events = events};
        int found = left > 0 ? poll(&ready, 1, (int)left) : 0;
        if (found < 0 && errno == EINTR)
            continue;
        return found > 0;
    }
}

/* Connect, waiting up to `wait_ms` for a server to listen: the descriptor, or -1 with errno. */
static int connect_server(int64_t wait_ms)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SOCKET_PATH};
    int64_t until = now_ms() + wait_ms;
    for (;;) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
            return -1;
        int done;
        do
            done = connect(fd, (struct sockaddr *)&address, sizeof address);
        while (done < 0 && errno == EINTR);
        if (done == 0)
            return fd;
        int reason = errno;
        close(fd);
        errno = reason;
        /* EAGAIN: a server is there and its backlog full. Worth the wait for every command. */
        int64_t give_up = reason == EAGAIN ? until + CONNECT_WAIT_MS - wait_ms : until;
        if ((reason != ENOENT && reason != ECONNREFUSED && reason != EAGAIN)
            || now_ms() + CONNECT_PAUSE_MS > give_up)
            return -1;
        pause_ms(CONNECT_PAUSE_MS);
    }
}

/* Send the request, the sandbox with its first byte. 0, or -1. */
static int send_request(int fd, const struct buffer *request, int sandbox)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    size_t sent = 0;
    while (sent < request->size) {
        struct iovec part = {request->bytes + sent, request->size - sent};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        if (sent == 0 && sandbox >= 0) {
            message.msg_control = control.bytes;
            message.msg_controllen = sizeof control.bytes;
            struct cmsghdr *header = CMSG_FIRSTHDR(&message);
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            header->cmsg_len = CMSG_LEN(sizeof(int));
            memcpy(CMSG_DATA(header), &sandbox, sizeof sandbox);
        }
        ssize_t done = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (done >= 0)
            sent += (size_t)done;
        else if (errno == EAGAIN ? !wait_socket(fd, POLLOUT) : errno != EINTR)
            return -1;
    }
    return 0;
}

/* Receive exactly `size` bytes. 0, or -1 when the server or the time ended before. */
static int receive_all(int fd, char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t got = recv(fd, bytes, size, 0);
        if (got > 0) {
            bytes += got;
            size -= (size_t)got;
        } else if (got == 0 || (errno == EAGAIN ? !wait_socket(fd, POLLIN) : errno != EINTR)) {
            return -1;
        }
    }
    return 0;
}

/* Hand the request over and print the answer; `exit_code` is set only with ANSWERED. */
static enum outcome ask(const struct buffer *request, int sandbox, int64_t wait_ms, int *exit_code)
{
    int fd = connect_server(wait_ms);
    if (fd < 0)
        return UNREACHABLE;
    /* A server that refuses a request may answer before it has read all of it: read on regardless. */
    (void)send_request(fd, request, sandbox);
    unsigned char header[REPLY_HEADER_BYTES];
    enum outcome outcome = UNKNOWN;
    if (receive_all(fd, (char *)header, sizeof header) == 0) {
        uint32_t size = get_u32le(header + 4);
        char *answer = size <= MAX_REPLY_BYTES ? malloc(size ? size : 1) : NULL;
        if (answer && receive_all(fd, answer, size) == 0) {
            uint32_t code = get_u32le(header);
            *exit_code = code == 0 ? 0 : (code < 256 ? (int)code : 1);
            if (write_all(STDOUT_FILENO, answer, size) == 0)
                outcome = ANSWERED;
        }
        free(answer);
    }
    close(fd);
    return outcome;
}

static int open_spool(void)
{
    if ((mkdir(RUN_DIR, 0700) < 0 && errno != EEXIST) || (mkdir(SPOOL_DIR, 0700) < 0 && errno != EEXIST))
        return -1;
    return open(SPOOL_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Leave the request for the server's next start. 0, or -1 with errno. */
static int spool(const struct buffer *request)
{
    int directory = open_spool();
    if (directory < 0)
        return -1;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char name[64], temporary[72];
    snprintf(name, sizeof name, "%012lld.%09ld.%d", (long long)now.tv_sec, now.tv_nsec, (int)getpid());
    snprintf(temporary, sizeof temporary, ".%s", name);
    int fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int result = -1;
    if (fd >= 0) {
        result = write_all(fd, request->bytes, request->size);
        if (close(fd) < 0)
            result = -1;
        if (result == 0)
            result = renameat(directory, temporary, directory, name);
        int reason = errno;
        if (result < 0)
            unlinkat(directory, temporary, 0);
        errno = reason;
    }
    int reason = errno;
    close(directory);
    errno = reason;
    return result;
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
        if (build_request(&undo, input, "DEL") == 0)
            (void)spool(&undo);
        return fail(CODE_TRY_AGAIN, "try again later: the CNI server did not answer",
                    "a DEL of this attachment is kept for its next start");
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
    deadline_ms = now_ms() + TOTAL_WAIT_MS;
    if (strcmp(command, "VERSION") == 0) {
        if (!isatty(STDIN_FILENO))
            (void)read_input(&input, MAX_STDIN_BYTES, VERSION_STDIN_MS);
        find_version(&input);
        return answer_version();
    }
    if (read_input(&input, MAX_STDIN_BYTES, TOTAL_WAIT_MS / 2) < 0)
        return fail(CODE_IO, "I/O failure: cannot read standard input", error_name(errno));
    find_version(&input);
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
    enum outcome outcome = ask(&request, sandbox, is_add ? CONNECT_WAIT_MS : 0, &exit_code);
    if (outcome == ANSWERED)
        return exit_code;
    return without_server(command, outcome, &request, &input);
}
