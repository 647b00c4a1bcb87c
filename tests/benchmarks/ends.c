/* What bench does, with nothing around it: ends rr|crr CORE SECONDS, or ends limits.
 *
 * rr prints the median round trip of one byte over TCP in ns, crr the connections a second (connect, a byte, its
 * answer, close with a reset). Both ends are processes on the same core. limits prints the bandwidth of memcpy in
 * bytes a second, and the time of a bare system call and of a byte through a pipe of one process, in ns. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 4000000, MIB = 1 << 20 };
static unsigned times[MOST];

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int compare(const void *a, const void *b) {
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    return (x > y) - (x < y);
}

static void pin(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    if (sched_setaffinity(0, sizeof set, &set)) perror("sched_setaffinity"), exit(2);
}

static void serve(int listener, int keeps) {
    char byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        int fd = accept(listener, 0, 0), one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        do {
            if (read(fd, &byte, 1) != 1) break;
            if (write(fd, &byte, 1) != 1) break;
        } while (keeps);
        close(fd);
    }
}

static int dial(struct sockaddr_in *to) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)to, sizeof *to)) perror("connect"), exit(2);
    return fd;
}

static void limits(void) {
    char *from = malloc(MIB), *to = malloc(MIB), byte = 0;
    int ends[2], count = 20000;
    memset(from, 1, MIB), memset(to, 2, MIB);
    long long begun = now();
    for (int i = 0; i < count / 4; i++) {
        memcpy(to, from, MIB);
        __asm__ volatile("" ::: "memory");
    }
    double bandwidth = (double)MIB * (count / 4) * 1e9 / (now() - begun);
    begun = now();
    for (int i = 0; i < count; i++) syscall(SYS_getppid);
    double call = (double)(now() - begun) / count;
    if (pipe(ends)) exit(2);
    begun = now();
    for (int i = 0; i < count; i++)
        if (write(ends[1], &byte, 1) + read(ends[0], &byte, 1) != 2) exit(2);
    printf("%.0f %.1f %.1f\n", bandwidth, call, (double)(now() - begun) / count);
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "limits")) return limits(), 0;
    if (argc != 4) return 2;
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof name;
    int keeps = !strcmp(argv[1], "rr"), listener = socket(AF_INET, SOCK_STREAM, 0);
    long done = 0;
    char byte = 0;
    if (bind(listener, (struct sockaddr *)&name, size) || listen(listener, 128)) return 2;
    getsockname(listener, (struct sockaddr *)&name, &size);
    pin(atoi(argv[2]));
    pid_t child = fork();
    if (!child) serve(listener, keeps);
    struct linger reset = {1, 0};
    int fd = keeps ? dial(&name) : -1;
    long long begun = now(), end = begun + (long long)(atof(argv[3]) * 1e9), then = begun, at = begun;
    while (at < end) {
        if (!keeps) fd = dial(&name);
        if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1) return 2;
        if (!keeps) setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), close(fd);
        at = now();
        if (done < MOST) times[done] = at - then;
        done++, then = at;
    }
    kill(child, SIGKILL);
    long kept = done < MOST ? done : MOST;
    qsort(times, kept, sizeof *times, compare);
    if (keeps) printf("%u\n", times[kept / 2]);
    else printf("%.0f\n", done * 1e9 / (at - begun));
    return 0;
}
