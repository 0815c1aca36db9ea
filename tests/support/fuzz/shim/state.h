/* The state of the world of one test case, shared by world.c and calls.c. */
#ifndef PODROUTE_FUZZ_STATE_H
#define PODROUTE_FUZZ_STATE_H
#define WORLD_ITSELF
#include "world.h"

#include "case.h"

enum {
    SOCKET = 100, SPOOL_DIRECTORY, SPOOL_FILE, OTHER,
    MAX_ALLOCATIONS = 64,
    MAX_ALLOCATION = 1 << 20,
    MAX_OPERATIONS = 100000,
    CAPTURED = 1 << 16,
    LONGEST_MS = 75000,
};

struct world {
    const struct test_case *test;
    size_t input_at, reply_at, fault_at;
    int64_t clock_us;
    long operations;
    int stdin_silent, server_silent, connected, stdout_failed, spool_failed, spooled, open_fds[4];
    char out[CAPTURED], sent[CAPTURED], spool[CAPTURED];
    size_t out_size, sent_size, spool_size;
    void *allocations[MAX_ALLOCATIONS];
    int allocation_count;
    char *environment[512];
};
extern struct world world;


/* The next byte of the faults; 255, which means none, behind their end. */
unsigned fault(void);
int failing(int number);
__attribute__((noreturn)) void violated(const char *what);
#endif
