/*
 * Coverage-guided fuzzer of the shim: fuzz EXECUTIONS SEED PROGRESS_FILE.
 *
 * Mutates test cases (environment, standard input, reply, faults), keeps those that reach something
 * new, and prints one JSON object. PROGRESS_FILE (see tests/support/fuzz/progress.py) always holds
 * how far it is and the case it is at, so that whoever watches knows what crashed or hung.
 */
#define WORLD_ITSELF
#include "world.h"

#include "case.h"

#include <sys/mman.h>

enum { MAP = 1 << 14, CORPUS = 2048, SECTION = 6000, PROGRESS = 1 << 17 };

static unsigned char map[MAP], seen[MAP];
static uintptr_t previous;
static struct test_case corpus[CORPUS];
static int corpus_size;
static uint64_t state;

void __sanitizer_cov_trace_pc(void)
{
    uintptr_t here = (uintptr_t)__builtin_return_address(0);
    here = (here >> 1) * 0x9e3779b97f4a7c15u >> 40;
    map[(here ^ previous) % MAP]++;
    previous = here >> 1;
}

static uint64_t chance(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

/* Seeds: what a runtime and a server really send, and the errors that matter. */
#define ENV(command) "CNI_COMMAND=" command "\0CNI_CONTAINERID=c1\0CNI_NETNS=/run/netns/a\0" \
                     "CNI_IFNAME=eth0\0PATH=/bin\0CNI_ARGS=A=1;B=2\0"
#define CONF "{\"cniVersion\":\"1.0.0\",\"name\":\"podroute\",\"type\":\"podroute\"}"
#define TEXT(text) text, sizeof text - 1
static const struct {
    const char *bytes;
    size_t size;
} seeds[][PARTS] = {
    {{TEXT(ENV("ADD"))}, {TEXT(CONF)}, {TEXT("\0\0\0\0\2\0\0\0{}")}, {TEXT("")}},
    {{TEXT(ENV("DEL"))}, {TEXT(CONF)}, {TEXT("\0\0\0\0\0\0\0\0")}, {TEXT("")}},
    {{TEXT(ENV("CHECK"))}, {TEXT(CONF)}, {TEXT("\1\0\0\0\3\0\0\0{ }")}, {TEXT("")}},
    {{TEXT(ENV("VERSION"))}, {TEXT(CONF)}, {TEXT("")}, {TEXT("")}},
    {{TEXT(ENV("STATUS"))}, {TEXT(CONF)}, {TEXT("")}, {TEXT("\0\0\0\0\0\0\0\0\0\7")}},
    {{TEXT(ENV("DEL"))}, {TEXT("{}")}, {TEXT("\0\0\0\0\0\0\0")}, {TEXT("\0\1\0\0\4\1\2")}},
    {{TEXT(ENV("ADD"))}, {TEXT("")}, {TEXT("\0\0\0\0\377\377\377\377")}, {TEXT("\1\1")}},
};
static const struct {
    const char *bytes;
    size_t size;
} tokens[] = {
    {TEXT("CNI_COMMAND=ADD\0")}, {TEXT("CNI_COMMAND=DEL\0")}, {TEXT("CNI_COMMAND=VERSION\0")},
    {TEXT("CNI_COMMAND=GC\0")}, {TEXT("CNI_NETNS=/x\0")}, {TEXT("CNI_X=\0")}, {TEXT("CNI_")},
    {TEXT("\"cniVersion\"")}, {TEXT("\"cniVersion\":\"0.4.0\"")}, {TEXT(": \"")}, {TEXT("\"")},
    {TEXT("1.1.1.1.1.1.1.1")}, {TEXT("1.0.0")}, {TEXT("\0")}, {TEXT("\xff")}, {TEXT(" \t\r\n")},
    {TEXT("\0\0\0\0")}, {TEXT("\0\0\0\1")}, {TEXT("\0\20\0\0")}, {TEXT("\1\20\0\0")},
    {TEXT("\377\377\377\377")}, {TEXT("\377\377\377\177")}, {TEXT("\1\2\3\4")}, {TEXT("\7")},
};

static void set(struct section *section, const void *bytes, size_t size)
{
    size = size > SECTION ? SECTION : size;
    section->size = size;
    free(section->bytes);
    /* Of exactly its size, so that a read beyond its end is seen. */
    section->bytes = malloc(size ? size : 1);
    if (size)
        memcpy(section->bytes, bytes, size);
}

static void insert(struct section *section, size_t at, const void *bytes, size_t size)
{
    unsigned char made[2 * SECTION];
    size = size > SECTION ? SECTION : size;
    memcpy(made, section->bytes, at);
    memcpy(made + at, bytes, size);
    memcpy(made + at + size, section->bytes + at, section->size - at);
    set(section, made, section->size + size);
}

static void repeat(struct section *section, size_t at, const void *bytes, size_t size)
{
    unsigned char run[SECTION];
    size_t length = 0, wanted = (size_t)1 << chance(13);
    while (size && length + size <= SECTION && length < wanted) {
        memcpy(run + length, bytes, size);
        length += size;
    }
    insert(section, at, run, length);
}

static void mutate(struct test_case *test)
{
    for (uint64_t rounds = 1 + chance(4); rounds; rounds--) {
        struct section *section = &test->part[chance(PARTS)];
        size_t at = chance(section->size + 1), token = chance(sizeof tokens / sizeof *tokens);
        size_t length = section->size - at ? 1 + chance(section->size - at) : 0;
        unsigned char byte = (unsigned char)chance(section == &test->part[FAULTS] ? 9 : 256);
        switch (chance(8)) {
        case 0:
            if (length)
                section->bytes[at] ^= (unsigned char)(1u << chance(8));
            break;
        case 1:
            if (length)
                section->bytes[at] = byte;
            break;
        case 2:
            insert(section, at, &byte, 1);
            break;
        case 3:
            if (length) {
                memmove(section->bytes + at, section->bytes + at + length,
                        section->size - at - length);
                set(section, memcpy(malloc(section->size), section->bytes, section->size),
                    section->size - length);
            }
            break;
        case 4:
            insert(section, at, tokens[token].bytes, tokens[token].size);
            break;
        case 5:
            repeat(section, at, tokens[token].bytes, tokens[token].size);
            break;
        case 6:
            if (length >= tokens[token].size)
                memcpy(section->bytes + at, tokens[token].bytes, tokens[token].size);
            break;
        default: {
            const struct section *other =
                &corpus[chance((uint64_t)corpus_size)].part[section - test->part];
            set(section, other->bytes, other->size);
        }
        }
    }
}

static void copy(struct test_case *to, const struct test_case *from)
{
    for (int part = 0; part < PARTS; part++)
        set(&to->part[part], from->part[part].bytes, from->part[part].size);
}

struct progress {
    uint64_t executions;
    uint32_t size;
    char bytes[];
};

static void record(struct progress *progress, const struct test_case *test)
{
    size_t at = 0;
    for (int part = 0; part < PARTS; part++) {
        uint32_t size = (uint32_t)test->part[part].size;
        memcpy(progress->bytes + at, &size, 4);
        memcpy(progress->bytes + at + 4, test->part[part].bytes, size);
        at += 4 + size;
    }
    progress->size = (uint32_t)at;
    progress->executions++;
}

/* Run one case: whether it reached something new. */
static int run(const struct test_case *test)
{
    int is_new = 0;
    memset(map, 0, sizeof map);
    previous = 0;
    world_begin(test);
    world_judge(shim_main());
    world_end();
    for (size_t i = 0; i < MAP; i += 8) {
        if (!*(uint64_t *)(void *)(map + i))
            continue;
        for (size_t j = i; j < i + 8; j++) {
            unsigned char bucket = map[j] == 0 ? 0 : map[j] == 1 ? 1 : map[j] < 8 ? 2 : 4;
            is_new |= bucket & ~seen[j];
            seen[j] |= bucket;
        }
    }
    return is_new;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    int fd = open(argv[3], O_RDWR);
    struct progress *progress = mmap(NULL, PROGRESS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || progress == MAP_FAILED)
        return 2;
    uint64_t wanted = strtoull(argv[1], NULL, 10);
    state = strtoull(argv[2], NULL, 10) * 0x9e3779b97f4a7c15u | 1;
    struct test_case test = {0};
    for (size_t seed = 0; seed < sizeof seeds / sizeof *seeds; seed++) {
        for (int part = 0; part < PARTS; part++)
            set(&corpus[corpus_size].part[part], seeds[seed][part].bytes, seeds[seed][part].size);
        corpus_size++;
    }
    for (int seed = 0; seed < corpus_size && progress->executions < wanted; seed++) {
        record(progress, &corpus[seed]);
        run(&corpus[seed]);
    }
    while (progress->executions < wanted) {
        copy(&test, &corpus[chance((uint64_t)corpus_size)]);
        mutate(&test);
        record(progress, &test);
        if (run(&test) && corpus_size < CORPUS)
            copy(&corpus[corpus_size++], &test);
    }
    int edges = 0;
    for (size_t i = 0; i < MAP; i++)
        edges += seen[i] != 0;
    printf("{\"executions\": %llu, \"arms\": %d, \"corpus\": %d}\n",
           (unsigned long long)progress->executions, edges, corpus_size);
    return 0;
}
