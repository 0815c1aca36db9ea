/* What the parts of the shim share. Framing and limits: cni/wire.py, through cni/shim/build.py. */
#ifndef PODROUTE_SHIM_H
#define PODROUTE_SHIM_H

#include <stddef.h>
#include <stdint.h>

#if !defined(SUPPORTED_VERSIONS) || !defined(NEWEST_VERSION) || !defined(PLUGIN_MAGIC) \
    || !defined(IPAM_MAGIC) || !defined(IPAM_NAME) || !defined(MAX_ENVIRONMENT_BYTES) || !defined(MAX_STDIN_BYTES) || !defined(MAX_REPLY_BYTES)
#error "compile through cni/shim/build.py"
#endif

#ifndef RUN_DIR
#define RUN_DIR "/run/podroute"
#endif
#define SOCKET_PATH RUN_DIR "/cni.sock"
#define SPOOL_DIR RUN_DIR "/spool"

enum {
    CONNECT_WAIT_MS = 10000,  /* how long an ADD waits for a server to appear */
    TOTAL_WAIT_MS = 60000,    /* the longest a call may take in all */
    VERSION_STDIN_MS = 1000,
    VERSION_CHARS = 16,
};

struct buffer {
    char *bytes;
    size_t size;
};

enum outcome {
    ANSWERED,     /* the reply is printed */
    UNREACHABLE,  /* no server took the request: nothing has happened */
    UNKNOWN,      /* a server took it, or part of it, and did not answer */
};

/* stream.c */
int64_t now_ms(void);
void pause_ms(int64_t milliseconds);
int write_all(int fd, const char *bytes, size_t size);
int read_input(struct buffer *input, size_t limit, int64_t wait_ms);

/* request.c */
void find_version(const struct buffer *input, char version[VERSION_CHARS]);
int build_request(struct buffer *request, const struct buffer *input, const char *command);

/* server.c */
enum outcome ask(const struct buffer *request, int sandbox, int64_t wait_ms, int64_t deadline_ms,
                 int *exit_code);

/* spool.c */
int spool(const struct buffer *request);

#endif
