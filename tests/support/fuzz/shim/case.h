/* A test case: what the shim's world is made of. */
#ifndef PODROUTE_FUZZ_CASE_H
#define PODROUTE_FUZZ_CASE_H
#include <stddef.h>

enum { ENVIRONMENT, INPUT, REPLY, FAULTS, PARTS };

struct section {
    unsigned char *bytes;
    size_t size;
};

struct test_case {
    struct section part[PARTS];
};

void world_begin(const struct test_case *test);
void world_judge(int exit_code);
void world_end(void);
#endif
