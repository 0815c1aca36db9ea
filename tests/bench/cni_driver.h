/* What the parts of the bench's driver share. */
#ifndef CNI_DRIVER_H
#define CNI_DRIVER_H

#include <stdint.h>
#include <sys/types.h>

enum { MAX_SANDBOXES = 1200, FAULT_BYTES = 1024, ADDRESS_CHARS = 64 };

struct plugin {
    const char *name, *path, *configuration, *source4, *source6;
};

struct sandbox {
    int number;
    int opened;
    int output;     /* memory file: what the call printed */
    int socket[2];  /* UDP, IPv4 and IPv6, bound to port PORT inside */
    pid_t pid;
    int status;
    char host_link[32];
    char address[2][ADDRESS_CHARS];
};

/* cni_driver_checks.c */
int64_t now_ns(void);
void open_node(void);
int open_namespace(int number);
void enter(int namespace);
void leave(void);
void open_sandbox(struct sandbox *sandbox, int number);
void close_sandbox(struct sandbox *sandbox);
void check_added(const struct plugin *plugin, struct sandbox *sandbox, char *faults);
void check_deleted(struct sandbox *sandbox, char *faults);

/* cni_driver_replay.c */
void replay(int first, int rounds, const char *file, const char *undo_file);

#endif
