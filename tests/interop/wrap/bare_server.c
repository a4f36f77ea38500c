// A server without a libc: the kernel's calls and nothing else, linked statically. What wraps a program by replacing
// functions of its libc cannot wrap this one.
//
//   bare_server PORT   answers every HTTP request on 0.0.0.0:PORT with "hello", one client at a time
#include <linux/in.h>
#include <sys/syscall.h>

#define AF_INET 2
#define SOCK_STREAM 1
#define SOL_SOCKET 1
#define SO_REUSEADDR 2

static long kernel(long number, long a, long b, long c, long d, long e);

#if defined(__x86_64__)
__asm__(".globl _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall serve\n");
static long kernel(long number, long a, long b, long c, long d, long e) {
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  long answer = 0;
  __asm__ volatile("syscall"
                   : "=a"(answer)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                   : "rcx", "r11", "memory");
  return answer;
}
#elif defined(__aarch64__)
__asm__(".globl _start\n_start: mov x0, sp\nbl serve\n");
static long kernel(long number, long a, long b, long c, long d, long e) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
  return x0;
}
#endif

static void leave(long code) {
  for (;;) kernel(SYS_exit_group, code, 0, 0, 0, 0);
}

static unsigned number_of(const char* text) {
  unsigned number = 0;
  for (; *text >= '0' && *text <= '9'; text++) number = number * 10 + (unsigned)(*text - '0');
  return number;
}

static void answer(long client) {
  static const char kAnswer[] = "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  char request[4096];
  unsigned end = 0;  // the last four bytes
  while (end != 0x0d0a0d0a) {
    const long length = kernel(SYS_read, client, (long)request, sizeof request, 0, 0);
    if (length <= 0) break;
    for (long i = 0; i < length; i++) end = end << 8 | (unsigned char)request[i];
  }
  kernel(SYS_sendto, client, (long)kAnswer, sizeof kAnswer - 1, 0x4000 /* MSG_NOSIGNAL */, 0);
  kernel(SYS_close, client, 0, 0, 0, 0);
}

_Noreturn void serve(const long* stack);  // argc, argv[0], argv[1], ...
_Noreturn void serve(const long* stack) {
  if (stack[0] != 2) leave(2);
  const unsigned port = number_of((const char*)stack[2]);
  const int yes = 1;
  const struct sockaddr_in every = {.sin_family = AF_INET, .sin_port = __builtin_bswap16((unsigned short)port)};
  const long listener = kernel(SYS_socket, AF_INET, SOCK_STREAM, 0, 0, 0);
  kernel(SYS_setsockopt, listener, SOL_SOCKET, SO_REUSEADDR, (long)&yes, sizeof yes);
  if (kernel(SYS_bind, listener, (long)&every, sizeof every, 0, 0) != 0) leave(1);
  if (kernel(SYS_listen, listener, 16, 0, 0, 0) != 0) leave(1);
  for (;;) {
    const long client = kernel(SYS_accept, listener, 0, 0, 0, 0);
    if (client >= 0) answer(client);
  }
}
