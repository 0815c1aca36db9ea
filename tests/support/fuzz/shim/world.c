/*
 * A hostile world for the shim: every byte it gets and every error it meets comes from a test case.
 * Time passes only here. At the end of a run `world_judge` says whether the shim kept its promises.
 */
#include "state.h"

extern char cni_version[];

struct world world;
char **world_environ = world.environment;

void violated(const char *what)
{
    fprintf(stderr, "violated: %s; printed: %.*s\n", what, (int)world.out_size, world.out);
    abort();
}

unsigned fault(void)
{
    const struct section *faults = &world.test->part[FAULTS];
    if (++world.operations > MAX_OPERATIONS)
        violated("the shim does not come to an end");
    return world.fault_at < faults->size ? faults->bytes[world.fault_at++] : 255;
}

int failing(int number)
{
    errno = number;
    return -1;
}

/* Allocation */

static void *kept(void *pointer)
{
    if (pointer && world.allocation_count == MAX_ALLOCATIONS)
        violated("too many allocations");
    if (pointer)
        world.allocations[world.allocation_count++] = pointer;
    return pointer;
}

static void dropped(void *pointer)
{
    for (int i = 0; i < world.allocation_count; i++)
        if (world.allocations[i] == pointer) {
            world.allocations[i] = world.allocations[--world.allocation_count];
            return;
        }
    if (pointer)
        violated("free of what was not allocated");
}

static int refused(size_t size)
{
    if (size > MAX_ALLOCATION)
        violated("a huge allocation");
    return fault() == 7;
}

void *world_malloc(size_t size)
{
    return refused(size) ? (errno = ENOMEM, NULL) : kept(malloc(size));
}

void *world_realloc(void *old, size_t size)
{
    if (refused(size))
        return errno = ENOMEM, NULL;
    dropped(old);
    return kept(realloc(old, size));
}

void world_free(void *pointer)
{
    dropped(pointer);
    free(pointer);
}

/* Environment, clock, terminal */

char *world_getenv(const char *name)
{
    size_t length = strlen(name);
    for (char **item = world.environment; *item; item++)
        if (strncmp(*item, name, length) == 0 && (*item)[length] == '=')
            return *item + length + 1;
    return NULL;
}

int world_clock_gettime(clockid_t clock, struct timespec *now)
{
    (void)clock;
    world.clock_us += 10;
    now->tv_sec = world.clock_us / 1000000;
    now->tv_nsec = world.clock_us % 1000000 * 1000;
    return 0;
}

int world_nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)left;
    if (fault() == 1)
        return failing(EINTR);
    world.clock_us += time->tv_sec * 1000000 + time->tv_nsec / 1000;
    return 0;
}

int world_isatty(int fd)
{
    (void)fd;
    return fault() == 1;
}

/* One run */

void world_begin(const struct test_case *test)
{
    memset(&world, 0, offsetof(typeof(world), out));
    world.out_size = world.sent_size = world.spool_size = 0;
    world.allocation_count = 0;
    world.test = test;
    world.stdin_silent = fault() == 1;
    world.server_silent = fault() == 1;
    memset(cni_version, 0, 16);
    const struct section *block = &test->part[ENVIRONMENT];
    size_t at = 0, count = 0;
    while (at < block->size && count < 500) {
        size_t length = strnlen((const char *)block->bytes + at, block->size - at);
        /* Of exactly its size, so that a read beyond its end is seen. */
        char *item = malloc(length + 1);
        memcpy(item, block->bytes + at, length);
        item[length] = '\0';
        world.environment[count++] = item;
        at += length + 1;
    }
    world.environment[count] = NULL;
}

static int is_object(const char *text, size_t size, const char *within)
{
    return size > 2 && text[0] == '{' && text[size - 1] == '}'
           && (!within || memmem(text, size, within, strlen(within)));
}

static int is_answered(uint32_t *code)
{
    const struct section *reply = &world.test->part[REPLY];
    if (reply->size < 8 || world.reply_at < 8)
        return 0;
    memcpy(code, reply->bytes, 4);
    uint32_t size;
    memcpy(&size, reply->bytes + 4, 4);
    return world.reply_at == 8 + (size_t)size && world.out_size == size && !world.spooled
           && (!size || memcmp(world.out, reply->bytes + 8, size) == 0);
}

/* Judge the run that ended with this exit code; abort when a promise was broken. */
void world_judge(int exit_code)
{
    const char *command = world_getenv("CNI_COMMAND");
    uint32_t code = 0;
    int answered = is_answered(&code);
    if (exit_code < 0 || exit_code > 255)
        violated("exit code out of range");
    if (world.clock_us / 1000 > LONGEST_MS)
        violated("took longer than a runtime waits");
    int is_del = command && strcmp(command, "DEL") == 0;
    int is_version = command && strcmp(command, "VERSION") == 0;
    if (exit_code == 0 && !is_version && !(answered && code == 0) && !(is_del && world.spooled))
        violated("success without an answer");
    if (exit_code == 0 && is_del && world.spooled
        && (world.spool_size < 12 || !memmem(world.spool, world.spool_size, "CNI_COMMAND=DEL", 16)))
        violated("a DEL that is not in the spool");
    if (exit_code != 0 && !answered && !world.stdout_failed
        && !is_object(world.out, world.out_size, "\"code\":"))
        violated("a failure without an error object");
    if (memmem(world.out, world.out_size, "is kept for", 11) && !answered && !world.spooled)
        violated("says that a DEL is kept, and none is");
    if (answered && world.out_size && code < 256 && exit_code != (int)code)
        violated("another exit code than the server's");
}

void world_end(void)
{
    for (char **item = world.environment; *item; item++)
        free(*item);
    for (int i = 0; i < world.allocation_count; i++)
        free(world.allocations[i]);
}
