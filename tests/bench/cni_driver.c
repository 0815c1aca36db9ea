/*
 * Executes CNI plugins as a runtime does and times it: from spawn to reaped, nothing else. The same
 * code for every plugin, so that its own cost is the same on both sides of a ratio.
 *
 * Runs in the node's namespaces. One command a line on standard input, one answer a line:
 *   plugin NAME PATH CONFIGURATION V4_SOURCE V6_SOURCE     -> "ok"
 *   call NAME ADD|DEL FIRST COUNT WINDOW                   -> "NANOSECONDS FAULTS"
 *   replay FIRST ROUNDS FILE UNDO_FILE                     -> "MEDIAN_NANOSECONDS FAULTS"
 * FAULTS is "-" or what a call of the batch left undone: after each ADD one UDP packet is sent to the
 * pod and one back, for every address of the result, and each must arrive; after each DEL links,
 * routes and address must be gone. Verification is not timed.
 */
#define _GNU_SOURCE
#include "cni_driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <spawn.h>
#include <fcntl.h>
#include <unistd.h>

enum { MAX_PLUGINS = 4 };

static struct plugin plugins[MAX_PLUGINS];
static int plugin_count;
static struct sandbox sandboxes[MAX_SANDBOXES];

static struct plugin *find_plugin(const char *name)
{
    for (int at = 0; at < plugin_count; at++)
        if (strcmp(plugins[at].name, name) == 0)
            return &plugins[at];
    fprintf(stderr, "no plugin %s\n", name);
    exit(2);
}

/* Start one call; its standard output goes to the sandbox's memory file. */
static void start(const struct plugin *plugin, const char *verb, struct sandbox *sandbox)
{
    char command[64], container[128], netns[64];
    snprintf(command, sizeof command, "CNI_COMMAND=%.16s", verb);
    snprintf(container, sizeof container, "CNI_CONTAINERID=%.16s%048d", plugin->name, sandbox->number);
    snprintf(netns, sizeof netns, "CNI_NETNS=/run/netns/p%d", sandbox->number);
    char ifname[] = "CNI_IFNAME=eth0", path[] = "CNI_PATH=/usr/lib/cni", search[] = "PATH=/usr/bin:/bin";
    char *environment[] = {command, container, netns, ifname, path, search, NULL};
    char *argv[] = {(char *)plugin->path, NULL};
    if (ftruncate(sandbox->output, 0) < 0 || lseek(sandbox->output, 0, SEEK_SET) < 0)
        exit(2);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, plugin->configuration, O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, sandbox->output, 1);
    if (posix_spawn(&sandbox->pid, plugin->path, &actions, NULL, argv, environment) != 0)
        exit(2);
    posix_spawn_file_actions_destroy(&actions);
}

/* Wait for any one call to end. */
static void reap(void)
{
    int status;
    pid_t pid = wait(&status);
    for (int at = 0; at < MAX_SANDBOXES; at++)
        if (sandboxes[at].pid == pid) {
            sandboxes[at].pid = 0;
            sandboxes[at].status = status;
            return;
        }
}

static void call(const char *name, const char *verb, int first, int count, int window)
{
    const struct plugin *plugin = find_plugin(name);
    char faults[FAULT_BYTES] = "";
    for (int at = first; at < first + count; at++)
        open_sandbox(&sandboxes[at], at);
    int running = 0;
    int64_t began = now_ns();
    for (int at = first; at < first + count; at++) {
        if (running == window) {
            reap();
            running--;
        }
        start(plugin, verb, &sandboxes[at]);
        running++;
    }
    for (; running; running--)
        reap();
    int64_t took = now_ns() - began;
    for (int at = first; at < first + count; at++) {
        if (strcmp(verb, "ADD") == 0)
            check_added(plugin, &sandboxes[at], faults);
        else
            check_deleted(&sandboxes[at], faults);
    }
    /* Each call to come would close them in its child before the plugin runs: 3,000 take 0.3 ms. */
    for (int at = first; count > window && at < first + count; at++)
        close_sandbox(&sandboxes[at]);
    printf("%lld %s\n", (long long)took, faults[0] ? faults : "-");
}

int main(void)
{
    char line[4096], one[1024], two[1024], three[1024], four[64], five[64];
    int first, count, window;
    open_node();
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "plugin %1023s %1023s %1023s %63s %63s", one, two, three, four, five) == 5
            && plugin_count < MAX_PLUGINS) {
            plugins[plugin_count++] = (struct plugin){strdup(one), strdup(two), strdup(three),
                                                      strdup(four), strdup(five)};
            printf("ok\n");
        } else if (sscanf(line, "call %1023s %1023s %d %d %d", one, two, &first, &count, &window) == 5) {
            call(one, two, first, count, window);
        } else if (sscanf(line, "replay %d %d %1023s %1023s", &first, &count, one, two) == 4) {
            replay(first, count, one, two);
        } else {
            fprintf(stderr, "what is: %s", line);
            return 2;
        }
        fflush(stdout);
    }
    return 0;
}
